//! A MariaDB or MySQL server for tests: scratch databases that drop themselves, the server's own client and its own dump
//! program as a second opinion, and digests of rows computed in the server, since `mariadb-dump` itself loses digits of `FLOAT`.
//!
//! A test of MySQL is ignored unless it is asked for, since that server is not to be had everywhere; `tests/run` asks where
//! it is, and names what it could not run where it is not.

#![allow(clippy::unwrap_used, reason = "a test's helper may fail like the test")]

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nightvault_core::config::{ServerDatabase, TlsMode};
use nightvault_core::secret::Secret;

use sqlx::ConnectOptions;

use super::{given, program};

/// The password of the user `nightvault`: every character in it once broke a connection string somewhere.
pub(crate) const PASSWORD: &str = "night@vault:/#?% é";

/// Which server a test speaks to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// `TEST_MARIADB_PORT`, `TEST_MARIADB_SOCKET`.
    MariaDb,
    /// `TEST_MYSQL_PORT`, `TEST_MYSQL_SOCKET`, and its programs in `TEST_MYSQL_PROGRAMS`.
    MySql,
}

impl Server {
    pub(crate) fn socket(self) -> String {
        given(match self {
            Server::MariaDb => "TEST_MARIADB_SOCKET",
            Server::MySql => "TEST_MYSQL_SOCKET",
        })
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(self) -> String {
        given(match self {
            Server::MariaDb => "TEST_MARIADB_PORT",
            Server::MySql => "TEST_MYSQL_PORT",
        })
    }

    /// What addresses and `DB_CONNECTION` call it.
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Server::MariaDb => "mariadb",
            Server::MySql => "mysql",
        }
    }

    /// Its program for `mariadb` or `mariadb-dump`.
    pub(crate) fn program(self, program: &str) -> String {
        match self {
            Server::MariaDb => program.to_owned(),
            Server::MySql => {
                let name = program.replace("mariadb-dump", "mysqldump").replace("mariadb", "mysql");
                format!("{}/{name}", given("TEST_MYSQL_PROGRAMS"))
            }
        }
    }
}

/// A database of its own for one test; dropped with the value.
pub(crate) struct Scratch {
    server: Server,
    name: String,
}

