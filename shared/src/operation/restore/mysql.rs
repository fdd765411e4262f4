//! MySQL and MariaDB: look, authenticate, look again, load over several connections; what an error leaves is told.

use std::time::Instant;

use super::{Outcome, TableRequest, Work};
use crate::Result;
use crate::config::ServerDatabase;
use crate::source::DumpLimits;
use crate::target::Findings;
use crate::target::mysql::{Load, Made, Outline, Target, Wanted, explain, rehearse};

pub(super) async fn restore(work: &Work<'_>, server: &ServerDatabase, limits: &DumpLimits) -> Result<Outcome> {
    if let Some(request) = work.table {
        return part(work, request, server, limits).await;
    }
    let Work { manifest, limit, context, archive, .. } = work;
    let (limit, progress) = (*limit, work.progress());

    // 1. What the dump holds besides rows, and what can be wrong with the target: told at once.
    progress.set_current("looking at the target");
    let look = async {
        let mut target = Target::open(server, limits).await?;
        let outline = Outline::read(archive, manifest, limit).await?;
        let (needs, known) = Outline::needs(&outline.statements, &manifest.tables);
        let mut findings = Findings::default();
        target.check(manifest, &needs, &mut findings).await?;
        findings.refuse(target.place())?;
        Ok((outline, needs, known))
    };
    let (outline, mut needs, known) = context.unless_stopped(look).await?;

    // 2. Every byte is authenticated, and none is executed. Older archives do not say how long their statements are.
    let first_pass = async {
        work.authenticate().await?;
        if !known {
            progress.expect(manifest.tables.iter().map(|table| table.bytes).sum());
            for table in &manifest.tables {
                needs.longest = needs.longest.max(rehearse(archive, manifest, table, limit, progress).await?);
            }
        }
        Ok(needs)
    };
    let needs = context.unless_stopped(first_pass).await?;

    // 3. The target again: time has gone by.
    let mut findings = Findings::default();
    let open = async {
        let mut target = Target::open(server, limits).await?;
        target.check(manifest, &needs, &mut findings).await?;
        findings.refuse(target.place())?;
        Ok(target)
    };
    let mut target = context.unless_stopped(open).await?;
    let (place, warnings) = (target.place().to_owned(), findings.warnings);
    let begun = Instant::now();
    if work.is_rehearsal() {
        return Ok(Outcome { place, loaded: None, begun, warnings, along: Vec::new() });
    }

    // 4. The same bytes once more, statement by statement.
    let load = Load { archive, manifest, outline: &outline, server, limits, jobs: work.jobs, limit, progress };
    match context.unless_stopped(target.load(&load)).await {
        Ok(loaded) => Ok(Outcome { place, loaded: Some(loaded), begun, warnings, along: Vec::new() }),
        Err(error) => {
            // The session may be in the middle of something; what is there is asked by another one.
            drop(target);
            Err(explain(error, server, limits).await)
        }
    }
}

/// Single tables. Every piece is checked before it is executed, and what an error leaves is dropped again: that is why the
/// pieces are read once.
async fn part(
    work: &Work<'_>,
    request: &TableRequest,
    server: &ServerDatabase,
    limits: &DumpLimits,
) -> Result<Outcome> {
    let Work { manifest, limit, context, archive, .. } = work;
    let (limit, progress) = (*limit, work.progress());

    // 1. What stands outside the rows, the tables in it, the target: told at once.
    progress.set_current("looking at the target");
    let outline = context.unless_stopped(Outline::read(archive, manifest, limit)).await?;
    let wanted =
        Wanted { tables: &request.tables, with_parents: request.with_parents, rename: request.rename.as_deref() };
    let mut findings = Findings::default();
    let look = async {
        let mut target = Target::open(server, limits).await?;
        let part = target.plan_part(manifest, &outline, &wanted, &mut findings).await?;
        let mut longest = 0;
        if !part.is_measured() || work.is_rehearsal() {
            progress.expect(part.bytes());
            for table in part.sections() {
                longest = longest.max(rehearse(archive, manifest, table, limit, progress).await?);
            }
        }
        target.check_part(manifest, &outline, &part, longest, &mut findings).await?;
        findings.refuse(target.place())?;
        Ok((target, part))
    };
    let (mut target, part) = context.unless_stopped(look).await?;
    let (place, warnings, along) = (target.place().to_owned(), findings.warnings, part.along.clone());
    let begun = Instant::now();
    if work.is_rehearsal() {
        return Ok(Outcome { place, loaded: Some(part.planned()), begun, warnings, along });
    }

    // 2. Under hidden names, then the names at once.
    let load = Load { archive, manifest, outline: &outline, server, limits, jobs: work.jobs, limit, progress };
    let mut made = Made::default();
    match context.unless_stopped(target.load_part(&load, &part, &mut made)).await {
        Ok(loaded) => Ok(Outcome { place, loaded: Some(loaded), begun, warnings, along }),
        Err(error) => {
            drop(target);
            Err(made.undo(error, &load).await)
        }
    }
}
