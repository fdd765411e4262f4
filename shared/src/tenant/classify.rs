//! A schema and a map become classes, or a list of everything that is wrong with them.
//!
//! What is refused: a table that the map does not class, a class that the table cannot have, a way that leads nowhere, and
//! a table of the tenant whose rows cannot be restored alone (inheritance, triggers that cannot be held back, references to a table
//! without a key).

use std::collections::{BTreeMap, BTreeSet};

use super::map::{Entry, Map, Word};
use super::schema::{Name, Schema};
use crate::{Error, Result};

/// What a table is to the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Class {
    /// The column says whose a row is.
    Tenant {
        /// The column.
        column: String,
    },
    /// Any of the ways says whose a row is.
    ByPath {
        /// The ways.
        ways: Vec<Way>,
    },
    /// Everybody's.
    Shared,
    /// Left alone.
    Excluded,
}

/// A way from a row to its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) columns: Vec<String>,
    pub(crate) parent: usize,
    pub(crate) parent_columns: Vec<String>,
    /// Values that other columns must have, by their texts.
    pub(crate) when: BTreeMap<String, String>,
}

impl Class {
    /// Whether rows of the table belong to tenants.
    pub(crate) fn is_member(&self) -> bool {
        matches!(self, Class::Tenant { .. } | Class::ByPath { .. })
    }

    /// The class as the map has it.
    pub(crate) fn word(&self) -> Word {
        match self {
            Class::Tenant { .. } => Word::Tenant,
            Class::ByPath { .. } => Word::ByPath,
            Class::Shared => Word::Shared,
            Class::Excluded => Word::Excluded,
        }
    }
}

/// The classes of all tables.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    /// One for each table of the schema.
    pub(crate) classes: Vec<Class>,
    /// The tables that hold the tenant's rows, parents before children as far as there is such an order.
    pub(crate) order: Vec<usize>,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

/// Classes every table. `kept` are tables of the backup that the database no longer has: the map must class them too.
pub(crate) fn classify(schema: &Schema, map: &Map, kept: &[Name]) -> Result<Classes> {
    let mut wrong: Vec<String> = Vec::new();
    let mut notes = Vec::new();
    let mut classes = Vec::with_capacity(schema.tables.len());
    let mut names = BTreeSet::new();
    for (place, table) in schema.tables.iter().enumerate() {
        let name = table.name.to_string();
        if !names.insert(name.clone()) {
            wrong.push(format!("{name}: two tables have this name once it is written with a point"));
        }
        let entry = map.tables.get(&name);
        let class = match entry {
            None => Err("is not in the map file".to_owned()),
            Some(entry) => class(schema, place, entry, &map.tenant_column),
        };
        let class = class.unwrap_or_else(|what| {
            wrong.push(format!("{name} {what}"));
            Class::Excluded
        });
        if class.is_member() {
            refuse(schema, place, &class, entry, &mut wrong);
            let fires = entry.is_some_and(|entry| entry.triggers.is_some());
            notes.extend(fires.then(|| format!("{name}: its triggers fire, and what they do elsewhere is not undone")));
            if table.key.is_empty() {
                notes.push(format!(
                    "{name} has no key: its rows are compared whole, and equal ones counted; a row that came to the tenant from \
                     another one since is deleted, and no conflict is told"
                ));
            }
        } else if table.column(&map.tenant_column).is_some() {
            let word = class.word().text();
            notes.push(format!("{name} has the column {}, and is {word} all the same", map.tenant_column));
        }
        classes.push(class);
    }
    for name in map.tables.keys().filter(|name| !names.contains(*name)) {
        let kept = kept.iter().any(|kept| kept.to_string() == **name);
        if !kept {
            notes.push(format!("the map file has a table {name}, which is not in the database"));
        }
    }
    for name in kept {
        match map.tables.get(&name.to_string()).map(|entry| entry.class) {
            Some(Word::Shared | Word::Excluded) => {}
            _ => wrong.push(format!(
                "{name} is in the backup and no longer in the database, so what it holds cannot be restored: class it \
                 excluded if that is right"
            )),
        }
    }
    lost(schema, &classes, &mut wrong);
    if !wrong.is_empty() {
        return Err(Error::configuration(format!("the map file does not fit the database:\n  {}", wrong.join("\n  ")))
            .hint("Nothing was executed. Run `nightvault tenants plan` to add new tables, and edit what is named."));
    }
    let order = order(schema, &classes);
    Ok(Classes { classes, order, notes })
}

