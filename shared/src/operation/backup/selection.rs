//! What a run is asked for: which databases, file sets and disks, under which entry names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::{DatabaseConfig, FileSetConfig};
use crate::environment::Environment;
use crate::operation::{Event, Only};
use crate::report::SourceReport;
use crate::store::Store;
use crate::{Error, Result};

/// Everything but letters, digits, `.`, `_` and `-` is written `%XX` in an entry's name: a database may be called
/// `../../etc/passwd`.
const ENTRY_UNSAFE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// A database with the names that it goes by in this run.
#[derive(Debug)]
pub(super) struct NamedDatabase {
    /// As reports and the manifest call it.
    pub(super) name: String,
    /// Its entry in the archive.
    pub(super) entry: String,
    /// How to reach it.
    pub(super) config: DatabaseConfig,
}

/// What is backed up, and where it goes.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) databases: Vec<NamedDatabase>,
    pub(super) files: Vec<FileSetConfig>,
    pub(super) stores: Vec<Arc<dyn Store>>,
}

impl Selection {
    /// Takes from the configuration what `event` asks for. A name that is not configured is an error: a run that leaves
    /// out what it was told to do must not look like success.
    pub(super) async fn make(environment: &Environment, event: &Event) -> Result<Self> {
        let stores = pick(environment.stores(), &event.disks, |store| store.disk().to_owned(), "disk")?;
        let databases = if event.only == Some(Only::Files) {
            if !event.databases.is_empty() {
                return Err(Error::configuration("`only` = files and a list of databases contradict each other"));
            }
            Vec::new()
        } else {
            let named = name_databases(environment.databases().await?);
            pick_databases(named, &event.databases)?
        };
        let files = if event.only == Some(Only::Databases) || !event.databases.is_empty() {
            Vec::new()
        } else {
            environment.config().files.clone()
        };
        if databases.is_empty() && files.is_empty() {
            return Err(Error::configuration("there is nothing to back up").hint(
                "Name databases with DATABASE_URL, DATABASE_SECRET or DB_CONNECTION, or directories with BACKUP_FILES.",
            ));
        }
        Ok(Self { databases, files, stores })
    }

    /// The same databases with other logins, when their secrets hold others by now.
    pub(super) async fn rotated(&self, environment: &Environment, event: &Event) -> Option<Self> {
        let newer = Self::make(environment, event).await.ok()?;
        let logins = |it: &Self| it.databases.iter().map(|database| database.config.clone()).collect::<Vec<_>>();
        (newer.names() == self.names() && logins(&newer) != logins(self)).then_some(newer)
    }

    /// Names of all databases and file sets, as the manifest will have them.
    pub(super) fn names(&self) -> Vec<String> {
        let databases = self.databases.iter().map(|database| database.name.clone());
        databases.chain(self.files.iter().map(|set| set.name.clone())).collect()
    }

    /// The sources of a dry run: reached, nothing read.
    pub(super) fn planned(&self) -> Vec<SourceReport> {
        let databases = self.databases.iter().map(|database| (database.name.clone(), engine(&database.config)));
        let files = self.files.iter().map(|set| (set.name.clone(), "files"));
        databases
            .chain(files)
            .map(|(name, kind)| SourceReport {
                name,
                kind: kind.to_owned(),
                items: 0,
                rows: 0,
                raw_bytes: 0,
                stored_bytes: 0,
                duration_ms: 0,
                bytes_per_second: 0,
                problems: Vec::new(),
            })
            .collect()
    }
}

/// The configured items whose names are wanted, in the order of the configuration; all of them when none is named.
pub(in crate::operation) fn pick<T: Clone>(
    items: &[T],
    wanted: &[String],
    name: impl Fn(&T) -> String,
    what: &str,
) -> Result<Vec<T>> {
    let known: BTreeSet<String> = items.iter().map(&name).collect();
    let unknown: Vec<&str> = wanted.iter().filter(|w| !known.contains(*w)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let known: Vec<String> = known.into_iter().collect();
        return Err(Error::configuration(format!("there is no {what} {}", quoted(&unknown)))
            .hint(format!("Configured: {}.", if known.is_empty() { "none".to_owned() } else { known.join(", ") })));
    }
    Ok(items.iter().filter(|item| wanted.is_empty() || wanted.contains(&name(item))).cloned().collect())
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn pick_databases(named: Vec<NamedDatabase>, wanted: &[String]) -> Result<Vec<NamedDatabase>> {
    let names: Vec<String> = named.iter().map(|database| database.name.clone()).collect();
    let picked = pick(&names, wanted, String::clone, "database")?;
    Ok(named.into_iter().filter(|database| picked.contains(&database.name)).collect())
}

/// Gives every database its name and entry. Two databases of one name on different servers are told apart by their
/// server, all of them, so that neither depends on the order of the configuration.
fn name_databases(databases: Vec<DatabaseConfig>) -> Vec<NamedDatabase> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for database in &databases {
        *seen.entry(short_name(database)).or_default() += 1;
    }
    let mut used: BTreeSet<String> = BTreeSet::new();
    databases
        .into_iter()
        .map(|config| {
            let short = short_name(&config);
            let mut name = if seen[&short] == 1 { short } else { long_name(&config) };
            // The same database configured twice, or two files of one name: count.
            let base = name.clone();
            let mut count = 2;
            while !used.insert(name.clone()) {
                name = format!("{base}-{count}");
                count += 1;
            }
            let extension = if matches!(config, DatabaseConfig::Sqlite { .. }) { "sqlite" } else { "sql" };
            let entry = format!("db-dumps/{}.{extension}", safe_entry_name(&name));
            NamedDatabase { name, entry, config }
        })
        .collect()
}

