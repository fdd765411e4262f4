//! Counts the rows of a table's section in the dump's own text, as it passes by.
//!
//! It is a judge of the manifest, so it shares nothing with the code that wrote the dump. PostgreSQL: the lines between
//! `COPY … FROM stdin;` and `\.`, in which every newline ends a row. MySQL and MariaDB: the tuples of the `INSERT`
//! statements, told from what looks like one inside quotes, in which backslashes escape. A section that is neither is
//! refused; nothing is guessed.

use memchr::{memchr, memchr2, memchr3};

/// Counts the rows of one section.
pub(super) enum RowCounter {
    /// A block of `COPY`.
    Copy(Copy),
    /// `INSERT` statements.
    Insert(Insert),
}

impl RowCounter {
    /// A counter for a dump of this engine; `None` for one whose rows do not stand in a text of their own.
    pub(super) fn new(engine: &str) -> Option<Self> {
        match engine {
            "PostgreSQL" => Some(Self::Copy(Copy::Begin(0))),
            "MySQL" | "MariaDB" => Some(Self::Insert(Insert { at: At::Statement, rows: 0, head: Vec::new() })),
            _ => None,
        }
    }

    /// Takes the next bytes of the section.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        match self {
            Self::Copy(copy) => copy.take(bytes),
            Self::Insert(insert) => insert.take(bytes),
        }
    }

    /// The rows, at the end of the section; else what it is not.
    pub(super) fn finish(self) -> Result<u64, &'static str> {
        match self {
            Self::Copy(Copy::Over(rows, b"\n")) => Ok(rows),
            Self::Copy(_) => Err("is no block of COPY that ends with \\."),
            Self::Insert(Insert { at: At::Statement, rows, .. }) => Ok(rows),
            Self::Insert(_) => Err("is no sequence of INSERT statements"),
        }
    }
}

/// Where in a block of `COPY` the reading is.
pub(super) enum Copy {
    /// So many bytes of `COPY ` were seen.
    Begin(usize),
    /// In the statement; whether in a quoted name, and whether its semicolon was just seen.
    Head { quoted: bool, over: bool },
    /// So many rows are behind, and so much of this line may be the end mark: `Some(2)` is `\.`, `None` is a row.
    Rows(u64, Option<usize>),
    /// Behind the end mark: the rows, and what followed.
    Over(u64, &'static [u8]),
    /// It is something else.
    Foreign,
}

const COPY: &[u8] = b"COPY ";
const MARK: &[u8] = b"\\.\n";

impl Copy {
    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(&byte) = bytes.first() {
            let mut used = 1;
            *self = match *self {
                Copy::Begin(seen) if byte == COPY[seen] => match seen + 1 {
                    all if all == COPY.len() => Copy::Head { quoted: false, over: false },
                    seen => Copy::Begin(seen),
                },
                Copy::Head { quoted: false, over: true } if byte == b'\n' => Copy::Rows(0, Some(0)),
                Copy::Head { quoted, over: false } => {
                    Copy::Head { quoted: quoted ^ (byte == b'"'), over: !quoted && byte == b';' }
                }
                Copy::Rows(rows, Some(seen)) if byte == MARK[seen] => match seen + 1 {
                    all if all == MARK.len() => Copy::Over(rows, b""),
                    seen => Copy::Rows(rows, Some(seen)),
                },
                Copy::Rows(rows, _) => match memchr(b'\n', bytes) {
                    Some(end) => {
                        used = end + 1;
                        Copy::Rows(rows + 1, Some(0))
                    }
                    None => {
                        used = bytes.len();
                        Copy::Rows(rows, None)
                    }
                },
                Copy::Over(rows, b"") if byte == b'\n' => Copy::Over(rows, b"\n"),
                _ => Copy::Foreign,
            };
            bytes = &bytes[used..];
        }
    }
}

/// `INSERT` statements, with what stands around them.
pub(super) struct Insert {
    at: At,
    rows: u64,
    /// What was read of a statement before its rows, as long as it may be one that belongs here.
    head: Vec<u8>,
}

/// Where in the statements the reading is.
enum At {
    /// Between two.
    Statement,
    /// Before `VALUES`.
    Head { quoted: bool },
    /// Among the tuples.
    Tuples,
    /// In a text; whether behind a backslash.
    Text { escaped: bool },
    /// In something else.
    Foreign,
}

/// The statements that stand around the rows of a table.
const AROUND: [&[u8]; 2] = [b"START TRANSACTION", b"COMMIT"];
const INSERT: &[u8] = b"INSERT INTO ";
const VALUES: &[u8] = b") VALUES\n";
/// A head is kept so far, in bytes: enough to tell what it begins with and ends with.
const HEAD_KEPT: usize = 64;

