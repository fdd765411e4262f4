//! Reads an archive back: through the `zip` crate, so that the reader never shares a mistake with the writer.
//!
//! Nothing in a zip protects names, sizes, times or the number of entries, so the reader believes none of it. It
//! authenticates the manifest, with it the index, and from the index it makes the zip's structures anew: they must be
//! those of the object, bit for bit. [`verify`] does so for the whole object and checks every digest besides.
//!
//! Refused by name: a wrong password, a copy under another key, a newer format, and every kind of damage.

pub(crate) mod blocks;
mod check;
mod open;
mod password;
mod ranged;
mod rows;
mod scan;

use std::io::Write;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::archive::manifest::{IndexEntry, Manifest};
use crate::progress::Progress;
use crate::secret::Secret;
use crate::store::{Object, Store};
use crate::{Class, Error, Result};

use blocks::{Access, Blocks};
pub(crate) use open::{Opened, zip_error};
pub(crate) use ranged::{Archive, EntryReader, Reached};

/// What the end of an archive tells.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The authenticated manifest.
    pub manifest: Manifest,
    /// Entries of the central directory, manifest and index included.
    pub entries: u64,
    /// Whether every entry is AES-256 (AE-2). Directories, which hold nothing, are not counted.
    pub encrypted: bool,
    /// Bytes that were fetched from the store for it.
    pub bytes_read: u64,
}

/// What reading every byte of an archive tells.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What the end of the archive tells.
    pub tail: Tail,
    /// Entries whose contents were read and matched their digests, manifest and index included.
    pub entries: u64,
    /// Bytes of their contents.
    pub raw_bytes: u64,
    /// Bytes of the archive: every one of them was looked at.
    pub bytes: u64,
    /// SQLite databases whose rows were not counted again, each with the reason.
    pub not_recounted: Vec<String>,
}

/// Whether the rows of SQLite files are counted again, for which a file is written to a scratch directory. Rows that
/// stand in the text of a dump are always counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqliteRows {
    /// They are those of the manifest.
    OfTheManifest,
    /// They are counted in the file.
    Counted,
}

/// Reads size, central directory, index and manifest of one backup and checks them against each other.
///
/// # Errors
/// [`Class::WrongPassword`], [`Class::Corrupt`], or what the store says.
pub async fn read_tail(store: Arc<dyn Store>, object: &Object, password: &Secret) -> Result<Tail> {
    check_size(&store, object).await?;
    let blocks = Blocks::new(store, object.clone(), Access::Random);
    let password = password.clone();
    joined(spawn_blocking(move || Opened::open(blocks, &password).map(|opened| opened.tail())).await)
}

/// Reads every byte of one backup and checks it: each authentication code, each SHA-256 of entries, pieces and tables,
/// the rows of each table, and each bit of the zip around them.
///
/// # Errors
/// As [`read_tail`]; damage is named with its entry.
pub async fn verify(
    store: Arc<dyn Store>,
    object: &Object,
    password: &Secret,
    rows: SqliteRows,
    progress: &Progress,
) -> Result<Verified> {
    check_size(&store, object).await?;
    let blocks = Blocks::new(store, object.clone(), Access::Scan);
    let password = password.clone();
    let (sender, mut steps) = mpsc::channel(16);
    let reading = spawn_blocking(move || scan::verify(Opened::open(blocks, &password)?, &password, rows, &sender));
    while let Some(step) = steps.recv().await {
        match step {
            Step::Entry(name) => progress.set_current(format!("verifying {name}")),
            Step::Bytes(bytes) => progress.add_raw_bytes(bytes),
        }
    }
    joined(reading.await)
}

/// How far a reading is.
pub(crate) enum Step {
    /// This entry is begun.
    Entry(String),
    /// So many bytes more of its contents were read and checked.
    Bytes(u64),
}

/// Takes entries out of an archive; it is called on a thread that may block.
pub(crate) trait Unpacker: Send + 'static {
    /// Is told what the authenticated manifest and index say; returns the numbers of the entries to read, going up.
    fn plan(&mut self, manifest: &Manifest, index: &[IndexEntry]) -> Result<Vec<usize>>;
    /// An entry is begun; `entry` comes without its pieces.
    fn begin(&mut self, entry: &IndexEntry) -> Result<()>;
    /// The next bytes of its contents; their digest has matched.
    fn piece(&mut self, bytes: &[u8]) -> Result<()>;
    /// All of the entry was read, its authentication code and digest have matched.
    fn end(&mut self, entry: &IndexEntry) -> Result<()>;
}

/// Opens the archive once and hands the entries that the unpacker asks for to it, in the order of the archive. Returns it,
/// with the bytes that were fetched and how it ended, which is an error of the archive, the store or the unpacker.
///
/// # Errors
/// The reading thread ended early, which takes the unpacker with it.
pub(crate) async fn unpack<U: Unpacker>(
    store: Arc<dyn Store>,
    object: &Object,
    password: &Secret,
    mut unpacker: U,
) -> Result<(U, u64, Result<()>)> {
    if let Err(error) = check_size(&store, object).await {
        return Ok((unpacker, 0, Err(error)));
    }
    let blocks = Blocks::new(store, object.clone(), Access::Scan);
    let password = password.clone();
    let reading = spawn_blocking(move || {
        let opened = Opened::open(Arc::clone(&blocks), &password);
        let result = opened.and_then(|archive| scan::unpack(archive, &password, &mut unpacker));
        Ok((unpacker, blocks.asked(), result))
    });
    joined(reading.await)
}

/// Writes the contents of one entry into `into` and returns how many bytes they are.
///
/// Only bytes whose digest in the authenticated index matched are written: an archive that was changed gives an error
/// before the first changed piece, never changed bytes. `into` is written to on the calling task.
///
/// # Errors
/// As [`read_tail`]; [`Class::NotFound`] when there is no such entry; [`Class::Limit`] when `into` is full.
pub async fn extract(
    store: Arc<dyn Store>,
    object: &Object,
    password: &Secret,
    entry: &str,
    into: &mut (dyn Write + Send),
) -> Result<u64> {
    check_size(&store, object).await?;
    let blocks = Blocks::new(store, object.clone(), Access::Scan);
    let (password, entry_name) = (password.clone(), entry.to_owned());
    let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(2);
    let reading =
        spawn_blocking(move || scan::extract(Opened::open(blocks, &password)?, &password, &entry_name, &sender));
    let mut written = 0;
    while let Some(piece) = pieces.recv().await {
        into.write_all(&piece).map_err(|e| write_error(entry, e))?;
        written += piece.len() as u64;
    }
    joined(reading.await)?;
    into.flush().map_err(|e| write_error(entry, e))?;
    Ok(written)
}

fn write_error(entry: &str, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, StorageFull};
    let class = match error.kind() {
        PermissionDenied => Class::Permission,
        StorageFull | QuotaExceeded | FileTooLarge => Class::Limit,
        _ => Class::Transient,
    };
    Error::new(class, format!("cannot write what was read of {entry:?}")).because(error)
}

/// The object must still be what the caller saw: a longer one would hide what follows its end.
async fn check_size(store: &Arc<dyn Store>, object: &Object) -> Result<()> {
    let key = &object.key;
    let Some(found) = store.head(key).await? else {
        return Err(Error::new(Class::NotFound, format!("{key} is not there")));
    };
    if found.size != object.size {
        return Err(Error::corrupt(format!("{key} has {} bytes, not {}", found.size, object.size)));
    }
    Ok(())
}

pub(crate) fn joined<T>(result: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    result.unwrap_or_else(|e| Err(Error::bug("the reading thread ended early").because(e)))
}
