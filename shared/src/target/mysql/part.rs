//! Single tables into a database that holds other things.
//!
//! A table is made and filled under a hidden name, counted, and takes its own name when it is whole: `RENAME TABLE` does so
//! for all of them at once. Its triggers come last, so that they do not fire. What an error leaves is dropped again, but only
//! what this run made. Bytes are checked piece by piece, against digests that the authenticated manifest vouches for; that
//! some of them may turn out damaged when others were executed is what the hidden name is for.
//!
//! Nothing that is there is changed, with one exception that is told: a sequence that is there already is moved on behind
//! the restored values, never back.

mod held;
mod made;
mod names;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use self::held::Held;
pub(crate) use self::made::Made;
use self::names::{NAME_CHARS, constraints_of, derived, hidden, with_name};
use super::crew::{Crew, Rows, Task};
use super::execute::{execute, set_up};
use super::outline::{Needs, Outline};
use super::pick::{Picked, Sequence, find, renamed};
use super::split::Statement;
use super::{Load, Target, check, keys, orphans};
use crate::archive::manifest::DatabaseManifest;
use crate::source::mysql::inventory::without_counter;
use crate::source::mysql::quoting::identifier;
use crate::source::mysql::session::{Flavor, Session};
use crate::target::{Findings, Loaded, LoadedTable};
use crate::{Class, Error, Result};

/// What is asked for.
pub(crate) struct Wanted<'a> {
    /// Names of tables.
    pub(crate) tables: &'a [String],
    /// Take the tables along that these refer to and that are not there.
    pub(crate) with_parents: bool,
    /// Another name, for the only table.
    pub(crate) rename: Option<&'a str>,
}

/// What is going to be made.
pub(crate) struct Part<'a> {
    tables: Vec<Planned<'a>>,
    /// Each with whether it is there already.
    sequences: Vec<(Sequence, bool)>,
    /// What is made besides the tables that were asked for.
    pub(crate) along: Vec<String>,
}

/// One table.
struct Planned<'a> {
    picked: Picked<'a>,
    /// Its name in the end.
    name: String,
    hidden: String,
    /// Makes it under the hidden name.
    create: String,
}

