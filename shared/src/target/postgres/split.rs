//! Takes a dump apart as it streams by: statements, and the rows of `COPY … FROM stdin` in slices.
//!
//! A statement ends where `psql` would end it: at a semicolon outside quotes, comments, parentheses and `BEGIN ATOMIC`
//! bodies. It is held whole, up to a limit; rows never are. A backslash outside quotes, which `psql` takes for a command
//! of its own, is refused.

use super::lex::{Kind, token};
use crate::target::feed::Split;
use crate::{Class, Error, Result};

/// What comes next in a dump.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A statement with its semicolon.
    Statement(String),
    /// The statement that begins a block of rows.
    CopyBegin(String),
    /// Rows, cut anywhere.
    CopyData(Vec<u8>),
    /// The end of the block, and how many rows it had.
    CopyEnd(u64),
}

/// Takes pieces in and gives events out.
pub(crate) struct Splitter {
    buffer: Vec<u8>,
    /// The first byte that was not handed out.
    start: usize,
    /// The first byte that was not looked at.
    at: usize,
    copying: Option<Copying>,
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

struct Copying {
    rows: u64,
    /// The statement's own line is not over yet.
    heading: bool,
    line_start: bool,
}

impl Splitter {
    /// A splitter for statements of `limit` bytes at most.
    pub(crate) fn new(limit: u64) -> Self {
        Self { buffer: Vec::new(), start: 0, at: 0, copying: None, statement: Progress::default(), limit, whole: false }
    }

    fn next_statement(&mut self) -> Result<Option<Event>> {
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
                    let statement = std::mem::take(&mut self.statement);
                    return self.hand_out(bytes, &statement).map(Some);
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

    fn hand_out(&mut self, bytes: Vec<u8>, statement: &Progress) -> Result<Event> {
        let text = String::from_utf8(bytes).map_err(|error| {
            Error::unsupported("the dump holds a statement that is not UTF-8")
                .hint("Take the dump out of the archive and restore it with psql.")
                .because(error)
        })?;
        let copies = statement.words.first().is_some_and(|word| word == "copy");
        if copies && text.ends_with(" FROM stdin;") {
            self.copying = Some(Copying { rows: 0, heading: true, line_start: true });
            return Ok(Event::CopyBegin(text));
        }
        Ok(Event::Statement(text))
    }

    fn next_rows(&mut self) -> Result<Option<Event>> {
        let copying = self.copying.as_mut().expect("it is asked only while rows come");
        if copying.heading {
            match self.buffer.get(self.at) {
                None => return self.more_rows(),
                Some(b'\n') => self.at += 1,
                Some(_) => return Err(Error::corrupt("something stands behind FROM stdin on its line")),
            }
            self.start = self.at;
            copying.heading = false;
        }
        while self.at < self.buffer.len() {
            let rest = &self.buffer[self.at..];
            if copying.line_start && rest[0] == b'\\' {
                const END: &[u8] = b"\\.\n";
                if rest.starts_with(END) {
                    if self.at > self.start {
                        return Ok(Some(self.rows()));
                    }
                    let rows = copying.rows;
                    self.at += END.len();
                    self.start = self.at;
                    self.copying = None;
                    return Ok(Some(Event::CopyEnd(rows)));
                }
                if END.starts_with(rest) {
                    break;
                }
            }
            match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.at += end + 1;
                    copying.rows += 1;
                    copying.line_start = true;
                }
                None => {
                    self.at = self.buffer.len();
                    copying.line_start = false;
                }
            }
        }
        if self.at > self.start { Ok(Some(self.rows())) } else { self.more_rows() }
    }

    fn more_rows(&self) -> Result<Option<Event>> {
        if self.whole { Err(Error::corrupt("the dump ends in the middle of a table's rows")) } else { Ok(None) }
    }

    /// The rows that were looked at and not handed out.
    fn rows(&mut self) -> Event {
        if self.start == 0 && self.at == self.buffer.len() {
            self.at = 0;
            return Event::CopyData(std::mem::take(&mut self.buffer));
        }
        let rows = self.buffer[self.start..self.at].to_vec();
        self.start = self.at;
        Event::CopyData(rows)
    }
}

impl Split for Splitter {
    type Event = Event;

    fn push(&mut self, piece: Vec<u8>) {
        if self.start == self.buffer.len() {
            self.buffer = piece;
        } else {
            self.buffer.drain(..self.start);
            self.buffer.extend_from_slice(&piece);
        }
        self.at -= self.start;
        self.start = 0;
    }

    fn end(&mut self) {
        self.whole = true;
    }

    fn next(&mut self) -> Result<Option<Event>> {
        if self.copying.is_some() { self.next_rows() } else { self.next_statement() }
    }
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

    /// All events of a dump that comes in pieces of `size`; rows put together.
    fn split(dump: &str, size: usize) -> Result<Vec<Event>> {
        let mut splitter = Splitter::new(10_000);
        let mut events: Vec<Event> = Vec::new();
        let mut take = |splitter: &mut Splitter| -> Result<()> {
            while let Some(event) = splitter.next()? {
                match (events.last_mut(), event) {
                    (Some(Event::CopyData(before)), Event::CopyData(more)) => before.extend(more),
                    (_, event) => events.push(event),
                }
            }
            Ok(())
        };
        for piece in dump.as_bytes().chunks(size) {
            splitter.push(piece.to_vec());
            take(&mut splitter)?;
        }
        splitter.end();
        take(&mut splitter)?;
        Ok(events)
    }

    fn statement(text: &str) -> Event {
        Event::Statement(text.to_owned())
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
        let expected: Vec<Event> = cases.iter().map(|text| statement(text)).collect();
        for size in [1, 2, 3, 7, 64, 4096] {
            assert_eq!(split(&dump, size).unwrap(), expected, "pieces of {size}");
        }
    }

    #[test]
    fn rows_end_at_their_own_mark_alone() {
        let rows = "\\\\.\t1\n\\N\n\nSELECT ';\n\\\\.\n";
        let dump = format!("COPY \"t\" (\"a\") FROM stdin;\n{rows}\\.\n\nCOPY \"u\" FROM stdin;\n\\.\nSELECT 1;\n");
        let expected = [
            Event::CopyBegin("COPY \"t\" (\"a\") FROM stdin;".into()),
            Event::CopyData(rows.into()),
            Event::CopyEnd(5),
            Event::CopyBegin("COPY \"u\" FROM stdin;".into()),
            Event::CopyEnd(0),
            statement("SELECT 1;"),
        ];
        for size in [1, 2, 3, 5, 11, 4096] {
            assert_eq!(split(&dump, size).unwrap(), expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_dump_that_is_cut_short_is_damage() {
        for dump in ["SELECT 1", "SELECT 'a", "COPY t FROM stdin;\n1\n", "COPY t FROM stdin;\n1\n\\.", "/* a"] {
            assert_eq!(split(dump, 3).unwrap_err().class(), Class::Corrupt, "{dump}");
        }
    }

    #[test]
    fn commands_of_psql_and_endless_statements_are_refused() {
        assert_eq!(split("SELECT 1 \\! touch x\n;", 4).unwrap_err().class(), Class::Unsupported);
        assert_eq!(split(&format!("SELECT '{}", "x".repeat(20_000)), 512).unwrap_err().class(), Class::Limit);
    }
}
