//! Where every operation ends: its record in the audit trail, word to people, its figures, its event in the log, in this order.
//!
//! A record that cannot be written changes nothing of what was done, and is never passed over: a report that is a success
//! carries it as a warning, a failure in its hint, and the log as an error. So people are told with the rest, and the
//! record itself says nothing of the messages that went out after it. A plan (`dry_run`) changes nothing and is no record.
//! A process that is killed ends nowhere; that its backup has no record is for monitor to tell. An event that is refused
//! before its operation begins is recorded too ([`refused`]); a configuration that is wrong is not, since it says where.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;

use crate::audit::{self, NewRecord, Place};
use crate::environment::Environment;
use crate::metrics::{self, Measure};
use crate::operation::{Context, Failed, invocation};
use crate::report::{
    BackupReport, BackupStatus, CleanupReport, Delivery, ExtractReport, RestoreReport, TenantReport, VerifyReport,
};
use crate::store::Store;
use crate::{Class, Error, Result, notify};

/// How long all disks together may take for their records: within the time that is left at a deadline for the abort, the
/// alert and the answer.
const RECORD_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of an error's message in a record, at most.
const MESSAGE_BYTES: usize = 16 << 10;

/// What an operation came to.
pub(super) type Outcome<R> = Result<R, Failed<R>>;

/// What the end of an operation asks of its report.
pub(super) trait Report: Serialize + Sized {
    /// The operation's name in records and logs.
    const OPERATION: &'static str;

    /// A success that was not recorded on `disk`: adds `warning` to the report, or makes something else of it.
    fn not_recorded(self, disk: &str, warning: String) -> Outcome<Self>;

    /// What people are told; `None` = nothing.
    fn news(_outcome: &Outcome<Self>) -> Option<notify::Event<'_>> {
        None
    }

    /// Figures for CloudWatch; `took` and `left` say how much of its time the operation used.
    fn figures(_outcome: &Outcome<Self>, _took: Duration, _left: Option<Duration>) -> Vec<Measure> {
        Vec::new()
    }

    /// Takes what became of the messages.
    fn told(&mut self, _deliveries: Vec<Delivery>) {}
}

/// How an operation is to end.
pub(super) struct End<'a> {
    /// The disks that were asked for; empty = all.
    pub(super) disks: &'a [String],
    /// Whether nothing was to be changed.
    pub(super) planned: bool,
    /// Whether people are told.
    pub(super) notify: bool,
    /// When the operation began.
    pub(super) begun: Instant,
}

/// Ends an operation and returns what it came to.
pub(super) async fn end<R: Report>(
    environment: &Environment,
    context: &Context,
    end: End<'_>,
    mut outcome: Outcome<R>,
) -> Outcome<R> {
    if !end.planned {
        for (disk, error) in record(environment, context, end.disks, &outcome).await {
            tracing::error!(operation = R::OPERATION, disk, error = error.chain(), "an operation was not recorded");
            outcome = not_recorded(outcome, &disk, &error);
        }
    }
    if end.notify
        && let Some(news) = R::news(&outcome)
    {
        let deliveries = notify::send(environment, &news).await;
        match &mut outcome {
            Ok(report) => report.told(deliveries),
            Err(Failed { report: Some(report), .. }) => report.told(deliveries),
            Err(_) => {}
        }
    }
    if environment.config().metrics && !end.planned {
        let left = context.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let figures = R::figures(&outcome, end.begun.elapsed(), left);
        metrics::write(&environment.config().name, R::OPERATION, context.now, &figures);
    }
    log(&outcome);
    outcome
}

