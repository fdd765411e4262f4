//! Tests of the whole room: what the writer writes, the reader reads, and nothing else gets past it.

mod damage;
pub(crate) mod forge;
mod ranged;
mod round_trip;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::manifest::{DatabaseManifest, FilesManifest, IndexRef, Manifest};
use super::*;
use crate::secret::Secret;
use crate::source::EntrySink;
use crate::store::{Object, Store, Upload};
use crate::{Class, Error};

const KEY: &str = "clinic/2024-01-15-02-00-00.zip";
const OPTIONS: ArchiveOptions =
    ArchiveOptions { compression: Compression::Deflate(2), workers: 2, max_entries: 100_000 };

pub(crate) fn password() -> Secret {
    Secret::new("a password of a test, long enough")
}

/// A store of one object that can only be read.
#[derive(Debug)]
struct OneObject {
    bytes: Bytes,
}

#[async_trait]
impl Store for OneObject {
    fn disk(&self) -> &str {
        "test"
    }
    async fn probe(&self) -> Result<()> {
        Ok(())
    }
    async fn list(&self, _prefix: &str) -> Result<Vec<Object>> {
        Ok(vec![object(&self.bytes)])
    }
    async fn head(&self, key: &str) -> Result<Option<Object>> {
        Ok((key == KEY).then(|| object(&self.bytes)))
    }
    async fn read(&self, _key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes> {
        assert_eq!(etag, Some("v1"), "reads name the version");
        assert!(range.start < range.end && range.end <= self.bytes.len() as u64, "{range:?} is not in the object");
        Ok(self.bytes.slice(range.start as usize..range.end as usize))
    }
    async fn create(&self, _key: &str, _expected_bytes: Option<u64>) -> Result<Box<dyn Upload>> {
        Err(Error::bug("read-only"))
    }
    async fn delete(&self, _key: &str) -> Result<()> {
        Err(Error::bug("read-only"))
    }
    async fn abort_stale(&self, _prefix: &str, _before: Timestamp) -> Result<u64> {
        Err(Error::bug("read-only"))
    }
}

fn object(bytes: &[u8]) -> Object {
    let modified = Timestamp::UNIX_EPOCH;
    Object { key: KEY.into(), size: bytes.len() as u64, modified, etag: Some("v1".into()) }
}

fn store(bytes: &[u8]) -> (Arc<dyn Store>, Object) {
    (Arc::new(OneObject { bytes: Bytes::copy_from_slice(bytes) }), object(bytes))
}

/// An output that keeps everything.
#[derive(Default)]
struct Kept(Vec<u8>);

#[async_trait]
impl ArchiveOutput for Kept {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.0.extend_from_slice(&bytes);
        Ok(())
    }
}

/// An entry to write: a name, a mode, and the contents as the slices between which pieces are cut.
#[derive(Debug, Clone)]
struct Given {
    name: String,
    mode: u32,
    modified: i64,
    slices: Vec<Vec<u8>>,
}

fn given(name: &str, mode: u32, contents: &[u8]) -> Given {
    Given { name: name.into(), mode, modified: 1_705_284_000, slices: vec![contents.to_vec()] }
}

/// A manifest of nothing, for the run of [`KEY`].
pub(crate) fn manifest() -> Manifest {
    let date: Timestamp = "2024-01-15T02:00:00Z".parse().unwrap();
    Manifest {
        format_version: 0,
        tool: "nightvault test".into(),
        name: "clinic".into(),
        key: KEY.into(),
        date,
        started: date,
        finished: date,
        databases: vec![],
        files: vec![],
        compression: String::new(),
        piece_bytes: 0,
        index: IndexRef { entries: 0, bytes: 0, sha256: String::new() },
    }
}

/// Writes entries under `db-dumps/` as databases, others as files of the set `set`.
async fn archive(entries: &[Given], options: ArchiveOptions) -> (Vec<u8>, ArchiveSummary) {
    write_archive(entries, options, manifest(), |_| ()).await.unwrap()
}

async fn write_archive(
    entries: &[Given],
    options: ArchiveOptions,
    mut manifest: Manifest,
    change: impl FnOnce(&mut Manifest),
) -> Result<(Vec<u8>, ArchiveSummary)> {
    let mut output = Kept::default();
    let mut writer = ArchiveWriter::new(&mut output, &password(), &options)?;
    let mut set = FilesManifest {
        name: "set".into(),
        files: 0,
        directories: 0,
        symlinks: 0,
        raw_bytes: 0,
        stored_bytes: 0,
        problems: vec![],
    };
    for entry in entries {
        writer.start_entry(&entry.name, EntryMeta { mode: entry.mode, modified: entry.modified }).await?;
        for slice in &entry.slices {
            writer.write(slice).await?;
            writer.cut_piece().await?;
        }
        let summary = writer.end_entry().await?;
        if entry.name.starts_with("db-dumps/") {
            manifest.databases.push(DatabaseManifest {
                name: entry.name.clone(),
                engine: "PostgreSQL".into(),
                server_version: "3".into(),
                entry: entry.name.clone(),
                snapshot: Default::default(),
                tables: vec![],
                objects: Default::default(),
                warnings: vec![],
                rows: 0,
                raw_bytes: summary.raw_bytes,
                stored_bytes: summary.stored_bytes,
                sha256: summary.sha256,
            });
        } else if entry.name.ends_with('/') {
            set.directories += 1;
        } else if entry.mode & 0o170_000 == 0o120_000 {
            set.symlinks += 1;
        } else {
            set.files += 1;
        }
    }
    manifest.files.push(set);
    change(&mut manifest);
    let summary = writer.finish(manifest).await?;
    Ok((output.0, summary))
}