/// The class that an entry gives to a table.
fn class(schema: &Schema, place: usize, entry: &Entry, common: &str) -> Result<Class, String> {
    let table = &schema.tables[place];
    let only = |field: &str, there: bool, word: Word| match there && entry.class != word {
        true => Err(format!("is {:?}; {field:?} is for {:?}", entry.class.text(), word.text())),
        false => Ok(()),
    };
    if entry.class == Word::Unclassed {
        return Err(
            "is not classed: write \"tenant\", \"by path\", \"shared\", or \"excluded\" with a reason".to_owned()
        );
    }
    only("column", entry.column.is_some(), Word::Tenant)?;
    only("through", !entry.through.is_empty(), Word::ByPath)?;
    only("reason", entry.reason.is_some(), Word::Excluded)?;
    match entry.class {
        Word::Tenant => {
            let column = entry.column.as_deref().unwrap_or(common);
            stored(schema, place, column)?;
            Ok(Class::Tenant { column: column.to_owned() })
        }
        Word::ByPath => {
            let mut ways = Vec::new();
            for through in &entry.through {
                let parent = schema.place(&through.table);
                let parent = parent.ok_or_else(|| format!("leads to {:?}, which is not there", through.table))?;
                if through.columns.is_empty() || through.columns.len() != through.references.len() {
                    return Err("has a way whose \"columns\" and \"references\" are not of one number".to_owned());
                }
                through.columns.iter().chain(through.when.keys()).try_for_each(|it| stored(schema, place, it))?;
                through.references.iter().try_for_each(|it| stored(schema, parent, it))?;
                ways.push(Way {
                    columns: through.columns.clone(),
                    parent,
                    parent_columns: through.references.clone(),
                    when: through.when.clone(),
                });
            }
            match ways.is_empty() {
                true => Err("is \"by path\" and has no way in \"through\"".to_owned()),
                false => Ok(Class::ByPath { ways }),
            }
        }
        Word::Excluded if entry.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) => {
            Err(format!("is excluded without a \"reason\" ({} columns)", table.columns.len()))
        }
        Word::Excluded => Ok(Class::Excluded),
        Word::Shared | Word::Unclassed => Ok(Class::Shared),
    }
}

fn stored(schema: &Schema, place: usize, column: &str) -> Result<(), String> {
    let table = &schema.tables[place];
    match table.column(column) {
        None => Err(format!("needs a column {column:?} in {}, which has none", table.name)),
        Some(column) if column.generated => {
            Err(format!("needs the column {:?} of {}, which is generated and so in no dump", column.name, table.name))
        }
        Some(_) => Ok(()),
    }
}

/// Why rows of a table cannot be restored alone.
fn refuse(schema: &Schema, place: usize, class: &Class, entry: Option<&Entry>, wrong: &mut Vec<String>) {
    let table = &schema.tables[place];
    let name = &table.name;
    wrong.extend(table.troubles.iter().map(|trouble| format!("{name} {trouble}")));
    let key: Result<Vec<()>, String> = table.key.iter().map(|column| stored(schema, place, column)).collect();
    match key {
        Err(what) => wrong.push(format!("{name} {what}")),
        Ok(key) if key.is_empty() => {
            // Its rows are compared whole; to what others refer, that is not enough.
            let children = schema.tables.iter().filter(|it| it.references.iter().any(|it| it.parent == place));
            wrong.extend(children.map(|child| {
                format!(
                    "{name} has no primary key and no unique key without NULL, and {} refers to it, so its rows cannot be told \
                     apart",
                    child.name
                )
            }));
        }
        Ok(_) => {}
    }
    for reference in &table.references {
        for column in reference.columns.iter().filter(|column| stored(schema, place, column).is_err()) {
            wrong.push(format!("{name}: its foreign key {} uses the generated column {column}", reference.name));
        }
    }
    let fires = entry.is_some_and(|entry| entry.triggers.is_some());
    if !table.triggers.is_empty() && !fires {
        wrong.push(format!(
            "{name} has triggers that cannot be held back ({}): write \"triggers\": \"fire\" if what they do is harmless",
            table.triggers.join(", ")
        ));
    }
    // A row could belong to two tenants by its own column and by a way: the check of references finds that.
    debug_assert!(class.is_member());
}

