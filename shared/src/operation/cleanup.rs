//! The cleanup recipe: list, plan, show, delete exactly the planned keys, tell.
//!
//! The same plan feeds the report, the dry run and the deletes. A delete that is refused is told and not tried again. When
//! the newest backup is so old that backups must have been failing for long, nothing at all is deleted: the old ones are
//! all there is.

mod locks;

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::catalog;
use crate::environment::Environment;
use crate::operation::backup::pick;
use crate::operation::end::End;
use crate::operation::{Context, Event, Failed};
use crate::report::{CleanupReport, DecisionReport, DiskCleanup, RefusedDelete};
use crate::retention::{self, Candidate, Plan};
use crate::store::{Removed, Store};
use crate::{Class, Error, Result};

/// An upload that was begun this long ago is nobody's any more: a function lives for 15 minutes, and the longest run by
/// hand is given a day.
const STALE_UPLOAD_AGE: SignedDuration = SignedDuration::from_hours(24);

/// Thins out the backups of every disk by the retention policy and tells whoever wants to know.
///
/// # Errors
/// The first disk that could not be cleaned, or the first delete that was refused; the report says what was done.
pub async fn cleanup(
    environment: &Environment,
    event: &Event,
    context: &Context,
) -> Result<CleanupReport, Failed<CleanupReport>> {
    let begun = Instant::now();
    let outcome = run(environment, event, context, begun).await;
    let end = End { disks: &event.disks, planned: event.only_plans(), notify: event.wants_notifications(), begun };
    super::end::end(environment, context, end, outcome).await
}

async fn run(
    environment: &Environment,
    event: &Event,
    context: &Context,
    begun: Instant,
) -> Result<CleanupReport, Failed<CleanupReport>> {
    let stores = pick(environment.stores(), &event.disks, |store| store.disk().to_owned(), "disk")?;
    let now = event.at.unwrap_or(context.now);
    let dry_run = event.only_plans();
    let cleaned = join_all(stores.iter().map(|store| clean_disk(environment, store, now, dry_run, context))).await;

    let mut first_error = None;
    let mut disks = Vec::new();
    for (disk, error) in cleaned {
        first_error = first_error.or(error.map(|error| error.context(format!("disk {}", disk.disk))));
        disks.push(disk);
    }
    let report = CleanupReport {
        name: environment.config().name.clone(),
        now,
        dry_run,
        disks,
        duration_ms: super::elapsed_ms(begun),
        notifications: Vec::new(),
    };
    match first_error {
        None => Ok(report),
        Some(error) => Err(Failed { error, report: Some(Box::new(report)) }),
    }
}

/// Cleans one disk; what was done before an error stays in its report.
async fn clean_disk(
    environment: &Environment,
    store: &Arc<dyn Store>,
    now: Timestamp,
    dry_run: bool,
    context: &Context,
) -> (DiskCleanup, Option<Error>) {
    let mut report = DiskCleanup { disk: store.disk().to_owned(), ..DiskCleanup::default() };
    let result: Result<()> = async {
        let (plan, candidates) = context.unless_stopped(plan_disk(environment, &**store, now, &mut report)).await?;
        if dry_run {
            return Ok(());
        }
        // What stays is made safe before anything goes.
        let locked = locks::extend(&plan, &candidates, &**store, environment.config(), now, &mut report);
        context.unless_stopped(locked).await?;
        refuse_while_backups_fail(&plan, now, environment)?;
        refuse_while_the_newest_is_damaged(&plan)?;
        let versions = environment.config().delete_versions;
        context.unless_stopped(apply(&plan, &**store, versions, now, &mut report)).await?;
        let folder = format!("{}/", environment.config().name);
        context.unless_stopped(tell_what_is_pending(&**store, &folder, now, &mut report)).await?;
        let stale = store.abort_stale(&folder, now - STALE_UPLOAD_AGE);
        report.aborted_uploads = context.unless_stopped(stale).await?;
        Ok(())
    }
    .await;
    if !dry_run {
        // What was planned away and is still there, for whatever reason, is kept.
        let all: u64 = report.decisions.iter().map(|decision| decision.size).sum();
        report.kept_bytes = all.saturating_sub(report.deleted_bytes);
    }
    let error = match result {
        Err(error) => {
            report.error = Some(error.chain());
            Some(error)
        }
        Ok(()) => report.refused.first().map(|refused| {
            Error::new(Class::Permission, format!("{} deletes were refused, the first of {}", report.refused.len(), refused.key))
                .because(refused.error.clone())
                .hint("The role of cleanup needs s3:DeleteObject on the backups (s3:DeleteObjectVersion with BACKUP_DELETE_VERSIONS); a backup under Object Lock stays until its date.")
        }),
    };
    (report, error)
}

