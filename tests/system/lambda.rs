//! The three built functions, driven through the Lambda Runtime API against real servers: a whole night, and the ways in
//! which an invocation fails.

#![allow(clippy::unwrap_used, reason = "everything here is test code, its helpers too")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::aws::{self, Hook};
use crate::support::lambda::Function;
use crate::support::nightvault::PASSWORD;
use crate::support::s3::{self, Bucket};
use crate::support::{given, program};

/// Lambda's own limit.
const FIFTEEN_MINUTES: Duration = Duration::from_secs(900);
const MARIADB_PASSWORD: &str = "night@vault:/#?% é";

/// Databases, files and a bucket of one test, and the variables that describe them to a function.
struct Night {
    name: String,
    bucket: Bucket,
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Night {
    /// A bucket, and one PostgreSQL database of ten patients.
    async fn new(test: &str) -> Self {
        Self::into_bucket(test, s3::bucket().await)
    }

    /// The same, stored into this bucket.
    fn into_bucket(test: &str, bucket: Bucket) -> Self {
        let name = format!("{test}_{}", bucket.name.replace('-', "_"));
        psql("postgres", &format!("CREATE DATABASE {name}"));
        psql(
            &name,
            "CREATE TABLE patient (id integer PRIMARY KEY, name text NOT NULL);
             INSERT INTO patient SELECT n, 'Pätient ' || n || E'\\n' FROM generate_series(1, 10) n;",
        );
        let variables = vec![
            ("BACKUP_NAME", "clinic".to_owned()),
            ("AWS_BUCKET", bucket.name.clone()),
            ("AWS_ENDPOINT", bucket.endpoint.clone()),
            ("AWS_USE_PATH_STYLE_ENDPOINT", "true".to_owned()),
            ("BACKUP_ARCHIVE_PASSWORD", PASSWORD.to_owned()),
            ("DATABASE_URL", format!("postgres://postgres@127.0.0.1:{}/{name}", given("TEST_POSTGRES_PORT"))),
        ];
        let folder = TempDir::with_prefix("nightvault-night-").unwrap();
        Self { name, bucket, folder, variables }
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
    }

    async fn start(&self, function: &str) -> Function {
        Function::start(function, &self.variables).await
    }

    /// The file in which the S3 server keeps an object.
    fn object(&self, key: &str) -> PathBuf {
        Path::new(&given("TEST_S3_ROOT")).join(&self.bucket.name).join(key)
    }

    /// The keys in the bucket, but those of the audit trail.
    async fn keys(&self) -> Vec<String> {
        let listed = self.bucket.client.list_objects_v2().bucket(&self.bucket.name).send().await.unwrap();
        listed
            .contents()
            .iter()
            .filter_map(|object| object.key().map(str::to_owned))
            .filter(|key| !key.contains("/audit/"))
            .collect()
    }

    async fn assert_nothing_is_left(&self) {
        assert_eq!(self.keys().await, Vec::<String>::new());
        assert_eq!(self.bucket.uploads().await, 0, "uploads in progress");
    }

    async fn remove(self) {
        psql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        self.bucket.remove().await;
    }
}

fn psql(database: &str, sql: &str) -> String {
    let port = given("TEST_POSTGRES_PORT");
    let mut command = Command::new("psql");
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", &port, "-U", "postgres"]);
    program::stdout(command.args(["-d", database, "-c", sql]))
}

fn mariadb(arguments: &[&str]) -> String {
    let socket = format!("--socket={}", given("TEST_MARIADB_SOCKET"));
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--default-character-set=utf8mb4", "--user=root", &socket, "--batch", "-N"]);
    program::stdout(command.args(arguments))
}

/// A moment that lies `before` now, in whole seconds.
fn ago(before: SignedDuration) -> Timestamp {
    #[allow(clippy::disallowed_methods, reason = "the functions under test live by the wall clock")]
    let now = Timestamp::now();
    (now - before).round(Unit::Second).unwrap()
}

/// The object key of a moment.
fn key(date: Timestamp) -> String {
    format!("clinic/{}.zip", date.strftime("%Y-%m-%d-%H-%M-%S"))
}

/// The line of figures that a function wrote last.
fn figures(log: &str) -> Value {
    let line = log.lines().rfind(|line| line.contains("\"_aws\":")).expect("a line in the embedded metric format");
    let line: Value = serde_json::from_str(line).expect("it is JSON");
    let described = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().expect("a list of metrics").clone();
    for metric in described {
        assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric} has a value: {line}");
    }
    line
}

