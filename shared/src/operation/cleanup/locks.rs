//! Locks follow the plan: what the policy surely keeps is locked for as long, and a lock only ever grows.

use jiff::Timestamp;

use crate::config::Config;
use crate::report::{DiskCleanup, RefusedDelete};
use crate::retention::{self, Candidate, Plan};
use crate::store::{Lock, Store};
use crate::{Error, Result};

/// Locks every backup that the plan keeps until the date until which the policy surely keeps it. What is locked for
/// longer stays so.
///
/// # Errors
/// The first backup that could not be locked; the others were tried.
pub(super) async fn extend(
    plan: &Plan,
    candidates: &[Candidate],
    store: &dyn Store,
    config: &Config,
    now: Timestamp,
    report: &mut DiskCleanup,
) -> Result<()> {
    let Some(mode) = config.object_lock else { return Ok(()) };
    let mut failed: Option<Error> = None;
    for (key, until) in due(plan, candidates, config, now) {
        match store.lock(key, Lock { mode, until }).await {
            Ok(Some(_)) => report.locked += 1,
            // A directory has no locks; a bucket that has none is refused where backups are made.
            Ok(None) => return Ok(()),
            Err(error) => {
                report.not_locked.push(RefusedDelete { key: key.to_owned(), error: error.chain() });
                failed = failed.or(Some(error));
            }
        }
    }
    match failed {
        None => Ok(()),
        Some(error) => Err(error.context(format!("{} backups could not be locked", report.not_locked.len()))),
    }
}

/// The backups whose lock ends before the policy's promise does.
fn due<'a>(plan: &'a Plan, candidates: &[Candidate], config: &Config, now: Timestamp) -> Vec<(&'a str, Timestamp)> {
    let mut due = Vec::new();
    for decision in plan.decisions.iter().filter(|decision| decision.keep) {
        let others: Vec<Timestamp> =
            candidates.iter().filter(|other| other.key != decision.key).map(|other| other.date).collect();
        let Some(until) = retention::kept_until(decision.date, &others, &config.retention, now, &config.timezone)
        else {
            continue;
        };
        let lock = candidates.iter().find(|candidate| candidate.key == decision.key).and_then(|it| it.guard.lock);
        if lock.is_none_or(|lock| lock.until < until) {
            due.push((decision.key.as_str(), until));
        }
    }
    due
}
