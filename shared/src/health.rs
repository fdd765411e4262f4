//! Whether the backups of a disk are what they should be.
//!
//! [`check`] is a pure function from facts to findings: one [`Finding`] per check, passed or not, in a fixed order. All
//! checks are made whatever fails, and a check that cannot be made is a finding itself, never silence. *Unhealthy* is
//! what endangers a restore; *warning* is what a person should look at, and leaves the disk healthy.
//!
//! The newest backup is the newest that is not dated in the future: a wrong clock must not make a disk look fresh.

mod complete;
mod drill;
#[cfg(test)]
mod tests;
mod trail;
mod verified;

pub use complete::EmptyDatabase;
pub use trail::TrailFacts;

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::archive::reader::Tail;
use crate::config::HealthLimits;
use crate::error::Class;
use crate::report::{DiskHealth, FindingReport, ProvenRestore, VerifiedBackup};
use crate::retention::Candidate;
use crate::store::Hidden;

/// How many backups before the newest its size is compared with, at most; at least three are needed.
const SIZE_HISTORY: usize = 7;
const SIZE_HISTORY_LEAST: usize = 3;

/// What is known of one disk.
#[derive(Debug, Clone)]
pub struct DiskFacts {
    /// The disk's name.
    pub disk: String,
    /// Whether it could be reached and listed; else what it said.
    pub reached: Result<(), String>,
    /// Its backups, in any order.
    pub backups: Vec<Candidate>,
    /// Why what `verify` noted beside the backups could not be read; `None` = it was.
    pub notes_unread: Option<String>,
    /// Objects under the name that are not backups.
    pub foreign: u64,
    /// What is stored under the name and no listing shows; else why it could not be counted.
    pub hidden: Result<Hidden, String>,
    /// What reading the end of the newest backup gave ([`newest`]); `None` = it was not read.
    pub newest_tail: Option<Result<TailFacts, (Class, String)>>,
    /// The same of the backup before it ([`previous`]), which the newest is compared with.
    pub previous_tail: Option<Result<TailFacts, (Class, String)>>,
    /// What reading the audit trail gave; `None` = it was not read.
    pub trail: Option<Result<TrailFacts, String>>,
    /// The parts of backups that were read for these facts.
    pub samples: Vec<VerifiedBackup>,
    /// The last restore that was proven; else why that could not be read.
    pub last_drill: Result<Option<ProvenRestore>, String>,
}

/// What the authenticated end of an archive says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailFacts {
    /// The key under which the backup was written.
    pub key: String,
    /// The moment it was made for.
    pub date: Timestamp,
    /// Whether every entry is encrypted.
    pub encrypted: bool,
    /// Databases and file sets in it, with their rows; `None` for what has no rows.
    pub sources: Vec<(String, Option<u64>)>,
    /// Databases without a single row.
    pub empty_databases: Vec<EmptyDatabase>,
    /// Files that could not be read or changed while they were read.
    pub file_problems: u64,
}

impl From<&Tail> for TailFacts {
    fn from(tail: &Tail) -> Self {
        let manifest = &tail.manifest;
        Self {
            key: manifest.key.clone(),
            date: manifest.date,
            encrypted: tail.encrypted,
            sources: manifest
                .databases
                .iter()
                .map(|database| (database.name.clone(), Some(database.rows)))
                .chain(manifest.files.iter().map(|files| (files.name.clone(), None)))
                .collect(),
            empty_databases: manifest.databases.iter().filter_map(EmptyDatabase::of).collect(),
            file_problems: manifest.files.iter().map(|files| files.problems.len() as u64).sum(),
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As it should be.
    Ok,
    /// A person should look at it.
    Warning,
    /// A restore is in danger.
    Unhealthy,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Unhealthy => "unhealthy",
        })
    }
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable name of the check.
    pub check: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was found, in words.
    pub message: String,
}

impl From<Finding> for FindingReport {
    fn from(finding: Finding) -> Self {
        Self { check: finding.check.to_owned(), status: finding.status.to_string(), message: finding.message }
    }
}

/// The newest backup that is not dated in the future: the one whose end is to be read.
pub fn newest(backups: &[Candidate], now: Timestamp) -> Option<&Candidate> {
    // The same tie rule as everywhere: of one moment, the first key.
    let present = backups.iter().filter(|backup| backup.date <= now);
    present.min_by(|a, b| b.date.cmp(&a.date).then_with(|| a.key.cmp(&b.key)))
}

/// The backup before the newest: what it held, the newest should hold as well.
pub fn previous(backups: &[Candidate], now: Timestamp) -> Option<&Candidate> {
    let newest = newest(backups, now)?;
    let earlier = backups.iter().filter(|backup| backup.date <= now && backup.key != newest.key);
    earlier.min_by(|a, b| b.date.cmp(&a.date).then_with(|| a.key.cmp(&b.key)))
}

