//! SQLite: a file that appears whole, at a path where nothing was.

use std::path::Path;

use rusqlite::Connection;

use super::{backed_up, damage};
use crate::support::nightvault::Nightvault;

/// An installation whose source is a database in WAL mode with a row that only the `-wal` holds; keep the connection.
fn vault() -> (Nightvault, Connection) {
    let mut nightvault = Nightvault::local("clinic");
    let path = nightvault.folder().join("source.sqlite");
    let source = Connection::open(&path).unwrap();
    source
        .execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE \"a \"\"b\" (n INTEGER PRIMARY KEY, t TEXT); \
             INSERT INTO \"a \"\"b\" VALUES (1, 'x'), (2, 'y')",
        )
        .unwrap();
    nightvault.set("DATABASE_URL", &format!("sqlite://{}", path.display()));
    backed_up(&nightvault);
    (nightvault, source)
}

fn url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_database_comes_back_as_one_file_and_nothing_beside_it() {
    let (nightvault, _source) = vault();
    let folder = nightvault.folder().join("a %3f b");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("copy.sqlite");
    let to = url(&path).replace('%', "%25");
    let planned = nightvault.ok(&["restore", "latest", "--to", &to, "--dry-run"]);
    assert_eq!((planned["status"].as_str(), names(&folder).len()), (Some("planned"), 0));
    let report = nightvault.ok(&["restore", "latest", "--to", &to]);
    assert_eq!(report["database"]["rows"], 2);
    assert_eq!(names(&folder), ["copy.sqlite"]);
    let rows: String = Connection::open(&path)
        .unwrap()
        .query_row("SELECT group_concat(t) FROM \"a \"\"b\"", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, "x,y");
    // A second time it is there.
    let said = nightvault.fails(2, &["restore", "latest", "--to", &to]);
    assert!(said.stderr.contains("is there already"), "{said:?}");
}

#[test]
fn what_an_old_database_left_is_refused_all_of_it_at_once() {
    let (nightvault, _source) = vault();
    let folder = nightvault.folder().join("old");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("copy.sqlite-wal"), "frames").unwrap();
    std::fs::write(folder.join("copy.sqlite-shm"), "").unwrap();
    let said = nightvault.fails(2, &["restore", "latest", "--to", &url(&folder.join("copy.sqlite"))]);
    assert!(said.stderr.contains("copy.sqlite-wal") && said.stderr.contains("copy.sqlite-shm"), "{said:?}");
    assert_eq!(names(&folder), ["copy.sqlite-shm", "copy.sqlite-wal"]);
}

#[test]
fn damage_leaves_no_file() {
    let (nightvault, _source) = vault();
    let key = nightvault.listed().remove(0);
    damage(&nightvault.archive(&key));
    let folder = nightvault.folder().join("new");
    std::fs::create_dir(&folder).unwrap();
    nightvault.fails(3, &["restore", &key, "--to", &url(&folder.join("copy.sqlite"))]);
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[test]
fn the_source_is_refused() {
    let (nightvault, _source) = vault();
    let said = nightvault.fails(2, &["restore", "latest", "--to", &url(&nightvault.folder().join("source.sqlite"))]);
    assert!(said.stderr.contains("the source itself"), "{said:?}");
}
