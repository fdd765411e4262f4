//! The whole stack of template.yaml, built by `sam build` and deployed by `sam deploy` into an emulator that runs the real
//! functions and judges each of their calls by their roles and the bucket's policy.
//!
//! What the emulator does not do is done by the tests and told here, so that nobody takes it for tried:
//! - It drops the Object Lock and the lifecycle of CloudFormation's buckets in silence; the test of Object Lock asks S3 for
//!   it directly. That the template asks for it too, cfn-lint and a person have to see.
//! - It puts nothing in the place of `<aws.scheduler.scheduled-time>`, knows no flexible window, and starts a function
//!   without the retries and destinations of an event; the tests write the time themselves, and hand over the events whose
//!   failure they want to see.
//! - It refuses metric math, so the stack is deployed without its alarms (tests/system/alarms.rs reads those).
//! - It judges `ses:SendEmail` as a call on `*` without a sender, where SES judges one on the sender's identity; each role is
//!   given that right by the tests.
//! - It lets the account's root do everything, against the bucket's policy too.

#![allow(clippy::unwrap_used, reason = "everything here is test code, its helpers too")]

mod cloud;
mod stack;

use std::process::Command;

use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::cloud::{Cloud, until};
use self::stack::Stack;
use crate::support::aws::Hook;
use crate::support::{given, mariadb, postgres, program};

/// A clinic with a PostgreSQL and a MariaDB database, whose user's password can be changed.
struct Clinic {
    visits: mariadb::Scratch,
    user: String,
}

/// The sample event that asks for one database names it.
const PATIENTS: &str = "clinic";
const SENDER: &str = "night@clinic.example";
const RECIPIENT: &str = "admin@clinic.example";
/// `BackupName`.
const FOLDER: &str = "ward";

impl Clinic {
    fn new() -> Self {
        postgres::psql("postgres", &format!("DROP DATABASE IF EXISTS {PATIENTS} WITH (FORCE)"));
        postgres::psql("postgres", &format!("CREATE DATABASE {PATIENTS}"));
        postgres::psql(
            PATIENTS,
            "CREATE TABLE patient (id integer PRIMARY KEY, name text NOT NULL);
             INSERT INTO patient SELECT n, 'Pätient ' || n FROM generate_series(1, 10) n",
        );
        let visits = mariadb::Scratch::new("deploy");
        visits.run(
            "CREATE TABLE visit (id int PRIMARY KEY, note blob); INSERT INTO visit VALUES (1, X'00FF27'), (2, NULL)",
        );
        let user = visits.name().to_owned();
        visits.run(&format!(
            "CREATE USER {user}@'%' IDENTIFIED BY 'first'; GRANT ALL PRIVILEGES ON {user}.* TO {user}@'%'"
        ));
        Self { visits, user }
    }

    /// Puts what describes it into Secrets Manager and deploys everything; returns the secret of the MariaDB database too.
    fn deploy(&self, cloud: &Cloud, hook: &Hook) -> (Stack, String) {
        let patients = cloud.secret("patients", &self.patients_secret());
        let visits = cloud.secret("visits", &self.visits_secret("first"));
        let webhook = cloud.secret("webhook", &hook.url);
        for address in [SENDER, RECIPIENT] {
            cloud.aws(&["sesv2", "create-email-identity", "--email-identity", address]);
        }
        let stack = Stack::deploy(
            cloud,
            &[
                ("BackupName", FOLDER),
                ("DatabaseSecretArns", &format!("{patients},{visits}")),
                ("NotificationEmail", RECIPIENT),
                ("MailFrom", SENDER),
                ("SlackWebhookSecretArn", &webhook),
                ("SuccessNotifications", "mail,slack"),
                ("KeepYearlyYears", "0"),
            ],
        );
        (stack, visits)
    }

