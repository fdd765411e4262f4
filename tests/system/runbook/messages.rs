//! The messages in the runbook's troubleshooting are those that the program says, with its exit code.

use std::fs;
use std::io::{Seek, SeekFrom, Write};

use super::desk::{back_up, runbook};
use crate::night::sqlite_clinic;
use crate::support::nightvault::{Nightvault, Said};
use crate::support::{given, postgres, s3};

/// Asserts that the program said `message`, and that the runbook has it.
fn explained(said: &Said, message: &str) {
    assert!(said.all().contains(message), "{message:?} was not said: {said:?}");
    assert!(runbook().contains(message), "the runbook does not explain {message:?}");
}

/// A run must fail with `message`; the runbook has it in a line with the same exit code and type.
fn run_is_explained(nightvault: &Nightvault, message: &str) {
    let said = nightvault.run(&["--json", "run"]);
    let report = said.json();
    let told = report["message"].as_str().unwrap();
    assert!(told.contains(message), "{message:?} was not said: {told}");
    let runbook = runbook();
    let line = runbook.lines().find(|line| line.contains(&format!("{message}`")));
    let line = line.unwrap_or_else(|| panic!("the runbook does not explain {message:?}"));
    let class = format!("| {} `{}` |", said.code, report["error_type"].as_str().unwrap());
    assert!(line.contains(&class), "{class} was said, not: {line}");
}

fn with_sqlite() -> Nightvault {
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    nightvault.set("DATABASE_URL", &format!("sqlite://{sqlite}"));
    nightvault
}

#[test]
fn a_wrong_configuration() {
    let mut nightvault = with_sqlite();
    nightvault.set("BACKUP_ARCHIVE_PASSWORD", "short");
    run_is_explained(&nightvault, "BACKUP_ARCHIVE_PASSWORD has 5 characters, fewer than 32");
    nightvault.unset("BACKUP_ARCHIVE_PASSWORD");
    run_is_explained(&nightvault, "BACKUP_ARCHIVE_PASSWORD is not set, and nothing is ever stored unencrypted");
    run_is_explained(&Nightvault::local("clinic"), "nothing to back up");
}

#[test]
fn a_database_that_cannot_be_reached() {
    let mut nightvault = Nightvault::local("clinic");
    let mut at = |url: &str, message: &str| run_is_explained(nightvault.set("DATABASE_URL", url), message);
    at(
        "postgres://u:p@127.0.0.1:1/x",
        "cannot connect to database x on 127.0.0.1:1: error communicating with database: Connection refused",
    );
    let postgres = format!("postgres://postgres@127.0.0.1:{}/nope", postgres::port());
    at(&postgres, "database \"nope\" does not exist (SQLSTATE 3D000)");
    let mysql = format!("mysql://nightvault:bad@127.0.0.1:{}/mysql", given("TEST_MARIADB_PORT"));
    at(&mysql, "Access denied for user 'nightvault'@'localhost' (using password: YES)");
    let missing = "cannot open the SQLite database \"/tmp/nope.sqlite\": No such file or directory";
    at("sqlite:///tmp/nope.sqlite", missing);
}

#[tokio::test]
async fn a_store_that_cannot_be_reached() {
    let bucket = s3::bucket().await;
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    back_up(&mut nightvault, &bucket, &format!("sqlite://{sqlite}"), None);
    nightvault.set("AWS_SECRET_ACCESS_KEY", "bad");
    run_is_explained(&nightvault, "HTTP 403, SignatureDoesNotMatch");
    nightvault.set("AWS_ENDPOINT", "http://127.0.0.1:1");
    run_is_explained(&nightvault, "client error (Connect): tcp connect error: Connection refused");
    bucket.remove().await;
}

#[test]
fn an_unhealthy_vault() {
    let mut nightvault = with_sqlite();
    explained(&nightvault.fails(1, &["monitor"]), "the disk could not be read");
    fs::create_dir(nightvault.vault()).unwrap();
    explained(&nightvault.fails(1, &["monitor"]), "there is no backup");

    let report = nightvault.ok(&["run"]);
    let archive = nightvault.archive(report["key"].as_str().unwrap());
    nightvault.set("BACKUP_ARCHIVE_PASSWORD", "another-password-that-nothing-refuses-0123");
    explained(&nightvault.fails(1, &["monitor"]), "does not open with today's password");
    nightvault.set("BACKUP_ARCHIVE_PASSWORD", crate::support::nightvault::PASSWORD);

    let whole = fs::read(&archive).unwrap();
    // In the contents of the manifest, which are the last before the central directory.
    let directory = u32::from_le_bytes(whole[whole.len() - 6..whole.len() - 2].try_into().unwrap());
    let mut file = fs::OpenOptions::new().write(true).open(&archive).unwrap();
    let place = directory as usize - 100;
    file.seek(SeekFrom::Start(place as u64)).unwrap();
    file.write_all(&[whole[place] ^ 1]).unwrap();
    explained(&nightvault.fails(1, &["monitor"]), "manifest.json is damaged");
    file.set_len(whole.len() as u64 / 2).unwrap();
    explained(&nightvault.fails(1, &["monitor"]), "the end is not that of a whole archive");
}

#[test]
fn a_cleanup_that_waits_for_backups() {
    let nightvault = with_sqlite();
    for hour in ["01", "02", "03"] {
        nightvault.ok(&["run", "--scheduled-time", &format!("2024-01-15T{hour}:00:00Z")]);
    }
    explained(&nightvault.fails(1, &["cleanup"]), "nothing is deleted while backups are failing");
}
