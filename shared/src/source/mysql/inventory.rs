//! What is in the database: every object of the catalogue with the statement that makes it.
//!
//! The inventory decides what the dump holds. What it does not know by kind, engine or type is refused by name, all of it
//! in one message; nothing is left out in silence. It is read twice, before the tables are locked and afterwards, and the
//! two must be equal: so no object can have changed in between.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::Column;
use super::quoting::{identifier, literal, qualified_pairs};
use super::session::{Flavor, Session};
use super::text;
use crate::{Class, Error, Result};

/// Everything that is dumped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Inventory {
    /// Default character set and collation of the database.
    pub(super) charset: String,
    pub(super) collation: String,
    /// By name.
    pub(super) sequences: Vec<Sequence>,
    /// By name.
    pub(super) tables: Vec<Table>,
    /// By kind and name; a package before its body.
    pub(super) routines: Vec<Coded>,
    /// In an order in which each finds those that it reads from.
    pub(super) views: Vec<View>,
    /// By table, time and event, in the order in which they fire.
    pub(super) triggers: Vec<Coded>,
    /// By name.
    pub(super) events: Vec<Coded>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
    /// Accounts in whose name something runs.
    pub(super) definers: BTreeSet<String>,
}

/// A MariaDB sequence. Its state is read when the dump is written: a sequence knows no snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) name: String,
    pub(super) create: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// `CREATE TABLE …`.
    pub(super) create: Statement,
    /// What is dumped of a row, generated columns not among them.
    pub(super) columns: Vec<Column>,
    /// The primary key's columns, in its order; none when there is no key or the table does not lie in its order.
    pub(super) key: Vec<String>,
    /// Keeps its history (MariaDB).
    pub(super) versioned: bool,
    /// Values are stored compressed, so that the table's size says nothing of a row's.
    pub(super) compressed: bool,
}

/// A `CREATE TABLE` of which the counter, which other sessions move at any time, does not count in comparisons.
#[derive(Debug, Clone, Eq)]
pub(super) struct Statement(pub(super) String);

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        without_counter(&self.0) == without_counter(&other.0)
    }
}

/// A view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) name: String,
    pub(super) coded: Coded,
    /// Column names, for a placeholder.
    pub(super) columns: Vec<String>,
    /// Stands in a circle of names, so that a placeholder must be there before the views of that circle are made.
    pub(super) placeholder: bool,
}

/// An object whose text means something only under the settings that it was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Coded {
    /// `view`, `trigger`, `procedure`, `function`, `package`, `package body`, `event`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// The statement, in the bytes of `client_charset`.
    pub(super) create: Vec<u8>,
    /// `None` for views, which do not keep it.
    pub(super) sql_mode: Option<String>,
    /// Events only.
    pub(super) time_zone: Option<String>,
    pub(super) client_charset: String,
    pub(super) connection_collation: String,
    /// `None` for views.
    pub(super) database_collation: Option<String>,
}

impl Inventory {
    /// How many objects of each kind there are.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        let kinds = (self.tables.iter().map(|_| "table"))
            .chain(self.sequences.iter().map(|_| "sequence"))
            .chain(self.views.iter().map(|_| "view"))
            .chain(self.routines.iter().chain(&self.triggers).chain(&self.events).map(|coded| coded.kind));
        for kind in kinds {
            *counts.entry(kind.to_owned()).or_insert(0) += 1;
        }
        counts
    }
}

/// Reads the whole catalogue of the session's database.
pub(super) async fn read(session: &mut Session) -> Result<Inventory> {
    let mut reader = Reader { inventory: Inventory::default(), others: BTreeSet::new(), refusals: Vec::new() };
    let defaults = session
        .one(&format!(
            "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA \
             WHERE {}",
            session.here("SCHEMA_NAME")
        ))
        .await?;
    reader.inventory.charset = defaults.text(0)?;
    reader.inventory.collation = defaults.text(1)?;
    for row in session.all("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA").await? {
        let name = row.text(0)?;
        if name != session.database {
            reader.others.insert(name);
        }
    }
    reader.tables(session).await?;
    reader.foreign_keys(session).await?;
    reader.routines(session).await?;
    reader.triggers(session).await?;
    reader.events(session).await?;
    reader.libraries(session).await?;
    if reader.refusals.is_empty() {
        Ok(reader.inventory)
    } else {
        Err(Error::unsupported(format!(
            "database {} holds what cannot be dumped faithfully: {}",
            identifier(&session.database),
            reader.refusals.join("; ")
        )))
    }
}

