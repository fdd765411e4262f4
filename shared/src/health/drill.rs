//! Whether a restore was proven, and how long ago.

use jiff::{SignedDuration, Timestamp};

use super::{DiskFacts, Status};
use crate::config::HealthLimits;

/// A proof that is too old, or was never given, is unhealthy where a limit is set, and one of a part of the databases a
/// warning; without a limit it is only told.
pub(super) fn check(facts: &DiskFacts, limits: &HealthLimits, now: Timestamp) -> (Status, String) {
    let limit = limits.max_drill_age_days;
    let allowed = limit.map_or("no limit is set".to_owned(), |days| {
        format!("allowed: {days} {}", if days == 1 { "day" } else { "days" })
    });
    let overdue = if limit.is_some() { Status::Unhealthy } else { Status::Ok };
    match &facts.last_drill {
        Err(error) => {
            let status = if limit.is_some() { Status::Unhealthy } else { Status::Warning };
            (status, format!("whether a restore was proven cannot be read: {error}"))
        }
        Ok(None) => (overdue, format!("no restore was ever proven: run `nightvault drill`; {allowed}")),
        Ok(Some(drill)) => {
            let age = now.duration_since(drill.at);
            let old = limit.is_some_and(|days| age > SignedDuration::from_hours(i64::from(days) * 24));
            let status = match limit {
                Some(_) if old => Status::Unhealthy,
                Some(_) if drill.in_part => Status::Warning,
                _ => Status::Ok,
            };
            let part = if drill.in_part { ", of which not every database was restored" } else { "" };
            let told = format!(
                "the last proven restore is {} days old: {} on {:.0}, {} bytes in {} s{part}; {allowed}",
                age.as_hours() / 24,
                drill.key,
                drill.at,
                drill.raw_bytes,
                drill.duration_ms / 1000
            );
            (status, told)
        }
    }
}
