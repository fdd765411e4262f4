//! The head of a dump, which makes the restoring session independent of its role's and its database's settings, and the
//! facts of the snapshot for the manifest.

use std::collections::BTreeMap;

use super::session::Session;
use crate::Result;

/// What a restoring session must be set to, whatever its role and database say.
const SETTINGS: &str = "\
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET array_nulls = on;
SET transform_null_equals = off;
SET quote_all_identifiers = off;
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET lc_monetary = 'C';
SET default_tablespace = '';
SET default_table_access_method = heap;
SET default_transaction_read_only = off;
";

/// The head of the dump.
pub(super) fn text(session: &Session) -> String {
    let mut text = String::from("-- A database dump by Nightvault.\n");
    text.push_str("-- Restore into an empty database with psql -X -v ON_ERROR_STOP=1 --single-transaction.\n\n");
    let encoding = if session.encoding == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" };
    text.push_str(&format!("SET client_encoding = '{encoding}';\n"));
    text.push_str(SETTINGS);
    if session.major >= 17 {
        text.push_str("SET transaction_timeout = 0;\n");
    }
    text.push('\n');
    text
}

/// The facts of the snapshot.
pub(super) async fn facts(session: &mut Session) -> Result<BTreeMap<String, String>> {
    let position = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text";
    // Restricted on some services, and then not worth failing for.
    let allowed = "SELECT has_function_privilege('pg_current_wal_lsn()', 'EXECUTE') \
                   AND has_function_privilege('pg_last_wal_replay_lsn()', 'EXECUTE') AS allowed";
    let position =
        if session.row("reading privileges", allowed).await?.flag("allowed")? { position } else { "NULL::text" };
    let row = session
        .row(
            "reading the facts of the snapshot",
            &format!(
                "SELECT pg_current_snapshot()::text AS snapshot, {position} AS lsn, current_setting('transaction_isolation') AS \
                 isolation, pg_encoding_to_char(encoding) AS encoding, datcollate AS collation, datctype AS ctype, \
                 current_setting('TimeZone') AS timezone, pg_is_in_recovery() AS replica \
                 FROM pg_database WHERE datname = current_database()"
            ),
        )
        .await?;
    let mut facts = BTreeMap::new();
    for name in ["snapshot", "lsn", "isolation", "encoding", "collation", "ctype", "timezone"] {
        if let Some(value) = row.optional(name)? {
            facts.insert(name.to_owned(), value);
        }
    }
    facts.insert("replica".to_owned(), row.flag("replica")?.to_string());
    Ok(facts)
}
