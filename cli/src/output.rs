//! Everything that is printed: reports to standard output, all else to standard error.
//!
//! Reports are rendered by pure functions, one file each. Names from outside are cleaned of control characters there,
//! so that a table named like a terminal command stays a name. A reader that goes away (`| head`) is no failure.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod cleanup;
pub(crate) mod drill;
pub(crate) mod extract;
pub(crate) mod hold;
pub(crate) mod human;
pub(crate) mod list;
pub(crate) mod monitor;
pub(crate) mod restore;
pub(crate) mod show;
mod table;
pub(crate) mod tenant;
pub(crate) mod verify;

use std::io::{self, IsTerminal, Write};

use nightvault_core::report::Delivery;
use nightvault_core::{Error, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Color;
use human::clean;

/// How things are printed.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    colours: bool,
}

impl Output {
    /// Reports as JSON or text, with colours on standard error as `color` says.
    pub(crate) fn new(json: bool, color: Color) -> Self {
        let colours = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stderr().is_terminal() && !no_color(),
        };
        Self { json, colours }
    }

    /// Whether reports are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints text to standard output; returns the exit code of success.
    pub(crate) fn text(&self, text: &str) -> u8 {
        put(&mut io::stdout().lock(), text)
    }

    /// Prints JSON to standard output; returns the exit code of success.
    pub(crate) fn json(&self, value: &Value) -> u8 {
        self.text(&format!("{value:#}\n"))
    }

    /// Prints a failure, with the report of what was nevertheless done; returns its exit code.
    pub(crate) fn error(&self, error: &Error, report: Option<Value>) -> u8 {
        if self.json {
            self.json(&error_value(error, report));
        } else {
            put(&mut io::stderr().lock(), &error_text(error, self.colours));
        }
        error.class().exit_code()
    }

    /// Prints a warning to standard error.
    pub(crate) fn warning(&self, warning: &str) {
        let label = paint("warning", "33", self.colours);
        put(&mut io::stderr().lock(), &format!("{label}: {}\n", clean(warning)));
    }
}

/// Whether `NO_COLOR` is set to anything: <https://no-color.org>
#[expect(clippy::disallowed_methods, reason = "a habit of terminals, not our configuration")]
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Prints a line to standard error.
pub(crate) fn note(text: &str) {
    put(&mut io::stderr().lock(), &format!("{text}\n"));
}

/// A report as the JSON that it is.
pub(crate) fn value<R: Serialize>(report: &R) -> Result<Value> {
    serde_json::to_value(report).map_err(|error| Error::bug("a report cannot be written as JSON").because(error))
}

/// Who was told, and who was not.
fn deliveries(deliveries: &[Delivery]) -> String {
    let line = |delivery: &Delivery| match &delivery.error {
        None => format!("  {} was told\n", clean(&delivery.channel)),
        Some(error) => format!("  {} was not told: {}\n", clean(&delivery.channel), clean(error)),
    };
    deliveries.iter().map(line).collect()
}

/// Writes and tells by the exit code whether that worked; a reader that went away is content.
fn put(stream: &mut dyn Write, text: &str) -> u8 {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Ok(()) => 0,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(_) => 1,
    }
}

fn error_value(error: &Error, report: Option<Value>) -> Value {
    let mut value = json!({
        "error_type": error.class().error_type(),
        "message": error.chain(),
        "hint": error.hint_text(),
    });
    if let Some(report) = report {
        value["report"] = report;
    }
    value
}

fn error_text(error: &Error, colours: bool) -> String {
    let mut text = format!("{}: {}\n", paint("error", "1;31", colours), error.chain());
    if let Some(hint) = error.hint_text() {
        text.push_str(&format!("{}: {}\n", paint("hint", "36", colours), clean(hint)));
    }
    text
}

/// `text` in the colour of an ANSI code.
fn paint(text: &str, code: &str, colours: bool) -> String {
    if colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightvault_core::Class;

    fn an_error() -> Error {
        Error::new(Class::Transient, "cannot reach the database \"a\u{1b}[31m\"")
            .because(io::Error::other("connection refused"))
            .hint("Check the server.")
    }

    #[test]
    fn an_error_is_printed_with_its_causes_and_its_hint() {
        assert_eq!(
            error_text(&an_error(), false),
            "error: cannot reach the database \"a\\u{1b}[31m\": connection refused\nhint: Check the server.\n"
        );
        assert!(error_text(&an_error(), true).starts_with("\u{1b}[1;31merror\u{1b}[0m: "));
    }

    #[test]
    fn an_error_as_json_has_type_message_hint_and_the_partial_report() {
        let value = error_value(&an_error(), Some(json!({"key": "k"})));
        assert_eq!(value["error_type"], "TransientFailure");
        assert_eq!(value["hint"], "Check the server.");
        assert_eq!(value["report"]["key"], "k");
        assert!(value["message"].as_str().unwrap().ends_with("connection refused"));
        assert!(error_value(&an_error(), None).get("report").is_none());
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure_and_a_full_disk_is_one() {
        struct Broken(io::ErrorKind);
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert_eq!(put(&mut Broken(io::ErrorKind::BrokenPipe), "x"), 0);
        assert_eq!(put(&mut Broken(io::ErrorKind::StorageFull), "x"), 1);
    }
}
