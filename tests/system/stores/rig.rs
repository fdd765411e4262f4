//! What a test of stores works with: a store, and a look behind it.

use std::any::Any;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use nightvault_core::store::local::LocalStore;
use nightvault_core::store::memory::MemoryStore;
use nightvault_core::store::{Object, Review, Store, Stored, UploadLimits};
use nightvault_core::{Class, Result};

use crate::support::s3;

/// Bytes of the parts that the stores under test cut: the smallest that S3 takes.
pub(crate) const PART: usize = 5 << 20;

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A store under test.
pub(crate) struct Rig {
    pub(crate) store: Arc<dyn Store>,
    /// How many uploads the store itself says are in progress.
    pub(crate) uploads: Box<dyn Fn() -> Later<usize> + Send + Sync>,
    /// Whether cutting parts is the store's business, so that sizes around `PART` are worth trying.
    pub(crate) cuts_parts: bool,
    /// Whether the server looks and writes in one step; s3s-fs lets a second writer slip in between.
    pub(crate) one_step: bool,
    /// Whether the store has a place for notes; s3s-fs knows no tags.
    pub(crate) keeps_notes: bool,
    /// Removes what was made.
    pub(crate) remove: Box<dyn FnOnce() -> Later<()> + Send>,
    /// What must live as long as the store.
    pub(crate) _keep: Box<dyn Any + Send + Sync>,
}

impl Rig {
    pub(crate) async fn close(self) {
        // The look behind the store holds the bucket too.
        drop(self.uploads);
        (self.remove)().await;
    }

    /// Stores `bytes` in writes of uneven sizes.
    pub(crate) async fn put(&self, key: &str, bytes: &[u8]) -> Result<Stored> {
        put(self.store.as_ref(), key, bytes, None).await
    }

    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        self.store.list(prefix).await.unwrap().into_iter().map(|object| object.key).collect()
    }

    pub(crate) async fn assert_nothing_left(&self, key: &str) {
        assert_nothing_visible(self.store.as_ref(), key).await;
        assert_eq!((self.uploads)().await, 0, "no upload is in progress");
    }
}

pub(crate) async fn put(store: &dyn Store, key: &str, bytes: &[u8], expected: Option<u64>) -> Result<Stored> {
    let mut upload = store.create(key, expected).await?;
    for (number, piece) in bytes.chunks(700_001).enumerate() {
        // Uneven, so that pieces and parts do not end together.
        let (one, other) = piece.split_at(piece.len() / (2 + number % 3));
        upload.write(Bytes::copy_from_slice(one)).await?;
        upload.write(Bytes::copy_from_slice(other)).await?;
    }
    upload.complete(&Review { bytes: bytes.len() as u64 }).await
}

pub(crate) async fn get(store: &dyn Store, object: &Object) -> Bytes {
    store.read(&object.key, 0..object.size, object.etag.as_deref()).await.unwrap()
}

pub(crate) async fn assert_nothing_visible(store: &dyn Store, key: &str) {
    assert_eq!(store.head(key).await.unwrap(), None, "{key} is not there");
    let listed = store.list("").await.unwrap();
    assert!(listed.iter().all(|object| object.key != key), "{key} is not listed");
}

#[track_caller]
pub(crate) fn assert_class<T: std::fmt::Debug>(result: Result<T>, class: Class) {
    match result {
        Ok(value) => panic!("expected {class:?}, got {value:?}"),
        Err(error) => assert_eq!(error.class(), class, "{error:?}"),
    }
}

/// Bytes that no two offsets share for long, the same on every run.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) async fn memory() -> Rig {
    let store = MemoryStore::new("memory");
    let behind = store.clone();
    Rig {
        store: Arc::new(store),
        uploads: Box::new(move || {
            let count = behind.uploads().len();
            Box::pin(async move { count })
        }),
        cuts_parts: false,
        one_step: true,
        keeps_notes: true,
        remove: Box::new(|| Box::pin(async {})),
        _keep: Box::new(()),
    }
}

pub(crate) async fn local() -> Rig {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("vault");
    let store = LocalStore::new("local", &root);
    store.probe().await.unwrap();
    Rig {
        store: Arc::new(store),
        uploads: Box::new(move || {
            let count = hidden_files(&root);
            Box::pin(async move { count })
        }),
        cuts_parts: false,
        one_step: true,
        keeps_notes: true,
        remove: Box::new(|| Box::pin(async {})),
        _keep: Box::new(directory),
    }
}

/// Files of uploads in progress below `directory`.
pub(crate) fn hidden_files(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true => hidden_files(&path),
            false => usize::from(path.to_string_lossy().ends_with(".nightvault-upload")),
        })
        .sum()
}

/// Limits that cut the smallest parts, two on their way.
pub(crate) fn limits() -> UploadLimits {
    UploadLimits { parts_in_flight: 2, first_part_bytes: PART as u64 }
}

pub(crate) async fn s3() -> Rig {
    bucket(s3::bucket().await, "", false).await
}

pub(crate) async fn s3_below_a_prefix() -> Rig {
    bucket(s3::bucket().await, "nights/of clinic+1", false).await
}

pub(crate) async fn aws() -> Rig {
    bucket(s3::aws_bucket().await, "", true).await
}

async fn bucket(bucket: s3::Bucket, prefix: &str, one_step: bool) -> Rig {
    let disk = bucket.disk_at(&bucket.endpoint, prefix);
    let store = nightvault_core::store::open(&disk, &limits()).await.unwrap();
    let bucket = Arc::new(bucket);
    let behind = Arc::clone(&bucket);
    Rig {
        store,
        uploads: Box::new(move || {
            let bucket = Arc::clone(&behind);
            Box::pin(async move { bucket.uploads().await })
        }),
        cuts_parts: true,
        one_step,
        keeps_notes: one_step,
        remove: Box::new(move || {
            Box::pin(async move {
                if let Some(bucket) = Arc::into_inner(bucket) {
                    bucket.remove().await;
                }
            })
        }),
        _keep: Box::new(()),
    }
}
