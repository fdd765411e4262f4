//! What keeps a backup from being deleted, and what hold and release did, as text.

use nightvault_core::report::{GuardReport, HoldReport};

use super::human::clean;

pub(crate) fn text(report: &HoldReport) -> String {
    let key = clean(&report.key);
    let line = |disk: &nightvault_core::report::DiskHold| {
        let name = clean(&disk.disk);
        match (&disk.error, &disk.guard) {
            (Some(error), _) => format!("disk {name}: FAILED: {}\n", clean(error)),
            (None, Some(guard)) => format!("disk {name}: {key} is {}\n", sentence(guard)),
            (None, None) => format!("disk {name}: {key} is neither held nor locked; the retention policy decides\n"),
        }
    };
    let disks = report.disks.iter().map(line);
    disks.chain(report.warnings.iter().map(|warning| format!("  warning: {}\n", clean(warning)))).collect()
}

/// The same in a few words, for a table.
pub(super) fn short(guard: Option<&GuardReport>) -> String {
    let Some(guard) = guard else { return String::new() };
    let mut parts = Vec::new();
    match guard.held_by.as_deref() {
        Some("legal_hold") => parts.push("legal hold".to_owned()),
        Some(_) => parts.push("held".to_owned()),
        None => {}
    }
    parts.extend(guard.locked_until.map(|until| format!("until {}", &until.to_string()[..10])));
    parts.join(", ")
}

/// In full, without a subject.
pub(super) fn sentence(guard: &GuardReport) -> String {
    let mut parts = Vec::new();
    if guard.held {
        let who = match guard.held_by.as_deref() {
            Some("legal_hold") => "held by the store itself (legal hold)",
            _ => "held by a mark that our cleanup heeds, and nobody else",
        };
        let since = guard.held_since.map_or(String::new(), |since| format!(", since {since:.0}"));
        let why = guard.hold_reason.as_ref().map_or(String::new(), |why| format!(": {}", clean(why)));
        parts.push(format!("{who}{since}{why}"));
    }
    if let (Some(until), Some(mode)) = (guard.locked_until, &guard.lock_mode) {
        parts.push(format!("locked until {until:.0} ({})", clean(mode)));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use nightvault_core::report::DiskHold;

    use super::*;

    #[test]
    fn each_disk_says_who_heeds_the_hold_and_until_when_a_lock_stays() {
        let at = |text: &str| Some(text.parse().unwrap());
        let held = GuardReport {
            held: true,
            held_by: Some("legal_hold".into()),
            held_since: at("2026-01-02T03:04:05Z"),
            hold_reason: Some("audit\u{1b}[2J".into()),
            ..GuardReport::default()
        };
        let locked = GuardReport {
            locked_until: at("2026-02-02T00:00:00Z"),
            lock_mode: Some("compliance".into()),
            ..GuardReport::default()
        };
        let both = GuardReport { held: true, held_by: Some("mark".into()), ..locked.clone() };
        assert_eq!(short(None), "");
        assert_eq!(short(Some(&held)), "legal hold");
        assert_eq!(short(Some(&both)), "held, until 2026-02-02");
        let disk = |disk: &str, guard: Option<GuardReport>, error: Option<&str>| DiskHold {
            disk: disk.into(),
            guard,
            error: error.map(str::to_owned),
        };
        let report = HoldReport {
            name: "clinic".into(),
            now: "2026-01-02T03:04:05Z".parse().unwrap(),
            key: "clinic/a.zip".into(),
            disks: vec![
                disk("s3", Some(held), None),
                disk("nas", Some(both), None),
                disk("old", Some(locked), None),
                disk("local", None, None),
                disk("far", None, Some("no route")),
            ],
            warnings: Vec::new(),
        };
        assert_eq!(
            text(&report),
            "disk s3: clinic/a.zip is held by the store itself (legal hold), since 2026-01-02T03:04:05Z: audit\\u{1b}[2J\n\
             disk nas: clinic/a.zip is held by a mark that our cleanup heeds, and nobody else; \
             locked until 2026-02-02T00:00:00Z (compliance)\n\
             disk old: clinic/a.zip is locked until 2026-02-02T00:00:00Z (compliance)\n\
             disk local: clinic/a.zip is neither held nor locked; the retention policy decides\n\
             disk far: FAILED: no route\n"
        );
    }
}
