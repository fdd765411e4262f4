//! What happens to the source while it is dumped: the dump holds every row of its snapshot, or it fails.

use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc;

use async_trait::async_trait;
use nightvault_core::progress::Progress;
use nightvault_core::source::{DatabaseDump, DumpLimits, DumpWriter, EntrySink, postgres};
use nightvault_core::{Class, Result};

use crate::support::postgres::{Scratch, client, dump, psql};

/// A sink that, when it has seen a text for the first time, does something before it takes more.
struct Interrupted<'a> {
    bytes: Vec<u8>,
    at: &'static [u8],
    action: Option<Box<dyn FnOnce() + Send + 'a>>,
}

#[async_trait]
impl EntrySink for Interrupted<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        if self.action.is_some() && self.bytes.windows(self.at.len()).any(|window| window == self.at) {
            self.action.take().expect("it was just seen")();
        }
        Ok(())
    }

    async fn cut_piece(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Dumps `source` and does `action` when `at` has been written.
async fn dump_interrupted(
    source: &Scratch,
    at: &'static [u8],
    action: impl FnOnce() + Send,
) -> (Result<DatabaseDump>, String) {
    let progress = Progress::default();
    let mut sink = Interrupted { bytes: Vec::new(), at, action: Some(Box::new(action)) };
    let mut out = DumpWriter::new(&mut sink, &progress);
    let mut result = postgres::dump(&source.config(), &DumpLimits::default(), &mut out).await;
    if result.is_ok() {
        result = out.finish().await.and(result);
    }
    assert!(sink.action.is_none(), "the dump never came to the place where it was to be interrupted");
    (result, String::from_utf8(sink.bytes).unwrap())
}

/// Two tables of 1000 rows: `a` is dumped first, so that `z` is still to come when `a` has been written.
fn two_tables() -> Scratch {
    let source = Scratch::new();
    source.psql(
        "CREATE TABLE a (n integer); INSERT INTO a SELECT generate_series(1, 1000); \
         CREATE TABLE z (n integer); INSERT INTO z SELECT generate_series(1, 1000)",
    );
    source
}

/// Starts psql on its own and returns when the server shows that its statement waits for a lock.
fn start_and_await_lock(database: &str, sql: &str) -> Child {
    let child = client("psql", database)
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql])
        .stdout(Stdio::null())
        .spawn()
        .expect("psql starts");
    let waiting =
        format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'");
    while psql(database, &waiting).trim() == "0" {}
    child
}

/// Runs a statement that the dump must hold up, and checks that the dump has all rows and the statement goes on after.
async fn assert_held_up(sql: &str) {
    let source = two_tables();
    let (sender, receiver) = mpsc::channel();
    let (result, text) = dump_interrupted(&source, b"COPY \"public\".\"a\"", || {
        sender.send(start_and_await_lock(&source.name, sql)).expect("the test waits");
    })
    .await;
    let dump = result.unwrap();
    assert!(receiver.recv().unwrap().wait().unwrap().success(), "{sql} went through after the dump");
    assert_eq!(dump.tables.iter().map(|table| table.rows).collect::<Vec<_>>(), [1000, 1000], "{sql}");
    assert_eq!(source.restored(&text).psql("SELECT count(*) FROM z").trim(), "1000", "{sql}");
}

#[tokio::test]
async fn a_truncate_during_the_dump_loses_no_row() {
    assert_held_up("TRUNCATE z").await;
}

#[tokio::test]
async fn a_rewriting_alter_during_the_dump_loses_no_row() {
    assert_held_up("ALTER TABLE z ALTER COLUMN n TYPE bigint USING n * 2").await;
}

#[tokio::test]
async fn a_swap_of_tables_during_the_dump_loses_no_row() {
    assert_held_up("BEGIN; CREATE TABLE other (n integer); DROP TABLE z; ALTER TABLE other RENAME TO z; COMMIT").await;
}

#[tokio::test]
async fn rows_written_during_the_dump_are_not_in_it() {
    let source = two_tables();
    let (result, text) = dump_interrupted(&source, b"COPY \"public\".\"a\"", || {
        source.psql("INSERT INTO z VALUES (0); DELETE FROM z WHERE n < 500; UPDATE z SET n = -n");
    })
    .await;
    assert_eq!(result.unwrap().tables[1].rows, 1000);
    assert_eq!(source.restored(&text).psql("SELECT sum(n) FROM z").trim(), "500500");
}

