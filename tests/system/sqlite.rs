//! SQLite: what the dump holds that a raw copy or SQL text would lose, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nightvault_core::progress::Progress;
use nightvault_core::source::{DatabaseDump, DumpWriter, sqlite};
use nightvault_core::{Class, Error, Result};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::files::without_root_rights;

/// A scratch folder, the database in it, and a connection that keeps it open.
fn a_database(setup: &str) -> (TempDir, PathBuf, Connection) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("clinic.sqlite");
    let connection = Connection::open(&path).unwrap();
    // Nothing here survives a power cut; waiting for the disk would only make the tests slow.
    connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
    connection.execute_batch(setup).unwrap();
    (home, path, connection)
}

const VISITS: &str = "CREATE TABLE visits (id INTEGER PRIMARY KEY, note TEXT NOT NULL);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    INSERT INTO visits SELECT i, printf('visit %d %0100d', i, i) FROM n;";

fn dump(path: &Path) -> Result<(DatabaseDump, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut bytes, progress) = (Vec::new(), Progress::default());
        let mut out = DumpWriter::new(&mut bytes, &progress);
        let dump = sqlite::dump(path, &mut out).await?;
        let length = out.finish().await?;
        assert_eq!(length, bytes.len() as u64);
        assert_eq!(progress.snapshot().raw_bytes, length);
        Ok((dump, bytes))
    })
}

fn check(path: &Path) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(sqlite::check(path))
}

/// What a user does with the dump: a file, opened by SQLite.
fn restored(bytes: &[u8]) -> (TempDir, Connection) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("restored.sqlite");
    fs::write(&path, bytes).unwrap();
    let connection = Connection::open(&path).unwrap();
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    (home, connection)
}

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn text(connection: &Connection, sql: &str) -> String {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn rows_that_a_raw_copy_of_a_wal_database_loses_are_in_the_dump() {
    let (home, path, writer) = a_database("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;");
    writer.execute_batch(VISITS).unwrap();
    let raw = home.path().join("raw.sqlite");
    fs::copy(&path, &raw).unwrap();
    assert_eq!(number(&Connection::open(&raw).unwrap(), "SELECT count(*) FROM sqlite_schema"), 0);

    let (dump, bytes) = dump(&path).unwrap();
    let (_home, copy) = restored(&bytes);
    assert_eq!(number(&copy, "SELECT count(*) FROM visits"), 1000);
    assert_eq!(dump.snapshot["journal_mode"], "wal");
    assert_eq!(text(&copy, "PRAGMA journal_mode"), "wal");
    assert_eq!((dump.tables[0].name.as_str(), dump.tables[0].rows), ("visits", 1000));
}

/// Dumps while another thread moves money between two accounts and writes a line about each move.
fn dump_beside_a_constant_writer(journal_mode: &str) -> DatabaseDump {
    let (_home, path, writer) = a_database(&format!(
        "PRAGMA journal_mode = {journal_mode}; {VISITS}
         CREATE TABLE account (id INTEGER PRIMARY KEY, euros INTEGER);
         INSERT INTO account VALUES (1, 1000), (2, 1000);
         CREATE TABLE moved (id INTEGER PRIMARY KEY);"
    ));
    writer.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    let (stop, (begun, has_begun)) = (AtomicBool::new(false), std::sync::mpsc::channel());
    std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                writer
                    .execute_batch(
                        "BEGIN IMMEDIATE; UPDATE account SET euros = euros - 1 WHERE id = 1;
                         INSERT INTO moved DEFAULT VALUES;
                         UPDATE account SET euros = euros + 1 WHERE id = 2; COMMIT",
                    )
                    .unwrap();
                let _ = begun.send(());
            }
        });
        has_begun.recv().unwrap();
        let result = dump(&path);
        stop.store(true, Ordering::Relaxed);
        let (dump, bytes) = result.unwrap();
        let (_home, copy) = restored(&bytes);
        assert_eq!(number(&copy, "SELECT sum(euros) FROM account"), 2000);
        let moved = number(&copy, "SELECT count(*) FROM moved");
        assert!(moved >= 1, "the first move was committed before the dump began");
        assert_eq!(number(&copy, "SELECT euros FROM account WHERE id = 2"), 1000 + moved);
        let counted = dump.tables.iter().find(|table| table.name == "moved").unwrap().rows;
        assert_eq!(counted, u64::try_from(moved).unwrap());
        dump
    })
}