/// Makes every check of one disk.
pub fn check(facts: &DiskFacts, limits: &HealthLimits, now: Timestamp) -> Vec<Finding> {
    let checks: [(&'static str, Status, Check); 12] = [
        ("reachable", Status::Unhealthy, reachable),
        ("present", Status::Unhealthy, present),
        ("max_age", Status::Unhealthy, max_age),
        ("max_storage", Status::Unhealthy, max_storage),
        ("readable", Status::Unhealthy, readable),
        ("complete", Status::Unhealthy, complete::check),
        ("verified", Status::Unhealthy, verified::check),
        ("drill", Status::Unhealthy, drill::check),
        ("size", Status::Warning, size),
        ("future", Status::Warning, future),
        ("foreign", Status::Warning, foreign),
        ("audit", Status::Unhealthy, trail::audit),
    ];
    let run = |(check, when_not_made, run): (&'static str, Status, Check)| {
        let (status, message) = match &facts.reached {
            Err(_) if check != "reachable" => (when_not_made, "not checked: the disk could not be read".to_owned()),
            _ => run(facts, limits, now),
        };
        Finding { check, status, message }
    };
    checks.into_iter().map(run).collect()
}

/// The report of one disk, with every check made.
pub fn disk_health(facts: &DiskFacts, limits: &HealthLimits, now: Timestamp) -> DiskHealth {
    let findings = check(facts, limits, now);
    DiskHealth {
        disk: facts.disk.clone(),
        healthy: findings.iter().all(|finding| finding.status != Status::Unhealthy),
        backups: facts.backups.len() as u64,
        used_bytes: used_bytes(facts),
        hidden_bytes: facts.hidden.as_ref().map_or(0, Hidden::bytes),
        newest: newest(&facts.backups, now).map(|backup| backup.date),
        newest_percent: sizes(facts, now).map(|it| it.newest.saturating_mul(100) / it.median.max(1)),
        limit_bytes: limits.max_storage_mb.map(|mb| mb.saturating_mul(1 << 20)),
        audit_head: facts.trail.as_ref().and_then(|trail| trail.as_ref().ok()?.head.clone()),
        samples: facts.samples.clone(),
        last_drill: facts.last_drill.clone().ok().flatten(),
        findings: findings.into_iter().map(FindingReport::from).collect(),
    }
}

type Check = fn(&DiskFacts, &HealthLimits, Timestamp) -> (Status, String);

fn reachable(facts: &DiskFacts, _: &HealthLimits, _: Timestamp) -> (Status, String) {
    match &facts.reached {
        Ok(()) => (Status::Ok, "the disk was reached and listed".into()),
        Err(error) => (Status::Unhealthy, format!("the disk could not be read: {error}")),
    }
}

fn present(facts: &DiskFacts, _: &HealthLimits, now: Timestamp) -> (Status, String) {
    match (newest(&facts.backups, now), facts.backups.len()) {
        (Some(_), 1) => (Status::Ok, "there is 1 backup".into()),
        (Some(_), count) => (Status::Ok, format!("there are {count} backups")),
        (None, 0) => (Status::Unhealthy, "there is no backup".into()),
        (None, _) => (Status::Unhealthy, "there is no backup but such as are dated in the future".into()),
    }
}

fn max_age(facts: &DiskFacts, limits: &HealthLimits, now: Timestamp) -> (Status, String) {
    let days = limits.max_age_days;
    let limit = SignedDuration::from_hours(i64::from(days) * 24);
    match newest(&facts.backups, now) {
        None => (Status::Unhealthy, "there is no backup whose age could be told".into()),
        Some(backup) => {
            let age = now.duration_since(backup.date);
            let status = if age > limit { Status::Unhealthy } else { Status::Ok };
            let unit = if days == 1 { "day" } else { "days" };
            (status, format!("the newest backup is {} old; allowed: {days} {unit}", hours_and_minutes(age)))
        }
    }
}

fn max_storage(facts: &DiskFacts, limits: &HealthLimits, _: Timestamp) -> (Status, String) {
    let backups = used_bytes(facts);
    let (used, besides) = match &facts.hidden {
        Ok(hidden) if hidden.bytes() == 0 => (backups, String::new()),
        Ok(hidden) => (
            backups.saturating_add(hidden.bytes()),
            format!(
                ", old versions {} and uploads that were never completed {}",
                hidden.version_bytes, hidden.upload_bytes
            ),
        ),
        Err(why) => (backups, format!(" (old versions could not be counted: {why})")),
    };
    let counted = facts.hidden.is_ok();
    match limits.max_storage_mb {
        None => (Status::Ok, format!("all backups take {backups} bytes{besides}; no limit is set")),
        Some(mib) => {
            let over = used > mib.saturating_mul(1 << 20);
            let status = match (over, counted) {
                (true, _) => Status::Unhealthy,
                (false, true) => Status::Ok,
                (false, false) => Status::Warning,
            };
            (status, format!("all backups take {backups} bytes{besides}; allowed: {mib} MiB"))
        }
    }
}

fn readable(facts: &DiskFacts, _: &HealthLimits, now: Timestamp) -> (Status, String) {
    let Some(newest) = newest(&facts.backups, now) else {
        return (Status::Unhealthy, "there is no backup to read".into());
    };
    let key = &newest.key;
    match &facts.newest_tail {
        None => (Status::Unhealthy, format!("{key} was not read")),
        Some(Err((Class::WrongPassword, error))) => {
            (Status::Unhealthy, format!("{key} does not open with today's password: {error}"))
        }
        Some(Err((Class::Corrupt, error))) => (Status::Unhealthy, format!("{key} is damaged: {error}")),
        Some(Err((Class::Unsupported, error))) => (Status::Unhealthy, format!("{key}: {error}")),
        Some(Err((_, error))) => (Status::Unhealthy, format!("{key} could not be read: {error}")),
        Some(Ok(tail)) => readable_tail(newest, tail),
    }
}

/// The worst of what an authenticated manifest can say against its backup.
fn readable_tail(newest: &Candidate, tail: &TailFacts) -> (Status, String) {
    let key = &newest.key;
    if tail.key != *key {
        return (
            Status::Unhealthy,
            format!("{key} is a copy of {}: its manifest was written under that key", tail.key),
        );
    }
    if !tail.encrypted {
        return (Status::Unhealthy, format!("{key} has an entry that is not encrypted with AES-256"));
    }
    if tail.sources.is_empty() {
        return (Status::Unhealthy, format!("{key} holds no database and no files"));
    }
    let mut warnings = Vec::new();
    if tail.date.as_second() != newest.date.as_second() {
        warnings.push(format!(
            "its manifest says that it was made for {:.0}, its key {:.0} (was BACKUP_TIMEZONE changed?)",
            tail.date, newest.date
        ));
    }
    if tail.file_problems > 0 {
        warnings.push(format!("{} files are missing or not as they were", tail.file_problems));
    }
    if warnings.is_empty() {
        let what = "opens with today's password; directory, index and manifest are intact, every entry is encrypted";
        (Status::Ok, format!("{key} {what}"))
    } else {
        (Status::Warning, format!("{key} opens with today's password, but: {}", warnings.join("; ")))
    }
}

/// The newest backup's size and what is usual.
struct Sizes {
    newest: u64,
    /// The median of those before it.
    median: u64,
    /// How many those are.
    count: usize,
}

/// `None`: there are too few to compare.
fn sizes(facts: &DiskFacts, now: Timestamp) -> Option<Sizes> {
    let newest = newest(&facts.backups, now)?;
    let mut earlier: Vec<_> =
        facts.backups.iter().filter(|backup| backup.date <= now && backup.key != newest.key).collect();
    earlier.sort_by(|a, b| b.date.cmp(&a.date).then_with(|| a.key.cmp(&b.key)));
    let mut sizes: Vec<u64> = earlier.iter().take(SIZE_HISTORY).map(|backup| backup.size).collect();
    sizes.sort_unstable();
    let median = *sizes.get(sizes.len() / 2)?;
    (sizes.len() >= SIZE_HISTORY_LEAST).then_some(Sizes { newest: newest.size, median, count: sizes.len() })
}

fn size(facts: &DiskFacts, _: &HealthLimits, now: Timestamp) -> (Status, String) {
    let Some(Sizes { newest, median, count }) = sizes(facts, now) else {
        return (Status::Ok, "too few backups to compare sizes".into());
    };
    let told = format!("the newest backup has {newest} bytes; the median of the {count} before it is {median}");
    if newest.saturating_mul(2) < median {
        (Status::Warning, format!("{told}: less than half"))
    } else if newest > median.saturating_mul(4) {
        (Status::Warning, format!("{told}: more than four times as much"))
    } else {
        (Status::Ok, told)
    }
}

fn future(facts: &DiskFacts, _: &HealthLimits, now: Timestamp) -> (Status, String) {
    let ahead: Vec<_> = facts.backups.iter().filter(|backup| backup.date > now).collect();
    match ahead.iter().max_by_key(|backup| backup.date) {
        None => (Status::Ok, "no backup is dated in the future".into()),
        Some(latest) => {
            let told = if ahead.len() == 1 { "1 backup is".into() } else { format!("{} backups are", ahead.len()) };
            (Status::Warning, format!("{told} dated in the future and not counted as the newest, e.g. {}", latest.key))
        }
    }
}

fn foreign(facts: &DiskFacts, _: &HealthLimits, _: Timestamp) -> (Status, String) {
    match facts.foreign {
        0 => (Status::Ok, "nothing but backups lies under the name".into()),
        1 => (Status::Warning, "1 object under the name is not a backup; it is never touched".into()),
        count => (Status::Warning, format!("{count} objects under the name are not backups; they are never touched")),
    }
}

fn used_bytes(facts: &DiskFacts) -> u64 {
    facts.backups.iter().fold(0, |sum, backup| sum.saturating_add(backup.size))
}

fn hours_and_minutes(age: SignedDuration) -> String {
    format!("{} h {} min", age.as_hours(), age.as_mins() % 60)
}
