//! E-mail by Amazon SES, API version 2: text and HTML in UTF-8. SES builds the message and encodes the subject, so no
//! name can add a header.
//!
//! A message may have 50 recipients and 40 MB (<https://docs.aws.amazon.com/ses/latest/dg/quotas.html>); ours are a few
//! kilobytes, and more recipients get it in several messages.

use std::time::Duration;

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message as Mail};

use super::Message;
use crate::{Class, Error, Result};

/// Recipients of one message, at most: <https://docs.aws.amazon.com/ses/latest/dg/quotas.html>.
const MOST_RECIPIENTS: usize = 50;
/// Seconds until SES is given up, its client's own retries included.
const LONGEST_SECONDS: u64 = 20;

/// Sends `message` from `from` to all of `to`.
///
/// # Errors
/// Nobody to send to or from, SES refused it, or SES did not answer in time. When there are more recipients than one
/// message can have, all are tried, and the first error is returned.
pub(super) async fn send(client: &Client, from: Option<&str>, to: &[String], message: &Message) -> Result<()> {
    let from = from.ok_or_else(|| {
        Error::configuration("mail is to be sent, but no sender is configured")
            .hint("Set BACKUP_MAIL_FROM to an address or domain that is verified in Amazon SES.")
    })?;
    if to.is_empty() {
        return Err(Error::configuration("mail is to be sent, but no recipient is configured")
            .hint("Set BACKUP_NOTIFICATION_EMAIL."));
    }
    let all = async {
        let mut result = Ok(());
        for some in to.chunks(MOST_RECIPIENTS) {
            result = result.and(send_one(client, from, some, message).await);
        }
        result
    };
    match tokio::time::timeout(Duration::from_secs(LONGEST_SECONDS), all).await {
        Ok(result) => result,
        Err(_) => Err(super::too_slow("Amazon SES", LONGEST_SECONDS)),
    }
}

async fn send_one(client: &Client, from: &str, to: &[String], message: &Message) -> Result<()> {
    let body = Body::builder().text(content(&message.text)?).html(content(&message.html)?).build();
    let mail = Mail::builder().subject(content(&message.subject)?).body(body).build();
    client
        .send_email()
        .from_email_address(from)
        .destination(Destination::builder().set_to_addresses(Some(to.to_vec())).build())
        .content(EmailContent::builder().simple(mail).build())
        .send()
        .await
        .map(drop)
        .map_err(refused)
}

fn content(text: &str) -> Result<Content> {
    let built = Content::builder().data(text).charset("UTF-8").build();
    built.map_err(|error| Error::bug("cannot build the mail").because(error))
}

/// SES's refusal in our words, with what to do about the usual ones.
fn refused(error: SdkError<SendEmailError>) -> Error {
    let code = error.code().unwrap_or_default().to_owned();
    let (class, hint) = match code.as_str() {
        "MessageRejected" | "MailFromDomainNotVerifiedException" => (
            Class::Permission,
            Some("Verify the sender in Amazon SES in this region; in the SES sandbox the recipients too."),
        ),
        "AccountSuspendedException" | "SendingPausedException" => {
            (Class::Permission, Some("Amazon SES does not let this account send mail; see its console."))
        }
        "AccessDeniedException" | "AccessDenied" => {
            (Class::Permission, Some("Allow ses:SendEmail for the sender's identity in the role."))
        }
        "UnrecognizedClientException" | "InvalidClientTokenId" | "SignatureDoesNotMatch" => (Class::Permission, None),
        "BadRequestException" | "NotFoundException" => (Class::Configuration, None),
        _ => (Class::Transient, None),
    };
    let words = match error.message() {
        Some(message) => format!("Amazon SES refused the mail: {code}: {message}"),
        None => format!("Amazon SES did not take the mail: {}", DisplayErrorContext(&error)),
    };
    let error = Error::new(class, words);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
