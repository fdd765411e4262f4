//! The section of a table's rows in a dump of PostgreSQL, as it comes in pieces: `COPY … FROM stdin;`, a row on each line,
//! `\.`. Rows can be left out on the way, so that only what may be the tenant's is sent on.

use std::collections::HashSet;

use super::quoted::quoted;
use crate::{Error, Result};

/// Which rows are sent on. Only for columns whose values are equal exactly when their texts are.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    /// The tenant column's place in the line, and its value.
    pub(crate) tenant: (usize, Vec<u8>),
    /// The key's places, and keys that are sent on whatever tenant they have.
    pub(crate) keys: (Vec<usize>, HashSet<Vec<Vec<u8>>>),
}

/// Takes a section apart.
#[derive(Debug, Default)]
pub(crate) struct Section {
    buffer: Vec<u8>,
    columns: Option<Vec<String>>,
    ended: bool,
    /// Rows that went by, those that were left out too.
    pub(crate) rows: u64,
}

impl Section {
    /// The columns of the section's head, once it was seen.
    pub(crate) fn columns(&self) -> Option<&[String]> {
        self.columns.as_deref()
    }

    /// Takes a piece while the head was not seen; says whether it was now.
    pub(crate) fn begin(&mut self, piece: &[u8]) -> Result<bool> {
        self.buffer.extend_from_slice(piece);
        let Some((columns, end)) = head(&self.buffer)? else { return Ok(false) };
        self.columns = Some(columns);
        self.buffer.drain(..end);
        Ok(true)
    }

    /// Takes a piece behind the head, or what was taken with the head when there is none, and gives out whole lines for
    /// `COPY … FROM stdin`.
    pub(crate) fn push(&mut self, piece: &[u8], filter: Option<&Filter>) -> Result<Vec<u8>> {
        if self.columns.is_none() {
            return Err(Error::bug("rows were taken before their head"));
        }
        self.buffer.extend_from_slice(piece);
        let mut kept = Vec::new();
        let mut start = 0;
        while !self.ended
            && let Some(length) = self.buffer[start..].iter().position(|byte| *byte == b'\n')
        {
            let line = &self.buffer[start..start + length];
            start += length + 1;
            if line == b"\\." {
                self.ended = true;
            } else {
                self.rows += 1;
                if filter.is_none_or(|filter| filter.lets_by(line)) {
                    kept.extend_from_slice(line);
                    kept.push(b'\n');
                }
            }
        }
        self.buffer.drain(..start);
        Ok(kept)
    }

    /// Says that no piece comes any more.
    pub(crate) fn finish(self) -> Result<u64> {
        match self.ended && self.buffer.iter().all(|byte| *byte == b'\n') {
            true => Ok(self.rows),
            false => Err(Error::corrupt("a block of rows does not end where the manifest says")),
        }
    }
}

impl Filter {
    fn lets_by(&self, line: &[u8]) -> bool {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b'\t').collect();
        self.lets_values_by(|place| fields.get(place).and_then(|field| unescaped(field)))
    }

    /// Whether a row with these values is sent on.
    pub(crate) fn lets_values_by(&self, value: impl Fn(usize) -> Option<Vec<u8>>) -> bool {
        if value(self.tenant.0).is_some_and(|value| value == self.tenant.1) {
            return true;
        }
        let key: Option<Vec<Vec<u8>>> = self.keys.0.iter().map(|place| value(*place)).collect();
        key.is_some_and(|key| self.keys.1.contains(&key))
    }
}

/// The value of a field; `None` for NULL.
pub(crate) fn unescaped(field: &[u8]) -> Option<Vec<u8>> {
    if field == b"\\N" {
        return None;
    }
    let mut value = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        value.push(match (byte, byte == &b'\\') {
            (byte, false) => *byte,
            // The server writes these and no other escapes.
            (_, true) => match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => *other,
                None => b'\\',
            },
        });
    }
    Some(value)
}

