//! Types of one's own: enumerations, domains, composite types and ranges. Base types (which need C code) stay unclaimed.

use std::collections::BTreeMap;

use super::inventory::{FIRST_USER_OID, PG_CLASS, PG_CONSTRAINT, PG_ENUM, PG_TYPE};
use super::plan::{Plan, Rank, Section};
use super::quote::{ident, literal, qualified};
use super::session::Session;
use crate::Result;

const PLACE: (Section, Rank) = (Section::PreData, Rank::Type);

/// Adds them to the plan.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<()> {
    enums(session, plan).await?;
    domains(session, plan).await?;
    composites(session, plan).await?;
    ranges(session, plan).await
}

async fn enums(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query = format!(
        "SELECT t.oid::int8 AS oid, nspname AS schema, typname AS name, \
         (SELECT json_agg(enumlabel ORDER BY enumsortorder)::text FROM pg_enum WHERE enumtypid = t.oid) AS labels, \
         (SELECT json_agg(oid::text ORDER BY enumsortorder)::text FROM pg_enum WHERE enumtypid = t.oid) AS label_oids \
         FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace \
         WHERE typtype = 'e' AND t.oid >= {FIRST_USER_OID} ORDER BY 2, 3"
    );
    for row in session.rows("reading the enumerations", &query).await? {
        let oid = row.oid("oid")?;
        let labels: Vec<String> = row.list("labels")?.iter().map(|label| format!("\n    {}", literal(label))).collect();
        let name = qualified(&row.text("schema")?, &row.text("name")?);
        let sql = format!("CREATE TYPE {name} AS ENUM ({}\n);\n", labels.join(","));
        let ours = plan.has(PG_TYPE, oid);
        let item = if ours { Some(plan.create((PG_TYPE, oid), "enum", PLACE, sql)?) } else { None };
        for label in row.list("label_oids")? {
            let Ok(label) = label.parse() else { continue };
            match item {
                Some(item) => plan.part((PG_ENUM, label), item)?,
                // The labels of an extension's enumeration: no dependency ties them to the extension.
                None => drop(plan.inventory.claim(PG_ENUM, label)?),
            }
        }
    }
    Ok(())
}

async fn domains(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query = format!(
        "SELECT c.oid::int8 AS oid, contypid::int8 AS type, conname AS name, convalidated AS valid, \
         CASE contype WHEN 'n' THEN 'NOT NULL' ELSE pg_get_constraintdef(c.oid) END AS definition \
         FROM pg_constraint c WHERE contypid <> 0 AND contype IN ('c', 'n') AND c.oid >= {FIRST_USER_OID} ORDER BY 2, 3"
    );
    let mut checks: BTreeMap<u32, Vec<(u32, String, String, bool)>> = BTreeMap::new();
    for row in session.rows("reading the constraints of domains", &query).await? {
        let check = (row.oid("oid")?, row.text("name")?, row.text("definition")?, row.flag("valid")?);
        checks.entry(row.oid("type")?).or_default().push(check);
    }
    let query = format!(
        "SELECT t.oid::int8 AS oid, n.nspname AS schema, t.typname AS name, format_type(t.typbasetype, t.typtypmod) AS base, \
         t.typnotnull AS not_null, coalesce(pg_get_expr(t.typdefaultbin, 'pg_type'::regclass), quote_literal(t.typdefault)) AS preset, \
         cn.nspname AS collation_schema, co.collname AS collation \
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_type b ON b.oid = t.typbasetype \
         LEFT JOIN pg_collation co ON co.oid = t.typcollation AND t.typcollation <> b.typcollation \
         LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace \
         WHERE t.typtype = 'd' AND t.oid >= {FIRST_USER_OID} ORDER BY 2, 3"
    );
    for row in session.rows("reading the domains", &query).await? {
        let oid = row.oid("oid")?;
        if !plan.has(PG_TYPE, oid) {
            continue;
        }
        let name = qualified(&row.text("schema")?, &row.text("name")?);
        let mut sql = format!("CREATE DOMAIN {name} AS {}", row.text("base")?);
        if let (Some(schema), Some(collation)) = (row.optional("collation_schema")?, row.optional("collation")?) {
            sql.push_str(&format!(" COLLATE {}", qualified(&schema, &collation)));
        }
        if let Some(preset) = row.optional("preset")? {
            sql.push_str(&format!(" DEFAULT {preset}"));
        }
        // Since 17 this is a constraint with a name.
        let named = checks.get(&oid).is_some_and(|checks| checks.iter().any(|(_, _, text, _)| text == "NOT NULL"));
        if row.flag("not_null")? && !named {
            sql.push_str(" NOT NULL");
        }
        let (mut inline, mut apart) = (Vec::new(), Vec::new());
        for (check, label, definition, valid) in checks.remove(&oid).unwrap_or_default() {
            let text = format!("CONSTRAINT {} {definition}", ident(&label));
            // A check that calls a function may call one that takes the domain.
            if valid && !plan.uses_functions((PG_CONSTRAINT, check)) {
                sql.push_str(&format!("\n    {text}"));
                inline.push(check);
            } else {
                let section = if valid { Section::PreData } else { Section::PostData };
                apart.push((check, section, format!("ALTER DOMAIN {name} ADD {text};\n")));
            }
        }
        sql.push_str(";\n");
        let item = plan.create((PG_TYPE, oid), "domain", PLACE, sql)?;
        for check in inline {
            plan.part((PG_CONSTRAINT, check), item)?;
        }
        for (check, section, text) in apart {
            plan.create((PG_CONSTRAINT, check), "domain constraint", (section, Rank::Check), text)?;
        }
    }
    Ok(())
}

