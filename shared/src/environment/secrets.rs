//! AWS Secrets Manager: one fetch, and errors that say which secret and which permission.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
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

fn describe(name: &str, error: &SdkError<GetSecretValueError>) -> Error {
    let failed = |class| Error::new(class, format!("cannot fetch the secret {name:?}"));
    // The SDK's error is neither kept nor cloned: its words are, and they hold no value of a secret.
    let words = DisplayErrorContext(error).to_string();
    let described = match error {
        SdkError::ServiceError(context) => match context.err().code().unwrap_or_default() {
            "ResourceNotFoundException" => failed(Class::NotFound).hint(format!(
                "Check the name {name:?}, and that AWS_REGION is the region of the secret; a secret of another account is named by its ARN."
            )),
            "AccessDeniedException" => failed(Class::Permission).hint(format!(
                "Allow secretsmanager:GetSecretValue on {name:?} to the role that runs this, and kms:Decrypt on its key if the key is your own."
            )),
            "DecryptionFailure" => failed(Class::Permission)
                .hint("Allow kms:Decrypt on the key of the secret to the role that runs this."),
            "UnrecognizedClientException" | "InvalidSignatureException" | "ExpiredTokenException" | "IncompleteSignature" => {
                failed(Class::Permission).hint("The AWS credentials are wrong or have expired; check AWS_ACCESS_KEY_ID and its kin.")
            }
            "InvalidRequestException" => failed(Class::NotFound).hint("The secret may be marked for deletion; restore it or name another."),
            "InvalidParameterException" | "ValidationException" => {
                failed(Class::Configuration).hint("Check the name or ARN of the secret.")
            }
            _ => failed(Class::Transient).hint("Try again; if it stays, see the words of Secrets Manager in the message."),
        },
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) if !words.contains("redentials") => failed(Class::Transient).hint(
            "Secrets Manager was not reached. In a VPC without a NAT gateway it needs the interface endpoint com.amazonaws.<region>.secretsmanager, whose security group lets port 443 in.",
        ),
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => failed(Class::Permission)
            .hint("No AWS credentials or no region were found; set AWS_REGION and give the process a role or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."),
        _ => failed(Class::Transient).hint("Try again; the answer of Secrets Manager could not be read."),
    };
    described.because(words)
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
}
