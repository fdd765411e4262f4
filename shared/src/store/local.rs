//! A local directory: a key is the path of a file below it.
//!
//! An upload is a hidden file beside its place (`.<name>.<random>.nightvault-upload`, mode 0600), synced, then renamed
//! without replacing, and the directory is synced: a file that has the key's name is whole, whatever is killed or
//! unplugged. What a killed process leaves is never listed, and `abort_stale` removes it. Notes are a hidden file beside
//! the object too (`.<name>.nightvault-notes.json`), and so is a hold (`.<name>.nightvault-hold`). A hold is a mark that
//! cleanup heeds; the file system keeps nobody from removing a file.
//!
//! Symbolic links below the directory are not followed, and keys that would leave it are refused. The directory itself
//! is made by `probe` and `create`; `list` of one that is missing is an error, because a disk that is not mounted must
//! not look like a disk without backups. The file system keeps no checksums, so `Stored::checksum` is `None`.

mod files;
mod holds;
mod keys;
mod notes;
mod upload;

use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use self::upload::LocalUpload;
use super::{Guard, HeldBy, Hidden, Notes, Object, Store, Upload, already_exists, check_note};
use crate::{Error, Result};

/// Archives in a directory.
#[derive(Debug, Clone)]
pub struct LocalStore {
    disk: String,
    root: PathBuf,
}

impl LocalStore {
    /// The store at `path`, which need not exist yet.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { disk: name.into(), root: path.into() }
    }

    /// Runs file work where it may block.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Self) -> Result<T> + Send + 'static) -> Result<T> {
        let store = self.clone();
        blocking(move || work(&store)).await
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        keys::path(&self.disk, &self.root, key)
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::bug("file work of a local disk was interrupted").because(error)),
    }
}

#[async_trait]
impl Store for LocalStore {
    fn disk(&self) -> &str {
        &self.disk
    }

    async fn probe(&self) -> Result<()> {
        self.blocking(|store| files::probe(&store.root)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let prefix = prefix.to_owned();
        self.blocking(move |store| files::list(&store.root, &prefix)).await
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        let (key, path) = (key.to_owned(), self.path(key)?);
        self.blocking(move |store| files::head(&store.root, &key, &path)).await
    }

    async fn read(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes> {
        let (key, path, etag) = (key.to_owned(), self.path(key)?, etag.map(str::to_owned));
        self.blocking(move |store| files::read(&store.disk, &store.root, &key, &path, range, etag.as_deref())).await
    }

    async fn create(&self, key: &str, _expected_bytes: Option<u64>) -> Result<Box<dyn Upload>> {
        let (key, path) = (key.to_owned(), self.path(key)?);
        let upload = self.blocking(move |store| {
            if files::head(&store.root, &key, &path)?.is_some() {
                return Err(already_exists(&store.disk, &key));
            }
            LocalUpload::begin(store.clone(), key, path)
        });
        Ok(Box::new(upload.await?))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        self.blocking(move |store| {
            files::delete(&store.root, &path)?;
            files::delete(&store.root, &keys::notes_beside(&path))?;
            files::delete(&store.root, &keys::hold_beside(&path))
        })
        .await
    }

    async fn abort_stale(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        let prefix = prefix.to_owned();
        self.blocking(move |store| files::remove_stale(&store.root, &prefix, before)).await
    }

    async fn hidden(&self, prefix: &str) -> Result<Hidden> {
        let prefix = prefix.to_owned();
        self.blocking(move |store| files::hidden(&store.root, &prefix)).await
    }

    async fn notes(&self, key: &str) -> Result<Option<Notes>> {
        let path = self.path(key)?;
        self.blocking(move |store| notes::read(&store.root, &path)).await.map(Some)
    }

    async fn note(&self, key: &str, name: &str, value: &str) -> Result<bool> {
        check_note(name, value)?;
        let (key, path, name, value) = (key.to_owned(), self.path(key)?, name.to_owned(), value.to_owned());
        self.blocking(move |store| notes::write(store, &key, &path, name, value)).await?;
        Ok(true)
    }

    async fn guard(&self, key: &str) -> Result<Guard> {
        let path = self.path(key)?;
        let hold = self.blocking(move |store| holds::read(&store.root, &path)).await?;
        Ok(Guard { lock: None, hold })
    }

    async fn hold(&self, key: &str, text: &str) -> Result<Option<HeldBy>> {
        check_note("hold", text)?;
        let (key, path, text) = (key.to_owned(), self.path(key)?, text.to_owned());
        self.blocking(move |store| holds::write(store, &key, &path, &text)).await?;
        Ok(Some(HeldBy::Mark))
    }

    async fn release(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        self.blocking(move |store| files::delete(&store.root, &keys::hold_beside(&path))).await
    }
}

/// The directory of a path that lies below the root.
fn parent(path: &Path) -> &Path {
    path.parent().expect("a key's path lies below the root")
}
