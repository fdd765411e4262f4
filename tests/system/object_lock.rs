//! `BACKUP_OBJECT_LOCK` through the built command, on a bucket that locks: from the first moment, and for as long as the
//! policy surely keeps a backup.

use aws_sdk_s3::types::{
    DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockRetentionMode, ObjectLockRule,
};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::support::nightvault::Nightvault;
use crate::support::s3::{self, Bucket};

/// An installation that locks what it stores in the bucket.
fn locking(bucket: &Bucket, mode: &str) -> Nightvault {
    let mut nightvault = Nightvault::local("clinic");
    let registry = nightvault.folder().join("registry");
    std::fs::create_dir(&registry).unwrap();
    std::fs::write(registry.join("patients.txt"), "one patient").unwrap();
    nightvault
        .set("BACKUP_FILES", &format!("registry={}", registry.display()))
        .set("BACKUP_DISK", "s3")
        .set("AWS_BUCKET", &bucket.name)
        .set("AWS_ENDPOINT", &bucket.endpoint)
        .set("AWS_USE_PATH_STYLE_ENDPOINT", "true")
        .set("AWS_ACCESS_KEY_ID", s3::KEY_ID)
        .set("AWS_SECRET_ACCESS_KEY", s3::SECRET)
        .set("BACKUP_OBJECT_LOCK", mode);
    nightvault
}

