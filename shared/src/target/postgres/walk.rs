//! A dump as its manifest describes it: statements, and between them sections of rows whose extents are known.
//!
//! So rows are never looked at byte by byte: a section's heading and its end are checked, what is between goes to the
//! server as it comes out of the archive, and its newlines are counted, of which `COPY`'s text has exactly one per row.

use std::ops::Range;

use bytes::Bytes;

use super::plain;
use super::split::Splitter;
use crate::archive::manifest::{DatabaseManifest, TableManifest};
use crate::archive::reader::EntryReader;
use crate::progress::Progress;
use crate::source::postgres::quote::qualified;
use crate::{Error, Result};

/// What ends a section of rows.
pub(super) const END: &[u8] = b"\\.\n\n";
/// Bytes of rows that are sent at once.
const SLICE_BYTES: usize = 256 << 10;

/// A part of a dump.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Extent<'a> {
    /// Statements.
    Statements(Range<u64>),
    /// The rows of one table.
    Rows(&'a TableManifest),
}

/// The parts of a dump, in its order.
pub(super) fn extents(manifest: &DatabaseManifest) -> Result<Vec<Extent<'_>>> {
    let (mut extents, mut at) = (Vec::new(), 0);
    for table in &manifest.tables {
        let end = table.offset.checked_add(table.bytes).filter(|end| *end <= manifest.raw_bytes);
        let (true, Some(end)) = (table.offset >= at, end) else {
            return Err(Error::corrupt(format!("the section of table {} is not where it can be", plain(table))));
        };
        if table.offset > at {
            extents.push(Extent::Statements(at..table.offset));
        }
        extents.push(Extent::Rows(table));
        at = end;
    }
    if at < manifest.raw_bytes {
        extents.push(Extent::Statements(at..manifest.raw_bytes));
    }
    Ok(extents)
}

/// The bytes of a dump, in slices that never go beyond where they are asked to end.
pub(super) struct Slices<'a> {
    entry: EntryReader,
    /// Where in the dump the next slice begins.
    at: u64,
    rest: Bytes,
    progress: &'a Progress,
}

impl<'a> Slices<'a> {
    /// The bytes of `entry`, which begin at `at` in the dump.
    pub(super) fn new(entry: EntryReader, at: u64, progress: &'a Progress) -> Self {
        Self { entry, at, rest: Bytes::new(), progress }
    }

    /// Where in the dump the next slice begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next bytes; `None` at `end`.
    pub(super) async fn next(&mut self, end: u64) -> Result<Option<Bytes>> {
        if self.at >= end {
            return Ok(None);
        }
        while self.rest.is_empty() {
            let piece = self.entry.next().await?.ok_or_else(|| Error::corrupt("the dump is shorter than it says"))?;
            self.rest = piece.into();
        }
        let length = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(self.rest.len()).min(SLICE_BYTES);
        self.at += length as u64;
        self.progress.add_raw_bytes(length as u64);
        Ok(Some(self.rest.split_to(length)))
    }

    /// Looks whether every byte was handed out and authenticated.
    pub(super) async fn end(mut self) -> Result<()> {
        match self.entry.next().await? {
            None if self.rest.is_empty() => Ok(()),
            _ => Err(Error::bug("bytes of the dump were left over")),
        }
    }

    /// The next statement before `end`; `None` when there is none. `splitter` is one that saw all of the extent so far.
    pub(super) async fn statement(&mut self, splitter: &mut Splitter, end: u64) -> Result<Option<String>> {
        loop {
            if let Some(statement) = splitter.next()? {
                return Ok(Some(statement));
            }
            match self.next(end).await? {
                Some(slice) => splitter.push(&slice),
                None if splitter.ended() => return Ok(None),
                None => splitter.end(),
            }
        }
    }

