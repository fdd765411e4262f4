//! AWS Secrets Manager: one fetch, and errors that say which secret and which permission.

use std::error::Error as StdError;
use std::fmt::Debug;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use serde_json::{Map, Value};

use crate::secret::Secret;
use crate::{Class, Error, Result};

/// The current text of the secret `name` (a name or an ARN).
pub(super) async fn fetch(client: &Client, name: &str) -> Result<Secret> {
    let output = client.get_secret_value().secret_id(name).send().await.map_err(|error| describe(name, &error))?;
    if let Some(text) = output.secret_string {
        return Ok(Secret::new(text));
    }
    let bytes = output.secret_binary.map(aws_smithy_types::Blob::into_inner).unwrap_or_default();
    match String::from_utf8(bytes) {
        Ok(text) if !text.is_empty() => Ok(Secret::new(text)),
        // The error of `from_utf8` would carry the bytes.
        Ok(_) => Err(Error::configuration(format!("the secret {name:?} is empty"))),
        Err(_) => Err(Error::configuration(format!("the secret {name:?} is no text"))),
    }
}

/// The one value of a secret: its text, or the only member of a JSON object (the form that the AWS console makes).
pub(super) fn single_value(name: &str, text: Secret) -> Result<Secret> {
    let Ok(members) = serde_json::from_str::<Map<String, Value>>(text.expose()) else { return Ok(text) };
    let mut values = members.into_iter().map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(Value::String(value)), None) => Ok(Secret::new(value)),
        _ => Err(Error::configuration(format!("the secret {name:?} is a JSON object with other than one text in it"))
            .hint("Store the value itself, or a JSON object with one member that holds it.")),
    }
}

/// The error in our words, with those of Secrets Manager as its cause.
fn describe<R: Debug + 'static>(name: &str, error: &SdkError<GetSecretValueError, R>) -> Error {
    let (class, hint) = match error {
        SdkError::ServiceError(context) => judge(name, context.err().code().unwrap_or_default()),
        SdkError::TimeoutError(_) => (Class::Transient, UNREACHED.to_owned()),
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
            (Class::Transient, UNREACHED.to_owned())
        }
        // Nothing was sent: what a request needs was not found.
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => (
            Class::Configuration,
            "Give the process a region (AWS_REGION) and credentials: a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
                .to_owned(),
        ),
        _ => (Class::Transient, "Try again; the answer of Secrets Manager could not be read.".to_owned()),
    };
    Error::new(class, format!("cannot fetch the secret {name:?}")).hint(hint).because(words(error))
}

const UNREACHED: &str = "Secrets Manager was not reached. In a VPC without a NAT gateway it needs the interface endpoint \
                         com.amazonaws.<region>.secretsmanager, whose security group lets port 443 in.";

/// What an error code of Secrets Manager means for the operator:
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html>
fn judge(name: &str, code: &str) -> (Class, String) {
    match code {
        "ResourceNotFoundException" => (
            Class::NotFound,
            format!(
                "Check the name {name:?}, and that AWS_REGION is the region of the secret; a secret of another account is \
                 named by its ARN."
            ),
        ),
        "AccessDeniedException" | "AccessDenied" => (
            Class::Permission,
            format!(
                "Allow secretsmanager:GetSecretValue on {name:?} to the role that runs this, and kms:Decrypt on the \
                 secret's key if that is one of your own."
            ),
        ),
        "DecryptionFailure" => {
            (Class::Permission, "Allow kms:Decrypt on the secret's key to the role that runs this.".to_owned())
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "IncompleteSignature" => (
            Class::Permission,
            "The AWS credentials are wrong or have expired; check AWS_ACCESS_KEY_ID and its kin.".to_owned(),
        ),
        "InvalidRequestException" => {
            (Class::NotFound, "The secret may be marked for deletion; restore it or name another.".to_owned())
        }
        "InvalidParameterException" | "ValidationException" => {
            (Class::Configuration, "Check the name or ARN of the secret.".to_owned())
        }
        _ => (Class::Transient, "Try again; Secrets Manager's own words are in the message.".to_owned()),
    }
}

/// The texts of an error and its causes, each said once. Never their `Debug`, which holds whole answers: an answer that
/// could not be read may be the secret itself.
fn words(error: &(dyn StdError + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        // The SDK lists on further lines where it looked for credentials.
        let text = error.to_string();
        let text = text.lines().next().unwrap_or_default().trim_end_matches(" Attempted:").to_owned();
        if words.last() != Some(&text) {
            words.push(text);
        }
        cause = error.source();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<String> {
        single_value("vault/password", Secret::new(text)).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn a_secret_is_its_text_or_the_only_member_of_an_object() {
        assert_eq!(value("p@ss:/#?% {é").unwrap(), "p@ss:/#?% {é");
        assert_eq!(value("12345").unwrap(), "12345");
        assert_eq!(value(r#"{"password":"inside"}"#).unwrap(), "inside");
    }

    #[test]
    fn an_object_with_more_or_less_than_one_text_is_refused_without_quoting_it() {
        for text in [r#"{"a":"canary","b":"canary"}"#, r#"{"a":1}"#, "{}"] {
            let error = value(text).unwrap_err();
            assert_eq!(error.class(), Class::Configuration);
            assert!(error.chain().contains("vault/password") && !error.chain().contains("canary"));
        }
    }

    fn service_error(code: &str) -> Error {
        let metadata = aws_smithy_types::error::ErrorMetadata::builder().code(code).message("it says so").build();
        // In place of the answer, which a real error holds whole.
        describe("vault/password", &SdkError::service_error(GetSecretValueError::generic(metadata), "canary"))
    }

    #[test]
    fn every_refusal_names_the_secret_and_what_is_missing() {
        for (code, class, word) in [
            ("AccessDeniedException", Class::Permission, "secretsmanager:GetSecretValue"),
            ("AccessDeniedException", Class::Permission, "kms:Decrypt"),
            ("DecryptionFailure", Class::Permission, "kms:Decrypt"),
            ("ResourceNotFoundException", Class::NotFound, "AWS_REGION"),
            ("ExpiredTokenException", Class::Permission, "expired"),
            ("InvalidRequestException", Class::NotFound, "deletion"),
            ("ValidationException", Class::Configuration, "ARN"),
            ("ThrottlingException", Class::Transient, "Try again"),
        ] {
            let error = service_error(code);
            assert_eq!(error.class(), class, "{code}");
            assert!(error.hint_text().unwrap().contains(word), "{code}: {:?}", error.hint_text());
            let chain = error.chain();
            assert!(chain.contains("vault/password") && chain.contains("it says so"), "{chain}");
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_quoted_and_a_missing_route_is_explained() {
        let unreadable = describe("s", &SdkError::response_error("odd JSON", "canary"));
        assert_eq!(unreadable.class(), Class::Transient);
        assert!(!format!("{unreadable:?}").contains("canary"), "{unreadable:?}");
        let timeout = describe::<()>("s", &SdkError::timeout_error("connect timeout"));
        assert_eq!(timeout.class(), Class::Transient);
        assert!(timeout.hint_text().unwrap().contains("interface endpoint"));
        let nothing_sent = describe::<()>("s", &SdkError::construction_failure("Missing Region"));
        assert_eq!(nothing_sent.class(), Class::Configuration);
        assert!(nothing_sent.chain().contains("Missing Region"));
    }
}
