//! Archives that another program wrote: those of `spatie/laravel-backup` before all, and whatever 7-Zip or PHP made.
//!
//! They have no manifest. What can be told of one: that each entry decrypts with the password, matches its authentication
//! code (AES) or its CRC (all but AE-2), has the size that the directory says, and that no byte lies between the entries.
//! What cannot be told, by anybody: whether an entry was left out, whether it was exchanged for one of another archive with
//! the same password, how many rows a dump should have. So nothing here is ever called *whole*.
//!
//! An archive of Nightvault that was damaged or changed must not pass for one of these ([`identify`]): whatever looks like
//! one of ours, or has no whole directory at its end, is damaged. The directory is not authenticated, so somebody who
//! writes to the store could dress up one of ours; a dump in it still says by whom it was written ([`dump`]).

mod directory;
pub(crate) mod dump;
mod identify;
mod scan;

use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::task::spawn_blocking;

use crate::archive::reader::blocks::{Access, Blocks};
use crate::archive::reader::joined;
use crate::secret::Secret;
use crate::store::{Object, Store};
use crate::{Error, Result};

pub(crate) use directory::ForeignEntry;
pub(crate) use identify::Kind;

/// Whose archive an object is that did not open as one of ours.
///
/// # Errors
/// What the store says.
pub(crate) async fn identify(store: Arc<dyn Store>, object: &Object) -> Result<Kind> {
    let blocks = Blocks::new(store, object.clone(), Access::Random);
    joined(spawn_blocking(move || identify::identify(&blocks)).await)
}

/// What the directory of an archive says, and the bytes that were read for it.
///
/// # Errors
/// [`Class::Corrupt`](crate::Class::Corrupt), or what the store says.
pub(crate) async fn read_directory(
    store: Arc<dyn Store>,
    object: &Object,
    zone: &TimeZone,
) -> Result<(Vec<ForeignEntry>, u64)> {
    let blocks = Blocks::new(store, object.clone(), Access::Random);
    let zone = zone.clone();
    joined(spawn_blocking(move || Ok((directory::open(&blocks, &zone)?.1, blocks.asked()))).await)
}

/// Whether every entry but directories is encrypted with AES-256.
pub(crate) fn is_encrypted(entries: &[ForeignEntry]) -> bool {
    entries.iter().filter(|entry| !entry.is_directory()).all(|entry| entry.protection.words() == "AES-256")
}

/// Takes entries out of a foreign archive; it is called on a thread that may block.
pub(crate) trait ForeignUnpacker: Send + 'static {
    /// Is told what the directory says; returns the numbers of the entries to read, going up.
    fn plan(&mut self, entries: &[ForeignEntry]) -> Result<Vec<usize>>;
    /// An entry is begun.
    fn begin(&mut self, entry: &ForeignEntry) -> Result<()>;
    /// The next bytes of its contents. **Nothing has vouched for them yet.**
    fn piece(&mut self, bytes: &[u8]) -> Result<()>;
    /// All of the entry was read; its authentication code or CRC, and its size, have matched.
    fn end(&mut self, entry: &ForeignEntry) -> Result<()>;
}

/// Hands the entries that the unpacker asks for to it. Returns it, with the bytes that were fetched and how it ended.
///
/// # Errors
/// The reading thread ended early, which takes the unpacker with it.
pub(crate) async fn unpack<U: ForeignUnpacker>(
    store: Arc<dyn Store>,
    object: &Object,
    password: std::result::Result<&Secret, &Error>,
    zone: &TimeZone,
    mut unpacker: U,
) -> Result<(U, u64, Result<()>)> {
    let blocks = Blocks::new(store, object.clone(), Access::Scan);
    let password = password.cloned().map_err(Error::copy);
    let zone = zone.clone();
    let reading = spawn_blocking(move || {
        let result = scan::unpack(&blocks, password.as_ref(), &zone, &mut unpacker);
        Ok((unpacker, blocks.asked(), result.map_err(|error| error.context(blocks.key()))))
    });
    joined(reading.await)
}
