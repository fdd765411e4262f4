//! One connection, set up so that the server's answers do not depend on how the server is set up.
//!
//! Text protocol only: values arrive as the bytes that the server printed and are never decoded into date or number
//! types, which would turn `0000-00-00` into NULL. The driver's own session settings are turned off; ours are made in one
//! place and read back, because a setting that silently did not take is how a dump comes to lie.

use std::fmt::Display;
use std::time::Duration;

use futures_util::StreamExt;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Decode, Row as _, ValueRef, raw_sql};

use super::quoting::literal;
use crate::config::{ServerDatabase, TlsMode};
use crate::source::DumpLimits;
use crate::source::tls::{HANDSHAKE_HINT, authorities, handshake_failed};
use crate::{Class, Error, Result};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the server waits for us while a store is slow, in seconds: longer than any run.
const PATIENCE_SECONDS: u32 = 7 * 24 * 3600;

/// Which of the two servers it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// MariaDB.
    MariaDb,
    /// MySQL (or Percona's, or Aurora).
    MySql,
}

/// A connection with our settings.
pub(crate) struct Session {
    connection: MySqlConnection,
    /// Which server.
    pub(crate) flavor: Flavor,
    /// Major, minor, patch.
    pub(crate) version: (u32, u32, u32),
    /// The server's own version string.
    pub(crate) version_text: String,
    /// The database's name as the server has it.
    pub(crate) database: String,
}

/// One row of a catalogue query.
pub(crate) struct Record(Vec<Option<Vec<u8>>>);

impl Record {
    /// The bytes of a column, `None` for NULL.
    pub(crate) fn bytes(&self, index: usize) -> Option<&[u8]> {
        self.0.get(index).and_then(Option::as_deref)
    }

    /// The text of a column, `None` for NULL.
    pub(crate) fn optional(&self, index: usize) -> Result<Option<String>> {
        let Some(bytes) = self.bytes(index) else { return Ok(None) };
        String::from_utf8(bytes.to_vec())
            .map(Some)
            .map_err(|cause| Error::bug("the server's catalogue answered with text that is not UTF-8").because(cause))
    }

    /// The text of a column that cannot be NULL.
    pub(crate) fn text(&self, index: usize) -> Result<String> {
        self.optional(index)?
            .ok_or_else(|| Error::bug(format!("the server's catalogue answered NULL in column {}", index + 1)))
    }

    /// The number in a column; NULL counts as 0.
    pub(crate) fn number(&self, index: usize) -> Result<u64> {
        match self.optional(index)? {
            None => Ok(0),
            Some(text) => text.parse().map_err(|cause| {
                Error::bug(format!("the server's catalogue answered {text:?} for a number")).because(cause)
            }),
        }
    }
}

impl Session {
    /// Connects, sets the session up and checks that the settings are in force.
    pub(crate) async fn open(database: &ServerDatabase, limits: &DumpLimits) -> Result<Self> {
        let what = format!("cannot connect to database {:?} on {:?}", database.database, database.host);
        let options = options(database).await?;
        let connection = tokio::time::timeout(CONNECT_TIMEOUT, options.connect())
            .await
            .map_err(|_| {
                Error::new(Class::Transient, format!("{what}: no answer within {} s", CONNECT_TIMEOUT.as_secs()))
                    .hint("Check the host, the port and whether a firewall or security group lets this machine in.")
            })?
            .map_err(|cause| failed(cause, &what))?;
        let mut session = Session {
            connection,
            flavor: Flavor::MySql,
            version: (0, 0, 0),
            version_text: String::new(),
            database: String::new(),
        };
        session.set_up(limits).await?;
        Ok(session)
    }

    async fn set_up(&mut self, limits: &DumpLimits) -> Result<()> {
        // First of all, since it changes how every later statement is read.
        self.run("SET SESSION sql_mode = ''").await?;
        self.run("SET NAMES utf8mb4").await?;
        let row = self.one("SELECT VERSION(), DATABASE(), @@version_comment").await?;
        self.version_text = row.text(0)?;
        self.database =
            row.optional(1)?.ok_or_else(|| Error::configuration("no database was named for the connection"))?;
        if self.version_text.contains("MariaDB") || row.text(2)?.contains("MariaDB") {
            self.flavor = Flavor::MariaDb;
        }
        self.version = parse_version(&self.version_text);
        let oldest = match self.flavor {
            Flavor::MariaDb => (10, 3, 0),
            Flavor::MySql => (5, 7, 0),
        };
        if self.version < oldest {
            return Err(Error::unsupported(format!("server version {} is too old to be dumped", self.version_text))
                .hint("MariaDB 10.3 and MySQL 5.7 are the oldest that Nightvault knows."));
        }

        self.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        // At least a second: 0 means "at once" on one server and is refused by the other.
        let lock = limits.lock_timeout.as_secs().clamp(1, 31_536_000);
        self.run(&format!(
            "SET SESSION time_zone = '+00:00', sql_quote_show_create = 1, autocommit = 1, \
             sql_select_limit = 18446744073709551615, lock_wait_timeout = {lock}, \
             net_write_timeout = {PATIENCE_SECONDS}, net_read_timeout = {PATIENCE_SECONDS}, \
             wait_timeout = {PATIENCE_SECONDS}"
        ))
        .await?;
        // Only one of the servers, or only some versions, know these; unknown is fine, refused is not.
        for setting in [
            "max_statement_time = 0",
            "idle_transaction_timeout = 0",
            "idle_readonly_transaction_timeout = 0",
            "system_versioning_asof = DEFAULT",
            "max_execution_time = 0",
            "show_gipk_in_create_table_and_information_schema = ON",
            "information_schema_stats_expiry = 0",
        ] {
            self.set_if_known(setting).await?;
        }
        self.check_settings(lock).await
    }

