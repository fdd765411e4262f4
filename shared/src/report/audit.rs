//! What reading the audit trails found.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::audit::{Finding, Head, Record};

/// The audit trails of all disks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditReport {
    /// `BACKUP_NAME`.
    pub name: String,
    /// When it was read, UTC.
    pub now: Timestamp,
    /// True: every trail was read to its end, and nothing is wrong with it.
    pub whole: bool,
    /// One per disk.
    pub disks: Vec<DiskTrail>,
}

/// The audit trail of one disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskTrail {
    /// The disk's name.
    pub disk: String,
    /// Records that were read.
    pub records: u64,
    /// The last of them.
    pub head: Option<Head>,
    /// What is wrong; nothing, when the trail is whole.
    pub findings: Vec<Finding>,
    /// The records that were asked for, the oldest first.
    pub shown: Vec<Record>,
    /// What kept the trail from being read to its end; `None` = nothing.
    pub error: Option<String>,
}
