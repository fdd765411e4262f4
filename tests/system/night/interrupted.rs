//! A run that is stopped at the worst moments leaves nothing that `list` shows, and the next one works.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{postgres_url, use_bucket};
use crate::support::nightvault::Nightvault;
use crate::support::{postgres, program, s3};

/// A database of some 60 MB that does not compress.
fn large() -> postgres::Scratch {
    let database = postgres::Scratch::new();
    database.psql(
        "CREATE TABLE reading AS SELECT n, (SELECT string_agg(md5(n::text || g::text), '') FROM generate_series(1, 60) g)
         AS noise FROM generate_series(1, 30000) n",
    );
    database
}

fn start(nightvault: &Nightvault) -> Child {
    let mut command = nightvault.command(&["run"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits until `reached`, or until the run is over, which would be too early.
fn wait_until(run: &mut Child, what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(run.try_wait().unwrap().is_none(), "the run ended before {what}");
        assert!(begun.elapsed() < Duration::from_secs(120), "two minutes passed before {what}");
        std::thread::yield_now();
    }
}

fn signal(run: &Child, signal: &str) {
    program::stdout(Command::new("kill").args([signal, &run.id().to_string()]));
}

/// Files below a folder that are not empty.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.metadata().is_ok_and(|file| file.len() > 0))
        .collect()
}

#[test]
fn killed_while_it_waits_for_a_lock_it_leaves_nothing() {
    let database = large();
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set("DATABASE_URL", &postgres_url(&database));
    let mut locker = postgres::client("psql", &database.name);
    let mut locker = locker
        .args(["-X", "-q", "-c", "BEGIN", "-c", "LOCK TABLE reading", "-c", "SELECT pg_sleep(600)"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let locked = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'reading' AND \
                  l.mode = 'AccessExclusiveLock' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE \
                  datname = current_database())";
    wait_until(&mut locker, "the table was locked", || database.psql(locked).trim() == "1");

    let mut run = start(&nightvault);
    let waiting =
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    wait_until(&mut run, "the dump waited for the lock", || database.psql(waiting).trim() == "t");
    signal(&run, "-KILL");
    assert_eq!(run.wait().unwrap().signal(), Some(9));
    locker.kill().unwrap();
    locker.wait().unwrap();
    database.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");

    assert_eq!(files(&nightvault.vault()), Vec::<PathBuf>::new());
    nightvault.ok(&["run"]);
    assert_eq!(nightvault.listed().len(), 1);
}

#[test]
fn killed_in_the_middle_of_writing_it_leaves_nothing_that_is_listed() {
    let database = large();
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set("DATABASE_URL", &postgres_url(&database));
    let vault = nightvault.vault();
    for megabytes in [0, 8, 24] {
        let mut run = start(&nightvault);
        let written = || files(&vault).iter().any(|file| file.metadata().is_ok_and(|f| f.len() > megabytes << 20));
        wait_until(&mut run, "enough was written", written);
        signal(&run, "-KILL");
        assert_eq!(run.wait().unwrap().signal(), Some(9));
        assert_eq!(nightvault.listed(), Vec::<String>::new(), "after {megabytes} MiB");
        // What the killed run left is not a backup; it goes here so that the next round sees its own.
        std::fs::remove_dir_all(&vault).unwrap();
        std::fs::create_dir(&vault).unwrap();
    }
    nightvault.ok(&["run"]);
    assert_eq!(nightvault.listed().len(), 1);
}

#[tokio::test]
async fn killed_in_the_middle_of_an_upload_the_bucket_shows_nothing() {
    let database = large();
    let bucket = s3::bucket().await;
    let mut nightvault = Nightvault::local("clinic");
    use_bucket(&mut nightvault, &bucket);
    nightvault.set("BACKUP_DISK", "s3").set("BACKUP_PART_SIZE_MB", "5").set("DATABASE_URL", &postgres_url(&database));
    let mut run = start(&nightvault);
    let begun = Instant::now();
    while bucket.uploads().await == 0 {
        assert!(run.try_wait().unwrap().is_none(), "the run ended before its upload began");
        assert!(begun.elapsed() < Duration::from_secs(120), "two minutes passed before the upload began");
        tokio::task::yield_now().await;
    }
    signal(&run, "-KILL");
    assert_eq!(run.wait().unwrap().signal(), Some(9));
    assert_eq!(nightvault.listed(), Vec::<String>::new());
    nightvault.ok(&["run"]);
    assert_eq!(nightvault.listed().len(), 1);
    bucket.remove().await;
}

#[test]
fn interrupted_by_a_person_it_undoes_what_it_began_and_says_so() {
    let database = large();
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set("DATABASE_URL", &postgres_url(&database));
    let vault = nightvault.vault();
    let mut command = nightvault.command(&["run"]);
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(&mut run, "something was written", || !files(&vault).is_empty());
    signal(&run, "-INT");
    let said = crate::support::nightvault::said(run.wait_with_output().unwrap());
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("interrupted"), "{said:?}");
    // That it was begun and did not succeed is recorded.
    assert_eq!(files(&vault), [vault.join("clinic/audit/00000001.json")]);
}