async fn plan_disk(
    environment: &Environment,
    store: &dyn Store,
    now: Timestamp,
    report: &mut DiskCleanup,
) -> Result<(Plan, Vec<Candidate>)> {
    let config = environment.config();
    let catalog = catalog::read(store, &config.name, &config.filename_prefix, &config.timezone).await?;
    let proofs = catalog::proofs(store, &catalog.backups).await.map_err(|error| {
        error.context("nothing is deleted as long as nobody can tell which backups were verified whole")
    })?;
    let guards = catalog::guards(store, &catalog.backups).await.map_err(|error| {
        error.context("nothing is deleted as long as nobody can tell which backups are locked or held")
    })?;
    let known = proofs.into_iter().zip(guards);
    let candidate = |(backup, (proof, guard))| Candidate::from(backup).with_proof(proof).with_guard(guard);
    let candidates: Vec<Candidate> = catalog.backups.iter().zip(known).map(candidate).collect();
    let plan = retention::plan(&candidates, &config.retention, now, &config.timezone);
    report.decisions = plan.decisions.iter().map(DecisionReport::from).collect();
    report.kept_bytes = plan.keep_bytes();
    report.foreign = catalog.foreign.into_iter().map(|object| object.key).collect();
    report.warnings.clone_from(&plan.warnings);
    Ok((plan, candidates))
}

/// Deletes exactly the planned keys, the oldest first, each once. One that somebody has held since the plan was made stays.
async fn apply(plan: &Plan, store: &dyn Store, versions: bool, now: Timestamp, report: &mut DiskCleanup) -> Result<()> {
    for decision in plan.deletions() {
        let deleted = async {
            if store.guard(&decision.key).await?.keeps(now) {
                let message = format!("{:?} was locked or held since the plan was made", decision.key);
                return Err(Error::new(Class::Permission, message));
            }
            store.remove(&decision.key, versions).await
        };
        match deleted.await {
            Ok(removed) => {
                report.deleted += 1;
                report.deleted_bytes += decision.size;
                match removed {
                    Removed::Freed => report.freed_bytes += decision.size,
                    Removed::Hidden => report.pending_bytes += decision.size,
                }
            }
            Err(error) => {
                report.refused.push(RefusedDelete { key: decision.key.clone(), error: error.chain() });
            }
        }
    }
    Ok(())
}

/// Says when what was deleted and is still stored becomes free.
async fn tell_what_is_pending(store: &dyn Store, folder: &str, now: Timestamp, report: &mut DiskCleanup) -> Result<()> {
    if report.pending_bytes == 0 {
        return Ok(());
    }
    match store.forgets(folder, now).await {
        Ok(Some(until)) => report.pending_until = Some(until),
        Ok(None) => report.warnings.push(format!(
            "{} bytes of deleted backups stay as old versions, and no lifecycle rule of the bucket removes them: add one for \
             noncurrent versions, or set BACKUP_DELETE_VERSIONS",
            report.pending_bytes
        )),
        Err(error) => report.warnings.push(format!(
            "{} bytes of deleted backups stay as old versions; when they become free is not known: {}",
            report.pending_bytes,
            error.chain()
        )),
    }
    Ok(())
}

/// While the newest backup of which anything is known is damaged, the older ones may be all there is.
fn refuse_while_the_newest_is_damaged(plan: &Plan) -> Result<()> {
    let Some(damaged) = &plan.held_by else { return Ok(()) };
    Err(Error::new(Class::Unhealthy, format!("nothing is deleted while {damaged} is known to be damaged")).hint(
        "Make a new backup and verify it (`nightvault run`, then `nightvault verify`); cleanup goes on after that.",
    ))
}

/// When no backup was made for longer than all backups are kept, something is broken, and the old ones are what is left.
fn refuse_while_backups_fail(plan: &Plan, now: Timestamp, environment: &Environment) -> Result<()> {
    let config = environment.config();
    let limit_days = i64::from(config.retention.keep_all_days.max(config.health.max_age_days).max(7));
    let newest = plan.decisions.iter().map(|decision| decision.date).filter(|date| *date <= now).max();
    let deletes = plan.decisions.iter().any(|decision| !decision.keep);
    match newest {
        Some(newest) if deletes && now.duration_since(newest) > SignedDuration::from_hours(24 * limit_days) => {
            Err(Error::new(
                Class::Unhealthy,
                format!("nothing is deleted while backups are failing: the newest is of {newest}"),
            )
            .hint("Mend the backup first; `nightvault cleanup --dry-run` shows what would go once there is a new one."))
        }
        _ => Ok(()),
    }
}
