//! The recipes: what the doors call. Each reads like one; the steps stand in sibling files.

pub mod backup;
pub mod cleanup;
pub mod list;
pub mod monitor;
mod request;

pub use backup::backup;
pub use cleanup::cleanup;
pub use list::list;
pub use monitor::monitor;
pub use request::{Event, Only};

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::Error;
use crate::progress::Progress;

/// What a door knows of the moment: read once at its edge and passed down.
#[derive(Debug, Clone)]
pub struct Context {
    /// The wall clock when the run began.
    pub now: Timestamp,
    /// When the run must be over, abort and alert included; `None` = never.
    pub deadline: Option<Instant>,
    /// Counters that the door may show.
    pub progress: Arc<Progress>,
    /// Told when a person wants the run to end (Ctrl-C): it ends as at its deadline, with everything aborted.
    pub interrupt: Arc<Notify>,
}

/// An operation that failed, with as much of its report as there is.
#[derive(Debug)]
pub struct Failed<R> {
    /// What went wrong; the first thing, where several did.
    pub error: Error,
    /// What was nevertheless done, e.g. the disks that took the backup.
    pub report: Option<Box<R>>,
}

impl<R> From<Error> for Failed<R> {
    fn from(error: Error) -> Self {
        Self { error, report: None }
    }
}
