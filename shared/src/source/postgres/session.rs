//! One connection to one server, set up so that what it prints can be read back by any other.
//!
//! Promises: the connection is made from fields (never a URL), statements are never logged, every session variable that
//! changes a dump is set and read back, and the server process behind the connection stays the same (a pooler that deals
//! out statements would break the snapshot in silence). All queries go by the simple protocol and come back as text.
//! Refuses servers of a major version that this code was not written for.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, ValueRef};

use super::failure::failed;
use super::quote::{ident, literal};
use crate::config::{ServerDatabase, TlsMode};
use crate::source::DumpLimits;
use crate::source::tls::authorities;
use crate::{Class, Error, Result};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The oldest and the newest major version whose catalogue this code knows.
const MAJORS: std::ops::RangeInclusive<u32> = 13..=18;

/// A connection that is set up.
pub(crate) struct Session {
    connection: PgConnection,
    process: i64,
    settings: Vec<(&'static str, String)>,
    /// Major version of the server.
    pub(crate) major: u32,
    /// The server's own version string.
    pub(crate) version: String,
    /// The database's encoding, by the server's name for it.
    pub(crate) encoding: String,
}

impl Session {
    /// Connects and sets the session up for dumping.
    pub(crate) async fn open(database: &ServerDatabase, limits: &DumpLimits) -> Result<Self> {
        let mut session = Self::connect(database).await?;
        session.set_up(limits).await?;
        Ok(session)
    }

    /// Connects and asks who is at the other end; the session is as its role and its database set it up.
    pub(crate) async fn connect(database: &ServerDatabase) -> Result<Self> {
        let place = format!("database {} on {}:{}", database.database, database.host, database.port);
        let options = options(database).await?;
        let connection = tokio::time::timeout(CONNECT_TIMEOUT, options.connect())
            .await
            .map_err(|_| {
                Error::new(Class::Transient, format!("no connection to {place} within {} s", CONNECT_TIMEOUT.as_secs()))
                    .hint("Check host, port, security groups and that the server is running.")
            })?
            .map_err(|error| failed(format!("cannot connect to {place}"), error))?;
        let mut session = Self {
            connection,
            process: 0,
            settings: Vec::new(),
            major: 0,
            version: String::new(),
            encoding: String::new(),
        };
        session.identify().await?;
        Ok(session)
    }

    /// Who is at the other end.
    async fn identify(&mut self) -> Result<()> {
        let row = self
            .row(
                "reading the server's version",
                "SELECT pg_catalog.current_setting('server_version_num') AS number, \
                 pg_catalog.current_setting('server_version') AS version, \
                 pg_catalog.current_setting('server_encoding') AS encoding, pg_catalog.pg_backend_pid() AS process",
            )
            .await?;
        self.major = u32::try_from(row.int("number")? / 10_000).unwrap_or(0);
        self.version = row.text("version")?;
        self.encoding = row.text("encoding")?;
        self.process = row.int("process")?;
        if !MAJORS.contains(&self.major) {
            return Err(Error::unsupported(format!(
                "the server is PostgreSQL {}; this version dumps {} to {}",
                self.version,
                MAJORS.start(),
                MAJORS.end()
            ))
            .hint("Use a release of Nightvault that knows this server: a newer catalogue may hold objects that this one cannot see."));
        }
        Ok(())
    }