/// Ways must come to a table with the tenant column in the end.
fn lost(schema: &Schema, classes: &[Class], wrong: &mut Vec<String>) {
    let mut found: BTreeSet<usize> =
        (0..classes.len()).filter(|place| matches!(classes[*place], Class::Tenant { .. })).collect();
    loop {
        let more: Vec<usize> = (0..classes.len())
            .filter(|place| !found.contains(place))
            .filter(|place| match &classes[*place] {
                Class::ByPath { ways } => ways.iter().any(|way| found.contains(&way.parent)),
                _ => false,
            })
            .collect();
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    for (place, class) in classes.iter().enumerate() {
        let name = &schema.tables[place].name;
        let Class::ByPath { ways } = class else { continue };
        if !found.contains(&place) {
            wrong.push(format!("{name} is \"by path\", and its ways lead to no table with the tenant column"));
        }
        for way in ways {
            let parent = &schema.tables[way.parent];
            if !classes[way.parent].is_member() {
                wrong.push(format!(
                    "{name} has a way to {}, which is {}",
                    parent.name,
                    classes[way.parent].word().text()
                ));
            } else if parent.key.is_empty() {
                wrong.push(format!("{name} has a way to {}, which has no key to note its rows by", parent.name));
            }
        }
    }
    if !classes.iter().any(|class| matches!(class, Class::Tenant { .. })) {
        wrong.push("no table is \"tenant\"".to_owned());
    }
}

/// Parents before children, by foreign keys and ways; in a circle by name.
fn order(schema: &Schema, classes: &[Class]) -> Vec<usize> {
    let mut left: BTreeSet<usize> = (0..classes.len()).filter(|place| classes[*place].is_member()).collect();
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |place: usize, ways_alone: bool| {
            let table = &schema.tables[place];
            let keys = table.references.iter().map(|reference| reference.parent).filter(|_| !ways_alone);
            let ways = match &classes[place] {
                Class::ByPath { ways } => ways.as_slice(),
                _ => &[],
            };
            keys.chain(ways.iter().map(|way| way.parent)).filter(|it| *it != place && left.contains(it)).count()
        };
        let next = left
            .iter()
            .find(|place| waits(**place, false) == 0)
            .or_else(|| left.iter().find(|place| waits(**place, true) == 0))
            .or(left.first());
        let Some(next) = next.copied() else { break };
        left.remove(&next);
        order.push(next);
    }
    // Nothing hangs on a row without a key, and whose it is its parents' rows say: they must still be there when it goes.
    order.sort_by_key(|place| schema.tables[*place].key.is_empty());
    order
}

