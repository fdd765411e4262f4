//! What differs between the engines in the SQL of a tenant's restore.

use super::schema::{Column, Name};
use crate::source::{mysql, postgres};
use crate::{Error, Result};

/// The SQL of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

impl Dialect {
    /// A quoted identifier.
    pub(crate) fn ident(self, name: &str) -> String {
        match self {
            Dialect::Postgres => postgres::quote::ident(name),
            Dialect::Mysql => mysql::quoting::identifier(name),
        }
    }

    /// Quoted identifiers of the columns of `alias`, or without an alias, with commas between.
    pub(crate) fn list<N: AsRef<str>>(self, alias: &str, names: &[N]) -> String {
        let dot = if alias.is_empty() { String::new() } else { format!("{alias}.") };
        names.iter().map(|name| format!("{dot}{}", self.ident(name.as_ref()))).collect::<Vec<_>>().join(", ")
    }

    /// A string.
    pub(crate) fn literal(self, text: &str) -> String {
        match self {
            Dialect::Postgres => postgres::quote::literal(text),
            Dialect::Mysql => mysql::quoting::literal(text),
        }
    }

    /// A table of the database.
    pub(crate) fn table(self, name: &Name) -> String {
        match &name.schema {
            Some(schema) => format!("{}.{}", self.ident(schema), self.ident(&name.table)),
            None => self.ident(&name.table),
        }
    }

    /// A temporary table of the session.
    pub(crate) fn temporary(self, what: &str, place: usize) -> String {
        match self {
            Dialect::Postgres => format!("pg_temp.nightvault_{what}_{place}"),
            Dialect::Mysql => format!("`nightvault_{what}_{place}`"),
        }
    }

    /// `one.a = other.x AND …`.
    pub(crate) fn equal<N: AsRef<str>, M: AsRef<str>>(self, one: (&str, &[N]), other: (&str, &[M])) -> String {
        let pairs = one
            .1
            .iter()
            .zip(other.1)
            .map(|(a, b)| format!("{}.{} = {}.{}", one.0, self.ident(a.as_ref()), other.0, self.ident(b.as_ref())));
        pairs.collect::<Vec<_>>().join(" AND ")
    }

    /// Whether two rows of the same columns differ in a byte.
    pub(crate) fn differ(self, one: &str, other: &str, columns: &[&Column]) -> String {
        match self {
            Dialect::Postgres => {
                let row = |alias: &str| format!("({} COLLATE \"C\")", self.row_text(alias, columns));
                format!("{} IS DISTINCT FROM {}", row(one), row(other))
            }
            Dialect::Mysql => {
                let differs = |column: &&Column| {
                    let same = format!("{} <=> {}", self.bytes(one, column), self.bytes(other, column));
                    let name = self.ident(&column.name);
                    match kind(column) {
                        // The value of a failed assignment and the member '' have one text and two numbers.
                        "enum" | "set" => format!("NOT ({same} AND {one}.{name} + 0 <=> {other}.{name} + 0)"),
                        _ => format!("NOT ({same})"),
                    }
                };
                format!("({})", columns.iter().map(differs).collect::<Vec<_>>().join(" OR "))
            }
        }
    }

    /// A digest of a row's bytes in these columns: the same for two rows when they do not [`differ`](Self::differ).
    pub(crate) fn line(self, alias: &str, columns: &[&Column]) -> String {
        match self {
            Dialect::Postgres => format!("sha256(convert_to({}, 'UTF8'))", self.row_text(alias, columns)),
            Dialect::Mysql => {
                // No digest is a hyphen or has a stroke in it, so no two rows come to one text. The values themselves, in
                // hexadecimal, could be longer than what the server makes of them before it makes NULL.
                let digest = |column: &&Column| {
                    let digest = format!("COALESCE(SHA2({}, 256), '-')", self.bytes(alias, column));
                    match kind(column) {
                        "enum" | "set" => {
                            format!("{digest}, COALESCE({alias}.{} + 0, '-')", self.ident(&column.name))
                        }
                        _ => digest,
                    }
                };
                let all = columns.iter().map(digest).collect::<Vec<_>>().join(", ");
                format!("UNHEX(SHA2(CONCAT_WS('|', {all}), 256))")
            }
        }
    }

    /// PostgreSQL: a row's own text. Every type has one, NULL and '' stand apart in it, and no operator of a type, for which
    /// 1.0 and 1.00 are the same, decides.
    fn row_text(self, alias: &str, columns: &[&Column]) -> String {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        format!("ROW({})::text", self.list(alias, &names))
    }

    /// MySQL and MariaDB: a value's bytes.
    fn bytes(self, alias: &str, column: &Column) -> String {
        let name = self.ident(&column.name);
        match kind(column) {
            // Its text has six digits; the double that it is has all.
            "float" => format!("CAST({alias}.{name} * 1e0 AS BINARY)"),
            _ => format!("CAST({alias}.{name} AS BINARY)"),
        }
    }

    /// The values of columns as one text, for messages. Keys alone are shown, never what else is in a row.
    pub(crate) fn shown(self, alias: &str, columns: &[&Column]) -> String {
        let text = |column: &&Column| {
            let name = self.list(alias, &[&column.name]);
            match self {
                Dialect::Postgres => format!("{name}::text"),
                Dialect::Mysql if kind(column).contains("binary") => format!("LOWER(HEX({name}))"),
                Dialect::Mysql => format!("CAST({name} AS CHAR CHARACTER SET utf8mb4)"),
            }
        };
        match columns {
            [] => "''".to_owned(),
            [one] => text(one),
            many => format!("CONCAT_WS(', ', {})", many.iter().map(text).collect::<Vec<_>>().join(", ")),
        }
    }

