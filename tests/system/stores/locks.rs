//! Object Lock and versions on a bucket that has them: what the store itself says of locks, holds and deleted bytes.

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ObjectLockLegalHoldStatus, ObjectLockRetention, ObjectLockRetentionMode};
use nightvault_core::Class;
use nightvault_core::store::{
    Guard, HeldBy, Hidden, Hold, Lock, LockMode, Locking, Removed, Review, Store, UploadLimits, open,
};

use super::rig::{PART, assert_class, noise, put};
use crate::support::s3::{Bucket, locking_bucket};

const KEY: &str = "clinic/2024-01-15-02-00-00.zip";

async fn store_on(bucket: &Bucket) -> std::sync::Arc<dyn Store> {
    open(&bucket.disk(), &UploadLimits::default()).await.unwrap()
}

#[tokio::test]
async fn a_hold_on_a_bucket_that_can_lock_is_a_legal_hold() {
    let bucket = locking_bucket().await;
    let store = store_on(&bucket).await;
    put(&*store, KEY, b"one", None).await.unwrap();
    assert_eq!(store.guard(KEY).await.unwrap(), Guard::default());
    assert_eq!(store.hold(KEY, "audit").await.unwrap(), Some(HeldBy::LegalHold));
    let hold = Hold { by: HeldBy::LegalHold, text: Some("audit".into()) };
    assert_eq!(store.guard(KEY).await.unwrap(), Guard { lock: None, hold: Some(hold) });
    let found = bucket.client.get_object_legal_hold().bucket(&bucket.name).key(KEY).send().await.unwrap();
    assert_eq!(found.legal_hold.unwrap().status, Some(ObjectLockLegalHoldStatus::On));
    // Let go by somebody else, the tag alone still holds; a legal hold without a tag holds without a reason.
    set_legal_hold(&bucket, ObjectLockLegalHoldStatus::Off).await;
    assert_eq!(store.guard(KEY).await.unwrap().hold.unwrap().by, HeldBy::Mark);
    store.release(KEY).await.unwrap();
    assert_eq!(store.guard(KEY).await.unwrap(), Guard::default());
    set_legal_hold(&bucket, ObjectLockLegalHoldStatus::On).await;
    let hold = Hold { by: HeldBy::LegalHold, text: None };
    assert_eq!(store.guard(KEY).await.unwrap().hold, Some(hold));
    store.release(KEY).await.unwrap();
    assert_eq!(store.guard(KEY).await.unwrap(), Guard::default());
    assert_class(store.hold("clinic/none.zip", "x").await, Class::NotFound);
    store.release("clinic/none.zip").await.unwrap();
}

#[tokio::test]
async fn a_lock_is_told_with_its_mode_and_its_date() {
    let bucket = locking_bucket().await;
    let store = store_on(&bucket).await;
    put(&*store, KEY, b"one", None).await.unwrap();
    for (mode, told, until) in [
        (ObjectLockRetentionMode::Governance, LockMode::Governance, "2090-01-01T00:00:00Z"),
        (ObjectLockRetentionMode::Compliance, LockMode::Compliance, "2091-01-01T00:00:00Z"),
    ] {
        let until: jiff::Timestamp = until.parse().unwrap();
        let lock = ObjectLockRetention::builder().mode(mode).retain_until_date(DateTime::from_secs(until.as_second()));
        let put = bucket.client.put_object_retention().bucket(&bucket.name).key(KEY).retention(lock.build());
        put.send().await.unwrap();
        assert_eq!(store.guard(KEY).await.unwrap().lock, Some(Lock { mode: told, until }));
    }
}

async fn set_legal_hold(bucket: &Bucket, status: ObjectLockLegalHoldStatus) {
    let hold = aws_sdk_s3::types::ObjectLockLegalHold::builder().status(status).build();
    bucket.client.put_object_legal_hold().bucket(&bucket.name).key(KEY).legal_hold(hold).send().await.unwrap();
}

/// What is there of the key, markers included.
async fn versions_of(bucket: &Bucket, key: &str) -> usize {
    let found = bucket.client.list_object_versions().bucket(&bucket.name).prefix(key).send().await.unwrap();
    found.versions().len() + found.delete_markers().len()
}

#[tokio::test]
async fn a_deleted_version_is_hidden_or_freed_and_the_store_says_which() {
    let bucket = locking_bucket().await;
    let store = store_on(&bucket).await;
    let other = "clinic/2024-01-15-02-00-00.zip2";
    put(&*store, other, b"its neighbour", None).await.unwrap();
    put(&*store, KEY, b"0123456789", None).await.unwrap();
    assert_eq!(store.hidden("clinic/").await.unwrap(), Hidden::default());
    assert_eq!(store.remove(KEY, false).await.unwrap(), Removed::Hidden);
    assert_eq!(store.head(KEY).await.unwrap(), None);
    let old = Hidden { versions: 1, version_bytes: 10, ..Hidden::default() };
    assert_eq!(store.hidden("clinic/").await.unwrap(), old);
    assert_eq!(store.hidden("other/").await.unwrap(), Hidden::default());
    // The same key again: with all its versions gone, none of the older ones comes back to light.
    put(&*store, KEY, b"again", None).await.unwrap();
    assert_eq!(store.remove(KEY, true).await.unwrap(), Removed::Freed);
    assert_eq!((store.head(KEY).await.unwrap(), versions_of(&bucket, KEY).await), (None, 1), "the neighbour alone");
    assert!(store.head(other).await.unwrap().is_some());
    assert_eq!(store.hidden("clinic/").await.unwrap(), Hidden::default());
    assert_eq!(store.remove(KEY, true).await.unwrap(), Removed::Freed, "what is gone is gone");
}

