//! The section of a table's rows in a dump of MySQL or MariaDB, as it comes in pieces: `INSERT INTO … VALUES` with a row on each
//! line, between `START TRANSACTION` and `COMMIT`. The values are passed on as they stand there and are never read.
//!
//! Only what our own dumper writes is taken: numbers, `NULL`, `0x…` and strings in single quotes, in which a backslash
//! escapes and a quote is doubled. Anything else is damage.

use super::copy::Filter;
use super::quoted::quoted;
use crate::{Error, Result};

/// Takes a section apart.
#[derive(Debug, Default)]
pub(crate) struct Section {
    buffer: Vec<u8>,
    at: usize,
    state: State,
    columns: Vec<String>,
    /// Rows that went by, those that were left out too.
    pub(crate) rows: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Statement,
    Row,
    Ended,
}

impl Section {
    /// The columns, once the first row was seen.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether the columns are known by now.
    pub(crate) fn begins(&mut self) -> Result<bool> {
        while self.columns.is_empty() && self.state == State::Statement && self.statement()? {}
        Ok(!self.columns.is_empty())
    }

    /// Takes a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// The next row that the filter lets by, `(1,'a',NULL)`; `None` when that takes another piece.
    pub(crate) fn next(&mut self, filter: Option<&Filter>) -> Result<Option<&[u8]>> {
        loop {
            match self.state {
                State::Ended => return Ok(None),
                State::Statement => {
                    if !self.statement()? {
                        return Ok(None);
                    }
                }
                State::Row => {
                    let Some(fields) = fields(&self.buffer[self.at..])? else { return Ok(None) };
                    let length = fields.last().map_or(0, |(_, end)| *end) + 1;
                    let start = self.at;
                    // `,` before another row, `;` behind the last one, and a line break.
                    let Some(behind) = self.buffer.get(start + length..start + length + 2) else { return Ok(None) };
                    match behind {
                        b",\n" => {}
                        b";\n" => self.state = State::Statement,
                        _ => return Err(wrong()),
                    }
                    if fields.len() != self.columns.len() {
                        return Err(wrong());
                    }
                    let row = start..start + length;
                    self.at = row.end + 2;
                    self.rows += 1;
                    let value = |place: usize| {
                        fields.get(place).map(|(from, to)| self.buffer[start + from..start + to].to_vec())
                    };
                    if filter.is_none_or(|filter| filter.lets_values_by(value)) {
                        return Ok(Some(&self.buffer[row]));
                    }
                }
            }
        }
    }

    /// Reads to the first row of the next statement, or to the end; `false` when that takes another piece.
    fn statement(&mut self) -> Result<bool> {
        let rest = &self.buffer[self.at..];
        for (word, ends) in [(&b"START TRANSACTION;\n"[..], false), (b"COMMIT;\n", true)] {
            if rest.starts_with(word) {
                self.at += word.len();
                if ends {
                    self.state = State::Ended;
                }
                return Ok(true);
            }
            if word.starts_with(rest) {
                return Ok(false);
            }
        }
        const INSERT: &[u8] = b"INSERT INTO `";
        if !rest.starts_with(INSERT) {
            return if INSERT.starts_with(rest) { Ok(false) } else { Err(wrong()) };
        }
        let (mut names, mut at) = (Vec::new(), INSERT.len() - 1);
        const BEHIND: &[u8] = b" VALUES\n";
        loop {
            match rest.get(at) {
                None => return Ok(false),
                Some(b'`') => {
                    let Some((name, end)) = quoted(rest, at, b'`')? else { return Ok(false) };
                    names.push(name);
                    at = end;
                }
                Some(b' ') if rest[at..].starts_with(BEHIND) => break,
                Some(b' ') if BEHIND.starts_with(&rest[at..]) => return Ok(false),
                Some(b' ' | b'(' | b')' | b',') => at += 1,
                Some(_) => return Err(wrong()),
            }
        }
        self.at += at + BEHIND.len();
        names.remove(0);
        if !self.columns.is_empty() && self.columns != names {
            return Err(wrong());
        }
        (self.columns, self.state) = (names, State::Row);
        Ok(true)
    }

    /// Says that no piece comes any more.
    pub(crate) fn finish(self) -> Result<u64> {
        match self.state == State::Ended && self.at == self.buffer.len() || self.rows == 0 && self.buffer.is_empty() {
            true => Ok(self.rows),
            false => Err(wrong()),
        }
    }
}

