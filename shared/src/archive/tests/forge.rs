//! Archives that our writer would never write, made by somebody who knows the password: authenticated from end to end.

use flate2::{Compression, FlushCompress};

use super::*;
use crate::archive::container::{End, Method, Record};
use crate::archive::manifest::{INDEX_ENTRY, IndexEntry, MANIFEST_ENTRY, Piece};
use crate::archive::seal::{Keys, OVERHEAD_BYTES, Seal};
use crate::archive::writer::OWN_ENTRY_MODE;
use crate::source::hex;
use sha2::{Digest, Sha256};

/// An entry as its maker wants it.
pub(crate) struct Evil {
    pub(crate) name: String,
    pub(crate) mode: u32,
    /// What index and container say of the contents: their length and digest.
    pub(crate) claimed: Vec<u8>,
    /// What a reader will find.
    pub(crate) contents: Vec<u8>,
}

/// An honest file of this name.
pub(crate) fn honest(name: &str, contents: &[u8]) -> Evil {
    Evil { name: name.into(), mode: 0o100_644, claimed: contents.to_vec(), contents: contents.to_vec() }
}

/// The archive of these entries, all of the file set `set`.
pub(crate) fn forge(entries: &[Evil]) -> (Arc<dyn Store>, Object) {
    let mut made = Vec::new();
    let mut index = Vec::new();
    for entry in entries {
        let (data, sha256) = (sealed(&entry.contents), hex(&Sha256::digest(&entry.claimed)));
        let line = IndexEntry {
            name: entry.name.clone(),
            mode: entry.mode,
            modified: 1_705_284_000,
            bytes: entry.claimed.len() as u64,
            stored_bytes: data.len() as u64,
            sha256: sha256.clone(),
            pieces: if entry.claimed.is_empty() { vec![] } else { vec![Piece(0, 0, sha256)] },
        };
        serde_json::to_writer(&mut index, &line).unwrap();
        index.push(b'\n');
        made.push((entry.name.clone(), entry.mode, 1_705_284_000, line.bytes, data));
    }
    let links = entries.iter().filter(|entry| entry.mode & 0o170_000 == 0o120_000).count() as u64;
    let mut manifest =
        Manifest { format_version: 1, compression: "deflate".into(), piece_bytes: 4 << 20, ..manifest() };
    manifest.index =
        IndexRef { entries: entries.len() as u64, bytes: index.len() as u64, sha256: hex(&Sha256::digest(&index)) };
    manifest.files.push(FilesManifest {
        name: "set".into(),
        files: entries.len() as u64 - links,
        directories: 0,
        symlinks: links,
        raw_bytes: 0,
        stored_bytes: 0,
        problems: vec![],
    });
    let modified = manifest.finished.as_second();
    for (name, text) in [(INDEX_ENTRY, index), (MANIFEST_ENTRY, serde_json::to_vec(&manifest).unwrap())] {
        made.push((name.to_owned(), OWN_ENTRY_MODE, modified, text.len() as u64, sealed(&text)));
    }

    let (mut bytes, mut central) = (Vec::new(), Vec::new());
    let count = made.len() as u64;
    for (name, mode, modified, raw, data) in made {
        let (meta, stored, offset) = (EntryMeta { mode, modified }, data.len() as u64, bytes.len() as u64);
        let method = crate::archive::writer::entry_method(&name, meta, Method::Deflate);
        let record = Record { name, meta, method, raw, stored, offset };
        bytes.extend(record.local_header());
        bytes.extend(data);
        bytes.extend(record.descriptor());
        central.extend(record.central_header());
    }
    let end = End { entries: count, offset: bytes.len() as u64, bytes: central.len() as u64 };
    bytes.extend(&central);
    bytes.extend(end.encode());
    store(&bytes)
}

/// Deflates and seals.
fn sealed(contents: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(contents.len() / 500 + 1024);
    let mut deflate = flate2::Compress::new(Compression::new(6), false);
    deflate.compress_vec(contents, &mut packed, FlushCompress::Finish).unwrap();
    assert_eq!(deflate.total_in(), contents.len() as u64, "there was room for all of it");
    let keys = Keys::random(&password()).unwrap();
    let mut seal = Seal::new(&keys);
    seal.seal(&mut packed);
    let data = [keys.prefix().as_slice(), &packed, &seal.finish()].concat();
    assert_eq!(data.len() as u64, packed.len() as u64 + OVERHEAD_BYTES);
    data
}
