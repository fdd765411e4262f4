//! The calendar of retention: where the windows end, and in which slot of a window a moment falls.
//!
//! The arithmetic is that of PHP, by which `spatie/laravel-backup` counts: days and weeks keep the time of day in the
//! zone (one that does not exist there moves an hour ahead, of one that happens twice the offset decides); months and years keep the day of the month and flow over,
//! so that 31 March minus one month is 31 February, which is 3 March.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};

use super::{Policy, Slot};

/// The windows, each from where the one before it ends down to its own end; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    /// What is younger than this is kept in any case.
    pub(super) all: Timestamp,
    pub(super) daily: Timestamp,
    pub(super) weekly: Timestamp,
    pub(super) monthly: Timestamp,
    /// What is older than this goes.
    pub(super) yearly: Timestamp,
}

impl Windows {
    pub(super) fn new(policy: &Policy, now: Timestamp, zone: &TimeZone) -> Self {
        let all = back(now, zone, policy.keep_all_days, days);
        let daily = back(all, zone, policy.keep_daily_days, days);
        let weekly = back(daily, zone, policy.keep_weekly_weeks, |at, weeks| days(at, weeks * 7));
        let monthly = back(weekly, zone, policy.keep_monthly_months, months);
        let yearly = back(monthly, zone, policy.keep_yearly_years, |at, years| months(at, years * 12));
        Self { all, daily, weekly, monthly, yearly }
    }

    /// The windows that keep one backup per slot, from the newest to the oldest.
    pub(super) fn slotted(&self) -> [Window; 4] {
        let week = |day: Date| Slot::Week { year: day.year(), week: day.iso_week_date().week() };
        let month = |day: Date| Slot::Month { year: day.year(), month: day.month() };
        [
            Window { newest: self.all, oldest: self.daily, slot_of: Slot::Day },
            Window { newest: self.daily, oldest: self.weekly, slot_of: week },
            Window { newest: self.weekly, oldest: self.monthly, slot_of: month },
            Window { newest: self.monthly, oldest: self.yearly, slot_of: |day| Slot::Year(day.year()) },
        ]
    }
}

/// A window that keeps one backup per slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Where it begins; included.
    pub(super) newest: Timestamp,
    /// Where it ends; included.
    pub(super) oldest: Timestamp,
    /// In which slot a day falls.
    pub(super) slot_of: fn(Date) -> Slot,
}

impl Window {
    /// The slot of a moment; `None` when it lies outside.
    pub(super) fn slot(&self, moment: Timestamp, zone: &TimeZone) -> Option<Slot> {
        let inside = moment <= self.newest && moment >= self.oldest;
        inside.then(|| (self.slot_of)(zone.to_datetime(moment).date()))
    }
}

/// `at` minus `count` units of the calendar of `zone`. A time before all time is the beginning of time: such a window
/// never ends.
fn back(at: Timestamp, zone: &TimeZone, count: u32, step: fn(DateTime, i64) -> Option<DateTime>) -> Timestamp {
    if count == 0 {
        return at;
    }
    let moment = || {
        let found = zone.to_ambiguous_timestamp(step(zone.to_datetime(at), i64::from(count))?);
        match found.offset() {
            // Of an hour that happens twice, the one with the offset from which the step was made.
            AmbiguousOffset::Fold { after, .. } if after == zone.to_offset(at) => found.later().ok(),
            _ => found.compatible().ok(),
        }
    };
    moment().unwrap_or(Timestamp::MIN)
}

fn days(at: DateTime, count: i64) -> Option<DateTime> {
    at.checked_sub(Span::new().try_days(count).ok()?).ok()
}

fn months(at: DateTime, count: i64) -> Option<DateTime> {
    let month = i64::from(at.year()) * 12 + i64::from(at.month()) - 1 - count;
    let first = Date::new(i16::try_from(month.div_euclid(12)).ok()?, i8::try_from(month.rem_euclid(12)).ok()? + 1, 1);
    // The day of the month is counted from its first day, so it flows over where the month is too short.
    let day = first.ok()?.checked_add(Span::new().days(i64::from(at.day()) - 1)).ok()?;
    Some(day.to_datetime(at.time()))
}
