//! What foreign keys ask for: rows that would refer to nothing, and parents that must stay.

use super::{Statements, World};
use crate::tenant::dialect::Dialect;

impl Statements<'_> {
    /// Rows of the backup that refer to what is not the tenant's, or no longer there.
    pub(crate) fn dangling(&self, place: usize, number: usize) -> String {
        let reference = &self.table(place).references[number];
        let member = self.classes.classes[reference.parent].is_member();
        let parent = if member { self.rows(reference.parent) } else { self.live(reference.parent) };
        format!(
            "SELECT {} AS which, {} AS other FROM {} b WHERE {} AND NOT {}",
            self.shown("b", place, &reference.columns),
            self.dialect.shown("b", &self.columns(place, &reference.columns)),
            self.rows(place),
            self.given("b", &reference.columns),
            self.parent_of(&parent, "b", place, number),
        )
    }

    fn parent_of(&self, parent: &str, alias: &str, place: usize, number: usize) -> String {
        let reference = &self.table(place).references[number];
        let same = self.dialect.equal(("p", &reference.parent_columns), (alias, &reference.columns));
        self.exists(parent, "p", &same)
    }

    fn given(&self, alias: &str, columns: &[String]) -> String {
        let given = columns.iter().map(|column| format!("{alias}.{} IS NOT NULL", self.dialect.ident(column)));
        given.collect::<Vec<_>>().join(" AND ")
    }

    /// Rows of others that refer to what would no longer be there.
    pub(crate) fn clinging(&self, child: usize, number: usize) -> String {
        let reference = &self.table(child).references[number];
        let parent = reference.parent;
        let key = &self.table(parent).key;
        let mut sql = format!(
            "SELECT {} AS which, {} AS other FROM {} c JOIN {} t ON {} JOIN {} d ON {} WHERE NOT {}",
            self.shown("c", child, &reference.columns),
            self.shown("t", parent, &[]),
            self.live(child),
            self.live(parent),
            self.dialect.equal(("t", &reference.parent_columns), ("c", &reference.columns)),
            self.doomed(parent),
            self.dialect.equal(("d", key), ("t", key)),
            self.exists(
                &self.rows(parent),
                "b",
                &self.dialect.equal(("b", &reference.parent_columns), ("t", &reference.parent_columns))
            ),
        );
        if self.classes.classes[child].is_member() {
            let known = match self.keyed(child) {
                true => self.has_key(&self.keys(World::Live, child), "c", child),
                false => self.has_line(World::Live, "c", child),
            };
            sql.push_str(&format!(" AND NOT {known}"));
        }
        sql
    }

    /// Keeps others from deleting, until the commit, what the tenant's rows refer to. MySQL and MariaDB do so by
    /// themselves in a serializable transaction.
    pub(crate) fn hold_parents(&self, place: usize, number: usize) -> Option<String> {
        let reference = &self.table(place).references[number];
        let member = self.classes.classes[reference.parent].is_member();
        (self.dialect == Dialect::Postgres && !member).then(|| {
            let same = self.dialect.equal(("b", &reference.columns), ("p", &reference.parent_columns));
            format!(
                "SELECT COUNT(*) AS many FROM (SELECT 1 FROM {} p WHERE {} FOR KEY SHARE) held",
                self.live(reference.parent),
                self.exists(&self.rows(place), "b", &same)
            )
        })
    }

    /// How many of the tenant's rows refer to nothing.
    pub(crate) fn orphans_of(&self, place: usize, number: usize) -> String {
        let reference = &self.table(place).references[number];
        format!(
            "SELECT COUNT(*) AS many FROM {} b WHERE {} AND NOT {}",
            self.rows(place),
            self.given("b", &reference.columns),
            self.parent_of(&self.live(reference.parent), "b", place, number)
        )
    }

    /// How many rows refer to one that was deleted.
    pub(crate) fn orphans_by(&self, child: usize, number: usize) -> String {
        let reference = &self.table(child).references[number];
        let key = &self.table(reference.parent).key;
        let by_key = key.len() == reference.parent_columns.len()
            && reference.parent_columns.iter().all(|column| key.contains(column));
        let touched = match by_key {
            true => {
                let same = self.dialect.equal(("d", &reference.parent_columns), ("c", &reference.columns));
                self.exists(&self.doomed(reference.parent), "d", &same)
            }
            // The value that is gone is in no key: all that refer to it are looked at.
            false => "1 = 1".to_owned(),
        };
        format!(
            "SELECT COUNT(*) AS many FROM {} c WHERE {} AND {touched} AND NOT {}",
            self.live(child),
            self.given("c", &reference.columns),
            self.parent_of(&self.live(reference.parent), "c", child, number)
        )
    }
}
