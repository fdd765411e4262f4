//! Holds: a file beside the object whose being there is the hold.
//!
//! What it says is for people. One that is empty, damaged or was made by hand (`touch`) holds as well as any other.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::super::{HeldBy, Hold, not_found};
use super::{LocalStore, files, keys, notes};
use crate::Result;

/// What is read of a hold's text.
const LONGEST: u64 = 1 << 10;

/// The hold on the object at `path`.
pub(super) fn read(root: &Path, path: &Path) -> Result<Option<Hold>> {
    let place = keys::hold_beside(path);
    if files::regular(root, path)?.is_none() || files::regular(root, &place)?.is_none() {
        return Ok(None);
    }
    let mut text = Vec::new();
    let read = File::open(&place).and_then(|file| file.take(LONGEST).read_to_end(&mut text));
    // Who may not read it still sees that it is there.
    let text = read.ok().and_then(|_| String::from_utf8(text).ok()).filter(|text| !text.is_empty());
    Ok(Some(Hold { by: HeldBy::Mark, text }))
}

/// Holds the object at `path`, which must be there.
pub(super) fn write(store: &LocalStore, key: &str, path: &Path, text: &str) -> Result<()> {
    if files::head(&store.root, key, path)?.is_none() {
        return Err(not_found(&store.disk, key));
    }
    notes::replace(&keys::hold_beside(path), text.as_bytes())
}