    async fn set_if_known(&mut self, setting: &str) -> Result<()> {
        const UNKNOWN_VARIABLE: u16 = 1193;
        let sql = format!("SET SESSION {setting}");
        match raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await {
            Err(error) if number(&error) != Some(UNKNOWN_VARIABLE) => {
                Err(failed(error, format!("cannot set {setting}")))
            }
            _ => Ok(()),
        }
    }

    async fn check_settings(&mut self, lock: u64) -> Result<()> {
        let isolation = match self.flavor {
            Flavor::MariaDb => "tx_isolation",
            Flavor::MySql if self.version < (8, 0, 0) => "tx_isolation",
            Flavor::MySql => "transaction_isolation",
        };
        let expected = [
            ("sql_mode", ""),
            (isolation, "REPEATABLE-READ"),
            ("time_zone", "+00:00"),
            ("sql_quote_show_create", "1"),
            ("character_set_client", "utf8mb4"),
            ("character_set_results", "utf8mb4"),
            ("character_set_connection", "utf8mb4"),
            ("sql_select_limit", "18446744073709551615"),
            ("lock_wait_timeout", &lock.to_string()),
        ];
        let list = expected.map(|(name, _)| format!("@@SESSION.{name}")).join(", ");
        let row = self.one(&format!("SELECT {list}")).await?;
        for (index, (name, value)) in expected.into_iter().enumerate() {
            let found = row.text(index)?;
            if found != value {
                return Err(Error::new(
                    Class::Inconsistent,
                    format!("the server holds {name} at {found:?} although {value:?} was set"),
                )
                .hint(
                    "A proxy between Nightvault and the server changes session settings; connect to the server itself.",
                ));
            }
        }
        Ok(())
    }

    /// Runs a statement whose answer does not matter.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<()> {
        raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.connection)
            .await
            .map(|_| ())
            .map_err(|cause| failed(cause, "a statement failed"))
    }

    /// Runs a statement and hands the server's own error on, for those whose failure has a meaning.
    pub(crate) async fn try_run(&mut self, sql: String) -> Result<(), sqlx::Error> {
        raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await.map(|_| ())
    }

    /// All rows of a catalogue query.
    pub(crate) async fn all(&mut self, sql: &str) -> Result<Vec<Record>> {
        self.try_all(sql).await.map_err(|cause| failed(cause, "a query on the catalogue failed"))
    }

    /// All rows of a catalogue query, or the server's own error.
    pub(crate) async fn try_all(&mut self, sql: &str) -> Result<Vec<Record>, sqlx::Error> {
        let mut stream = raw_sql(AssertSqlSafe(sql.to_owned())).fetch(&mut self.connection);
        let mut rows = Vec::new();
        while let Some(row) = stream.next().await {
            let row = row?;
            let values = (0..row.len()).map(|index| Ok(value(&row, index)?.map(<[u8]>::to_vec)));
            rows.push(Record(values.collect::<Result<_, sqlx::Error>>()?));
        }
        Ok(rows)
    }

    /// The only row of a catalogue query.
    pub(crate) async fn one(&mut self, sql: &str) -> Result<Record> {
        let rows = self.all(sql).await?;
        rows.into_iter().next().ok_or_else(|| Error::bug("a query on the catalogue answered with no row"))
    }

    /// The raw driver connection.
    pub(crate) fn connection(&mut self) -> &mut MySqlConnection {
        &mut self.connection
    }

    /// Starts a query whose rows are taken one by one.
    pub(crate) fn stream(&mut self, sql: String) -> futures_util::stream::BoxStream<'_, Result<MySqlRow, sqlx::Error>> {
        raw_sql(AssertSqlSafe(sql)).fetch(&mut self.connection)
    }

    /// The condition that a column of the catalogue names this database: once so that the server need not open all the
    /// others, and once to the byte, since catalogues compare without case.
    pub(crate) fn here(&self, column: &str) -> String {
        let database = self.database_literal();
        format!("{column} = {database} AND BINARY {column} = {database}")
    }

    /// `'database'`.
    pub(crate) fn database_literal(&self) -> String {
        literal(&self.database)
    }
}

