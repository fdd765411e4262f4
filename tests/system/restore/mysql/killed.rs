//! The program is killed while it restores over two connections: what is left is a part, and the next try says so; no session
//! of it goes on.
//!
//! The restore waits at gates: `BACKUP LOCK` keeps a name from being made, `LOCK TABLES` rows from being loaded, an open
//! transaction keys from being built. So the moment of the kill is known.

use super::{assert_same, restore, url, vault_of};
use crate::restore::backed_up;
use crate::support::gate::{Gate, Running, eventually};
use crate::support::mariadb::{Scratch, run_as_root};
use crate::support::nightvault::Nightvault;

/// Two tables that are loaded first, one whose keys are made behind its rows, a small one, and a view.
const SOURCE: &str = "
CREATE TABLE first (id INT PRIMARY KEY, note VARCHAR(1000));
INSERT INTO first SELECT seq, REPEAT('x', 1000) FROM seq_1_to_6000;
CREATE TABLE second LIKE first;
INSERT INTO second SELECT * FROM first;
CREATE TABLE keyed (id INT PRIMARY KEY, place INT, note VARCHAR(1000), KEY keyed_place (place));
INSERT INTO keyed SELECT seq, seq % 7, REPEAT('y', 1000) FROM seq_1_to_5000;
CREATE TABLE small (id INT PRIMARY KEY, keyed INT, CONSTRAINT small_keyed FOREIGN KEY (keyed) REFERENCES keyed (id));
INSERT INTO small VALUES (1, 1), (2, 2);
CREATE VIEW seen AS SELECT id FROM small;
";

fn source() -> (Scratch, Nightvault) {
    let source = Scratch::new("killed");
    source.run(SOURCE);
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    (source, nightvault)
}

/// Sessions of the restore, or those of them that wait for a lock on a table in a statement that begins so.
fn sessions(target: &Scratch, waiting: Option<&str>) -> usize {
    let waits = waiting.map_or(String::new(), |begins| {
        format!(" AND STATE = 'Waiting for table metadata lock' AND INFO LIKE '{begins}%'")
    });
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'nightvault' AND DB = '{}'{waits}",
        target.name()
    );
    run_as_root(&sql).trim().parse().unwrap()
}

fn begun(nightvault: &Nightvault, target: &Scratch, more: &[&str]) -> Running {
    Running::start(nightvault.command(&restore(&url(target), more)))
}

/// Kills it where it waits, and opens the gate when all its sessions are gone: this server hears of it while it waits.
fn kill(running: Running, target: &Scratch, gate: Gate) {
    running.kill();
    eventually("all sessions are gone", || sessions(target, None) == 0);
    drop(gate);
}

fn until_waiting(running: &mut Running, target: &Scratch, many: usize, begins: &str) {
    running.until(begins, || sessions(target, Some(begins)) == many);
}

/// The next try is refused, says what is there, and changes nothing.
fn assert_refused(nightvault: &Nightvault, target: &Scratch, told: &str) {
    let before = (target.oracle(), target.digests());
    let said = nightvault.fails(2, &restore(&url(target), &["--jobs", "2"]));
    for wanted in ["the database is not empty", "a restore of this backup that did not come to its end", told] {
        assert!(said.stderr.contains(wanted), "{wanted}: {said:?}");
    }
    assert_eq!((target.oracle(), target.digests()), before);
}

#[test]
fn killed_while_tables_are_made_it_leaves_empty_tables() {
    let (_source, nightvault) = source();
    let target = Scratch::new("tables");
    let gate = Gate::mariadb(target.name(), "BACKUP LOCK small");
    let mut running = begun(&nightvault, &target, &["--jobs", "2"]);
    until_waiting(&mut running, &target, 1, "CREATE TABLE `small`");
    kill(running, &target, gate);
    assert_refused(&nightvault, &target, "of 4 tables 0 have all their rows, 3 have none, 1 are not there");
}

