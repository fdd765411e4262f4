//! Archives outside our own house: what we write is opened by 7-Zip, bsdtar and PHP's `ZipArchive`, on a machine that has
//! never heard of Nightvault; and what an older Nightvault wrote, by us.

mod foreign;
mod golden;

use std::path::Path;

use bytes::Bytes;
use nightvault_core::archive::manifest::{DatabaseManifest, FilesManifest, IndexRef, Manifest};
use nightvault_core::archive::{ArchiveOptions, ArchiveOutput, ArchiveSummary, ArchiveWriter, EntryMeta};
use nightvault_core::config::Compression;
use nightvault_core::secret::Secret;
use nightvault_core::source::EntrySink;
use nightvault_core::{Error, Result};
use tokio::io::AsyncWriteExt;

/// The password of all archives here: what a shell, a URL and XML might each trip over.
const PASSWORD: &str = "night & day: 'twas \"<32>\" $characters";
/// The moment of all entries.
const MODIFIED: i64 = 1_705_284_000;

/// An archive that goes into a file.
struct File(tokio::fs::File);

#[async_trait::async_trait]
impl ArchiveOutput for File {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.0.write_all(&bytes).await.map_err(|e| Error::bug("cannot write").because(e))
    }
}

/// An entry: name, mode, contents.
type Given<'a> = (&'a str, u32, &'a [u8]);

/// Writes an archive of the file set `set` and of databases into `path`.
async fn write(path: &Path, compression: Compression, entries: &[Given<'_>]) -> ArchiveSummary {
    let mut output = File(tokio::fs::File::create(path).await.unwrap());
    let options = ArchiveOptions { compression, workers: 2, max_entries: 1_000_000 };
    let mut writer = ArchiveWriter::new(&mut output, &Secret::new(PASSWORD), &options).unwrap();
    let mut manifest = empty_manifest();
    for (name, mode, contents) in entries {
        writer.start_entry(name, EntryMeta { mode: *mode, modified: MODIFIED }).await.unwrap();
        // In slices that are no multiple of anything.
        for slice in contents.chunks(70_001) {
            writer.write(slice).await.unwrap();
        }
        let summary = writer.end_entry().await.unwrap();
        let set = &mut manifest.files[0];
        match (name, mode >> 12) {
            (name, _) if name.starts_with("db-dumps/") => manifest.databases.push(DatabaseManifest {
                name: name.to_string(),
                engine: "SQLite".into(),
                server_version: "3".into(),
                entry: name.to_string(),
                snapshot: Default::default(),
                tables: vec![],
                objects: Default::default(),
                warnings: vec![],
                rows: 0,
                raw_bytes: summary.raw_bytes,
                stored_bytes: summary.stored_bytes,
                sha256: summary.sha256,
            }),
            (_, 0o04) => set.directories += 1,
            (_, 0o12) => set.symlinks += 1,
            _ => set.files += 1,
        }
    }
    let summary = writer.finish(manifest).await.unwrap();
    output.0.flush().await.unwrap();
    summary
}

fn empty_manifest() -> Manifest {
    let date = "2024-01-15T02:00:00Z".parse().unwrap();
    let set = FilesManifest {
        name: "set".into(),
        files: 0,
        directories: 0,
        symlinks: 0,
        raw_bytes: 0,
        stored_bytes: 0,
        problems: vec![],
    };
    Manifest {
        format_version: 1,
        tool: "nightvault test".into(),
        name: "clinic".into(),
        key: golden::KEY.into(),
        date,
        started: date,
        finished: date,
        databases: vec![],
        files: vec![set],
        compression: String::new(),
        piece_bytes: 0,
        index: IndexRef { entries: 0, bytes: 0, sha256: String::new() },
    }
}
