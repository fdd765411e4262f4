//! Which backups are kept, and why.
//!
//! [`plan`] is a pure function: no clock, no store. It is the algorithm of `spatie/laravel-backup`'s default strategy,
//! proved against that program's own decisions (`tests/data/retention-cases.json`). The windows follow one another:
//! all backups, then the newest of each day, week, month, year, then none; both ends of a window belong to it. A week
//! is a calendar year with an ISO week number, so that a week across New Year counts as two, as it does there.
//!
//! Promises: the newest backup is never deleted and takes part in no window; a plan made again for what an applied plan
//! left, at the same moment, deletes nothing; the order of the input does not matter. A backup dated in the future is
//! kept, told, and takes part in nothing, so it can neither pass for the newest nor push another out of its slot
//! (its bytes still count against the size limit, for they are there).
//!
//! A backup that is held, or locked at the moment of the plan, stays, and takes part in everything like any other.
//!
//! What is known of the backups' contents comes in with them. The newest that was verified whole is never deleted, and
//! nothing is while the newest of which anything is known is damaged: the old ones may be all there is.

mod promise;
mod reason;
#[cfg(test)]
mod tests;
mod windows;

pub use promise::kept_until;
pub use reason::{Reason, Slot};

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::catalog::{Backup, Proof, Verdict};
use crate::report::DecisionReport;
use crate::store::Guard;
use windows::Windows;

/// The five windows and the size limit of `spatie/laravel-backup`'s default strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// `BACKUP_KEEP_ALL_DAYS`.
    pub keep_all_days: u32,
    /// `BACKUP_KEEP_DAILY_DAYS`.
    pub keep_daily_days: u32,
    /// `BACKUP_KEEP_WEEKLY_WEEKS`.
    pub keep_weekly_weeks: u32,
    /// `BACKUP_KEEP_MONTHLY_MONTHS`.
    pub keep_monthly_months: u32,
    /// `BACKUP_KEEP_YEARLY_YEARS`.
    pub keep_yearly_years: u32,
    /// `BACKUP_DELETE_OLDEST_OVER_MB`, in MiB; `None` = no limit.
    pub delete_oldest_over_mb: Option<u64>,
}

impl Default for Policy {
    /// All for 7 days, then daily for 30 days, weekly for 12 weeks, monthly for 12 months, yearly for 7 years.
    fn default() -> Self {
        Self {
            keep_all_days: 7,
            keep_daily_days: 30,
            keep_weekly_weeks: 12,
            keep_monthly_months: 12,
            keep_yearly_years: 7,
            delete_oldest_over_mb: None,
        }
    }
}

/// A backup, as far as a plan cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its key.
    pub key: String,
    /// The moment it stands for.
    pub date: Timestamp,
    /// Bytes.
    pub size: u64,
    /// What its last whole reading found; `None` = nobody knows.
    pub verdict: Option<Verdict>,
    /// What keeps it from being deleted, whatever the policy says.
    pub guard: Guard,
}

impl Candidate {
    /// The same with what is known of its contents.
    #[must_use]
    pub fn with_proof(self, proof: Option<Proof>) -> Self {
        Self { verdict: proof.map(|proof| proof.verdict), ..self }
    }

    /// The same with what keeps it from being deleted.
    #[must_use]
    pub fn with_guard(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }
}

impl From<&Backup> for Candidate {
    fn from(backup: &Backup) -> Self {
        let (key, size) = (backup.object.key.clone(), backup.object.size);
        Self { key, date: backup.key.date(), size, verdict: None, guard: Guard::default() }
    }
}

/// What is to become of one backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its key.
    pub key: String,
    /// The moment it stands for.
    pub date: Timestamp,
    /// Bytes.
    pub size: u64,
    /// True: it stays.
    pub keep: bool,
    /// Why.
    pub reason: Reason,
}

impl From<&Decision> for DecisionReport {
    fn from(decision: &Decision) -> Self {
        Self {
            key: decision.key.clone(),
            date: decision.date,
            size: decision.size,
            keep: decision.keep,
            reason: decision.reason.to_string(),
            guarded: matches!(decision.reason, Reason::Held | Reason::LockedUntil(_)),
        }
    }
}

