//! Privileges: what differs from what the server gives by itself, for every kind of object, for columns, and the default
//! privileges of roles. That includes what was granted on or revoked from members of extensions and system objects.
//!
//! The privileges that an object starts with are those that its extension (or initdb) recorded, or else the built-in
//! defaults; what is missing is revoked and what is new is granted, each in the order of the catalogue, so that a grant
//! that rests on another comes after it.

use std::collections::BTreeMap;

use super::inventory::{Key, PG_NAMESPACE};
use super::owners::{PUBLIC_SCHEMA, initial_owner, keyword};
use super::plan::{Plan, Rank, Section};
use super::quote::ident;
use super::session::{Record, Session};
use crate::Result;

/// Catalogues with privileges: the table, the privileges, the owner, the letter that `acldefault` takes, which rows.
const GUARDED: &[(&str, &str, &str, &str, &str)] = &[
    ("pg_namespace", "nspacl", "nspowner", "'n'", "nspname !~ '^pg_(toast_)?temp_'"),
    (
        "pg_class",
        "relacl",
        "relowner",
        "CASE relkind WHEN 'S' THEN 's' ELSE 'r' END",
        "relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relpersistence <> 't'",
    ),
    ("pg_proc", "proacl", "proowner", "'f'", "true"),
    ("pg_type", "typacl", "typowner", "'T'", "true"),
    ("pg_language", "lanacl", "lanowner", "'l'", "true"),
    ("pg_foreign_data_wrapper", "fdwacl", "fdwowner", "'F'", "true"),
    ("pg_foreign_server", "srvacl", "srvowner", "'S'", "true"),
    ("pg_largeobject_metadata", "lomacl", "lomowner", "'L'", "true"),
];

/// One privilege of one role.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    grantor: String,
    grantee: String,
    privilege: String,
    grantable: bool,
}

/// What is granted on one thing.
#[derive(Debug, Default)]
struct Guarded {
    /// `TABLE public.t`.
    target: String,
    column: Option<String>,
    owner: String,
    initial: Vec<Grant>,
    now: Vec<Grant>,
}

/// Adds the privileges to the plan.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let major = session.major;
    for row in session.rows("reading the privileges", &query()).await? {
        let key: Key = (row.oid("class")?, row.oid("oid")?);
        let mut guarded = Guarded {
            target: format!("{} {}", target(&row.text("kind")?), row.text("identity")?),
            column: row.optional("column_name")?,
            owner: row.text("owner")?,
            initial: grants(&row, "initial")?,
            now: grants(&row, "now")?,
        };
        if guarded.column.is_some() {
            guarded.target = format!("TABLE {}", row.text("identity")?);
        }
        if key == (PG_NAMESPACE, PUBLIC_SCHEMA) && row.oid("owner_oid")? != initial_owner(major) {
            // The change of owner, told elsewhere, changed these too.
            let first = guarded.initial.first().map(|grant| grant.grantor.clone());
            for grant in &mut guarded.initial {
                for role in [&mut grant.grantor, &mut grant.grantee] {
                    if Some(&*role) == first.as_ref() {
                        *role = guarded.owner.clone();
                    }
                }
            }
        }
        let name = format!("{} {}", guarded.target, guarded.column.as_deref().unwrap_or(""));
        let sql = changes(&guarded, plan, "");
        if !sql.is_empty() {
            plan.add(Section::Last, Rank::Acl, name, sql);
        }
    }
    defaults(session, plan).await
}

/// The statements that lead from the initial privileges to today's, each behind `head`.
fn changes(guarded: &Guarded, plan: &mut Plan, head: &str) -> String {
    let same = |a: &Grant, b: &Grant| a.grantor == b.grantor && a.grantee == b.grantee && a.privilege == b.privilege;
    let mut sql = String::new();
    let column = guarded.column.as_ref().map_or(String::new(), |column| format!(" ({})", ident(column)));
    for grant in &guarded.initial {
        match guarded.now.iter().find(|now| same(now, grant)) {
            None => {
                sql.push_str(&format!(
                    "{head}REVOKE {}{column} ON {} FROM {};\n",
                    grant.privilege,
                    guarded.target,
                    role(&grant.grantee, plan)
                ));
            }
            Some(now) if grant.grantable && !now.grantable => {
                sql.push_str(&format!(
                    "{head}REVOKE GRANT OPTION FOR {}{column} ON {} FROM {};\n",
                    grant.privilege,
                    guarded.target,
                    role(&grant.grantee, plan)
                ));
            }
            Some(_) => {}
        }
    }
    for grant in &guarded.now {
        let held = guarded.initial.iter().any(|first| same(first, grant) && first.grantable >= grant.grantable);
        if held {
            continue;
        }
        let statement = format!(
            "{head}GRANT {}{column} ON {} TO {}{};\n",
            grant.privilege,
            guarded.target,
            role(&grant.grantee, plan),
            if grant.grantable { " WITH GRANT OPTION" } else { "" }
        );
        if grant.grantor == guarded.owner {
            sql.push_str(&statement);
        } else {
            let grantor = role(&grant.grantor, plan);
            sql.push_str(&format!("SET SESSION AUTHORIZATION {grantor};\n{statement}RESET SESSION AUTHORIZATION;\n"));
        }
    }
    sql
}

/// The words that GRANT uses for what `pg_identify_object` calls `kind`.
fn target(kind: &str) -> String {
    match kind {
        "view" | "materialized view" | "foreign table" => "TABLE".to_owned(),
        "foreign-data wrapper" => "FOREIGN DATA WRAPPER".to_owned(),
        "server" => "FOREIGN SERVER".to_owned(),
        // Since 11 the word for both, where ROUTINE would not take an aggregate.
        "aggregate" => "FUNCTION".to_owned(),
        kind => keyword(kind),
    }
}

