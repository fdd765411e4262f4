//! Where archives go.
//!
//! The contract, the same for every store and held by one conformance suite:
//!
//! - An object becomes visible in one step, when [`Upload::complete`] returns, and never replaces another: a key that
//!   exists is [`Class::AlreadyExists`].
//! - An upload that is dropped, aborted or killed leaves nothing that [`Store::list`] shows.
//! - `write` waits while the parts in flight are as many as the configuration allows, so memory stays bounded.
//! - The first error of an upload is the one that is returned; a failing abort is logged and never hides it.
//! - Reads name the version that they mean (`etag`), so that an object replaced between two reads is told.
//! - Notes beside an object change neither its bytes nor its version, are no objects themselves, and go with it. A store
//!   may have no place for them; it says so, and that is no failure.
//! - Locks and holds ([`Guard`]) are told as they are, never guessed: a store that cannot say whether an object is locked
//!   is an error, and one that has no such thing has none.

mod guard;
pub mod local;
pub(crate) mod loose;
pub mod memory;
mod parts;
pub mod s3;

pub use guard::{Guard, HeldBy, Hold, Lock, LockMode, Locking};

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::config::types::{DiskConfig, DiskKind};
use crate::{Class, Error, Result};

/// Builds the store behind a disk. Opens no connection; `Store::probe` does.
pub async fn open(disk: &DiskConfig, limits: &UploadLimits) -> Result<Arc<dyn Store>> {
    Ok(match &disk.kind {
        DiskKind::S3(bucket) => Arc::new(s3::S3Store::open(&disk.name, bucket, limits).await?),
        DiskKind::Local { path } => Arc::new(local::LocalStore::new(&disk.name, path)),
    })
}

/// One object of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key, without the disk's own prefix.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// When it was written.
    pub modified: Timestamp,
    /// What identifies this version of it, where the store has such a thing.
    pub etag: Option<String>,
}

/// What the archive writer says it has produced; an upload that took in anything else must not be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Bytes of the whole archive.
    pub bytes: u64,
}

/// A completed upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The object as the store describes it after completion (read back, not assumed).
    pub object: Object,
    /// Parts of the upload.
    pub parts: u32,
    /// The checksum that the store confirmed, with its name, e.g. `crc64nvme:…` or `md5:…-12`; `None` = it has none.
    pub checksum: Option<String>,
    /// The lock that the store shows on it; `None` = none, as far as it may be seen.
    pub lock: Option<Lock>,
}

/// What was noted beside an object, by name.
pub type Notes = BTreeMap<String, String>;

/// What became of the bytes of an object that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// They are gone.
    Freed,
    /// They stay, as an old version that no listing shows, until the store's own rules remove it.
    Hidden,
}

/// What a store keeps under a prefix beyond what a listing shows; it takes room, and may be paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hidden {
    /// Old versions.
    pub versions: u64,
    /// Their bytes.
    pub version_bytes: u64,
    /// Uploads that were begun and neither completed nor aborted.
    pub uploads: u64,
    /// The bytes of their parts.
    pub upload_bytes: u64,
}

impl Hidden {
    /// All of it.
    pub fn bytes(&self) -> u64 {
        self.version_bytes.saturating_add(self.upload_bytes)
    }
}

/// What bounds an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// `BACKUP_UPLOAD_CONCURRENCY`: parts on their way at the same time; together with the part size it bounds memory.
    pub parts_in_flight: usize,
    /// `BACKUP_PART_SIZE_MB`, here in bytes: size of the first parts; later ones grow so that 10,000 are enough for 5 TiB.
    pub first_part_bytes: u64,
}

impl Default for UploadLimits {
    /// Four parts of 8 MiB.
    fn default() -> Self {
        Self { parts_in_flight: 4, first_part_bytes: 8 << 20 }
    }
}

