//! The recipes: what the doors call. Each reads like one; the steps stand in sibling files.

mod audit;
mod backup;
mod cleanup;
mod drill;
mod end;
mod extract;
mod find;
mod foreign;
mod hold;
pub mod invocation;
mod list;
mod monitor;
mod request;
mod restore;
mod show;
mod tenant;
mod verify;

pub use audit::{AuditRequest, audit};
pub use backup::backup;
pub use cleanup::cleanup;
pub use drill::{DrillPlace, DrillRequest, drill};
pub use extract::{Extraction, extract};
pub use find::Wanted;
pub use hold::{hold, release};
pub use list::list;
pub use monitor::monitor;
pub use request::{Event, Only};
pub use restore::{FilesRequest, RestoreRequest, TableRequest, restore};
pub use show::show;
pub use tenant::{PlanRequest, TenantRequest, plan as tenants_plan, tenant};
pub use verify::verify;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::audit::Trigger;
use crate::progress::Progress;
use crate::{Class, Error, Result};

/// What a door knows of the moment: read once at its edge and passed down.
#[derive(Debug, Clone)]
pub struct Context {
    /// The wall clock when the run began.
    pub now: Timestamp,
    /// What set the run off, for the audit trail.
    pub trigger: Trigger,
    /// When the run must be over, abort and alert included; `None` = never.
    pub deadline: Option<Instant>,
    /// Counters that the door may show.
    pub progress: Arc<Progress>,
    /// Cancelled when a person wants the run to end (Ctrl-C): it ends as at its deadline, with everything aborted.
    pub interrupt: CancellationToken,
}

impl Context {
    /// Runs `work` unless the deadline comes or a person interrupts first; what is then dropped must be undone by the
    /// caller.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        // The steps' own types are nested too deep for the compiler to lay out in one piece.
        let work: Pin<Box<dyn Future<Output = Result<T>> + '_>> = Box::pin(work);
        tokio::select! {
            biased;
            stopped = self.stopped() => Err(stopped),
            result = work => result,
        }
    }

    /// Waits until the run must end, and says why.
    async fn stopped(&self) -> Error {
        let deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.interrupt.cancelled() => Error::new(Class::Deadline, "the run was interrupted"),
            () = deadline => {
                let current = self.progress.snapshot().current;
                Error::new(Class::Deadline, format!("the time ran out while working on {current}")).hint(
                    "Give the function more memory (processors come with it) or a longer timeout, or run `nightvault run` \
                     where nothing limits it, such as Fargate.",
                )
            }
        }
    }
}

/// Waits for `work` on a thread that looks at `stop`, which is set when the run must end; the reason is then the error.
async fn until_stopped<T>(
    work: impl Future<Output = Result<(T, u64, Result<()>)>>,
    stop: &AtomicBool,
    context: &Context,
) -> Result<(T, u64, Result<()>)> {
    tokio::pin!(work);
    let (done, stopped) = tokio::select! {
        done = &mut work => (done, None),
        error = context.stopped() => {
            stop.store(true, Ordering::Relaxed);
            (work.await, Some(error))
        }
    };
    let (work, bytes_read, result) = done?;
    let result = match (result, stopped) {
        (Err(_), Some(stopped)) => Err(stopped),
        (result, _) => result,
    };
    Ok((work, bytes_read, result))
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

/// Milliseconds since `begun`.
fn elapsed_ms(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
