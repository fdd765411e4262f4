//! One slice of one backup: where it starts, how far it comes, what is noted.
//!
//! A slice starts where the last one of this backup ended, so that as many slices as make a whole read every piece once.
//! Where a store keeps no notes the day of the year says which slice it is, and the report says so. A slice that is given
//! up (its time is over, the store fails) notes how far it came.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{empty, judge};
use crate::archive::reader::{Archive, Reached};
use crate::catalog::{self, Backup, Slices};
use crate::config::Share;
use crate::operation::foreign::another_programs;
use crate::operation::{Context, elapsed_ms};
use crate::report::{SliceReport, VerifiedBackup, VerifyVerdict};
use crate::secret::Secret;
use crate::store::Store;
use crate::{Class, Error, Result};

/// Seconds of a day.
const DAY: i64 = 24 * 3600;

/// Where a slice starts.
enum Start {
    /// Behind the last one, which was noted; `None`: nothing was.
    Noted(Option<Slices>),
    /// At the place of this day.
    ByDay,
}

/// Reads one slice of `backup` and notes what was found. `time`: how long it may take.
pub(in crate::operation) async fn sample(
    store: &Arc<dyn Store>,
    backup: &Backup,
    share: Share,
    password: std::result::Result<&Secret, &Error>,
    context: &Context,
    time: Option<Duration>,
) -> (VerifiedBackup, Option<Error>) {
    let begun = Instant::now();
    let mut report = VerifiedBackup { verdict: VerifyVerdict::Sampled, ..empty(backup) };
    let error = match password {
        Ok(password) => slice(store, backup, share, password, context, time, &mut report).await.err(),
        Err(missing) => Some(Error::copy(missing)),
    };
    judge(&mut report, error.as_ref(), VerifyVerdict::Sampled);
    super::note(&**store, &backup.object, &mut report, context.now).await;
    report.duration_ms = elapsed_ms(begun);
    (report, error)
}

async fn slice(
    store: &Arc<dyn Store>,
    backup: &Backup,
    share: Share,
    password: &Secret,
    context: &Context,
    time: Option<Duration>,
    report: &mut VerifiedBackup,
) -> Result<()> {
    let object = &backup.object;
    let start = match catalog::noted(&**store, std::slice::from_ref(backup)).await {
        Ok(Some(noted)) => Start::Noted(noted.first().and_then(|noted| noted.slices)),
        Ok(None) => Start::ByDay,
        Err(error) => {
            report.not_recorded = Some(format!("what was noted beside the backup cannot be read: {}", error.chain()));
            Start::ByDay
        }
    };
    let archive = match context.unless_stopped(Archive::open(Arc::clone(store), object, password)).await {
        Ok(archive) => archive,
        Err(error) => {
            context.unless_stopped(another_programs(store, object, error)).await?;
            return Err(Error::unsupported("another program wrote it; it has no pieces that could be read alone")
                .hint("Verify it as a whole, without --sample."));
        }
    };
    let (pieces, bytes) = (archive.pieces(), archive.piece_bytes()?);
    let known = match start {
        Start::Noted(slices) => slices.filter(|slices| slices.pieces == pieces),
        Start::ByDay => None,
    };
    let from = match start {
        Start::Noted(_) => known.map_or(0, |slices| slices.next),
        Start::ByDay => archive.piece_at(position(share, bytes, context.now))?,
    };

    let reached = Reached::default();
    let checking = archive.check_pieces(from, share.of(bytes), &reached, &context.progress);
    let limited = async {
        match time {
            None => checking.await,
            Some(time) => match tokio::time::timeout(time, checking).await {
                Ok(checked) => checked,
                Err(_) => Err(Error::new(Class::Deadline, "the time for this slice is over")
                    .hint("Lower BACKUP_MONITOR_SAMPLE, or give the function more memory or a longer timeout.")),
            },
        }
    };
    let checked = context.unless_stopped(limited).await;

    let next = reached.next.load(Ordering::Relaxed).max(from);
    let over = next >= pieces;
    let new_round = known.is_none_or(|slices| slices.next == 0);
    let slices = Slices {
        next: if over { 0 } else { next },
        pieces,
        begun: known.filter(|_| !new_round).map_or(context.now, |slices| slices.begun),
        at: context.now,
        covered: if over { Some(context.now) } else { known.and_then(|slices| slices.covered) },
    };
    report.bytes_read = archive.bytes_read();
    let noted = matches!(start, Start::Noted(_));
    report.slice = Some(SliceReport {
        share: share.to_string(),
        first: from,
        next,
        pieces,
        bytes: reached.bytes.load(Ordering::Relaxed),
        of_bytes: bytes,
        begun: noted.then_some(slices.begun),
        covered: slices.covered.filter(|_| noted),
        by_day: !noted,
    });
    if noted && next > from {
        match catalog::record_slices(&**store, object, slices).await {
            Ok(_) => {}
            Err(error) => report.not_recorded = Some(error.chain()),
        }
    }
    checked
}

/// The stored byte at which the slice of this day starts.
fn position(share: Share, bytes: u64, now: Timestamp) -> u64 {
    let slices = u64::from(share.slices());
    let number = now.as_second().div_euclid(DAY).rem_euclid(i64::from(share.slices())).unsigned_abs();
    u64::try_from(u128::from(bytes) * u128::from(number) / u128::from(slices)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slices_of_consecutive_days_are_a_whole() {
        let share: Share = "7%".parse().unwrap();
        let (bytes, start): (u64, Timestamp) = (1003, "2026-01-01T03:00:00Z".parse().unwrap());
        let mut read = vec![false; 1003];
        for day in 0..i64::from(share.slices()) {
            let now = start + jiff::SignedDuration::from_hours(24 * day);
            let from = position(share, bytes, now);
            (from..bytes.min(from + share.of(bytes))).for_each(|at| read[at as usize] = true);
        }
        assert!(read.iter().all(|read| *read));
    }
}
