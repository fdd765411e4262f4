//! What an operation says of itself. Every figure is taken from the counter of the code that did the work.
//!
//! The reports are what the functions return, what `--json` prints and what the messages are made from; a field that
//! was published keeps its name.

mod audit;
mod drill;
mod extract;
mod guard;
mod restore;
mod show;
mod tenant;
mod verify;

pub use restore::{RestoreReport, RestoreStatus, RestoredDatabase, RestoredFiles, RestoredTable};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use audit::{AuditReport, DiskTrail};
pub use drill::{DrillReport, DrillResult, DrilledDatabase, ProvenRestore};
pub use extract::{ExtractReport, LeftOut};
pub use guard::{DiskHold, GuardReport, HoldReport};
pub use show::{ForeignLine, ShowReport};
pub use tenant::{ClassedTable, MovedCounter, TenantConflict, TenantReport, TenantStatus, TenantTable, TenantsReport};
pub use verify::{DiskVerify, SliceReport, SlicesReport, VerifiedBackup, VerifyReport, VerifyVerdict};

use crate::archive::manifest::FileProblem;
use crate::audit::Head;
use crate::catalog::{Proof, Verdict};

/// The result of a backup run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupReport {
    /// `BACKUP_NAME`.
    pub name: String,
    /// The key of the backup.
    pub key: String,
    /// `stored`: made, read back and checked. `already_done`: this key was there before. `planned`: a dry run. `failed`: what is there
    /// nevertheless, each disk's line says.
    pub status: BackupStatus,
    /// When the run began, UTC.
    pub started: Timestamp,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// One line per database and file set.
    pub sources: Vec<SourceReport>,
    /// One line per disk.
    pub disks: Vec<DiskReport>,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// What a person should know though the backup is whole.
    pub warnings: Vec<String>,
    /// Who was told, and whether that worked; a failing channel never changes the result.
    pub notifications: Vec<Delivery>,
}

/// How a backup run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupStatus {
    /// Made, read back and checked on every disk.
    Stored,
    /// The backup of this key was there already; nothing was done.
    AlreadyDone,
    /// A dry run: sources and disks were reached, nothing was written.
    Planned,
    /// It failed; each disk's line says what is there nevertheless.
    Failed,
}

/// One source's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Database name or file-set name.
    pub name: String,
    /// `PostgreSQL`, `MariaDB`, `MySQL`, `SQLite` or `files`.
    pub kind: String,
    /// Tables dumped, or files added.
    pub items: u64,
    /// Rows dumped; 0 for files.
    pub rows: u64,
    /// Bytes read from the source.
    pub raw_bytes: u64,
    /// Bytes of its entries in the archive.
    pub stored_bytes: u64,
    /// Milliseconds from the connection to the last byte.
    pub duration_ms: u64,
    /// Raw bytes per second.
    pub bytes_per_second: u64,
    /// Files that are not in the archive, or not as one would expect.
    pub problems: Vec<FileProblem>,
}

/// One disk's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskReport {
    /// The disk's name.
    pub disk: String,
    /// Bytes that the store confirmed; 0 where it failed.
    pub uploaded_bytes: u64,
    /// Parts of the upload.
    pub parts: u32,
    /// How it was proved: `tail`, `full`; `None` = not proved.
    pub verified: Option<String>,
    /// The checksum that the store confirmed.
    pub checksum: Option<String>,
    /// Until when the store shows it to be locked; `None` = it shows no lock.
    #[serde(default)]
    pub locked_until: Option<Timestamp>,
    /// What went wrong on this disk; `None` = nothing.
    pub error: Option<String>,
}

/// One message handed to one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// `mail` or `slack`.
    pub channel: String,
    /// What went wrong, without secrets; `None` = the channel took the message.
    pub error: Option<String>,
}

/// What cleanup decided and did on every disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CleanupReport {
    /// `BACKUP_NAME`.
    pub name: String,
    /// The moment for which the plan was made.
    pub now: Timestamp,
    /// True: nothing was deleted.
    pub dry_run: bool,
    /// One line per disk.
    pub disks: Vec<DiskCleanup>,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// Who was told, and whether that worked.
    pub notifications: Vec<Delivery>,
}

/// Cleanup of one disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DiskCleanup {
    /// The disk's name.
    pub disk: String,
    /// Every backup with what is to become of it and why, newest first.
    pub decisions: Vec<DecisionReport>,
    /// Keys that are not backups of ours; never touched.
    pub foreign: Vec<String>,
    /// Backups whose lock was set or extended, as far as the policy surely keeps them.
    #[serde(default)]
    pub locked: u64,
    /// Keys deleted.
    pub deleted: u64,
    /// Bytes of the deleted objects, freed or not.
    pub deleted_bytes: u64,
    /// Of these, the bytes that are gone.
    #[serde(default)]
    pub freed_bytes: u64,
    /// Of these, the bytes that are still stored, as old versions behind delete markers.
    #[serde(default)]
    pub pending_bytes: u64,
    /// When the store's own rules begin to remove those; `None` = nothing is pending, or no rule does, or nobody knows.
    #[serde(default)]
    pub pending_until: Option<Timestamp>,
    /// Bytes of what is kept.
    pub kept_bytes: u64,
    /// Uploads that were begun long ago, never completed, and aborted now.
    pub aborted_uploads: u64,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Deletes that were refused, with the store's words; each was tried once.
    pub refused: Vec<RefusedDelete>,
    /// Backups that were to be locked and could not be, with the store's words.
    #[serde(default)]
    pub not_locked: Vec<RefusedDelete>,
    /// What kept the disk from being cleaned at all; `None` = nothing.
    pub error: Option<String>,
}