/// Reads the catalogue and gathers what must be refused. Tables and views are read in `tables`.
pub(super) struct Reader {
    pub(super) inventory: Inventory,
    /// The other databases that the user sees.
    others: BTreeSet<String>,
    pub(super) refusals: Vec<String>,
}

impl Reader {
    pub(super) fn refuse(&mut self, what: impl Into<String>) {
        self.refusals.push(what.into());
    }

    async fn routines(&mut self, session: &mut Session) -> Result<()> {
        let rows = session
            .all(&format!(
                "SELECT ROUTINE_NAME, ROUTINE_TYPE, ROUTINE_BODY FROM information_schema.ROUTINES \
                 WHERE {} ORDER BY ROUTINE_TYPE, BINARY ROUTINE_NAME",
                session.here("ROUTINE_SCHEMA")
            ))
            .await?;
        for row in rows {
            let name = row.text(0)?;
            let kind = match row.text(1)?.as_str() {
                "PROCEDURE" => "procedure",
                "FUNCTION" => "function",
                "PACKAGE" => "package",
                "PACKAGE BODY" => "package body",
                other => {
                    self.refuse(format!("routine {} is of the unknown kind {other:?}", identifier(&name)));
                    continue;
                }
            };
            let body = row.text(2)?;
            if body != "SQL" {
                self.refuse(format!("{kind} {} is written in {body}, not in SQL", identifier(&name)));
                continue;
            }
            let sql = format!("SHOW CREATE {} {}", kind.to_ascii_uppercase(), identifier(&name));
            let coded = self.coded(session, kind, &name, &sql, Layout::ROUTINE).await?;
            self.inventory.routines.extend(coded);
        }
        Ok(())
    }

    /// Foreign keys are part of their tables' statements; only those that leave the database are worth a word.
    async fn foreign_keys(&mut self, session: &mut Session) -> Result<()> {
        let sql = format!(
            "SELECT TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA FROM information_schema.REFERENTIAL_CONSTRAINTS \
             WHERE {} AND BINARY UNIQUE_CONSTRAINT_SCHEMA <> {} \
             ORDER BY BINARY TABLE_NAME, BINARY CONSTRAINT_NAME",
            session.here("CONSTRAINT_SCHEMA"),
            session.database_literal()
        );
        for row in session.all(&sql).await? {
            self.inventory.warnings.push(format!(
                "a foreign key of table {} refers to the database {}, which is not in this dump",
                identifier(&row.text(0)?),
                identifier(&row.text(1)?)
            ));
        }
        Ok(())
    }

    async fn triggers(&mut self, session: &mut Session) -> Result<()> {
        let rows = session
            .all(&format!(
                "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE {} \
                 ORDER BY BINARY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER, BINARY TRIGGER_NAME", session.here("TRIGGER_SCHEMA")
            ))
            .await?;
        let mut seen = BTreeSet::new();
        for row in rows {
            let name = row.text(0)?;
            if !seen.insert(name.clone()) {
                continue;
            }
            let sql = format!("SHOW CREATE TRIGGER {}", identifier(&name));
            let Some(mut coded) = self.coded(session, "trigger", &name, &sql, Layout::ROUTINE).await? else { continue };
            match text::unqualified_trigger(&coded, &session.database) {
                Some(create) => {
                    coded.create = create;
                    self.inventory.triggers.push(coded);
                }
                None => self.refuse(format!("trigger {} cannot be understood", identifier(&name))),
            }
        }
        Ok(())
    }

