//! The audit recipe: the trails of the disks, read to their ends and checked. It is no record itself.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::audit::{self, Finding, Head, Place, Record};
use crate::environment::Environment;
use crate::operation::backup::pick;
use crate::operation::{Context, Failed};
use crate::report::{AuditReport, DiskTrail};
use crate::store::Store;
use crate::{Error, Result};

/// What is asked of the audit trails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditRequest {
    /// Only these of the configured disks; empty = all.
    pub disks: Vec<String>,
    /// Only records of this operation are shown.
    pub operation: Option<String>,
    /// How many records are shown, the newest; 0 = none.
    pub last: usize,
    /// Heads that were kept elsewhere, e.g. those of monitor's reports: the trail must hold each.
    pub heads: Vec<Head>,
}

/// Checks the trail of every disk; the report holds the records that are to be shown.
///
/// # Errors
/// [`Class::Corrupt`](crate::Class::Corrupt) for a trail that is not whole, else the first disk whose trail could not be read to its end.
pub async fn audit(
    environment: &Environment,
    request: &AuditRequest,
    context: &Context,
) -> Result<AuditReport, Failed<AuditReport>> {
    let stores = pick(environment.stores(), &request.disks, |store| store.disk().to_owned(), "disk")?;
    if stores.len() > 1 && !request.heads.is_empty() {
        return Err(Failed::from(
            Error::configuration("a head is that of one disk, and there are several")
                .hint("Name the disk with --disk."),
        ));
    }
    let name = &environment.config().name;
    let place = Place::new(name);
    let read = join_all(stores.iter().map(|store| disk(store, &place, request, context))).await;

    let broken = read.iter().find_map(|(disk, _)| Some((disk, disk.findings.first()?))).map(|(disk, first)| {
        let (disk, count) = (&disk.disk, disk.findings.len());
        let message = match count {
            1 => format!("the audit trail of disk {disk} is broken: {}: {}", first.key, first.message),
            _ => format!(
                "the audit trail of disk {disk} is broken in {count} ways, the first: {}: {}",
                first.key, first.message
            ),
        };
        Error::corrupt(message)
            .hint("Find out who changed it: the bucket's access log and old versions of the records tell.")
    });
    let mut unread = None;
    let mut disks = Vec::new();
    for (disk, error) in read {
        unread = unread.or(error.map(|error| error.context(format!("disk {}", disk.disk))));
        disks.push(disk);
    }
    let report = AuditReport { name: name.clone(), now: context.now, whole: true, disks };
    match broken.or(unread) {
        None => Ok(report),
        Some(error) => Err(Failed { error, report: Some(Box::new(AuditReport { whole: false, ..report })) }),
    }
}

async fn disk(
    store: &Arc<dyn Store>,
    place: &Place,
    request: &AuditRequest,
    context: &Context,
) -> (DiskTrail, Option<Error>) {
    let mut trail = DiskTrail {
        disk: store.disk().to_owned(),
        records: 0,
        head: None,
        findings: Vec::new(),
        shown: Vec::new(),
        error: None,
    };
    let mut missing = request.heads.clone();
    let mut shown = std::collections::VecDeque::new();
    let reading = audit::check(&**store, place, |head: Head, record: Record| {
        missing.retain(|wanted| *wanted != head);
        if request.operation.as_ref().is_none_or(|wanted| *wanted == record.operation) {
            shown.push_back(record);
        }
        if shown.len() > request.last {
            shown.pop_front();
        }
    });
    let checked = context.unless_stopped(reading).await;
    trail.shown = shown.into();
    match checked {
        Ok(checked) => {
            trail.findings = checked.findings;
            let end = checked.head.as_ref().map_or(0, |head| head.sequence);
            trail.findings.extend(missing.into_iter().map(|wanted| not_there(place, &wanted, end)));
            trail.records = checked.records;
            trail.head = checked.head;
            (trail, None)
        }
        Err(error) => {
            trail.error = Some(error.chain());
            (trail, Some(error))
        }
    }
}

/// A head that was kept elsewhere and is not in the trail.
fn not_there(place: &Place, wanted: &Head, end: u64) -> Finding {
    let sequence = wanted.sequence;
    let message = if sequence > end {
        format!(
            "the trail ends with record {end}, and record {sequence} was kept elsewhere: what was behind it is gone"
        )
    } else {
        format!("record {sequence} is not the one whose digest was kept elsewhere")
    };
    Finding { finding: "head".to_owned(), key: place.key(sequence), message }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::Value;

    use super::*;
    use crate::Class;
    use crate::audit::{NewRecord, Trigger};
    use crate::config;
    use crate::store::memory::MemoryStore;

    fn context() -> Context {
        Context {
            now: Timestamp::UNIX_EPOCH,
            trigger: Trigger::command_line("a@b"),
            deadline: None,
            progress: Arc::default(),
            interrupt: Default::default(),
        }
    }

    async fn environment(operations: &[&str]) -> (Environment, MemoryStore) {
        let lookup = |name: &str| match name {
            "BACKUP_DISK" => Some("local".to_owned()),
            "BACKUP_LOCAL_PATH" => Some("/vault".to_owned()),
            _ => None,
        };
        let store = MemoryStore::new("local");
        for operation in operations {
            let new = NewRecord {
                at: Timestamp::UNIX_EPOCH,
                operation: (*operation).to_owned(),
                error: None,
                trigger: Trigger::command_line("a@b"),
                configuration: String::new(),
                report: Value::Null,
            };
            audit::append(&store, &Place::new("nightvault"), new).await.unwrap();
        }
        let stores: Vec<Arc<dyn Store>> = vec![Arc::new(store.clone())];
        (Environment::with_stores(config::load(&lookup).unwrap(), stores, Vec::new()), store)
    }

    #[tokio::test]
    async fn the_newest_records_of_an_operation_are_shown() {
        let (environment, _) = environment(&["backup", "cleanup", "backup", "backup"]).await;
        let request = AuditRequest { operation: Some("backup".into()), last: 2, ..AuditRequest::default() };
        let report = audit(&environment, &request, &context()).await.unwrap();
        let shown: Vec<u64> = report.disks[0].shown.iter().map(|record| record.sequence).collect();
        assert_eq!((report.whole, report.disks[0].records, shown), (true, 4, vec![3, 4]));
    }

    #[tokio::test]
    async fn a_head_that_was_kept_tells_what_was_taken_from_the_end_and_a_trail_that_was_written_anew() {
        let (environment, store) = environment(&["backup", "cleanup"]).await;
        let head = audit::read(&store, &Place::new("nightvault")).await.unwrap().head.unwrap();
        let request = AuditRequest { heads: vec![head], ..AuditRequest::default() };
        assert!(audit(&environment, &request, &context()).await.unwrap().whole);

        store.delete("nightvault/audit/00000002.json").await.unwrap();
        let failed = audit(&environment, &request, &context()).await.unwrap_err();
        assert_eq!(failed.error.class(), Class::Corrupt);
        assert!(
            failed.error.chain().contains("the trail ends with record 1, and record 2 was kept"),
            "{:?}",
            failed.error
        );

        let heads = vec![Head { sequence: 1, sha256: "00".into() }];
        let failed =
            audit(&environment, &AuditRequest { heads, ..AuditRequest::default() }, &context()).await.unwrap_err();
        assert!(failed.error.chain().ends_with("record 1 is not the one whose digest was kept elsewhere"));
    }
}
