//! The statements of a dump, each with what it is about: which table, sequence, type, schema or function.
//!
//! The dump is our own, so few forms need to be known, and a name is told by its place. What is not known here belongs
//! to no table and is left out of a restore of single tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::forms::{created, granted, literal_name, names, object, table_part};
use crate::target::postgres::names::{Name, Statement, Words};

/// What a statement says of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// `CREATE TABLE`.
    Definition,
    /// A partition is attached.
    Attach(Name),
    /// An index; the name is without a schema.
    Index(String),
    /// A constraint that makes an index.
    Key(String),
    /// A foreign key and the table that it refers to.
    ForeignKey(String, Name),
    /// A partition's index is attached to this table's; the name is that of the partition's index.
    AttachIndex(Name),
    /// A trigger or a rule, or the state of one.
    Trigger(String),
    /// Extended statistics.
    Statistics(Name),
    /// A sequence behind an identity column of the table.
    Identity(Name),
    /// It is published.
    Publication(String),
    /// Anything else: columns, comments, owner, policies, privileges.
    Detail,
}

/// What a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// A setting of the session.
    Setting,
    Schema(String),
    /// A type, domain or collation.
    Type(Name),
    Function(Name),
    /// A sequence: its definition, owner, privileges or value.
    Sequence(Name),
    /// A view.
    View(Name),
    /// An extension, and the schema that it is in.
    Extension(String, String),
    Table(Name, Part),
    Other,
}

/// A statement of the dump.
#[derive(Debug)]
pub(super) struct Entry {
    /// Statements that are executed together.
    pub(super) sql: Vec<String>,
    pub(super) about: About,
    /// It stands before the rows.
    pub(super) before_rows: bool,
    /// What it names.
    pub(super) names: BTreeSet<Name>,
}

/// All statements of a dump.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) entries: Vec<Entry>,
    pub(super) tables: BTreeSet<Name>,
    pub(super) types: BTreeSet<Name>,
    pub(super) functions: BTreeSet<Name>,
    pub(super) sequences: BTreeSet<Name>,
    pub(super) views: BTreeSet<Name>,
    pub(super) schemas: BTreeSet<String>,
    /// Extensions and the schema of each.
    pub(super) extensions: BTreeMap<String, String>,
    /// Sequences that belong to a table.
    pub(super) owned: BTreeMap<Name, Name>,
    /// Partitions and their parent, and tables that inherit.
    pub(super) partition_of: BTreeMap<Name, Name>,
    pub(super) inherits: BTreeMap<Name, Vec<Name>>,
    /// Indexes and their table.
    indexes: HashMap<Name, Name>,
    /// `SET SESSION AUTHORIZATION`, which belongs to the statement behind it.
    waiting: Option<String>,
    /// The last statement waits for `RESET SESSION AUTHORIZATION`.
    open: bool,
}

impl Schema {
    /// Takes the next statement of the dump.
    pub(super) fn see(&mut self, sql: String, before_rows: bool) {
        if sql.starts_with("SET SESSION AUTHORIZATION ") {
            self.waiting = Some(sql);
            return;
        }
        if sql.starts_with("RESET SESSION AUTHORIZATION") && self.open {
            self.open = false;
            self.entries.last_mut().expect("an open statement is the last one").sql.push(sql);
            return;
        }
        let (about, names) = {
            let statement = Statement::new(&sql);
            (self.about(&statement), names(&statement))
        };
        self.note(&about, &sql);
        self.open = self.waiting.is_some();
        let sql = self.waiting.take().into_iter().chain([sql]).collect();
        self.entries.push(Entry { sql, about, before_rows, names });
    }

