//! The verify recipe: read every byte of the backups that are meant, and note beside each what was found.
//!
//! A wrong password says nothing about a backup and is noted nowhere; nor is a reading that the network, the store or a
//! person ended, nor what can be told of another program's archive, which is never called whole. A verdict that cannot be noted (a store without tags, a missing permission) is told and stays a verdict.

mod foreign;
mod sample;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::archive::reader::SqliteRows;
use crate::archive::{self, reader};
use crate::catalog::{self, Backup, Catalog, Selector, Verdict};
use crate::config::Share;
use crate::environment::Environment;
use crate::operation::backup::pick;
use crate::operation::end::End;
use crate::operation::foreign::another_programs;
use crate::operation::{Context, Failed, find};
use crate::report::{DiskVerify, ProofReport, VerifiedBackup, VerifyReport, VerifyVerdict};
use crate::secret::Secret;
use crate::store::{Object, Store};
use crate::{Class, Error, Result};

use foreign::Check;
pub(super) use sample::sample;

/// Verifies the backups that `selector` means on each of `disks` (empty = all), one after the other: all of each, or the
/// next slice of this share of it.
///
/// # Errors
/// The gravest thing that was found: damage, a wrong password, then whatever kept a backup from being read. The report
/// says everything.
pub async fn verify(
    environment: &Environment,
    selector: &Selector,
    share: Option<Share>,
    disks: &[String],
    context: &Context,
) -> Result<VerifyReport, Failed<VerifyReport>> {
    let begun = Instant::now();
    let outcome = run(environment, selector, share, disks, context, begun).await;
    super::end::end(environment, context, End { disks, planned: false, notify: false, begun }, outcome).await
}

async fn run(
    environment: &Environment,
    selector: &Selector,
    share: Option<Share>,
    disks: &[String],
    context: &Context,
    begun: Instant,
) -> Result<VerifyReport, Failed<VerifyReport>> {
    let password = environment.archive_password().await;
    let password = password.as_ref();
    let (stores, loose) = match selector {
        Selector::Path(path) => {
            let (store, backup) = find::loose(path, disks, environment).await?;
            (vec![store], Some(backup))
        }
        _ => (pick(environment.stores(), disks, |store| store.disk().to_owned(), "disk")?, None),
    };
    let mut report = VerifyReport {
        name: environment.config().name.clone(),
        now: context.now,
        whole: false,
        disks: Vec::new(),
        duration_ms: 0,
        warnings: Vec::new(),
    };
    let mut errors = Vec::new();
    for store in &stores {
        let disk = Disk { environment, store, loose: loose.as_ref(), password, context, share };
        report.disks.push(verify_disk(&disk, selector, &mut errors).await);
    }
    report.duration_ms = super::elapsed_ms(begun);
    // Of equals, `min_by_key` takes the first.
    match errors.into_iter().min_by_key(|error| gravity(error.class())) {
        None => Ok(VerifyReport { whole: is_whole(&report), ..report }),
        Some(error) => Err(Failed { error, report: Some(Box::new(report)) }),
    }
}

/// What is told first. Whatever ended the run early is in the report of each backup.
fn gravity(class: Class) -> u8 {
    match class {
        Class::Corrupt => 0,
        Class::WrongPassword => 1,
        _ => 2,
    }
}

/// Whether every backup is known to be whole; what another program wrote is readable at best.
fn is_whole(report: &VerifyReport) -> bool {
    let mut backups = report.disks.iter().flat_map(|disk| &disk.backups);
    backups.all(|backup| backup.verdict == VerifyVerdict::Whole)
}

/// A disk, and what its backups are read with.
struct Disk<'a> {
    environment: &'a Environment,
    store: &'a Arc<dyn Store>,
    /// The only thing on it: a file that was named by its path.
    loose: Option<&'a Backup>,
    password: std::result::Result<&'a Secret, &'a Error>,
    context: &'a Context,
    /// How much of each is read; `None` = all.
    share: Option<Share>,
}

