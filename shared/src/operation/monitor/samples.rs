//! The daily slice: a part of the newest backup, and a part of the one whose last complete reading is the longest ago.
//!
//! The newest is what a restore will ask for, so a part of it is read every day. All others are read in turn: the second
//! slice goes to the same backup until all of it was read, then to the next. A backup that was never read counts from its
//! own date, so the oldest are the first. What was verified whole goes to the end of the line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::catalog::{self, Backup, Catalog, Noted, Verdict};
use crate::config::Share;
use crate::environment::Environment;
use crate::operation::Context;
use crate::operation::verify::sample;
use crate::report::VerifiedBackup;
use crate::secret::Secret;
use crate::store::{Object, Store};

/// Reads today's slices of one disk.
pub(super) async fn read(
    environment: &Environment,
    store: &Arc<dyn Store>,
    catalog: &Catalog,
    newest: Option<&Object>,
    password: &Secret,
    context: &Context,
) -> Vec<VerifiedBackup> {
    let Some(share) = environment.config().monitor_sample else { return Vec::new() };
    let Some(newest) = catalog.backups.iter().find(|backup| Some(&backup.object) == newest) else { return Vec::new() };
    // What cannot be read here is told by each slice and by the check of what is noted.
    let noted = catalog::noted(&**store, &catalog.backups).await.ok().flatten();
    let other = longest_unread(catalog, newest, noted.as_deref(), share, context.now);
    let mut samples = Vec::new();
    for backup in [Some(newest), other].into_iter().flatten() {
        samples.push(sample(store, backup, share, Ok(password), context, time(context)).await.0);
    }
    samples
}

/// A third of what is left until the deadline: two slices leave time to tell what was found.
fn time(context: &Context) -> Option<Duration> {
    context.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()) / 3)
}

/// The backup that was not read for the longest time. Where nothing is noted the day says which one it is.
fn longest_unread<'a>(
    catalog: &'a Catalog,
    newest: &Backup,
    noted: Option<&[Noted]>,
    share: Share,
    now: Timestamp,
) -> Option<&'a Backup> {
    let others = catalog
        .backups
        .iter()
        .enumerate()
        .filter(|(_, backup)| backup.object.key != newest.object.key && backup.key.date() <= now);
    let Some(noted) = noted else {
        let others: Vec<&Backup> = others.map(|(_, backup)| backup).collect();
        // Each is read for as many days as it has slices.
        let turn = now.as_second().div_euclid(24 * 3600).div_euclid(i64::from(share.slices()));
        let count = i64::try_from(others.len()).ok().filter(|count| *count > 0)?;
        return usize::try_from(turn.rem_euclid(count)).ok().and_then(|at| others.get(at).copied());
    };
    let last_read = |at: usize, backup: &Backup| {
        let noted = noted.get(at).copied().unwrap_or_default();
        let whole = noted.proof.filter(|proof| proof.verdict == Verdict::Whole).map(|proof| proof.at);
        whole.max(noted.slices.and_then(|slices| slices.covered)).unwrap_or_else(|| backup.key.date())
    };
    others.min_by_key(|(at, backup)| (last_read(*at, backup), backup.key.date())).map(|(_, backup)| backup)
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::catalog::{BackupKey, Proof, Slices};

    #[test]
    fn the_second_slice_goes_to_what_was_not_read_for_the_longest_time_until_all_of_it_was() {
        let now: Timestamp = "2026-06-30T03:00:00Z".parse().unwrap();
        let backup = |days: i64| {
            let key = BackupKey::new("clinic", "", now - (24 * days).hours(), &TimeZone::UTC);
            let object = Object { key: key.path(), size: 9, modified: now, etag: None };
            Backup { key, object }
        };
        let catalog = Catalog { backups: (0..4).map(backup).collect(), foreign: Vec::new() };
        let ago = |days: i64| now - (24 * days).hours();
        let slices = |next, covered| Some(Slices { next, pieces: 9, begun: ago(2), at: ago(1), covered });
        let mut noted = vec![Noted::default(); 4];
        let pick = |noted: &[Noted]| {
            let found = longest_unread(&catalog, &catalog.backups[0], Some(noted), Share::DEFAULT, now);
            catalog.backups.iter().position(|backup| Some(backup) == found)
        };
        assert_eq!(pick(&noted), Some(3), "the oldest first");
        noted[3].slices = slices(5, None);
        assert_eq!(pick(&noted), Some(3), "until all of it was read");
        noted[3].slices = slices(0, Some(ago(0)));
        assert_eq!(pick(&noted), Some(2));
        noted[2].proof = Some(Proof { verdict: Verdict::Whole, at: ago(0) });
        assert_eq!(pick(&noted), Some(1));
        noted[1].slices = slices(0, Some(ago(0)));
        assert_eq!(pick(&noted), Some(3), "and again");
        let alone = Catalog { backups: vec![backup(0)], foreign: Vec::new() };
        assert_eq!(longest_unread(&alone, &alone.backups[0], None, Share::DEFAULT, now), None);
        let found = longest_unread(&catalog, &catalog.backups[0], None, Share::DEFAULT, now);
        assert!(found.is_some_and(|found| found.object.key != catalog.backups[0].object.key));
    }
}
