//! Takes entries out of the archive's hands and puts them in their places.

use std::fs::{self, FileTimes, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use tempfile::NamedTempFile;

use super::folder::{Folder, failed};
use super::wanted::Filter;
use crate::archive::manifest::{IndexEntry, Manifest};
use crate::archive::reader::Unpacker;
use crate::progress::Progress;
use crate::report::LeftOut;
use crate::{Class, Error, Result};

pub(super) const TYPE_BITS: u32 = 0o170_000;
pub(super) const SYMLINK: u32 = 0o120_000;
/// What is given back of a mode. A file is the property of whoever extracts it: set-user-id bits would lend his rights.
const PERMISSIONS: u32 = 0o777;
/// Bytes of the longest target that a link can have (`PATH_MAX`).
const LONGEST_TARGET: u64 = 4095;

/// What is there.
#[derive(Debug, Default)]
pub(in crate::operation) struct Taken {
    pub(in crate::operation) files: u64,
    pub(in crate::operation) directories: u64,
    pub(in crate::operation) symlinks: u64,
    /// Dumps of another program's archive that were decompressed besides.
    pub(in crate::operation) decompressed: u64,
    pub(in crate::operation) raw_bytes: u64,
    /// Bytes that the store was asked for.
    pub(in crate::operation) bytes_read: u64,
    pub(in crate::operation) wanted: u64,
    pub(in crate::operation) last: Option<String>,
    pub(in crate::operation) left_out: Vec<LeftOut>,
}

/// Entries on their way into a folder.
pub(super) struct Take {
    folder: Folder,
    filter: Filter,
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    current: Current,
    /// Made when all files are there.
    links: Vec<Link>,
    /// Directories to give their modes and times in the end: those that were made here.
    directories: Vec<(PathBuf, IndexEntry)>,
    taken: Taken,
}

/// The entry that is being read.
enum Current {
    None,
    File(NamedTempFile, PathBuf),
    Link(Vec<u8>, PathBuf),
}

struct Link {
    target: Vec<u8>,
    place: PathBuf,
    entry: String,
    modified: i64,
}

impl Take {
    /// Takes what `filter` says into `folder`, until `stop` is set.
    pub(super) fn new(folder: Folder, filter: Filter, stop: Arc<AtomicBool>, progress: Arc<Progress>) -> Self {
        Self {
            folder,
            filter,
            stop,
            progress,
            current: Current::None,
            links: Vec::new(),
            directories: Vec::new(),
            taken: Taken::default(),
        }
    }

    /// Makes the links, when `result` says that all files are there, and gives directories their modes and times.
    pub(super) fn finish(mut self, mut result: Result<()>) -> (Taken, Result<()>) {
        // Dropping an unfinished file removes it.
        self.current = Current::None;
        if result.is_ok() {
            for link in std::mem::take(&mut self.links) {
                if let Err(error) = self.link(&link) {
                    result = Err(error);
                    break;
                }
            }
        }
        // From the deepest: a directory that may not be written to, or that is touched by what is made in it, comes last.
        for (place, entry) in self.directories.iter().rev() {
            let times = FileTimes::new().set_modified(time(entry.modified));
            let done = fs::File::open(place)
                .and_then(|directory| directory.set_times(times))
                .and_then(|()| fs::set_permissions(place, Permissions::from_mode(entry.mode & PERMISSIONS)));
            if let Err(error) = done {
                result = result.and(Err(failed("give its mode and time to", place, error)));
            }
        }
        (self.taken, result)
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Tells something that was not made.
    pub(super) fn leave_out(&mut self, left_out: LeftOut) {
        self.taken.left_out.push(left_out);
    }

    /// Whether all entries, and what is made `besides`, have free places of their own.
    pub(super) fn check_places<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a str>,
        besides: impl Iterator<Item = &'a str>,
    ) -> Result<()> {
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        for name in entries {
            let places = if name.ends_with('/') { &mut directories } else { &mut files };
            places.push(self.folder.place(name)?);
        }
        self.taken.wanted = files.len() as u64;
        for name in besides {
            files.push(self.folder.place(name)?);
        }
        self.folder.check_free(&files, &directories)
    }

    /// Gives a file that was written its time, mode and name.
    pub(super) fn name_file(&self, file: NamedTempFile, place: &Path, entry: &IndexEntry) -> Result<()> {
        let times = FileTimes::new().set_modified(time(entry.modified));
        file.as_file()
            .set_times(times)
            .and_then(|()| file.as_file().set_permissions(Permissions::from_mode(entry.mode & PERMISSIONS)))
            .map_err(|error| failed("give its mode and time to", place, error))?;
        file.persist_noclobber(place).map_err(|refused| failed("name", place, refused.error))?;
        Ok(())
    }

    fn link(&mut self, link: &Link) -> Result<()> {
        let left_out = |reason: &str| LeftOut { entry: link.entry.clone(), reason: reason.to_owned() };
        let depth = self.folder.depth(&link.place).saturating_sub(1);
        if let Err(reason) = stays_inside(&link.target, depth) {
            self.taken.left_out.push(left_out(&reason));
            return Ok(());
        }
        self.folder.make_above(&link.place)?;
        std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(&link.target), &link.place)
            .map_err(|error| failed("make the link", &link.place, error))?;
        self.taken.symlinks += 1;
        let modified = Timespec { tv_sec: link.modified, tv_nsec: 0 };
        let times = Timestamps { last_access: modified, last_modification: modified };
        utimensat(CWD, &link.place, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed("give its time to", &link.place, error.into()))
    }
}

