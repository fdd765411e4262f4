//! One file that a person names by its path, as a store that can be read and nothing else.
//!
//! Nothing is noted beside it: it may lie on a medium that belongs to somebody else.

use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::local::LocalStore;
use super::{Object, Store, Upload};
use crate::{Class, Error, Result};

/// The folder of the file.
#[derive(Debug)]
pub(crate) struct LooseStore {
    folder: LocalStore,
}

impl LooseStore {
    /// The store that holds the file at `path`, and the file.
    ///
    /// # Errors
    /// [`Class::NotFound`] when no file is there, or what the file system says.
    pub(crate) async fn open(path: &Path) -> Result<(Self, Object)> {
        let absent = || {
            Error::new(Class::NotFound, format!("there is no file {path:?}")).hint(
                "A backup is named by `latest`, its key or its date; what begins with / or . is the path of a file.",
            )
        };
        let real = tokio::fs::canonicalize(path).await.map_err(|error| absent().because(error))?;
        let (Some(folder), Some(name)) = (real.parent(), real.file_name()) else { return Err(absent()) };
        let name = name.to_str().ok_or_else(|| Error::configuration(format!("the name of {path:?} is not UTF-8")))?;
        let folder = LocalStore::new(folder.display().to_string(), folder);
        let object = folder.head(name).await?.ok_or_else(absent)?;
        Ok((Self { folder }, object))
    }

    fn refused<T>(&self) -> Result<T> {
        Err(Error::bug(format!("{} holds a file that was named by its path; it is read only", self.disk())))
    }
}

#[async_trait]
impl Store for LooseStore {
    fn disk(&self) -> &str {
        self.folder.disk()
    }

    fn is_loose(&self) -> bool {
        true
    }

    async fn probe(&self) -> Result<()> {
        self.refused()
    }

    async fn list(&self, _prefix: &str) -> Result<Vec<Object>> {
        self.refused()
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        self.folder.head(key).await
    }

    async fn read(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes> {
        self.folder.read(key, range, etag).await
    }

    async fn create(&self, _key: &str, _expected_bytes: Option<u64>) -> Result<Box<dyn Upload>> {
        self.refused()
    }

    async fn delete(&self, _key: &str) -> Result<()> {
        self.refused()
    }

    async fn abort_stale(&self, _prefix: &str, _before: Timestamp) -> Result<u64> {
        self.refused()
    }
}
