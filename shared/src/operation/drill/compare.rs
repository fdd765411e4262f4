//! The restored database, dumped again, against the manifest of the backup.
//!
//! Rows must be as many, their text the same bytes, and the inventory the same numbers. A server of another version may
//! print a value otherwise or count an object that the old one did not have; then a difference of text, or one object
//! more, is told as not comparable. Fewer objects or another number of rows are a difference whatever the version.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::manifest::{DatabaseManifest, TableManifest};
use crate::source::DatabaseDump;

/// What the comparison found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) differences: Vec<String>,
    pub(super) not_comparable: Vec<String>,
    /// Tables that are in both.
    pub(super) tables: u64,
    /// Tables whose text is the same.
    pub(super) identical: u64,
    /// Rows of the restored tables.
    pub(super) rows: u64,
}

/// Compares. `file`: digest of a SQLite file, which is compared instead of the tables' sections.
pub(super) fn compare(manifest: &DatabaseManifest, dump: &DatabaseDump, file: Option<&str>) -> Comparison {
    let mut found = Comparison::default();
    let same_version = manifest.server_version == dump.server_version;
    let versions = format!("{} made the backup, {} took it", manifest.server_version, dump.server_version);

    let restored: BTreeMap<_, &TableManifest> = dump.tables.iter().map(|table| (place(table), table)).collect();
    for table in &manifest.tables {
        let name = shown(table);
        let Some(now) = restored.get(&place(table)) else {
            found.differences.push(format!("table {name} is missing"));
            continue;
        };
        found.tables += 1;
        found.rows = found.rows.saturating_add(now.rows);
        let digest = file.unwrap_or(&now.sha256);
        if now.rows != table.rows {
            found.differences.push(format!("table {name} has {} rows, the manifest says {}", now.rows, table.rows));
        } else if digest == table.sha256 {
            found.identical += 1;
        } else if same_version {
            found.differences.push(format!("the rows of table {name} are not those of the backup: their text differs"));
        } else {
            found.not_comparable.push(format!("the text of the rows of table {name} ({versions})"));
        }
    }
    let known: BTreeSet<_> = manifest.tables.iter().map(place).collect();
    for (_, table) in restored.iter().filter(|(place, _)| !known.contains(*place)) {
        found.differences.push(format!("table {} is in the restored database and not in the backup", shown(table)));
    }

    let kinds: BTreeSet<&String> = manifest.objects.keys().chain(dump.objects.keys()).collect();
    for kind in kinds {
        let count = |objects: &BTreeMap<String, u64>| objects.get(kind).copied().unwrap_or(0);
        let (before, now) = (count(&manifest.objects), count(&dump.objects));
        let told = format!("{kind}: {now} in the restored database, {before} in the backup");
        if now < before || (now > before && same_version) {
            found.differences.push(told);
        } else if now > before {
            found.not_comparable.push(format!("{told} ({versions})"));
        }
    }
    found
}

fn place(table: &TableManifest) -> (Option<&str>, &str) {
    (table.schema.as_deref(), &table.name)
}

fn shown(table: &TableManifest) -> String {
    match &table.schema {
        Some(schema) => format!("{:?}", format!("{schema}.{}", table.name)),
        None => format!("{:?}", table.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, rows: u64, sha256: &str) -> TableManifest {
        TableManifest {
            schema: None,
            name: name.into(),
            rows,
            offset: 0,
            bytes: 9,
            sha256: sha256.into(),
            longest_statement: None,
        }
    }

    fn manifest() -> DatabaseManifest {
        DatabaseManifest {
            name: "clinic".into(),
            engine: "MariaDB".into(),
            server_version: "10.11".into(),
            entry: "db-dumps/clinic.sql".into(),
            snapshot: BTreeMap::new(),
            tables: vec![table("a", 1, "x"), table("b", 2, "y")],
            objects: BTreeMap::from([("index".to_owned(), 3), ("table".to_owned(), 2)]),
            warnings: Vec::new(),
            rows: 3,
            raw_bytes: 9,
            stored_bytes: 9,
            sha256: "z".into(),
        }
    }

    fn dump() -> DatabaseDump {
        let it = manifest();
        DatabaseDump {
            engine: it.engine,
            server_version: it.server_version,
            tables: it.tables,
            objects: it.objects,
            ..DatabaseDump::default()
        }
    }

    #[test]
    fn the_same_database_has_no_difference() {
        let found = compare(&manifest(), &dump(), None);
        assert_eq!(found, Comparison { tables: 2, identical: 2, rows: 3, ..Comparison::default() });
    }

    #[test]
    fn every_difference_is_named_with_both_numbers() {
        let mut now = dump();
        now.tables = vec![table("a", 5, "x"), table("c", 0, "y")];
        now.objects = BTreeMap::from([("index".to_owned(), 2), ("view".to_owned(), 1)]);
        let found = compare(&manifest(), &now, None);
        assert_eq!(
            found.differences,
            [
                "table \"a\" has 5 rows, the manifest says 1",
                "table \"b\" is missing",
                "table \"c\" is in the restored database and not in the backup",
                "index: 2 in the restored database, 3 in the backup",
                "table: 0 in the restored database, 2 in the backup",
                "view: 1 in the restored database, 0 in the backup",
            ]
        );
    }

    #[test]
    fn another_version_may_print_otherwise_and_never_lose_anything() {
        let mut now = DatabaseDump { server_version: "11.4".into(), ..dump() };
        now.tables[1].sha256 = "other".into();
        now.objects = BTreeMap::from([("index".to_owned(), 4), ("table".to_owned(), 1)]);
        let found = compare(&manifest(), &now, None);
        assert_eq!(found.differences, ["table: 1 in the restored database, 2 in the backup"]);
        assert_eq!(found.not_comparable.len(), 2, "{found:?}");
        assert!(found.not_comparable[0].contains("table \"b\" (10.11 made the backup, 11.4 took it)"), "{found:?}");
        now.server_version = "10.11".into();
        assert!(compare(&manifest(), &now, None).differences.iter().any(|it| it.contains("their text differs")));
    }

    #[test]
    fn a_file_is_compared_by_its_own_digest() {
        let mut of_file = manifest();
        of_file.tables.iter_mut().for_each(|table| table.sha256 = "file".into());
        assert_eq!(compare(&of_file, &dump(), Some("file")).identical, 2);
        assert_eq!(compare(&of_file, &dump(), Some("other")).differences.len(), 2);
    }
}
