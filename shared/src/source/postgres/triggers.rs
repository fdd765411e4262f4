//! Triggers with their enabled state, row security policies, and event triggers.

use super::inventory::{FIRST_USER_OID, PG_CONSTRAINT, PG_TRIGGER};
use super::plan::{Plan, Rank, Section};
use super::quote::{ident, qualified};
use super::session::Session;
use crate::{Error, Result};

/// `pg_policy`.
const PG_POLICY: u32 = 3256;
/// `pg_event_trigger`.
const PG_EVENT_TRIGGER: u32 = 3466;

/// Adds them to the plan.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<()> {
    triggers(session, plan).await?;
    policies(session, plan).await?;
    event_triggers(session, plan).await
}

/// What ALTER says to bring a trigger or a rule from "enabled", its state when made, to `letter`.
pub(super) fn state(letter: &str) -> Option<&'static str> {
    match letter {
        "D" => Some("DISABLE"),
        "R" => Some("ENABLE REPLICA"),
        "A" => Some("ENABLE ALWAYS"),
        _ => None,
    }
}

async fn triggers(session: &mut Session, plan: &mut Plan) -> Result<()> {
    // Parents first, since the clones on partitions hang on them.
    let query = format!(
        "SELECT t.oid::int8 AS oid, t.tgname AS name, t.tgenabled::text AS enabled, t.tgconstraint::int8 AS constraint_oid, \
         t.tgparentid::int8 AS parent, p.tgenabled::text AS parent_enabled, pg_get_triggerdef(t.oid) AS definition, \
         n.nspname AS schema, c.relname AS table_name FROM pg_trigger t \
         JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_trigger p ON p.oid = t.tgparentid \
         WHERE NOT t.tgisinternal AND t.oid >= {FIRST_USER_OID} ORDER BY t.tgparentid <> 0, n.nspname, c.relname, t.tgname"
    );
    for row in session.rows("reading the triggers", &query).await? {
        let oid = row.oid("oid")?;
        if !plan.has(PG_TRIGGER, oid) {
            continue;
        }
        let table = qualified(&row.text("schema")?, &row.text("table_name")?);
        let (name, enabled) = (ident(&row.text("name")?), row.text("enabled")?);
        if row.oid("parent")? != 0 {
            // The server makes it with the partitioned table's trigger, of which it is a part.
            if row.optional("parent_enabled")?.as_ref() != Some(&enabled) {
                let verb = state(&enabled).unwrap_or("ENABLE");
                let sql = format!("ALTER TABLE {table} {verb} TRIGGER {name};\n");
                let item = plan.add(Section::Last, Rank::Trigger, plan.identity(PG_TRIGGER, oid), sql);
                plan.after_object(item, PG_TRIGGER, row.oid("parent")?);
            }
        } else {
            let mut sql = format!("{};\n", row.text("definition")?);
            if let Some(state) = state(&enabled) {
                sql.push_str(&format!("ALTER TABLE {table} {state} TRIGGER {name};\n"));
            }
            let item = plan.create((PG_TRIGGER, oid), "trigger", (Section::PostData, Rank::Trigger), sql)?;
            let constraint = row.oid("constraint_oid")?;
            if constraint != 0 {
                plan.part((PG_CONSTRAINT, constraint), item)?;
            }
        }
    }
    Ok(())
}

async fn policies(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query = format!(
        "SELECT p.oid::int8 AS oid, p.polname AS name, p.polcmd::text AS command, p.polpermissive AS permissive, \
         pg_get_expr(p.polqual, p.polrelid) AS visible, pg_get_expr(p.polwithcheck, p.polrelid) AS writable, \
         (SELECT json_agg(rolname ORDER BY rolname)::text FROM pg_roles WHERE pg_roles.oid = ANY (p.polroles)) AS roles, \
         n.nspname AS schema, c.relname AS table_name FROM pg_policy p \
         JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE p.oid >= {FIRST_USER_OID} ORDER BY n.nspname, c.relname, p.polname"
    );
    for row in session.rows("reading the policies", &query).await? {
        let oid = row.oid("oid")?;
        if !plan.has(PG_POLICY, oid) {
            continue;
        }
        let command = match row.text("command")?.as_str() {
            "*" => "ALL",
            "r" => "SELECT",
            "a" => "INSERT",
            "w" => "UPDATE",
            "d" => "DELETE",
            other => return Err(Error::unsupported(format!("a policy for the unknown command {other:?}"))),
        };
        let mut sql = format!(
            "CREATE POLICY {} ON {}{} FOR {command}",
            ident(&row.text("name")?),
            qualified(&row.text("schema")?, &row.text("table_name")?),
            if row.flag("permissive")? { "" } else { " AS RESTRICTIVE" },
        );
        let roles: Vec<String> = row.list("roles")?.iter().map(|role| ident(role)).collect();
        if !roles.is_empty() {
            sql.push_str(&format!(" TO {}", roles.join(", ")));
        }
        if let Some(visible) = row.optional("visible")? {
            sql.push_str(&format!(" USING ({visible})"));
        }
        if let Some(writable) = row.optional("writable")? {
            sql.push_str(&format!(" WITH CHECK ({writable})"));
        }
        sql.push_str(";\n");
        plan.create((PG_POLICY, oid), "policy", (Section::PostData, Rank::Policy), sql)?;
    }
    Ok(())
}

async fn event_triggers(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query = format!(
        "SELECT e.oid::int8 AS oid, evtname AS name, evtevent AS event, evtenabled::text AS enabled, \
         to_json(evttags)::text AS tags, n.nspname AS schema, p.proname AS function \
         FROM pg_event_trigger e JOIN pg_proc p ON p.oid = evtfoid JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE e.oid >= {FIRST_USER_OID} ORDER BY evtname"
    );
    for row in session.rows("reading the event triggers", &query).await? {
        let oid = row.oid("oid")?;
        if !plan.has(PG_EVENT_TRIGGER, oid) {
            continue;
        }
        let name = ident(&row.text("name")?);
        let mut sql = format!("CREATE EVENT TRIGGER {name} ON {}", ident(&row.text("event")?));
        let tags: Vec<String> = row.list("tags")?.iter().map(|tag| super::quote::literal(tag)).collect();
        if !tags.is_empty() {
            sql.push_str(&format!("\n    WHEN TAG IN ({})", tags.join(", ")));
        }
        let function = qualified(&row.text("schema")?, &row.text("function")?);
        sql.push_str(&format!("\n    EXECUTE FUNCTION {function}();\n"));
        if let Some(state) = state(&row.text("enabled")?) {
            sql.push_str(&format!("ALTER EVENT TRIGGER {name} {state};\n"));
        }
        plan.create((PG_EVENT_TRIGGER, oid), "event trigger", (Section::Last, Rank::EventTrigger), sql)?;
    }
    Ok(())
}
