//! An archive opened for ranged reads: any bytes of any entry, without the bytes before them.
//!
//! Pieces are compressed and digested apart from each other and the cipher is a counter mode, so a piece needs nothing
//! but itself. The index, which the manifest vouches for, holds its digest: what does not match is never handed out, and
//! what is handed out needs no other authentication. Several readers may work on one archive at the same time.
//!
//! [`Archive::authenticate`] asks the other question: is *all* of this entry whole? It reads the stored bytes once and
//! computes the entry's authentication code, without decompressing, so that it costs little more than the transfer.

mod slice;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

pub(crate) use slice::Reached;

use super::blocks::{Access, Blocks};
use super::check::{DESCRIPTOR_FIELDS, LOCAL_FIELDS, compare};
use super::{Opened, check_size, joined, scan};
use crate::archive::container::Record;
use crate::archive::manifest::{DatabaseManifest, IndexEntry, Manifest, Piece};
use crate::archive::piece;
use crate::archive::seal::{self, Code, Keys};
use crate::progress::Progress;
use crate::secret::Secret;
use crate::source::hex;
use crate::store::{Object, Store};
use crate::{Class, Error, Result};

/// Stored bytes that are asked for at once when many pieces follow each other, at most; one piece may be more.
const READ_BYTES: u64 = 2 << 20;
/// Raw bytes that come of one such read, at most; one piece may be more.
const READ_RAW_BYTES: u64 = 8 << 20;
/// Reads that are on their way or being unpacked while one is worked on.
const AHEAD: usize = 3;
/// Stored bytes of one read of [`Archive::authenticate`].
const SCAN_BYTES: u64 = 4 << 20;

/// One backup whose manifest, index and central directory are authenticated and agree.
pub(crate) struct Archive {
    store: Arc<dyn Store>,
    object: Object,
    password: Secret,
    manifest: Manifest,
    index: Vec<IndexEntry>,
    records: Vec<Record>,
    by_name: HashMap<String, usize>,
    keys: Mutex<HashMap<usize, Arc<Keys>>>,
    read: AtomicU64,
}

impl Archive {
    /// Opens a backup from its end.
    pub(crate) async fn open(store: Arc<dyn Store>, object: &Object, password: &Secret) -> Result<Arc<Self>> {
        check_size(&store, object).await?;
        let blocks = Blocks::new(Arc::clone(&store), object.clone(), Access::Random);
        let secret = password.clone();
        let opening = spawn_blocking(move || {
            let opened = Opened::open(blocks, &secret)?;
            // Index and manifest were read through their local headers: those must be the ones of the records, too.
            for record in &opened.records[opened.index.len()..] {
                scan::check_headers(&opened, record).map_err(|e| e.context(opened.blocks.key()))?;
            }
            Ok(opened)
        });
        let Opened { blocks, manifest, index, records, .. } = joined(opening.await)?;
        let by_name = index.iter().enumerate().map(|(number, entry)| (entry.name.clone(), number)).collect();
        Ok(Arc::new(Self {
            store,
            object: object.clone(),
            password: password.clone(),
            manifest,
            index,
            records,
            by_name,
            keys: Mutex::default(),
            read: AtomicU64::new(blocks.asked()),
        }))
    }

    /// What is in the backup.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Bytes that the store was asked for so far, the end of the archive included.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The dump of a database from its first to its last byte.
    pub(crate) fn dump(self: &Arc<Self>, database: &DatabaseManifest) -> Result<EntryReader> {
        self.range(&database.entry, 0..database.raw_bytes)
    }

    /// The bytes `range` of the contents of an entry. Only the pieces that hold them are read, and the entry's header.
    pub(crate) fn range(self: &Arc<Self>, entry: &str, range: Range<u64>) -> Result<EntryReader> {
        let number = self.number(entry)?;
        let bytes = self.index[number].bytes;
        if range.start > range.end || range.end > bytes {
            return Err(self.damaged(format!("{entry:?} has {bytes} bytes, and {range:?} of them were asked for")));
        }
        let groups = self.groups(number, &range)?;
        let (sender, pieces) = mpsc::channel(1);
        let archive = Arc::clone(self);
        let reading = tokio::spawn(async move {
            if let Err(error) = archive.send(number, range, groups, &sender).await {
                // Without a reader nobody misses the error.
                drop(sender.send(Err(error)).await);
            }
        });
        Ok(EntryReader { pieces, reading, waiting: Vec::new().into_iter() })
    }

