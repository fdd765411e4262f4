//! What is in the database: every object of the catalogue with the statement that makes it.
//!
//! The inventory decides what the dump holds. What it does not know by kind, engine or type is refused by name, all of it
//! in one message; nothing is left out in silence. It is read twice, before the tables are locked and afterwards, and the
//! two must be equal: so no object can have changed in between.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::{self, Column, Described};
use super::quoting::{Names, identifier, literal, qualified_pairs};
use super::session::{Flavor, Record, Session, failed, number};
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
    /// Names of the primary key's columns, in its order; may be none.
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
    let schema = session.database_literal();
    let defaults = session
        .one(&format!(
            "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA \
             WHERE BINARY SCHEMA_NAME = {schema}"
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
    reader.tables(session, &schema).await?;
    reader.foreign_keys(session, &schema).await?;
    reader.routines(session, &schema).await?;
    reader.triggers(session, &schema).await?;
    reader.events(session, &schema).await?;
    reader.libraries(session, &schema).await?;
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

struct Reader {
    inventory: Inventory,
    /// The other databases that the user sees.
    others: BTreeSet<String>,
    refusals: Vec<String>,
}

impl Reader {
    fn refuse(&mut self, what: impl Into<String>) {
        self.refusals.push(what.into());
    }

    async fn tables(&mut self, session: &mut Session, schema: &str) -> Result<()> {
        let mut described = columns_by_table(session, schema).await?;
        let mut keys = keys_by_table(session, schema).await?;
        let rows = session
            .all(&format!(
                "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COMMENT, CREATE_OPTIONS, ROW_FORMAT \
                 FROM information_schema.TABLES WHERE BINARY TABLE_SCHEMA = {schema} ORDER BY BINARY TABLE_NAME"
            ))
            .await?;
        let mut views = Vec::new();
        for row in rows {
            let name = row.text(0)?;
            let quoted = identifier(&name);
            let (kind, engine) = (row.text(1)?, row.optional(2)?);
            match (kind.as_str(), engine.as_deref()) {
                ("VIEW", _) => {
                    let columns = described.remove(&name).unwrap_or_default();
                    views.extend(self.view(session, name, columns).await?);
                }
                ("BASE TABLE" | "SYSTEM VERSIONED", Some("InnoDB")) => {
                    let options =
                        format!("{} {}", row.optional(4)?.unwrap_or_default(), row.optional(5)?.unwrap_or_default());
                    let columns = described.remove(&name).unwrap_or_default();
                    let key = keys.remove(&name).unwrap_or_default();
                    self.table(session, name, kind == "SYSTEM VERSIONED", &options, columns, key).await?;
                }
                ("SEQUENCE", Some("InnoDB")) => {
                    let create = session.one(&format!("SHOW CREATE SEQUENCE {quoted}")).await?.text(1)?;
                    self.inventory.sequences.push(Sequence { name, create });
                }
                ("BASE TABLE" | "SYSTEM VERSIONED" | "SEQUENCE", Some(engine)) => self.refuse(format!(
                    "table {quoted} has the engine {engine}, which knows no snapshot (ALTER TABLE … ENGINE=InnoDB)"
                )),
                ("BASE TABLE" | "SYSTEM VERSIONED" | "SEQUENCE", None) => self.refuse(format!(
                    "table {quoted} cannot be opened by the server: {}",
                    row.optional(3)?.unwrap_or_default()
                )),
                (kind, _) => self.refuse(format!("{quoted} is of the unknown kind {kind:?}")),
            }
        }
        self.inventory.views = in_order(views);
        for view in self.inventory.views.iter().filter(|view| view.placeholder && view.columns.is_empty()) {
            self.refusals
                .push(format!("the columns of view {} are hidden from the backup user", identifier(&view.name)));
        }
        Ok(())
    }

    async fn table(
        &mut self,
        session: &mut Session,
        name: String,
        versioned: bool,
        options: &str,
        described: Vec<TableColumn>,
        key: Vec<String>,
    ) -> Result<()> {
        let quoted = identifier(&name);
        let create = session
            .one(&format!("SHOW CREATE TABLE {quoted}"))
            .await
            .map_err(|error| error.context(format!("cannot read the definition of table {quoted}")))?;
        let Some(create) = super::emit::as_text(create.bytes(1).unwrap_or_default()) else {
            self.refuse(format!("table {quoted} has a definition that is not text"));
            return Ok(());
        };
        let create = super::emit::unqualified_sequences(&create, &session.database);
        let mut compressed = options.to_ascii_lowercase().contains("compress");
        let mut columns = Vec::new();
        let mut row_times = 0;
        for column in described {
            compressed |= column.described.column_type.contains("COMPRESSED");
            match column.row_time {
                Some(_) if column.described.data_type != "timestamp" => {
                    self.refuse(format!("table {quoted} keeps its history by transaction numbers"));
                    return Ok(());
                }
                Some(()) => row_times += 1,
                None if column.generated => continue,
                None => {}
            }
            match columns::plan(&column.described) {
                Ok(plan) => columns.push(plan),
                Err(why) => {
                    self.refuse(format!("column {} of table {quoted} {why}", identifier(&column.described.name)));
                }
            }
        }
        if versioned {
            // Only since then can history be written back.
            if session.flavor != Flavor::MariaDb || session.version < (10, 11, 0) {
                self.refuse(format!("table {quoted} keeps its history, which this server version cannot restore"));
                return Ok(());
            }
            if row_times == 0 {
                // Nobody named them, so the catalogue does not list them; they can be read and written all the same.
                for name in ["row_start", "row_end"] {
                    let described = Described {
                        name: name.to_owned(),
                        data_type: "timestamp".to_owned(),
                        column_type: "timestamp(6)".to_owned(),
                        charset: None,
                        octets: 0,
                    };
                    columns.extend(columns::plan(&described).ok());
                }
            }
        }
        if create.contains(" DIRECTORY=") || create.contains(" DIRECTORY = ") {
            self.inventory
                .warnings
                .push(format!("table {quoted} names a directory of its server; restoring needs that directory there"));
        }
        self.inventory.tables.push(Table { name, create: Statement(create), columns, key, versioned, compressed });
        Ok(())
    }

    async fn view(&mut self, session: &mut Session, name: String, columns: Vec<TableColumn>) -> Result<Option<View>> {
        const NO_SUCH_DEFINER: u16 = 1449;
        let quoted = identifier(&name);
        match session.try_run(format!("SELECT 1 FROM {quoted} LIMIT 0")).await {
            Ok(()) => {}
            Err(error) if number(&error) == Some(NO_SUCH_DEFINER) => {
                self.inventory.warnings.push(format!("view {quoted} runs as an account that does not exist"));
            }
            Err(error @ sqlx::Error::Database(_)) if number(&error) != Some(1205) => {
                self.refuse(format!("view {quoted} is broken or may not be read: {error}"));
                return Ok(None);
            }
            Err(error) => return Err(failed(error, format!("cannot look at view {quoted}"))),
        }
        let columns: Vec<_> = columns.into_iter().map(|column| column.described.name).collect();
        let sql = format!("SHOW CREATE VIEW {quoted}");
        let Some(coded) = self.coded(session, "view", &name, &sql, Layout::VIEW).await? else { return Ok(None) };
        Ok(Some(View { name, coded, columns, placeholder: false }))
    }

    async fn routines(&mut self, session: &mut Session, schema: &str) -> Result<()> {
        let rows = session
            .all(&format!(
                "SELECT ROUTINE_NAME, ROUTINE_TYPE, ROUTINE_BODY FROM information_schema.ROUTINES \
                 WHERE BINARY ROUTINE_SCHEMA = {schema} ORDER BY ROUTINE_TYPE, BINARY ROUTINE_NAME"
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
    async fn foreign_keys(&mut self, session: &mut Session, schema: &str) -> Result<()> {
        let sql = format!(
            "SELECT TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA FROM information_schema.REFERENTIAL_CONSTRAINTS \
             WHERE BINARY CONSTRAINT_SCHEMA = {schema} AND BINARY UNIQUE_CONSTRAINT_SCHEMA <> {schema} \
             ORDER BY BINARY TABLE_NAME, BINARY CONSTRAINT_NAME"
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

    async fn triggers(&mut self, session: &mut Session, schema: &str) -> Result<()> {
        let rows = session
            .all(&format!(
                "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE BINARY TRIGGER_SCHEMA = {schema} \
                 ORDER BY BINARY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER, BINARY TRIGGER_NAME"
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
            match super::emit::unqualified_trigger(&coded, &session.database) {
                Some(create) => {
                    coded.create = create;
                    self.inventory.triggers.push(coded);
                }
                None => self.refuse(format!("trigger {} cannot be understood", identifier(&name))),
            }
        }
        Ok(())
    }

    async fn events(&mut self, session: &mut Session, schema: &str) -> Result<()> {
        let rows = session
            .all(&format!(
                "SELECT EVENT_NAME, EVENT_BODY, STATUS FROM information_schema.EVENTS \
                 WHERE BINARY EVENT_SCHEMA = {schema} ORDER BY BINARY EVENT_NAME"
            ))
            .await?;
        for row in rows {
            let name = row.text(0)?;
            let body = row.text(1)?;
            if body != "SQL" {
                self.refuse(format!("event {} is written in {body}, not in SQL", identifier(&name)));
                continue;
            }
            let sql = format!("SHOW CREATE EVENT {}", identifier(&name));
            let coded = self.coded(session, "event", &name, &sql, Layout::EVENT).await?;
            self.inventory.events.extend(coded);
        }
        Ok(())
    }

    /// MySQL 9.2 and newer keep libraries beside routines.
    async fn libraries(&mut self, session: &mut Session, schema: &str) -> Result<()> {
        if session.flavor != Flavor::MySql || session.version < (9, 2, 0) {
            return Ok(());
        }
        let sql = format!(
            "SELECT LIBRARY_NAME FROM information_schema.LIBRARIES WHERE BINARY LIBRARY_SCHEMA = {schema} ORDER BY 1"
        );
        for row in session.all(&sql).await? {
            let name = row.text(0)?;
            self.refuse(format!("{} is a library", identifier(&name)));
        }
        Ok(())
    }

    /// Reads an object's statement in the character set in which it was written, since only so does it mean the same
    /// when it is read back under that character set.
    async fn coded(
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
        let text = |index: Option<usize>| index.map(|index| first.text(index)).transpose();
        let mut coded = Coded {
            kind,
            name: name.to_owned(),
            create: Vec::new(),
            sql_mode: text(layout.sql_mode)?,
            time_zone: text(layout.time_zone)?,
            client_charset: first.text(layout.charset)?,
            connection_collation: first.text(layout.charset + 1)?,
            database_collation: text(layout.database_collation)?,
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
            bytes
        };
        Ok(Some(coded))
    }

    /// Notes what a restore elsewhere should know of.
    fn notes(&mut self, coded: &Coded, create: &str, database: &str) {
        let mode = coded.sql_mode.as_deref().unwrap_or_default();
        if let Some(definer) = super::emit::definer(create, mode) {
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
struct Layout {
    create: usize,
    sql_mode: Option<usize>,
    time_zone: Option<usize>,
    charset: usize,
    database_collation: Option<usize>,
}

impl Layout {
    const VIEW: Self = Self { create: 1, sql_mode: None, time_zone: None, charset: 2, database_collation: None };
    const ROUTINE: Self =
        Self { create: 2, sql_mode: Some(1), time_zone: None, charset: 3, database_collation: Some(5) };
    const EVENT: Self =
        Self { create: 3, sql_mode: Some(1), time_zone: Some(2), charset: 4, database_collation: Some(6) };
}

/// A column with what decides whether it is dumped.
struct TableColumn {
    described: Described,
    generated: bool,
    /// Start or end of a row's life.
    row_time: Option<()>,
}

async fn columns_by_table(session: &mut Session, schema: &str) -> Result<BTreeMap<String, Vec<TableColumn>>> {
    let rows = session
        .all(&format!(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, CHARACTER_OCTET_LENGTH, EXTRA, \
             GENERATION_EXPRESSION FROM information_schema.COLUMNS \
             WHERE BINARY TABLE_SCHEMA = {schema} ORDER BY BINARY TABLE_NAME, ORDINAL_POSITION"
        ))
        .await?;
    let mut tables: BTreeMap<String, Vec<TableColumn>> = BTreeMap::new();
    for row in rows {
        tables.entry(row.text(0)?).or_default().push(table_column(&row)?);
    }
    Ok(tables)
}

fn table_column(row: &Record) -> Result<TableColumn> {
    let extra = row.optional(6)?.unwrap_or_default().to_ascii_uppercase();
    let expression = row.optional(7)?.unwrap_or_default();
    let data_type = row.text(2)?;
    Ok(TableColumn {
        generated: extra.contains("STORED GENERATED")
            || extra.contains("VIRTUAL GENERATED")
            || extra.contains("PERSISTENT")
            || !expression.is_empty(),
        row_time: matches!(expression.as_str(), "ROW START" | "ROW END").then_some(()),
        described: Described {
            name: row.text(1)?,
            column_type: row.text(3)?,
            charset: row.optional(4)?,
            octets: row.number(5)?,
            data_type,
        },
    })
}

async fn keys_by_table(session: &mut Session, schema: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let rows = session
        .all(&format!(
            "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
             WHERE BINARY TABLE_SCHEMA = {schema} AND INDEX_NAME = 'PRIMARY' ORDER BY BINARY TABLE_NAME, SEQ_IN_INDEX"
        ))
        .await?;
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        keys.entry(row.text(0)?).or_default().push(row.text(1)?);
    }
    Ok(keys)
}

fn question_marks(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'?').count()
}

/// Takes ` AUTO_INCREMENT=n` out of the table options.
fn without_counter(create: &str) -> String {
    let Some(options) = create.rfind("\n) ") else { return create.to_owned() };
    let (columns, options) = create.split_at(options);
    let Some((before, after)) = options.split_once(" AUTO_INCREMENT=") else { return create.to_owned() };
    format!("{columns}{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Orders views so that each stands behind those whose names its text holds. Such a name may be a table's alias, so a
/// circle is possible; its views get placeholders.
fn in_order(views: Vec<View>) -> Vec<View> {
    let names: BTreeSet<String> = views.iter().map(|view| view.name.clone()).collect();
    let mut waiting: Vec<(View, BTreeSet<String>)> = Vec::new();
    for view in views {
        let mut needed = names_in(&String::from_utf8_lossy(&view.coded.create), &names);
        needed.remove(&view.name);
        waiting.push((view, needed));
    }
    let mut ordered: Vec<View> = Vec::with_capacity(waiting.len());
    let mut done: BTreeSet<String> = BTreeSet::new();
    while !waiting.is_empty() {
        let free = waiting.iter().position(|(_, needed)| needed.is_subset(&done));
        if free.is_none() {
            waiting.iter_mut().for_each(|(view, _)| view.placeholder = true);
        }
        let (view, _) = waiting.remove(free.unwrap_or(0));
        done.insert(view.name.clone());
        ordered.push(view);
    }
    ordered
}

/// Which of `names` stand in `text`, as a server prints a view, where a table can: not as a part of `a`.`b`, and not as
/// the alias behind `AS`.
fn names_in(text: &str, names: &BTreeSet<String>) -> BTreeSet<String> {
    let mut reader = Names::new(text, "");
    let mut found = BTreeSet::new();
    let mut skip = false;
    while let Some(token) = reader.token() {
        let Ok(name) = token else {
            skip = token == Err('.');
            continue;
        };
        let after = reader.at();
        let qualifies = reader.token() == Some(Err('.'));
        reader.back_to(after);
        if !skip && !qualifies && names.contains(&name.text) {
            found.insert(name.text);
        }
        skip = text[name.start..name.end].eq_ignore_ascii_case("as");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &str, create: &str) -> View {
        View {
            name: name.into(),
            columns: vec![],
            placeholder: false,
            coded: Coded {
                kind: "view",
                name: name.into(),
                create: create.into(),
                sql_mode: None,
                time_zone: None,
                client_charset: "utf8mb4".into(),
                connection_collation: "utf8mb4_general_ci".into(),
                database_collation: None,
            },
        }
    }

    #[test]
    fn the_counter_does_not_count_in_comparisons() {
        let with = "CREATE TABLE `t` (\n  `id` int COMMENT ' AUTO_INCREMENT=9'\n) ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=x";
        let without = "CREATE TABLE `t` (\n  `id` int COMMENT ' AUTO_INCREMENT=9'\n) ENGINE=InnoDB DEFAULT CHARSET=x";
        assert_eq!(without_counter(with), without);
        assert_eq!(Statement(with.into()), Statement(without.into()));
        assert_ne!(Statement(with.replace("int", "bigint")), Statement(without.into()));
    }

    #[test]
    fn views_stand_behind_those_that_they_read() {
        let views = vec![
            view("a", "CREATE VIEW `a` AS select `b`.`x` from `b` join `c`"),
            view("b", "CREATE VIEW `b` AS select 'a',`t`.`c` AS `a` from `t`"),
            view("c", "CREATE VIEW `c` AS select 1 from `b`"),
        ];
        let names: Vec<_> = in_order(views).into_iter().map(|view| view.name).collect();
        assert_eq!(names, ["b", "c", "a"]);
    }

    #[test]
    fn views_that_seem_to_stand_in_a_circle_get_placeholders() {
        let views = vec![
            view("a", "CREATE VIEW `a` AS select 1 from `t` `b`"),
            view("b", "CREATE VIEW `b` AS select 1 from `a`"),
            view("c", "CREATE VIEW `c` AS select 1 from `t`"),
        ];
        let ordered: Vec<_> = in_order(views).into_iter().map(|view| (view.name, view.placeholder)).collect();
        assert_eq!(ordered, [("c".to_owned(), false), ("a".to_owned(), true), ("b".to_owned(), true)]);
    }
}
