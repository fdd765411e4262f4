//! Schemas and extensions: what everything else stands in. Of an extension the dump holds its name, and the rows of
//! those of its tables that it marks as configuration (<https://www.postgresql.org/docs/current/extend-extensions.html>).

use super::inventory::{FIRST_USER_OID, PG_EXTENSION, PG_NAMESPACE};
use super::plan::{Plan, Rank, Section};
use super::quote::ident;
use super::session::Session;
use super::tables::Table;
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

/// The tables and sequences of extensions whose rows are the user's.
pub(super) async fn configuration(session: &mut Session) -> Result<(Vec<Table>, Vec<String>)> {
    let query = format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, \
         coalesce(e.extcondition[x.ordinality], '') AS filter, pg_relation_size(c.oid) AS bytes, \
         CASE WHEN c.reltoastrelid <> 0 THEN pg_relation_size(c.reltoastrelid) ELSE 0 END AS toast_bytes \
         FROM pg_extension e CROSS JOIN LATERAL unnest(e.extconfig) WITH ORDINALITY x (relation, ordinality) JOIN pg_class c ON c.oid = x.relation \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'S') AND c.oid >= {FIRST_USER_OID} ORDER BY n.nspname, c.relname"
    );
    let (mut tables, mut sequences) = (Vec::new(), Vec::new());
    for row in session.rows("reading the configuration of extensions", &query).await? {
        let (schema, name) = (row.text("schema")?, row.text("name")?);
        if row.text("kind")? == "S" {
            sequences.push(super::quote::qualified(&schema, &name));
            continue;
        }
        tables.push(Table {
            oid: row.oid("oid")?,
            schema,
            name,
            filter: Some(row.text("filter")?).filter(|filter| !filter.trim().is_empty()),
            toast_bytes: row.int("toast_bytes")?.unsigned_abs(),
            bytes: row.int("bytes")?.unsigned_abs(),
        });
    }
    Ok((tables, sequences))
}
