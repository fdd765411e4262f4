//! What the restore of one tenant, and the plan of all tenants, say of themselves.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The result of `restore --tenant`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TenantReport {
    /// The key of the backup.
    pub key: String,
    /// The disk that it was read from.
    pub disk: String,
    /// What came of it.
    pub status: TenantStatus,
    /// When the run began, UTC.
    pub started: Timestamp,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// Bytes that the store was asked for.
    pub bytes_read: u64,
    /// The database of the backup.
    pub database: String,
    /// Where the rows go, without a password.
    pub target: String,
    /// The tenant column of the map.
    pub column: String,
    /// The tenant.
    pub tenant: String,
    /// The tables that hold the tenant's rows, parents first.
    pub tables: Vec<TenantTable>,
    /// What stands against it; nothing was changed when there is any.
    pub conflicts: Vec<TenantConflict>,
    /// Sequences that were moved on.
    pub counters: Vec<MovedCounter>,
    /// The folder of an export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exported_to: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// How the restore of a tenant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// The plan was made; nothing was changed.
    Planned,
    /// The tenant's rows are those of the backup, and it is committed.
    Restored,
    /// There are conflicts; nothing was changed.
    Refused,
    /// The tenant's rows of the backup were written to a folder; the database was not changed.
    Exported,
}

/// One table of the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantTable {
    /// Its name, as the map has it.
    pub name: String,
    /// `tenant` or `by path`.
    pub class: String,
    /// How its rows are found.
    pub found: String,
    /// The tenant's rows in the backup.
    pub backup_rows: u64,
    /// The tenant's rows in the database before; not asked for by an export, as the figures below.
    pub live_rows: u64,
    /// Rows that are only in the backup.
    pub insert: u64,
    /// Rows that are otherwise in the backup.
    pub update: u64,
    /// Rows that are only in the database.
    pub delete: u64,
    /// Conflicts of this table.
    pub conflicts: u64,
}

/// Rows that stand against the restore, of one kind in one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantConflict {
    /// The table.
    pub table: String,
    /// What is the matter, in words.
    pub what: String,
    /// How many rows.
    pub rows: u64,
    /// The first of them, by their keys.
    pub keys: Vec<String>,
}

/// A sequence that was behind the rows that came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedCounter {
    /// The sequence.
    pub name: String,
    /// The number that would have come next.
    pub from: i64,
    /// The number that comes next.
    pub to: i64,
}

/// The result of `tenants plan`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TenantsReport {
    /// The database that was looked at.
    pub target: String,
    /// The map file.
    pub map: String,
    /// The tenant column.
    pub column: String,
    /// Whether the file was written; false when nothing was to be added.
    pub written: bool,
    /// Every table.
    pub tables: Vec<ClassedTable>,
    /// What must be decided or corrected before a tenant can be restored.
    pub open: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// One table and its class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassedTable {
    /// Its name, as the map has it.
    pub name: String,
    /// `tenant`, `by path`, `shared`, `excluded` or `unclassed`.
    pub class: String,
    /// How its rows are found, or would be.
    pub found: String,
    /// Whether the entry was added now.
    pub added: bool,
}
