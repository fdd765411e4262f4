//! The strict emulator (`start_cloud` in tests/setup/servers.sh), each test in an account of its own, through the operator's
//! own tools: `aws` for what is done seldom, HTTP for what is done often.
//!
//! The account's root asks, whom the emulator lets do everything and whose signature it does not check. What the functions
//! do is judged by their roles.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{given, program};

/// The region of every stack.
const REGION: &str = "eu-central-1";
/// Long enough for a schedule to be seen (every ten seconds) on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// One account.
pub(super) struct Cloud {
    account: String,
    http: reqwest::Client,
}

/// What became of an invocation.
#[derive(Debug)]
pub(super) enum Answer {
    /// The function's response.
    Report(Value),
    /// The function failed: `errorType`, `errorMessage`.
    Failed(String, String),
}

impl Answer {
    /// The report of a run that went well.
    pub(super) fn report(self) -> Value {
        match self {
            Answer::Report(report) => report,
            failed @ Answer::Failed(..) => panic!("a report was expected, not {failed:?}"),
        }
    }

    /// The message of a run that failed with this type.
    pub(super) fn failed_with(self, expected: &str) -> String {
        match self {
            Answer::Failed(kind, message) if kind == expected => message,
            other => panic!("{expected} was expected, not {other:?}"),
        }
    }
}

/// The emulator's own folder; it goes with the emulator.
pub(super) fn root() -> PathBuf {
    PathBuf::from(given("TEST_CLOUD_ROOT"))
}

impl Cloud {
    /// An account that no other test and no other run has; each test gives a number of its own.
    pub(super) fn account(test: u32) -> Self {
        let account = format!("{:04}{:08}", 1000 + test, std::process::id());
        let ca = reqwest::Certificate::from_pem(&std::fs::read(root().join("tls/ca.pem")).unwrap()).unwrap();
        Self { account, http: reqwest::Client::builder().tls_certs_only([ca]).build().unwrap() }
    }

    /// A program that acts for this account.
    pub(super) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command
            .env("AWS_ACCESS_KEY_ID", &self.account)
            .env("AWS_SECRET_ACCESS_KEY", "root")
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_REGION", REGION)
            .env("AWS_ENDPOINT_URL", given("TEST_CLOUD_ENDPOINT"))
            .env("AWS_CA_BUNDLE", root().join("tls/ca.pem"))
            .env("AWS_PAGER", "")
            .env("SAM_CLI_TELEMETRY", "0");
        command
    }

    /// `aws`, which asks SQS elsewhere unless it is told twice.
    fn client(&self) -> Command {
        let mut command = self.command("aws");
        command.args(["--endpoint-url", &given("TEST_CLOUD_ENDPOINT")]);
        command
    }

    /// The stack of this account. Names of functions are made from it, and the emulator keeps some things by them alone.
    pub(super) fn stack(&self) -> String {
        format!("nightvault-{}", self.account)
    }

    /// What `aws` answers; nothing is `null`.
    pub(super) fn aws(&self, arguments: &[&str]) -> Value {
        let output = program::stdout(self.client().args(["--output", "json"]).args(arguments));
        if output.trim().is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output}"))
    }

    /// What `aws` complains about, which must fail.
    pub(super) fn refused(&self, arguments: &[&str]) -> String {
        let output = program::run(self.client().args(arguments));
        assert!(!output.status.success(), "{arguments:?} succeeded: {}", program::text(&output));
        program::text(&output)
    }

    /// Gets an object into a file.
    pub(super) fn download(&self, bucket: &str, key: &str, to: &Path) {
        self.aws(&["s3api", "get-object", "--bucket", bucket, "--key", key, &to.display().to_string()]);
    }

    /// Makes a secret and returns its ARN.
    pub(super) fn secret(&self, name: &str, value: &str) -> String {
        // As an argument of its own, an address is fetched by this client.
        let input = json!({ "Name": name, "SecretString": value }).to_string();
        let made = self.aws(&["secretsmanager", "create-secret", "--cli-input-json", &input]);
        made["ARN"].as_str().unwrap().to_owned()
    }

    /// Gives a secret another value.
    pub(super) fn rotate(&self, secret: &str, value: &str) {
        self.aws(&["secretsmanager", "put-secret-value", "--secret-id", secret, "--secret-string", value]);
    }

    /// Invokes a function and waits for its answer.
    pub(super) async fn invoke(&self, function: &str, event: &str) -> Answer {
        let answer = self.send(function, "RequestResponse", event).await;
        let failed = answer.headers().contains_key("x-amz-function-error");
        let body: Value = answer.json().await.unwrap();
        if !failed {
            return Answer::Report(body);
        }
        let text = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned();
        Answer::Failed(text("errorType"), text("errorMessage"))
    }

    /// Hands a function an event and does not wait, as schedules do.
    pub(super) async fn hand_over(&self, function: &str, event: &str) {
        let answer = self.send(function, "Event", event).await;
        assert_eq!(answer.status().as_u16(), 202, "{}", answer.text().await.unwrap());
    }

    async fn send(&self, function: &str, how: &str, event: &str) -> reqwest::Response {
        let address = format!("{}/2015-03-31/functions/{function}/invocations", given("TEST_CLOUD_ENDPOINT"));
        let request = self.http.post(address).header("authorization", self.authorization("lambda"));
        request.header("x-amz-invocation-type", how).body(event.to_owned()).send().await.unwrap()
    }

    /// The JSON lines that a function has logged so far.
    pub(super) async fn logged(&self, group: &str) -> Vec<Value> {
        let answer = self
            .http
            .post(given("TEST_CLOUD_ENDPOINT"))
            .header("authorization", self.authorization("logs"))
            .header("x-amz-target", "Logs_20140328.FilterLogEvents")
            .header("content-type", "application/x-amz-json-1.1")
            .body(json!({ "logGroupName": group, "limit": 10000 }).to_string())
            .send()
            .await
            .unwrap();
        let answer: Value = answer.json().await.unwrap();
        let lines = answer["events"].as_array().into_iter().flatten();
        lines.filter_map(|line| serde_json::from_str(line["message"].as_str()?).ok()).collect()
    }

    /// The mails that SES took from this account, oldest first.
    pub(super) async fn mails(&self) -> Vec<Value> {
        let address = format!("{}/_ministack/ses/messages?account={}", given("TEST_CLOUD_ENDPOINT"), self.account);
        let answer: Value = self.http.get(address).send().await.unwrap().json().await.unwrap();
        answer["messages"].as_object().unwrap().values().flat_map(|mails| mails.as_array().unwrap().clone()).collect()
    }

    fn authorization(&self, service: &str) -> String {
        let scope = format!("{}/20260101/{REGION}/{service}/aws4_request", self.account);
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00")
    }
}

/// Asks until there is an answer; panics, naming what was waited for, when there is none after a minute and a half.
pub(super) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        let mut pulse = tokio::time::interval(Duration::from_millis(250));
        loop {
            pulse.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}
