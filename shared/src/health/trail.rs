//! The audit trail as a check: whole, and holding the newest backup.

use jiff::{SignedDuration, Timestamp};

use super::{DiskFacts, Status, newest};
use crate::Result;
use crate::audit::{self, Finding, Head, Place, Record};
use crate::config::HealthLimits;
use crate::store::Store;

/// How long after its date a backup may have no record yet, because its run has not ended: a function's longest life,
const RUN: SignedDuration = SignedDuration::from_mins(15);
/// and what reading it back whole takes at this many bytes a second.
const READ_BACK_BYTES_PER_SECOND: u64 = 10 << 20;

/// What is known of the audit trail of a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrailFacts {
    /// Its records.
    pub records: u64,
    /// When the operation of its first record began.
    pub begun: Option<Timestamp>,
    /// Its last record.
    pub head: Option<Head>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Whether a backup run recorded that it made the newest backup.
    pub newest_recorded: bool,
}

impl TrailFacts {
    /// Reads and checks a trail; `newest` is the key of the newest backup.
    pub(crate) async fn read(store: &dyn Store, place: &Place, newest: Option<&str>) -> Result<Self> {
        let (mut begun, mut newest_recorded) = (None, false);
        let checked = audit::check(store, place, |_, record| {
            begun = begun.or(Some(record.at));
            newest_recorded |= newest.is_some_and(|newest| made(&record, newest));
        })
        .await?;
        Ok(Self { records: checked.records, begun, head: checked.head, findings: checked.findings, newest_recorded })
    }
}

/// Whether a record is of a backup run for this key, however it ended: a run that another disk failed is recorded too.
fn made(record: &Record, key: &str) -> bool {
    record.operation == "backup" && record.report["key"] == key
}

pub(super) fn audit(facts: &DiskFacts, _: &HealthLimits, now: Timestamp) -> (Status, String) {
    let trail = match &facts.trail {
        None => return (Status::Unhealthy, "the audit trail was not read".into()),
        Some(Err(error)) => return (Status::Unhealthy, format!("the audit trail could not be read: {error}")),
        Some(Ok(trail)) => trail,
    };
    if let Some(first) = trail.findings.first() {
        let more = match trail.findings.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let what = format!("the audit trail is broken: {}: {}{more}", first.key, first.message);
        return (Status::Unhealthy, format!("{what} (`nightvault audit verify` tells all)"));
    }
    let Some(head) = &trail.head else {
        return match newest(&facts.backups, now) {
            None => (Status::Ok, "the audit trail has no record yet".into()),
            Some(_) => {
                (Status::Warning, "no operation was recorded in the audit trail yet, and there are backups".into())
            }
        };
    };
    let count = match trail.records {
        1 => "1 record".to_owned(),
        records => format!("{records} records"),
    };
    let (last, sha256) = (head.sequence, &head.sha256);
    let whole = format!("the audit trail is whole: {count}, the last is {last} with SHA-256 {sha256}");
    let Some(newest) = newest(&facts.backups, now).filter(|_| !trail.newest_recorded) else {
        return (Status::Ok, whole);
    };
    let key = &newest.key;
    let allowed = RUN + SignedDuration::from_secs((newest.size / READ_BACK_BYTES_PER_SECOND) as i64);
    // Keys are dated in whole seconds.
    if trail.begun.is_some_and(|begun| newest.date.as_second() < begun.as_second()) {
        (Status::Warning, format!("{key} was made before the audit trail began; {whole}"))
    } else if now.duration_since(newest.date) <= allowed {
        (Status::Warning, format!("{key} is not recorded yet, its run may not have ended; {whole}"))
    } else {
        (Status::Unhealthy, format!("no record says who made {key}; {whole}"))
    }
}
