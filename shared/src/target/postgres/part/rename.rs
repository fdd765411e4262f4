//! Other names for a table and what is made with it, in the statements of a dump.
//!
//! Only names are replaced, token by token: nothing in a string, a comment or a function's body, except the name of a
//! sequence in `'…'::regclass` and `setval('…')`.

use std::collections::{BTreeMap, BTreeSet};

use super::forms::literal_value;
use crate::source::postgres::quote::{ident, literal};
use crate::target::postgres::lex::Kind;
use crate::target::postgres::names::{Name, Statement, Words};

/// Bytes of a name, at most: the server cuts a longer one (`NAMEDATALEN` - 1).
/// <https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>
pub(super) const NAME_BYTES: usize = 63;

/// New names.
#[derive(Debug, Default)]
pub(super) struct Renames {
    /// Tables, sequences, indexes and statistics.
    names: BTreeMap<Name, Name>,
}

impl Renames {
    /// Gives a new name, which lies in the same schema.
    pub(super) fn add(&mut self, from: &Name, to: &str) {
        self.names.insert(from.clone(), Name { schema: from.schema.clone(), name: to.to_owned() });
    }

    /// The new name; the old one where there is none.
    pub(super) fn of<'a>(&'a self, name: &'a Name) -> &'a Name {
        self.names.get(name).unwrap_or(name)
    }

    /// Whether nothing gets a new name.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The statement with the new names. `table`: that which it is about.
    pub(super) fn apply(&self, sql: &str, table: Option<&Name>) -> String {
        if self.is_empty() {
            return sql.to_owned();
        }
        let statement = Statement::new(sql);
        let mut changes: BTreeMap<usize, String> = BTreeMap::new();
        for at in 0..statement.tokens.len() {
            if let Some((Kind::Text, text)) = statement.token(at) {
                self.text(&statement, at, text, &mut changes);
                continue;
            }
            if at > 0 && statement.is_char(at - 1, b'.') || !statement.is_char(at + 1, b'.') {
                continue;
            }
            let (Some(first), Some(second)) = (statement.ident(at), statement.ident(at + 2)) else { continue };
            let pair = Name { schema: Some(first.clone()), name: second };
            if let Some(new) = self.names.get(&pair) {
                changes.insert(at + 2, ident(&new.name));
            } else if let Some(old) = table.filter(|old| old.name == first && old.schema.as_ref() != Some(&first))
                && let Some(new) = self.names.get(old)
            {
                // `users.id` within an expression about the table.
                changes.insert(at, ident(&new.name));
            }
        }
        if let Some(table) = table {
            self.bare(&statement, table, &mut changes);
        }
        let (mut out, mut copied) = (String::with_capacity(sql.len() + 32), 0);
        for (at, text) in changes {
            let (_, start, end) = statement.tokens[at];
            out.push_str(&sql[copied..start]);
            out.push_str(&text);
            copied = end;
        }
        out.push_str(&sql[copied..]);
        out
    }

    /// A string that holds the name of a sequence.
    fn text(&self, statement: &Statement<'_>, at: usize, text: &str, changes: &mut BTreeMap<usize, String>) {
        let cast =
            statement.is_char(at + 1, b':') && statement.is_char(at + 2, b':') && statement.is(at + 3, "regclass");
        let value_of = at >= 2 && statement.is_char(at - 1, b'(') && statement.is(at - 2, "setval");
        if !(cast || value_of) {
            return;
        }
        let Some(value) = literal_value(text) else { return };
        let inner = Statement::new(&value);
        if let Some(name) = Words::new(&inner).name()
            && let Some(new) = self.names.get(&name)
        {
            changes.insert(at, literal(&new.quoted()));
        }
    }

    /// Names of indexes and their constraints that are written without a schema, which is the table's.
    fn bare(&self, statement: &Statement<'_>, table: &Name, changes: &mut BTreeMap<usize, String>) {
        let mut words = Words::new(statement);
        let index = if words.take(&["CREATE"]) {
            words.take(&["UNIQUE"]);
            words.take(&["INDEX"])
        } else if words.take(&["COMMENT", "ON", "CONSTRAINT"]) {
            true
        } else if words.take(&["ALTER", "TABLE"]) {
            words.take(&["ONLY"]);
            words.name().is_some()
                && (words.take(&["CLUSTER", "ON"])
                    || words.take(&["REPLICA", "IDENTITY", "USING", "INDEX"])
                    || words.take(&["ADD", "CONSTRAINT"]))
        } else {
            false
        };
        if index
            && let Some(name) = statement.ident(words.at)
            && let Some(new) = self.names.get(&Name { schema: table.schema.clone(), name })
        {
            changes.insert(words.at, ident(&new.name));
        }
    }
}

