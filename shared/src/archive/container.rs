//! The zip structures around an entry's data, as bytes. PKWARE's APPNOTE 6.3.10, by section numbers.
//!
//! Written here and not through a crate because the crates that write a zip without seeking rewrite names (`a:b` becomes
//! `b`, `a\b` becomes `a/b`): a backup must give back the name that it was given. Every structure is a function of the
//! few facts in a [`Record`], so the reader can make them anew and compare: a changed bit anywhere is told.
//!
//! Always UTF-8 names (bit 11), sizes in a data descriptor (bit 3) of eight bytes each, which a zip64 field in the local
//! header announces. The central directory uses zip64 only for values that need it, as every reader expects.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::archive::{EntryMeta, seal};

/// Bytes of the end-of-central-directory record without comment.
pub(crate) const END_BYTES: u64 = 22;
const ZIP64_END_BYTES: u64 = 56;
const ZIP64_LOCATOR_BYTES: u64 = 20;

const FLAGS_FILE: u16 = 1 | 1 << 3 | 1 << 11;
const FLAGS_DIRECTORY: u16 = 1 << 11;
const METHOD_AES: u16 = 99;
/// Version needed: 2.0 for directories, 5.1 for AES, 6.3 for Zstandard (4.4.3.2).
const VERSION_DIRECTORY: u16 = 20;
const VERSION_AES: u16 = 51;
const VERSION_ZSTD: u16 = 63;
/// Unix, and the version of APPNOTE that is followed (4.4.2).
const MADE_BY: u16 = 3 << 8 | 63;
const DIRECTORY_ATTRIBUTE: u32 = 0x10;

/// How an entry's contents are compressed (4.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Not at all.
    Store = 0,
    /// DEFLATE.
    Deflate = 8,
    /// Zstandard.
    Zstd = 93,
}

/// All that the container says of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its name; a directory's ends in `/`.
    pub(crate) name: String,
    /// Mode and modification time.
    pub(crate) meta: EntryMeta,
    /// Compression under the encryption. Directories are neither compressed nor encrypted: there is nothing in them.
    pub(crate) method: Method,
    /// Bytes of contents.
    pub(crate) raw: u64,
    /// Bytes of data: salt, verifier, ciphertext and authentication code; 0 for a directory.
    pub(crate) stored: u64,
    /// Where its local header starts.
    pub(crate) offset: u64,
}

impl Record {
    /// Whether the entry is a directory.
    pub(crate) fn is_directory(&self) -> bool {
        self.name.ends_with('/')
    }

    /// The header before the data (4.3.7).
    pub(crate) fn local_header(&self) -> Vec<u8> {
        let mut extra = Vec::with_capacity(48);
        if !self.is_directory() {
            // Sizes are zero here: they are in the data descriptor, which this field says to be of the long form.
            field(&mut extra, 0x0001, &[0; 16]);
        }
        self.common_fields(&mut extra);
        let mut out = Vec::with_capacity(30 + self.name.len() + extra.len());
        out.extend(b"PK\x03\x04");
        self.common_header(&mut out);
        let size: u32 = if self.is_directory() { 0 } else { u32::MAX };
        put(&mut out, &[&[0; 4], &size.to_le_bytes(), &size.to_le_bytes()]);
        put(&mut out, &[&length(&self.name), &length(&extra), self.name.as_bytes(), &extra]);
        out
    }

    /// What stands after the data (4.3.9): CRC 0, as AE-2 demands, and the two sizes. Directories have none.
    pub(crate) fn descriptor(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        if !self.is_directory() {
            put(&mut out, &[b"PK\x07\x08", &[0; 4], &self.stored.to_le_bytes(), &self.raw.to_le_bytes()]);
        }
        out
    }

    /// The record in the central directory (4.3.12).
    pub(crate) fn central_header(&self) -> Vec<u8> {
        let mut zip64 = Vec::with_capacity(24);
        let mut short = |value: u64| {
            if value >= u64::from(u32::MAX) {
                zip64.extend(value.to_le_bytes());
                u32::MAX.to_le_bytes()
            } else {
                (value as u32).to_le_bytes()
            }
        };
        let (raw, stored, offset) = (short(self.raw), short(self.stored), short(self.offset));
        let mut extra = Vec::with_capacity(48);
        if !zip64.is_empty() {
            field(&mut extra, 0x0001, &zip64);
        }
        self.common_fields(&mut extra);
        let attributes = self.meta.mode << 16 | if self.is_directory() { DIRECTORY_ATTRIBUTE } else { 0 };
        let mut out = Vec::with_capacity(46 + self.name.len() + extra.len());
        out.extend(b"PK\x01\x02");
        out.extend(MADE_BY.to_le_bytes());
        self.common_header(&mut out);
        put(&mut out, &[&[0; 4], &stored, &raw, &length(&self.name), &length(&extra)]);
        // No comment, disk 0, no internal attributes.
        put(&mut out, &[&[0; 6], &attributes.to_le_bytes(), &offset, self.name.as_bytes(), &extra]);
        out
    }

