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
use crate::support::mariadb::{Scratch, Server, run_as_root};
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

/// Waits until some session of the database waits for a lock.
async fn somebody_waits(database: &Scratch, still_possible: impl Fn() -> bool) {
    let waiting = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = '{}' AND STATE LIKE '%metadata lock%'",
        database.name()
    );
    while database.run(&waiting).trim() == "0" {
        assert!(still_possible(), "nobody waited for a lock");
        tokio::task::yield_now().await;
    }
}

/// Starts a statement that must wait for the dump, and returns when the server says that it does wait.
async fn blocked(database: &Scratch, sql: &str) -> std::thread::JoinHandle<()> {
    let (client, statement) = (database.client(), sql.to_owned());
    let thread = std::thread::spawn(move || {
        let output = client.run(statement.as_bytes());
        assert!(output.status.success(), "{statement}: {}", program::text(&output));
    });
    somebody_waits(database, || !thread.is_finished()).await;
    thread
}

fn two_tables(server: Server, label: &str) -> Scratch {
    let database = Scratch::on(server, label, "");
    database.run(
        "CREATE TABLE a (id INT PRIMARY KEY, n INT) ENGINE=InnoDB; CREATE TABLE b LIKE a; CREATE TABLE _b_gho LIKE a;
         INSERT INTO a WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 1000) SELECT n, 0 FROM s;
         INSERT INTO b SELECT * FROM a;",
    );
    database
}

fn rows(dump: &DatabaseDump) -> Vec<(&str, u64)> {
    dump.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect()
}

async fn assert_changes_wait(server: Server) {
    for (label, statement) in [
        // As gh-ost and pt-online-schema-change do at their end.
        ("swap", "RENAME TABLE b TO _b_del, _b_gho TO b"),
        ("truncate", "TRUNCATE TABLE b"),
        ("alter", "ALTER TABLE b MODIFY n BIGINT, ALGORITHM=COPY"),
        ("instant", "ALTER TABLE b ADD COLUMN m INT DEFAULT 7"),
        ("drop", "DROP TABLE b"),
    ] {
        let database = two_tables(server, label);
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
async fn changes_of_definitions_wait_until_the_dump_is_through() {
    assert_changes_wait(Server::MariaDb).await;
}

#[tokio::test]
#[ignore = "needs MySQL: tests/run runs it where that can be had"]
async fn on_mysql_changes_of_definitions_wait_too() {
    assert_changes_wait(Server::MySql).await;
    assert_locks_come_before_the_snapshot(Server::MySql).await;
}

/// The dump relies on it: taking a table's lock with `LIMIT 0` opens no snapshot yet, the first read does.
async fn assert_locks_come_before_the_snapshot(server: Server) {
    let database = two_tables(server, "order");
    let mut session = database.connect().await;
    let mut answers = Vec::new();
    for (sql, meanwhile) in [
        ("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION READ ONLY", None),
        ("SELECT 1 FROM a LIMIT 0", None),
        ("SELECT 1 FROM b LIMIT 0", Some("INSERT INTO b VALUES (5000, 0)")),
        ("SELECT 1 FROM a LIMIT 1", Some("INSERT INTO b VALUES (5001, 0); INSERT INTO a VALUES (5001, 0)")),
        ("SELECT id FROM b WHERE id >= 5000 UNION ALL SELECT -id FROM a WHERE id >= 5000", None),
    ] {
        let rows = sqlx::raw_sql(sql).fetch_all(&mut session).await.unwrap();
        answers.push(rows.len());
        if let Some(sql) = meanwhile {
            database.run(sql);
        }
    }
    // Of the last query: what came between locks and snapshot is seen, what came after it is not, in either table.
    assert_eq!(answers.last(), Some(&1));
}

#[tokio::test]
async fn locks_come_before_the_snapshot() {
    assert_locks_come_before_the_snapshot(Server::MariaDb).await;
}

#[tokio::test]
async fn rows_and_tables_made_after_the_snapshot_are_not_in_the_dump() {
    let database = two_tables(Server::MariaDb, "after");
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
    let database = two_tables(Server::MariaDb, "held");
    let mut holder = database.connect().await;
    sqlx::raw_sql("LOCK TABLES b WRITE").execute(&mut holder).await.unwrap();
    let limits = DumpLimits { lock_timeout: Duration::from_secs(1), ..DumpLimits::default() };
    let error = dump_with(&database.config(), &limits).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");
    assert!(error.to_string().contains("`b`"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_between_the_first_look_and_the_locks_makes_it_look_again() {
    let database = two_tables(Server::MariaDb, "restart");
    let mut holder = database.connect().await;
    sqlx::raw_sql("LOCK TABLES b WRITE").execute(&mut holder).await.unwrap();
    let mut thread = None;
    let dumping = dump_while(&database, Place::Table(0), async {
        // Only if it looked again does it hold the new table too.
        thread = Some(blocked(&database, "TRUNCATE TABLE c").await);
    });
    let changing = async {
        // By now it has read the catalogue, in which `c` is not.
        somebody_waits(&database, || true).await;
        database.run("CREATE TABLE c (id INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO c VALUES (1), (2)");
        sqlx::raw_sql("INSERT INTO b VALUES (5000, 0); UNLOCK TABLES").execute(&mut holder).await.unwrap();
    };
    let (result, ()) = tokio::join!(dumping, changing);
    thread.unwrap().join().unwrap();
    assert_eq!(rows(&result.unwrap().1), [("_b_gho", 0), ("a", 1000), ("b", 1001), ("c", 2)]);
}
