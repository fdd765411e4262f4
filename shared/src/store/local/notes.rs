//! Notes beside an object: one small JSON file, written beside and renamed over the old one.
//!
//! A file that cannot be read as notes is told and never taken for "nothing was noted"; writing a note replaces it.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::super::{Notes, not_found};
use super::{LocalStore, files, keys, parent};
use crate::{Error, Result};

/// Notes are a line or two; a longer file is none of ours.
const LONGEST: u64 = 64 << 10;

/// The notes beside the object at `path`.
pub(super) fn read(root: &Path, path: &Path) -> Result<Notes> {
    let notes = keys::notes_beside(path);
    // What lies there without its object belongs to one that was removed by hand.
    if files::regular(root, path)?.is_none() {
        return Ok(Notes::new());
    }
    let Some(found) = files::regular(root, &notes)? else { return Ok(Notes::new()) };
    let unreadable = || {
        Error::corrupt(format!("{notes:?} cannot be read as notes on a backup"))
            .hint("Verify that backup again, which writes the file anew, or remove the file.")
    };
    if found.len() > LONGEST {
        return Err(unreadable());
    }
    let text = fs::read(&notes).map_err(|error| files::failed("read", &notes, error))?;
    serde_json::from_slice(&text).map_err(|error| unreadable().because(error))
}

/// Adds a note beside the object at `path`, which must be there.
pub(super) fn write(store: &LocalStore, key: &str, path: &Path, name: String, value: String) -> Result<()> {
    if files::head(&store.root, key, path)?.is_none() {
        return Err(not_found(&store.disk, key));
    }
    // Damaged notes are replaced: what is noted now was found out now.
    let mut notes = read(&store.root, path).unwrap_or_default();
    notes.insert(name, value);
    let text = serde_json::to_vec(&notes).map_err(|error| Error::bug("notes cannot be JSON").because(error))?;
    replace(&keys::notes_beside(path), &text)
}

/// Puts a small file in its place in one step.
pub(super) fn replace(place: &Path, text: &[u8]) -> Result<()> {
    let directory = parent(place);
    let (before, after) = keys::upload_affixes(&place.file_name().unwrap_or_default().to_string_lossy());
    let failed = |error| files::failed("write", place, error);
    // 0600 is what `tempfile` gives.
    let mut file = tempfile::Builder::new().prefix(&before).suffix(after).tempfile_in(directory).map_err(failed)?;
    file.write_all(text).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(place).map_err(|refused| failed(refused.error))?;
    files::sync_directory(directory)
}
