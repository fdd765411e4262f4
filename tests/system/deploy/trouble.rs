//! Nights that go wrong in a deployed stack: each fails loudly, and the next one works.

use serde_json::{Value, json};

use super::clinic::{Clinic, SENDER};
use super::cloud::{Cloud, until};
use super::now;
use super::stack::{Function, Stack};
use crate::support::aws::Hook;
use crate::support::program;

/// The next message of the queue of failures, once it is there.
async fn failure(cloud: &Cloud, stack: &Stack) -> Value {
    until("a message in the queue of failures", async || {
        let got = cloud.aws(&["sqs", "receive-message", "--queue-url", &stack.failed_queue]);
        let message = got["Messages"].get(0)?;
        let receipt = message["ReceiptHandle"].as_str().unwrap();
        cloud.aws(&["sqs", "delete-message", "--queue-url", &stack.failed_queue, "--receipt-handle", receipt]);
        Some(serde_json::from_str(message["Body"].as_str().unwrap()).unwrap())
    })
    .await
}

/// Two backups of one second would have one key.
async fn next_second() {
    let second = now();
    until("the next second", async || (now() > second).then_some(())).await;
}

async fn stored(cloud: &Cloud, stack: &Stack) -> Value {
    next_second().await;
    let report = cloud.invoke(&stack.backup.name, "{}").await.report();
    assert_eq!(report["status"], "stored", "{report}");
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_rotated_between_two_runs_and_what_fails_meanwhile_is_told_to_everybody() {
    let cloud = Cloud::account(2);
    let clinic = Clinic::new("deploy_rotation");
    let hook = Hook::start([]).await;
    let deployed = clinic.deploy(&cloud, &hook, &[]);
    let stack = &deployed.stack;
    stored(&cloud, stack).await;
    let mut told = hook.payloads().len();

    // The database has another password, the secret does not say so yet: the event is kept with the function's answer.
    clinic.change_password("second");
    next_second().await;
    cloud.hand_over(&stack.backup.name, r#"{"notify": true}"#).await;
    let kept = failure(&cloud, stack).await;
    assert_eq!(kept["requestPayload"], json!({"notify": true}), "{kept}");
    let message = kept["responsePayload"]["errorMessage"].as_str().unwrap();
    assert!(message.contains("deploy") && !message.contains("first"), "{kept}");
    told += 1;
    assert_eq!((hook.payloads().len(), cloud.mails().await.len()), (told, told));
    // Now it does, and the process that knew the old one reads it anew.
    cloud.rotate(&deployed.visits, &clinic.visits_secret("second"));
    stored(&cloud, stack).await;

    // Another archive password: the newest backup does not open with it until there is a new one.
    cloud.rotate(&stack.password, &"Rotated0123456789".repeat(4));
    let message = cloud.invoke(&stack.monitor.name, "{}").await.failed_with("Unhealthy");
    assert!(message.contains("s3"), "{message}");
    let report = stored(&cloud, stack).await;
    clinic.assert_opens(&cloud, stack, report["key"].as_str().unwrap());
    assert_eq!(cloud.invoke(&stack.monitor.name, "{}").await.report()["healthy"], true);

    // The password is gone.
    cloud.aws(&["secretsmanager", "delete-secret", "--secret-id", &stack.password, "--recovery-window-in-days", "7"]);
    for function in [&stack.backup, &stack.monitor] {
        let answer = format!("{:?}", cloud.invoke(&function.name, "{}").await);
        assert!(answer.starts_with("Failed") && answer.contains("ArchivePassword"), "{answer}");
    }
    cloud.aws(&["secretsmanager", "restore-secret", "--secret-id", &stack.password]);

    // SES refuses: the backup is made, and says that nobody could be mailed.
    cloud.aws(&["sesv2", "delete-email-identity", "--email-identity", SENDER]);
    let report = stored(&cloud, stack).await;
    let told = report["notifications"].as_array().unwrap();
    let error = |channel: &str| &told.iter().find(|delivery| delivery["channel"] == channel).unwrap()["error"];
    assert!(error("mail").as_str().unwrap().contains("MessageRejected"), "{told:?}");
    assert!(error("slack").is_null(), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_does_not_start_or_is_killed_leaves_its_event_in_the_queue() {
    let cloud = Cloud::account(3);
    let clinic = Clinic::new("deploy_killed");
    let hook = Hook::start([]).await;
    let stack = clinic.deploy(&cloud, &hook, &[]).stack;

    // Nothing of ours runs in a process that the kernel kills for its memory or that never gets to `main`.
    for last_words in ["kill -KILL $$", "exit 1"] {
        replace_program(&cloud, &stack.monitor, last_words);
        cloud.hand_over(&stack.monitor.name, r#"{"disks": ["s3"]}"#).await;
        let kept = failure(&cloud, &stack).await;
        assert_eq!(kept["requestPayload"], json!({"disks": ["s3"]}), "{last_words}: {kept}");
        assert!(kept["responsePayload"]["errorType"].is_string(), "{last_words}: {kept}");
    }

    // Its rights are gone: it says which one it lacks.
    let role = cloud.aws(&["lambda", "get-function-configuration", "--function-name", &stack.backup.name]);
    let role = role["Role"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    cloud.aws(&["iam", "delete-role-policy", "--role-name", &role, "--policy-name", "backup"]);
    cloud.hand_over(&stack.backup.name, "{}").await;
    let kept = failure(&cloud, &stack).await;
    assert_eq!(kept["responsePayload"]["errorType"], "PermissionDenied", "{kept}");

    // No concurrency is left: it is not let in, and says so.
    cloud.aws(&[
        "lambda",
        "put-function-concurrency",
        "--function-name",
        &stack.cleanup.name,
        "--reserved-concurrent-executions",
        "0",
    ]);
    let refused = cloud.refused(&["lambda", "invoke", "--function-name", &stack.cleanup.name, "/dev/null"]);
    assert!(refused.contains("TooManyRequests"), "{refused}");
    cloud.aws(&["lambda", "delete-function-concurrency", "--function-name", &stack.cleanup.name]);
    let done = cloud.invoke(&stack.cleanup.name, "{}").await;
    assert!(format!("{done:?}").contains("s3"), "{done:?}");
}

/// Gives a function a program that says these last words when it is started.
fn replace_program(cloud: &Cloud, function: &Function, last_words: &str) {
    let folder = tempfile::TempDir::with_prefix("nightvault-killed-").unwrap();
    let bootstrap = folder.path().join("bootstrap");
    std::fs::write(&bootstrap, format!("#!/bin/sh\n{last_words}\n")).unwrap();
    program::stdout(std::process::Command::new("chmod").arg("755").arg(&bootstrap));
    program::stdout(
        std::process::Command::new("7z").args(["a", "-tzip", "code.zip", "bootstrap"]).current_dir(folder.path()),
    );
    let code = format!("fileb://{}", folder.path().join("code.zip").display());
    cloud.aws(&["lambda", "update-function-code", "--function-name", &function.name, "--zip-file", &code]);
}
