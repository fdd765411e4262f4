//! The writer of an archive: the face of the pipeline towards the sources and towards the upload.
//!
//! It gathers raw bytes into pieces, gives them to the workers, and carries what the sealer makes of them to the output.
//! No more than `workers + 2` pieces are on their way; when that many are, `write` waits and serves the output meanwhile.
//!
//! After an error, or when the future of a call was dropped before it was done, the archive is lost: every further call
//! is refused, so that nothing half-written can be finished.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc as tokio_mpsc, oneshot};

use crate::archive::container::Method;
use crate::archive::manifest::{FORMAT_VERSION, INDEX_ENTRY, MANIFEST_ENTRY, Manifest};
use crate::archive::piece::{self, LAST_PIECE_BYTES};
use crate::archive::seal::Keys;
use crate::archive::sealer::{Buffers, Command, OUTPUT_QUEUE, Sealer};
use crate::archive::workers::{Answer, Workers};
use crate::archive::{ArchiveOptions, ArchiveOutput, ArchiveSummary, EntryMeta, EntrySummary};
use crate::secret::Secret;
use crate::source::EntrySink;
use crate::source::files::{FileMeta, FileSink};
use crate::{Class, Error, Result};

/// Mode of index and manifest: for the owner's eyes.
pub(crate) const OWN_ENTRY_MODE: u32 = 0o100_600;

/// Writes one archive, entry after entry.
pub struct ArchiveWriter<'a> {
    output: &'a mut dyn ArchiveOutput,
    options: ArchiveOptions,
    workers: Workers,
    /// Keys that were ordered ahead, so that many small files do not each wait for theirs.
    keys: VecDeque<Answer<Keys>>,
    commands: mpsc::Sender<Command>,
    sealed: tokio_mpsc::Receiver<Bytes>,
    /// Why the sealer gave up, if it did.
    failure: Arc<Mutex<Option<Error>>>,
    in_flight: Arc<Semaphore>,
    buffers: Arc<Buffers>,
    /// The first half of the SHA-256 of every name, to refuse duplicates without keeping all names.
    names: HashSet<[u8; 16]>,
    entry: Option<Open>,
    piece: Vec<u8>,
    /// A call is under way, or did not come to its end.
    broken: bool,
}

/// The entry that is being written.
struct Open {
    name: String,
    directory: bool,
    plain: bool,
    pieces: u64,
}

impl<'a> ArchiveWriter<'a> {
    /// Starts an archive that goes to `output`, with its threads.
    pub fn new(output: &'a mut dyn ArchiveOutput, password: &Secret, options: &ArchiveOptions) -> Result<Self> {
        if password.expose().is_empty() {
            return Err(Error::configuration("the archive password is empty"));
        }
        let count = options.workers.max(1);
        let workers = Workers::start(count, options.compression, password)?;
        let keys = (0..count + 2).map(|_| workers.keys()).collect();
        let (sealer_output, sealed) = tokio_mpsc::channel(OUTPUT_QUEUE);
        let (commands, queue) = mpsc::channel();
        let buffers = Arc::new(Buffers::default());
        let failure = Arc::new(Mutex::new(None));
        let sealer = Sealer::new(sealer_output, Arc::clone(&buffers));
        let failed = Arc::clone(&failure);
        let seal = move || {
            if let Err(error) = sealer.run(&queue) {
                *failed.lock().expect("no holder of this lock can panic") = Some(error);
            }
        };
        thread::Builder::new()
            .name("seal".into())
            .spawn(seal)
            .map_err(|e| Error::new(Class::Limit, "cannot start a thread to encrypt").because(e))?;
        Ok(Self {
            output,
            options: *options,
            workers,
            keys,
            commands,
            sealed,
            failure,
            in_flight: Arc::new(Semaphore::new(count + 2)),
            buffers,
            names: HashSet::new(),
            entry: None,
            piece: Vec::new(),
            broken: false,
        })
    }

