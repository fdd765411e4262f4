//! Aggregates, operators, casts and collations: rarer, but each is asked for by some application.

use super::inventory::{FIRST_USER_OID, PG_PROC};
use super::plan::{Plan, Rank, Section};
use super::quote::{ident, literal, qualified};
use super::session::{Record, Session};
use crate::Result;

const PG_CAST: u32 = 2605;
const PG_OPERATOR: u32 = 2617;
const PG_COLLATION: u32 = 3456;

/// Adds them to the plan.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<()> {
    collations(session, plan).await?;
    aggregates(session, plan).await?;
    operators(session, plan).await?;
    casts(session, plan).await
}

async fn collations(session: &mut Session, plan: &mut Plan) -> Result<()> {
    // The locale stood in three different columns over the versions.
    let query = format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, collname AS name, collprovider::text AS provider, \
         collisdeterministic AS deterministic, collcollate AS lc_collate, collctype AS lc_ctype, \
         coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale', collcollate::text) AS locale, \
         to_jsonb(c) ->> 'collicurules' AS rules FROM pg_collation c JOIN pg_namespace n ON n.oid = collnamespace \
         WHERE c.oid >= {FIRST_USER_OID} ORDER BY 2, 3"
    );
    for row in session.rows("reading the collations", &query).await? {
        let oid = row.oid("oid")?;
        let provider = match row.text("provider")?.as_str() {
            "c" => "libc",
            "i" => "icu",
            "b" => "builtin",
            // Stays unclaimed.
            _ => continue,
        };
        if !plan.has(PG_COLLATION, oid) {
            continue;
        }
        let mut options = vec![format!("provider = {provider}")];
        if !row.flag("deterministic")? {
            options.push("deterministic = false".to_owned());
        }
        if provider == "libc" {
            options.push(format!("lc_collate = {}", literal(&row.text("lc_collate")?)));
            options.push(format!("lc_ctype = {}", literal(&row.text("lc_ctype")?)));
        } else {
            options.push(format!("locale = {}", literal(&row.text("locale")?)));
        }
        if let Some(rules) = row.optional("rules")? {
            options.push(format!("rules = {}", literal(&rules)));
        }
        let name = qualified(&row.text("schema")?, &row.text("name")?);
        let sql = format!("CREATE COLLATION {name} ({});\n", options.join(", "));
        plan.create((PG_COLLATION, oid), "collation", (Section::PreData, Rank::Collation), sql)?;
    }
    Ok(())
}

async fn aggregates(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let function = |column: &str| format!("CASE WHEN {column}::oid <> 0 THEN {column}::text END AS {column}");
    let functions =
        ["aggfinalfn", "aggcombinefn", "aggserialfn", "aggdeserialfn", "aggmtransfn", "aggminvtransfn", "aggmfinalfn"];
    let query = format!(
        "SELECT p.oid::int8 AS oid, n.nspname AS schema, p.proname AS name, pg_get_function_arguments(p.oid) AS arguments, \
         p.pronargs AS count, p.proparallel::text AS parallel, a.aggkind::text AS kind, a.aggtransfn::text AS aggtransfn, {}, \
         format_type(a.aggtranstype, NULL) AS state, a.aggtransspace AS space, a.agginitval AS initial, \
         a.aggfinalextra AS extra, a.aggfinalmodify::text AS modify, a.aggmfinalextra AS mextra, \
         a.aggmfinalmodify::text AS mmodify, CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END AS mstate, \
         a.aggmtransspace AS mspace, a.aggminitval AS minitial, \
         (SELECT quote_ident(sn.nspname) || '.' || oprname FROM pg_operator o JOIN pg_namespace sn ON sn.oid = oprnamespace \
            WHERE o.oid = a.aggsortop) AS sort_operator \
         FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE p.oid >= {FIRST_USER_OID} ORDER BY 2, 3, 1",
        functions.map(function).join(", ")
    );
    for row in session.rows("reading the aggregates", &query).await? {
        let oid = row.oid("oid")?;
        if !plan.has(PG_PROC, oid) {
            continue;
        }
        let mut options =
            vec![format!("SFUNC = {}", row.text("aggtransfn")?), format!("STYPE = {}", row.text("state")?)];
        let mut add =
            |word: &str, value: Option<String>| options.extend(value.map(|value| format!("{word} = {value}")));
        let modify = |row: &Record, column: &str| -> Result<Option<String>> {
            Ok(match row.text(column)?.as_str() {
                "r" => Some("READ_ONLY".to_owned()),
                "s" => Some("SHAREABLE".to_owned()),
                _ => Some("READ_WRITE".to_owned()),
            })
        };
        let extra =
            |row: &Record, column: &str| -> Result<Option<String>> { Ok(row.flag(column)?.then(|| "true".to_owned())) };
        let space = |row: &Record, column: &str| -> Result<Option<String>> {
            Ok(row.optional(column)?.filter(|value| value != "0"))
        };
        let value = |row: &Record, column: &str| -> Result<Option<String>> {
            Ok(row.optional(column)?.map(|value| literal(&value)))
        };
        add("SSPACE", space(&row, "space")?);
        add("INITCOND", value(&row, "initial")?);
        add("FINALFUNC", row.optional("aggfinalfn")?);
        add("FINALFUNC_EXTRA", extra(&row, "extra")?);
        if row.optional("aggfinalfn")?.is_some() {
            add("FINALFUNC_MODIFY", modify(&row, "modify")?);
        }
        add("COMBINEFUNC", row.optional("aggcombinefn")?);
        add("SERIALFUNC", row.optional("aggserialfn")?);
        add("DESERIALFUNC", row.optional("aggdeserialfn")?);
        add("MSFUNC", row.optional("aggmtransfn")?);
        add("MINVFUNC", row.optional("aggminvtransfn")?);
        add("MSTYPE", row.optional("mstate")?);
        add("MSSPACE", space(&row, "mspace")?);
        add("MINITCOND", value(&row, "minitial")?);
        add("MFINALFUNC", row.optional("aggmfinalfn")?);
        add("MFINALFUNC_EXTRA", extra(&row, "mextra")?);
        if row.optional("aggmfinalfn")?.is_some() {
            add("MFINALFUNC_MODIFY", modify(&row, "mmodify")?);
        }
        add("SORTOP", row.optional("sort_operator")?.map(|name| format!("OPERATOR({name})")));
        match row.text("parallel")?.as_str() {
            "s" => options.push("PARALLEL = SAFE".to_owned()),
            "r" => options.push("PARALLEL = RESTRICTED".to_owned()),
            _ => {}
        }
        if row.text("kind")? == "h" {
            options.push("HYPOTHETICAL".to_owned());
        }
        let arguments = if row.int("count")? == 0 { "*".to_owned() } else { row.text("arguments")? };
        let name = qualified(&row.text("schema")?, &row.text("name")?);
        let sql = format!("CREATE AGGREGATE {name}({arguments}) (\n    {}\n);\n", options.join(",\n    "));
        plan.create((PG_PROC, oid), "aggregate", (Section::PreData, Rank::Aggregate), sql)?;
    }
    Ok(())
}