fn short_name(database: &DatabaseConfig) -> String {
    match database {
        DatabaseConfig::Postgres(server) | DatabaseConfig::Mysql(server) => server.database.clone(),
        DatabaseConfig::Sqlite { path } => {
            path.file_stem().map_or_else(|| "database".to_owned(), |stem| stem.to_string_lossy().into_owned())
        }
    }
}

fn long_name(database: &DatabaseConfig) -> String {
    match database {
        DatabaseConfig::Postgres(server) | DatabaseConfig::Mysql(server) => {
            format!("{}-{}-{}", server.host.trim_matches('/'), server.port, server.database)
        }
        DatabaseConfig::Sqlite { path } => {
            let folder = path.parent().and_then(|folder| folder.file_name());
            let folder = folder.map_or_else(String::new, |name| format!("{}-", name.to_string_lossy()));
            format!("{folder}{}", short_name(database))
        }
    }
}

/// A file name that is safe in every archive reader, reversible by percent-decoding.
fn safe_entry_name(name: &str) -> String {
    let encoded = utf8_percent_encode(name, ENTRY_UNSAFE).to_string();
    match encoded.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => encoded,
    }
}

/// The engine as far as the configuration knows it.
pub(super) fn engine(database: &DatabaseConfig) -> &'static str {
    match database {
        DatabaseConfig::Postgres(_) => "PostgreSQL",
        DatabaseConfig::Mysql(_) => "MySQL or MariaDB",
        DatabaseConfig::Sqlite { .. } => "SQLite",
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{ServerDatabase, TlsMode};
    use crate::secret::Secret;

    fn server(host: &str, database: &str) -> DatabaseConfig {
        DatabaseConfig::Postgres(ServerDatabase {
            host: host.to_owned(),
            port: 5432,
            user: "backup".to_owned(),
            password: Secret::new(""),
            database: database.to_owned(),
            tls: TlsMode::Disable,
            tls_ca: None,
            iam: None,
        })
    }

    fn sqlite(path: &str) -> DatabaseConfig {
        DatabaseConfig::Sqlite { path: PathBuf::from(path) }
    }

    fn entries(databases: Vec<DatabaseConfig>) -> Vec<String> {
        name_databases(databases).into_iter().map(|database| database.entry).collect()
    }

    #[test]
    fn a_database_is_called_by_its_own_name() {
        assert_eq!(
            entries(vec![server("db", "clinic"), sqlite("/srv/app/database.sqlite")]),
            ["db-dumps/clinic.sql", "db-dumps/database.sqlite"]
        );
    }

    #[test]
    fn databases_of_one_name_are_told_apart_by_their_server() {
        assert_eq!(
            entries(vec![server("a.internal", "clinic"), server("b.internal", "clinic"), sqlite("/x/clinic.db")]),
            ["db-dumps/a.internal-5432-clinic.sql", "db-dumps/b.internal-5432-clinic.sql", "db-dumps/x-clinic.sqlite"]
        );
        assert_eq!(
            entries(vec![server("a", "clinic"), server("a", "clinic")]),
            ["db-dumps/a-5432-clinic.sql", "db-dumps/a-5432-clinic-2.sql"]
        );
    }

    #[test]
    fn hostile_names_stay_inside_their_folder() {
        assert_eq!(
            entries(vec![server("db", "../../etc/passwd"), server("db", "a\nb é")]),
            ["db-dumps/%2E.%2F..%2Fetc%2Fpasswd.sql", "db-dumps/a%0Ab%20%C3%A9.sql"]
        );
    }

    #[test]
    fn an_unknown_name_is_refused_with_what_there_is() {
        let items = ["s3".to_owned(), "local".to_owned()];
        let error = pick(&items, &["s4".to_owned()], String::clone, "disk").unwrap_err();
        assert_eq!(error.to_string(), r#"there is no disk "s4""#);
        assert_eq!(error.hint_text(), Some("Configured: local, s3."));
        assert_eq!(pick(&items, &["local".to_owned()], String::clone, "disk").unwrap(), ["local"]);
        assert_eq!(pick(&items, &[], String::clone, "disk").unwrap(), items);
    }
}
