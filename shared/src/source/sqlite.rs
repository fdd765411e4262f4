//! SQLite: an online snapshot of the file, shipped as the binary file itself.
//!
//! A raw copy of a live database loses what stands in its `-wal` file and tears what is being written, and SQL text
//! loses `user_version`, `application_id`, page size, text behind a NUL and some floats. So the dump is what SQLite's
//! own backup interface copies, page by page, into a scratch file; that file is checked (`integrity_check`,
//! `foreign_key_check`), counted, and then streamed. It restores with `cp`.
//!
//! Promises: the pages are those of one committed state. The source is only read, with one exception that every SQLite
//! client makes: a journal left by a crash is rolled back. A database in WAL mode never blocks its writers and never
//! makes us start anew; one with a rollback journal is copied in slices between which writers may go on, and the copy
//! starts anew when one did, with growing slices, a bounded number of times. The scratch file is private
//! to its user and is wiped whatever happens, by the next run at the latest.
//!
//! The same pages give the same bytes: the header's change counter and schema cookie are those of a file that was
//! written once, whatever they are in the source. Pages on the free list belong to the file and are in the dump.
//!
//! Rows of a table are scattered over the file, so the section that holds them is the whole file: every
//! [`TableManifest`] has offset 0, the file's length and the file's digest. Rows are counted in the snapshot. Virtual
//! and shadow tables are counted by kind, not by row. Refused by name: what is no SQLite database or is encrypted, an
//! empty file, a corrupt database. Files that a client has ATTACHed are databases of their own and must be configured.

mod copy;
mod inspect;
mod recount;
mod scratch;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, InterruptHandle};
use tokio::io::AsyncReadExt;

use crate::archive::manifest::TableManifest;
use crate::source::{DatabaseDump, DumpWriter};
use crate::{Class, Error, Result};

pub(crate) use recount::Recount;

use inspect::Findings;
use scratch::Scratch;

/// How much of the snapshot is read at once, in bytes.
const READ_BYTES: usize = 256 << 10;

/// Opens the file and makes the cheap checks. Changes nothing.
pub async fn check(path: &Path) -> Result<()> {
    let path = path.to_owned();
    blocking(move || copy::check_source(&path)).await
}

/// Takes an online snapshot of the database, checks its integrity and writes its bytes into `out`.
pub async fn dump(path: &Path, out: &mut DumpWriter<'_>) -> Result<DatabaseDump> {
    out.progress().set_current(format!("snapshot of {}", path.display()));
    let cancel = CancelOnDrop::default();
    let (source, cancelled) = (path.to_owned(), Arc::clone(&cancel.0));
    let (scratch, findings) =
        blocking(move || take(&source, &std::env::temp_dir(), &copy::Limits::default(), &cancelled)).await?;
    let warnings = findings.warnings;

    out.progress().set_current(path.display().to_string());
    let offset = out.start_section().await?;
    let bytes = stream(&scratch, path, out).await?;
    let sha256 = out.end_section().await?;

    let section = |(name, rows)| TableManifest {
        schema: None,
        name,
        rows,
        offset,
        bytes,
        sha256: sha256.clone(),
        longest_statement: None,
    };
    out.progress().add_rows(findings.tables.iter().map(|(_, rows)| rows).sum());
    Ok(DatabaseDump {
        engine: "SQLite".to_owned(),
        server_version: rusqlite::version().to_owned(),
        snapshot: findings.facts,
        tables: findings.tables.into_iter().map(section).collect(),
        objects: findings.objects,
        warnings,
    })
}

/// The blocking half of a dump: snapshot into a scratch file under `parent`, then look at what it is.
fn take(source: &Path, parent: &Path, limits: &copy::Limits, cancel: &Cancel) -> Result<(Scratch, Findings)> {
    let scratch = Scratch::create(parent)?;
    let copied = copy::copy(source, &scratch, limits, cancel)?;
    let mut findings = inspect::inspect(scratch.file(), source, cancel)?;
    findings.facts.extend(copied);
    Ok((scratch, findings))
}

