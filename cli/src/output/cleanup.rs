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
        let mut line =
            format!("disk {name}: deleted {deleted} ({}), kept {}\n", size(disk.deleted_bytes), size(disk.kept_bytes));
        if disk.pending_bytes > 0 {
            let when = disk.pending_until.map_or("at no known date".to_owned(), |until| {
                format!("from {until:.0} by the bucket's lifecycle rule")
            });
            let (freed, pending) = (size(disk.freed_bytes), size(disk.pending_bytes));
            line.push_str(&format!("  free now: {freed}; {pending} are kept as old versions and become free {when}\n"));
        }
        line
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
    if disk.locked > 0 {
        text.push_str(&format!("  locked, or locked for longer: {}\n", plural(disk.locked, "backup", "backups")));
    }
    for refused in &disk.not_locked {
        text.push_str(&format!("  NOT LOCKED: {}: {}\n", clean(&refused.key), clean(&refused.error)));
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
            guarded: false,
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
                freed_bytes: if dry_run { 0 } else { 1 << 20 },
                pending_bytes: 0,
                pending_until: None,
                locked: 0,
                not_locked: Vec::new(),
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
        let mut report = a_report(false);
        let first = "disk s3: deleted 1 backup (1.0 MiB), kept 1.0 MiB\n";
        assert!(text(&report).starts_with(&format!("{first}  BACKUP")), "{}", text(&report));
        // What a delete did not free is not called free.
        (report.disks[0].freed_bytes, report.disks[0].pending_bytes) = (0, 1 << 20);
        let kept = "  free now: 0 B; 1.0 MiB are kept as old versions and become free";
        assert!(text(&report).starts_with(&format!("{first}{kept} at no known date\n")), "{}", text(&report));
        report.disks[0].locked = 2;
        report.disks[0].not_locked = vec![RefusedDelete { key: "clinic/d.zip".into(), error: "denied".into() }];
        let told = "  locked, or locked for longer: 2 backups\n  NOT LOCKED: clinic/d.zip: denied\n";
        assert!(text(&report).contains(told), "{}", text(&report));
        report.disks[0].pending_until = Some("2024-04-01T00:00:00Z".parse().unwrap());
        let when = "from 2024-04-01T00:00:00Z by the bucket's lifecycle rule\n";
        assert!(text(&report).starts_with(&format!("{first}{kept} {when}")), "{}", text(&report));
    }
}
