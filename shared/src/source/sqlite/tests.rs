//! What needs a look inside: limits, cancel, scratch files. Whole dumps are in the system tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::copy::{Limits, check_space, run};
use super::scratch::Scratch;
use super::{Cancel, take};
use crate::{Class, Error};

/// Limits under which nothing waits.
fn impatient() -> Limits {
    Limits { wait: |_| false, busy_tries: 2, restarts: 3, slice_bytes: 4096, largest_slice_bytes: 4 * 4096 }
}

fn a_database(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE visits (id INTEGER PRIMARY KEY, note TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
             INSERT INTO visits SELECT i, printf('note %d %040d', i, i) FROM n;",
        )
        .unwrap();
    connection
}

fn entries(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

fn taken(source: &Path, scratch: &Path, cancel: &Cancel) -> Error {
    take(source, scratch, &impatient(), cancel).map(|(_, findings)| findings.tables).unwrap_err()
}

#[test]
fn a_snapshot_is_private_and_gone_when_it_is_dropped() {
    let (home, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    a_database(&home.path().join("clinic.sqlite"));
    let limits = impatient();
    let (snapshot, findings) =
        take(&home.path().join("clinic.sqlite"), scratch.path(), &limits, &Cancel::default()).unwrap();
    assert_eq!(findings.tables, [("visits".to_owned(), 5000)]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(snapshot.file()), 0o600);
    assert_eq!(mode(snapshot.file().parent().unwrap()), 0o700);
    assert_eq!(entries(scratch.path()), 1);
    drop(snapshot);
    assert_eq!(entries(scratch.path()), 0);
}

#[test]
fn a_failed_snapshot_leaves_nothing_behind() {
    let (home, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = home.path().join("clinic.sqlite");
    drop(a_database(&path));
    let mut bytes = fs::read(&path).unwrap();
    bytes[2 * 4096..2 * 4096 + 64].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let error = taken(&path, scratch.path(), &Cancel::default());
    assert_eq!(error.class(), Class::Corrupt, "{error:?}");
    assert!(error.to_string().contains("clinic.sqlite"), "{error}");
    assert_eq!(entries(scratch.path()), 0);
}

#[test]
fn a_cancelled_snapshot_stops_and_leaves_nothing_behind() {
    let (home, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = home.path().join("clinic.sqlite");
    a_database(&path);
    let cancel = Cancel::default();
    cancel.cancel();
    assert_eq!(taken(&path, scratch.path(), &cancel).class(), Class::Deadline);
    assert_eq!(entries(scratch.path()), 0);
}

#[test]
fn a_database_that_stays_locked_is_told_as_such() {
    let (home, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = home.path().join("clinic.sqlite");
    let writer = a_database(&path);
    writer.execute_batch("BEGIN EXCLUSIVE; DELETE FROM visits").unwrap();
    let error = taken(&path, scratch.path(), &Cancel::default());
    assert_eq!(error.class(), Class::Transient, "{error:?}");
    assert!(error.to_string().contains("clinic.sqlite") && error.hint_text().unwrap().contains("lock"), "{error:?}");
}

/// Copies `path` with a write before every step for which `writes` says so.
fn copy_with_writes(path: &Path, target: &Path, writes: impl Fn(u32) -> bool) -> crate::Result<u32> {
    let (writer, source) = (a_database(path), Connection::open(path).unwrap());
    let mut target = Connection::open(target).unwrap();
    let backup = Backup::new(&source, &mut target).unwrap();
    let mut steps = 0;
    run(4096, &impatient(), &Cancel::default(), path, |pages| {
        steps += 1;
        if writes(steps) {
            writer.execute("UPDATE visits SET note = note || 'x' WHERE id = 1", []).unwrap();
        }
        let result = backup.step(pages)?;
        Ok((result, backup.progress().pagecount - backup.progress().remaining))
    })
}

#[test]
fn a_copy_starts_anew_after_a_write_and_holds_it() {
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("copy.sqlite");
    let restarts = copy_with_writes(&home.path().join("a.sqlite"), &target, |step| step == 5 || step == 9).unwrap();
    assert_eq!(restarts, 2);
    let note: String =
        Connection::open(&target).unwrap().query_row("SELECT note FROM visits WHERE id = 1", [], |r| r.get(0)).unwrap();
    assert!(note.ends_with("xx"), "{note}");
}

#[test]
fn a_copy_that_never_ends_is_given_up_loudly() {
    let home = tempfile::tempdir().unwrap();
    let error =
        copy_with_writes(&home.path().join("busy.sqlite"), &home.path().join("copy.sqlite"), |_| true).unwrap_err();
    assert_eq!(error.class(), Class::Inconsistent, "{error:?}");
    assert!(error.to_string().contains("busy.sqlite") && error.hint_text().unwrap().contains("WAL"), "{error:?}");
}

#[test]
fn a_lock_between_two_slices_is_waited_for_only_so_often() {
    let error = run(4096, &impatient(), &Cancel::default(), Path::new("/a.sqlite"), |_| Ok((StepResult::Busy, 0)));
    assert_eq!(error.unwrap_err().class(), Class::Transient);
}

#[test]
fn a_snapshot_for_which_there_is_no_room_is_refused_before_it_starts() {
    let parent = tempfile::tempdir().unwrap();
    let free = Scratch::create(parent.path()).unwrap().free_bytes().unwrap();
    assert!(free > 0);
    check_space(0, free, Path::new("/a.sqlite")).unwrap();
    let error = check_space(free, free, Path::new("/a.sqlite")).unwrap_err();
    assert_eq!(error.class(), Class::Limit);
    assert!(error.to_string().contains("/a.sqlite") && error.hint_text().unwrap().contains("TMPDIR"), "{error:?}");
}

#[test]
fn the_next_scratch_directory_wipes_those_of_killed_runs_and_no_other() {
    let parent = tempfile::tempdir().unwrap();
    let in_use = Scratch::create(parent.path()).unwrap();
    let of_a_killed_run = parent.path().join("nightvault-scratch-00112233445566778899aabbccddeeff");
    fs::create_dir(&of_a_killed_run).unwrap();
    fs::write(of_a_killed_run.join("lock"), "").unwrap();
    fs::write(of_a_killed_run.join("snapshot.sqlite"), "patients").unwrap();
    let foreign = parent.path().join("nightvault-scratch-of-mine");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("lock"), "").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("lock"), "").unwrap();
    let link = parent.path().join("nightvault-scratch-ffeeddccbbaa99887766554433221100");
    std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();

    let second = Scratch::create(parent.path()).unwrap();
    assert!(!of_a_killed_run.exists());
    assert!(in_use.file().exists() && second.file().exists() && foreign.join("lock").exists());
    assert!(fs::symlink_metadata(&link).is_ok() && elsewhere.path().join("lock").exists());
}
