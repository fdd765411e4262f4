//! A Slack incoming webhook: one POST, answered by `ok`.
//!
//! The address is a password: it stands in no error. Slack limits the rate and says with `Retry-After` when to come
//! again (<https://docs.slack.dev/apis/web-api/rate-limits>); that and a fault of the server are tried once more, when
//! the wait is short. A request that was not answered is not repeated, since it may have arrived.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

use super::{Message, too_slow};
use crate::secret::Secret;
use crate::{Class, Error, Result};

/// Seconds until a request is given up, connection included.
const LONGEST_SECONDS: u64 = 10;
/// The longest wait before the second try; a webhook that asks for more is given up.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// The wait where the server asks for none.
const USUAL_WAIT: Duration = Duration::from_secs(1);
/// Characters from which on a piece of the address may be its token.
const SHORTEST_TOKEN: usize = 8;
/// Bytes of an answer that are read.
const LONGEST_ANSWER: usize = 500;

/// Posts `message` to `webhook`.
///
/// # Errors
/// The address is not one, the server could not be reached, did not answer in time, or did not say that it took the
/// message.
pub(super) async fn send(client: &Client, webhook: &Secret, message: &Message) -> Result<()> {
    let answer = post(client, webhook, message).await?;
    match wait_before_retry(&answer) {
        Some(wait) => {
            tokio::time::sleep(wait).await;
            judge(post(client, webhook, message).await?, webhook, ", twice").await
        }
        None => judge(answer, webhook, "").await,
    }
}

async fn post(client: &Client, webhook: &Secret, message: &Message) -> Result<Response> {
    let url = reqwest::Url::parse(webhook.expose()).map_err(|_| {
        // The parser's own words could hold a piece of the address.
        Error::configuration("the webhook's address is not a URL")
            .hint("Check SLACK_WEBHOOK_URL or SLACK_WEBHOOK_SECRET.")
    })?;
    let timeout = Duration::from_secs(LONGEST_SECONDS);
    client.post(url).timeout(timeout).json(&message.slack).send().await.map_err(|error| {
        let error = error.without_url();
        if error.is_timeout() && !error.is_connect() {
            too_slow("the webhook", LONGEST_SECONDS)
        } else {
            Error::new(Class::Transient, "the webhook could not be reached").because(error)
        }
    })
}

/// How long to wait before the second try; `None` = no second try.
fn wait_before_retry(answer: &Response) -> Option<Duration> {
    let status = answer.status();
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return None;
    }
    let wait = retry_after(answer).unwrap_or(USUAL_WAIT);
    (wait <= LONGEST_WAIT).then_some(wait)
}

fn retry_after(answer: &Response) -> Option<Duration> {
    answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Whether an answer says that the message was taken. `tries`: what to add about how often it was asked.
async fn judge(answer: Response, webhook: &Secret, tries: &str) -> Result<()> {
    let status = answer.status();
    let wait = retry_after(&answer);
    let body = match beginning(answer).await {
        Ok(body) => body,
        // The status says enough when it is a refusal.
        Err(_) if !status.is_success() => String::new(),
        Err(error) => return Err(error),
    };
    let body = without_address(body.trim(), webhook);
    if status.is_success() {
        // A success that says something else, such as `invalid_payload`, is none.
        return if says_ok(&body) {
            Ok(())
        } else {
            Err(Error::new(
                Class::Transient,
                format!("the webhook answered {} but did not take the message: {body}", status.as_u16()),
            ))
        };
    }
    let words = format!("the webhook answered {}{tries}: {body}", status.as_u16());
    Err(match status {
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => Error::new(Class::NotFound, words)
            .hint("The webhook was revoked or its channel is gone: make a new one and set SLACK_WEBHOOK_URL or SLACK_WEBHOOK_SECRET."),
        StatusCode::TOO_MANY_REQUESTS => {
            let asked = wait.map(|wait| format!("; it asks to wait {} s", wait.as_secs())).unwrap_or_default();
            Error::new(Class::Limit, words + &asked)
        }
        _ if status.is_server_error() => Error::new(Class::Transient, words),
        _ => Error::new(Class::Configuration, words),
    })
}

/// An answer may repeat the address that it was asked under, whole or in part; that must not get into an error.
fn without_address(body: &str, webhook: &Secret) -> String {
    let address = webhook.expose();
    let mut parts: Vec<&str> =
        address.split(['/', '?', '&', '=', '#']).filter(|part| part.len() >= SHORTEST_TOKEN).collect();
    // The host is no secret; and what holds another part goes before it.
    if let Some(host) = address.split("://").nth(1).and_then(|rest| rest.split('/').next()) {
        parts.retain(|part| *part != host);
    }
    parts.push(address);
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts.iter().fold(body.to_owned(), |body, part| body.replace(part, "***"))
}

/// `ok`, as Slack and Mattermost say; nothing; or JSON that says so.
fn says_ok(body: &str) -> bool {
    body.is_empty()
        || body.eq_ignore_ascii_case("ok")
        || serde_json::from_str::<Value>(body).is_ok_and(|json| json["ok"] == true || json["success"] == true)
}

/// The beginning of an answer, as text.
async fn beginning(mut answer: Response) -> Result<String> {
    let mut bytes = Vec::new();
    while bytes.len() < LONGEST_ANSWER {
        let chunk = answer.chunk().await.map_err(|error| {
            Error::new(Class::Transient, "the webhook's answer broke off; whether the message arrived is unknown")
                .because(error.without_url())
        })?;
        match chunk {
            Some(chunk) => bytes.extend_from_slice(&chunk[..chunk.len().min(LONGEST_ANSWER - bytes.len())]),
            None => break,
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_loses_the_address_whole_and_in_part() {
        let webhook = Secret::new("https://hooks.example.org/services/T0/B0/token-abc?key=key-12345");
        for (body, safe) in [
            ("https://hooks.example.org/services/T0/B0/token-abc?key=key-12345 is gone", "*** is gone"),
            ("no hook at /services/T0/B0/token-abc", "no hook at /***/T0/B0/***"),
            ("bad key key-12345 at hooks.example.org", "bad key *** at hooks.example.org"),
            ("no_service", "no_service"),
        ] {
            assert_eq!(without_address(body, &webhook), safe);
        }
    }

    #[test]
    fn only_an_answer_that_says_so_is_a_success() {
        for body in ["ok", "OK", "", r#"{"ok":true}"#, r#"{"success":true}"#] {
            assert!(says_ok(body), "{body}");
        }
        for body in ["invalid_payload", "okay", r#"{"ok":false}"#, "<html>sign in</html>"] {
            assert!(!says_ok(body), "{body}");
        }
    }
}
