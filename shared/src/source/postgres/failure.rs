//! What the driver and the server say, as the crate's own errors: who must act, and on what.

use sqlx::postgres::PgDatabaseError;

use crate::source::tls::{HANDSHAKE_HINT, handshake_failed};
use crate::{Class, Error};

/// The SQLSTATE of a server's error.
pub(crate) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|e| e.code()).map(|code| code.into_owned())
}

/// An error of the driver while `action` was being done.
pub(super) fn failed(action: impl Into<String>, error: sqlx::Error) -> Error {
    let (class, hint) = classify(&error);
    let mut failure = Error::new(class, action);
    if let Some(hint) = hint {
        failure = failure.hint(hint);
    }
    // The message of the driver's own wrapper says nothing; the server's own words do.
    match error {
        sqlx::Error::Database(error) => match error.try_downcast::<PgDatabaseError>() {
            Ok(error) => failure.because(format!("{} (SQLSTATE {})", error.message(), error.code())),
            Err(error) => failure.because(error.message().to_owned()),
        },
        other => failure.because(other),
    }
}

/// Who must act on an error, and what can be said about it.
fn classify(error: &sqlx::Error) -> (Class, Option<&'static str>) {
    let Some(state) = sqlstate(error) else {
        return match error {
            error if handshake_failed(error) => (Class::Configuration, Some(HANDSHAKE_HINT)),
            sqlx::Error::Io(_) => (Class::Transient, None),
            sqlx::Error::Configuration(_) | sqlx::Error::InvalidArgument(_) => (Class::Configuration, None),
            // A connection that breaks in the middle of a message ends here.
            sqlx::Error::Protocol(_) => (Class::Transient, None),
            _ => (Class::Bug, None),
        };
    };
    match state.as_str() {
        "28P01" | "28000" => (Class::Permission, Some("Check the user, the password and the server's pg_hba.conf.")),
        "3D000" => (Class::NotFound, Some("Check the name of the database.")),
        "42501" => {
            (Class::Permission, Some("Grant the backup role what it lacks, for example the role pg_read_all_data."))
        }
        "55P03" => (Class::Transient, Some("Run the backup at a quieter time, or raise the lock timeout.")),
        "53200" => (
            Class::Limit,
            Some("Raise max_locks_per_transaction on the server: every table of the database is locked at once."),
        ),
        "40001" => (
            Class::Transient,
            Some(
                "On a replica, switch hot_standby_feedback on or raise max_standby_streaming_delay, or dump the primary.",
            ),
        ),
        "22P05" | "22021" => (
            Class::Unsupported,
            Some("The database holds text that does not convert to UTF-8; repair it or dump it by other means."),
        ),
        state if state.starts_with("08") || state.starts_with("57") || state.starts_with("53") => {
            (Class::Transient, None)
        }
        "XX001" | "XX002" => {
            (Class::Corrupt, Some("The server reports damage in its own files; see its log before anything else."))
        }
        // "cache lookup failed": the snapshot still shows an object that somebody has dropped.
        "XX000" | "42P01" | "42704" => (Class::Inconsistent, Some("Run the backup when no migration runs.")),
        state if state.starts_with("42") || state.starts_with("22") => (Class::Bug, None),
        _ => (Class::Unsupported, None),
    }
}
