//! What a door may ask for. The same for the three functions and the command line; every field is optional.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The event of all three functions. Unknown fields are refused, so that a mistyped `dry_run` never deletes anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Event {
    /// Backup: only the databases, or only the files.
    pub only: Option<Only>,
    /// Backup: only the databases of these names; empty = all. A name that is not configured is an error.
    pub databases: Vec<String>,
    /// Only these of the configured disks; empty = all. A name that is not configured is an error.
    pub disks: Vec<String>,
    /// Backup: reach everything, write nothing. Cleanup: plan, delete nothing.
    pub dry_run: bool,
    /// Whether notifications are sent; absent = yes.
    pub notify: Option<bool>,
    /// The time for which the run was scheduled. The backup's key is made from it, so that a repeated event meets its
    /// own key and does nothing twice. Absent = now.
    pub scheduled_time: Option<Timestamp>,
    /// Cleanup: plan as of this moment (implies `dry_run`).
    pub at: Option<Timestamp>,
}

impl Event {
    /// Whether people are told of the outcome: yes, unless the event says no or nothing is done anyway.
    pub(crate) fn wants_notifications(&self) -> bool {
        self.notify.unwrap_or(true) && !self.only_plans()
    }

    /// Whether nothing may be changed.
    pub(crate) fn only_plans(&self) -> bool {
        self.dry_run || self.at.is_some()
    }
}

/// Half of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Only {
    /// Databases, no files.
    Databases,
    /// Files, no databases.
    Files,
}
