//! How far a long run is: counters that the stages move and a door may look at whenever it likes.
//!
//! Nothing waits on it and nothing is decided by it; reports are made from the stages' own summaries.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one run. Shared as `Arc<Progress>`; every method takes `&self`.
#[derive(Debug, Default)]
pub struct Progress {
    raw_bytes: AtomicU64,
    uploaded_bytes: AtomicU64,
    rows: AtomicU64,
    current: Mutex<String>,
}

/// What a door shows of a [`Progress`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressSnapshot {
    /// Bytes read from sources so far.
    pub raw_bytes: u64,
    /// Archive bytes handed to the (first) store so far.
    pub uploaded_bytes: u64,
    /// Table rows read so far.
    pub rows: u64,
    /// What is being worked on: a table, a file, a step.
    pub current: String,
}

impl Progress {
    /// Counts bytes read from a source.
    pub fn add_raw_bytes(&self, bytes: u64) {
        self.raw_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts archive bytes on their way to a store.
    pub fn add_uploaded_bytes(&self, bytes: u64) {
        self.uploaded_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts rows.
    pub fn add_rows(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Names what is being worked on now.
    pub fn set_current(&self, what: impl Into<String>) {
        *self.current.lock().expect("no holder of this lock can panic") = what.into();
    }

    /// The counters as they are now.
    pub fn snapshot(&self) -> ProgressSnapshot {
        ProgressSnapshot {
            raw_bytes: self.raw_bytes.load(Ordering::Relaxed),
            uploaded_bytes: self.uploaded_bytes.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            current: self.current.lock().expect("no holder of this lock can panic").clone(),
        }
    }
}
