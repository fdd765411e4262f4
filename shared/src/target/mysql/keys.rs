//! Secondary keys and foreign keys of large tables, which are made when the rows are there.
//!
//! A row that goes into a table with keys is put into each of them, at a random place; a key that is built of all rows at
//! once is sorted first. The difference is a factor of ten where the keys do not fit into memory.
//!
//! The server itself proves that a table is the same in the end: before a row is loaded, keys are taken off the empty table,
//! put on again, and the server's own definition must read as before, order of the keys and all. A table of which it does
//! not, or whose keys the server does not let go, is loaded with its keys. So is one whose keys the server would not build in
//! place (MySQL's functional ones): it would write every row once more. When the keys are on again behind the rows, the
//! definition is compared once more.

use super::execute::{execute, refused};
use super::split::elements;
use crate::source::mysql::inventory::without_counter;
use crate::source::mysql::quoting::identifier;
use crate::source::mysql::session::Session;
use crate::{Class, Error, Result};

/// Tables with fewer bytes of rows are loaded with their keys.
pub(super) const WORTHWHILE_BYTES: u64 = 4 << 20;

/// The keys that were taken off a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deferred {
    /// The table, quoted.
    table: String,
    /// The server's definition of the empty table with all its keys.
    create: String,
    /// `ADD KEY …`.
    keys: Vec<String>,
    /// `ADD CONSTRAINT …`.
    references: Vec<String>,
    drop_keys: Vec<String>,
    drop_references: Vec<String>,
}

impl Deferred {
    /// What can be taken off the table, by the server's definition of it.
    fn plan(table: &str, create: &str) -> Option<Self> {
        let elements = elements(create)?;
        let has_primary = elements.iter().any(|element| element.starts_with("PRIMARY KEY "));
        let mut found = Self {
            table: identifier(table),
            create: create.to_owned(),
            keys: Vec::new(),
            references: Vec::new(),
            drop_keys: Vec::new(),
            drop_references: Vec::new(),
        };
        for element in elements {
            // Without a primary key, the rows lie in the order of a unique one.
            let key =
                element.strip_prefix("KEY ").or_else(|| element.strip_prefix("UNIQUE KEY ").filter(|_| has_primary));
            if let Some(name) = key.and_then(quoted) {
                found.keys.push(format!("ADD {element}"));
                found.drop_keys.push(format!("DROP KEY {name}"));
            } else if let Some(name) = element.strip_prefix("CONSTRAINT ").and_then(quoted)
                && element["CONSTRAINT ".len() + name.len()..].starts_with(" FOREIGN KEY ")
            {
                found.references.push(format!("ADD {element}"));
                found.drop_references.push(format!("DROP FOREIGN KEY {name}"));
            }
        }
        (!found.keys.is_empty()).then_some(found)
    }

    /// Whether they are those of the table.
    pub(super) fn is_of(&self, table: &str) -> bool {
        self.table == identifier(table)
    }

    async fn alter(&self, session: &mut Session, changes: &[String]) -> Result<(), sqlx::Error> {
        if changes.is_empty() {
            return Ok(());
        }
        session.try_run(format!("ALTER TABLE {} {}", self.table, changes.join(", "))).await
    }

    /// Builds the keys over the rows that are there now.
    pub(super) async fn build(&self, session: &mut Session) -> Result<()> {
        self.add_keys(session).await.map_err(|error| self.failed(error, "keys"))
    }

    /// Puts the keys on without making the table anew; a server that cannot says so, whether or not there are rows.
    async fn add_keys(&self, session: &mut Session) -> Result<(), sqlx::Error> {
        let mut changes = self.keys.clone();
        changes.push("ALGORITHM=INPLACE".to_owned());
        self.alter(session, &changes).await
    }

    /// Puts the foreign keys on again, and compares the definition with the one of the beginning.
    pub(super) async fn refer(&self, session: &mut Session) -> Result<()> {
        self.alter(session, &self.references).await.map_err(|error| self.failed(error, "foreign keys"))?;
        if definition(session, &self.table).await? == without_counter(&self.create) {
            return Ok(());
        }
        Err(Error::new(Class::Inconsistent, format!("table {} is not what it was made as", self.table))
            .hint("Something else changed it while it was loaded; use a database that nothing else works with."))
    }