    fn note(&mut self, about: &About, sql: &str) {
        let makes = sql.starts_with("CREATE ");
        match about {
            About::Table(table, part) => match part {
                Part::Definition => {
                    self.tables.insert(table.clone());
                    if let Some((_, parents)) = Statement::new(sql).inherits() {
                        self.inherits.insert(table.clone(), parents);
                    }
                }
                Part::Attach(child) => drop(self.partition_of.insert(child.clone(), table.clone())),
                Part::Index(name) | Part::Key(name) => {
                    let index = Name { schema: table.schema.clone(), name: name.clone() };
                    self.indexes.insert(index, table.clone());
                }
                Part::Identity(sequence) => {
                    self.sequences.insert(sequence.clone());
                    self.owned.insert(sequence.clone(), table.clone());
                }
                _ => {}
            },
            About::Sequence(name) if makes => drop(self.sequences.insert(name.clone())),
            About::Sequence(name) => {
                let statement = Statement::new(sql);
                let mut words = Words::new(&statement);
                if words.take(&["ALTER", "SEQUENCE"])
                    && words.name().is_some()
                    && words.take(&["OWNED", "BY"])
                    && let Some(table) = words.name()
                {
                    self.owned.insert(name.clone(), table);
                }
            }
            About::Type(name) if makes => drop(self.types.insert(name.clone())),
            About::Function(name) if makes => drop(self.functions.insert(name.clone())),
            About::View(name) if makes => drop(self.views.insert(name.clone())),
            About::Schema(name) if makes => drop(self.schemas.insert(name.clone())),
            About::Extension(name, schema) => drop(self.extensions.insert(name.clone(), schema.clone())),
            _ => {}
        }
    }

    /// The table of an index.
    pub(super) fn table_of_index(&self, index: &Name) -> Option<&Name> {
        self.indexes.get(index)
    }

    /// The names of all indexes.
    pub(super) fn index_names(&self) -> BTreeSet<Name> {
        self.indexes.keys().cloned().collect()
    }

    /// Whether the dump makes something of this name.
    pub(super) fn knows(&self, name: &Name) -> bool {
        let sets = [&self.tables, &self.types, &self.functions, &self.sequences, &self.views];
        sets.iter().any(|set| set.contains(name)) || self.indexes.contains_key(name)
    }

    fn about(&self, statement: &Statement<'_>) -> About {
        let mut words = Words::new(statement);
        let found = if words.take(&["CREATE"]) {
            created(&mut words)
        } else if words.take(&["ALTER"]) {
            self.altered(&mut words)
        } else if words.take(&["COMMENT", "ON"]) {
            self.commented(&mut words)
        } else if words.take(&["GRANT"]) || words.take(&["REVOKE"]) {
            if words.find(&["ON"]) { granted(&mut words) } else { None }
        } else if words.take(&["SET"]) {
            Some(About::Setting)
        } else if words.take(&["SELECT", "pg_catalog"]) && words.char(b'.') {
            match words.ident().as_deref() {
                Some("set_config") => Some(About::Setting),
                Some("setval") => {
                    words.char(b'(');
                    statement.token(words.at).and_then(|(_, text)| literal_name(text)).map(About::Sequence)
                }
                _ => None,
            }
        } else {
            None
        };
        found.unwrap_or(About::Other)
    }

    fn altered(&self, words: &mut Words<'_, '_>) -> Option<About> {
        if words.take(&["TABLE"]) {
            words.take(&["ONLY"]);
            let table = words.name()?;
            let part = table_part(words)?;
            return Some(About::Table(table, part));
        }
        if words.take(&["INDEX"]) {
            let table = self.table_of_index(&words.name()?)?.clone();
            let part = match words.take(&["ATTACH", "PARTITION"]) {
                true => Part::AttachIndex(words.name()?),
                false => Part::Detail,
            };
            return Some(About::Table(table, part));
        }
        if words.take(&["PUBLICATION"]) {
            let publication = words.ident()?;
            words.take(&["ADD", "TABLE"]).then_some(())?;
            words.take(&["ONLY"]);
            return Some(About::Table(words.name()?, Part::Publication(publication)));
        }
        if words.take(&["STATISTICS"]) {
            return self.of_statistics(words.name()?);
        }
        object(words)
    }

