//! Copying a live database into a scratch file by SQLite's online backup interface.
//!
//! In WAL mode one read transaction is held for the whole copy: it sees one snapshot and blocks nobody. With a rollback
//! journal a reader would block writers for as long as it reads, so the copy goes in slices and lets go of the database
//! between them; SQLite itself notices a write in between and starts the copy anew. Each new start doubles the slice up
//! to [`Limits::largest_slice_bytes`]: a database that fits into one slice is always copied, and a larger one that is
//! written all the time is refused in the end, loudly.
//!
//! The source file is never opened but by SQLite: closing another handle of the same file would drop the locks that
//! SQLite holds on it in this process (POSIX advisory locks, <https://www.sqlite.org/howtocorrupt.html>, 2.2).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::scratch::Scratch;
use super::{Cancel, explain, shown, unsigned};
use crate::{Class, Error, Result};

/// Room that must be left on the scratch disk behind the copy, in bytes.
const SPARE_BYTES: u64 = 1 << 20;

/// What bounds a copy.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// Whether SQLite goes on waiting for a lock after so many looks; and how often we ask again when it gave up.
    pub(super) wait: fn(i32) -> bool,
    pub(super) busy_tries: u32,
    /// How often the copy may start anew because somebody wrote.
    pub(super) restarts: u32,
    /// Bytes that are copied under one lock, at first and at most.
    pub(super) slice_bytes: u64,
    pub(super) largest_slice_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { wait, busy_tries: 60, restarts: 20, slice_bytes: 4 << 20, largest_slice_bytes: 64 << 20 }
    }
}

/// Waits for a lock, about a second. SQLite's own way looks ten times a second, and beside a writer that commits without
/// a pause the moments between its locks are shorter than that.
fn wait(looks: i32) -> bool {
    std::thread::sleep(Duration::from_millis(1));
    looks < 1000
}

/// Whether the file is there, can be read and is a SQLite database. Changes nothing.
pub(super) fn check_source(path: &Path) -> Result<()> {
    let path = find(path)?;
    let connection = open(&path, OpenFlags::SQLITE_OPEN_READ_ONLY, &Limits { busy_tries: 5, ..Limits::default() })?;
    match first_read(&connection) {
        Ok(()) => Ok(()),
        // A journal left by a crash: the dump rolls it back, a check must not.
        Err(error) if needs_recovery(&error) => Ok(()),
        // Locked at this moment: it is a database, and the dump waits for it.
        Err(error) if is_busy(&error) => Ok(()),
        Err(error) => Err(explain(error, format!("cannot read the SQLite database {}", shown(path)))),
    }
}

