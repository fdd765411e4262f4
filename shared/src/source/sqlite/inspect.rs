//! What a snapshot is: sound or not, which tables with how many rows, which objects, which facts.
//!
//! Only the snapshot is looked at, so that the figures are those of the bytes that are shipped, and the live database is
//! not kept busy. A structure that is damaged is an error that names the source. Rows that break a CHECK, a NOT NULL or
//! a foreign key are copied as they are and told as warnings: the file is sound, the data is what the application wrote.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{Cancel, explain, shown, unsigned};
use crate::{Error, Result};

/// How many findings `integrity_check` may list; each is a line of text in memory.
const FINDINGS: u32 = 100_000;
/// How many it lists when it is asked about one table (<https://www.sqlite.org/pragma.html#pragma_integrity_check>).
const FINDINGS_OF_A_TABLE: u32 = 100;

/// What was found in a snapshot.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Tables and their rows, in the order of their names.
    pub(super) tables: Vec<(String, u64)>,
    pub(super) objects: BTreeMap<String, u64>,
    pub(super) facts: BTreeMap<String, String>,
    pub(super) warnings: Vec<String>,
}

/// Checks and counts the snapshot in `file`; `source` is what errors name.
pub(super) fn inspect(file: &Path, source: &Path, cancel: &Cancel) -> Result<Findings> {
    let failed = |error| explain(error, format!("cannot examine the snapshot of {}", shown(source)));
    // Writable because a snapshot of a WAL database is one too and needs its -shm file; nothing is written to it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(failed)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF").map_err(failed)?;
    cancel.watch(&connection)?;
    let mut findings = Findings::default();
    check_integrity(&connection, source, &mut findings)?;
    cancel.check()?;
    check_foreign_keys(&connection, source, &mut findings)?;
    cancel.check()?;
    count_objects(&connection, &mut findings).map_err(failed)?;
    count_rows(&connection, source, &mut findings, cancel)?;
    for pragma in FACTS {
        let value: rusqlite::types::Value =
            connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).map_err(failed)?;
        let text = match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => return Err(Error::bug(format!("SQLite answers {other:?} to PRAGMA {pragma}"))),
        };
        findings.facts.insert((*pragma).to_owned(), text);
    }
    Ok(findings)
}

/// The facts of a database file that a client may rely on.
const FACTS: &[&str] =
    &["application_id", "auto_vacuum", "encoding", "freelist_count", "page_count", "page_size", "user_version"];

fn check_integrity(connection: &Connection, source: &Path, findings: &mut Findings) -> Result<()> {
    let mut rules = BrokenRules::default();
    let whole = integrity(connection, &FINDINGS.to_string(), FINDINGS, source, &mut rules);
    let mut unchecked = 0_u32;
    match whole {
        Ok(()) => {}
        Err(Broken::Failed(error)) => return Err(error),
        // One index with a collation or function of the application's own stops the check of the whole file; so each
        // table is checked by itself.
        Err(Broken::Missing(_)) => {
            rules = BrokenRules::default();
            let mut statement = connection
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name")
                .map_err(|error| explain(error, format!("cannot list the tables of {}", shown(source))))?;
            let names: rusqlite::Result<Vec<String>> =
                statement.query_map([], |row| row.get(0)).and_then(Iterator::collect);
            let names =
                names.map_err(|error| explain(error, format!("cannot list the tables of {}", shown(source))))?;
            for name in names {
                match integrity(connection, &quoted(&name), FINDINGS_OF_A_TABLE, source, &mut rules) {
                    Ok(()) => {}
                    Err(Broken::Failed(error)) => return Err(error),
                    Err(Broken::Missing(what)) => {
                        unchecked += 1;
                        findings.warnings.push(format!(
                            "table {name:?} is in the dump, but only the application can check its integrity: {what}"
                        ));
                    }
                }
            }
        }
    }
    let mut fact = if rules.rows == 0 { "ok".to_owned() } else { format!("{} rows break a rule", rules.rows) };
    if unchecked > 0 {
        fact.push_str(&format!("; {unchecked} tables could not be checked"));
    }
    if rules.rows > 0 {
        let BrokenRules { rows, first } = rules;
        findings.warnings.push(format!("{rows} rows break a CHECK or NOT NULL rule, the first: {first:?}"));
    }
    findings.facts.insert("integrity_check".to_owned(), fact);
    Ok(())
}

/// Rows that the structure holds well and that the table's own rules forbid.
#[derive(Default)]
struct BrokenRules {
    rows: u32,
    first: String,
}

/// Why an integrity check did not end well.
enum Broken {
    /// It needs something that only the application has.
    Missing(String),
    Failed(Error),
}