/// A place for archives.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// The disk's name, for reports and errors.
    fn disk(&self) -> &str;

    /// Whether its objects are files that a person named, so that their names are no keys. A backup under another name than
    /// its own is then no copy that was put in another's place.
    fn is_loose(&self) -> bool {
        false
    }

    /// Whether the store can be reached and the credentials are taken; cheap.
    async fn probe(&self) -> Result<()>;

    /// All objects whose key starts with `prefix`, in the order of their keys.
    async fn list(&self, prefix: &str) -> Result<Vec<Object>>;

    /// One object, `None` when there is none.
    async fn head(&self, key: &str) -> Result<Option<Object>>;

    /// The bytes `range` of an object. Exactly as many as asked for, or an error. `etag`: the version that is meant.
    async fn read(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes>;

    /// Starts an object. `expected_bytes`: a guess, from which parts are sized; it may be wrong.
    async fn create(&self, key: &str, expected_bytes: Option<u64>) -> Result<Box<dyn Upload>>;

    /// As [`Store::create`], for an object that is locked from the moment it is visible.
    async fn create_locked(
        &self,
        key: &str,
        expected_bytes: Option<u64>,
        lock: Option<Lock>,
    ) -> Result<Box<dyn Upload>> {
        match lock {
            None => self.create(key, expected_bytes).await,
            Some(_) => Err(Error::new(Class::Unsupported, format!("disk {} locks nothing", self.disk()))),
        }
    }

    /// Deletes exactly this key. A key that is gone already is no error.
    async fn delete(&self, key: &str) -> Result<()>;

    /// Deletes exactly this key, and says what became of its bytes. `versions`: every version of it too, where the store
    /// keeps any; else they stay, hidden.
    async fn remove(&self, key: &str, _versions: bool) -> Result<Removed> {
        self.delete(key).await.map(|()| Removed::Freed)
    }

    /// When the store's own rules remove what is hidden under `prefix` at `hidden_at`; `None`: they never do.
    async fn forgets(&self, _prefix: &str, _hidden_at: Timestamp) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    /// What is stored under `prefix` beyond what [`Store::list`] shows, as far as the store can tell.
    async fn hidden(&self, _prefix: &str) -> Result<Hidden> {
        Ok(Hidden::default())
    }

    /// Aborts uploads under `prefix` that were begun before `before` and never completed; returns how many.
    async fn abort_stale(&self, prefix: &str, before: Timestamp) -> Result<u64>;

    /// What was noted beside an object; an object that is gone has no notes. `None`: the store has no place for notes.
    async fn notes(&self, _key: &str) -> Result<Option<Notes>> {
        Ok(None)
    }

    /// Notes `value` under `name` beside an object, in place of what was noted under this name; other notes stay. False:
    /// the store has no place for notes. Both are short and plain: see [`check_note`].
    async fn note(&self, _key: &str, _name: &str, _value: &str) -> Result<bool> {
        Ok(false)
    }

    /// What keeps an object from being deleted; nothing keeps one that is gone.
    async fn guard(&self, _key: &str) -> Result<Guard> {
        Ok(Guard::default())
    }

    /// What the store can do in the way of locks.
    async fn locking(&self) -> Result<Locking> {
        Ok(Locking::Never)
    }

    /// Locks an object until at least `lock.until`, at least as firmly; a lock that is there already is never shortened or
    /// loosened. Returns the lock that the store then shows; `None`: it has no locks.
    async fn lock(&self, _key: &str, _lock: Lock) -> Result<Option<Lock>> {
        Ok(None)
    }

    /// Holds an object until [`Store::release`], and writes `text` down with it (see [`check_note`]); an object that is
    /// held already gets the new text. `None`: the store has no place for holds.
    async fn hold(&self, _key: &str, _text: &str) -> Result<Option<HeldBy>> {
        Ok(None)
    }

    /// Ends every hold on an object; one that is not held is no error. A lock stays.
    async fn release(&self, _key: &str) -> Result<()> {
        Ok(())
    }
}

/// An object that is being written.
#[async_trait]
pub trait Upload: Send {
    /// Takes the next bytes; waits while too many parts are in flight.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Compares what was taken in with `review`, makes the object visible in one step, and reads back what the store
    /// says of it. On any error the upload is aborted and nothing is visible.
    async fn complete(self: Box<Self>, review: &Review) -> Result<Stored>;

    /// Gives up: nothing stays visible, nothing stays to be paid for.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// What every store says of a range that an object does not have.
fn check_range(key: &str, range: &Range<u64>, size: u64) -> Result<()> {
    if range.start <= range.end && range.end <= size {
        return Ok(());
    }
    Err(Error::corrupt(format!("{key:?} has {size} bytes, and bytes {} to {} were asked for", range.start, range.end))
        .hint("The object is shorter than its own index says, or it was replaced; take another backup."))
}

/// What every store says of an object that is not the version that was meant.
fn check_version(key: &str, found: &str, meant: Option<&str>) -> Result<()> {
    match meant {
        Some(meant) if meant != found => Err(replaced(key)),
        _ => Ok(()),
    }
}

fn replaced(key: &str) -> Error {
    Error::new(Class::Inconsistent, format!("{key:?} was replaced while it was read"))
        .hint("Something else writes under this prefix; find out what it is, then try again.")
}

fn already_exists(disk: &str, key: &str) -> Error {
    Error::new(Class::AlreadyExists, format!("{key:?} exists already on disk {disk}"))
        .hint("Nothing was replaced. The backup of this moment was made already, by an earlier run or a parallel one.")
}

fn not_found(disk: &str, key: &str) -> Error {
    Error::new(Class::NotFound, format!("there is no {key:?} on disk {disk}"))
}

/// Notes must fit where a store keeps them: S3's tags have 128 and 256 characters of this alphabet at most
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>; the name gets a prefix there).
pub fn check_note(name: &str, value: &str) -> Result<()> {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || " +-=._:/@".contains(c));
    if plain(name) && plain(value) && (1..=100).contains(&name.len()) && value.len() <= 256 {
        return Ok(());
    }
    Err(Error::bug(format!("{name:?} = {value:?} cannot be noted beside an object")))
}

/// The last comparison before an object becomes visible.
fn check_review(key: &str, taken: u64, review: &Review) -> Result<()> {
    if taken == review.bytes {
        return Ok(());
    }
    Err(Error::bug(format!("{key:?} was to have {} bytes and {taken} were handed over", review.bytes))
        .hint("Nothing was stored. Please report this."))
}
