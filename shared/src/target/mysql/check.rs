//! What must be true of a database before the first statement of a dump runs in it.

use std::collections::BTreeMap;

use super::Needs;
use super::execute::takes_foreign;
use crate::archive::manifest::DatabaseManifest;
use crate::source::mysql::privileges;
use crate::source::mysql::quoting::{identifier, literal};
use crate::source::mysql::session::{Flavor, Session, parse_version};
use crate::target::Findings;
use crate::{Error, Result};

/// How many names one message holds.
const SHOWN: usize = 5;

/// The same kind of server, and not an older one.
pub(super) fn version(session: &Session, manifest: &DatabaseManifest, findings: &mut Findings) {
    let engine = match session.flavor {
        Flavor::MariaDb => "MariaDB",
        Flavor::MySql => "MySQL",
    };
    if engine != manifest.engine {
        findings.problem(format!(
            "the server is {engine} {}, the backup is of {} {}",
            session.version_text, manifest.engine, manifest.server_version
        ));
        return;
    }
    let (major, minor, _) = parse_version(&manifest.server_version);
    if (session.version.0, session.version.1) < (major, minor) {
        findings.problem(format!(
            "the server is {engine} {}, older than the {} that the backup was made from",
            session.version_text, manifest.server_version
        ));
    }
}

/// Nothing may be there. What looks like a restore that did not come to its end is told exactly.
pub(super) async fn emptiness(
    session: &mut Session,
    manifest: &DatabaseManifest,
    findings: &mut Findings,
) -> Result<()> {
    let schema = session.database_literal();
    let rows = session
        .all(&format!(
            "SELECT CONCAT(LOWER(TABLE_TYPE), ' ', TABLE_NAME) FROM information_schema.TABLES WHERE BINARY TABLE_SCHEMA = {schema} \
             UNION ALL SELECT CONCAT(LOWER(ROUTINE_TYPE), ' ', ROUTINE_NAME) FROM information_schema.ROUTINES \
             WHERE BINARY ROUTINE_SCHEMA = {schema} \
             UNION ALL SELECT CONCAT('event ', EVENT_NAME) FROM information_schema.EVENTS WHERE BINARY EVENT_SCHEMA = {schema}"
        ))
        .await?;
    if rows.is_empty() {
        return Ok(());
    }
    let names = rows.iter().take(SHOWN).map(|row| row.text(0)).collect::<Result<Vec<_>>>()?;
    let more = if rows.len() > SHOWN { ", …" } else { "" };
    findings.problem(format!(
        "the database is not empty: it holds {} objects ({}{more}); restore into a new one",
        rows.len(),
        names.join(", ")
    ));
    begun_restore(session, manifest, findings).await
}

/// Where nothing but tables of the backup is there, says how far they are filled.
async fn begun_restore(session: &mut Session, manifest: &DatabaseManifest, findings: &mut Findings) -> Result<()> {
    let query = format!(
        "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE {} AND TABLE_TYPE <> 'VIEW' \
         AND TABLE_TYPE <> 'SEQUENCE'",
        session.here("TABLE_SCHEMA")
    );
    let (mut whole, mut empty, mut part) = (0, 0, Vec::new());
    for row in session.all(&query).await? {
        let (name, kind) = (row.text(0)?, row.text(1)?);
        let Some(table) = manifest.tables.iter().find(|table| table.name == name) else { return Ok(()) };
        let all = if kind == "SYSTEM VERSIONED" { " FOR SYSTEM_TIME ALL" } else { "" };
        // One row more than the backup has is enough to know that it is another table.
        let query = format!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM {}{all} LIMIT {}) AS found",
            identifier(&name),
            table.rows.saturating_add(1)
        );
        match session.one(&query).await?.number(0)? {
            rows if rows > table.rows => return Ok(()),
            rows if rows == table.rows => whole += 1,
            0 => empty += 1,
            rows => part.push(format!("{name} ({rows} of {} rows)", table.rows)),
        }
    }
    let in_part = if part.is_empty() { String::new() } else { format!(", in part {}", part.join(", ")) };
    findings.problem(format!(
        "it looks like a restore of this backup that did not come to its end: of {} tables {whole} have all their rows, \
         {empty} have none{in_part}, {} are not there; keys, and what is no table, may lack",
        manifest.tables.len(),
        manifest.tables.len().saturating_sub(whole + empty + part.len()),
    ));
    Ok(())
}

