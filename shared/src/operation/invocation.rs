//! What the three functions have in common: Lambda's payload in, one operation, Lambda's answer out.
//!
//! - **Event.** `{}` and `null` are the empty event. Anything but an object of the fields of [`Event`] is refused before
//!   anything is touched: a mistyped `dry_run` must never delete, and the console's sample event must never back up. Only the
//!   audit trail gets a record of it.
//! - **Configuration.** Read and checked once per process ([`environment`]). A mistake in it does not keep the function
//!   from starting: it is the answer to every invocation, with its text and its `ConfigurationError`, where a crash at the
//!   start would be told as `Runtime.ExitError` and nothing more.
//! - **Deadline.** A run must be over 60 s before Lambda stops the process, or a tenth of the remaining time before where
//!   that is less; the rest is for the abort of the upload, the alert and the answer. Lambda's stop itself gives nobody a
//!   word.
//! - **Answer.** The report, or `error_type` and a message with its hint. Both stay small enough to travel on to a
//!   destination: lists are cut, and what was cut is counted in `left_out`.
//!
//! An operation logs how it ended itself; what is refused before it begins is logged here.

use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::audit::Trigger;
use crate::environment::Environment;
use crate::operation::{Context, Event, Failed, end};
use crate::{Error, Result, config};

/// Time before Lambda's own end in which abort, alert and answer must fit.
const RESERVE: Duration = Duration::from_secs(60);

/// Bytes of an answer, at most. Destinations and queues take 256 KiB with the event and an envelope around it
/// (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>).
const ANSWER_BYTES: usize = 200_000;

/// What Lambda is told of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// [`Class::error_type`](crate::Class::error_type).
    pub error_type: &'static str,
    /// What happened, with its causes, and what to do about it.
    pub message: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let mut message = error.chain();
        if let Some(hint) = error.hint_text() {
            message.push_str("\nhint: ");
            message.push_str(hint);
        }
        cut(&mut message, ANSWER_BYTES);
        Self { error_type: error.class().error_type(), message }
    }
}

/// The environment from a look-up of variables. Opens no connection.
pub async fn environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Environment> {
    Environment::open(config::load(variable)?).await
}

/// One invocation that began at `now`, is stopped by Lambda at `ends` and was set off by `trigger`: runs the operation of
/// this name for `payload` and says what to answer.
///
/// # Errors
/// What Lambda is to be told, so that the invocation counts as failed.
pub async fn answer<R: Serialize>(
    environment: &Result<Environment>,
    payload: Value,
    (now, ends): (SystemTime, SystemTime),
    trigger: Trigger,
    (name, operation): (&str, impl AsyncFnOnce(&Environment, &Event, &Context) -> Result<R, Failed<R>>),
) -> Result<Value, Failure> {
    let environment = environment.as_ref().map_err(refused)?;
    let mut context = context(now, ends, trigger).map_err(|error| refused(&error))?;
    let event = match event(payload) {
        Ok(event) => event,
        Err(error) => return Err(refused(&end::refused(environment, &context, name, error).await)),
    };
    context.trigger = context.trigger.scheduled(event.scheduled_time);
    // An operation's own type is nested too deep for the compiler to lay out within the runtime's.
    let running: Pin<Box<dyn Future<Output = Result<R, Failed<R>>> + '_>> =
        Box::pin(operation(environment, &event, &context));
    match running.await {
        Ok(report) => small(&report).map_err(|error| refused(&error)),
        Err(failed) => Err(Failure::from(&failed.error)),
    }
}

/// Logs what no operation has logged.
fn refused(error: &Error) -> Failure {
    let failure = Failure::from(error);
    tracing::error!(error_type = failure.error_type, "{}", failure.message);
    failure
}

fn event(payload: Value) -> Result<Event> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::configuration(format!("the event is not one of Nightvault's: {error}"))
            .hint("Send `{}` for the usual run, or an object of the fields that are wanted; nothing was done.")
    };
    let fields = match payload {
        Value::Null => return Ok(Event::default()),
        Value::Object(fields) => fields,
        other => return Err(wrong(&format_args!("an object is wanted, not {other}"))),
    };
    // One by one first, because serde does not say in which field a value is wrong.
    for (name, value) in &fields {
        let alone = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        serde_json::from_value::<Event>(alone).map_err(|error| wrong(&format_args!("`{name}`: {error}")))?;
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| wrong(&error))
}

fn context(now: SystemTime, ends: SystemTime, trigger: Trigger) -> Result<Context> {
    let left = ends.duration_since(now).unwrap_or_default();
    Ok(Context {
        now: Timestamp::try_from(now).map_err(|error| Error::bug("the clock shows no date").because(error))?,
        trigger,
        deadline: Some(Instant::now() + left - RESERVE.min(left / 10)),
        progress: Default::default(),
        interrupt: Default::default(),
    })
}

/// A report as JSON of at most [`ANSWER_BYTES`]: whole where it fits, else with its lists cut to as much as does, and the
/// number of elements that each lost under `left_out`.
pub(super) fn small(report: &impl Serialize) -> Result<Value> {
    let whole = serde_json::to_value(report).map_err(|error| Error::bug("the report is no JSON").because(error))?;
    let mut fitting = whole.clone();
    for keep in [1000, 300, 100, 30, 10, 3] {
        if fitting.to_string().len() <= ANSWER_BYTES {
            break;
        }
        fitting = whole.clone();
        let mut left_out = Map::new();
        shorten(&mut fitting, keep, "", &mut left_out);
        if let Value::Object(fields) = &mut fitting {
            fields.insert("left_out".to_owned(), Value::Object(left_out));
        }
    }
    Ok(fitting)
}

/// Cuts every list in `value` to `keep` elements and every text to what a line may hold.
fn shorten(value: &mut Value, keep: usize, path: &str, left_out: &mut Map<String, Value>) {
    match value {
        Value::Array(elements) => {
            if elements.len() > keep {
                left_out.insert(path.to_owned(), (elements.len() - keep).into());
                elements.truncate(keep);
            }
            for (index, element) in elements.iter_mut().enumerate() {
                shorten(element, keep, &format!("{path}[{index}]"), left_out);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                shorten(field, keep, &format!("{path}{dot}{name}"), left_out);
            }
        }
        Value::String(text) => cut(text, 4096),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Cuts a text to about `bytes` and says so in it.
pub(super) fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let left_out = text.len() - bytes;
        text.truncate(text.floor_char_boundary(bytes));
        text.push_str(&format!("… ({left_out} bytes left out)"));
    }
}

#[cfg(test)]
mod tests;
