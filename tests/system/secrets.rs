//! Secrets from AWS Secrets Manager (played by ministack), as the built command fetches them.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::given;
use crate::support::mariadb::Scratch;
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

/// Makes a secret whose name no other test has; returns the name.
async fn create(nightvault: &Nightvault, text: &str) -> String {
    let unique = nightvault.folder().file_name().expect("a temporary folder has a name").to_string_lossy();
    let name = format!("{unique}/secret");
    call("CreateSecret", json!({"Name": name, "SecretString": text, "ClientRequestToken": token()})).await;
    name
}

async fn delete(name: &str) {
    call("DeleteSecret", json!({"SecretId": name, "ForceDeleteWithoutRecovery": true})).await;
}

/// What makes a repeated request the same one; each of ours is another.
fn token() -> String {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{}-{number:032}", std::process::id())
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

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
    let name = create(&nightvault, FIRST).await;
    nightvault.set("BACKUP_ARCHIVE_PASSWORD_SECRET", &name);

    let first = nightvault.ok(&["run", "--scheduled-time", "2024-01-15T02:00:00Z"]);
    // The form that the console gives to key and value.
    let string = json!({ "password": SECOND }).to_string();
    call("PutSecretValue", json!({"SecretId": name, "SecretString": string, "ClientRequestToken": token()})).await;
    let second = nightvault.ok(&["run", "--scheduled-time", "2024-01-16T02:00:00Z"]);

    for (report, right, wrong) in [(first, FIRST, SECOND), (second, SECOND, FIRST)] {
        let key = report["key"].as_str().expect("a key");
        assert!(opens(&nightvault, key, right), "{key} should open with {right}");
        assert!(!opens(&nightvault, key, wrong), "{key} should not open with {wrong}");
    }
    delete(&name).await;
}

/// The server has the new password already, and the secret gets it between our fetch and our login.
#[tokio::test]
async fn a_database_secret_that_is_rotated_under_the_run_is_fetched_once_more() {
    let database = Scratch::new("rotation");
    let old = json!({ "username": "nightvault", "password": "the old one", "engine": "mariadb", "host": "127.0.0.1",
        "dbname": database.name() });
    let (login, listener) = (database.config(), tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let with = |password: &str| {
        let mut secret = old.clone();
        secret["port"] = listener.local_addr().unwrap().port().into();
        secret["password"] = password.into();
        secret.to_string()
    };
    let mut nightvault = installation("rotation");
    let name = create(&nightvault, &with("the old one")).await;
    nightvault.set("BACKUP_ARCHIVE_PASSWORD", FIRST).set("DATABASE_SECRET", &name).set("BACKUP_DB_TLS", "disable");

    let newer = json!({"SecretId": name, "SecretString": with(login.password.expose()), "ClientRequestToken": token()});
    let server = tokio::spawn(async move {
        let mut connections = 0;
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            if connections == 0 {
                call("PutSecretValue", newer.clone()).await;
            }
            connections += 1;
            let mut server = tokio::net::TcpStream::connect(("127.0.0.1", login.port)).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let (report, nightvault) =
        tokio::task::spawn_blocking(move || (nightvault.ok(&["run"]), nightvault)).await.unwrap();
    assert_eq!(report["status"], "stored", "{report}");
    assert!(!report.to_string().contains("the old one"));
    server.abort();
    delete(&name).await;
    drop(nightvault);
}

/// Nobody listens at port 1: what matters is that each gets as far as the connection.
#[test]
fn every_command_that_takes_an_address_signs_its_login() {
    let source = crate::support::postgres::Scratch::new();
    let mut nightvault = installation("signed");
    let port = given("TEST_POSTGRES_PORT");
    nightvault.set("BACKUP_ARCHIVE_PASSWORD", FIRST);
    nightvault.set("DATABASE_URL", &format!("postgres://postgres@127.0.0.1:{port}/{}", source.name));
    nightvault.ok(&["run"]);
    let to = ["--to", "postgres://u@localhost:1/d?auth=iam&sslmode=verify-full"];
    for command in [&["restore", "latest"][..], &["drill", "latest"], &["tenants", "plan", "--map", "map.json"]] {
        let said = nightvault.run(&[command, &to].concat());
        assert!(said.code != 0 && said.stderr.contains("cannot connect to"), "{command:?}: {said:?}");
    }
}

#[tokio::test]
async fn a_password_in_a_secret_is_held_to_the_same_rules() {
    let mut nightvault = installation("weak");
    let name = create(&nightvault, "canary").await;
    nightvault.set("BACKUP_ARCHIVE_PASSWORD_SECRET", &name);
    let said = nightvault.fails(2, &["run"]);
    assert!(said.stderr.contains(&name) && said.stderr.contains("fewer than 32"), "{said:?}");
    assert!(!said.all().contains("canary"), "{said:?}");
    assert!(!nightvault.vault().exists(), "nothing may be stored");
    delete(&name).await;
}

#[test]
fn a_secret_that_is_not_there_is_named_with_what_to_check() {
    let mut nightvault = installation("missing");
    nightvault.set("BACKUP_ARCHIVE_PASSWORD_SECRET", "missing/password");
    let said = nightvault.fails(1, &["run"]);
    assert!(said.stderr.contains("missing/password") && said.stderr.contains("AWS_REGION"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_whose_key_is_disabled_says_which_right_and_which_key_to_look_at() {
    // No emulator keeps a secret from those whose key is disabled; this answers as Secrets Manager's reference says.
    let refuse = || async {
        let answer = json!({"__type": "DecryptionFailure", "Message": "Secrets Manager can't decrypt the protected secret text"});
        (axum::http::StatusCode::BAD_REQUEST, [("content-type", "application/x-amz-json-1.1")], answer.to_string())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("the port"));
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(refuse)).await });
    let mut nightvault = installation("disabled");
    nightvault.set("AWS_ENDPOINT_URL", &address).set("BACKUP_ARCHIVE_PASSWORD_SECRET", "disabled/password");
    let said = nightvault.fails(1, &["run"]);
    assert!(said.stderr.contains("disabled/password") && said.stderr.contains("kms:Decrypt"), "{said:?}");
    assert!(!nightvault.vault().exists(), "nothing may be stored");
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
    let string = json!({ "username": "u", "password": "canary", "engine": "postgres" }).to_string();
    let name = create(&nightvault, &string).await;
    nightvault.set("BACKUP_ARCHIVE_PASSWORD", FIRST).set("DATABASE_SECRET", &name);
    let said = nightvault.fails(2, &["run"]);
    assert!(said.stderr.contains(&name) && said.stderr.contains("\"host\""), "{said:?}");
    assert!(!said.all().contains("canary"), "{said:?}");
    delete(&name).await;
}
