//! The show recipe: what is inside a backup, from its end alone.

use crate::archive::reader;
use crate::catalog;
use crate::environment::Environment;
use crate::operation::Context;
use crate::operation::find::{Wanted, find};
use crate::report::{ProofReport, ShowReport};
use crate::{Error, Result};

/// Tells what one backup holds.
///
/// # Errors
/// The backup is not there, is damaged, or the password does not open it.
pub async fn show(environment: &Environment, wanted: &Wanted, context: &Context) -> Result<ShowReport> {
    let password = environment.archive_password().await?;
    context
        .unless_stopped(async {
            let (store, backup) = find(environment, wanted, context).await?;
            let disk = store.disk().to_owned();
            let on_disk = |error: Error| error.context(format!("disk {disk}"));
            let tail = reader::read_tail(store.clone(), &backup.object, &password).await.map_err(on_disk)?;
            // What is noted is told where it can be read; what is inside does not hang on it.
            let proof = catalog::proof(&*store, &backup.object).await.unwrap_or_else(|error| {
                tracing::warn!(disk, error = error.chain(), "what the last verification found cannot be read");
                None
            });
            let date = backup.key.date();
            Ok(ShowReport {
                disk: disk.clone(),
                key: backup.object.key.clone(),
                date,
                age_seconds: context.now.duration_since(date).as_secs(),
                size: backup.object.size,
                bytes_read: tail.bytes_read,
                entries: tail.entries,
                encrypted: tail.encrypted,
                proof: proof.map(ProofReport::from),
                manifest: tail.manifest,
            })
        })
        .await
}
