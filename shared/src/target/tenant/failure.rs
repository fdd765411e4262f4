//! What a live database says when it refuses a statement, as the crate's own error.

use sqlx::postgres::PgDatabaseError;

use crate::source::mysql::session::number;
use crate::source::postgres::failure::sqlstate;
use crate::{Class, Error};

const NOTHING: &str = "Nothing has changed.";

/// PostgreSQL refused `action`.
pub(super) fn postgres(action: &str, error: sqlx::Error) -> Error {
    let (class, hint) = match sqlstate(&error).as_deref() {
        Some("42501") => (Class::Permission, "Work as the owner of the tables, or as a superuser."),
        Some("22P02" | "22003" | "22007" | "22008") => {
            (Class::Configuration, "The value after --tenant must be one that the tenant column can hold.")
        }
        Some("55P03") => {
            (Class::Transient, "Others write to the tenant's tables; run the command again at a quieter time.")
        }
        Some("40P01" | "40001") => (Class::Transient, "Others were at the same rows; run the command again."),
        Some(state) if state.starts_with("08") || state.starts_with("57") => {
            (Class::Transient, "The connection was ended; run the command again.")
        }
        Some(state) if state.starts_with("53") || state == "54000" => {
            (Class::Limit, "Give the server more room for temporary tables.")
        }
        Some(state) if state.starts_with("23") => {
            (Class::Inconsistent, "A rule of the database stands against rows of the backup.")
        }
        Some(_) => (Class::Unsupported, "The server's own words say why."),
        None => (Class::Transient, "The connection was lost; run the command again."),
    };
    let failure = Error::new(class, action).hint(format!("{NOTHING} {hint}"));
    match error {
        sqlx::Error::Database(error) => match error.try_downcast::<PgDatabaseError>() {
            Ok(error) => failure.because(format!("{} (SQLSTATE {})", error.message(), error.code())),
            Err(error) => failure.because(error.message().to_owned()),
        },
        other => failure.because(other),
    }
}

/// MySQL or MariaDB refused `action`.
pub(super) fn mysql(action: &str, error: sqlx::Error) -> Error {
    let (class, hint) = match number(&error) {
        Some(1044 | 1045 | 1142 | 1143 | 1227 | 1370) => {
            (Class::Permission, "Grant the user what it lacks: SELECT, INSERT, DELETE and CREATE TEMPORARY TABLES.")
        }
        Some(1205 | 1213) => {
            (Class::Transient, "Others were at the same rows; run the command again at a quieter time.")
        }
        Some(1062 | 1048 | 1451 | 1452 | 3819 | 4025) => {
            (Class::Inconsistent, "A rule of the database stands against rows of the backup.")
        }
        Some(1114 | 1021 | 1153) => (Class::Limit, "Give the server more room for temporary tables and packets."),
        Some(1053 | 1317 | 1927 | 1152..=1161) | None => {
            (Class::Transient, "The connection was ended; run the command again.")
        }
        Some(_) => (Class::Unsupported, "The server's own words say why."),
    };
    Error::new(class, action).hint(format!("{NOTHING} {hint}")).because(error)
}
