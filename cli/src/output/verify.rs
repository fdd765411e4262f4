//! What verify found, as text.

use nightvault_core::report::{SliceReport, VerifiedBackup, VerifyReport, VerifyVerdict};

use super::human::{clean, count, duration, plural, size};

pub(crate) fn text(report: &VerifyReport) -> String {
    let mut text = String::new();
    for disk in &report.disks {
        let name = clean(&disk.disk);
        for backup in &disk.backups {
            text.push_str(&format!("disk {name}: {}\n", one(backup)));
            for warning in &backup.warnings {
                text.push_str(&format!("  warning: {}\n", clean(warning)));
            }
            if !backup.not_recounted.is_empty() {
                let names: Vec<String> = backup.not_recounted.iter().map(|name| clean(name)).collect();
                text.push_str(&format!("  rows not counted anew: {}\n", names.join("; ")));
            }
            if let Some(why) = &backup.not_recorded {
                text.push_str(&format!("  not noted beside the backup: {}\n", clean(why)));
            }
        }
        if let Some(error) = &disk.error {
            text.push_str(&format!("disk {name}: nothing was verified: {}\n", clean(error)));
        }
        let sliced = disk.backups.iter().any(|it| it.slice.is_some());
        if disk.backups.len() > 1 && !sliced {
            let whole = disk.backups.iter().filter(|it| it.verdict == VerifyVerdict::Whole).count();
            text.push_str(&format!("disk {name}: {whole} of {} backups are whole\n", disk.backups.len()));
        }
    }
    report.warnings.iter().for_each(|warning| text.push_str(&format!("warning: {}\n", clean(warning))));
    text
}

fn one(backup: &VerifiedBackup) -> String {
    let key = clean(&backup.key);
    let error = clean(backup.error.as_deref().unwrap_or_default());
    match backup.verdict {
        VerifyVerdict::Whole => format!(
            "{key} is whole: every byte was read ({} in {}), {} with {} in {} of dumps and files",
            size(backup.size),
            duration(backup.duration_ms),
            plural(backup.entries, "entry", "entries"),
            plural(backup.rows, "row", "rows"),
            size(backup.raw_bytes),
        ),
        VerifyVerdict::Sampled => format!("{key} {}", backup.slice.as_ref().map_or(String::new(), sampled)),
        VerifyVerdict::Damaged => {
            let since = backup.recorded.as_ref().map_or(String::new(), |proof| format!(" since {:.0}", proof.at));
            format!("{key} is DAMAGED{since}: {error}")
        }
        VerifyVerdict::Readable | VerifyVerdict::Suspicious => {
            let verdict = match backup.verdict {
                VerifyVerdict::Readable => "readable, and its dumps end as dumps do",
                _ => "readable, but SUSPICIOUS",
            };
            format!(
                "{key} was written by another program and is {verdict}: {} ({} in {}) opened and matched their sums. It has no \
                 manifest: entries that are missing or exchanged, and missing rows, would not show",
                plural(backup.entries, "entry", "entries"),
                size(backup.raw_bytes),
                duration(backup.duration_ms),
            )
        }
        VerifyVerdict::WrongPassword => format!("{key} was not verified, the PASSWORD is wrong: {error}"),
        VerifyVerdict::NotRead => {
            format!("{key} was NOT READ to its end, so nothing is known of it: {error}")
        }
    }
}

/// What was read of a backup, and where the reading stands.
fn sampled(slice: &SliceReport) -> String {
    let stands = match (slice.by_day, slice.covered, slice.next >= slice.pieces) {
        (true, ..) => "the part of this day, since nothing is noted on this disk".to_owned(),
        (false, Some(_), true) => "with that, every piece was read, in slices".to_owned(),
        (false, Some(covered), false) => format!("all pieces were read by {covered:.0}, in slices"),
        (false, None, _) => "the next slice goes on there".to_owned(),
    };
    format!(
        "was SAMPLED ({}): {} of {} were read, pieces {} to {} of {}, and are as written; {stands}",
        clean(&slice.share),
        size(slice.bytes),
        size(slice.of_bytes),
        count(slice.next.min(slice.first + 1)),
        count(slice.next),
        count(slice.pieces),
    )
}

