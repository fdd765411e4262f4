//! The runbook's own commands bring everything back: each marked block of `shared/doc/disaster-recovery.md` is run word for
//! word against real servers, with nothing of Nightvault but the backup that it made before, and other programs judge.

mod desk;
mod document;
mod messages;
mod tables;
mod tenants;
mod vault;

use std::path::Path;
use std::process::Command;

use crate::night::{documents, mariadb_url, postgres_url, sqlite_clinic};
use crate::support::nightvault::Nightvault;
use crate::support::{mariadb, postgres, program, s3};
use desk::{Desk, back_up, new_mariadb, new_postgres};

fn sqlite_dump(path: &Path) -> String {
    program::stdout(Command::new("sqlite3").arg(path).args([".dump", "PRAGMA user_version"]))
}

#[tokio::test]
async fn a_lost_postgres_database_comes_back_whole_and_takes_the_old_ones_place() {
    let bucket = s3::bucket().await;
    let live = postgres::Scratch::of("clinic.sql");
    let mut nightvault = Nightvault::local("clinic");
    let key = back_up(&mut nightvault, &bucket, &postgres_url(&live), None);
    let mut desk = Desk::at(&bucket);
    let target = new_postgres();
    desk.set("DATABASE", &live.name).set("TARGET", &target.name).set("LIVE", &live.name);
    assert!(desk.run("list").contains(key.strip_prefix("clinic/").unwrap()));
    desk.set("KEY", &key).run("fetch");
    desk.run("extract-one");
    let facts = desk.run("facts");
    for fact in [&live.name, "PostgreSQL", "UTF8", "C.UTF-8", "postgres"] {
        assert!(facts.contains(fact), "{fact}: {facts}");
    }
    assert!(desk.run("check").is_empty());

    desk.run("postgres");
    live.assert_same_as(&target);
    let compared = desk.run("count-postgres");
    let tables = live.psql("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, 'billing'::regnamespace)");
    assert_eq!(compared, format!("tables compared: {}\n", tables.trim()));

    // What is missing is named.
    target.psql("DELETE FROM billing.invoices WHERE number = 1000");
    assert!(desk.run("count-postgres").starts_with("billing.invoices|99|100\n"));
    // A second time, the target is not empty: nothing is done over it.
    let before = target.pg_dump_rows();
    assert!(desk.fails("postgres").contains("already exists"));
    postgres::assert_same("rows", &before, &target.pg_dump_rows());
    let theirs = postgres::Scratch::new();
    assert!(desk.set("TARGET", &theirs.name).fails("postgres").contains("already exists"));
    assert_eq!(theirs.psql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace").trim(), "0");
    desk.set("TARGET", &target.name);

    let broken = postgres::Scratch { name: format!("{}_broken", live.name) };
    desk.run("swap-postgres");
    assert_eq!(live.psql("SELECT count(*) FROM billing.invoices").trim(), "99");
    assert_eq!(broken.psql("SELECT count(*) FROM billing.invoices").trim(), "100");
    bucket.remove().await;
}

#[tokio::test]
async fn a_postgres_dump_with_an_error_in_it_leaves_an_empty_database() {
    let bucket = s3::bucket().await;
    let live = postgres::Scratch::of("clinic.sql");
    let mut nightvault = Nightvault::local("clinic");
    let key = back_up(&mut nightvault, &bucket, &postgres_url(&live), None);
    let mut desk = Desk::at(&bucket);
    let target = new_postgres();
    desk.set("DATABASE", &live.name).set("TARGET", &target.name).open(&key);
    let dump = desk.path(&format!("restore/db-dumps/{}.sql", live.name));
    let text = std::fs::read_to_string(&dump).unwrap();
    std::fs::write(&dump, format!("{text}\nSELECT no_such_function();\n")).unwrap();
    assert!(desk.fails("postgres").contains("no_such_function"));
    assert_eq!(target.psql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace").trim(), "0");
    // And the fingerprints tell that the file is not the one that went in.
    assert!(desk.fails("check").contains("FAILED"));
    bucket.remove().await;
}

#[tokio::test]
async fn a_lost_mariadb_database_comes_back_whole() {
    let bucket = s3::bucket().await;
    let live = mariadb::Scratch::seeded("runbook", "clinic.sql");
    let mut nightvault = Nightvault::local("clinic");
    let key = back_up(&mut nightvault, &bucket, &mariadb_url(&live), None);
    let mut desk = Desk::at(&bucket);
    let target = new_mariadb("runbook_target");
    desk.set("DATABASE", live.name()).set("TARGET", target.name()).open(&key);

    desk.run("mysql");
    assert_eq!(live.oracle(), target.oracle());
    assert_eq!(live.digests(), target.digests());
    let compared = desk.run("count-mysql");
    assert_eq!(compared, format!("tables compared: {}\n", live.digests().lines().count()));
    target.run("DELETE FROM audit");
    assert!(desk.run("count-mysql").starts_with("audit\t0\t50\n"));

    // What is there already is not restored over, not even where nothing would stand in the way.
    let theirs = mariadb::Scratch::with_options("runbook_theirs", "CHARACTER SET latin1");
    let before = theirs.oracle();
    assert!(desk.set("TARGET", theirs.name()).fails("mysql").contains("database exists"));
    assert_eq!(theirs.oracle(), before);

    // The tables change places, with the triggers of the restored ones; what was there is kept.
    live.run("DELETE FROM appointments; CREATE TABLE late (a INT); CREATE TRIGGER theirs BEFORE INSERT ON audit FOR EACH ROW SET @x = 1");
    target.run("CREATE TRIGGER `ou``rs` BEFORE INSERT ON audit FOR EACH ROW SET @x = 2");
    let restored = target.digests();
    let broken = mariadb::Scratch::with_options("runbook_broken", "");
    desk.set("TARGET", target.name()).set("LIVE", live.name()).run("swap-mysql");
    assert_eq!(live.digests(), restored);
    assert_eq!(
        target.run(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE <> 'VIEW'"
        ),
        "0\n"
    );
    let triggers = "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()";
    assert!(live.run(triggers).contains("ou`rs") && !live.run(triggers).contains("theirs"));
    let kept = format!("{}_broken", live.name());
    assert_eq!(broken.run(&format!("SELECT COUNT(*) FROM `{kept}`.appointments")), "0\n");
    assert_eq!(broken.run(&format!("SHOW TABLES FROM `{kept}` LIKE 'late'")), "late\n");
    broken.run(&format!("DROP DATABASE `{kept}`"));
    bucket.remove().await;
}

#[tokio::test]
async fn a_lost_sqlite_database_and_lost_files_come_back_and_a_stale_journal_is_not_played_in() {
    let bucket = s3::bucket().await;
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    let files = documents(nightvault.folder());
    let key = back_up(&mut nightvault, &bucket, &format!("sqlite://{sqlite}"), Some(&files));
    let mut desk = Desk::at(&bucket);
    desk.open(&key);
    assert!(desk.run("check").is_empty());

    let before = sqlite_dump(Path::new(&sqlite));
    std::fs::write(&sqlite, "damaged").unwrap();
    std::fs::write(format!("{sqlite}-wal"), "stale").unwrap();
    desk.set("DATABASE", "registry").set("LIVE", &sqlite);
    assert_eq!(desk.run("sqlite"), "ok\n");
    assert_eq!(sqlite_dump(Path::new(&sqlite)), before);
    assert_eq!(std::fs::read(format!("{sqlite}.broken")).unwrap(), b"damaged");
    assert_eq!(std::fs::read(format!("{sqlite}-wal.broken")).unwrap(), b"stale");

    let folder = desk.path("again");
    desk.set("SET", "uploads").set("FOLDER", &folder.display().to_string()).run("files");
    assert_eq!(std::fs::read(folder.join("x-rays/2024/röntgen 1.txt")).unwrap(), b"no fracture");
    assert_eq!(std::fs::read_link(folder.join("link")).unwrap(), Path::new("empty"));
    let uploads = nightvault.folder().join("uploads");
    program::stdout(Command::new("diff").args(["-r", "--no-dereference"]).arg(&uploads).arg(&folder));

    let one = desk.path("one");
    desk.set("FOLDER", &one.display().to_string()).set("FILE_IN_SET", "x-rays/2024/röntgen 1.txt").run("one-file");
    assert_eq!(std::fs::read(one.join("x-rays/2024/röntgen 1.txt")).unwrap(), b"no fracture");
    assert!(!one.join("empty").exists());
    desk.set("FOLDER", &desk.path("part").display().to_string()).set("FILE_IN_SET", "x-rays").run("one-file");
    assert!(desk.path("part/x-rays/2024/röntgen 1.txt").exists());

    // A wrong password opens nothing.
    desk.set("PASSWORD", "not this one");
    assert!(desk.fails("test").contains("Wrong password"));
    bucket.remove().await;
}
