//! Nights that go wrong: each says so, says what to do, and leaves nothing that looks like a backup.

use std::path::Path;
use std::process::Command;

use jiff::{Timestamp, ToSpan, Unit};

use crate::night::postgres_url;
use crate::support::aws::Hook;
use crate::support::nightvault::{Nightvault, PASSWORD, said};
use crate::support::{mariadb, postgres, program};

fn sqlite(folder: &Path, rows: u32) -> String {
    let path = folder.join("registry.sqlite");
    let sql = format!(
        "CREATE TABLE patient (id INTEGER PRIMARY KEY, noise BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO patient SELECT i, randomblob(1000) FROM n;"
    );
    program::stdout(Command::new("sqlite3").arg(&path).arg(sql));
    format!("sqlite://{}", path.display())
}

fn assert_nothing_is_stored(nightvault: &Nightvault) {
    let stored: Vec<_> = std::fs::read_dir(nightvault.vault().join("clinic"))
        .map(|entries| entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("audit")).collect())
        .unwrap_or_default();
    assert_eq!(stored, Vec::<std::path::PathBuf>::new());
}

#[test]
fn every_wrong_variable_is_named_at_once_and_nothing_is_touched() {
    let mut nightvault = Nightvault::local("clinic");
    nightvault
        .set("BACKUP_ARCHIVE_PASSWORD", "short-secret")
        .set("BACKUP_KEEP_ALL_DAYS", "a week")
        .set("BACKUP_TIMEZONE", "Mars/Olympus")
        .set("DATABASE_URL", "oracle://host/db");
    for command in ["config", "run"] {
        let said = nightvault.fails(2, &[command]);
        for variable in ["BACKUP_ARCHIVE_PASSWORD", "BACKUP_KEEP_ALL_DAYS", "BACKUP_TIMEZONE", "DATABASE_URL"] {
            assert!(said.all().contains(variable), "{variable}: {said:?}");
        }
        assert!(!said.all().contains("short-secret"), "{said:?}");
    }
    assert!(!nightvault.vault().exists());
}

#[test]
fn without_a_password_there_is_no_archive_at_all() {
    let mut nightvault = Nightvault::local("clinic");
    let url = sqlite(nightvault.folder(), 3);
    nightvault.set("DATABASE_URL", &url).unset("BACKUP_ARCHIVE_PASSWORD");
    let said = nightvault.fails(2, &["run"]);
    assert!(said.stderr.contains("BACKUP_ARCHIVE_PASSWORD"), "{said:?}");
    assert!(!nightvault.vault().exists());
}

#[test]
fn secrets_are_never_printed_however_much_is_said() {
    let mut nightvault = Nightvault::local("clinic");
    let database = postgres::Scratch::of("clinic.sql");
    let url = postgres_url(&database).replace("postgres@", "postgres:CanaryPassword@");
    nightvault.set("DATABASE_URL", &url);
    for arguments in [&["config"][..], &["-vvv", "run"], &["--json", "list"], &["-vvv", "monitor"]] {
        let said = nightvault.run(arguments);
        assert_eq!(said.code, 0, "{said:?}");
        assert!(!said.all().contains(PASSWORD) && !said.all().contains("CanaryPassword"), "{arguments:?}: {said:?}");
    }
}

#[test]
fn a_dead_database_fails_the_run_before_a_byte_is_written_and_every_bad_source_is_named() {
    let mut nightvault = Nightvault::local("clinic");
    let good = sqlite(nightvault.folder(), 3);
    // Port 1 of loopback: nobody listens there.
    let dead = "postgres://u:p@127.0.0.1:1/dead_pg,mysql://u:p@127.0.0.1:1/dead_mysql";
    nightvault.set("DATABASE_URL", &format!("{good},{dead}"));
    let said = nightvault.fails(1, &["run"]);
    assert!(said.stderr.contains("dead_pg") && said.stderr.contains("dead_mysql"), "{said:?}");
    assert_nothing_is_stored(&nightvault);
}

