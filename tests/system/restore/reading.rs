//! What is read of a backup: the dump once to be authenticated and once to be executed, the files once, and their ends.

use std::fs;

use serde_json::Value;

use crate::support::mariadb;
use crate::support::nightvault::Nightvault;
use crate::support::{given, postgres};

/// Bytes that are read besides: the archive's end, once for the database and once for the files; what stands in a dump
/// outside the rows; and the blocks in which files are read, before and behind them.
const BESIDES: u64 = 12 << 20;
/// Rows of the only table. One of them has 1,000 bytes, so that the dump is larger than all that is read besides.
const ROWS: u32 = 28_000;

/// Backs up a database and a folder, uncompressed; returns their stored bytes.
fn backed_up(nightvault: &mut Nightvault) -> (u64, u64) {
    let docs = nightvault.folder().join("docs");
    fs::create_dir(&docs).unwrap();
    fs::write(docs.join("a.bin"), vec![7; 1 << 20]).unwrap();
    nightvault.set("BACKUP_FILES", &docs.display().to_string()).set("BACKUP_COMPRESSION", "store");
    nightvault.ok(&["run", "--no-notify"]);
    let manifest = &nightvault.ok(&["show", "latest"])["manifest"];
    let stored = |of: &Value| of[0]["stored_bytes"].as_u64().unwrap();
    (stored(&manifest["databases"]), stored(&manifest["files"]))
}

/// Restores both, and the database alone; a third reading of the dump would be seen.
fn assert_read_twice(nightvault: &mut Nightvault, to: [&str; 2], more: &[&str]) {
    let (dump, files) = backed_up(nightvault);
    assert!(dump > 2 * BESIDES && files > 0, "{dump} and {files}");
    for (to, besides, files) in [(to[0], &["--files", "new"][..], files), (to[1], &[], 0)] {
        let report = nightvault.ok(&[&["restore", "latest", "--to", to], besides, more].concat());
        assert_eq!(report["database"]["rows"], ROWS);
        let (read, least) = (report["bytes_read"].as_u64().unwrap(), 2 * dump + files);
        assert!((least..least + BESIDES).contains(&read), "{read} bytes were read of {dump} and {files}");
    }
}

#[test]
fn postgres_is_read_twice_with_files_too() {
    let source = postgres::Scratch::new();
    source.psql(&format!("CREATE TABLE t AS SELECT i, repeat('x', 1000) FROM generate_series(1, {ROWS}) i"));
    let url = |name: &str| format!("postgres://postgres@127.0.0.1:{}/{name}?sslmode=disable", postgres::port());
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set("DATABASE_URL", &url(&source.name));
    let targets = [postgres::Scratch::new(), postgres::Scratch::new()];
    let to = [0, 1].map(|number| url(&targets[number].name));
    assert_read_twice(&mut nightvault, [&to[0], &to[1]], &[]);
}

#[test]
fn mariadb_is_read_twice_with_files_too() {
    let source = mariadb::Scratch::new("reading");
    source.run(&format!("CREATE TABLE t AS SELECT seq AS i, REPEAT('x', 1000) AS x FROM seq_1_to_{ROWS}"));
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set_source(&source);
    let targets = [mariadb::Scratch::new("read"), mariadb::Scratch::new("read")];
    let to = [0, 1].map(|number| {
        let name = targets[number].name();
        format!("mariadb://nightvault@127.0.0.1:{}/{name}?sslmode=prefer", given("TEST_MARIADB_PORT"))
    });
    assert_read_twice(&mut nightvault, [&to[0], &to[1]], &["--to-password-env", "DB_PASSWORD"]);
}

#[test]
fn sqlite_is_read_twice_with_files_too() {
    let mut nightvault = Nightvault::local("clinic");
    let database = nightvault.folder().join("clinic.sqlite");
    let rows = format!(
        "CREATE TABLE t AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) \
         SELECT i, hex(zeroblob(500)) AS x FROM n"
    );
    rusqlite::Connection::open(&database).unwrap().execute_batch(&rows).unwrap();
    let url = |name: &str| format!("sqlite://{}", nightvault.folder().join(name).display());
    let to = [url("one.sqlite"), url("two.sqlite")];
    let source = url("clinic.sqlite");
    nightvault.set("DATABASE_URL", &source);
    assert_read_twice(&mut nightvault, [&to[0], &to[1]], &[]);
}
