//! How long the policy surely keeps a backup, whatever is backed up after it: the date until which it may be locked.
//!
//! A backup leaves by one of two doors: another of its slot is newer when both have come into a window, or it is older
//! than the last window. [`kept_until`] looks for the first moment at which either could happen, counting as a rival every
//! backup that is there and every one that could still be made in the same slot. So a nightly backup is promised the days
//! in which all are kept, then, once its day is over, those of the daily window, and more with every week, month and year
//! that it survives: never more than it will get, because a lock cannot be taken back.
//!
//! The edges of windows can step back a little as time goes on (31 March and 1 April minus a month are 3 and 1 March; hours
//! happen twice in autumn). The promise ends before the first moment from which on an edge could step that far.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Policy;
use super::windows::Windows;

/// As far as the edges of days and weeks can step back: two changes of an offset.
const HOURS_BACK: SignedDuration = SignedDuration::from_hours(6);
/// As far as the edges of months and years can: three days of a short month and one of a leap year, and hours.
const DAYS_BACK: SignedDuration = SignedDuration::from_hours(5 * 24);
/// A backup that is made now may be dated back so far: a run that took long, or was scheduled again.
const LATE: SignedDuration = SignedDuration::from_hours(24);
/// 36,500 days, which is as long as S3 locks: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html>
const MOST_HOURS: i64 = 36_500 * 24;

/// The moment until which `policy` surely keeps the backup of `date`, beside backups of the dates `others`; `None`: it
/// promises nothing. In whole hours from `date`, so that it stays the same from night to night as long as nothing happens.
pub fn kept_until(
    date: Timestamp,
    others: &[Timestamp],
    policy: &Policy,
    now: Timestamp,
    zone: &TimeZone,
) -> Option<Timestamp> {
    // Keys, and the locks of S3, know no fractions of a second.
    let date = Timestamp::from_second(date.as_second()).ok()?;
    // No rule judges the future, and with a size limit any backup may be the next to go.
    if date > now || policy.delete_oldest_over_mb.is_some() {
        return None;
    }
    let rivals = rivals(date, others, policy, now, zone);
    let months = if policy.keep_monthly_months > 0 { DAYS_BACK } else { HOURS_BACK };
    let years = if policy.keep_yearly_years > 0 { DAYS_BACK } else { months };
    let may_go = |at: Timestamp| {
        let windows = Windows::new(policy, at, zone);
        let reached = |edge: Timestamp, step: SignedDuration, what: Timestamp| {
            edge.checked_add(step).map_or(true, |edge| edge >= what)
        };
        let edges = windows.slotted().into_iter().zip([HOURS_BACK, HOURS_BACK, HOURS_BACK, months]).zip(rivals);
        let mut beaten = edges.filter_map(|((window, step), rival)| Some(reached(window.newest, step, rival?)));
        beaten.any(|beaten| beaten) || reached(windows.yearly, years, date)
    };
    let after = |hours: i64| date.checked_add(SignedDuration::from_hours(hours)).ok();
    let mut safe = now.duration_since(date).as_hours() + 1;
    if may_go(after(safe)?) {
        return None;
    }
    let mut ending = MOST_HOURS.max(safe + 1);
    if !may_go(after(ending)?) {
        return after(ending);
    }
    while ending - safe > 1 {
        let middle = safe + (ending - safe) / 2;
        if may_go(after(middle)?) {
            ending = middle;
        } else {
            safe = middle;
        }
    }
    after(safe)
}

/// For each window, the earliest date of a rival in the backup's slot: one that is there, or one that may still come.
fn rivals(
    date: Timestamp,
    others: &[Timestamp],
    policy: &Policy,
    now: Timestamp,
    zone: &TimeZone,
) -> [Option<Timestamp>; 4] {
    let day_of = |moment: Timestamp| zone.to_datetime(moment).date();
    let own = day_of(date);
    let from = now.checked_sub(LATE).unwrap_or(Timestamp::MIN).max(date);
    // Every slot lies within one year; only what is near is looked at.
    let far = date.checked_add(SignedDuration::from_hours(367 * 24)).unwrap_or(Timestamp::MAX);
    let near: Vec<Timestamp> = others.iter().copied().filter(|other| (date..=far).contains(other)).collect();
    Windows::new(policy, now, zone).slotted().map(|window| {
        let slot = (window.slot_of)(own);
        let there = near.iter().copied().filter(|other| (window.slot_of)(day_of(*other)) == slot);
        let to_come = rest_of_the_year(day_of(from), own).find(|day| (window.slot_of)(*day) == slot);
        // The first moment of that day, or `from` within it.
        let to_come =
            to_come.and_then(|day| Some(zone.to_timestamp(day.to_datetime(Default::default())).ok()?.max(from)));
        there.chain(to_come).min()
    })
}

/// The days from `from` to the end of the year of `own`, in which every slot of `own` lies.
fn rest_of_the_year(from: Date, own: Date) -> impl Iterator<Item = Date> {
    from.series(jiff::Span::new().days(1)).take_while(move |day| day.year() == own.year())
}
