//! Whether the records of a trail follow one another. Pure: bytes in, findings out.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Head, Outcome, Place, Record, VERSION};

/// What is wrong with a trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its stable name: `gap` (numbers without a record), `broken` (a record is not what the one behind it was written
    /// after), `unreadable` (no record can be read there), `misplaced` (a record of another number or another name),
    /// `misleading` (it names another newest success than there is), `stray` (something in the folder that is no record).
    pub finding: String,
    /// The key where it was found; of a gap, that of the first record which is missing.
    pub key: String,
    /// In words, without the key.
    pub message: String,
}

/// A trail with all its records.
#[derive(Debug, Clone, PartialEq)]
pub struct Trail {
    /// Those that can be read, in order.
    pub records: Vec<Record>,
    /// What is wrong; nothing, when the trail is whole.
    pub findings: Vec<Finding>,
    /// The last record; `None` when there is none, or nothing of it could be read.
    pub head: Option<Head>,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Records that were read, and are ones.
    pub records: u64,
    /// What is wrong; nothing, when the trail is whole.
    pub findings: Vec<Finding>,
    /// The last record; `None` when there is none, or nothing of it could be read.
    pub head: Option<Head>,
}

/// What reading the object of a record gave.
pub(super) enum Found {
    /// All of it.
    Bytes {
        /// As they were stored.
        bytes: Bytes,
        /// Their digest.
        sha256: String,
    },
    /// It has more bytes than any record.
    TooLong(u64),
    /// It has vanished or was replaced meanwhile.
    Unreadable(String),
}

impl Found {
    pub(super) fn sha256(&self) -> Option<&str> {
        match self {
            Found::Bytes { sha256, .. } => Some(sha256),
            Found::TooLong(_) | Found::Unreadable(_) => None,
        }
    }

    /// The record, when it is one.
    pub(super) fn record(&self) -> Option<Record> {
        self.parse().ok()
    }

    fn parse(&self) -> Result<Record, String> {
        match self {
            Found::Bytes { bytes, .. } => {
                let version =
                    serde_json::from_slice::<Version>(bytes).map_err(|error| format!("it is no record: {error}"))?;
                if version.version != VERSION {
                    return Err(format!("it has version {}, and this program reads {VERSION}", version.version));
                }
                serde_json::from_slice(bytes).map_err(|error| format!("it is no record: {error}"))
            }
            Found::TooLong(size) => Err(format!("it has {size} bytes, more than any record")),
            Found::Unreadable(why) => Err(why.clone()),
        }
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// A trail up to some record.
pub(super) struct Chain<'a> {
    place: &'a Place,
    records: u64,
    findings: Vec<Finding>,
    /// The record that was followed last: its number, and its digest where its bytes could be read.
    last: Option<(u64, Option<String>)>,
    /// The newest success of each operation; only right as long as nothing was found wrong.
    successes: BTreeMap<String, u64>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(place: &'a Place) -> Self {
        Self { place, records: 0, findings: Vec::new(), last: None, successes: BTreeMap::new() }
    }

    fn find(&mut self, finding: &str, key: String, message: impl Into<String>) {
        self.findings.push(Finding { finding: finding.to_owned(), key, message: message.into() });
    }

    /// Something that has no name of a record.
    pub(super) fn stray(&mut self, key: &str) {
        self.find("stray", key.to_owned(), "is no record; nothing else belongs into this folder");
    }

    /// Takes the next object, in the order of numbers. Gives the record back, when it is one.
    pub(super) fn follow(&mut self, sequence: u64, found: &Found) -> Option<Record> {
        let key = self.place.key(sequence);
        let (last, before) = self.last.take().unwrap_or_default();
        let missing = last + 1..sequence;
        if !missing.is_empty() {
            let message = match sequence - missing.start {
                1 => format!("record {} is missing", missing.start),
                _ => format!("the records {} to {} are missing", missing.start, sequence - 1),
            };
            self.find("gap", self.place.key(missing.start), message);
        }
        self.last = Some((sequence, found.sha256().map(str::to_owned)));
        let record = match found.parse() {
            Ok(record) => record,
            Err(why) => {
                self.find("unreadable", key, format!("record {sequence} cannot be read: {why}"));
                return None;
            }
        };
        self.records += 1;
        if record.sequence != sequence {
            let message = format!("record {sequence} says that it is record {}", record.sequence);
            self.find("misplaced", key.clone(), message);
        }
        if record.name != self.place.name {
            let message = format!("record {sequence} says that it is of the backups of {:?}", record.name);
            self.find("misplaced", key.clone(), message);
        }
        // Behind a gap, or something of which no byte could be read, there is nothing to compare with; that was told.
        if missing.is_empty() && (before.is_some() || sequence == 1) && record.previous != before {
            let message = match last {
                0 => format!("record {sequence} was written after another record, and is the first"),
                last => format!(
                    "record {sequence} was not written after record {last} as it is: one of the two was changed or exchanged"
                ),
            };
            self.find("broken", key.clone(), message);
        }
        if record.outcome == Outcome::Success {
            self.successes.insert(record.operation.clone(), sequence);
        }
        if self.findings.is_empty() && record.successes != self.successes {
            self.find(
                "misleading",
                key,
                format!("record {sequence} names another newest success of an operation than there is"),
            );
        }
        Some(record)
    }

    pub(super) fn finish(self) -> Checked {
        let head = self.last.and_then(|(sequence, sha256)| Some(Head { sequence, sha256: sha256? }));
        Checked { records: self.records, findings: self.findings, head }
    }
}
