//! Text that goes into SQL: identifiers, literals, and a check of what the server wrote for us.
//!
//! The dump is read by `psql`, which runs backslash commands and replaces variables outside quotes. So no byte that
//! somebody else chose may stand outside a quoted context: names are always quoted, values are always literals, no name
//! is ever written into a comment, and [`statement`] looks at the texts that the server deparsed.

use crate::{Error, Result};

/// `name` as a quoted identifier.
pub(crate) fn ident(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for c in name.chars() {
        if c == '"' {
            text.push('"');
        }
        text.push(c);
    }
    text.push('"');
    text
}

/// `schema.name`, both quoted.
pub(crate) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// `value` as a string literal that means the same whatever `standard_conforming_strings` is.
pub(crate) fn literal(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 3);
    if value.contains('\\') {
        text.push('E');
    }
    text.push('\'');
    for c in value.chars() {
        if c == '\'' || c == '\\' {
            text.push(c);
        }
        text.push(c);
    }
    text.push('\'');
    text
}

/// `name` for a message: short, and without control characters.
pub(crate) fn shown(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Makes `sql`, which may hold text that the server deparsed, safe for `psql`: a backslash outside quotes is refused, and
/// a colon that `psql` would take for the start of one of its variables (`a[1:"USER"]`) gets a space behind it.
pub(crate) fn statement(sql: &str) -> Result<String> {
    let bytes = sql.as_bytes();
    let mut out = String::with_capacity(sql.len() + 8);
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => {
                return Err(Error::unsupported(format!(
                    "a statement holds a backslash outside quotes, which psql would run as a command: {}",
                    shown(&sql[..sql.floor_char_boundary(200)])
                )));
            }
            b'\'' => {
                let escapes = at > 0
                    && matches!(bytes[at - 1], b'e' | b'E')
                    && (at < 2 || !(bytes[at - 2].is_ascii_alphanumeric() || matches!(bytes[at - 2], b'_' | b'$')));
                at = end_of_quote(bytes, at, escapes);
            }
            b'"' => at = end_of_quote(bytes, at, false),
            b'$' => at = end_of_dollar_quote(bytes, at).unwrap_or(at + 1),
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at);
            }
            b':' if bytes.get(at + 1) == Some(&b':') => at += 2,
            b':' => {
                at += 1;
                if bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b >= 0x80 || b"'\"_{".contains(b)) {
                    out.push_str(&sql[copied..at]);
                    out.push(' ');
                    copied = at;
                }
            }
            _ => at += 1,
        }
    }
    out.push_str(&sql[copied..]);
    Ok(out)
}

/// The offset behind the quoted text that starts at `at`. A doubled quote is two quoted texts side by side.
fn end_of_quote(bytes: &[u8], at: usize, escapes: bool) -> usize {
    let quote = bytes[at];
    let mut end = at + 1;
    while end < bytes.len() {
        match bytes[end] {
            b'\\' if escapes => end += 2,
            b if b == quote && escapes && bytes.get(end + 1) == Some(&quote) => end += 2,
            b if b == quote => return end + 1,
            _ => end += 1,
        }
    }
    bytes.len()
}

/// The offset behind the dollar-quoted text that starts at `at`; `None` when none does.
fn end_of_dollar_quote(bytes: &[u8], at: usize) -> Option<usize> {
    if at > 0
        && (bytes[at - 1].is_ascii_alphanumeric() || matches!(bytes[at - 1], b'_' | b'$') || bytes[at - 1] >= 0x80)
    {
        return None;
    }
    let length = bytes[at + 1..].iter().position(|b| *b == b'$')? + 2;
    let tag = &bytes[at..at + length];
    let name = &tag[1..length - 1];
    if name.first().is_some_and(u8::is_ascii_digit)
        || !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80)
    {
        return None;
    }
    let body = &bytes[at + length..];
    let end = body.windows(length).position(|window| window == tag)?;
    Some(at + length + end + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_and_literals_are_closed_by_nothing_inside_them() {
        assert_eq!(ident("a\"b\n\\! x"), "\"a\"\"b\n\\! x\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("\\! x'"), "E'\\\\! x'''");
        assert_eq!(shown("a\n\u{1b}[31m"), "a\\n\\u{1b}[31m");
    }

    #[test]
    fn a_backslash_outside_quotes_is_refused() {
        for sql in ["SELECT 1 \\! touch x", "SELECT 'a' \\g", "SELECT $a$ $b$ $a$ \\q", "SELECT E'\\'' \\q"] {
            assert_eq!(statement(sql).unwrap_err().class(), crate::Class::Unsupported, "{sql}");
        }
    }

    #[test]
    fn quoted_text_of_every_kind_passes_unchanged() {
        for sql in [
            "SELECT 'a\\b', \"c\\d:\"\"x\", E'\\'\\\\:a', $f$ \\! :\"USER\" $$ $f$, $$\\$$",
            "SELECT a::text, b::pg_catalog.\"char\", 1",
            "SELECT '''\\', E'''\\\\', x'00'",
        ] {
            assert_eq!(statement(sql).unwrap(), sql);
        }
    }

    #[test]
    fn a_colon_that_psql_would_read_as_a_variable_is_parted_from_its_name() {
        assert_eq!(statement("SELECT a[1:\"USER\"]").unwrap(), "SELECT a[1: \"USER\"]");
        assert_eq!(statement("SELECT a[x:y]").unwrap(), "SELECT a[x: y]");
    }
}
