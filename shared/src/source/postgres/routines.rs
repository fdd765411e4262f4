//! Functions, procedures and window functions, as the server deparses them. Aggregates have an emitter of their own.

use super::inventory::{FIRST_USER_OID, PG_PROC};
use super::plan::{Plan, Rank, Section};
use super::session::Session;
use crate::Result;

/// Adds them to the plan.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<()> {
    // Members of extensions and the constructors of range types are no functions of the user's; deparsing them would
    // cost much and give nothing.
    let query = format!(
        "SELECT p.oid::int8 AS oid, prokind::text AS kind, pg_get_functiondef(p.oid) AS definition FROM pg_proc p \
         WHERE prokind IN ('f', 'p', 'w') AND p.oid >= {FIRST_USER_OID} AND NOT EXISTS (SELECT FROM pg_depend d \
         WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i')) ORDER BY 1"
    );
    for row in session.rows("reading the functions", &query).await? {
        let oid = row.oid("oid")?;
        if plan.has(PG_PROC, oid) {
            let kind = if row.text("kind")? == "p" { "procedure" } else { "function" };
            let sql = format!("{};\n", row.text("definition")?.trim_end());
            plan.create((PG_PROC, oid), kind, (Section::PreData, Rank::Function), sql)?;
        }
    }
    Ok(())
}
