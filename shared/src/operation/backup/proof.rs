//! Reading back what was stored: only then is a backup called made. What a whole reading found is noted beside it, as
//! `verify` does; that it cannot be noted is a warning, and takes nothing from the backup.

use futures_util::future::join_all;

use super::fanout::{FanOut, Lane, State};
use crate::archive::reader::SqliteRows;
use crate::archive::{ArchiveSummary, reader};
use crate::catalog::{self, Verdict};
use crate::config::{Config, DiskKind, VerifyMode};
use crate::operation::Context;
use crate::secret::Secret;
use crate::store::Stored;
use crate::{Class, Error, Result};

/// Reads the object back from every disk that took it and compares it with what the archive writer produced. A disk that
/// does not prove has failed; what lies there is named in its report.
pub(super) async fn prove(
    lanes: &mut FanOut,
    summary: &ArchiveSummary,
    password: &Secret,
    config: &Config,
    context: &Context,
) {
    join_all(lanes.lanes_mut().iter_mut().map(async |lane| {
        let State::Stored(_) = lane.state else { return };
        let State::Stored(stored) = lane.take_state() else { return };
        let mode = mode(config, lane.store.disk());
        let proved = context.unless_stopped(prove_one(lane, &stored, summary, password, mode, context)).await;
        if mode == VerifyMode::Full {
            note(lane, &stored, &proved, context).await;
        }
        lane.state = match proved {
            Ok(()) => {
                lane.verified = Some(match mode {
                    VerifyMode::Tail => "tail",
                    VerifyMode::Full => "full",
                });
                State::Stored(stored)
            }
            Err(error) => {
                let error = error.context(format!("{} is stored but did not prove whole", stored.object.key));
                State::Failed(error, Some(stored))
            }
        };
    }))
    .await;
}

/// `BACKUP_VERIFY`; unset, a local disk is read whole (it costs nothing but time), others by their end.
fn mode(config: &Config, disk: &str) -> VerifyMode {
    let local = config.disks.iter().any(|d| d.name == disk && matches!(d.kind, DiskKind::Local { .. }));
    config.verify.unwrap_or(if local { VerifyMode::Full } else { VerifyMode::Tail })
}

/// Notes what reading every byte found; a reading that was ended early found nothing.
async fn note(lane: &mut Lane, stored: &Stored, proved: &Result<()>, context: &Context) {
    let verdict = match proved {
        Ok(()) => Verdict::Whole,
        Err(error) if error.class() == Class::Corrupt => Verdict::Damaged,
        Err(_) => return,
    };
    match catalog::record(&*lane.store, &stored.object, verdict, context.now).await {
        Ok(Some(_)) => {}
        Ok(None) => tracing::info!(disk = lane.store.disk(), "this store has no place for notes"),
        Err(error) => lane.not_noted = Some(error.chain()),
    }
}

async fn prove_one(
    lane: &Lane,
    stored: &Stored,
    summary: &ArchiveSummary,
    password: &Secret,
    mode: VerifyMode,
    context: &Context,
) -> Result<()> {
    if stored.object.size != summary.bytes {
        return Err(Error::corrupt(format!("it has {} bytes, {} were sent", stored.object.size, summary.bytes)));
    }
    let tail = match mode {
        VerifyMode::Tail => reader::read_tail(lane.store.clone(), &stored.object, password).await?,
        VerifyMode::Full => {
            // Those of a SQLite file were counted in the very snapshot that was stored.
            let rows = SqliteRows::OfTheManifest;
            reader::verify(lane.store.clone(), &stored.object, password, rows, &context.progress).await?.tail
        }
    };
    if tail.manifest != summary.manifest {
        return Err(Error::corrupt("its manifest is not the one that was written"));
    }
    if tail.entries != summary.entries {
        return Err(Error::corrupt(format!("it has {} entries, {} were written", tail.entries, summary.entries)));
    }
    Ok(())
}
