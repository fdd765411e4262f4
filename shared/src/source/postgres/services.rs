//! Extended statistics, publications and text search: what hangs on tables or serves queries on them.

use super::inventory::{FIRST_USER_OID, PG_CLASS, PG_NAMESPACE};
use super::plan::{Plan, Rank, Section};
use super::quote::{ident, literal, qualified};
use super::session::Session;
use crate::Result;

const PG_STATISTIC_EXT: u32 = 3381;
const PG_PUBLICATION: u32 = 6104;
const PG_PUBLICATION_REL: u32 = 6106;
const PG_PUBLICATION_NAMESPACE: u32 = 6237;
const PG_TS_DICT: u32 = 3600;
const PG_TS_CONFIG: u32 = 3602;

/// Adds them to the plan.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<()> {
    statistics(session, plan).await?;
    publications(session, plan).await?;
    text_search(session, plan).await
}

async fn statistics(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query = format!(
        "SELECT s.oid::int8 AS oid, n.nspname AS schema, stxname AS name, pg_get_statisticsobjdef(s.oid) AS definition, \
         nullif(stxstattarget, -1) AS target FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = stxnamespace \
         WHERE s.oid >= {FIRST_USER_OID} ORDER BY 2, 3"
    );
    for row in session.rows("reading the extended statistics", &query).await? {
        let oid = row.oid("oid")?;
        if plan.has(PG_STATISTIC_EXT, oid) {
            let mut sql = format!("{};\n", row.text("definition")?);
            if let Some(target) = row.optional("target")? {
                let name = qualified(&row.text("schema")?, &row.text("name")?);
                sql.push_str(&format!("ALTER STATISTICS {name} SET STATISTICS {target};\n"));
            }
            plan.create((PG_STATISTIC_EXT, oid), "statistics object", (Section::PostData, Rank::Statistics), sql)?;
        }
    }
    Ok(())
}

async fn publications(session: &mut Session, plan: &mut Plan) -> Result<()> {
    const PLACE: (Section, Rank) = (Section::PostData, Rank::Publication);
    let query = format!(
        "SELECT p.oid::int8 AS oid, pubname AS name, puballtables AS all_tables, pubviaroot AS via_root, \
         concat_ws(', ', CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END, \
         CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END) AS actions, \
         coalesce(to_jsonb(p) ->> 'pubgencols', 'n') = 's' AS generated \
         FROM pg_publication p WHERE p.oid >= {FIRST_USER_OID} ORDER BY 2"
    );
    for row in session.rows("reading the publications", &query).await? {
        let oid = row.oid("oid")?;
        if plan.has(PG_PUBLICATION, oid) {
            let sql = format!(
                "CREATE PUBLICATION {}{} WITH (publish = {}, publish_via_partition_root = {}{});\n",
                ident(&row.text("name")?),
                if row.flag("all_tables")? { " FOR ALL TABLES" } else { "" },
                literal(&row.text("actions")?),
                row.flag("via_root")?,
                if row.flag("generated")? { ", publish_generated_columns = stored" } else { "" }
            );
            plan.create((PG_PUBLICATION, oid), "publication", PLACE, sql)?;
        }
    }
    // Column lists, row filters and whole schemas came with 15.
    let (columns, filter) = if session.major >= 15 {
        (
            "(SELECT json_agg(attname ORDER BY attnum)::text FROM pg_attribute WHERE attrelid = r.prrelid AND attnum = ANY (r.prattrs))",
            "pg_get_expr(r.prqual, r.prrelid)",
        )
    } else {
        ("NULL", "NULL")
    };
    let query = format!(
        "SELECT r.oid::int8 AS oid, pubname AS publication, n.nspname AS schema, c.relname AS table_name, c.oid::int8 AS table_oid, \
         p.oid::int8 AS publication_oid, {columns} AS columns, {filter} AS filter FROM pg_publication_rel r \
         JOIN pg_publication p ON p.oid = prpubid JOIN pg_class c ON c.oid = prrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE r.oid >= {FIRST_USER_OID} ORDER BY 2, 3, 4"
    );
    for row in session.rows("reading the tables of publications", &query).await? {
        let oid = row.oid("oid")?;
        if plan.has(PG_PUBLICATION_REL, oid) {
            let table = qualified(&row.text("schema")?, &row.text("table_name")?);
            let mut sql = format!("ALTER PUBLICATION {} ADD TABLE ONLY {table}", ident(&row.text("publication")?));
            let columns: Vec<String> = row.list("columns")?.iter().map(|column| ident(column)).collect();
            if !columns.is_empty() {
                sql.push_str(&format!(" ({})", columns.join(", ")));
            }
            if let Some(filter) = row.optional("filter")? {
                sql.push_str(&format!(" WHERE ({filter})"));
            }
            sql.push_str(";\n");
            let item = plan.create((PG_PUBLICATION_REL, oid), "published table", PLACE, sql)?;
            plan.after_object(item, PG_PUBLICATION, row.oid("publication_oid")?);
            plan.after_object(item, PG_CLASS, row.oid("table_oid")?);
        }
    }
    if session.major < 15 {
        return Ok(());
    }
    let query = "SELECT s.oid::int8 AS oid, pubname AS publication, p.oid::int8 AS publication_oid, nspname AS schema, \
                 n.oid::int8 AS schema_oid FROM pg_publication_namespace s JOIN pg_publication p ON p.oid = pnpubid \
                 JOIN pg_namespace n ON n.oid = pnnspid ORDER BY 2, 4";
    for row in session.rows("reading the schemas of publications", query).await? {
        let oid = row.oid("oid")?;
        if plan.has(PG_PUBLICATION_NAMESPACE, oid) {
            let (publication, schema) = (ident(&row.text("publication")?), ident(&row.text("schema")?));
            let sql = format!("ALTER PUBLICATION {publication} ADD TABLES IN SCHEMA {schema};\n");
            let item = plan.create((PG_PUBLICATION_NAMESPACE, oid), "published schema", PLACE, sql)?;
            plan.after_object(item, PG_PUBLICATION, row.oid("publication_oid")?);
            plan.after_object(item, PG_NAMESPACE, row.oid("schema_oid")?);
        }
    }
    Ok(())
}

