//! A file that is being written beside its place.
//!
//! Bytes are gathered and written a mebibyte at a time, on a thread that may block. While one is away with the file, the
//! upload has none; a caller that gives up in the middle of a write therefore finds an upload that can only be aborted.

use std::fs::Permissions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::NamedTempFile;

use super::super::{Review, Stored, Upload, already_exists, check_review};
use super::{LocalStore, blocking, files, keys, parent};
use crate::{Class, Error, Result};

/// Bytes that are gathered before they are written.
const GATHER: usize = 1 << 20;

pub(super) struct LocalUpload {
    store: LocalStore,
    key: String,
    path: PathBuf,
    /// Gone once a write failed; dropping it removes the file.
    file: Option<NamedTempFile>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    taken: u64,
}

impl LocalUpload {
    /// Makes the hidden file, and the directories above it.
    pub(super) fn begin(store: LocalStore, key: String, path: PathBuf) -> Result<Self> {
        let directory = parent(&path);
        if files::has_foreign_step(&store.root, &path)? {
            return Err(Error::configuration(format!("{directory:?} is not a directory of disk {}", store.disk)).hint(
                "Symbolic links below the disk's directory are not followed; point the disk to the real place.",
            ));
        }
        files::make_directory(directory)?;
        let (before, after) = keys::upload_affixes(key.rsplit('/').next().unwrap_or(&key));
        let file = tempfile::Builder::new()
            .prefix(&before)
            .suffix(after)
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(directory)
            .map_err(|error| files::failed("make a file in", directory, error))?;
        Ok(Self { store, key, path, file: Some(file), gathered: Vec::new(), gathered_bytes: 0, taken: 0 })
    }

    /// Writes what was gathered.
    async fn flush(&mut self) -> Result<()> {
        let mut file = self.file.take().ok_or_else(|| over(&self.key))?;
        let gathered = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        let path = self.path.clone();
        let written = blocking(move || {
            for bytes in gathered {
                file.write_all(&bytes).map_err(|error| files::failed("write", &path, error))?;
            }
            Ok(file)
        });
        self.file = Some(written.await?);
        Ok(())
    }
}

fn over(key: &str) -> Error {
    Error::new(Class::Bug, format!("the upload of {key:?} failed before, and was used again"))
}

#[async_trait]
impl Upload for LocalUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if self.file.is_none() {
            return Err(over(&self.key));
        }
        self.taken += bytes.len() as u64;
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes >= GATHER { self.flush().await } else { Ok(()) }
    }

    async fn complete(mut self: Box<Self>, review: &Review) -> Result<Stored> {
        self.flush().await?;
        check_review(&self.key, self.taken, review)?;
        let file = self.file.take().ok_or_else(|| over(&self.key))?;
        let (store, key, path, taken) = (self.store, self.key, self.path, self.taken);
        blocking(move || {
            // The bytes first, then the name, then the directory that holds the name.
            file.as_file().sync_all().map_err(|error| files::failed("sync", &path, error))?;
            file.persist_noclobber(&path).map_err(|refused| match refused.error.kind() {
                ErrorKind::AlreadyExists => already_exists(&store.disk, &key),
                _ => files::failed("name the finished file", &path, refused.error),
            })?;
            files::sync_directory(parent(&path))?;
            let object = files::head(&store.root, &key, &path)?;
            let object = object.ok_or_else(|| Error::corrupt(format!("{path:?} vanished while it was stored")))?;
            if object.size != taken {
                return Err(Error::corrupt(format!("{path:?} has {} bytes instead of {taken}", object.size)));
            }
            Ok(Stored { object, parts: 1, checksum: None, lock: None })
        })
        .await
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let path = self.path.clone();
        blocking(move || file.close().map_err(|error| files::failed("remove the upload of", &path, error))).await
    }
}
