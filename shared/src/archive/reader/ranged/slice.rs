//! Reads a part of an archive's pieces and checks each against its digest, for a verification that takes many nights.
//!
//! Pieces are numbered through all entries in the order of the archive. What a slice says of a piece is that its stored
//! bytes open, inflate and are those that the authenticated index names. It says nothing of the entries' authentication
//! codes and of the zip around them, which only a reading of the whole can check.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Archive;
use crate::Result;
use crate::archive::manifest::Piece;
use crate::progress::Progress;

/// How far a slice is; it can be read while the slice is being checked, and after it was given up.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// The number of the piece behind the last one that was checked.
    pub(crate) next: AtomicU64,
    /// Stored bytes of the pieces that were checked.
    pub(crate) bytes: AtomicU64,
}

impl Archive {
    /// How many pieces all entries have.
    pub(crate) fn pieces(&self) -> u64 {
        self.index.iter().map(|entry| entry.pieces.len() as u64).sum()
    }

    /// Stored bytes of all pieces.
    pub(crate) fn piece_bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for (number, entry) in self.index.iter().enumerate() {
            if !entry.pieces.is_empty() {
                bytes += self.cipher_bytes(number)?;
            }
        }
        Ok(bytes)
    }

    /// The number of the piece that holds the stored byte `position`, all pieces put together.
    pub(crate) fn piece_at(&self, position: u64) -> Result<u64> {
        let (mut before, mut bytes) = (0, 0);
        for (number, entry) in self.index.iter().enumerate() {
            if entry.pieces.is_empty() {
                continue;
            }
            let end = bytes + self.cipher_bytes(number)?;
            if position < end {
                let within = entry.pieces.partition_point(|piece| bytes + piece.1 <= position);
                return Ok(before + (within as u64).saturating_sub(1));
            }
            (before, bytes) = (before + entry.pieces.len() as u64, end);
        }
        Ok(before)
    }

    /// Checks pieces from the number `from` on until at least `quota` stored bytes of them, or the last one, are read.
    pub(crate) async fn check_pieces(
        self: &Arc<Self>,
        from: u64,
        quota: u64,
        reached: &Reached,
        progress: &Progress,
    ) -> Result<()> {
        reached.next.store(from, Ordering::Relaxed);
        let (mut before, mut read) = (0u64, 0u64);
        for (number, entry) in self.index.iter().enumerate() {
            let end = before + entry.pieces.len() as u64;
            let first = from.max(before) - before;
            before = end;
            if first >= entry.pieces.len() as u64 {
                continue;
            }
            if read >= quota {
                break;
            }
            progress.set_current(format!("verifying a part of {}", entry.name));
            let first = first as usize;
            let cipher_end = self.cipher_bytes(number)?;
            let ends = |at: usize| entry.pieces.get(at + 1).map_or((entry.bytes, cipher_end), |next| (next.0, next.1));
            let mut last = first;
            let start = entry.pieces[first].1;
            while read + (ends(last).1 - start) < quota && last + 1 < entry.pieces.len() {
                last += 1;
            }
            let mut pieces = self.range(&entry.name, entry.pieces[first].0..ends(last).0)?;
            let mut at = first;
            while let Some(raw) = pieces.next().await? {
                progress.add_raw_bytes(raw.len() as u64);
                let Piece(_, stored, _) = entry.pieces[at];
                read += ends(at).1 - stored;
                reached.bytes.store(read, Ordering::Relaxed);
                reached.next.fetch_add(1, Ordering::Relaxed);
                at += 1;
            }
        }
        Ok(())
    }
}
