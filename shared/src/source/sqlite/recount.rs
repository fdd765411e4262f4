//! Counts the rows of a SQLite file that comes out of an archive: it is written to a scratch directory and asked there.
//!
//! What keeps the file from being counted (too little room, a table that only the application can read) is a reason and
//! no error: its bytes are proven otherwise. A file that is no sound database, or has other rows, is damage.

use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::inspect::{missing, quoted};
use super::scratch::Scratch;
use super::unsigned;
use crate::archive::manifest::DatabaseManifest;
use crate::{Error, Result};

/// A larger file is not written out only to be counted, in bytes.
const LARGEST: u64 = 4 << 30;
/// Room that must be left behind it, in bytes.
const SPARE: u64 = 64 << 20;

/// A file that is being written out; `Err` says why it is not.
pub(crate) struct Recount(std::result::Result<(Scratch, File), String>);

impl Recount {
    /// Makes a scratch file where it fits.
    pub(crate) fn begin(database: &DatabaseManifest) -> Self {
        Self(place(database.raw_bytes))
    }

    /// Takes the next bytes of the file.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        if let Ok((_, file)) = &mut self.0
            && let Err(error) = file.write_all(bytes)
        {
            self.0 = Err(format!("the scratch file cannot be written: {error}"));
        }
    }

    /// Compares the rows of every table with the manifest. `Some`: why they were not all counted.
    ///
    /// # Errors
    /// Damage: another number of rows, or no sound database.
    pub(crate) fn finish(self, database: &DatabaseManifest) -> Result<Option<String>> {
        let (scratch, file) = match self.0 {
            Ok(written) => written,
            Err(why) => return Ok(Some(why)),
        };
        drop(file);
        let entry = &database.entry;
        let unsound = |error| Error::corrupt(format!("{entry:?} is no sound SQLite database")).because(error);
        // As a file that nobody changes: nothing appears beside it, and a WAL header asks for nothing.
        let path = percent_encode(scratch.file().as_os_str().as_bytes(), NON_ALPHANUMERIC);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(format!("file:{path}?immutable=1"), flags).map_err(unsound)?;
        let mut uncounted = None;
        for table in &database.tables {
            let query = format!("SELECT count(*) FROM main.{} NOT INDEXED", quoted(&table.name));
            match connection.query_row(&query, [], unsigned) {
                Ok(rows) if rows == table.rows => {}
                Ok(rows) => {
                    return Err(Error::corrupt(format!(
                        "{entry:?} holds {rows} rows of table {:?} where its manifest says {}",
                        table.name, table.rows
                    )));
                }
                Err(error) => match missing(&error) {
                    Some(what) => _ = uncounted.get_or_insert(format!("table {:?}: {what}", table.name)),
                    None => return Err(unsound(error)),
                },
            }
        }
        Ok(uncounted)
    }
}

fn place(bytes: u64) -> std::result::Result<(Scratch, File), String> {
    if bytes > LARGEST {
        return Err(format!("the file has {bytes} bytes, more than are written out for counting"));
    }
    let scratch = Scratch::create(&std::env::temp_dir()).map_err(|error| error.chain())?;
    let free = scratch.free_bytes().map_err(|error| error.chain())?;
    if free < bytes.saturating_add(SPARE) {
        return Err(format!("the temporary directory has {free} bytes left, the file takes {bytes}"));
    }
    let file = File::create(scratch.file()).map_err(|error| format!("no scratch file can be made: {error}"))?;
    Ok((scratch, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use crate::archive::manifest::TableManifest;

    fn judged(bytes: &[u8], rows: u64) -> Result<Option<String>> {
        let table = TableManifest {
            schema: None,
            name: "a \"b".into(),
            rows,
            offset: 0,
            bytes: bytes.len() as u64,
            sha256: String::new(),
            longest_statement: None,
        };
        let database = DatabaseManifest {
            name: "clinic".into(),
            engine: "SQLite".into(),
            server_version: "3".into(),
            entry: "db-dumps/clinic.sqlite".into(),
            snapshot: Default::default(),
            tables: vec![table],
            objects: Default::default(),
            warnings: Vec::new(),
            rows,
            raw_bytes: bytes.len() as u64,
            stored_bytes: 0,
            sha256: String::new(),
        };
        let mut recount = Recount::begin(&database);
        bytes.chunks(1000).for_each(|bytes| recount.take(bytes));
        recount.finish(&database)
    }

    #[test]
    fn the_rows_of_a_file_are_counted_in_it_and_another_number_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        let sql = "PRAGMA journal_mode = WAL; CREATE TABLE \"a \"\"b\" (n); INSERT INTO \"a \"\"b\" VALUES (1), (2);";
        Connection::open(&path).and_then(|it| it.execute_batch(sql)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(judged(&bytes, 2).unwrap(), None);
        let error = judged(&bytes, 3).unwrap_err();
        assert_eq!(error.class(), Class::Corrupt);
        assert!(error.to_string().contains("holds 2 rows of table \"a \\\"b\" where its manifest says 3"), "{error}");
        assert_eq!(judged(b"rubbish", 0).unwrap_err().class(), Class::Corrupt);
    }

    #[test]
    fn a_file_that_does_not_fit_is_not_counted_and_the_reason_told() {
        assert!(place(LARGEST + 1).unwrap_err().contains("more than are written out"));
    }
}
