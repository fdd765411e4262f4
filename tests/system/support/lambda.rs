//! Plays the Lambda Runtime API for one built function: hands out invocations, takes the answers, and stops the process at
//! its deadline, as Lambda does.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path as Part, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

use super::given;

/// The version of the Runtime API stands in every path.
const API: &str = "/2018-06-01/runtime";

/// A running function: one process, which takes one invocation after the other.
pub(crate) struct Function {
    name: String,
    process: Child,
    invocations: mpsc::Sender<Invocation>,
    answers: mpsc::Receiver<(String, Answer)>,
    count: u32,
    folder: TempDir,
}

struct Invocation {
    id: String,
    deadline_ms: u128,
    event: String,
}

/// What became of an invocation.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The function's response.
    Response(Value),
    /// The function's error.
    Error {
        /// `errorType`: what alarms match on.
        error_type: String,
        /// `errorMessage`.
        message: String,
    },
    /// The function did not start: `init/error`.
    InitError(Value),
    /// The process ended without an answer.
    Exited,
    /// Lambda stopped the process at its deadline.
    TimedOut,
}

impl Answer {
    /// The report of a run that went well.
    pub(crate) fn report(self) -> Value {
        match self {
            Answer::Response(report) => report,
            Answer::InitError(error) => panic!("the function did not start: {error}"),
            other => panic!("a report was expected, not {other:?}"),
        }
    }

    /// The message of a run that failed with this type.
    pub(crate) fn failed_with(self, expected: &str) -> String {
        match self {
            Answer::Error { error_type, message } if error_type == expected => message,
            other => panic!("{expected} was expected, not {other:?}"),
        }
    }
}

impl Function {
    /// Starts the built binary `name` with these variables, and no others but Lambda's own and the emulator's address.
    pub(crate) async fn start(name: &str, variables: &[(&str, String)]) -> Self {
        let (invocations, next) = mpsc::channel(1);
        let (answered, answers) = mpsc::channel(1);
        let address = serve(next, answered).await;

        let folder = TempDir::with_prefix("nightvault-lambda-").expect("a temporary folder");
        let log = File::create(folder.path().join("log")).expect("a log file");
        let process = Command::new(Path::new(&given("TEST_BIN_DIR")).join(name))
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", name),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
                ("AWS_LAMBDA_LOG_LEVEL", "DEBUG"),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_DEFAULT_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
                ("AWS_SECRET_ACCESS_KEY", "SECRETTEST"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
                ("AWS_ENDPOINT_URL", &given("TEST_AWS_ENDPOINT")),
            ])
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { name: name.to_owned(), process, invocations, answers, count: 0, folder }
    }

    /// One invocation that Lambda would stop after `timeout`.
    pub(crate) async fn invoke(&mut self, event: &str, timeout: Duration) -> Answer {
        self.count += 1;
        let id = format!("{}-request-{}", self.name, self.count);
        let deadline_ms = (since_epoch() + timeout).as_millis();
        let invocation = Invocation { id: id.clone(), deadline_ms, event: event.to_owned() };
        self.invocations.send(invocation).await.expect("the server lives as long as the function");
        tokio::select! {
            biased;
            answer = self.answers.recv() => {
                let (answered, answer) = answer.expect("the server lives as long as the function");
                assert!(answered == id || answered == "init", "the answer is to {answered}, not to {id}");
                answer
            }
            _ = self.process.wait() => Answer::Exited,
            () = tokio::time::sleep(timeout) => {
                self.process.kill().await.expect("the process can be stopped");
                Answer::TimedOut
            }
        }
    }

    /// Everything that the process has written so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("the log is text")
    }
}

/// Serves the Runtime API on a free port and returns its address.
async fn serve(next: mpsc::Receiver<Invocation>, answered: mpsc::Sender<(String, Answer)>) -> String {
    let next =
        Router::new().route(&format!("{API}/invocation/next"), get(hand_out)).with_state(Arc::new(Mutex::new(next)));
    let answers = Router::new()
        .route(&format!("{API}/invocation/{{id}}/response"), post(take_response))
        .route(&format!("{API}/invocation/{{id}}/error"), post(take_error))
        .route(&format!("{API}/init/error"), post(take_init_error))
        .with_state(answered);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("the port").to_string();
    tokio::spawn(async move { axum::serve(listener, next.merge(answers)).await });
    address
}

/// Waits for the next invocation, for as long as it takes.
async fn hand_out(State(next): State<Arc<Mutex<mpsc::Receiver<Invocation>>>>) -> Response {
    let Some(invocation) = next.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.id),
        ("lambda-runtime-deadline-ms", invocation.deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:000000000000:function:test".to_owned()),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, invocation.event).into_response()
}

type Answers = State<mpsc::Sender<(String, Answer)>>;

async fn take_response(Part(id): Part<String>, State(answers): Answers, body: String) -> StatusCode {
    take(answers, id, Answer::Response(json(&body))).await
}

async fn take_error(Part(id): Part<String>, State(answers): Answers, body: String) -> StatusCode {
    let error = json(&body);
    let text = |field: &str| error[field].as_str().unwrap_or_else(|| panic!("no {field} in {error}")).to_owned();
    take(answers, id, Answer::Error { error_type: text("errorType"), message: text("errorMessage") }).await
}

async fn take_init_error(State(answers): Answers, body: String) -> StatusCode {
    take(answers, "init".to_owned(), Answer::InitError(json(&body))).await
}

async fn take(answers: mpsc::Sender<(String, Answer)>, id: String, answer: Answer) -> StatusCode {
    match answers.send((id, answer)).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::GONE,
    }
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("no JSON ({error}): {body}"))
}

fn since_epoch() -> Duration {
    #[allow(clippy::disallowed_methods, reason = "Lambda tells the deadline by the wall clock")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).expect("it is after 1970")
}
