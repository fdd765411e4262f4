//! The clinic of the tests: a database with three tenants, its backup and its map.

use std::cell::RefCell;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::mariadb::Server;
use crate::support::nightvault::{Nightvault, Said};
use crate::support::{mariadb, postgres};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
    MariaDb,
    MySql,
}

impl Engine {
    /// The server of the engines that are MariaDB's or MySQL's.
    pub(super) fn server(self) -> Server {
        if self == Engine::MySql { Server::MySql } else { Server::MariaDb }
    }
}

enum Database {
    Postgres(postgres::Scratch),
    MariaDb(mariadb::Scratch),
}

/// A backed-up clinic.
pub(super) struct Clinic {
    database: Database,
    pub(super) nightvault: Nightvault,
    map: RefCell<Value>,
}

/// Tables, and which of their rows are those of tenants that `IS` (`= 42` or `<> 42`).
const TABLES: [(&str, &str); 12] = [
    ("tenants", "id IS"),
    ("users", "tenant_id IS"),
    ("patients", "tenant_id IS"),
    ("categories", "tenant_id IS"),
    ("doctors", "tenant_id IS"),
    ("visits", "patient_id IN (SELECT id FROM patients WHERE tenant_id IS)"),
    ("visit_notes", "visit_id IN (VISITS)"),
    (
        "comments",
        "id IN (SELECT c.id FROM comments c LEFT JOIN comments p ON p.id = c.parent_id LEFT JOIN comments g ON g.id = p.parent_id \
         WHERE COALESCE(c.visit_id, p.visit_id, g.visit_id) IN (VISITS))",
    ),
    ("departments", "head_id IN (SELECT id FROM doctors WHERE tenant_id IS)"),
    ("measurements", "patient_id IN (SELECT id FROM patients WHERE tenant_id IS)"),
    (
        "tags",
        "(subject_type = 'visit' AND subject_id IN (VISITS)) OR \
         (subject_type = 'patient' AND subject_id IN (SELECT id FROM patients WHERE tenant_id IS))",
    ),
    // Everybody's and nobody's: never the tenant's, always the others'.
    ("countries", "1 IS"),
];

impl Clinic {
    pub(super) fn new(engine: Engine) -> Self {
        Self::with(engine, |_| {})
    }

    /// One with something of its own, backed up with it.
    pub(super) fn with(engine: Engine, more: impl Fn(&Self)) -> Self {
        let file = |name: &str| format!("{}/data/tenants/{name}", env!("CARGO_MANIFEST_DIR"));
        let database = match engine {
            Engine::Postgres => {
                let scratch = postgres::Scratch::new();
                scratch.run_file(&file("clinic.postgres.sql"));
                Database::Postgres(scratch)
            }
            Engine::MariaDb | Engine::MySql => {
                let options = "CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci";
                let scratch = mariadb::Scratch::on(engine.server(), "tenants", options);
                scratch.run(&counted(&std::fs::read_to_string(file("clinic.mysql.sql")).unwrap(), engine));
                Database::MariaDb(scratch)
            }
        };
        let mut nightvault = Nightvault::local("clinic");
        nightvault.set("DB_PASSWORD", mariadb::PASSWORD);
        let clinic = Self { database, nightvault, map: RefCell::new(Value::Null) };
        let (url, name) = (clinic.url(), clinic.name());
        let mut clinic = clinic;
        match engine {
            Engine::Postgres => clinic.nightvault.set("DATABASE_URL", &url),
            Engine::MariaDb | Engine::MySql => clinic
                .nightvault
                .set("DB_CONNECTION", engine.server().scheme())
                .set("DB_HOST", "127.0.0.1")
                .set("DB_PORT", &engine.server().port())
                .set("DB_DATABASE", &name)
                .set("DB_USERNAME", "nightvault"),
        };
        clinic.nightvault.ok(&["tenants", "plan", "--map", "tenants.json"]);
        *clinic.map.borrow_mut() = serde_json::from_str(&std::fs::read_to_string(clinic.map_file()).unwrap()).unwrap();
        clinic.decide();
        more(&clinic);
        clinic.nightvault.ok(&["run"]);
        clinic
    }

    /// What the plan leaves open, as a person decides it.
    fn decide(&self) {
        let subject = |kind: &str| {
            let table = self.full(&format!("{kind}s"));
            json!({"columns": ["subject_id"], "table": table, "references": ["id"], "when": {"subject_type": kind}})
        };
        self.class("audit", json!({"class": "excluded", "reason": "a log is never written anew"}));
        self.class("countries", json!({"class": "shared"}));
        self.class("tags", json!({"class": "by path", "through": [subject("visit"), subject("patient")]}));
        let mut comments = self.entry("comments");
        assert_eq!(comments["class"], "unclassed");
        comments["class"] = "by path".into();
        self.class("comments", comments);
    }

    /// Writes a table's entry of the map.
    pub(super) fn class(&self, table: &str, entry: Value) {
        self.map.borrow_mut()["tables"][self.full(table)] = entry;
        std::fs::write(self.map_file(), self.map.borrow().to_string()).unwrap();
    }

    /// A table's entry of the map.
    pub(super) fn entry(&self, table: &str) -> Value {
        self.map.borrow()["tables"][self.full(table)].clone()
    }