#[tokio::test]
async fn figures_for_cloudwatch_are_those_of_the_work_and_a_failure_is_a_zero() {
    let mut night = Night::new("figures").await;
    night.set("BACKUP_METRICS", "emf");
    let mut backup = Function::start("backup", &night.variables).await;
    let event = json!({ "scheduled_time": ago(SignedDuration::from_mins(2)) }).to_string();
    let report = backup.invoke(&event, FIFTEEN_MINUTES).await.report();
    let line = figures(&backup.log());
    assert_eq!((&line["BackupSuccess"], &line["BackupRows"]), (&json!(1.0), &json!(10.0)), "{line}");
    assert_eq!(line["BackupBytes"].as_f64(), report["archive_bytes"].as_f64(), "{line}");
    assert!(line["TimeUsed"].as_f64().unwrap() < 10.0, "{line}");
    assert_eq!(line["Name"], "clinic");

    let mut monitor = Function::start("monitor", &night.variables).await;
    monitor.invoke("{}", FIFTEEN_MINUTES).await.report();
    let line = figures(&monitor.log());
    assert_eq!(line["Healthy"], json!(1.0), "{line}");
    assert!((0.0..0.1).contains(&line["NewestBackupAgeDays"].as_f64().unwrap()), "{line}");
    assert_eq!(line["StorageUsed"].as_f64(), report["archive_bytes"].as_f64(), "{line}");

    night.set("DATABASE_URL", "postgres://postgres@127.0.0.1:1/nothing");
    let mut backup = Function::start("backup", &night.variables).await;
    backup.invoke("{}", FIFTEEN_MINUTES).await.failed_with("TransientFailure");
    assert_eq!(figures(&backup.log())["BackupSuccess"], json!(0.0));
}

