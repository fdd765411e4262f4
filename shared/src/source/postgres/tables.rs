//! Tables: plain, partitioned, inheriting, typed. A partition is made as a table of its own and attached later, as
//! pg_dump does, so that its columns keep their order.

use std::collections::HashMap;

use super::columns::{Columns, options};
use super::inventory::{FIRST_USER_OID, PG_CLASS, PG_CONSTRAINT};
use super::plan::{Plan, Rank, Section};
use super::quote::{ident, qualified, shown};
use super::session::{Record, Session};
use crate::Result;

/// A table whose rows are dumped.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    /// Which rows, where not all: the clause that an extension gave for its configuration.
    pub(super) filter: Option<String>,
    /// Bytes of its toast table: a table without large values cannot hold a large row.
    pub(super) toast_bytes: u64,
    /// Bytes of its main part.
    pub(super) bytes: u64,
}

impl Table {
    /// `schema.name`, quoted.
    pub(super) fn qualified(&self) -> String {
        qualified(&self.schema, &self.name)
    }
}

/// A CHECK constraint.
struct Check {
    oid: u32,
    name: String,
    definition: String,
    valid: bool,
    local: bool,
}

/// Adds them to the plan and returns those whose rows must be dumped, by name.
pub(super) async fn read(session: &mut Session, plan: &mut Plan, columns: &Columns) -> Result<Vec<Table>> {
    let mut checks = checks(session).await?;
    let query = format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, \
         c.relpersistence::text AS persistence, c.relispartition AS partition, c.relreplident::text AS replica_identity, \
         c.relrowsecurity AS row_security, c.relforcerowsecurity AS force_row_security, \
         to_json(c.reloptions)::text AS options, to_json(tc.reloptions)::text AS toast_options, ts.spcname AS tablespace, \
         CASE WHEN am.amname <> 'heap' THEN am.amname END AS method, \
         CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END AS of_type, \
         CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS partition_key, \
         CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END AS bound, \
         (SELECT json_agg(quote_ident(pn.nspname) || '.' || quote_ident(p.relname) ORDER BY i.inhseqno)::text \
            FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace \
            WHERE i.inhrelid = c.oid) AS parents, \
         (SELECT json_agg(i.inhparent::text)::text FROM pg_inherits i WHERE i.inhrelid = c.oid) AS parent_oids, \
         CASE WHEN tc.oid IS NOT NULL THEN pg_relation_size(tc.oid) ELSE 0 END AS toast_bytes, \
         CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) ELSE 0 END AS bytes \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class tc ON tc.oid = c.reltoastrelid \
         LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace LEFT JOIN pg_am am ON am.oid = c.relam \
         WHERE c.relkind IN ('r', 'p') AND c.oid >= {FIRST_USER_OID} ORDER BY n.nspname, c.relname"
    );
    let mut tables = Vec::new();
    for row in session.rows("reading the tables", &query).await? {
        let oid = row.oid("oid")?;
        if plan.has(PG_CLASS, oid) {
            table(plan, columns, &row, checks.remove(&oid).unwrap_or_default())?;
            if row.text("kind")? == "r" {
                tables.push(Table {
                    oid,
                    schema: row.text("schema")?,
                    name: row.text("name")?,
                    filter: None,
                    toast_bytes: row.int("toast_bytes")?.unsigned_abs(),
                    bytes: row.int("bytes")?.unsigned_abs(),
                });
            }
        }
    }
    Ok(tables)
}

