//! Whether the newest backup holds what it should: what the one before it held, and anything at all.

use super::{DiskFacts, Status, TailFacts};
use crate::archive::manifest::DatabaseManifest;
use crate::config::HealthLimits;

/// A database without a single row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmptyDatabase {
    /// Its name.
    pub name: String,
    /// How many tables it has.
    pub tables: u64,
}

impl EmptyDatabase {
    /// `None`: there are rows, or there is what has no rows that were counted.
    pub(super) fn of(database: &DatabaseManifest) -> Option<Self> {
        let tables = database.tables.len() as u64;
        // A SQLite table that could not be counted stands among the objects alone; a virtual one keeps its rows elsewhere.
        let objects = |kind: &str| database.objects.get(kind).copied().unwrap_or_default();
        let counted = database.engine != "SQLite" || (objects("table"), objects("virtual table")) == (tables, 0);
        (database.rows == 0 && counted).then(|| Self { name: database.name.clone(), tables })
    }
}

/// What the previous backup held must be in the newest, and not shrunken without a word; a database without a single row is
/// told from the first night on, unless it was said that it may be.
pub(super) fn check(facts: &DiskFacts, limits: &HealthLimits, _: jiff::Timestamp) -> (Status, String) {
    let Some(Ok(newest)) = &facts.newest_tail else {
        // That is `readable`'s to tell.
        return (Status::Ok, "not compared: the newest backup was not read".into());
    };
    let (compared, mut warnings) = match &facts.previous_tail {
        None => ("there is no backup before it to compare with".to_owned(), Vec::new()),
        Some(Err((_, error))) => {
            (String::new(), vec![format!("not compared: the backup before it could not be read: {error}")])
        }
        Some(Ok(previous)) => {
            let missing = missing(newest, previous);
            if !missing.is_empty() {
                let (key, before) = (&newest.key, &previous.key);
                let lacks = format!("{key} lacks what {before} holds: {}", missing.join(", "));
                let told: Vec<String> = std::iter::once(lacks).chain(empty(newest, limits)).collect();
                return (Status::Unhealthy, told.join("; "));
            }
            (format!("it holds everything that {} holds", previous.key), shrunken(newest, previous))
        }
    };
    warnings.extend(empty(newest, limits));
    if warnings.is_empty() { (Status::Ok, compared) } else { (Status::Warning, warnings.join("; ")) }
}

fn rows_of<'a>(tail: &'a TailFacts, name: &str) -> Option<&'a Option<u64>> {
    tail.sources.iter().find(|(source, _)| source == name).map(|(_, rows)| rows)
}

fn missing<'a>(newest: &TailFacts, previous: &'a TailFacts) -> Vec<&'a str> {
    let names = previous.sources.iter().map(|(name, _)| name.as_str());
    names.filter(|name| rows_of(newest, name).is_none()).collect()
}

fn shrunken(newest: &TailFacts, previous: &TailFacts) -> Vec<String> {
    let shrunken: Vec<String> = previous
        .sources
        .iter()
        .filter_map(|(name, before)| Some((name, (*before)?, (*rows_of(newest, name)?)?)))
        .filter(|(_, before, now)| now.saturating_mul(2) < *before)
        .map(|(name, before, now)| format!("{name} has {now} rows, {before} before"))
        .collect();
    if shrunken.is_empty() {
        return Vec::new();
    }
    vec![format!("less than half of the rows are left: {}", shrunken.join("; "))]
}

fn empty(newest: &TailFacts, limits: &HealthLimits) -> Vec<String> {
    let accepted = |name: &String| limits.empty_databases.contains(name);
    let empty = newest.empty_databases.iter().filter(|database| !accepted(&database.name));
    let empty: Vec<String> = empty
        .map(|EmptyDatabase { name, tables }| match tables {
            0 => format!("{name} (it has no table either)"),
            1 => format!("{name} (1 table)"),
            tables => format!("{name} ({tables} tables)"),
        })
        .collect();
    let mut warnings = Vec::new();
    if !empty.is_empty() {
        warnings.push(format!(
            "without a single row: {}; one that is rightly empty is named in BACKUP_EMPTY_DATABASES",
            empty.join(", ")
        ));
    }
    // A mistyped name would accept nothing and say nothing.
    let unknown = limits.empty_databases.iter().filter(|name| !matches!(rows_of(newest, name), Some(Some(_))));
    let unknown: Vec<&str> = unknown.map(String::as_str).collect();
    if !unknown.is_empty() {
        warnings.push(format!("BACKUP_EMPTY_DATABASES names what is no database in it: {}", unknown.join(", ")));
    }
    warnings
}
