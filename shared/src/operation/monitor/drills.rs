//! The last proven restore, of a whole backup where there was one: from the audit trail, and from what is noted beside the backups that are still there.

use crate::audit::{self, Place};
use crate::catalog::{self, Catalog};
use crate::report::ProvenRestore;
use crate::store::Store;
use crate::{Error, Result};

/// The newest of both; `None`: there was none.
pub(super) async fn last(store: &dyn Store, name: &str, catalog: &Catalog) -> Result<Option<ProvenRestore>> {
    let recorded = match audit::latest(store, &Place::new(name), "drill").await? {
        None => None,
        // Of a long report the record may hold a part alone; these fields are always there.
        Some(record) => {
            let missing =
                || Error::corrupt(format!("record {} of the audit trail is none of a drill", record.sequence));
            let number = |field: &str| record.report[field].as_u64().ok_or_else(missing);
            Some(ProvenRestore {
                key: record.report["key"].as_str().ok_or_else(missing)?.to_owned(),
                at: record.at,
                duration_ms: number("duration_ms")?,
                raw_bytes: number("raw_bytes")?,
                in_part: record.report["result"] == "proven_in_part",
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
            in_part: drilled.in_part,
        })
    });
    // The proof of a whole backup is not undone by one of a part.
    Ok(beside.chain(recorded).max_by_key(|proven| (!proven.in_part, proven.at)))
}
