//! Takes a dump of MySQL or MariaDB apart as it streams by, as the servers' own clients would.
//!
//! A statement ends at a semicolon outside quotes and comments. Between `DELIMITER x` and `DELIMITER ;` stands one
//! statement that ends at a line with the delimiter alone: that is how the dumper writes objects with a body. Quotes
//! are read as the preamble's `sql_mode` has them, with backslashes that escape.
//!
//! A statement is bytes: the text of a view, routine, trigger or event stands in the character set that it was written
//! in, which need not be UTF-8. All other statements are UTF-8, since their values are numbers, UTF-8 or hexadecimal.

use crate::target::feed::Split;
use crate::{Class, Error, Result};

/// One statement, without its delimiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Its text.
    pub(crate) sql: Vec<u8>,
    /// Where in the dump it starts.
    pub(crate) offset: u64,
}

/// Takes pieces in and gives statements out.
pub(crate) struct Splitter {
    buffer: Vec<u8>,
    /// The first byte that was not handed out.
    start: usize,
    /// The first byte that was not looked at.
    at: usize,
    /// Where in the dump the buffer starts.
    offset: u64,
    /// What ends the statement instead of a semicolon.
    delimiter: Option<Vec<u8>>,
    limit: u64,
    whole: bool,
}

/// What stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    Word,
    Other(u8),
}

impl Splitter {
    /// A splitter for statements of `limit` bytes at most, beginning at `offset` of the dump.
    pub(crate) fn new(offset: u64, limit: u64) -> Self {
        Self { buffer: Vec::new(), start: 0, at: 0, offset, delimiter: None, limit, whole: false }
    }

    /// The line at the start, without its end; `None` when it is not there whole.
    fn line(&self) -> Option<&[u8]> {
        let rest = &self.buffer[self.start..];
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => Some(&rest[..end]),
            None if self.whole => Some(rest),
            None => None,
        }
    }

    fn hand_out(&mut self, end: usize, behind: usize) -> Statement {
        let offset = self.offset + self.start as u64;
        let sql = self.buffer[self.start..end].to_vec();
        (self.start, self.at) = (behind, behind);
        Statement { sql, offset }
    }

    /// The statement before the line that holds the delimiter alone.
    fn next_delimited(&mut self, delimiter: &[u8]) -> Result<Option<Statement>> {
        let mark = [b"\n", delimiter, b"\n"].concat();
        let found = self.buffer[self.at..].windows(mark.len()).position(|window| window == mark);
        match found {
            Some(end) => {
                let end = self.at + end;
                self.delimiter = None;
                Ok(Some(self.hand_out(end, end + mark.len())))
            }
            None => {
                // What may be the beginning of the mark is looked at again.
                self.at = self.at.max((self.buffer.len() + 1).saturating_sub(mark.len()));
                self.more(true)
            }
        }
    }

    fn more(&self, begun: bool) -> Result<Option<Statement>> {
        let held = (self.buffer.len() - self.start) as u64;
        if held > self.limit {
            return Err(Error::new(
                Class::Limit,
                format!("the dump holds a statement of more than {} bytes", self.limit),
            )
            .hint("Raise BACKUP_MAX_ROW_MB; the statement is held in memory."));
        }
        if self.whole && begun {
            return Err(Error::corrupt("the dump ends in the middle of a statement"));
        }
        Ok(None)
    }
}

impl Split for Splitter {
    type Event = Statement;