/// The user must be able to make all these kinds of objects, in the names of the `definers` too.
pub(super) async fn privileges(
    session: &mut Session,
    objects: &BTreeMap<String, u64>,
    definers: &str,
    findings: &mut Findings,
) -> Result<()> {
    let holds = |kind: &str| objects.get(kind).is_some_and(|count| *count > 0);
    let routines = ["function", "procedure", "package"].into_iter().any(holds);
    let mut wanted = vec!["CREATE", "ALTER", "INSERT", "SELECT", "DROP", "INDEX", "REFERENCES"];
    for (kind, privilege) in [("view", "CREATE VIEW"), ("trigger", "TRIGGER"), ("event", "EVENT")] {
        if holds(kind) {
            wanted.push(privilege);
        }
    }
    if routines {
        wanted.push("CREATE ROUTINE");
    }
    let held = privileges::held(session).await?;
    let missing: Vec<&str> = wanted.into_iter().filter(|privilege| !held.has(privilege)).collect();
    if !missing.is_empty() {
        findings.problem(format!(
            "the user lacks {1}: GRANT {1} ON {0}.*",
            identifier(&session.database),
            missing.join(", ")
        ));
    }

    let row = session.one("SELECT CURRENT_USER(), @@log_bin, @@log_bin_trust_function_creators").await?;
    let (user, logged, trusted) = (row.text(0)?, row.number(1)? == 1, row.number(2)? == 1);
    let of_others = ["SUPER", "SET USER", "SET_USER_ID", "SET_ANY_DEFINER"].into_iter().any(|it| held.has_globally(it));
    if !definers.is_empty() && definers != user && !of_others {
        findings.problem(format!(
            "the backup holds objects in the names of {definers}, which {user} may not make: grant SET USER (MariaDB), \
             SET_USER_ID or SET_ANY_DEFINER (MySQL)"
        ));
    }
    if logged && !trusted && !held.has_globally("SUPER") && (holds("function") || holds("trigger")) {
        findings.problem(
            "functions and triggers can be made by SUPER alone: SET GLOBAL log_bin_trust_function_creators = 1",
        );
    }
    missing_definers(session, definers, findings).await;
    if holds("event") {
        let scheduler = session.one("SELECT @@event_scheduler").await?.text(0)?;
        if scheduler.eq_ignore_ascii_case("ON") {
            findings.warning("the event scheduler is on: restored events run from now on");
        }
    }
    Ok(())
}

/// Objects can be made in the name of an account that is not there, but not be used.
async fn missing_definers(session: &mut Session, definers: &str, findings: &mut Findings) {
    for definer in definers.split(", ").filter(|definer| !definer.is_empty()) {
        let query = format!("SELECT COUNT(*) FROM mysql.user WHERE CONCAT(User, '@', Host) = {}", literal(definer));
        // Most users may not read that table; then nothing is said.
        let Ok(rows) = session.try_all(&query).await else { return };
        if rows.first().is_some_and(|row| row.number(0).is_ok_and(|count| count == 0)) {
            findings.warning(format!("the account {definer}, in whose name objects are made, is not there"));
        }
    }
}

/// Collations must be known by their names.
pub(super) async fn collations(session: &mut Session, needs: &Needs, findings: &mut Findings) -> Result<()> {
    for collation in &needs.collations {
        let name = literal(collation);
        // MariaDB 10.10 and newer have collations that are listed without their character set.
        let query = format!(
            "SELECT COUNT(*) FROM information_schema.COLLATIONS WHERE COLLATION_NAME = {name} \
             OR (CHARACTER_SET_NAME IS NULL AND {name} LIKE CONCAT('%\\_', COLLATION_NAME))"
        );
        if session.one(&query).await?.number(0)? == 0 {
            findings.problem(format!("collation {collation} is not known to the server"));
        }
    }
    Ok(())
}

/// Statements in other character sets than UTF-8 must be possible.
pub(super) fn foreign(session: &Session, needs: &Needs) -> Result<()> {
    if needs.foreign == 0 || takes_foreign(session) {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "the dump holds {} statements in another character set than UTF-8, which this server takes from its own client alone",
        needs.foreign
    ))
    .hint("Take the dump out of the archive and restore it with the server's own client."))
}

/// The longest statement must fit.
pub(super) async fn packet(session: &mut Session, needs: &Needs, findings: &mut Findings) -> Result<()> {
    let allowed = session.one("SELECT @@max_allowed_packet").await?.number(0)?;
    // The command's own byte counts too.
    let needed = needs.longest + 1;
    if needed > allowed {
        let rounded = needed.next_multiple_of(1 << 20);
        findings.problem(format!(
            "max_allowed_packet is {allowed} bytes, and a row takes a statement of {needed}: SET GLOBAL max_allowed_packet = {rounded}"
        ));
    }
    Ok(())
}
