//! Single tables out of a dump, into a database that may hold other things.
//!
//! Only the statements and the tables' own sections are read. Everything is one transaction: when anything fails, nothing
//! of it stays. What must be there and is not, and what is in the way, is told at once and before anything is executed.

mod choose;
mod forms;
mod near;
mod rename;
mod schema;

use std::collections::BTreeSet;
use std::time::Duration;

use self::choose::{Asked, Choice, There, choose};
use self::near::{plain, resolve};
use self::rename::{NAME_BYTES, Renames, derived};
use self::schema::{About, Part, Schema};
use super::names::Name;
use super::split::Splitter;
use super::walk::{Extent, Slices, extents};
use super::{Dump, Needs, Target, check};
use crate::archive::manifest::TableManifest;
use crate::progress::Progress;
use crate::source::postgres::quote::{ident, literal, shown};
use crate::target::{Findings, Loaded, LoadedTable};
use crate::{Error, Result};

/// Which tables, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// Their names, as they were given.
    pub(crate) tables: &'a [String],
    /// Take tables along to which they refer.
    pub(crate) with_parents: bool,
    /// The name of the one table at the target.
    pub(crate) rename: Option<&'a str>,
}

/// Tables that are to be restored: what to execute, and whose rows to load.
pub(crate) struct TablePlan {
    before: Vec<String>,
    behind: Vec<String>,
    /// Tables with rows, in the order of the dump.
    rows: Vec<TableManifest>,
    renames: Renames,
    /// What is made besides.
    pub(crate) along: Vec<String>,
}

impl TablePlan {
    /// What loading is going to come to.
    pub(crate) fn expected(&self) -> Loaded {
        let tables = self.rows.iter().map(|table| LoadedTable {
            schema: table.schema.clone(),
            name: table.name.clone(),
            renamed: self.renamed(table),
            rows: table.rows,
            bytes: table.bytes,
            took: Duration::ZERO,
        });
        Loaded { tables: tables.collect(), ..Loaded::default() }
    }

    /// The table's name at the target, where that is another one.
    fn renamed(&self, table: &TableManifest) -> Option<String> {
        let name = named(table);
        let new = self.renames.of(&name);
        (*new != name).then(|| new.name.clone())
    }
}

impl Dump<'_> {
    /// All statements, which are held in memory, large objects excepted.
    async fn schema(&self) -> Result<Schema> {
        let mut schema = Schema::default();
        let quiet = Progress::default();
        let first = self.manifest.tables.first().map_or(self.manifest.raw_bytes, |table| table.offset);
        for extent in extents(self.manifest)? {
            let Extent::Statements(range) = extent else { continue };
            let entry = self.archive.range(&self.manifest.entry, range.clone())?;
            let (mut slices, mut splitter) = (Slices::new(entry, range.start, &quiet), Splitter::new(self.limit));
            while let Some(sql) = slices.statement(&mut splitter, range.end).await? {
                if !sql.starts_with("SELECT pg_catalog.lo_") {
                    schema.see(sql, range.start < first);
                }
            }
        }
        Ok(schema)
    }
}

impl Target {
    /// Finds out what restoring the tables takes, and what is in the way. Changes nothing.
    pub(crate) async fn plan_tables(
        &mut self,
        dump: &Dump<'_>,
        wish: &Wish<'_>,
        findings: &mut Findings,
    ) -> Result<TablePlan> {
        let schema = dump.schema().await?;
        let tables = resolve(&schema, wish.tables)?;
        let there = self.there(&schema).await?;
        let renamed = wish.rename.is_some();
        let mut choice = choose(&schema, &Asked { tables: &tables, with_parents: wish.with_parents, renamed }, &there);
        let renames = match (wish.rename, tables.first()) {
            (Some(new), Some(table)) => self.renames(&schema, &mut choice, table, new).await?,
            _ => Renames::default(),
        };
        choice.problems.iter().for_each(|problem| findings.problem(problem.clone()));
        choice.warnings.iter().for_each(|warning| findings.warning(warning.clone()));
        let made = |table: &&TableManifest| choice.tables.contains(&named(table));
        let mut plan = TablePlan {
            before: Vec::new(),
            behind: Vec::new(),
            rows: dump.manifest.tables.iter().filter(made).cloned().collect(),
            renames,
            along: choice.along.clone(),
        };
        let mut needs = Needs::default();
        for at in &choice.entries {
            let entry = &schema.entries[*at];
            let table = match &entry.about {
                About::Table(table, _) => Some(table),
                _ => None,
            };
            let into = if entry.before_rows { &mut plan.before } else { &mut plan.behind };
            for sql in &entry.sql {
                needs.see(sql);
                into.push(plan.renames.apply(sql, table));
            }
        }
        check::version(&self.session, dump.manifest, findings);
        check::roles(&mut self.session, &needs.grantees.iter().cloned().collect::<Vec<_>>(), &needs, findings).await?;
        check::encoding(&mut self.session, dump.manifest, &needs, findings).await?;
        self.check_schemas(&choice, findings).await?;
        self.check_extensions(&schema, &choice, findings).await?;
        Ok(plan)
    }

