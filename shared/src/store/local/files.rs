//! File work of a local disk. Everything here blocks.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;

use super::super::{Hidden, Object, check_range, check_version, not_found, replaced};
use super::{keys, parent};
use crate::{Class, Error, Result};

/// An error of the file system, with the class that its kind asks for.
pub(super) fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    let message = format!("cannot {doing} {path:?}");
    let (class, hint) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            (Class::Limit, "Free space on that disk, raise the quota, or point the disk to another directory.")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            (Class::Permission, "Give the user that runs Nightvault the right to read and write there.")
        }
        ErrorKind::NotFound => (Class::NotFound, "Check BACKUP_LOCAL_PATH, and that the disk is mounted."),
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::InvalidFilename => {
            (Class::Configuration, "Check BACKUP_LOCAL_PATH and the backup's name.")
        }
        _ => (Class::Transient, "Look at the system's log for errors of that disk, then try again."),
    };
    Error::new(class, message).hint(hint).because(error)
}

/// Makes the directory and those above it, for this user alone.
pub(super) fn make_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let missing: Vec<&Path> = path.ancestors().take_while(|step| !step.is_dir()).collect();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(|error| failed("make the directory", path, error))?;
    // The new names must survive a power cut as surely as the file below them.
    missing.into_iter().filter_map(Path::parent).try_for_each(sync_directory)
}

/// Makes what was renamed or removed in a directory last.
pub(super) fn sync_directory(path: &Path) -> Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(|error| failed("sync the directory", path, error))
}

/// Makes the root when it is missing and writes a file there that vanishes again.
pub(super) fn probe(root: &Path) -> Result<()> {
    make_directory(root)?;
    tempfile::Builder::new()
        .prefix(".")
        .suffix(".probe.nightvault-upload")
        .tempfile_in(root)
        .and_then(|file| file.close())
        .map_err(|error| failed("write to", root, error))
}

/// Whether a step between the root and the file is a symbolic link or no directory: then there is no object.
pub(super) fn has_foreign_step(root: &Path, path: &Path) -> Result<bool> {
    let between = path.ancestors().skip(1).take_while(|step| *step != root);
    for step in between {
        match fs::symlink_metadata(step) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(true),
            Err(error) => return Err(failed("look at", step, error)),
        }
    }
    Ok(false)
}

/// The metadata of a regular file that no symbolic link leads to.
pub(super) fn regular(root: &Path, path: &Path) -> Result<Option<Metadata>> {
    if has_foreign_step(root, path)? {
        return Ok(None);
    }
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.is_file().then_some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(failed("look at", path, error)),
    }
}

fn etag(found: &Metadata) -> String {
    format!("{:x}-{:x}-{:x}.{:09}", found.ino(), found.size(), found.mtime(), found.mtime_nsec())
}

fn object(key: String, path: &Path, found: &Metadata) -> Result<Object> {
    let modified = found.modified().map_err(|error| failed("look at", path, error))?;
    let modified = Timestamp::try_from(modified)
        .map_err(|error| Error::corrupt(format!("{path:?} has a date that no calendar has")).because(error))?;
    Ok(Object { key, size: found.size(), modified, etag: Some(etag(found)) })
}

/// One object.
pub(super) fn head(root: &Path, key: &str, path: &Path) -> Result<Option<Object>> {
    regular(root, path)?.map(|found| object(key.to_owned(), path, &found)).transpose()
}

/// Bytes of an object. The file is looked at after it was opened, so that what is read is what was checked.
pub(super) fn read(
    disk: &str,
    root: &Path,
    key: &str,
    path: &Path,
    range: Range<u64>,
    meant: Option<&str>,
) -> Result<Bytes> {
    let named = regular(root, path)?.ok_or_else(|| not_found(disk, key))?;
    let file = File::open(path).map_err(|error| failed("open", path, error))?;
    let found = file.metadata().map_err(|error| failed("look at", path, error))?;
    if (found.dev(), found.ino()) != (named.dev(), named.ino()) {
        return Err(replaced(key));
    }
    check_version(key, &etag(&found), meant)?;
    check_range(key, &range, found.size())?;
    let length = usize::try_from(range.end - range.start).map_err(|error| {
        Error::new(Class::Limit, format!("too much of {key:?} was asked for at once")).because(error)
    })?;
    let mut bytes = vec![0; length];
    match file.read_exact_at(&mut bytes, range.start) {
        Ok(()) => Ok(bytes.into()),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(replaced(key).because(error)),
        Err(error) => Err(failed("read", path, error)),
    }
}

