//! Statements of a dump, as they go to the server.
//!
//! The driver sends text, and text is UTF-8. A statement in another character set (a routine with an umlaut, typed under
//! `latin1`) goes as the hexadecimal of its bytes to `EXECUTE IMMEDIATE`, which takes a binary string as it is and reads it
//! under `character_set_client`, as it would have read it from the connection. `MariaDB` takes every statement so since 10.6
//! (<https://mariadb.com/kb/en/prepare-statement/#permitted-statements>); older ones and `MySQL` do not, and there a dump with
//! such a statement is refused before anything runs.

use sqlx::AssertSqlSafe;

use crate::source::mysql::quoting::hex;
use crate::source::mysql::session::{Flavor, Session, failed};
use crate::{Class, Error, Result};

/// How much of a statement a message holds, in bytes.
const SHOWN_BYTES: usize = 120;

/// What the preamble of a dump must have set, on every connection.
const SETTINGS: [(&str, &str); 8] = [
    ("sql_mode", "NO_AUTO_VALUE_ON_ZERO"),
    ("time_zone", "+00:00"),
    ("unique_checks", "0"),
    ("foreign_key_checks", "0"),
    ("autocommit", "1"),
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_results", "utf8mb4"),
];

/// Whether statements that are not UTF-8 can be sent.
pub(super) fn takes_foreign(session: &Session) -> bool {
    session.flavor == Flavor::MariaDb && session.version >= (10, 6, 0)
}

/// Executes a statement; returns how many rows it wrote.
pub(super) async fn execute(session: &mut Session, place: &str, sql: Vec<u8>) -> Result<u64> {
    let told = shown(&sql);
    let sql = String::from_utf8(sql).unwrap_or_else(|error| immediate(error.as_bytes()));
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(session.connection())
        .await
        .map(|done| done.rows_affected())
        .map_err(|error| refused(error, format!("{place} refused `{told}`")))
}

fn immediate(sql: &[u8]) -> String {
    let mut text = b"EXECUTE IMMEDIATE ".to_vec();
    hex(&mut text, sql);
    String::from_utf8(text).expect("hexadecimal is ASCII")
}

/// Makes the settings of a dump's preamble and looks whether they are in force.
pub(super) async fn set_up(session: &mut Session, place: &str, settings: &[super::split::Statement]) -> Result<()> {
    for statement in settings {
        execute(session, place, statement.sql.clone()).await?;
    }
    let list = SETTINGS.map(|(name, _)| format!("@@SESSION.{name}")).join(", ");
    let row = session.one(&format!("SELECT {list}")).await?;
    for (index, (name, value)) in SETTINGS.into_iter().enumerate() {
        let found = row.text(index)?;
        if found != value {
            return Err(Error::new(
                Class::Inconsistent,
                format!("{place} holds {name} at {found:?} although {value:?} was set"),
            )
            .hint(
                "A proxy between Nightvault and the server changes session settings; connect to the server itself.",
            ));
        }
    }
    Ok(())
}

/// The server's refusal of a statement of the dump: that is the target's matter, and no fault of ours.
pub(super) fn refused(error: sqlx::Error, what: String) -> Error {
    let cause = failed(error, what);
    if cause.class() != Class::Bug {
        return cause;
    }
    let text = cause.chain();
    Error::new(Class::Unsupported, text).hint("Compare the server's version and settings with those of the manifest.")
}

/// The beginning of a statement, for a message; rows are not shown.
fn shown(sql: &[u8]) -> String {
    let sql = String::from_utf8_lossy(&sql[..sql.len().min(4 * SHOWN_BYTES)]);
    let sql = sql.split(" VALUES").next().unwrap_or_default();
    let end = sql.floor_char_boundary(SHOWN_BYTES);
    let more = if end < sql.len() { "…" } else { "" };
    format!("{}{more}", sql[..end].split_whitespace().collect::<Vec<_>>().join(" "))
}