/// A grantee; the empty name is everybody.
fn role(name: &str, plan: &mut Plan) -> String {
    if name.is_empty() {
        return "PUBLIC".to_owned();
    }
    plan.roles.insert(name.to_owned());
    ident(name)
}

/// The grants of a JSON array of arrays.
fn grants(row: &Record, column: &str) -> Result<Vec<Grant>> {
    let Some(json) = row.optional(column)? else { return Ok(Vec::new()) };
    let list: Vec<(String, String, String, bool)> = serde_json::from_str(&json)
        .map_err(|error| crate::Error::bug(format!("the column {column} is not a list of grants")).because(error))?;
    Ok(list
        .into_iter()
        .map(|(grantor, grantee, privilege, grantable)| Grant { grantor, grantee, privilege, grantable })
        .collect())
}

/// An expression for the grants of an `aclitem[]`, in their order.
fn exploded(acl: &str) -> String {
    format!(
        "(SELECT json_agg(json_build_array(pg_get_userbyid(e.grantor), CASE WHEN e.grantee = 0 THEN '' ELSE \
         pg_get_userbyid(e.grantee) END, e.privilege_type, e.is_grantable) ORDER BY e.ordinality)::text \
         FROM aclexplode(nullif({acl}, '{{}}'::aclitem[])) WITH ORDINALITY e)"
    )
}

/// One query over everything whose privileges are not those that it started with.
fn query() -> String {
    let mut parts: Vec<String> = GUARDED
        .iter()
        .map(|(catalog, acl, owner, letter, condition)| {
            // Large objects are addressed by the catalogue that holds their bytes.
            let class = if *catalog == "pg_largeobject_metadata" { "pg_largeobject" } else { catalog };
            format!(
                "SELECT 'pg_catalog.{class}'::regclass::oid AS class, o.oid, 0 AS sub, {owner} AS owner, \
                 coalesce({acl}, acldefault({letter}::\"char\", {owner})) AS now, \
                 coalesce(p.initprivs, acldefault({letter}::\"char\", {owner})) AS initial, NULL::name AS column_name \
                 FROM {catalog} o LEFT JOIN pg_init_privs p ON p.classoid = 'pg_catalog.{class}'::regclass AND p.objoid = o.oid \
                 AND p.objsubid = 0 WHERE ({condition}) AND ({acl} IS NOT NULL OR p.initprivs IS NOT NULL)"
            )
        })
        .collect();
    parts.push(
        "SELECT 'pg_catalog.pg_class'::regclass::oid, o.attrelid, o.attnum::int4, c.relowner, coalesce(o.attacl, '{}'), \
         coalesce(p.initprivs, '{}'), o.attname FROM pg_attribute o JOIN pg_class c ON c.oid = o.attrelid \
         LEFT JOIN pg_init_privs p ON p.classoid = 'pg_catalog.pg_class'::regclass AND p.objoid = o.attrelid AND p.objsubid = o.attnum \
         WHERE NOT o.attisdropped AND c.relpersistence <> 't' AND (o.attacl IS NOT NULL OR p.initprivs IS NOT NULL)"
            .to_owned(),
    );
    format!(
        "SELECT x.class::int8 AS class, x.oid::int8 AS oid, i.type AS kind, i.identity, x.column_name, x.owner::int8 AS owner_oid, \
         pg_get_userbyid(x.owner) AS owner, {} AS initial, {} AS now FROM ({}) x, LATERAL pg_identify_object(x.class, x.oid, 0) i \
         WHERE x.now IS DISTINCT FROM x.initial AND i.schema IS DISTINCT FROM 'information_schema' \
         AND i.identity <> 'information_schema' ORDER BY i.identity, x.sub",
        exploded("x.initial"),
        exploded("x.now"),
        parts.join(" UNION ALL ")
    )
}

/// The default privileges of roles.
async fn defaults(session: &mut Session, plan: &mut Plan) -> Result<()> {
    /// `pg_default_acl`.
    const PG_DEFAULT_ACL: u32 = 826;
    let letter = "(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END)::\"char\"";
    let query = format!(
        "SELECT d.oid::int8 AS oid, pg_get_userbyid(d.defaclrole) AS owner, n.nspname AS schema, d.defaclobjtype::text AS kind, \
         {} AS now, {} AS initial FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace \
         ORDER BY 2, 3, 4",
        exploded("d.defaclacl"),
        exploded(&format!("CASE WHEN d.defaclnamespace = 0 THEN acldefault({letter}, d.defaclrole) ELSE '{{}}' END"))
    );
    let kinds =
        BTreeMap::from([("r", "TABLES"), ("S", "SEQUENCES"), ("f", "FUNCTIONS"), ("T", "TYPES"), ("n", "SCHEMAS")]);
    for row in session.rows("reading the default privileges", &query).await? {
        let oid = row.oid("oid")?;
        // A kind that is not known stays unclaimed.
        let Some(kind) = kinds.get(row.text("kind")?.as_str()) else { continue };
        let owner = row.text("owner")?;
        let mut head = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {}", role(&owner, plan));
        if let Some(schema) = row.optional("schema")? {
            head.push_str(&format!(" IN SCHEMA {}", ident(&schema)));
        }
        let guarded = Guarded {
            target: (*kind).to_owned(),
            column: None,
            owner,
            initial: grants(&row, "initial")?,
            now: grants(&row, "now")?,
        };
        let changes = changes(&guarded, plan, &format!("{head} "));
        plan.create((PG_DEFAULT_ACL, oid), "default privileges", (Section::Last, Rank::DefaultAcl), changes)?;
    }
    Ok(())
}
