//! The list recipe: every backup of every disk, with what its end says when a password is there to read it.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use jiff::tz::TimeZone;

use crate::Result;
use crate::archive::{self, reader};
use crate::catalog::{self, Backup};
use crate::environment::Environment;
use crate::operation::backup::pick;
use crate::operation::foreign::another_programs;
use crate::operation::{Context, Event};
use crate::report::{BackupLine, DiskList, GuardReport, ListReport, ProofReport, SlicesReport};
use crate::secret::Secret;
use crate::store::Store;

/// Backups whose ends are read at the same time.
const READS_IN_FLIGHT: usize = 8;

/// Lists the backups of the disks. A disk that cannot be listed is named in the report; a backup that cannot be read is
/// listed with the reason.
///
/// # Errors
/// A disk that is not configured, or the deadline.
pub async fn list(environment: &Environment, event: &Event, context: &Context) -> Result<ListReport> {
    let stores = pick(environment.stores(), &event.disks, |store| store.disk().to_owned(), "disk")?;
    let config = environment.config();
    // Without a password there is still a list; each line then says that it was not read.
    let password = environment.archive_password().await;
    let disks = context
        .unless_stopped(async {
            Ok(join_all(stores.iter().map(|store| list_disk(environment, store, password.as_ref().ok(), context)))
                .await)
        })
        .await?;
    Ok(ListReport { name: config.name.clone(), now: context.now, disks })
}

async fn list_disk(
    environment: &Environment,
    store: &Arc<dyn Store>,
    password: Option<&Secret>,
    context: &Context,
) -> DiskList {
    let config = environment.config();
    let disk = store.disk().to_owned();
    match catalog::read(&**store, &config.name, &config.filename_prefix, &config.timezone).await {
        Ok(catalog) => {
            let lines = catalog.backups.iter().map(|backup| line(store, backup, password, &config.timezone, context));
            DiskList {
                disk,
                backups: futures_util::stream::iter(lines).buffered(READS_IN_FLIGHT).collect().await,
                foreign: catalog.foreign.into_iter().map(|object| object.key).collect(),
                error: None,
            }
        }
        Err(error) => DiskList { disk, backups: Vec::new(), foreign: Vec::new(), error: Some(error.chain()) },
    }
}

async fn line(
    store: &Arc<dyn Store>,
    backup: &Backup,
    password: Option<&Secret>,
    zone: &TimeZone,
    context: &Context,
) -> BackupLine {
    let date = backup.key.date();
    let mut line = BackupLine {
        key: backup.object.key.clone(),
        date,
        age_seconds: context.now.duration_since(date).as_secs(),
        size: backup.object.size,
        sources: None,
        encrypted: None,
        verified: "not read: no password".to_owned(),
        proof: None,
        slices: None,
        guard: None,
    };
    // What is noted is told where it can be read; that it cannot is no fault of the backup.
    match catalog::noted_beside(&**store, &backup.object).await {
        Ok(noted) => {
            let noted = noted.unwrap_or_default();
            (line.proof, line.slices) = (noted.proof.map(ProofReport::from), noted.slices.map(SlicesReport::from));
        }
        Err(error) => tracing::warn!(
            disk = store.disk(),
            error = error.chain(),
            "what the last verification found cannot be read"
        ),
    }
    match store.guard(&backup.object.key).await {
        Ok(guard) => line.guard = GuardReport::of(&guard, context.now),
        Err(error) => {
            tracing::warn!(disk = store.disk(), error = error.chain(), "whether it is locked or held cannot be seen");
        }
    }
    let Some(password) = password else { return line };
    match reader::read_tail(store.clone(), &backup.object, password).await {
        Ok(tail) => {
            line.sources = Some(tail.manifest.source_names());
            line.encrypted = Some(tail.encrypted);
            line.verified = "tail".to_owned();
        }
        Err(error) => match another_programs(store, &backup.object, error).await {
            Ok(()) => {
                line.verified = "foreign".to_owned();
                let directory = archive::foreign::read_directory(store.clone(), &backup.object, zone).await;
                match directory {
                    Ok((entries, _)) => line.encrypted = Some(archive::foreign::is_encrypted(&entries)),
                    Err(error) => line.verified = error.chain(),
                }
            }
            Err(error) => line.verified = error.chain(),
        },
    }
    line
}