/// The columns of `COPY "s"."t" ("a", "b") FROM stdin;` and the offset behind the line; `None` when it is not there whole.
fn head(bytes: &[u8]) -> Result<Option<(Vec<String>, usize)>> {
    const BEHIND: &[u8] = b" FROM stdin;\n";
    const BEGIN: &[u8] = b"COPY \"";
    let wrong = || Error::corrupt("a section of the dump does not begin with COPY");
    let length = bytes.len().min(BEGIN.len());
    if bytes[..length] != BEGIN[..length] {
        return Err(wrong());
    }
    let mut names = Vec::new();
    let (mut at, mut in_list) = (0, false);
    loop {
        match bytes.get(at) {
            None => return Ok(None),
            Some(b'"') => {
                let Some((name, end)) = quoted(bytes, at, b'"')? else { return Ok(None) };
                if in_list {
                    names.push(name);
                }
                at = end;
            }
            Some(b'(') => (in_list, at) = (true, at + 1),
            Some(b' ') if bytes[at..].len() < BEHIND.len() => return Ok(None),
            Some(b' ') if bytes[at..].starts_with(BEHIND) => break,
            Some(b'\n') => return Err(wrong()),
            Some(_) => at += 1,
        }
    }
    Ok(Some((names, at + BEHIND.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"COPY \"pub\"\"lic\".\"a(b\" (\"id\", \"ten\nant\", \"x, \"\"y\") FROM stdin;\n\
        1\t42\ta\\tb\n2\t7\t\\N\n3\t\\N\t\n4\t42\\n\t\\\\.\n\\.\n\n";

    fn read(step: usize, filter: Option<&Filter>) -> (Vec<String>, String, u64) {
        let mut section = Section::default();
        let mut kept = Vec::new();
        let mut pieces = TEXT.chunks(step);
        while !section.begin(pieces.next().unwrap()).unwrap() {}
        kept.extend(section.push(&[], filter).unwrap());
        for piece in pieces {
            kept.extend(section.push(piece, filter).unwrap());
        }
        let columns = section.columns().unwrap().to_vec();
        (columns, String::from_utf8(kept).unwrap(), section.finish().unwrap())
    }

    #[test]
    fn rows_are_the_same_wherever_pieces_end() {
        for step in 1..TEXT.len() {
            let (columns, kept, rows) = read(step, None);
            assert_eq!(columns, ["id", "ten\nant", "x, \"y"]);
            assert_eq!((kept.as_str(), rows), ("1\t42\ta\\tb\n2\t7\t\\N\n3\t\\N\t\n4\t42\\n\t\\\\.\n", 4), "{step}");
        }
    }

    #[test]
    fn rows_of_others_are_left_out_and_counted() {
        let keys = HashSet::from([vec![b"2".to_vec()]]);
        let filter = Filter { tenant: (1, b"42".to_vec()), keys: (vec![0], keys) };
        let (_, kept, rows) = read(7, Some(&filter));
        assert_eq!((kept.as_str(), rows), ("1\t42\ta\\tb\n2\t7\t\\N\n", 4));
    }

    #[test]
    fn a_section_that_is_none_or_does_not_end_is_corrupt() {
        assert!(Section::default().begin(b"INSERT INTO x\n").is_err());
        let mut section = Section::default();
        assert!(section.push(b"1\n", None).is_err());
        section.begin(b"COPY \"a\".\"b\" (\"c\") FROM stdin;\n1\n").unwrap();
        assert_eq!(section.push(&[], None).unwrap(), b"1\n");
        assert!(section.finish().is_err());
    }

    #[test]
    fn fields_are_read_as_the_server_writes_them() {
        assert_eq!(unescaped(b"\\N"), None);
        assert_eq!(unescaped(b"a\\\\N\\n\\t\\b"), Some(b"a\\N\n\t\x08".to_vec()));
        assert_eq!(unescaped(b""), Some(Vec::new()));
    }
}