    async fn events(&mut self, session: &mut Session) -> Result<()> {
        let rows = session
            .all(&format!(
                "SELECT EVENT_NAME, EVENT_BODY, EVENT_TYPE, ENDS FROM information_schema.EVENTS \
                 WHERE {} ORDER BY BINARY EVENT_NAME",
                session.here("EVENT_SCHEMA")
            ))
            .await?;
        for row in rows {
            let name = row.text(0)?;
            let body = row.text(1)?;
            if body != "SQL" {
                self.refuse(format!("event {} is written in {body}, not in SQL", identifier(&name)));
                continue;
            }
            if row.text(2)? == "ONE TIME" || row.bytes(3).is_some() {
                self.inventory.warnings.push(format!(
                    "event {} has an end; restored behind that moment, the server drops or disables it at once",
                    identifier(&name)
                ));
            }
            let sql = format!("SHOW CREATE EVENT {}", identifier(&name));
            let coded = self.coded(session, "event", &name, &sql, Layout::EVENT).await?;
            self.inventory.events.extend(coded);
        }
        Ok(())
    }

    /// MySQL 9.2 and newer keep libraries beside routines.
    async fn libraries(&mut self, session: &mut Session) -> Result<()> {
        if session.flavor != Flavor::MySql || session.version < (9, 2, 0) {
            return Ok(());
        }
        let sql = format!(
            "SELECT LIBRARY_NAME FROM information_schema.LIBRARIES WHERE {} ORDER BY 1",
            session.here("LIBRARY_SCHEMA")
        );
        for row in session.all(&sql).await? {
            let name = row.text(0)?;
            self.refuse(format!("{} is a library", identifier(&name)));
        }
        Ok(())
    }

    /// Reads an object's statement in the character set in which it was written, since only so does it mean the same
    /// when it is read back under that character set.
    pub(super) async fn coded(
        &mut self,
        session: &mut Session,
        kind: &'static str,
        name: &str,
        sql: &str,
        layout: Layout,
    ) -> Result<Option<Coded>> {
        let quoted = identifier(name);
        let first = session.one(sql).await.map_err(|error| error.context(format!("cannot read {kind} {quoted}")))?;
        let Some(create) = first.optional(layout.create)? else {
            return Err(Error::new(Class::Permission, format!("the text of {kind} {quoted} is hidden from the backup user"))
                .hint("Grant SELECT ON mysql.proc (MariaDB) or SHOW_ROUTINE (MySQL) to the backup user, or make it the definer."));
        };
        let value = |index: Option<usize>| index.map(|index| first.text(index)).transpose();
        let mut coded = Coded {
            kind,
            name: name.to_owned(),
            create: Vec::new(),
            sql_mode: value(layout.sql_mode)?,
            time_zone: value(layout.time_zone)?,
            client_charset: first.text(layout.charset)?,
            connection_collation: first.text(layout.charset + 1)?,
            database_collation: value(layout.database_collation)?,
        };
        if text::speaks_to_the_client(&create, coded.sql_mode.as_deref().unwrap_or_default()) {
            self.refuse(format!(
                "{kind} {quoted} has a backslash where the restoring client would take it for a command"
            ));
            return Ok(None);
        }
        let create = if kind == "view" {
            match text::unqualified_view(&create, &session.database) {
                Some(freed) if freed == create || coded.client_charset.starts_with("utf8") || create.is_ascii() => {
                    freed
                }
                _ => {
                    self.refuse(format!("view {quoted} names its own database in a way that cannot be taken out"));
                    return Ok(None);
                }
            }
        } else {
            create
        };
        self.notes(&coded, &create, &session.database);
        coded.create = if create.is_ascii() || coded.client_charset.starts_with("utf8") {
            create.into_bytes()
        } else {
            session.run(&format!("SET SESSION character_set_results = {}", literal(&coded.client_charset))).await?;
            let again = session.one(sql).await;
            session.run("SET SESSION character_set_results = utf8mb4").await?;
            let again = again?;
            let bytes = again.bytes(layout.create).unwrap_or_default().to_vec();
            if question_marks(&bytes) != question_marks(create.as_bytes()) {
                self.refuse(format!(
                    "{kind} {quoted} has characters that its own character set {} does not know",
                    coded.client_charset
                ));
                return Ok(None);
            }
            self.garbled_comment(session, &coded).await?;
            bytes
        };
        Ok(Some(coded))
    }