/// The one event of an operation that carries its whole report, for log queries and alarms.
fn log<R: Report>(outcome: &Outcome<R>) {
    let operation = R::OPERATION;
    let (report, error) = parts(outcome);
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

/// The report, where there is one, and the error, where there is one.
pub(super) fn parts<R>(outcome: &Outcome<R>) -> (Option<&R>, Option<&Error>) {
    match outcome {
        Ok(report) => (Some(report), None),
        Err(failed) => (failed.report.as_deref(), Some(&failed.error)),
    }
}

/// Writes the record into the trail of every disk of the operation. Returns the disks that did not take it.
async fn record<R: Report>(
    environment: &Environment,
    context: &Context,
    disks: &[String],
    outcome: &Outcome<R>,
) -> Vec<(String, Error)> {
    let stores = stores(environment.stores(), disks);
    match new(environment, context, outcome) {
        Ok(new) => append(environment, &stores, new).await,
        Err(error) => vec![(stores.iter().map(|it| it.disk()).collect::<Vec<_>>().join(", "), error)],
    }
}

/// Records that an event was refused before `operation` began, on every disk: which of them were meant, nobody knows.
/// Returns the error, whose hint says where it was not recorded.
pub(super) async fn refused(environment: &Environment, context: &Context, operation: &str, mut error: Error) -> Error {
    let new = NewRecord {
        at: context.now,
        operation: operation.to_owned(),
        error: Some(failure(&error)),
        trigger: context.trigger.clone(),
        configuration: audit::configuration(environment.config()),
        report: Value::Null,
    };
    for (disk, unwritten) in append(environment, environment.stores(), new).await {
        tracing::error!(operation, disk, error = unwritten.chain(), "an operation was not recorded");
        error = with_hint(error, &disk, &unwritten);
    }
    error
}

/// Appends a record to the trail of each of these. Returns those that did not take it.
async fn append(environment: &Environment, stores: &[Arc<dyn Store>], new: NewRecord) -> Vec<(String, Error)> {
    let place = Place::new(&environment.config().name);
    let appended = join_all(stores.iter().map(async |store| {
        let appending = tokio::time::timeout(RECORD_TIMEOUT, audit::append(&**store, &place, new.clone()));
        let appended = appending.await.unwrap_or_else(|_| {
            Err(Error::new(
                Class::Transient,
                format!("the store did not take it within {} s", RECORD_TIMEOUT.as_secs()),
            ))
        });
        appended.err().map(|error| (store.disk().to_owned(), error))
    }));
    appended.await.into_iter().flatten().collect()
}

/// The disks of an operation: those that were asked for, of those that take backups; all of these, when none is one.
fn stores(all: &[Arc<dyn Store>], asked: &[String]) -> Vec<Arc<dyn Store>> {
    let asked: Vec<_> = all.iter().filter(|store| asked.iter().any(|name| name == store.disk())).cloned().collect();
    if asked.is_empty() { all.to_vec() } else { asked }
}

fn new<R: Report>(environment: &Environment, context: &Context, outcome: &Outcome<R>) -> Result<NewRecord> {
    let (report, error) = parts(outcome);
    let mut report = report.map_or(Ok(Value::Null), invocation::small)?;
    if let Value::Object(fields) = &mut report {
        // Nobody was told yet.
        fields.remove("notifications");
    }
    Ok(NewRecord {
        at: context.now,
        operation: R::OPERATION.to_owned(),
        error: error.map(failure),
        trigger: context.trigger.clone(),
        configuration: audit::configuration(environment.config()),
        report,
    })
}

/// What a record says of an error.
fn failure(error: &Error) -> audit::Failure {
    let mut message = error.chain();
    invocation::cut(&mut message, MESSAGE_BYTES);
    audit::Failure { class: error.class().error_type().to_owned(), message }
}

fn not_recorded<R: Report>(outcome: Outcome<R>, disk: &str, unwritten: &Error) -> Outcome<R> {
    match outcome {
        Ok(report) => report.not_recorded(disk, warning(disk, unwritten)),
        Err(Failed { error, report }) => Err(Failed { error: with_hint(error, disk, unwritten), report }),
    }
}

fn warning(disk: &str, unwritten: &Error) -> String {
    format!("not recorded in the audit trail of disk {disk}: {}", unwritten.chain())
}

/// A failure that was not recorded itself, and says so.
fn with_hint(error: Error, disk: &str, unwritten: &Error) -> Error {
    let warning = warning(disk, unwritten);
    let hint = match error.hint_text() {
        Some(hint) => format!("{hint} This failure was {warning}."),
        None => format!("This failure was {warning}."),
    };
    error.hint(hint)
}

impl Report for BackupReport {
    const OPERATION: &'static str = "backup";

    /// The backup is stored all the same.
    fn not_recorded(mut self, _: &str, warning: String) -> Outcome<Self> {
        self.warnings.push(warning);
        Ok(self)
    }

    /// A repeated event changes nothing, so it tells nobody.
    fn news(outcome: &Outcome<Self>) -> Option<notify::Event<'_>> {
        match outcome {
            Ok(report) if report.status != BackupStatus::Stored => None,
            Ok(report) => Some(notify::Event::BackupSucceeded(report)),
            Err(failed) => Some(notify::Event::BackupFailed(&failed.error, failed.report.as_deref())),
        }
    }

    fn figures(outcome: &Outcome<Self>, took: Duration, left: Option<Duration>) -> Vec<Measure> {
        metrics::of(parts(outcome).0, outcome.is_ok(), took, left)
    }

    fn told(&mut self, deliveries: Vec<Delivery>) {
        self.notifications = deliveries;
    }
}

impl Report for CleanupReport {
    const OPERATION: &'static str = "cleanup";

    fn not_recorded(mut self, disk: &str, warning: String) -> Outcome<Self> {
        if let Some(on) = self.disks.iter_mut().find(|on| on.disk == disk) {
            on.warnings.push(warning);
        }
        Ok(self)
    }

    fn news(outcome: &Outcome<Self>) -> Option<notify::Event<'_>> {
        Some(match outcome {
            Ok(report) => notify::Event::CleanupSucceeded(report),
            Err(failed) => notify::Event::CleanupFailed(&failed.error, failed.report.as_deref()),
        })
    }

    fn figures(outcome: &Outcome<Self>, took: Duration, left: Option<Duration>) -> Vec<Measure> {
        metrics::of(parts(outcome).0, outcome.is_ok(), took, left)
    }

    fn told(&mut self, deliveries: Vec<Delivery>) {
        self.notifications = deliveries;
    }
}

impl Report for VerifyReport {
    const OPERATION: &'static str = "verify";

    fn not_recorded(mut self, _: &str, warning: String) -> Outcome<Self> {
        self.warnings.push(warning);
        Ok(self)
    }
}

impl Report for ExtractReport {
    const OPERATION: &'static str = "extract";

    fn not_recorded(mut self, _: &str, warning: String) -> Outcome<Self> {
        self.warnings.push(warning);
        Ok(self)
    }
}

impl Report for RestoreReport {
    const OPERATION: &'static str = "restore";

    fn not_recorded(mut self, _: &str, warning: String) -> Outcome<Self> {
        self.warnings.push(warning);
        Ok(self)
    }
}

impl Report for TenantReport {
    const OPERATION: &'static str = "tenant";

    fn not_recorded(mut self, _: &str, warning: String) -> Outcome<Self> {
        self.warnings.push(warning);
        Ok(self)
    }
}
