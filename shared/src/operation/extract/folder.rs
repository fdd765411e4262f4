//! The folder that entries are taken out into, and what may be made in it.
//!
//! Every name is judged by itself: plain steps down from the folder, after escapes were undone. On the way down only real
//! directories are entered, never symbolic links, whoever made them.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::source::files::names::unescape;
use crate::{Class, Error, Result};

/// So many places that are taken are named.
const NAMED: usize = 5;

/// The folder, and the directories that were made in it.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// What entries' names begin with and places do not, e.g. `files/docs/`; empty = names are places.
    above: String,
    /// Whether names stand for themselves: another program's archive, which escapes nothing.
    plain: bool,
    /// Paths of directories that were made here, and that are known to be real directories.
    made: BTreeSet<PathBuf>,
}

impl Folder {
    /// The folder at `root`, which need not be there yet.
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, above: String::new(), plain: false, made: BTreeSet::new() }
    }

    /// A folder at `root`, just made for this, that takes what lies below `above` in the archive.
    pub(super) fn of(root: PathBuf, above: &str) -> Self {
        Self { made: BTreeSet::from([root.clone()]), root, above: above.to_owned(), plain: false }
    }

    /// The same for names in which nothing is escaped.
    pub(super) fn plain(self) -> Self {
        Self { plain: true, ..self }
    }

    /// Where the entry of this name belongs. In file sets, escaped bytes get their own form back.
    pub(super) fn place(&self, entry: &str) -> Result<PathBuf> {
        let mut path = self.root.clone();
        let below = entry.strip_prefix(&self.above).ok_or_else(|| {
            Error::bug(format!("the entry {entry:?} was asked for and is not below {:?}", self.above))
        })?;
        if below.is_empty() && !self.above.is_empty() {
            return Ok(path);
        }
        for step in below.strip_suffix('/').unwrap_or(below).split('/') {
            let bytes =
                if entry.starts_with("files/") && !self.plain { unescape(step) } else { step.as_bytes().to_vec() };
            if matches!(bytes.as_slice(), b"" | b"." | b"..") || bytes.contains(&b'/') || bytes.contains(&0) {
                return Err(Error::corrupt(format!("the entry {entry:?} would leave the folder"))
                    .hint("No honest program writes such names; nothing was extracted."));
            }
            path.push(OsStr::from_bytes(&bytes));
        }
        Ok(path)
    }

    /// Whether the directory `place` was made here, or entered.
    pub(super) fn has_made(&self, place: &Path) -> bool {
        self.made.contains(place)
    }

    /// How many steps below the folder `place` lies.
    pub(super) fn depth(&self, place: &Path) -> usize {
        place.components().count().saturating_sub(self.root.components().count())
    }

    /// Whether no two places are one, and none lies below a file: else nothing may be made.
    pub(super) fn check_apart(files: &[PathBuf], directories: &[PathBuf]) -> Result<()> {
        let places: HashSet<&Path> = files.iter().map(PathBuf::as_path).collect();
        let twice = places.len() < files.len() || directories.iter().any(|place| places.contains(place.as_path()));
        let below = |place: &&PathBuf| place.ancestors().skip(1).any(|above| places.contains(above));
        if twice || files.iter().chain(directories).any(|place| below(&place)) {
            return Err(Error::corrupt("two entries have the same place, or one lies below a file")
                .hint("No honest program writes such archives; nothing was extracted."));
        }
        Ok(())
    }

    /// Whether all places are apart and free: else nothing may be made.
    pub(super) fn check_free(&self, files: &[PathBuf], directories: &[PathBuf]) -> Result<()> {
        Self::check_apart(files, directories)?;
        let mut taken = Vec::new();
        let mut looked_at = HashSet::new();
        for (place, is_directory) in files.iter().map(|it| (it, false)).chain(directories.iter().map(|it| (it, true))) {
            let above = place.ancestors().skip(1).take_while(|above| above.starts_with(&self.root));
            // From below: what was looked at once has been looked at up to the folder.
            for above in above.take_while(|above| looked_at.insert(above.to_path_buf())).collect::<Vec<_>>() {
                // The folder itself may be reached by a link: the user named it.
                let is_taken = if above == self.root {
                    is_no_directory(fs::metadata(above))
                } else {
                    is_no_directory(fs::symlink_metadata(above))
                };
                if is_taken.map_err(|error| failed("look at", above, error))? {
                    taken.push(above.to_path_buf());
                }
            }
            let found = fs::symlink_metadata(place);
            let is_taken = match &found {
                Ok(found) => !(is_directory && found.is_dir()),
                Err(error) if error.kind() == ErrorKind::NotFound || error.kind() == ErrorKind::NotADirectory => false,
                Err(_) => return Err(failed("look at", place, found.err().unwrap_or_else(|| ErrorKind::Other.into()))),
            };
            if is_taken {
                taken.push(place.clone());
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = taken.iter().take(NAMED).map(|place| format!("{place:?}")).collect();
        let more = if taken.len() > NAMED { ", …" } else { "" };
        Err(Error::new(
            Class::AlreadyExists,
            format!("{} of the places are taken: {}{more}", taken.len(), names.join(", ")),
        )
        .hint("Nothing was extracted, and nothing is ever overwritten. Give --to an empty folder."))
    }

    /// Makes the directories above `place`, for this user alone, and enters no symbolic link.
    pub(super) fn make_above(&mut self, place: &Path) -> Result<()> {
        match place.parent() {
            Some(above) => self.make(above),
            None => Ok(()),
        }
    }

    /// Makes the directory `place` and those above it up to the folder.
    pub(super) fn make(&mut self, place: &Path) -> Result<()> {
        if self.made.contains(place) {
            return Ok(());
        }
        if place == self.root {
            if !place.is_dir() {
                let mut builder = DirBuilder::new();
                builder.recursive(true).mode(0o700).create(place).map_err(|e| failed("make the folder", place, e))?;
            }
            self.made.insert(place.to_owned());
            return Ok(());
        }
        self.make_above(place)?;
        match DirBuilder::new().mode(0o700).create(place) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(place).map_err(|error| failed("look at", place, error))?;
                if !found.is_dir() {
                    return Err(Error::new(Class::AlreadyExists, format!("{place:?} is there and is no directory")));
                }
            }
            Err(error) => return Err(failed("make the directory", place, error)),
        }
        self.made.insert(place.to_owned());
        Ok(())
    }
}

