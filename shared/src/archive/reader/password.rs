//! Wrong password or damage? One entry that does not open cannot tell; the others can.
//!
//! Every entry has a salt, two bytes by which a wrong password is told, and an authentication code of its own. An entry
//! that the password opens, code and all, proves it right: then what did not open is damaged. When it opens none, the
//! password is called wrong. (Of wrong passwords one in 65,536 passes the two bytes of an entry, none the code.)

use zip::ZipArchive;

use crate::secret::Secret;
use crate::{Class, Error, Result};

use super::blocks::{BlockReader, Blocks};
use super::open::read_entry;

/// Entries at the front that are tried, besides the index: damage rarely sits in the end and the beginning.
const TRIED: usize = 4;
/// Bytes of an entry that is worth reading for this, stored and raw.
const WORTH_READING: u64 = 16 << 20;

/// Turns `error`, with which the manifest (entry `last`) did not open, into what is the matter.
pub(super) fn judge(
    zip: &mut ZipArchive<BlockReader>,
    blocks: &Blocks,
    password: &Secret,
    last: usize,
    error: Error,
) -> Error {
    match opens_another(zip, blocks, password, last) {
        Ok(true) => error.context("damaged, and the password is the right one"),
        Ok(false) => Error::new(Class::WrongPassword, "wrong password: it opens no entry that was tried").hint(
            "Check the password that was in use when the backup was made; if it is surely the right one, the archive is \
             damaged all over.",
        ),
        Err(failure) => failure,
    }
}

/// Whether the password opens the index (before `last`) or one of the first entries. An error is one of the store.
fn opens_another(zip: &mut ZipArchive<BlockReader>, blocks: &Blocks, password: &Secret, last: usize) -> Result<bool> {
    for number in std::iter::once(last - 1).chain(0..TRIED.min(last - 1)) {
        let worth = zip.by_index_data(number).is_ok_and(|entry| {
            !entry.is_dir() && entry.size() <= WORTH_READING && entry.compressed_size() <= WORTH_READING
        });
        if !worth {
            continue;
        }
        match read_entry(zip, blocks, password, number, "an entry", WORTH_READING) {
            Ok(_) => return Ok(true),
            Err(error) if error.class() == Class::Corrupt => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(false)
}