#[test]
fn what_cannot_be_dumped_faithfully_is_refused_by_name() {
    let pg = postgres::Scratch::of("clinic.sql");
    pg.psql("CREATE CONVERSION odd_conversion FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1");
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set("DATABASE_URL", &postgres_url(&pg));
    let said = nightvault.fails(4, &["run"]);
    assert!(said.stderr.contains("odd_conversion"), "{said:?}");
    assert_nothing_is_stored(&nightvault);

    let maria = mariadb::Scratch::new("unsupported");
    maria.run("CREATE TABLE odd_engine (id INT) ENGINE=MyISAM");
    nightvault.unset("DATABASE_URL").set_source(&maria);
    let said = nightvault.fails(4, &["run"]);
    assert!(said.stderr.contains("odd_engine"), "{said:?}");
    assert_nothing_is_stored(&nightvault);
}

#[test]
fn a_disk_that_fails_is_named_and_the_other_gets_the_whole_backup() {
    let mut nightvault = Nightvault::local("clinic");
    let url = sqlite(nightvault.folder(), 300);
    // A file stands where the second disk wants a folder.
    let blocked = nightvault.folder().join("blocked");
    std::fs::write(&blocked, "a file").unwrap();
    nightvault
        .set("DATABASE_URL", &url)
        .set("BACKUP_DISK", "broken,local")
        .set("BACKUP_DISK_BROKEN_URL", &format!("file://{}", blocked.display()));
    let failed = nightvault.fails(2, &["--json", "run"]).json();
    assert!(failed["message"].as_str().unwrap().contains("disk broken"), "{failed}");
    let disks = failed["report"]["disks"].as_array().unwrap();
    let local = disks.iter().find(|disk| disk["disk"] == "local").unwrap();
    assert_eq!(local["verified"], "full");
    assert_eq!(local["error"], serde_json::Value::Null);
    let broken = disks.iter().find(|disk| disk["disk"] == "broken").unwrap();
    assert!(broken["error"].is_string());

    nightvault.set("BACKUP_DISK", "local");
    assert_eq!(nightvault.listed().len(), 1);
}

#[test]
fn a_full_disk_fails_the_run_and_keeps_nothing_of_it() {
    let mut nightvault = Nightvault::local("clinic");
    let url = sqlite(nightvault.folder(), 4000);
    nightvault.set("DATABASE_URL", &url);
    std::fs::create_dir(nightvault.vault()).unwrap();
    // A file system of 2 MiB in a mount namespace of its own, which goes with the process.
    let script = "mount -t tmpfs -o size=2m none \"$BACKUP_LOCAL_PATH\" && \"$0\" run; code=$?; \
                  find \"$BACKUP_LOCAL_PATH\" -type f ! -path '*/audit/*' -printf 'left: %p\\n'; exit $code";
    let run = nightvault.command(&[]);
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "sh", "-c", script]).arg(run.get_program()).env_clear();
    shell.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = said(program::run(&mut shell));
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("No space left"), "{said:?}");
    assert!(!said.stdout.contains("left: "), "{said:?}");
}

#[test]
fn another_password_is_told_from_damage() {
    let mut nightvault = Nightvault::local("clinic");
    let url = sqlite(nightvault.folder(), 3);
    nightvault.set("DATABASE_URL", &url);
    let key = nightvault.ok(&["run"])["key"].as_str().unwrap().to_owned();

    nightvault.set("BACKUP_ARCHIVE_PASSWORD", "another-password-of-thirty-two-or-more");
    let monitor = nightvault.fails(1, &["--json", "monitor"]).json();
    assert!(monitor["disks"][0]["findings"].to_string().contains("password"), "{monitor}");
    let list = nightvault.ok(&["list"]);
    assert!(list["disks"][0]["backups"][0]["verified"].as_str().unwrap().contains("password"), "{list}");

    nightvault.set("BACKUP_ARCHIVE_PASSWORD", PASSWORD);
    let path = nightvault.archive(&key);
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len() - 40;
    bytes.truncate(end);
    std::fs::write(&path, bytes).unwrap();
    let monitor = nightvault.fails(1, &["--json", "monitor"]).json();
    let readable =
        monitor["disks"][0]["findings"].as_array().unwrap().iter().find(|f| f["check"] == "readable").unwrap();
    assert_eq!(readable["status"], "unhealthy");
    assert!(!readable["message"].as_str().unwrap().contains("wrong password"), "{readable}");
}

