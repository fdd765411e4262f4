//! What cleanup decided and did, as text.

use nightvault_core::report::{CleanupReport, DiskCleanup};

use super::human::{clean, plural, size};
use super::table;

pub(crate) fn text(report: &CleanupReport) -> String {
    let mut text = String::new();
    if report.dry_run {
        text.push_str(&format!("plan as of {:.0}; nothing was deleted\n", report.now));
    }
    for disk in &report.disks {
        text.push_str(&one(disk, report.dry_run));
    }
    text + &super::deliveries(&report.notifications)
}

fn one(disk: &DiskCleanup, dry_run: bool) -> String {
    let name = clean(&disk.disk);
    let mut text = if dry_run {
        let (kept, doomed): (Vec<_>, Vec<_>) = disk.decisions.iter().partition(|decision| decision.keep);
        let sum = |of: &[&nightvault_core::report::DecisionReport]| of.iter().map(|it| it.size).sum();
        format!(
            "disk {name}: would delete {} ({}) and keep {} ({})\n",
            plural(doomed.len() as u64, "backup", "backups"),
            size(sum(&doomed)),
            kept.len(),
            size(sum(&kept)),
        )
    } else {
        let deleted = plural(disk.deleted, "backup", "backups");
        format!("disk {name}: deleted {deleted} ({}), kept {}\n", size(disk.deleted_bytes), size(disk.kept_bytes))
    };
    if !disk.decisions.is_empty() {
        let rows = disk.decisions.iter().map(|decision| {
            let fate = if decision.keep { "keep" } else { "delete" };
            vec![clean(&decision.key), size(decision.size), fate.to_owned(), clean(&decision.reason)]
        });
        text.push_str(&table::render(&["BACKUP", "SIZE", "FATE", "REASON"], &[1], rows));
    }
    for key in &disk.foreign {
        text.push_str(&format!("  not ours, never touched: {}\n", clean(key)));
    }
    if disk.aborted_uploads > 0 {
        let uploads = plural(disk.aborted_uploads, "upload", "uploads");
        text.push_str(&format!("  aborted {uploads} begun long ago and never completed\n"));
    }
    for refused in &disk.refused {
        text.push_str(&format!("  NOT DELETED: {}: {}\n", clean(&refused.key), clean(&refused.error)));
    }
    for warning in &disk.warnings {
        text.push_str(&format!("  warning: {}\n", clean(warning)));
    }
    if let Some(error) = &disk.error {
        text.push_str(&format!("  FAILED: {}\n", clean(error)));
    }
    text
}

#[cfg(test)]
mod tests {
    use nightvault_core::report::{DecisionReport, RefusedDelete};

    use super::*;

    fn a_report(dry_run: bool) -> CleanupReport {
        let decision = |key: &str, keep, reason: &str| DecisionReport {
            key: key.into(),
            date: "2024-01-15T02:00:00Z".parse().unwrap(),
            size: 1 << 20,
            keep,
            reason: reason.into(),
        };
        CleanupReport {
            name: "clinic".into(),
            now: "2024-03-01T00:00:00Z".parse().unwrap(),
            dry_run,
            disks: vec![DiskCleanup {
                disk: "s3".into(),
                decisions: vec![
                    decision("clinic/b.zip", true, "newest"),
                    decision("clinic/a.zip", false, "older than 7 days"),
                ],
                foreign: vec!["clinic/x\u{1b}".into()],
                deleted: if dry_run { 0 } else { 1 },
                deleted_bytes: if dry_run { 0 } else { 1 << 20 },
                kept_bytes: 1 << 20,
                aborted_uploads: 1,
                warnings: vec!["one lies in the future".into()],
                refused: vec![RefusedDelete { key: "clinic/c.zip".into(), error: "locked".into() }],
                error: None,
            }],
            duration_ms: 5,
            notifications: Vec::new(),
        }
    }

    #[test]
    fn a_plan_says_what_it_would_do_and_why() {
        assert_eq!(
            text(&a_report(true)),
            "plan as of 2024-03-01T00:00:00Z; nothing was deleted\n\
             disk s3: would delete 1 backup (1.0 MiB) and keep 1 (1.0 MiB)\n\
             \x20 BACKUP           SIZE  FATE    REASON\n\
             \x20 clinic/b.zip  1.0 MiB  keep    newest\n\
             \x20 clinic/a.zip  1.0 MiB  delete  older than 7 days\n\
             \x20 not ours, never touched: clinic/x\\u{1b}\n\
             \x20 aborted 1 upload begun long ago and never completed\n\
             \x20 NOT DELETED: clinic/c.zip: locked\n\
             \x20 warning: one lies in the future\n"
        );
    }

    #[test]
    fn a_cleanup_says_what_was_deleted() {
        assert!(text(&a_report(false)).starts_with("disk s3: deleted 1 backup (1.0 MiB), kept 1.0 MiB\n"));
    }
}