/// Runs `PRAGMA integrity_check(argument)`, which lists up to `limit` findings.
fn integrity(
    connection: &Connection,
    argument: &str,
    limit: u32,
    source: &Path,
    rules: &mut BrokenRules,
) -> Result<(), Broken> {
    let failed = |error: rusqlite::Error| match missing(&error) {
        Some(what) => Broken::Missing(what),
        None => Broken::Failed(explain(
            error,
            format!("cannot check the integrity of the SQLite database {}", shown(source)),
        )),
    };
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({argument})")).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut lines = 0_u32;
    while let Some(row) = rows.next().map_err(failed)? {
        let line: String = row.get(0).map_err(failed)?;
        if line == "ok" {
            continue;
        }
        lines += 1;
        let of_a_rule = line.starts_with("CHECK constraint failed in ") || line.starts_with("NULL value in ");
        // Behind the last finding that is listed there may be worse ones.
        if !of_a_rule || lines >= limit {
            let message = format!("the SQLite database {} is corrupt: {line:?}", shown(source));
            return Err(Broken::Failed(Error::corrupt(message).hint(
                "Repair it with `.recover` of the sqlite3 shell, or restore an earlier backup; nothing was backed up.",
            )));
        }
        rules.rows += 1;
        if rules.first.is_empty() {
            rules.first = line;
        }
    }
    Ok(())
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What SQLite lacks of the application, when that is why it failed.
pub(super) fn missing(error: &rusqlite::Error) -> Option<String> {
    let text = match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text,
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        _ => return None,
    };
    let ours = ["no such collation sequence", "no such function", "unknown function", "no such module"];
    ours.iter().any(|start| text.contains(start)).then(|| format!("{text:?}"))
}

fn check_foreign_keys(connection: &Connection, source: &Path, findings: &mut Findings) -> Result<()> {
    let count = || -> rusqlite::Result<BTreeMap<String, u64>> {
        let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query([])?;
        let mut counts = BTreeMap::new();
        while let Some(row) = rows.next()? {
            *counts.entry(row.get::<_, String>(0)?).or_insert(0) += 1;
        }
        Ok(counts)
    };
    let fact = match count() {
        Ok(counts) if counts.is_empty() => "ok".to_owned(),
        Ok(counts) => {
            for (table, count) in &counts {
                findings.warnings.push(format!("{count} rows of table {table:?} refer to rows that are not there"));
            }
            format!("{} violations", counts.values().sum::<u64>())
        }
        // A foreign key that is declared wrongly (no unique index on its parent) cannot be checked by anybody.
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown) => {
            findings.warnings.push(format!("foreign keys could not be checked: {:?}", error.to_string()));
            "could not be checked".to_owned()
        }
        Err(error) => return Err(explain(error, format!("cannot check the foreign keys of {}", shown(source)))),
    };
    findings.facts.insert("foreign_key_check".to_owned(), fact);
    Ok(())
}

/// Counts what stands in the schema, tables told apart by what they are.
fn count_objects(connection: &Connection, findings: &mut Findings) -> rusqlite::Result<()> {
    let sql = "SELECT CASE
                 WHEN s.type <> 'table' THEN s.type
                 WHEN s.name LIKE 'sqlite\\_%' ESCAPE '\\' THEN 'internal table'
                 WHEN l.type = 'virtual' OR s.rootpage = 0 THEN 'virtual table'
                 WHEN l.type = 'shadow' THEN 'shadow table'
                 ELSE 'table' END AS kind, s.name
               FROM sqlite_schema s LEFT JOIN pragma_table_list l ON l.schema = 'main' AND l.name = s.name
               WHERE s.type <> 'index' OR s.sql IS NOT NULL
               ORDER BY s.name";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let kind: String = row.get(0)?;
        if kind == "table" {
            findings.tables.push((row.get(1)?, 0));
        }
        *findings.objects.entry(kind).or_insert(0) += 1;
    }
    Ok(())
}

fn count_rows(connection: &Connection, source: &Path, findings: &mut Findings, cancel: &Cancel) -> Result<()> {
    let mut counted = Vec::with_capacity(findings.tables.len());
    for (name, _) in std::mem::take(&mut findings.tables) {
        cancel.check()?;
        let sql = format!("SELECT count(*) FROM main.{} NOT INDEXED", quoted(&name));
        match connection.query_row(&sql, [], unsigned) {
            Ok(rows) => counted.push((name, rows)),
            Err(error) => match missing(&error) {
                Some(what) => findings
                    .warnings
                    .push(format!("the rows of table {name:?} are in the dump but could not be counted: {what}")),
                None => {
                    return Err(explain(
                        error,
                        format!("cannot count the rows of table {name:?} of {}", shown(source)),
                    ));
                }
            },
        }
    }
    findings.tables = counted;
    Ok(())
}
