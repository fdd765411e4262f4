//! What can be asked for of tenants: the map of all, and the rows of one.

use std::path::PathBuf;

use clap::{Args as Group, Subcommand};
use nightvault_core::config::{self, DatabaseConfig, DatabaseDefaults};
use nightvault_core::operation::{PlanRequest, TenantRequest, Wanted};
use nightvault_core::{Error, Result};

use super::password_of;

/// What `restore` takes for one tenant.
#[derive(Debug, Group)]
pub(crate) struct OneTenant {
    /// Only the rows of one tenant, into the live database that --to names: COLUMN=VALUE, e.g. tenant_id=42. Shows the
    /// plan; with --into-live it is carried out in one transaction, in which no other row is touched.
    #[arg(long, value_name = "COLUMN=VALUE", requires = "map", conflicts_with_all = ["files", "tables", "jobs"])]
    tenant: Option<String>,
    /// The map file that says what each table is to a tenant; `nightvault tenants plan` makes it.
    #[arg(long, value_name = "FILE", requires = "tenant")]
    map: Option<PathBuf>,
    /// With --tenant: write the tenant's rows to this folder as CSV and SQL instead, for a request of data. The database that
    /// --to names gives the schema and is not changed.
    #[arg(long, value_name = "DIR", requires = "tenant", conflicts_with_all = ["into_live", "dry_run"])]
    export: Option<PathBuf>,
    /// The second word for --tenant: yes, change rows of the live database that --to names.
    #[arg(long, requires = "tenant", conflicts_with = "dry_run")]
    into_live: bool,
}

/// What `restore` asks for besides.
pub(crate) struct Asked {
    pub(crate) of: Wanted,
    pub(crate) to: DatabaseConfig,
    pub(crate) database: Option<String>,
    pub(crate) dry_run: bool,
}

impl OneTenant {
    /// Whether one tenant is asked for.
    pub(crate) fn is_asked(&self) -> bool {
        self.tenant.is_some()
    }

    pub(crate) fn request(&self, asked: Asked) -> Result<TenantRequest> {
        let wrong = || {
            Error::configuration("--tenant takes the tenant column and its value")
                .hint("Write it as in --tenant tenant_id=42.")
        };
        let (column, value) = self.tenant.as_deref().and_then(|text| text.split_once('=')).ok_or_else(wrong)?;
        let map = self.map.clone().ok_or_else(wrong)?;
        if column.is_empty() || value.is_empty() {
            return Err(wrong());
        }
        Ok(TenantRequest {
            of: asked.of,
            to: asked.to,
            database: asked.database,
            column: column.to_owned(),
            tenant: value.to_owned(),
            map,
            dry_run: asked.dry_run,
            into_live: self.into_live,
            export: self.export.clone(),
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tenants {
    /// Write the map file from the live database's tables and foreign keys, or add new tables to it.
    ///
    /// What a person wrote is never changed. Tables that nothing leads to a tenant from are left `unclassed`: a person
    /// writes `shared`, or `excluded` with a reason. Until every table is classed no tenant is restored. Check the file in.
    Plan(Plan),
}

#[derive(Group)]
pub(crate) struct Plan {
    /// The column that names the tenant.
    #[arg(long, value_name = "NAME", default_value = "tenant_id")]
    column: String,
    /// The map file.
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// The live database [default: the configured one].
    #[arg(long, value_name = "URL", conflicts_with = "database")]
    to: Option<String>,
    /// The variable that holds the password of --to, in any characters.
    #[arg(long, value_name = "VARIABLE", requires = "to")]
    to_password_env: Option<String>,
    /// Which of the configured databases, where there is more than one.
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
}

/// Without the address, in which a password may stand.
impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("map", &self.map).finish_non_exhaustive()
    }
}

impl Plan {
    /// What is asked for; `lookup` gives the variables.
    pub(crate) fn request(&self, defaults: &DatabaseDefaults, lookup: config::Lookup<'_>) -> Result<PlanRequest> {
        let to = match &self.to {
            None => None,
            Some(url) => {
                let password = password_of(self.to_password_env.as_deref(), lookup)?;
                Some(config::parse_database_url("--to", url, defaults, password)?)
            }
        };
        Ok(PlanRequest { to, database: self.database.clone(), column: self.column.clone(), map: self.map.clone() })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::args::{Args, Command};

    fn restore(line: &str) -> Result<crate::args::Restore, clap::Error> {
        let line = format!("nightvault restore latest --to postgres://a@db/x {line}");
        match Args::try_parse_from(line.split_whitespace())?.command {
            Command::Restore(restore) => Ok(restore),
            _ => panic!("it is restore"),
        }
    }

    fn asked(line: &str) -> nightvault_core::Result<Option<super::TenantRequest>> {
        let restore = restore(line).expect("the line is right");
        let request = restore.request(&Default::default(), &|_| None)?;
        restore.tenant(&request)
    }

    #[test]
    fn a_tenant_is_a_column_and_a_value() {
        assert!(asked("").unwrap().is_none());
        let request = asked("--tenant tenant_id=a=b --map m.json --into-live").unwrap().unwrap();
        assert_eq!((request.column.as_str(), request.tenant.as_str(), request.into_live), ("tenant_id", "a=b", true));
        for wrong in ["42", "=42", "tenant_id="] {
            assert!(asked(&format!("--tenant {wrong} --map m.json")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_that_do_not_go_together_are_refused() {
        for wrong in [
            "--tenant a=1",
            "--map m",
            "--into-live",
            "--export out",
            "--tenant a=1 --map m --into-live --dry-run",
            "--tenant a=1 --map m --export out --into-live",
        ] {
            assert!(restore(wrong).is_err(), "{wrong}");
        }
    }
}