/// What is to become of all backups of one disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// One per backup, newest first; those of one moment in the order of their keys.
    pub decisions: Vec<Decision>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// The damaged backup for whose sake nothing is deleted, where anything was due to be.
    pub held_by: Option<String>,
}

impl Plan {
    /// The backups to delete, oldest first, so that a cleanup that is cut short has deleted the least valuable.
    pub fn deletions(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().rev().filter(|decision| !decision.keep)
    }

    /// Bytes of what stays.
    pub fn keep_bytes(&self) -> u64 {
        bytes(self.decisions.iter().filter(|decision| decision.keep))
    }

    /// Bytes of what goes.
    pub fn delete_bytes(&self) -> u64 {
        bytes(self.deletions())
    }
}

/// Decides what becomes of every candidate at the moment `now`, by the calendar of `zone`.
pub fn plan(candidates: &[Candidate], policy: &Policy, now: Timestamp, zone: &TimeZone) -> Plan {
    let mut sorted: Vec<&Candidate> = candidates.iter().collect();
    sorted.sort_by(|a, b| b.date.cmp(&a.date).then_with(|| a.key.cmp(&b.key)));
    let (future, present): (Vec<_>, Vec<_>) = sorted.into_iter().partition(|candidate| candidate.date > now);
    let windows = Windows::new(policy, now, zone);

    let mut decisions: Vec<Decision> = future.iter().map(|candidate| decide(candidate, true, Reason::Future)).collect();
    if let Some((newest, rest)) = present.split_first() {
        decisions.push(decide(newest, true, Reason::Newest));
        decisions.extend(by_windows(rest, policy, &windows, zone));
    }
    let newest_whole = present.iter().find(|candidate| candidate.verdict == Some(Verdict::Whole));
    if let Some(whole) = newest_whole {
        let due = decisions.iter_mut().filter(|decision| decision.key == whole.key && !decision.keep);
        due.for_each(|decision| (decision.keep, decision.reason) = (true, Reason::NewestWhole));
    }
    let mut protected = keep_guarded(&mut decisions, &present, now);
    protected.extend(newest_whole.map(|whole| whole.key.as_str()));
    let mut over_limit = apply_size_limit(&mut decisions, policy, &protected);
    let newest_known = present.iter().find(|candidate| candidate.verdict.is_some());
    let damaged = newest_known.filter(|candidate| candidate.verdict == Some(Verdict::Damaged));
    let held_by = damaged.filter(|_| hold(&mut decisions)).map(|candidate| candidate.key.clone());
    if held_by.is_some() {
        over_limit = 0;
    }
    let mut warnings = warnings(&decisions, policy, now, over_limit);
    if let Some(key) = &held_by {
        warnings.push(format!("{key} is damaged, and nothing newer was verified whole: nothing is deleted"));
    }
    Plan { decisions, warnings, held_by }
}

/// Keeps what is held or locked; returns the keys of all that is.
fn keep_guarded<'a>(decisions: &mut [Decision], present: &[&'a Candidate], now: Timestamp) -> HashSet<&'a str> {
    let mut guarded = HashSet::new();
    for candidate in present.iter().filter(|candidate| candidate.guard.keeps(now)) {
        guarded.insert(candidate.key.as_str());
        let reason = match (&candidate.guard.hold, candidate.guard.locked_until(now)) {
            (None, Some(until)) => Reason::LockedUntil(until),
            _ => Reason::Held,
        };
        let due = decisions.iter_mut().filter(|decision| decision.key == candidate.key && !decision.keep);
        due.for_each(|decision| (decision.keep, decision.reason) = (true, reason));
    }
    guarded
}

/// Keeps everything; returns whether anything was due to be deleted.
fn hold(decisions: &mut [Decision]) -> bool {
    let mut held = false;
    for decision in decisions.iter_mut().filter(|decision| !decision.keep) {
        (decision.keep, decision.reason) = (true, Reason::HeldForDamage);
        held = true;
    }
    held
}