/// Deletes a regular file; one that is gone already is no error.
pub(super) fn delete(root: &Path, path: &Path) -> Result<()> {
    if regular(root, path)?.is_none() {
        return Ok(());
    }
    match fs::remove_file(path) {
        Ok(()) => sync_directory(parent(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("delete", path, error)),
    }
}

/// All objects whose key starts with `prefix`, in order.
pub(super) fn list(root: &Path, prefix: &str) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    walk(root, prefix, &mut |key, name, path, found| {
        if key.starts_with(prefix) && !keys::is_our_own(name) {
            objects.push(object(key, path, found)?);
        }
        Ok(())
    })?;
    objects.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    Ok(objects)
}

/// Removes uploads under `prefix` that nothing was written to since `before`.
pub(super) fn remove_stale(root: &Path, prefix: &str, before: Timestamp) -> Result<u64> {
    let mut removed = 0;
    walk(root, prefix, &mut |key, name, path, found| {
        let Some(meant) = keys::upload_of(name) else { return Ok(()) };
        let meant = format!("{}{meant}", &key[..key.len() - name.len()]);
        if meant.starts_with(prefix) && object(key, path, found)?.modified < before {
            fs::remove_file(path).map_err(|error| failed("remove", path, error))?;
            removed += 1;
        }
        Ok(())
    })?;
    Ok(removed)
}

/// What uploads under `prefix` that are in progress, or were killed, take.
pub(super) fn hidden(root: &Path, prefix: &str) -> Result<Hidden> {
    let mut hidden = Hidden::default();
    walk(root, prefix, &mut |key, name, _, found| {
        let meant = keys::upload_of(name).map(|meant| format!("{}{meant}", &key[..key.len() - name.len()]));
        if meant.is_some_and(|meant| meant.starts_with(prefix)) {
            hidden.uploads += 1;
            hidden.upload_bytes = hidden.upload_bytes.saturating_add(found.size());
        }
        Ok(())
    })?;
    Ok(hidden)
}

/// What is done with a regular file: its key, its name, its path, and what it is.
type Visit<'a> = dyn FnMut(String, &str, &Path, &Metadata) -> Result<()> + 'a;

/// Visits every regular file in the directories that can hold keys with `prefix`; follows no symbolic link.
fn walk(root: &Path, prefix: &str, visit: &mut Visit<'_>) -> Result<()> {
    let found = fs::metadata(root).map_err(|error| failed("read the directory", root, error))?;
    if !found.is_dir() {
        return Err(failed("read the directory", root, ErrorKind::NotADirectory.into()));
    }
    let mut start = (root.to_owned(), String::new());
    if let Some((directory, _)) = prefix.rsplit_once('/') {
        // A prefix that no key can have names nothing.
        let Ok(path) = keys::path("", root, directory) else { return Ok(()) };
        if has_foreign_step(root, &path.join("file"))? {
            return Ok(());
        }
        start = (path, format!("{directory}/"));
    }
    let mut todo = vec![start];
    while let Some((directory, above)) = todo.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(failed("read the directory", &directory, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| failed("read the directory", &directory, error))?;
            let path = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                tracing::warn!(path = ?path, "a file whose name is not UTF-8 was passed over: it is no backup");
                continue;
            };
            let found = match entry.metadata() {
                Ok(found) => found,
                // Removed since the directory was read: a finished upload, or a cleanup.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("look at", &path, error)),
            };
            let key = format!("{above}{name}");
            if found.is_dir() {
                todo.push((path, format!("{key}/")));
            } else if found.is_file() {
                visit(key, &name, &path, &found)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_disk_names_the_path_and_has_its_class() {
        for (kind, class) in [
            (ErrorKind::StorageFull, Class::Limit),
            (ErrorKind::QuotaExceeded, Class::Limit),
            (ErrorKind::PermissionDenied, Class::Permission),
            (ErrorKind::ReadOnlyFilesystem, Class::Permission),
            (ErrorKind::NotFound, Class::NotFound),
            (ErrorKind::NotADirectory, Class::Configuration),
            (ErrorKind::Other, Class::Transient),
        ] {
            let error = failed("write", Path::new("/vault/a\nb.zip"), kind.into());
            assert_eq!(error.class(), class, "{kind}");
            assert_eq!(error.to_string(), r#"cannot write "/vault/a\nb.zip""#);
            assert!(error.hint_text().unwrap().ends_with('.'));
        }
    }
}