    /// Servers print the comment of a routine or event as UTF-8 whatever character set the text around it has, so that it
    /// comes back garbled, from every dump. It means nothing to the server, so that is told and not refused.
    async fn garbled_comment(&mut self, session: &mut Session, coded: &Coded) -> Result<()> {
        let (table, column) = match coded.kind {
            "event" => ("EVENTS", "EVENT"),
            "procedure" | "function" | "package" | "package body" => ("ROUTINES", "ROUTINE"),
            _ => return Ok(()),
        };
        let comments = session
            .all(&format!(
                "SELECT {column}_COMMENT FROM information_schema.{table} WHERE {} AND BINARY {column}_NAME = {}",
                session.here(&format!("{column}_SCHEMA")),
                literal(&coded.name)
            ))
            .await?;
        for comment in comments {
            if !comment.optional(0)?.unwrap_or_default().is_ascii() {
                let (kind, quoted, charset) = (coded.kind, identifier(&coded.name), &coded.client_charset);
                self.inventory.warnings.push(format!(
                    "the comment of {kind} {quoted} will come back garbled: the server prints it as UTF-8 within text in {charset}"
                ));
                break;
            }
        }
        Ok(())
    }

    /// Notes what a restore elsewhere should know of.
    fn notes(&mut self, coded: &Coded, create: &str, database: &str) {
        let mode = coded.sql_mode.as_deref().unwrap_or_default();
        if let Some(definer) = text::definer(create, mode) {
            self.inventory.definers.insert(definer);
        }
        let (kind, quoted) = (coded.kind, identifier(&coded.name));
        let named: BTreeSet<String> = qualified_pairs(create, mode).into_iter().map(|(first, _)| first).collect();
        // A trigger's own name and table are freed of their database when it is written.
        if kind != "trigger" && named.contains(database) {
            self.inventory.warnings.push(format!(
                "{kind} {quoted} names its own database {} in its text; restored under another name it still means that one",
                identifier(database)
            ));
        }
        for other in named.intersection(&self.others) {
            self.inventory.warnings.push(format!(
                "{kind} {quoted} seems to refer to the database {}, which is not in this dump",
                identifier(other)
            ));
        }
        if create.contains('\r') {
            self.inventory.warnings.push(format!(
                "{kind} {quoted} has carriage returns, which the client drops on restore unless it runs with --binary-mode"
            ));
        }
    }
}

/// Where the columns of a `SHOW CREATE` stand.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    create: usize,
    sql_mode: Option<usize>,
    time_zone: Option<usize>,
    charset: usize,
    database_collation: Option<usize>,
}

impl Layout {
    pub(super) const VIEW: Self =
        Self { create: 1, sql_mode: None, time_zone: None, charset: 2, database_collation: None };
    const ROUTINE: Self =
        Self { create: 2, sql_mode: Some(1), time_zone: None, charset: 3, database_collation: Some(5) };
    const EVENT: Self =
        Self { create: 3, sql_mode: Some(1), time_zone: Some(2), charset: 4, database_collation: Some(6) };
}

fn question_marks(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'?').count()
}

/// Takes ` AUTO_INCREMENT=n` out of the table options.
pub(crate) fn without_counter(create: &str) -> String {
    let Some(options) = create.rfind("\n) ") else { return create.to_owned() };
    let (columns, options) = create.split_at(options);
    let Some((before, after)) = options.split_once(" AUTO_INCREMENT=") else { return create.to_owned() };
    format!("{columns}{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_does_not_count_in_comparisons() {
        let with = "CREATE TABLE `t` (\n  `id` int COMMENT ' AUTO_INCREMENT=9'\n) ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=x";
        let without = "CREATE TABLE `t` (\n  `id` int COMMENT ' AUTO_INCREMENT=9'\n) ENGINE=InnoDB DEFAULT CHARSET=x";
        assert_eq!(without_counter(with), without);
        assert_eq!(Statement(with.into()), Statement(without.into()));
        assert_ne!(Statement(with.replace("int", "bigint")), Statement(without.into()));
    }
}