#[tokio::test]
async fn a_sequence_is_never_behind_the_rows() {
    let source = Scratch::new();
    source.psql("CREATE TABLE t (id serial PRIMARY KEY); INSERT INTO t SELECT FROM generate_series(1, 100)");
    let (result, text) = dump_interrupted(&source, b"CREATE TABLE", || {
        source.psql("INSERT INTO t SELECT FROM generate_series(1, 50)");
    })
    .await;
    result.unwrap();
    let restored = source.restored(&text);
    restored.psql("INSERT INTO t SELECT FROM generate_series(1, 100)");
    assert_eq!(restored.psql("SELECT count(*) FROM t WHERE id > 150").trim(), "100");
}

#[tokio::test]
async fn a_killed_connection_is_an_error_at_every_table() {
    let source = two_tables();
    source.psql("ALTER TABLE a ADD COLUMN filler text DEFAULT repeat('x', 5000)");
    for at in [&b"CREATE TABLE"[..], b"COPY \"public\".\"a\"", b"COPY \"public\".\"z\""] {
        let (result, _) = dump_interrupted(&source, at, || {
            let kill =
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'nightvault'";
            let killed = source.psql(&format!("{kill} AND datname = current_database()"));
            assert_eq!(killed.trim(), "1");
        })
        .await;
        assert_eq!(result.unwrap_err().class(), Class::Transient);
    }
}

/// A psql that runs what it is sent until its input is dropped.
fn interactive(source: &Scratch) -> (Child, ChildStdin) {
    let mut child = client("psql", &source.name)
        .args(["-X", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("psql starts");
    let input = child.stdin.take().expect("the input is a pipe");
    (child, input)
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_change_while_the_catalogue_is_read_are_read_again() {
    let source = two_tables();
    source.psql("CREATE VIEW v AS SELECT 1 AS n; CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'");
    let (mut holder, mut input) = interactive(&source);
    let change = b"BEGIN; CREATE OR REPLACE VIEW v AS SELECT 2 AS n; CREATE TABLE made (n integer); \
                   CREATE OR REPLACE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 2';\n";
    std::io::Write::write_all(&mut input, change).unwrap();
    while source
        .psql("SELECT count(*) FROM pg_locks WHERE relation = 'v'::regclass AND mode = 'AccessExclusiveLock'")
        .trim()
        == "0"
    {}
    let config = source.config();
    let dumping = tokio::spawn(async move { dump(&config, &DumpLimits::default()).await });
    // The dump has its snapshot and waits to deparse the view.
    while source.psql("SELECT count(*) FROM pg_locks WHERE relation = 'v'::regclass AND NOT granted").trim() == "0" {}
    std::io::Write::write_all(&mut input, b"COMMIT;\n").unwrap();
    drop(input);
    holder.wait().unwrap();
    let (bytes, _) = dumping.await.unwrap().unwrap();
    let restored = source.restored(&String::from_utf8(bytes).unwrap());
    assert_eq!(restored.psql("SELECT n, f() FROM v").trim(), "2|2");
    assert_eq!(restored.psql("SELECT count(*) FROM made").trim(), "0");
}

#[tokio::test]
async fn a_table_that_cannot_be_locked_is_named_with_who_holds_it() {
    let source = two_tables();
    let (mut holder, mut input) = interactive(&source);
    std::io::Write::write_all(&mut input, b"BEGIN; LOCK TABLE z;\n").unwrap();
    while source.psql("SELECT count(*) FROM pg_locks WHERE relation = 'z'::regclass AND granted").trim() == "0" {}
    let limits = DumpLimits { lock_timeout: std::time::Duration::from_millis(100), ..DumpLimits::default() };
    let error = dump(&source.config(), &limits).await.unwrap_err();
    drop(input);
    holder.wait().unwrap();
    assert_eq!(error.class(), Class::Transient);
    assert!(error.to_string().contains("\"public\".\"z\""), "{error}");
    assert!(error.to_string().contains("server process"), "{error}");
}

#[tokio::test]
async fn the_same_database_gives_the_same_bytes() {
    let source = Scratch::of("clinic.sql");
    let (first, _) = source.dump().await.unwrap();
    let (second, _) = source.dump().await.unwrap();
    assert_eq!(first, second);
}

#[tokio::test]
async fn the_manifest_tells_where_each_table_stands_in_the_dump() {
    let source = two_tables();
    let (text, dump) = source.dump().await.unwrap();
    for table in &dump.tables {
        let section = &text[table.offset as usize..(table.offset + table.bytes) as usize];
        assert!(
            section.starts_with(&format!("COPY \"public\".\"{}\" (\"n\") FROM stdin;\n1\n", table.name)),
            "{section:.60}"
        );
        assert!(section.ends_with("\n1000\n\\.\n\n"));
    }
    assert_eq!(dump.objects["table"], 2);
    assert_eq!(dump.snapshot["isolation"], "repeatable read");
}
