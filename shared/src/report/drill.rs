//! What a drill proved.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The result of restoring a backup for proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillReport {
    /// The key of the backup.
    pub key: String,
    /// The disk that it was read from.
    pub disk: String,
    /// The backup's date.
    pub date: Timestamp,
    /// `proven`: every database of the backup was restored and is what its manifest says. `proven_in_part`: so is each that was
    /// restored, and `not_restored` names another. `failed`: one is not.
    pub result: DrillResult,
    /// When the drill began, UTC.
    pub started: Timestamp,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// Bytes that the store was asked for.
    pub bytes_read: u64,
    /// Bytes of the dumps that were restored.
    pub raw_bytes: u64,
    /// One per database that was restored or should have been.
    pub databases: Vec<DrilledDatabase>,
    /// What of the backup was not restored, and why.
    pub not_restored: Vec<String>,
    /// What the drill made and could not remove.
    pub left_behind: Vec<String>,
    /// Why the result is not noted beside the backup or in the audit trail; empty = it is.
    pub not_recorded: Vec<String>,
}

/// How a drill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillResult {
    /// It was restored, and is what the manifest says.
    Proven,
    /// What was restored is what the manifest says, and a database of the backup was not restored.
    ProvenInPart,
    /// It could not be restored, or is not what the manifest says.
    Failed,
}

/// One database of a drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrilledDatabase {
    /// Its name in the backup.
    pub name: String,
    /// `PostgreSQL`, `MariaDB`, `MySQL` or `SQLite`.
    pub engine: String,
    /// The version of the server that was backed up.
    pub source_version: String,
    /// The version that took the restore; `None` = it came not so far.
    pub version: Option<String>,
    /// Where it was restored, without a password.
    pub place: String,
    /// Whether it is proven.
    pub result: DrillResult,
    /// What kept it from being restored or compared; `None` = nothing.
    pub error: Option<String>,
    /// Tables that were compared.
    pub tables: u64,
    /// Rows that the restored database holds.
    pub rows: u64,
    /// Tables whose rows were dumped again and are, byte for byte, those of the backup.
    pub identical_tables: u64,
    /// Bytes of the dump.
    pub raw_bytes: u64,
    /// Milliseconds of the restore.
    pub restore_ms: u64,
    /// Milliseconds of dumping it again and comparing.
    pub compare_ms: u64,
    /// Each difference between the restored database and the manifest.
    pub differences: Vec<String>,
    /// What differs and may, because another version of the server took the restore.
    pub not_comparable: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// A restore that was proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenRestore {
    /// The key of the backup, which may be gone by now.
    pub key: String,
    /// When.
    pub at: Timestamp,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// Bytes of the dumps that were restored.
    pub raw_bytes: u64,
    /// Not every database of the backup was restored.
    #[serde(default)]
    pub in_part: bool,
}
