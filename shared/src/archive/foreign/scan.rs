//! Reads the contents of foreign entries: decrypts, inflates, and checks what there is to check.

use std::io::Read;
use std::sync::Arc;

use jiff::tz::TimeZone;
use zip::result::ZipError;
use zip::{ZipArchive, ZipReadOptions};

use super::ForeignUnpacker;
use super::directory::{ForeignEntry, Protection, open};
use crate::archive::reader::blocks::{BlockReader, Blocks};
use crate::archive::reader::zip_error;
use crate::secret::Secret;
use crate::{Class, Error, Result};

/// Bytes that are handed on at once.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes of the longest data descriptor, which lies between two entries.
const LONGEST_DESCRIPTOR: u64 = 24;
/// Entries that are tried with a password that did not open the first, and the bytes of one that is worth it.
const TRIED: usize = 8;
const WORTH_READING: u64 = 16 << 20;

type Password<'a> = std::result::Result<&'a Secret, &'a Error>;

/// Reads the entries that `unpacker` asks for. When it asks for all, no byte may lie between them.
pub(super) fn unpack(
    blocks: &Arc<Blocks>,
    password: Password<'_>,
    zone: &TimeZone,
    unpacker: &mut impl ForeignUnpacker,
) -> Result<()> {
    let (mut zip, entries) = open(blocks, zone)?;
    let numbers = unpacker.plan(&entries)?;
    if numbers.iter().any(|number| entries[*number].is_encrypted())
        && let Err(error) = password
    {
        return Err(Error::copy(error));
    }
    let mut archive = Archive { blocks, zip: &mut zip, password };
    let mut opened = false;
    let mut spans = Vec::with_capacity(entries.len());
    for number in &numbers {
        let entry = &entries[*number];
        unpacker.begin(entry)?;
        let mut failed = None;
        let mut hand_on = |bytes: &[u8]| {
            unpacker.piece(bytes).map_err(|error| {
                failed = Some(error);
                Error::bug("the unpacker failed, and says so itself")
            })
        };
        let read = archive.read(*number, entry, &mut hand_on);
        if let Some(error) = failed {
            return Err(error);
        }
        match read {
            Ok(data) => spans.push((entry.offset, data + entry.stored_bytes)),
            Err(error) => return Err(archive.judge(&entries, *number, opened, error)),
        }
        opened |= entry.is_encrypted();
        unpacker.end(entry)?;
    }
    if numbers.len() == entries.len() { check_spans(spans, zip.central_directory_start()) } else { Ok(()) }
}

/// An archive and what opens it.
struct Archive<'a> {
    blocks: &'a Blocks,
    zip: &'a mut ZipArchive<BlockReader>,
    password: Password<'a>,
}

impl Archive<'_> {
    /// Reads one entry to its end; returns where its data starts.
    fn read(
        &mut self,
        number: usize,
        entry: &ForeignEntry,
        hand_on: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64> {
        let told = |error| told(self.blocks, entry, error);
        // `Some` for an entry that is not encrypted would be taken for ZipCrypto.
        let password = match self.password {
            Ok(password) if entry.is_encrypted() => Some(password.expose().as_bytes()),
            _ => None,
        };
        let options = ZipReadOptions::new().password(password).enforce_header_consistency(true);
        let mut reader = self.zip.by_index_with_options(number, options).map_err(told)?;
        let data = reader.data_start().ok_or_else(|| Error::bug("an entry that is read has a place"))?;
        let (mut buffer, mut bytes) = (vec![0; PIECE_BYTES], 0_u64);
        loop {
            match reader.read(&mut buffer).map_err(|error| told(error.into()))? {
                0 => break,
                some => {
                    bytes += some as u64;
                    hand_on(&buffer[..some])?;
                }
            }
        }
        if bytes != entry.bytes {
            return Err(Error::corrupt(format!(
                "{:?} has {bytes} bytes, its directory says {}",
                entry.name, entry.bytes
            )));
        }
        Ok(data)
    }

    /// Wrong password or damage? An encrypted entry that opens, code or CRC and all, proves the password right.
    fn judge(&mut self, entries: &[ForeignEntry], failed: usize, opened: bool, error: Error) -> Error {
        let entry = &entries[failed];
        if !entry.is_encrypted() || !matches!(error.class(), Class::Corrupt | Class::WrongPassword) {
            return error;
        }
        let worth = |(number, entry): &(usize, &ForeignEntry)| {
            *number != failed && entry.is_encrypted() && entry.bytes.max(entry.stored_bytes) <= WORTH_READING
        };
        let others: Vec<usize> =
            entries.iter().enumerate().filter(worth).map(|(number, _)| number).take(TRIED).collect();
        let opens = |number: usize| self.read(number, &entries[number], &mut |_| Ok(())).is_ok();
        if opened || others.into_iter().any(opens) {
            let damaged = Error::corrupt(format!("{:?} is damaged, and the password is the right one", entry.name));
            return damaged.because(error);
        }
        // The old cipher lets one wrong password in 256 pass, which then fails as damage does.
        if error.class() == Class::WrongPassword || entry.protection == Protection::ZipCrypto {
            return Error::new(Class::WrongPassword, "wrong password: it opens no entry that was tried").hint(
                "Check the password that was in use when the archive was made; if it is surely the right one, the archive \
                 is damaged all over.",
            );
        }
        error
    }
}

/// What the `zip` crate says of an entry.
fn told(blocks: &Blocks, entry: &ForeignEntry, error: ZipError) -> Error {
    let name = &entry.name;
    match error {
        ZipError::InvalidPassword => Error::new(Class::WrongPassword, format!("the password does not open {name:?}")),
        ZipError::CompressionMethodNotSupported(method) => {
            Error::unsupported(format!("{name:?} is compressed by method {method}, which is not read here"))
                .hint("7-Zip reads it.")
        }
        ZipError::UnsupportedArchive(why) => Error::unsupported(format!("{name:?} is not read here: {why}")),
        error => zip_error(blocks, &format!("{name:?}"), error),
    }
}

/// Entries lie one behind the other from the first byte to the directory, with nothing but data descriptors between them:
/// what was dropped from the directory alone is still there.
fn check_spans(mut spans: Vec<(u64, u64)>, directory: u64) -> Result<()> {
    spans.sort_unstable();
    spans.push((directory, directory));
    let mut position = 0;
    for (start, end) in spans {
        if start < position {
            return Err(Error::corrupt(format!("two entries share the bytes from {start} on")));
        }
        if start - position > if position == 0 { 0 } else { LONGEST_DESCRIPTOR } {
            return Err(Error::corrupt(format!("{} bytes from {position} on belong to no entry", start - position)));
        }
        position = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_belong_to_no_entry_or_to_two_are_told() {
        check_spans(vec![(50, 100), (0, 50)], 100).unwrap();
        check_spans(vec![(0, 50), (74, 100)], 124).unwrap();
        for (spans, word) in [
            (vec![(0, 50), (75, 100)], "25 bytes from 50"),
            (vec![(1, 100)], "1 bytes from 0"),
            (vec![(0, 50), (49, 100)], "share the bytes from 49"),
            (vec![(0, 99), (99, 101)], "share the bytes from 100"),
            (vec![(0, 50)], "50 bytes from 50"),
        ] {
            let error = check_spans(spans, 100).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
