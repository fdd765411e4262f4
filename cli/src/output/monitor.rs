//! What monitor found, as text.

use nightvault_core::report::MonitorReport;
use nightvault_core::{Class, Error};

use super::human::{age, clean, plural, size};
use super::table;

/// An unhealthy set is told by the exit code.
pub(crate) fn judge(report: &MonitorReport) -> Option<Error> {
    (!report.healthy).then(|| Error::new(Class::Unhealthy, format!("the backups of {:?} are not healthy", report.name)))
}

pub(crate) fn text(report: &MonitorReport) -> String {
    let mut text = String::new();
    for disk in &report.disks {
        let newest = disk.newest.map_or("no newest one".to_owned(), |newest| {
            format!("newest {} old", age(report.now.duration_since(newest).as_secs()))
        });
        text.push_str(&format!(
            "disk {}: {}: {}, {}, {newest}\n",
            clean(&disk.disk),
            if disk.healthy { "healthy" } else { "UNHEALTHY" },
            plural(disk.backups, "backup", "backups"),
            size(disk.used_bytes),
        ));
        let rows = disk.findings.iter().map(|it| vec![clean(&it.check), clean(&it.status), clean(&it.message)]);
        if !disk.findings.is_empty() {
            text.push_str(&table::render(&["CHECK", "STATUS", "FOUND"], &[], rows));
        }
    }
    text + &super::deliveries(&report.notifications)
}

#[cfg(test)]
mod tests {
    use nightvault_core::report::{DiskHealth, FindingReport};

    use super::*;

    #[test]
    fn every_finding_is_shown_and_an_unhealthy_set_exits_with_1() {
        let finding = |check: &str, status: &str, message: &str| FindingReport {
            check: check.into(),
            status: status.into(),
            message: message.into(),
        };
        let mut report = MonitorReport {
            name: "clinic".into(),
            now: "2024-01-17T02:00:00Z".parse().unwrap(),
            healthy: false,
            disks: vec![DiskHealth {
                disk: "s3".into(),
                healthy: false,
                backups: 2,
                used_bytes: 2 << 20,
                hidden_bytes: 0,
                newest: Some("2024-01-15T02:00:00Z".parse().unwrap()),
                newest_percent: None,
                limit_bytes: None,
                audit_head: None,
                samples: Vec::new(),
                last_drill: None,
                findings: vec![finding("reachable", "ok", "answers"), finding("max_age", "unhealthy", "2 days\nold")],
            }],
            duration_ms: 5,
            notifications: Vec::new(),
        };
        assert_eq!(
            text(&report),
            "disk s3: UNHEALTHY: 2 backups, 2.0 MiB, newest 2 d 0 h old\n\
             \x20 CHECK      STATUS     FOUND\n\
             \x20 reachable  ok         answers\n\
             \x20 max_age    unhealthy  2 days\\nold\n"
        );
        assert_eq!(judge(&report).unwrap().class().exit_code(), 1);
        report.healthy = true;
        assert!(judge(&report).is_none());
    }
}
