//! A drill's report as text.

use nightvault_core::report::{DrillReport, DrillResult, DrilledDatabase};

use super::human::{clean, count, duration, plural, size};

pub(crate) fn text(report: &DrillReport) -> String {
    let (key, disk, took) = (clean(&report.key), clean(&report.disk), duration(report.duration_ms));
    let result = match report.result {
        DrillResult::Proven => "PROVEN: restored, compared, dropped",
        DrillResult::ProvenInPart => "PROVEN IN PART: restored, compared, dropped, but not every database",
        DrillResult::Failed => "FAILED",
    };
    let mut text = format!("{key} on disk {disk}: {result} in {took}\n");
    report.databases.iter().for_each(|database| text.push_str(&one(database)));
    text.push_str(&format!("  {} read from the backup\n", size(report.bytes_read)));
    for (label, lines) in [
        ("not restored", &report.not_restored),
        ("LEFT BEHIND, remove it by hand", &report.left_behind),
        ("not recorded", &report.not_recorded),
    ] {
        lines.iter().for_each(|line| text.push_str(&format!("  {label}: {}\n", clean(line))));
    }
    text
}

fn one(it: &DrilledDatabase) -> String {
    let (engine, name) = (clean(&it.engine), clean(&it.name));
    let mut text = match (it.result, &it.version) {
        (DrillResult::Proven, Some(version)) => format!(
            "  {engine} {name}: {} in {} came back on {} ({} restored in {}, dumped again in {}); {} of them byte for byte\n",
            plural(it.rows, "row", "rows"),
            plural(it.tables, "table", "tables"),
            clean(version),
            size(it.raw_bytes),
            duration(it.restore_ms),
            duration(it.compare_ms),
            count(it.identical_tables),
        ),
        _ => format!(
            "  {engine} {name}: NOT proven{}\n",
            it.error.as_ref().map_or(String::new(), |why| format!(": {}", clean(why)))
        ),
    };
    for (label, lines) in
        [("DIFFERENCE", &it.differences), ("not comparable", &it.not_comparable), ("warning", &it.warnings)]
    {
        lines.iter().for_each(|line| text.push_str(&format!("    {label}: {}\n", clean(line))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_says_what_came_back_and_every_difference() {
        let at = "2024-01-16T03:00:00Z".parse().unwrap();
        let good = DrilledDatabase {
            name: "clinic".into(),
            engine: "PostgreSQL".into(),
            source_version: "15.3".into(),
            version: Some("15.3".into()),
            place: "database \"nightvault_drill_0\" on db:5432".into(),
            result: DrillResult::Proven,
            error: None,
            tables: 12,
            rows: 1001,
            identical_tables: 12,
            raw_bytes: 3 << 20,
            restore_ms: 2000,
            compare_ms: 1000,
            differences: Vec::new(),
            not_comparable: Vec::new(),
            warnings: vec!["odd\u{7}".into()],
        };
        let bad = DrilledDatabase {
            name: "crm".into(),
            result: DrillResult::Failed,
            differences: vec!["index: 2 in the restored database, 3 in the backup".into()],
            warnings: Vec::new(),
            ..good.clone()
        };
        let report = DrillReport {
            key: "clinic/2024-01-15-02-00-00.zip".into(),
            disk: "s3".into(),
            date: at,
            result: DrillResult::Failed,
            started: at,
            duration_ms: 4000,
            bytes_read: 1 << 20,
            raw_bytes: 6 << 20,
            databases: vec![good, bad],
            not_restored: vec!["files \"docs\": `verify` reads them".into()],
            left_behind: vec!["the scratch database".into()],
            not_recorded: Vec::new(),
        };
        assert_eq!(
            text(&report),
            "clinic/2024-01-15-02-00-00.zip on disk s3: FAILED in 4.0 s\n\
             \x20 PostgreSQL clinic: 1,001 rows in 12 tables came back on 15.3 (3.0 MiB restored in 2.0 s, dumped again in 1.0 \
             s); 12 of them byte for byte\n\
             \x20   warning: odd\\u{7}\n\
             \x20 PostgreSQL crm: NOT proven\n\
             \x20   DIFFERENCE: index: 2 in the restored database, 3 in the backup\n\
             \x20 1.0 MiB read from the backup\n\
             \x20 not restored: files \"docs\": `verify` reads them\n\
             \x20 LEFT BEHIND, remove it by hand: the scratch database\n"
        );
    }
}
