//! What a dump takes for granted: extensions, collations and roles that its statements name and do not make.

use std::collections::{BTreeMap, BTreeSet};

use super::lex::{Kind, token};

/// What the statements that were seen need of the target.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Extensions, and the schema of each.
    pub(crate) extensions: BTreeMap<String, String>,
    /// Collations of the server itself.
    pub(crate) collations: BTreeSet<String>,
    /// Roles that own something.
    pub(crate) owners: BTreeSet<String>,
    /// Whether something is granted in the name of another role.
    pub(crate) changes_role: bool,
}

impl Needs {
    /// Looks at one statement.
    pub(crate) fn see(&mut self, statement: &str) {
        let tokens = tokens(statement);
        let word = |at: usize, word: &str| matches!(tokens.get(at), Some((Kind::Word, text)) if text.eq_ignore_ascii_case(word));
        let quoted = |at: usize| match tokens.get(at) {
            Some((Kind::Quoted, text)) => Some(unquoted(text)),
            _ => None,
        };
        let point = |at: usize| matches!(tokens.get(at), Some((Kind::Other(b'.'), _)));
        if word(0, "CREATE")
            && word(1, "EXTENSION")
            && let (Some(name), Some(schema)) = (quoted(5), quoted(8))
        {
            self.extensions.insert(name, schema);
        }
        self.changes_role |= word(0, "SET") && word(1, "SESSION") && word(2, "AUTHORIZATION");
        for at in 0..tokens.len() {
            if word(at, "COLLATE") {
                let in_catalog = word(at + 1, "pg_catalog") || quoted(at + 1).as_deref() == Some("pg_catalog");
                let name = if point(at + 2) && in_catalog { quoted(at + 3) } else { quoted(at + 1) };
                if !point(at + 2) || in_catalog {
                    self.collations.extend(name);
                }
            }
            if word(at, "OWNER") && word(at + 1, "TO") {
                self.owners.extend(quoted(at + 2));
            }
        }
    }
}

fn tokens(statement: &str) -> Vec<(Kind, &str)> {
    let bytes = statement.as_bytes();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some((kind, end)) = token(bytes, at, true) {
        if kind != Kind::Blank {
            // A token ends at an ASCII character or at the end, so this never cuts a character.
            tokens.push((kind, statement.get(at..end).unwrap_or_default()));
        }
        at = end;
    }
    tokens
}

fn unquoted(text: &str) -> String {
    text[1..text.len() - 1].replace("\"\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_collations_and_owners_are_seen_where_they_are_meant() {
        let mut needs = Needs::default();
        for sql in [
            "CREATE EXTENSION IF NOT EXISTS \"citext\" WITH SCHEMA \"a\"\"b\";",
            "CREATE TABLE t (a text COLLATE \"C\", b text COLLATE pg_catalog.\"de_DE\", c text COLLATE \"own\".\"x\");",
            "COMMENT ON TABLE t IS 'COLLATE \"no\" OWNER TO \"no\"';",
            "ALTER TABLE t OWNER TO \"Ann é\";",
            "SELECT $$ COLLATE \"no\" $$;",
        ] {
            needs.see(sql);
        }
        assert_eq!(needs.extensions, BTreeMap::from([("citext".to_owned(), "a\"b".to_owned())]));
        assert_eq!(needs.collations, BTreeSet::from(["C".to_owned(), "de_DE".to_owned()]));
        assert_eq!(needs.owners, BTreeSet::from(["Ann é".to_owned()]));
        assert!(!needs.changes_role);
        needs.see("SET SESSION AUTHORIZATION \"x\";");
        assert!(needs.changes_role);
    }
}
