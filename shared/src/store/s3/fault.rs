//! What went wrong between here and the store, in words of this crate.
//!
//! A [`Fault`] keeps what decisions need (status, code) and what a person needs (the store's message, its request id).
//! It never keeps the request: addresses, headers and signatures stay out of errors.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::{Class, Error};

/// A bucket, as errors name it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) disk: String,
    pub(super) bucket: String,
    /// `None`: AWS itself.
    pub(super) endpoint: Option<String>,
    pub(super) region: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => write!(f, "bucket {} at {endpoint} (disk {})", self.bucket, self.disk),
            None => write!(f, "bucket {} in {} (disk {})", self.bucket, self.region, self.disk),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No answer: nothing is known of what the store did.
    Silence,
    /// No answer in time.
    Timeout,
    /// The request could not be made.
    Unmade,
    /// An answer that cannot be read.
    Garbled,
    /// The store's own answer.
    Answer,
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct Fault {
    kind: Kind,
    pub(super) status: Option<u16>,
    code: Option<String>,
    message: String,
    request_id: Option<String>,
    /// Where the store says that the bucket really is.
    region: Option<String>,
}

impl Fault {
    pub(super) fn of<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let header = |name: &str| Some(error.raw_response()?.headers().get(name)?.to_owned());
        let (code, message) = match error.as_service_error() {
            Some(answer) => (answer.code().map(str::to_owned), answer.message().unwrap_or_default().to_owned()),
            None => (None, causes(&error)),
        };
        let kind = match &error {
            SdkError::TimeoutError(_) => Kind::Timeout,
            SdkError::DispatchFailure(failed) if failed.is_timeout() => Kind::Timeout,
            SdkError::DispatchFailure(_) => Kind::Silence,
            SdkError::ConstructionFailure(_) => Kind::Unmade,
            SdkError::ServiceError(_) => Kind::Answer,
            _ => Kind::Garbled,
        };
        let status = error.raw_response().map(|response| response.status().as_u16());
        let message = message.chars().take(300).collect();
        Self {
            kind,
            status,
            code,
            message,
            request_id: header("x-amz-request-id"),
            region: header("x-amz-bucket-region"),
        }
    }

    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether the store may have done what it was asked for all the same.
    pub(super) fn leaves_doubt(&self) -> bool {
        match self.kind {
            Kind::Silence | Kind::Timeout | Kind::Garbled => true,
            Kind::Unmade => false,
            // An error in the body of an answer that began with 200 is the server's trouble, not a refusal.
            Kind::Answer if self.is("RequestTimeout") || self.status == Some(429) => true,
            Kind::Answer => self.status.is_none_or(|status| !(300..500).contains(&status)),
        }
    }

    /// Whether the store does not know this kind of request, or a header of it.
    pub(super) fn is_unknown_request(&self) -> bool {
        matches!(self.status, Some(405 | 501)) || self.is("NotImplemented") || self.is("MethodNotAllowed")
    }

    /// The error of the crate. `doing`: what for, e.g. `list "clinic/"`; `action`: what IAM calls the right to it.
    pub(super) fn error(self, place: &Place, doing: &str, action: &str) -> Error {
        let (class, hint) = self.judge(place, action);
        Error::new(class, format!("cannot {doing} in {place}")).hint(hint).because(self)
    }

    fn judge(&self, place: &Place, action: &str) -> (Class, String) {
        let unreachable = || match &place.endpoint {
            Some(endpoint) => format!("Check that {endpoint} can be reached from here, and the name in AWS_ENDPOINT."),
            None => "Check the network: a function in a VPC reaches S3 through a gateway endpoint for S3 (or a NAT \
                     gateway) in its route table."
                .to_owned(),
        };
        match self.kind {
            Kind::Timeout => return (Class::Transient, unreachable()),
            Kind::Unmade | Kind::Silence if self.message.to_ascii_lowercase().contains("credentials") => {
                let hint = "Give the disk a key id and secret, or run with a role or profile that the AWS SDK finds.";
                return (Class::Permission, hint.to_owned());
            }
            Kind::Unmade => {
                let hint =
                    "Check the bucket, the region and the endpoint of this disk: no request can be made of them.";
                return (Class::Configuration, hint.to_owned());
            }
            Kind::Silence if self.message.to_ascii_lowercase().contains("certificate") => {
                let hint = "The store's certificate is not trusted here; add its authority to the system's.";
                return (Class::Configuration, hint.to_owned());
            }
            Kind::Silence => return (Class::Transient, unreachable()),
            Kind::Garbled => {
                let hint = "What answered may not be an S3 store, or something between here and it broke the answer.";
                return (Class::Transient, hint.to_owned());
            }
            Kind::Answer => {}
        }
        let bucket = &place.bucket;
        let code = self.code.as_deref().unwrap_or_default();
        let (class, hint) = match code {
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidToken"
            | "ExpiredToken"
            | "TokenRefreshRequired"
            | "InvalidSecurity"
            | "NotSignedUp" => {
                (Class::Permission, "Check the key id and the secret (and the session token) of this disk.".to_owned())
            }
            code if code.starts_with("KMS.") => (
                Class::Permission,
                format!(
                    "Check the KMS key of bucket {bucket}: enabled, and kms:GenerateDataKey and kms:Decrypt allowed."
                ),
            ),
            "NoSuchBucket" => {
                (Class::NotFound, format!("Make the bucket {bucket}, or correct AWS_BUCKET (or the disk's URL)."))
            }
            "NoSuchUpload" => (
                Class::NotFound,
                "Something aborted the upload: another process, or a lifecycle rule with too short a time.".to_owned(),
            ),
            "NoSuchKey" => (Class::NotFound, "List what is there.".to_owned()),
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "TemporaryRedirect" => (Class::Configuration, self.other_region(place)),
            "InvalidBucketName" => (Class::Configuration, "Correct AWS_BUCKET (or the disk's URL).".to_owned()),
            "RequestTimeTooSkewed" => (Class::Configuration, "Set this machine's clock.".to_owned()),
            "InvalidObjectState" => (
                Class::Unsupported,
                "The object is in an archive storage class; restore it in S3 first, then try again.".to_owned(),
            ),
            "EntityTooLarge" | "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" => {
                (Class::Limit, "The store takes no more: free space, or raise its quota.".to_owned())
            }
            "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" => {
                (Class::Transient, "Bytes changed on their way to the store; try again.".to_owned())
            }
            "SlowDown" | "InternalError" | "ServiceUnavailable" | "RequestTimeout" | "OperationAborted"
            | "Throttling" => (Class::Transient, "The store is busy or in trouble; try again later.".to_owned()),
            _ => match self.status {
                Some(401 | 403) => (
                    Class::Permission,
                    format!(
                        "Allow {action} on bucket {bucket} for these credentials, in their policy, the bucket's, and that \
                         of the VPC endpoint if there is one."
                    ),
                ),
                Some(301 | 302 | 307 | 308) => (Class::Configuration, self.other_region(place)),
                Some(404) => (Class::NotFound, format!("Check that the bucket {bucket} exists.")),
                Some(405 | 501) => {
                    (Class::Unsupported, "This store does not know a request that is needed; use another.".to_owned())
                }
                Some(507) => (Class::Limit, "The store takes no more: free space, or raise its quota.".to_owned()),
                Some(status) if status >= 500 || status == 408 || status == 429 || status < 300 => {
                    (Class::Transient, "The store is busy or in trouble; try again later.".to_owned())
                }
                _ => (
                    Class::Unsupported,
                    "The store refuses a request that S3 takes; report this with its code.".to_owned(),
                ),
            },
        };
        (class, hint)
    }

    fn other_region(&self, place: &Place) -> String {
        match &self.region {
            Some(region) => format!("The bucket {} is in {region}: set AWS_DEFAULT_REGION to it.", place.bucket),
            None => format!("The bucket {} is not in {}: set AWS_DEFAULT_REGION.", place.bucket, place.region),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.status.map(|status| format!("HTTP {status}")));
        parts.extend(self.code.clone());
        parts.extend(self.request_id.as_ref().map(|id| format!("request {id}")));
        match (parts.is_empty(), self.message.is_empty()) {
            (true, true) => f.write_str("the store did not say why"),
            (true, false) => f.write_str(&self.message),
            (false, true) => f.write_str(&parts.join(", ")),
            (false, false) => write!(f, "{} ({})", self.message, parts.join(", ")),
        }
    }
}

