//! Getting at the archive and at the password when the straight way is barred.

use std::process::Command;

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};

use super::desk::{Desk, back_up, runbook};
use crate::night::{documents, sqlite_clinic};
use crate::support::nightvault::{Nightvault, PASSWORD};
use crate::support::{given, program, s3};

#[tokio::test]
async fn a_deleted_backup_is_found_and_fetched_by_its_version() {
    let bucket = s3::aws_bucket().await;
    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    bucket
        .client
        .put_bucket_versioning()
        .bucket(&bucket.name)
        .versioning_configuration(versioning)
        .send()
        .await
        .unwrap();
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    let key = back_up(&mut nightvault, &bucket, &format!("sqlite://{sqlite}"), None);
    bucket.client.delete_object().bucket(&bucket.name).key(&key).send().await.unwrap();

    let mut desk = Desk::at(&bucket);
    desk.set("KEY", &key);
    let missing = "An error occurred (404) when calling the HeadObject operation";
    assert!(desk.fails("fetch").contains(missing) && runbook().contains(missing));
    let deleted = desk.run("list-deleted");
    assert!(deleted.starts_with(&key), "{deleted}");
    let versions = desk.run("list-versions");
    let version = versions.split_whitespace().next().unwrap();
    desk.set("VERSION", version).run("fetch-version");
    assert!(desk.run("test").contains("Everything is Ok"));
}

#[tokio::test]
async fn the_password_is_read_from_its_secret_also_after_it_was_changed() {
    let bucket = s3::bucket().await;
    let mut desk = Desk::at(&bucket);
    let secret = format!("runbook-{}", bucket.name);
    desk.set("AWS_ENDPOINT_URL", &given("TEST_AWS_ENDPOINT")).set("PASSWORD_SECRET", &secret);
    let aws = |arguments: &[&str]| {
        let mut command = Command::new("aws");
        command.args(["--endpoint-url", &given("TEST_AWS_ENDPOINT"), "--region", "us-east-1", "secretsmanager"]);
        command.env("AWS_ACCESS_KEY_ID", s3::KEY_ID).env("AWS_SECRET_ACCESS_KEY", s3::SECRET);
        program::stdout(command.args(arguments));
    };
    aws(&["create-secret", "--name", &secret, "--secret-string", PASSWORD]);
    assert_eq!(desk.value_after("password", "PASSWORD"), PASSWORD);
    aws(&["put-secret-value", "--secret-id", &secret, "--secret-string", "another"]);
    assert_eq!(desk.value_after("password", "PASSWORD"), "another");
    assert_eq!(desk.value_after("password-before", "PASSWORD"), PASSWORD);
    bucket.remove().await;
}

#[tokio::test]
async fn the_archives_are_copied_to_a_drive_byte_for_byte() {
    let bucket = s3::bucket().await;
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    let key = back_up(&mut nightvault, &bucket, &format!("sqlite://{sqlite}"), None);
    let mut desk = Desk::at(&bucket);
    let drive = desk.path("drive");
    desk.set("KEY", &key).set("DRIVE", &drive.display().to_string()).run("sync");
    desk.run("fetch");
    assert_eq!(std::fs::read(drive.join(&key)).unwrap(), std::fs::read(desk.path("backup.zip")).unwrap());
    bucket.remove().await;
}

#[tokio::test]
async fn bsdtar_takes_out_everything_but_where_a_link_points() {
    let bucket = s3::bucket().await;
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    let files = documents(nightvault.folder());
    let key = back_up(&mut nightvault, &bucket, &format!("sqlite://{sqlite}"), Some(&files));
    let mut desk = Desk::at(&bucket);
    desk.set("KEY", &key).run("fetch");
    let output = desk.output("bsdtar");
    assert_eq!(output.status.code(), Some(1), "{}", program::text(&output));
    assert!(desk.run("check").is_empty(), "every file is the one that went in");
    let link = std::fs::symlink_metadata(desk.path("restore/files/uploads/link")).unwrap();
    assert!(link.is_file() && link.len() == 0, "in its place lies an empty file");

    // One that cannot, in the words that the runbook quotes.
    let read =
        "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); z.read(z.namelist()[0], pwd=sys.argv[2].encode())";
    let python = program::run(Command::new("python3").args(["-c", read]).arg(desk.path("backup.zip")).arg(PASSWORD));
    assert!(program::text(&python).contains("That compression method is not supported"), "{}", program::text(&python));
    bucket.remove().await;
}

#[tokio::test]
async fn seven_zip_says_what_the_runbook_quotes_of_a_damaged_and_of_a_cut_off_archive() {
    let bucket = s3::bucket().await;
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    let key = back_up(&mut nightvault, &bucket, &format!("sqlite://{sqlite}"), None);
    let mut desk = Desk::at(&bucket);
    desk.set("KEY", &key).run("fetch");
    let archive = desk.path("backup.zip");
    let whole = std::fs::read(&archive).unwrap();
    let mut damaged = whole.clone();
    // The first entry's authentication code ends where its data descriptor begins.
    let descriptor = whole.windows(4).position(|bytes| bytes == b"PK\x07\x08").unwrap();
    damaged[descriptor - 1] ^= 1;
    std::fs::write(&archive, damaged).unwrap();
    let said = desk.fails("test");
    let quoted = "CRC Failed in encrypted file";
    assert!(said.contains(quoted) && runbook().contains(quoted), "{said}");
    assert_eq!(said.matches("Wrong password?").count(), 1, "one entry alone: {said}");
    std::fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
    let said = desk.fails("test");
    let quoted = "Unexpected end of archive";
    assert!(said.contains(quoted) && runbook().contains(quoted), "{said}");
    bucket.remove().await;
}
