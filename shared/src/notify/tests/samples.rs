//! Reports as a night brings them, with one name in every place where a name from outside can stand.

use super::*;

fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

pub(super) fn an_error() -> Error {
    Error::new(Class::Permission, "disk vault: put object clinic/2026-06-30-02-00-00.zip")
        .because(std::io::Error::other("access denied"))
        .hint("Allow s3:PutObject on the bucket.")
}

pub(super) fn backup_report(name: &str) -> BackupReport {
    let database = SourceReport {
        name: name.into(),
        kind: "PostgreSQL".into(),
        items: 42,
        rows: 1_234_567,
        raw_bytes: 1_288_490_188,
        stored_bytes: 314_572_800,
        duration_ms: 12_345,
        bytes_per_second: 104_373_446,
        problems: Vec::new(),
    };
    let problem = FileProblem { path: name.into(), kind: FileProblemKind::Vanished, detail: name.into() };
    let files = SourceReport {
        name: name.into(),
        kind: "files".into(),
        items: 1,
        rows: 0,
        raw_bytes: 512,
        stored_bytes: 540,
        duration_ms: 3,
        bytes_per_second: 170_666,
        problems: vec![problem],
    };
    let disk = DiskReport {
        disk: name.into(),
        uploaded_bytes: 314_574_000,
        parts: 38,
        verified: Some("tail".into()),
        checksum: Some(format!("crc64nvme:{name}")),
        locked_until: None,
        error: None,
    };
    let second = DiskReport { verified: Some("full".into()), checksum: None, parts: 1, ..disk.clone() };
    BackupReport {
        name: name.into(),
        key: format!("{name}/2026-06-30-02-00-00.zip"),
        status: BackupStatus::Stored,
        started: at("2026-06-30T02:00:03Z"),
        duration_ms: 65_000,
        sources: vec![database, files],
        disks: vec![disk, second],
        archive_bytes: 314_574_000,
        warnings: vec![format!("role {name} has no password")],
        notifications: Vec::new(),
    }
}

pub(super) fn cleanup_report(name: &str) -> CleanupReport {
    let decision = |date: &str, keep: bool, reason: &str| DecisionReport {
        key: format!("{name}/{date}.zip"),
        date: at("2026-06-30T02:00:00Z"),
        size: 1 << 20,
        keep,
        reason: reason.into(),
        guarded: false,
    };
    let disk = DiskCleanup {
        disk: name.into(),
        decisions: vec![
            decision("2026-06-30-02-00-00", true, "the newest backup is never deleted"),
            decision("2026-05-10-02-00-00", false, "another backup of its week 19 in 2026 is newer"),
            decision("2018-01-01-02-00-00", false, "older than the last window, which ends at 2018-03-01T02:30:00Z"),
        ],
        foreign: vec![name.into()],
        deleted: 2,
        deleted_bytes: 2 << 20,
        freed_bytes: 2 << 20,
        pending_bytes: 0,
        pending_until: None,
        locked: 0,
        not_locked: Vec::new(),
        kept_bytes: 1 << 20,
        aborted_uploads: 1,
        warnings: vec![format!("{name} is dated in the future")],
        refused: Vec::new(),
        error: None,
    };
    let mut locked = disk.clone();
    locked.deleted = 1;
    locked.refused =
        vec![RefusedDelete { key: format!("{name}/2018-01-01-02-00-00.zip"), error: format!("{name} is locked") }];
    CleanupReport {
        name: name.into(),
        now: at("2026-06-30T02:30:00Z"),
        dry_run: false,
        disks: vec![disk, locked],
        duration_ms: 850,
        notifications: Vec::new(),
    }
}

pub(super) fn monitor_report(name: &str, healthy: bool) -> MonitorReport {
    let finding = |check: &str, status: &str, message: String| FindingReport {
        check: check.into(),
        status: status.into(),
        message,
    };
    let mut findings = vec![
        finding("reachable", "ok", "the disk was reached and listed".into()),
        finding("foreign", "warning", format!("1 object under {name} is not a backup")),
    ];
    if !healthy {
        findings.push(finding("max_age", "unhealthy", "the newest backup is 49 h 0 min old; allowed: 1 day".into()));
    }
    let disk = DiskHealth {
        disk: name.into(),
        healthy,
        backups: 12,
        used_bytes: 3 << 30,
        hidden_bytes: 0,
        newest: Some(at("2026-06-30T02:00:00Z")),
        newest_percent: None,
        limit_bytes: None,
        audit_head: None,
        samples: Vec::new(),
        last_drill: None,
        findings,
    };
    MonitorReport {
        name: name.into(),
        now: at("2026-06-30T03:00:00Z"),
        healthy,
        disks: vec![disk],
        duration_ms: 1_500,
        notifications: Vec::new(),
    }
}