    /// Begins the section of `table`, which comes next.
    pub(super) async fn rows<'t>(&mut self, table: &'t TableManifest, limit: u64) -> Result<Rows<'t>> {
        let damaged = |what: &str| Error::corrupt(format!("the rows of table {} {what}", plain(table)));
        let end = table.offset + table.bytes;
        let mut splitter = Splitter::new(limit);
        let heading = loop {
            if let Some(statement) = splitter.next()? {
                break statement;
            }
            let slice = self.next(end).await?.ok_or_else(|| damaged("have no heading"))?;
            splitter.push(&slice);
        };
        let mut rest = splitter.into_rest();
        if rest.is_empty() {
            rest = self.next(end).await?.unwrap_or_default();
        }
        let name = qualified(table.schema.as_deref().unwrap_or("public"), &table.name);
        let starts = heading.trim_start().strip_prefix("COPY ").is_some_and(|it| it.starts_with(&format!("{name} ")));
        let heading = heading.strip_suffix(" FROM stdin;").map(str::to_owned);
        let (true, Some(copy)) = (starts, heading) else {
            return Err(Error::corrupt(format!(
                "the dump has something else where its manifest has the rows of table {}",
                plain(table)
            )));
        };
        if rest.first() != Some(&b'\n') {
            return Err(damaged("do not begin on a line of their own"));
        }
        let first = rest.slice(1..);
        let begin = self.at - first.len() as u64;
        let data = begin..end.checked_sub(END.len() as u64).ok_or_else(|| damaged("have no end"))?;
        if data.start > data.end {
            return Err(damaged("have no end"));
        }
        Ok(Rows { table, copy, data, first })
    }
}

/// A section of rows behind its heading.
pub(super) struct Rows<'t> {
    table: &'t TableManifest,
    /// `COPY "s"."t" ("a", "b")`.
    pub(super) copy: String,
    /// Where in the dump the rows are.
    pub(super) data: Range<u64>,
    first: Bytes,
}

impl Rows<'_> {
    /// The next bytes of rows; `None` when the section's end was read and is what it must be.
    pub(super) async fn next(&mut self, slices: &mut Slices<'_>) -> Result<Option<Bytes>> {
        // What came with the heading may hold the end, too.
        let at = slices.at() - self.first.len() as u64;
        if !self.first.is_empty() {
            let rows = usize::try_from(self.data.end.saturating_sub(at)).unwrap_or(usize::MAX).min(self.first.len());
            if rows > 0 {
                return Ok(Some(self.first.split_to(rows)));
            }
        } else if let Some(slice) = slices.next(self.data.end).await? {
            return Ok(Some(slice));
        }
        let mut end = std::mem::take(&mut self.first).to_vec();
        while let Some(slice) = slices.next(self.data.end + END.len() as u64).await? {
            end.extend_from_slice(&slice);
        }
        if end == END {
            return Ok(None);
        }
        Err(Error::corrupt(format!("the rows of table {} do not end where they should", plain(self.table))))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn a_table(name: &str, offset: u64, bytes: u64) -> TableManifest {
        TableManifest {
            schema: None,
            name: name.into(),
            rows: 0,
            offset,
            bytes,
            sha256: String::new(),
            longest_statement: None,
        }
    }

    fn a_dump(raw_bytes: u64, tables: Vec<TableManifest>) -> DatabaseManifest {
        DatabaseManifest {
            name: "d".into(),
            engine: "PostgreSQL".into(),
            server_version: "15".into(),
            entry: "db-dumps/d.sql".into(),
            snapshot: BTreeMap::new(),
            tables,
            objects: BTreeMap::new(),
            warnings: Vec::new(),
            rows: 0,
            raw_bytes,
            stored_bytes: 0,
            sha256: String::new(),
        }
    }

    #[test]
    fn statements_are_what_is_outside_the_tables_sections() {
        let dump = a_dump(100, vec![a_table("a", 10, 20), a_table("b", 30, 5), a_table("c", 40, 50)]);
        let (a, b, c) = (&dump.tables[0], &dump.tables[1], &dump.tables[2]);
        use Extent::{Rows, Statements};
        let expected = [Statements(0..10), Rows(a), Rows(b), Statements(35..40), Rows(c), Statements(90..100)];
        assert_eq!(extents(&dump).unwrap(), expected);
        assert_eq!(extents(&a_dump(7, Vec::new())).unwrap(), [Statements(0..7)]);
    }

    #[test]
    fn sections_that_overlap_or_lead_out_of_the_dump_are_damage() {
        for tables in [
            vec![a_table("a", 10, 20), a_table("b", 29, 5)],
            vec![a_table("a", 90, 11)],
            vec![a_table("a", 90, u64::MAX)],
        ] {
            assert_eq!(extents(&a_dump(100, tables)).unwrap_err().class(), crate::Class::Corrupt);
        }
    }
}
