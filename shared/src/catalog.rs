//! Which backups exist: the one type that owns their names, and the listing of a disk.
//!
//! A key is `<name>/<prefix><YYYY-MM-DD-HH-mm-ss>.zip`, dated in the configured zone. Only what has exactly this form
//! (and is not empty) is a backup. The records of the audit trail are passed over; all else below `<name>/` is *foreign*:
//! told, never touched.
//!
//! **UTC is the right zone** (and the default). In a zone with summer time one local hour happens twice in autumn, so
//! two moments share one key there: the later run meets the key of the earlier one, the `date` in the manifest tells
//! them apart, and the operation refuses instead of taking the one for the other. A key read back from such an hour
//! stands for the earlier moment; a local time that was skipped in spring stands for the time one hour later
//! (`compatible`, RFC 5545). Changing the zone re-dates the backups that are there by the difference; their keys stay.

mod drills;
mod hold;
mod proof;
mod selector;
mod slices;
#[cfg(test)]
mod tests;

pub use drills::{Drilled, record_drill};
pub use hold::{HoldText, guards, hold_text, read_hold};
pub use proof::{Proof, Verdict, proof, proofs, record};
pub use selector::Selector;
pub use slices::{Noted, Slices, noted, noted_beside, record_slices};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::Result;
use crate::audit::Place;
use crate::store::{Object, Store};

/// What every key ends with.
const EXTENSION: &str = ".zip";
/// Bytes of `YYYY-MM-DD-HH-mm-ss`.
const DATE_LENGTH: usize = 19;

/// The name of one backup, in every store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackupKey {
    name: String,
    prefix: String,
    /// What the key says: wall-clock time in the zone, whole seconds, years 0 to 9999.
    local: DateTime,
    /// The moment it stands for.
    date: Timestamp,
}

impl BackupKey {
    /// The key of the backup of `date`, whose fraction of a second is dropped.
    pub fn new(name: &str, filename_prefix: &str, date: Timestamp, zone: &TimeZone) -> Self {
        let date = whole_seconds(date);
        let local = zone.to_datetime(date);
        Self { name: name.to_owned(), prefix: filename_prefix.to_owned(), local, date }
    }

    /// Reads a key; `None` when it is not exactly one of ours.
    pub fn parse(name: &str, filename_prefix: &str, key: &str, zone: &TimeZone) -> Option<Self> {
        let file = key.strip_prefix(name)?.strip_prefix('/')?;
        let local = local_time(file.strip_prefix(filename_prefix)?.strip_suffix(EXTENSION)?)?;
        let date = zone.to_timestamp(local).ok()?;
        Some(Self { name: name.to_owned(), prefix: filename_prefix.to_owned(), local, date })
    }

    /// The key as it stands in the store.
    pub fn path(&self) -> String {
        let Self { name, prefix, .. } = self;
        format!("{name}/{prefix}{}{EXTENSION}", self.date_steps().join("-"))
    }

    /// Year, month, day, hour, minute and second as they stand in the key.
    fn date_steps(&self) -> [String; 6] {
        let at = self.local;
        let rest = [at.month(), at.day(), at.hour(), at.minute(), at.second()].map(|step| format!("{step:02}"));
        let [month, day, hour, minute, second] = rest;
        [format!("{:04}", at.year()), month, day, hour, minute, second]
    }

    /// The moment the key stands for.
    pub fn date(&self) -> Timestamp {
        self.date
    }
}

/// One backup of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its name.
    pub key: BackupKey,
    /// The object, as the store listed it.
    pub object: Object,
}

/// All that a disk holds under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The backups, newest first; those of one moment in the order of their keys.
    pub backups: Vec<Backup>,
    /// Everything else below the name but the audit trail, in the store's order. Never touched.
    pub foreign: Vec<Object>,
}

impl Catalog {
    /// The newest backup that is not dated in the future.
    pub fn newest(&self, now: Timestamp) -> Option<&Backup> {
        self.backups.iter().find(|backup| backup.key.date <= now)
    }
}

/// Lists the backups of `name` on one disk. Lists `<name>/` and nothing beside it.
///
/// # Errors
/// What the store says.
pub async fn read(store: &dyn Store, name: &str, filename_prefix: &str, zone: &TimeZone) -> Result<Catalog> {
    let mut catalog = Catalog::default();
    let trail = Place::new(name);
    for object in store.list(&format!("{name}/")).await? {
        match BackupKey::parse(name, filename_prefix, &object.key, zone) {
            // No archive is empty. An empty object in a backup's place must not pass for the newest backup.
            Some(key) if object.size > 0 => catalog.backups.push(Backup { key, object }),
            // Ours, and nobody's here.
            _ if trail.sequence(&object.key).is_some() => {}
            _ => catalog.foreign.push(object),
        }
    }
    catalog.backups.sort_by(|a, b| b.key.date.cmp(&a.key.date).then_with(|| a.object.key.cmp(&b.object.key)));
    Ok(catalog)
}

/// `date` without its fraction, towards the past.
fn whole_seconds(date: Timestamp) -> Timestamp {
    let nanoseconds = date.as_nanosecond();
    Timestamp::from_nanosecond(nanoseconds - nanoseconds.rem_euclid(1_000_000_000)).unwrap_or(Timestamp::MIN)
}

/// Reads `YYYY-MM-DD-HH-mm-ss`: exactly these digits and dashes, and a time that a calendar has.
fn local_time(text: &str) -> Option<DateTime> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == DATE_LENGTH
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 | 10 | 13 | 16 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !shaped {
        return None;
    }
    let two = |at: usize| text[at..at + 2].parse::<i8>().ok();
    DateTime::new(text[..4].parse().ok()?, two(5)?, two(8)?, two(11)?, two(14)?, two(17)?, 0).ok()
}
