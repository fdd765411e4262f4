//! PostgreSQL: look, authenticate, look again, load; in one transaction, or in sections over several connections.

use std::time::Instant;

use super::{Outcome, TableRequest, Work};
use crate::config::ServerDatabase;
use crate::target::Findings;
use crate::target::postgres::{Dump, Needs, Parallel, Reached, Target, Wish};
use crate::{Error, Result};

pub(super) async fn restore(work: &Work<'_>, server: &ServerDatabase) -> Result<Outcome> {
    let Work { manifest, context, .. } = *work;
    let progress = work.progress();
    let dump = Dump { archive: &work.archive, manifest, limit: work.limit, progress };
    if let Some(request) = work.table {
        return tables(work, &dump, request, server).await;
    }

    // 1. What the statements of the dump need, and what can be wrong with the target: told at once.
    progress.set_current("looking at the target");
    let needs = context.unless_stopped(dump.needs()).await?;
    context.unless_stopped(look(&dump, &needs, server)).await?;

    // 2. Every byte is authenticated, and none is executed.
    context.unless_stopped(work.authenticate()).await?;

    // 3. The target again: time has gone by.
    let (mut target, warnings) = context.unless_stopped(look(&dump, &needs, server)).await?;
    let place = target.place().to_owned();
    let begun = Instant::now();
    if work.is_rehearsal() {
        return Ok(Outcome { place, loaded: None, begun, warnings, along: Vec::new() });
    }

    // 4. The same bytes once more: into one transaction, or over several connections.
    let loaded = if work.jobs > 1 {
        let reached = Reached::default();
        let parallel = Parallel { server, dump, jobs: work.jobs, reached: &reached };
        match context.unless_stopped(parallel.load(target)).await {
            Ok(loaded) => loaded,
            Err(error) => {
                progress.set_current("looking at what is left");
                return Err(parallel.explain(error).await);
            }
        }
    } else {
        let loaded = match context.unless_stopped(target.load(&dump)).await {
            Ok(loaded) => loaded,
            Err(error) => {
                target.abandon().await;
                return Err(nothing_left(error));
            }
        };
        progress.set_current("committing");
        target.commit().await?;
        loaded
    };
    Ok(Outcome { place, loaded: Some(loaded), begun, warnings, along: Vec::new() })
}

/// Single tables, always in one transaction. Each piece of the archive is authenticated before it is executed.
async fn tables(work: &Work<'_>, dump: &Dump<'_>, request: &TableRequest, server: &ServerDatabase) -> Result<Outcome> {
    let Work { context, .. } = *work;
    if work.jobs > 1 {
        return Err(Error::configuration("single tables are restored in one transaction, over one connection")
            .hint("Leave --jobs away."));
    }
    let wish = Wish { tables: &request.tables, with_parents: request.with_parents, rename: request.rename.as_deref() };

    // 1. What it takes, and what is in the way: told at once.
    dump.progress.set_current("looking at the target");
    let mut findings = Findings::default();
    let look = async {
        let mut target = Target::open(server).await?;
        let plan = target.plan_tables(dump, &wish, &mut findings).await?;
        findings.refuse(target.place())?;
        Ok((target, plan))
    };
    let (mut target, plan) = context.unless_stopped(look).await?;
    let (place, warnings, along) = (target.place().to_owned(), findings.warnings, plan.along.clone());
    let begun = Instant::now();
    if work.is_rehearsal() {
        return Ok(Outcome { place, loaded: Some(plan.expected()), begun, warnings, along });
    }

    // 2. The statements and the tables' sections.
    let loaded = match context.unless_stopped(target.load_tables(dump, &plan)).await {
        Ok(loaded) => loaded,
        Err(error) => {
            target.abandon().await;
            return Err(nothing_left(error));
        }
    };
    dump.progress.set_current("committing");
    target.commit().await?;
    Ok(Outcome { place, loaded: Some(loaded), begun, warnings, along })
}

/// Connects, and refuses a target that cannot take the dump. Returns what a person should know, too.
async fn look(dump: &Dump<'_>, needs: &Needs, server: &ServerDatabase) -> Result<(Target, Vec<String>)> {
    let mut target = Target::open(server).await?;
    let mut findings = Findings::default();
    target.check(dump.manifest, needs, &mut findings).await?;
    findings.refuse(target.place())?;
    Ok((target, findings.warnings))
}

/// The transaction was rolled back, by us or by the server.
fn nothing_left(error: Error) -> Error {
    let before = error.hint_text().map(|hint| format!("{hint} ")).unwrap_or_default();
    error.hint(format!("{before}Nothing of this run is left in the target."))
}
