//! What extract took out, as text.

use nightvault_core::report::ExtractReport;

use super::human::{clean, duration, plural, size};

/// At most so many entries that were left out are named; the report has all of them.
const LEFT_OUT_SHOWN: usize = 20;

pub(crate) fn text(report: &ExtractReport) -> String {
    let there = report.files + report.symlinks;
    let mut text = format!(
        "{}: {}, {} and {} ({}) are in {}, {}, after {}\n",
        clean(&report.key),
        plural(report.files, "file", "files"),
        plural(report.directories, "directory", "directories"),
        plural(report.symlinks, "symbolic link", "symbolic links"),
        size(report.raw_bytes),
        clean(&report.to),
        if report.foreign { "as another program packed them; their sums matched" } else { "whole and authenticated" },
        duration(report.duration_ms),
    );
    if report.decompressed > 0 {
        text.push_str(&format!("  {} decompressed besides\n", plural(report.decompressed, "dump was", "dumps were")));
    }
    if there < report.wanted {
        text.push_str(&format!("  {there} of {} that were asked for are there\n", report.wanted));
        if let Some(last) = &report.last {
            text.push_str(&format!("  the last file that is there, in the archive's order: {}\n", clean(last)));
        }
    }
    for left_out in report.left_out.iter().take(LEFT_OUT_SHOWN) {
        text.push_str(&format!("  NOT MADE: {}: {}\n", clean(&left_out.entry), clean(&left_out.reason)));
    }
    let rest = report.left_out.len().saturating_sub(LEFT_OUT_SHOWN);
    if rest > 0 {
        text.push_str(&format!("  and {rest} more were not made; --json names all\n"));
    }
    report.warnings.iter().for_each(|warning| text.push_str(&format!("  warning: {}\n", clean(warning))));
    text.push_str(&format!("  {} were read from disk {}\n", size(report.bytes_read), clean(&report.disk)));
    text
}

#[cfg(test)]
mod tests {
    use nightvault_core::report::LeftOut;

    use super::*;

    #[test]
    fn what_is_there_and_what_is_not_is_told() {
        let report = ExtractReport {
            disk: "s3".into(),
            key: "clinic/2024-01-15-02-00-00.zip".into(),
            date: "2024-01-15T02:00:00Z".parse().unwrap(),
            to: "/tmp/out".into(),
            foreign: false,
            files: 2,
            directories: 1,
            symlinks: 1,
            decompressed: 0,
            raw_bytes: 2048,
            bytes_read: 1 << 20,
            wanted: 4,
            last: Some("files/docs/b\n".into()),
            left_out: vec![LeftOut { entry: "files/docs/l".into(), reason: "leads out".into() }],
            warnings: vec!["not recorded".into()],
            duration_ms: 1500,
        };
        assert_eq!(
            text(&report),
            "clinic/2024-01-15-02-00-00.zip: 2 files, 1 directory and 1 symbolic link (2.0 KiB) are in /tmp/out, whole and \
             authenticated, after 1.5 s\n\
             \x20 3 of 4 that were asked for are there\n\
             \x20 the last file that is there, in the archive's order: files/docs/b\\n\n\
             \x20 NOT MADE: files/docs/l: leads out\n\
             \x20 warning: not recorded\n\
             \x20 1.0 MiB were read from disk s3\n"
        );
        let other = ExtractReport { foreign: true, ..report.clone() };
        assert!(
            text(&other).contains("in /tmp/out, as another program packed them; their sums matched, after 1.5 s\n")
        );
        let all = ExtractReport { wanted: 3, left_out: vec![], warnings: vec![], ..report };
        assert_eq!(text(&all).lines().count(), 2);
    }
}
