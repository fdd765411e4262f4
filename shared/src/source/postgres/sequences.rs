//! Sequences: free ones, those that belong to a column, and those behind identity columns. Their values are read after
//! the last table, since they move on outside the snapshot: a value read before could be behind a row that is dumped.

use super::inventory::{FIRST_USER_OID, PG_CLASS};
use super::plan::{Plan, Rank, Section};
use super::quote::{ident, literal, qualified};
use super::session::{Record, Session};
use crate::Result;

/// Adds the definitions to the plan (behind the tables) and returns the names of the sequences.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<Vec<String>> {
    let query = format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, format_type(s.seqtypid, NULL) AS type, \
         s.seqstart AS start, s.seqincrement AS step, s.seqmin AS low, s.seqmax AS high, s.seqcache AS cache, \
         s.seqcycle AS cycle, c.relpersistence::text AS persistence, d.deptype::text AS owned, t.oid::int8 AS owner_oid, \
         tn.nspname AS owner_schema, t.relname AS owner_name, t.relpersistence::text AS owner_persistence, \
         a.attname AS owner_column, a.attidentity::text AS identity \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid \
         LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 \
            AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') \
         LEFT JOIN pg_class t ON t.oid = d.refobjid LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace \
         LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
         WHERE c.relkind = 'S' AND c.oid >= {FIRST_USER_OID} ORDER BY 2, 3"
    );
    let mut names = Vec::new();
    for row in session.rows("reading the sequences", &query).await? {
        let oid = row.oid("oid")?;
        if !plan.has(PG_CLASS, oid) {
            continue;
        }
        let name = qualified(&row.text("schema")?, &row.text("name")?);
        let unlogged = row.text("persistence")? == "u";
        if row.optional("owned")?.as_deref() == Some("i") {
            let table = qualified(&row.text("owner_schema")?, &row.text("owner_name")?);
            let when = if row.text("identity")? == "a" { "ALWAYS" } else { "BY DEFAULT" };
            let mut sql = format!(
                "ALTER TABLE {table} ALTER COLUMN {} ADD GENERATED {when} AS IDENTITY (\n    SEQUENCE NAME {name}{}\n);\n",
                ident(&row.text("owner_column")?),
                options(&row)?
            );
            // Made with the table, it is logged as the table is.
            if unlogged != (row.text("owner_persistence")? == "u") {
                sql.push_str(&format!("ALTER SEQUENCE {name} SET {};\n", if unlogged { "UNLOGGED" } else { "LOGGED" }));
            }
            let item = plan.create((PG_CLASS, oid), "sequence", (Section::PreData, Rank::SequenceOwner), sql)?;
            plan.after_object(item, PG_CLASS, row.oid("owner_oid")?);
        } else {
            let mut sql = format!("CREATE {}SEQUENCE {name}", if unlogged { "UNLOGGED " } else { "" });
            if row.text("type")? != "bigint" {
                sql.push_str(&format!("\n    AS {}", row.text("type")?));
            }
            sql.push_str(&format!("{};\n", options(&row)?));
            let item = plan.create((PG_CLASS, oid), "sequence", (Section::PreData, Rank::Sequence), sql)?;
            if row.optional("owned")?.is_some() {
                let column = format!(
                    "{}.{}",
                    qualified(&row.text("owner_schema")?, &row.text("owner_name")?),
                    ident(&row.text("owner_column")?)
                );
                let sql = format!("ALTER SEQUENCE {name} OWNED BY {column};\n");
                let owning = plan.add(Section::PreData, Rank::SequenceOwner, plan.identity(PG_CLASS, oid), sql);
                plan.after(owning, item);
                plan.after_object(owning, PG_CLASS, row.oid("owner_oid")?);
            }
        }
        names.push(name);
    }
    Ok(names)
}

/// The options that both kinds share.
fn options(row: &Record) -> Result<String> {
    let cycle = if row.flag("cycle")? { "\n    CYCLE" } else { "" };
    Ok(format!(
        "\n    START WITH {}\n    INCREMENT BY {}\n    MINVALUE {}\n    MAXVALUE {}\n    CACHE {}{cycle}",
        row.text("start")?,
        row.text("step")?,
        row.text("low")?,
        row.text("high")?,
        row.text("cache")?
    ))
}

/// Reads the value of one sequence and returns the statement that sets it.
pub(super) async fn value(session: &mut Session, name: &str) -> Result<String> {
    let query = format!("SELECT last_value AS value, is_called AS called FROM {name}");
    let row = session
        .row("reading the value of a sequence", &query)
        .await
        .map_err(|e| e.context(super::quote::shown(name)))?;
    Ok(format!("SELECT pg_catalog.setval({}, {}, {});\n", literal(name), row.int("value")?, row.flag("called")?))
}
