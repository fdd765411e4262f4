//! What the target says when it refuses a statement of the dump.

use sqlx::postgres::PgDatabaseError;

use crate::source::postgres::failure::sqlstate;
use crate::{Class, Error};

/// How much of a statement a message holds, in bytes.
const SHOWN_BYTES: usize = 160;

/// The target refused `what`. What is left there is told by the recipe.
pub(crate) fn failed(what: impl Into<String>, error: sqlx::Error) -> Error {
    let (class, hint) = match sqlstate(&error).as_deref() {
        Some("42501" | "28000" | "28P01") => (
            Class::Permission,
            "Restore as the owner of the database, or as a superuser where the dump makes objects that only one can make.",
        ),
        Some(state) if state.starts_with("53") || state == "54000" => {
            (Class::Limit, "Give the target more room, then run the command again.")
        }
        Some(state) if state.starts_with("08") || state.starts_with("57") || state.starts_with("40") => {
            (Class::Transient, "Run the command again.")
        }
        Some(_) => {
            (Class::Unsupported, "Compare the target's version, extensions and settings with those of the manifest.")
        }
        None => (Class::Transient, "The connection was lost; run the command again."),
    };
    let failure = Error::new(class, what).hint(hint);
    match error {
        sqlx::Error::Database(error) => match error.try_downcast::<PgDatabaseError>() {
            Ok(error) => failure.because(format!("{} (SQLSTATE {})", error.message(), error.code())),
            Err(error) => failure.because(error.message().to_owned()),
        },
        other => failure.because(other),
    }
}

/// The beginning of a statement, for a message.
pub(crate) fn shown(statement: &str) -> String {
    let statement = statement.trim_start();
    let end = statement.floor_char_boundary(SHOWN_BYTES);
    let more = if end < statement.len() { "…" } else { "" };
    let line = statement[..end].split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{line}{more}")
}
