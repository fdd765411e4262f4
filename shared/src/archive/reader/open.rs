//! Opens an archive: from its last bytes to a manifest and an index that are known to be whole.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use zip::read::{ArchiveOffset, Config};
use zip::result::ZipError;
use zip::{ZipArchive, ZipReadOptions};

use crate::archive::container::{END_BYTES, End, Method, Record};
use crate::archive::index;
use crate::archive::manifest::{FORMAT_VERSION, INDEX_ENTRY, IndexEntry, MANIFEST_ENTRY, Manifest};
use crate::archive::writer::{OWN_ENTRY_MODE, compression_name};
use crate::archive::{EntryMeta, Tail};
use crate::secret::Secret;
use crate::source::hex;
use crate::{Class, Error, Result};

use super::blocks::{BlockReader, Blocks};
use super::{check, password};

/// The longest manifest that is read into memory. One with 100,000 tables is a tenth of it.
const MANIFEST_LIMIT: u64 = 256 << 20;
/// Bytes of all records behind the central directory.
const LONGEST_END: u64 = 98;

/// An archive whose manifest and index are authenticated and whose central directory is theirs.
pub(crate) struct Opened {
    pub(crate) blocks: Arc<Blocks>,
    pub(crate) zip: ZipArchive<BlockReader>,
    pub(crate) manifest: Manifest,
    /// The lines of the index.
    pub(crate) index: Vec<IndexEntry>,
    /// The zip's record of each entry, in its order: those of the index, then index and manifest themselves.
    pub(crate) records: Vec<Record>,
}

impl Opened {
    /// Opens the archive.
    pub(crate) fn open(blocks: Arc<Blocks>, password: &Secret) -> Result<Self> {
        let key = blocks.key().to_owned();
        Self::open_inner(blocks, password).map_err(|e| e.context(key))
    }

    fn open_inner(blocks: Arc<Blocks>, password: &Secret) -> Result<Self> {
        let size = blocks.size();
        let end = if size < END_BYTES {
            None
        } else {
            End::decode(&blocks.read(size.saturating_sub(LONGEST_END)..size)?, size)
        };
        let end = end.ok_or_else(|| Error::corrupt("the end is not that of a whole archive"))?;
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let mut zip = ZipArchive::with_config(config, BlockReader::new(Arc::clone(&blocks)))
            .map_err(|e| zip_error(&blocks, "the central directory", e))?;
        let last = check_directory(&zip, end)?;

        let text = match read_entry(&mut zip, &blocks, password, last, MANIFEST_ENTRY, MANIFEST_LIMIT) {
            Err(error) if error.class() == Class::Corrupt => {
                return Err(password::judge(&mut zip, &blocks, password, last, error));
            }
            read => read?,
        };
        let manifest = parse_manifest(&text, blocks.has_key().then(|| blocks.key()))?;
        let reference = &manifest.index;
        let index_text = read_entry(&mut zip, &blocks, password, last - 1, INDEX_ENTRY, reference.bytes)?;
        if index_text.len() as u64 != reference.bytes || hex(&Sha256::digest(&index_text)) != reference.sha256 {
            return Err(Error::corrupt("the index is not the one that the manifest vouches for"));
        }
        let method = [Method::Store, Method::Deflate, Method::Zstd]
            .into_iter()
            .find(|method| compression_name(*method) == manifest.compression)
            .ok_or_else(|| Error::corrupt(format!("the manifest names the compression {:?}", manifest.compression)))?;
        let (index, mut records) = index::parse(&index_text, method)?;
        check::manifest_against_index(&manifest, &index)?;
        for (number, raw) in [(last - 1, index_text.len()), (last, text.len())] {
            let found = zip.by_index_data(number).map_err(|e| zip_error(&blocks, "the central directory", e))?;
            records.push(Record {
                name: if number == last { MANIFEST_ENTRY } else { INDEX_ENTRY }.into(),
                meta: EntryMeta { mode: OWN_ENTRY_MODE, modified: manifest.finished.as_second() },
                method,
                raw: raw as u64,
                stored: found.compressed_size(),
                offset: records.last().map_or(0, |before: &Record| before.offset + before.span()),
            });
        }
        let opened = Self { blocks, zip, manifest, index, records };
        opened.check_names()?;
        check::central_directory(&opened.blocks, &opened.records, end)?;
        Ok(opened)
    }

    /// What the end of the archive tells.
    pub(crate) fn tail(&self) -> Tail {
        Tail {
            manifest: self.manifest.clone(),
            entries: self.records.len() as u64,
            // Nothing else gets past the comparison of the central directory with our own records.
            encrypted: true,
            bytes_read: self.blocks.asked(),
        }
    }