impl StdError for Fault {}

/// The causes of an error on one line. The SDK's own first message ("dispatch failure") says nothing.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if said.last() != Some(&text) {
            said.push(text);
        }
        cause = error.source();
    }
    if said.is_empty() { error.to_string() } else { said.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(endpoint: Option<&str>) -> Place {
        Place {
            disk: "s3".to_owned(),
            bucket: "vault".to_owned(),
            endpoint: endpoint.map(str::to_owned),
            region: "eu-central-1".to_owned(),
        }
    }

    fn answer(status: u16, code: &str) -> Fault {
        Fault {
            kind: Kind::Answer,
            status: Some(status),
            code: Some(code.to_owned()).filter(|code| !code.is_empty()),
            message: String::new(),
            request_id: None,
            region: None,
        }
    }

    #[test]
    fn every_answer_has_a_class_and_says_what_to_do() {
        for (status, code, class, hint) in [
            (403, "AccessDenied", Class::Permission, "s3:PutObject"),
            (403, "", Class::Permission, "VPC endpoint"),
            (403, "InvalidAccessKeyId", Class::Permission, "key id"),
            (403, "SignatureDoesNotMatch", Class::Permission, "secret"),
            (400, "ExpiredToken", Class::Permission, "session token"),
            (400, "KMS.DisabledException", Class::Permission, "kms:GenerateDataKey"),
            (404, "NoSuchBucket", Class::NotFound, "AWS_BUCKET"),
            (404, "NoSuchUpload", Class::NotFound, "lifecycle"),
            (404, "", Class::NotFound, "vault"),
            (301, "PermanentRedirect", Class::Configuration, "AWS_DEFAULT_REGION"),
            (400, "AuthorizationHeaderMalformed", Class::Configuration, "eu-central-1"),
            (307, "", Class::Configuration, "AWS_DEFAULT_REGION"),
            (403, "RequestTimeTooSkewed", Class::Configuration, "clock"),
            (403, "InvalidObjectState", Class::Unsupported, "restore it"),
            (501, "NotImplemented", Class::Unsupported, "another"),
            (400, "InvalidRequest", Class::Unsupported, "report"),
            (503, "SlowDown", Class::Transient, "later"),
            (500, "", Class::Transient, "later"),
            (429, "", Class::Transient, "later"),
            (200, "InternalError", Class::Transient, "later"),
            (400, "BadDigest", Class::Transient, "again"),
            (507, "", Class::Limit, "quota"),
        ] {
            let error = answer(status, code).error(&place(None), "store \"k\"", "s3:PutObject");
            assert_eq!(error.class(), class, "{status} {code}");
            assert!(error.hint_text().unwrap().contains(hint), "{status} {code}: {:?}", error.hint_text());
            assert_eq!(error.to_string(), "cannot store \"k\" in bucket vault in eu-central-1 (disk s3)");
        }
    }

    #[test]
    fn a_wrong_region_is_corrected_by_the_answer() {
        let fault = Fault { region: Some("us-west-2".to_owned()), ..answer(301, "PermanentRedirect") };
        let error = fault.error(&place(None), "list", "s3:ListBucket");
        assert!(error.hint_text().unwrap().contains("us-west-2"));
    }

    #[test]
    fn silence_names_the_way_to_the_store() {
        let silent = |kind| Fault { kind, message: "tcp connect error".to_owned(), status: None, ..answer(0, "") };
        let aws = silent(Kind::Timeout).error(&place(None), "list", "s3:ListBucket");
        assert_eq!(aws.class(), Class::Transient);
        assert!(aws.hint_text().unwrap().contains("gateway endpoint for S3"));
        let other = silent(Kind::Silence).error(&place(Some("http://minio:9000")), "list", "s3:ListBucket");
        assert!(other.hint_text().unwrap().contains("http://minio:9000"));
        assert_eq!(other.chain(), "cannot list in bucket vault at http://minio:9000 (disk s3): tcp connect error");
    }

    #[test]
    fn only_a_clear_refusal_leaves_no_doubt() {
        for (status, doubt) in
            [(200, true), (500, true), (503, true), (429, true), (400, false), (403, false), (412, false)]
        {
            assert_eq!(answer(status, "X").leaves_doubt(), doubt, "{status}");
        }
        assert!(answer(400, "RequestTimeout").leaves_doubt());
        for (kind, doubt) in
            [(Kind::Silence, true), (Kind::Timeout, true), (Kind::Garbled, true), (Kind::Unmade, false)]
        {
            assert_eq!(Fault { kind, ..answer(0, "") }.leaves_doubt(), doubt, "{kind:?}");
        }
    }
}
