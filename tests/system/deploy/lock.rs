//! Object Lock: what the functions store cannot be removed before its day, by nobody, and cleanup lives with that.

use serde_json::{Value, json};

use super::clinic::{Clinic, FOLDER};
use super::cloud::Cloud;
use super::stack::Stack;
use crate::support::aws::Hook;

/// The versions of a key that are no delete markers.
fn versions(cloud: &Cloud, stack: &Stack, key: &str) -> Vec<String> {
    let listed = cloud.aws(&["s3api", "list-object-versions", "--bucket", &stack.bucket, "--prefix", key]);
    let versions = listed["Versions"].as_array().into_iter().flatten();
    versions.map(|version| version["VersionId"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_backup_outlives_cleanup_and_whoever_wants_to_delete_it() {
    let cloud = Cloud::account(4);
    let clinic = Clinic::new("deploy_locked");
    let hook = Hook::start([]).await;
    let locked = [("ObjectLock", "COMPLIANCE"), ("ObjectLockDays", "14"), ("KeepYearlyYears", "0")];
    let stack = clinic.deploy(&cloud, &hook, &locked).stack;
    // CloudFormation's bucket has it at AWS; here it is asked for again.
    let rule = json!({
        "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 14}},
    });
    let bucket = ["--bucket", stack.bucket.as_str()];
    let configuration = rule.to_string();
    let put = ["s3api", "put-object-lock-configuration", "--object-lock-configuration", &configuration];
    cloud.aws(&[&put[..], &bucket[..]].concat());

    // An old backup, which the policy does not keep, and today's.
    let event = r#"{"scheduled_time": "2024-01-15T02:00:00Z"}"#;
    assert_eq!(cloud.invoke(&stack.backup.name, event).await.report()["status"], "stored");
    let old = format!("{FOLDER}/2024-01-15-02-00-00.zip");
    assert_eq!(cloud.invoke(&stack.backup.name, "{}").await.report()["status"], "stored");
    let version = versions(&cloud, &stack, &old).pop().unwrap();
    let object = [&bucket[..], &["--key", &old, "--version-id", &version]].concat();
    let retention: Value = cloud.aws(&[&["s3api", "get-object-retention"][..], &object].concat());
    assert_eq!(retention["Retention"]["Mode"], "COMPLIANCE", "{retention}");

    // Not even the account's root removes it or shortens its time.
    let refused = cloud.refused(&[&["s3api", "delete-object"][..], &object].concat());
    assert!(refused.contains("AccessDenied"), "{refused}");
    let sooner = json!({"Mode": "GOVERNANCE", "RetainUntilDate": "2026-01-01T00:00:00Z"}).to_string();
    let refused = cloud.refused(&[&["s3api", "put-object-retention", "--retention", &sooner][..], &object].concat());
    assert!(refused.contains("AccessDenied"), "{refused}");

    // Cleanup does not fail because of it, and the bytes are there afterwards.
    let report = cloud.invoke(&stack.cleanup.name, "{}").await.report();
    assert_eq!(report["disks"][0]["error"], Value::Null, "{report}");
    assert!(versions(&cloud, &stack, &old).contains(&version), "{report}");
    assert_eq!(cloud.invoke(&stack.monitor.name, "{}").await.report()["healthy"], true);
}
