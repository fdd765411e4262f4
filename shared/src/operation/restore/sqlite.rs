//! SQLite: look, rehearse, write beside, count, name.

use std::path::Path;
use std::time::Instant;

use super::{Outcome, Work, refuse_parts};
use crate::Result;
use crate::target::{Findings, sqlite};

pub(super) async fn restore(work: &Work<'_>, path: &Path) -> Result<Outcome> {
    refuse_parts(work)?;
    let Work { manifest, context, .. } = *work;
    let place = format!("{path:?}");
    let look = || {
        let mut findings = Findings::default();
        sqlite::check(path, manifest, &mut findings);
        findings.refuse(&place).map(|()| findings.warnings)
    };

    // 1. The path, then every byte.
    look()?;
    context.unless_stopped(work.authenticate()).await?;
    let warnings = look()?;
    let begun = Instant::now();
    if work.is_rehearsal() {
        return Ok(Outcome { place, loaded: None, begun, warnings, along: Vec::new() });
    }

    // 2. The same bytes once more, into a file beside; it takes its name at the end.
    let loading = async { sqlite::load(work.archive.dump(manifest)?, path, manifest, work.progress()).await };
    let (loaded, written) = context.unless_stopped(loading).await?;
    written.name()?;
    Ok(Outcome { place, loaded: Some(loaded), begun, warnings, along: Vec::new() })
}