impl Target {
    /// Finds what belongs to the tables, and looks whether the database can take it. Changes nothing.
    pub(crate) async fn plan_part<'a>(
        &mut self,
        manifest: &'a DatabaseManifest,
        outline: &Outline,
        wanted: &Wanted<'_>,
        findings: &mut Findings,
    ) -> Result<Part<'a>> {
        let mut picked: Vec<Picked<'a>> = Vec::new();
        for name in wanted.tables {
            if picked.iter().all(|it| it.manifest.name != *name) {
                picked.push(find(manifest, outline, name)?);
            }
        }
        let asked = picked.len();
        let held = Held::read(&mut self.session).await?;

        // Parents, and theirs.
        let mut at = 0;
        while at < picked.len() {
            for (key, parent) in picked[at].references.clone() {
                if held.has_table(&parent) || picked.iter().any(|it| it.manifest.name == parent) {
                    continue;
                }
                let child = &picked[at].manifest.name;
                match find(manifest, outline, &parent) {
                    Ok(found) if wanted.with_parents => picked.push(found),
                    Ok(_) => findings.problem(format!(
                        "table {child:?} refers to {parent:?} (foreign key {key:?}), which is not there: take it along with \
                         --with-parents, or restore it first"
                    )),
                    Err(_) => findings.warning(format!(
                        "table {child:?} refers to {parent:?} (foreign key {key:?}), which neither the target nor the backup has"
                    )),
                }
            }
            at += 1;
        }

        let mut along: Vec<String> = picked[asked..].iter().map(|it| format!("table {}", it.manifest.name)).collect();
        let mut tables = Vec::new();
        for (number, picked) in picked.into_iter().enumerate() {
            let new = wanted.rename.filter(|_| number < asked);
            tables.push(planned(&self.session, picked, new, &held, findings)?);
        }

        let mut sequences: Vec<(Sequence, bool)> = Vec::new();
        for sequence in tables.iter().flat_map(|table| &table.picked.sequences) {
            if sequences.iter().all(|(it, _)| it.name != sequence.name) {
                let there = held.has_table(&sequence.name);
                if there {
                    findings.warning(format!(
                        "the sequence {:?} is there already and is moved on behind the restored values",
                        sequence.name
                    ));
                } else {
                    along.push(format!("sequence {}", sequence.name));
                }
                sequences.push((sequence.clone(), there));
            }
        }
        for table in &tables {
            triggers(table, &held, manifest, outline, &mut along, findings);
        }
        Ok(Part { tables, sequences, along })
    }

    /// Looks whether the server can take what the part needs. Changes nothing.
    pub(crate) async fn check_part(
        &mut self,
        manifest: &DatabaseManifest,
        outline: &Outline,
        part: &Part<'_>,
        longest: u64,
        findings: &mut Findings,
    ) -> Result<()> {
        let mut needs = part.needs(outline);
        needs.longest = needs.longest.max(longest);
        check::foreign(&self.session, &needs)?;
        check::version(&self.session, manifest, findings);
        let triggers: Vec<_> = part.tables.iter().flat_map(Planned::triggers).collect();
        let objects = BTreeMap::from([("trigger".to_owned(), triggers.len() as u64)]);
        let definers: BTreeSet<&str> = triggers.iter().filter_map(|trigger| trigger.definer.as_deref()).collect();
        let definers = definers.into_iter().collect::<Vec<_>>().join(", ");
        check::privileges(&mut self.session, &objects, &definers, findings).await?;
        check::collations(&mut self.session, &needs, findings).await?;
        check::packet(&mut self.session, &needs, findings).await
    }

    /// Makes the part. An error leaves what is noted in `made`.
    pub(crate) async fn load_part(&mut self, load: &Load<'_>, part: &Part<'_>, made: &mut Made) -> Result<Loaded> {
        let Load { archive, manifest, outline, progress, .. } = *load;
        let mut loaded = Loaded::default();

        // 1. Settings, sequences, empty tables under hidden names.
        progress.set_current("making tables");
        set_up(&mut self.session, &self.place, outline.settings()).await?;
        for (sequence, there) in &part.sequences {
            if !there {
                execute(&mut self.session, &self.place, sequence.create.clone()).await?;
                made.sequences.push(sequence.name.clone());
            }
            execute(&mut self.session, &self.place, sequence.set.clone()).await?;
            loaded.statements += 2 - u64::from(*there);
        }
        let mut definitions = Vec::new();
        for table in &part.tables {
            let result = execute(&mut self.session, &self.place, table.create.clone().into_bytes()).await;
            // An answer that did not come says nothing about what was done.
            if result.is_ok() || result.as_ref().is_err_and(|error| error.class() == Class::Transient) {
                made.tables.push((table.hidden.clone(), table.name.clone()));
            }
            result?;
            definitions.push(definition(&mut self.session, &table.hidden, &table.name).await?);
        }
        loaded.statements += (outline.settings().len() + part.tables.len()) as u64;
        let large = part.tables.iter().filter(|table| table.picked.manifest.bytes >= keys::WORTHWHILE_BYTES);
        let originals: Vec<_> = large.map(|it| (it.hidden.clone(), it.create.clone().into_bytes())).collect();
        let deferred = keys::defer(&mut self.session, &originals, &self.place).await?;

        // 2. Rows, and their number.
        let mut others = self.others(load, part.tables.len()).await?;
        let mut sessions: Vec<&mut Session> = std::iter::once(&mut self.session).chain(&mut others).collect();
        let crew = Crew { archive, manifest, place: &self.place, limit: load.limit, progress };
        progress.expect(part.bytes());
        let mut all: Vec<Rows<'_>> = part.tables.iter().map(|table| table.rows(&deferred)).collect();
        all.sort_by_key(|rows| std::cmp::Reverse(rows.table.bytes));
        let done = crew.work(&mut sessions, all.iter().cloned().map(Task::Load).collect()).await?;
        loaded.take(done);
        progress.set_current("making foreign keys");
        for keys in &deferred {
            keys.refer(sessions[0]).await?;
        }
        progress.set_current("counting the rows");
        crew.work(&mut sessions, all.into_iter().map(Task::Count).collect()).await?;

        // 3. The names, all at once; then what acts on the tables.
        let pairs = part.tables.iter().map(|it| format!("{} TO {}", identifier(&it.hidden), identifier(&it.name)));
        let rename = format!("RENAME TABLE {}", pairs.collect::<Vec<_>>().join(", "));
        made.renaming = true;
        execute(sessions[0], &self.place, rename.into_bytes()).await?;
        loaded.statements += 1;
        for (table, before) in part.tables.iter().zip(definitions) {
            if definition(sessions[0], &table.name, &table.name).await? != before {
                return Err(Error::new(Class::Inconsistent, format!("table {:?} changed with its name", table.name)));
            }
        }
        for statement in part.tables.iter().flat_map(Planned::triggers).flat_map(|trigger| &trigger.statements) {
            execute(sessions[0], &self.place, statement.sql.clone()).await?;
            loaded.statements += 1;
        }
        for table in &mut loaded.tables {
            let planned = part.tables.iter().find(|it| it.picked.manifest.name == table.name);
            table.renamed = planned.map(|it| it.name.clone()).filter(|name| *name != table.name);
        }

        progress.set_current("looking for rows that refer to nothing");
        let names: Vec<String> = part.tables.iter().map(|table| table.name.clone()).collect();
        let keys = orphans::keys(sessions[0], Some(&names)).await?;
        let done =
            crew.work(&mut sessions, keys.into_iter().map(|(name, key)| Task::Orphans(name, key)).collect()).await?;
        loaded.take(done);
        Ok(loaded)
    }
}