/// Dictionaries and configurations; parsers and templates need C functions and stay unclaimed.
async fn text_search(session: &mut Session, plan: &mut Plan) -> Result<()> {
    const PLACE: (Section, Rank) = (Section::PreData, Rank::TextSearch);
    let query = format!(
        "SELECT d.oid::int8 AS oid, n.nspname AS schema, dictname AS name, dictinitoption AS options, \
         quote_ident(tn.nspname) || '.' || quote_ident(tmplname) AS template \
         FROM pg_ts_dict d JOIN pg_namespace n ON n.oid = dictnamespace JOIN pg_ts_template t ON t.oid = dicttemplate \
         JOIN pg_namespace tn ON tn.oid = tmplnamespace WHERE d.oid >= {FIRST_USER_OID} ORDER BY 2, 3"
    );
    for row in session.rows("reading the text search dictionaries", &query).await? {
        let oid = row.oid("oid")?;
        if plan.has(PG_TS_DICT, oid) {
            let name = qualified(&row.text("schema")?, &row.text("name")?);
            // The server keeps the options as the SQL that they were written in.
            let options = row.optional("options")?.map_or(String::new(), |options| format!(",\n    {options}"));
            let sql = format!(
                "CREATE TEXT SEARCH DICTIONARY {name} (\n    TEMPLATE = {}{options}\n);\n",
                row.text("template")?
            );
            plan.create((PG_TS_DICT, oid), "text search dictionary", PLACE, sql)?;
        }
    }
    let query = format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, cfgname AS name, quote_ident(pn.nspname) || '.' || quote_ident(prsname) AS parser, \
         (SELECT json_agg(line ORDER BY line COLLATE \"C\")::text FROM (SELECT quote_ident((SELECT alias FROM ts_token_type(cfgparser) \
            WHERE tokid = maptokentype)) || ' WITH ' || string_agg(mapdict::regdictionary::text, ', ' ORDER BY mapseqno) AS line \
            FROM pg_ts_config_map WHERE mapcfg = c.oid GROUP BY maptokentype) m) AS mappings \
         FROM pg_ts_config c JOIN pg_namespace n ON n.oid = cfgnamespace JOIN pg_ts_parser p ON p.oid = cfgparser \
         JOIN pg_namespace pn ON pn.oid = prsnamespace WHERE c.oid >= {FIRST_USER_OID} ORDER BY 2, 3"
    );
    for row in session.rows("reading the text search configurations", &query).await? {
        let oid = row.oid("oid")?;
        if plan.has(PG_TS_CONFIG, oid) {
            let name = qualified(&row.text("schema")?, &row.text("name")?);
            let mut sql =
                format!("CREATE TEXT SEARCH CONFIGURATION {name} (\n    PARSER = {}\n);\n", row.text("parser")?);
            for mapping in row.list("mappings")? {
                sql.push_str(&format!("ALTER TEXT SEARCH CONFIGURATION {name} ADD MAPPING FOR {mapping};\n"));
            }
            plan.create((PG_TS_CONFIG, oid), "text search configuration", PLACE, sql)?;
        }
    }
    Ok(())
}