impl Scratch {
    /// An empty database; `label` is part of its name.
    pub(crate) fn new(label: &str) -> Self {
        Self::with_options(label, "CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    }

    /// An empty database with options of `CREATE DATABASE`.
    pub(crate) fn with_options(label: &str, options: &str) -> Self {
        Self::on(Server::MariaDb, label, options)
    }

    /// An empty database on either server.
    pub(crate) fn on(server: Server, label: &str, options: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("nv_{label}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let output = client_on(server, &[], None, format!("CREATE DATABASE `{name}` {options}").as_bytes());
        assert!(output.status.success(), "{name}: {}", program::text(&output));
        Self { server, name }
    }

    /// A database made by a script of `tests/data/mysql`.
    pub(crate) fn seeded(label: &str, script: &str) -> Self {
        let database = Self::new(label);
        database.seed(script);
        database
    }

    /// Runs a script of `tests/data/mysql` in it.
    pub(crate) fn seed(&self, script: &str) {
        let path = format!("{}/data/mysql/{script}", env!("CARGO_MANIFEST_DIR"));
        let script = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let output = self.client().run(&script);
        assert!(output.status.success(), "{path} failed: {}", program::text(&output));
    }

    /// The server's client for this database, to run it elsewhere.
    pub(crate) fn client(&self) -> Client {
        Client { server: self.server, database: self.name.clone() }
    }

    /// A connection of its own, for what must hold something while a dump runs.
    pub(crate) async fn connect(&self) -> sqlx::MySqlConnection {
        sqlx::mysql::MySqlConnectOptions::new()
            .socket(self.server.socket())
            .username("root")
            .database(&self.name)
            .connect()
            .await
            .unwrap()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn server(&self) -> Server {
        self.server
    }

    /// The address of it for a user, without a password.
    pub(crate) fn url(&self, user: &str) -> String {
        let (scheme, port) = (self.server.scheme(), self.server.port());
        format!("{scheme}://{user}@127.0.0.1:{port}/{}?sslmode=prefer", self.name)
    }

    /// Runs statements in it as root and returns what the client printed, tab-separated.
    pub(crate) fn run(&self, sql: &str) -> String {
        let output = self.client().run(sql.as_bytes());
        assert!(output.status.success(), "{sql:.300}\nfailed: {}", program::text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// How Nightvault connects to it over TCP, with the awkward password.
    pub(crate) fn config(&self) -> ServerDatabase {
        self.config_as("nightvault", PASSWORD)
    }

    /// The same over the Unix socket as `root`.
    pub(crate) fn config_over_socket(&self) -> ServerDatabase {
        ServerDatabase { host: self.server.socket(), ..self.config_as("root", "") }
    }

    /// The same as another user.
    pub(crate) fn config_as(&self, user: &str, password: &str) -> ServerDatabase {
        ServerDatabase {
            host: "127.0.0.1".to_owned(),
            port: self.server.port().parse().unwrap(),
            user: user.to_owned(),
            password: Secret::new(password),
            database: self.name.clone(),
            tls: TlsMode::Prefer,
            tls_ca: None,
            iam: None,
        }
    }

    /// Restores a dump into it, as a person would: `mariadb NAME < dump.sql`.
    pub(crate) fn restore(&self, dump: &[u8]) {
        let output = self.client().run(dump);
        assert!(output.status.success(), "the restore failed: {}", program::text(&output));
    }

    /// What the server's dump program says of it, without what differs by name alone.
    pub(crate) fn oracle(&self) -> String {
        // It never ends on an event whose body holds its delimiter, so there is a limit.
        let mut command = Command::new("timeout");
        command.args(["60", &self.server.program("mariadb-dump")]);
        command.args(["--no-defaults", "--socket", &self.server.socket(), "--user=root"]);
        command.args(["--skip-comments", "--routines", "--events", "--triggers", "--hex-blob", "--order-by-primary"]);
        command.args(["--skip-extended-insert", "--default-character-set=utf8mb4", "--complete-insert"]);
        if self.server == Server::MySql {
            // They are the server's, and move on while other tests write.
            command.arg("--set-gtid-purged=OFF");
        }
        command.arg(&self.name);
        let output = program::run(&mut command);
        assert!(output.status.success(), "{command:?} failed: {}", program::text(&output));
        let text = String::from_utf8_lossy(&output.stdout)
            // It writes defaults from sequences with their database, which is the one thing that may differ.
            .replace(&format!("nextval(`{}`.", self.name), "nextval(")
            .replace(&format!("`{}`", self.name), "`DATABASE`");
        self.without_written_charset(&text)
    }

    /// MySQL remembers whether a column's collation was written or came from the table, and tells it this way. A dump of
    /// its own loses that too.
    fn without_written_charset(&self, text: &str) -> String {
        match self.server {
            Server::MariaDb => text.to_owned(),
            Server::MySql => text.replace(" CHARACTER SET utf8mb4 COLLATE", " COLLATE"),
        }
    }

    /// What the server says of every object; for servers without a second opinion.
    pub(crate) fn definitions(&self) -> String {
        let statements = self.run(
            "SELECT CONCAT('SHOW CREATE TABLE `', TABLE_NAME, '`;') FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()
             UNION ALL SELECT CONCAT('SHOW CREATE ', ROUTINE_TYPE, ' `', ROUTINE_NAME, '`;') FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()
             UNION ALL SELECT CONCAT('SHOW CREATE EVENT `', EVENT_NAME, '`;') FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()
             ORDER BY 1",
        );
        let triggers = "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_ORDER, HEX(ACTION_STATEMENT), SQL_MODE, DEFINER, \
             CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION FROM information_schema.TRIGGERS \
             WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY 1";
        self.without_written_charset(&self.run(&format!("{statements}{triggers}")).replace(&self.name, "DATABASE"))
    }

    /// Rows and digest of every table, over the stored bytes of every column, generated and invisible ones too.
    pub(crate) fn digests(&self) -> String {
        let tables = self.run(
            "SELECT HEX(TABLE_NAME), TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
             AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1",
        );
        let mut digests = String::new();
        for line in tables.lines() {
            let (table, kind) = line.split_once('\t').unwrap();
            let columns = self.run(&format!(
                "SELECT CONCAT(DATA_TYPE, ' `', REPLACE(COLUMN_NAME, '`', '``'), '`') FROM information_schema.COLUMNS \
                 WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = CONVERT(UNHEX('{table}') USING utf8mb4) \
                 ORDER BY ORDINAL_POSITION"
            ));
            let mut values: Vec<String> = columns.lines().map(|column| value_as_bytes(&unescaped(column))).collect();
            let mut period = "";
            if kind == "SYSTEM VERSIONED" {
                period = "FOR SYSTEM_TIME ALL";
                if !columns.contains("`re`") {
                    values.push("row_start".to_owned());
                    values.push("row_end".to_owned());
                }
            }
            let row = format!("SHA2(CONCAT_WS('|', {}), 256)", values.join(", "));
            let name = self.run(&format!("SELECT REPLACE(CONVERT(UNHEX('{table}') USING utf8mb4), '`', '``')"));
            let name = unescaped(name.trim_end_matches('\n'));
            let digest = self.run(&format!(
                "SET time_zone = '+00:00', group_concat_max_len = 1073741824; \
                 SELECT COUNT(*), SHA2(GROUP_CONCAT(digest ORDER BY digest), 256) FROM (SELECT {row} AS digest FROM `{}` {period}) AS r",
                name
            ));
            digests.push_str(&format!("{name:?}\t{}\n", digest.trim_end()));
        }
        digests
    }
}

/// A value as it was before the client escaped it for its line.
fn unescaped(value: &str) -> String {
    let mut text = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('0') => text.push('\0'),
                other => text.extend(other),
            },
            c => text.push(c),
        }
    }
    text
}

/// An SQL expression for the exact value of a column, given as `type name`.
fn value_as_bytes(column: &str) -> String {
    let (kind, name) = column.split_once(' ').unwrap();
    let bytes = match kind {
        "float" | "double" => format!("CAST({name} * 1e0 AS CHAR)"),
        "bit" => format!("CAST({name} + 0 AS CHAR)"),
        "json" => format!("HEX(CAST({name} AS CHAR))"),
        "point" | "geometry" | "vector" => format!("HEX({name})"),
        "enum" | "set" => format!("CONCAT({name} + 0, ':', HEX(CAST({name} AS BINARY)))"),
        _ => format!("HEX(CAST({name} AS BINARY))"),
    };
    format!("COALESCE({bytes}, 'null')")
}

/// The client of a database.
pub(crate) struct Client {
    server: Server,
    database: String,
}

impl Client {
    /// Runs it with `input` to its end, whatever that is.
    pub(crate) fn run(&self, input: &[u8]) -> Output {
        client_on(self.server, &["--default-character-set=utf8mb4"], Some(&self.database), input)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A dump that stands at a gate would hold its locks, and the failed test would wait for it.
            let sessions = format!("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{}'", self.name);
            let output = client_on(self.server, &[], None, sessions.as_bytes());
            for id in String::from_utf8_lossy(&output.stdout).lines() {
                client_on(self.server, &[], None, format!("KILL {id}").as_bytes());
            }
        }
        let drop = format!("DROP DATABASE IF EXISTS `{}`", self.name);
        let output = client_on(self.server, &[], None, drop.as_bytes());
        if !output.status.success() && !std::thread::panicking() {
            panic!("{} was not dropped: {}", self.name, program::text(&output));
        }
    }
}

/// A user for one test; dropped with the value.
pub(crate) struct User {
    server: Server,
    name: String,
}

impl User {
    /// A user with password `pw` and the given privileges, each `PRIVILEGES ON object`.
    pub(crate) fn new(label: &str, grants: &[&str]) -> Self {
        Self::on(Server::MariaDb, label, grants)
    }

    /// The same on either server.
    pub(crate) fn on(server: Server, label: &str, grants: &[&str]) -> Self {
        let user = Self { server, name: format!("nv_{label}_{}", std::process::id()) };
        let account = user.account();
        let mut sql = format!("DROP USER IF EXISTS {account}; CREATE USER {account} IDENTIFIED BY 'pw';");
        for grant in grants {
            sql.push_str(&format!("GRANT {grant} TO {account};"));
        }
        let output = client_on(server, &[], None, sql.as_bytes());
        assert!(output.status.success(), "{sql}\nfailed: {}", program::text(&output));
        user
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn account(&self) -> String {
        format!("`{}`@`127.0.0.1`", self.name)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        client_on(self.server, &[], None, format!("DROP USER IF EXISTS {}", self.account()).as_bytes());
    }
}

/// Runs statements as root of MariaDB; panics when one fails.
pub(crate) fn run_as_root(sql: &str) -> String {
    run_as_root_on(Server::MariaDb, sql)
}

/// The same on either server.
pub(crate) fn run_as_root_on(server: Server, sql: &str) -> String {
    let output = client_on(server, &["--default-character-set=utf8mb4"], None, sql.as_bytes());
    assert!(output.status.success(), "{sql:.300}\nfailed: {}", program::text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// MariaDB's client with `input`, stopped by the first error.
pub(crate) fn client_with(options: &[&str], database: Option<&str>, input: &[u8]) -> Output {
    client_on(Server::MariaDb, options, database, input)
}

fn client_on(server: Server, options: &[&str], database: Option<&str>, input: &[u8]) -> Output {
    let mut command = Command::new(server.program("mariadb"));
    command.args(["--no-defaults", "--socket", &server.socket(), "--user=root", "--skip-column-names"]);
    command.arg("--max-allowed-packet=1G").args(options).args(database);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let mut stdin = child.stdin.take().expect("it was piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // The client may end early with an error, which is in its output.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("the client was started");
    writer.join().expect("the writer does not panic");
    output
}
