//! The statements of a tenant's restore.
//!
//! For each table of the tenant there are temporary tables of the session: `rows` (the backup's rows), `backup` and `live`
//! (the keys of the tenant's rows in the backup and in the database), and `doomed` (keys that are deleted: what the
//! backup does not have, and what it has otherwise and is inserted again). A statement that writes to the database
//! names its rows by these keys and by nothing else. Tables without a key are in `bag`, what foreign keys
//! ask for in `references`.

mod bag;
mod every;
mod references;

use super::classify::{Class, Classes, Way};
use super::dialect::Dialect;
use super::schema::{Column, Schema, Table};
use crate::Result;

/// Where rows are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    /// In the rows that came from the backup.
    Backup,
    /// In the database.
    Live,
}

/// Writes the statements for one schema, one map and one tenant.
pub(crate) struct Statements<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) schema: &'a Schema,
    pub(crate) classes: &'a Classes,
    /// The tenant.
    pub(crate) value: &'a str,
}

impl Statements<'_> {
    fn table(&self, place: usize) -> &Table {
        &self.schema.tables[place]
    }

    fn live(&self, place: usize) -> String {
        self.dialect.table(&self.table(place).name)
    }

    /// The backup's rows.
    pub(crate) fn rows(&self, place: usize) -> String {
        self.dialect.temporary("rows", place)
    }

    fn keys(&self, world: World, place: usize) -> String {
        let what = if world == World::Backup { "backup" } else { "live" };
        self.dialect.temporary(what, place)
    }

    fn doomed(&self, place: usize) -> String {
        self.dialect.temporary("doomed", place)
    }

    fn relation(&self, world: World, place: usize) -> String {
        if world == World::Backup { self.rows(place) } else { self.live(place) }
    }

    fn columns(&self, place: usize, names: &[String]) -> Vec<&Column> {
        names.iter().filter_map(|name| self.table(place).column(name)).collect()
    }

    /// The key of a row as text; of a table without one, the columns given instead.
    fn shown(&self, alias: &str, place: usize, instead: &[String]) -> String {
        let key = &self.table(place).key;
        self.dialect.shown(alias, &self.columns(place, if key.is_empty() { instead } else { key }))
    }

    /// `EXISTS (… WHERE one.a = other.b)`.
    fn exists(&self, relation: &str, alias: &str, condition: &str) -> String {
        format!("EXISTS (SELECT 1 FROM {relation} {alias} WHERE {condition})")
    }

    fn has_key(&self, relation: &str, alias: &str, place: usize) -> String {
        let key = &self.table(place).key;
        self.exists(relation, "has", &self.dialect.equal(("has", key), (alias, key)))
    }

    /// Makes the temporary tables of a table, empty.
    pub(crate) fn create(&self, place: usize) -> Vec<String> {
        if !self.keyed(place) {
            return self.create_bag(place);
        }
        let table = self.table(place);
        let (live, key) = (self.live(place), self.dialect.list("", &table.key));
        let names = |what: &str| format!("nightvault_{what}_{place}");
        let all = [("rows", self.dialect.list("", &table.stored_names()))];
        let all = all.into_iter().chain(["backup", "live", "doomed"].map(|what| (what, key.clone())));
        all.map(|(what, columns)| match self.dialect {
            Dialect::Postgres => {
                format!("CREATE TEMPORARY TABLE {} AS SELECT {columns} FROM {live} WITH NO DATA", names(what))
            }
            Dialect::Mysql => format!(
                "CREATE TEMPORARY TABLE {} (PRIMARY KEY ({key})) ENGINE=InnoDB AS SELECT {columns} FROM {live} LIMIT 0",
                self.dialect.temporary(what, place)
            ),
        })
        .collect()
    }

    /// Makes the temporary tables quick to look into, once the rows are there. Keys that stand twice are refused.
    pub(crate) fn index(&self, place: usize) -> Vec<String> {
        if !self.keyed(place) {
            return self.index_bag(place);
        }
        match self.dialect {
            Dialect::Postgres => {
                let key = self.dialect.list("", &self.table(place).key);
                let index = |what: &str| format!("CREATE UNIQUE INDEX ON pg_temp.nightvault_{what}_{place} ({key})");
                let mut all: Vec<String> = ["rows", "backup", "live", "doomed"].into_iter().map(index).collect();
                all.push(format!("ANALYZE {}", self.rows(place)));
                all
            }
            Dialect::Mysql => Vec::new(),
        }
    }

    /// Notes the keys of the tenant's rows that are not noted yet, in a table that has a key.
    pub(crate) fn gather(&self, world: World, place: usize) -> Result<String> {
        let key = &self.table(place).key;
        let keys = self.keys(world, place);
        Ok(format!(
            "INSERT INTO {keys} ({}) SELECT {} FROM {} t WHERE ({}) AND NOT {}",
            self.dialect.list("", key),
            self.dialect.list("t", key),
            self.relation(world, place),
            self.membership(world, place)?,
            self.has_key(&keys, "t", place),
        ))
    }

    /// The condition that a row `t` is the tenant's.
    fn membership(&self, world: World, place: usize) -> Result<String> {
        let dialect = self.dialect;
        match &self.classes.classes[place] {
            Class::Tenant { column } => {
                let column = self.table(place).column(column).expect("the class was checked against the table");
                dialect.holds("t", column, self.value)
            }
            Class::ByPath { ways } => {
                let ways = ways.iter().map(|way| {
                    let key = &self.table(way.parent).key;
                    let leads = dialect.equal(("p", &way.parent_columns), ("t", &way.columns));
                    let keys = self.keys(world, way.parent);
                    let mut condition = if way.parent_columns.iter().all(|column| key.contains(column)) {
                        self.exists(&keys, "p", &leads)
                    } else {
                        let joined = format!("{} p JOIN {keys}", self.relation(world, way.parent));
                        self.exists(&joined, "k", &format!("{} AND {leads}", dialect.equal(("k", key), ("p", key))))
                    };
                    for (column, value) in &way.when {
                        condition.push_str(&format!(" AND {}", dialect.is_text("t", column, value)));
                    }
                    format!("({condition})")
                });
                Ok(ways.collect::<Vec<_>>().join(" OR "))
            }
            Class::Shared | Class::Excluded => Ok("1 = 0".to_owned()),
        }
    }

    /// The condition that no way leads from a row `t` of the database to any row.
    fn leads_nowhere(&self, ways: &[Way]) -> String {
        let ways = ways.iter().map(|way| {
            let leads = self.dialect.equal(("p", &way.parent_columns), ("t", &way.columns));
            let mut condition = self.exists(&self.live(way.parent), "p", &leads);
            for (column, value) in &way.when {
                condition.push_str(&format!(" AND {}", self.dialect.is_text("t", column, value)));
            }
            format!("({condition})")
        });
        format!("COALESCE({}, FALSE) = FALSE", ways.collect::<Vec<_>>().join(" OR "))
    }

    /// Takes rows for the tenant's that are nobody's now and were the tenant's in the backup: what they belonged to was
    /// deleted, and they were left behind. `None` where a row says by itself whose it is, or has no key.
    pub(crate) fn adopt(&self, place: usize) -> Option<String> {
        let Class::ByPath { ways } = &self.classes.classes[place] else { return None };
        if !self.keyed(place) {
            return None;
        }
        let (dialect, key) = (self.dialect, &self.table(place).key);
        Some(format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} k JOIN {} t ON {} WHERE NOT {} AND {}",
            self.keys(World::Live, place),
            dialect.list("", key),
            dialect.list("t", key),
            self.keys(World::Backup, place),
            self.live(place),
            dialect.equal(("t", key), ("k", key)),
            self.has_key(&self.keys(World::Live, place), "t", place),
            self.leads_nowhere(ways),
        ))
    }

    /// Forgets the keys of the tenant's rows in the database.
    pub(crate) fn forget_live(&self, place: usize) -> String {
        format!("DELETE FROM {}", self.keys(World::Live, place))
    }

    /// Rows that were another's in the backup and are the tenant's now.
    pub(crate) fn moved(&self, place: usize) -> String {
        format!(
            "SELECT {} AS which, NULL AS other FROM {} b WHERE NOT {} AND {}",
            self.shown("b", place, &[]),
            self.rows(place),
            self.has_key(&self.keys(World::Backup, place), "b", place),
            self.has_key(&self.keys(World::Live, place), "b", place),
        )
    }

    /// Forgets the backup's rows that are not the tenant's.
    pub(crate) fn keep_members(&self, place: usize) -> String {
        let rows = self.rows(place);
        let known = match self.keyed(place) {
            true => self.has_key(&self.keys(World::Backup, place), "b", place),
            false => self.has_line(World::Backup, "b", place),
        };
        match self.dialect {
            Dialect::Postgres => format!("DELETE FROM {rows} b WHERE NOT {known}"),
            Dialect::Mysql => format!("DELETE b FROM {rows} b WHERE NOT {known}"),
        }
    }

    /// Rows whose key somebody else has now.
    pub(crate) fn taken(&self, place: usize) -> String {
        format!(
            "SELECT {} AS which, NULL AS other FROM {} b WHERE NOT {} AND {}",
            self.shown("b", place, &[]),
            self.rows(place),
            self.has_key(&self.keys(World::Live, place), "b", place),
            self.has_key(&self.live(place), "b", place),
        )
    }

    /// Rows with a value that may be there once and that somebody else has now.
    pub(crate) fn occupied(&self, place: usize, number: usize) -> String {
        let (table, key) = (self.table(place), &self.table(place).key);
        let unique = &table.unique[number];
        let parts: Vec<String> = (0..unique.expressions.len()).map(|part| format!("u{part}")).collect();
        let select = |relation: &str, alias: &str, keys: &str| {
            let values = unique.expressions.iter().zip(&parts).map(|(sql, part)| format!("{sql} AS {part}"));
            let values = values.collect::<Vec<_>>().join(", ");
            let filter = unique.predicate.as_ref().map_or(String::new(), |sql| format!(" WHERE {sql}"));
            // Without an alias: expressions of an index name the table's own columns.
            format!("(SELECT {} AS shown{keys}, {values} FROM {relation}{filter}) {alias}", self.shown("", place, &[]))
        };
        let keys = format!(", {}", self.dialect.list("", key));
        let same = if unique.nulls_equal { "IS NOT DISTINCT FROM" } else { "=" };
        let same: Vec<String> = parts.iter().map(|part| format!("b.{part} {same} t.{part}")).collect();
        format!(
            "SELECT b.shown AS which, t.shown AS other FROM {} JOIN {} ON {} WHERE NOT {}",
            select(&self.rows(place), "b", ""),
            select(&self.live(place), "t", &keys),
            same.join(" AND "),
            self.has_key(&self.keys(World::Live, place), "t", place),
        )
    }

    /// Dooms what the backup does not have.
    pub(crate) fn doom_missing(&self, place: usize) -> String {
        let key = &self.table(place).key;
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} l WHERE NOT {}",
            self.doomed(place),
            self.dialect.list("", key),
            self.dialect.list("l", key),
            self.keys(World::Live, place),
            self.has_key(&self.rows(place), "l", place),
        )
    }

    /// Dooms what the backup has otherwise.
    pub(crate) fn doom_changed(&self, place: usize) -> String {
        let key = &self.table(place).key;
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} b JOIN {} t ON {} WHERE {} AND {}",
            self.doomed(place),
            self.dialect.list("", key),
            self.dialect.list("b", key),
            self.rows(place),
            self.live(place),
            self.dialect.equal(("t", key), ("b", key)),
            self.has_key(&self.keys(World::Live, place), "b", place),
            self.dialect.differ("b", "t", &self.table(place).stored().collect::<Vec<_>>()),
        )
    }

    /// How many rows of the tenant the backup and the database have, and how many of them have the same key.
    pub(crate) fn counts(&self, place: usize) -> String {
        if !self.keyed(place) {
            return self.counts_of_lines(place);
        }
        let (rows, live) = (self.rows(place), self.keys(World::Live, place));
        format!(
            "SELECT ({}) AS backup, ({}) AS live, (SELECT COUNT(*) FROM {rows} b WHERE {}) AS both_have",
            self.count(&rows),
            self.count(&live),
            self.has_key(&live, "b", place)
        )
    }

    /// Counts a whole temporary table. MySQL 9.7 answers `COUNT(*)` without a condition from the snapshot of a transaction that
    /// is READ ONLY, in which what the transaction itself wrote into the table is not; it adds numbers up as they are.
    fn count(&self, relation: &str) -> String {
        match self.dialect {
            Dialect::Postgres => format!("SELECT COUNT(*) FROM {relation}"),
            Dialect::Mysql => format!("SELECT COALESCE(SUM(1), 0) FROM {relation}"),
        }
    }

    /// How many rows of the tenant the backup has.
    pub(crate) fn held(&self, place: usize) -> String {
        if !self.keyed(place) {
            return self.held_lines(place);
        }
        format!("SELECT ({}) AS many", self.count(&self.keys(World::Backup, place)))
    }

    /// Deletes what is doomed.
    pub(crate) fn delete(&self, place: usize) -> Result<String> {
        if !self.keyed(place) {
            return self.delete_lines(place);
        }
        let (live, doomed, key) = (self.live(place), self.doomed(place), &self.table(place).key);
        let same = self.dialect.equal(("d", key), ("t", key));
        Ok(match self.dialect {
            Dialect::Postgres => format!("DELETE FROM {live} t USING {doomed} d WHERE {same}"),
            Dialect::Mysql => format!("DELETE t FROM {live} t JOIN {doomed} d ON {same}"),
        })
    }

    /// Inserts what is not there.
    pub(crate) fn insert(&self, place: usize) -> String {
        if !self.keyed(place) {
            return self.insert_lines(place);
        }
        let columns = self.table(place).stored_names();
        let overriding = if self.dialect == Dialect::Postgres { " OVERRIDING SYSTEM VALUE" } else { "" };
        format!(
            "INSERT INTO {} ({}){overriding} SELECT {} FROM {} b WHERE NOT {} OR {}",
            self.live(place),
            self.dialect.list("", &columns),
            self.dialect.list("b", &columns),
            self.rows(place),
            self.has_key(&self.keys(World::Live, place), "b", place),
            self.has_key(&self.doomed(place), "b", place),
        )
    }

    /// How many rows of the tenant are not what the backup has, when `live` was gathered anew.
    pub(crate) fn unlike(&self, place: usize) -> String {
        if !self.keyed(place) {
            return self.unlike_lines(place);
        }
        let (rows, live, key) = (self.rows(place), self.keys(World::Live, place), &self.table(place).key);
        format!(
            "SELECT (SELECT COUNT(*) FROM {rows} b WHERE NOT {}) + (SELECT COUNT(*) FROM {live} l WHERE NOT {}) + \
             (SELECT COUNT(*) FROM {rows} b JOIN {} t ON {} WHERE {}) AS many",
            self.has_key(&live, "b", place),
            self.has_key(&rows, "l", place),
            self.live(place),
            self.dialect.equal(("t", key), ("b", key)),
            self.dialect.differ("b", "t", &self.table(place).stored().collect::<Vec<_>>()),
        )
    }
}

/// A query for conflicts with the number of all of them, and the first ones alone.
pub(crate) fn first(query: &str, shown: usize) -> String {
    format!(
        "SELECT found.which, found.other, COUNT(*) OVER () AS many FROM ({query}) found ORDER BY found.which LIMIT {shown}"
    )
}
