//! S3 as a service: who is let in, what a listing says, what is swept, what an error tells.

use std::sync::Arc;

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use jiff::Timestamp;
use nightvault_core::config::types::{DiskConfig, DiskKind, S3Config};
use nightvault_core::store::{Store, open};
use nightvault_core::{Class, Error};

use super::proxy::{Act, Op, Proxy, refusal};
use super::rig::{PART, assert_class, assert_nothing_visible, limits, noise, put};
use crate::support::given;
use crate::support::s3::{Bucket, KEY_ID, SECRET, aws_bucket, bucket, credentials};

const KEY: &str = "clinic/2024-01-15-02-00-00.zip";

async fn store_with(bucket: &Bucket, change: impl FnOnce(&mut S3Config)) -> Arc<dyn Store> {
    let DiskConfig { name, kind: DiskKind::S3(mut config) } = bucket.disk() else { panic!("a bucket's disk is S3") };
    change(&mut config);
    open(&DiskConfig { name, kind: DiskKind::S3(config) }, &limits()).await.unwrap()
}

/// What every call says of a store that cannot be used.
async fn errors_of(store: &dyn Store) -> Vec<Error> {
    vec![
        store.probe().await.unwrap_err(),
        store.list("").await.unwrap_err(),
        store.read(KEY, 0..1, None).await.unwrap_err(),
        put(store, KEY, b"x", None).await.unwrap_err(),
        put(store, KEY, &noise(PART + 1, 1), None).await.unwrap_err(),
        store.delete(KEY).await.unwrap_err(),
    ]
}

