//! The audit trail: one record per operation, each carrying the digest of the one before.
//!
//! A record is one small JSON object under `<name>/audit/` of a disk, `00000042.json`: what ran, what triggered it, how it
//! ended, and its report. Every disk has a trail of its own. A record that was changed, taken away from the middle, put
//! in or moved is told by [`read`], because the record behind it carries the SHA-256 of its bytes.
//!
//! - **One writer per number.** A key is the record's number and nothing else, and is made only where none is: of two
//!   operations that end at the same time, the second reads again and takes the next number. Each record says which was
//!   the newest success of every operation, so that [`latest`] reads two records and not the whole trail.
//! - **Nothing here deletes or replaces.** Catalog, cleanup and health never take a record for a backup.
//! - **What a chain cannot tell**: records taken away from its end, and a change of the last one. For these its head
//!   ([`Head`]) must be known from elsewhere; monitor tells it in every report, which leaves the vault by mail and log.

mod chain;
mod place;
#[cfg(test)]
mod tests;

pub use chain::{Checked, Finding, Trail};
pub use place::Place;

use std::collections::BTreeMap;

use futures_util::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::chain::{Chain, Found};
use crate::config::{Config, describe};
use crate::source::hex;
use crate::store::{Object, Review, Store};
use crate::{Class, Error, Result};

/// The version of the form of records.
pub const VERSION: u32 = 1;
/// Bytes of a record, at most. What is longer is none.
pub const LONGEST: u64 = 512 << 10;
/// Records that are read at the same time.
const READS_IN_FLIGHT: usize = 16;
/// How often an append takes the next number because another writer was quicker.
const ATTEMPTS: u32 = 64;

/// One record of the trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The version of this form: [`VERSION`].
    pub version: u32,
    /// `BACKUP_NAME`, so that a trail which was copied from elsewhere is told.
    pub name: String,
    /// Its number; the first is 1.
    pub sequence: u64,
    /// SHA-256 of the bytes of the record before, in lower-case hexadecimal; `None` for the first.
    pub previous: Option<String>,
    /// When the operation began, by the clock of whoever ran it.
    pub at: Timestamp,
    /// Which operation: `backup`, `cleanup`, `monitor`, `verify`, `extract`, `restore`, …
    pub operation: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong; `None` for a success.
    pub error: Option<Failure>,
    /// What set it off.
    pub trigger: Trigger,
    /// SHA-256 of the configuration that was in force, secrets left out ([`configuration`]).
    pub configuration: String,
    /// The program, e.g. `nightvault 0.1.0`.
    pub tool: String,
    /// The numbers of the newest success of each operation, this record included.
    pub successes: BTreeMap<String, u64>,
    /// The operation's own report, long lists cut (`left_out` counts what was); `null` when there is none.
    pub report: Value,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it was to do.
    Success,
    /// It did not, or not all of it; or what it looked at is not well.
    Failure,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// [`Class::error_type`](crate::Class::error_type).
    pub class: String,
    /// The message with its causes.
    pub message: String,
}

/// What set an operation off, as far as the program itself can know. Of a function, CloudTrail tells the caller by the
/// request id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// `command-line`, `lambda-invoke`, or `eventbridge-scheduler` for an invocation that came with a scheduled time.
    pub by: String,
    /// Who or what, e.g. `user@host`, or the ARN under which the function was invoked.
    pub who: Option<String>,
    /// The time for which the run was scheduled.
    pub scheduled_time: Option<Timestamp>,
    /// Lambda's request id.
    pub request_id: Option<String>,
}

impl Trigger {
    /// A person or a program at a command line.
    pub fn command_line(who: impl Into<String>) -> Self {
        Self { by: "command-line".to_owned(), who: Some(who.into()), scheduled_time: None, request_id: None }
    }

    /// An invocation of a function.
    pub fn lambda(function: impl Into<String>, request_id: impl Into<String>) -> Self {
        let (who, request_id) = (Some(function.into()), Some(request_id.into()));
        Self { by: "lambda-invoke".to_owned(), who, scheduled_time: None, request_id }
    }

