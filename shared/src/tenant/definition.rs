//! The columns that a dump's own `CREATE TABLE` statements give to tables, to be compared with those of a database.
//!
//! A dump is read by its types: `1.25` goes into `numeric(3,1)` without an error, and is another value then. So a type that
//! was changed since the backup must be seen. Only what our own dumper writes is read here, by quotes and brackets.

use std::collections::BTreeMap;

use super::schema::Name;

/// The columns of each table with the rest of their definitions, in which the type stands first.
pub(crate) type Definitions = BTreeMap<Name, Vec<(String, String)>>;

/// Reads the part of a dump before its first rows. `quote` stands around names: `"` or `` ` ``.
pub(crate) fn definitions(text: &str, quote: char) -> Definitions {
    let mut found = Definitions::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("CREATE ") {
        let start = from + at;
        from = start + "CREATE ".len();
        let begins_line = start == 0 || text[..start].ends_with('\n');
        let rest = text[from..].strip_prefix("UNLOGGED ").unwrap_or(&text[from..]);
        let Some(rest) = rest.strip_prefix("TABLE ").filter(|_| begins_line) else { continue };
        let Some((name, rest)) = name(rest, quote) else { continue };
        let Some(body) = rest.strip_prefix(" (") else { continue };
        let Some((items, length)) = items(body) else { continue };
        let columns = items.into_iter().filter_map(|item| {
            let (column, rest) = quoted(item.trim_start(), quote)?;
            Some((column, rest.trim().to_owned()))
        });
        found.insert(name, columns.collect());
        from = text.len() - body.len() + length;
    }
    found
}

/// Whether a definition gives exactly this type: `integer` is not the type of `integer[] NOT NULL`. What is not of the
/// type is written in capitals by both servers. Collations do not change what a value is, and may differ.
pub(crate) fn has_type(definition: &str, kind: &str) -> bool {
    definition.strip_prefix(kind).is_some_and(|rest| {
        let behind = rest.strip_prefix(' ').and_then(|rest| rest.chars().next());
        rest.is_empty() || behind.is_some_and(|next| next.is_ascii_uppercase() || next == '/')
    })
}

fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.strip_prefix(quote)?.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            name.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            name.push(quote);
        } else {
            return Some((name, &text[quote.len_utf8() + at + 1..]));
        }
    }
    None
}

fn name(text: &str, quote: char) -> Option<(Name, &str)> {
    let (first, rest) = quoted(text, quote)?;
    match rest.strip_prefix('.') {
        Some(rest) => {
            let (second, rest) = quoted(rest, quote)?;
            Some((Name::new(Some(&first), &second), rest))
        }
        None => Some((Name::new(None, &first), rest)),
    }
}

/// The items of a list up to its closing bracket, and the offset behind that.
fn items(text: &str) -> Option<(Vec<&str>, usize)> {
    let bytes = text.as_bytes();
    let (mut items, mut start, mut depth, mut at) = (Vec::new(), 0, 0usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'' | b'`') => {
                // E'…' and MySQL's strings have backslashes that escape; our dumper doubles quotes everywhere, and writes a
                // backslash in none of PostgreSQL's other strings.
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' && quote == b'\'' { 2 } else { 1 };
                }
            }
            b'(' => depth += 1,
            b')' if depth == 0 => {
                items.push(&text[start..at]);
                return Some((items, at + 1));
            }
            b')' => depth -= 1,
            b',' if depth == 0 => {
                items.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_through_quotes_and_brackets() {
        let text = "SET x = 1;\nCREATE TABLE \"public\".\"a, (b\" (\n    \"id\" integer NOT NULL,\n    \"p,\"\"x\" numeric(10,2) DEFAULT \
                    '1),(2'::text,\n    CONSTRAINT \"c\" CHECK ((\"id\" > 0))\n)\nPARTITION BY RANGE (id);\n\
                    SELECT 'CREATE TABLE \"no\" (';\nCREATE UNLOGGED TABLE \"s\".\"t\" (\n    \"v\" timestamp(3) without time zone\n);\n";
        let found = definitions(text, '"');
        assert_eq!(found.len(), 2);
        let columns = &found[&Name::new(Some("public"), "a, (b")];
        assert_eq!(columns[0], ("id".to_owned(), "integer NOT NULL".to_owned()));
        assert_eq!(columns[1], ("p,\"x".to_owned(), "numeric(10,2) DEFAULT '1),(2'::text".to_owned()));
        assert_eq!(columns.len(), 2);
        assert!(has_type(&found[&Name::new(Some("s"), "t")][0].1, "timestamp(3) without time zone"));

        let text = "\nCREATE TABLE `a``b` (\n  `id` int(11) NOT NULL AUTO_INCREMENT,\n  `e` enum('a\\'),','b') DEFAULT NULL,\n  \
                    PRIMARY KEY (`id`)\n) ENGINE=InnoDB;\n";
        let found = definitions(text, '`');
        let columns = &found[&Name::new(None, "a`b")];
        assert_eq!(columns[1], ("e".to_owned(), "enum('a\\'),','b') DEFAULT NULL".to_owned()));
        assert_eq!(columns.len(), 2);
    }

    #[test]
    fn a_type_is_the_same_or_another() {
        for (definition, kind, same) in [
            ("integer NOT NULL", "integer", true),
            ("integer[] NOT NULL", "integer", false),
            ("integer", "integer[]", false),
            ("character varying(10) DEFAULT 'x'", "character varying", false),
            ("character varying", "character varying(10)", false),
            ("bigint GENERATED ALWAYS AS (1) STORED", "bigint", true),
            ("text COLLATE \"pg_catalog\".\"C\" NOT NULL", "text", true),
            ("timestamp without time zone", "timestamp", false),
            ("int(10) unsigned NOT NULL", "int(10)", false),
            ("int(10) unsigned NOT NULL", "int(10) unsigned", true),
        ] {
            assert_eq!(has_type(definition, kind), same, "{definition} {kind}");
        }
    }
}
