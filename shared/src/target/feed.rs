//! A dump on its way into a target: pieces of the archive in, events of the splitter out.

use crate::Result;

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
