//! Whether what came out of an archive is what went in: value by value, byte by byte.

use std::fs;
use std::path::Path;

use nightvault_core::{Class, Error, Result};
use rusqlite::{Connection, OpenFlags, types::ValueRef};

use super::cannot;

/// What was found to be the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) tables: u64,
    pub(super) rows: u64,
}

/// Compares two SQLite databases: the schema's own texts, and every value of every row of every table.
pub(super) fn databases(original: &Path, restored: &Path) -> Result<Compared> {
    let open = |path: &Path| {
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| cannot_query(path, error))
    };
    let (one, other) = (open(original)?, open(restored)?);
    const SCHEMA: &str = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name";
    same("the schema", &one, &other, SCHEMA, (original, restored))?;
    let tables: Vec<String> = one
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(|error| cannot_query(original, error))?;
    let mut rows = 0;
    for table in &tables {
        let sql = format!("SELECT * FROM \"{}\" ORDER BY rowid", table.replace('"', "\"\""));
        rows += same(&format!("the table {table:?}"), &one, &other, &sql, (original, restored))?;
    }
    Ok(Compared { tables: tables.len() as u64, rows })
}

/// Runs a query on both and compares every value; returns the number of rows.
fn same(what: &str, one: &Connection, other: &Connection, sql: &str, paths: (&Path, &Path)) -> Result<u64> {
    let mut one = one.prepare(sql).map_err(|error| cannot_query(paths.0, error))?;
    let mut other = other.prepare(sql).map_err(|error| cannot_query(paths.1, error))?;
    let columns = one.column_count();
    if columns != other.column_count() {
        return Err(Error::corrupt(format!("{what} has other columns after it was taken back")));
    }
    let mut one = one.query([]).map_err(|error| cannot_query(paths.0, error))?;
    let mut other = other.query([]).map_err(|error| cannot_query(paths.1, error))?;
    let mut rows = 0;
    loop {
        let left = one.next().map_err(|error| cannot_query(paths.0, error))?;
        let right = other.next().map_err(|error| cannot_query(paths.1, error))?;
        let (left, right) = match (left, right) {
            (None, None) => return Ok(rows),
            (Some(left), Some(right)) => (left, right),
            _ => return Err(Error::corrupt(format!("{what} has another number of rows after it was taken back"))),
        };
        rows += 1;
        for column in 0..columns {
            let left = left.get_ref(column).map_err(|error| cannot_query(paths.0, error))?;
            let right = right.get_ref(column).map_err(|error| cannot_query(paths.1, error))?;
            if !same_value(left, right) {
                return Err(Error::corrupt(format!("{what} differs in row {rows}, column {}", column + 1)));
            }
        }
    }
}

/// Equal in type and in every bit; `==` on floating-point numbers would call 0.0 and -0.0 equal.
fn same_value(left: ValueRef<'_>, right: ValueRef<'_>) -> bool {
    match (left, right) {
        (ValueRef::Real(left), ValueRef::Real(right)) => left.to_bits() == right.to_bits(),
        (left, right) => left == right,
    }
}

/// Compares two files.
pub(super) fn files(original: &Path, restored: &Path) -> Result<()> {
    let read = |path: &Path| fs::read(path).map_err(|error| cannot("read", path, error));
    if read(original)? == read(restored)? {
        return Ok(());
    }
    Err(Error::corrupt(format!("{} differs from {}", restored.display(), original.display())))
}

fn cannot_query(path: &Path, error: rusqlite::Error) -> Error {
    Error::new(Class::Corrupt, format!("cannot read the database {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::super::clinic;
    use super::*;

    fn a_clinic(dir: &Path) -> (std::path::PathBuf, clinic::Clinic) {
        let database = dir.join("a.sqlite");
        let clinic = clinic::create(&database, &dir.join("documents")).unwrap();
        (database, clinic)
    }

    #[test]
    fn a_copy_is_the_same_and_every_row_that_was_made_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (database, clinic) = a_clinic(dir.path());
        let copy = dir.path().join("b.sqlite");
        fs::copy(&database, &copy).unwrap();
        assert_eq!(databases(&database, &copy).unwrap(), Compared { tables: 5, rows: clinic.rows });
        assert!(clinic.rows > 5_000 && clinic.files.len() == 24);
    }

    #[test]
    fn the_smallest_difference_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (database, _) = a_clinic(dir.path());
        for (change, word) in [
            ("UPDATE patients SET note = '' WHERE id = (SELECT min(id) FROM patients WHERE note IS NULL)", "column 5"),
            ("DELETE FROM scans WHERE id = 60", "another number of rows"),
            ("UPDATE scans SET image = CAST(image AS BLOB) || x'00' WHERE id = 1", "row 1"),
            ("UPDATE invoices SET paid = paid + 1e-9 WHERE id = 1", "invoices"),
            ("DROP INDEX appointments_by_start", "schema"),
        ] {
            let copy = dir.path().join("b.sqlite");
            fs::copy(&database, &copy).unwrap();
            let changed = Connection::open(&copy)
                .and_then(|it| {
                    it.execute_batch(change)?;
                    Ok(it.changes())
                })
                .unwrap();
            assert!(changed > 0 || change.starts_with("DROP"), "{change}");
            let error = databases(&database, &copy).unwrap_err();
            assert!(error.to_string().contains(word), "{change}: {error}");
        }
    }

    #[test]
    fn files_are_compared_by_their_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("a"), "x").unwrap();
        fs::write(path("b"), "x").unwrap();
        files(&path("a"), &path("b")).unwrap();
        fs::write(path("b"), "y").unwrap();
        assert_eq!(files(&path("a"), &path("b")).unwrap_err().class(), Class::Corrupt);
        assert_eq!(files(&path("a"), &path("c")).unwrap_err().class(), Class::NotFound);
    }
}
