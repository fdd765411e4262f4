//! What is known of the backups' bytes: what is noted beside them, and the parts that were read just now.

use jiff::Timestamp;

use super::{DiskFacts, Status};
use crate::catalog::Verdict;
use crate::config::HealthLimits;
use crate::report::{VerifiedBackup, VerifyVerdict};

/// So many damaged backups are named.
const NAMED: usize = 5;

/// A backup that is known to be damaged, or turned out so now, is unhealthy; a part that could not be read is a warning.
pub(super) fn check(facts: &DiskFacts, _: &HealthLimits, _: Timestamp) -> (Status, String) {
    let (now, fine): (Vec<_>, Vec<_>) =
        facts.samples.iter().partition(|sample| sample.verdict == VerifyVerdict::Damaged);
    let mut bad: Vec<String> = now
        .iter()
        .map(|sample| format!("{} is damaged: {}", sample.key, sample.error.as_deref().unwrap_or_default()))
        .collect();
    bad.extend(known_damaged(facts));
    if !bad.is_empty() {
        return (Status::Unhealthy, bad.join("; "));
    }

    let (mut status, mut told) = match &facts.notes_unread {
        Some(error) => {
            (Status::Warning, vec![format!("not checked: what was noted beside the backups cannot be read: {error}")])
        }
        None => {
            let whole = facts.backups.iter().filter(|backup| backup.verdict == Some(Verdict::Whole)).count();
            let count = facts.backups.len();
            (Status::Ok, vec![format!("no backup is known to be damaged; verified whole: {whole} of {count}")])
        }
    };
    if fine.iter().any(|sample| sample.verdict != VerifyVerdict::Sampled || sample.not_recorded.is_some()) {
        status = Status::Warning;
    }
    told.extend(fine.into_iter().map(slice));
    (status, told.join("; "))
}

/// The backups that are noted as damaged, but for those of which a part was read now.
fn known_damaged(facts: &DiskFacts) -> Option<String> {
    let read = |key: &str| facts.samples.iter().any(|it| it.key == key && it.verdict == VerifyVerdict::Damaged);
    let noted = facts.backups.iter().filter(|backup| backup.verdict == Some(Verdict::Damaged) && !read(&backup.key));
    let damaged: Vec<&str> = noted.map(|backup| backup.key.as_str()).collect();
    let told = match damaged.len() {
        0 => return None,
        1 => "1 backup is".to_owned(),
        count => format!("{count} backups are"),
    };
    let more = if damaged.len() > NAMED { ", …" } else { "" };
    Some(format!("{told} known to be damaged: {}{more}", damaged[..damaged.len().min(NAMED)].join(", ")))
}

/// One part that was read, and where the reading stands.
fn slice(sample: &VerifiedBackup) -> String {
    let key = &sample.key;
    let not_noted = sample.not_recorded.as_ref().map_or(String::new(), |why| format!(" (not noted: {why})"));
    let Some(slice) = &sample.slice else {
        return format!("of {key} nothing was read: {}", sample.error.as_deref().unwrap_or_default());
    };
    let read = match slice.next.checked_sub(slice.first) {
        Some(pieces) if pieces > 0 => format!(
            "of {key} {} bytes were read (pieces {} to {} of {}) and are as written",
            slice.bytes,
            slice.first + 1,
            slice.next,
            slice.pieces
        ),
        _ => format!("of {key} no piece was read"),
    };
    let stopped = sample.error.as_ref().map_or(String::new(), |error| format!(", then it ended: {error}"));
    let stands = match (slice.by_day, slice.covered) {
        (true, _) => ", the part of this day (nothing is noted on this disk)".to_owned(),
        (false, Some(covered)) => format!(", all pieces were read by {covered:.0}"),
        (false, None) => String::new(),
    };
    format!("{read}{stopped}{stands}{not_noted}")
}
