//! The backup recipe: choose, check, dump through the archive into every disk, complete, read back, tell.
//!
//! - Any source that cannot be read whole fails the run and nothing is stored: a backup without one of its databases would
//!   look like last night's backup and not be it.
//! - A disk that fails is named and fails the run; the other disks still get the whole backup.
//! - `stored` is said only after the object was read back from every disk and agreed with what was written.
//! - At the deadline, or when a person interrupts, every upload is aborted and the run fails.

mod dump;
mod fanout;
mod lock;
mod proof;
mod selection;

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use self::dump::Dumped;
use self::fanout::{FanOut, Making};
use self::selection::Selection;
pub(super) use self::selection::pick;
use crate::archive::manifest::FileProblemKind;
use crate::archive::{ArchiveOptions, ArchiveSummary, ArchiveWriter};
use crate::catalog::BackupKey;
use crate::environment::Environment;
use crate::operation::end::End;
use crate::operation::{Context, Event, Failed};
use crate::report::{BackupReport, BackupStatus, SourceReport};
use crate::secret::Secret;
use crate::{Class, Error, Result};

/// How far in the future a scheduled time may lie before it is taken for a mistake: a clock's honest error.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(15);

/// Makes one backup and tells whoever wants to know.
///
/// # Errors
/// The first thing that went wrong, with as much of the report as there is: which disks hold a backup nevertheless.
pub async fn backup(
    environment: &Environment,
    event: &Event,
    context: &Context,
) -> Result<BackupReport, Failed<BackupReport>> {
    let begun = Instant::now();
    let mut outcome = run(environment, event, context).await;

    let duration_ms = super::elapsed_ms(begun);
    match &mut outcome {
        Ok(report) => report.duration_ms = duration_ms,
        Err(Failed { report: Some(report), .. }) => report.duration_ms = duration_ms,
        Err(_) => {}
    }

    let end = End { disks: &event.disks, planned: event.only_plans(), notify: event.wants_notifications(), begun };
    super::end::end(environment, context, end, outcome).await
}

async fn run(
    environment: &Environment,
    event: &Event,
    context: &Context,
) -> Result<BackupReport, Failed<BackupReport>> {
    let config = environment.config();
    let date = key_date(event, context)?;
    let key = BackupKey::new(&config.name, &config.filename_prefix, date, &config.timezone).path();
    let mut report = empty_report(&config.name, &key, context.now);

    // Until the first byte is written there is nothing to undo: a stop simply ends the preparation.
    let password = context.unless_stopped(environment.archive_password()).await?;
    let mut selection = context.unless_stopped(Selection::make(environment, event)).await?;
    let making = Making { key: key.clone(), date, sources: selection.names(), password: password.clone() };
    let reach = FanOut::reach(&selection.stores, making, config, context);
    let mut lanes = context.unless_stopped(reach).await?;
    if lanes.is_empty() {
        return conclude(report, lanes);
    }
    let reached = async {
        match dump::check(&selection, config).await {
            // A secret may have been rotated between its fetch and the login: what it holds now gets one try.
            Err(error) if error.class() == Class::Permission => match selection.rotated(environment, event).await {
                Some(newer) => {
                    dump::check(&newer, config).await?;
                    selection = newer;
                    Ok(())
                }
                None => Err(error),
            },
            checked => checked,
        }
    };
    context.unless_stopped(reached).await?;

    if event.dry_run {
        report.status = BackupStatus::Planned;
        report.sources = selection.planned();
        return conclude(report, lanes);
    }

    // From here on every way out completes or aborts every upload.
    context.progress.set_current("opening uploads");
    let written = context
        .unless_stopped(async {
            lanes.open(dump::estimate(&selection).await).await?;
            write_archive(environment, &selection, &password, (&key, date), context, &mut lanes).await
        })
        .await;
    let (summary, sources) = match written {
        Ok(written) => written,
        Err(error) => {
            lanes.abort().await;
            report.status = BackupStatus::Failed;
            report.disks = lanes.into_outcome().0;
            return Err(Failed { error, report: Some(Box::new(report)) });
        }
    };
    report.archive_bytes = summary.bytes;
    report.warnings = warnings(&summary, &sources);
    report.sources = sources;

    // Make it visible, then read it back; a disk that fails in either is named.
    context.progress.set_current("completing");
    lanes.complete(summary.bytes).await;
    context.progress.set_current("reading back");
    proof::prove(&mut lanes, &summary, &password, config, context).await;

    conclude(report, lanes)
}

