//! The note of a drill's result beside its backup. The record in the audit trail, which stays when the backup is gone, is
//! made where every operation ends.

use jiff::Timestamp;

use crate::catalog::{self, Drilled};
use crate::report::{DrillReport, DrillResult};
use crate::store::{Object, Store};
use crate::{Class, Error};

/// Notes the result beside the backup. A drill that was ended by something else than the backup says nothing about it.
pub(super) async fn beside(
    store: &dyn Store,
    object: &Object,
    report: &mut DrillReport,
    failure: Option<&Error>,
    now: Timestamp,
) {
    if failure.is_some_and(|error| error.class() != Class::Corrupt) {
        return;
    }
    let drilled = Drilled {
        proven: report.result != DrillResult::Failed,
        in_part: report.result == DrillResult::ProvenInPart,
        at: now,
        duration_ms: report.duration_ms,
        raw_bytes: report.raw_bytes,
    };
    // The proof of the whole is not undone by one of a part.
    if drilled.in_part {
        let whole = |drill: Drilled| drill.proven && !drill.in_part;
        match catalog::noted_beside(store, object).await {
            Ok(noted) if noted.as_ref().and_then(|noted| noted.drill).is_some_and(whole) => {
                report
                    .not_recorded
                    .push("beside the backup stays the note of the proof of all its databases".to_owned());
                return;
            }
            Ok(_) => {}
            Err(error) => {
                report.not_recorded.push(format!("beside the backup, whose notes were not read: {}", error.chain()));
                return;
            }
        }
    }
    match catalog::record_drill(store, object, drilled).await {
        Ok(true) => {}
        Ok(false) if store.is_loose() => {
            report.not_recorded.push("nothing is noted beside a file that was named by its path".to_owned());
        }
        Ok(false) => report.not_recorded.push(format!("disk {} has no place for notes (no object tags)", store.disk())),
        Err(error) => report.not_recorded.push(format!("beside the backup: {}", error.chain())),
    }
}