/// What the bucket itself says.
async fn locked(bucket: &Bucket, key: &str) -> (ObjectLockRetentionMode, Timestamp) {
    let found = bucket.client.get_object_retention().bucket(&bucket.name).key(key).send().await.unwrap();
    let found = found.retention.unwrap();
    let until = Timestamp::from_second(found.retain_until_date.unwrap().secs()).unwrap();
    (found.mode.unwrap(), until)
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_backup_is_locked_from_the_beginning_and_cleanup_lets_the_lock_follow_the_plan() {
    let bucket = s3::locking_bucket().await;
    let nightvault = locking(&bucket, "compliance");
    let newest = nightvault.ok(&["run"]);
    let (date, until) = (time(&newest["started"]), time(&newest["disks"][0]["locked_until"]));
    let key = newest["key"].as_str().unwrap();
    assert_eq!(locked(&bucket, key).await, (ObjectLockRetentionMode::Compliance, until));
    // Seven days are kept in any case, and the promise is not far below.
    assert!(until <= date + (7 * 24).hours() && until > date + (6 * 24).hours(), "{until}");

    // Of a day that is over, the only one: cleanup, which sees that, locks it through the daily window too.
    let scheduled = date - (5 * 24).hours();
    let older = nightvault.ok(&["run", "--scheduled-time", &scheduled.to_string()]);
    let key = older["key"].as_str().unwrap();
    let first = time(&older["disks"][0]["locked_until"]);
    assert!(first > date && first <= scheduled + (7 * 24).hours(), "{first}");
    let cleanup = nightvault.ok(&["cleanup"]);
    assert_eq!((&cleanup["disks"][0]["locked"], &cleanup["disks"][0]["not_locked"]), (&json!(1), &json!([])));
    let (mode, second) = locked(&bucket, key).await;
    assert_eq!(mode, ObjectLockRetentionMode::Compliance);
    assert!(second > scheduled + (30 * 24).hours(), "{second}");
    assert_eq!(nightvault.ok(&["cleanup"])["disks"][0]["locked"], 0);
    assert_eq!(locked(&bucket, key).await.1, second);
    let shown = nightvault.run(&["list"]);
    assert!(shown.stdout.contains("until 20"), "{shown:?}");
}

#[tokio::test]
async fn cleanup_locks_what_was_stored_before_and_a_second_cleanup_finds_nothing_to_do() {
    let bucket = s3::locking_bucket().await;
    let mut nightvault = locking(&bucket, "off");
    let now = time(&nightvault.ok(&["run"])["started"]);
    let scheduled = now - (3 * 24).hours();
    let older = nightvault.ok(&["run", "--scheduled-time", &scheduled.to_string()]);
    assert_eq!(older["disks"][0]["locked_until"], Value::Null);
    let two_years_ago = nightvault.ok(&["run", "--scheduled-time", "2024-01-15T02:00:00Z"]);
    nightvault.ok(&["run", "--scheduled-time", "2024-01-15T01:00:00Z"]);

    nightvault.set("BACKUP_OBJECT_LOCK", "governance");
    let planned = nightvault.ok(&["cleanup", "--dry-run"]);
    assert_eq!(planned["disks"][0]["locked"], 0);
    let done = nightvault.ok(&["cleanup"]);
    // The newest, the one of three days ago, and the last of 2024; the fourth is deleted, and was not locked before.
    assert_eq!((&done["disks"][0]["locked"], &done["disks"][0]["deleted"]), (&json!(3), &json!(1)));
    let (mode, until) = locked(&bucket, older["key"].as_str().unwrap()).await;
    assert_eq!(mode, ObjectLockRetentionMode::Governance);
    assert!(until > now + (7 * 24).hours(), "{until}");
    let (_, until) = locked(&bucket, two_years_ago["key"].as_str().unwrap()).await;
    assert!(until > now + 365.hours() && until < now + (8 * 366 * 24).hours(), "{until}");
    assert_eq!(nightvault.ok(&["cleanup"])["disks"][0]["locked"], 0);
}

#[tokio::test]
async fn a_bucket_that_cannot_lock_is_refused_before_a_byte_is_written() {
    for bucket in [s3::aws_bucket().await, s3::bucket().await] {
        let mut nightvault = locking(&bucket, "governance");
        let said = nightvault.fails(2, &["run"]);
        assert!(said.stderr.contains("the bucket of disk s3 has no Object Lock"), "{said:?}");
        assert_eq!(nightvault.fails(2, &["--json", "run"]).json()["report"]["disks"][0]["uploaded_bytes"], 0);
        assert_eq!(bucket.uploads().await, 0);
        let listed = bucket.client.list_objects_v2().bucket(&bucket.name).prefix("clinic/20").send().await.unwrap();
        assert_eq!(listed.contents().len(), 0);
        // A directory has no locks, which is told and is no failure; the bucket fails beside it.
        nightvault.set("BACKUP_DISK", "local,s3");
        let run = nightvault.fails(2, &["run"]);
        assert!(run.stderr.contains("BACKUP_OBJECT_LOCK does nothing on the disk local"), "{run:?}");
        nightvault.set("BACKUP_DISK", "local");
        assert_eq!(nightvault.listed().len(), 1);
        assert_eq!(nightvault.ok(&["cleanup"])["disks"][0]["locked"], 0);
        bucket.remove().await;
    }
}

#[tokio::test]
async fn the_buckets_own_rule_is_never_undercut_and_must_have_the_same_mode() {
    let bucket = s3::locking_bucket().await;
    let rule = |mode| {
        let by_default = DefaultRetention::builder().mode(mode).days(90).build();
        ObjectLockConfiguration::builder()
            .object_lock_enabled(ObjectLockEnabled::Enabled)
            .rule(ObjectLockRule::builder().default_retention(by_default).build())
            .build()
    };
    let put = bucket.client.put_object_lock_configuration().bucket(&bucket.name);
    put.object_lock_configuration(rule(ObjectLockRetentionMode::Governance)).send().await.unwrap();
    let said = locking(&bucket, "compliance").fails(2, &["run"]);
    assert!(said.stderr.contains("locks new objects with governance"), "{said:?}");

    let report = locking(&bucket, "governance").ok(&["run"]);
    let (mode, until) = locked(&bucket, report["key"].as_str().unwrap()).await;
    assert_eq!(mode, ObjectLockRetentionMode::Governance);
    assert!(until > time(&report["started"]) + (89 * 24).hours(), "{until}");
    assert_eq!(time(&report["disks"][0]["locked_until"]), until);
}

#[test]
fn a_lock_and_a_size_limit_exclude_each_other() {
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set("BACKUP_OBJECT_LOCK", "governance").set("BACKUP_DELETE_OLDEST_OVER_MB", "10");
    let said = nightvault.fails(2, &["config", "--without-backup"]);
    assert!(said.stderr.contains("BACKUP_OBJECT_LOCK is on"), "{said:?}");
    nightvault.unset("BACKUP_DELETE_OLDEST_OVER_MB");
    assert_eq!(nightvault.ok(&["config", "--without-backup"])["retention"]["object_lock"], "governance");
    nightvault.set("BACKUP_OBJECT_LOCK", "forever");
    let said = nightvault.fails(2, &["config", "--without-backup"]);
    assert!(said.stderr.contains("off, governance or compliance"), "{said:?}");
}
