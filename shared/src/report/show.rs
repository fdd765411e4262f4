//! What show tells of one backup.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ProofReport;
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
    /// The manifest, as `doc/format.md` describes it.
    pub manifest: Manifest,
}