#[tokio::test]
async fn a_whole_night_goes_through_the_three_functions() {
    let mut night = Night::new("whole").await;
    let name = night.name.clone();

    // Three engines and files, each described in another way; passwords in Secrets Manager.
    mariadb(&["-e", &format!("CREATE DATABASE {name}")]);
    mariadb(&[
        &name,
        "-e",
        "CREATE TABLE visit (id int PRIMARY KEY, note blob); INSERT INTO visit VALUES (1, X'00FF27'), (2, NULL)",
    ]);
    let described = json!({
        "engine": "mariadb", "host": "127.0.0.1", "port": given("TEST_MARIADB_PORT"), "username": "nightvault",
        "password": MARIADB_PASSWORD, "dbname": name,
    });
    night.set("DATABASE_SECRET", aws::secret(&format!("{name}-mariadb"), &described.to_string()).await);
    night.set("BACKUP_ARCHIVE_PASSWORD_SECRET", aws::secret(&format!("{name}-password"), PASSWORD).await);
    night.set("BACKUP_ARCHIVE_PASSWORD", "");
    let sqlite = night.folder.path().join("notes.sqlite");
    rusqlite::Connection::open(&sqlite)
        .unwrap()
        .execute_batch("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT); INSERT INTO note VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        .unwrap();
    night.set("DB_CONNECTION", "sqlite");
    night.set("DB_DATABASE", sqlite.display().to_string());
    let uploads = night.folder.path().join("uploads");
    std::fs::create_dir(&uploads).unwrap();
    std::fs::write(uploads.join("röntgen.txt"), "no fracture").unwrap();
    night.set("BACKUP_FILES", format!("uploads={}", uploads.display()));

    // Everybody is told of everything.
    let (from, to) = (format!("night@{name}.example"), format!("admin@{name}.example"));
    aws::verify_identity(&from).await;
    aws::verify_identity(&to).await;
    let hook = Hook::start([]).await;
    night.set("BACKUP_MAIL_FROM", &from);
    night.set("BACKUP_NOTIFICATION_EMAIL", &to);
    night.set("SLACK_WEBHOOK_URL", &hook.url);
    for variable in ["BACKUP_SUCCESS_NOTIFICATIONS", "BACKUP_FAILURE_NOTIFICATIONS", "BACKUP_HEALTH_NOTIFICATIONS"] {
        night.set(variable, "mail,slack");
    }

    // 02:00
    let scheduled = ago(SignedDuration::from_mins(1));
    let event = json!({"scheduled_time": scheduled}).to_string();
    let mut backup = night.start("backup").await;
    let report = backup.invoke(&event, FIFTEEN_MINUTES).await.report();
    assert_eq!((&report["status"], &report["key"]), (&json!("stored"), &json!(key(scheduled))), "{report}");
    let rows: Vec<(&str, u64)> = report["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| (source["kind"].as_str().unwrap(), source["rows"].as_u64().unwrap()))
        .collect();
    for expected in [("PostgreSQL", 10), ("MariaDB", 2), ("SQLite", 3), ("files", 0)] {
        assert!(rows.contains(&expected), "{expected:?} is missing in {rows:?}");
    }
    assert_eq!(report["disks"][0]["verified"], "tail", "{report}");
    assert_told(&report);
    assert_eq!(night.keys().await, [key(scheduled)]);
    let archive = std::fs::read(night.object(&key(scheduled))).unwrap();
    assert_eq!(report["archive_bytes"], archive.len());
    assert_restores(&night, &key(scheduled), &sqlite);

    // The same event again, in the same process and in a new one: nothing is done twice, and nobody is told twice.
    assert_eq!(backup.invoke(&event, FIFTEEN_MINUTES).await.report()["status"], "already_done");
    let again = night.start("backup").await.invoke(&event, FIFTEEN_MINUTES).await.report();
    assert_eq!(again["status"], "already_done");
    assert_eq!(std::fs::read(night.object(&key(scheduled))).unwrap(), archive);
    assert_eq!((hook.payloads().len(), aws::mails_to(&to).await.len()), (1, 1));

    // 02:30: a copy that is ten years old goes, last night's stays; a dry run deletes nothing.
    let old = key(ago(SignedDuration::from_hours(24 * 3650)));
    std::fs::copy(night.object(&key(scheduled)), night.object(&old)).unwrap();
    let mut cleanup = night.start("cleanup").await;
    let planned = cleanup.invoke(r#"{"dry_run": true}"#, FIFTEEN_MINUTES).await.report();
    assert_eq!((&planned["dry_run"], &planned["disks"][0]["deleted"]), (&json!(true), &json!(0)), "{planned}");
    assert_eq!(night.keys().await.len(), 2);
    let cleaned = cleanup.invoke("{}", FIFTEEN_MINUTES).await.report();
    assert_eq!(cleaned["disks"][0]["deleted"], 1, "{cleaned}");
    assert_eq!(night.keys().await, [key(scheduled)]);

    // 03:00: healthy; with a password that opens nothing, not.
    let mut monitor = night.start("monitor").await;
    let report = monitor.invoke("{}", FIFTEEN_MINUTES).await.report();
    assert_eq!((&report["healthy"], &report["disks"][0]["backups"]), (&json!(true), &json!(1)), "{report}");
    let told = hook.payloads().len();
    night.set("BACKUP_ARCHIVE_PASSWORD_SECRET", aws::secret(&format!("{name}-other"), &PASSWORD.to_uppercase()).await);
    let message = night.start("monitor").await.invoke("{}", FIFTEEN_MINUTES).await.failed_with("Unhealthy");
    assert!(message.contains("s3"), "{message}");
    assert_eq!(hook.payloads().len(), told + 1);

    for function in [&backup, &cleanup, &monitor] {
        assert_log_is_json_without_secrets(&function.log());
    }
    mariadb(&["-e", &format!("DROP DATABASE {name}")]);
    night.remove().await;
}

/// Both channels took the message.
fn assert_told(report: &Value) {
    let told = report["notifications"].as_array().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|delivery| delivery["error"].is_null()), "{told:?}");
}

fn assert_log_is_json_without_secrets(log: &str) {
    assert!(!log.is_empty());
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    for secret in [PASSWORD, MARIADB_PASSWORD, aws::HOOK_SECRET, "SECRETTEST"] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

/// Takes the archive out with 7-Zip and restores each database with its engine's own client.
fn assert_restores(night: &Night, key: &str, sqlite: &Path) {
    let name = &night.name;
    let folder = crate::support::nightvault::extract(&night.object(key));
    let restored = format!("{name}_restored");

    let port = given("TEST_POSTGRES_PORT");
    psql("postgres", &format!("CREATE DATABASE {restored}"));
    let dumps = folder.path().join("db-dumps");
    // Two servers have a database of this name: which entry holds which, the manifest says.
    let manifest: Value = serde_json::from_slice(&std::fs::read(folder.path().join("manifest.json")).unwrap()).unwrap();
    let entry = |engine: &str| {
        let databases = manifest["databases"].as_array().unwrap();
        let database = databases.iter().find(|database| database["engine"] == engine).unwrap();
        folder.path().join(database["entry"].as_str().unwrap())
    };
    assert_eq!(std::fs::read_dir(&dumps).unwrap().count(), 3);

    let mut client = Command::new("psql");
    client.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-h", "127.0.0.1", "-p", &port]);
    program::stdout(client.args(["-U", "postgres", "-d", &restored, "-f"]).arg(entry("PostgreSQL")));
    let content = "SELECT count(*), md5(string_agg(p::text, ',' ORDER BY id)) FROM patient p";
    assert_eq!(psql(&restored, content), psql(name, content));
    psql("postgres", &format!("DROP DATABASE {restored}"));

    mariadb(&["-e", &format!("CREATE DATABASE {restored}")]);
    mariadb(&[&restored, "-e", &format!("source {}", entry("MariaDB").display())]);
    let content = ["-e", "SELECT id, hex(note) FROM visit ORDER BY id"];
    assert_eq!(
        mariadb(&[&[restored.as_str()], &content[..]].concat()),
        mariadb(&[&[name.as_str()], &content[..]].concat())
    );
    mariadb(&["-e", &format!("DROP DATABASE {restored}")]);

    let dump = |path: &Path| program::stdout(Command::new("sqlite3").arg(path).arg(".dump"));
    assert_eq!(dump(&entry("SQLite")), dump(sqlite));
    assert_eq!(std::fs::read(folder.path().join("files/uploads/röntgen.txt")).unwrap(), b"no fracture");
}

#[tokio::test]
async fn a_wrong_configuration_is_the_answer_to_every_invocation() {
    for name in ["backup", "cleanup", "monitor"] {
        let variables = [("BACKUP_DISK", "s3".to_owned()), ("BACKUP_KEEP_ALL_DAYS", "many".to_owned())];
        let mut function = Function::start(name, &variables).await;
        for _ in 0..2 {
            let message = function.invoke("{}", FIFTEEN_MINUTES).await.failed_with("ConfigurationError");
            assert!(message.contains("AWS_BUCKET") && message.contains("BACKUP_KEEP_ALL_DAYS"), "{name}: {message}");
        }
        assert!(function.log().contains("ConfigurationError"), "the log tells it too");
    }
}

#[tokio::test]
async fn an_event_that_is_not_understood_touches_nothing() {
    let night = Night::new("malformed").await;
    let mut backup = night.start("backup").await;
    for (event, named) in [
        (r#"{"dryrun": true}"#, "dryrun"),
        (r#"{"scheduled_time": "yesterday"}"#, "scheduled_time"),
        (r#"{"key1": "value1"}"#, "key1"),
        ("[]", "object"),
    ] {
        let message = backup.invoke(event, FIFTEEN_MINUTES).await.failed_with("ConfigurationError");
        assert!(message.contains(named), "{event}: {message}");
    }
    night.assert_nothing_is_left().await;
    // The process lives on, and a dry run reaches everything and writes nothing.
    assert_eq!(backup.invoke(r#"{"dry_run": true}"#, FIFTEEN_MINUTES).await.report()["status"], "planned");
    night.assert_nothing_is_left().await;
    night.remove().await;
}

#[tokio::test]
async fn a_dead_database_fails_the_invocation_and_people_are_told() {
    let mut night = Night::new("dead").await;
    // Nobody listens on the discard port.
    night.set("DATABASE_URL", format!("postgres://postgres@127.0.0.1:9/{}", night.name));
    let hook = Hook::start([]).await;
    night.set("SLACK_WEBHOOK_URL", &hook.url);
    let message = night.start("backup").await.invoke("{}", FIFTEEN_MINUTES).await.failed_with("TransientFailure");
    assert!(message.contains(&night.name), "{message}");
    assert_eq!(hook.payloads().len(), 1);
    night.assert_nothing_is_left().await;
    night.remove().await;
}

#[tokio::test]
async fn a_run_that_reaches_its_deadline_leaves_nothing_and_the_next_one_works() {
    let mut night = Night::new("deadline").await;
    let hook = Hook::start([]).await;
    night.set("SLACK_WEBHOOK_URL", &hook.url);
    // Somebody holds a table for longer than the function has.
    let address = format!("postgres://postgres@127.0.0.1:{}/{}", given("TEST_POSTGRES_PORT"), night.name);
    let pool = sqlx::PgPool::connect(&address).await.unwrap();
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE patient IN ACCESS EXCLUSIVE MODE").execute(&mut *holder).await.unwrap();

    let mut backup = night.start("backup").await;
    let message = backup.invoke("{}", Duration::from_secs(15)).await.failed_with("DeadlineExceeded");
    assert!(message.contains("time ran out"), "{message}");
    assert_eq!(hook.payloads().len(), 1, "the alert is sent before Lambda stops the process");
    night.assert_nothing_is_left().await;

    holder.rollback().await.unwrap();
    assert_eq!(backup.invoke("{}", FIFTEEN_MINUTES).await.report()["status"], "stored");
    assert_eq!(night.keys().await.len(), 1);
    pool.close().await;
    night.remove().await;
}

#[tokio::test]
async fn one_event_that_runs_in_two_processes_makes_one_backup() {
    // This server checks a condition and writes in one step, as S3 does; the other one does not.
    let mut night = Night::into_bucket("twice", s3::aws_bucket().await);
    night.set("AWS_DEFAULT_REGION", "us-east-1");
    let event = json!({"scheduled_time": ago(SignedDuration::from_mins(1))}).to_string();
    let (mut one, mut other) = (night.start("backup").await, night.start("backup").await);
    let (one, other) = tokio::join!(one.invoke(&event, FIFTEEN_MINUTES), other.invoke(&event, FIFTEEN_MINUTES));
    // Who comes second finds the object before it begins, or is refused by the store when it wants to complete.
    let mut outcomes = [one, other].map(|answer| answer.report()["status"].as_str().unwrap().to_owned());
    outcomes.sort();
    assert_eq!(outcomes, ["already_done", "stored"]);
    assert_eq!(night.keys().await.len(), 1);
    assert_eq!(night.bucket.uploads().await, 0);
    night.remove().await;
}