async fn verify_disk(disk: &Disk<'_>, selector: &Selector, errors: &mut Vec<Error>) -> DiskVerify {
    let Disk { environment, store, loose, password, context, share } = *disk;
    let config = environment.config();
    let mut report = DiskVerify { disk: store.disk().to_owned(), backups: Vec::new(), error: None };
    let catalog = match loose {
        Some(_) => Ok(Catalog::default()),
        None => {
            let listed = catalog::read(&**store, &config.name, &config.filename_prefix, &config.timezone);
            context.unless_stopped(listed).await
        }
    };
    let selected = match (&catalog, loose) {
        (_, Some(loose)) => Ok(vec![loose]),
        (Ok(catalog), None) => catalog.select(selector, context.now),
        (Err(error), None) => Err(Error::copy(error)),
    };
    match selected {
        Ok(backups) => {
            for backup in backups {
                let (verified, error) = match share {
                    None => verify_one(disk, backup).await,
                    Some(share) => sample(store, backup, share, password, context, None).await,
                };
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

async fn verify_one(disk: &Disk<'_>, backup: &Backup) -> (VerifiedBackup, Option<Error>) {
    let begun = Instant::now();
    let mut report = empty(backup);
    let error = read(disk, &backup.object, &mut report).await.err();
    // What another program wrote has its own good word.
    let good = if report.verdict == VerifyVerdict::Readable { VerifyVerdict::Readable } else { VerifyVerdict::Whole };
    judge(&mut report, error.as_ref(), good);
    note(&**disk.store, &backup.object, &mut report, disk.context.now).await;
    report.duration_ms = super::elapsed_ms(begun);
    (report, error)
}

/// Reads every byte, as one of ours or as another program's; what was found goes into the report.
async fn read(disk: &Disk<'_>, object: &Object, report: &mut VerifiedBackup) -> Result<()> {
    let Disk { store, password, context, .. } = *disk;
    let ours = async {
        match password {
            Ok(password) => {
                reader::verify(store.clone(), object, password, SqliteRows::Counted, &context.progress).await
            }
            // It may be an archive that needs none.
            Err(error) => Err(Error::corrupt("it was not opened, for want of a password").because(error.chain())),
        }
    };
    match context.unless_stopped(ours).await {
        Ok(verified) => {
            let databases = &verified.tail.manifest.databases;
            report.entries = verified.entries;
            report.tables = databases.iter().map(|database| database.tables.len() as u64).sum();
            report.rows = databases.iter().fold(0, |sum, database| sum.saturating_add(database.rows));
            report.not_recounted = verified.not_recounted;
            report.raw_bytes = verified.raw_bytes;
            report.bytes_read = verified.tail.bytes_read;
            Ok(())
        }
        Err(error) => {
            let whose = context.unless_stopped(another_programs(store, object, error)).await;
            match (whose, password) {
                (Ok(()), _) => read_foreign(disk, object, report).await,
                (Err(error), Err(missing)) if error.class() == Class::Corrupt => Err(Error::copy(missing)),
                (Err(error), _) => Err(error),
            }
        }
    }
}

/// Reads an archive of another program.
async fn read_foreign(disk: &Disk<'_>, object: &Object, report: &mut VerifiedBackup) -> Result<()> {
    let Disk { environment, store, password, context, .. } = *disk;
    let stop = Arc::new(AtomicBool::new(false));
    let check = Check::new(Arc::clone(&stop), Arc::clone(&context.progress));
    let zone = &environment.config().timezone;
    let reading = archive::foreign::unpack(Arc::clone(store), object, password, zone, check);
    let (check, bytes_read, result) = super::until_stopped(reading, &stop, context).await?;
    report.bytes_read = bytes_read;
    report.warnings = check.warnings;
    result?;
    (report.entries, report.raw_bytes) = (check.entries, check.raw_bytes);
    report.verdict = VerifyVerdict::Readable;
    let Some(first) = check.suspicious.first() else { return Ok(()) };
    let many = check.suspicious.len();
    let key = &object.key;
    let told = format!("{many} of {} dumps in {key} are suspicious, the first is {first}", check.dumps + many as u64);
    report.warnings.extend(check.suspicious);
    Err(Error::new(Class::Unhealthy, told).hint(
        "The archive is readable, but such a dump may have been cut off while it was written: load it into a scratch \
         database and count before you rely on it.",
    ))
}

/// A report of nothing yet.
fn empty(backup: &Backup) -> VerifiedBackup {
    VerifiedBackup {
        key: backup.object.key.clone(),
        date: backup.key.date(),
        size: backup.object.size,
        verdict: VerifyVerdict::NotRead,
        error: None,
        entries: 0,
        tables: 0,
        rows: 0,
        not_recounted: Vec::new(),
        raw_bytes: 0,
        bytes_read: 0,
        slice: None,
        duration_ms: 0,
        recorded: None,
        not_recorded: None,
        warnings: Vec::new(),
    }
}

/// The verdict that an error means; without one, `good`.
fn judge(report: &mut VerifiedBackup, error: Option<&Error>, good: VerifyVerdict) {
    report.error = error.map(Error::chain);
    report.verdict = match error.map(Error::class) {
        None => good,
        Some(Class::Corrupt) => VerifyVerdict::Damaged,
        Some(Class::WrongPassword) => VerifyVerdict::WrongPassword,
        Some(Class::Unhealthy) => VerifyVerdict::Suspicious,
        Some(_) => VerifyVerdict::NotRead,
    };
}

/// Notes a verdict beside the backup, where there is one to note.
async fn note(store: &dyn Store, object: &Object, report: &mut VerifiedBackup, now: jiff::Timestamp) {
    let verdict = match report.verdict {
        VerifyVerdict::Whole => Verdict::Whole,
        VerifyVerdict::Damaged => Verdict::Damaged,
        VerifyVerdict::Sampled
        | VerifyVerdict::Readable
        | VerifyVerdict::Suspicious
        | VerifyVerdict::WrongPassword
        | VerifyVerdict::NotRead => return,
    };
    match catalog::record(store, object, verdict, now).await {
        Ok(Some(proof)) => report.recorded = Some(ProofReport::from(proof)),
        Ok(None) if store.is_loose() => {
            report.not_recorded = Some("nothing is noted beside a file that was named by its path".to_owned());
        }
        Ok(None) => report.not_recorded = Some("this store has no place for notes (no object tags)".to_owned()),
        Err(error) => report.not_recorded = Some(error.chain()),
    }
}