/// The bytes of one value as the server printed them.
pub(crate) fn value(row: &MySqlRow, index: usize) -> Result<Option<&[u8]>, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(None);
    }
    <&[u8] as Decode<sqlx::MySql>>::decode(value).map(Some).map_err(sqlx::Error::Decode)
}

/// The server's number for an error, where it is the server's.
pub(crate) fn number(error: &sqlx::Error) -> Option<u16> {
    let sqlx::Error::Database(error) = error else { return None };
    error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// Our error for one of the driver's. Numbers: <https://mariadb.com/kb/en/mariadb-error-code-reference/> and
/// <https://dev.mysql.com/doc/mysql-errors/9.0/en/server-error-reference.html>.
pub(crate) fn failed(error: sqlx::Error, what: impl Display) -> Error {
    let (class, hint) = match number(&error) {
        Some(1044 | 1045 | 1130 | 1142 | 1143 | 1227 | 1370 | 1698 | 3118) => (Class::Permission, None),
        Some(1049) => (Class::NotFound, Some("Check the name of the database.")),
        Some(1205) => (
            Class::Transient,
            Some(
                "Another session holds the table (an ALTER TABLE, LOCK TABLES or an open transaction); run again when it is done.",
            ),
        ),
        Some(1412 | 1146) => (
            Class::Inconsistent,
            Some("A table was changed while it was read; run again when no migration is running."),
        ),
        // The packet that we would have to take is larger than the server lets out.
        Some(1153 | 1301) => (Class::Limit, Some("Raise max_allowed_packet on the server.")),
        Some(1021 | 1114 | 1878) => (Class::Limit, Some("Make room on the server's disk, and where its tmpdir is.")),
        Some(1030 | 1034 | 1035 | 1194 | 1712 | 1932) => (Class::Corrupt, Some("Check the table on the server.")),
        Some(_) if matches!(error, sqlx::Error::Database(_)) && !is_passing(&error) => (Class::Bug, None),
        _ => match &error {
            error if handshake_failed(error) => (Class::Configuration, Some(HANDSHAKE_HINT)),
            sqlx::Error::Configuration(_) | sqlx::Error::InvalidArgument(_) => (Class::Configuration, None),
            _ => (Class::Transient, None),
        },
    };
    let error = Error::new(class, what.to_string()).because(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Too many connections, shutdown, killed, timed out, deadlock, network.
fn is_passing(error: &sqlx::Error) -> bool {
    matches!(
        number(error),
        Some(
            1040 | 1053 | 1077 | 1078 | 1079 | 1080 | 1152 | 1156
                ..=1161 | 1184 | 1203 | 1213 | 1226 | 1317 | 1927 | 1969 | 3024 | 4031
        )
    )
}

async fn options(database: &ServerDatabase) -> Result<MySqlConnectOptions> {
    let password = database.login_password().await?;
    let mut options = MySqlConnectOptions::new()
        .username(&database.user)
        .database(&database.database)
        .ssl_mode(match database.tls {
            TlsMode::Disable => MySqlSslMode::Disabled,
            TlsMode::Prefer => MySqlSslMode::Preferred,
            TlsMode::Require => MySqlSslMode::Required,
            TlsMode::VerifyCa => MySqlSslMode::VerifyCa,
            TlsMode::VerifyFull => MySqlSslMode::VerifyIdentity,
        })
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .set_names(false)
        .statement_cache_capacity(0)
        // Statements hold names, and slow ones would be logged with all their text.
        .disable_statement_logging();
    options = if database.host.starts_with('/') {
        options.socket(&database.host)
    } else {
        options.host(&database.host).port(database.port)
    };
    // An empty password must not be scrambled: the server expects no answer at all then.
    if !password.expose().is_empty() {
        options = options.password(password.expose());
    }
    // The plugin of RDS wants its token in clear text; the configuration has seen to it that the connection is checked TLS.
    if database.iam.is_some() {
        options = options.enable_cleartext_plugin(true);
    }
    Ok(match authorities(database).await? {
        Some(pem) => options.ssl_ca_from_pem(pem.into_owned()),
        None => options,
    })
}

/// `10.11.19-MariaDB…` and `5.5.5-10.11…` (MariaDB's old disguise) → numbers.
pub(crate) fn parse_version(text: &str) -> (u32, u32, u32) {
    let text = text.strip_prefix("5.5.5-").unwrap_or(text);
    let mut parts = text
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .next()
        .unwrap_or_default()
        .split('.')
        .map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_through_their_decorations() {
        assert_eq!(parse_version("10.11.19-MariaDB-0+deb12u1"), (10, 11, 19));
        assert_eq!(parse_version("5.5.5-10.4.2-MariaDB"), (10, 4, 2));
        assert_eq!(parse_version("9.7.0"), (9, 7, 0));
        assert_eq!(parse_version("8.0.32-24.1"), (8, 0, 32));
    }
}