#[test]
fn killed_while_rows_are_loaded_it_leaves_some_of_them() {
    let (source, nightvault) = source();
    let target = Scratch::new("rows");
    let gate = Gate::mariadb(target.name(), "BACKUP LOCK small");
    let mut running = begun(&nightvault, &target, &["--jobs", "2"]);
    until_waiting(&mut running, &target, 1, "CREATE TABLE `small`");
    let first = Gate::mariadb(target.name(), "LOCK TABLES first WRITE");
    drop(gate);
    until_waiting(&mut running, &target, 1, "INSERT INTO `first`");
    // The other connection goes on, with all that it is.
    running.until("the other tables are loaded", || target.run("SELECT COUNT(*) FROM small").trim() == "2");
    kill(running, &target, first);
    assert_refused(&nightvault, &target, "of 4 tables 3 have all their rows, 1 have none, 0 are not there");

    let fresh = Scratch::new("fresh");
    nightvault.ok(&restore(&url(&fresh), &["--jobs", "2"]));
    assert_same(&source, &fresh);
}

#[test]
fn killed_while_keys_are_built_it_leaves_a_table_without_them() {
    let (_source, nightvault) = source();
    let target = Scratch::new("keys");
    let gate = Gate::mariadb(target.name(), "BACKUP LOCK small");
    let mut running = begun(&nightvault, &target, &["--jobs", "2"]);
    until_waiting(&mut running, &target, 1, "CREATE TABLE `small`");
    let largest = Gate::mariadb(target.name(), "LOCK TABLES first WRITE, second WRITE");
    drop(gate);
    // Both connections wait for the largest tables: the keys of the third are off by now, and it is empty.
    until_waiting(&mut running, &target, 2, "INSERT INTO ");
    let writing = Gate::mariadb(target.name(), "BEGIN; INSERT INTO keyed (id) VALUES (-1)");
    drop(largest);
    until_waiting(&mut running, &target, 1, "ALTER TABLE `keyed` ADD KEY");
    kill(running, &target, writing);
    let keys = "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND INDEX_NAME = 'keyed_place'";
    assert_eq!(target.run(keys).trim(), "0");
    assert_eq!(target.run("SELECT COUNT(*) FROM keyed").trim(), "5000");
    assert_refused(&nightvault, &target, "keys, and what is no table, may lack");
}

#[test]
fn killed_before_the_views_it_leaves_tables_that_are_whole_and_a_database_that_is_not() {
    let (_source, nightvault) = source();
    let target = Scratch::new("views");
    let gate = Gate::mariadb(target.name(), "BACKUP LOCK seen");
    let mut running = begun(&nightvault, &target, &["--jobs", "2"]);
    until_waiting(&mut running, &target, 1, "CREATE ");
    kill(running, &target, gate);
    assert_refused(&nightvault, &target, "of 4 tables 4 have all their rows, 0 have none, 0 are not there");
}

#[test]
fn a_table_alone_is_left_under_its_hidden_name_and_the_next_try_names_it() {
    let (source, nightvault) = source();
    let target = Scratch::new("alone");
    let gate = Gate::mariadb(target.name(), "BACKUP LOCK keyed");
    let one = ["--table", "keyed", "--jobs", "2"];
    let mut running = begun(&nightvault, &target, &one);
    until_waiting(&mut running, &target, 1, "RENAME TABLE ");
    kill(running, &target, gate);
    assert_eq!(target.run("SHOW TABLES").trim(), "nightvault_restores_keyed");

    let said = nightvault.fails(2, &restore(&url(&target), &one));
    assert!(said.stderr.contains("DROP TABLE `nightvault_restores_keyed`"), "{said:?}");
    target.run("DROP TABLE nightvault_restores_keyed");
    nightvault.ok(&restore(&url(&target), &one));
    let digest = |database: &Scratch| {
        let digests = database.digests();
        digests.lines().find(|line| line.starts_with("\"keyed\"")).map(str::to_owned).expect("the table is there")
    };
    assert_eq!(digest(&source), digest(&target));
}
