//! A store that breaks when it is told to: by countdown, never by chance.
//!
//! It wraps any other and keeps the contract where a real one would: an upload that fails is aborted, and nothing of it
//! is visible. Damage (`flip`, `truncate`) is in what is read; the store beneath stays as it is.

#![allow(clippy::unwrap_used, reason = "everything here is test code, its helpers too")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use nightvault_core::store::{
    Guard, HeldBy, Hidden, Lock, Locking, Notes, Object, Removed, Review, Store, Stored, Upload,
};
use nightvault_core::{Class, Error, Result};

/// A call that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Probe,
    List,
    Head,
    Read,
    Create,
    Write,
    Complete,
    Delete,
    AbortStale,
    Notes,
    Note,
    Guard,
}

impl Call {
    pub(crate) const ALL: [Call; 12] = [
        Call::Probe,
        Call::List,
        Call::Head,
        Call::Read,
        Call::Create,
        Call::Write,
        Call::Complete,
        Call::Delete,
        Call::AbortStale,
        Call::Notes,
        Call::Note,
        Call::Guard,
    ];
}

/// A store with faults. A clone is the same store.
#[derive(Debug, Clone)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn Store>,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Debug, Default)]
struct Faults {
    /// Calls that still succeed, then the class of the error of every further one.
    countdown: BTreeMap<Call, (usize, Class)>,
    flipped: Vec<(String, u64)>,
    truncated: BTreeMap<String, u64>,
}

impl FaultyStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, faults: Arc::default() }
    }

    /// The `nth` call (from 1) and all after it fail with `class`.
    pub(crate) fn fail(&self, call: Call, nth: usize, class: Class) {
        self.faults.lock().unwrap().countdown.insert(call, (nth - 1, class));
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        *self.faults.lock().unwrap() = Faults::default();
    }

    /// The byte at `offset` of `key` is read with its lowest bit flipped.
    pub(crate) fn flip(&self, key: &str, offset: u64) {
        self.faults.lock().unwrap().flipped.push((key.to_owned(), offset));
    }

    /// `key` ends after `size` bytes.
    pub(crate) fn truncate(&self, key: &str, size: u64) {
        self.faults.lock().unwrap().truncated.insert(key.to_owned(), size);
    }

    fn may(&self, call: Call) -> Result<()> {
        match self.faults.lock().unwrap().countdown.get_mut(&call) {
            Some((0, class)) => Err(Error::new(*class, format!("{call:?} was made to fail"))),
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn seen(&self, mut object: Object) -> Object {
        if let Some(size) = self.faults.lock().unwrap().truncated.get(&object.key) {
            object.size = object.size.min(*size);
        }
        object
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn disk(&self) -> &str {
        self.inner.disk()
    }

    async fn probe(&self) -> Result<()> {
        self.may(Call::Probe)?;
        self.inner.probe().await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        self.may(Call::List)?;
        Ok(self.inner.list(prefix).await?.into_iter().map(|object| self.seen(object)).collect())
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        self.may(Call::Head)?;
        Ok(self.inner.head(key).await?.map(|object| self.seen(object)))
    }

    async fn read(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes> {
        self.may(Call::Read)?;
        if let Some(size) = self.faults.lock().unwrap().truncated.get(key)
            && range.end > *size
        {
            return Err(Error::corrupt(format!("{key:?} ends after {size} bytes")));
        }
        let mut bytes = BytesMut::from(self.inner.read(key, range.clone(), etag).await?);
        for (flipped, offset) in &self.faults.lock().unwrap().flipped {
            if flipped == key && range.contains(offset) {
                bytes[(offset - range.start) as usize] ^= 1;
            }
        }
        Ok(bytes.freeze())
    }

    async fn create(&self, key: &str, expected_bytes: Option<u64>) -> Result<Box<dyn Upload>> {
        self.create_locked(key, expected_bytes, None).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.may(Call::Delete)?;
        self.inner.delete(key).await
    }

    async fn abort_stale(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        self.may(Call::AbortStale)?;
        self.inner.abort_stale(prefix, before).await
    }

    async fn notes(&self, key: &str) -> Result<Option<Notes>> {
        self.may(Call::Notes)?;
        self.inner.notes(key).await
    }

    async fn note(&self, key: &str, name: &str, value: &str) -> Result<bool> {
        self.may(Call::Note)?;
        self.inner.note(key, name, value).await
    }

    async fn guard(&self, key: &str) -> Result<Guard> {
        self.may(Call::Guard)?;
        self.inner.guard(key).await
    }

    async fn create_locked(
        &self,
        key: &str,
        expected_bytes: Option<u64>,
        lock: Option<Lock>,
    ) -> Result<Box<dyn Upload>> {
        self.may(Call::Create)?;
        let inner = Some(self.inner.create_locked(key, expected_bytes, lock).await?);
        Ok(Box::new(FaultyUpload { store: self.clone(), inner }))
    }

    async fn locking(&self) -> Result<Locking> {
        self.inner.locking().await
    }

    async fn lock(&self, key: &str, lock: Lock) -> Result<Option<Lock>> {
        self.inner.lock(key, lock).await
    }

    async fn remove(&self, key: &str, versions: bool) -> Result<Removed> {
        self.may(Call::Delete)?;
        self.inner.remove(key, versions).await
    }

    async fn hidden(&self, prefix: &str) -> Result<Hidden> {
        self.inner.hidden(prefix).await
    }

    async fn hold(&self, key: &str, text: &str) -> Result<Option<HeldBy>> {
        self.inner.hold(key, text).await
    }

    async fn release(&self, key: &str) -> Result<()> {
        self.inner.release(key).await
    }
}

struct FaultyUpload {
    store: FaultyStore,
    /// Gone once it was aborted.
    inner: Option<Box<dyn Upload>>,
}

impl FaultyUpload {
    async fn may(&mut self, call: Call) -> Result<()> {
        let Err(error) = self.store.may(call) else { return Ok(()) };
        if let Some(inner) = self.inner.take() {
            inner.abort().await?;
        }
        Err(error)
    }
}

fn over() -> Error {
    Error::bug("the upload failed before, and was used again")
}

#[async_trait]
impl Upload for FaultyUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.may(Call::Write).await?;
        self.inner.as_mut().ok_or_else(over)?.write(bytes).await
    }

    async fn complete(mut self: Box<Self>, review: &Review) -> Result<Stored> {
        self.may(Call::Complete).await?;
        self.inner.take().ok_or_else(over)?.complete(review).await
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        match self.inner.take() {
            Some(inner) => inner.abort().await,
            None => Ok(()),
        }
    }
}
