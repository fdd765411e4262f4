//! The last proven restore: from the audit trail, and from what is noted beside the backups that are still there.

use crate::audit::{self, Place};
use crate::catalog::{self, Catalog};
use crate::report::{DrillReport, DrillResult, ProvenRestore};
use crate::store::Store;
use crate::{Error, Result};

/// The newest of both; `None`: there was none.
pub(super) async fn last(store: &dyn Store, name: &str, catalog: &Catalog) -> Result<Option<ProvenRestore>> {
    let recorded = match audit::latest(store, &Place::new(name), "drill").await? {
        None => None,
        Some(record) => {
            let report: DrillReport = serde_json::from_value(record.report)
                .map_err(|error| Error::corrupt("the audit record of the last drill is not one").because(error))?;
            (report.result == DrillResult::Proven).then_some(ProvenRestore {
                key: report.key,
                at: record.at,
                duration_ms: report.duration_ms,
                raw_bytes: report.raw_bytes,
            })
        }
    };
    let noted = catalog::noted(store, &catalog.backups).await?.unwrap_or_default();
    let beside = catalog.backups.iter().zip(noted).filter_map(|(backup, noted)| {
        let drilled = noted.drill.filter(|drilled| drilled.proven)?;
        Some(ProvenRestore {
            key: backup.object.key.clone(),
            at: drilled.at,
            duration_ms: drilled.duration_ms,
            raw_bytes: drilled.raw_bytes,
        })
    });
    Ok(beside.chain(recorded).max_by_key(|proven| proven.at))
}
