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

mod clinic;
mod cloud;
mod events;
mod lock;
mod stack;
mod trouble;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use self::clinic::{Clinic, FOLDER, RECIPIENT, SENDER};
use self::cloud::{Cloud, until};
use self::stack::Stack;
use crate::support::aws::Hook;

/// This moment, its second begun.
fn now() -> Timestamp {
    #[allow(clippy::disallowed_methods, reason = "the functions under test live by the wall clock")]
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap()
}

/// The object key of a moment.
fn key(date: Timestamp) -> String {
    format!("{FOLDER}/{}.zip", date.strftime("%Y-%m-%d-%H-%M-%S"))
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
async fn a_deployed_stack_lives_through_a_night_and_answers_every_sample_event() {
    let cloud = Cloud::account(1);
    // The sample event that asks for one database names it.
    let clinic = Clinic::new("clinic");
    let hook = Hook::start([]).await;
    let stack = clinic.deploy(&cloud, &hook, &[("KeepYearlyYears", "0")]).stack;

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

    events::each_is_answered(&cloud, &stack).await;
}
