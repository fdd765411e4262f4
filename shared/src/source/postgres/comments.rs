//! Comments on everything, settings of the database, and security labels, which are refused.

use super::inventory::PG_CONSTRAINT;
use super::owners::{PUBLIC_SCHEMA, addressed};
use super::plan::{Plan, Rank, Section};
use super::quote::{ident, literal, shown};
use super::session::Session;
use crate::{Error, Result};

/// The comment that a new database's `public` schema has.
const PUBLIC_COMMENT: &str = "standard public schema";

/// Adds them to the plan.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<()> {
    comments(session, plan).await?;
    database(session, plan).await?;
    labels(session).await
}

async fn comments(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query = "SELECT d.classoid::int8 AS class, d.objoid::int8 AS oid, d.description AS comment, i.type AS kind, i.identity, \
                 quote_ident(k.conname) || ' ON DOMAIN ' || format_type(k.contypid, NULL) AS domain_constraint \
                 FROM pg_description d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i \
                 LEFT JOIN pg_constraint k ON d.classoid = 'pg_constraint'::regclass AND k.oid = d.objoid AND k.contypid <> 0 \
                 WHERE d.objoid >= 16384 ORDER BY i.identity, i.type";
    for row in session.rows("reading the comments", query).await? {
        let key = (row.oid("class")?, row.oid("oid")?);
        // That of an extension's member comes with the extension.
        if !plan.has(key.0, key.1) {
            continue;
        }
        let identity = match row.optional("domain_constraint")? {
            Some(identity) if key.0 == PG_CONSTRAINT => identity,
            _ => row.text("identity")?,
        };
        let sql =
            format!("COMMENT ON {} IS {};\n", addressed(&row.text("kind")?, &identity), literal(&row.text("comment")?));
        match plan.provider(key.0, key.1) {
            Some(item) => plan.append(item, &sql),
            // The server makes the object with its parent's; by then it is there.
            None => drop(plan.add(Section::Last, Rank::Acl, identity, sql)),
        }
        plan.count("comment");
    }
    let query = format!(
        "SELECT obj_description({PUBLIC_SCHEMA}, 'pg_namespace') AS comment FROM pg_namespace WHERE oid = {PUBLIC_SCHEMA}"
    );
    for row in session.rows("reading the comment of the schema public", &query).await? {
        let comment = row.optional("comment")?;
        if comment.as_deref() != Some(PUBLIC_COMMENT) {
            let text = comment.map_or_else(|| "NULL".to_owned(), |comment| literal(&comment));
            let sql = format!("COMMENT ON SCHEMA \"public\" IS {text};\n");
            plan.add(Section::PreData, Rank::Schema, "public".to_owned(), sql);
        }
    }
    Ok(())
}

/// What is said of the database itself goes to the database that is restored into, whatever its name.
async fn database(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query =
        "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = current_database()";
    if let Some(comment) = session.row("reading the comment of the database", query).await?.optional("comment")? {
        let sql = format!("EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), {});", literal(&comment));
        plan.add(Section::Last, Rank::Database, "comment".to_owned(), block(&sql));
        plan.count("database comment");
    }
    let query = "SELECT r.rolname AS role, s.setconfig::text IS NOT NULL AS any, to_json(s.setconfig)::text AS settings \
                 FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole \
                 WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY r.rolname NULLS FIRST";
    for row in session.rows("reading the settings of the database", query).await? {
        let role = row.optional("role")?;
        for (number, setting) in row.list("settings")?.iter().enumerate() {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            let name_sql: Vec<String> = name.split('.').map(ident).collect();
            let set = format!(" SET {} TO {}", name_sql.join("."), setting_value(name, value));
            let target = match &role {
                None => format!("'ALTER DATABASE %I' || {}, current_database()", literal(&percent(&set))),
                Some(role) => format!(
                    "'ALTER ROLE %I IN DATABASE %I' || {}, {}, current_database()",
                    literal(&percent(&set)),
                    literal(role)
                ),
            };
            plan.add(
                Section::Last,
                Rank::Database,
                format!("setting {} {number:06}", role.as_deref().unwrap_or("")),
                block(&format!("EXECUTE format({target});")),
            );
            plan.roles.extend(role.clone());
            plan.count("database setting");
        }
    }
    Ok(())
}

/// A text for `format`, in which a percent sign stands for itself.
fn percent(text: &str) -> String {
    text.replace('%', "%%")
}

/// A statement of PL/pgSQL as one of SQL.
fn block(statement: &str) -> String {
    format!("DO {};\n", literal(&format!("BEGIN {statement} END")))
}

/// The value of a setting. Some settings are lists of names, kept with their quotes; each name is a literal of its own.
fn setting_value(name: &str, value: &str) -> String {
    const LISTS: &[&str] = &[
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    ];
    if !LISTS.contains(&name.to_ascii_lowercase().as_str()) {
        return literal(value);
    }
    let mut names = vec![String::new()];
    let mut quoted = false;
    let mut characters = value.chars().peekable();
    while let Some(c) = characters.next() {
        let last = names.last_mut().expect("the list starts with one name");
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                last.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(String::new()),
            c if c.is_whitespace() && !quoted => {}
            c => last.push(c),
        }
    }
    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
    names.join(", ")
}

/// Security labels belong to a provider that another server may not have.
async fn labels(session: &mut Session) -> Result<()> {
    let query = "SELECT provider, objtype, coalesce(objname, '') AS name FROM pg_seclabels \
                 WHERE objoid >= 16384 AND (objtype NOT IN ('role', 'tablespace', 'database')) ORDER BY 1, 2, 3 LIMIT 20";
    let rows = session.rows("reading the security labels", query).await?;
    let labels: Vec<String> = rows
        .iter()
        .map(|row| Ok(format!("{} {}", row.text("objtype")?, shown(&row.text("name")?))))
        .collect::<Result<_>>()?;
    if labels.is_empty() {
        return Ok(());
    }
    Err(Error::unsupported(format!("the database holds security labels, which are not dumped: {}", labels.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_are_taken_apart_and_other_settings_are_not() {
        assert_eq!(setting_value("search_path", "\"$user\", public, \"a\"\"b,c\""), "'$user', 'public', 'a\"b,c'");
        assert_eq!(setting_value("search_path", ""), "''");
        assert_eq!(setting_value("DateStyle", "ISO, DMY"), "'ISO, DMY'");
    }
}
