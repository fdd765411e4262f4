//! Which backup is meant, on which disk, and which database of it.

use std::sync::Arc;

use crate::archive::manifest::{DatabaseManifest, Manifest};
use crate::catalog::{self, Backup};
use crate::config::{Config, DatabaseConfig};
use crate::operation::Context;
use crate::store::Store;
use crate::{Class, Error, Result};

/// A backup on a disk.
pub(super) struct Selected {
    pub(super) store: Arc<dyn Store>,
    pub(super) backup: Backup,
    /// Disks that could not be asked before this one was.
    pub(super) warnings: Vec<String>,
}

/// Finds a backup on the first disk that has it: `latest`, a whole key, or the beginning of a date that one backup has.
pub(super) async fn backup(
    stores: &[Arc<dyn Store>],
    config: &Config,
    wanted: &str,
    context: &Context,
) -> Result<Selected> {
    let (mut warnings, mut first_error) = (Vec::new(), None);
    for store in stores {
        let found = catalog::read(&**store, &config.name, &config.filename_prefix, &config.timezone).await;
        match found {
            Ok(catalog) => {
                let newest = catalog.newest(context.now).cloned();
                if let Some(backup) = one(catalog.backups, newest, wanted)? {
                    return Ok(Selected { store: Arc::clone(store), backup, warnings });
                }
            }
            Err(error) => {
                warnings.push(format!("disk {} could not be listed: {}", store.disk(), error.chain()));
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| {
        let disks: Vec<&str> = stores.iter().map(|store| store.disk()).collect();
        Error::new(Class::NotFound, format!("there is no backup {wanted:?} of {} on {}", config.name, disks.join(", ")))
            .hint("`nightvault list` shows what is there. A backup is named by its key, by `latest`, or by its date, e.g. 2024-01-15.")
    }))
}

fn one(backups: Vec<Backup>, newest: Option<Backup>, wanted: &str) -> Result<Option<Backup>> {
    if wanted == "latest" {
        return Ok(newest);
    }
    if let Some(exact) = backups.iter().find(|backup| backup.object.key == wanted) {
        return Ok(Some(exact.clone()));
    }
    // The date stands at the end of a key: `YYYY-MM-DD-HH-mm-ss.zip`.
    const DATED: usize = "YYYY-MM-DD-HH-mm-ss.zip".len();
    let begins = |backup: &Backup| {
        let key = &backup.object.key;
        key.len().checked_sub(DATED).and_then(|at| key.get(at..)).is_some_and(|date| date.starts_with(wanted))
    };
    let mut found: Vec<Backup> = backups.into_iter().filter(|backup| !wanted.is_empty() && begins(backup)).collect();
    if found.len() > 1 {
        let keys: Vec<&str> = found.iter().map(|backup| backup.object.key.as_str()).collect();
        return Err(Error::configuration(format!(
            "{wanted:?} may be any of {} backups: {}",
            found.len(),
            keys.join(", ")
        ))
        .hint("Write more of the date, or the whole key."));
    }
    Ok(found.pop())
}

/// The database of the backup that is meant, for this kind of target.
pub(super) fn database<'a>(
    manifest: &'a Manifest,
    wanted: Option<&str>,
    to: &DatabaseConfig,
) -> Result<&'a DatabaseManifest> {
    let fits = |database: &&DatabaseManifest| match to {
        DatabaseConfig::Postgres(_) => database.engine == "PostgreSQL",
        DatabaseConfig::Mysql(_) => matches!(database.engine.as_str(), "MariaDB" | "MySQL"),
        DatabaseConfig::Sqlite { .. } => database.engine == "SQLite",
    };
    let listed = || {
        let all: Vec<String> = manifest.databases.iter().map(|it| format!("{:?} ({})", it.name, it.engine)).collect();
        if all.is_empty() { "no database".to_owned() } else { all.join(", ") }
    };
    let named = manifest.databases.iter().filter(|database| wanted.is_none_or(|name| database.name == name));
    let fitting: Vec<&DatabaseManifest> = named.filter(fits).collect();
    match (fitting.as_slice(), wanted) {
        ([one], _) => Ok(one),
        ([], Some(name)) => Err(Error::configuration(format!(
            "the backup has no database {name:?} for this kind of target; it holds {}",
            listed()
        ))
        .hint("The scheme of --to must be that of the database's own engine.")),
        ([], None) => Err(Error::configuration(format!(
            "the backup has no database for this kind of target; it holds {}",
            listed()
        ))
        .hint("The scheme of --to must be that of the database's own engine.")),
        (_, _) => Err(Error::configuration(format!("the backup holds more than one database: {}", listed()))
            .hint("Say which one with --database NAME.")),
    }
}