#[tokio::test]
async fn a_version_under_a_lock_or_a_hold_is_not_deleted_and_nothing_else_is_said() {
    let bucket = locking_bucket().await;
    let store = store_on(&bucket).await;
    put(&*store, KEY, b"one", None).await.unwrap();
    store.hold(KEY, "audit").await.unwrap();
    assert_class(store.remove(KEY, true).await, Class::Permission);
    assert!(store.head(KEY).await.unwrap().is_some(), "it is still seen");
    store.release(KEY).await.unwrap();
    assert_eq!(store.remove(KEY, true).await.unwrap(), Removed::Freed);
}

#[tokio::test]
async fn a_bucket_without_versions_frees_at_once_either_way() {
    for bucket in [crate::support::s3::aws_bucket().await, crate::support::s3::bucket().await] {
        let store = store_on(&bucket).await;
        for versions in [false, true] {
            put(&*store, KEY, b"one", None).await.unwrap();
            assert_eq!(store.remove(KEY, versions).await.unwrap(), Removed::Freed);
            assert_eq!(store.head(KEY).await.unwrap(), None);
        }
        assert_eq!(store.hidden("clinic/").await.unwrap(), Hidden::default());
        assert_eq!(store.forgets("clinic/", jiff::Timestamp::UNIX_EPOCH).await.unwrap(), None);
        bucket.remove().await;
    }
}

#[tokio::test]
async fn parts_of_uploads_that_were_never_completed_are_counted() {
    let bucket = crate::support::s3::aws_bucket().await;
    let store = store_on(&bucket).await;
    let begin = || bucket.client.create_multipart_upload().bucket(&bucket.name).key(KEY).send();
    let id = begin().await.unwrap().upload_id.unwrap();
    for (number, size) in [(1, 3000), (2, 500)] {
        let part = bucket.client.upload_part().bucket(&bucket.name).key(KEY).upload_id(&id).part_number(number);
        part.body(vec![7; size].into()).send().await.unwrap();
    }
    begin().await.unwrap();
    let begun = Hidden { uploads: 2, upload_bytes: 3500, ..Hidden::default() };
    assert_eq!(store.hidden("clinic/").await.unwrap(), begun);
    assert_eq!(store.hidden("other/").await.unwrap(), Hidden::default());
}

#[tokio::test]
async fn the_lifecycle_rule_says_when_old_versions_go() {
    let bucket = locking_bucket().await;
    let store = store_on(&bucket).await;
    let hidden_at = "2026-01-15T10:30:00Z".parse().unwrap();
    assert_eq!(store.forgets("clinic/", hidden_at).await.unwrap(), None);
    bucket.forget_old_versions_after(30).await;
    let until = "2026-02-15T00:00:00Z".parse().unwrap();
    assert_eq!(store.forgets("clinic/", hidden_at).await.unwrap(), Some(until));
}

#[tokio::test]
async fn a_lock_only_grows_and_an_object_is_never_seen_without_it() {
    let bucket = locking_bucket().await;
    let store = store_on(&bucket).await;
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let governance = Lock { mode: LockMode::Governance, until: at("2080-01-01T00:00:00Z") };
    for (key, size) in [(KEY, 10), ("clinic/large.zip", PART + 1)] {
        let mut upload = store.create_locked(key, None, Some(governance)).await.unwrap();
        upload.write(noise(size, 1).into()).await.unwrap();
        let stored = upload.complete(&Review { bytes: size as u64 }).await.unwrap();
        assert_eq!(stored.lock, Some(governance));
        assert_eq!(store.guard(key).await.unwrap().lock, Some(governance));
    }
    // Shorter: nothing. Longer and firmer: both. Longer and looser: longer, and as firm as before.
    let sooner = Lock { mode: LockMode::Compliance, until: at("2079-01-01T00:00:00Z") };
    assert_eq!(store.lock(KEY, sooner).await.unwrap(), Some(governance));
    let firmer = Lock { mode: LockMode::Compliance, until: at("2081-01-01T00:00:00Z") };
    assert_eq!(store.lock(KEY, firmer).await.unwrap(), Some(firmer));
    let looser = Lock { mode: LockMode::Governance, until: at("2082-01-01T00:00:00Z") };
    assert_eq!(store.lock(KEY, looser).await.unwrap(), Some(Lock { until: looser.until, ..firmer }));
    assert_class(store.lock("clinic/none.zip", looser).await, Class::NotFound);
    assert_eq!(store.locking().await.unwrap(), Locking::On { default: None });
    for bucket in [crate::support::s3::aws_bucket().await, crate::support::s3::bucket().await] {
        let store = store_on(&bucket).await;
        put(&*store, KEY, b"one", None).await.unwrap();
        assert_eq!(store.locking().await.unwrap(), Locking::Off);
        assert_eq!(store.lock(KEY, looser).await.unwrap(), None);
        bucket.remove().await;
    }
}