    /// Version needed, flags, method, time: the same in both headers.
    fn common_header(&self, out: &mut Vec<u8>) {
        let (version, flags, method) = match (self.is_directory(), self.method) {
            (true, _) => (VERSION_DIRECTORY, FLAGS_DIRECTORY, 0),
            (false, Method::Zstd) => (VERSION_ZSTD, FLAGS_FILE, METHOD_AES),
            (false, _) => (VERSION_AES, FLAGS_FILE, METHOD_AES),
        };
        let (time, date) = dos_time(self.meta.modified);
        for value in [version, flags, method, time, date] {
            out.extend(value.to_le_bytes());
        }
    }

    /// Extended timestamp (Info-ZIP's `UT`), while 32 bits can hold it, and WinZip's AES field.
    fn common_fields(&self, extra: &mut Vec<u8>) {
        if let Ok(seconds @ 0..) = i32::try_from(self.meta.modified) {
            let [a, b, c, d] = seconds.to_le_bytes();
            field(extra, 0x5455, &[1, a, b, c, d]);
        }
        if !self.is_directory() {
            let [low, high] = (self.method as u16).to_le_bytes();
            // Vendor version 2, vendor "AE", strength 3 = AES-256, the method under it.
            field(extra, 0x9901, &[2, 0, b'A', b'E', 3, low, high]);
        }
    }

    /// Bytes from the local header to the next entry's.
    pub(crate) fn span(&self) -> u64 {
        (self.local_header().len() + self.descriptor().len()) as u64 + self.stored
    }

    /// Whether data of `stored` bytes can be an entry's at all.
    pub(crate) fn plausible(&self) -> bool {
        if self.is_directory() { self.stored == 0 && self.raw == 0 } else { self.stored >= seal::OVERHEAD_BYTES }
    }
}

/// What the end of an archive says of its central directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Number of entries.
    pub(crate) entries: u64,
    /// Where the central directory starts.
    pub(crate) offset: u64,
    /// Its bytes.
    pub(crate) bytes: u64,
}

impl End {
    /// The records after the central directory (4.3.14 to 4.3.16).
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { entries, offset, bytes } = *self;
        let mut out = Vec::with_capacity(98);
        let big = u64::from(u32::MAX);
        if entries >= u64::from(u16::MAX) || offset >= big || bytes >= big {
            let size = (ZIP64_END_BYTES - 12).to_le_bytes();
            put(&mut out, &[b"PK\x06\x06", &size, &MADE_BY.to_le_bytes(), &45u16.to_le_bytes(), &[0; 8]]);
            put(&mut out, &[&entries.to_le_bytes(), &entries.to_le_bytes()]);
            put(&mut out, &[&bytes.to_le_bytes(), &offset.to_le_bytes()]);
            put(&mut out, &[b"PK\x06\x07", &[0; 4], &(offset + bytes).to_le_bytes(), &1u32.to_le_bytes()]);
        }
        let count = (entries.min(u64::from(u16::MAX)) as u16).to_le_bytes();
        put(&mut out, &[b"PK\x05\x06", &[0; 4], &count, &count]);
        put(&mut out, &[&(bytes.min(big) as u32).to_le_bytes(), &(offset.min(big) as u32).to_le_bytes(), &[0; 2]]);
        out
    }

    /// Reads the records back from the last bytes of an archive of `size` bytes; `None` when they are not exactly what
    /// [`End::encode`] would have written there.
    pub(crate) fn decode(tail: &[u8], size: u64) -> Option<Self> {
        let at = |from_end: u64, len: usize| {
            let start = tail.len().checked_sub(from_end as usize)?;
            tail.get(start..start + len)
        };
        let short = |from_end| Some(u64::from(u32::from_le_bytes(at(from_end, 4)?.try_into().ok()?)));
        let long = |from_end| Some(u64::from_le_bytes(at(from_end, 8)?.try_into().ok()?));
        let end = END_BYTES;
        let plain = Self {
            entries: u64::from(u16::from_le_bytes(at(end - 8, 2)?.try_into().ok()?)),
            bytes: short(end - 12)?,
            offset: short(end - 16)?,
        };
        let zip64_from_end = END_BYTES + ZIP64_LOCATOR_BYTES + ZIP64_END_BYTES;
        let zip64 = || {
            Some(Self {
                entries: long(zip64_from_end - 24)?,
                bytes: long(zip64_from_end - 40)?,
                offset: long(zip64_from_end - 48)?,
            })
        };
        [Some(plain), zip64()].into_iter().flatten().find(|found| {
            let expected = found.offset.checked_add(found.bytes).is_some_and(|end| end < size).then(|| found.encode());
            expected.is_some_and(|expected| {
                tail.ends_with(&expected) && found.offset + found.bytes + expected.len() as u64 == size
            })
        })
    }
}

