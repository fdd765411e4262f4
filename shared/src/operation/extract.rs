//! The extract recipe: database dumps and files out of one backup, into a folder.
//!
//! The archive is opened once. Nothing is made before its manifest and index are authenticated and all that is asked for
//! is known to have a free place. Every file is written beside its place and gets its name when its authentication code
//! and digest have matched; nothing is ever overwritten. Directories get their modes and times last, and symbolic links
//! come after all files, so that no file can be written through one.

mod folder;
mod rehearse;
mod take;
#[cfg(test)]
mod tests;
mod wanted;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::archive::reader::{self, Unpacker};
use crate::environment::Environment;
use crate::operation::find::{Wanted, find};
use crate::operation::{Context, Failed};
use crate::report::{ExtractReport, LeftOut};
use crate::secret::Secret;
use crate::store::{Object, Store};
use crate::{Class, Error, Result};

use folder::Folder;
pub(super) use folder::failed;
use rehearse::Rehearsal;
use take::Take;
pub(super) use take::Taken;
use wanted::Filter;

/// What is to be taken out, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extraction {
    /// Of which backup.
    pub of: Wanted,
    /// The folder; made when it is not there.
    pub to: PathBuf,
    /// Databases by their names. With no database and no file set, everything is meant.
    pub databases: Vec<String>,
    /// File sets by their names.
    pub files: Vec<String>,
    /// Globs on the entries' names, e.g. `files/docs/2024/**` or `*.sql`; of what is named above, only what matches one.
    /// Empty = all of it.
    pub patterns: Vec<String>,
}

/// Extracts a part of a backup, or all of it.
///
/// # Errors
/// Damage, a wrong password, a name that is not in the backup, a place that is taken, the file system's words; what is
/// there nevertheless stands in the report. [`Class::Unsupported`] when all is there but what the report calls left out.
pub async fn extract(
    environment: &Environment,
    extraction: &Extraction,
    context: &Context,
) -> Result<ExtractReport, Failed<ExtractReport>> {
    let outcome = run(environment, extraction, context).await;
    super::log_outcome("extract", &outcome);
    outcome
}

async fn run(
    environment: &Environment,
    extraction: &Extraction,
    context: &Context,
) -> Result<ExtractReport, Failed<ExtractReport>> {
    let begun = Instant::now();
    let filter = Filter::new(extraction)?;
    let password = environment.archive_password().await?;
    let (store, backup) = context.unless_stopped(find(environment, &extraction.of, context)).await?;

    let folder = Folder::new(extraction.to.clone());
    let (taken, bytes_read, finished) = take_out(&store, &backup.object, &password, folder, filter, context).await?;
    let report = ExtractReport {
        disk: store.disk().to_owned(),
        key: backup.object.key.clone(),
        date: backup.key.date(),
        to: extraction.to.display().to_string(),
        files: taken.files,
        directories: taken.directories,
        symlinks: taken.symlinks,
        raw_bytes: taken.raw_bytes,
        bytes_read,
        wanted: taken.wanted,
        last: taken.last,
        left_out: taken.left_out,
        duration_ms: super::elapsed_ms(begun),
    };
    let finished = finished.map_err(|error| error.context(format!("disk {}", report.disk)));
    match finished.and_then(|()| judge(&report.left_out)) {
        Ok(()) => Ok(report),
        Err(error) => Err(Failed { error, report: Some(Box::new(report)) }),
    }
}

/// Takes what `filter` says into `folder`; returns what is there, the bytes that were read, and how it ended.
async fn take_out(
    store: &Arc<dyn Store>,
    object: &Object,
    password: &Secret,
    folder: Folder,
    filter: Filter,
    context: &Context,
) -> Result<(Taken, u64, Result<()>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let take = Take::new(folder, filter, Arc::clone(&stop), Arc::clone(&context.progress));
    let (take, bytes_read, result) = read_out(store, object, password, take, &stop, context).await?;
    let (taken, finished) = tokio::task::spawn_blocking(move || take.finish(result))
        .await
        .map_err(|error| Error::bug("the writing thread ended early").because(error))?;
    Ok((taken, bytes_read, finished))
}

/// Hands entries to `unpacker`. Its thread is asked to stop, and waited for: what it has begun it removes itself.
async fn read_out<U: Unpacker>(
    store: &Arc<dyn Store>,
    object: &Object,
    password: &Secret,
    unpacker: U,
    stop: &AtomicBool,
    context: &Context,
) -> Result<(U, u64, Result<()>)> {
    let unpacking = reader::unpack(Arc::clone(store), object, password, unpacker);
    tokio::pin!(unpacking);
    let (unpacked, stopped) = tokio::select! {
        unpacked = &mut unpacking => (unpacked, None),
        error = context.stopped() => {
            stop.store(true, Ordering::Relaxed);
            (unpacking.await, Some(error))
        }
    };
    let (unpacker, bytes_read, result) = unpacked?;
    let result = match (result, stopped) {
        (Err(_), Some(stopped)) => Err(stopped),
        (result, _) => result,
    };
    Ok((unpacker, bytes_read, result))
}

/// Takes the file sets `sets` out into `folder`, which was just made for this, with what lies below `above`; for restore.
pub(super) async fn file_sets(
    (store, object, password): (&Arc<dyn Store>, &Object, &Secret),
    sets: &[String],
    above: &str,
    folder: &Path,
    context: &Context,
) -> Result<Taken> {
    let folder = Folder::of(folder.to_owned(), above);
    let (taken, _, finished) = take_out(store, object, password, folder, Filter::file_sets(sets), context).await?;
    finished.map(|()| taken)
}

/// Reads the file sets `sets` as [`file_sets`] would, and makes nothing.
pub(super) async fn rehearse_file_sets(
    (store, object, password): (&Arc<dyn Store>, &Object, &Secret),
    sets: &[String],
    above: &str,
    context: &Context,
) -> Result<Taken> {
    let stop = Arc::new(AtomicBool::new(false));
    let rehearsal = Rehearsal::new(above, Filter::file_sets(sets), Arc::clone(&stop), Arc::clone(&context.progress));
    let (rehearsal, _, result) = read_out(store, object, password, rehearsal, &stop, context).await?;
    result.map(|()| rehearsal.taken)
}

/// What was left out makes the result less than what was asked for.
pub(super) fn judge(left_out: &[LeftOut]) -> Result<()> {
    let Some(first) = left_out.first() else { return Ok(()) };
    let count = left_out.len();
    Err(Error::new(
        Class::Unsupported,
        format!("{count} of the entries could not be made, the first is {:?}: {}", first.entry, first.reason),
    )
    .hint("All else is there. 7-Zip takes links out as they are, into a folder where that does no harm."))
}