    /// Reports what is missing, renamed or new by its name, before the bytes of the directory are compared.
    fn check_names(&self) -> Result<()> {
        let mut names = self.zip.file_names_raw();
        for (number, record) in self.records.iter().enumerate() {
            match names.next() {
                Some(name) if name == record.name.as_bytes() => {}
                Some(name) => {
                    let name = String::from_utf8_lossy(name);
                    return Err(Error::corrupt(format!(
                        "entry {} is named {name:?} where the index has {:?}",
                        number + 1,
                        record.name
                    )));
                }
                None => return Err(Error::corrupt(format!("the entry {:?} is missing", record.name))),
            }
        }
        match names.next() {
            None => Ok(()),
            Some(name) => {
                Err(Error::corrupt(format!("the entry {:?} is not in the index", String::from_utf8_lossy(name))))
            }
        }
    }
}

/// The number of the last entry, which is the manifest; the index is before it.
fn check_directory(zip: &ZipArchive<BlockReader>, end: End) -> Result<usize> {
    if zip.has_duplicate_names() {
        return Err(Error::corrupt("two entries have the same name"));
    }
    let count = zip.len();
    if count as u64 != end.entries {
        return Err(Error::corrupt(format!("{count} entries where the archive's end says {}", end.entries)));
    }
    let names: Vec<&[u8]> = zip.file_names_raw().skip(count.saturating_sub(2)).collect();
    if names != [INDEX_ENTRY.as_bytes(), MANIFEST_ENTRY.as_bytes()] {
        return Err(Error::corrupt(format!("the last entries are not {INDEX_ENTRY} and {MANIFEST_ENTRY}"))
            .hint("It is either damaged or was not written by Nightvault."));
    }
    Ok(count - 1)
}

/// Reads the manifest, which must have been written under `key`, where that is known.
fn parse_manifest(text: &[u8], key: Option<&str>) -> Result<Manifest> {
    let unreadable = |e| Error::corrupt(format!("{MANIFEST_ENTRY} cannot be read")).because(e);
    let value: serde_json::Value = serde_json::from_slice(text).map_err(unreadable)?;
    let version = value.get("format_version").and_then(serde_json::Value::as_u64);
    match version {
        Some(version) if version == u64::from(FORMAT_VERSION) => {}
        Some(version) if version > u64::from(FORMAT_VERSION) => {
            return Err(Error::unsupported(format!(
                "the archive has format {version}; this program reads {FORMAT_VERSION}"
            ))
            .hint("Use the version of Nightvault that wrote it, or a newer one."));
        }
        _ => return Err(Error::corrupt("the manifest has no format version")),
    }
    // From the text and not from the value: the order of a map's keys and every digit of a number stay as written.
    let manifest: Manifest = serde_json::from_slice(text).map_err(unreadable)?;
    if key.is_some_and(|key| key != manifest.key) {
        return Err(Error::corrupt(format!("it was written as {:?} and is a copy of that backup", manifest.key))
            .hint("Another backup may have been put in its place; do not trust its date."));
    }
    Ok(manifest)
}

/// Reads a small entry whole.
pub(super) fn read_entry(
    zip: &mut ZipArchive<BlockReader>,
    blocks: &Blocks,
    password: &Secret,
    number: usize,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>> {
    let found = zip.by_index_data(number).map_err(|e| zip_error(blocks, name, e))?;
    if !found.encrypted() {
        return Err(Error::corrupt(format!("{name} is not encrypted")));
    }
    if found.size() > limit {
        return Err(Error::corrupt(format!("{name} claims {} bytes, more than it can have", found.size())));
    }
    let mut bytes = Vec::new();
    let options = ZipReadOptions::new().password(Some(password.expose().as_bytes()));
    let read = zip.by_index_with_options(number, options).and_then(|mut entry| {
        let mut limited = std::io::Read::take(&mut entry, limit.saturating_add(1));
        std::io::Read::read_to_end(&mut limited, &mut bytes)?;
        Ok(())
    });
    match read {
        Ok(()) if bytes.len() as u64 <= limit => Ok(bytes),
        Ok(()) => Err(Error::corrupt(format!("{name} is longer than it can be"))),
        Err(error) => Err(zip_error(blocks, name, error)),
    }
}

/// What the `zip` crate says of `what`, as an error of ours: the store's, where it was the store that failed.
pub(crate) fn zip_error(blocks: &Blocks, what: &str, error: ZipError) -> Error {
    match (blocks.take_failure(), error) {
        (Some(failure), _) => failure,
        (None, ZipError::InvalidPassword) => Error::corrupt(format!("the salt or verifier of {what} is damaged")),
        (None, error) => Error::corrupt(format!("{what} is damaged")).because(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_refused_by_its_number_whatever_else_it_holds() {
        let error = parse_manifest(br#"{"format_version":2,"shape":"round"}"#, Some("k")).unwrap_err();
        assert_eq!(error.class(), Class::Unsupported);
        assert_eq!(error.to_string(), "the archive has format 2; this program reads 1");
        for text in ["", "{}", "[1]", r#"{"format_version":0}"#, r#"{"format_version":"1"}"#, r#"{"format_version":1}"#]
        {
            assert_eq!(parse_manifest(text.as_bytes(), Some("k")).unwrap_err().class(), Class::Corrupt, "{text}");
        }
    }
}
