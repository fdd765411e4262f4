//! Takes statements apart as they stream by.
//!
//! A statement ends where `psql` would end it: at a semicolon outside quotes, comments, parentheses and `BEGIN ATOMIC`
//! bodies. It is held whole, up to a limit. A backslash outside quotes, which `psql` takes for a command of its own, is
//! refused. Rows never come here: where they are is known.

use bytes::Bytes;

use super::lex::{Kind, token};
use crate::{Class, Error, Result};

/// Takes pieces of a dump in and gives statements out.
pub(crate) struct Splitter {
    buffer: Vec<u8>,
    /// The first byte that was not handed out.
    start: usize,
    /// The first byte that was not looked at.
    at: usize,
    statement: Progress,
    limit: u64,
    /// Nothing comes behind the buffer.
    whole: bool,
}

/// How far the statement is.
#[derive(Default)]
struct Progress {
    /// Something else than blanks and comments was seen.
    begun: bool,
    /// The first words.
    words: Vec<String>,
    parentheses: usize,
    atomic: usize,
}

impl Splitter {
    /// A splitter for statements of `limit` bytes at most.
    pub(crate) fn new(limit: u64) -> Self {
        Self { buffer: Vec::new(), start: 0, at: 0, statement: Progress::default(), limit, whole: false }
    }

    /// Takes the next piece of the dump.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.start);
        self.buffer.extend_from_slice(piece);
        self.at -= self.start;
        self.start = 0;
    }

    /// Says that no piece comes any more.
    pub(crate) fn end(&mut self) {
        self.whole = true;
    }

    /// Whether no piece comes any more.
    pub(crate) fn ended(&self) -> bool {
        self.whole
    }

    /// What was taken in and not handed out.
    pub(crate) fn into_rest(mut self) -> Bytes {
        self.buffer.drain(..self.start);
        self.buffer.into()
    }

    /// The next statement with its semicolon; `None` when that takes another piece, or when there is none.
    pub(crate) fn next(&mut self) -> Result<Option<String>> {
        while let Some((kind, end)) = token(&self.buffer, self.at, self.whole) {
            let text = &self.buffer[self.at..end];
            self.at = end;
            match kind {
                Kind::Blank => {
                    if !self.statement.begun {
                        self.start = end;
                    }
                    continue;
                }
                Kind::Word => self.statement.word(text),
                Kind::Other(b'(') => self.statement.parentheses += 1,
                Kind::Other(b')') => self.statement.parentheses = self.statement.parentheses.saturating_sub(1),
                Kind::Other(b';') if self.statement.is_over() => {
                    let bytes = self.buffer[self.start..end].to_vec();
                    self.start = end;
                    self.statement = Progress::default();
                    return utf8(bytes).map(Some);
                }
                Kind::Other(b'\\') => {
                    return Err(Error::unsupported("the dump holds a command of psql, which is not run here")
                        .hint("Take the dump out of the archive and restore it with psql."));
                }
                _ => {}
            }
            self.statement.begun = true;
        }
        let held = (self.buffer.len() - self.start) as u64;
        if held > self.limit {
            return Err(Error::new(
                Class::Limit,
                format!("the dump holds a statement of more than {} bytes", self.limit),
            )
            .hint("Raise BACKUP_MAX_ROW_MB; the statement is held in memory."));
        }
        if self.whole && (self.statement.begun || self.at < self.buffer.len()) {
            return Err(Error::corrupt("the dump ends in the middle of a statement"));
        }
        Ok(None)
    }
}

fn utf8(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        Error::unsupported("the dump holds a statement that is not UTF-8")
            .hint("Take the dump out of the archive and restore it with psql.")
            .because(error)
    })
}

impl Progress {
    fn word(&mut self, word: &[u8]) {
        let word = String::from_utf8_lossy(word).to_ascii_lowercase();
        if self.parentheses == 0 && self.makes_routine() {
            match word.as_str() {
                "begin" => self.atomic += 1,
                "case" if self.atomic > 0 => self.atomic += 1,
                "end" => self.atomic = self.atomic.saturating_sub(1),
                _ => {}
            }
        }
        if self.words.len() < 4 {
            self.words.push(word);
        }
    }

    /// `CREATE [OR REPLACE] FUNCTION` or `PROCEDURE`, whose body may be statements.
    fn makes_routine(&self) -> bool {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        matches!(
            words.as_slice(),
            ["create", "function" | "procedure", ..] | ["create", "or", "replace", "function" | "procedure", ..]
        )
    }

    fn is_over(&self) -> bool {
        self.parentheses == 0 && self.atomic == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All statements of a dump that comes in pieces of `size`.
    fn split(dump: &str, size: usize) -> Result<Vec<String>> {
        let mut splitter = Splitter::new(10_000);
        let mut statements = Vec::new();
        for piece in dump.as_bytes().chunks(size) {
            splitter.push(piece);
            while let Some(statement) = splitter.next()? {
                statements.push(statement);
            }
        }
        splitter.end();
        while let Some(statement) = splitter.next()? {
            statements.push(statement);
        }
        Ok(statements)
    }

    #[test]
    fn statements_end_where_psql_ends_them_however_the_dump_is_cut() {
        let cases = [
            "SET a = 'it''s; \\';",
            "SELECT E'\\';\\\\', \"a;\"\"b\", 1e5, x$y$z;",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $_a$ SELECT $$;$$; $b$ $_a$;",
            "CREATE FUNCTION \"public\".f(a int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN 2 END; SELECT 2; END;",
            "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES (1); END;",
            "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); DELETE FROM b);",
            "SELECT 1 /* ; /* ' */ ; */ - -1 / 2;",
            "SELECT $1;",
        ];
        let dump = format!("-- heading; with 'quote\n\n{}\n", cases.join("\n\n-- between;\n"));
        for size in [1, 2, 3, 7, 64, 4096] {
            assert_eq!(split(&dump, size).unwrap(), cases, "pieces of {size}");
        }
    }

    #[test]
    fn what_follows_a_statement_is_left_as_it_is() {
        let mut splitter = Splitter::new(10_000);
        splitter.push(b"COPY \"t\" (\"a;\nb\") FROM st");
        assert_eq!(splitter.next().unwrap(), None);
        splitter.push(b"din;\n\\N\t'\n\\.\n");
        assert_eq!(splitter.next().unwrap().as_deref(), Some("COPY \"t\" (\"a;\nb\") FROM stdin;"));
        assert_eq!(splitter.into_rest(), &b"\n\\N\t'\n\\.\n"[..]);
    }

    #[test]
    fn a_dump_that_is_cut_short_is_damage() {
        for dump in ["SELECT 1", "SELECT 'a", "SELECT (1;", "/* a"] {
            assert_eq!(split(dump, 3).unwrap_err().class(), Class::Corrupt, "{dump}");
        }
    }

    #[test]
    fn commands_of_psql_and_endless_statements_are_refused() {
        assert_eq!(split("SELECT 1 \\! touch x\n;", 4).unwrap_err().class(), Class::Unsupported);
        assert_eq!(split(&format!("SELECT '{}", "x".repeat(20_000)), 512).unwrap_err().class(), Class::Limit);
    }
}
