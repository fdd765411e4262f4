//! Tables without a key: rows are compared whole, and equal ones are counted.
//!
//! A row is known by the digest of its whole contents. What a row contains says whose it is, so rows of one digest are all
//! of one tenant. `backup` and `live` hold the digests of the tenant's rows with their numbers, and `doomed` the digests of
//! which the database has more than the backup: all their rows are deleted, since no server can tell one from the other,
//! and as many as the backup has are inserted again.

use super::{Statements, World};
use crate::Result;
use crate::tenant::classify::Class;
use crate::tenant::dialect::Dialect;

/// The column of a digest, in the temporary tables.
const LINE: &str = "nightvault_line";

impl Statements<'_> {
    /// Whether rows of the table are told apart by a key.
    pub(crate) fn keyed(&self, place: usize) -> bool {
        !self.table(place).key.is_empty()
    }

    /// What the backup's rows are sorted by, so that two exports are the same.
    pub(crate) fn in_order(&self, place: usize) -> String {
        if self.keyed(place) { self.dialect.list("", &self.table(place).key) } else { LINE.to_owned() }
    }

    /// The digest of a row.
    fn line(&self, world: World, alias: &str, place: usize) -> String {
        match world {
            World::Backup => format!("{alias}.{LINE}"),
            World::Live => self.dialect.line(alias, &self.table(place).stored().collect::<Vec<_>>()),
        }
    }

    /// Whether a row of `here`, a table without a key, is noted among the tenant's rows.
    pub(super) fn has_line(&self, here: World, alias: &str, place: usize) -> String {
        let line = self.line(here, alias, place);
        self.exists(&self.keys(here, place), "has", &format!("has.{LINE} = {line}"))
    }

    pub(super) fn create_bag(&self, place: usize) -> Vec<String> {
        let (live, columns) = (self.live(place), self.dialect.list("", &self.table(place).stored_names()));
        let bags = ["backup", "live", "doomed"];
        match self.dialect {
            Dialect::Postgres => {
                let rows = format!(
                    "CREATE TEMPORARY TABLE nightvault_rows_{place} AS SELECT {columns}, NULL::bytea AS {LINE} FROM {live} WITH NO DATA"
                );
                let bag = |what| {
                    format!(
                        "CREATE TEMPORARY TABLE nightvault_{what}_{place} ({LINE} bytea PRIMARY KEY, many bigint NOT NULL)"
                    )
                };
                std::iter::once(rows).chain(bags.map(bag)).collect()
            }
            Dialect::Mysql => {
                // The number is for servers that want a primary key of every table.
                let rows = format!(
                    "CREATE TEMPORARY TABLE {} (nightvault_row BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, {LINE} BINARY(32), \
                     KEY ({LINE})) ENGINE=InnoDB AS SELECT {columns} FROM {live} LIMIT 0",
                    self.rows(place)
                );
                let bag = |what| {
                    format!(
                        "CREATE TEMPORARY TABLE {} ({LINE} BINARY(32) PRIMARY KEY, many BIGINT NOT NULL) ENGINE=InnoDB",
                        self.dialect.temporary(what, place)
                    )
                };
                std::iter::once(rows).chain(bags.map(bag)).collect()
            }
        }
    }

    /// Computes the digests of the backup's rows, and makes them quick to look into.
    pub(super) fn index_bag(&self, place: usize) -> Vec<String> {
        let (rows, line) = (self.rows(place), self.line(World::Live, "b", place));
        match self.dialect {
            Dialect::Postgres => vec![
                format!("UPDATE {rows} b SET {LINE} = {line}"),
                format!("CREATE INDEX ON {rows} ({LINE})"),
                format!("ANALYZE {rows}"),
            ],
            Dialect::Mysql => vec![format!("UPDATE {rows} b SET b.{LINE} = {line}")],
        }
    }

    /// Counts the tenant's rows anew, when the keys of what they belong to are noted. Those that were left behind in the
    /// database are among them: see [`Statements::adopt`].
    pub(crate) fn count_lines(&self, world: World, place: usize) -> Result<[String; 2]> {
        let bag = self.keys(world, place);
        Ok([
            format!("DELETE FROM {bag}"),
            format!(
                "INSERT INTO {bag} ({LINE}, many) SELECT x.line, COUNT(*) FROM (SELECT {} AS line FROM {} t WHERE {}) x GROUP BY x.line",
                self.line(world, "t", place),
                self.relation(world, place),
                self.theirs(world, place)?,
            ),
        ])
    }

    /// The condition that a row `t` is the tenant's, or was left behind by one.
    fn theirs(&self, world: World, place: usize) -> Result<String> {
        let membership = self.membership(world, place)?;
        match &self.classes.classes[place] {
            Class::ByPath { ways } if world == World::Live => {
                let (line, backup) = (self.line(world, "t", place), self.keys(World::Backup, place));
                let left = self.exists(&backup, "has", &format!("has.{LINE} = {line}"));
                Ok(format!("(({membership}) OR ({} AND {left}))", self.leads_nowhere(ways)))
            }
            _ => Ok(format!("({membership})")),
        }
    }

    pub(super) fn counts_of_lines(&self, place: usize) -> String {
        let (backup, live) = (self.keys(World::Backup, place), self.keys(World::Live, place));
        format!(
            "SELECT (SELECT COALESCE(SUM(many), 0) FROM {backup}) AS backup, (SELECT COALESCE(SUM(many), 0) FROM {live}) AS live, \
             (SELECT COALESCE(SUM(LEAST(b.many, l.many)), 0) FROM {backup} b JOIN {live} l ON l.{LINE} = b.{LINE}) AS both_have"
        )
    }

    /// Dooms the rows of which there are more than in the backup.
    pub(crate) fn doom_surplus(&self, place: usize) -> String {
        format!(
            "INSERT INTO {} ({LINE}, many) SELECT l.{LINE}, l.many FROM {} l LEFT JOIN {} b ON b.{LINE} = l.{LINE} \
             WHERE l.many > COALESCE(b.many, 0)",
            self.doomed(place),
            self.keys(World::Live, place),
            self.keys(World::Backup, place),
        )
    }

    /// How many rows are doomed: those that are inserted again among them.
    pub(crate) fn doomed_rows(&self, place: usize) -> String {
        format!("SELECT COALESCE(SUM(many), 0) AS many FROM {}", self.doomed(place))
    }

    pub(super) fn held_lines(&self, place: usize) -> String {
        format!("SELECT COALESCE(SUM(many), 0) AS many FROM {}", self.keys(World::Backup, place))
    }

    pub(super) fn delete_lines(&self, place: usize) -> Result<String> {
        let (live, theirs) = (self.live(place), self.theirs(World::Live, place)?);
        let doomed = format!("{} IN (SELECT {LINE} FROM {})", self.line(World::Live, "t", place), self.doomed(place));
        Ok(match self.dialect {
            Dialect::Postgres => format!("DELETE FROM {live} t WHERE {theirs} AND {doomed}"),
            Dialect::Mysql => format!("DELETE t FROM {live} t WHERE {theirs} AND {doomed}"),
        })
    }

    /// Of each digest as many rows as are missing.
    pub(super) fn insert_lines(&self, place: usize) -> String {
        let columns = self.table(place).stored_names();
        let overriding = if self.dialect == Dialect::Postgres { " OVERRIDING SYSTEM VALUE" } else { "" };
        format!(
            "INSERT INTO {} ({}){overriding} SELECT {} FROM (SELECT {}, b.{LINE}, ROW_NUMBER() OVER (PARTITION BY b.{LINE}) AS \
             nightvault_number FROM {} b) n LEFT JOIN {} l ON l.{LINE} = n.{LINE} LEFT JOIN {} d ON d.{LINE} = n.{LINE} \
             WHERE n.nightvault_number > CASE WHEN d.{LINE} IS NULL THEN COALESCE(l.many, 0) ELSE 0 END",
            self.live(place),
            self.dialect.list("", &columns),
            self.dialect.list("n", &columns),
            self.dialect.list("b", &columns),
            self.rows(place),
            self.keys(World::Live, place),
            self.doomed(place),
        )
    }

    pub(super) fn unlike_lines(&self, place: usize) -> String {
        let (backup, live) = (self.keys(World::Backup, place), self.keys(World::Live, place));
        format!(
            "SELECT (SELECT COUNT(*) FROM {backup} b LEFT JOIN {live} l ON l.{LINE} = b.{LINE} WHERE COALESCE(l.many, 0) <> b.many) + \
             (SELECT COUNT(*) FROM {live} l LEFT JOIN {backup} b ON b.{LINE} = l.{LINE} WHERE b.{LINE} IS NULL) AS many"
        )
    }
}
