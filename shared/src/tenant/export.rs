//! Rows as CSV and as SQL.
//!
//! CSV is RFC 4180: a header, CRLF, quotes doubled. NULL is an empty field and an empty text is `""`. Bytes are hexadecimal
//! with the server's own prefix (`\x` of PostgreSQL, `0x` of MariaDB). SQL is one INSERT for each row, which the server's own
//! client reads.

use super::dialect::{Dialect, kind};
use super::schema::{Column, Table};
use crate::source::mysql::quoting;
use crate::{Error, Result};

/// How values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they come.
    Number,
    /// In quotes.
    Text,
    /// They come as bytes and are written in hexadecimal.
    Bytes,
}

/// How a column is written.
pub(crate) fn form(dialect: Dialect, column: &Column) -> Form {
    match (dialect, kind(column)) {
        // Its texts are literals of every type.
        (Dialect::Postgres, _) => Form::Text,
        (_, "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "float" | "double" | "year") => {
            Form::Number
        }
        (
            _,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "json" | "enum" | "set" | "date"
            | "time" | "datetime" | "timestamp" | "uuid" | "inet4" | "inet6",
        ) => Form::Text,
        _ => Form::Bytes,
    }
}

/// What is selected of a column.
pub(crate) fn expression(dialect: Dialect, column: &Column) -> String {
    let name = dialect.ident(&column.name);
    match (dialect, kind(column)) {
        // Its text has six digits; the double that it is has all.
        (Dialect::Mysql, "float") => format!("({name} * 1e0)"),
        _ => name,
    }
}

/// Appends a line of names.
pub(crate) fn csv_header(out: &mut Vec<u8>, table: &Table) {
    let names = table.stored_names();
    for (number, name) in names.iter().enumerate() {
        separate(out, number);
        quoted(out, name.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a row.
pub(crate) fn csv_row(out: &mut Vec<u8>, forms: &[Form], values: &[Option<Vec<u8>>]) {
    for (number, (form, value)) in forms.iter().zip(values).enumerate() {
        separate(out, number);
        match (value, form) {
            (None, _) => {}
            (Some(value), Form::Bytes) => {
                out.extend_from_slice(b"0x");
                out.extend_from_slice(crate::source::hex(value).as_bytes());
            }
            (Some(value), Form::Number) => out.extend_from_slice(value),
            (Some(value), Form::Text) => quoted(out, value),
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn separate(out: &mut Vec<u8>, number: usize) {
    if number > 0 {
        out.push(b',');
    }
}

fn quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    for byte in value {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// What stands before all INSERT statements.
pub(crate) fn sql_head(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => {
            "SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nSET datestyle = 'ISO, MDY';\n\
             SET intervalstyle = 'postgres';\nSET timezone = 'UTC';\nBEGIN;\nSET CONSTRAINTS ALL DEFERRED;\n"
        }
        Dialect::Mysql => {
            "SET NAMES utf8mb4;\nSET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00';\n\
             SET SESSION foreign_key_checks = 0;\nSTART TRANSACTION;\n"
        }
    }
}

/// What stands behind them.
pub(crate) const SQL_END: &str = "COMMIT;\n";

/// The beginning of each INSERT of a table.
pub(crate) fn insert(dialect: Dialect, table: &Table) -> String {
    let overriding = if dialect == Dialect::Postgres { " OVERRIDING SYSTEM VALUE" } else { "" };
    format!(
        "INSERT INTO {} ({}){overriding} VALUES (",
        dialect.table(&table.name),
        dialect.list("", &table.stored_names())
    )
}

/// Appends an INSERT.
pub(crate) fn sql_row(
    out: &mut Vec<u8>,
    dialect: Dialect,
    insert: &str,
    forms: &[Form],
    values: &[Option<Vec<u8>>],
) -> Result<()> {
    out.extend_from_slice(insert.as_bytes());
    for (number, (form, value)) in forms.iter().zip(values).enumerate() {
        separate(out, number);
        match (value, form) {
            (None, _) => out.extend_from_slice(b"NULL"),
            (Some(value), Form::Number) => out.extend_from_slice(value),
            (Some(value), Form::Bytes) => quoting::hex(out, value),
            (Some(value), Form::Text) if dialect == Dialect::Mysql => quoting::string(out, value),
            (Some(value), Form::Text) => {
                let text = std::str::from_utf8(value).map_err(|_| Error::bug("the server's text is not UTF-8"))?;
                out.extend_from_slice(dialect.literal(text).as_bytes());
            }
        }
    }
    out.extend_from_slice(b");\n");
    Ok(())
}

/// A table's name as a file's name: no folder can be left by it, and two tables never share one.
pub(crate) fn file_name(table: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let text: String = table
        .bytes()
        .map(|byte| if safe(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    // A hidden file would be overlooked.
    match text.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}.csv"),
        None => format!("{text}.csv"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::schema::samples::a_table;

    #[test]
    fn csv_tells_null_from_an_empty_text() {
        let mut out = Vec::new();
        let mut table = a_table("t", &["id", "te\"xt"]);
        table.columns[1].kind = "text".into();
        csv_header(&mut out, &table);
        let forms = [Form::Number, Form::Text, Form::Bytes];
        csv_row(&mut out, &forms, &[Some(b"1".to_vec()), Some(b"a\"b,\r\n".to_vec()), Some(vec![0, 255])]);
        csv_row(&mut out, &forms, &[None, Some(Vec::new()), None]);
        assert_eq!(String::from_utf8(out).unwrap(), "\"id\",\"te\"\"xt\"\r\n1,\"a\"\"b,\r\n\",0x00ff\r\n,\"\",\r\n");
    }

    #[test]
    fn values_never_leave_their_quotes() {
        let table = a_table("t", &["id", "x"]);
        let row = |dialect| {
            let mut out = Vec::new();
            let forms = [Form::Number, Form::Text];
            let values = [Some(b"1".to_vec()), Some(b"'); DROP TABLE t; -- \\'".to_vec())];
            sql_row(&mut out, dialect, &insert(dialect, &table), &forms, &values).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            row(Dialect::Postgres),
            "INSERT INTO \"t\" (\"id\", \"x\") OVERRIDING SYSTEM VALUE VALUES (1,E'''); DROP TABLE t; -- \\\\''');\n"
        );
        assert_eq!(row(Dialect::Mysql), "INSERT INTO `t` (`id`, `x`) VALUES (1,'''); DROP TABLE t; -- \\\\''');\n");
    }

    #[test]
    fn a_hostile_name_stays_in_the_folder() {
        assert_eq!(file_name("public.users"), "public.users.csv");
        assert_eq!(file_name("../../etc/pass\nwd"), "%2E.%2F..%2Fetc%2Fpass%0Awd.csv");
        assert_eq!(file_name("é"), "%C3%A9.csv");
    }
}
