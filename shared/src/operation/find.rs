//! Finds the one backup that is meant, on the first disk that has it, or the file that is named by its path.

use std::path::Path;
use std::sync::Arc;

use crate::catalog::{self, Backup, BackupKey, Selector};
use crate::config::Config;
use crate::environment::Environment;
use crate::operation::Context;
use crate::operation::backup::pick;
use crate::store::Store;
use crate::store::loose::LooseStore;
use crate::{Class, Error, Result};

/// One backup that is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub backup: Selector,
    /// Only on these of the configured disks, in the order of the configuration; empty = all.
    pub disks: Vec<String>,
}

/// The backup and where it is. A disk that cannot be listed is passed over and told in the log, as long as another has it.
pub(super) async fn find(
    environment: &Environment,
    wanted: &Wanted,
    context: &Context,
) -> Result<(Arc<dyn Store>, Backup)> {
    let config = environment.config();
    if let Selector::Path(path) = &wanted.backup {
        return loose(path, &wanted.disks, environment).await;
    }
    let mut absent = None;
    let mut failed: Option<Error> = None;
    for store in pick(environment.stores(), &wanted.disks, |store| store.disk().to_owned(), "disk")? {
        let listed = catalog::read(&*store, &config.name, &config.filename_prefix, &config.timezone).await;
        let found = listed.and_then(|catalog| {
            catalog.select(&wanted.backup, context.now).map(|found| found.first().map(|backup| (*backup).clone()))
        });
        match found {
            Ok(Some(backup)) => return Ok((store, backup)),
            Ok(None) => {}
            Err(error) if error.class() == Class::Configuration => return Err(error),
            Err(error) if error.class() == Class::NotFound => _ = absent.get_or_insert(error),
            Err(error) => {
                tracing::warn!(disk = store.disk(), error = error.chain(), "a disk could not be listed");
                let error = error.context(format!("disk {}", store.disk()));
                failed.get_or_insert(error);
            }
        }
    }
    // That it is nowhere can be said only when every disk was looked at.
    Err(failed.or(absent).unwrap_or_else(|| Error::configuration("no disk is configured")))
}

/// The file at `path`, which lies on none of the `disks` that may be asked for. Its date is that of its name, where that is
/// one, else of the file.
pub(super) async fn loose(
    path: &Path,
    disks: &[String],
    environment: &Environment,
) -> Result<(Arc<dyn Store>, Backup)> {
    if !disks.is_empty() {
        return Err(Error::configuration(format!("{path:?} is the path of a file, which is on no disk"))
            .hint("Leave --disk away, or name the backup by its key or its date."));
    }
    let Config { name, filename_prefix, timezone, .. } = environment.config();
    let (store, object) = LooseStore::open(path).await?;
    let key = BackupKey::parse(name, filename_prefix, &format!("{name}/{}", object.key), timezone)
        .unwrap_or_else(|| BackupKey::new(name, filename_prefix, object.modified, timezone));
    Ok((Arc::new(store), Backup { key, object }))
}