    /// The condition that a column holds this value, which came from outside as text.
    pub(crate) fn holds(self, alias: &str, column: &Column, value: &str) -> Result<String> {
        let name = format!("{alias}.{}", self.ident(&column.name));
        let wrong = |what: &str| {
            Error::configuration(format!("{value:?} is no value of the column {:?}, which is {what}", column.name))
        };
        if value.contains('\0') {
            return Err(wrong("of a type without NUL"));
        }
        match self {
            // A literal without a type takes the column's, without its length: nothing is cut off. What is no value of the
            // type is refused by the server.
            Dialect::Postgres => Ok(format!("{name} = {}", self.literal(value))),
            Dialect::Mysql => match kind(column) {
                // '42x' would be taken for 42.
                "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => match value.parse::<i128>() {
                    Ok(number) => Ok(format!("{name} = {number}")),
                    Err(_) => Err(wrong("a whole number")),
                },
                // Collations would take 'acme' for 'ACME'.
                "char" | "varchar" => {
                    let value = self.literal(value);
                    Ok(format!("({name} = {value} AND {})", self.exactly(&name, &value)))
                }
                "uuid" => {
                    let plain: String = value.chars().filter(|c| *c != '-').collect();
                    match plain.len() == 32 && plain.chars().all(|c| c.is_ascii_hexdigit()) {
                        true => Ok(format!("{name} = {}", self.literal(value))),
                        false => Err(wrong("a UUID")),
                    }
                }
                "binary" | "varbinary" => match value.strip_prefix("0x") {
                    Some(hex)
                        if !hex.is_empty() && hex.len() % 2 == 0 && hex.chars().all(|c| c.is_ascii_hexdigit()) =>
                    {
                        Ok(format!("{name} = 0x{hex}"))
                    }
                    _ => Err(wrong("of bytes: write them as 0x and hexadecimal digits")),
                },
                other => Err(wrong(&format!("of the type {other:?}, by which no tenant can be chosen"))),
            },
        }
    }

    /// The condition that a column has exactly this text.
    pub(crate) fn is_text(self, alias: &str, column: &str, value: &str) -> String {
        let (name, value) = (format!("{alias}.{}", self.ident(column)), self.literal(value));
        match self {
            Dialect::Postgres => format!("{name}::text = {value}"),
            Dialect::Mysql => self.exactly(&format!("CAST({name} AS CHAR CHARACTER SET utf8mb4)"), &value),
        }
    }

    fn exactly(self, name: &str, literal: &str) -> String {
        format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY) = CAST({literal} AS BINARY)")
    }
}

/// The first word of a column's type.
pub(crate) fn kind(column: &Column) -> &str {
    column.kind.split(['(', ' ']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_column(name: &str, kind: &str) -> Column {
        Column { name: name.into(), kind: kind.into(), not_null: true, generated: false, exact: true }
    }

    #[test]
    fn names_and_values_never_leave_their_quotes() {
        let hostile = a_column("a\"`; DROP TABLE x; --", "varchar(10)");
        let held = Dialect::Postgres.holds("t", &hostile, "'; DROP TABLE x; \\").unwrap();
        assert_eq!(held, "t.\"a\"\"`; DROP TABLE x; --\" = E'''; DROP TABLE x; \\\\'");
        let held = Dialect::Mysql.holds("t", &hostile, "'; \\").unwrap();
        assert!(held.starts_with("(t.`a\"``; DROP TABLE x; --` = '''; \\\\' AND CAST("), "{held}");
    }

    #[test]
    fn a_value_that_a_server_would_bend_is_refused() {
        let holds = |kind: &str, value: &str| Dialect::Mysql.holds("t", &a_column("c", kind), value);
        assert_eq!(holds("bigint(20) unsigned", "42").unwrap(), "t.`c` = 42");
        assert_eq!(holds("int(11)", "-007").unwrap(), "t.`c` = -7");
        assert_eq!(holds("binary(16)", "0x00ff").unwrap(), "t.`c` = 0x00ff");
        for (kind, value) in [
            ("int(11)", "42x"),
            ("int", ""),
            ("int", "1 OR 1=1"),
            ("uuid", "42"),
            ("binary(2)", "ab"),
            ("datetime", "2024"),
        ] {
            assert!(holds(kind, value).is_err(), "{kind} {value}");
        }
        assert!(Dialect::Postgres.holds("t", &a_column("c", "text"), "a\0b").is_err());
    }

    #[test]
    fn rows_are_compared_by_their_bytes() {
        let columns = [a_column("a", "float"), a_column("e", "enum('','x')"), a_column("t", "text")];
        let columns: Vec<&Column> = columns.iter().collect();
        assert_eq!(
            Dialect::Postgres.differ("b", "t", &columns),
            "(ROW(b.\"a\", b.\"e\", b.\"t\")::text COLLATE \"C\") IS DISTINCT FROM (ROW(t.\"a\", t.\"e\", t.\"t\")::text COLLATE \"C\")"
        );
        let text = Dialect::Mysql.differ("b", "t", &columns);
        assert!(text.contains("CAST(b.`a` * 1e0 AS BINARY) <=> CAST(t.`a` * 1e0 AS BINARY)"), "{text}");
        assert!(text.contains("b.`e` + 0 <=> t.`e` + 0") && text.contains("CAST(b.`t` AS BINARY)"), "{text}");
    }
}
