//! The monitor recipe.

use crate::Error;
use crate::environment::Environment;
use crate::operation::{Context, Event, Failed};
use crate::report::MonitorReport;

/// Being built.
pub async fn monitor(
    _environment: &Environment,
    _event: &Event,
    _context: &Context,
) -> Result<MonitorReport, Failed<MonitorReport>> {
    Err(Error::bug("monitor is not built yet").into())
}
