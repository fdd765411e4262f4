//! What extract took out of one backup.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What was taken out of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractReport {
    /// The disk from which it was read.
    pub disk: String,
    /// The backup's key.
    pub key: String,
    /// Its date.
    pub date: Timestamp,
    /// The folder.
    pub to: String,
    /// Whether another program wrote the archive: its files matched their codes or CRCs, and no manifest vouches for them.
    #[serde(default)]
    pub foreign: bool,
    /// Database dumps and files that are there, whole and authenticated (where Nightvault wrote the archive).
    pub files: u64,
    /// Directories that are there.
    pub directories: u64,
    /// Symbolic links that are there.
    pub symlinks: u64,
    /// Dumps of another program's archive that were decompressed, each beside itself.
    #[serde(default)]
    pub decompressed: u64,
    /// Bytes of the files' contents.
    pub raw_bytes: u64,
    /// Bytes that were fetched from the store.
    pub bytes_read: u64,
    /// How many files and links were asked for.
    pub wanted: u64,
    /// The last file that is there, in the order of the archive: those before it are there too, none behind it is.
    pub last: Option<String>,
    /// What was not made, and why.
    pub left_out: Vec<LeftOut>,
    /// What a person should know though all is there.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
}

/// Something that was not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its entry in the archive.
    pub entry: String,
    /// Why.
    pub reason: String,
}