impl Unpacker for Take {
    fn plan(&mut self, manifest: &Manifest, index: &[IndexEntry]) -> Result<Vec<usize>> {
        let numbers = self.filter.select(manifest, index)?;
        self.check_places(numbers.iter().map(|number| index[*number].name.as_str()), std::iter::empty())?;
        Ok(numbers)
    }

    fn begin(&mut self, entry: &IndexEntry) -> Result<()> {
        let place = self.folder.place(&entry.name)?;
        self.progress.set_current(format!("extracting {}", entry.name));
        if entry.name.ends_with('/') {
            let was_there = fs::symlink_metadata(&place).is_ok() && !self.folder.has_made(&place);
            self.folder.make(&place)?;
            // One that was there before keeps its mode.
            if !was_there {
                self.directories.push((place, entry.clone()));
                self.taken.directories += 1;
            }
            return Ok(());
        }
        if entry.mode & TYPE_BITS == SYMLINK {
            if entry.bytes > LONGEST_TARGET {
                return Err(Error::corrupt(format!("the target of the link {:?} is too long for one", entry.name)));
            }
            self.current = Current::Link(Vec::new(), place);
            return Ok(());
        }
        self.folder.make_above(&place)?;
        let file = new_file(&place)?;
        self.current = Current::File(file, place);
        Ok(())
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::new(Class::Deadline, "the extraction was stopped"));
        }
        match &mut self.current {
            Current::File(file, place) => file.write_all(bytes).map_err(|error| failed("write", place, error))?,
            Current::Link(target, _) => target.extend_from_slice(bytes),
            Current::None => return Err(Error::bug("bytes of no entry")),
        }
        self.progress.add_raw_bytes(bytes.len() as u64);
        Ok(())
    }

    fn end(&mut self, entry: &IndexEntry) -> Result<()> {
        match std::mem::replace(&mut self.current, Current::None) {
            Current::None => return Ok(()),
            Current::Link(target, place) => {
                self.links.push(Link { target, place, entry: entry.name.clone(), modified: entry.modified });
                return Ok(());
            }
            Current::File(file, place) => self.name_file(file, &place, entry)?,
        }
        self.taken.files += 1;
        self.taken.raw_bytes += entry.bytes;
        self.taken.last = Some(entry.name.clone());
        Ok(())
    }
}

/// A hidden file beside `place`, which is removed unless it is named.
pub(super) fn new_file(place: &Path) -> Result<NamedTempFile> {
    let above = place.parent().unwrap_or(place);
    let file = tempfile::Builder::new().prefix(".").suffix(".nightvault-extract").tempfile_in(above);
    file.map_err(|error| failed("make a file in", above, error))
}

/// Whether a link `depth` directories below the folder cannot lead out of it: it goes up first, not too far, then only
/// down. (What is below may be another link; that stays inside by the same rule.)
pub(super) fn stays_inside(target: &[u8], depth: usize) -> std::result::Result<(), String> {
    inside(target, depth).map_err(|reason| format!("its target {:?} {reason}", String::from_utf8_lossy(target)))
}

fn inside(target: &[u8], depth: usize) -> std::result::Result<(), &'static str> {
    if target.is_empty() || target.contains(&0) {
        return Err("is none");
    }
    let (mut up, mut down) = (0, false);
    for component in Path::new(std::ffi::OsStr::from_bytes(target)).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if down => return Err("goes down and up again, which may lead anywhere"),
            Component::ParentDir => up += 1,
            Component::Normal(_) => down = true,
            Component::RootDir | Component::Prefix(_) => return Err("is absolute, and so leads out of the folder"),
        }
    }
    if up > depth { Err("leads out of the folder") } else { Ok(()) }
}

/// Unix seconds as the file system takes them.
fn time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_could_lead_out_are_told_from_those_that_cannot() {
        for (target, depth) in [("a", 0), ("a/b", 0), ("../a", 1), ("../../a/b", 2), ("./a", 0), ("..", 1), ("a..", 0)]
        {
            assert_eq!(inside(target.as_bytes(), depth), Ok(()), "{target} at {depth}");
        }
        for (target, depth) in [
            ("", 5),
            ("/etc/passwd", 5),
            ("..", 0),
            ("../../a", 1),
            ("a/..", 5),
            ("a/../../../../..", 5),
            ("../a/../..", 3),
            ("a\0b", 5),
        ] {
            assert!(inside(target.as_bytes(), depth).is_err(), "{target} at {depth}");
        }
    }

    #[test]
    fn times_before_1970_and_beyond_all_calendars_are_no_panic() {
        assert_eq!(time(-1), SystemTime::UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(time(5), SystemTime::UNIX_EPOCH + Duration::from_secs(5));
        for seconds in [i64::MIN, i64::MAX] {
            let _: SystemTime = time(seconds);
        }
    }
}