    /// Loads the tables in a transaction, and counts. Nothing stays unless [`Target::commit`] is called.
    pub(crate) async fn load_tables(&mut self, dump: &Dump<'_>, plan: &TablePlan) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        dump.progress.expect(plan.rows.iter().map(|table| table.bytes).sum());
        self.begin().await?;
        dump.progress.set_current("making tables");
        for sql in &plan.before {
            self.execute(sql).await?;
            loaded.statements += 1;
        }
        for table in &plan.rows {
            let section = table.offset..table.offset + table.bytes;
            let entry = dump.archive.range(&dump.manifest.entry, section)?;
            let mut slices = Slices::new(entry, table.offset, dump.progress);
            let name = named(table);
            let rename = |copy: &str| plan.renames.apply(copy, Some(&name));
            let mut it = self.copy_as(&mut slices, table, true, dump, &rename).await?;
            slices.end().await?;
            it.renamed = plan.renamed(table);
            loaded.tables.push(it);
            loaded.statements += 1;
        }
        dump.progress.set_current("making indexes and constraints");
        for sql in &plan.behind {
            self.execute(sql).await?;
            loaded.statements += 1;
        }
        dump.progress.set_current("counting the rows");
        for table in &plan.rows {
            let name = plan.renames.of(&named(table)).name.clone();
            self.count(&TableManifest { name, ..table.clone() }).await?;
        }
        self.session.same_process().await?;
        Ok(loaded)
    }

    /// Which of the dump's objects the target has.
    async fn there(&mut self, schema: &Schema) -> Result<There> {
        let mut relations: BTreeSet<&Name> =
            schema.tables.iter().chain(&schema.sequences).chain(&schema.views).collect();
        let indexes = schema.index_names();
        relations.extend(&indexes);
        let regclass = "SELECT json_agg(x)::text AS names FROM pg_catalog.json_array_elements_text({}) x WHERE pg_catalog.to_regclass(x) IS NOT NULL";
        let regtype = regclass.replace("to_regclass", "to_regtype");
        let quoted = |column: &str| format!("'\"' || pg_catalog.replace({column}, '\"', '\"\"') || '\"'");
        let with_schema = |column: &str| format!("{} || '.' || {}", quoted("n.nspname"), quoted(column));
        let function = format!(
            "SELECT json_agg(DISTINCT x)::text AS names FROM pg_catalog.json_array_elements_text({{}}) x JOIN (SELECT {} AS name FROM \
             pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace) f ON f.name = x",
            with_schema("p.proname")
        );
        // A collation is named like a type and is none.
        let collation = format!(
            "SELECT json_agg(DISTINCT x)::text AS names FROM pg_catalog.json_array_elements_text({{}}) x JOIN (SELECT {} AS name FROM \
             pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace) f ON f.name = x",
            with_schema("c.collname")
        );
        let mut types = self.which(schema.types.iter(), &regtype).await?;
        types.extend(self.which(schema.types.iter(), &collation).await?);
        let row = self
            .session
            .row("reading the schemas", "SELECT json_agg(nspname)::text AS names FROM pg_catalog.pg_namespace")
            .await?;
        Ok(There {
            relations: self.which(relations.into_iter(), regclass).await?,
            types,
            functions: self.which(schema.functions.iter(), &function).await?,
            schemas: row.list("names")?.into_iter().collect(),
        })
    }