    /// Starts an entry. A name that ends in `/` is a directory and takes no bytes; an entry with the mode of a symbolic
    /// link takes the link's target.
    ///
    /// # Errors
    /// [`Class::Unsupported`] for a name that cannot be in an archive, [`Class::Limit`] when there are too many entries.
    pub async fn start_entry(&mut self, name: &str, meta: EntryMeta) -> Result<()> {
        self.enter()?;
        check_name(name)?;
        if name == MANIFEST_ENTRY || name == INDEX_ENTRY {
            return Err(Error::unsupported(format!("an entry may not be named {name}: the archive has its own")));
        }
        if self.names.len() as u64 >= self.options.max_entries {
            return Err(Error::new(
                Class::Limit,
                format!("more than {} entries in one archive", self.options.max_entries),
            )
            .hint("Exclude files, spread them over several backups, or raise BACKUP_MAX_FILES (it costs memory)."));
        }
        let digest = Sha256::digest(name);
        if !self.names.insert(digest[..16].try_into().expect("SHA-256 has more than 16 bytes")) {
            return Err(Error::unsupported(format!("two entries are named {name:?}")));
        }
        self.open(name, meta, true)?;
        self.leave()
    }

    /// Ends the entry and tells what was counted.
    pub async fn end_entry(&mut self) -> Result<EntrySummary> {
        self.enter()?;
        let summary = self.close().await?;
        self.leave()?;
        Ok(summary)
    }

    /// Writes index, manifest and central directory. What only the writer knows it fills in: format version,
    /// compression, piece size and index.
    pub async fn finish(mut self, mut manifest: Manifest) -> Result<ArchiveSummary> {
        self.enter()?;
        if let Some(open) = &self.entry {
            return Err(Error::bug(format!("entry {:?} was not ended", open.name)));
        }
        let meta = EntryMeta { mode: OWN_ENTRY_MODE, modified: manifest.finished.as_second() };
        let (index, reference) = self.ask(Command::Index).await?;
        self.own_entry(INDEX_ENTRY, meta, &index).await?;
        manifest.format_version = FORMAT_VERSION;
        manifest.compression = compression_name(piece::method(self.options.compression)).into();
        manifest.piece_bytes = LAST_PIECE_BYTES as u64;
        manifest.index = reference;
        let text =
            serde_json::to_vec_pretty(&manifest).map_err(|e| Error::bug("the manifest is no JSON").because(e))?;
        self.own_entry(MANIFEST_ENTRY, meta, &text).await?;
        let totals = self.ask(Command::Finish).await?;
        while let Some(bytes) = self.sealed.recv().await {
            self.output.write(bytes).await?;
        }
        Ok(ArchiveSummary { bytes: totals.bytes, entries: totals.entries, sha256: totals.sha256, manifest })
    }

    async fn own_entry(&mut self, name: &str, meta: EntryMeta, contents: &[u8]) -> Result<()> {
        self.open(name, meta, false)?;
        self.take(contents).await?;
        self.close().await?;
        Ok(())
    }

    fn open(&mut self, name: &str, meta: EntryMeta, listed: bool) -> Result<()> {
        if let Some(open) = &self.entry {
            return Err(Error::bug(format!("entry {:?} was not ended before {name:?}", open.name)));
        }
        let directory = name.ends_with('/');
        let method = entry_method(name, meta, piece::method(self.options.compression));
        let keys = if directory {
            None
        } else {
            self.keys.push_back(self.workers.keys());
            self.keys.pop_front()
        };
        self.entry = Some(Open { name: name.into(), directory, plain: method == Method::Store, pieces: 0 });
        self.send(Command::Start { name: name.into(), meta, method, keys, listed })
    }

    async fn close(&mut self) -> Result<EntrySummary> {
        self.cut().await?;
        if self.entry.take().is_none() {
            return Err(Error::bug("no entry was started"));
        }
        self.ask(Command::End).await
    }

