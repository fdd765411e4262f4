//! What the six events say, as pure functions.
//!
//! The words claim what was proved and no more: a backup is *stored and read back* only where the report says how it was
//! read back; *deleted* is what the store confirmed. Messages are made from typed fields alone.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::Event;
use super::page::Page;
use super::words::{bytes, clean, count, duration, time};
use crate::archive::manifest::FileProblemKind;
use crate::error::Error;
use crate::report::{
    BackupReport, BackupStatus, CleanupReport, DiskCleanup, DiskHealth, DiskReport, MonitorReport, SourceReport,
};

/// One message, as each channel wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Subject of the mail: one line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML that loads nothing.
    pub html: String,
    /// The payload of a Slack incoming webhook.
    pub slack: Value,
}

/// Renders `event` for the backups called `name`, with times in UTC and in `zone`.
pub fn render(event: &Event<'_>, name: &str, zone: &TimeZone) -> Message {
    match event {
        Event::BackupSucceeded(report) => {
            let mut page = Page::new(proved(report), name, backup_headline(report));
            backup_body(&mut page, report, zone);
            page
        }
        Event::BackupFailed(error, report) => {
            let mut page = failure(name, "backup FAILED", error);
            if let Some(report) = report {
                backup_body(&mut page, report, zone);
            }
            page
        }
        Event::CleanupSucceeded(report) => {
            let mut page = Page::new(true, name, &cleanup_headline(report));
            cleanup_body(&mut page, report, zone);
            page
        }
        Event::CleanupFailed(error, report) => {
            let mut page = failure(name, "cleanup FAILED", error);
            if let Some(report) = report {
                cleanup_body(&mut page, report, zone);
            }
            page
        }
        Event::Healthy(report) => {
            let warnings = findings(report, "warning");
            let headline = match warnings {
                0 => "backups are healthy".to_owned(),
                _ => format!("backups are healthy, with {}", count(warnings, "warning", "warnings")),
            };
            let mut page = Page::new(true, name, &headline);
            monitor_body(&mut page, report, zone);
            page
        }
        Event::Unhealthy(report) => {
            let sick = report.disks.iter().filter(|disk| !disk.healthy).map(|disk| short(&disk.disk));
            let headline = format!("backups are UNHEALTHY on {}", sick.collect::<Vec<_>>().join(", "));
            let mut page = Page::new(false, name, &headline);
            monitor_body(&mut page, report, zone);
            page
        }
    }
    .message()
}

fn failure(name: &str, headline: &str, error: &Error) -> Page {
    let mut page = Page::new(false, name, &format!("{headline} ({})", error.class().error_type()));
    page.fact("Error", error.chain());
    if let Some(hint) = error.hint_text() {
        page.fact("What to do", hint);
    }
    page
}

/// Whether every disk of a stored backup was read back.
fn proved(report: &BackupReport) -> bool {
    report.status != BackupStatus::Stored
        || report.disks.iter().all(|disk| disk.error.is_none() && disk.verified.is_some())
}

fn backup_headline(report: &BackupReport) -> &'static str {
    match report.status {
        BackupStatus::Stored if proved(report) => "backup stored and read back",
        BackupStatus::Stored => "backup stored, but NOT read back on every disk",
        BackupStatus::AlreadyDone => "this backup was there already, nothing was done",
        BackupStatus::Planned => "dry run of a backup, nothing was written",
        BackupStatus::Failed => "backup FAILED",
    }
}

