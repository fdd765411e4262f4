//! Indexes and the constraints that stand on them, foreign keys, and how a partition's index hangs on its parent's.

use super::columns::options;
use super::inventory::{FIRST_USER_OID, PG_CLASS, PG_CONSTRAINT};
use super::plan::{ItemId, Plan, Rank, Section};
use super::quote::{ident, qualified, shown};
use super::session::{Record, Session};
use crate::Result;

/// Adds them to the plan.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<()> {
    indexes(session, plan).await?;
    foreign_keys(session, plan).await
}

async fn indexes(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query = format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, \
         t.relname AS table_name, tn.nspname AS table_schema, t.relkind::text AS table_kind, \
         pg_get_indexdef(c.oid) AS definition, i.indisvalid AND i.indisready AND i.indislive AS usable, \
         i.indisclustered AS clustered, i.indisreplident AS replica_identity, to_json(c.reloptions)::text AS options, \
         ts.spcname AS tablespace, k.oid::int8 AS constraint_oid, k.conname AS constraint_name, k.contype::text AS constraint_kind, \
         pg_get_constraintdef(k.oid) AS constraint_definition, \
         (SELECT quote_ident(pn.nspname) || '.' || quote_ident(p.relname) FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent \
            JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE h.inhrelid = c.oid) AS parent, \
         (SELECT h.inhparent::int8 FROM pg_inherits h WHERE h.inhrelid = c.oid) AS parent_oid, \
         (SELECT json_agg(attnum || '=' || attstattarget ORDER BY attnum)::text FROM pg_attribute a \
            WHERE a.attrelid = c.oid AND attstattarget >= 0) AS statistics \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace \
         LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace \
         LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.contype IN ('p', 'u', 'x') AND k.conrelid = i.indrelid \
         WHERE t.relkind IN ('r', 'p', 'm') AND c.oid >= {FIRST_USER_OID} ORDER BY n.nspname, c.relname"
    );
    let mut attached = Vec::new();
    for row in session.rows("reading the indexes", &query).await? {
        let oid = row.oid("oid")?;
        if !plan.has(PG_CLASS, oid) {
            continue;
        }
        let name = qualified(&row.text("schema")?, &row.text("name")?);
        if !row.flag("usable")? && row.text("kind")? == "i" {
            // What an interrupted CREATE INDEX CONCURRENTLY leaves behind serves no query.
            plan.inventory.claim(PG_CLASS, oid)?;
            plan.warnings.push(format!("the invalid index {} is not in the dump", shown(&name)));
            continue;
        }
        let item = index(plan, &row, &name)?;
        if let Some(parent) = row.optional("parent")? {
            attached.push((item, name.clone(), parent, row.oid("parent_oid")?));
        }
        if let Some(tablespace) = row.optional("tablespace")? {
            let (index, space) = (shown(&name), shown(&tablespace));
            plan.warnings
                .push(format!("index {index} stands in tablespace {space}; it is restored into the default one"));
        }
    }
    for (item, name, parent, parent_oid) in attached {
        let sql = format!("ALTER INDEX {parent} ATTACH PARTITION {name};\n");
        let attach = plan.add(Section::PostData, Rank::AttachIndex, name, sql);
        plan.after(attach, item);
        plan.after_object(attach, PG_CLASS, parent_oid);
    }
    Ok(())
}

/// Adds one index, with its constraint where it has one.
fn index(plan: &mut Plan, row: &Record, name: &str) -> Result<ItemId> {
    let oid = row.oid("oid")?;
    let table = qualified(&row.text("table_schema")?, &row.text("table_name")?);
    let item = match row.optional("constraint_name")? {
        Some(constraint) => {
            let mut sql = format!(
                "ALTER TABLE ONLY {table} ADD CONSTRAINT {} {};\n",
                ident(&constraint),
                row.text("constraint_definition")?
            );
            let storage = row.list("options")?;
            // An exclusion constraint's text has them already.
            if !storage.is_empty() && row.text("constraint_kind")? != "x" {
                sql.push_str(&format!("ALTER INDEX {name} SET ({});\n", options(&storage)));
            }
            let kind = match row.text("constraint_kind")?.as_str() {
                "p" => "primary key",
                "u" => "unique constraint",
                _ => "exclusion constraint",
            };
            let key = (PG_CONSTRAINT, row.oid("constraint_oid")?);
            let item = plan.create(key, kind, (Section::PostData, Rank::Constraint), sql)?;
            plan.part((PG_CLASS, oid), item)?;
            item
        }
        None => {
            let sql = format!("{};\n", row.text("definition")?);
            plan.create((PG_CLASS, oid), "index", (Section::PostData, Rank::Index), sql)?
        }
    };
    let mut details = String::new();
    for target in row.list("statistics")? {
        let (column, value) = target.split_once('=').unwrap_or((&target, "-1"));
        details.push_str(&format!("ALTER INDEX {name} ALTER COLUMN {column} SET STATISTICS {value};\n"));
    }
    let kind = if row.text("table_kind")? == "m" { "MATERIALIZED VIEW" } else { "TABLE" };
    if row.flag("clustered")? {
        details.push_str(&format!("ALTER {kind} {table} CLUSTER ON {};\n", ident(&row.text("name")?)));
    }
    if row.flag("replica_identity")? {
        details.push_str(&format!(
            "ALTER TABLE ONLY {table} REPLICA IDENTITY USING INDEX {};\n",
            ident(&row.text("name")?)
        ));
    }
    if !details.is_empty() {
        // A partitioned table's index is valid, and may be an identity, only when its partitions' are attached.
        let detail = plan.add(Section::PostData, Rank::IndexDetail, name.to_owned(), details);
        plan.after(detail, item);
    }
    Ok(item)
}

async fn foreign_keys(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query = format!(
        "SELECT k.oid::int8 AS oid, n.nspname AS schema, c.relname AS table_name, c.relkind::text AS table_kind, \
         k.conname AS name, pg_get_constraintdef(k.oid) AS definition, k.conparentid::int8 AS parent \
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype = 'f' AND k.oid >= {FIRST_USER_OID} ORDER BY k.conparentid <> 0, n.nspname, c.relname, k.conname"
    );
    for row in session.rows("reading the foreign keys", &query).await? {
        let oid = row.oid("oid")?;
        if !plan.has(PG_CONSTRAINT, oid) {
            continue;
        }
        if row.oid("parent")? != 0 {
            // The server makes it with the key of the partitioned table, of which it is a part.
            continue;
        }
        let only = if row.text("table_kind")? == "p" { "" } else { "ONLY " };
        let sql = format!(
            "ALTER TABLE {only}{} ADD CONSTRAINT {} {};\n",
            qualified(&row.text("schema")?, &row.text("table_name")?),
            ident(&row.text("name")?),
            row.text("definition")?
        );
        plan.create((PG_CONSTRAINT, oid), "foreign key", (Section::PostData, Rank::ForeignKey), sql)?;
    }
    Ok(())
}
