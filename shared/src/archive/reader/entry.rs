//! One entry as something to pull from: pieces in their order, each handed out only when its digest matched.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::blocks::{Access, Blocks};
use super::{Opened, check_size, joined, scan};
use crate::secret::Secret;
use crate::store::{Object, Store};
use crate::{Class, Error, Result};

/// The contents of one entry.
///
/// All that it hands out matched the digests of the authenticated index. The authentication code and the digest of the
/// whole entry are checked at its end, so only `None` says that the entry is whole.
pub(crate) struct EntryReader {
    pieces: mpsc::Receiver<Vec<u8>>,
    reading: Option<JoinHandle<Result<()>>>,
}

impl EntryReader {
    /// The next piece; `None` behind the last one, when every digest matched.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if let Some(piece) = self.pieces.recv().await {
            return Ok(Some(piece));
        }
        match self.reading.take() {
            Some(reading) => joined(reading.await).map(|()| None),
            None => Ok(None),
        }
    }
}

/// Opens the entry `name`, which must be the one with this digest. Dropping the reader ends the reading.
pub(crate) async fn open_entry(
    store: Arc<dyn Store>,
    object: &Object,
    password: &Secret,
    name: &str,
    sha256: &str,
) -> Result<EntryReader> {
    check_size(&store, object).await?;
    let blocks = Blocks::new(store, object.clone(), Access::Scan);
    let (password, name, sha256) = (password.clone(), name.to_owned(), sha256.to_owned());
    let (sender, pieces) = mpsc::channel::<Vec<u8>>(2);
    let reading = spawn_blocking(move || {
        let archive = Opened::open(blocks, &password)?;
        if !archive.index.iter().any(|entry| entry.name == name && entry.sha256 == sha256) {
            let key = archive.blocks.key();
            return Err(Error::new(Class::Inconsistent, format!("{key} is not the archive that was looked at before"))
                .hint("Something else writes under this prefix; find out what it is, then try again."));
        }
        scan::extract(archive, &password, &name, &sender)
    });
    Ok(EntryReader { pieces, reading: Some(reading) })
}