#[cfg(test)]
mod tests {
    use nightvault_core::report::{DiskVerify, ProofReport};

    use super::*;

    #[test]
    fn every_verdict_is_one_clear_sentence() {
        let at = "2024-01-16T03:00:00Z".parse().unwrap();
        let whole = VerifiedBackup {
            key: "clinic/2024-01-15-02-00-00.zip".into(),
            date: "2024-01-15T02:00:00Z".parse().unwrap(),
            size: 700 << 20,
            verdict: VerifyVerdict::Whole,
            error: None,
            entries: 14,
            tables: 12,
            rows: 1_234_567,
            not_recounted: Vec::new(),
            raw_bytes: 3 << 30,
            bytes_read: 701 << 20,
            slice: None,
            duration_ms: 61_000,
            recorded: Some(ProofReport { whole: true, at }),
            not_recorded: None,
            warnings: vec![],
        };
        let damaged = VerifiedBackup {
            verdict: VerifyVerdict::Damaged,
            error: Some("\"files/a\u{7}\" is damaged".into()),
            recorded: Some(ProofReport { whole: false, at }),
            ..whole.clone()
        };
        let wrong = VerifiedBackup { verdict: VerifyVerdict::WrongPassword, recorded: None, ..damaged.clone() };
        let unread = VerifiedBackup { verdict: VerifyVerdict::NotRead, error: Some("cut".into()), ..wrong.clone() };
        let readable = VerifiedBackup { verdict: VerifyVerdict::Readable, recorded: None, ..whole.clone() };
        let cut = VerifiedBackup {
            verdict: VerifyVerdict::Suspicious,
            warnings: vec!["\"x\u{7}.sql\": it is empty".into()],
            ..readable.clone()
        };
        let untold = VerifiedBackup { not_recorded: Some("no tags".into()), recorded: None, ..whole.clone() };
        let slice = SliceReport {
            share: "5 %".into(),
            first: 20,
            next: 40,
            pieces: 400,
            bytes: 5 << 20,
            of_bytes: 100 << 20,
            begun: Some(at),
            covered: None,
            by_day: false,
        };
        let sampled = VerifiedBackup {
            verdict: VerifyVerdict::Sampled,
            slice: Some(slice),
            recorded: None,
            not_recounted: vec!["a\u{7}".into()],
            ..whole.clone()
        };
        let report = VerifyReport {
            name: "clinic".into(),
            now: at,
            whole: false,
            disks: vec![
                DiskVerify {
                    disk: "s3".into(),
                    backups: vec![whole, damaged, wrong, unread, untold, readable, cut],
                    error: None,
                },
                DiskVerify { disk: "tape".into(), backups: vec![sampled], error: None },
                DiskVerify { disk: "nas".into(), backups: vec![], error: Some("not mounted".into()) },
            ],
            duration_ms: 1,
            warnings: vec!["not recorded\n".into()],
        };
        let text = text(&report);
        for line in [
            "disk s3: clinic/2024-01-15-02-00-00.zip is whole: every byte was read (700.0 MiB in 1 min 1 s), 14 entries \
             with 1,234,567 rows in 3.0 GiB of dumps and files\n",
            "is DAMAGED since 2024-01-16T03:00:00Z: \"files/a\\u{7}\" is damaged\n",
            "was not verified, the PASSWORD is wrong: ",
            "was NOT READ to its end",
            "  not noted beside the backup: no tags\n",
            "was written by another program and is readable, and its dumps end as dumps do: 14 entries (3.0 GiB in 1 min 1 s) \
             opened and matched their sums. It has no manifest: ",
            "is readable, but SUSPICIOUS: ",
            "  warning: \"x\\u{7}.sql\": it is empty\n",
            "disk s3: 2 of 7 backups are whole\n",
            "disk tape: clinic/2024-01-15-02-00-00.zip was SAMPLED (5 %): 5.0 MiB of 100.0 MiB were read, pieces 21 to 40 of \
             400, and are as written; the next slice goes on there\n",
            "  rows not counted anew: a\\u{7}\n",
            "disk nas: nothing was verified: not mounted\n",
            "\nwarning: not recorded\\n\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
    }
}
