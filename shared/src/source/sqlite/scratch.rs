//! A private scratch directory for one snapshot.
//!
//! It is made in the system's temporary directory (`TMPDIR`), readable by its user alone, and removed when it is
//! dropped. A process that is killed cannot do that, and on Lambda `/tmp` outlives the invocation; so every scratch
//! directory holds a file that its process keeps locked, and the next one that is made wipes those whose lock is free.
//! The lock ends with the process, so nothing that is in use is wiped and nothing dead stays for longer than one run.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::source::writer::hex;
use crate::{Class, Error, Result};

/// What the directories' names begin with; behind it stand 32 hexadecimal digits.
const PREFIX: &str = "nightvault-scratch-";
const LOCK: &str = "lock";
const SNAPSHOT: &str = "snapshot.sqlite";

/// A scratch directory with one empty file for the snapshot.
#[derive(Debug)]
pub(super) struct Scratch {
    directory: PathBuf,
    file: PathBuf,
    /// Held until the directory is gone.
    _lock: File,
}

impl Scratch {
    /// Makes a scratch directory in `parent` and wipes what dead processes left there.
    pub(super) fn create(parent: &Path) -> Result<Self> {
        let scratch = Self::make(parent).map_err(|error| {
            Error::new(Class::Permission, format!("cannot make a scratch directory in {}", super::shown(parent)))
                .hint("SQLite needs a writable temporary directory for its snapshot; set TMPDIR to one.")
                .because(error)
        })?;
        scratch.sweep(parent);
        Ok(scratch)
    }

    /// The file that takes the snapshot.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Bytes that the file system of the scratch directory has left for us.
    pub(super) fn free_bytes(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.directory).map_err(|error| {
            Error::new(Class::Transient, format!("cannot ask for free space in {}", super::shown(&self.directory)))
                .because(io::Error::from(error))
        })?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn make(parent: &Path) -> io::Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let directory = parent.join(format!("{PREFIX}{}", hex(&random)));
        DirBuilder::new().mode(0o700).create(&directory)?;
        let private = |name: &str| {
            let path = directory.join(name);
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map(|file| (path, file))
        };
        let made = (|| {
            let (path, lock) = private(LOCK)?;
            lock.try_lock()?;
            // Between making the lock file and locking it, another run may have taken the directory for a dead one.
            if fs::metadata(&path)?.ino() != lock.metadata()?.ino() {
                return Err(io::Error::other("the scratch directory was replaced"));
            }
            Ok((private(SNAPSHOT)?.0, lock))
        })();
        match made {
            Ok((file, lock)) => Ok(Self { directory, file, _lock: lock }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = fs::remove_dir_all(&directory);
                Err(error)
            }
        }
    }

    /// Wipes the scratch directories of dead processes of the same user. What cannot be wiped is logged: it holds
    /// somebody's data in plain text.
    fn sweep(&self, parent: &Path) {
        let Ok(own) = fs::symlink_metadata(&self.directory) else { return };
        let Ok(entries) = fs::read_dir(parent) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            let ours = entry.file_name().to_str().is_some_and(is_scratch_name) && path != self.directory;
            let alike = |m: fs::Metadata| m.is_dir() && m.uid() == own.uid();
            if !ours || !fs::symlink_metadata(&path).is_ok_and(alike) {
                continue;
            }
            // No lock file: made at this very moment, or killed before it held anything.
            let Ok(lock) = File::open(path.join(LOCK)) else { continue };
            if lock.try_lock().is_err() {
                continue;
            }
            match fs::remove_dir_all(&path) {
                Ok(()) => {
                    tracing::warn!(path = %path.display(), "wiped a scratch directory that a killed run had left")
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "cannot wipe a scratch directory that a killed run had left");
                }
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::error!(path = %self.directory.display(), %error, "cannot remove the scratch directory; it holds a plain copy");
        }
    }
}

fn is_scratch_name(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}