fn planned<'a>(
    session: &Session,
    picked: Picked<'a>,
    new: Option<&str>,
    held: &Held,
    findings: &mut Findings,
) -> Result<Planned<'a>> {
    let old = &picked.manifest.name;
    let name = new.unwrap_or(old).to_owned();
    let hidden = hidden(&name);
    if name.chars().count() > NAME_CHARS {
        findings.problem(format!("the name {name:?} has more than {NAME_CHARS} characters"));
    }
    if held.has_table(&name) {
        let beside = if new.is_none() { "; --as NAME puts its rows beside it" } else { "" };
        findings.problem(format!("{name:?} is there already{beside}"));
    }
    if held.has_table(&hidden) {
        findings.problem(format!(
            "table {hidden:?} is there: a restore that runs now fills it, or one that was killed left it (then: DROP TABLE {})",
            identifier(&hidden)
        ));
    }
    let checks = session.flavor == Flavor::MySql;
    let mut constraints: HashMap<String, String> = HashMap::new();
    let mut used = held.constraints.clone();
    for constraint in constraints_of(&picked.create, checks) {
        let own = match new {
            None => constraint.clone(),
            Some(new) => derived(&constraint, old, new, &used),
        };
        if !used.insert(own.to_lowercase()) {
            findings.problem(format!("a constraint {own:?} is there already, and table {old:?} has one of this name"));
        }
        constraints.insert(constraint, own);
    }
    let constraint = |name: &str| constraints.get(name).cloned().unwrap_or_else(|| name.to_owned());
    let unreadable = || Error::corrupt(format!("the definition of table {old:?} cannot be read"));
    // References to itself mean its name in the end.
    let create = renamed(&picked.create, old, &name, checks, &constraint).ok_or_else(unreadable)?;
    let create = with_name(&create, &hidden).ok_or_else(unreadable)?;
    Ok(Planned { picked, name, hidden, create })
}