#[test]
fn a_constant_writer_in_wal_mode_neither_tears_nor_restarts_the_snapshot() {
    let dump = dump_beside_a_constant_writer("WAL");
    assert_eq!(dump.snapshot["copy_restarts"], "0");
}

#[test]
fn a_constant_writer_with_a_rollback_journal_does_not_tear_the_snapshot() {
    dump_beside_a_constant_writer("DELETE");
}

#[test]
fn a_journal_left_by_a_crash_is_rolled_back_and_not_shipped_half_written() {
    let (home, path, writer) = a_database(VISITS);
    // A cache of one page spills the open transaction into the file; the copy is what a crash leaves behind.
    writer.execute_batch("PRAGMA cache_size = 1; BEGIN; UPDATE visits SET note = 'lost ' || note").unwrap();
    let (crashed, raw) = (home.path().join("crashed.sqlite"), home.path().join("raw.sqlite"));
    fs::copy(&path, &crashed).unwrap();
    fs::copy(&path, &raw).unwrap();
    fs::copy(home.path().join("clinic.sqlite-journal"), home.path().join("crashed.sqlite-journal")).unwrap();
    let torn = number(&Connection::open(&raw).unwrap(), "SELECT count(*) FROM visits WHERE note LIKE 'lost %'");
    assert!(torn > 0, "the fixture holds half a transaction");

    let before = fs::read(&crashed).unwrap();
    check(&crashed).unwrap();
    assert_eq!(fs::read(&crashed).unwrap(), before, "a check changes nothing");
    let (_, bytes) = dump(&crashed).unwrap();
    let (_home, copy) = restored(&bytes);
    assert_eq!(number(&copy, "SELECT count(*) FROM visits WHERE note LIKE 'visit %'"), 1000);
}

#[test]
fn what_sql_text_loses_is_kept() {
    let (_home, path, _writer) = a_database(
        "PRAGMA page_size = 8192; PRAGMA encoding = 'UTF-16be'; PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA user_version = 20240115; PRAGMA application_id = 1313754452;
         CREATE TABLE odd (v); INSERT INTO odd VALUES ('a' || char(0) || 'b'), (5e-324), (-0.0), (x'00ff'), (NULL);
         CREATE TABLE strict_one (a INTEGER, b ANY) STRICT;
         CREATE TABLE no_rowid (a TEXT PRIMARY KEY, b INT AS (length(a)) STORED) WITHOUT ROWID;
         INSERT INTO no_rowid (a) VALUES ('x');
         CREATE VIEW odd_view AS SELECT v FROM odd; CREATE INDEX odd_index ON odd (v);
         CREATE TRIGGER odd_trigger AFTER DELETE ON odd BEGIN SELECT 1; END;",
    );
    let (dump, bytes) = dump(&path).unwrap();
    let (_home, copy) = restored(&bytes);
    for (pragma, value) in
        [("user_version", 20_240_115), ("application_id", 1_313_754_452), ("page_size", 8192), ("auto_vacuum", 2)]
    {
        assert_eq!(number(&copy, &format!("PRAGMA {pragma}")), value, "{pragma}");
        assert_eq!(dump.snapshot[pragma], value.to_string(), "{pragma}");
    }
    assert_eq!(text(&copy, "PRAGMA encoding"), "UTF-16be");
    assert_eq!(number(&copy, "SELECT count(*) FROM odd WHERE v = 'a' || char(0) || 'b' OR v = 5e-324 OR v IS NULL"), 3);
    let zero: f64 = copy.query_row("SELECT v FROM odd WHERE v = 0.0", [], |row| row.get(0)).unwrap();
    assert!(zero == 0.0 && zero.is_sign_negative());

    let rows: Vec<_> = dump.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect();
    assert_eq!(rows, [("no_rowid", 1), ("odd", 5), ("strict_one", 0)]);
    let objects: Vec<_> = dump.objects.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(objects, [("index", 1), ("table", 3), ("trigger", 1), ("view", 1)]);
    assert!(dump.tables.iter().all(|table| table.offset == 0 && table.bytes == bytes.len() as u64));
    assert_eq!(dump.snapshot["integrity_check"], "ok");
    assert_eq!(dump.snapshot["foreign_key_check"], "ok");
    assert_eq!((dump.engine.as_str(), dump.warnings.len()), ("SQLite", 0));
}