    fn failed(&self, error: sqlx::Error, what: &str) -> Error {
        // A server that runs out of space says so here.
        refused(error, format!("the {what} of table {} could not be made", self.table))
    }
}

/// Takes the keys off those of the empty tables of which the server proves that they come back the same. `original` makes
/// such a table anew where the proof failed.
pub(super) async fn defer(session: &mut Session, tables: &[(String, Vec<u8>)], place: &str) -> Result<Vec<Deferred>> {
    let mut planned = Vec::new();
    for (name, original) in tables {
        let create = session.one(&format!("SHOW CREATE TABLE {}", identifier(name))).await?.text(1)?;
        if let Some(plan) = Deferred::plan(name, &create) {
            planned.push((plan, original));
        }
    }
    // All references go first, since the key of a parent cannot go before them.
    let mut free = Vec::new();
    for (plan, original) in planned {
        let freed = plan.alter(session, &plan.drop_references).await.is_ok();
        free.push((plan, original, freed));
    }
    let mut deferred = Vec::new();
    for (plan, original, freed) in free {
        if freed && plan.alter(session, &plan.drop_keys).await.is_ok() && comes_back(session, &plan).await {
            deferred.push(plan);
            continue;
        }
        execute(session, place, format!("DROP TABLE IF EXISTS {}", plan.table).into_bytes()).await?;
        execute(session, place, original.clone()).await?;
    }
    Ok(deferred)
}

/// Whether the table with its keys on again is the one of the beginning; afterwards they are off.
async fn comes_back(session: &mut Session, plan: &Deferred) -> bool {
    let tried = async {
        plan.add_keys(session).await.ok()?;
        plan.alter(session, &plan.references).await.ok()?;
        let same = definition(session, &plan.table).await.ok()? == without_counter(&plan.create);
        plan.alter(session, &plan.drop_references).await.ok()?;
        plan.alter(session, &plan.drop_keys).await.ok()?;
        Some(same)
    };
    tried.await == Some(true)
}

async fn definition(session: &mut Session, quoted: &str) -> Result<String> {
    Ok(without_counter(&session.one(&format!("SHOW CREATE TABLE {quoted}")).await?.text(1)?))
}

/// The name in backticks that the text starts with, with them.
fn quoted(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('`')?;
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '`' && chars.next_if(|(_, next)| *next == '`').is_none() {
            return Some(&text[..at + 2]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_references_are_told_from_columns_and_checks() {
        let create = "CREATE TABLE `t` (\n  `KEY ``a` int COMMENT 'KEY `x` (`y`),',\n  PRIMARY KEY (`id`),\n  \
             UNIQUE KEY `u``,` (`a`(3),`b`) USING HASH,\n  KEY `k` (`a`) COMMENT 'x, y',\n  FULLTEXT KEY `f` (`c`),\n  \
             CONSTRAINT `FOREIGN KEY ` CHECK (`a` > 1),\n  CONSTRAINT `fk` FOREIGN KEY (`a`) REFERENCES `p` (`id`) ON DELETE CASCADE\n) ENGINE=InnoDB";
        let plan = Deferred::plan("t", create).unwrap();
        assert_eq!(plan.keys, ["ADD UNIQUE KEY `u``,` (`a`(3),`b`) USING HASH", "ADD KEY `k` (`a`) COMMENT 'x, y'"]);
        assert_eq!(plan.drop_keys, ["DROP KEY `u``,`", "DROP KEY `k`"]);
        assert_eq!(plan.references, ["ADD CONSTRAINT `fk` FOREIGN KEY (`a`) REFERENCES `p` (`id`) ON DELETE CASCADE"]);
        assert_eq!(plan.drop_references, ["DROP FOREIGN KEY `fk`"]);

        let plan = Deferred::plan("t", &create.replace("PRIMARY KEY (`id`),", "`id` int,")).unwrap();
        assert_eq!(plan.drop_keys, ["DROP KEY `k`"]);
        assert_eq!(Deferred::plan("t", "CREATE TABLE `t` (\n  `a` int,\n  PRIMARY KEY (`a`)\n)"), None);
    }
}
