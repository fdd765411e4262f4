//! Schemas and extensions: what everything else stands in.

use super::inventory::{FIRST_USER_OID, PG_EXTENSION, PG_NAMESPACE};
use super::plan::{Plan, Rank, Section};
use super::quote::ident;
use super::session::Session;
use crate::Result;

/// Adds them to the plan.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query =
        format!("SELECT oid::int8 AS oid, nspname AS name FROM pg_namespace WHERE oid >= {FIRST_USER_OID} ORDER BY 2");
    for row in session.rows("reading the schemas", &query).await? {
        let oid = row.oid("oid")?;
        if plan.has(PG_NAMESPACE, oid) {
            let sql = format!("CREATE SCHEMA {};\n", ident(&row.text("name")?));
            plan.create((PG_NAMESPACE, oid), "schema", (Section::PreData, Rank::Schema), sql)?;
        }
    }
    let query = format!(
        "SELECT e.oid::int8 AS oid, extname AS name, nspname AS schema, extversion AS version \
         FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace WHERE e.oid >= {FIRST_USER_OID} ORDER BY 2"
    );
    for row in session.rows("reading the extensions", &query).await? {
        let oid = row.oid("oid")?;
        // The version is the target's own, as with pg_dump: an old one can rarely be installed.
        let sql = format!(
            "CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {};\n",
            ident(&row.text("name")?),
            ident(&row.text("schema")?)
        );
        plan.create((PG_EXTENSION, oid), "extension", (Section::PreData, Rank::Extension), sql)?;
    }
    Ok(())
}
