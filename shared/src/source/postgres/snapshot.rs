//! The one consistent view: locks first, then the snapshot, then a look whether the locks are on what the snapshot sees.
//!
//! A snapshot alone does not keep rows: a later TRUNCATE, a rewriting ALTER TABLE or a swap of names leaves nothing to
//! read, without an error. So every table is locked ACCESS SHARE before the first statement that takes the snapshot
//! (LOCK takes none), and the list that was locked is compared with the list that the snapshot holds. What committed
//! before the locks is in the snapshot; what comes after must wait for the end of the dump.
//! <https://www.postgresql.org/docs/current/sql-lock.html>

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::failure::{failed, sqlstate};
use super::inventory::FIRST_USER_OID;
use super::quote::{qualified, shown};
use super::session::Session;
use crate::{Class, Error, Result};

/// How often the snapshot is taken before the dump gives up on tables that come and go.
pub(super) const ATTEMPTS: usize = 3;
/// How many names one message holds.
const SHOWN: usize = 20;

/// Begins the transaction in which everything is read.
pub(super) async fn begin(session: &mut Session) -> Result<()> {
    refuse_unreadable(session).await?;
    let mut before = list(session).await?;
    for attempt in 1.. {
        session.execute("beginning the transaction", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let locked = lock(session, &before).await?;
        // This is the first statement that takes the snapshot.
        let now = list(session).await?;
        if locked && now == before {
            session.verify().await?;
            return Ok(());
        }
        session.execute("ending the transaction", "ROLLBACK").await?;
        if attempt == ATTEMPTS {
            let changed = before.iter().find(|(oid, name)| now.get(*oid) != Some(*name));
            let changed = changed.or_else(|| now.iter().find(|(oid, name)| before.get(*oid) != Some(*name)));
            let name = changed.map_or_else(String::new, |(_, name)| format!(", for one {}", shown(name)));
            return Err(Error::new(
                Class::Inconsistent,
                format!("tables were made, dropped or renamed while they were being locked, {ATTEMPTS} times{name}"),
            )
            .hint("Run the backup when no migration runs."));
        }
        before = list(session).await?;
    }
    unreachable!("the loop ends by returning")
}

/// Gives the snapshot back, to take another.
pub(super) async fn abandon(session: &mut Session) -> Result<()> {
    session.execute("ending the transaction", "ROLLBACK").await
}

/// A digest of the definitions that the server deparses as they are now, whatever the snapshot says: functions, views,
/// rules, policies, enumerations, … Table locks do not hold these still. Read in the snapshot before
/// the catalogue and by another session after it, it tells whether what was deparsed is what the snapshot shows.
pub(super) async fn definitions(session: &mut Session) -> Result<String> {
    // Rows of temporary objects come and go with every session; these catalogues have few of them.
    const CATALOGS: &[&str] = &[
        "pg_aggregate",
        "pg_cast",
        "pg_collation",
        "pg_enum",
        "pg_event_trigger",
        "pg_extension",
        "pg_namespace",
        "pg_operator",
        "pg_policy",
        "pg_proc",
        "pg_publication",
        "pg_publication_rel",
        "pg_rewrite",
        "pg_statistic_ext",
        "pg_ts_config",
        "pg_ts_dict",
    ];
    let parts: Vec<String> = CATALOGS
        .iter()
        .map(|name| {
            let own = if *name == "pg_namespace" { "WHERE nspname !~ '^pg_(toast_)?temp_'" } else { "" };
            format!(
                "(SELECT concat(count(*), '/', sum(hashint8extended(xmin::text::int8, 0) / 65536)) FROM {name} {own})"
            )
        })
        .collect();
    let query = format!("SELECT concat_ws(' ', {}) AS digest", parts.join(", "));
    session.row("reading the state of the definitions", &query).await?.text("digest")
}

/// Definitions changed each time.
pub(super) fn restless() -> Error {
    Error::new(
        Class::Inconsistent,
        format!("functions, views or other definitions changed while they were read, {ATTEMPTS} times"),
    )
    .hint("Run the backup when no migration runs.")
}

/// Begins a transaction with a snapshot and no locks, to look only.
pub(super) async fn look(session: &mut Session) -> Result<()> {
    refuse_unreadable(session).await?;
    session.execute("beginning the transaction", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    session.verify().await
}

/// All tables of users that hold rows or partitions, with their quoted names, by object id.
async fn list(session: &mut Session) -> Result<BTreeMap<u32, String>> {
    let query = format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.oid >= {FIRST_USER_OID} \
         AND c.relpersistence <> 't' ORDER BY c.oid"
    );
    let mut tables = BTreeMap::new();
    for row in session.rows("reading the list of tables", &query).await? {
        tables.insert(row.oid("oid")?, qualified(&row.text("schema")?, &row.text("name")?));
    }
    Ok(tables)
}

/// Locks each table; `false` when one is gone. One statement each, so that a lock that cannot be had has a name.
async fn lock(session: &mut Session, tables: &BTreeMap<u32, String>) -> Result<bool> {
    for (oid, name) in tables {
        let sql = format!("LOCK TABLE ONLY {name} IN ACCESS SHARE MODE");
        let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *session.connection()).await else { continue };
        match sqlstate(&error).as_deref() {
            // undefined_table, invalid_schema_name, wrong_object_type: it was there a moment ago.
            Some("42P01" | "3F000" | "42809") => return Ok(false),
            Some("55P03") => {
                let error = failed(format!("table {} could not be locked in time", shown(name)), error);
                return Err(match holders(session, *oid).await {
                    Ok(holders) if !holders.is_empty() => error.context(format!("held by {}", holders.join(", "))),
                    _ => error,
                });
            }
            _ => return Err(failed(format!("cannot lock table {}", shown(name)), error)),
        }
    }
    Ok(true)
}

