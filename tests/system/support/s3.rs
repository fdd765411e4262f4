//! The S3 servers: buckets of a test's own, and a plain SDK client that looks behind the store under test.

#![allow(clippy::unwrap_used, reason = "everything here is test code, its helpers too")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, ExpirationStatus, LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nightvault_core::config::types::{DiskConfig, DiskKind, S3Config, S3Credentials};
use nightvault_core::secret::Secret;

use super::given;

/// The key that the S3 server takes; it checks signatures.
pub(crate) const KEY_ID: &str = "AKIDTEST";

/// Its secret.
pub(crate) const SECRET: &str = "SECRETTEST";

/// A bucket of this test alone, on one of the two servers.
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) endpoint: String,
    pub(crate) client: Client,
    /// The server's folder, where it keeps one.
    root: Option<PathBuf>,
}

/// A new bucket on `s3s-fs`.
pub(crate) async fn bucket() -> Bucket {
    let root = PathBuf::from(given("TEST_S3_ROOT"));
    let endpoint = given("TEST_S3_ENDPOINT");
    let name = unique();
    std::fs::create_dir(root.join(&name)).unwrap();
    Bucket { client: client(&endpoint), name, endpoint, root: Some(root) }
}

/// A new bucket on `ministack`.
pub(crate) async fn aws_bucket() -> Bucket {
    let endpoint = given("TEST_AWS_ENDPOINT");
    let name = unique();
    let client = client(&endpoint);
    client.create_bucket().bucket(&name).send().await.unwrap();
    Bucket { name, endpoint, client, root: None }
}

/// A new bucket on `ministack` that keeps versions and can lock them. What is locked there ends with the server's memory.
pub(crate) async fn locking_bucket() -> Bucket {
    let endpoint = given("TEST_AWS_ENDPOINT");
    let name = unique();
    let client = client(&endpoint);
    client.create_bucket().bucket(&name).object_lock_enabled_for_bucket(true).send().await.unwrap();
    Bucket { name, endpoint, client, root: None }
}

/// An SDK client with the test's credentials.
pub(crate) fn client(endpoint: &str) -> Client {
    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(KEY_ID, SECRET, None, None, "tests"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .timeout_config(
            aws_sdk_s3::config::timeout::TimeoutConfig::builder().connect_timeout(Duration::from_secs(5)).build(),
        );
    Client::from_conf(config.build())
}

/// A name that no other test, process or run has.
fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let random = tempfile::Builder::new().prefix("").rand_bytes(8).tempdir().unwrap();
    let random = random.path().file_name().unwrap().to_string_lossy().to_ascii_lowercase();
    format!("test-{random}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Bucket {
    /// The disk that describes this bucket.
    pub(crate) fn disk(&self) -> DiskConfig {
        self.disk_at(&self.endpoint, "")
    }

    /// The same through another address (a proxy's), below a prefix.
    pub(crate) fn disk_at(&self, endpoint: &str, prefix: &str) -> DiskConfig {
        let bucket = S3Config {
            bucket: self.name.clone(),
            prefix: prefix.to_owned(),
            region: None,
            endpoint: Some(endpoint.to_owned()),
            path_style: true,
            credentials: Some(credentials(KEY_ID, SECRET)),
        };
        DiskConfig { name: "s3".to_owned(), kind: DiskKind::S3(bucket) }
    }

    /// How many uploads the server has begun and neither completed nor aborted, in this bucket.
    pub(crate) async fn uploads(&self) -> usize {
        match &self.root {
            // s3s-fs cannot list uploads; it keeps the metadata of each in a file.
            Some(root) => self.metadata(root).filter(|name| name.to_string_lossy().contains(".upload-")).count(),
            None => self.client.list_multipart_uploads().bucket(&self.name).send().await.unwrap().uploads().len(),
        }
    }

    /// The files in which s3s-fs keeps what it knows of this bucket's objects and uploads.
    fn metadata(&self, root: &Path) -> impl Iterator<Item = OsString> {
        let start = format!(".bucket-{}.", URL_SAFE_NO_PAD.encode(&self.name));
        let names = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(move |name| name.to_string_lossy().starts_with(&start))
    }

    /// Gives the bucket a lifecycle rule for old versions.
    pub(crate) async fn forget_old_versions_after(&self, days: i32) {
        let expires = NoncurrentVersionExpiration::builder().noncurrent_days(days).build();
        let rule = LifecycleRule::builder()
            .id("forget")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .noncurrent_version_expiration(expires)
            .build()
            .unwrap();
        let rules = BucketLifecycleConfiguration::builder().rules(rule).build().unwrap();
        let put = self.client.put_bucket_lifecycle_configuration().bucket(&self.name);
        put.lifecycle_configuration(rules).send().await.unwrap();
    }

    /// Removes the bucket and what is in it.
    pub(crate) async fn remove(self) {
        match &self.root {
            Some(root) => {
                std::fs::remove_dir_all(root.join(&self.name)).unwrap();
                for name in self.metadata(root) {
                    std::fs::remove_file(root.join(name)).unwrap();
                }
            }
            None => {
                let listed = self.client.list_objects_v2().bucket(&self.name).send().await.unwrap();
                for key in listed.contents().iter().filter_map(|object| object.key()) {
                    self.client.delete_object().bucket(&self.name).key(key).send().await.unwrap();
                }
                // Not empty if there were more than one page, or versions: the server's memory ends with it.
                let _ = self.client.delete_bucket().bucket(&self.name).send().await;
            }
        }
    }
}

/// Static credentials of a disk.
pub(crate) fn credentials(key_id: &str, secret: &str) -> S3Credentials {
    S3Credentials { access_key_id: key_id.to_owned(), secret_access_key: Secret::new(secret), session_token: None }
}
