//! `index.jsonl`: one line for every entry, with all that the container says of it and its digests.
//!
//! Written piece by piece, so that an entry of a terabyte costs its text and nothing besides.

use std::collections::HashSet;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::archive::container::{Method, Record};
use crate::archive::manifest::{IndexEntry, IndexRef, Piece};
use crate::archive::writer::{check_name, entry_method};
use crate::archive::{EntryMeta, EntrySummary};
use crate::source::hex;
use crate::{Error, Result};

/// An archive, and all that is in it, has fewer bytes than this, whatever its index says: so no sum of them overflows.
const MOST_BYTES: u64 = 1 << 62;

/// Gathers the index while the archive is written.
#[derive(Default)]
pub(crate) struct IndexWriter {
    text: Vec<u8>,
    entries: u64,
    pieces: String,
}

impl IndexWriter {
    /// Notes a piece of the entry that is being written.
    pub(crate) fn piece(&mut self, raw_offset: u64, stored_offset: u64, sha256: &[u8]) {
        let comma = if self.pieces.is_empty() { "" } else { "," };
        write!(self.pieces, r#"{comma}[{raw_offset},{stored_offset},"{}"]"#, hex(sha256))
            .expect("writing to a String cannot fail");
    }

    /// Ends the line of an entry.
    pub(crate) fn entry(&mut self, entry: &EntrySummary, meta: EntryMeta) {
        let line = IndexEntry {
            name: entry.name.clone(),
            mode: meta.mode,
            modified: meta.modified,
            bytes: entry.raw_bytes,
            stored_bytes: entry.stored_bytes,
            sha256: entry.sha256.clone(),
            pieces: Vec::new(),
        };
        serde_json::to_writer(&mut self.text, &line).expect("an index line has nothing that JSON cannot hold");
        // The pieces, gathered as text already, go into the empty list at the line's end.
        debug_assert!(self.text.ends_with(b"[]}"));
        self.text.truncate(self.text.len() - 2);
        self.text.extend(self.pieces.as_bytes());
        self.text.extend(b"]}\n");
        self.pieces.clear();
        self.pieces.shrink_to(1 << 16);
        self.entries += 1;
    }

    /// Forgets the pieces of an entry that is not listed: index and manifest.
    pub(crate) fn skip(&mut self) {
        self.pieces.clear();
    }

    /// The text, and how the manifest vouches for it.
    pub(crate) fn finish(&mut self) -> (Vec<u8>, IndexRef) {
        let text = std::mem::take(&mut self.text);
        let sha256 = hex(&Sha256::digest(&text));
        let reference = IndexRef { entries: self.entries, bytes: text.len() as u64, sha256 };
        (text, reference)
    }
}

/// Reads the index back: the lines, and the container's record of each entry. `method`: that of the whole archive.
pub(crate) fn parse(text: &[u8], method: Method) -> Result<(Vec<IndexEntry>, Vec<Record>)> {
    let (mut entries, mut records) = (Vec::new(), Vec::new());
    let mut names = HashSet::new();
    let (mut offset, mut raw) = (0u64, 0u64);
    let sum = |to: u64, more: u64| to.checked_add(more).filter(|sum| *sum < MOST_BYTES);
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let damaged = |what: String| Error::corrupt(format!("line {} of the index {what}", number + 1));
        let entry: IndexEntry =
            serde_json::from_slice(line).map_err(|e| damaged("cannot be read".into()).because(e))?;
        if !names.insert(entry.name.clone()) {
            return Err(damaged(format!("names {:?} again", entry.name)));
        }
        check_pieces(&entry).map_err(|what| damaged(format!("({:?}) {what}", entry.name)))?;
        check_name(&entry.name).map_err(|e| damaged("has an evil name".into()).because(e))?;
        let meta = EntryMeta { mode: entry.mode, modified: entry.modified };
        let record = Record {
            name: entry.name.clone(),
            meta,
            method: entry_method(&entry.name, meta, method),
            raw: entry.bytes,
            stored: entry.stored_bytes,
            offset,
        };
        if !record.plausible() || record.stored >= MOST_BYTES {
            return Err(damaged(format!("has sizes that {:?} cannot have", entry.name)));
        }
        let too_far = || damaged("makes the archive longer than any can be".into());
        offset = sum(offset, record.span()).ok_or_else(too_far)?;
        raw = sum(raw, entry.bytes).ok_or_else(too_far)?;
        records.push(record);
        entries.push(entry);
    }
    Ok((entries, records))
}

/// Pieces start at 0, go up, and lie within the entry.
fn check_pieces(entry: &IndexEntry) -> std::result::Result<(), &'static str> {
    if entry.pieces.is_empty() != (entry.bytes == 0) {
        return Err("has no pieces for its bytes, or pieces for none");
    }
    let starts_at_zero = entry.pieces.first().is_none_or(|Piece(raw, stored, _)| (*raw, *stored) == (0, 0));
    let goes_up = entry.pieces.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1);
    let within = entry.pieces.last().is_none_or(|last| last.0 < entry.bytes && last.1 < entry.stored_bytes);
    if starts_at_zero && goes_up && within { Ok(()) } else { Err("has pieces out of order") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_no_archive_has_are_refused_and_never_added_up() {
        let line = |name: &str, bytes: u64, stored: u64| {
            let pieces = if bytes == 0 { String::new() } else { r#"[0,0,"00"]"#.to_owned() };
            format!(
                r#"{{"name":"{name}","mode":33188,"modified":0,"bytes":{bytes},"stored_bytes":{stored},"sha256":"00","pieces":[{pieces}]}}"#
            ) + "\n"
        };
        let parsed =
            |lines: &[String]| parse(lines.concat().as_bytes(), Method::Deflate).map(|(entries, _)| entries.len());
        assert_eq!(parsed(&[line("a", 9, 99), line("b", 0, 99)]).unwrap(), 2);
        let half = MOST_BYTES / 2;
        for lines in [
            vec![line("a", 9, u64::MAX)],
            vec![line("a", 9, u64::MAX - 99)],
            vec![line("a", u64::MAX, 99)],
            vec![line("a", 9, half), line("b", 9, half)],
            vec![line("a", half, 99), line("b", half, 99)],
        ] {
            assert_eq!(parsed(&lines).unwrap_err().class(), crate::Class::Corrupt, "{lines:?}");
        }
    }
}