    fn commented(&self, words: &mut Words<'_, '_>) -> Option<About> {
        if words.take(&["INDEX"]) {
            return self.table_of_index(&words.name()?).map(|table| About::Table(table.clone(), Part::Detail));
        }
        if words.take(&["COLUMN"]) {
            return Some(About::Table(words.name()?, Part::Detail));
        }
        if words.take(&["STATISTICS"]) {
            return self.of_statistics(words.name()?);
        }
        if words.take(&["CONSTRAINT"]) || words.take(&["POLICY"]) {
            words.ident()?;
            words.take(&["ON"]).then_some(())?;
            if words.take(&["DOMAIN"]) {
                return Some(About::Type(words.name()?));
            }
            return Some(About::Table(words.name()?, Part::Detail));
        }
        if words.take(&["TRIGGER"]) || words.take(&["RULE"]) {
            let name = words.ident()?;
            words.take(&["ON"]).then_some(())?;
            return Some(About::Table(words.name()?, Part::Trigger(name)));
        }
        if words.take(&["TABLE"]) {
            return Some(About::Table(words.name()?, Part::Detail));
        }
        object(words)
    }

    /// Statistics are known by the statement that made them.
    fn of_statistics(&self, name: Name) -> Option<About> {
        self.entries.iter().rev().find_map(|entry| match &entry.about {
            About::Table(table, Part::Statistics(found)) if *found == name => {
                Some(About::Table(table.clone(), Part::Statistics(name.clone())))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        let (schema, name) = text.split_once('.').unwrap();
        Name { schema: Some(schema.into()), name: name.into() }
    }

    fn seen(statements: &[&str]) -> Schema {
        let mut schema = Schema::default();
        for sql in statements {
            schema.see((*sql).to_owned(), true);
        }
        schema
    }

    #[test]
    fn each_statement_belongs_to_what_it_is_about() {
        let table = |part| About::Table(name("public.users"), part);
        let cases = [
            ("CREATE UNLOGGED TABLE \"public\".\"users\" (\n    \"id\" integer\n);", table(Part::Definition)),
            ("ALTER TABLE ONLY \"public\".\"users\" ALTER COLUMN \"id\" SET DEFAULT 1;", table(Part::Detail)),
            (
                "ALTER TABLE \"public\".\"users\" ALTER COLUMN \"id\" ADD GENERATED BY DEFAULT AS IDENTITY (\n    SEQUENCE NAME \"public\".\"s\");",
                table(Part::Identity(name("public.s"))),
            ),
            ("CREATE INDEX \"on\" ON public.users USING btree (id);", table(Part::Index("on".into()))),
            ("COMMENT ON INDEX public.\"on\" IS 'x';", table(Part::Detail)),
            ("ALTER TABLE ONLY \"public\".\"users\" ADD CONSTRAINT \"k\" UNIQUE (id);", table(Part::Key("k".into()))),
            ("ALTER INDEX \"public\".\"k\" ATTACH PARTITION \"a\".\"b\";", table(Part::AttachIndex(name("a.b")))),
            (
                "ALTER TABLE ONLY \"public\".\"users\" ADD CONSTRAINT \"f\" FOREIGN KEY (\"REFERENCES\") REFERENCES clinic.wards(id);",
                table(Part::ForeignKey("f".into(), name("clinic.wards"))),
            ),
            (
                "CREATE TRIGGER t BEFORE INSERT OR UPDATE OF \"ON\" ON public.users FOR EACH ROW EXECUTE FUNCTION public.f();",
                table(Part::Trigger("t".into())),
            ),
            ("ALTER TABLE \"public\".\"users\" ENABLE REPLICA TRIGGER \"t\";", table(Part::Trigger("t".into()))),
            ("COMMENT ON TRIGGER t on public.users IS 'x';", table(Part::Trigger("t".into()))),
            ("CREATE RULE r AS\n    ON DELETE TO public.users DO INSTEAD NOTHING;", table(Part::Trigger("r".into()))),
            ("CREATE POLICY \"p\" ON \"public\".\"users\" FOR ALL TO \"x\" USING (true);", table(Part::Detail)),
            ("ALTER TABLE \"public\".\"users\" ENABLE ROW LEVEL SECURITY;", table(Part::Detail)),
            (
                "CREATE STATISTICS public.st (ndistinct) ON a, b FROM public.users;",
                table(Part::Statistics(name("public.st"))),
            ),
            ("ALTER STATISTICS public.st OWNER TO \"x\";", table(Part::Statistics(name("public.st")))),
            ("GRANT SELECT (\"ON\") ON TABLE public.users TO \"r\";", table(Part::Detail)),
            ("COMMENT ON COLUMN public.users.id IS 'x';", table(Part::Detail)),
            ("COMMENT ON CONSTRAINT f ON public.users IS 'x';", table(Part::Detail)),
            (
                "ALTER TABLE ONLY public.users ATTACH PARTITION \"public\".\"u1\" DEFAULT;",
                table(Part::Attach(name("public.u1"))),
            ),
            ("ALTER PUBLICATION \"p\" ADD TABLE ONLY \"public\".\"users\";", table(Part::Publication("p".into()))),
            (
                "ALTER SEQUENCE \"public\".\"s\" OWNED BY \"public\".\"users\".\"id\";",
                About::Sequence(name("public.s")),
            ),
            ("SELECT pg_catalog.setval('\"public\".\"s\"', 7, true);", About::Sequence(name("public.s"))),
            ("GRANT USAGE ON SEQUENCE public.s TO PUBLIC;", About::Sequence(name("public.s"))),
            ("COMMENT ON CONSTRAINT c ON DOMAIN public.d IS 'x';", About::Type(name("public.d"))),
            ("CREATE TYPE \"public\".\"d\" AS ENUM (\n    'a'\n);", About::Type(name("public.d"))),
            ("ALTER FUNCTION public.f(integer) OWNER TO \"x\";", About::Function(name("public.f"))),
            (
                "CREATE EXTENSION IF NOT EXISTS \"citext\" WITH SCHEMA \"e\";",
                About::Extension("citext".into(), "e".into()),
            ),
            ("CREATE OR REPLACE VIEW \"public\".\"v\" AS\nSELECT 1;", About::View(name("public.v"))),
            ("SET statement_timeout = 0;", About::Setting),
            ("SELECT pg_catalog.set_config('search_path', '', false);", About::Setting),
            ("SELECT pg_catalog.lo_create(12);", About::Other),
            ("ALTER DEFAULT PRIVILEGES FOR ROLE \"x\" GRANT SELECT ON TABLES TO \"y\";", About::Other),
        ];
        let schema = seen(&cases.iter().map(|(sql, _)| *sql).collect::<Vec<_>>());
        for ((sql, about), entry) in cases.iter().zip(&schema.entries) {
            assert_eq!(entry.about, *about, "{sql}");
        }
        assert_eq!(schema.owned, BTreeMap::from([(name("public.s"), name("public.users"))]));
        assert_eq!(schema.partition_of, BTreeMap::from([(name("public.u1"), name("public.users"))]));
    }

    #[test]
    fn a_grant_in_the_name_of_another_role_stays_in_its_brackets() {
        let schema = seen(&[
            "SET SESSION AUTHORIZATION \"a\";",
            "GRANT SELECT ON TABLE public.t TO \"b\";",
            "RESET SESSION AUTHORIZATION;",
            "GRANT SELECT ON TABLE public.t TO \"c\";",
        ]);
        let lengths: Vec<usize> = schema.entries.iter().map(|entry| entry.sql.len()).collect();
        assert_eq!(lengths, [3, 1]);
        assert_eq!(schema.entries[0].about, About::Table(name("public.t"), Part::Detail));
    }

    #[test]
    fn names_are_seen_in_every_spelling_and_not_in_texts() {
        let schema =
            seen(&["ALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN a SET DEFAULT nextval('public.\"Q q\"'::regclass) || \
                             'no.name' || x.f(b.c.d)::\"y y\".\"t\"[];"]);
        let names: Vec<String> = schema.entries[0].names.iter().map(Name::quoted).collect();
        assert_eq!(names, ["\"b\".\"c\"", "\"public\".\"Q q\"", "\"s\".\"t\"", "\"x\".\"f\"", "\"y y\".\"t\""]);
    }
}
