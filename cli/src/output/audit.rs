//! The audit trail, as text.

use nightvault_core::audit::{Outcome, Record};
use nightvault_core::report::{AuditReport, DiskTrail};

use super::human::{clean, plural};
use super::table;

/// The records and whether their trail is whole.
pub(crate) fn show(report: &AuditReport) -> String {
    let mut text = String::new();
    for disk in &report.disks {
        if !disk.shown.is_empty() {
            let header = ["RECORD", "AT (UTC)", "OPERATION", "OUTCOME", "SET OFF BY", "OF"];
            text.push_str(&table::render(&header, &[0], disk.shown.iter().map(row)));
        }
        text.push_str(&summary(disk));
    }
    text
}

/// Whether every trail is whole, with all that is wrong.
pub(crate) fn verify(report: &AuditReport) -> String {
    report.disks.iter().map(summary).collect()
}

fn row(record: &Record) -> Vec<String> {
    let outcome = match (record.outcome, &record.error) {
        (Outcome::Success, _) => "success".to_owned(),
        (Outcome::Failure, Some(error)) => clean(&error.class),
        (Outcome::Failure, None) => "failure".to_owned(),
    };
    let trigger = &record.trigger;
    let who = trigger.who.as_deref().map_or(String::new(), |who| format!(" {}", clean(who)));
    vec![
        record.sequence.to_string(),
        format!("{:.0}", record.at).trim_end_matches('Z').replace('T', " "),
        clean(&record.operation),
        outcome,
        format!("{}{who}", clean(&trigger.by)),
        record.report["key"].as_str().map_or("-".to_owned(), clean),
    ]
}

fn summary(disk: &DiskTrail) -> String {
    let name = clean(&disk.disk);
    if let Some(error) = &disk.error {
        return format!("disk {name}: the audit trail was NOT READ to its end: {}\n", clean(error));
    }
    let count = plural(disk.records, "record", "records");
    if disk.findings.is_empty() {
        return match &disk.head {
            None => format!("disk {name}: the audit trail has no record yet\n"),
            Some(head) => format!(
                "disk {name}: the audit trail is whole: {count}, the last is {}:{}\n",
                head.sequence,
                clean(&head.sha256)
            ),
        };
    }
    let lines = disk
        .findings
        .iter()
        .map(|it| format!("  {}: {}: {}\n", clean(&it.finding), clean(&it.key), clean(&it.message)));
    format!("disk {name}: the audit trail is BROKEN, {count} could be read\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_findings_and_the_head_are_shown_and_no_name_is_obeyed() {
        let record = |sequence: u64, error: serde_json::Value, key: &str| {
            json!({
                "version": 1, "name": "clinic", "sequence": sequence, "previous": null, "at": "2026-11-25T02:00:00.5Z",
                "operation": "backup", "outcome": if error.is_null() { "success" } else { "failure" }, "error": error,
                "trigger": {"by": "command-line", "who": "ann\u{1b}[31m@desk"}, "configuration": "", "tool": "",
                "successes": {}, "report": {"key": key},
            })
        };
        let failure = json!({"class": "TransientFailure", "message": "away"});
        let mut report: AuditReport = serde_json::from_value(json!({
            "name": "clinic", "now": "2026-11-25T03:00:00Z", "whole": true,
            "disks": [{
                "disk": "s3", "records": 2, "head": {"sequence": 2, "sha256": "9f86d081"}, "findings": [], "error": null,
                "shown": [record(1, json!(null), "k\n"), record(2, failure, "l")],
            }],
        }))
        .unwrap();
        assert_eq!(
            show(&report),
            format!(
                "\x20 RECORD  AT (UTC)             OPERATION  OUTCOME           {:31}  OF\n\
                 \x20      1  2026-11-25 02:00:00  backup     success           {who}  k\\n\n\
                 \x20      2  2026-11-25 02:00:00  backup     TransientFailure  {who}  l\n\
                 disk s3: the audit trail is whole: 2 records, the last is 2:9f86d081\n",
                "SET OFF BY",
                who = "command-line ann\\u{1b}[31m@desk",
            )
        );
        report.disks[0].findings = serde_json::from_value(json!([
            {"finding": "gap", "key": "clinic/audit/00000002.json", "message": "record 2 is\u{7} missing"},
        ]))
        .unwrap();
        assert_eq!(
            verify(&report),
            "disk s3: the audit trail is BROKEN, 2 records could be read\n\
             \x20 gap: clinic/audit/00000002.json: record 2 is\\u{7} missing\n"
        );
        report.disks[0].error = Some("denied".into());
        assert_eq!(verify(&report), "disk s3: the audit trail was NOT READ to its end: denied\n");
    }
}
