//! The directory of an archive that another program wrote, entry by entry.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use jiff::civil;
use jiff::tz::TimeZone;
use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use crate::archive::reader::blocks::{BlockReader, Blocks};
use crate::archive::reader::zip_error;
use crate::{Error, Result};

/// Bytes of the end record, and of the longest comment behind it.
const END_BYTES: u64 = 22;
const LONGEST_COMMENT: u64 = 65_535;
/// Bytes of a central header before its name.
const CENTRAL_BYTES: u64 = 46;
/// More entries than this are not listed in memory.
const MOST_ENTRIES: usize = 10_000_000;

/// An entry of a foreign archive, as its directory describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignEntry {
    /// Its name; a directory's ends in `/`.
    pub(crate) name: String,
    /// Bytes of its contents.
    pub(crate) bytes: u64,
    /// Bytes of its data.
    pub(crate) stored_bytes: u64,
    /// How it is encrypted.
    pub(crate) protection: Protection,
    /// Unix mode with the type bits, without what lets others write.
    pub(crate) mode: u32,
    /// Modification time, Unix seconds.
    pub(crate) modified: i64,
    /// Where its local header starts.
    pub(crate) offset: u64,
}

/// How an entry is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Not at all. Directories, which hold nothing, too.
    None,
    /// PKWARE's old cipher, which is broken: <https://doi.org/10.1007/3-540-60590-8_12>
    ZipCrypto,
    /// WinZip AES with a key of so many bits; `crc`: AE-1, which keeps the CRC besides the authentication code.
    Aes { bits: u16, crc: bool },
}

impl Protection {
    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Protection::None => "none",
            Protection::ZipCrypto => "ZipCrypto",
            Protection::Aes { bits: 128, .. } => "AES-128",
            Protection::Aes { bits: 192, .. } => "AES-192",
            Protection::Aes { .. } => "AES-256",
        }
    }
}

impl ForeignEntry {
    pub(crate) fn is_directory(&self) -> bool {
        self.name.ends_with('/')
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.protection != Protection::None
    }
}

/// A central header, field by field.
pub(super) struct Central {
    pub(super) made_by: u16,
    pub(super) needed: u16,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) time: (u16, u16),
    pub(super) crc: u32,
    pub(super) extra: Vec<(u16, Vec<u8>)>,
}

impl Central {
    /// Reads the header at `at`.
    pub(super) fn read(blocks: &Blocks, at: u64) -> Result<Self> {
        let head = blocks.read(within(blocks, at, CENTRAL_BYTES)?)?;
        let short = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let (name, extra) = (u64::from(short(28)), u64::from(short(30)));
        let extra = blocks.read(within(blocks, at + CENTRAL_BYTES + name, extra)?)?;
        Ok(Self {
            made_by: short(4),
            needed: short(6),
            flags: short(8),
            method: short(10),
            time: (short(12), short(14)),
            crc: u32::from(short(16)) | u32::from(short(18)) << 16,
            extra: fields(&extra),
        })
    }

    pub(super) fn field(&self, id: u16) -> Option<&[u8]> {
        self.extra.iter().find(|(found, _)| *found == id).map(|(_, data)| data.as_slice())
    }

    pub(super) fn protection(&self) -> Result<Protection> {
        match (self.flags & 1, self.method, self.field(0x9901)) {
            (0, _, _) => Ok(Protection::None),
            (_, 99, Some([version @ (1 | 2), 0, b'A', b'E', strength @ 1..=3, _, _])) => {
                Ok(Protection::Aes { bits: 64 + 64 * u16::from(*strength), crc: *version == 1 })
            }
            (_, 99, _) => Err(Error::corrupt("its AES field is none")),
            // Bit 6: PKWARE's own strong encryption, which nobody else reads (APPNOTE 4.4.4).
            _ if self.flags & 1 << 6 != 0 => Err(Error::unsupported("it has an encryption of PKWARE's own")),
            _ => Ok(Protection::ZipCrypto),
        }
    }

    /// Unix seconds: the extended timestamp where there is one, else the local time in `zone`.
    fn modified(&self, zone: &TimeZone) -> i64 {
        if let Some([flags, seconds @ ..]) = self.field(0x5455)
            && flags & 1 == 1
            && let Some(seconds) = seconds.first_chunk::<4>()
        {
            return i64::from(i32::from_le_bytes(*seconds));
        }
        let (time, date) = self.time;
        let part = |value: u16| i8::try_from(value).unwrap_or(0);
        let year = i16::try_from(1980 + (date >> 9)).unwrap_or(1980);
        let (month, day) = (part(date >> 5 & 15), part(date & 31));
        let (hour, minute, second) = (part(time >> 11), part(time >> 5 & 63), part((time & 31) * 2).min(59));
        let local = civil::DateTime::new(year, month, day, hour, minute, second, 0).ok();
        local.and_then(|local| zone.to_timestamp(local).ok()).map_or(0, |moment| moment.as_second())
    }
}

