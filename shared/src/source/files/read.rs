//! One file from its directory's handle to the archive: opened without following or waiting, read no further than the
//! size it had then, and looked at again afterwards.

use std::ffi::CStr;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::archive::manifest::FileProblemKind as Problem;

/// How much of a file is read at once, in bytes.
pub(super) const SLICE_BYTES: u64 = 256 << 10;

/// A file that is not in the archive: why, and the system's words.
pub(super) type Refusal = (Problem, String);

/// A regular file that is open.
pub(super) struct Opened {
    file: File,
    before: Metadata,
    left: u64,
}

/// Opens `name` in `directory`. Neither a symbolic link nor a FIFO or device that took the file's place is opened for
/// longer than it takes to see what it is.
pub(super) fn open(directory: BorrowedFd, name: &CStr) -> Result<Opened, Refusal> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(directory, name, flags, Mode::empty()).map_err(refusal)?);
    let before = file.metadata().map_err(|error| (Problem::Unreadable, error.to_string()))?;
    if !before.is_file() {
        return Err((Problem::Special, "it is no regular file any more".to_owned()));
    }
    Ok(Opened { file, left: before.len(), before })
}

impl Opened {
    pub(super) fn mode(&self) -> u32 {
        self.before.mode()
    }

    pub(super) fn modified(&self) -> i64 {
        self.before.mtime()
    }

    /// The next bytes; none at the end, which is the size that the file had when it was opened, or an earlier one.
    pub(super) fn next(&mut self) -> io::Result<Vec<u8>> {
        let wanted = self.left.min(SLICE_BYTES);
        let mut bytes = Vec::with_capacity(usize::try_from(wanted).expect("a slice fits into memory"));
        self.file.by_ref().take(wanted).read_to_end(&mut bytes)?;
        self.left -= bytes.len() as u64;
        if (bytes.len() as u64) < wanted {
            // The end came early; what may grow there later belongs to the next backup.
            self.left = 0;
        }
        Ok(bytes)
    }

    /// After the last byte: what changed since the file was opened, if anything did.
    pub(super) fn changes(mut self, read: u64, directory: BorrowedFd, name: &CStr) -> io::Result<Option<String>> {
        let after = self.file.metadata()?;
        let (size, now) = (self.before.len(), after.len());
        if now != size {
            return Ok(Some(format!("it had {size} bytes when it was opened and {now} at the end; {read} were read")));
        }
        if read != size {
            return Ok(Some(format!("it had {size} bytes, but only {read} could be read")));
        }
        // Files of /proc and the like have more bytes than they say.
        if self.file.read(&mut [0])? != 0 {
            return Ok(Some(format!("it has more bytes than the {size} that its size says")));
        }
        if (after.mtime(), after.mtime_nsec()) != (self.before.mtime(), self.before.mtime_nsec()) {
            return Ok(Some("it was written while it was read".to_owned()));
        }
        match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if (stat.st_dev, stat.st_ino) != (after.dev(), after.ino()) => {
                Ok(Some("another file took its place while it was read; the earlier one was read whole".to_owned()))
            }
            // Removed meanwhile: what was read is whole, as of the moment it was opened.
            _ => Ok(None),
        }
    }
}

/// Why something could not be opened.
pub(super) fn refusal(error: Errno) -> Refusal {
    match error {
        Errno::NOENT => (Problem::Vanished, String::new()),
        // It was something else when it was listed: a link where a file or directory was, or the other way round.
        Errno::LOOP | Errno::NOTDIR | Errno::INVAL => {
            (Problem::Vanished, "something else took its place while the directory was read".to_owned())
        }
        Errno::NXIO | Errno::NODEV => (Problem::Special, io::Error::from(error).to_string()),
        other => (Problem::Unreadable, io::Error::from(other).to_string()),
    }
}