    /// Those of the names that a query finds; it takes them as a JSON array where it has `{}`.
    async fn which<'n>(&mut self, names: impl Iterator<Item = &'n Name>, query: &str) -> Result<BTreeSet<Name>> {
        let names: Vec<&Name> = names.collect();
        let quoted: Vec<String> = names.iter().map(|name| name.quoted()).collect();
        let json = serde_json::to_string(&quoted).expect("names are JSON strings");
        let query = query.replace("{}", &format!("{}::json", literal(&json)));
        let found: BTreeSet<String> =
            self.session.row("asking what is there", &query).await?.list("names")?.into_iter().collect();
        Ok(names
            .into_iter()
            .zip(quoted)
            .filter(|(_, quoted)| found.contains(quoted))
            .map(|(name, _)| name.clone())
            .collect())
    }

    /// New names for the table, its partitions, and what has a name in the same schema.
    async fn renames(&mut self, schema: &Schema, choice: &mut Choice, table: &Name, new: &str) -> Result<Renames> {
        if new.len() > NAME_BYTES {
            return Err(Error::configuration(format!(
                "the new name has {} bytes; {NAME_BYTES} is the most",
                new.len()
            )));
        }
        let mut renames = Renames::default();
        let schemas: BTreeSet<&String> = choice.renamed.iter().filter_map(|name| name.schema.as_ref()).collect();
        let mut taken = std::collections::BTreeMap::new();
        for name in schemas {
            let query = format!(
                "SELECT (SELECT json_agg(relname) FROM pg_catalog.pg_class WHERE relnamespace = n.oid)::text AS relations, \
                 (SELECT json_agg(typname) FROM pg_catalog.pg_type WHERE typnamespace = n.oid)::text AS types \
                 FROM (SELECT 1) x LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = {}",
                literal(name)
            );
            let row = self.session.row("reading the names in use", &query).await?;
            let mut names: BTreeSet<String> = row.list("relations")?.into_iter().chain(row.list("types")?).collect();
            // Tables that come along keep theirs.
            names.extend(choice.tables.difference(&choice.renamed).map(|it| it.name.clone()));
            taken.insert(name.clone(), names);
        }
        let key = |name: &Name| name.schema.clone().unwrap_or_default();
        if !taken.entry(key(table)).or_default().insert(new.to_owned()) {
            choice.problems.push(format!("{} is there already", shown(new)));
        }
        renames.add(table, new);
        let partitions: Vec<Name> = choice.renamed.iter().filter(|name| *name != table).cloned().collect();
        let sequences = schema.owned.iter().filter(|(_, owner)| choice.renamed.contains(owner)).map(|(name, _)| name);
        let mut others: Vec<Name> = partitions.into_iter().chain(sequences.cloned()).collect();
        for entry in &schema.entries {
            if let About::Table(owner, part) = &entry.about
                && choice.renamed.contains(owner)
            {
                match part {
                    Part::Index(name) | Part::Key(name) => {
                        others.push(Name { schema: owner.schema.clone(), name: name.clone() });
                    }
                    Part::Statistics(name) if !others.contains(name) => others.push(name.clone()),
                    _ => {}
                }
            }
        }
        for other in others {
            let name = derived(&other.name, &table.name, new, taken.entry(key(&other)).or_default());
            renames.add(&other, &name);
        }
        Ok(renames)
    }

    /// The role must be able to make things in the tables' schemas.
    async fn check_schemas(&mut self, choice: &Choice, findings: &mut Findings) -> Result<()> {
        let schemas: BTreeSet<&String> = choice.tables.iter().filter_map(|name| name.schema.as_ref()).collect();
        for schema in schemas {
            let query = format!(
                "SELECT current_user AS role, pg_catalog.pg_is_in_recovery() AS replica, coalesce((SELECT \
                 pg_catalog.has_schema_privilege(oid, 'CREATE') AND pg_catalog.has_schema_privilege(oid, 'USAGE') FROM \
                 pg_catalog.pg_namespace WHERE nspname = {}), pg_catalog.has_database_privilege(pg_catalog.current_database(), \
                 'CREATE')) AS creates",
                literal(schema)
            );
            let row = self.session.row("reading the privileges", &query).await?;
            if row.flag("replica")? {
                findings.problem("the server is a replica, which takes no writes");
                return Ok(());
            }
            if !row.flag("creates")? {
                let (role, schema) = (ident(&row.text("role")?), ident(schema));
                findings.problem(format!(
                    "role {role} may not create in schema {schema}: GRANT CREATE ON SCHEMA {schema} TO {role}"
                ));
            }
        }
        Ok(())
    }

    /// What the dump does not make and does not find in its own schemas comes from an extension, which must be there.
    async fn check_extensions(&mut self, schema: &Schema, choice: &Choice, findings: &mut Findings) -> Result<()> {
        let query = "SELECT json_agg(extname)::text AS names FROM pg_catalog.pg_extension";
        let installed = self.session.row("reading the extensions", query).await?.list("names")?;
        let missing: Vec<(&String, &String)> =
            schema.extensions.iter().filter(|(name, _)| !installed.contains(*name)).collect();
        let mut unknown: BTreeSet<&Name> = BTreeSet::new();
        for at in &choice.entries {
            unknown.extend(schema.entries[*at].names.iter().filter(|name| {
                !schema.knows(name) && missing.iter().any(|(_, place)| Some(*place) == name.schema.as_ref())
            }));
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = unknown.iter().map(|name| plain(name)).collect();
        let extensions: Vec<String> = missing.iter().map(|(name, _)| ident(name)).collect();
        findings.problem(format!(
            "{} is not in the backup itself, and the target lacks extensions that it has: {}; make the one that is needed: CREATE EXTENSION",
            names.join(", "),
            extensions.join(", ")
        ));
        Ok(())
    }
}

fn named(table: &TableManifest) -> Name {
    Name { schema: Some(table.schema.clone().unwrap_or_else(|| "public".to_owned())), name: table.name.clone() }
}
