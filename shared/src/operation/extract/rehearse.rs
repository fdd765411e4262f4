//! Reads entries as if they were taken out, and makes nothing: what a dry run of `restore --files` does.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::folder::Folder;
use super::take::{SYMLINK, TYPE_BITS, Taken, stays_inside};
use super::wanted::Filter;
use crate::archive::manifest::{IndexEntry, Manifest};
use crate::archive::reader::Unpacker;
use crate::progress::Progress;
use crate::report::LeftOut;
use crate::{Class, Error, Result};

/// What taking out would come to.
pub(super) struct Rehearsal {
    folder: Folder,
    filter: Filter,
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    /// The target of the link that is being read.
    target: Vec<u8>,
    pub(super) taken: Taken,
}

impl Rehearsal {
    pub(super) fn new(above: &str, filter: Filter, stop: Arc<AtomicBool>, progress: Arc<Progress>) -> Self {
        // No such folder is ever made; the places in it are only counted.
        let folder = Folder::of(PathBuf::from("/new"), above);
        Self { folder, filter, stop, progress, target: Vec::new(), taken: Taken::default() }
    }
}

impl Unpacker for Rehearsal {
    fn plan(&mut self, manifest: &Manifest, index: &[IndexEntry]) -> Result<Vec<usize>> {
        let numbers = self.filter.select(manifest, index)?;
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        for number in &numbers {
            let name = index[*number].name.as_str();
            let places = if name.ends_with('/') { &mut directories } else { &mut files };
            places.push(self.folder.place(name)?);
        }
        Folder::check_apart(&files, &directories)?;
        self.taken.wanted = files.len() as u64;
        Ok(numbers)
    }

    fn begin(&mut self, entry: &IndexEntry) -> Result<()> {
        self.progress.set_current(format!("checking {}", entry.name));
        self.target.clear();
        Ok(())
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::new(Class::Deadline, "the reading was stopped"));
        }
        // Long enough for every target; what is longer is a file.
        if self.target.is_empty() {
            self.target.extend_from_slice(&bytes[..bytes.len().min(1 << 13)]);
        }
        self.progress.add_raw_bytes(bytes.len() as u64);
        Ok(())
    }

    fn end(&mut self, entry: &IndexEntry) -> Result<()> {
        if entry.name.ends_with('/') {
            self.taken.directories += 1;
        } else if entry.mode & TYPE_BITS == SYMLINK {
            let place = self.folder.place(&entry.name)?;
            let depth = self.folder.depth(&place).saturating_sub(1);
            match stays_inside(&self.target, depth) {
                Ok(()) => self.taken.symlinks += 1,
                Err(reason) => self.taken.left_out.push(LeftOut { entry: entry.name.clone(), reason }),
            }
        } else {
            self.taken.files += 1;
            self.taken.raw_bytes += entry.bytes;
        }
        Ok(())
    }
}
