//! The database is changed while it is dumped: all rows or an error, never fewer rows.
//!
//! A gate in the sink stops the dump at a known place, so that what happens meanwhile happens there and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nightvault_core::progress::Progress;
use nightvault_core::source::{DatabaseDump, DumpLimits, DumpWriter, EntrySink, mysql};
use nightvault_core::{Class, Result};
use tokio::sync::Notify;

use super::{assert_same, dump, dump_with};
use crate::support::mariadb::{Scratch, client, connect, run_as_root};
use crate::support::program;

/// Where the dump stops.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Before the first row of the n-th table, from 0.
    Table(usize),
    /// When this many bytes have arrived.
    Bytes(usize),
}

struct Gate {
    bytes: Vec<u8>,
    cuts: usize,
    place: Option<Place>,
    reached: Arc<Notify>,
    go: Arc<Notify>,
}

impl Gate {
    async fn stop(&mut self) {
        self.place = None;
        self.reached.notify_one();
        self.go.notified().await;
    }
}

#[async_trait]
impl EntrySink for Gate {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        if matches!(self.place, Some(Place::Bytes(limit)) if self.bytes.len() >= limit) {
            self.stop().await;
        }
        Ok(())
    }

    async fn cut_piece(&mut self) -> Result<()> {
        if self.place == Some(Place::Table(self.cuts / 2)) {
            self.stop().await;
        }
        self.cuts += 1;
        Ok(())
    }
}

/// Dumps and runs `meanwhile` while the dump stands at `place`.
async fn dump_while<F: Future<Output = ()>>(
    database: &Scratch,
    place: Place,
    meanwhile: F,
) -> Result<(Vec<u8>, DatabaseDump)> {
    let (reached, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut gate =
        Gate { bytes: Vec::new(), cuts: 0, place: Some(place), reached: Arc::clone(&reached), go: Arc::clone(&go) };
    let (config, limits) = (database.config(), DumpLimits::default());
    let dumping = tokio::spawn(async move {
        let progress = Progress::default();
        let mut writer = DumpWriter::new(&mut gate, &progress);
        let dump = mysql::dump(&config, &limits, &mut writer).await?;
        writer.finish().await?;
        Ok((gate.bytes, dump))
    });
    reached.notified().await;
    meanwhile.await;
    go.notify_one();
    dumping.await.unwrap()
}

/// Starts a statement that must wait for the dump, and returns when the server says that it does wait.
async fn blocked(database: &Scratch, sql: &str) -> std::thread::JoinHandle<()> {
    let (name, sql) = (database.name().to_owned(), sql.to_owned());
    let schema = name.clone();
    let thread = std::thread::spawn(move || {
        let output = client(Some(&name), sql.as_bytes());
        assert!(output.status.success(), "{sql}: {}", program::text(&output));
    });
    let waiting = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = '{schema}' AND STATE LIKE '%metadata lock%'"
    );
    while run_as_root(&waiting).trim() == "0" {
        assert!(!thread.is_finished(), "the statement did not wait for the dump");
        tokio::task::yield_now().await;
    }
    thread
}

fn two_tables(label: &str) -> Scratch {
    let database = Scratch::new(label);
    database.run(
        "CREATE TABLE a (id INT PRIMARY KEY, n INT) ENGINE=InnoDB; CREATE TABLE b LIKE a; CREATE TABLE _b_gho LIKE a;
         INSERT INTO a SELECT seq, 0 FROM seq_1_to_1000; INSERT INTO b SELECT seq, 0 FROM seq_1_to_1000;",
    );
    database
}

fn rows(dump: &DatabaseDump) -> Vec<(&str, u64)> {
    dump.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect()
}

#[tokio::test]
async fn changes_of_definitions_wait_until_the_dump_is_through() {
    for (label, statement) in [
        // As gh-ost and pt-online-schema-change do at their end.
        ("swap", "RENAME TABLE b TO _b_del, _b_gho TO b"),
        ("truncate", "TRUNCATE TABLE b"),
        ("alter", "ALTER TABLE b MODIFY n BIGINT, ALGORITHM=COPY"),
        ("instant", "ALTER TABLE b ADD COLUMN m INT DEFAULT 7"),
        ("drop", "DROP TABLE b"),
    ] {
        let database = two_tables(label);
        let mut thread = None;
        let result = dump_while(&database, Place::Table(0), async {
            thread = Some(blocked(&database, statement).await);
        })
        .await;
        thread.unwrap().join().unwrap();
        let (_, dump) = result.unwrap_or_else(|error| panic!("{label}: {error:?}"));
        assert_eq!(rows(&dump), [("_b_gho", 0), ("a", 1000), ("b", 1000)], "{label}");
    }
}

#[tokio::test]
async fn rows_and_tables_made_after_the_snapshot_are_not_in_the_dump() {
    let database = two_tables("after");
    let before = Scratch::new("before");
    let (bytes, _) = dump(&database.config()).await.unwrap();
    before.restore(&bytes);
    let (bytes, dump) = dump_while(&database, Place::Table(2), async {
        database.run(
            "START TRANSACTION; UPDATE a SET n = n + 1; UPDATE b SET n = n - 1; DELETE FROM b WHERE id > 500; COMMIT;
             INSERT INTO a SELECT seq, 0 FROM seq_2000_to_2100; CREATE TABLE c (id INT) ENGINE=InnoDB;
             CREATE TRIGGER late BEFORE INSERT ON c FOR EACH ROW SET @x = 1;",
        );
    })
    .await
    .unwrap();
    assert_eq!(rows(&dump), [("_b_gho", 0), ("a", 1000), ("b", 1000)]);
    let restored = Scratch::new("snapshot");
    restored.restore(&bytes);
    assert_same(&before, &restored);
}

#[tokio::test]
async fn a_killed_connection_is_an_error_and_no_short_dump() {
    let database = Scratch::new("killed");
    database.run(
        "CREATE TABLE large (id INT PRIMARY KEY, t MEDIUMTEXT) ENGINE=InnoDB;
         INSERT INTO large SELECT seq, REPEAT('x', 100000) FROM seq_1_to_600;",
    );
    let error = dump_while(&database, Place::Bytes(1 << 20), async {
        let name = database.name();
        let id = run_as_root(&format!(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{name}' AND USER = 'nightvault'"
        ));
        run_as_root(&format!("KILL {id}"));
    })
    .await
    .unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");
    assert!(error.to_string().contains("`large`"), "{error:?}");
}

#[tokio::test]
async fn a_table_that_another_session_holds_is_named() {
    let database = two_tables("held");
    let mut holder = connect(database.name()).await;
    sqlx::raw_sql("LOCK TABLES b WRITE").execute(&mut holder).await.unwrap();
    let limits = DumpLimits { lock_timeout: Duration::from_secs(1), ..DumpLimits::default() };
    let error = dump_with(&database.config(), &limits).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");
    assert!(error.to_string().contains("`b`"), "{error:?}");
}
