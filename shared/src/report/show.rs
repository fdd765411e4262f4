//! What show tells of one backup.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{GuardReport, ProofReport};
use crate::archive::manifest::Manifest;

/// What is inside a backup, as its authenticated end says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShowReport {
    /// The disk on which it was looked at.
    pub disk: String,
    /// Its key.
    pub key: String,
    /// Its date.
    pub date: Timestamp,
    /// Seconds from its date to now; negative when it lies in the future.
    pub age_seconds: i64,
    /// Bytes of the archive.
    pub size: u64,
    /// Bytes that were fetched from the store for this.
    pub bytes_read: u64,
    /// Entries, manifest and index included.
    pub entries: u64,
    /// Whether every entry is encrypted with AES-256.
    pub encrypted: bool,
    /// What its last whole reading found; `None` = nothing is noted.
    pub proof: Option<ProofReport>,
    /// What keeps it from being deleted; `None` = nothing, as far as could be seen.
    #[serde(default)]
    pub guard: Option<GuardReport>,
    /// The manifest, as `doc/format.md` describes it; `None`: another program wrote the archive.
    pub manifest: Option<Manifest>,
    /// What the directory of another program's archive says; nothing vouches for it.
    #[serde(default)]
    pub foreign: Option<Vec<ForeignLine>>,
}

/// An entry of an archive that another program wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignLine {
    /// Its name.
    pub name: String,
    /// Bytes of its contents.
    pub bytes: u64,
    /// Bytes of its data.
    pub stored_bytes: u64,
    /// `none`, `ZipCrypto`, `AES-128`, `AES-192` or `AES-256`.
    pub encryption: String,
    /// When it was changed last, in the zone of `BACKUP_TIMEZONE` where the archive does not say.
    pub modified: Option<Timestamp>,
}