    fn push(&mut self, piece: Vec<u8>) {
        self.offset += self.start as u64;
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

    fn next(&mut self) -> Result<Option<Statement>> {
        if let Some(delimiter) = self.delimiter.clone() {
            return self.next_delimited(&delimiter);
        }
        while self.at < self.buffer.len() {
            let begun = self.at > self.start;
            if !begun && b"DELIMITER ".starts_with(first(&self.buffer[self.start..], 10)) {
                let Some(line) = self.line() else { return self.more(true) };
                let (delimiter, length) = (line.get(10..).unwrap_or_default().to_vec(), line.len());
                self.start = (self.start + length + 1).min(self.buffer.len());
                self.at = self.start;
                if delimiter.is_empty() {
                    return Err(Error::corrupt("the dump has a DELIMITER line without a delimiter"));
                }
                if delimiter != b";" {
                    self.delimiter = Some(delimiter.clone());
                    return self.next_delimited(&delimiter);
                }
                continue;
            }
            let Some((kind, end)) = token(&self.buffer, self.at, self.whole) else { return self.more(true) };
            match kind {
                Kind::Blank if !begun => (self.start, self.at) = (end, end),
                Kind::Other(b';') => return Ok(Some(self.hand_out(end - 1, end))),
                _ => self.at = end,
            }
        }
        self.more(self.at > self.start)
    }
}

/// The first bytes, `length` at most.
fn first(bytes: &[u8], length: usize) -> &[u8] {
    &bytes[..bytes.len().min(length)]
}

/// The token at `at` and the offset behind it; `None` when it may go on beyond the end.
fn token(bytes: &[u8], at: usize, whole: bool) -> Option<(Kind, usize)> {
    let rest = &bytes[at..];
    match *rest.first()? {
        b' ' | b'\t' | b'\n' | b'\r' => Some((Kind::Blank, at + 1)),
        quote @ (b'\'' | b'"' | b'`') => {
            let mut end = 1;
            loop {
                match *rest.get(end)? {
                    b'\\' if quote != b'`' => end += 2,
                    // A doubled quote is two quoted texts side by side, which ends at the same place.
                    byte if byte == quote => return Some((Kind::Other(quote), at + end + 1)),
                    _ => end += 1,
                }
            }
        }
        b'-' => match (rest.get(1), rest.get(2)) {
            (None, _) | (Some(b'-'), None) if !whole => None,
            (Some(b'-'), Some(b' ' | b'\t' | b'\n')) => match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => Some((Kind::Blank, at + end + 1)),
                None => whole.then_some((Kind::Blank, bytes.len())),
            },
            _ => Some((Kind::Other(b'-'), at + 1)),
        },
        first if in_word(first) => {
            let length = rest.iter().position(|byte| !in_word(*byte)).or(whole.then_some(rest.len()))?;
            Some((Kind::Word, at + length))
        }
        other => Some((Kind::Other(other), at + 1)),
    }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// The words outside quotes.
pub(super) fn words(sql: &str) -> Vec<&str> {
    let (mut words, mut at) = (Vec::new(), 0);
    while let Some((kind, end)) = token(sql.as_bytes(), at, true) {
        if kind == Kind::Word {
            words.extend(sql.get(at..end));
        }
        at = end;
    }
    words
}

/// What stands between the first parenthesis outside quotes and its partner, cut at the commas of that level: the columns,
/// keys and constraints of a table. `None` when there is no such thing.
pub(super) fn elements(sql: &str) -> Option<Vec<&str>> {
    let (mut elements, mut at) = (Vec::new(), 0);
    let (mut depth, mut start) = (0_usize, 0);
    while let Some((kind, end)) = token(sql.as_bytes(), at, true) {
        match kind {
            Kind::Other(b'(') => {
                depth += 1;
                if depth == 1 {
                    start = end;
                }
            }
            Kind::Other(b')') if depth == 1 => {
                elements.push(sql.get(start..at)?.trim());
                return Some(elements);
            }
            Kind::Other(b')') => depth = depth.checked_sub(1)?,
            Kind::Other(b',') if depth == 1 => {
                elements.push(sql.get(start..at)?.trim());
                start = end;
            }
            _ => {}
        }
        at = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(dump: &[u8], size: usize) -> Result<Vec<(u64, String)>> {
        let mut splitter = Splitter::new(0, 1000);
        let mut found = Vec::new();
        for piece in dump.chunks(size) {
            splitter.push(piece.to_vec());
            while let Some(Statement { sql, offset }) = splitter.next()? {
                found.push((offset, String::from_utf8(sql).unwrap()));
            }
        }
        splitter.end();
        while let Some(Statement { sql, offset }) = splitter.next()? {
            found.push((offset, String::from_utf8(sql).unwrap()));
        }
        Ok(found)
    }

    #[test]
    fn statements_end_where_the_client_ends_them_however_the_dump_is_cut() {
        let statements = [
            "SET NAMES utf8mb4",
            "INSERT INTO `a;``b` VALUES (1,'it''s; \\'x\\\\'),\n(2,'-- no\\nDELIMITER ;;')",
            "CREATE TABLE `t` (a int DEFAULT (1 - -1)) COMMENT='*/ drop; /*'",
            "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN SET @a = 1; SET @b = ';;';\nEND -- x",
            "CREATE PROCEDURE p() SELECT 'é;'",
            "DO 1",
        ];
        let [a, b, c, d, e, f] = statements;
        let dump = format!(
            "-- heading; don't\n\n{a};\n{b};\n\n{c};\n\nDELIMITER //\n{d}\n//\nDELIMITER ;\nDELIMITER $$\n{e}\n$$\nDELIMITER ;\n{f};\n"
        );
        for size in [1, 2, 3, 7, 50, 4096] {
            let found = split(dump.as_bytes(), size).unwrap();
            let texts: Vec<&str> = found.iter().map(|(_, sql)| sql.as_str()).collect();
            assert_eq!(texts, statements, "pieces of {size}");
            for (offset, sql) in &found {
                assert!(dump[*offset as usize..].starts_with(sql), "pieces of {size}: {sql}");
            }
        }
    }

    #[test]
    fn what_is_cut_short_foreign_or_endless_is_refused() {
        for dump in ["DO 1", "INSERT INTO t VALUES ('a", "DELIMITER ;;\nCREATE x\n;", "DELIMITER ;;\n"] {
            assert_eq!(split(dump.as_bytes(), 3).unwrap_err().class(), Class::Corrupt, "{dump}");
        }
        assert_eq!(split(&[b"DO '".as_slice(), &[b'x'; 2000]].concat(), 64).unwrap_err().class(), Class::Limit);
    }

    #[test]
    fn elements_of_a_table_are_cut_outside_quotes_and_inner_parentheses() {
        let create = "CREATE TABLE `a(,` (\n  `b,` enum('(',')',''',') DEFAULT (1 + (2)),\n  KEY `k)` (`b,`(3),`c`) COMMENT 'x\\',)'\n) ENGINE=InnoDB";
        let expected = ["`b,` enum('(',')',''',') DEFAULT (1 + (2))", "KEY `k)` (`b,`(3),`c`) COMMENT 'x\\',)'"];
        assert_eq!(elements(create).unwrap(), expected);
        assert_eq!(elements("CREATE TABLE t LIKE x"), None);
    }

    #[test]
    fn words_stand_outside_quotes() {
        assert_eq!(words("a `b c` COLLATE=utf8mb4_bin 'COLLATE x'"), ["a", "COLLATE", "utf8mb4_bin"]);
    }
}