    /// Opens an archive of the vault with 7-Zip and the password of the stack; each engine's own client takes its dump.
    fn assert_opens(&self, cloud: &Cloud, stack: &Stack, key: &str) {
        let folder = TempDir::with_prefix("nightvault-deploy-").unwrap();
        let archive = folder.path().join("backup.zip");
        cloud.download(&stack.bucket, key, &archive);
        let secret = cloud.aws(&["secretsmanager", "get-secret-value", "--secret-id", &stack.password]);
        let mut seven = Command::new("7z");
        seven.arg("x").arg(format!("-p{}", secret["SecretString"].as_str().unwrap()));
        seven.arg(format!("-o{}", folder.path().display())).arg(&archive);
        program::stdout(&mut seven);

        let dump = |name: &str| folder.path().join(format!("db-dumps/{name}.sql"));
        let restored = postgres::Scratch::new();
        restored.run_file(&dump(PATIENTS).display().to_string());
        let content = "SELECT count(*), md5(string_agg(p::text, ',' ORDER BY id)) FROM patient p";
        assert_eq!(restored.psql(content), postgres::psql(PATIENTS, content));
        let restored = mariadb::Scratch::new("deploy_restored");
        restored.restore(&std::fs::read(dump(self.visits.name())).unwrap());
        let content = "SELECT id, hex(note) FROM visit ORDER BY id";
        assert_eq!(restored.run(content), self.visits.run(content));
    }

    /// The secret of the PostgreSQL database, as RDS writes it.
    fn patients_secret(&self) -> String {
        json!({
            "engine": "postgres", "host": "127.0.0.1", "port": postgres::port(), "username": "postgres",
            "password": "trusted", "dbname": PATIENTS,
        })
        .to_string()
    }

    /// The secret of the MariaDB database.
    fn visits_secret(&self, password: &str) -> String {
        json!({
            "engine": "mariadb", "host": "127.0.0.1", "port": given("TEST_MARIADB_PORT"), "username": self.user,
            "password": password, "dbname": self.visits.name(),
        })
        .to_string()
    }

    /// Changes the password at the server.
    fn change_password(&self, password: &str) {
        self.visits.run(&format!("ALTER USER {}@'%' IDENTIFIED BY '{password}'", self.user));
    }
}

impl Drop for Clinic {
    fn drop(&mut self) {
        self.visits.run(&format!("DROP USER {}@'%'", self.user));
        postgres::psql("postgres", &format!("DROP DATABASE {PATIENTS} WITH (FORCE)"));
    }
}

/// This moment, in whole seconds.
fn now() -> Timestamp {
    #[allow(clippy::disallowed_methods, reason = "the functions under test live by the wall clock")]
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap()
}

/// The object key of a moment.
fn key(date: Timestamp) -> String {
    format!("{FOLDER}/{}.zip", date.strftime("%Y-%m-%d-%H-%M-%S"))
}

/// A sample event.
fn sample(name: &str) -> String {
    std::fs::read_to_string(stack::project().join("events").join(name)).unwrap()
}

