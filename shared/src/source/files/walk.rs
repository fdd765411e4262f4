//! The walk itself, on a blocking thread: directories by handle, names in order, items to the archive.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::vec;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use tokio::sync::mpsc::Sender;

use super::filter::Filter;
use super::listing::{Listing, list};
use super::read::{self, Refusal, refusal};
use super::{FileMeta, names};
use crate::archive::manifest::{FileProblem, FileProblemKind};
use crate::config::FileSetConfig;
use crate::{Class, Error, Result};

/// Longest name of a zip entry, in bytes: its length is a 16-bit field (PKWARE APPNOTE.TXT, 4.4.10).
const NAME_BYTES: usize = 65_535;
/// How many directories of the way down are kept open; those above are opened again from below on the way up.
const OPEN_LEVELS: usize = 64;

/// What the walk hands to the archive, in order.
#[derive(Debug)]
pub(super) enum Item {
    Start(FileMeta, Kind),
    Data(Vec<u8>),
    End,
    Problem(FileProblem),
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
}

/// A walk of one file set.
#[derive(Debug)]
pub(super) struct Walk {
    set: String,
    root: PathBuf,
    filter: Filter,
    max_files: u64,
    /// How many entries and problems may still come.
    left: u64,
    /// Where the walk is: the path below the root in bytes, and the entry's name.
    path: Vec<u8>,
    entry: String,
    levels: Vec<Level>,
}

/// A directory on the way down.
#[derive(Debug)]
struct Level {
    /// `None` while the walk is far below.
    directory: Option<OwnedFd>,
    device_inode: (u64, u64),
    names: vec::IntoIter<CString>,
    /// Lengths of the walk's `path` and `entry` at this directory.
    path_bytes: usize,
    entry_bytes: usize,
    /// Whether all below is included.
    included: bool,
    /// Whether its entry is in the archive.
    announced: bool,
    mode: u32,
    modified: i64,
}

impl Walk {
    /// Prepares a walk; opens nothing yet.
    pub(super) fn new(set: &FileSetConfig, max_files: u64) -> Result<Self> {
        let name = &set.name;
        if name.is_empty()
            || name == "."
            || name == ".."
            || name.contains(['/', '\\'])
            || name.contains(char::is_control)
        {
            return Err(Error::configuration(format!("{name:?} cannot be the name of a file set"))
                .hint("Use letters, digits, `.`, `_` and `-`: the name is a folder in the archive."));
        }
        Ok(Self {
            set: name.clone(),
            root: set.root.clone(),
            filter: Filter::new(set)?,
            max_files,
            left: max_files,
            path: Vec::new(),
            entry: format!("files/{name}/"),
            levels: Vec::new(),
        })
    }