#[test]
fn full_text_search_and_r_trees_work_after_restore() {
    let (_home, path, _writer) = a_database(
        "CREATE VIRTUAL TABLE notes USING fts5(body); INSERT INTO notes VALUES ('acute appendicitis'), ('healthy');
         CREATE VIRTUAL TABLE sites USING rtree(id, x0, x1); INSERT INTO sites VALUES (1, 0.0, 1.0);
         CREATE TABLE plain (a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO plain DEFAULT VALUES;",
    );
    let (dump, bytes) = dump(&path).unwrap();
    let (_home, copy) = restored(&bytes);
    assert_eq!(text(&copy, "SELECT body FROM notes WHERE notes MATCH 'appendicitis'"), "acute appendicitis");
    assert_eq!(number(&copy, "SELECT id FROM sites WHERE x0 <= 0.5 AND x1 >= 0.5"), 1);
    assert_eq!(dump.objects["virtual table"], 2);
    assert_eq!(dump.objects["shadow table"], 8);
    assert_eq!(dump.objects["internal table"], 1);
    assert_eq!(dump.tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(), ["plain"]);
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    let (_home, path, writer) = a_database("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;");
    writer.execute_batch(VISITS).unwrap();
    let (first, bytes) = dump(&path).unwrap();
    // Moves the rows from the -wal into the file and changes the header's counters, not the data.
    writer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let (second, again) = dump(&path).unwrap();
    assert!(bytes == again, "two dumps of the same data differ");
    assert_eq!(first, second);
    writer.execute_batch("UPDATE visits SET note = 'other' WHERE id = 500").unwrap();
    assert!(dump(&path).unwrap().1 != bytes, "the test would not see a difference");

    let (_home, path, writer) = a_database(VISITS);
    let (_, bytes) = dump(&path).unwrap();
    writer.execute_batch("PRAGMA user_version = 1; PRAGMA user_version = 0").unwrap();
    assert!(bytes == dump(&path).unwrap().1, "the change counter shows in the dump");
}

#[test]
fn only_the_file_itself_is_dumped_when_a_client_has_it_attached() {
    let home = tempfile::tempdir().unwrap();
    let (main, path) = (home.path().join("main.sqlite"), home.path().join("clinic.sqlite"));
    let client = Connection::open(&main).unwrap();
    client.execute("ATTACH DATABASE ?1 AS clinic", [path.to_str().unwrap()]).unwrap();
    client
        .execute_batch("BEGIN; CREATE TABLE main.a (x); CREATE TABLE clinic.b (x); INSERT INTO b VALUES (1); COMMIT")
        .unwrap();
    let (dump, bytes) = dump(&path).unwrap();
    assert_eq!(number(&restored(&bytes).1, "SELECT x FROM b"), 1);
    assert_eq!(dump.tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(), ["b"]);
}

fn refused(path: &Path) -> Error {
    let error = dump(path).unwrap_err();
    assert!(error.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "{error:?}");
    error
}

#[test]
fn what_is_no_sqlite_database_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    // SQLCipher encrypts the header, too: bytes without a pattern, a whole number of pages.
    let noise: Vec<u8> = (0..8192_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(path("encrypted.sqlite"), noise).unwrap();
    fs::write(path("dump.sql"), "CREATE TABLE a (x);\n".repeat(100)).unwrap();
    fs::write(path("empty.sqlite"), "").unwrap();
    fs::create_dir(path("directory.sqlite")).unwrap();
    for (name, class) in [
        ("encrypted.sqlite", Class::Unsupported),
        ("dump.sql", Class::Unsupported),
        ("empty.sqlite", Class::NotFound),
        ("missing.sqlite", Class::NotFound),
        ("directory.sqlite", Class::Configuration),
    ] {
        assert_eq!(refused(&path(name)).class(), class, "{name}");
        assert_eq!(check(&path(name)).unwrap_err().class(), class, "{name}");
    }
    assert!(refused(&path("encrypted.sqlite")).hint_text().unwrap().contains("encrypted"));
    assert!(!path("missing.sqlite").exists(), "nothing is made by looking");
}

#[test]
fn a_corrupt_page_fails_the_dump_and_names_the_file() {
    let (_home, path, writer) = a_database(VISITS);
    drop(writer);
    let mut bytes = fs::read(&path).unwrap();
    bytes[2 * 4096 + 5] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    assert_eq!(refused(&path).class(), Class::Corrupt);
}

#[test]
fn rows_that_break_a_rule_are_kept_and_told() {
    let (_home, path, _writer) = a_database(
        "PRAGMA foreign_keys = OFF;
         CREATE TABLE patient (id INTEGER PRIMARY KEY);
         CREATE TABLE \"vis\"\"it\n\" (id INTEGER PRIMARY KEY, patient INT REFERENCES patient);
         INSERT INTO \"vis\"\"it\n\" VALUES (1, 7), (2, 8);
         CREATE TABLE dose (mg INT CHECK (mg > 0)); PRAGMA ignore_check_constraints = ON; INSERT INTO dose VALUES (-1);",
    );
    let (dump, bytes) = dump(&path).unwrap();
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("copy"), &bytes).unwrap();
    assert_eq!(number(&Connection::open(home.path().join("copy")).unwrap(), "SELECT mg FROM dose"), -1);
    assert_eq!(dump.warnings.len(), 2, "{:?}", dump.warnings);
    assert!(dump.warnings[0].contains("1 rows break a CHECK"), "{:?}", dump.warnings);
    assert_eq!(dump.warnings[1], "2 rows of table \"vis\\\"it\\n\" refer to rows that are not there");
    assert_eq!(dump.snapshot["foreign_key_check"], "2 violations");
    assert!(dump.tables.iter().any(|table| table.name == "vis\"it\n" && table.rows == 2));
}

