//! Whose archive is it? Strict: what might be one of ours, damaged or changed, is never called another program's.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::directory::{Central, ForeignEntry, Protection, fields, open, within};
use crate::archive::manifest::{INDEX_ENTRY, MANIFEST_ENTRY};
use crate::archive::reader::blocks::Blocks;
use crate::{Class, Result};

/// Local headers of so many entries, evenly spread, are looked at.
const LOCAL_HEADERS: usize = 16;

/// Whose archive an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Another program's, with a whole directory.
    Foreign,
    /// One of Nightvault's, which did not open as such; the reason for thinking so.
    Ours(String),
    /// Nobody can tell; why not.
    Unknown(String),
}

/// Looks at the directory and at some local headers.
pub(super) fn identify(blocks: &Arc<Blocks>) -> Result<Kind> {
    let starts_as_ours = is_our_local_header(blocks, 0)?;
    let opened = match open(blocks, &TimeZone::UTC) {
        Ok(opened) => opened,
        Err(error) if matches!(error.class(), Class::Corrupt | Class::Unsupported) => {
            let why = error.chain();
            return Ok(if starts_as_ours {
                Kind::Ours(format!("it begins as an archive of Nightvault does, and has lost its end: {why}"))
            } else {
                Kind::Unknown(format!("whoever wrote it, it is not whole: {why}"))
            });
        }
        Err(error) => return Err(error),
    };
    if starts_as_ours {
        return Ok(Kind::Ours("it begins as an archive of Nightvault does, and its end was changed".to_owned()));
    }
    let (zip, entries) = opened;
    for (number, entry) in entries.iter().enumerate() {
        let Ok(found) = zip.by_index_data(number) else { continue };
        let central = Central::read(blocks, found.central_header_start())?;
        if is_our_central_header(&central, &entry.name) {
            return Ok(Kind::Ours(format!("{:?} is described as Nightvault describes its entries", entry.name)));
        }
        if let Some(why) = might_be_ours(entry) {
            return Ok(Kind::Unknown(why));
        }
    }
    for entry in entries.iter().step_by(entries.len().div_ceil(LOCAL_HEADERS)) {
        if is_our_local_header(blocks, entry.offset)? {
            return Ok(Kind::Ours(format!("{:?} begins as the entries of Nightvault do", entry.name)));
        }
    }
    Ok(Kind::Foreign)
}

/// What has a name as only we give one.
fn might_be_ours(entry: &ForeignEntry) -> Option<String> {
    let name = &entry.name;
    if [INDEX_ENTRY, MANIFEST_ENTRY].contains(&name.as_str()) {
        return Some(format!("it has an entry {name:?}, as the archives of Nightvault have, but not as its last one"));
    }
    let as_ours = entry.protection == Protection::Aes { bits: 256, crc: false };
    let set = name.strip_prefix("files/").is_some_and(|rest| rest.contains('/'));
    let copy = name.strip_prefix("db-dumps/").is_some_and(|rest| rest.ends_with(".sqlite"));
    (as_ours && (set || copy)).then(|| {
        format!("{name:?} is named as Nightvault names its entries; it may be an archive of ours that was changed")
    })
}

/// Exactly the form of `doc/format.md`, section 6. Others keep sizes in the local header, or add fields of their own.
fn is_our_central_header(central: &Central, name: &str) -> bool {
    let Central { made_by, needed, flags, method, crc, .. } = *central;
    if made_by != 0x033f || crc != 0 {
        return false;
    }
    let ids: Vec<(u16, usize)> =
        central.extra.iter().map(|(id, data)| (*id, data.len())).filter(|it| it.0 != 1).collect();
    if name.ends_with('/') {
        return (flags, method, needed) == (0x0800, 0, 20) && ids == [(0x5455, 5)];
    }
    let sealed = central.protection().is_ok_and(|it| it == Protection::Aes { bits: 256, crc: false });
    sealed && flags == 0x0809 && [51, 63].contains(&needed) && is_our_fields(&ids)
}

/// A timestamp, left out for times that it cannot hold, and the AES field; nothing besides.
fn is_our_fields(ids: &[(u16, usize)]) -> bool {
    matches!(ids, [(0x9901, 7)] | [(0x5455, 5), (0x9901, 7)])
}

/// Exactly the form of `doc/format.md`, section 2.
fn is_our_local_header(blocks: &Blocks, at: u64) -> Result<bool> {
    let Ok(head) = within(blocks, at, 30) else { return Ok(false) };
    let head = blocks.read(head)?;
    let short = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    if !head.starts_with(b"PK\x03\x04") {
        return Ok(false);
    }
    let (name, extra) = (u64::from(short(26)), u64::from(short(28)));
    let Ok(extra) = within(blocks, at + 30 + name, extra) else { return Ok(false) };
    let extra = fields(&blocks.read(extra)?);
    let ids: Vec<(u16, usize)> = extra.iter().map(|(id, data)| (*id, data.len())).collect();
    let (flags, method) = (short(6), short(8));
    Ok(match ids.as_slice() {
        [(1, 16), rest @ ..] => (flags, method) == (0x0809, 99) && head[14..18] == [0; 4] && is_our_fields(rest),
        [(0x5455, 5)] => (short(4), flags, method) == (20, 0x0800, 0),
        _ => false,
    })
}
