//! A SQLite file as a target: a path at which nothing is.
//!
//! The bytes go into a file beside it, are made durable, opened and counted there, and only then take the path's name, in
//! one step that replaces nothing. A `-wal`, `-shm` or `-journal` that an old database left would be replayed over the
//! new one, so the path is refused while one lies there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use super::{Findings, Loaded, LoadedTable};
use crate::archive::manifest::DatabaseManifest;
use crate::archive::reader::EntryReader;
use crate::progress::Progress;
use crate::{Class, Error, Result};

/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Looks whether the path can take the file. Changes nothing.
pub(crate) fn check(path: &Path, manifest: &DatabaseManifest, findings: &mut Findings) {
    if fs::symlink_metadata(path).is_ok() {
        findings.problem(format!("{path:?} is there already; restore beside it, then swap the names"));
    }
    for companion in COMPANIONS.map(|suffix| beside(path, suffix)) {
        if fs::symlink_metadata(&companion).is_ok() {
            findings.problem(format!(
                "{companion:?} is there and would be replayed over the restored database; stop what uses it and move it away"
            ));
        }
    }
    let Some(folder) = path.parent().filter(|folder| folder.is_dir()) else {
        findings.problem(format!("the folder of {path:?} is not there"));
        return;
    };
    if rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_err() {
        findings.problem(format!("the folder {folder:?} cannot be written to"));
    }
    if let Ok(stat) = rustix::fs::statvfs(folder) {
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < manifest.raw_bytes {
            findings.problem(format!("{folder:?} has {free} bytes left, the database takes {}", manifest.raw_bytes));
        }
    }
}

/// A file that was written beside its place, checked, and not yet named.
pub(crate) struct Written {
    file: NamedTempFile,
    path: PathBuf,
}

/// Writes the file beside its place, and counts the rows in it.
pub(crate) async fn load(
    mut entry: EntryReader,
    path: &Path,
    manifest: &DatabaseManifest,
    progress: &Progress,
) -> Result<(Loaded, Written)> {
    let begun = Instant::now();
    let failed = |error: std::io::Error| write_error(path, error);
    let folder = path.parent().ok_or_else(|| Error::configuration(format!("{path:?} is no path of a file")))?;
    let temporary = tempfile::Builder::new().prefix(".nightvault-restore-").tempfile_in(folder).map_err(failed)?;
    let mut file = tokio::fs::File::from_std(temporary.as_file().try_clone().map_err(failed)?);
    progress.set_current(format!("writing {}", path.display()));
    while let Some(piece) = entry.next().await? {
        file.write_all(&piece).await.map_err(failed)?;
        progress.add_raw_bytes(piece.len() as u64);
    }
    file.flush().await.map_err(failed)?;
    file.sync_all().await.map_err(failed)?;

    progress.set_current("counting the rows");
    let names: Vec<(String, u64)> = manifest.tables.iter().map(|table| (table.name.clone(), table.rows)).collect();
    let counted = temporary.path().to_owned();
    spawn_blocking(move || count(&counted, &names))
        .await
        .map_err(|error| Error::bug("the thread that reads SQLite broke off").because(error))??;
    let tables = manifest.tables.iter().map(|table| LoadedTable {
        schema: None,
        name: table.name.clone(),
        renamed: None,
        rows: table.rows,
        bytes: table.bytes,
        took: begun.elapsed(),
    });
    Ok((
        Loaded { tables: tables.collect(), statements: 0, warnings: Vec::new() },
        Written { file: temporary, path: path.to_owned() },
    ))
}

impl Written {
    /// Gives the file its name, in one step that replaces nothing.
    pub(crate) fn name(self) -> Result<()> {
        let Self { file, path } = self;
        if let Some(companion) =
            COMPANIONS.map(|suffix| beside(&path, suffix)).iter().find(|it| fs::symlink_metadata(it).is_ok())
        {
            return Err(Error::new(Class::AlreadyExists, format!("{companion:?} appeared meanwhile"))
                .hint("Something opens the path of the database; stop it. Nothing was put there."));
        }
        file.persist_noclobber(&path).map_err(|error| write_error(&path, error.error))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| write_error(&path, error))
    }
}

/// Counts the rows of each table and compares. The file is opened as one that nobody changes, so nothing appears beside it.
fn count(path: &Path, tables: &[(String, u64)]) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let failed = |error| Error::corrupt("the restored file is no sound SQLite database").because(error);
    let uri = format!("file:{}?immutable=1", percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags).map_err(failed)?;
    for (name, expected) in tables {
        let query = format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\""));
        let rows: i64 = connection.query_row(&query, [], |row| row.get(0)).map_err(failed)?;
        if u64::try_from(rows) != Ok(*expected) {
            return Err(Error::corrupt(format!(
                "the restored table {name:?} has {rows} rows, its manifest says {expected}"
            )));
        }
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn write_error(path: &Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{AlreadyExists, FileTooLarge, PermissionDenied, QuotaExceeded, StorageFull};
    let class = match error.kind() {
        AlreadyExists => Class::AlreadyExists,
        PermissionDenied => Class::Permission,
        StorageFull | QuotaExceeded | FileTooLarge => Class::Limit,
        _ => Class::Transient,
    };
    Error::new(class, format!("cannot write the SQLite database {path:?}"))
        .hint("Nothing was put in its place.")
        .because(error)
}
