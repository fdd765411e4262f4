//! The archive: dumps and files in, the bytes of one encrypted zip out; and back.
//!
//! ```text
//! write ─▶ piece (1 MiB raw) ─▶ workers: SHA-256, deflate ─▶ sealer, in order: AES-CTR, HMAC, zip ─▶ ArchiveOutput
//! ```
//!
//! Promises, byte for byte in `doc/format.md`:
//!
//! - A plain zip: every entry is one ordinary DEFLATE (or Zstandard, or stored) stream, encrypted as WinZip AE-2 with
//!   AES-256, so that 7-Zip, bsdtar, `ZipArchive` of PHP and WinZip open it without us.
//! - Pieces are compressed apart from each other; the index tells where each starts, so that one can be fetched alone.
//! - What is written is described twice: in the zip's own structures, which nothing protects, and in `index.jsonl` and
//!   `manifest.json`, which are authenticated. The reader compares them, so no bit of an archive can change unseen.
//! - Memory is bounded by the number of workers, not by the size of the data; only the index and the central directory
//!   grow, by some 100 bytes a piece and 500 an entry.
//!
//! Refused: names that would leave the folder in which an archive is unpacked, duplicate names, more entries than allowed.

mod container;
pub(crate) mod foreign;
mod index;
pub mod manifest;
mod piece;
pub mod reader;
mod seal;
mod sealer;
mod workers;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

use async_trait::async_trait;
use bytes::Bytes;

pub use reader::{SqliteRows, Tail, Verified, extract, read_tail, verify};
pub use writer::ArchiveWriter;

use crate::Result;
use crate::archive::manifest::Manifest;
use crate::config::Compression;

/// How an archive is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// How entries are compressed.
    pub compression: Compression,
    /// Threads that compress; at least one.
    pub workers: usize,
    /// Entries in the archive at most, index and manifest not counted.
    pub max_entries: u64,
}

/// Where the bytes of an archive go: an upload.
#[async_trait]
pub trait ArchiveOutput: Send {
    /// Takes the next bytes of the archive, in order. Waiting here holds up the whole pipeline behind it.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;
}

/// What the archive keeps of a file besides its name and contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryMeta {
    /// Unix mode with the file type bits.
    pub mode: u32,
    /// Modification time, Unix seconds.
    pub modified: i64,
}

/// One entry, as counted while it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrySummary {
    /// Its name.
    pub name: String,
    /// Bytes of its contents.
    pub raw_bytes: u64,
    /// Bytes of its data in the archive: compressed, with salt, verifier and authentication code.
    pub stored_bytes: u64,
    /// SHA-256 of its contents, lower-case hex.
    pub sha256: String,
}

/// A whole archive, as counted while it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveSummary {
    /// Bytes of the archive.
    pub bytes: u64,
    /// Entries of the central directory, index and manifest included.
    pub entries: u64,
    /// SHA-256 of all bytes of the archive, lower-case hex.
    pub sha256: String,
    /// The manifest as it stands in the archive.
    pub manifest: Manifest,
}