/// Copies the database at `path` into `scratch` and returns the facts of the copy.
pub(super) fn copy(
    path: &Path,
    scratch: &Scratch,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<BTreeMap<String, String>> {
    let path = find(path)?;
    let failed = |error| explain(error, format!("cannot copy the SQLite database {}", shown(&path)));
    let source = open_for_copy(&path, limits, cancel)?;
    let mode: String = source.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(failed)?;
    let held = mode == "wal";
    if held {
        // The read makes the transaction take its snapshot; backup steps then use this transaction.
        source.execute_batch("BEGIN").map_err(failed)?;
        patiently(limits, cancel, &failed, || first_read(&source))?;
    }
    let page_bytes = source.query_row("PRAGMA page_size", [], unsigned).map_err(failed)?;
    let pages = patiently(limits, cancel, &failed, || source.query_row("PRAGMA page_count", [], unsigned))?;
    check_space(pages.saturating_mul(page_bytes), scratch.free_bytes()?, &path)?;

    let mut target = open(scratch.file(), OpenFlags::SQLITE_OPEN_READ_WRITE, limits)?;
    // Nothing to roll back and nothing to survive a crash: a scratch file that is not finished is thrown away.
    target
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE")
        .map_err(failed)?;
    let backup = Backup::new(&source, &mut target).map_err(failed)?;
    let restarts = run(page_bytes, limits, cancel, &path, |pages| {
        let result = backup.step(pages)?;
        let progress = backup.progress();
        Ok((result, progress.pagecount - progress.remaining))
    })?;
    drop(backup);

    let method = if held { "one read transaction" } else { "slices, started anew after each write" };
    Ok(BTreeMap::from([
        ("copied_by".to_owned(), format!("online backup, {method}")),
        ("copy_restarts".to_owned(), restarts.to_string()),
        ("journal_mode".to_owned(), mode),
    ]))
}

/// Steps through the copy to its end; returns how often it started anew. `step` copies so many pages and says how many
/// are copied in all.
pub(super) fn run(
    page_bytes: u64,
    limits: &Limits,
    cancel: &Cancel,
    path: &Path,
    mut step: impl FnMut(i32) -> rusqlite::Result<(StepResult, i32)>,
) -> Result<u32> {
    let pages_of = |bytes: u64| i32::try_from((bytes / page_bytes).max(1)).unwrap_or(i32::MAX);
    let (mut slice, mut restarts, mut busy, mut done) = (limits.slice_bytes, 0, 0, 0);
    loop {
        cancel.check()?;
        match step(pages_of(slice)) {
            Ok((StepResult::Done, _)) => return Ok(restarts),
            Ok((StepResult::Busy | StepResult::Locked, _)) => {
                busy += 1;
                if busy >= limits.busy_tries {
                    return Err(Error::new(
                        Class::Transient,
                        format!("the SQLite database {} stays locked", shown(path)),
                    )
                    .hint("Another process holds a lock on the database; end its transaction or run again later."));
                }
            }
            Ok((_, now)) => {
                busy = 0;
                // Each step copies at least a page, so standing still means that SQLite began again at the first one.
                if now <= done {
                    restarts += 1;
                    if restarts > limits.restarts {
                        return Err(too_busy(path, limits.restarts));
                    }
                    slice = (slice * 2).min(limits.largest_slice_bytes);
                }
                done = now;
            }
            Err(error) => return Err(explain(error, format!("cannot copy the SQLite database {}", shown(path)))),
        }
    }
}

fn too_busy(path: &Path, restarts: u32) -> Error {
    let path = shown(path);
    Error::new(
        Class::Inconsistent,
        format!("the SQLite database {path} was written so often that {restarts} new starts of its copy did not come to an end"),
    )
    .hint("Set `PRAGMA journal_mode = WAL` on the database, in which writers and the backup do not disturb each other, or pause the writer.")
}

/// The absolute path of a regular, readable file that is not empty; whatever else it is, by name.
fn find(path: &Path) -> Result<PathBuf> {
    // SQLite reads a relative name that begins with `file:` as a URI; an absolute one is always a file.
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::configuration(format!("{} is no path of a file", shown(path))).because(error))?;
    let class = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Class::NotFound,
        io::ErrorKind::PermissionDenied => Class::Permission,
        _ => Class::Transient,
    };
    let failed = |error: io::Error| {
        Error::new(class(&error), format!("cannot open the SQLite database {}", shown(&absolute)))
            .hint("Give the path of the database file, and let the user of the backup read it.")
            .because(error)
    };
    let metadata = fs::metadata(&absolute).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::configuration(format!("{} is not a file, so it is no SQLite database", shown(&absolute))));
    }
    if metadata.len() == 0 {
        return Err(Error::new(Class::NotFound, format!("the SQLite database {} is empty", shown(&absolute)))
            .hint("SQLite makes an empty file when a program opens a wrong path; give the path of the database."));
    }
    rustix::fs::access(&absolute, rustix::fs::Access::READ_OK).map_err(|error| failed(error.into()))?;
    Ok(absolute)
}

/// Opens the source for reading; for writing only when a journal left by a crash must be rolled back first.
fn open_for_copy(path: &Path, limits: &Limits, cancel: &Cancel) -> Result<Connection> {
    let failed = |error| explain(error, format!("cannot read the SQLite database {}", shown(path)));
    let reader = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, limits)?;
    let sound = patiently(limits, cancel, &failed, || match first_read(&reader) {
        Err(error) if needs_recovery(&error) => Ok(false),
        other => other.map(|()| true),
    })?;
    if sound {
        return Ok(reader);
    }
    drop(reader);
    let writer = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, limits)?;
    patiently(limits, cancel, &failed, || first_read(&writer))?;
    Ok(writer)
}

fn open(path: &Path, mode: OpenFlags, limits: &Limits) -> Result<Connection> {
    let failed = |error| explain(error, format!("cannot open the SQLite database {}", shown(path)));
    let mut connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_handler(Some(limits.wait)).map_err(failed)?;
    Ok(connection)
}

/// Reads the schema's first page: takes the lock, finds journals, and tells what is no database.
fn first_read(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)).map(|_| ())
}

/// Whether a reader may not read before somebody who may write has rolled back, or taken in, what a crash left behind.
fn needs_recovery(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_READONLY_RECOVERY, SQLITE_READONLY_ROLLBACK};
    matches!(error.sqlite_extended_error_code(), Some(SQLITE_READONLY_ROLLBACK | SQLITE_READONLY_RECOVERY))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Does `work` again while the database is locked, [`Limits::busy_tries`] times at most.
fn patiently<T>(
    limits: &Limits,
    cancel: &Cancel,
    failed: &dyn Fn(rusqlite::Error) -> Error,
    mut work: impl FnMut() -> rusqlite::Result<T>,
) -> Result<T> {
    let mut tries = 0;
    loop {
        cancel.check()?;
        tries += 1;
        match work() {
            Err(error) if is_busy(&error) && tries < limits.busy_tries => {}
            other => return other.map_err(failed),
        }
    }
}

/// Refuses a copy for which the scratch disk has no room, before the first byte.
pub(super) fn check_space(needed: u64, free: u64, path: &Path) -> Result<()> {
    if needed.saturating_add(SPARE_BYTES) <= free {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    Err(Error::new(
        Class::Limit,
        format!(
            "no room for a snapshot of {}: it takes {} MiB, and the scratch directory has {} MiB left",
            shown(path),
            mib(needed),
            free >> 20
        ),
    )
    .hint("Point TMPDIR at a larger disk; on Lambda, raise the function's ephemeral storage."))
}
