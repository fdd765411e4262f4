//! The show recipe: what is inside a backup, from its end alone.

use std::sync::Arc;

use jiff::Timestamp;

use crate::archive::foreign::ForeignEntry;
use crate::archive::manifest::Manifest;
use crate::archive::{self, Tail, reader};
use crate::catalog;
use crate::environment::Environment;
use crate::operation::Context;
use crate::operation::find::{Wanted, find};
use crate::operation::foreign::another_programs;
use crate::report::{ForeignLine, GuardReport, ProofReport, ShowReport};
use crate::secret::Secret;
use crate::store::{Guard, Object, Store};
use crate::{Class, Error, Result};

/// Tells what one backup holds.
///
/// # Errors
/// The backup is not there, is damaged, or the password does not open it.
pub async fn show(environment: &Environment, wanted: &Wanted, context: &Context) -> Result<ShowReport> {
    let password = environment.archive_password().await;
    context
        .unless_stopped(async {
            let (store, backup) = find(environment, wanted, context).await?;
            let disk = store.disk().to_owned();
            let on_disk = |error: Error| error.context(format!("disk {disk}"));
            let inside = look(environment, &store, &backup.object, password.as_ref()).await.map_err(on_disk)?;
            // What is noted is told where it can be read; what is inside does not hang on it.
            let proof = catalog::proof(&*store, &backup.object).await.unwrap_or_else(|error| {
                tracing::warn!(disk, error = error.chain(), "what the last verification found cannot be read");
                None
            });
            let guard = store.guard(&backup.object.key).await.unwrap_or_else(|error| {
                tracing::warn!(disk, error = error.chain(), "whether it is locked or held cannot be seen");
                Guard::default()
            });
            let date = backup.key.date();
            Ok(ShowReport {
                disk: disk.clone(),
                key: backup.object.key.clone(),
                date,
                age_seconds: context.now.duration_since(date).as_secs(),
                size: backup.object.size,
                bytes_read: inside.bytes_read,
                entries: inside.entries,
                encrypted: inside.encrypted,
                proof: proof.map(ProofReport::from),
                guard: GuardReport::of(&guard, context.now),
                manifest: inside.manifest,
                foreign: inside.foreign,
            })
        })
        .await
}

/// What an archive says of itself.
struct Inside {
    bytes_read: u64,
    entries: u64,
    encrypted: bool,
    manifest: Option<Manifest>,
    foreign: Option<Vec<ForeignLine>>,
}

async fn look(
    environment: &Environment,
    store: &Arc<dyn Store>,
    object: &Object,
    password: std::result::Result<&Secret, &Error>,
) -> Result<Inside> {
    let read = match password {
        Ok(password) => reader::read_tail(Arc::clone(store), object, password).await,
        // The directory of another program's archive is read without one.
        Err(_) => Err(Error::corrupt("it was not opened, for want of a password")),
    };
    let error = match read {
        Ok(Tail { manifest, entries, encrypted, bytes_read }) => {
            return Ok(Inside { bytes_read, entries, encrypted, manifest: Some(manifest), foreign: None });
        }
        Err(error) => error,
    };
    match (another_programs(store, object, error).await, password) {
        (Ok(()), _) => {}
        (Err(error), Err(missing)) if error.class() == Class::Corrupt => return Err(Error::copy(missing)),
        (Err(error), _) => return Err(error),
    }
    let zone = &environment.config().timezone;
    let (entries, bytes_read) = archive::foreign::read_directory(Arc::clone(store), object, zone).await?;
    let line = |entry: &ForeignEntry| ForeignLine {
        name: entry.name.clone(),
        bytes: entry.bytes,
        stored_bytes: entry.stored_bytes,
        encryption: entry.protection.words().to_owned(),
        modified: Timestamp::from_second(entry.modified).ok(),
    };
    Ok(Inside {
        bytes_read,
        entries: entries.len() as u64,
        encrypted: archive::foreign::is_encrypted(&entries),
        manifest: None,
        foreign: Some(entries.iter().map(line).collect()),
    })
}