    /// Reads every stored byte of an entry and checks its headers and its authentication code: afterwards no bit of it
    /// is other than the writer wrote it. Nothing is decompressed.
    pub(crate) async fn authenticate(self: &Arc<Self>, entry: &str, progress: &Progress) -> Result<()> {
        let number = self.number(entry)?;
        let record = &self.records[number];
        if record.is_directory() {
            return Ok(());
        }
        let mut code = Code::new(&*self.keys(number).await?);
        let data = self.data_offset(number);
        let end = data + self.cipher_bytes(number)?;
        let starts = (data..end).step_by(SCAN_BYTES as usize);
        let reads = starts.map(|start| self.fetch(start..end.min(start + SCAN_BYTES)));
        let mut reads = stream::iter(reads).buffered(AHEAD);
        let mut done = 0;
        progress.expect(end - data);
        while let Some(bytes) = reads.try_next().await? {
            done += bytes.len() as u64;
            progress.add_raw_bytes(bytes.len() as u64);
            code = joined(spawn_blocking(move || Ok(code.update(&bytes))).await)?;
            progress.set_current(format!("authenticating {entry} ({} %)", done * 100 / record.stored));
        }
        let descriptor = record.descriptor();
        let behind = self.fetch(end..end + (seal::CODE_BYTES + descriptor.len()) as u64).await?;
        let (found, found_descriptor) = behind.split_at(seal::CODE_BYTES);
        if *found != code.finish() {
            return Err(self.damaged(format!("{entry:?} does not match its authentication code")));
        }
        compare(found_descriptor, &descriptor, DESCRIPTOR_FIELDS, "data descriptor", entry)
            .map_err(|e| e.context(&self.object.key))
    }

    /// Where an entry stands in the archive, its headers included.
    #[cfg(test)]
    pub(crate) fn entry_bytes(&self, entry: &str) -> Result<Range<u64>> {
        let record = &self.records[self.number(entry)?];
        Ok(record.offset..record.offset + record.span())
    }

    fn number(&self, entry: &str) -> Result<usize> {
        let missing = || Error::new(Class::NotFound, format!("{} has no entry {entry:?}", self.object.key));
        self.by_name.get(entry).copied().ok_or_else(missing)
    }

    fn damaged(&self, what: String) -> Error {
        Error::corrupt(what).context(&self.object.key)
    }

    /// Where the ciphertext of an entry starts.
    fn data_offset(&self, number: usize) -> u64 {
        let record = &self.records[number];
        record.offset + (record.local_header().len() + seal::SALT_BYTES + seal::VERIFIER_BYTES) as u64
    }

    fn cipher_bytes(&self, number: usize) -> Result<u64> {
        let record = &self.records[number];
        let short = || self.damaged(format!("{:?} is too short for an encrypted entry", record.name));
        record.stored.checked_sub(seal::OVERHEAD_BYTES).ok_or_else(short)
    }

    /// The keys of an entry, from its salt; its local header is checked by the way.
    async fn keys(&self, number: usize) -> Result<Arc<Keys>> {
        let cache = || self.keys.lock().expect("no holder of this lock can panic");
        if let Some(keys) = cache().get(&number) {
            return Ok(Arc::clone(keys));
        }
        let record = &self.records[number];
        let header = record.local_header();
        let found = self.fetch(record.offset..self.data_offset(number)).await?;
        let (found_header, prefix) = found.split_at(header.len());
        compare(found_header, &header, LOCAL_FIELDS, "local header", &record.name)
            .map_err(|e| e.context(&self.object.key))?;
        let salt = prefix[..seal::SALT_BYTES].try_into().expect("split off with this length");
        let password = self.password.clone();
        let keys = joined(spawn_blocking(move || Ok(Arc::new(Keys::derive(&password, salt)))).await)?;
        if keys.prefix() != *prefix {
            return Err(self.damaged(format!("the salt or verifier of {:?} is damaged", record.name)));
        }
        cache().insert(number, Arc::clone(&keys));
        Ok(keys)
    }