    /// Gathers bytes, and gives away every piece that is full.
    async fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let open = self.entry.as_ref().ok_or_else(|| Error::bug("bytes before an entry was started"))?;
            if open.directory {
                return Err(Error::bug(format!("bytes for the directory {:?}", open.name)));
            }
            let limit = piece::piece_bytes(open.pieces);
            let (now, later) = bytes.split_at(bytes.len().min(limit - self.piece.len()));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() == limit {
                self.cut().await?;
            }
        }
        Ok(())
    }

    /// Gives the gathered bytes away as a piece.
    async fn cut(&mut self) -> Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let permit = self.permit().await?;
        let open = self.entry.as_mut().ok_or_else(|| Error::bug("bytes before an entry was started"))?;
        open.pieces += 1;
        let plain = open.plain;
        let raw = std::mem::replace(&mut self.piece, self.buffers.take());
        let packed = if plain { Vec::new() } else { self.buffers.take() };
        let answer = self.workers.piece(raw, packed, plain);
        self.send(Command::Piece(answer, permit))?;
        while let Ok(bytes) = self.sealed.try_recv() {
            self.output.write(bytes).await?;
        }
        Ok(())
    }

    /// Waits until another piece may be on its way, and serves the output meanwhile.
    async fn permit(&mut self) -> Result<OwnedSemaphorePermit> {
        loop {
            tokio::select! {
                biased;
                sealed = self.sealed.recv() => match sealed {
                    Some(bytes) => self.output.write(bytes).await?,
                    None => return Err(self.sealer_error()),
                },
                permit = Arc::clone(&self.in_flight).acquire_owned() => {
                    return Ok(permit.expect("the semaphore is never closed"));
                }
            }
        }
    }

    /// Asks the sealer something and serves the output until it answers.
    async fn ask<T>(&mut self, question: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T> {
        let (sender, mut answer) = oneshot::channel();
        self.send(question(sender))?;
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(|_| self.sealer_error()),
                Some(bytes) = self.sealed.recv() => self.output.write(bytes).await?,
            }
        }
    }

    fn send(&self, command: Command) -> Result<()> {
        self.commands.send(command).map_err(|_| self.sealer_error())
    }

    fn sealer_error(&self) -> Error {
        let failure = self.failure.lock().expect("no holder of this lock can panic").take();
        failure.unwrap_or_else(|| Error::bug("the encryption thread ended early"))
    }

    fn enter(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(Error::bug("the archive was written to after it had failed"));
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        self.broken = false;
        Ok(())
    }
}

#[async_trait]
impl EntrySink for ArchiveWriter<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.enter()?;
        self.take(bytes).await?;
        self.leave()
    }

    async fn cut_piece(&mut self) -> Result<()> {
        self.enter()?;
        self.cut().await?;
        self.leave()
    }
}

#[async_trait]
impl FileSink for ArchiveWriter<'_> {
    async fn start(&mut self, meta: &FileMeta) -> Result<()> {
        self.start_entry(&meta.entry, EntryMeta { mode: meta.mode, modified: meta.modified }).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        EntrySink::write(self, bytes).await
    }

    async fn end(&mut self) -> Result<u64> {
        Ok(self.end_entry().await?.stored_bytes)
    }
}

/// The compression of one entry: symbolic links are stored, as every reader of links expects.
pub(crate) fn entry_method(name: &str, meta: EntryMeta, method: Method) -> Method {
    const TYPE_BITS: u32 = 0o170_000;
    const SYMLINK: u32 = 0o120_000;
    if name.ends_with('/') || meta.mode & TYPE_BITS == SYMLINK { Method::Store } else { method }
}

/// The manifest's word for a compression.
pub(crate) fn compression_name(method: Method) -> &'static str {
    match method {
        Method::Store => "store",
        Method::Deflate => "deflate",
        Method::Zstd => "zstd",
    }
}

/// Refuses names that a zip cannot hold or that would leave the folder in which it is unpacked.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let refuse = |why| Err(Error::unsupported(format!("an entry cannot be named {name:?}: {why}")));
    if name.len() > usize::from(u16::MAX) {
        return refuse("it is longer than 65,535 bytes");
    }
    if name.contains('\0') {
        return refuse("it has a NUL in it");
    }
    let path = name.strip_suffix('/').unwrap_or(name);
    if path.split('/').any(|component| matches!(component, "" | "." | "..")) {
        return refuse("it is not a plain relative path");
    }
    Ok(())
}