fn assert_tells(errors: &[Error], class: Class, hint: &str) {
    for error in errors {
        let chain = error.chain();
        assert_eq!(error.class(), class, "{chain}");
        assert!(error.hint_text().unwrap().contains(hint), "{chain}: {:?}", error.hint_text());
        for secret in [SECRET, "wrong-secret", "Signature=", "AWS4-HMAC", "X-Amz-", "authorization"] {
            assert!(!chain.contains(secret), "{chain}");
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_a_permission_error_of_every_call() {
    let bucket = bucket().await;
    let store = store_with(&bucket, |config| config.credentials = Some(credentials(KEY_ID, "wrong-secret"))).await;
    let mut errors = errors_of(store.as_ref()).await;
    // The answer to HEAD has no body; the reason must be told all the same.
    errors.push(store.head(KEY).await.unwrap_err());
    assert_tells(&errors, Class::Permission, "the secret");
    assert!(errors.iter().all(|error| error.chain().contains("SignatureDoesNotMatch")), "{errors:?}");
    bucket.remove().await;
}

#[tokio::test]
async fn an_unknown_key_id_is_a_permission_error() {
    let bucket = bucket().await;
    let store = store_with(&bucket, |config| config.credentials = Some(credentials("AKIDNOBODY", SECRET))).await;
    for error in errors_of(store.as_ref()).await {
        assert_eq!(error.class(), Class::Permission, "{error:?}");
    }
    bucket.remove().await;
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_not_found() {
    let bucket = aws_bucket().await;
    let store = store_with(&bucket, |config| config.bucket = "nobody-made-this".to_owned()).await;
    let errors = errors_of(store.as_ref()).await;
    assert_tells(&errors, Class::NotFound, "nobody-made-this");
    assert!(errors[0].to_string().contains("nobody-made-this"));
    bucket.remove().await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_named_with_the_way_to_it() {
    let bucket = bucket().await;
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let store = store_with(&bucket, |config| config.endpoint = Some(endpoint.clone())).await;
    let error = store.probe().await.unwrap_err();
    assert_tells(std::slice::from_ref(&error), Class::Transient, &endpoint);
    bucket.remove().await;
}

#[tokio::test]
async fn another_region_is_told_with_its_name() {
    let bucket = bucket().await;
    let proxy = Proxy::start(&bucket.endpoint, |_| Act::Answer(301, refusal("PermanentRedirect"))).await;
    let store = open(&bucket.disk_at(&proxy.endpoint, ""), &limits()).await.unwrap();
    let error = store.probe().await.unwrap_err();
    assert_tells(std::slice::from_ref(&error), Class::Configuration, "AWS_DEFAULT_REGION");
    bucket.remove().await;
}

#[tokio::test]
async fn thousands_of_keys_are_listed_to_the_last() {
    let bucket = bucket().await;
    let folder = std::path::Path::new(&given("TEST_S3_ROOT")).join(&bucket.name).join("clinic");
    std::fs::create_dir(&folder).unwrap();
    let names: Vec<String> = (0..2500).map(|number| format!("clinic/{number:05}.zip")).collect();
    for name in &names {
        std::fs::write(folder.join(&name["clinic/".len()..]), "x").unwrap();
    }
    let proxy = Proxy::start(&bucket.endpoint, |_| Act::Pass).await;
    let store = open(&bucket.disk_at(&proxy.endpoint, ""), &limits()).await.unwrap();
    let listed = store.list("clinic/").await.unwrap();
    assert!(listed.iter().map(|object| &object.key).eq(&names));
    assert_eq!(proxy.count(Op::List), 3);
    bucket.remove().await;
}

/// A page of a listing, as a store writes it.
fn page(keys: &[&str], next: Option<&str>) -> String {
    let contents = keys.iter().map(|key| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2024-01-15T02:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
             <Size>1</Size></Contents>"
        )
    });
    let contents: String = contents.collect();
    let next = next.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>")).unwrap_or_default();
    let truncated = !next.is_empty();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><IsTruncated>{truncated}</IsTruncated>{next}{contents}\
         </ListBucketResult>"
    )
}

async fn listing(pages: Vec<String>) -> nightvault_core::Result<Vec<String>> {
    let bucket = bucket().await;
    let proxy =
        Proxy::start(&bucket.endpoint, move |request| Act::Answer(200, pages[request.before % pages.len()].clone()))
            .await;
    let store = open(&bucket.disk_at(&proxy.endpoint, "vault"), &limits()).await.unwrap();
    let listed = store.list("clinic/").await;
    bucket.remove().await;
    Ok(listed?.into_iter().map(|object| object.key).collect())
}

#[tokio::test]
async fn pages_in_any_order_and_sent_twice_make_one_sorted_listing() {
    let listed = listing(vec![
        page(&["vault/clinic/c.zip", "vault/clinic/a.zip"], Some("1")),
        page(&["vault/clinic/c.zip", "vault/other/x.zip", "elsewhere/clinic/y.zip"], Some("2")),
        page(&["vault/clinic/100%25.zip", "vault/clinic/b&#10;&#x1;.zip", "vault/clinic/a+b.zip"], None),
    ])
    .await;
    assert_eq!(
        listed.unwrap(),
        ["clinic/100%25.zip", "clinic/a+b.zip", "clinic/a.zip", "clinic/b\n\u{1}.zip", "clinic/c.zip"]
    );
}

#[tokio::test]
async fn a_listing_that_never_ends_is_no_listing() {
    assert_class(listing(vec![page(&["vault/clinic/a.zip"], Some("same"))]).await, Class::Unsupported);
    let endless = page(&["vault/clinic/a.zip"], None).replace("<IsTruncated>false", "<IsTruncated>true");
    assert_class(listing(vec![endless]).await, Class::Unsupported);
}

#[tokio::test]
async fn what_a_killed_run_left_is_invisible_and_swept_when_it_is_old() {
    let bucket = aws_bucket().await;
    let store = open(&bucket.disk_at(&bucket.endpoint, "vault"), &limits()).await.unwrap();
    for key in [KEY, "other/2024-01-15-02-00-00.zip"] {
        let mut killed = store.create(key, None).await.unwrap();
        killed.write(noise(3 * PART, 1).into()).await.unwrap();
        // A killed process runs no destructor.
        std::mem::forget(killed);
        assert_nothing_visible(store.as_ref(), key).await;
    }
    assert_eq!(bucket.uploads().await, 2);
    let long_ago = Timestamp::from_second(1_000_000_000).unwrap();
    let in_the_future = Timestamp::from_second(10_000_000_000).unwrap();
    assert_eq!(store.abort_stale("clinic/", long_ago).await.unwrap(), 0, "not older");
    assert_eq!(store.abort_stale("clinic/2023", in_the_future).await.unwrap(), 0, "not under the prefix");
    assert_eq!(store.abort_stale("clinic/", in_the_future).await.unwrap(), 1);
    assert_eq!(bucket.uploads().await, 1, "the other's is left alone");
    put(store.as_ref(), KEY, b"the next run works", None).await.unwrap();
    bucket.remove().await;
}

#[tokio::test]
async fn a_store_that_cannot_list_uploads_has_none_to_sweep() {
    let bucket = bucket().await;
    let store = store_with(&bucket, |_| {}).await;
    assert_eq!(store.abort_stale("", Timestamp::MAX).await.unwrap(), 0);
    bucket.remove().await;
}

#[tokio::test]
async fn a_sweep_that_is_denied_is_told() {
    let bucket = bucket().await;
    let proxy = Proxy::start(&bucket.endpoint, |_| Act::Answer(403, refusal("AccessDenied"))).await;
    let store = open(&bucket.disk_at(&proxy.endpoint, ""), &limits()).await.unwrap();
    let error = store.abort_stale("", Timestamp::MAX).await.unwrap_err();
    assert_tells(std::slice::from_ref(&error), Class::Permission, "s3:ListBucketMultipartUploads");
    bucket.remove().await;
}

#[tokio::test]
async fn a_delete_in_a_versioned_bucket_hides_the_object_behind_a_marker() {
    let bucket = aws_bucket().await;
    let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    bucket.client.put_bucket_versioning().bucket(&bucket.name).versioning_configuration(on).send().await.unwrap();
    let store = store_with(&bucket, |_| {}).await;
    put(store.as_ref(), KEY, b"x", None).await.unwrap();
    store.delete(KEY).await.unwrap();
    assert_nothing_visible(store.as_ref(), KEY).await;
    assert_class(store.read(KEY, 0..1, None).await, Class::NotFound);
    let kept = bucket.client.list_object_versions().bucket(&bucket.name).send().await.unwrap();
    assert_eq!((kept.versions().len(), kept.delete_markers().len()), (1, 1));
    bucket.remove().await;
}
