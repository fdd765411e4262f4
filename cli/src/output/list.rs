//! The list of backups as text.

use nightvault_core::report::{BackupLine, ListReport, SlicesReport};
use nightvault_core::{Class, Error};

use super::human::{age, clean, plural, size};
use super::{hold, table};

/// A disk that could not be listed makes the list no success.
pub(crate) fn judge(report: &ListReport) -> Option<Error> {
    let names: Vec<_> =
        report.disks.iter().filter(|disk| disk.error.is_some()).map(|disk| disk.disk.as_str()).collect();
    let class = Class::Transient;
    (!names.is_empty()).then(|| Error::new(class, format!("not every disk could be listed: {}", names.join(", "))))
}

pub(crate) fn text(report: &ListReport) -> String {
    let mut text = String::new();
    for disk in &report.disks {
        let bytes = disk.backups.iter().map(|backup| backup.size).sum();
        let many = plural(disk.backups.len() as u64, "backup", "backups");
        let name = clean(&disk.disk);
        match &disk.error {
            Some(error) => {
                text.push_str(&format!("disk {name}: cannot be listed: {}\n", clean(error)));
                continue;
            }
            None => text.push_str(&format!("disk {name}: {many}, {}\n", size(bytes))),
        }
        if !disk.backups.is_empty() {
            let mut header = vec!["BACKUP", "AGE", "SIZE", "SOURCES", "ENCRYPTED", "VERIFIED"];
            let guarded = disk.backups.iter().any(|backup| backup.guard.is_some());
            header.extend(guarded.then_some("KEPT BY"));
            let rows = disk.backups.iter().map(|backup| {
                let mut row = row(backup);
                row.extend(guarded.then(|| hold::short(backup.guard.as_ref())));
                row
            });
            text.push_str(&table::render(&header, &[1, 2], rows));
        }
        for key in &disk.foreign {
            text.push_str(&format!("  not ours, never touched: {}\n", clean(key)));
        }
    }
    text
}

fn row(backup: &BackupLine) -> Vec<String> {
    let unknown = || "?".to_owned();
    vec![
        clean(&backup.key),
        age(backup.age_seconds),
        size(backup.size),
        backup.sources.as_ref().map_or_else(unknown, |names| {
            let names: Vec<_> = names.iter().map(|name| clean(name)).collect();
            names.join(", ")
        }),
        backup.encrypted.map_or_else(unknown, |encrypted| if encrypted { "AES-256".into() } else { "NO".into() }),
        verified(backup),
    ]
}

/// What its last whole reading found, and what is wrong with its end now.
fn verified(backup: &BackupLine) -> String {
    let end = match backup.verified.as_str() {
        "foreign" => "another program's, no manifest".to_owned(),
        end => clean(end),
    };
    match &backup.proof {
        Some(proof) if !proof.whole && end == "tail" => format!("DAMAGED since {:.0}", proof.at),
        Some(proof) if !proof.whole => format!("DAMAGED since {:.0}: {end}", proof.at),
        Some(proof) if end == "tail" => format!("whole on {:.0}", proof.at),
        Some(proof) => format!("{end}; was whole on {:.0}", proof.at),
        None => backup.slices.as_ref().map_or(end.clone(), |slices| format!("{end}; {}", sliced(slices))),
    }
}

/// How far slices came; that is no proof, and is told where there is none.
fn sliced(slices: &SlicesReport) -> String {
    let SlicesReport { read, pieces, at, covered } = slices;
    match covered {
        Some(covered) => format!("slices covered it on {covered:.0}"),
        None => format!("{} % of it in slices by {at:.0}", u128::from(*read) * 100 / u128::from(*pieces).max(1)),
    }
}

#[cfg(test)]
mod tests {
    use nightvault_core::report::{DiskList, GuardReport, ProofReport};

    use super::*;

    #[test]
    fn backups_are_shown_with_age_size_sources_encryption_and_proof() {
        let line = BackupLine {
            key: "clinic/2024-01-15-02-00-00.zip".into(),
            date: "2024-01-15T02:00:00Z".parse().unwrap(),
            age_seconds: 90_000,
            size: 700 << 20,
            sources: Some(vec!["clinic".into(), "d\nocs".into()]),
            encrypted: Some(true),
            verified: "tail".into(),
            proof: None,
            slices: None,
            guard: None,
        };
        let unread = BackupLine { sources: None, encrypted: None, verified: "wrong password".into(), ..line.clone() };
        let plain = BackupLine { encrypted: Some(false), ..line.clone() };
        let report = ListReport {
            name: "clinic".into(),
            now: "2024-01-16T03:00:00Z".parse().unwrap(),
            disks: vec![
                DiskList {
                    disk: "s3".into(),
                    backups: vec![line, unread, plain],
                    foreign: vec!["clinic/x".into()],
                    error: None,
                },
                DiskList { disk: "nas".into(), backups: vec![], foreign: vec![], error: Some("no such folder".into()) },
            ],
        };
        assert_eq!(
            text(&report),
            "disk s3: 3 backups, 2.1 GiB\n\
             \x20 BACKUP                              AGE       SIZE  SOURCES         ENCRYPTED  VERIFIED\n\
             \x20 clinic/2024-01-15-02-00-00.zip  1 d 1 h  700.0 MiB  clinic, d\\nocs  AES-256    tail\n\
             \x20 clinic/2024-01-15-02-00-00.zip  1 d 1 h  700.0 MiB  ?               ?          wrong password\n\
             \x20 clinic/2024-01-15-02-00-00.zip  1 d 1 h  700.0 MiB  clinic, d\\nocs  NO         tail\n\
             \x20 not ours, never touched: clinic/x\n\
             disk nas: cannot be listed: no such folder\n"
        );
        assert_eq!(judge(&report).unwrap().to_string(), "not every disk could be listed: nas");

        let mut guarded = report.clone();
        guarded.disks[0].backups[1].guard =
            Some(GuardReport { held: true, held_by: Some("legal_hold".into()), ..GuardReport::default() });
        let guarded = text(&guarded);
        assert!(guarded.contains("ENCRYPTED  VERIFIED        KEPT BY\n"), "{guarded}");
        assert!(guarded.contains("?          wrong password  legal hold\n"), "{guarded}");

        let mut line = report.disks[0].backups[0].clone();
        let at = "2024-01-16T03:00:00Z".parse().unwrap();
        for (whole, end, told) in [
            (true, "tail", "whole on 2024-01-16T03:00:00Z"),
            (true, "wrong password", "wrong password; was whole on 2024-01-16T03:00:00Z"),
            (false, "tail", "DAMAGED since 2024-01-16T03:00:00Z"),
            (false, "cut", "DAMAGED since 2024-01-16T03:00:00Z: cut"),
        ] {
            (line.proof, line.verified) = (Some(ProofReport { whole, at }), end.into());
            assert_eq!(row(&line)[5], told);
        }
        (line.proof, line.verified) = (None, "tail".into());
        for (read, covered, told) in [
            (3, None, "tail; 33 % of it in slices by 2024-01-16T03:00:00Z"),
            (0, Some(at), "tail; slices covered it on 2024-01-16T03:00:00Z"),
        ] {
            line.slices = Some(SlicesReport { read, pieces: 9, at, covered });
            assert_eq!(row(&line)[5], told);
        }
    }
}