    async fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        let len = range.end - range.start;
        self.read.fetch_add(len, Ordering::Relaxed);
        let bytes = self.store.read(&self.object.key, range, self.object.etag.as_deref()).await?;
        if bytes.len() as u64 == len {
            return Ok(bytes);
        }
        Err(Error::corrupt(format!("{} gave {} bytes where {len} were asked for", self.object.key, bytes.len())))
    }

    /// The pieces that hold `range`, gathered into reads.
    fn groups(&self, number: usize, range: &Range<u64>) -> Result<Vec<Vec<Extent>>> {
        let entry = &self.index[number];
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let cipher_end = self.cipher_bytes(number)?;
        let first = entry.pieces.partition_point(|piece| piece.0 <= range.start).saturating_sub(1);
        let mut groups: Vec<Vec<Extent>> = Vec::new();
        for (at, Piece(raw, stored, sha256)) in entry.pieces.iter().enumerate().skip(first) {
            if *raw >= range.end {
                break;
            }
            let (raw_end, stored_end) =
                entry.pieces.get(at + 1).map_or((entry.bytes, cipher_end), |next| (next.0, next.1));
            let extent = Extent { number: at, raw: *raw..raw_end, stored: *stored..stored_end, sha256: sha256.clone() };
            if raw_end - raw > self.manifest.piece_bytes || stored_end < *stored {
                return Err(self.damaged(format!("piece {at} of {:?} is not one that pieces can be", entry.name)));
            }
            let fits = groups.last().is_some_and(|group| {
                stored_end - group[0].stored.start <= READ_BYTES && raw_end - group[0].raw.start <= READ_RAW_BYTES
            });
            match groups.last_mut() {
                Some(group) if fits => group.push(extent),
                _ => groups.push(vec![extent]),
            }
        }
        Ok(groups)
    }

    async fn send(
        self: &Arc<Self>,
        number: usize,
        range: Range<u64>,
        groups: Vec<Vec<Extent>>,
        sender: &mpsc::Sender<Result<Vec<Vec<u8>>>>,
    ) -> Result<()> {
        if groups.is_empty() {
            return Ok(());
        }
        let (keys, data) = (self.keys(number).await?, self.data_offset(number));
        let reads = groups.into_iter().map(|group| {
            let (archive, keys, range) = (Arc::clone(self), Arc::clone(&keys), range.clone());
            async move {
                let stored = group[0].stored.start..group[group.len() - 1].stored.end;
                let bytes = archive.fetch(data + stored.start..data + stored.end).await?;
                joined(spawn_blocking(move || archive.unpack(number, &keys, &group, bytes.into(), &range)).await)
            }
        });
        let mut reads = stream::iter(reads).buffered(AHEAD);
        while let Some(pieces) = reads.try_next().await? {
            if sender.send(Ok(pieces)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Decrypts, decompresses and checks the pieces of one read, and cuts them to `range`.
    fn unpack(
        &self,
        number: usize,
        keys: &Keys,
        group: &[Extent],
        mut cipher: Vec<u8>,
        range: &Range<u64>,
    ) -> Result<Vec<Vec<u8>>> {
        let base = group[0].stored.start;
        seal::open_at(keys, base, &mut cipher);
        let (name, method) = (&self.index[number].name, self.records[number].method);
        let mut pieces = Vec::with_capacity(group.len());
        for extent in group {
            let packed = &cipher[(extent.stored.start - base) as usize..(extent.stored.end - base) as usize];
            let raw = piece::unpack(method, packed, (extent.raw.end - extent.raw.start) as usize);
            let matches = raw.filter(|raw| hex(&<sha2::Sha256 as sha2::Digest>::digest(raw)) == extent.sha256);
            let mut raw = matches.ok_or_else(|| {
                self.damaged(format!("piece {} of {name:?} does not match its digest", extent.number))
            })?;
            raw.truncate((range.end.min(extent.raw.end) - extent.raw.start) as usize);
            raw.drain(..(range.start.max(extent.raw.start) - extent.raw.start) as usize);
            pieces.push(raw);
        }
        Ok(pieces)
    }
}

/// Where a piece lies: in the contents, and in the ciphertext.
struct Extent {
    number: usize,
    raw: Range<u64>,
    stored: Range<u64>,
    sha256: String,
}

/// A range of the contents of one entry, to be pulled piece by piece. All that it hands out matched its digest in the
/// authenticated index. Dropping it ends the reading.
pub(crate) struct EntryReader {
    pieces: mpsc::Receiver<Result<Vec<Vec<u8>>>>,
    reading: JoinHandle<()>,
    waiting: std::vec::IntoIter<Vec<u8>>,
}

impl EntryReader {
    /// The next piece, cut to the range; `None` behind the last one, when every byte of the range was handed out.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(piece) = self.waiting.next() {
                return Ok(Some(piece));
            }
            match self.pieces.recv().await {
                Some(pieces) => self.waiting = pieces?.into_iter(),
                // The sender is gone: it is through, or it ended in a panic.
                None => {
                    (&mut self.reading).await.map_err(|e| Error::bug("the reading task ended early").because(e))?;
                    return Ok(None);
                }
            }
        }
    }
}

impl Drop for EntryReader {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
