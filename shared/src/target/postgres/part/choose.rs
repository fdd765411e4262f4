//! Which statements of a dump restore single tables into a database that holds other things.
//!
//! A table comes with its partitions, its own sequences, indexes, constraints, triggers, policies, comments and privileges.
//! Schemas and types that it needs are made where they are missing. Tables that it refers to must be there or are taken
//! along; functions and views that it uses must be there. What is left out is told.

use std::collections::{BTreeMap, BTreeSet};

use super::near::plain;
use super::schema::{About, Entry, Part, Schema};
use crate::source::postgres::quote::shown;
use crate::target::postgres::names::Name;

/// What of the dump's objects the target has.
#[derive(Debug, Default)]
pub(super) struct There {
    /// Tables, views, sequences and indexes.
    pub(super) relations: BTreeSet<Name>,
    pub(super) types: BTreeSet<Name>,
    pub(super) functions: BTreeSet<Name>,
    pub(super) schemas: BTreeSet<String>,
}

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) tables: &'a BTreeSet<Name>,
    pub(super) with_parents: bool,
    /// The tables get other names, and must stay apart from what is live.
    pub(super) renamed: bool,
}

/// What is going to be done.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// The numbers of the statements, in the order of the dump.
    pub(super) entries: Vec<usize>,
    /// The tables that are made.
    pub(super) tables: BTreeSet<Name>,
    /// Those of them that get another name.
    pub(super) renamed: BTreeSet<Name>,
    /// What is made besides the tables that were asked for.
    pub(super) along: Vec<String>,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Chooses.
pub(super) fn choose(schema: &Schema, asked: &Asked<'_>, there: &There) -> Choice {
    let mut chooser = Chooser { schema, asked, there, choice: Choice::default(), needed: BTreeSet::new() };
    let asked_for = chooser.with_partitions(asked.tables);
    if asked.renamed {
        chooser.choice.renamed = asked_for.clone();
    }
    let parents = chooser.take_tables(asked_for);
    chooser.check_tables();
    let sequences = chooser.sequences();
    let types = chooser.types();
    let schemas = chooser.schemas(&types);
    chooser.choice.along.extend(schemas.iter().map(|name| format!("schema {}", shown(name))));
    chooser.choice.along.extend(types.iter().map(|name| format!("type {}", plain(name))));
    let owner_is_made = |name: &&Name| schema.owned.get(*name).is_some_and(|it| chooser.choice.tables.contains(it));
    let free: Vec<&Name> = sequences.iter().filter(|name| !owner_is_made(name)).collect();
    chooser.choice.along.extend(free.iter().map(|name| format!("sequence {}", plain(name))));
    chooser.choice.along.extend(parents.iter().map(|name| format!("table {}", plain(name))));
    chooser.choice.entries = (0..schema.entries.len())
        .filter(|at| match &schema.entries[*at].about {
            About::Setting => true,
            About::Table(table, part) => chooser.takes(table, part),
            About::Sequence(name) => {
                let owner = schema.entries[*at].names.iter().find(|name| schema.tables.contains(*name));
                sequences.contains(name) && owner.is_none_or(|owner| chooser.choice.tables.contains(owner))
            }
            About::Type(name) => types.contains(name),
            About::Schema(name) => schemas.contains(name),
            _ => false,
        })
        .collect();
    chooser.left_out();
    chooser.choice
}

struct Chooser<'a> {
    schema: &'a Schema,
    asked: &'a Asked<'a>,
    there: &'a There,
    choice: Choice,
    /// All that the chosen statements name.
    needed: BTreeSet<Name>,
}