/// Extra fields; what is not one ends the list.
pub(super) fn fields(mut extra: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut found = Vec::new();
    while let [id0, id1, len0, len1, rest @ ..] = extra {
        let len = usize::from(u16::from_le_bytes([*len0, *len1]));
        let Some((data, behind)) = rest.split_at_checked(len) else { break };
        found.push((u16::from_le_bytes([*id0, *id1]), data.to_vec()));
        extra = behind;
    }
    found
}

/// `len` bytes at `at`, which the object must have.
pub(super) fn within(blocks: &Blocks, at: u64, len: u64) -> Result<Range<u64>> {
    let end = at.checked_add(len).filter(|end| *end <= blocks.size());
    end.map(|end| at..end).ok_or_else(|| Error::corrupt("a structure lies beyond the end"))
}

/// Opens an archive whose directory ends where the object ends.
pub(super) fn open(blocks: &Arc<Blocks>, zone: &TimeZone) -> Result<(ZipArchive<BlockReader>, Vec<ForeignEntry>)> {
    if !ends_with_a_directory(blocks)? {
        return Err(Error::corrupt("it does not end with the directory of a zip archive"));
    }
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let zip = ZipArchive::with_config(config, BlockReader::new(Arc::clone(blocks)))
        .map_err(|error| zip_error(blocks, "the directory", error))?;
    if zip.has_duplicate_names() {
        return Err(Error::corrupt("two entries have the same name"));
    }
    if zip.is_empty() || zip.len() > MOST_ENTRIES {
        return Err(Error::corrupt(format!("its directory has {} entries", zip.len())));
    }
    let mut entries = Vec::with_capacity(zip.len());
    let mut names = HashSet::new();
    for number in 0..zip.len() {
        let found = zip.by_index_data(number).map_err(|error| zip_error(blocks, "the directory", error))?;
        // Without the flag for UTF-8 it should be code page 437; who writes UTF-8 all the same means it.
        let name = match std::str::from_utf8(found.name_raw()) {
            Ok(name) => name.to_owned(),
            Err(_) => found.name().map_err(|error| zip_error(blocks, "the directory", error))?.into_owned(),
        };
        let central = Central::read(blocks, found.central_header_start())?;
        let is_directory = name.ends_with('/');
        let usual = if is_directory { 0o040_755 } else { 0o100_644 };
        let mode = found.unix_mode().filter(|mode| mode & 0o170_000 != 0).unwrap_or(usual);
        let entry = ForeignEntry {
            bytes: found.size(),
            stored_bytes: found.compressed_size(),
            protection: central.protection().map_err(|error| error.context(format!("{name:?}")))?,
            mode: mode & !0o022,
            modified: central.modified(zone),
            offset: found.header_start(),
            name,
        };
        if !names.insert(entry.name.clone()) {
            return Err(Error::corrupt(format!("two entries are named {:?}", entry.name)));
        }
        entries.push(entry);
    }
    Ok((zip, entries))
}

/// Whether the last bytes are an end record with its comment: an archive that was cut has none, or has bytes behind it.
fn ends_with_a_directory(blocks: &Blocks) -> Result<bool> {
    let size = blocks.size();
    let tail = blocks.read(size.saturating_sub(END_BYTES + LONGEST_COMMENT)..size)?;
    Ok(tail.windows(END_BYTES as usize).enumerate().any(|(at, end)| {
        let comment = usize::from(u16::from_le_bytes([end[20], end[21]]));
        end.starts_with(b"PK\x05\x06") && at + END_BYTES as usize + comment == tail.len()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_fields_that_are_none_end_the_list() {
        assert_eq!(fields(&[1, 0, 1, 0, 9, 2, 0, 0, 0]), [(1, vec![9]), (2, vec![])]);
        assert_eq!(fields(&[1, 0, 1, 0, 9, 2, 0, 5, 0, 1]), [(1, vec![9])]);
        assert_eq!(fields(&[1, 0]), []);
    }

    #[test]
    fn times_are_those_of_the_zone_or_of_the_extended_field() {
        let at = |time, date, extra: Vec<(u16, Vec<u8>)>| {
            let central = Central { made_by: 0, needed: 0, flags: 0, method: 0, time: (time, date), crc: 0, extra };
            let zone = TimeZone::fixed(jiff::tz::offset(2));
            central.modified(&zone)
        };
        // 2024-01-15 02:00:02 local time.
        let date = (44 << 9) + (1 << 5) + 15;
        assert_eq!(at((2 << 11) + 1, date, vec![]), 1_705_284_002 - 2 * 3600);
        assert_eq!(at(0, date, vec![(0x5455, vec![1, 5, 0, 0, 0])]), 5);
        assert_eq!(at(0, 0, vec![]), 0, "no calendar has a month 0");
    }
}
