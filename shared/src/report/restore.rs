//! What a restore says of itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LeftOut;

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoreReport {
    /// The key of the backup.
    pub key: String,
    /// The disk that it was read from.
    pub disk: String,
    /// `restored`: everything is there. `planned`: a dry run, every check passed.
    pub status: RestoreStatus,
    /// When the run began, UTC.
    pub started: Timestamp,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// Bytes that the store was asked for, those of a second reading too.
    pub bytes_read: u64,
    /// The database that was restored.
    pub database: Option<RestoredDatabase>,
    /// The files that were restored; `None` = none were asked for, or they are not there.
    #[serde(default)]
    pub files: Option<RestoredFiles>,
    /// What a person should know though everything is there.
    pub warnings: Vec<String>,
}

/// How a restore ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreStatus {
    /// Everything is there.
    Restored,
    /// A dry run: every byte was checked and the target looked at, nothing was executed.
    Planned,
}

/// A database that was restored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoredDatabase {
    /// Its name in the backup.
    pub name: String,
    /// `PostgreSQL`, `MariaDB`, `MySQL` or `SQLite`.
    pub engine: String,
    /// Where it went, without a password.
    pub target: String,
    /// Whether all of it was asked for, or single tables.
    pub whole: bool,
    /// Connections that loaded at the same time, at most.
    pub jobs: usize,
    /// What was made besides the tables that were asked for: schemas, types, parents. In a dry run, what would be.
    pub along: Vec<String>,
    /// SQL that puts it in the place of the live database, where the engine has no rename for that; comments in it say what
    /// it does not move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub swap: Vec<String>,
    /// Rows that were restored; in a dry run of a whole database, those of the backup.
    pub rows: u64,
    /// Bytes of the dump, or of the sections of the tables that were asked for.
    pub raw_bytes: u64,
    /// Statements that were executed.
    pub statements: u64,
    /// Milliseconds of loading, the checks before it not counted.
    pub duration_ms: u64,
    /// The tables that were loaded, in the order of the dump; in a dry run of single tables, those that would be.
    pub tables: Vec<RestoredTable>,
}

/// A table that was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredTable {
    /// The schema, where the engine has such a thing.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
    /// Its name at the target, where that is another one.
    pub renamed: Option<String>,
    /// Rows.
    pub rows: u64,
    /// Bytes of its rows in the dump.
    pub bytes: u64,
    /// Milliseconds of loading its rows.
    pub duration_ms: u64,
}

/// Files that were restored; in a dry run, that would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredFiles {
    /// The file sets.
    pub sets: Vec<String>,
    /// The folder.
    pub target: String,
    /// Files, whole and authenticated.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Bytes of the files' contents.
    pub raw_bytes: u64,
    /// Bytes that the store was asked for on their account; they are part of the report's own figure.
    #[serde(default)]
    pub bytes_read: u64,
    /// What was not made, and why: links that could lead out of the folder.
    pub left_out: Vec<LeftOut>,
    /// Milliseconds from the first file to the name of the folder, a database between them counted in.
    pub duration_ms: u64,
}