/// Whether rows must be gathered again and again until no more are found: ways that come back to where they began.
pub(crate) fn circular(classes: &Classes) -> bool {
    let mut seen = BTreeSet::new();
    for place in &classes.order {
        if let Class::ByPath { ways } = &classes.classes[*place]
            && ways.iter().any(|way| !seen.contains(&way.parent))
        {
            return true;
        }
        seen.insert(*place);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::map::Fire;
    use crate::tenant::schema::samples::the_clinic;

    /// The clinic's map as a person has completed it.
    fn a_map(schema: &Schema) -> Map {
        let mut map = Map::merged(None, schema, "tenant_id").unwrap();
        map.tables.get_mut("comments").unwrap().class = Word::ByPath;
        map.tables.insert("countries".into(), Entry { class: Word::Shared, ..Entry::default() });
        let log = Entry { class: Word::Excluded, reason: Some("a log".into()), ..Entry::default() };
        map.tables.insert("audit".into(), log);
        map
    }

    fn wrong(schema: &Schema, map: &Map) -> String {
        classify(schema, map, &[]).unwrap_err().to_string()
    }

    #[test]
    fn a_completed_map_classes_every_table_in_an_order_of_dependency() {
        let schema = the_clinic();
        let classes = classify(&schema, &a_map(&schema), &[]).unwrap();
        let names: Vec<String> = classes.order.iter().map(|place| schema.tables[*place].name.to_string()).collect();
        assert_eq!(names, ["tenants", "patients", "users", "visits", "notes", "comments", "doctors", "departments"]);
        assert!(circular(&classes), "comments lead to comments");
        assert!(classes.notes.is_empty(), "{:?}", classes.notes);
    }

    #[test]
    fn a_table_that_nobody_classed_stops_it() {
        let schema = the_clinic();
        let mut map = a_map(&schema);
        map.tables.remove("audit");
        map.tables.get_mut("countries").unwrap().class = Word::Unclassed;
        let said = wrong(&schema, &map);
        assert!(said.contains("audit is not in the map file") && said.contains("countries is not classed"), "{said}");
    }

    #[test]
    fn classes_that_a_table_cannot_have_are_told_all_at_once() {
        let mut schema = the_clinic();
        let mut map = a_map(&schema);
        map.tables.get_mut("audit").unwrap().reason = None;
        map.tables.get_mut("users").unwrap().column = Some("clinic".into());
        map.tables.get_mut("notes").unwrap().through[0].table = "nowhere".into();
        map.tables.get_mut("visits").unwrap().through.clear();
        map.tables.get_mut("countries").unwrap().column = Some("code".into());
        let place = schema.place("patients").unwrap();
        schema.tables[place].key.clear();
        schema.tables[place].triggers.push("log".into());
        let said = wrong(&schema, &map);
        for part in [
            "audit is excluded without",
            "users needs a column \"clinic\"",
            "notes leads to \"nowhere\"",
            "visits is \"by path\" and has no way",
            "countries is \"shared\"; \"column\" is for \"tenant\"",
            "patients has no primary key",
            "patients has triggers that cannot be held back (log)",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        map = a_map(&schema);
        map.tables.get_mut("patients").unwrap().triggers = Some(Fire::Fire);
        schema.tables[place].key = vec!["id".into()];
        assert!(classify(&schema, &map, &[]).unwrap().notes[0].contains("its triggers fire"));
    }

    #[test]
    fn ways_must_come_to_a_tenant() {
        let schema = the_clinic();
        let mut map = a_map(&schema);
        map.tables.get_mut("comments").unwrap().through.remove(0);
        map.tables.insert("users".into(), Entry { class: Word::Shared, ..Entry::default() });
        let visits = map.tables.get_mut("visits").unwrap();
        visits.through[0].table = "users".into();
        visits.through[0].columns = vec!["user_id".into()];
        let said = wrong(&schema, &map);
        assert!(said.contains("comments is \"by path\", and its ways lead to no table"), "{said}");
        assert!(said.contains("visits has a way to users, which is shared"), "{said}");
    }

    #[test]
    fn a_table_that_only_the_backup_has_must_be_classed_too() {
        let schema = the_clinic();
        let mut map = a_map(&schema);
        let gone = [Name::new(None, "gone")];
        assert!(classify(&schema, &map, &gone).unwrap_err().to_string().contains("gone is in the backup"));
        let entry = Entry { class: Word::Excluded, reason: Some("dropped".into()), ..Entry::default() };
        map.tables.insert("gone".into(), entry);
        assert!(classify(&schema, &map, &gone).is_ok());
    }
}
