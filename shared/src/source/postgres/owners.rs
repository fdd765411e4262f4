//! Who owns what, for every kind of object that can have an owner.

use super::inventory::FIRST_USER_OID;
use super::plan::{Plan, Rank, Section};
use super::quote::ident;
use super::session::Session;
use crate::Result;

/// The schema that every database is made with.
pub(super) const PUBLIC_SCHEMA: u32 = 2200;

/// Catalogues with an owner: the table, the column with the owner, which rows.
const OWNED: &[(&str, &str, &str)] = &[
    ("pg_namespace", "nspowner", "true"),
    // Indexes and toast tables follow their table, composite types their type; what stands behind an identity column
    // follows the column.
    (
        "pg_class",
        "relowner",
        "relkind IN ('r', 'p', 'v', 'm', 'f') OR relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend d WHERE \
         d.classid = 'pg_class'::regclass AND d.objid = o.oid AND d.deptype = 'i' AND d.refobjsubid > 0)",
    ),
    (
        "pg_type",
        "typowner",
        "typtype IN ('e', 'd', 'r') OR typtype = 'c' AND (SELECT relkind FROM pg_class c WHERE c.oid = typrelid) = 'c'",
    ),
    ("pg_proc", "proowner", "true"),
    ("pg_operator", "oprowner", "true"),
    ("pg_opclass", "opcowner", "true"),
    ("pg_opfamily", "opfowner", "true"),
    ("pg_collation", "collowner", "true"),
    ("pg_ts_dict", "dictowner", "true"),
    ("pg_ts_config", "cfgowner", "true"),
    ("pg_statistic_ext", "stxowner", "true"),
    ("pg_foreign_data_wrapper", "fdwowner", "true"),
    ("pg_foreign_server", "srvowner", "true"),
    ("pg_event_trigger", "evtowner", "true"),
    ("pg_publication", "pubowner", "true"),
];

/// Appends the owners to the items that make the objects.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let parts: Vec<String> = OWNED
        .iter()
        .map(|(catalog, column, condition)| {
            format!(
                "SELECT 'pg_catalog.{catalog}'::regclass::int8 AS class, o.oid::int8 AS oid, pg_get_userbyid({column}) AS owner \
                 FROM {catalog} o WHERE o.oid >= {FIRST_USER_OID} AND ({condition})"
            )
        })
        .collect();
    let query = format!("{} ORDER BY 1, 2", parts.join(" UNION ALL "));
    for row in session.rows("reading the owners", &query).await? {
        let key = (row.oid("class")?, row.oid("oid")?);
        let (Some(item), Some(object)) = (plan.provider(key.0, key.1), plan.inventory.get(key)) else { continue };
        let owner = row.text("owner")?;
        let sql = format!("ALTER {} OWNER TO {};\n", addressed(&object.kind, &object.identity), ident(&owner));
        // A range's constructors go with the range.
        if plan.made_by_itself(key, item) {
            plan.append(item, &sql);
            plan.roles.insert(owner);
        }
    }
    public(session, plan).await
}

/// The `public` schema is there already; its owner is told when it is not the one that a new database gives it.
async fn public(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let initial = initial_owner(session.major);
    let query = format!(
        "SELECT pg_get_userbyid(nspowner) AS owner FROM pg_namespace WHERE oid = {PUBLIC_SCHEMA} AND nspname = 'public' \
         AND nspowner <> {initial}"
    );
    for row in session.rows("reading the owner of the schema public", &query).await? {
        let owner = row.text("owner")?;
        let sql = format!("ALTER SCHEMA \"public\" OWNER TO {};\n", ident(&owner));
        plan.add(Section::PreData, Rank::Schema, "public".to_owned(), sql);
        plan.roles.insert(owner);
    }
    Ok(())
}

/// The role that owns `public` in a new database: `pg_database_owner` since 15, the bootstrap superuser before.
pub(super) fn initial_owner(major: u32) -> u32 {
    if major >= 15 { 6171 } else { 10 }
}

/// How ALTER and COMMENT address an object.
pub(super) fn addressed(kind: &str, identity: &str) -> String {
    // An aggregate of no arguments is one of everything.
    let identity = match identity.strip_suffix("()") {
        Some(name) if kind == "aggregate" => format!("{name}(*)"),
        _ => identity.to_owned(),
    };
    format!("{} {identity}", keyword(kind))
}

/// The words that ALTER, COMMENT and GRANT use for what `pg_identify_object` calls `kind`.
pub(super) fn keyword(kind: &str) -> String {
    match kind {
        "statistics object" => "STATISTICS".to_owned(),
        "foreign-data wrapper" => "FOREIGN DATA WRAPPER".to_owned(),
        "table constraint" | "domain constraint" => "CONSTRAINT".to_owned(),
        kind if kind.ends_with(" column") => "COLUMN".to_owned(),
        kind => kind.to_uppercase(),
    }
}
