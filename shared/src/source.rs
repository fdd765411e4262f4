//! What goes into a backup: databases and file sets.
//!
//! Each source reads one consistent snapshot and writes its dump into a [`DumpWriter`]; it knows nothing of zip,
//! encryption or stores. What a source finds and cannot dump faithfully it refuses by name with
//! [`Class::Unsupported`](crate::Class::Unsupported); it never leaves anything out in silence.
//!
//! A dump is deterministic: the same data dumped twice gives the same bytes (no timestamps inside).

pub mod files;
pub mod mysql;
pub mod postgres;
pub mod sqlite;
pub(crate) mod tls;
mod writer;

pub(crate) use writer::hex;
pub use writer::{DumpWriter, EntrySink};

use std::collections::BTreeMap;
use std::time::Duration;

use crate::archive::manifest::TableManifest;

/// What bounds a dump, the same for all engines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpLimits {
    /// How long to wait for a table lock before the dump gives up and names the table (and, where the server tells,
    /// who holds it). Waiting longer would make every later query on that table queue behind us.
    pub lock_timeout: Duration,
    /// The largest row, in bytes of dump text, that may be held in memory. A table with a larger one is refused by name
    /// with [`Class::Limit`](crate::Class::Limit) before it is read.
    pub max_row_bytes: u64,
}

impl Default for DumpLimits {
    fn default() -> Self {
        Self { lock_timeout: Duration::from_secs(60), max_row_bytes: 64 << 20 }
    }
}

/// What a database dump was made of, as counted by the code that made it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DatabaseDump {
    /// `PostgreSQL`, `MariaDB`, `MySQL` or `SQLite`.
    pub engine: String,
    /// The server's (or library's) own version string.
    pub server_version: String,
    /// Facts of the snapshot: isolation, snapshot id, LSN or GTID where it can be read, encoding, time zone, …
    pub snapshot: BTreeMap<String, String>,
    /// Each table whose rows are in the dump, in the order in which they stand there.
    pub tables: Vec<TableManifest>,
    /// How many objects of each kind the dump holds (`table`, `view`, `function`, …), from the inventory.
    pub objects: BTreeMap<String, u64>,
    /// What a person should know though the dump is complete.
    pub warnings: Vec<String>,
}
