//! The recipes: what the doors call. Each reads like one; the steps stand in sibling files.

mod backup;
mod cleanup;
mod extract;
mod find;
mod foreign;
pub mod invocation;
mod list;
mod monitor;
mod request;
mod restore;
mod show;
mod verify;

pub use backup::backup;
pub use cleanup::cleanup;
pub use extract::{Extraction, extract};
pub use find::Wanted;
pub use list::list;
pub use monitor::monitor;
pub use request::{Event, Only};
pub use restore::{FilesRequest, RestoreRequest, TableRequest, restore};
pub use show::show;
pub use verify::verify;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::environment::Environment;
use crate::metrics::{self, Measured};
use crate::progress::Progress;
use crate::{Class, Error, Result};

/// What a door knows of the moment: read once at its edge and passed down.
#[derive(Debug, Clone)]
pub struct Context {
    /// The wall clock when the run began.
    pub now: Timestamp,
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

/// The one event of an operation that carries its whole report, for log queries and alarms.
fn log_outcome<R: Serialize>(operation: &str, outcome: &Result<R, Failed<R>>) {
    let (report, error) = match outcome {
        Ok(report) => (Some(report), None),
        Err(failed) => (failed.report.as_deref(), Some(&failed.error)),
    };
    let report = report.and_then(|report| serde_json::to_string(report).ok());
    match error {
        None => tracing::info!(operation, outcome = "success", report, "{operation} done"),
        Some(error) => tracing::error!(
            operation,
            outcome = "failure",
            error_type = error.class().error_type(),
            error = error.chain(),
            hint = error.hint_text(),
            report,
            "{operation} failed"
        ),
    }
}

/// The figures of an operation for CloudWatch, where they are wanted.
fn measure_outcome<R: Measured>(
    operation: &str,
    outcome: &Result<R, Failed<R>>,
    environment: &Environment,
    context: &Context,
    begun: Instant,
) {
    if !environment.config().metrics {
        return;
    }
    let report = match outcome {
        Ok(report) => Some(report),
        Err(failed) => failed.report.as_deref(),
    };
    let left = context.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let measures = metrics::of(report, outcome.is_ok(), begun.elapsed(), left);
    metrics::write(&environment.config().name, operation, context.now, &measures);
}

/// Milliseconds since `begun`.
fn elapsed_ms(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
