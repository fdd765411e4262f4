//! The client of one disk: where it connects to, how long it waits, how often it tries.
//!
//! Everything has an end: connecting (a network without a route, such as a VPC without an endpoint for S3, swallows
//! packets), every attempt, and a transfer that stands still. Attempts that carry bytes get time by their size. Retries
//! are the SDK's own, with jitter and a budget that all requests share; bodies stay in memory until they were taken.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Config, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};

use super::fault::Place;
use crate::config::types::S3Config;
use crate::{Error, Result};

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);

/// Until a request that carries no bytes is answered.
const ATTEMPT: Duration = Duration::from_secs(60);

/// Until a completion is answered: the store puts up to 10,000 parts together.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>: "can take several minutes".
const COMPLETION: Duration = Duration::from_secs(600);

/// How long a transfer may stand still.
const STALLED: Duration = Duration::from_secs(30);

/// The slowest line on which a part must still get through, in bytes per second.
const SLOWEST: u64 = 64 << 10;

/// Attempts of one request: where nothing answers, half a minute passes before that is told.
const ATTEMPTS: u32 = 6;

pub(super) async fn open(disk: String, bucket: &S3Config) -> Result<(Client, Place)> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = &bucket.region {
        loader = loader.region(Region::new(region.clone()));
    } else if bucket.endpoint.is_some() {
        // The name is part of the signature alone; this is the one that such stores take when they have none.
        loader = loader.region(Region::new("us-east-1"));
    }
    if let Some(given) = &bucket.credentials {
        let token = given.session_token.as_ref().map(|token| token.expose().to_owned());
        let secret = given.secret_access_key.expose();
        loader = loader.credentials_provider(Credentials::new(&given.access_key_id, secret, token, None, "nightvault"));
    }
    let shared = loader.load().await;
    let Some(region) = shared.region() else {
        return Err(Error::configuration(format!(
            "no region is known for the bucket {} of disk {disk}",
            bucket.bucket
        ))
        .hint("Set AWS_DEFAULT_REGION, or `region=` in the disk's URL."));
    };
    let endpoint = bucket.endpoint.as_deref().or(shared.endpoint_url());
    let place = Place {
        disk,
        bucket: bucket.bucket.clone(),
        endpoint: endpoint.map(without_secrets),
        region: region.as_ref().to_owned(),
    };
    let mut config = Builder::from(&shared)
        .force_path_style(bucket.path_style)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(
            RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(Duration::from_millis(250)),
        )
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(STALLED).build());
    if let Some(endpoint) = &bucket.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok((Client::from_conf(config.build()), place))
}

/// For a request that carries `bytes`.
pub(super) fn carrying(bytes: u64) -> Builder {
    let wait = ATTEMPT + Duration::from_secs(bytes / SLOWEST);
    Config::builder().timeout_config(TimeoutConfig::builder().operation_attempt_timeout(wait).build())
}

/// For a request that must not be repeated without a look at what the first attempt did.
pub(super) fn once(bytes: u64) -> Builder {
    let wait = COMPLETION.max(ATTEMPT + Duration::from_secs(bytes / SLOWEST));
    Config::builder()
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(wait).build())
}

/// An endpoint as it may be shown: without user, password and query.
fn without_secrets(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let shown = if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") };
    if scheme.is_empty() { shown } else { format!("{scheme}://{shown}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_endpoint_has_no_secrets() {
        for (given, shown) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("https://user:pass@word@store.example/?X-Amz-Signature=abc", "https://store.example"),
            ("https://store.example/base?token=1#x", "https://store.example/base"),
            ("store.example", "store.example"),
        ] {
            assert_eq!(without_secrets(given), shown);
        }
    }

    #[test]
    fn a_large_part_gets_more_time_than_a_small_one() {
        let wait = |config: Builder| config.build().timeout_config().unwrap().operation_attempt_timeout().unwrap();
        assert!(wait(carrying(5 << 30)) > wait(carrying(8 << 20)));
        assert!(wait(carrying(0)) >= ATTEMPT);
    }
}
