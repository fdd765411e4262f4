//! The verify recipe: read every byte of the backups that are meant, and note beside each what was found.
//!
//! A wrong password says nothing about a backup and is noted nowhere; nor is a reading that the network, the store or a
//! person ended. A verdict that cannot be noted (a store without tags, a missing permission) is told and stays a verdict.

use std::sync::Arc;
use std::time::Instant;

use crate::archive::reader;
use crate::catalog::{self, Backup, Selector, Verdict};
use crate::environment::Environment;
use crate::operation::backup::pick;
use crate::operation::{Context, Failed};
use crate::report::{DiskVerify, ProofReport, VerifiedBackup, VerifyReport, VerifyVerdict};
use crate::secret::Secret;
use crate::store::Store;
use crate::{Class, Error, Result};

/// Verifies the backups that `selector` means on each of `disks` (empty = all), one after the other.
///
/// # Errors
/// The gravest thing that was found: damage, a wrong password, then whatever kept a backup from being read. The report
/// says everything.
pub async fn verify(
    environment: &Environment,
    selector: &Selector,
    disks: &[String],
    context: &Context,
) -> Result<VerifyReport, Failed<VerifyReport>> {
    let begun = Instant::now();
    let stores = pick(environment.stores(), disks, |store| store.disk().to_owned(), "disk")?;
    let password = environment.archive_password().await?;
    let mut report = VerifyReport {
        name: environment.config().name.clone(),
        now: context.now,
        whole: false,
        disks: Vec::new(),
        duration_ms: 0,
    };
    let mut errors = Vec::new();
    for store in &stores {
        report.disks.push(verify_disk(environment, store, selector, &password, context, &mut errors).await);
    }
    report.duration_ms = super::elapsed_ms(begun);
    // Of equals, `min_by_key` takes the first.
    let outcome = match errors.into_iter().min_by_key(|error| gravity(error.class())) {
        None => Ok(VerifyReport { whole: true, ..report }),
        Some(error) => Err(Failed { error, report: Some(Box::new(report)) }),
    };
    super::log_outcome("verify", &outcome);
    outcome
}

/// What is told first. Whatever ended the run early is in the report of each backup.
fn gravity(class: Class) -> u8 {
    match class {
        Class::Corrupt => 0,
        Class::WrongPassword => 1,
        _ => 2,
    }
}

async fn verify_disk(
    environment: &Environment,
    store: &Arc<dyn Store>,
    selector: &Selector,
    password: &Secret,
    context: &Context,
    errors: &mut Vec<Error>,
) -> DiskVerify {
    let config = environment.config();
    let mut report = DiskVerify { disk: store.disk().to_owned(), backups: Vec::new(), error: None };
    let listed = catalog::read(&**store, &config.name, &config.filename_prefix, &config.timezone);
    let catalog = context.unless_stopped(listed).await;
    let selected = catalog.as_ref().map_err(copy).and_then(|it| it.select(selector, context.now));
    match selected {
        Ok(backups) => {
            for backup in backups {
                let (verified, error) = verify_one(store, backup, password, context).await;
                report.backups.push(verified);
                errors.extend(error.map(|error| error.context(format!("disk {}", store.disk()))));
            }
        }
        Err(error) => {
            report.error = Some(error.chain());
            errors.push(error.context(format!("disk {}", store.disk())));
        }
    }
    report
}

async fn verify_one(
    store: &Arc<dyn Store>,
    backup: &Backup,
    password: &Secret,
    context: &Context,
) -> (VerifiedBackup, Option<Error>) {
    let begun = Instant::now();
    let object = &backup.object;
    let reading = reader::verify(store.clone(), object, password, &context.progress);
    let read = context.unless_stopped(reading).await;
    let mut report = VerifiedBackup {
        key: object.key.clone(),
        date: backup.key.date(),
        size: object.size,
        verdict: VerifyVerdict::Whole,
        error: None,
        entries: 0,
        tables: 0,
        rows: 0,
        raw_bytes: 0,
        bytes_read: 0,
        duration_ms: 0,
        recorded: None,
        not_recorded: None,
    };
    let error = match read {
        Ok(verified) => {
            let databases = &verified.tail.manifest.databases;
            report.entries = verified.entries;
            report.tables = databases.iter().map(|database| database.tables.len() as u64).sum();
            report.rows = databases.iter().fold(0, |sum, database| sum.saturating_add(database.rows));
            report.raw_bytes = verified.raw_bytes;
            report.bytes_read = verified.tail.bytes_read;
            None
        }
        Err(error) => {
            report.verdict = match error.class() {
                Class::Corrupt => VerifyVerdict::Damaged,
                Class::WrongPassword => VerifyVerdict::WrongPassword,
                _ => VerifyVerdict::NotRead,
            };
            report.error = Some(error.chain());
            Some(error)
        }
    };
    let verdict = match report.verdict {
        VerifyVerdict::Whole => Some(Verdict::Whole),
        VerifyVerdict::Damaged => Some(Verdict::Damaged),
        VerifyVerdict::WrongPassword | VerifyVerdict::NotRead => None,
    };
    if let Some(verdict) = verdict {
        match catalog::record(&**store, object, verdict, context.now).await {
            Ok(Some(proof)) => report.recorded = Some(ProofReport::from(proof)),
            Ok(None) => report.not_recorded = Some("this store has no place for notes (no object tags)".to_owned()),
            Err(error) => report.not_recorded = Some(error.chain()),
        }
    }
    report.duration_ms = super::elapsed_ms(begun);
    (report, error)
}

/// An error that two may own: class, message and hint; the cause becomes part of the message.
fn copy(error: &Error) -> Error {
    let copied = Error::new(error.class(), error.chain());
    match error.hint_text() {
        Some(hint) => copied.hint(hint),
        None => copied,
    }
}
