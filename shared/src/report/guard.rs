//! What keeps a backup from being deleted, as reports tell it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::read_hold;
use crate::store::{Guard, HeldBy};

/// Lock and hold of one backup on one disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardReport {
    /// Until when the store lets nobody delete it; `None` = it is not locked now.
    pub locked_until: Option<Timestamp>,
    /// `governance` or `compliance`, when it is locked.
    pub lock_mode: Option<String>,
    /// Whether it is held until somebody releases it.
    pub held: bool,
    /// `legal_hold`: the store lets nobody delete it. `mark`: our cleanup alone heeds it.
    pub held_by: Option<String>,
    /// Since when it is held, as far as was written down.
    pub held_since: Option<Timestamp>,
    /// Why it is held, as far as was written down.
    pub hold_reason: Option<String>,
}

impl GuardReport {
    /// What keeps a backup at `now`; `None` = nothing does.
    pub(crate) fn of(guard: &Guard, now: Timestamp) -> Option<Self> {
        if !guard.keeps(now) {
            return None;
        }
        let text = guard.hold.as_ref().map(read_hold).unwrap_or_default();
        let locked_until = guard.locked_until(now);
        Some(Self {
            locked_until,
            lock_mode: guard.lock.filter(|_| locked_until.is_some()).map(|lock| lock.mode.to_string()),
            held: guard.hold.is_some(),
            held_by: guard.hold.as_ref().map(|hold| match hold.by {
                HeldBy::LegalHold => "legal_hold".to_owned(),
                HeldBy::Mark => "mark".to_owned(),
            }),
            held_since: text.since,
            hold_reason: text.reason,
        })
    }
}

/// What hold or release did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReport {
    /// `BACKUP_NAME`.
    pub name: String,
    /// The moment of the call.
    pub now: Timestamp,
    /// The backup's key.
    pub key: String,
    /// One per disk that has the backup.
    pub disks: Vec<DiskHold>,
    /// What a person should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One disk's part in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskHold {
    /// The disk's name.
    pub disk: String,
    /// What keeps the backup there now, read back from the store; `None` = nothing, or it failed.
    pub guard: Option<GuardReport>,
    /// What went wrong on this disk; `None` = nothing.
    pub error: Option<String>,
}