/// Adds one table.
fn table(plan: &mut Plan, columns: &Columns, row: &Record, checks: Vec<Check>) -> Result<()> {
    let oid = row.oid("oid")?;
    let name = qualified(&row.text("schema")?, &row.text("name")?);
    let partition = row.flag("partition")?;
    let parents = row.list("parents")?;
    let inherits = !partition && !parents.is_empty();
    let of_type = row.optional("of_type")?;
    let columns = columns.get(&oid).map_or(&[][..], Vec::as_slice);

    let mut lines: Vec<String> = columns
        .iter()
        .filter(|column| column.local || !inherits)
        .filter_map(|column| column.definition(plan, of_type.is_some()))
        .collect();
    let (mut inline, mut apart) = (Vec::new(), Vec::new());
    for check in checks {
        let text = format!("CONSTRAINT {} {}", ident(&check.name), check.definition);
        if !check.local && !partition {
            // It comes from the parent.
            inline.push(check.oid);
        } else if check.valid && !plan.uses_functions((PG_CONSTRAINT, check.oid)) {
            lines.push(text);
            inline.push(check.oid);
        } else {
            apart.push((check, text));
        }
    }

    let mut sql = format!("CREATE {}TABLE {name}", if row.text("persistence")? == "u" { "UNLOGGED " } else { "" });
    if let Some(of_type) = &of_type {
        sql.push_str(&format!(" OF {of_type}"));
    }
    if of_type.is_none() || !lines.is_empty() {
        let body: Vec<String> = lines.iter().map(|line| format!("\n    {line}")).collect();
        sql.push_str(&format!(" ({}\n)", body.join(",")));
    }
    if inherits {
        sql.push_str(&format!("\nINHERITS ({})", parents.join(", ")));
    }
    if let Some(key) = row.optional("partition_key")? {
        sql.push_str(&format!("\nPARTITION BY {key}"));
    }
    if let Some(method) = row.optional("method")? {
        sql.push_str(&format!("\nUSING {}", ident(&method)));
    }
    let mut storage = row.list("options")?;
    storage.extend(row.list("toast_options")?.iter().map(|option| format!("toast.{option}")));
    if !storage.is_empty() {
        sql.push_str(&format!("\nWITH ({})", options(&storage)));
    }
    sql.push_str(";\n");
    let relation = format!("TABLE ONLY {name}");
    for column in columns {
        sql.push_str(&column.details(&relation, column.local || !inherits, inherits));
    }
    match row.text("replica_identity")?.as_str() {
        "f" => sql.push_str(&format!("ALTER TABLE ONLY {name} REPLICA IDENTITY FULL;\n")),
        "n" => sql.push_str(&format!("ALTER TABLE ONLY {name} REPLICA IDENTITY NOTHING;\n")),
        _ => {}
    }
    if let Some(tablespace) = row.optional("tablespace")? {
        plan.warnings.push(format!(
            "table {} stands in tablespace {}; it is restored into the default one",
            shown(&name),
            shown(&tablespace)
        ));
    }

    let item = plan.create((PG_CLASS, oid), "table", (Section::PreData, Rank::Table), sql)?;
    for check in inline {
        plan.part((PG_CONSTRAINT, check), item)?;
    }
    for (check, text) in apart {
        let section = if check.valid { Section::PreData } else { Section::PostData };
        // Not ONLY: a parent's constraint must reach its children.
        let sql = format!("ALTER TABLE {name} ADD {text};\n");
        let separate = plan.create((PG_CONSTRAINT, check.oid), "check constraint", (section, Rank::Check), sql)?;
        plan.after(separate, item);
    }
    for column in columns {
        column.add_preset(plan, &name, item, column.local || !inherits)?;
        column.add_rule(plan, &name, item, column.local || !inherits)?;
    }
    security(plan, row, &name, oid)?;
    if let (true, Some(bound), Some(parent)) = (partition, row.optional("bound")?, parents.first()) {
        let sql = format!("ALTER TABLE ONLY {parent} ATTACH PARTITION {name} {bound};\n");
        let attach = plan.add(Section::PreData, Rank::AttachTable, plan.identity(PG_CLASS, oid), sql);
        plan.after(attach, item);
        plan.attached.extend(
            row.list("parent_oids")?.iter().filter_map(|parent| parent.parse().ok()).map(|parent| (attach, parent)),
        );
    }
    Ok(())
}

/// Row security is switched on behind the rows, beside the policies.
fn security(plan: &mut Plan, row: &Record, name: &str, oid: u32) -> Result<()> {
    let mut sql = String::new();
    if row.flag("row_security")? {
        sql.push_str(&format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;\n"));
    }
    if row.flag("force_row_security")? {
        sql.push_str(&format!("ALTER TABLE ONLY {name} FORCE ROW LEVEL SECURITY;\n"));
    }
    if !sql.is_empty() {
        plan.add(Section::PostData, Rank::Policy, plan.identity(PG_CLASS, oid), sql);
    }
    Ok(())
}

/// The CHECK constraints of all tables.
async fn checks(session: &mut Session) -> Result<HashMap<u32, Vec<Check>>> {
    let query = format!(
        "SELECT c.oid::int8 AS oid, conrelid::int8 AS relation, conname AS name, pg_get_constraintdef(c.oid) AS definition, \
         convalidated AS valid, conislocal AS local FROM pg_constraint c \
         WHERE conrelid <> 0 AND contype = 'c' AND c.oid >= {FIRST_USER_OID} ORDER BY conrelid, conname"
    );
    let mut checks: HashMap<u32, Vec<Check>> = HashMap::new();
    for row in session.rows("reading the check constraints", &query).await? {
        checks.entry(row.oid("relation")?).or_default().push(Check {
            oid: row.oid("oid")?,
            name: row.text("name")?,
            definition: row.text("definition")?,
            valid: row.flag("valid")?,
            local: row.flag("local")?,
        });
    }
    Ok(checks)
}