/// One backup's fate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionReport {
    /// The backup's key.
    pub key: String,
    /// Its date.
    pub date: Timestamp,
    /// Bytes.
    pub size: u64,
    /// True: it stays.
    pub keep: bool,
    /// Why, in words.
    pub reason: String,
    /// True: the policy would delete it, and a lock or a hold keeps it.
    #[serde(default)]
    pub guarded: bool,
}

/// A delete, or a lock, that the store refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedDelete {
    /// The key.
    pub key: String,
    /// The store's words.
    pub error: String,
}

/// What monitor found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonitorReport {
    /// `BACKUP_NAME`.
    pub name: String,
    /// The moment of the check.
    pub now: Timestamp,
    /// True: every check of every disk passed.
    pub healthy: bool,
    /// One per disk.
    pub disks: Vec<DiskHealth>,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// Who was told, and whether that worked.
    pub notifications: Vec<Delivery>,
}

/// The health of one disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskHealth {
    /// The disk's name.
    pub disk: String,
    /// True: every check passed.
    pub healthy: bool,
    /// Backups found.
    pub backups: u64,
    /// Their bytes together.
    pub used_bytes: u64,
    /// Bytes that no listing shows: old versions, and uploads that were never completed. They count against the limit.
    #[serde(default)]
    pub hidden_bytes: u64,
    /// Date of the newest backup.
    pub newest: Option<Timestamp>,
    /// Size of the newest backup in hundredths of the median of those before it; `None` = too few to compare.
    pub newest_percent: Option<u64>,
    /// `BACKUP_MAX_STORAGE_MB` in bytes, where there is a limit.
    pub limit_bytes: Option<u64>,
    /// The last record of the audit trail before this run, to be kept outside of the vault.
    #[serde(default)]
    pub audit_head: Option<Head>,
    /// The parts of backups that were read for this report.
    #[serde(default)]
    pub samples: Vec<VerifiedBackup>,
    /// The last restore that was proven, whatever disk the drill read; `None` = there was none, or it cannot be read.
    #[serde(default)]
    pub last_drill: Option<ProvenRestore>,
    /// One per check that was made, passed or not.
    pub findings: Vec<FindingReport>,
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingReport {
    /// Stable name of the check: `reachable`, `max_age`, `max_storage`, `readable`, `audit`, …
    pub check: String,
    /// `ok`, `warning` or `unhealthy`.
    pub status: String,
    /// What was found, in words.
    pub message: String,
}

/// The backups of all disks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListReport {
    /// `BACKUP_NAME`.
    pub name: String,
    /// The moment from which ages are counted.
    pub now: Timestamp,
    /// One per disk.
    pub disks: Vec<DiskList>,
}

/// The backups of one disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskList {
    /// The disk's name.
    pub disk: String,
    /// Newest first.
    pub backups: Vec<BackupLine>,
    /// Keys under the name that are not backups of ours.
    pub foreign: Vec<String>,
    /// What kept the disk from being listed; `None` = nothing.
    pub error: Option<String>,
}

/// One backup in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupLine {
    /// Its key.
    pub key: String,
    /// Its date.
    pub date: Timestamp,
    /// Seconds from its date to now; negative when it lies in the future.
    pub age_seconds: i64,
    /// Bytes.
    pub size: u64,
    /// What is in it, from its manifest: database and file-set names; `None` = the manifest was not read.
    pub sources: Option<Vec<String>>,
    /// Whether every entry is encrypted with AES-256, as its central directory says; `None` = it was not read.
    pub encrypted: Option<bool>,
    /// `tail`: directory, index and manifest were read and authenticated for this list. `foreign`: another program wrote it,
    /// its directory was read. Else what is wrong.
    pub verified: String,
    /// What its last whole reading found, as noted beside it; `None` = nothing is noted.
    #[serde(default)]
    pub proof: Option<ProofReport>,
    /// How far it was read in slices; `None` = nothing is noted.
    #[serde(default)]
    pub slices: Option<SlicesReport>,
    /// What keeps it from being deleted; `None` = nothing, as far as could be seen.
    #[serde(default)]
    pub guard: Option<GuardReport>,
}

/// What the last whole reading of a backup found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofReport {
    /// True: every byte was read, and is what was written. False: it is damaged.
    pub whole: bool,
    /// When it was read whole last; when damage was found first.
    pub at: Timestamp,
}

impl From<Proof> for ProofReport {
    fn from(proof: Proof) -> Self {
        Self { whole: proof.verdict == Verdict::Whole, at: proof.at }
    }
}
