//! A dump on its way into a target: pieces of the archive in, events of the splitter out, progress noted.

use crate::Result;
use crate::archive::reader::EntryReader;
use crate::progress::Progress;

/// What takes a dump apart.
pub(crate) trait Split {
    /// What it gives out.
    type Event;
    /// Takes the next piece of the dump.
    fn push(&mut self, piece: Vec<u8>);
    /// Says that no piece comes any more.
    fn end(&mut self);
    /// The next event; `None` when that takes another piece, or when the dump is over.
    fn next(&mut self) -> Result<Option<Self::Event>>;
}

/// Pulls a dump through a splitter.
pub(crate) struct Feed<'a, S> {
    entry: EntryReader,
    splitter: S,
    ended: bool,
    taken: u64,
    /// Bytes of the dump in all.
    total: u64,
    progress: &'a Progress,
}

impl<'a, S: Split> Feed<'a, S> {
    /// A dump of `total` bytes.
    pub(crate) fn new(entry: EntryReader, splitter: S, total: u64, progress: &'a Progress) -> Self {
        progress.expect(total);
        Self { entry, splitter, ended: false, taken: 0, total, progress }
    }

    /// The next event; `None` at the end, when the whole entry was authenticated.
    pub(crate) async fn next(&mut self) -> Result<Option<S::Event>> {
        loop {
            if let Some(event) = self.splitter.next()? {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            match self.entry.next().await? {
                Some(piece) => {
                    self.taken += piece.len() as u64;
                    self.progress.add_raw_bytes(piece.len() as u64);
                    self.splitter.push(piece);
                }
                None => {
                    self.ended = true;
                    self.splitter.end();
                }
            }
        }
    }

    /// Names what is being worked on, with how much of the dump is through.
    pub(crate) fn tell(&self, what: &str) {
        let percent = self.taken.saturating_mul(100) / self.total.max(1);
        self.progress.set_current(format!("{what} ({percent} %)"));
    }
}
