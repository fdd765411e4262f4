//! What stands in a dump outside its tables' sections of rows, and what all of it needs of a target.
//!
//! That is little: settings, sequences, empty tables, views, routines, triggers, events. It is read by ranges and kept in
//! memory; the sections, which are the bulk, are left out. An archive's authentication code says that they are whole, the
//! manifest how long their longest statement is.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::split::{Splitter, Statement, words};
use crate::Result;
use crate::archive::manifest::{DatabaseManifest, TableManifest};
use crate::archive::reader::{Archive, EntryReader};
use crate::progress::Progress;
use crate::target::feed::Split;

/// Bytes that the server gets besides a statement that goes as hexadecimal, at most.
const HEX_FRAME_BYTES: u64 = 64;

/// What a dump needs of the target.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Bytes of the longest statement, as it is sent.
    pub(crate) longest: u64,
    /// Collations that its tables name.
    pub(crate) collations: BTreeSet<String>,
    /// Statements in other character sets than UTF-8.
    pub(crate) foreign: usize,
}

/// The statements outside the sections of rows.
pub(crate) struct Outline {
    /// In the order of the dump.
    pub(crate) statements: Vec<Statement>,
    /// Where the first row can stand; all statements that make tables are before it.
    pub(crate) rows_at: u64,
}

/// Pulls a part of a dump through a splitter.
pub(crate) struct Statements {
    entry: EntryReader,
    splitter: Splitter,
    ended: bool,
}

impl Statements {
    /// The statements of `range` of the dump, each of `limit` bytes at most.
    pub(crate) fn open(
        archive: &Arc<Archive>,
        manifest: &DatabaseManifest,
        range: std::ops::Range<u64>,
        limit: u64,
    ) -> Result<Self> {
        let splitter = Splitter::new(range.start, limit);
        Ok(Self { entry: archive.range(&manifest.entry, range)?, splitter, ended: false })
    }

    /// The next statement; `None` behind the last one. Bytes that are taken in are counted.
    pub(crate) async fn next(&mut self, progress: &Progress) -> Result<Option<Statement>> {
        loop {
            if let Some(statement) = self.splitter.next()? {
                return Ok(Some(statement));
            }
            if self.ended {
                return Ok(None);
            }
            match self.entry.next().await? {
                Some(piece) => {
                    progress.add_raw_bytes(piece.len() as u64);
                    self.splitter.push(piece);
                }
                None => {
                    self.ended = true;
                    self.splitter.end();
                }
            }
        }
    }
}

impl Outline {
    /// Reads what stands outside the sections.
    pub(crate) async fn read(archive: &Arc<Archive>, manifest: &DatabaseManifest, limit: u64) -> Result<Self> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for table in &manifest.tables {
            gaps.push(at..table.offset);
            at = table.offset + table.bytes;
        }
        gaps.push(at..manifest.raw_bytes);
        let mut statements = Vec::new();
        for gap in gaps.into_iter().filter(|gap| gap.start < gap.end) {
            let mut part = Statements::open(archive, manifest, gap, limit)?;
            while let Some(statement) = part.next(&Progress::default()).await? {
                statements.push(statement);
            }
        }
        let rows_at = manifest.tables.first().map_or(manifest.raw_bytes, |table| table.offset);
        Ok(Self { statements, rows_at })
    }

    /// The settings that every connection needs: all that stands before the first statement of another kind.
    pub(crate) fn settings(&self) -> &[Statement] {
        let end = self.statements.iter().position(|statement| !statement.sql.starts_with(b"SET "));
        &self.statements[..end.unwrap_or(self.statements.len())]
    }

    /// What stands before the rows, and what behind.
    pub(crate) fn around_rows(&self) -> (&[Statement], &[Statement]) {
        self.statements.split_at(self.statements.partition_point(|statement| statement.offset < self.rows_at))
    }

    /// What these statements and the rows of `tables` need, and whether the manifest tells how long the statements of all
    /// these rows are.
    pub(crate) fn needs<'a>(
        statements: impl IntoIterator<Item = &'a Statement>,
        tables: impl IntoIterator<Item = &'a TableManifest>,
    ) -> (Needs, bool) {
        let mut needs = Needs::default();
        for Statement { sql, .. } in statements {
            needs.longest = needs.longest.max(sql.len() as u64);
            match std::str::from_utf8(sql) {
                Ok(sql) if sql.starts_with("CREATE TABLE ") || sql.starts_with("ALTER DATABASE ") => {
                    let words = words(sql);
                    let named = words.windows(2).filter(|pair| pair[0].eq_ignore_ascii_case("COLLATE"));
                    needs.collations.extend(named.map(|pair| pair[1].to_owned()));
                }
                Ok(_) => {}
                Err(_) => {
                    needs.foreign += 1;
                    needs.longest = needs.longest.max(sql.len() as u64 * 2 + HEX_FRAME_BYTES);
                }
            }
        }
        let mut known = true;
        for table in tables.into_iter().filter(|table| table.rows > 0) {
            known &= table.longest_statement.is_some();
            needs.longest = needs.longest.max(table.longest_statement.unwrap_or_default());
        }
        (needs, known)
    }
}

/// Reads the rows of a table to the end and executes nothing; returns the bytes of the longest statement.
pub(crate) async fn rehearse(
    archive: &Arc<Archive>,
    manifest: &DatabaseManifest,
    table: &TableManifest,
    limit: u64,
    progress: &Progress,
) -> Result<u64> {
    let range = table.offset..table.offset + table.bytes;
    let mut statements = Statements::open(archive, manifest, range, limit)?;
    let mut longest = 0;
    progress.set_current(format!("checking the rows of {}", table.name));
    while let Some(statement) = statements.next(progress).await? {
        longest = longest.max(statement.sql.len() as u64);
    }
    Ok(longest)
}
