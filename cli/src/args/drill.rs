//! `nightvault drill`: which backup, and where it is restored for proof.

use std::fmt;

use clap::Args as Group;
use nightvault_core::config::{self, DatabaseConfig, DatabaseDefaults};
use nightvault_core::operation::{DrillPlace, DrillRequest, Wanted};
use nightvault_core::{Error, Result};

use super::password_of;

#[derive(Group)]
pub(crate) struct Drill {
    /// Which: `latest`, a key as `list` shows it, the beginning of a date such as 2024-01-15, or the path of a file that
    /// begins with / or ./
    #[arg(default_value = "latest")]
    backup: String,
    /// Only on these disks; may be given several times [default: the first disk that has it].
    #[arg(long = "disk", value_name = "NAME")]
    disks: Vec<String>,
    /// Only this database of the backup [default: every one that the place can take].
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// The server on which scratch databases are made, by a user that may create them: postgres://user@host/postgres.
    #[arg(long, value_name = "URL", conflicts_with = "own_server")]
    to: Option<String>,
    /// The variable that holds the password of --to, in any characters.
    #[arg(long, value_name = "VARIABLE", requires = "to")]
    to_password_env: Option<String>,
    /// Start a PostgreSQL or MariaDB from binaries that are installed here, and remove it afterwards.
    #[arg(long)]
    own_server: bool,
}

/// Without the address, in which a password may stand.
impl fmt::Debug for Drill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drill").field("backup", &self.backup).finish_non_exhaustive()
    }
}

impl Drill {
    /// What is asked for; `lookup` gives the variables.
    pub(crate) fn request(&self, defaults: &DatabaseDefaults, lookup: config::Lookup<'_>) -> Result<DrillRequest> {
        let place = match &self.to {
            Some(url) => {
                let password = password_of(self.to_password_env.as_deref(), lookup)?;
                match config::parse_database_url("--to", url, defaults, password)? {
                    DatabaseConfig::Sqlite { .. } => {
                        return Err(Error::configuration("--to is a file, and a drill takes the address of a server")
                            .hint(
                                "Leave --to away: a SQLite database is restored into a new folder, which is removed.",
                            ));
                    }
                    server => DrillPlace::Server(server),
                }
            }
            None if self.own_server => {
                DrillPlace::Own(std::env::split_paths(&lookup("PATH").unwrap_or_default()).collect())
            }
            None => DrillPlace::Files,
        };
        let of = Wanted { backup: self.backup.as_str().into(), disks: self.disks.clone() };
        Ok(DrillRequest { of, database: self.database.clone(), place })
    }
}