/// Which processes hold or wait for a lock on the table that keeps readers out.
async fn holders(session: &mut Session, oid: u32) -> Result<Vec<String>> {
    session.execute("ending the transaction", "ROLLBACK").await?;
    let query = format!(
        "SELECT l.pid, l.mode, l.granted FROM pg_locks l WHERE l.relation = {oid} AND l.mode = 'AccessExclusiveLock' \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY l.granted DESC, l.pid"
    );
    let rows = session.rows("asking who holds the lock", &query).await?;
    rows.iter()
        .map(|row| {
            let does = if row.flag("granted")? { "holds" } else { "waits for" };
            Ok(format!("server process {} ({does} {})", row.int("pid")?, row.text("mode")?))
        })
        .collect()
}

/// Names everything that the role may not read, all at once.
async fn refuse_unreadable(session: &mut Session) -> Result<()> {
    let ours = |alias: &str| {
        format!(
            "{alias}.oid >= {FIRST_USER_OID} AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = {alias}.oid \
             AND d.deptype = 'e' AND d.classid = {alias}.tableoid)"
        )
    };
    let query = format!(
        "SELECT 'schema ' || quote_ident(n.nspname) AS name FROM pg_namespace n WHERE {} AND n.nspname !~ '^pg_(toast_)?temp_' \
            AND NOT has_schema_privilege(n.oid, 'USAGE') \
         UNION ALL SELECT 'table ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c \
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {} AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' \
            AND NOT has_table_privilege(c.oid, 'SELECT') \
         UNION ALL SELECT 'sequence ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c \
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {} AND c.relkind = 'S' AND c.relpersistence <> 't' \
            AND NOT CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'SELECT') ELSE true END \
         ORDER BY 1",
        ours("n"),
        ours("c"),
        ours("c")
    );
    let denied = names(session, &query).await?;
    if !denied.is_empty() {
        return Err(Error::new(Class::Permission, format!("the role may not read {}", some(&denied))).hint(
            "Grant the backup role pg_read_all_data, or USAGE on the schemas and SELECT on the tables and sequences.",
        ));
    }
    let query = format!(
        "SELECT 'table ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid >= {FIRST_USER_OID} AND c.relrowsecurity \
         AND row_security_active(c.oid) ORDER BY 1"
    );
    let hidden = names(session, &query).await?;
    if !hidden.is_empty() {
        return Err(Error::new(
            Class::Permission,
            format!("row security hides rows from the role in {}", some(&hidden)),
        )
        .hint("Give the backup role BYPASSRLS; a dump of the visible rows only would pass for the whole."));
    }
    Ok(())
}

async fn names(session: &mut Session, query: &str) -> Result<Vec<String>> {
    session.rows("checking the privileges", query).await?.iter().map(|row| row.text("name")).collect()
}

/// The first names of a list, and how many more there are.
fn some(names: &[String]) -> String {
    let text: Vec<String> = names.iter().take(SHOWN).map(|name| shown(name)).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more == 0 { text.join(", ") } else { format!("{} and {more} more", text.join(", ")) }
}
