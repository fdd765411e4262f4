//! Does a dump end as the dumps of its kind do? Nothing else tells one that was cut off while it was written: the archive
//! around it is whole.
//!
//! Known: `mysqldump` and `mariadb-dump` (`-- Dump completed`), `pg_dump` (`-- PostgreSQL database dump complete`), and
//! `.dump` of `sqlite3` (`COMMIT;`), as text or compressed by gzip, whose own length and CRC are checked then.

use std::io::Write;

use flate2::write::MultiGzDecoder;

use crate::{Error, Result};

/// Bytes of the beginning and of the end that are kept.
const HEAD: usize = 256;
const TAIL: usize = 4096;

/// What is known of a dump that was read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It ends as one of its kind does.
    Complete,
    /// It does not; why, for a person.
    Suspicious(String),
    /// Nightvault wrote it, so that the archive around it should have a manifest.
    Ours,
}

/// Whether an entry of this name is a dump that is looked at: those that stand where `spatie/laravel-backup` puts them.
pub(crate) fn is_dump(name: &str) -> bool {
    name.starts_with("db-dumps/") && (name.ends_with(".sql") || name.ends_with(".sql.gz"))
}

/// A dump that is being read.
pub(crate) enum Dump {
    /// Text.
    Plain(Ends),
    /// Text under gzip.
    Gzip(Box<MultiGzDecoder<Ends>>),
}

/// The beginning and the end of a text.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    bytes: u64,
}

impl Write for Ends {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let missing = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend(&bytes[..missing]);
        self.tail.extend(&bytes[bytes.len().saturating_sub(TAIL)..]);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Dump {
    /// One whose entry has this name.
    pub(crate) fn new(name: &str) -> Self {
        if name.ends_with(".gz") {
            Dump::Gzip(Box::new(MultiGzDecoder::new(Ends::default())))
        } else {
            Dump::Plain(Ends::default())
        }
    }

    /// Takes the next bytes of the entry.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let taken = match self {
            Dump::Plain(ends) => ends.write_all(bytes),
            Dump::Gzip(gzip) => gzip.write_all(bytes),
        };
        taken.map_err(|error| Error::corrupt("it is not what gzip writes").because(error))
    }

    /// All of it was taken.
    pub(crate) fn finish(self) -> Result<End> {
        let ends = match self {
            Dump::Plain(ends) => ends,
            Dump::Gzip(gzip) => {
                gzip.finish().map_err(|error| Error::corrupt("gzip's own check does not hold").because(error))?
            }
        };
        Ok(ends.judge())
    }
}

impl Ends {
    fn judge(&self) -> End {
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&self.tail));
        if head.starts_with("-- A database dump by Nightvault.") || head.starts_with("-- Nightvault dump of ") {
            return End::Ours;
        }
        if self.bytes == 0 {
            return End::Suspicious("it is empty".to_owned());
        }
        // Behind the line there are blank lines and comments alone, or what ends psql's restricted mode.
        let trailing = |line: &&str| line.is_empty() || *line == "--" || line.starts_with("\\unrestrict ");
        let last = tail.lines().rev().map(str::trim_end).find(|line| !trailing(line)).unwrap_or_default();
        let sqlite = head.starts_with("PRAGMA foreign_keys=OFF;") || head.starts_with("BEGIN");
        let complete = last == "-- Dump completed"
            || last.starts_with("-- Dump completed on ")
            || last == "-- PostgreSQL database dump complete"
            || (sqlite && last == "COMMIT;");
        if complete {
            return End::Complete;
        }
        End::Suspicious(
            "its last line is not the one with which mysqldump, pg_dump or sqlite3 end a dump; it may be cut off"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn end(name: &str, bytes: &[u8]) -> Result<End> {
        let mut dump = Dump::new(name);
        for piece in bytes.chunks(1000) {
            dump.take(piece)?;
        }
        dump.finish()
    }

    #[test]
    fn the_end_lines_of_every_program_are_known_and_nothing_else_is() {
        let long = "INSERT INTO t VALUES (1);\n".repeat(1000);
        for (text, complete) in [
            ("-- Dump completed on 2024-01-15  2:00:01\n", true),
            ("-- Dump completed\n", true),
            ("--\n-- PostgreSQL database dump complete\n--\n\n", true),
            ("--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n", true),
            ("-- Dump completed\nINSERT INTO t VALUES (2);\n", false),
            ("COMMIT;\n", false),
            ("-- Dump comp", false),
            ("", false),
        ] {
            let text = format!("{long}{text}");
            let found = end("db-dumps/mysql-x.sql", text.as_bytes()).unwrap();
            assert_eq!(found == End::Complete, complete, "{}", &text[long.len()..]);
        }
        let sqlite = format!("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n{long}COMMIT;\n");
        assert_eq!(end("a.sql", sqlite.as_bytes()).unwrap(), End::Complete);
        assert_eq!(end("a.sql", b"").unwrap(), End::Suspicious("it is empty".into()));
        assert_eq!(end("a.sql", b"-- A database dump by Nightvault.\n").unwrap(), End::Ours);
    }

    #[test]
    fn gzip_is_checked_by_its_own_sums() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&b"SELECT 1;\n".repeat(5000)).unwrap();
        gzip.write_all(b"-- Dump completed\n").unwrap();
        let bytes = gzip.finish().unwrap();
        assert_eq!(end("a.sql.gz", &bytes).unwrap(), End::Complete);
        for cut in [0, 1, 9, bytes.len() / 2, bytes.len() - 1] {
            assert!(end("a.sql.gz", &bytes[..cut]).is_err(), "{cut}");
        }
        let mut flipped = bytes.clone();
        let crc = flipped.len() - 8;
        flipped[crc] ^= 1;
        assert!(end("a.sql.gz", &flipped).is_err());
    }
}
