//! Where a source writes its dump: buffered, counted, and cut into pieces at the places that a reader may want to jump to.

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::Result;
use crate::progress::Progress;

/// How much text is gathered before it is handed on, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// The receiving end of one dump: an entry of the archive, or a `Vec<u8>` in tests.
#[async_trait]
pub trait EntrySink: Send {
    /// Takes the next bytes; waits while the pipeline behind it is full.
    async fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Ends the current piece here, so that what follows can be fetched without what came before.
    async fn cut_piece(&mut self) -> Result<()>;
}

#[async_trait]
impl EntrySink for Vec<u8> {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    async fn cut_piece(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Writes a dump into an [`EntrySink`].
///
/// `put` only gathers; a loop over rows calls [`DumpWriter::flush_if_full`] now and then, so that a row costs a copy and
/// not an await. [`DumpWriter::finish`] must be called at the end: what is still gathered would be lost otherwise.
pub struct DumpWriter<'a> {
    sink: &'a mut dyn EntrySink,
    progress: &'a Progress,
    buffer: Vec<u8>,
    flushed: u64,
    section: Option<Sha256>,
}

impl<'a> DumpWriter<'a> {
    /// A writer into `sink` that reports bytes to `progress`.
    pub fn new(sink: &'a mut dyn EntrySink, progress: &'a Progress) -> Self {
        Self { sink, progress, buffer: Vec::with_capacity(BUFFER_BYTES + 4096), flushed: 0, section: None }
    }

    /// Appends bytes to the dump.
    pub fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Appends text to the dump.
    pub fn put_str(&mut self, text: &str) {
        self.put(text.as_bytes());
    }

    /// How many bytes the dump has so far; the offset at which the next `put` lands.
    pub fn position(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    /// The run's progress, to name the current table and count rows.
    pub fn progress(&self) -> &Progress {
        self.progress
    }

    /// Hands the gathered bytes on when there are enough of them. Call it in every loop over rows.
    pub async fn flush_if_full(&mut self) -> Result<()> {
        if self.buffer.len() >= BUFFER_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Starts a table's section: cuts the piece, so that the section can be fetched alone, and starts its digest.
    /// Returns the offset of its first byte.
    pub async fn start_section(&mut self) -> Result<u64> {
        self.flush().await?;
        self.sink.cut_piece().await?;
        self.section = Some(Sha256::new());
        Ok(self.flushed)
    }

    /// Ends the section that was started last and returns the SHA-256 of its bytes, in lower-case hex.
    pub async fn end_section(&mut self) -> Result<String> {
        self.flush().await?;
        self.sink.cut_piece().await?;
        let digest = self.section.take().expect("a section is ended only after it was started").finalize();
        Ok(hex(&digest))
    }

    /// Hands on all that is gathered and returns the length of the dump in bytes.
    pub async fn finish(mut self) -> Result<u64> {
        self.flush().await?;
        Ok(self.flushed)
    }

    async fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Some(digest) = &mut self.section {
            digest.update(&self.buffer);
        }
        self.sink.write(&self.buffer).await?;
        self.progress.add_raw_bytes(self.buffer.len() as u64);
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        // One huge row must not keep its memory for the rest of the dump.
        self.buffer.shrink_to(BUFFER_BYTES + 4096);
        Ok(())
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}
