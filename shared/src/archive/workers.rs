//! The threads that compress, and that make keys ahead of the entries that will need them.
//!
//! They end by themselves when the writer is dropped: the queue of jobs closes.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::archive::piece::Compressor;
use crate::archive::seal::Keys;
use crate::config::Compression;
use crate::secret::Secret;
use crate::{Class, Error, Result};

/// Where a worker's answer arrives.
pub(crate) type Answer<T> = oneshot::Receiver<Result<T>>;

/// A piece that a worker is done with.
pub(crate) struct PackedPiece {
    /// The raw bytes, back for the entry's digest and then for reuse.
    pub(crate) raw: Vec<u8>,
    /// The compressed bytes; empty = the raw bytes are what is kept.
    pub(crate) packed: Vec<u8>,
    /// SHA-256 of the raw bytes.
    pub(crate) sha256: [u8; 32],
}

enum Job {
    Keys(oneshot::Sender<Result<Keys>>),
    Piece { raw: Vec<u8>, packed: Vec<u8>, plain: bool, answer: oneshot::Sender<Result<PackedPiece>> },
}

/// The queue in front of the threads.
pub(crate) struct Workers {
    jobs: mpsc::Sender<Job>,
}

impl Workers {
    /// Starts `count` threads, at least one.
    pub(crate) fn start(count: usize, compression: Compression, password: &Secret) -> Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..count.max(1) {
            let compressor = Compressor::new(compression)?;
            let (queue, password) = (Arc::clone(&queue), password.clone());
            thread::Builder::new()
                .name(format!("deflate-{number}"))
                .spawn(move || work(&queue, compressor, &password))
                .map_err(|e| Error::new(Class::Limit, "cannot start a thread to compress").because(e))?;
        }
        Ok(Self { jobs })
    }

    /// Orders the keys of some later entry.
    pub(crate) fn keys(&self) -> Answer<Keys> {
        let (answer, keys) = oneshot::channel();
        // With no worker left the answer is dropped, which whoever waits for it is told.
        let _ = self.jobs.send(Job::Keys(answer));
        keys
    }

    /// Orders a piece to be digested and, unless `plain`, compressed. `packed`: an empty buffer to reuse.
    pub(crate) fn piece(&self, raw: Vec<u8>, packed: Vec<u8>, plain: bool) -> Answer<PackedPiece> {
        let (answer, piece) = oneshot::channel();
        let _ = self.jobs.send(Job::Piece { raw, packed, plain, answer });
        piece
    }
}

/// Waits for an answer on a thread of our own.
pub(crate) fn wait<T>(answer: Answer<T>) -> Result<T> {
    answer.blocking_recv().unwrap_or_else(|_| Err(Error::bug("a compression thread ended early")))
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>, mut compressor: Compressor, password: &Secret) {
    loop {
        let job = queue.lock().expect("no holder of this lock can panic").recv();
        // Whoever asked may be gone: the run was stopped.
        match job {
            Err(_) => return,
            Ok(Job::Keys(answer)) => drop(answer.send(Keys::random(password))),
            Ok(Job::Piece { raw, mut packed, plain, answer }) => {
                let result = if plain { Ok(()) } else { compressor.compress(&raw, &mut packed) };
                let sha256 = Sha256::digest(&raw).into();
                drop(answer.send(result.map(|()| PackedPiece { raw, packed, sha256 })));
            }
        }
    }
}