fn wrong() -> Error {
    Error::corrupt("a section of the dump holds something else than rows")
}

/// Where the values of the row at the start stand, the last of which ends before the closing bracket.
fn fields(bytes: &[u8]) -> Result<Option<Vec<(usize, usize)>>> {
    match bytes.first() {
        None => return Ok(None),
        Some(b'(') => {}
        Some(_) => return Err(wrong()),
    }
    let (mut found, mut from, mut at) = (Vec::new(), 1, 1);
    loop {
        match bytes.get(at) {
            None => return Ok(None),
            Some(b'\'') => {
                at += 1;
                loop {
                    match bytes.get(at) {
                        None => return Ok(None),
                        Some(b'\\') => at += 2,
                        // A doubled quote is two strings side by side.
                        Some(b'\'') => break,
                        Some(_) => at += 1,
                    }
                }
                at += 1;
            }
            Some(b',') => {
                found.push((from, at));
                (from, at) = (at + 1, at + 1);
            }
            Some(b')') => {
                found.push((from, at));
                return Ok(Some(found));
            }
            Some(byte) if byte.is_ascii_alphanumeric() || b"+-.".contains(byte) => at += 1,
            Some(_) => return Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const TEXT: &str = "START TRANSACTION;\nINSERT INTO `a``b` (`id`, `te\nn`, `x, (`) VALUES\n(1,42,'it''s'),\n\
        (-2,7,'),\n(\\'\\\\');\nINSERT INTO `a``b` (`id`, `te\nn`, `x, (`) VALUES\n(3,NULL,0xAB),\n(4,1.5e-7,'');\nCOMMIT;\n";

    fn read(text: &str, step: usize, filter: Option<&Filter>) -> Result<(Vec<String>, u64)> {
        let mut section = Section::default();
        let mut rows = Vec::new();
        for piece in text.as_bytes().chunks(step) {
            section.push(piece);
            while let Some(row) = section.next(filter)? {
                rows.push(String::from_utf8(row.to_vec()).unwrap());
            }
        }
        if !rows.is_empty() {
            assert_eq!(section.columns(), ["id", "te\nn", "x, ("]);
        }
        Ok((rows, section.finish()?))
    }

    #[test]
    fn rows_are_the_same_wherever_pieces_end() {
        for step in 1..TEXT.len() {
            let (rows, count) = read(TEXT, step, None).unwrap();
            assert_eq!(rows, ["(1,42,'it''s')", "(-2,7,'),\n(\\'\\\\')", "(3,NULL,0xAB)", "(4,1.5e-7,'')"], "{step}");
            assert_eq!(count, 4);
        }
        assert_eq!(Section::default().finish().unwrap(), 0);
    }

    #[test]
    fn rows_of_others_are_left_out_and_counted() {
        let keys = HashSet::from([vec![b"3".to_vec()]]);
        let filter = Filter { tenant: (1, b"42".to_vec()), keys: (vec![0], keys) };
        let (rows, count) = read(TEXT, 5, Some(&filter)).unwrap();
        assert_eq!((rows, count), (vec!["(1,42,'it''s')".to_owned(), "(3,NULL,0xAB)".to_owned()], 4));
    }

    #[test]
    fn anything_else_than_rows_is_refused() {
        for text in [
            "DROP TABLE x;\n",
            "INSERT INTO `a` (`b`) VALUES\n(SLEEP(1));\nCOMMIT;\n",
            "INSERT INTO `a` (`b`) VALUES\n(1); DROP TABLE x;\nCOMMIT;\n",
            "INSERT INTO `a` (`b`) SELECT 1;\n",
            "INSERT INTO `a` (`b`, `c`) VALUES\n(1);\nCOMMIT;\n",
            "INSERT INTO `a` (`b`) VALUES\n(1);\n",
            "INSERT INTO `a` (`b`) VALUES\n('x",
            "INSERT INTO `a` (`b`) VALUES\n(`c`);\nCOMMIT;\n",
        ] {
            let mut section = Section::default();
            section.push(text.as_bytes());
            let mut taken = Ok(());
            loop {
                match section.next(None) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        taken = Err(error);
                        break;
                    }
                }
            }
            assert!(taken.is_err() || section.finish().is_err(), "{text}");
        }
    }
}
