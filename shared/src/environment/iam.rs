//! Tokens of IAM database authentication: a signed address in place of a password, made for one connection.
//!
//! The form is the one of `aws rds generate-db-auth-token`: a request for `connect` on the service `rds-db`, signed in
//! its query, good for 15 minutes
//! (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.html>).

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::config::{Credentials, ProvideCredentials};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::Signer;
use crate::secret::Secret;
use crate::{Error, Result};

/// How long a token may be used; RDS takes no other.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// What stands unescaped in a query (RFC 3986, unreserved).
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Signs with the credentials of the AWS configuration.
#[derive(Debug)]
pub(super) struct AwsSigner {
    aws: SdkConfig,
}

impl AwsSigner {
    /// A signer with this configuration's credentials, region and clock.
    pub(super) fn new(aws: SdkConfig) -> Self {
        Self { aws }
    }
}

#[async_trait]
impl Signer for AwsSigner {
    async fn token(&self, host: &str, port: u16, user: &str) -> Result<Secret> {
        let missing = |what: &str| {
            Error::configuration(format!("there is no AWS {what} to sign the login of {user:?} on {host:?} with")).hint(
                "IAM authentication takes a region and credentials that allow rds-db:connect: set AWS_REGION and a role.",
            )
        };
        let region = region_of(host).or_else(|| self.aws.region().map(ToString::to_string));
        let region = region.ok_or_else(|| missing("region"))?;
        let provider = self.aws.credentials_provider().ok_or_else(|| missing("credentials"))?;
        let credentials = provider.provide_credentials().await.map_err(|e| missing("credentials").because(e))?;
        let clock = self.aws.time_source().ok_or_else(|| Error::bug("the AWS configuration has no clock"))?;
        token(credentials, &region, clock.now(), (host, port), user)
    }
}

/// The region in a host name of RDS, `….<region>.rds.amazonaws.com`.
fn region_of(host: &str) -> Option<String> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let rest = host.strip_suffix(".rds.amazonaws.com")?;
    rest.rsplit('.').next().map(ToOwned::to_owned)
}

fn token(
    credentials: Credentials,
    region: &str,
    now: SystemTime,
    (host, port): (&str, u16),
    user: &str,
) -> Result<Secret> {
    // Never the cause: it may quote what is signed.
    let failed = |_| Error::configuration(format!("the login of {user:?} on {host:?} cannot be signed"));
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(LIFETIME);
    settings.signature_location = SignatureLocation::QueryParams;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("rds-db")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|e| Error::bug("the signature lacks a part").because(e))?
        .into();
    let mut url = format!("https://{host}:{port}/?Action=connect&DBUser={}", utf8_percent_encode(user, QUERY));
    let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(&[])).map_err(failed)?;
    let (instructions, _) = sign(request, &parameters).map_err(failed)?.into_parts();
    for (name, value) in instructions.params() {
        url.push_str(&format!("&{name}={}", utf8_percent_encode(value, QUERY)));
    }
    Ok(Secret::new(url.split_off("https://".len())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const HOST: &str = "clinic.abcdefg.eu-central-1.rds.amazonaws.com";

    fn made(port: u16, user: &str, session: Option<&str>) -> String {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIDEXAMPLE", secret, session.map(Into::into), None, "test");
        // 2026-11-25T06:34:30Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_588_470);
        token(credentials, &region_of(HOST).unwrap(), now, (HOST, port), user).unwrap().expose().to_owned()
    }

    fn parts(token: &str) -> (String, BTreeSet<String>) {
        let (address, query) = token.split_once('?').unwrap();
        (address.to_owned(), query.split('&').map(ToOwned::to_owned).collect())
    }

    /// By botocore's `generate_db_auth_token`.
    #[test]
    fn a_token_is_the_one_of_another_implementation() {
        let wanted = "clinic.abcdefg.eu-central-1.rds.amazonaws.com:3306/?Action=connect&DBUser=backup&X-Amz-Algorithm=\
            AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261125%2Feu-central-1%2Frds-db%2Faws4_request&X-Amz-Date=\
            20261125T063430Z&X-Amz-SignedHeaders=host&X-Amz-Expires=900&X-Amz-Signature=\
            d5d575ad883af61bf45db004f55372fd77c8c0abc43ff7b308799b5fd4258733";
        assert_eq!(parts(&made(3306, "backup", None)), parts(wanted));
        let wanted = "clinic.abcdefg.eu-central-1.rds.amazonaws.com:5432/?Action=connect&DBUser=night%20vault%40%C3%A9&\
            X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261125%2Feu-central-1%2Frds-db%2F\
            aws4_request&X-Amz-Date=20261125T063430Z&X-Amz-SignedHeaders=host&X-Amz-Expires=900&X-Amz-Security-Token=\
            session%2Btoken%2F%3D&X-Amz-Signature=cfc92c928b5eebf01324796ad15bcf861950f36de181d61d2b0aced48eb0523e";
        assert_eq!(parts(&made(5432, "night vault@é", Some("session+token/="))), parts(wanted));
    }

    #[test]
    fn the_region_is_the_one_of_the_host() {
        assert_eq!(region_of("c.cluster-abc.us-west-2.rds.amazonaws.com").as_deref(), Some("us-west-2"));
        assert_eq!(region_of("localhost"), None);
    }
}
