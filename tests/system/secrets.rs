//! Secrets from AWS Secrets Manager (played by ministack), as the built command fetches them.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::given;
use crate::support::nightvault::Nightvault;

const FIRST: &str = "first-0123456789abcdefghijklmnop";
const SECOND: &str = "second-0123456789abcdefghijklmno";

/// An installation that finds Secrets Manager, with a file to back up.
fn installation(name: &str) -> Nightvault {
    let mut nightvault = Nightvault::local(name);
    let files = nightvault.folder().join("files");
    std::fs::create_dir(&files).expect("a new folder");
    std::fs::write(files.join("a.txt"), "a").expect("a new file");
    nightvault
        .unset("BACKUP_ARCHIVE_PASSWORD")
        .set("BACKUP_FILES", &files.display().to_string())
        .set("AWS_ENDPOINT_URL", &given("TEST_AWS_ENDPOINT"))
        .set("AWS_REGION", "us-east-1")
        .set("AWS_ACCESS_KEY_ID", "test")
        .set("AWS_SECRET_ACCESS_KEY", "test");
    nightvault
}

/// Calls an action of Secrets Manager (whose signatures ministack does not check).
async fn call(action: &str, body: Value) {
    let response = reqwest::Client::new()
        .post(given("TEST_AWS_ENDPOINT"))
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("secretsmanager.{action}"))
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/secretsmanager/aws4_request, SignedHeaders=host, \
             Signature=none",
        )
        .body(body.to_string())
        .send()
        .await
        .expect("Secrets Manager answers");
    let status = response.status();
    assert!(status.is_success(), "{action}: {status}: {}", response.text().await.unwrap_or_default());
}

/// Whether 7-Zip opens the archive of a key with this password.
fn opens(nightvault: &Nightvault, key: &str, password: &str) -> bool {
    let archive = nightvault.archive(key);
    let run = |program: &str| Command::new(program).args(["t", &format!("-p{password}")]).arg(&archive).output();
    // Distributions name it differently.
    let output = run("7zz").or_else(|_| run("7z")).expect("7-Zip is installed");
    output.status.success()
}

#[tokio::test]
async fn a_rotated_password_is_used_by_the_very_next_backup() {
    let mut nightvault = installation("rotated");
    call(
        "CreateSecret",
        json!({"Name": "rotated/password", "SecretString": FIRST, "ClientRequestToken": "a".repeat(32)}),
    )
    .await;
    nightvault.set("BACKUP_ARCHIVE_PASSWORD_SECRET", "rotated/password");

    let first = nightvault.ok(&["run", "--scheduled-time", "2024-01-15T02:00:00Z"]);
    // The form that the console gives to key and value.
    let string = json!({ "password": SECOND }).to_string();
    call(
        "PutSecretValue",
        json!({"SecretId": "rotated/password", "SecretString": string, "ClientRequestToken": "b".repeat(32)}),
    )
    .await;
    let second = nightvault.ok(&["run", "--scheduled-time", "2024-01-16T02:00:00Z"]);

    for (report, right, wrong) in [(first, FIRST, SECOND), (second, SECOND, FIRST)] {
        let key = report["key"].as_str().expect("a key");
        assert!(opens(&nightvault, key, right), "{key} should open with {right}");
        assert!(!opens(&nightvault, key, wrong), "{key} should not open with {wrong}");
    }
}

#[tokio::test]
async fn a_password_in_a_secret_is_held_to_the_same_rules() {
    let mut nightvault = installation("weak");
    call(
        "CreateSecret",
        json!({"Name": "weak/password", "SecretString": "canary", "ClientRequestToken": "c".repeat(32)}),
    )
    .await;
    nightvault.set("BACKUP_ARCHIVE_PASSWORD_SECRET", "weak/password");
    let said = nightvault.fails(2, &["run"]);
    assert!(said.stderr.contains("weak/password") && said.stderr.contains("fewer than 32"), "{said:?}");
    assert!(!said.all().contains("canary"), "{said:?}");
    assert!(!nightvault.vault().exists(), "nothing may be stored");
}

#[test]
fn a_secret_that_is_not_there_is_named_with_what_to_check() {
    let mut nightvault = installation("missing");
    nightvault.set("BACKUP_ARCHIVE_PASSWORD_SECRET", "missing/password");
    let said = nightvault.fails(1, &["run"]);
    assert!(said.stderr.contains("missing/password") && said.stderr.contains("AWS_REGION"), "{said:?}");
}

#[test]
fn without_credentials_the_run_says_so_and_stores_nothing() {
    let mut nightvault = installation("nobody");
    nightvault.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY");
    nightvault.set("BACKUP_ARCHIVE_PASSWORD_SECRET", "nobody/password");
    let said = nightvault.fails(2, &["run"]);
    assert!(said.stderr.contains("credentials"), "{said:?}");
}

#[tokio::test]
async fn a_database_secret_without_its_fields_is_refused_by_name_and_not_quoted() {
    let mut nightvault = installation("fieldless");
    nightvault.set("BACKUP_ARCHIVE_PASSWORD", FIRST).set("DATABASE_SECRET", "fieldless/database");
    let string = json!({ "username": "u", "password": "canary", "engine": "postgres" }).to_string();
    call(
        "CreateSecret",
        json!({"Name": "fieldless/database", "SecretString": string, "ClientRequestToken": "d".repeat(32)}),
    )
    .await;
    let said = nightvault.fails(2, &["run"]);
    assert!(said.stderr.contains("fieldless/database") && said.stderr.contains("\"host\""), "{said:?}");
    assert!(!said.all().contains("canary"), "{said:?}");
}
