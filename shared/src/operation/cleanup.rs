//! The cleanup recipe.

use crate::Error;
use crate::environment::Environment;
use crate::operation::{Context, Event, Failed};
use crate::report::CleanupReport;

/// Being built.
pub async fn cleanup(
    _environment: &Environment,
    _event: &Event,
    _context: &Context,
) -> Result<CleanupReport, Failed<CleanupReport>> {
    Err(Error::bug("cleanup is not built yet").into())
}
