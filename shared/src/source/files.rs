//! Being built.

use async_trait::async_trait;

use crate::Result;
use crate::config::FileSetConfig;

/// What is known of a file before its bytes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMeta {
    /// Entry name in the archive, `files/<set>/<path>`; directories end in `/`.
    pub entry: String,
    /// Unix mode with the file type bits.
    pub mode: u32,
    /// Modification time, Unix seconds.
    pub modified: i64,
}

/// Where a file set goes: the archive.
#[async_trait]
pub trait FileSink: Send {
    /// Starts an entry.
    async fn start(&mut self, meta: &FileMeta) -> Result<()>;
    /// Takes bytes of the entry.
    async fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// Ends the entry and returns its bytes in the archive.
    async fn end(&mut self) -> Result<u64>;
}

/// Opens the roots and compiles the globs; a missing root or a bad glob is a configuration error that names it.
pub async fn check(_set: &FileSetConfig) -> Result<()> {
    Err(crate::Error::bug("not built yet"))
}
