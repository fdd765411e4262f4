//! What verify found.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ProofReport;
use crate::catalog::Slices;

/// What reading every byte of backups found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// `BACKUP_NAME`.
    pub name: String,
    /// When the verification began, UTC.
    pub now: Timestamp,
    /// True: every backup that was asked for was read whole, and every byte is what was written. Never true of slices. An
    /// archive of another program, of which nobody can tell that, makes it false without being a failure.
    pub whole: bool,
    /// One per disk.
    pub disks: Vec<DiskVerify>,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// What a person should know though the backups are whole.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// The backups of one disk that were verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskVerify {
    /// The disk's name.
    pub disk: String,
    /// One per backup, newest first.
    pub backups: Vec<VerifiedBackup>,
    /// What kept the disk's backups from being found; `None` = nothing.
    pub error: Option<String>,
}

/// One backup that was verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifiedBackup {
    /// Its key.
    pub key: String,
    /// Its date.
    pub date: Timestamp,
    /// Bytes of the archive.
    pub size: u64,
    /// What was found.
    pub verdict: VerifyVerdict,
    /// What is wrong, in words; `None` = nothing.
    pub error: Option<String>,
    /// Entries whose contents were read and matched, manifest and index included; 0 when it is not whole.
    pub entries: u64,
    /// Tables whose sections of the dumps matched their digests.
    pub tables: u64,
    /// Rows of these tables, counted anew (in the dumps' own text, in SQLite files by SQLite) and compared with the manifest.
    pub rows: u64,
    /// SQLite databases whose rows are those that the manifest counts, each with the reason.
    #[serde(default)]
    pub not_recounted: Vec<String>,
    /// Bytes of the entries' contents.
    pub raw_bytes: u64,
    /// Bytes that were fetched from the store.
    pub bytes_read: u64,
    /// Which part of it was read, where that was asked for; `None` = all.
    #[serde(default)]
    pub slice: Option<SliceReport>,
    /// Milliseconds.
    pub duration_ms: u64,
    /// What stands noted beside the backup now; `None` = nothing was noted.
    pub recorded: Option<ProofReport>,
    /// Why the verdict was not noted; `None` = it was, or there was none to note.
    pub not_recorded: Option<String>,
    /// What a person should know of an archive of another program.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyVerdict {
    /// Every byte was read, and is what was written.
    Whole,
    /// Every piece of the slice is what was written; of the rest nothing is known.
    Sampled,
    /// At least one byte is not what was written.
    Damaged,
    /// Another program's archive, as whole as one without a manifest can tell: every entry opens and matches its code or
    /// CRC, and dumps end as dumps do. Entries that are missing or exchanged, and missing rows, show nowhere.
    Readable,
    /// The same, but a dump in it does not end as dumps do.
    Suspicious,
    /// The password opens nothing in it; whether it is whole, nobody can tell.
    WrongPassword,
    /// It could not be read to its end; nothing is known.
    NotRead,
}

/// How far a backup was read in slices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlicesReport {
    /// Pieces of this round that were read; 0 = a round is over.
    pub read: u64,
    /// How many there are.
    pub pieces: u64,
    /// When the last slice was read.
    pub at: Timestamp,
    /// When the last round ended, in which every piece was read. That is less than a whole reading.
    pub covered: Option<Timestamp>,
}

impl From<Slices> for SlicesReport {
    fn from(slices: Slices) -> Self {
        let Slices { next, pieces, at, covered, .. } = slices;
        Self { read: next, pieces, at, covered }
    }
}

/// A part of a backup that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceReport {
    /// How much was asked for.
    pub share: String,
    /// The number of the first piece that was read.
    pub first: u64,
    /// The number of the piece behind the last that was read and matched its digest.
    pub next: u64,
    /// How many pieces the backup has.
    pub pieces: u64,
    /// Stored bytes of the pieces that were read.
    pub bytes: u64,
    /// Stored bytes of all its pieces.
    pub of_bytes: u64,
    /// When the first slice of this round was read; `None` = nobody knows, since nothing is noted.
    pub begun: Option<Timestamp>,
    /// When slices had last covered every piece. That is less than a whole reading: authentication codes of entries and
    /// the zip around them are not checked.
    pub covered: Option<Timestamp>,
    /// True: nothing is noted beside the backup, so the day says where the slice starts.
    pub by_day: bool,
}
