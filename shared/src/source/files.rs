//! File sets: a directory tree, walked in the order of its names and streamed into the archive.
//!
//! Entries are `files/<set>/<path>`, depth first, sorted by bytes within each directory, so that the same tree gives the
//! same archive. Memory holds the names of the directories on the way down and a few slices of a file. The set's root
//! may be a symbolic link (`current` of a deployment) and is followed; below it nothing is: directories are opened one
//! by one from the handle of the directory above, so no swap of a directory for a link leads out of the root, and no
//! path is too long for the system. Mounted file systems below the root belong to the tree.
//!
//! What is in the archive: regular files; symbolic links, as links with their target as contents; directories, full or
//! empty, for their modes (with includes: those that match or hold something that is included). A hard link is
//! stored as a file of its own, holes of a sparse file as zeros. Owners, access lists and extended attributes are not stored.
//!
//! What is told ([`FileProblem`]): unreadable files and directories, vanished ones, files that changed while they were
//! read, sockets, FIFOs and devices. A file is read up to the size it had when it was opened and never further. Only
//! [`FileProblemKind::Unreadable`] means that something is missing that could have been there; the caller decides.
//!
//! Names: bytes that are not UTF-8, control characters and `\` (a separator on Windows) are written `%{0A}`, byte by
//! byte in upper-case hexadecimal; so is the `%` of a name that looks like such an escape. Reversible, hence without
//! collisions. Names that differ in case or in Unicode normal form are different names.
//!
//! Globs are relative to the root, `*` stops at `/`, `**` does not, case counts. A directory that matches an include is
//! included with all that is below; one that matches an exclude is not descended into. Exclude wins.
//!
//! [`FileProblem`]: crate::archive::manifest::FileProblem
//! [`FileProblemKind::Unreadable`]: crate::archive::manifest::FileProblemKind::Unreadable

mod filter;
mod listing;
pub(crate) mod names;
mod read;
#[cfg(test)]
mod tests;
mod walk;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::archive::manifest::FilesManifest;
use crate::config::FileSetConfig;
use crate::progress::Progress;
use crate::{Error, Result};

use walk::{Item, Kind, Walk};

/// How many items may wait between the thread that reads and the archive; a slice of a file is one.
const QUEUE: usize = 8;

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
pub async fn check(set: &FileSetConfig) -> Result<()> {
    let set = set.clone();
    joined(tokio::task::spawn_blocking(move || Walk::new(&set, 0)?.open_root().map(drop)).await)
}

/// Walks the set and writes all that belongs to it into `sink`. More than `max_files` entries (or problems) are refused
/// with [`Class::Limit`](crate::Class::Limit).
pub async fn add(
    set: &FileSetConfig,
    sink: &mut dyn FileSink,
    progress: &Progress,
    max_files: u64,
) -> Result<FilesManifest> {
    let (sender, mut items) = mpsc::channel(QUEUE);
    let walk = Walk::new(set, max_files)?;
    let walking = tokio::task::spawn_blocking(move || walk.run(&sender));
    let mut manifest = FilesManifest {
        name: set.name.clone(),
        files: 0,
        directories: 0,
        symlinks: 0,
        raw_bytes: 0,
        stored_bytes: 0,
        problems: Vec::new(),
    };
    // When this function is left early, the receiver is gone and the thread ends at its next item.
    let mut regular = false;
    while let Some(item) = items.recv().await {
        match item {
            Item::Start(meta, kind) => {
                progress.set_current(meta.entry.as_str());
                match kind {
                    Kind::File => manifest.files += 1,
                    Kind::Directory => manifest.directories += 1,
                    Kind::Symlink => manifest.symlinks += 1,
                }
                regular = kind == Kind::File;
                sink.start(&meta).await?;
            }
            Item::Data(bytes) => {
                sink.write(&bytes).await?;
                if regular {
                    manifest.raw_bytes += bytes.len() as u64;
                }
                progress.add_raw_bytes(bytes.len() as u64);
            }
            Item::End => manifest.stored_bytes += sink.end().await?,
            Item::Problem(problem) => manifest.problems.push(problem),
        }
    }
    joined(walking.await)?;
    Ok(manifest)
}

fn joined(result: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    result.unwrap_or_else(|error| Err(Error::bug("the thread that walks a file set broke off").because(error)))
}