    /// Opens the set's root; a link is followed here and nowhere else.
    pub(super) fn open_root(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.root, flags, Mode::empty()).map_err(|error| {
            let class = match io::Error::from(error).kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Class::Configuration,
                io::ErrorKind::PermissionDenied => Class::Permission,
                _ => Class::Transient,
            };
            Error::new(class, format!("cannot open the root {:?} of the file set {:?}", self.root, self.set))
                .hint("Give a directory that exists and that the user of the backup may read.")
                .because(io::Error::from(error))
        })
    }

    /// Walks the tree and sends all that is in it.
    pub(super) fn run(mut self, to: &Sender<Item>) -> Result<()> {
        let root = self.open_root()?;
        let stat = rustix::fs::fstat(&root).map_err(|error| self.broken(error.into()))?;
        let all = self.filter.takes_everything();
        let Listing { names, broken } = self.list(root.as_fd(), all)?;
        if let Some(error) = broken {
            return Err(self.broken(error));
        }
        self.push(root, &stat, names, all, true);
        while let Some(level) = self.levels.last_mut() {
            match level.names.next() {
                Some(name) => self.visit(&name, to)?,
                None => self.leave()?,
            }
        }
        Ok(())
    }

    fn broken(&self, error: io::Error) -> Error {
        Error::new(Class::Transient, format!("cannot read the root {:?} of the file set {:?}", self.root, self.set))
            .because(error)
    }

    /// One name of the current directory.
    fn visit(&mut self, name: &CStr, to: &Sender<Item>) -> Result<()> {
        let depth = self.levels.len();
        let (path_bytes, entry_bytes) = (self.path.len(), self.entry.len());
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name.to_bytes());
        names::escape_into(&mut self.entry, name.to_bytes());
        match self.visit_here(name, to) {
            Ok(()) => {}
            Err(Stop::Problem((kind, detail))) => self.tell(kind, detail, to)?,
            Err(Stop::Error(error)) => return Err(error),
        }
        if self.levels.len() == depth {
            self.path.truncate(path_bytes);
            self.entry.truncate(entry_bytes);
        }
        Ok(())
    }

    fn visit_here(&mut self, name: &CStr, to: &Sender<Item>) -> Result<(), Stop> {
        let stat = rustix::fs::statat(self.here(), name, AtFlags::SYMLINK_NOFOLLOW).map_err(refusal)?;
        let included = self.level().included || self.filter.includes(&self.path);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.enter(name, included, to),
            _ if !included => Ok(()),
            FileType::RegularFile => self.file(name, to),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(self.here(), name, Vec::new()).map_err(refusal)?;
                self.start(stat.st_mode, stat.st_mtime, Kind::Symlink, to)?;
                send(to, Item::Data(target.into_bytes()))?;
                send(to, Item::End)?;
                Ok(())
            }
            other => Err(Stop::Problem((FileProblemKind::Special, special(other).to_owned()))),
        }
    }

    /// Reads a regular file. What fails before its first byte keeps it out of the archive.
    fn file(&mut self, name: &CStr, to: &Sender<Item>) -> Result<(), Stop> {
        let mut opened = read::open(self.here(), name)?;
        let unreadable = |error: io::Error| (FileProblemKind::Unreadable, error.to_string());
        let mut bytes = opened.next().map_err(unreadable)?;
        self.start(opened.mode(), opened.modified(), Kind::File, to)?;
        let mut read = 0;
        let failed = loop {
            if bytes.is_empty() {
                break None;
            }
            read += bytes.len() as u64;
            send(to, Item::Data(bytes))?;
            bytes = match opened.next() {
                Ok(bytes) => bytes,
                Err(error) => break Some(error),
            };
        };
        let changes = match failed {
            None => opened.changes(read, self.here(), name),
            Some(error) => Err(error),
        };
        match changes {
            Ok(None) => {}
            Ok(Some(what)) => self.tell(FileProblemKind::Changed, what, to)?,
            Err(error) => {
                let detail = format!("{error}; the archive holds its first {read} bytes only");
                self.tell(FileProblemKind::Unreadable, detail, to)?;
            }
        }
        send(to, Item::End)?;
        Ok(())
    }

    /// Opens a directory, lists it and makes it the current one.
    fn enter(&mut self, name: &CStr, included: bool, to: &Sender<Item>) -> Result<(), Stop> {
        self.entry.push('/');
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(self.here(), name, flags, Mode::empty()).map_err(refusal)?;
        let stat = rustix::fs::fstat(&directory).map_err(refusal)?;
        let Listing { names, broken } = self.list(directory.as_fd(), included)?;
        if let Some(error) = broken {
            self.tell(FileProblemKind::Unreadable, format!("its listing broke off: {error}"), to)?;
        }
        self.push(directory, &stat, names, included, false);
        if included {
            self.announce(to)?;
        }
        Ok(())
    }

    fn list(&self, directory: BorrowedFd, included: bool) -> Result<Listing> {
        list(directory, &self.path, &self.filter, included, self.left).ok_or_else(|| self.too_many())
    }

    fn push(&mut self, directory: OwnedFd, stat: &Stat, names: Vec<CString>, included: bool, root: bool) {
        self.levels.push(Level {
            directory: Some(directory),
            device_inode: (stat.st_dev, stat.st_ino),
            names: names.into_iter(),
            path_bytes: self.path.len(),
            entry_bytes: self.entry.len(),
            included,
            announced: root,
            mode: stat.st_mode,
            modified: stat.st_mtime,
        });
        if let Some(far) = self.levels.len().checked_sub(OPEN_LEVELS + 1) {
            self.levels[far].directory = None;
        }
    }

    /// Back to the directory above.
    fn leave(&mut self) -> Result<()> {
        let below = self.levels.pop().expect("a directory is left after it was entered");
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        if level.directory.is_none() {
            let below = below.directory.expect("the current directory is always open");
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let above = rustix::fs::openat(&below, "..", flags, Mode::empty())
                .and_then(|above| rustix::fs::fstat(&above).map(|stat| (above, stat)));
            match above {
                Ok((above, stat)) if (stat.st_dev, stat.st_ino) == level.device_inode => level.directory = Some(above),
                _ => {
                    let path = shortened(&self.path);
                    let message =
                        format!("the directory {path} of the file set {:?} was moved while it was walked", self.set);
                    return Err(Error::new(Class::Inconsistent, message).hint("Run the backup again."));
                }
            }
        }
        self.path.truncate(level.path_bytes);
        self.entry.truncate(level.entry_bytes);
        Ok(())
    }

    /// Starts an entry, after those of the directories that it is in.
    fn start(&mut self, mode: u32, modified: i64, kind: Kind, to: &Sender<Item>) -> Result<()> {
        self.announce(to)?;
        self.count()?;
        self.check_name(&self.entry)?;
        send(to, Item::Start(FileMeta { entry: self.entry.clone(), mode, modified }, kind))
    }

    /// Puts the directories on the way down into the archive that are not there yet.
    fn announce(&mut self, to: &Sender<Item>) -> Result<()> {
        let first = self.levels.iter().rposition(|level| level.announced).map_or(0, |announced| announced + 1);
        for index in first..self.levels.len() {
            self.count()?;
            let level = &mut self.levels[index];
            level.announced = true;
            let entry = self.entry[..level.entry_bytes].to_owned();
            let meta = FileMeta { entry, mode: level.mode, modified: level.modified };
            self.check_name(&meta.entry)?;
            send(to, Item::Start(meta, Kind::Directory))?;
            send(to, Item::End)?;
        }
        Ok(())
    }

    fn tell(&mut self, kind: FileProblemKind, detail: String, to: &Sender<Item>) -> Result<()> {
        self.count()?;
        let mut path = names::escape(&self.path);
        if self.entry.ends_with('/') {
            path.push('/');
        }
        send(to, Item::Problem(FileProblem { path, kind, detail }))
    }

    fn count(&mut self) -> Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| self.too_many())?;
        Ok(())
    }

    fn too_many(&self) -> Error {
        Error::new(Class::Limit, format!("the file set {:?} has more than {} files and directories", self.set, self.max_files))
            .hint("Exclude what need not be kept, or raise BACKUP_MAX_FILES; every entry takes memory until the end of the run.")
    }

    fn check_name(&self, entry: &str) -> Result<()> {
        if entry.len() <= NAME_BYTES {
            return Ok(());
        }
        let message = format!(
            "a path of the file set {:?} is longer than the {NAME_BYTES} bytes that a zip archive can name: {}",
            self.set,
            shortened(&self.path)
        );
        Err(Error::unsupported(message).hint("Shorten the path or exclude it."))
    }

    fn level(&self) -> &Level {
        self.levels.last().expect("the walk is in a directory until it ends")
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.level().directory.as_ref().expect("the current directory is always open").as_fd()
    }
}

/// Why a name is not in the archive.
enum Stop {
    /// A problem of this name alone.
    Problem(Refusal),
    /// The end of the walk.
    Error(Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Problem(refusal)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

fn send(to: &Sender<Item>, item: Item) -> Result<()> {
    to.blocking_send(item).map_err(|_| Error::new(Class::Deadline, "the walk was stopped because its run ended"))
}

fn special(kind: FileType) -> &'static str {
    match kind {
        FileType::Socket => "a socket",
        FileType::Fifo => "a FIFO",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        _ => "of a kind that is unknown",
    }
}

/// A path as a message shows it: escaped, and not longer than a line.
fn shortened(path: &[u8]) -> String {
    let text = names::escape(path);
    if text.chars().count() <= 200 {
        format!("{text:?}")
    } else {
        format!("{:?}…", text.chars().take(200).collect::<String>())
    }
}