fn triggers(
    table: &Planned<'_>,
    held: &Held,
    manifest: &DatabaseManifest,
    outline: &Outline,
    along: &mut Vec<String>,
    findings: &mut Findings,
) {
    let named = &table.picked.manifest.name;
    if table.is_renamed() {
        if !table.picked.triggers.is_empty() {
            let names: Vec<&str> = table.picked.triggers.iter().map(|trigger| trigger.name.as_str()).collect();
            let name = &table.name;
            findings.warning(format!("the triggers of {named:?} are not made for {name:?}: {}", names.join(", ")));
        }
        return;
    }
    for trigger in &table.picked.triggers {
        if held.triggers.contains(&trigger.name) {
            findings.problem(format!(
                "a trigger {:?} is there already, and table {named:?} has one of this name",
                trigger.name
            ));
        }
        along.push(format!("trigger {}", trigger.name));
    }
    let collation = manifest.snapshot.get("collation").filter(|collation| **collation != held.collation);
    if let Some(collation) = collation.filter(|_| !table.picked.triggers.is_empty() && !outline.statements.is_empty()) {
        findings.warning(format!(
            "the triggers of {named:?} were made in a database with the collation {collation}, and this one has {}",
            held.collation
        ));
    }
}

impl<'a> Planned<'a> {
    fn is_renamed(&self) -> bool {
        self.name != self.picked.manifest.name
    }

    fn triggers(&self) -> &[super::pick::Trigger] {
        if self.is_renamed() { &[] } else { &self.picked.triggers }
    }

    fn rows<'d>(&self, deferred: &'d [keys::Deferred]) -> Rows<'d>
    where
        'a: 'd,
    {
        Rows {
            table: self.picked.manifest,
            into: self.hidden.clone(),
            keys: deferred.iter().find(|it| it.is_of(&self.hidden)),
        }
    }
}

impl Part<'_> {
    /// The sections that are read.
    pub(crate) fn sections(&self) -> impl Iterator<Item = &crate::archive::manifest::TableManifest> {
        self.tables.iter().map(|table| table.picked.manifest)
    }

    /// Bytes of them.
    pub(crate) fn bytes(&self) -> u64 {
        self.sections().map(|table| table.bytes).sum()
    }

    /// What would be loaded, for a dry run.
    pub(crate) fn planned(&self) -> Loaded {
        let tables = self.tables.iter().map(|it| LoadedTable {
            schema: None,
            name: it.picked.manifest.name.clone(),
            renamed: it.is_renamed().then(|| it.name.clone()),
            rows: it.picked.manifest.rows,
            bytes: it.picked.manifest.bytes,
            took: Duration::ZERO,
        });
        Loaded { tables: tables.collect(), ..Loaded::default() }
    }

    fn needs(&self, outline: &Outline) -> Needs {
        let own: Vec<Statement> = (self.tables.iter().map(|table| table.create.clone().into_bytes()))
            .map(|sql| Statement { sql, offset: 0 })
            .collect();
        let triggers = self.tables.iter().flat_map(Planned::triggers).flat_map(|trigger| &trigger.statements);
        let (mut needs, _) = Outline::needs(outline.settings().iter().chain(&own).chain(triggers), self.sections());
        // Rows go under the hidden name.
        let longer = self.tables.iter().map(|it| identifier(&it.hidden).len()).max().unwrap_or_default();
        needs.longest += longer as u64;
        needs
    }

    /// Whether the manifest tells how long the statements are.
    pub(crate) fn is_measured(&self) -> bool {
        self.sections().all(|table| table.rows == 0 || table.longest_statement.is_some())
    }
}

/// The server's definition of a table, as it would be under the name `told`.
async fn definition(session: &mut Session, table: &str, told: &str) -> Result<String> {
    let create = session.one(&format!("SHOW CREATE TABLE {}", identifier(table))).await?.text(1)?;
    let unreadable = || Error::bug(format!("the server's definition of table {table:?} cannot be read"));
    Ok(without_counter(&with_name(&create, told).ok_or_else(unreadable)?))
}