/// The report with what became of every disk; a failure when any disk or file is missing.
fn conclude(mut report: BackupReport, lanes: FanOut) -> Result<BackupReport, Failed<BackupReport>> {
    if report.status != BackupStatus::Planned {
        report.status = if lanes.any_stored() { BackupStatus::Stored } else { BackupStatus::AlreadyDone };
    }
    report.warnings.extend(lanes.warnings());
    let (disks, failed) = lanes.into_outcome();
    report.disks = disks;
    match failed.or_else(|| unreadable_files(&report.sources)) {
        None => Ok(report),
        Some(error) => {
            report.status = BackupStatus::Failed;
            Err(Failed { error, report: Some(Box::new(report)) })
        }
    }
}

/// The sources through the archive into the lanes.
async fn write_archive(
    environment: &Environment,
    selection: &Selection,
    password: &Secret,
    (key, date): (&str, Timestamp),
    context: &Context,
    lanes: &mut FanOut,
) -> Result<(ArchiveSummary, Vec<SourceReport>)> {
    let config = environment.config();
    let options =
        ArchiveOptions { compression: config.compression, workers: config.workers, max_entries: config.max_files };
    let begun = Instant::now();
    let mut archive = ArchiveWriter::new(lanes, password, &options)?;
    let Dumped { databases, files, sources } = dump::write(selection, config, context, &mut archive).await?;
    let manifest = dump::manifest(config, key, date, context.now, begun.elapsed(), databases, files);
    Ok((archive.finish(manifest).await?, sources))
}

/// The moment that the key stands for: the scheduled time, so that a repeated event meets its own key; else now.
fn key_date(event: &Event, context: &Context) -> Result<Timestamp> {
    let Some(scheduled) = event.scheduled_time else { return Ok(context.now) };
    if scheduled > context.now + CLOCK_TOLERANCE {
        return Err(Error::configuration(format!(
            "scheduled_time {scheduled} lies in the future (it is {} now)",
            context.now
        ))
        .hint("Leave scheduled_time out to back up now; a backup dated in the future would hide all others as the newest."));
    }
    Ok(scheduled)
}

fn empty_report(name: &str, key: &str, started: Timestamp) -> BackupReport {
    BackupReport {
        name: name.to_owned(),
        key: key.to_owned(),
        status: BackupStatus::Stored,
        started,
        duration_ms: 0,
        sources: Vec::new(),
        disks: Vec::new(),
        archive_bytes: 0,
        warnings: Vec::new(),
        notifications: Vec::new(),
    }
}

/// Files that should be in the backup and are not: the run is no success, though what it stored is whole otherwise.
fn unreadable_files(sources: &[SourceReport]) -> Option<Error> {
    let missing: Vec<&str> = sources
        .iter()
        .flat_map(|source| &source.problems)
        .filter(|problem| problem.kind == FileProblemKind::Unreadable)
        .map(|problem| problem.path.as_str())
        .collect();
    let first = missing.first()?;
    Some(
        Error::new(
            Class::Permission,
            format!("{} of the files could not be read and are not in the backup, the first is {first}", missing.len()),
        )
        .hint("The backup is stored without them. Give the backup's user read permission, or leave them out with BACKUP_FILES_EXCLUDE."),
    )
}

/// What a person should know of a whole backup.
fn warnings(summary: &ArchiveSummary, sources: &[SourceReport]) -> Vec<String> {
    let of_databases = summary
        .manifest
        .databases
        .iter()
        .flat_map(|database| database.warnings.iter().map(|warning| format!("{}: {warning}", database.name)));
    let of_files = sources.iter().flat_map(|source| {
        source.problems.iter().map(|problem| format!("{}: {} {}", source.name, problem.path, words(problem.kind)))
    });
    of_databases.chain(of_files).collect()
}

fn words(kind: FileProblemKind) -> &'static str {
    match kind {
        FileProblemKind::Unreadable => "could not be read",
        FileProblemKind::Vanished => "vanished before it could be read",
        FileProblemKind::Changed => "changed while it was read",
        FileProblemKind::Special => "is no regular file and was left out",
    }
}