/// Writes the scratch file into `out` and returns its length.
async fn stream(scratch: &Scratch, source: &Path, out: &mut DumpWriter<'_>) -> Result<u64> {
    let failed = |error: std::io::Error| {
        Error::new(Class::Transient, format!("cannot read the snapshot of {}", shown(source))).because(error)
    };
    let mut file = tokio::fs::File::open(scratch.file()).await.map_err(failed)?;
    let expected = file.metadata().await.map_err(failed)?.len();
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer).await.map_err(failed)?;
        if read == 0 {
            break;
        }
        out.put(&buffer[..read]);
        out.flush_if_full().await?;
        bytes += read as u64;
    }
    if bytes == expected {
        Ok(bytes)
    } else {
        Err(Error::bug(format!("the snapshot of {} has {expected} bytes, but {bytes} were read", shown(source))))
    }
}

/// How the blocking half is told to stop: a blocking thread cannot be aborted.
#[derive(Default)]
struct Cancel {
    cancelled: AtomicBool,
    running: Mutex<Option<InterruptHandle>>,
}

impl Cancel {
    /// Fails when the run has ended.
    fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::SeqCst) {
            Err(Error::new(Class::Deadline, "the snapshot was stopped because its run ended"))
        } else {
            Ok(())
        }
    }

    /// From now on a cancel interrupts the statements of `connection`, too.
    fn watch(&self, connection: &Connection) -> Result<()> {
        *self.running.lock().expect("no holder of this lock can panic") = Some(connection.get_interrupt_handle());
        self.check()
    }

    fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        if let Some(handle) = &*self.running.lock().expect("no holder of this lock can panic") {
            handle.interrupt();
        }
    }
}

/// Cancels when the dump is dropped: at its deadline, or when the run fails elsewhere.
#[derive(Default)]
struct CancelOnDrop(Arc<Cancel>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::bug("the thread that reads SQLite broke off").because(error)),
    }
}

/// A figure that SQLite counts and that is never negative.
fn unsigned(row: &rusqlite::Row) -> rusqlite::Result<u64> {
    let number: i64 = row.get(0)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, number))
}

/// A path or name as a message shows it: quoted, control characters escaped.
fn shown(path: impl Into<PathBuf>) -> String {
    format!("{:?}", path.into())
}

/// What SQLite said, as our error: `doing` names the action and the file.
fn explain(error: rusqlite::Error, doing: String) -> Error {
    use rusqlite::ErrorCode as Code;
    let (class, hint) = match error.sqlite_error_code() {
        Some(Code::NotADatabase) => (
            Class::Unsupported,
            "The file is not a SQLite database, or it is encrypted (SQLCipher, SEE); encrypted databases cannot be read.",
        ),
        Some(Code::DatabaseCorrupt) => {
            (Class::Corrupt, "Repair the database with `.recover` of the sqlite3 shell or restore an earlier backup.")
        }
        Some(Code::DatabaseBusy | Code::DatabaseLocked | Code::FileLockingProtocolFailed) => {
            (Class::Transient, "Another process holds a lock on the database; end its transaction or run again later.")
        }
        Some(Code::CannotOpen | Code::PermissionDenied | Code::ReadOnly) => (
            Class::Permission,
            "Let the user of the backup read the file and its -wal; a database in WAL mode needs a writable directory \
             (or an existing -shm file), and one with a journal left by a crash must be writable.",
        ),
        Some(Code::DiskFull | Code::OutOfMemory | Code::TooBig) => {
            (Class::Limit, "Give the scratch directory (TMPDIR) room for a whole copy of the database.")
        }
        Some(Code::OperationInterrupted) => (Class::Deadline, "Give the run more time."),
        Some(Code::SystemIoFailure) => (Class::Transient, "Look at the disk that holds the database and at TMPDIR."),
        _ => (Class::Unsupported, "Look at the cause; if the database is sound, please report it."),
    };
    Error::new(class, doing).hint(hint).because(error)
}
