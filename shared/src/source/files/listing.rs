//! The names of one directory: those that may belong to the set, in order, no more than allowed.

use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{Dir, FileType};

use super::filter::Filter;

/// What a directory holds.
pub(super) struct Listing {
    /// Sorted by bytes.
    pub(super) names: Vec<CString>,
    /// Why the listing is not whole, if it is not.
    pub(super) broken: Option<io::Error>,
}

/// Lists `directory`, which is at `path` below the root; `included` says that all in it is. `None` = it holds more than
/// `limit` names.
pub(super) fn list(directory: BorrowedFd, path: &[u8], filter: &Filter, included: bool, limit: u64) -> Option<Listing> {
    let mut listing = Listing { names: Vec::new(), broken: None };
    let found = match Dir::read_from(directory) {
        Ok(found) => found,
        Err(error) => return Some(Listing { broken: Some(error.into()), ..listing }),
    };
    let mut path = path.to_owned();
    if !path.is_empty() {
        path.push(b'/');
    }
    let above = path.len();
    for found in found {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                listing.broken = Some(error.into());
                break;
            }
        };
        let name = found.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        path.truncate(above);
        path.extend_from_slice(name.to_bytes());
        let may_hold = matches!(found.file_type(), FileType::Directory | FileType::Unknown);
        if filter.excludes(&path) || !(may_hold || included || filter.includes(&path)) {
            continue;
        }
        if listing.names.len() as u64 >= limit {
            return None;
        }
        listing.names.push(name.to_owned());
    }
    listing.names.sort_unstable();
    // A name that is moved while the directory is read may be listed twice.
    listing.names.dedup();
    Some(listing)
}
