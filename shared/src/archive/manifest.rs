//! The archive's last entry, `manifest.json`: what is in the backup, as counted by the code that made it.
//!
//! Every field is documented in `doc/format.md`; a change here is a change of the format. The manifest is small: digests
//! and piece offsets of every entry stand in `index.jsonl`, the entry before it, which the manifest holds by digest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Name of the manifest's entry.
pub const MANIFEST_ENTRY: &str = "manifest.json";
/// Name of the index's entry.
pub const INDEX_ENTRY: &str = "index.jsonl";
/// The format that this code writes. Readers refuse a greater one.
pub const FORMAT_VERSION: u32 = 1;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format_version: u32,
    /// The program that wrote it, e.g. `nightvault 0.1.0`.
    pub tool: String,
    /// `BACKUP_NAME`.
    pub name: String,
    /// The object key under which the backup was written, e.g. `clinic/2024-01-15-02-00-00.zip`. A copy under another
    /// key is thereby told from the original.
    pub key: String,
    /// The moment that the key stands for, UTC: the scheduled time of the run, or its start when it had none. A repeated
    /// event is told from another run that only hit the same key by it.
    pub date: Timestamp,
    /// When the run began, UTC.
    pub started: Timestamp,
    /// When the last source had been read, UTC.
    pub finished: Timestamp,
    /// The databases, in the order of the archive.
    pub databases: Vec<DatabaseManifest>,
    /// The file sets, in the order of the archive.
    pub files: Vec<FilesManifest>,
    /// How the entries are compressed: `deflate`, `zstd` or `store`.
    pub compression: String,
    /// Bytes of raw data in one piece, at most. Filled in by the archive writer, as are the two fields around it.
    pub piece_bytes: u64,
    /// Number of entries before the index, and the SHA-256 of the index's own text.
    pub index: IndexRef,
}

impl Manifest {
    /// Names of all databases and file sets, in the order of the archive.
    pub fn source_names(&self) -> Vec<String> {
        let databases = self.databases.iter().map(|database| database.name.clone());
        databases.chain(self.files.iter().map(|set| set.name.clone())).collect()
    }
}

/// How the manifest vouches for the index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexRef {
    /// Number of lines of the index: one for every entry but the index and the manifest.
    pub entries: u64,
    /// Bytes of the index's text.
    pub bytes: u64,
    /// SHA-256 of the index's text, lower-case hex.
    pub sha256: String,
}

/// One database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseManifest {
    /// The database's name, as it is configured.
    pub name: String,
    /// `PostgreSQL`, `MariaDB`, `MySQL` or `SQLite`.
    pub engine: String,
    /// The server's own version string.
    pub server_version: String,
    /// The entry that holds the dump, e.g. `db-dumps/clinic.sql`.
    pub entry: String,
    /// Facts of the snapshot that was read.
    pub snapshot: BTreeMap<String, String>,
    /// The tables whose rows are in the dump, in its order.
    pub tables: Vec<TableManifest>,
    /// How many objects of each kind the dump holds.
    pub objects: BTreeMap<String, u64>,
    /// What a person should know though the dump is complete.
    pub warnings: Vec<String>,
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of the dump.
    pub raw_bytes: u64,
    /// Bytes of the dump in the archive: compressed, with salt, verifier and authentication code.
    pub stored_bytes: u64,
    /// SHA-256 of the dump, lower-case hex.
    pub sha256: String,
}

/// One table's rows within a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableManifest {
    /// The schema, where the engine has such a thing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<String>,
    /// The table's name, unquoted.
    pub name: String,
    /// Rows.
    pub rows: u64,
    /// Offset in the dump of the first byte of the section that holds the rows.
    pub offset: u64,
    /// Bytes of that section.
    pub bytes: u64,
    /// SHA-256 of that section, lower-case hex.
    pub sha256: String,
    /// Bytes of its longest statement, without the delimiter, where the engine has a limit for that. Archives that were
    /// written before it was noted have none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub longest_statement: Option<u64>,
}

/// One file set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilesManifest {
    /// Its name; the entries are `files/<name>/…`.
    pub name: String,
    /// Regular files in the archive.
    pub files: u64,
    /// Directories in the archive.
    pub directories: u64,
    /// Symbolic links in the archive.
    pub symlinks: u64,
    /// Bytes of the files' contents.
    pub raw_bytes: u64,
    /// Bytes of their entries in the archive.
    pub stored_bytes: u64,
    /// What was skipped or is not what the directory said: unreadable, vanished, changed while it was read, special.
    pub problems: Vec<FileProblem>,
}

/// A file that is not in the archive, or not as one would expect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileProblem {
    /// Its path under the set's root; what is not UTF-8 or is a control character is escaped.
    pub path: String,
    /// What happened.
    pub kind: FileProblemKind,
    /// The operating system's words, where there are any.
    pub detail: String,
}

/// What can be wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileProblemKind {
    /// It could not be opened or read; it is not in the archive and the run is not a success.
    Unreadable,
    /// It was listed and then gone. It is not in the archive; that is told, and is no failure.
    Vanished,
    /// It grew, shrank or was written while it was read; what is in the archive is a mixture. The run says so.
    Changed,
    /// A socket, FIFO or device: never read; told.
    Special,
}

/// One line of `index.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// The entry's name.
    pub name: String,
    /// Unix mode with the file type bits.
    pub mode: u32,
    /// Modification time, Unix seconds.
    pub modified: i64,
    /// Bytes of its contents.
    pub bytes: u64,
    /// Bytes of its data in the archive.
    pub stored_bytes: u64,
    /// SHA-256 of its contents, lower-case hex.
    pub sha256: String,
    /// Where each piece starts and its digest, in order.
    pub pieces: Vec<Piece>,
}

/// One separately compressed slice of an entry, written as `[raw offset, stored offset, "sha256"]`.
///
/// The stored offset counts from the first byte of ciphertext of the entry, behind salt and verifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece(pub u64, pub u64, pub String);
