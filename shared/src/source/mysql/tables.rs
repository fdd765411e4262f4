//! Tables, sequences and views of the inventory: which there are, of what engine, with which columns.

use std::collections::BTreeMap;

use super::columns::{self, Described};
use super::inventory::{Layout, Reader, Sequence, Statement, Table, View};
use super::order::in_order;
use super::quoting::identifier;
use super::session::{Flavor, Record, Session, failed, number};
use super::text;
use crate::Result;

impl Reader {
    pub(super) async fn tables(&mut self, session: &mut Session) -> Result<()> {
        let mut described = columns_by_table(session).await?;
        let mut keys = keys_by_table(session).await?;
        let rows = session
            .all(&format!(
                "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COMMENT, CREATE_OPTIONS, ROW_FORMAT \
                 FROM information_schema.TABLES WHERE {} ORDER BY BINARY TABLE_NAME",
                session.here("TABLE_SCHEMA")
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
        self.spatial_references(session).await?;
        self.inventory.views = in_order(views);
        for view in self.inventory.views.iter().filter(|view| view.placeholder && view.columns.is_empty()) {
            self.refusals
                .push(format!("the columns of view {} are hidden from the backup user", identifier(&view.name)));
        }
        Ok(())
    }

    /// MariaDB keeps `REF_SYSTEM_ID` of a column, checks nothing by it, and does not print it.
    async fn spatial_references(&mut self, session: &mut Session) -> Result<()> {
        if session.flavor != Flavor::MariaDb {
            return Ok(());
        }
        let sql = format!(
            "SELECT G_TABLE_NAME, G_GEOMETRY_COLUMN, SRID FROM information_schema.GEOMETRY_COLUMNS \
             WHERE {} AND SRID <> 0 ORDER BY BINARY G_TABLE_NAME, BINARY G_GEOMETRY_COLUMN",
            session.here("G_TABLE_SCHEMA")
        );
        for row in session.all(&sql).await? {
            self.inventory.warnings.push(format!(
                "column {} of table {} is declared with REF_SYSTEM_ID={}, which the server does not print; the values keep theirs",
                identifier(&row.text(1)?),
                identifier(&row.text(0)?),
                row.text(2)?
            ));
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
        let Some(create) = text::as_text(create.bytes(1).unwrap_or_default()) else {
            self.refuse(format!("table {quoted} has a definition that is not text"));
            return Ok(());
        };
        let create = text::unqualified_sequences(&create, &session.database);
        let create = text::without_version_comments(&create);
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
}

/// A column with what decides whether it is dumped.
struct TableColumn {
    described: Described,
    generated: bool,
    /// Start or end of a row's life.
    row_time: Option<()>,
}

async fn columns_by_table(session: &mut Session) -> Result<BTreeMap<String, Vec<TableColumn>>> {
    let rows = session
        .all(&format!(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, CHARACTER_OCTET_LENGTH, EXTRA, \
             GENERATION_EXPRESSION FROM information_schema.COLUMNS \
             WHERE {} ORDER BY BINARY TABLE_NAME, ORDINAL_POSITION", session.here("TABLE_SCHEMA")
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

async fn keys_by_table(session: &mut Session) -> Result<BTreeMap<String, Vec<String>>> {
    let rows = session
        .all(&format!(
            "SELECT TABLE_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS \
             WHERE {} AND INDEX_NAME = 'PRIMARY' ORDER BY BINARY TABLE_NAME, SEQ_IN_INDEX",
            session.here("TABLE_SCHEMA")
        ))
        .await?;
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut prefixed = Vec::new();
    for row in rows {
        let table = row.text(0)?;
        if row.bytes(2).is_some() {
            prefixed.push(table.clone());
        }
        keys.entry(table).or_default().push(row.text(1)?);
    }
    // An index over the beginnings of values does not give the order of the values; the server would have to sort.
    for table in prefixed {
        keys.remove(&table);
    }
    Ok(keys)
}