    /// Sets what pg_dump sets (`setup_connection`), and what changes the text of values besides.
    async fn set_up(&mut self, limits: &DumpLimits) -> Result<()> {
        let encoding = if self.encoding == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" };
        let lock_timeout = limits.lock_timeout.as_millis().max(1);
        let mut settings = vec![
            ("search_path", String::new()),
            ("client_encoding", encoding.to_owned()),
            ("datestyle", "ISO, MDY".to_owned()),
            ("intervalstyle", "postgres".to_owned()),
            ("timezone", "UTC".to_owned()),
            ("extra_float_digits", "3".to_owned()),
            ("bytea_output", "hex".to_owned()),
            ("xmloption", "content".to_owned()),
            ("lc_monetary", "C".to_owned()),
            ("standard_conforming_strings", "on".to_owned()),
            ("quote_all_identifiers", "off".to_owned()),
            ("synchronize_seqscans", "off".to_owned()),
            ("row_security", "off".to_owned()),
            ("statement_timeout", "0".to_owned()),
            ("idle_in_transaction_session_timeout", "0".to_owned()),
            ("default_transaction_deferrable", "off".to_owned()),
            ("client_min_messages", "error".to_owned()),
            ("lock_timeout", format!("{lock_timeout}ms")),
        ];
        if self.major >= 17 {
            settings.push(("transaction_timeout", "0".to_owned()));
        }
        // Came with the minor releases of August 2024 (CVE-2024-7348): there or not, whatever the major version is.
        let guard = "SELECT pg_catalog.current_setting('restrict_nonsystem_relation_kind', true) AS guard";
        if self.row("looking for restrict_nonsystem_relation_kind", guard).await?.optional("guard")?.is_some() {
            settings.push(("restrict_nonsystem_relation_kind", "view, foreign-table".to_owned()));
        }
        let sets: Vec<String> = settings
            .iter()
            .map(|(name, value)| format!("pg_catalog.set_config({}, {}, false)", literal(name), literal(value)))
            .collect();
        self.execute("setting up the session", &format!("SELECT {}", sets.join(", "))).await?;
        self.settings = settings;
        self.verify().await
    }

    /// Reads every session variable back, and asks whether the same server process answers.
    pub(crate) async fn verify(&mut self) -> Result<()> {
        let reads: Vec<String> = self
            .settings
            .iter()
            .map(|(name, _)| format!("pg_catalog.current_setting({}) AS {}", literal(name), ident(name)))
            .collect();
        let row = self
            .row(
                "reading the session variables back",
                &format!("SELECT pg_catalog.pg_backend_pid() AS process, {}", reads.join(", ")),
            )
            .await?;
        if row.int("process")? != self.process {
            return Err(pooled());
        }
        for (name, wanted) in &self.settings {
            let found = row.text(name)?;
            // The server prints a duration in the largest unit that fits, so that one is compared in milliseconds.
            let same = match *name {
                "lock_timeout" => milliseconds(&found) == milliseconds(wanted),
                _ => found.eq_ignore_ascii_case(wanted),
            };
            if !same {
                return Err(Error::new(
                    Class::Inconsistent,
                    format!("the session variable {name} is {found:?} though it was set to {wanted:?}"),
                )
                .hint("Connect to the server itself, not to a pooler in transaction or statement mode."));
            }
        }
        Ok(())
    }

    /// Asks whether the same server process answers.
    pub(crate) async fn same_process(&mut self) -> Result<()> {
        let row = self.row("asking for the server process", "SELECT pg_catalog.pg_backend_pid() AS process").await?;
        if row.int("process")? == self.process { Ok(()) } else { Err(pooled()) }
    }

    /// The id of the server process behind the connection.
    pub(crate) fn process(&self) -> i64 {
        self.process
    }

    /// The raw driver connection, for COPY and for errors that the caller looks into.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Runs statements that return nothing of interest.
    pub(crate) async fn execute(&mut self, action: &str, sql: &str) -> Result<()> {
        self.rows(action, sql).await.map(drop)
    }

    /// All rows of a query.
    pub(crate) async fn rows(&mut self, action: &str, sql: &str) -> Result<Vec<Record>> {
        let rows = sqlx::raw_sql(AssertSqlSafe(sql))
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| failed(action, error))?;
        Ok(rows.into_iter().map(Record).collect())
    }

    /// The one row of a query.
    pub(crate) async fn row(&mut self, action: &str, sql: &str) -> Result<Record> {
        let mut rows = self.rows(action, sql).await?;
        match rows.pop() {
            Some(row) if rows.is_empty() => Ok(row),
            _ => Err(Error::bug(format!("{action}: not exactly one row"))),
        }
    }

    /// Says goodbye. The dump is complete by then, so a failure changes nothing.
    pub(crate) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(error = %error, "the connection did not end cleanly");
        }
    }
}