fn put(out: &mut Vec<u8>, values: &[&[u8]]) {
    for value in values {
        out.extend_from_slice(value);
    }
}

fn field(extra: &mut Vec<u8>, id: u16, data: &[u8]) {
    put(extra, &[&id.to_le_bytes(), &(data.len() as u16).to_le_bytes(), data]);
}

fn length(of: impl AsRef<[u8]>) -> [u8; 2] {
    u16::try_from(of.as_ref().len()).expect("names are checked and extra fields are small").to_le_bytes()
}

/// MS-DOS time and date (4.4.6), in UTC, clamped to the years 1980 to 2107 that it can hold.
fn dos_time(seconds: i64) -> (u16, u16) {
    const FIRST: i64 = 315_532_800; // 1980-01-01T00:00:00Z
    const LAST: i64 = 4_354_819_198; // 2107-12-31T23:59:58Z
    let time = Timestamp::from_second(seconds.clamp(FIRST, LAST)).expect("the range is jiff's too");
    let time = TimeZone::UTC.to_datetime(time);
    let pack = |value: i8| value as u16;
    (
        (pack(time.hour()) << 11) + (pack(time.minute()) << 5) + pack(time.second()) / 2,
        ((time.year() as u16 - 1980) << 9) + (pack(time.month()) << 5) + pack(time.day()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_times_are_utc_and_clamped() {
        let unpack = |seconds| {
            let (time, date) = dos_time(seconds);
            [(date >> 9) + 1980, date >> 5 & 15, date & 31, time >> 11, time >> 5 & 63, (time & 31) * 2]
        };
        assert_eq!(unpack(1_705_284_001), [2024, 1, 15, 2, 0, 0]); // odd seconds are rounded down
        assert_eq!(unpack(-5), [1980, 1, 1, 0, 0, 0]);
        assert_eq!(unpack(i64::MAX), [2107, 12, 31, 23, 59, 58]);
    }

    #[test]
    fn the_end_is_read_back_only_when_it_is_exact() {
        let big = u64::from(u32::MAX);
        for end in [
            End { entries: 3, offset: 1000, bytes: 200 },
            End { entries: 65_534, offset: big - 1, bytes: 10_000 },
            End { entries: 65_535, offset: 1000, bytes: 200 },
            End { entries: 65_536, offset: 1000, bytes: 200 },
            End { entries: 3, offset: big, bytes: 200 },
            End { entries: 3, offset: 1 << 40, bytes: 1 << 33 },
        ] {
            let bytes = end.encode();
            let size = end.offset + end.bytes + bytes.len() as u64;
            assert_eq!(End::decode(&bytes, size), Some(end));
            assert_eq!(End::decode(&bytes, size + 1), None);
            assert_eq!(End::decode(&bytes[1..], size), None);
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(End::decode(&flipped, size), None, "bit {bit} of {end:?}");
            }
        }
    }

    #[test]
    fn the_central_directory_uses_zip64_only_for_what_needs_it() {
        let big = u64::from(u32::MAX);
        let fields = |raw, stored, offset| {
            let meta = EntryMeta { mode: 0o100_644, modified: 0 };
            let record = Record { name: "a".into(), meta, method: Method::Deflate, raw, stored, offset };
            let bytes = record.central_header();
            (bytes[47..49] == [1, 0]).then(|| bytes[49])
        };
        assert_eq!(fields(big - 1, big - 1, big - 1), None);
        assert_eq!(fields(big, 1, 1), Some(8));
        assert_eq!(fields(big + 1, big, 1), Some(16));
        assert_eq!(fields(1, 1, big), Some(8));
        assert_eq!(fields(1 << 40, 1 << 40, 1 << 40), Some(24));
    }
}
