//! An object of a store as something to read and seek in, for the `zip` crate, which knows no futures.
//!
//! Used on threads for blocking work only. It holds the end of the object, which every reader starts with, and a few
//! blocks; while a scan works on one block, the next is on its way. All reads name the object's version.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::store::{Object, Store};
use crate::{Error, Result};

/// Bytes of the end that is fetched first: enough for the manifest, index and directory of most backups.
const TAIL_BYTES: u64 = 1 << 20;
/// Blocks that are kept; two structures side by side never need more.
const BLOCKS_KEPT: usize = 3;

/// How an object is going to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// A few places.
    Random,
    /// Front to back.
    Scan,
}

impl Access {
    fn block_bytes(self) -> u64 {
        match self {
            Access::Random => 1 << 20,
            Access::Scan => 4 << 20,
        }
    }
}

/// The blocks of one object.
pub(crate) struct Blocks {
    store: Arc<dyn Store>,
    object: Object,
    runtime: Handle,
    access: Access,
    state: Mutex<State>,
    /// Bytes that the store was asked for.
    asked: AtomicU64,
}

#[derive(Default)]
struct State {
    tail: Option<(u64, Bytes)>,
    kept: VecDeque<(u64, Bytes)>,
    ahead: Option<(u64, JoinHandle<Result<Bytes>>)>,
    failure: Option<Error>,
}

impl Blocks {
    /// Blocks of `object`. Call it within the runtime that the store needs.
    pub(crate) fn new(store: Arc<dyn Store>, object: Object, access: Access) -> Arc<Self> {
        Arc::new(Self {
            store,
            object,
            runtime: Handle::current(),
            access,
            state: Mutex::default(),
            asked: AtomicU64::new(0),
        })
    }

    /// Bytes of the object.
    pub(crate) fn size(&self) -> u64 {
        self.object.size
    }

    /// The object's key.
    pub(crate) fn key(&self) -> &str {
        &self.object.key
    }

    /// Whether the object's name is a key, so that the manifest must have been written under it.
    pub(crate) fn has_key(&self) -> bool {
        !self.store.is_loose()
    }

    /// Bytes that the store was asked for so far, those of repeated and vain reads too.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// What the store answered when it failed; the `zip` crate's own error says less.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.state().failure.take()
    }

    /// The bytes `range`, which must lie in the object.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let mut done = 0;
        while done < bytes.len() {
            match self.read_some(range.start + done as u64, &mut bytes[done..])? {
                0 => return Err(Error::corrupt(format!("{} ends early", self.key()))),
                some => done += some,
            }
        }
        Ok(bytes)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock can panic")
    }

    /// Copies what is at `position`, 0 bytes at the end.
    fn read_some(&self, position: u64, into: &mut [u8]) -> Result<usize> {
        if position >= self.size() || into.is_empty() {
            return Ok(0);
        }
        let mut state = self.state();
        let found = state
            .tail
            .iter()
            .chain(&state.kept)
            .find(|(start, block)| (*start..*start + block.len() as u64).contains(&position));
        let (start, block) = match found {
            Some((start, block)) => (*start, block.clone()),
            None => self.fetch(&mut state, position)?,
        };
        let block = &block[(position - start) as usize..];
        let len = block.len().min(into.len());
        into[..len].copy_from_slice(&block[..len]);
        Ok(len)
    }

    fn fetch(&self, state: &mut State, position: u64) -> Result<(u64, Bytes)> {
        let tail_start = self.size().saturating_sub(TAIL_BYTES);
        let in_tail = state.tail.is_none() && position >= tail_start;
        let start = if in_tail { tail_start } else { position - position % self.access.block_bytes() };
        let fetching = match state.ahead.take() {
            Some((ahead, fetching)) if ahead == start && !in_tail => fetching,
            other => {
                // A block that was fetched for nothing is not waited for.
                other.inspect(|(_, fetching)| fetching.abort());
                let end = if in_tail { self.size() } else { self.block_end(start) };
                self.spawn(start..end)
            }
        };
        let bytes = self.runtime.block_on(fetching).map_err(|e| Error::bug("a read was cancelled").because(e))??;
        if in_tail {
            state.tail = Some((start, bytes.clone()));
            return Ok((start, bytes));
        }
        let next = start + bytes.len() as u64;
        if self.access == Access::Scan && next < self.size() {
            state.ahead = Some((next, self.spawn(next..self.block_end(next))));
        }
        state.kept.push_front((start, bytes.clone()));
        state.kept.truncate(BLOCKS_KEPT);
        Ok((start, bytes))
    }

    fn block_end(&self, start: u64) -> u64 {
        self.size().min(start + self.access.block_bytes())
    }

    fn spawn(&self, range: Range<u64>) -> JoinHandle<Result<Bytes>> {
        let (store, object) = (Arc::clone(&self.store), self.object.clone());
        let len = range.end - range.start;
        self.asked.fetch_add(len, Ordering::Relaxed);
        self.runtime.spawn(async move {
            let bytes = store.read(&object.key, range, object.etag.as_deref()).await?;
            if bytes.len() as u64 == len {
                Ok(bytes)
            } else {
                Err(Error::corrupt(format!("{} gave {} bytes where {len} were asked for", object.key, bytes.len())))
            }
        })
    }
}

/// A place in the blocks.
pub(crate) struct BlockReader {
    blocks: Arc<Blocks>,
    position: u64,
}

impl BlockReader {
    /// Starts at the front.
    pub(crate) fn new(blocks: Arc<Blocks>) -> Self {
        Self { blocks, position: 0 }
    }
}

impl Read for BlockReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.blocks.read_some(self.position, into) {
            Ok(len) => {
                self.position += len as u64;
                Ok(len)
            }
            Err(error) => {
                let message = error.to_string();
                self.blocks.state().failure.get_or_insert(error);
                Err(io::Error::other(message))
            }
        }
    }
}

impl Seek for BlockReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.blocks.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