    /// A table as the map names it.
    pub(super) fn full(&self, table: &str) -> String {
        match self.database {
            Database::Postgres(_) => format!("public.{table}"),
            Database::MariaDb(_) => table.to_owned(),
        }
    }

    pub(super) fn map_file(&self) -> PathBuf {
        self.nightvault.folder().join("tenants.json")
    }

    /// The database's name.
    pub(super) fn name(&self) -> String {
        match &self.database {
            Database::Postgres(scratch) => scratch.name.clone(),
            Database::MariaDb(scratch) => scratch.name().to_owned(),
        }
    }

    pub(super) fn url(&self) -> String {
        match &self.database {
            Database::Postgres(scratch) => {
                format!("postgres://postgres@127.0.0.1:{}/{}?sslmode=disable", postgres::port(), scratch.name)
            }
            Database::MariaDb(scratch) => scratch.url("nightvault"),
        }
    }

    /// Runs SQL.
    pub(super) fn ask(&self, sql: &str) -> String {
        match &self.database {
            Database::Postgres(scratch) => scratch.psql(sql),
            Database::MariaDb(scratch) => scratch.run(sql),
        }
    }

    /// Lets everything happen that can happen to a tenant.
    pub(super) fn damage(&self) {
        let engine = if matches!(self.database, Database::Postgres(_)) { "postgres" } else { "mysql" };
        let path = format!("{}/data/tenants/damage.{engine}.sql", env!("CARGO_MANIFEST_DIR"));
        match &self.database {
            Database::Postgres(scratch) => scratch.run_file(&path),
            Database::MariaDb(scratch) => {
                drop(scratch.run(&counted(&std::fs::read_to_string(path).unwrap(), self.engine())))
            }
        }
    }

    pub(super) fn engine(&self) -> Engine {
        match &self.database {
            Database::Postgres(_) => Engine::Postgres,
            Database::MariaDb(scratch) if scratch.server() == Server::MySql => Engine::MySql,
            Database::MariaDb(_) => Engine::MariaDb,
        }
    }

    /// The arguments that restore tenant 42.
    pub(super) fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let url: &str = self.url().leak();
        let fixed = ["restore", "latest", "--tenant", "tenant_id=42", "--map", "tenants.json", "--to", url];
        [&fixed[..], &["--to-password-env", "DB_PASSWORD"], more].concat()
    }

    /// Restores tenant 42.
    pub(super) fn restores(&self, more: &[&str]) -> Said {
        self.nightvault.run(&self.arguments(more))
    }

    /// Digests of the tenant's rows, made by the server.
    pub(super) fn theirs(&self) -> Vec<String> {
        self.digests("= 42")
    }

    /// Digests of everybody else's rows, of the shared tables and of what triggers have written.
    pub(super) fn others(&self) -> Vec<String> {
        let mut all = self.digests("<> 42");
        all.push(self.digest("audit", "1 = 1"));
        all
    }

    /// Digests of everything.
    pub(super) fn all(&self) -> Vec<String> {
        let mut all: Vec<String> = TABLES.iter().map(|(table, _)| self.digest(table, "1 = 1")).collect();
        all.push(self.digest("audit", "1 = 1"));
        all
    }

    fn digests(&self, is: &str) -> Vec<String> {
        let visits = "SELECT v.id FROM visits v JOIN patients p ON p.id = v.patient_id WHERE p.tenant_id IS";
        let digest =
            |(table, rows): &(&str, &str)| self.digest(table, &rows.replace("VISITS", visits).replace("IS", is));
        TABLES.iter().map(digest).collect()
    }

    pub(super) fn digest(&self, table: &str, rows: &str) -> String {
        let sql = match &self.database {
            Database::Postgres(_) => format!(
                "SELECT count(*), md5(coalesce(string_agg(x::text, '|' ORDER BY x::text COLLATE \"C\"), '')) \
                 FROM (SELECT * FROM {table} WHERE {rows}) x"
            ),
            Database::MariaDb(scratch) => {
                let columns = scratch.run(&format!(
                    "SELECT GROUP_CONCAT(CONCAT('COALESCE(HEX(CAST(', COLUMN_NAME, ' AS BINARY)), ''-'')') ORDER BY ORDINAL_POSITION) \
                     FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{table}'"
                ));
                format!(
                    "SET SESSION group_concat_max_len = 1 << 30; SELECT COUNT(*), SHA2(COALESCE(GROUP_CONCAT(x.line ORDER BY x.line), ''), 256) \
                     FROM (SELECT CONCAT_WS('|', {}) AS line FROM {table} WHERE {rows}) x",
                    columns.trim()
                )
            }
        };
        format!("{table} {}", self.ask(&sql).trim())
    }
}

/// A script whose numbers MySQL counts itself, since it has none of MariaDB's tables `seq_1_to_20`.
fn counted(script: &str, engine: Engine) -> String {
    if engine != Engine::MySql {
        return script.to_owned();
    }
    let mut parts = script.split("seq_");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (range, rest) = part.split_at(part.find(|c: char| !c.is_ascii_digit() && !"_to".contains(c)).unwrap());
        let (from, to) = range.split_once("_to_").unwrap();
        text.push_str(&format!(
            "(WITH RECURSIVE s AS (SELECT {from} AS seq UNION ALL SELECT seq + 1 FROM s WHERE seq < {to}) SELECT seq FROM s) n{}",
            rest.strip_prefix(" n").unwrap_or(rest)
        ));
    }
    text
}
