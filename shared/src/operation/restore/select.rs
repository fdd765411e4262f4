//! Which database of a backup is meant.

use crate::archive::manifest::{DatabaseManifest, Manifest};
use crate::config::DatabaseConfig;
use crate::{Error, Result};

/// The database of the backup that is meant, for this kind of target.
pub(in crate::operation) fn database<'a>(
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