/// Lets a schedule fire once, now, with the time that it would tell its function.
///
/// A schedule that was off and becomes a one-time one of the past fires when the emulator looks next.
fn fire(cloud: &Cloud, name: &str, expression: &str, function: &str, time: Timestamp) {
    let listed = cloud.aws(&["scheduler", "list-schedules", "--name-prefix", name]);
    let group = listed["Schedules"][0]["GroupName"].as_str().unwrap_or_else(|| panic!("no schedule {name}")).to_owned();
    let mut schedule = cloud.aws(&["scheduler", "get-schedule", "--group-name", &group, "--name", name]);
    assert_eq!((&schedule["State"], &schedule["ScheduleExpression"]), (&json!("DISABLED"), &json!(expression)));
    assert_eq!(schedule["FlexibleTimeWindow"], json!({"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}));
    let mut target = schedule["Target"].take();
    assert!(target["Arn"].as_str().unwrap().ends_with(&format!(":function:{function}")), "{target}");
    assert_eq!(target["RetryPolicy"], json!({"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600}));
    assert!(target["DeadLetterConfig"]["Arn"].as_str().unwrap().contains("NotStartedQueue"), "{target}");
    let input = target["Input"].as_str().unwrap();
    assert!(input.contains("<aws.scheduler.scheduled-time>"), "{input}");
    target["Input"] = json!(input.replace("<aws.scheduler.scheduled-time>", &time.to_string()));
    cloud.aws(&[
        "scheduler",
        "update-schedule",
        "--group-name",
        &group,
        "--name",
        name,
        "--state",
        "ENABLED",
        "--schedule-expression",
        "at(2001-01-01T00:00:00)",
        "--flexible-time-window",
        "Mode=OFF",
        "--target",
        &target.to_string(),
    ]);
}

/// Waits until the function of this operation has come to its `count`th end, which must be a good one; returns its report.
async fn outcome(cloud: &Cloud, stack: &Stack, operation: &str, count: usize) -> Value {
    let what = format!("outcome {count} of {operation}");
    let done = until(&what, async || stack.outcomes(cloud, operation).await.get(count - 1).cloned()).await;
    assert_eq!(done["outcome"], "success", "{done}");
    serde_json::from_str(done["report"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployed_stack_lives_through_a_night_and_everything_that_it_can_be_asked() {
    let cloud = Cloud::account(1);
    let clinic = Clinic::new();
    let hook = Hook::start([]).await;
    let (stack, visits) = clinic.deploy(&cloud, &hook);

    // 02:00
    let scheduled = now() - SignedDuration::from_mins(30);
    fire(&cloud, "BackupFunctionEveryNight", "cron(0 2 * * ? *)", &stack.backup.name, scheduled);
    let report = outcome(&cloud, &stack, "backup", 1).await;
    assert_eq!((&report["status"], &report["key"]), (&json!("stored"), &json!(key(scheduled))), "{report}");
    let rows: Vec<(&str, u64)> = report["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| (source["kind"].as_str().unwrap(), source["rows"].as_u64().unwrap()))
        .collect();
    assert_eq!(rows, [("PostgreSQL", 10), ("MariaDB", 2)], "{report}");
    clinic.assert_opens(&cloud, &stack, &key(scheduled));

    // It told everybody, by mail and by a webhook whose address is a secret.
    let told = report["notifications"].as_array().unwrap();
    assert!(told.len() == 2 && told.iter().all(|delivery| delivery["error"].is_null()), "{told:?}");
    let mails = cloud.mails().await;
    assert_eq!((&mails[0]["Source"], &mails[0]["To"]), (&json!(SENDER), &json!([RECIPIENT])), "{mails:?}");
    assert!(mails[0]["BodyText"].as_str().unwrap().contains(&key(scheduled)), "{mails:?}");
    assert_eq!((mails.len(), hook.payloads().len()), (1, 1));

    // 02:30 and 03:00
    fire(&cloud, "CleanupFunctionEveryNight", "cron(30 2 * * ? *)", &stack.cleanup.name, now());
    fire(&cloud, "MonitorFunctionEveryNight", "cron(0 3 * * ? *)", &stack.monitor.name, now());
    let report = outcome(&cloud, &stack, "cleanup", 1).await;
    assert_eq!((&report["disks"][0]["deleted"], &report["dry_run"]), (&json!(0), &json!(false)), "{report}");
    let report = outcome(&cloud, &stack, "monitor", 1).await;
    assert_eq!((&report["healthy"], &report["disks"][0]["backups"]), (&json!(true), &json!(1)), "{report}");

    every_sample_event_is_answered(&cloud, &stack).await;
    let _ = visits;
}

async fn every_sample_event_is_answered(cloud: &Cloud, stack: &Stack) {
    for entry in std::fs::read_dir(stack::project().join("events")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let function = match name.split('-').next() {
            Some("backup") => &stack.backup,
            Some("cleanup") => &stack.cleanup,
            _ => &stack.monitor,
        };
        eprintln!("{name}: {:?}", cloud.invoke(&function.name, &sample(&name)).await);
    }
}
