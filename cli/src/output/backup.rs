//! A backup's report as text.

use nightvault_core::report::{BackupReport, BackupStatus, SourceReport};

use super::human::{clean, count, duration, plural, size};
use super::table;

/// At most so many problems of a source are shown; the report has all of them.
const PROBLEMS_SHOWN: usize = 20;

pub(crate) fn text(report: &BackupReport) -> String {
    let took = duration(report.duration_ms);
    let key = clean(&report.key);
    let mut text = match report.status {
        BackupStatus::Stored | BackupStatus::Failed => match proved(report) {
            0 => format!("{key}: NOT stored; the run ended after {took}\n"),
            all if all == report.disks.len() => format!("{key}: {} stored in {took}\n", size(report.archive_bytes)),
            some => format!("{key}: stored on {some} of {} disks ALONE in {took}\n", report.disks.len()),
        },
        BackupStatus::AlreadyDone => format!("{key}: is there already; nothing was done\n"),
        BackupStatus::Planned => format!("{key}: dry run, nothing was written; everything was reached in {took}\n"),
    };
    if !report.sources.is_empty() {
        let header = ["SOURCE", "KIND", "ITEMS", "ROWS", "READ", "STORED", "TIME", "RATE"];
        text.push_str(&table::render(&header, &[2, 3, 4, 5, 6, 7], report.sources.iter().map(source)));
    }
    for source in &report.sources {
        text.push_str(&problems(source));
    }
    let written = matches!(report.status, BackupStatus::Stored | BackupStatus::Failed);
    for disk in &report.disks {
        let name = clean(&disk.disk);
        text.push_str(&match &disk.error {
            Some(error) => format!("  disk {name}: FAILED: {}\n", clean(error)),
            None if written && disk.verified.is_none() => {
                format!("  disk {name}: no backup that was read back and checked\n")
            }
            None if written && disk.parts == 0 => format!("  disk {name}: was there already\n"),
            None if written => format!(
                "  disk {name}: {} in {}, verified: {}{}{}\n",
                size(disk.uploaded_bytes),
                plural(disk.parts.into(), "part", "parts"),
                disk.verified.as_deref().unwrap_or("no"),
                disk.checksum.as_ref().map_or(String::new(), |sum| format!(", {}", clean(sum))),
                disk.locked_until.map_or(String::new(), |until| format!(", locked until {until:.0}")),
            ),
            None => format!("  disk {name}: reached\n"),
        });
    }
    for warning in &report.warnings {
        text.push_str(&format!("  warning: {}\n", clean(warning)));
    }
    text + &super::deliveries(&report.notifications)
}

/// On how many disks the backup was read back and checked.
fn proved(report: &BackupReport) -> usize {
    report.disks.iter().filter(|disk| disk.error.is_none() && disk.verified.is_some()).count()
}

fn source(it: &SourceReport) -> Vec<String> {
    let is_files = it.kind == "files";
    vec![
        clean(&it.name),
        clean(&it.kind),
        if is_files { plural(it.items, "file", "files") } else { plural(it.items, "table", "tables") },
        if is_files { "-".into() } else { count(it.rows) },
        size(it.raw_bytes),
        size(it.stored_bytes),
        duration(it.duration_ms),
        format!("{}/s", size(it.bytes_per_second)),
    ]
}

fn problems(source: &SourceReport) -> String {
    let mut text = String::new();
    for problem in source.problems.iter().take(PROBLEMS_SHOWN) {
        let kind = format!("{:?}", problem.kind).to_lowercase();
        let detail = if problem.detail.is_empty() { String::new() } else { format!(" ({})", clean(&problem.detail)) };
        text.push_str(&format!("  {}: {kind}: {}{detail}\n", clean(&source.name), clean(&problem.path)));
    }
    let rest = source.problems.len().saturating_sub(PROBLEMS_SHOWN);
    if rest > 0 {
        text.push_str(&format!("  {}: and {rest} more such files; --json shows all\n", clean(&source.name)));
    }
    text
}

