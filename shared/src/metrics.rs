//! Figures for CloudWatch, in its embedded metric format: a line of the log that CloudWatch itself turns into metrics.
//!
//! No right to put metrics is needed, no call is made, and a figure is the one of the report, measured by the code that
//! did the work. One line per operation, with the dimension `Name` (`BACKUP_NAME`); a figure that was not measured is
//! left out, never zero. `BACKUP_METRICS=emf` turns it on, which the template does.
//! Format: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::io::Write;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::report::{BackupReport, BackupStatus, CleanupReport, MonitorReport};

const NAMESPACE: &str = "Nightvault";

/// What a figure counts, in CloudWatch's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Count,
    Bytes,
    Milliseconds,
    Percent,
    /// Days: CloudWatch has no word for them.
    None,
}

impl Unit {
    fn word(self) -> &'static str {
        match self {
            Unit::Count => "Count",
            Unit::Bytes => "Bytes",
            Unit::Milliseconds => "Milliseconds",
            Unit::Percent => "Percent",
            Unit::None => "None",
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measure {
    name: &'static str,
    unit: Unit,
    value: f64,
}

/// Figures up to 2^53 are exact.
fn measure(name: &'static str, unit: Unit, value: u64) -> Measure {
    Measure { name, unit, value: value as f64 }
}

fn days(name: &'static str, age: SignedDuration) -> Measure {
    Measure { name, unit: Unit::None, value: age.as_secs_f64() / 86_400.0 }
}

/// A report with figures for CloudWatch.
pub(crate) trait Measured {
    /// The figure that is 1 after a success and 0 after a failure, even of a run that has no report.
    const SUCCESS: &'static str;
    /// The figures; `succeeded`: whether the operation ended without an error.
    fn measures(&self, succeeded: bool) -> Vec<Measure>;
}

impl Measured for BackupReport {
    const SUCCESS: &'static str = "BackupSuccess";

    fn measures(&self, succeeded: bool) -> Vec<Measure> {
        // A dry run stored nothing, so it is no success that anybody waits for.
        let stored = succeeded && matches!(self.status, BackupStatus::Stored | BackupStatus::AlreadyDone);
        let mut measures = vec![measure(Self::SUCCESS, Unit::Count, stored.into())];
        if self.status == BackupStatus::Stored {
            let sum = |of: fn(&crate::report::SourceReport) -> u64| self.sources.iter().map(of).sum();
            measures.push(measure("BackupBytes", Unit::Bytes, self.archive_bytes));
            measures.push(measure("BackupRawBytes", Unit::Bytes, sum(|source| source.raw_bytes)));
            measures.push(measure("BackupRows", Unit::Count, sum(|source| source.rows)));
            measures.push(measure("BackupWarnings", Unit::Count, self.warnings.len() as u64));
        }
        measures.push(measure("BackupDuration", Unit::Milliseconds, self.duration_ms));
        measures
    }
}

impl Measured for CleanupReport {
    const SUCCESS: &'static str = "CleanupSuccess";

    fn measures(&self, succeeded: bool) -> Vec<Measure> {
        if self.dry_run {
            return Vec::new();
        }
        let sum = |of: fn(&crate::report::DiskCleanup) -> u64| self.disks.iter().map(of).sum();
        vec![
            measure(Self::SUCCESS, Unit::Count, succeeded.into()),
            measure("Deletions", Unit::Count, sum(|disk| disk.deleted)),
            measure("DeletedBytes", Unit::Bytes, sum(|disk| disk.deleted_bytes)),
            measure("DeletionsRefused", Unit::Count, sum(|disk| disk.refused.len() as u64)),
            measure("CleanupDuration", Unit::Milliseconds, self.duration_ms),
        ]
    }
}

impl Measured for MonitorReport {
    const SUCCESS: &'static str = "Healthy";

    fn measures(&self, succeeded: bool) -> Vec<Measure> {
        let mut measures = vec![measure(Self::SUCCESS, Unit::Count, (succeeded && self.healthy).into())];
        // Of several disks the one that is worst off: an alarm looks at one figure.
        let dates: Option<Vec<Timestamp>> = self.disks.iter().map(|disk| disk.newest).collect();
        let oldest = dates.and_then(|dates| dates.into_iter().min());
        measures.extend(oldest.map(|date| days("NewestBackupAgeDays", self.now.duration_since(date))));
        // A proof of a part is none of the backup.
        let whole = self.disks.iter().filter_map(|disk| disk.last_drill.as_ref()).filter(|drill| !drill.in_part);
        let proven = whole.map(|drill| drill.at).max();
        measures.extend(proven.map(|at| days("LastDrillAgeDays", self.now.duration_since(at))));
        let smallest = self.disks.iter().filter_map(|disk| disk.newest_percent).min();
        measures.extend(smallest.map(|percent| measure("NewestBackupSize", Unit::Percent, percent)));
        // What no listing shows is paid for as well.
        let used_bytes = |disk: &crate::report::DiskHealth| disk.used_bytes.saturating_add(disk.hidden_bytes);
        let used = self.disks.iter().map(used_bytes).max();
        measures.extend(used.map(|bytes| measure("StorageUsed", Unit::Bytes, bytes)));
        let share = |disk: &crate::report::DiskHealth| {
            disk.limit_bytes.map(|limit| used_bytes(disk).saturating_mul(100) / limit.max(1))
        };
        let fullest = self.disks.iter().filter_map(share).max();
        measures.extend(fullest.map(|percent| measure("StorageBudgetUsed", Unit::Percent, percent)));
        let findings = |status: &str| {
            self.disks.iter().flat_map(|disk| &disk.findings).filter(|finding| finding.status == status).count() as u64
        };
        measures.push(measure("Findings", Unit::Count, findings("unhealthy")));
        measures.push(measure("Warnings", Unit::Count, findings("warning")));
        measures.push(measure("MonitorDuration", Unit::Milliseconds, self.duration_ms));
        measures
    }
}

/// The line for these figures; `None` when there are none.
fn line(name: &str, operation: &str, at: Timestamp, measures: &[Measure]) -> Option<String> {
    if measures.is_empty() {
        return None;
    }
    let described: Vec<Value> = measures.iter().map(|it| json!({ "Name": it.name, "Unit": it.unit.word() })).collect();
    let mut line = Map::new();
    line.insert(
        "_aws".into(),
        json!({
            "Timestamp": at.as_millisecond(),
            "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [["Name"]], "Metrics": described }],
        }),
    );
    line.insert("Name".into(), name.into());
    line.insert("operation".into(), operation.into());
    line.extend(measures.iter().map(|it| (it.name.to_owned(), it.value.into())));
    Some(Value::Object(line).to_string())
}

/// The figures of an operation that ended so, `took` after its beginning and `left` before it had to end.
pub(crate) fn of<R: Measured>(
    report: Option<&R>,
    succeeded: bool,
    took: Duration,
    left: Option<Duration>,
) -> Vec<Measure> {
    let mut measures = match report {
        Some(report) => report.measures(succeeded),
        None => vec![measure(R::SUCCESS, Unit::Count, 0)],
    };
    if let (false, Some(left)) = (measures.is_empty(), left) {
        let share = took.as_millis() * 100 / (took + left).as_millis().max(1);
        measures.push(measure("TimeUsed", Unit::Percent, u64::try_from(share).unwrap_or(100)));
    }
    measures
}

/// Writes the figures of an operation to the error output, which Lambda and ECS take into the same log as the other and
/// which a command's `--json` leaves free.
pub(crate) fn write(name: &str, operation: &str, at: Timestamp, measures: &[Measure]) {
    let Some(line) = line(name, operation, at, measures) else { return };
    if let Err(error) = writeln!(std::io::stderr().lock(), "{line}") {
        tracing::warn!(%error, "the figures of {operation} could not be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::DiskHealth;

    fn disk(used_bytes: u64, newest: Option<&str>) -> DiskHealth {
        DiskHealth {
            disk: "s3".into(),
            healthy: true,
            backups: 9,
            used_bytes,
            newest: newest.map(|date| date.parse().unwrap()),
            newest_percent: Some(40),
            audit_head: None,
            hidden_bytes: 50,
            samples: Vec::new(),
            last_drill: None,
            limit_bytes: Some(1000),
            findings: Vec::new(),
        }
    }

    fn measured(disks: Vec<DiskHealth>) -> Vec<(&'static str, f64)> {
        let now = "2026-11-25T03:00:00Z".parse().unwrap();
        let report =
            MonitorReport { name: "n".into(), now, healthy: true, disks, duration_ms: 5, notifications: Vec::new() };
        report.measures(true).into_iter().map(|it| (it.name, it.value)).collect()
    }

    #[test]
    fn the_disk_that_is_worst_off_counts() {
        let measures = measured(vec![disk(100, Some("2026-11-25T02:00:00Z")), disk(900, Some("2026-11-24T02:00:00Z"))]);
        for wanted in [
            ("Healthy", 1.0),
            ("NewestBackupAgeDays", 25.0 / 24.0),
            ("NewestBackupSize", 40.0),
            ("StorageUsed", 950.0),
            ("StorageBudgetUsed", 95.0),
        ] {
            assert!(measures.contains(&wanted), "{wanted:?} in {measures:?}");
        }
    }

    #[test]
    fn what_was_not_measured_is_left_out_and_never_zero() {
        let unlimited = DiskHealth { newest_percent: None, limit_bytes: None, ..disk(100, None) };
        let measures = measured(vec![disk(1, Some("2026-11-25T02:00:00Z")), unlimited.clone()]);
        assert!(
            !measures.iter().any(|(name, _)| *name == "NewestBackupAgeDays"),
            "one disk has no backup: {measures:?}"
        );
        let measures = measured(vec![unlimited]);
        assert!(!measures.iter().any(|(name, _)| ["NewestBackupSize", "StorageBudgetUsed"].contains(name)));
    }

    #[test]
    fn a_run_that_has_no_report_is_a_failure_and_says_how_much_time_it_used() {
        let measures = of::<BackupReport>(None, false, Duration::from_secs(30), Some(Duration::from_secs(10)));
        let figures: Vec<_> = measures.iter().map(|it| (it.name, it.value)).collect();
        assert_eq!(figures, [("BackupSuccess", 0.0), ("TimeUsed", 75.0)]);
    }

    #[test]
    fn a_line_is_one_object_in_the_embedded_metric_format() {
        let at = "2026-11-25T03:00:00Z".parse().unwrap();
        let measures = [measure("BackupSuccess", Unit::Count, 1), measure("BackupBytes", Unit::Bytes, 7)];
        let line: Value = serde_json::from_str(&line("clinic", "backup", at, &measures).unwrap()).unwrap();
        assert_eq!(
            line,
            json!({
                "_aws": {
                    "Timestamp": 1_795_575_600_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Nightvault",
                        "Dimensions": [["Name"]],
                        "Metrics": [
                            { "Name": "BackupSuccess", "Unit": "Count" }, { "Name": "BackupBytes", "Unit": "Bytes" },
                        ],
                    }],
                },
                "Name": "clinic", "operation": "backup", "BackupSuccess": 1.0, "BackupBytes": 7.0,
            })
        );
        assert_eq!(super::line("clinic", "backup", at, &[]), None);
    }
}