fn backup_body(page: &mut Page, report: &BackupReport, zone: &TimeZone) {
    page.fact("Backup", &report.key);
    page.fact("Started", time(report.started, zone));
    page.fact("Took", duration(report.duration_ms));
    if report.archive_bytes > 0 {
        page.fact("Archive", bytes(report.archive_bytes));
    }
    page.section("Disks", report.disks.iter().map(|disk| disk_line(report.status, disk)));
    page.section("Sources", report.sources.iter().map(source_line));
    let problems = report.sources.iter().flat_map(|source| {
        source.problems.iter().map(move |problem| {
            let kind = match problem.kind {
                FileProblemKind::Unreadable => "not in the archive, unreadable",
                FileProblemKind::Vanished => "not in the archive, vanished",
                FileProblemKind::Changed => "a mixture, changed while it was read",
                FileProblemKind::Special => "not in the archive, no regular file",
            };
            format!("{}: {}: {kind}: {}", short(&source.name), clean(&problem.path, 300), short(&problem.detail))
        })
    });
    page.section("Files that are missing or not as one would expect", problems);
    page.section("Warnings", report.warnings.iter().cloned());
}

fn disk_line(status: BackupStatus, report: &DiskReport) -> String {
    let disk = short(&report.disk);
    if let Some(error) = &report.error {
        return format!("{disk}: FAILED: {error}");
    }
    let proof = match report.verified.as_deref() {
        Some("tail") => "its end was read back (directory, index and manifest)".to_owned(),
        Some("full") => "every byte was read back".to_owned(),
        Some(other) => format!("read back: {}", short(other)),
        None => "NOT read back".to_owned(),
    };
    match status {
        BackupStatus::Planned => format!("{disk}: reached"),
        BackupStatus::AlreadyDone if report.verified.is_none() => format!("{disk}: nothing was done"),
        BackupStatus::AlreadyDone => format!("{disk}: {proof}"),
        BackupStatus::Failed if report.verified.is_none() => format!("{disk}: nothing of this run is there"),
        BackupStatus::Stored | BackupStatus::Failed if report.parts == 0 && report.verified.is_some() => {
            format!("{disk}: it was there already, {proof}")
        }
        BackupStatus::Stored | BackupStatus::Failed => {
            let checksum =
                report.checksum.as_deref().map(|sum| format!(", checksum {}", short(sum))).unwrap_or_default();
            let parts = count(u64::from(report.parts), "part", "parts");
            format!("{disk}: {} in {parts}, {proof}{checksum}", bytes(report.uploaded_bytes))
        }
    }
}

fn source_line(source: &SourceReport) -> String {
    let items = match source.kind.as_str() {
        "files" => count(source.items, "file", "files"),
        _ => format!("{}, {}", count(source.items, "table", "tables"), count(source.rows, "row", "rows")),
    };
    format!(
        "{} ({}): {items}, {} read, {} in the archive, {}, {}/s",
        short(&source.name),
        short(&source.kind),
        bytes(source.raw_bytes),
        bytes(source.stored_bytes),
        duration(source.duration_ms),
        bytes(source.bytes_per_second)
    )
}

fn cleanup_headline(report: &CleanupReport) -> String {
    if report.dry_run {
        return "dry run of a cleanup, nothing was deleted".into();
    }
    let deleted: u64 = report.disks.iter().map(|disk| disk.deleted).sum();
    let refused: u64 = report.disks.iter().map(|disk| disk.refused.len() as u64).sum();
    match refused {
        0 => format!("cleanup done, {} deleted", count(deleted, "backup", "backups")),
        _ => format!("cleanup done, {} deleted, {refused} refused", count(deleted, "backup", "backups")),
    }
}