async fn composites(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query = format!(
        "SELECT t.oid::int8 AS oid, c.oid::int8 AS relation, n.nspname AS schema, t.typname AS name, \
         (SELECT json_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod) || coalesce(' COLLATE ' || \
            quote_ident(cn.nspname) || '.' || quote_ident(co.collname), '') ORDER BY attnum)::text \
          FROM pg_attribute a JOIN pg_type at ON at.oid = a.atttypid \
          LEFT JOIN pg_collation co ON co.oid = a.attcollation AND a.attcollation <> at.typcollation \
          LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace \
          WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS attributes \
         FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c' JOIN pg_namespace n ON n.oid = t.typnamespace \
         WHERE t.typtype = 'c' AND t.oid >= {FIRST_USER_OID} ORDER BY 3, 4"
    );
    for row in session.rows("reading the composite types", &query).await? {
        let oid = row.oid("oid")?;
        if !plan.has(PG_TYPE, oid) {
            continue;
        }
        let name = qualified(&row.text("schema")?, &row.text("name")?);
        let attributes: Vec<String> = row.list("attributes")?.iter().map(|text| format!("\n    {text}")).collect();
        let sql = format!("CREATE TYPE {name} AS ({}\n);\n", attributes.join(","));
        let item = plan.create((PG_TYPE, oid), "composite type", PLACE, sql)?;
        plan.part((PG_CLASS, row.oid("relation")?), item)?;
    }
    Ok(())
}

async fn ranges(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let multirange = if session.major >= 14 {
        "(SELECT quote_ident(mn.nspname) || '.' || quote_ident(m.typname) FROM pg_type m \
          JOIN pg_namespace mn ON mn.oid = m.typnamespace WHERE m.oid = rngmultitypid)"
    } else {
        "NULL"
    };
    let query = format!(
        "SELECT t.oid::int8 AS oid, n.nspname AS schema, t.typname AS name, format_type(rngsubtype, NULL) AS subtype, \
         {multirange} AS multirange, NOT o.opcdefault AS special, on1.nspname AS class_schema, o.opcname AS class, \
         cn.nspname AS collation_schema, co.collname AS collation, rngcanonical <> 0 AS canonical, \
         CASE WHEN rngsubdiff <> 0 THEN rngsubdiff::regproc::text END AS difference \
         FROM pg_range r JOIN pg_type t ON t.oid = rngtypid JOIN pg_namespace n ON n.oid = t.typnamespace \
         JOIN pg_type s ON s.oid = rngsubtype JOIN pg_opclass o ON o.oid = rngsubopc \
         JOIN pg_namespace on1 ON on1.oid = o.opcnamespace \
         LEFT JOIN pg_collation co ON co.oid = rngcollation AND rngcollation <> s.typcollation \
         LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace \
         WHERE t.oid >= {FIRST_USER_OID} ORDER BY 2, 3"
    );
    for row in session.rows("reading the range types", &query).await? {
        let oid = row.oid("oid")?;
        // A canonical function takes the type before it is complete, and so must be in C: left unclaimed.
        if !plan.has(PG_TYPE, oid) || row.flag("canonical")? {
            continue;
        }
        let mut options = vec![format!("subtype = {}", row.text("subtype")?)];
        if row.flag("special")? {
            options.push(format!("subtype_opclass = {}", qualified(&row.text("class_schema")?, &row.text("class")?)));
        }
        if let (Some(schema), Some(collation)) = (row.optional("collation_schema")?, row.optional("collation")?) {
            options.push(format!("collation = {}", qualified(&schema, &collation)));
        }
        if let Some(difference) = row.optional("difference")? {
            options.push(format!("subtype_diff = {difference}"));
        }
        if let Some(multirange) = row.optional("multirange")? {
            options.push(format!("multirange_type_name = {multirange}"));
        }
        let name = qualified(&row.text("schema")?, &row.text("name")?);
        let sql = format!("CREATE TYPE {name} AS RANGE (\n    {}\n);\n", options.join(",\n    "));
        plan.create((PG_TYPE, oid), "range type", PLACE, sql)?;
    }
    Ok(())
}
