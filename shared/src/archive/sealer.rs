//! The one thread through which everything goes in order: it takes the workers' pieces one after the other, digests,
//! encrypts and authenticates them, and puts the zip around them.
//!
//! A thread and not a task: the digest of all raw bytes and the authentication code cannot be computed in parallel, and
//! at some 500 MB/s they would hold up a task of the runtime for milliseconds on end.

use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, mpsc as tokio_mpsc, oneshot};

use crate::archive::container::{End, Method, Record};
use crate::archive::index::IndexWriter;
use crate::archive::manifest::IndexRef;
use crate::archive::piece;
use crate::archive::seal::{CODE_BYTES, Keys, Seal};
use crate::archive::workers::{Answer, PackedPiece, wait};
use crate::archive::{EntryMeta, EntrySummary};
use crate::source::hex;
use crate::{Error, Result};

/// How many bytes are gathered before they are handed to the output.
const OUTPUT_BYTES: usize = 512 << 10;
/// How many such buffers wait for the output.
pub(crate) const OUTPUT_QUEUE: usize = 4;

/// What the writer tells the sealer, in the order of the archive.
pub(crate) enum Command {
    /// Starts an entry; `keys` is `None` for a directory. Entries that are not `listed` stay out of the index.
    Start { name: String, meta: EntryMeta, method: Method, keys: Option<Answer<Keys>>, listed: bool },
    /// The next piece, as soon as it is compressed. The permit bounds how many are on their way.
    Piece(Answer<PackedPiece>, OwnedSemaphorePermit),
    /// Ends the entry.
    End(oneshot::Sender<EntrySummary>),
    /// Asks for the index of what was written so far.
    Index(oneshot::Sender<(Vec<u8>, IndexRef)>),
    /// Ends the archive.
    Finish(oneshot::Sender<Totals>),
}

/// The whole archive in figures.
pub(crate) struct Totals {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    pub(crate) sha256: String,
}

/// Buffers that go round between writer, workers and sealer.
#[derive(Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// An empty buffer.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.lock().expect("no holder of this lock can panic").pop().unwrap_or_default()
    }

    fn put_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 {
            buffer.clear();
            self.0.lock().expect("no holder of this lock can panic").push(buffer);
        }
    }
}

/// The entry that is being written.
struct Current {
    record: Record,
    listed: bool,
    seal: Option<Seal>,
    sha256: Sha256,
    pieces: u64,
    /// Bytes of ciphertext so far.
    sealed: u64,
}

/// The state of the thread.
pub(crate) struct Sealer {
    output: Output,
    buffers: Arc<Buffers>,
    current: Option<Current>,
    index: IndexWriter,
    central: Vec<u8>,
    entries: u64,
}

struct Output {
    channel: tokio_mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
    sha256: Sha256,
    bytes: u64,
}

impl Sealer {
    /// A sealer that hands its bytes to `channel`.
    pub(crate) fn new(channel: tokio_mpsc::Sender<Bytes>, buffers: Arc<Buffers>) -> Self {
        let output = Output { channel, buffer: Vec::new(), sha256: Sha256::new(), bytes: 0 };
        Self { output, buffers, current: None, index: IndexWriter::default(), central: Vec::new(), entries: 0 }
    }

    /// Works until the archive is finished or the writer is gone.
    pub(crate) fn run(mut self, commands: &mpsc::Receiver<Command>) -> Result<()> {
        // The writer may be gone at any time: its run was stopped. Then nobody waits for an answer.
        while let Ok(command) = commands.recv() {
            match command {
                Command::Start { name, meta, method, keys, listed } => self.start(name, meta, method, keys, listed)?,
                Command::Piece(answer, _permit) => self.piece(wait(answer)?)?,
                Command::End(answer) => drop(answer.send(self.end()?)),
                Command::Index(answer) => drop(answer.send(self.index.finish())),
                Command::Finish(answer) => {
                    drop(answer.send(self.finish()?));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn start(
        &mut self,
        name: String,
        meta: EntryMeta,
        method: Method,
        keys: Option<Answer<Keys>>,
        listed: bool,
    ) -> Result<()> {
        let record = Record { name, meta, method, raw: 0, stored: 0, offset: self.output.position() };
        self.output.put(&record.local_header())?;
        let seal = match keys {
            Some(keys) => {
                let keys = wait(keys)?;
                self.output.put(&keys.prefix())?;
                Some(Seal::new(&keys))
            }
            None => None,
        };
        let sha256 = Sha256::new();
        self.current = Some(Current { record, listed, seal, sha256, pieces: 0, sealed: 0 });
        Ok(())
    }

    fn piece(&mut self, piece: PackedPiece) -> Result<()> {
        let PackedPiece { mut raw, mut packed, sha256 } = piece;
        let current = self.current.as_mut().expect("the writer sends pieces between start and end");
        self.index.piece(current.record.raw, current.sealed, &sha256);
        current.sha256.update(&raw);
        current.pieces += 1;
        current.record.raw += raw.len() as u64;
        let data = if packed.is_empty() { &mut raw } else { &mut packed };
        current.seal.as_mut().expect("the writer takes no bytes for a directory").seal(data);
        current.sealed += data.len() as u64;
        self.output.put(data)?;
        self.buffers.put_back(raw);
        self.buffers.put_back(packed);
        Ok(())
    }

    fn end(&mut self) -> Result<EntrySummary> {
        let mut current = self.current.take().expect("the writer ends only what it started");
        if let Some(mut seal) = current.seal {
            let mut end = piece::stream_end(current.record.method, current.pieces).to_vec();
            seal.seal(&mut end);
            self.output.put(&end)?;
            let code: [u8; CODE_BYTES] = seal.finish();
            self.output.put(&code)?;
            current.record.stored = self.output.position() - current.record.offset;
            current.record.stored -= current.record.local_header().len() as u64;
        }
        self.output.put(&current.record.descriptor())?;
        self.central.extend(current.record.central_header());
        self.entries += 1;
        let summary = EntrySummary {
            raw_bytes: current.record.raw,
            stored_bytes: current.record.stored,
            sha256: hex(&current.sha256.finalize()),
            name: current.record.name,
        };
        if current.listed {
            self.index.entry(&summary, current.record.meta);
        } else {
            self.index.skip();
        }
        Ok(summary)
    }

    fn finish(mut self) -> Result<Totals> {
        let offset = self.output.position();
        for slice in self.central.chunks(OUTPUT_BYTES) {
            self.output.put(slice)?;
        }
        let end = End { entries: self.entries, offset, bytes: self.central.len() as u64 };
        self.output.put(&end.encode())?;
        self.output.flush()?;
        let sha256 = hex(&self.output.sha256.finalize());
        Ok(Totals { bytes: self.output.bytes, entries: self.entries, sha256 })
    }
}

impl Output {
    /// Bytes of the archive so far.
    fn position(&self) -> u64 {
        self.bytes + self.buffer.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > OUTPUT_BYTES {
            self.flush()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.buffer);
        self.sha256.update(&bytes);
        self.bytes += bytes.len() as u64;
        self.buffer.reserve(OUTPUT_BYTES);
        let send = self.channel.blocking_send(bytes.into());
        send.map_err(|_| Error::bug("the writer is gone, so nobody sees this message"))
    }
}