/// Whether something is there that is no directory.
fn is_no_directory(found: io::Result<fs::Metadata>) -> io::Result<bool> {
    match found {
        Ok(found) => Ok(!found.is_dir()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the file system says, with the place and what to do.
pub(in crate::operation) fn failed(doing: &str, place: &Path, error: io::Error) -> Error {
    use ErrorKind::{
        AlreadyExists, DirectoryNotEmpty, FileTooLarge, NotADirectory, PermissionDenied, QuotaExceeded,
        ReadOnlyFilesystem, StorageFull,
    };
    let (class, hint) = match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => {
            (Class::Limit, "Free space there, or give --to a folder elsewhere.")
        }
        PermissionDenied | ReadOnlyFilesystem => (Class::Permission, "Give --to a folder in which you may write."),
        AlreadyExists | DirectoryNotEmpty | NotADirectory => {
            (Class::AlreadyExists, "Nothing is ever overwritten. Give --to an empty folder.")
        }
        ErrorKind::InvalidFilename => {
            (Class::Limit, "The path is too long for this file system; give --to a shorter one.")
        }
        _ => (Class::Transient, "Look at the system's log for errors of that disk, then try again."),
    };
    Error::new(class, format!("cannot {doing} {place:?}")).hint(hint).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().join("out"));
        (root, folder)
    }

    #[test]
    fn names_that_would_leave_the_folder_are_refused_escaped_ones_too() {
        let (_root, folder) = folder();
        for name in [
            "../x",
            "files/set/../../x",
            "/etc/passwd",
            "files//x",
            "files/set/.",
            "",
            "files/set/%{2E}%{2E}/x",
            "files/set/%{2E}.",
            "files/set/a%{2F}b",
            "files/set/%{00}",
        ] {
            assert_eq!(folder.place(name).unwrap_err().class(), Class::Corrupt, "{name}");
        }
    }

    #[test]
    fn names_come_back_as_they_were_and_stay_below_the_folder() {
        let (_root, folder) = folder();
        for (name, expected) in [
            ("files/set/a b.pdf", b"files/set/a b.pdf".as_slice()),
            ("files/set/line%{0A}break", b"files/set/line\nbreak"),
            ("files/set/%{FF}%{5C}", b"files/set/\xff\\"),
            ("files/set/..x/x..", b"files/set/..x/x.."),
            ("files/set/C:\u{e9}", "files/set/C:\u{e9}".as_bytes()),
            ("db-dumps/a%{41}.sql", b"db-dumps/a%{41}.sql"),
        ] {
            let place = folder.place(name).unwrap();
            assert_eq!(place, folder.root.join(OsStr::from_bytes(expected)), "{name}");
        }
    }

    #[test]
    fn what_lies_below_a_set_comes_to_lie_below_the_folder_and_nowhere_else() {
        let folder = Folder::of("/new".into(), "files/set/");
        assert_eq!(folder.place("files/set/").unwrap(), Path::new("/new"));
        assert_eq!(folder.place("files/set/a%{0A}/b").unwrap(), Path::new("/new/a\n/b"));
        assert_eq!(folder.place("files/set//x").unwrap_err().class(), Class::Corrupt);
        assert_eq!(folder.place("files/set/../x").unwrap_err().class(), Class::Corrupt);
        assert_eq!(folder.place("files/other/x").unwrap_err().class(), Class::Bug);
    }

    #[test]
    fn a_place_that_is_taken_is_told_before_anything_is_made() {
        let (root, folder) = folder();
        let out = root.path().join("out");
        let places = ["a/one", "a/two", "b/three"].map(|name| out.join(name));
        folder.check_free(&places, &[out.join("a")]).unwrap();
        fs::create_dir_all(out.join("a/two")).unwrap();
        std::os::unix::fs::symlink("/etc", out.join("b")).unwrap();
        let error = folder.check_free(&places, &[out.join("a")]).unwrap_err();
        assert_eq!(error.class(), Class::AlreadyExists);
        assert!(error.to_string().starts_with("2 of the places are taken"), "{error}");
        assert!(error.to_string().contains("a/two") && error.to_string().contains("out/b"), "{error}");
        folder.check_free(&places[..1], &[out.join("a")]).unwrap();
    }

    #[test]
    fn two_entries_in_one_place_or_below_a_file_are_refused() {
        let (_root, folder) = folder();
        let at = |name: &str| folder.root.join(name);
        for (files, directories) in [
            (vec![at("a"), at("a")], vec![]),
            (vec![at("a")], vec![at("a")]),
            (vec![at("a"), at("a/b")], vec![]),
            (vec![at("a")], vec![at("a/b/c")]),
        ] {
            assert_eq!(folder.check_free(&files, &directories).unwrap_err().class(), Class::Corrupt);
        }
    }

    #[test]
    fn no_directory_is_made_through_a_link() {
        let (root, mut folder) = folder();
        let elsewhere = root.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        folder.make(&folder.root.clone()).unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.root.join("link")).unwrap();
        assert!(folder.make(&folder.root.join("link/deeper")).is_err());
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        folder.make(&folder.root.join("real/deeper")).unwrap();
        assert!(folder.root.join("real/deeper").is_dir());
    }
}