/// A row whose values are texts.
pub(crate) struct Record(PgRow);

impl From<PgRow> for Record {
    fn from(row: PgRow) -> Self {
        Self(row)
    }
}

impl Record {
    /// A value that may be NULL.
    pub(crate) fn optional(&self, column: &str) -> Result<Option<String>> {
        let wrong = |error: sqlx::Error| Error::bug(format!("reading the column {column}")).because(error);
        let value = self.0.try_get_raw(column).map_err(wrong)?;
        if value.is_null() {
            return Ok(None);
        }
        let text = value.as_str().map_err(|error| {
            Error::unsupported(format!("the catalogue holds text that is not UTF-8 ({column})"))
                .hint("Rename the object, or repair the definition that holds the text.")
                .because(error)
        })?;
        Ok(Some(text.to_owned()))
    }

    /// A value that is never NULL.
    pub(crate) fn text(&self, column: &str) -> Result<String> {
        self.optional(column)?.ok_or_else(|| Error::bug(format!("the column {column} is null")))
    }

    /// A whole number.
    pub(crate) fn int(&self, column: &str) -> Result<i64> {
        let text = self.text(column)?;
        text.parse().map_err(|error| Error::bug(format!("the column {column} is not a number")).because(error))
    }

    /// An object id.
    pub(crate) fn oid(&self, column: &str) -> Result<u32> {
        let text = self.text(column)?;
        text.parse().map_err(|error| Error::bug(format!("the column {column} is not an object id")).because(error))
    }

    /// A boolean.
    pub(crate) fn flag(&self, column: &str) -> Result<bool> {
        Ok(self.optional(column)?.as_deref() == Some("t"))
    }

    /// A JSON array of texts; NULL is empty.
    pub(crate) fn list(&self, column: &str) -> Result<Vec<String>> {
        match self.optional(column)? {
            None => Ok(Vec::new()),
            Some(json) => serde_json::from_str(&json)
                .map_err(|error| Error::bug(format!("the column {column} is not a list of texts")).because(error)),
        }
    }
}

/// The driver's options, from fields.
async fn options(database: &ServerDatabase) -> Result<PgConnectOptions> {
    let password = database.login_password().await?;
    let mut options = PgConnectOptions::new_without_pgpass()
        .port(database.port)
        .username(&database.user)
        .password(password.expose())
        .database(&database.database)
        .application_name("nightvault")
        .ssl_mode(match database.tls {
            TlsMode::Disable => PgSslMode::Disable,
            TlsMode::Prefer => PgSslMode::Prefer,
            TlsMode::Require => PgSslMode::Require,
            TlsMode::VerifyCa => PgSslMode::VerifyCa,
            TlsMode::VerifyFull => PgSslMode::VerifyFull,
        })
        .disable_statement_logging();
    options = if Path::new(&database.host).is_absolute() {
        options.socket(&database.host)
    } else {
        options.host(&database.host)
    };
    Ok(match authorities(database).await? {
        Some(pem) => options.ssl_root_cert_from_pem(pem.into_owned()),
        None => options,
    })
}

/// Another server process answers than before.
fn pooled() -> Error {
    Error::new(Class::Inconsistent, "another server process answers than at the start of the dump")
        .hint("Connect to the server itself, not to a pooler in transaction or statement mode: a snapshot lives in one process.")
}

/// A duration as the server prints it, in milliseconds.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().ok()?;
    Some(match text[digits..].trim() {
        "" | "ms" => number,
        "s" => number * 1_000,
        "min" => number * 60_000,
        "h" => number * 3_600_000,
        "d" => number * 86_400_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn durations_are_read_as_the_server_prints_them() {
        for (text, wanted) in
            [("0", 0), ("250ms", 250), ("5s", 5_000), ("2min", 120_000), ("1h", 3_600_000), ("1d", 86_400_000)]
        {
            assert_eq!(milliseconds(text), Some(wanted), "{text}");
        }
        assert_eq!(milliseconds("5 weeks"), None);
    }
}