#[test]
fn an_index_with_the_applications_own_collation_is_copied_and_told() {
    let (_home, path, writer) = a_database(&format!(
        "{VISITS} CREATE TABLE people (name TEXT COLLATE NOCASE); INSERT INTO people VALUES ('Ärzte'), ('Zoe');
         CREATE INDEX by_name ON people (name); PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, 'NOCASE', 'german_phonebook');"
    ));
    drop(writer);
    let (dump, bytes) = dump(&path).unwrap();
    assert_eq!(
        dump.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect::<Vec<_>>(),
        [("people", 2), ("visits", 1000)]
    );
    assert_eq!(dump.warnings.len(), 1, "{:?}", dump.warnings);
    assert!(
        dump.warnings[0].contains("\"people\"") && dump.warnings[0].contains("german_phonebook"),
        "{:?}",
        dump.warnings
    );
    assert_eq!(dump.snapshot["integrity_check"], "ok; 1 tables could not be checked");

    // The other tables are checked all the same.
    let visits: usize = {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("copy"), &bytes).unwrap();
        let copy = Connection::open(home.path().join("copy")).unwrap();
        usize::try_from(number(&copy, "SELECT pageno FROM dbstat WHERE name = 'visits' AND pagetype = 'leaf' LIMIT 1"))
            .unwrap()
    };
    let mut bytes = fs::read(&path).unwrap();
    bytes[(visits - 1) * 4096 + 3] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    assert_eq!(refused(&path).class(), Class::Corrupt);
}

#[test]
fn a_read_only_directory_is_enough_for_a_rollback_journal_and_named_for_a_wal() {
    use std::os::unix::fs::PermissionsExt;
    if !without_root_rights("sqlite::a_read_only_directory_is_enough_for_a_rollback_journal_and_named_for_a_wal") {
        return;
    }
    let read_only = |home: &TempDir| fs::set_permissions(home.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let writable = |home: &TempDir| fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let (home, path, writer) = a_database(VISITS);
    drop(writer);
    read_only(&home);
    let result = dump(&path);
    writable(&home);
    assert_eq!(number(&restored(&result.unwrap().1).1, "SELECT count(*) FROM visits"), 1000);

    let (home, path, writer) = a_database(&format!("PRAGMA journal_mode = WAL; {VISITS}"));
    drop(writer);
    read_only(&home);
    let (dumped, checked) = (dump(&path), check(&path));
    writable(&home);
    for error in [dumped.unwrap_err(), checked.unwrap_err()] {
        assert_eq!(error.class(), Class::Permission, "{error:?}");
        assert!(error.to_string().contains("clinic.sqlite"), "{error:?}");
        assert!(error.hint_text().unwrap().contains("writable directory"), "{error:?}");
    }

    // An open client's -shm file is enough.
    let client = Connection::open(&path).unwrap();
    client.execute_batch("DELETE FROM visits WHERE id > 10").unwrap();
    read_only(&home);
    let result = dump(&path);
    writable(&home);
    assert_eq!(number(&restored(&result.unwrap().1).1, "SELECT count(*) FROM visits"), 10);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(refused(&path).class(), Class::Permission);
}

#[test]
fn a_name_that_looks_like_a_uri_is_a_file() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file:clinic.sqlite?mode=memory");
    Connection::open_with_flags(&path, rusqlite::OpenFlags::default() & !rusqlite::OpenFlags::SQLITE_OPEN_URI)
        .unwrap()
        .execute_batch(VISITS)
        .unwrap();
    assert!(path.exists());
    assert_eq!(dump(&path).unwrap().0.tables[0].rows, 1000);
}
