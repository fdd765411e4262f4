//! What a dump takes for granted: extensions, collations and roles that its statements name and do not make.

use std::collections::{BTreeMap, BTreeSet};

use super::lex::Kind;
use super::names::{Statement, Words};

/// What the statements that were seen need of the target.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Extensions, and the schema of each.
    pub(crate) extensions: BTreeMap<String, String>,
    /// Collations of the server itself.
    pub(crate) collations: BTreeSet<String>,
    /// Roles that own something.
    pub(crate) owners: BTreeSet<String>,
    /// Roles that are granted something, or that a policy is for.
    pub(crate) grantees: BTreeSet<String>,
    /// Whether something is granted in the name of another role.
    pub(crate) changes_role: bool,
}

impl Needs {
    /// Looks at one statement.
    pub(crate) fn see(&mut self, statement: &str) {
        let statement = Statement::new(statement);
        let word = |at: usize, word: &str| statement.is(at, word);
        let quoted = |at: usize| statement.ident(at).filter(|_| matches!(statement.token(at), Some((Kind::Quoted, _))));
        let point = |at: usize| statement.is_char(at, b'.');
        if word(0, "CREATE")
            && word(1, "EXTENSION")
            && let (Some(name), Some(schema)) = (quoted(5), quoted(8))
        {
            self.extensions.insert(name, schema);
        }
        self.changes_role |= word(0, "SET") && word(1, "SESSION") && word(2, "AUTHORIZATION");
        let behind = match (word(0, "GRANT"), word(0, "REVOKE"), word(0, "CREATE") && word(1, "POLICY")) {
            (true, ..) | (.., true) => Some("TO"),
            (_, true, _) => Some("FROM"),
            _ => None,
        };
        let mut words = Words::new(&statement);
        if let Some(behind) = behind
            && words.find(&[behind])
        {
            // Roles are quoted, PUBLIC is not.
            loop {
                self.grantees.extend(quoted(words.at));
                words.at += 1;
                if !words.char(b',') {
                    break;
                }
            }
        }
        for at in 0..statement.tokens.len() {
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
        for sql in [
            "GRANT SELECT (\"TO\") ON TABLE s.t TO \"b\" WITH GRANT OPTION;",
            "REVOKE ALL ON TABLE s.t FROM PUBLIC;",
            "CREATE POLICY \"TO\" ON \"s\".\"t\" FOR ALL TO \"c\", \"d\" USING ((a = 'TO \"e\"'::text));",
        ] {
            needs.see(sql);
        }
        assert_eq!(needs.grantees, BTreeSet::from(["b", "c", "d"].map(str::to_owned)));
        needs.see("SET SESSION AUTHORIZATION \"x\";");
        assert!(needs.changes_role);
    }
}
