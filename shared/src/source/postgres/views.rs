//! Views, materialized views and rules, as the server deparses them with an empty search path.

use super::columns::{Columns, options};
use super::inventory::{FIRST_USER_OID, PG_CLASS, PG_REWRITE};
use super::plan::{Plan, Rank, Section};
use super::quote::{ident, qualified, shown};
use super::session::Session;
use crate::Result;

/// Adds them to the plan.
pub(super) async fn read(session: &mut Session, plan: &mut Plan, columns: &Columns) -> Result<()> {
    let query = format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, c.relispopulated AS populated, \
         pg_get_viewdef(c.oid) AS definition, to_json(c.reloptions)::text AS options, ts.spcname AS tablespace, \
         CASE WHEN am.amname <> 'heap' THEN am.amname END AS method \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am am ON am.oid = c.relam \
         LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace \
         WHERE c.relkind IN ('v', 'm') AND c.oid >= {FIRST_USER_OID} ORDER BY n.nspname, c.relname"
    );
    let mut refreshes: Vec<(u32, usize)> = Vec::new();
    for row in session.rows("reading the views", &query).await? {
        let oid = row.oid("oid")?;
        if !plan.has(PG_CLASS, oid) {
            continue;
        }
        let name = qualified(&row.text("schema")?, &row.text("name")?);
        let definition = row.text("definition")?;
        let definition = definition.trim_end().trim_end_matches(';');
        let storage = row.list("options")?;
        let with = if storage.is_empty() { String::new() } else { format!(" WITH ({})", options(&storage)) };
        let columns = columns.get(&oid).map_or(&[][..], Vec::as_slice);
        if row.text("kind")? == "v" {
            let sql = format!("CREATE OR REPLACE VIEW {name}{with} AS\n{definition};\n");
            let item = plan.create((PG_CLASS, oid), "view", (Section::PreData, Rank::View), sql)?;
            if !columns.is_empty() {
                let stand_in: Vec<String> =
                    columns.iter().map(|column| format!("\n    {}", column.stand_in())).collect();
                plan.set_stand_in(item, format!("CREATE VIEW {name} AS\nSELECT{};\n", stand_in.join(",")));
            }
            for column in columns {
                column.add_preset(plan, &name, item, false)?;
            }
        } else {
            let using = row.optional("method")?.map_or(String::new(), |method| format!(" USING {}", ident(&method)));
            let relation = format!("MATERIALIZED VIEW {name}");
            let details: String = columns.iter().map(|column| column.details(&relation, true, false)).collect();
            let sql =
                format!("CREATE MATERIALIZED VIEW {name}{using}{with} AS\n{definition}\nWITH NO DATA;\n{details}");
            plan.create((PG_CLASS, oid), "materialized view", (Section::PreData, Rank::View), sql)?;
            if row.flag("populated")? {
                let sql = format!("REFRESH MATERIALIZED VIEW {name};\n");
                refreshes.push((oid, plan.add(Section::Last, Rank::Refresh, plan.identity(PG_CLASS, oid), sql)));
            }
            if let Some(tablespace) = row.optional("tablespace")? {
                let (view, space) = (shown(&name), shown(&tablespace));
                plan.warnings.push(format!(
                    "materialized view {view} stands in tablespace {space}; it is restored into the default one"
                ));
            }
        }
    }
    plan.refreshes = refreshes;
    rules(session, plan).await
}

async fn rules(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query = format!(
        "SELECT r.oid::int8 AS oid, r.rulename AS name, pg_get_ruledef(r.oid) AS definition, r.ev_enabled::text AS enabled, \
         n.nspname AS schema, c.relname AS table_name FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE r.rulename <> '_RETURN' AND r.oid >= {FIRST_USER_OID} ORDER BY n.nspname, c.relname, r.rulename"
    );
    for row in session.rows("reading the rules", &query).await? {
        let oid = row.oid("oid")?;
        if !plan.has(PG_REWRITE, oid) {
            continue;
        }
        let mut sql = format!("{};\n", row.text("definition")?.trim_end().trim_end_matches(';'));
        let table = qualified(&row.text("schema")?, &row.text("table_name")?);
        if let Some(state) = super::triggers::state(&row.text("enabled")?) {
            sql.push_str(&format!("ALTER TABLE {table} {state} RULE {};\n", ident(&row.text("name")?)));
        }
        plan.create((PG_REWRITE, oid), "rule", (Section::PostData, Rank::Rule), sql)?;
    }
    Ok(())
}