/// A name that is like `old`, which belongs to `table`, for the table's new name; none of `taken`, which gets it.
pub(super) fn derived(old: &str, table: &str, new: &str, taken: &mut BTreeSet<String>) -> String {
    let wanted = match old.strip_prefix(table) {
        Some(rest) => format!("{new}{rest}"),
        None => format!("{new}_{old}"),
    };
    let mut number = 0;
    loop {
        let suffix = if number == 0 { String::new() } else { format!("_{number}") };
        let cut = wanted.floor_char_boundary(NAME_BYTES - suffix.len());
        let name = format!("{}{suffix}", &wanted[..cut]);
        if taken.insert(name.clone()) {
            return name;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(schema: &str, name: &str) -> Name {
        Name { schema: Some(schema.into()), name: name.into() }
    }

    #[test]
    fn every_spelling_of_a_name_is_replaced_and_no_text_is() {
        let users = name("public", "users");
        let mut renames = Renames::default();
        renames.add(&users, "copy\"y");
        renames.add(&name("public", "users_id_seq"), "copy_id_seq");
        renames.add(&name("public", "users_pkey"), "copy_pkey");
        let cases = [
            (
                "CREATE TABLE \"public\".\"users\" (\"users\" text DEFAULT 'public.users');",
                "CREATE TABLE \"public\".\"copy\"\"y\" (\"users\" text DEFAULT 'public.users');",
            ),
            (
                "ALTER TABLE public.users ALTER a SET DEFAULT nextval('public.users_id_seq'::regclass);",
                "ALTER TABLE public.\"copy\"\"y\" ALTER a SET DEFAULT nextval('\"public\".\"copy_id_seq\"'::regclass);",
            ),
            (
                "SELECT pg_catalog.setval('\"public\".\"users_id_seq\"', 7, true);",
                "SELECT pg_catalog.setval('\"public\".\"copy_id_seq\"', 7, true);",
            ),
            (
                "ALTER TABLE ONLY \"public\".\"users\" ADD CONSTRAINT \"users_pkey\" PRIMARY KEY (users_pkey);",
                "ALTER TABLE ONLY \"public\".\"copy\"\"y\" ADD CONSTRAINT \"copy_pkey\" PRIMARY KEY (users_pkey);",
            ),
            (
                "CREATE UNIQUE INDEX users_pkey ON public.users USING btree (id);",
                "CREATE UNIQUE INDEX \"copy_pkey\" ON public.\"copy\"\"y\" USING btree (id);",
            ),
            ("COMMENT ON INDEX public.users_pkey IS 'users';", "COMMENT ON INDEX public.\"copy_pkey\" IS 'users';"),
            (
                "ALTER SEQUENCE \"public\".\"users_id_seq\" OWNED BY \"public\".\"users\".\"id\";",
                "ALTER SEQUENCE \"public\".\"copy_id_seq\" OWNED BY \"public\".\"copy\"\"y\".\"id\";",
            ),
            (
                "CREATE POLICY p ON public.users USING (EXISTS (SELECT FROM public.m WHERE m.u = users.id AND other.users = 1));",
                "CREATE POLICY p ON public.\"copy\"\"y\" USING (EXISTS (SELECT FROM public.m WHERE m.u = \"copy\"\"y\".id AND other.users = 1));",
            ),
            (
                "ALTER TABLE \"public\".\"users\" CLUSTER ON \"users_pkey\";",
                "ALTER TABLE \"public\".\"copy\"\"y\" CLUSTER ON \"copy_pkey\";",
            ),
        ];
        for (sql, expected) in cases {
            assert_eq!(renames.apply(sql, Some(&users)), expected);
        }
    }

    #[test]
    fn derived_names_follow_the_new_one_and_are_unique_and_short() {
        let mut taken = BTreeSet::from(["new_pkey".to_owned()]);
        assert_eq!(derived("users_pkey", "users", "new", &mut taken), "new_pkey_1");
        assert_eq!(derived("users_pkey", "users", "new", &mut taken), "new_pkey_2");
        assert_eq!(derived("by_name", "users", "new", &mut taken), "new_by_name");
        let long = "é".repeat(31);
        let (one, two) = (derived(&long, "users", "new", &mut taken), derived(&long, "users", "new", &mut taken));
        assert!(one != two && one.len() <= NAME_BYTES && two.len() <= NAME_BYTES && two.ends_with("_1"), "{one} {two}");
    }
}
