//! `nightvault restore`: which backup, and where its database, its files or one tenant's rows go.

use std::path::PathBuf;

use clap::Args as Group;
use nightvault_core::config::{self, DatabaseDefaults};
use nightvault_core::operation::{FilesRequest, RestoreRequest, TableRequest, TenantRequest};
use nightvault_core::secret::Secret;
use nightvault_core::{Error, Result};

use super::Which;
use super::tenants::{Asked, OneTenant};

#[derive(Group)]
pub(crate) struct Restore {
    #[command(flatten)]
    which: Which,
    /// The database that takes it, empty and no source of backups: postgres://user@host/database. A password in it is
    /// seen by whoever lists processes; --to-password-env is not.
    #[arg(long, value_name = "URL", required_unless_present = "files")]
    to: Option<String>,
    /// The variable that holds the password of --to, in any characters.
    #[arg(long, value_name = "VARIABLE", requires = "to")]
    to_password_env: Option<String>,
    /// Which database of the backup, where it holds more than one.
    #[arg(long, value_name = "NAME", requires = "to")]
    database: Option<String>,
    /// The folder that takes the files, empty or not there yet: each file set in a folder of its name.
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// This file set alone; its contents go into the folder of --files itself.
    #[arg(long, value_name = "NAME", requires = "files")]
    set: Option<String>,
    /// Connections that load at the same time. 1: all in one transaction, there whole or not at all. More: faster on a
    /// server with several processors, and what an error leaves is told.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "to")]
    jobs: usize,
    /// Only this table, `name` or `schema.name`, with its indexes, constraints, triggers, sequences; may be given several
    /// times. The target may hold other things, not this table. Reads its own part of the backup alone.
    #[arg(long = "table", value_name = "NAME", requires = "to")]
    tables: Vec<String>,
    /// With --table: take along the tables that it refers to by foreign keys and that the target lacks.
    #[arg(long, requires = "tables")]
    with_parents: bool,
    /// With --table: put the rows into a new table of this name, beside the live one.
    #[arg(long = "as", value_name = "NAME", requires = "tables")]
    rename: Option<String>,
    /// Read and check every byte, look at the target, execute nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    tenant: OneTenant,
}

/// Without the address, in which a password may stand.
impl std::fmt::Debug for Restore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restore").field("which", &self.which).finish_non_exhaustive()
    }
}

/// The password of `--to`.
pub(super) fn password_of(variable: Option<&str>, lookup: config::Lookup<'_>) -> Result<Option<Secret>> {
    let Some(name) = variable else { return Ok(None) };
    let value = lookup(name).ok_or_else(|| {
        Error::configuration(format!("the variable {name:?}, which --to-password-env names, is not set"))
    })?;
    Ok(Some(Secret::new(value)))
}

impl Restore {
    /// What is asked for; `lookup` gives the variables.
    pub(crate) fn request(&self, defaults: &DatabaseDefaults, lookup: config::Lookup<'_>) -> Result<RestoreRequest> {
        let password = password_of(self.to_password_env.as_deref(), lookup)?;
        Ok(RestoreRequest {
            of: self.which.wanted(),
            to: match &self.to {
                Some(to) => Some(config::parse_database_url("--to", to, defaults, password)?),
                None => None,
            },
            files: self.files.as_ref().map(|to| FilesRequest { to: to.clone(), set: self.set.clone() }),
            database: self.database.clone(),
            jobs: self.jobs,
            table: (!self.tables.is_empty()).then(|| TableRequest {
                tables: self.tables.clone(),
                with_parents: self.with_parents,
                rename: self.rename.clone(),
            }),
            dry_run: self.dry_run,
        })
    }

    /// The one tenant that is asked for, where one is.
    pub(crate) fn tenant(&self, request: &RestoreRequest) -> Result<Option<TenantRequest>> {
        if !self.tenant.is_asked() {
            return Ok(None);
        }
        let RestoreRequest { of, to, database, dry_run, .. } = request.clone();
        let to = to.ok_or_else(|| {
            Error::configuration("--tenant does not say which database is meant").hint("Name the live one with --to.")
        })?;
        self.tenant.request(Asked { of, to, database, dry_run }).map(Some)
    }
}
