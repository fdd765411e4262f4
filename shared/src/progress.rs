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
    state: Mutex<State>,
}

/// What is written seldom.
#[derive(Debug, Default)]
struct State {
    current: String,
    stage: Option<Stage>,
}

/// A part of a run whose size is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// The first stage of a run is 1; a new number is a new beginning.
    pub number: u64,
    /// Bytes that were read before it began.
    pub base: u64,
    /// Bytes that it is going to read.
    pub total: u64,
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
    /// The stage that goes on, where its size is known.
    pub stage: Option<Stage>,
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
        self.state().current = what.into();
    }

    /// Begins a stage that is going to read `total` bytes, counted by [`Progress::add_raw_bytes`] from now on.
    pub fn expect(&self, total: u64) {
        let base = self.raw_bytes.load(Ordering::Relaxed);
        let mut state = self.state();
        let number = state.stage.map_or(1, |stage| stage.number + 1);
        state.stage = Some(Stage { number, base, total });
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock can panic")
    }

    /// The counters as they are now.
    pub fn snapshot(&self) -> ProgressSnapshot {
        let state = self.state();
        ProgressSnapshot {
            raw_bytes: self.raw_bytes.load(Ordering::Relaxed),
            uploaded_bytes: self.uploaded_bytes.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            current: state.current.clone(),
            stage: state.stage,
        }
    }
}
