//! What must be true of a database before the first statement of a dump runs in it.

use super::needs::Needs;
use crate::Result;
use crate::archive::manifest::DatabaseManifest;
use crate::source::postgres::quote::{ident, literal};
use crate::source::postgres::session::Session;
use crate::target::Findings;

/// Objects with a smaller id belong to the server itself.
const FIRST_USER_OID: u32 = 16_384;
/// How many names one message holds.
const SHOWN: usize = 5;

/// The server must not be older than the one that the dump is of.
pub(super) fn version(session: &Session, manifest: &DatabaseManifest, findings: &mut Findings) {
    let digits: String = manifest.server_version.chars().take_while(char::is_ascii_digit).collect();
    let source = digits.parse::<u32>().unwrap_or(0);
    if session.major < source {
        findings.problem(format!(
            "the server is PostgreSQL {}, older than the {} that the backup was made from",
            session.version, manifest.server_version
        ));
    }
}

/// Nothing of a user may be there. Extensions may: the dump makes only those that are missing.
pub(super) async fn emptiness(session: &mut Session, findings: &mut Findings) -> Result<()> {
    let kinds = [
        ("schema", "pg_namespace", "nspname", "0", "nspname !~ '^pg_(toast_)?temp_'"),
        ("relation", "pg_class", "relname", "relnamespace", "relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')"),
        ("routine", "pg_proc", "proname", "pronamespace", "true"),
        ("type", "pg_type", "typname", "typnamespace", "typrelid = 0 AND typcategory <> 'A'"),
        ("operator", "pg_operator", "oprname", "oprnamespace", "true"),
        ("collation", "pg_collation", "collname", "collnamespace", "true"),
        ("text search configuration", "pg_ts_config", "cfgname", "cfgnamespace", "true"),
        ("event trigger", "pg_event_trigger", "evtname", "0", "true"),
        ("publication", "pg_publication", "pubname", "0", "true"),
        ("foreign server", "pg_foreign_server", "srvname", "0", "true"),
    ];
    let mut parts: Vec<String> = kinds
        .iter()
        .map(|(kind, catalog, name, schema, condition)| {
            format!(
                "SELECT '{kind} ' || coalesce((SELECT nspname || '.' FROM pg_namespace n WHERE n.oid = {schema}), '') || {name} \
                 AS name FROM {catalog} o WHERE o.oid >= {FIRST_USER_OID} AND ({condition}) AND NOT EXISTS (SELECT FROM pg_depend d \
                 WHERE d.classid = o.tableoid AND d.objid = o.oid AND d.deptype = 'e') \
                 AND NOT EXISTS (SELECT FROM pg_namespace n WHERE n.oid = {schema} AND n.nspname ~ '^pg_(toast_)?temp_')"
            )
        })
        .collect();
    parts.push("SELECT 'large object ' || oid FROM pg_largeobject_metadata".to_owned());
    let query = format!(
        "WITH found AS ({}) SELECT count(*) AS number, (SELECT json_agg(name) FROM (SELECT name FROM found ORDER BY 1 LIMIT {SHOWN}) f)::text \
         AS names FROM found",
        parts.join(" UNION ALL ")
    );
    let row = session.row("looking whether the target is empty", &query).await?;
    let number = row.int("number")?;
    if number > 0 {
        let names = row.list("names")?;
        let more = if number > names.len() as i64 { ", …" } else { "" };
        findings.problem(format!(
            "the database is not empty: it holds {number} objects ({}{more}); restore into a new one: CREATE DATABASE x TEMPLATE template0",
            names.join(", ")
        ));
    }
    Ok(())
}

/// The role must be able to make things.
pub(super) async fn privileges(session: &mut Session, needs: &Needs, findings: &mut Findings) -> Result<()> {
    let row = session
        .row(
            "reading the privileges",
            "SELECT current_user AS role, current_database() AS name, \
             has_database_privilege(current_database(), 'CREATE') AS creates, \
             coalesce((SELECT has_schema_privilege(oid, 'CREATE, USAGE') FROM pg_namespace WHERE nspname = 'public'), true) AS public, \
             pg_is_in_recovery() AS replica, \
             (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS super",
        )
        .await?;
    let (role, name) = (ident(&row.text("role")?), ident(&row.text("name")?));
    if row.flag("replica")? {
        findings.problem("the server is a replica, which takes no writes");
    }
    if !row.flag("creates")? {
        findings.problem(format!("role {role} may not create anything: GRANT CREATE ON DATABASE {name} TO {role}"));
    }
    if !row.flag("public")? {
        findings
            .problem(format!("role {role} may not create in schema public: GRANT CREATE ON SCHEMA public TO {role}"));
    }
    if needs.changes_role && !row.flag("super")? {
        findings
            .problem(format!("the backup holds grants made by other roles, for which role {role} must be a superuser"));
    }
    Ok(())
}

