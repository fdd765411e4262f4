//! Keys to paths and back, and the names of uploads in progress.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Ends the name of a file that is still being written.
const UPLOAD: &str = ".nightvault-upload";
/// Ends the name of the file that holds the notes beside an object.
const NOTES: &str = ".nightvault-notes.json";
/// Ends the name of the file whose being there holds an object.
const HOLD: &str = ".nightvault-hold";

/// The path of `key` below `root`; a key that could name anything else is refused.
pub(super) fn path(disk: &str, root: &Path, key: &str) -> Result<PathBuf> {
    let bad = |why: &str| {
        Error::configuration(format!("the key {key:?} cannot be a file of disk {disk}: {why}"))
            .hint("Use a backup name and filename prefix of letters, digits, `.`, `_` and `-`.")
    };
    if key.contains(['\0', '\\']) {
        return Err(bad("it has a backslash or a zero byte"));
    }
    let mut path = root.to_owned();
    for step in key.split('/') {
        match step {
            "" => return Err(bad("it has an empty step")),
            "." | ".." => return Err(bad("it leaves its directory")),
            _ => path.push(step),
        }
    }
    if is_our_own(key.rsplit('/').next().unwrap_or(key)) {
        return Err(bad("the name is one of an upload in progress, of notes or of a hold"));
    }
    Ok(path)
}

/// What stands before and after the random letters of an upload's own name.
pub(super) fn upload_affixes(name: &str) -> (String, &'static str) {
    (format!(".{name}."), UPLOAD)
}

/// The name that an upload in progress will have, when `name` is that of one.
pub(super) fn upload_of(name: &str) -> Option<&str> {
    let (name, _random) = name.strip_prefix('.')?.strip_suffix(UPLOAD)?.rsplit_once('.')?;
    Some(name)
}

/// Where the notes beside the object at `path` are.
pub(super) fn notes_beside(path: &Path) -> PathBuf {
    beside(path, NOTES)
}

/// Where the hold on the object at `path` is.
pub(super) fn hold_beside(path: &Path) -> PathBuf {
    beside(path, HOLD)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().expect("a key's path ends in a name").to_string_lossy();
    path.with_file_name(format!(".{name}{ending}"))
}

/// Whether a file of this name is no object but something beside one.
pub(super) fn is_our_own(name: &str) -> bool {
    let hidden = name.strip_prefix('.');
    upload_of(name).is_some() || hidden.is_some_and(|name| name.ends_with(NOTES) || name.ends_with(HOLD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[test]
    fn keys_that_leave_the_directory_are_refused() {
        for key in ["", "/", "/etc/passwd", "../x", "a/../../x", "a/..", "./a", "a//b", "a/", "a\0b", "..\\x"] {
            let error = path("local", Path::new("/vault"), key).unwrap_err();
            assert_eq!(error.class(), Class::Configuration, "{key:?}");
        }
    }

    #[test]
    fn ordinary_and_odd_names_stay_below_the_root() {
        for key in ["clinic/2024-01-15-02-00-00.zip", "a", "a b/ü%.zip", "..a/b..", "-rf", "line\nbreak"] {
            assert_eq!(path("local", Path::new("/vault"), key).unwrap(), Path::new("/vault").join(key));
        }
    }

    #[test]
    fn the_name_of_an_upload_tells_its_key_and_is_no_key_itself() {
        let (before, after) = upload_affixes("a.zip");
        let name = format!("{before}Xy12Zz{after}");
        assert_eq!(upload_of(&name), Some("a.zip"));
        assert!(path("local", Path::new("/vault"), &format!("clinic/{name}")).is_err());
        assert_eq!(upload_of("a.zip"), None);
        assert_eq!(upload_of(".hidden"), None);
    }

    #[test]
    fn notes_stand_beside_their_object_and_are_no_key() {
        let notes = notes_beside(Path::new("/vault/clinic/a.zip"));
        assert_eq!(notes, Path::new("/vault/clinic/.a.zip.nightvault-notes.json"));
        assert!(is_our_own(".a.zip.nightvault-notes.json") && !is_our_own("a.zip.nightvault-notes.json"));
        assert!(path("local", Path::new("/vault"), "clinic/.a.zip.nightvault-notes.json").is_err());
        assert!(is_our_own(".a.zip.nightvault-hold") && !is_our_own("a.zip.nightvault-hold"));
    }
}
