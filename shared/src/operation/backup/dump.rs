//! The sources, one after the other, through the archive; and the manifest of what came out.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;

use super::selection::{NamedDatabase, Selection, engine};
use crate::archive::manifest::{DatabaseManifest, FORMAT_VERSION, FilesManifest, IndexRef, Manifest};
use crate::archive::{ArchiveWriter, EntryMeta};
use crate::config::{Compression, Config, DatabaseConfig, DiskKind, FileSetConfig};
use crate::operation::Context;
use crate::report::SourceReport;
use crate::source::{DumpLimits, DumpWriter, files, mysql, postgres, sqlite};
use crate::{Error, Result};

/// A regular file that its owner alone may read: a dump taken out of an archive is a database in plain text.
const DUMP_MODE: u32 = 0o100_600;

/// What was read, for the manifest and for the report.
pub(super) struct Dumped {
    pub(super) databases: Vec<DatabaseManifest>,
    pub(super) files: Vec<FilesManifest>,
    pub(super) sources: Vec<SourceReport>,
}

/// Reaches every source and makes the cheap checks, so that every bad source is named before a byte is written.
///
/// # Errors
/// The first problem, of whichever class it is, with all others in its hint.
pub(super) async fn check(selection: &Selection, config: &Config) -> Result<()> {
    let limits = &config.dump_limits;
    let databases = join_all(selection.databases.iter().map(async |database| {
        let checked = match &database.config {
            DatabaseConfig::Postgres(server) => postgres::check(server, limits).await,
            DatabaseConfig::Mysql(server) => mysql::check(server, limits).await,
            DatabaseConfig::Sqlite { path } => sqlite::check(path).await,
        };
        checked.map_err(|error| error.context(format!("database {}", database.name)))
    }))
    .await;
    let files = join_all(selection.files.iter().map(async |set| {
        let checked = refuse_vault_inside(set, config).and(files::check(set).await);
        checked.map_err(|error| error.context(format!("files {}", set.name)))
    }))
    .await;

    let mut problems = databases.into_iter().chain(files).filter_map(Result::err);
    let Some(first) = problems.next() else { return Ok(()) };
    let others: Vec<String> = problems.map(|error| error.chain()).collect();
    if others.is_empty() {
        return Err(first);
    }
    let hint = format!("{} Besides: {}", first.hint_text().unwrap_or_default(), others.join("; "));
    Err(first.hint(hint.trim().to_owned()))
}

/// A vault inside the files would be backed up into itself, every night twice as large.
fn refuse_vault_inside(set: &FileSetConfig, config: &Config) -> Result<()> {
    let real = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.into());
    let root = real(&set.root);
    let inside = config.disks.iter().find_map(|disk| match &disk.kind {
        DiskKind::Local { path } if real(path).starts_with(&root) => Some((&disk.name, path)),
        _ => None,
    });
    match inside {
        None => Ok(()),
        Some((disk, path)) => Err(Error::configuration(format!(
            "{} holds {}, the vault of disk {disk}: it would be backed up into itself",
            set.root.display(),
            path.display()
        ))
        .hint("Move the vault elsewhere, or name narrower directories in BACKUP_FILES.")),
    }
}

/// A guess of all dumps together, for sizing upload parts; `None` when no server tells.
pub(super) async fn estimate(selection: &Selection) -> Option<u64> {
    let guesses = join_all(selection.databases.iter().map(async |database| match &database.config {
        DatabaseConfig::Postgres(server) => postgres::estimate(server).await,
        DatabaseConfig::Mysql(server) => mysql::estimate(server).await,
        DatabaseConfig::Sqlite { path } => tokio::fs::metadata(path).await.ok().map(|file| file.len()),
    }))
    .await;
    guesses.into_iter().flatten().reduce(u64::saturating_add)
}

/// Dumps every source into the archive, in the order of the configuration.
pub(super) async fn write(
    selection: &Selection,
    config: &Config,
    context: &Context,
    archive: &mut ArchiveWriter<'_>,
) -> Result<Dumped> {
    let mut dumped = Dumped { databases: Vec::new(), files: Vec::new(), sources: Vec::new() };
    for database in &selection.databases {
        let (manifest, report) = write_database(database, &config.dump_limits, context, archive)
            .await
            .map_err(|error| error.context(format!("database {}", database.name)))?;
        dumped.databases.push(manifest);
        dumped.sources.push(report);
    }
    for set in &selection.files {
        let (manifest, report) = write_files(set, config.max_files, context, archive)
            .await
            .map_err(|error| error.context(format!("files {}", set.name)))?;
        dumped.files.push(manifest);
        dumped.sources.push(report);
    }
    Ok(dumped)
}

