//! How a restored MySQL or MariaDB database takes the place of the live one. A database has no rename there; its tables have.

use crate::archive::manifest::DatabaseManifest;
use crate::config::DatabaseConfig;
use crate::source::mysql::quoting::identifier;

/// What a database has besides tables, as the manifest calls it, and what becomes of it.
const NOT_MOVED: [&str; 8] =
    ["view", "trigger", "event", "function", "procedure", "package", "package body", "sequence"];

/// The statements that swap the tables of a database restored beside the live one, on the same server, and in comments what
/// they do not move. None for engines whose databases can be renamed, and where the two have one name.
pub(super) fn statements(manifest: &DatabaseManifest, to: &DatabaseConfig) -> Vec<String> {
    let DatabaseConfig::Mysql(server) = to else { return Vec::new() };
    if server.database == manifest.name || manifest.tables.is_empty() {
        return Vec::new();
    }
    let [live, copy, before] =
        [&manifest.name, &server.database, &format!("{}_before", manifest.name)].map(|name| identifier(name));
    let moves = manifest.tables.iter().map(|table| {
        let table = identifier(&table.name);
        format!("{live}.{table} TO {before}.{table}, {copy}.{table} TO {live}.{table}")
    });
    let mut statements =
        vec![format!("CREATE DATABASE {before};"), format!("RENAME TABLE {};", moves.collect::<Vec<_>>().join(", "))];
    let left: Vec<String> = NOT_MOVED
        .iter()
        .filter_map(|kind| manifest.objects.get(*kind).filter(|count| **count > 0).map(|count| (kind, count)))
        .map(|(kind, count)| format!("{count} {kind}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    if manifest.objects.get("trigger").is_some_and(|count| *count > 0) {
        statements.push("-- A table with triggers does not move: drop them first, in both databases.".to_owned());
    }
    if !left.is_empty() {
        statements.push(format!("-- Not moved, to be made anew from the dump: {}.", left.join(", ")));
    }
    statements.push("-- Grants hang on the names of databases and tables and stay as they are.".to_owned());
    statements
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{ServerDatabase, TlsMode};
    use crate::secret::Secret;

    #[test]
    fn tables_swap_in_one_statement_and_the_rest_is_named() {
        let table = |name: &str| crate::archive::manifest::TableManifest {
            schema: None,
            name: name.into(),
            rows: 0,
            offset: 0,
            bytes: 0,
            sha256: String::new(),
            longest_statement: None,
        };
        let manifest = DatabaseManifest {
            name: "clinic".into(),
            engine: "MariaDB".into(),
            server_version: String::new(),
            entry: String::new(),
            snapshot: BTreeMap::new(),
            tables: vec![table("a`b"), table("c")],
            objects: BTreeMap::from([("table".into(), 2), ("trigger".into(), 1), ("view".into(), 2)]),
            warnings: Vec::new(),
            rows: 0,
            raw_bytes: 0,
            stored_bytes: 0,
            sha256: String::new(),
        };
        let server = ServerDatabase {
            host: "h".into(),
            port: 3306,
            user: "u".into(),
            password: Secret::new(""),
            database: "copy".into(),
            tls: TlsMode::Prefer,
            tls_ca: None,
            iam: None,
        };
        let found = statements(&manifest, &DatabaseConfig::Mysql(server.clone()));
        let expected = [
            "CREATE DATABASE `clinic_before`;",
            "RENAME TABLE `clinic`.`a``b` TO `clinic_before`.`a``b`, `copy`.`a``b` TO `clinic`.`a``b`, \
             `clinic`.`c` TO `clinic_before`.`c`, `copy`.`c` TO `clinic`.`c`;",
            "-- A table with triggers does not move: drop them first, in both databases.",
            "-- Not moved, to be made anew from the dump: 2 views, 1 trigger.",
            "-- Grants hang on the names of databases and tables and stay as they are.",
        ];
        assert_eq!(found, expected);
        let same = ServerDatabase { database: "clinic".into(), ..server };
        assert!(statements(&manifest, &DatabaseConfig::Mysql(same)).is_empty());
    }
}
