//! What is not of the first rank: comments, owners, privileges, settings of the database.

use super::plan::Plan;
use super::session::Session;
use crate::Result;

/// Adds it to the plan.
pub(super) async fn read(_session: &mut Session, _plan: &mut Plan) -> Result<()> {
    Ok(())
}