/// Roles are the server's and not the database's, so a dump takes them for granted.
/// `named`: those that are needed besides owners, each a name or a list of names with `, ` between them.
pub(super) async fn roles(
    session: &mut Session,
    named: &[String],
    needs: &Needs,
    findings: &mut Findings,
) -> Result<()> {
    let query = "SELECT (SELECT json_agg(rolname) FROM pg_roles)::text AS roles, \
                 (SELECT json_agg(rolname) FROM pg_roles WHERE pg_has_role(current_user, oid, 'MEMBER'))::text AS own";
    let row = session.row("reading the roles", query).await?;
    let (there, own) = (row.list("roles")?, row.list("own")?);
    let listed: Vec<String> = named.iter().flat_map(|named| missing_names(named, &there)).collect();
    let mut missing = listed;
    missing.extend(needs.owners.iter().filter(|owner| !there.contains(owner)).cloned());
    missing.sort();
    missing.dedup();
    for role in &missing {
        let role = ident(role);
        findings.problem(format!("role {role} is not there: CREATE ROLE {role}"));
    }
    for owner in needs.owners.iter().filter(|owner| there.contains(owner) && !own.contains(owner)) {
        findings.problem(format!(
            "the role that restores is no member of {}, which owns objects of the backup; grant it, or restore as a superuser",
            ident(owner)
        ));
    }
    Ok(())
}

/// The names of a list with `, ` between them that are not `there`. A name may hold the separator itself, so the longest
/// name that is there is taken each time.
fn missing_names(listed: &str, there: &[String]) -> Vec<String> {
    let parts: Vec<&str> = listed.split(", ").filter(|part| !part.is_empty()).collect();
    let (mut missing, mut at) = (Vec::new(), 0);
    while at < parts.len() {
        let known = (at + 1..=parts.len()).rev().find(|end| there.contains(&parts[at..*end].join(", ")));
        match known {
            Some(end) => at = end,
            None => {
                missing.push(parts[at].to_owned());
                at += 1;
            }
        }
    }
    missing
}

/// Extensions must be installable, or be there in the schema that the dump says.
pub(super) async fn extensions(session: &mut Session, needs: &Needs, findings: &mut Findings) -> Result<()> {
    for (name, schema) in &needs.extensions {
        let query = format!(
            "SELECT (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = {0}) AS installed, \
             EXISTS (SELECT FROM pg_available_extensions WHERE name = {0}) AS available, \
             coalesce((SELECT bool_or(NOT v.superuser OR v.trusted) FROM pg_available_extensions a JOIN \
                pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version WHERE a.name = {0}), false) \
                OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS allowed",
            literal(name)
        );
        let row = session.row("asking for an extension", &query).await?;
        let shown = ident(name);
        match row.optional("installed")? {
            Some(found) if found != *schema => findings.problem(format!(
                "extension {shown} is installed in schema {}, the backup has it in {}",
                ident(&found),
                ident(schema)
            )),
            Some(_) => {}
            None if !row.flag("available")? => {
                findings.problem(format!("extension {shown} is not available on the server; install its package"));
            }
            None if !row.flag("allowed")? => {
                findings.problem(format!("extension {shown} can be made by a superuser alone; make it beforehand"));
            }
            None => {}
        }
    }
    Ok(())
}

/// Text must mean the same and, where the dump asks for it by name, sort the same.
pub(super) async fn encoding(
    session: &mut Session,
    manifest: &DatabaseManifest,
    needs: &Needs,
    findings: &mut Findings,
) -> Result<()> {
    let row = session
        .row(
            "reading the encoding",
            "SELECT pg_encoding_to_char(encoding) AS encoding, datcollate AS collation, datctype AS ctype FROM pg_database \
             WHERE datname = current_database()",
        )
        .await?;
    for (fact, refuses) in [("encoding", true), ("collation", false), ("ctype", false)] {
        let (Some(source), target) = (manifest.snapshot.get(fact), row.text(fact)?) else { continue };
        if *source == target {
            continue;
        }
        let message = format!("the {fact} of the database is {target}, that of the backup is {source}");
        if refuses { findings.problem(message) } else { findings.warning(message) }
    }
    for collation in &needs.collations {
        let query = format!(
            "SELECT EXISTS (SELECT FROM pg_collation WHERE collname = {} AND collnamespace = 'pg_catalog'::regnamespace \
             AND collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database()))) AS known",
            literal(collation)
        );
        if !session.row("asking for a collation", &query).await?.flag("known")? {
            findings.problem(format!("collation {} is not known to the server", ident(collation)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_roles_are_found_though_a_name_may_hold_the_separator() {
        let there = ["a", "b, c", "d"].map(str::to_owned);
        assert_eq!(missing_names("a, b, c, d", &there), Vec::<String>::new());
        assert_eq!(missing_names("a, x, d, y", &there), ["x", "y"]);
        assert_eq!(missing_names("", &there), Vec::<String>::new());
    }
}
