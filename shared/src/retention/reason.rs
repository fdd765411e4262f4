//! Why a backup stays or goes, as a value and in words.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;

/// A stretch of the calendar of which one backup is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// A calendar day.
    Day(Date),
    /// The days of an ISO week that lie in one calendar year (PHP's `YW`, not the ISO year).
    Week {
        /// Calendar year.
        year: i16,
        /// ISO week number.
        week: i8,
    },
    /// A calendar month.
    Month {
        /// Calendar year.
        year: i16,
        /// 1 to 12.
        month: i8,
    },
    /// A calendar year.
    Year(i16),
}

/// Why a backup stays or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Stays: no backup is newer.
    Newest,
    /// Stays: its date lies in the future, so no rule can judge it.
    Future,
    /// Stays: no backup that was verified whole is newer.
    NewestWhole,
    /// Stays: the newest backup of whose contents anything is known is damaged.
    HeldForDamage,
    /// Stays: somebody holds it.
    Held,
    /// Stays: locked until then.
    LockedUntil(Timestamp),
    /// Stays: younger than this many days.
    WithinDays(u32),
    /// Stays: the newest of its slot.
    NewestOfSlot(Slot),
    /// Goes: another of its slot is newer.
    NewerInSlot(Slot),
    /// Goes: older than the end of the last window.
    OlderThanLastWindow(Timestamp),
    /// Goes: the oldest, while all together were over the limit.
    OverSizeLimit {
        /// The limit in MiB.
        limit_mib: u64,
    },
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Slot::Day(day) => write!(f, "day {day}"),
            Slot::Week { year, week } => write!(f, "week {week} in {year}"),
            Slot::Month { year, month } => write!(f, "month {year:04}-{month:02}"),
            Slot::Year(year) => write!(f, "year {year}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Newest => write!(f, "the newest backup is never deleted"),
            Reason::Future => write!(f, "dated in the future; no rule is applied to it"),
            Reason::NewestWhole => write!(f, "the newest backup that was verified whole is never deleted"),
            Reason::HeldForDamage => write!(f, "nothing is deleted while a newer backup is known to be damaged"),
            Reason::Held => write!(f, "held until it is released"),
            Reason::LockedUntil(until) => write!(f, "locked until {until:.0}"),
            Reason::WithinDays(1) => write!(f, "all backups of the last day are kept"),
            Reason::WithinDays(days) => write!(f, "all backups of the last {days} days are kept"),
            Reason::NewestOfSlot(slot) => write!(f, "newest of its {slot}"),
            Reason::NewerInSlot(slot) => write!(f, "another backup of its {slot} is newer"),
            Reason::OlderThanLastWindow(end) => write!(f, "older than the last window, which ends at {end:.0}"),
            Reason::OverSizeLimit { limit_mib } => {
                write!(f, "the oldest while all backups together were over {limit_mib} MiB")
            }
        }
    }
}
