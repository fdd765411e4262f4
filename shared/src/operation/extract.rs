//! The extract recipe: database dumps and files out of one backup, into a folder.
//!
//! An archive of another program is taken out as well (`foreign`). The archive is opened once. Nothing is made before its manifest and index are authenticated and all that is asked for
//! is known to have a free place. Every file is written beside its place and gets its name when its authentication code
//! and digest have matched; nothing is ever overwritten. Directories get their modes and times last, and symbolic links
//! come after all files, so that no file can be written through one.

mod folder;
mod foreign;
mod rehearse;
mod take;
#[cfg(test)]
mod tests;
mod wanted;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::archive::{self, reader};
use crate::environment::Environment;
use crate::operation::end::End;
use crate::operation::find::{Wanted, find};
use crate::operation::foreign::another_programs;
use crate::operation::{Context, Failed};
use crate::report::{ExtractReport, LeftOut};
use crate::secret::Secret;
use crate::store::{Object, Store};
use crate::{Class, Error, Result};

use folder::Folder;
pub(super) use folder::failed;
use foreign::ForeignTake;
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
    /// Decompress the dumps of another program's archive that gzip compressed, each beside itself.
    pub gunzip: bool,
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
    let begun = Instant::now();
    let outcome = run(environment, extraction, context).await;
    let end = End { disks: &extraction.of.disks, planned: false, notify: false, begun };
    super::end::end(environment, context, end, outcome).await
}

async fn run(
    environment: &Environment,
    extraction: &Extraction,
    context: &Context,
) -> Result<ExtractReport, Failed<ExtractReport>> {
    let begun = Instant::now();
    let filter = Filter::new(extraction)?;
    let password = environment.archive_password().await;
    let password = password.as_ref();
    let (store, backup) = context.unless_stopped(find(environment, &extraction.of, context)).await?;

    let folder = Folder::new(extraction.to.clone());
    let done = match password {
        Ok(password) => take_out(&store, &backup.object, password, folder, filter, context).await?,
        // It may be an archive that needs none.
        Err(_) => (Taken::default(), Err(Error::corrupt("it was not opened, for want of a password"))),
    };
    let mut foreign = false;
    let (taken, finished) = match (done, password) {
        // Nothing was made before it was opened.
        ((taken, Err(error)), _) if taken.wanted == 0 && error.class() == Class::Corrupt => {
            match (another_programs(&store, &backup.object, error).await, password) {
                (Ok(()), _) => {
                    foreign = true;
                    take_foreign(environment, extraction, &store, &backup.object, password, context).await?
                }
                (Err(error), Err(missing)) if error.class() == Class::Corrupt => {
                    return Err(Error::copy(missing).into());
                }
                (Err(error), _) => (taken, Err(error)),
            }
        }
        (done, _) => done,
    };
    let report = ExtractReport {
        disk: store.disk().to_owned(),
        key: backup.object.key.clone(),
        date: backup.key.date(),
        to: extraction.to.display().to_string(),
        foreign,
        files: taken.files,
        directories: taken.directories,
        symlinks: taken.symlinks,
        decompressed: taken.decompressed,
        raw_bytes: taken.raw_bytes,
        bytes_read: taken.bytes_read,
        wanted: taken.wanted,
        last: taken.last,
        left_out: taken.left_out,
        warnings: if extraction.gunzip && !foreign {
            vec!["there was nothing to gunzip: the dumps of this archive are plain".to_owned()]
        } else {
            Vec::new()
        },
        duration_ms: super::elapsed_ms(begun),
    };
    let finished = finished.map_err(|error| error.context(format!("disk {}", report.disk)));
    match finished.and_then(|()| judge(&report.left_out)) {
        Ok(()) => Ok(report),
        Err(error) => Err(Failed { error, report: Some(Box::new(report)) }),
    }
}

/// Takes what `filter` says into `folder`; returns what is there, and how it ended.
async fn take_out(
    store: &Arc<dyn Store>,
    object: &Object,
    password: &Secret,
    folder: Folder,
    filter: Filter,
    context: &Context,
) -> Result<(Taken, Result<()>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let take = Take::new(folder, filter, Arc::clone(&stop), Arc::clone(&context.progress));
    // What it has begun its thread removes itself.
    let unpacking = reader::unpack(Arc::clone(store), object, password, take);
    let (take, bytes_read, result) = super::until_stopped(unpacking, &stop, context).await?;
    let (mut taken, finished) = tokio::task::spawn_blocking(move || take.finish(result))
        .await
        .map_err(|error| Error::bug("the writing thread ended early").because(error))?;
    taken.bytes_read = bytes_read;
    Ok((taken, finished))
}

/// Takes entries out of another program's archive.
async fn take_foreign(
    environment: &Environment,
    extraction: &Extraction,
    store: &Arc<dyn Store>,
    object: &Object,
    password: std::result::Result<&Secret, &Error>,
    context: &Context,
) -> Result<(Taken, Result<()>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let folder = Folder::new(extraction.to.clone()).plain();
    let take = Take::new(folder, Filter::new(extraction)?, Arc::clone(&stop), Arc::clone(&context.progress));
    let take = ForeignTake::new(take, extraction.gunzip);
    let zone = &environment.config().timezone;
    let unpacking = archive::foreign::unpack(Arc::clone(store), object, password, zone, take);
    let (take, bytes_read, result) = super::until_stopped(unpacking, &stop, context).await?;
    let decompressed = take.decompressed;
    let (mut taken, finished) = tokio::task::spawn_blocking(move || take.into_take().finish(result))
        .await
        .map_err(|error| Error::bug("the writing thread ended early").because(error))?;
    (taken.decompressed, taken.bytes_read) = (decompressed, bytes_read);
    Ok((taken, finished))
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
    let (taken, finished) = take_out(store, object, password, folder, Filter::file_sets(sets), context).await?;
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
    let unpacking = reader::unpack(Arc::clone(store), object, password, rehearsal);
    let (rehearsal, bytes_read, result) = super::until_stopped(unpacking, &stop, context).await?;
    result.map(|()| Taken { bytes_read, ..rehearsal.taken })
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
