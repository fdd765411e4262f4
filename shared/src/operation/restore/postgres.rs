//! PostgreSQL: look, rehearse, look again, load in one transaction.

use std::time::Instant;

use super::{Outcome, Work, refuse_parts};
use crate::Result;
use crate::config::ServerDatabase;
use crate::target::Findings;
use crate::target::postgres::{Target, rehearse};

pub(super) async fn restore(work: &Work<'_>, server: &ServerDatabase) -> Result<Outcome> {
    refuse_parts(work)?;
    let Work { manifest, limit, context, .. } = *work;
    let progress = work.progress();

    // 1. What the dump says before its first rows, and what can be wrong with the target: told in a minute, at once.
    progress.set_current("looking at the target");
    let head = manifest.tables.first().map_or(manifest.raw_bytes, |table| table.offset);
    let look = async {
        let mut target = Target::open(server).await?;
        let plan = rehearse(work.archive.dump(manifest)?, manifest, head, limit, &Default::default()).await?;
        let mut findings = Findings::default();
        target.check(manifest, &plan.needs, &mut findings).await?;
        findings.refuse(target.place())
    };
    context.unless_stopped(look).await?;

    // 2. Every byte is authenticated and every statement seen, and none is executed.
    let rehearsal = async {
        let entry = work.archive.dump(manifest)?;
        rehearse(entry, manifest, manifest.raw_bytes, limit, progress).await
    };
    let plan = context.unless_stopped(rehearsal).await?;

    // 3. The target again: what the whole dump needs is known now, and time has gone by.
    let mut findings = Findings::default();
    let open = async {
        let mut target = Target::open(server).await?;
        target.check(manifest, &plan.needs, &mut findings).await?;
        findings.refuse(target.place())?;
        Ok(target)
    };
    let mut target = context.unless_stopped(open).await?;
    let (place, warnings) = (target.place().to_owned(), findings.warnings);
    let begun = Instant::now();
    if work.dry_run {
        return Ok(Outcome { place, loaded: None, begun, warnings, along: Vec::new() });
    }

    // 4. The same bytes once more, into one transaction.
    let loading = async {
        let entry = work.archive.dump(manifest)?;
        target.load(entry, manifest, limit, progress).await
    };
    let loaded = match context.unless_stopped(loading).await {
        Ok(loaded) => loaded,
        Err(error) => {
            target.abandon().await;
            return Err(error);
        }
    };
    progress.set_current("committing");
    target.commit().await?;
    Ok(Outcome { place, loaded: Some(loaded), begun, warnings, along: Vec::new() })
}