impl Chooser<'_> {
    fn with_partitions(&self, tables: &BTreeSet<Name>) -> BTreeSet<Name> {
        let mut all = tables.clone();
        loop {
            let before = all.len();
            let more = self.schema.partition_of.iter().filter(|(_, parent)| all.contains(*parent));
            let more: Vec<Name> = more.map(|(child, _)| child.clone()).collect();
            all.extend(more);
            if all.len() == before {
                return all;
            }
        }
    }

    /// Whether a statement about a table is executed.
    fn takes(&self, table: &Name, part: &Part) -> bool {
        let made = |name: &Name| self.choice.tables.contains(name);
        made(table)
            && match part {
                Part::Attach(child) => made(child),
                Part::AttachIndex(index) => self.schema.table_of_index(index).is_some_and(made),
                Part::ForeignKey(_, parent) => made(parent) || self.there.relations.contains(parent),
                // Rows beside the live ones must not set anything off.
                Part::Trigger(_) => !self.choice.renamed.contains(table),
                Part::Publication(_) => false,
                _ => true,
            }
    }

    fn statements_of<'a>(&'a self, wanted: &'a Name) -> impl Iterator<Item = (&'a Entry, &'a Part)> {
        self.schema.entries.iter().filter_map(move |entry| match &entry.about {
            About::Table(table, part) if table == wanted => Some((entry, part)),
            _ => None,
        })
    }

    /// Takes the tables and, where that is wanted, those that they need; returns the latter.
    fn take_tables(&mut self, asked_for: BTreeSet<Name>) -> BTreeSet<Name> {
        let mut missing: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
        let mut waiting: Vec<Name> = asked_for.iter().cloned().collect();
        self.choice.tables = asked_for.clone();
        while let Some(table) = waiting.pop() {
            let mut others: BTreeSet<Name> = BTreeSet::new();
            for (entry, part) in self.statements_of(&table) {
                let skipped = matches!(part, Part::Attach(_) | Part::AttachIndex(_) | Part::Publication(_))
                    || matches!(part, Part::Trigger(_)) && self.choice.renamed.contains(&table);
                if !skipped {
                    others.extend(entry.names.intersection(&self.schema.tables).cloned());
                }
            }
            others.extend(self.schema.inherits.get(&table).into_iter().flatten().cloned());
            for other in others {
                if self.choice.tables.contains(&other) || self.there.relations.contains(&other) {
                    continue;
                }
                if !self.asked.with_parents {
                    missing.entry(other).or_default().insert(table.clone());
                    continue;
                }
                for more in self.with_partitions(&BTreeSet::from([other])) {
                    if self.choice.tables.insert(more.clone()) {
                        waiting.push(more);
                    }
                }
            }
        }
        for (parent, children) in missing {
            let children: Vec<String> = children.iter().map(plain).collect();
            self.choice.problems.push(format!(
                "table {} is not there, to which {} refers; --with-parents takes it along",
                plain(&parent),
                children.join(", ")
            ));
        }
        self.choice.tables.difference(&asked_for).cloned().collect()
    }

    /// What stands in the way of the tables, and what a table does not get.
    fn check_tables(&mut self) {
        let (mut problems, mut warnings, mut needed) = (Vec::new(), Vec::new(), BTreeSet::new());
        for table in &self.choice.tables {
            let renamed = self.choice.renamed.contains(table);
            if !renamed && self.there.relations.contains(table) {
                problems.push(format!("table {} is there already; --as NAME puts the rows beside it", plain(table)));
            }
            if renamed && self.schema.inherits.contains_key(table) {
                problems.push(format!(
                    "table {} inherits from another: under a second name its rows would be seen twice there",
                    plain(table)
                ));
            }
            match self.schema.partition_of.get(table) {
                Some(parent) if !self.choice.tables.contains(parent) => warnings.push(format!(
                    "table {} is a partition of {}: it is restored as a table by itself, without the keys and triggers that it \
                     has from there",
                    plain(table),
                    plain(parent)
                )),
                _ => {}
            }
            for (entry, part) in self.statements_of(table) {
                if !self.takes(table, part) {
                    continue;
                }
                needed.extend(entry.names.iter().cloned());
                let index = match part {
                    Part::Index(name) | Part::Key(name) if !renamed => name,
                    _ => continue,
                };
                let index = Name { schema: table.schema.clone(), name: index.clone() };
                if self.there.relations.contains(&index) {
                    problems.push(format!("{} is there already, which is an index of {}", plain(&index), plain(table)));
                }
            }
        }
        self.needed = needed;
        for used in self.needed.intersection(&self.schema.functions) {
            if !self.there.functions.contains(used) {
                problems.push(format!(
                    "function {} is not there, which a trigger, default or rule of a table calls",
                    plain(used)
                ));
            }
        }
        for used in self.needed.intersection(&self.schema.views) {
            if !self.there.relations.contains(used) {
                problems.push(format!("view {} is not there, which a policy or rule of a table reads", plain(used)));
            }
        }
        self.choice.problems.extend(problems);
        self.choice.warnings.extend(warnings);
    }

    /// The sequences that are made: those that belong to the tables, and those that they use and that are missing.
    fn sequences(&mut self) -> BTreeSet<Name> {
        let mut made = BTreeSet::new();
        for sequence in &self.schema.sequences {
            let owner = self.schema.owned.get(sequence);
            let there = self.there.relations.contains(sequence);
            if let Some(table) = owner.filter(|table| self.choice.tables.contains(*table)) {
                if there && !self.choice.renamed.contains(table) {
                    let problem =
                        format!("{} is there already, which is a sequence of {}", plain(sequence), plain(table));
                    self.choice.problems.push(problem);
                }
                made.insert(sequence.clone());
            } else if self.needed.contains(sequence) && !there {
                let own = |entry: &&Entry| entry.about == About::Sequence(sequence.clone());
                let made_here = |entry: &Entry| entry.sql.iter().any(|sql| sql.starts_with("CREATE "));
                let stands_alone = self.schema.entries.iter().filter(own).any(made_here);
                match owner {
                    // That of a partitioned table, say, which its partitions use: made without its owner.
                    _ if stands_alone => drop(made.insert(sequence.clone())),
                    None => {}
                    Some(table) => self.choice.problems.push(format!(
                        "sequence {} of table {} is not there, which a default uses",
                        plain(sequence),
                        plain(table)
                    )),
                }
            }
        }
        made
    }

    /// The types that are missing, with those that they are made of.
    fn types(&mut self) -> BTreeSet<Name> {
        let mut made = BTreeSet::new();
        let mut waiting: Vec<Name> = self.needed.intersection(&self.schema.types).cloned().collect();
        while let Some(name) = waiting.pop() {
            if self.there.types.contains(&name) {
                self.choice.warnings.push(format!("type {} is there already and is used as it is", plain(&name)));
            } else if made.insert(name.clone()) {
                for entry in self.schema.entries.iter().filter(|entry| entry.about == About::Type(name.clone())) {
                    waiting
                        .extend(entry.names.intersection(&self.schema.types).filter(|other| **other != name).cloned());
                    for used in entry.names.intersection(&self.schema.functions) {
                        if !self.there.functions.contains(used) {
                            let problem =
                                format!("function {} is not there, which type {} calls", plain(used), plain(&name));
                            self.choice.problems.push(problem);
                        }
                    }
                }
            }
        }
        self.choice.warnings.sort();
        self.choice.warnings.dedup();
        made
    }

    /// The schemas that are missing.
    fn schemas(&mut self, types: &BTreeSet<Name>) -> BTreeSet<String> {
        let mut made = BTreeSet::new();
        for schema in self.choice.tables.iter().chain(types).filter_map(|name| name.schema.as_ref()) {
            if self.there.schemas.contains(schema) {
                continue;
            }
            if self.schema.schemas.contains(schema) {
                made.insert(schema.clone());
            } else {
                let problem = format!("schema {} is not there", shown(schema));
                if !self.choice.problems.contains(&problem) {
                    self.choice.problems.push(problem);
                }
            }
        }
        made
    }

    /// Tells what others had of the tables and do not get back, and what the tables do not get.
    fn left_out(&mut self) {
        let mut warnings = Vec::new();
        for entry in &self.schema.entries {
            let sql = entry.sql.join(" ");
            match &entry.about {
                About::Table(table, Part::ForeignKey(name, parent))
                    if self.choice.tables.contains(parent)
                        && !self.choice.renamed.contains(parent)
                        && !self.choice.tables.contains(table)
                        && self.there.relations.contains(table) =>
                {
                    warnings.push(format!(
                        "the foreign key {} of table {}, which refers to {}, is not made; when its rows fit: {}",
                        shown(name),
                        plain(table),
                        plain(parent),
                        shown(&sql)
                    ));
                }
                About::Table(table, Part::Publication(publication)) if self.choice.tables.contains(table) => {
                    warnings.push(format!("table {} is not added to publication {}", plain(table), shown(publication)));
                }
                About::Table(table, Part::Trigger(name)) if self.choice.renamed.contains(table) => {
                    warnings.push(format!("the copy of table {} has no trigger or rule {}", plain(table), shown(name)));
                }
                About::View(view)
                    if self.choice.renamed.is_empty()
                        && !self.there.relations.contains(view)
                        && !entry.names.is_disjoint(&self.choice.tables) =>
                {
                    warnings.push(format!("view {}, which reads a table that is restored, is not there", plain(view)));
                }
                _ => {}
            }
        }
        for warning in warnings {
            if !self.choice.warnings.contains(&warning) {
                self.choice.warnings.push(warning);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name { schema: Some("public".into()), name: text.into() }
    }

    fn a_schema() -> Schema {
        let mut schema = Schema::default();
        let before = [
            "SET lock_timeout = 0;",
            "CREATE TYPE \"public\".\"inner\" AS ENUM ('a');",
            "CREATE TYPE \"public\".\"outer\" AS (\"x\" public.inner);",
            "CREATE SCHEMA \"odd\";",
            "CREATE FUNCTION \"public\".\"f\"() RETURNS trigger LANGUAGE sql AS $$ $$;",
            "CREATE SEQUENCE \"public\".\"shared\";",
            "CREATE SEQUENCE \"public\".\"users_id_seq\";",
            "CREATE TABLE \"public\".\"wards\" (\"id\" integer);",
            "CREATE TABLE \"public\".\"teams\" (\"id\" integer, \"ward\" integer);",
            "CREATE TABLE \"public\".\"users\" (\"id\" integer, \"team\" integer, \"o\" public.outer);",
            "CREATE TABLE \"public\".\"notes\" (\"user\" integer);",
            "ALTER SEQUENCE \"public\".\"users_id_seq\" OWNED BY \"public\".\"users\".\"id\";",
            "ALTER TABLE ONLY \"public\".\"users\" ALTER COLUMN \"id\" SET DEFAULT nextval('public.shared'::regclass);",
        ];
        let behind = [
            "SELECT pg_catalog.setval('\"public\".\"users_id_seq\"', 7, true);",
            "ALTER TABLE ONLY \"public\".\"users\" ADD CONSTRAINT \"users_pkey\" PRIMARY KEY (id);",
            "ALTER TABLE ONLY \"public\".\"users\" ADD CONSTRAINT \"t\" FOREIGN KEY (team) REFERENCES public.teams(id);",
            "ALTER TABLE ONLY \"public\".\"teams\" ADD CONSTRAINT \"w\" FOREIGN KEY (ward) REFERENCES public.wards(id);",
            "ALTER TABLE ONLY \"public\".\"notes\" ADD CONSTRAINT \"u\" FOREIGN KEY (\"user\") REFERENCES public.users(id);",
            "CREATE TRIGGER g BEFORE INSERT ON public.users FOR EACH ROW EXECUTE FUNCTION public.f();",
        ];
        for (list, before_rows) in [(&before[..], true), (&behind[..], false)] {
            for sql in list {
                schema.see((*sql).to_owned(), before_rows);
            }
        }
        schema
    }

    fn chosen(there: &[&str], with_parents: bool, renamed: bool) -> (Choice, Vec<String>) {
        let schema = a_schema();
        let all = BTreeSet::from_iter(there.iter().map(|it| name(it)));
        let there = There {
            relations: all.clone(),
            types: all.clone(),
            functions: all,
            schemas: BTreeSet::from(["public".to_owned()]),
        };
        let tables = BTreeSet::from([name("users")]);
        let choice = choose(&schema, &Asked { tables: &tables, with_parents, renamed }, &there);
        let statements = choice.entries.iter().map(|at| schema.entries[*at].sql.concat()).collect();
        (choice, statements)
    }

    #[test]
    fn missing_parents_and_functions_are_problems_and_nothing_else_is() {
        let (choice, _) = chosen(&[], false, false);
        assert_eq!(
            choice.problems,
            [
                "table public.teams is not there, to which public.users refers; --with-parents takes it along",
                "function public.f is not there, which a trigger, default or rule of a table calls",
            ]
        );
        let (choice, _) = chosen(&["users", "users_id_seq", "teams", "f"], false, false);
        assert_eq!(choice.problems.len(), 2, "{:?}", choice.problems);
        assert!(choice.problems[0].contains("table public.users is there already"), "{:?}", choice.problems);
    }

    #[test]
    fn parents_of_parents_come_along_and_what_is_there_does_not() {
        let (choice, statements) = chosen(&["f"], true, false);
        assert_eq!(choice.problems, Vec::<String>::new());
        let along = [
            "type public.inner",
            "type public.outer",
            "sequence public.shared",
            "table public.teams",
            "table public.wards",
        ];
        assert_eq!(choice.along, along);
        // Not the schema "odd", the function, and what belongs to the notes.
        assert_eq!(statements.len(), a_schema().entries.len() - 4);
        let (choice, statements) = chosen(&["f", "teams", "outer", "shared"], true, false);
        assert_eq!(choice.along, Vec::<String>::new());
        assert_eq!(choice.warnings, ["type public.outer is there already and is used as it is"]);
        assert!(statements.iter().any(|sql| sql.contains("REFERENCES public.teams")), "{statements:?}");
    }

    #[test]
    fn a_copy_beside_the_live_table_sets_nothing_off() {
        let (choice, statements) =
            chosen(&["users", "users_id_seq", "users_pkey", "teams", "shared", "outer"], false, true);
        assert_eq!(choice.problems, Vec::<String>::new());
        assert!(!statements.iter().any(|sql| sql.contains("TRIGGER")), "{statements:?}");
        assert!(choice.warnings.iter().any(|it| it.contains("no trigger or rule g")), "{:?}", choice.warnings);
    }

    #[test]
    fn keys_of_others_that_are_lost_are_told() {
        let (choice, _) = chosen(&["f", "teams", "notes"], false, false);
        assert!(
            choice.warnings.iter().any(|it| it.contains("the foreign key u of table public.notes")),
            "{:?}",
            choice.warnings
        );
    }
}
