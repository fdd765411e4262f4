//! The hold and release recipes: a backup that must stay, whatever the policy says, and the end of that.
//!
//! The backup is found on the first disk that has it, and held on every disk that has the same key. Where the store
//! itself holds (S3 legal hold) nobody can delete it; elsewhere a mark beside it keeps our cleanup away, and nobody else.
//! The report says which. After each call the guard is read again: what is reported is what the store then says.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::catalog::{self, Selector};
use crate::environment::Environment;
use crate::operation::backup::pick;
use crate::operation::end::{End, Report};
use crate::operation::find::{Wanted, find};
use crate::operation::{Context, Failed};
use crate::report::{DiskHold, GuardReport, HoldReport};
use crate::store::Store;
use crate::{Class, Error, Result};

/// Holds one backup on every disk that has it, until [`release`].
///
/// # Errors
/// The backup is nowhere, the reason does not fit, or the first disk on which it could not be held.
pub async fn hold(
    environment: &Environment,
    wanted: &Wanted,
    reason: &str,
    context: &Context,
) -> Result<HoldReport, Failed<HoldReport>> {
    let text = catalog::hold_text(reason, context.now)?;
    let begun = Instant::now();
    let outcome = everywhere(environment, wanted, context, Some(&text)).await;
    let end = End { disks: &wanted.disks, planned: false, notify: false, begun };
    super::end::end(environment, context, end, outcome).await
}

/// Ends the hold on one backup on every disk that has it. A lock stays until its date.
///
/// # Errors
/// The backup is nowhere, or the first disk on which it could not be released.
pub async fn release(
    environment: &Environment,
    wanted: &Wanted,
    context: &Context,
) -> Result<HoldReport, Failed<HoldReport>> {
    let begun = Instant::now();
    let outcome = everywhere(environment, wanted, context, None).await.map(Released);
    let outcome = outcome.map_err(|failed| Failed {
        error: failed.error,
        report: failed.report.map(|report| Box::new(Released(*report))),
    });
    let end = End { disks: &wanted.disks, planned: false, notify: false, begun };
    let outcome = super::end::end(environment, context, end, outcome).await;
    outcome
        .map(|Released(report)| report)
        .map_err(|failed| Failed { error: failed.error, report: failed.report.map(|report| Box::new(report.0)) })
}

/// The report of a release, which has its own name in the audit trail.
#[derive(Serialize)]
#[serde(transparent)]
struct Released(HoldReport);

impl Report for HoldReport {
    const OPERATION: &'static str = "hold";

    fn not_recorded(mut self, _: &str, warning: String) -> Result<Self, Failed<Self>> {
        self.warnings.push(warning);
        Ok(self)
    }
}

impl Report for Released {
    const OPERATION: &'static str = "release";

    fn not_recorded(mut self, _: &str, warning: String) -> Result<Self, Failed<Self>> {
        self.0.warnings.push(warning);
        Ok(self)
    }
}

async fn everywhere(
    environment: &Environment,
    wanted: &Wanted,
    context: &Context,
    text: Option<&str>,
) -> Result<HoldReport, Failed<HoldReport>> {
    if let Selector::Path(path) = &wanted.backup {
        return Err(Failed::from(
            Error::configuration(format!("{path:?} is the path of a file, and nothing keeps such a file"))
                .hint("Name a backup of a configured disk, by its key or its date as `nightvault list` shows them."),
        ));
    }
    let (_, backup) = context.unless_stopped(find(environment, wanted, context)).await?;
    let key = backup.object.key;
    let mut report = HoldReport {
        name: environment.config().name.clone(),
        now: context.now,
        key: key.clone(),
        disks: Vec::new(),
        warnings: Vec::new(),
    };
    let mut first_error = None;
    for store in pick(environment.stores(), &wanted.disks, |store| store.disk().to_owned(), "disk")? {
        let (disk, error) = on_one(&store, &key, text, context).await;
        report.disks.extend(disk);
        first_error = first_error.or(error.map(|error| error.context(format!("disk {}", store.disk()))));
    }
    match first_error {
        // It was there when it was looked for.
        None if report.disks.is_empty() => {
            let gone = Error::new(Class::NotFound, format!("{key} is gone from every disk"));
            Err(Failed::from(gone.hint("Run `nightvault list`, and name a backup that is there.")))
        }
        None => Ok(report),
        Some(error) => Err(Failed { error, report: Some(Box::new(report)) }),
    }
}

/// `None`: this disk does not have the backup.
async fn on_one(
    store: &Arc<dyn Store>,
    key: &str,
    text: Option<&str>,
    context: &Context,
) -> (Option<DiskHold>, Option<Error>) {
    let work = async {
        if store.head(key).await?.is_none() {
            return Ok(None);
        }
        match text {
            Some(text) => {
                if store.hold(key, text).await?.is_none() {
                    return Err(Error::new(Class::Unsupported, "this store has no place for a hold").hint(
                        "It has neither legal holds nor object tags; copy the backup to where cleanup does not reach.",
                    ));
                }
            }
            None => store.release(key).await?,
        }
        let guard = store.guard(key).await?;
        if guard.hold.is_some() != text.is_some() {
            let still = if text.is_some() { "not held after it was" } else { "still held after it was released" };
            return Err(Error::corrupt(format!("the store says that {key:?} is {still}")));
        }
        Ok(Some(guard))
    };
    let disk = store.disk().to_owned();
    match context.unless_stopped(work).await {
        Ok(None) => (None, None),
        Ok(Some(guard)) => (Some(DiskHold { disk, guard: GuardReport::of(&guard, context.now), error: None }), None),
        Err(error) => (Some(DiskHold { disk, guard: None, error: Some(error.chain()) }), Some(error)),
    }
}
