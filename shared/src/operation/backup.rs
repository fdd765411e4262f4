//! The backup recipe.

use crate::Error;
use crate::environment::Environment;
use crate::operation::{Context, Event, Failed};
use crate::report::BackupReport;

/// Being built.
pub async fn backup(
    _environment: &Environment,
    _event: &Event,
    _context: &Context,
) -> Result<BackupReport, Failed<BackupReport>> {
    Err(Error::bug("backup is not built yet").into())
}