#[test]
fn a_name_that_is_not_configured_is_refused() {
    let mut nightvault = Nightvault::local("clinic");
    let url = sqlite(nightvault.folder(), 3);
    nightvault.set("DATABASE_URL", &url);
    let said = nightvault.fails(2, &["run", "--database", "registery"]);
    assert!(said.stderr.contains("registery") && said.stderr.contains("registry"), "{said:?}");
    nightvault.fails(2, &["cleanup", "--disk", "s4"]);
    nightvault.fails(2, &["run", "--scheduled-time", "2999-01-01T00:00:00Z"]);
    assert_nothing_is_stored(&nightvault);
}

#[test]
fn a_vault_inside_the_files_is_not_backed_up_into_itself() {
    let mut nightvault = Nightvault::local("clinic");
    let root = nightvault.folder().display().to_string();
    nightvault.set("BACKUP_FILES", &format!("all={root}"));
    let said = nightvault.fails(2, &["run"]);
    assert!(said.stderr.contains("backed up into itself"), "{said:?}");
    assert_nothing_is_stored(&nightvault);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_database_is_a_good_backup_and_told_to_those_who_hear_of_bad_health() {
    let hook = Hook::start([]).await;
    let mut nightvault = Nightvault::local("clinic");
    let url = sqlite(nightvault.folder(), 300);
    nightvault.set("DATABASE_URL", &url).set("SLACK_WEBHOOK_URL", &hook.url);
    #[allow(clippy::disallowed_methods, reason = "backups are judged by the wall clock")]
    let now = Timestamp::now().round(Unit::Second).unwrap();
    let run = |hours: i64| {
        let time = (now - hours.hours()).to_string();
        assert_eq!(nightvault.ok(&["run", "--scheduled-time", &time])["status"], "stored");
    };
    for hours in [5, 4, 3, 2] {
        run(hours);
    }
    assert_eq!(nightvault.ok(&["monitor"])["healthy"], true);
    assert!(hook.payloads().is_empty(), "good news is told to nobody here");

    let path = nightvault.folder().join("registry.sqlite");
    program::stdout(Command::new("sqlite3").arg(path).arg("DELETE FROM patient; VACUUM"));
    run(1);
    let report = nightvault.ok(&["monitor"]);
    let warning = |check: &str| {
        let findings = report["disks"][0]["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["check"] == check).unwrap();
        assert_eq!(finding["status"], "warning", "{finding}");
        finding["message"].as_str().unwrap().to_owned()
    };
    assert!(warning("complete").contains("registry has 0 rows, 300 before"), "{report}");
    assert!(warning("size").contains("less than half"), "{report}");
    assert_eq!(hook.payloads().len(), 1);
    assert!(hook.payloads()[0].to_string().contains("registry has 0 rows, 300 before"), "{:?}", hook.payloads());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_empty_from_the_first_night_is_told_by_name_until_it_is_said_that_it_may_be() {
    let hook = Hook::start([]).await;
    let mut nightvault = Nightvault::local("clinic");
    let void = postgres::Scratch::new();
    let url = format!("{},{}", sqlite(nightvault.folder(), 1), postgres_url(&void));
    let path = nightvault.folder().join("registry.sqlite");
    program::stdout(Command::new("sqlite3").arg(path).arg("DELETE FROM patient; VACUUM"));
    nightvault.set("DATABASE_URL", &url).set("SLACK_WEBHOOK_URL", &hook.url);
    assert_eq!(nightvault.ok(&["run"])["status"], "stored");

    let complete = |nightvault: &Nightvault| {
        let report = nightvault.ok(&["monitor"]);
        let findings = report["disks"][0]["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["check"] == "complete").unwrap();
        (finding["status"].as_str().unwrap().to_owned(), finding["message"].as_str().unwrap().to_owned())
    };
    let (status, told) = complete(&nightvault);
    let names = ["registry (1 table)".to_owned(), format!("{} (it has no table either)", void.name)];
    assert!(status == "warning" && names.iter().all(|name| told.contains(name.as_str())), "{told}");
    assert_eq!(hook.payloads().len(), 1);
    assert!(hook.payloads()[0].to_string().contains("registry (1 table)"), "{:?}", hook.payloads());

    nightvault.set("BACKUP_EMPTY_DATABASES", &format!("registry, {}", void.name));
    assert_eq!(complete(&nightvault).0, "ok");
    assert_eq!(hook.payloads().len(), 1, "what was accepted is no news");
}