async fn write_database(
    database: &NamedDatabase,
    limits: &DumpLimits,
    context: &Context,
    archive: &mut ArchiveWriter<'_>,
) -> Result<(DatabaseManifest, SourceReport)> {
    let begun = Instant::now();
    context.progress.set_current(format!("{} ({})", database.name, engine(&database.config)));
    archive.start_entry(&database.entry, EntryMeta { mode: DUMP_MODE, modified: context.now.as_second() }).await?;
    let mut out = DumpWriter::new(archive, &context.progress);
    let dump = match &database.config {
        DatabaseConfig::Postgres(server) => postgres::dump(server, limits, &mut out).await?,
        DatabaseConfig::Mysql(server) => mysql::dump(server, limits, &mut out).await?,
        DatabaseConfig::Sqlite { path } => sqlite::dump(path, &mut out).await?,
    };
    let written = out.finish().await?;
    let entry = archive.end_entry().await?;
    if entry.raw_bytes != written {
        return Err(Error::bug(format!("the archive took {} of {written} bytes of the dump", entry.raw_bytes)));
    }

    let rows = dump.tables.iter().map(|table| table.rows).sum();
    let report = source_report(&database.name, &dump.engine, begun.elapsed(), entry.raw_bytes, entry.stored_bytes);
    let report = SourceReport { items: dump.tables.len() as u64, rows, ..report };
    let manifest = DatabaseManifest {
        name: database.name.clone(),
        engine: dump.engine,
        server_version: dump.server_version,
        entry: entry.name,
        snapshot: dump.snapshot,
        tables: dump.tables,
        objects: dump.objects,
        warnings: dump.warnings,
        rows,
        raw_bytes: entry.raw_bytes,
        stored_bytes: entry.stored_bytes,
        sha256: entry.sha256,
    };
    Ok((manifest, report))
}

async fn write_files(
    set: &FileSetConfig,
    max_files: u64,
    context: &Context,
    archive: &mut ArchiveWriter<'_>,
) -> Result<(FilesManifest, SourceReport)> {
    let begun = Instant::now();
    context.progress.set_current(format!("files {}", set.name));
    let manifest = files::add(set, archive, &context.progress, max_files).await?;
    let report = source_report(&set.name, "files", begun.elapsed(), manifest.raw_bytes, manifest.stored_bytes);
    let report = SourceReport { items: manifest.files, problems: manifest.problems.clone(), ..report };
    Ok((manifest, report))
}

fn source_report(name: &str, kind: &str, took: Duration, raw_bytes: u64, stored_bytes: u64) -> SourceReport {
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    SourceReport {
        name: name.to_owned(),
        kind: kind.to_owned(),
        items: 0,
        rows: 0,
        raw_bytes,
        stored_bytes,
        duration_ms,
        bytes_per_second: raw_bytes.saturating_mul(1000) / duration_ms.max(1),
        problems: Vec::new(),
    }
}

/// The manifest of what was read; the archive fills in what it knows itself, index and piece size.
pub(super) fn manifest(
    config: &Config,
    key: &str,
    date: Timestamp,
    started: Timestamp,
    took: Duration,
    databases: Vec<DatabaseManifest>,
    files: Vec<FilesManifest>,
) -> Manifest {
    Manifest {
        format_version: FORMAT_VERSION,
        tool: format!("nightvault {}", env!("CARGO_PKG_VERSION")),
        name: config.name.clone(),
        key: key.to_owned(),
        date,
        started,
        finished: started + took,
        databases,
        files,
        compression: match config.compression {
            Compression::Deflate(_) => "deflate",
            Compression::Zstd(_) => "zstd",
            Compression::Store => "store",
        }
        .to_owned(),
        piece_bytes: 0,
        index: IndexRef { entries: 0, bytes: 0, sha256: String::new() },
    }
}