/// Decides by the windows alone. `rest`: everything but the newest, newest first.
fn by_windows(rest: &[&Candidate], policy: &Policy, windows: &Windows, zone: &TimeZone) -> Vec<Decision> {
    let mut kept_for: Vec<Option<Slot>> = vec![None; rest.len()];
    let mut beaten_in: Vec<Option<Slot>> = vec![None; rest.len()];
    for window in windows.slotted() {
        let mut taken = HashSet::new();
        for (at, candidate) in rest.iter().enumerate() {
            // A backup at the seam of two windows is judged in both, and goes when either says so.
            if let Some(slot) = window.slot(candidate.date, zone) {
                let side = if taken.insert(slot) { &mut kept_for } else { &mut beaten_in };
                side[at].get_or_insert(slot);
            }
        }
    }
    let judge = |(at, candidate): (usize, &&Candidate)| {
        let (keep, reason) = match (beaten_in[at], kept_for[at]) {
            (Some(slot), _) => (false, Reason::NewerInSlot(slot)),
            _ if candidate.date < windows.yearly => (false, Reason::OlderThanLastWindow(windows.yearly)),
            (None, Some(slot)) => (true, Reason::NewestOfSlot(slot)),
            (None, None) => (true, Reason::WithinDays(policy.keep_all_days)),
        };
        decide(candidate, keep, reason)
    };
    rest.iter().enumerate().map(judge).collect()
}

/// Deletes the oldest survivors, never the newest, never one of the future and none of those `kept`, until the sum is at
/// or below the limit. Returns how many went for it.
fn apply_size_limit(decisions: &mut [Decision], policy: &Policy, kept: &HashSet<&str>) -> u64 {
    let Some(limit_mib) = policy.delete_oldest_over_mb else { return 0 };
    let limit = limit_mib.saturating_mul(1 << 20);
    let mut sum = bytes(decisions.iter().filter(|decision| decision.keep));
    let mut deleted = 0;
    for decision in decisions.iter_mut().rev() {
        let protected =
            matches!(decision.reason, Reason::Newest | Reason::Future) || kept.contains(decision.key.as_str());
        if sum > limit && decision.keep && !protected {
            decision.keep = false;
            decision.reason = Reason::OverSizeLimit { limit_mib };
            sum -= decision.size;
            deleted += 1;
        }
    }
    deleted
}

/// What a person should know of a plan.
fn warnings(decisions: &[Decision], policy: &Policy, now: Timestamp, over_limit: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    let future: Vec<_> = decisions.iter().filter(|decision| decision.reason == Reason::Future).collect();
    if let Some(first) = future.first() {
        warnings.push(format!(
            "{} dated in the future (the latest is {}): kept, and left out of every rule; check the clocks and BACKUP_TIMEZONE",
            count(future.len() as u64, "backup is", "backups are"),
            first.key
        ));
    }
    if over_limit > 0 {
        let limit = policy.delete_oldest_over_mb.unwrap_or_default();
        warnings.push(format!(
            "the size limit of {limit} MiB deletes {} that the windows would keep",
            count(over_limit, "backup", "backups")
        ));
    }
    if let Some(limit) = policy.delete_oldest_over_mb {
        let kept = bytes(decisions.iter().filter(|decision| decision.keep));
        if kept > limit.saturating_mul(1 << 20) {
            warnings.push(format!(
                "{kept} bytes stay though the size limit is {limit} MiB: the newest backup, the newest that was verified whole, those of the future and those that are locked or held are never deleted"
            ));
        }
    }
    let newest = decisions.iter().find(|decision| decision.reason == Reason::Newest);
    let deletes = decisions.iter().any(|decision| !decision.keep);
    if let Some(newest) = newest.filter(|_| deletes) {
        let age_days = now.duration_since(newest.date).as_hours() / 24;
        if age_days > i64::from(policy.keep_all_days.max(1)) {
            warnings.push(format!(
                "the newest backup, {}, is {age_days} days old, and older ones are due to be deleted: check that backups still run and that the clock is right",
                newest.key
            ));
        }
    }
    warnings
}

fn decide(candidate: &Candidate, keep: bool, reason: Reason) -> Decision {
    Decision { key: candidate.key.clone(), date: candidate.date, size: candidate.size, keep, reason }
}

fn bytes<'a>(decisions: impl Iterator<Item = &'a Decision>) -> u64 {
    decisions.fold(0, |sum, decision| sum.saturating_add(decision.size))
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