fn cleanup_body(page: &mut Page, report: &CleanupReport, zone: &TimeZone) {
    page.fact(if report.dry_run { "Planned for" } else { "Run at" }, time(report.now, zone));
    page.fact("Took", duration(report.duration_ms));
    page.section("Disks", report.disks.iter().map(|disk| cleanup_line(disk, report.dry_run)));
    // What went wrong on any disk comes before what went as planned, so that it is read and never cut off.
    for disk in &report.disks {
        let name = short(&disk.disk);
        let refused = disk.refused.iter().map(|refused| format!("{}: {}", clean(&refused.key, 200), refused.error));
        page.section(format!("Refused deletes on {name}"), refused);
        let not_locked = disk.not_locked.iter().map(|it| format!("{}: {}", clean(&it.key, 200), it.error));
        page.section(format!("Not locked on {name}"), not_locked);
        page.section(format!("Warnings on {name}"), disk.warnings.iter().cloned());
    }
    for disk in &report.disks {
        let name = short(&disk.disk);
        let due: Vec<_> = disk.decisions.iter().filter(|decision| !decision.keep).collect();
        let title = match (report.dry_run, disk.deleted == due.len() as u64) {
            (true, _) => format!("Would be deleted on {name}"),
            (false, true) => format!("Deleted on {name}"),
            (false, false) => format!("Due to be deleted on {name}, of which {} went", disk.deleted),
        };
        page.section(title, due.iter().map(|decision| format!("{}: {}", clean(&decision.key, 200), decision.reason)));
        let guarded = disk.decisions.iter().filter(|decision| decision.guarded);
        let guarded = guarded.map(|decision| format!("{}: {}", clean(&decision.key, 200), decision.reason));
        page.section(format!("Kept on {name} by a lock or a hold"), guarded);
        page.section(format!("Foreign objects on {name}, left alone"), disk.foreign.iter().map(|key| clean(key, 200)));
    }
}

fn cleanup_line(report: &DiskCleanup, dry_run: bool) -> String {
    let disk = short(&report.disk);
    if let Some(error) = &report.error {
        return format!("{disk}: FAILED: {error}");
    }
    let stay = report.decisions.iter().filter(|decision| decision.keep).count() as u64;
    let mut line = format!("{disk}: {} to keep ({})", count(stay, "backup", "backups"), bytes(report.kept_bytes));
    if !dry_run {
        line += &format!(", {} deleted ({})", report.deleted, bytes(report.deleted_bytes));
        if report.pending_bytes > 0 {
            let when = report.pending_until.map_or("at no known date".to_owned(), |until| format!("from {until:.0}"));
            line += &format!(", of which {} become free {when}", bytes(report.pending_bytes));
        }
    }
    if report.aborted_uploads > 0 {
        line += &format!(", {} aborted", count(report.aborted_uploads, "stale upload", "stale uploads"));
    }
    line
}

fn findings(report: &MonitorReport, status: &str) -> u64 {
    report.disks.iter().flat_map(|disk| &disk.findings).filter(|finding| finding.status == status).count() as u64
}

fn monitor_body(page: &mut Page, report: &MonitorReport, zone: &TimeZone) {
    page.fact("Checked", time(report.now, zone));
    page.fact("Took", duration(report.duration_ms));
    page.section("Disks", report.disks.iter().map(|disk| health_line(disk, zone)));
    for disk in &report.disks {
        // What did not pass comes first, so that it is read and never cut off.
        let mut findings: Vec<_> = disk.findings.iter().collect();
        findings.sort_by_key(|finding| match finding.status.as_str() {
            "ok" => 2,
            "warning" => 1,
            _ => 0,
        });
        let line = |finding: &&crate::report::FindingReport| {
            let status = if finding.status == "ok" { "ok".into() } else { finding.status.to_uppercase() };
            format!("{status} {}: {}", finding.check, finding.message)
        };
        page.section(format!("Checks of {}", short(&disk.disk)), findings.iter().map(line));
    }
}

fn health_line(report: &DiskHealth, zone: &TimeZone) -> String {
    let state = if report.healthy { "healthy" } else { "UNHEALTHY" };
    let newest = report.newest.map(|newest| format!(", newest {}", time(newest, zone))).unwrap_or_default();
    format!(
        "{}: {state}, {}, {}{newest}",
        short(&report.disk),
        count(report.backups, "backup", "backups"),
        bytes(report.used_bytes)
    )
}

/// A name from outside, short enough not to push the figures behind it out of its line.
fn short(name: &str) -> String {
    clean(name, 100)
}