impl Insert {
    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(&byte) = bytes.first() {
            let mut used = 1;
            match self.at {
                At::Statement if byte == b'\n' => {}
                At::Statement => {
                    self.head.clear();
                    self.head.push(byte);
                    self.at = At::Head { quoted: false };
                }
                At::Head { quoted } => {
                    let quoted = quoted ^ (byte == b'`');
                    if !quoted && byte == b';' {
                        self.at = if AROUND.contains(&self.head.as_slice()) { At::Statement } else { At::Foreign };
                    } else {
                        self.head.push(byte);
                        // In quotes nothing ends; a name may hold what looks like the end.
                        let inserts = self.head.starts_with(INSERT);
                        let ends = !quoted && self.head.ends_with(VALUES);
                        self.at = if inserts && ends { At::Tuples } else { At::Head { quoted } };
                        if self.head.len() > HEAD_KEPT {
                            self.head.drain(INSERT.len()..self.head.len() - VALUES.len());
                        }
                    }
                }
                At::Tuples => match memchr3(b'\'', b'(', b';', bytes) {
                    None => used = bytes.len(),
                    Some(end) => {
                        used = end + 1;
                        match bytes[end] {
                            b'\'' => self.at = At::Text { escaped: false },
                            // In a tuple stand numbers, texts, hexadecimal and NULL, and no other parenthesis.
                            b'(' => self.rows += 1,
                            _ => self.at = At::Statement,
                        }
                    }
                },
                At::Text { escaped: true } => self.at = At::Text { escaped: false },
                At::Text { escaped: false } => match memchr2(b'\'', b'\\', bytes) {
                    None => used = bytes.len(),
                    Some(end) => {
                        used = end + 1;
                        // A doubled quote is two texts side by side, which end at the same place.
                        self.at = if bytes[end] == b'\'' { At::Tuples } else { At::Text { escaped: true } };
                    }
                },
                At::Foreign => used = bytes.len(),
            }
            bytes = &bytes[used..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(engine: &str, section: &str) -> Result<u64, &'static str> {
        let whole = |size: usize| {
            let mut counter = RowCounter::new(engine).unwrap();
            section.as_bytes().chunks(size).for_each(|bytes| counter.take(bytes));
            counter.finish()
        };
        let counted = whole(section.len().max(1));
        for size in [1, 2, 3, 5, 7] {
            assert_eq!(whole(size), counted, "pieces of {size}");
        }
        counted
    }

    #[test]
    fn rows_of_copy_are_its_lines_up_to_the_mark_however_they_are_cut() {
        for (section, rows) in [
            ("COPY \"public\".\"t\" (\"a\") FROM stdin;\n\\.\n\n", 0),
            ("COPY t FROM stdin;\n1\tx\n2\t\\N\n\\.\n\n", 2),
            // Empty lines are rows; what only looks like the mark is one.
            ("COPY t FROM stdin;\n\n\\\\.\n\\.x\n\\N\n\\.\n\n", 4),
            ("COPY \"a;\n\"\"b\" (\"c;\n\") FROM stdin;\n1\n\\.\n\n", 1),
        ] {
            assert_eq!(count("PostgreSQL", section), Ok(rows), "{section:?}");
        }
    }

    #[test]
    fn what_is_no_block_of_copy_is_not_counted() {
        for section in [
            "",
            "COP",
            "COPY t FROM stdin;\n1\n",
            "COPY t FROM stdin;\n1\n\\.\n",
            "COPY t FROM stdin;\n1\n\\.\n\n\n",
            "COPY t FROM stdin;\n1\n\\.\n2\n\\.\n\n",
            "INSERT INTO t VALUES (1);\n",
            "COPY t FROM stdin; \n1\n\\.\n\n",
        ] {
            assert!(count("PostgreSQL", section).is_err(), "{section:?}");
        }
    }

    #[test]
    fn rows_of_insert_are_its_tuples_whatever_stands_in_quotes() {
        for (section, rows) in [
            ("", 0),
            (
                "START TRANSACTION;\nINSERT INTO `t` (`a`) VALUES\n(1),\n(2);\nINSERT INTO `t` (`a`) VALUES\n(3);\nCOMMIT;\n",
                3,
            ),
            ("INSERT INTO `t` (`a`,`b`) VALUES\n('(''),\\'(;\\\\',0x28),\n(NULL,'');\n", 2),
            ("INSERT INTO `a;``) VALUES\n(1),(` (`) VALUES\n('`) VALUES\n(-1);\n", 1),
            (&format!("INSERT INTO `t` (`{}`) VALUES\n(1),\n(2);\n", "x".repeat(300)), 2),
        ] {
            assert_eq!(count("MariaDB", section), Ok(rows), "{section:?}");
        }
    }

    #[test]
    fn what_is_no_insert_is_not_counted() {
        for section in [
            "UPDATE t SET a = 1;\n",
            "INSERT INTO `t` SELECT 1;\n",
            "INSERT INTO `t` (`a`) VALUES\n(1",
            "INSERT INTO `t` (`a`) VALUES\n('x",
            "COMMIT",
            "COPY t FROM stdin;\n1\n\\.\n\n",
        ] {
            assert!(count("MySQL", section).is_err(), "{section:?}");
        }
        assert!(RowCounter::new("SQLite").is_none());
    }
}
