//! Verifies an archive of another program as far as it allows: every entry read, and every dump looked at to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::archive::foreign::dump::{Dump, End, is_dump};
use crate::archive::foreign::{ForeignEntry, ForeignUnpacker};
use crate::progress::Progress;
use crate::{Class, Error, Result};

/// Reads everything, keeps nothing.
pub(super) struct Check {
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    /// The dump that is being read; an error once gzip cannot go on.
    dump: Option<Result<Dump>>,
    pub(super) entries: u64,
    pub(super) raw_bytes: u64,
    /// Dumps that end as dumps do.
    pub(super) dumps: u64,
    /// Dumps that do not, and why.
    pub(super) suspicious: Vec<String>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
}

impl Check {
    pub(super) fn new(stop: Arc<AtomicBool>, progress: Arc<Progress>) -> Self {
        Self {
            stop,
            progress,
            dump: None,
            entries: 0,
            raw_bytes: 0,
            dumps: 0,
            suspicious: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl ForeignUnpacker for Check {
    fn plan(&mut self, entries: &[ForeignEntry]) -> Result<Vec<usize>> {
        let files = || entries.iter().filter(|entry| !entry.is_directory());
        let open = files().filter(|entry| !entry.is_encrypted()).count();
        let weak = files().filter(|entry| entry.protection.words() == "ZipCrypto").count();
        if open > 0 {
            self.warnings.push(format!("NOT encrypted: {open} of {} files", files().count()));
        }
        if weak > 0 {
            self.warnings.push(format!("encrypted by ZipCrypto alone, which is broken: {weak} files"));
        }
        if !files().any(|entry| is_dump(&entry.name)) {
            self.warnings.push("it holds no dump of a database (db-dumps/*.sql or *.sql.gz)".to_owned());
        }
        Ok((0..entries.len()).collect())
    }

    fn begin(&mut self, entry: &ForeignEntry) -> Result<()> {
        self.progress.set_current(format!("verifying {}", entry.name));
        self.dump = is_dump(&entry.name).then(|| Ok(Dump::new(&entry.name)));
        Ok(())
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::new(Class::Deadline, "the reading was stopped"));
        }
        self.progress.add_raw_bytes(bytes.len() as u64);
        // That gzip cannot go on may come of damage, which the entry's own code will tell, and tells better.
        if let Some(Ok(dump)) = &mut self.dump
            && let Err(error) = dump.take(bytes)
        {
            self.dump = Some(Err(error));
        }
        Ok(())
    }

    fn end(&mut self, entry: &ForeignEntry) -> Result<()> {
        self.entries += 1;
        self.raw_bytes += entry.bytes;
        let Some(dump) = self.dump.take() else { return Ok(()) };
        match dump.and_then(Dump::finish) {
            Ok(End::Complete) => self.dumps += 1,
            Ok(End::Suspicious(why)) => self.suspicious.push(format!("{:?}: {why}", entry.name)),
            Err(error) => self.suspicious.push(format!("{:?}: {}", entry.name, error.chain())),
            Ok(End::Ours) => {
                return Err(Error::corrupt(format!(
                    "{:?} was written by Nightvault, and the archive around it has no manifest: it was changed",
                    entry.name
                )));
            }
        }
        Ok(())
    }
}
