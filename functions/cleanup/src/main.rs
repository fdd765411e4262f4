//! The cleanup function: deletes what the retention policy no longer keeps (`nightvault_core::operation::cleanup`).
//!
//! Event, deadline, answer and log are those of `nightvault_core::operation::invocation`; nothing is decided here.

use std::time::SystemTime;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use nightvault_core::audit::Trigger;
use nightvault_core::operation::{self, invocation};
use nightvault_core::telemetry;
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start_json(&variable);
    // Once per process; a mistake in the configuration is the answer to every invocation.
    let environment = invocation::environment(&variable).await;
    let cleanup = async |event: LambdaEvent<Value>| {
        let ends = event.context.deadline();
        let trigger = Trigger::lambda(&event.context.invoked_function_arn, &event.context.request_id);
        let (times, work) = ((now(), ends), ("cleanup", operation::cleanup));
        invocation::answer(&environment, event.payload, times, trigger, work).await.map_err(diagnostic)
    };
    lambda_runtime::run(service_fn(cleanup)).await
}

fn diagnostic(failure: invocation::Failure) -> Diagnostic {
    Diagnostic { error_type: failure.error_type.to_owned(), error_message: failure.message }
}

#[allow(clippy::disallowed_methods, reason = "a door reads the clock, once per invocation")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[allow(clippy::disallowed_methods, reason = "a door reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