#[cfg(test)]
mod tests {
    use nightvault_core::archive::manifest::{FileProblem, FileProblemKind};
    use nightvault_core::report::{Delivery, DiskReport};

    use super::*;

    fn a_report() -> BackupReport {
        let source = SourceReport {
            name: "clinic".into(),
            kind: "PostgreSQL".into(),
            items: 12,
            rows: 1_234_567,
            raw_bytes: 3 << 30,
            stored_bytes: 700 << 20,
            duration_ms: 61_000,
            bytes_per_second: 50 << 20,
            problems: Vec::new(),
        };
        let problem = FileProblem {
            path: "a\\nb.pdf".into(),
            kind: FileProblemKind::Unreadable,
            detail: "permission denied".into(),
        };
        let disk = |disk: &str, error: Option<&str>| DiskReport {
            disk: disk.into(),
            uploaded_bytes: if error.is_none() { 700 << 20 } else { 0 },
            parts: if error.is_none() { 88 } else { 0 },
            verified: error.is_none().then(|| "tail".into()),
            checksum: error.is_none().then(|| "crc64nvme:AbCd=".into()),
            locked_until: None,
            error: error.map(Into::into),
        };
        BackupReport {
            name: "clinic".into(),
            key: "clinic/2024-01-15-02-00-00.zip".into(),
            status: BackupStatus::Stored,
            started: "2024-01-15T02:00:00Z".parse().unwrap(),
            duration_ms: 75_000,
            sources: vec![
                source.clone(),
                SourceReport {
                    name: "docs".into(),
                    kind: "files".into(),
                    items: 1,
                    problems: vec![problem; 22],
                    ..source
                },
            ],
            disks: vec![disk("s3", None), disk("nas", Some("cannot write: disk full\u{7}"))],
            archive_bytes: 700 << 20,
            warnings: vec!["sequence s is not owned".into()],
            notifications: vec![Delivery { channel: "slack".into(), error: Some("timed out".into()) }],
        }
    }

    #[test]
    fn a_backup_is_told_by_source_and_disk() {
        let text = text(&a_report());
        for line in [
            "clinic/2024-01-15-02-00-00.zip: stored on 1 of 2 disks ALONE in 1 min 15 s\n",
            "  clinic  PostgreSQL  12 tables  1,234,567  3.0 GiB  700.0 MiB  1 min 1 s  50.0 MiB/s\n",
            "  docs: unreadable: a\\nb.pdf (permission denied)\n",
            "  docs: and 2 more such files; --json shows all\n",
            "  disk s3: 700.0 MiB in 88 parts, verified: tail, crc64nvme:AbCd=\n",
            "  disk nas: FAILED: cannot write: disk full\\u{7}\n",
            "  warning: sequence s is not owned\n",
            "  slack was not told: timed out\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_backup_is_called_stored_when_every_disk_has_it_proved() {
        let mut report = a_report();
        report.disks.truncate(1);
        assert!(text(&report).starts_with("clinic/2024-01-15-02-00-00.zip: 700.0 MiB stored in 1 min 15 s\n"));
        report.disks[0].verified = None;
        assert!(text(&report).starts_with("clinic/2024-01-15-02-00-00.zip: NOT stored; the run ended after"));
        assert!(text(&report).contains("disk s3: no backup that was read back and checked\n"));
    }

    #[test]
    fn nothing_is_called_stored_that_was_not() {
        for status in [BackupStatus::Planned, BackupStatus::AlreadyDone] {
            let mut report = a_report();
            report.status = status;
            report.disks.truncate(1);
            let first = text(&report).lines().next().unwrap().to_owned();
            assert!(!first.contains("stored in") && first.contains("nothing was"), "{first}");
            assert!(text(&report).contains("disk s3: reached"));
        }
    }
}
