//! Objects in memory, for tests: honest to the contract, and nothing more.
//!
//! It reads no clock. Objects and uploads carry the time that [`MemoryStore::set_now`] was last told.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;

use super::{Guard, HeldBy, Hold, Notes, Object, Review, Store, Stored, Upload};
use super::{already_exists, check_note, check_range, check_review, check_version, not_found};
use crate::{Class, Error, Result};

/// A store whose objects live as long as the process. A clone is the same store.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    disk: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    /// Numbers versions and uploads.
    next: u64,
    objects: BTreeMap<String, (Object, Bytes)>,
    uploads: BTreeMap<u64, Begun>,
    notes: BTreeMap<String, Notes>,
    holds: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Begun {
    key: String,
    at: Timestamp,
}

impl MemoryStore {
    /// An empty store; its time is the Unix epoch until [`MemoryStore::set_now`].
    pub fn new(name: impl Into<String>) -> Self {
        let state = State {
            now: Timestamp::UNIX_EPOCH,
            next: 1,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            notes: BTreeMap::new(),
            holds: BTreeMap::new(),
        };
        Self { disk: name.into(), state: Arc::new(Mutex::new(state)) }
    }

    /// The time that objects and uploads carry from now on.
    pub fn set_now(&self, now: Timestamp) {
        self.state().now = now;
    }

    /// The keys of uploads that were begun and neither completed nor aborted.
    pub fn uploads(&self) -> Vec<String> {
        self.state().uploads.values().map(|begun| begun.key.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock can panic")
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn disk(&self) -> &str {
        &self.disk
    }

    async fn probe(&self) -> Result<()> {
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let state = self.state();
        let from = state.objects.range(prefix.to_owned()..);
        Ok(from.take_while(|(key, _)| key.starts_with(prefix)).map(|(_, (object, _))| object.clone()).collect())
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        Ok(self.state().objects.get(key).map(|(object, _)| object.clone()))
    }

    async fn read(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes> {
        let state = self.state();
        let (object, bytes) = state.objects.get(key).ok_or_else(|| not_found(&self.disk, key))?;
        check_version(key, object.etag.as_deref().unwrap_or_default(), etag)?;
        check_range(key, &range, object.size)?;
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }

    async fn create(&self, key: &str, _expected_bytes: Option<u64>) -> Result<Box<dyn Upload>> {
        let mut state = self.state();
        if state.objects.contains_key(key) {
            return Err(already_exists(&self.disk, key));
        }
        let (id, at) = (state.next, state.now);
        state.next += 1;
        state.uploads.insert(id, Begun { key: key.to_owned(), at });
        Ok(Box::new(MemoryUpload { store: self.clone(), key: key.to_owned(), id, taken: BytesMut::new() }))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let mut state = self.state();
        state.objects.remove(key);
        state.notes.remove(key);
        state.holds.remove(key);
        Ok(())
    }

    async fn abort_stale(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        let mut state = self.state();
        let begun = state.uploads.len();
        state.uploads.retain(|_, begun| !(begun.key.starts_with(prefix) && begun.at < before));
        Ok((begun - state.uploads.len()) as u64)
    }

    async fn notes(&self, key: &str) -> Result<Option<Notes>> {
        Ok(Some(self.state().notes.get(key).cloned().unwrap_or_default()))
    }

    async fn note(&self, key: &str, name: &str, value: &str) -> Result<bool> {
        check_note(name, value)?;
        let mut state = self.state();
        if !state.objects.contains_key(key) {
            return Err(not_found(&self.disk, key));
        }
        state.notes.entry(key.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
        Ok(true)
    }

    async fn guard(&self, key: &str) -> Result<Guard> {
        let hold = self.state().holds.get(key).cloned().map(|text| Hold { by: HeldBy::Mark, text: Some(text) });
        Ok(Guard { lock: None, hold })
    }

    async fn hold(&self, key: &str, text: &str) -> Result<Option<HeldBy>> {
        check_note("hold", text)?;
        let mut state = self.state();
        if !state.objects.contains_key(key) {
            return Err(not_found(&self.disk, key));
        }
        state.holds.insert(key.to_owned(), text.to_owned());
        Ok(Some(HeldBy::Mark))
    }

    async fn release(&self, key: &str) -> Result<()> {
        self.state().holds.remove(key);
        Ok(())
    }
}

struct MemoryUpload {
    store: MemoryStore,
    key: String,
    id: u64,
    taken: BytesMut,
}

impl MemoryUpload {
    fn gone(&self) -> Error {
        Error::new(Class::NotFound, format!("the upload of {:?} was aborted by somebody else", self.key))
    }
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if !self.store.state().uploads.contains_key(&self.id) {
            return Err(self.gone());
        }
        self.taken.extend_from_slice(&bytes);
        Ok(())
    }

    async fn complete(mut self: Box<Self>, review: &Review) -> Result<Stored> {
        let size = self.taken.len() as u64;
        check_review(&self.key, size, review)?;
        let bytes = std::mem::take(&mut self.taken).freeze();
        let mut state = self.store.state();
        if state.uploads.remove(&self.id).is_none() {
            return Err(self.gone());
        }
        if state.objects.contains_key(&self.key) {
            return Err(already_exists(&self.store.disk, &self.key));
        }
        let etag = Some(format!("memory-{}", self.id));
        let object = Object { key: self.key.clone(), size, modified: state.now, etag };
        state.objects.insert(self.key.clone(), (object.clone(), bytes));
        drop(state);
        Ok(Stored { object, parts: 1, checksum: None, lock: None })
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// However an upload ends, nothing of it stays behind.
impl Drop for MemoryUpload {
    fn drop(&mut self) {
        self.store.state().uploads.remove(&self.id);
    }
}
