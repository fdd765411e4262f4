//! Compares what was authenticated with what was not, and the manifest with the index, both ways.

use std::collections::{HashMap, HashSet};

use crate::archive::container::{End, Record};
use crate::archive::manifest::{DatabaseManifest, FilesManifest, IndexEntry, Manifest};
use crate::{Error, Result};

use super::blocks::Blocks;

/// A piece is held in memory while it is checked; longer ones than this no version of the format has.
const LONGEST_PIECE: u64 = 64 << 20;
const TYPE_BITS: u32 = 0o170_000;
const SYMLINK: u32 = 0o120_000;

/// The central directory must be, byte for byte, the one that belongs to `records`, and be followed by the end alone.
pub(crate) fn central_directory(blocks: &Blocks, records: &[Record], end: End) -> Result<()> {
    let mut position = end.offset;
    let expected = records.last().map_or(0, |last| last.offset + last.span());
    if position != expected {
        return Err(Error::corrupt(format!("the central directory starts at {position} instead of {expected}")));
    }
    let stop = end.offset + end.bytes;
    for record in records {
        let header = record.central_header();
        let next = position + header.len() as u64;
        if next > stop {
            return Err(Error::corrupt(format!("the central directory ends before {:?}", record.name)));
        }
        let found = blocks.read(position..next)?;
        compare(&found, &header, CENTRAL_FIELDS, "central directory", &record.name)?;
        position = next;
    }
    if position == stop { Ok(()) } else { Err(Error::corrupt("the central directory has more than its entries")) }
}

/// Where each field of a central header starts, for messages.
const CENTRAL_FIELDS: &[(usize, &str)] = &[
    (0, "signature"),
    (4, "versions"),
    (8, "flags"),
    (10, "method"),
    (12, "time"),
    (16, "CRC, which AE-2 keeps at zero"),
    (20, "sizes"),
    (28, "lengths"),
    (34, "attributes"),
    (42, "offset"),
    (46, "name or extra fields"),
];

/// Where each field of a local header starts.
pub(crate) const LOCAL_FIELDS: &[(usize, &str)] = &[
    (0, "signature"),
    (4, "version"),
    (6, "flags"),
    (8, "method"),
    (10, "time"),
    (14, "CRC, which AE-2 keeps at zero"),
    (18, "sizes"),
    (26, "lengths"),
    (30, "name or extra fields"),
];

/// Where each field of a data descriptor starts.
pub(crate) const DESCRIPTOR_FIELDS: &[(usize, &str)] =
    &[(0, "signature"), (4, "CRC, which AE-2 keeps at zero"), (8, "sizes")];

/// Two structures must be the same; the first field that differs is named.
pub(crate) fn compare(
    found: &[u8],
    expected: &[u8],
    fields: &[(usize, &str)],
    structure: &str,
    name: &str,
) -> Result<()> {
    let Some(at) = found.iter().zip(expected).position(|(a, b)| a != b) else {
        return Ok(());
    };
    let field = fields.iter().rfind(|(start, _)| *start <= at).map_or("bytes", |(_, field)| field);
    Err(Error::corrupt(format!("the {structure} of {name:?} was changed: {field}")))
}

/// Every entry must belong to a database or file set of the manifest, and each of those must have its entries.
pub(crate) fn manifest_against_index(manifest: &Manifest, index: &[IndexEntry]) -> Result<()> {
    if manifest.index.entries != index.len() as u64 {
        let message = format!("the index has {} entries, the manifest says {}", index.len(), manifest.index.entries);
        return Err(Error::corrupt(message));
    }
    if manifest.piece_bytes > LONGEST_PIECE {
        return Err(Error::corrupt(format!("the manifest says that pieces have {} bytes", manifest.piece_bytes)));
    }
    let by_name: HashMap<&str, &IndexEntry> = index.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    let mut claimed = HashSet::new();
    for database in &manifest.databases {
        let Some(entry) = by_name.get(database.entry.as_str()) else {
            return Err(Error::corrupt(format!(
                "{:?}, which the manifest lists, is not in the archive",
                database.entry
            )));
        };
        check_database(database, entry)?;
        if !claimed.insert(database.entry.as_str()) {
            return Err(Error::corrupt(format!("the manifest lists {:?} twice", database.entry)));
        }
    }
    let mut sets: HashMap<String, Counts> = HashMap::new();
    for entry in index.iter().filter(|entry| !claimed.contains(entry.name.as_str())) {
        let mut parts = entry.name.splitn(3, '/');
        let set = match (parts.next(), parts.next(), parts.next()) {
            (Some("files"), Some(set), Some(_)) if manifest.files.iter().any(|files| files.name == set) => set,
            _ => return Err(Error::corrupt(format!("{:?} is in the archive but not in the manifest", entry.name))),
        };
        sets.entry(set.into()).or_default().add(entry);
    }
    for files in &manifest.files {
        let found = sets.remove(&files.name).unwrap_or_default();
        let expected = Counts::of(files);
        if found != expected {
            let message = format!("file set {:?} holds {found:?}, the manifest says {expected:?}", files.name);
            return Err(Error::corrupt(message));
        }
    }
    Ok(())
}

fn check_database(database: &DatabaseManifest, entry: &IndexEntry) -> Result<()> {
    let same = (database.raw_bytes, database.stored_bytes, &database.sha256)
        == (entry.bytes, entry.stored_bytes, &entry.sha256);
    if !same {
        return Err(Error::corrupt(format!("manifest and index disagree about {:?}", database.entry)));
    }
    // The tables of a SQLite file share its pages: each of them has the whole file for its section.
    let shared = database.engine == "SQLite";
    let mut position = 0;
    let mut rows = 0u64;
    for table in &database.tables {
        let end = table.offset.checked_add(table.bytes);
        let whole = table.offset == 0 && table.bytes == entry.bytes && table.sha256 == entry.sha256;
        let apart = table.offset >= position && end.is_some_and(|end| end <= entry.bytes);
        if if shared { !whole } else { !apart } {
            let message = format!("the rows of table {:?} are not where {:?} has bytes", table.name, database.entry);
            return Err(Error::corrupt(message));
        }
        position = table.offset + table.bytes;
        rows = rows.saturating_add(table.rows);
    }
    if rows != database.rows {
        return Err(Error::corrupt(format!(
            "the tables of {:?} have {rows} rows, not {}",
            database.name, database.rows
        )));
    }
    Ok(())
}

/// What a file set holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    files: u64,
    directories: u64,
    symlinks: u64,
}

impl Counts {
    fn of(files: &FilesManifest) -> Self {
        Self { files: files.files, directories: files.directories, symlinks: files.symlinks }
    }

    fn add(&mut self, entry: &IndexEntry) {
        let counter = if entry.name.ends_with('/') {
            &mut self.directories
        } else if entry.mode & TYPE_BITS == SYMLINK {
            &mut self.symlinks
        } else {
            &mut self.files
        };
        *counter += 1;
    }
}
