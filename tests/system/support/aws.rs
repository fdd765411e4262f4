//! The AWS services that are played (SES, Secrets Manager), and a Slack webhook of our own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use crate::support::given;

/// Where the AWS services are played.
pub(crate) fn endpoint() -> String {
    given("TEST_AWS_ENDPOINT")
}

/// What tells the played services which account and region a request means; they check no signature.
pub(crate) const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=AKIDTEST/20260101/eu-central-1/ses/aws4_request, \
                             SignedHeaders=host, Signature=00";

/// Verifies an address or domain in SES, so that it may send and be sent to.
pub(crate) async fn verify_identity(identity: &str) {
    let answer = reqwest::Client::new()
        .post(format!("{}/v2/email/identities", endpoint()))
        .header("authorization", AUTHORIZATION)
        .json(&json!({ "EmailIdentity": identity }))
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{identity} cannot be verified: {}", answer.text().await.unwrap());
}

/// Puts a secret into Secrets Manager and returns its ARN.
pub(crate) async fn secret(name: &str, value: &str) -> String {
    let answer = reqwest::Client::new()
        .post(endpoint())
        .header("x-amz-target", "secretsmanager.CreateSecret")
        .header("content-type", "application/x-amz-json-1.1")
        .header("authorization", AUTHORIZATION)
        .body(json!({"Name": name, "SecretString": value}).to_string())
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["ARN"].as_str().unwrap_or_else(|| panic!("no secret: {answer}")).to_owned()
}

/// The mails that SES took for `recipient`, oldest first: `Source`, `To`, `Subject`, `BodyText`, `BodyHtml`.
pub(crate) async fn mails_to(recipient: &str) -> Vec<Value> {
    let answer = reqwest::get(format!("{}/_ministack/ses/messages", endpoint())).await.unwrap();
    let all: Value = answer.json().await.unwrap();
    let accounts = all["messages"].as_object().unwrap().values();
    accounts
        .flat_map(|mails| mails.as_array().unwrap().clone())
        .filter(|mail| mail["To"].as_array().unwrap().iter().any(|to| to == recipient))
        .collect()
}

/// What the webhook is to answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// This status and text, with `Retry-After` where it is given.
    Say(u16, &'static str, Option<&'static str>),
    /// The address that it was asked under, and status 400.
    Echo,
    /// A redirect to the same place.
    Redirect,
    /// Nothing, ever.
    Hang,
}

/// A webhook like Slack's: records every payload, and answers as it is told (`ok` when it is told nothing more).
#[derive(Debug)]
pub(crate) struct Hook {
    /// Its address, with a secret in its path.
    pub(crate) url: String,
    state: Arc<HookState>,
}

#[derive(Debug, Default)]
struct HookState {
    answers: Mutex<VecDeque<Answer>>,
    payloads: Mutex<Vec<Value>>,
}

/// What must stand in no error.
pub(crate) const HOOK_SECRET: &str = "XyzzyWebhookToken";

impl Hook {
    /// Starts a webhook that gives `answers`, one per request.
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let state = Arc::new(HookState { answers: Mutex::new(answers.into_iter().collect()), ..HookState::default() });
        let routes = Router::new().route("/services/{*rest}", post(answer)).with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/services/T0/B0/{HOOK_SECRET}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, state }
    }

    /// The payloads so far.
    pub(crate) fn payloads(&self) -> Vec<Value> {
        self.state.payloads.lock().unwrap().clone()
    }
}

async fn answer(State(state): State<Arc<HookState>>, headers: HeaderMap, uri: Uri, body: String) -> Response {
    assert!(headers["content-type"].to_str().unwrap().starts_with("application/json"));
    state.payloads.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    let answer = state.answers.lock().unwrap().pop_front();
    match answer.unwrap_or(Answer::Say(200, "ok", None)) {
        Answer::Say(status, text, retry_after) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), text).into_response();
            if let Some(seconds) = retry_after {
                response.headers_mut().insert("retry-after", seconds.parse().unwrap());
            }
            response
        }
        Answer::Echo => (StatusCode::BAD_REQUEST, format!("no hook at {uri}")).into_response(),
        Answer::Redirect => (StatusCode::TEMPORARY_REDIRECT, [("location", uri.to_string())]).into_response(),
        Answer::Hang => std::future::pending().await,
    }
}
