//! PostgreSQL for tests: scratch databases, `psql`, `pg_dump`, and dumps taken by the code under test.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nightvault_core::Result;
use nightvault_core::config::{ServerDatabase, TlsMode};
use nightvault_core::progress::Progress;
use nightvault_core::secret::Secret;
use nightvault_core::source::{DatabaseDump, DumpLimits, DumpWriter, postgres};

use super::program;

/// Numbers the scratch objects of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The port of the test server.
pub(crate) fn port() -> u16 {
    super::given("TEST_POSTGRES_PORT").parse().expect("TEST_POSTGRES_PORT is a port")
}

/// A name that no other test has.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A client program of PostgreSQL, pointed at `database`.
pub(crate) fn client(name: &str, database: &str) -> Command {
    let mut command = Command::new(name);
    command
        .args(["-h", "127.0.0.1", "-U", "postgres", "-d", database, "-p", &port().to_string()])
        .env_remove("PGOPTIONS")
        .env("PGCLIENTENCODING", "UTF8");
    command
}

/// Runs SQL in `database` and returns what it printed, unaligned.
pub(crate) fn psql(database: &str, sql: &str) -> String {
    let mut command = client("psql", database);
    program::stdout(command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]))
}

/// A database that drops itself.
pub(crate) struct Scratch {
    /// Its name.
    pub(crate) name: String,
}

impl Scratch {
    /// An empty database.
    pub(crate) fn new() -> Self {
        Self::with("TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'")
    }

    /// An empty database made with these options.
    pub(crate) fn with(options: &str) -> Self {
        let name = unique("scratch");
        psql("postgres", &format!("CREATE DATABASE \"{name}\" {options}"));
        Self { name }
    }

    /// A database with the SQL of a file in `tests/data/postgres` run in it.
    pub(crate) fn of(file: &str) -> Self {
        let scratch = Self::new();
        scratch.run_file(&format!("{}/data/postgres/{file}", env!("CARGO_MANIFEST_DIR")));
        scratch
    }

    /// Runs SQL in it.
    pub(crate) fn psql(&self, sql: &str) -> String {
        psql(&self.name, sql)
    }

    /// Runs a file in it; any error is a panic.
    pub(crate) fn run_file(&self, path: &str) {
        program::stdout(client("psql", &self.name).args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", path]));
    }

    /// How the code under test reaches it.
    pub(crate) fn config(&self) -> ServerDatabase {
        ServerDatabase {
            host: "127.0.0.1".to_owned(),
            port: port(),
            user: "postgres".to_owned(),
            password: Secret::new(""),
            database: self.name.clone(),
            tls: TlsMode::Disable,
            tls_ca: None,
            iam: None,
        }
    }

    /// Dumps it.
    pub(crate) async fn dump(&self) -> Result<(String, DatabaseDump)> {
        let (bytes, dump) = dump(&self.config(), &DumpLimits::default()).await?;
        Ok((String::from_utf8(bytes).expect("the dump of a UTF-8 database is UTF-8"), dump))
    }

    /// A new database restored from a dump with psql, any error being a panic.
    pub(crate) fn restored(&self, sql: &str) -> Self {
        let copy = Self::new();
        copy.restore(sql);
        copy
    }

    /// Restores a dump into this database.
    pub(crate) fn restore(&self, sql: impl AsRef<[u8]>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("dump.sql");
        std::fs::write(&path, sql).expect("the dump is written");
        let mut command = client("psql", &self.name);
        command.current_dir(folder.path()).args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]);
        command.stdin(std::fs::File::open(&path).expect("the dump is there"));
        program::stdout(&mut command);
        let files = std::fs::read_dir(folder.path()).expect("the folder is there").count();
        assert_eq!(files, 1, "restoring made files: a name or a value left its quotes");
    }

    /// Asserts that pg_dump sees no difference to a copy. It refuses servers that are newer than itself; then the rows are
    /// compared by digests that the servers make.
    pub(crate) fn assert_same_as(&self, copy: &Self) {
        let version = program::stdout(Command::new("pg_dump").arg("--version"));
        let client: u32 =
            version.split([' ', '.']).find_map(|word| word.parse().ok()).expect("pg_dump tells its version");
        if client * 10_000 + 9_999 >= self.psql("SHOW server_version_num").trim().parse().expect("a number") {
            assert_same("schemas", &self.pg_dump_schema(), &copy.pg_dump_schema());
            assert_same("rows", &self.pg_dump_rows(), &copy.pg_dump_rows());
        }
        assert_same("digests of the rows", &self.digests(), &copy.digests());
    }

    /// For each table its name, the number of its rows and a digest of their texts.
    fn digests(&self) -> String {
        let tables = "SELECT format('SELECT %L, count(*), sum(hashtextextended(encode(convert_to(t::text, ''UTF8''), ''hex''), 0)) FROM ONLY %I.%I t;', c.oid::regclass, \
                      nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm') \
                      AND relispopulated AND nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY nspname, relname";
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("digests.sql");
        std::fs::write(&path, self.psql(tables)).expect("the queries are written");
        program::stdout(
            client("psql", &self.name).args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f"]).arg(&path),
        )
    }

    /// The schema as pg_dump sees it, without what differs between any two runs.
    pub(crate) fn pg_dump_schema(&self) -> String {
        let text = program::stdout(client("pg_dump", &self.name).args(["--schema-only", "--restrict-key=test"]));
        text.replace(&self.name, "DATABASE")
    }

    /// All rows as pg_dump sees them, each block's lines sorted.
    pub(crate) fn pg_dump_rows(&self) -> String {
        let text = program::stdout(client("pg_dump", &self.name).args(["--data-only", "--restrict-key=test"]));
        let mut lines: Vec<&str> = text.lines().collect();
        for block in lines.split_mut(|line| *line == "\\.") {
            if let Some(start) = block.iter().position(|line| line.starts_with("COPY ")) {
                block[start + 1..].sort_unstable();
            }
        }
        lines.join("\n")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
        let output = program::run(client("psql", "postgres").args(["-X", "-q", "-c", &sql]));
        // A panic here would hide the one that is under way.
        if !output.status.success() && !std::thread::panicking() {
            panic!("cannot drop {}: {}", self.name, program::text(&output));
        }
    }
}

/// Dumps a database into memory.
pub(crate) async fn dump(database: &ServerDatabase, limits: &DumpLimits) -> Result<(Vec<u8>, DatabaseDump)> {
    let progress = Progress::default();
    let mut bytes = Vec::new();
    let mut out = DumpWriter::new(&mut bytes, &progress);
    let dump = postgres::dump(database, limits, &mut out).await?;
    let length = out.finish().await?;
    assert_eq!(length, bytes.len() as u64);
    assert_eq!(progress.snapshot().rows, dump.tables.iter().map(|table| table.rows).sum::<u64>());
    Ok((bytes, dump))
}

/// Asserts that two texts are the same, and shows the first lines that are not.
pub(crate) fn assert_same(what: &str, original: &str, restored: &str) {
    if original == restored {
        return;
    }
    let (mut left, mut right) = (original.lines(), restored.lines());
    let mut number = 0;
    loop {
        number += 1;
        let (a, b) = (left.next(), right.next());
        if a != b {
            let after: Vec<&str> = left.take(8).collect();
            panic!(
                "{what} differ at line {number}:\n original: {a:?}\n restored: {b:?}\n original goes on: {after:#?}"
            );
        }
    }
}