async fn operators(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let other = |column: &str, name: &str| {
        format!(
            "(SELECT quote_ident(xn.nspname) || '.' || x.oprname FROM pg_operator x JOIN pg_namespace xn ON xn.oid = x.oprnamespace \
             WHERE x.oid = o.{column}) AS {name}"
        )
    };
    let query = format!(
        "SELECT o.oid::int8 AS oid, n.nspname AS schema, oprname AS name, oprcode::oid = 0 AS shell, oprcode::text AS function, \
         CASE WHEN oprleft <> 0 THEN format_type(oprleft, NULL) END AS left_type, \
         CASE WHEN oprright <> 0 THEN format_type(oprright, NULL) END AS right_type, {}, {}, \
         CASE WHEN oprrest::oid <> 0 THEN oprrest::text END AS restriction, \
         CASE WHEN oprjoin::oid <> 0 THEN oprjoin::text END AS joining, oprcanhash AS hashes, oprcanmerge AS merges \
         FROM pg_operator o JOIN pg_namespace n ON n.oid = oprnamespace WHERE o.oid >= {FIRST_USER_OID} ORDER BY 2, 3, 1",
        other("oprcom", "commutator"),
        other("oprnegate", "negator")
    );
    for row in session.rows("reading the operators", &query).await? {
        let oid = row.oid("oid")?;
        // A shell (named as somebody's commutator and never defined) stays unclaimed.
        if !plan.has(PG_OPERATOR, oid) || row.flag("shell")? {
            continue;
        }
        let mut options = vec![format!("FUNCTION = {}", row.text("function")?)];
        for (word, column) in
            [("LEFTARG", "left_type"), ("RIGHTARG", "right_type"), ("RESTRICT", "restriction"), ("JOIN", "joining")]
        {
            options.extend(row.optional(column)?.map(|value| format!("{word} = {value}")));
        }
        for (word, column) in [("COMMUTATOR", "commutator"), ("NEGATOR", "negator")] {
            options.extend(row.optional(column)?.map(|value| format!("{word} = OPERATOR({value})")));
        }
        for (word, column) in [("HASHES", "hashes"), ("MERGES", "merges")] {
            options.extend(row.flag(column)?.then(|| word.to_owned()));
        }
        let sql = format!(
            "CREATE OPERATOR {}.{} (\n    {}\n);\n",
            ident(&row.text("schema")?),
            row.text("name")?,
            options.join(",\n    ")
        );
        plan.create((PG_OPERATOR, oid), "operator", (Section::PreData, Rank::Operator), sql)?;
    }
    Ok(())
}

async fn casts(session: &mut Session, plan: &mut Plan) -> Result<()> {
    // The cast from a range to its multirange comes with the range.
    let query = format!(
        "SELECT c.oid::int8 AS oid, format_type(castsource, NULL) AS source, format_type(casttarget, NULL) AS target, \
         castmethod::text AS method, castcontext::text AS context, castfunc::regprocedure::text AS function FROM pg_cast c \
         WHERE c.oid >= {FIRST_USER_OID} AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_cast'::regclass \
         AND d.objid = c.oid AND d.deptype = 'i') ORDER BY 2, 3"
    );
    for row in session.rows("reading the casts", &query).await? {
        let oid = row.oid("oid")?;
        if !plan.has(PG_CAST, oid) {
            continue;
        }
        let method = match row.text("method")?.as_str() {
            "f" => format!("WITH FUNCTION {}", row.text("function")?),
            "i" => "WITH INOUT".to_owned(),
            "b" => "WITHOUT FUNCTION".to_owned(),
            _ => continue,
        };
        let context = match row.text("context")?.as_str() {
            "a" => " AS ASSIGNMENT",
            "i" => " AS IMPLICIT",
            _ => "",
        };
        let sql = format!("CREATE CAST ({} AS {}) {method}{context};\n", row.text("source")?, row.text("target")?);
        plan.create((PG_CAST, oid), "cast", (Section::PreData, Rank::Cast), sql)?;
    }
    Ok(())
}