    /// The same with the scheduled time of its event: of a function, one that its schedule has set off.
    #[must_use]
    pub fn scheduled(mut self, time: Option<Timestamp>) -> Self {
        if time.is_some() && self.request_id.is_some() {
            self.by = "eventbridge-scheduler".to_owned();
        }
        self.scheduled_time = time;
        self
    }
}

/// What a record says before it has its place in the trail.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// [`Record::at`].
    pub at: Timestamp,
    /// [`Record::operation`].
    pub operation: String,
    /// [`Record::error`]; without one it is a success.
    pub error: Option<Failure>,
    /// [`Record::trigger`].
    pub trigger: Trigger,
    /// [`Record::configuration`].
    pub configuration: String,
    /// [`Record::report`].
    pub report: Value,
}

/// The last record of a trail, in words that can be kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number, which is also how many records there are.
    pub sequence: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// The digest of a configuration as `nightvault config --json` shows it: secrets as `***`, keys in order, no blanks.
pub fn configuration(config: &Config) -> String {
    digest(describe(config).to_string().as_bytes())
}

/// Adds a record to the trail and returns it as it was written.
///
/// # Errors
/// What the store says: then there is no record. [`Class::Limit`] for a report of more than [`LONGEST`] bytes.
pub async fn append(store: &dyn Store, place: &Place, new: NewRecord) -> Result<Record> {
    for _ in 0..ATTEMPTS {
        let record = next(store, place, &new).await?;
        let key = place.key(record.sequence);
        let mut bytes =
            serde_json::to_vec(&record).map_err(|error| Error::bug("a record is no JSON").because(error))?;
        bytes.push(b'\n');
        let length = bytes.len() as u64;
        if length > LONGEST {
            return Err(Error::new(
                Class::Limit,
                format!("the record {key:?} would have {length} bytes, {LONGEST} at most"),
            ));
        }
        match write(store, &key, bytes).await {
            Ok(()) => return Ok(record),
            Err(error) if error.class() == Class::AlreadyExists => {
                tracing::debug!(key, "another operation took this place in the audit trail; the next one is tried");
            }
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(Class::Transient, format!("others took every place in the audit trail of {:?}", place.name))
        .hint("Find out what writes there all the time, then try again."))
}

/// Every record of a trail, checked. A trail that is not whole is no error: its findings say what is wrong.
///
/// # Errors
/// What the store says when it cannot be read to its end.
pub async fn read(store: &dyn Store, place: &Place) -> Result<Trail> {
    let mut records = Vec::new();
    let checked = check(store, place, |_, record| records.push(record)).await?;
    Ok(Trail { records, findings: checked.findings, head: checked.head })
}

/// As [`read`], with one record in memory at a time; `see` gets each that can be read, in order, after its number and
/// digest.
///
/// # Errors
/// What the store says when it cannot be read to its end.
pub async fn check(store: &dyn Store, place: &Place, mut see: impl FnMut(Head, Record) + Send) -> Result<Checked> {
    let listing = Listing::read(store, place).await?;
    let mut chain = Chain::new(place);
    listing.strays.iter().for_each(|object| chain.stray(&object.key));
    let reads = listing.records.iter().map(async |(sequence, object)| (*sequence, fetch(store, object).await));
    let mut reads = std::pin::pin!(futures_util::stream::iter(reads).buffered(READS_IN_FLIGHT));
    while let Some((sequence, found)) = reads.next().await {
        let found = found?;
        if let (Some(record), Some(sha256)) = (chain.follow(sequence, &found), found.sha256()) {
            see(Head { sequence, sha256: sha256.to_owned() }, record);
        }
    }
    Ok(chain.finish())
}

/// The newest record of an operation that succeeded. Reads two records, however long the trail is; the chain is not
/// checked ([`check`] does).
///
/// # Errors
/// What the store says; [`Class::Corrupt`] when the trail points to a record that is not what it says.
pub async fn latest(store: &dyn Store, place: &Place, operation: &str) -> Result<Option<Record>> {
    let listing = Listing::read(store, place).await?;
    let Some((sequence, head)) = newest(store, &listing).await?.readable else { return Ok(None) };
    let Some(&wanted) = head.successes.get(operation) else { return Ok(None) };
    let record = match listing.records.get(&wanted) {
        _ if wanted == sequence => Some(head),
        Some(object) => fetch(store, object).await?.record(),
        None => None,
    };
    match record {
        Some(record) if record.operation == operation && record.outcome == Outcome::Success => Ok(Some(record)),
        _ => Err(Error::corrupt(format!(
            "record {sequence} of the audit trail of {:?} names record {wanted} as the newest {operation}, which it is not",
            place.name
        ))
        .hint("Run `nightvault audit verify`, and find out who writes to that folder.")),
    }
}

/// The digest of a record's bytes.
fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// What lies in the folder of a trail.
struct Listing {
    /// By their numbers.
    records: BTreeMap<u64, Object>,
    /// What has no name of a record.
    strays: Vec<Object>,
}

impl Listing {
    async fn read(store: &dyn Store, place: &Place) -> Result<Self> {
        let mut listing = Self { records: BTreeMap::new(), strays: Vec::new() };
        for object in store.list(&place.folder()).await? {
            match place.sequence(&object.key) {
                Some(sequence) => _ = listing.records.insert(sequence, object),
                None => listing.strays.push(object),
            }
        }
        Ok(listing)
    }
}

/// The end of a trail.
struct Newest {
    /// Number and digest of the last record, whatever is in it.
    head: Option<Head>,
    /// The last record that can be read, with its number.
    readable: Option<(u64, Record)>,
}

async fn newest(store: &dyn Store, listing: &Listing) -> Result<Newest> {
    let mut head = None;
    for (sequence, object) in listing.records.iter().rev() {
        let found = fetch(store, object).await?;
        head = head.or_else(|| found.sha256().map(|sha256| Head { sequence: *sequence, sha256: sha256.to_owned() }));
        if head.is_none() {
            return Err(Error::corrupt(format!("{:?} cannot be read, and no record can follow it", object.key))
                .hint("Run `nightvault audit verify`, and find out who writes to that folder."));
        }
        if let Some(record) = found.record() {
            return Ok(Newest { head, readable: Some((*sequence, record)) });
        }
    }
    Ok(Newest { head, readable: None })
}

/// The record that is to follow the last one.
async fn next(store: &dyn Store, place: &Place, new: &NewRecord) -> Result<Record> {
    let Newest { head, readable } = newest(store, &Listing::read(store, place).await?).await?;
    let full = || Error::corrupt(format!("no number is left in the audit trail of {:?}", place.name));
    let sequence = head.as_ref().map_or(0, |head| head.sequence).checked_add(1).ok_or_else(full)?;
    let mut successes = readable.map(|(_, record)| record.successes).unwrap_or_default();
    let outcome = if new.error.is_none() { Outcome::Success } else { Outcome::Failure };
    if outcome == Outcome::Success {
        successes.insert(new.operation.clone(), sequence);
    }
    Ok(Record {
        version: VERSION,
        name: place.name.clone(),
        sequence,
        previous: head.map(|head| head.sha256),
        at: new.at,
        operation: new.operation.clone(),
        outcome,
        error: new.error.clone(),
        trigger: new.trigger.clone(),
        configuration: new.configuration.clone(),
        tool: format!("nightvault {}", env!("CARGO_PKG_VERSION")),
        successes,
        report: new.report.clone(),
    })
}

async fn write(store: &dyn Store, key: &str, bytes: Vec<u8>) -> Result<()> {
    let length = bytes.len() as u64;
    let mut upload = store.create(key, Some(length)).await?;
    upload.write(bytes.into()).await?;
    upload.complete(&Review { bytes: length }).await?;
    Ok(())
}

/// The bytes of a record. What is too long to be one is not fetched, and neither is what has vanished.
async fn fetch(store: &dyn Store, object: &Object) -> Result<Found> {
    if object.size > LONGEST {
        return Ok(Found::TooLong(object.size));
    }
    match store.read(&object.key, 0..object.size, object.etag.as_deref()).await {
        Ok(bytes) => Ok(Found::Bytes { sha256: digest(&bytes), bytes }),
        Err(error) if matches!(error.class(), Class::NotFound | Class::Inconsistent | Class::Corrupt) => {
            Ok(Found::Unreadable(error.chain()))
        }
        Err(error) => Err(error),
    }
}
