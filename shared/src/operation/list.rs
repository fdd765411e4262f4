//! The list recipe.

use crate::environment::Environment;
use crate::operation::{Context, Event};
use crate::report::ListReport;
use crate::{Error, Result};

/// Being built.
pub async fn list(_environment: &Environment, _event: &Event, _context: &Context) -> Result<ListReport> {
    Err(Error::bug("list is not built yet"))
}
