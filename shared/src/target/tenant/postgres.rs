//! PostgreSQL: rows by `COPY` into temporary tables, a transaction in which neither triggers nor foreign keys act.
//!
//! `session_replication_role = replica` is what does that for one transaction, without an ALTER that a killed program could
//! leave behind or that would need a heavier lock. `DISABLE TRIGGER USER` would leave the foreign keys on, and their
//! cascades with them, which act at once even where the check is deferred.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Row, ValueRef};

use super::failure::postgres as failed;
use super::{Backup, Intent};
use crate::config::ServerDatabase;
use crate::source::DumpLimits;
use crate::source::postgres::quote::{literal, qualified};
use crate::source::postgres::session::{Record, Session};
use crate::tenant::classify::{Class, Classes};
use crate::tenant::copy::{Filter, Section};
use crate::tenant::dialect::Dialect;
use crate::tenant::schema::{Name, Schema};
use crate::tenant::sql::Statements;
use crate::{Class as ErrorClass, Error, Result};

/// A tenant with more rows in a table than this is not filtered on the way: its keys would be held in memory.
const FILTERED_KEYS: usize = 1_000_000;

/// A connection.
pub(crate) struct Place {
    pub(super) session: Session,
    pub(super) name: String,
}

impl Place {
    pub(super) async fn open(database: &ServerDatabase, limits: &DumpLimits) -> Result<Self> {
        let mut session = Session::open(database, limits).await?;
        if session.encoding == "SQL_ASCII" {
            return Err(Error::unsupported("a database with the encoding SQL_ASCII takes no single tenant back"));
        }
        session.execute("setting up the session", "SET temp_tablespaces = ''").await?;
        let name = format!("database {:?} on {}:{}", database.database, database.host, database.port);
        Ok(Self { session, name })
    }

    pub(super) async fn execute(&mut self, action: &str, sql: &str) -> Result<u64> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.session.connection()).await;
        Ok(done.map_err(|error| failed(action, error))?.rows_affected())
    }

    pub(super) async fn rows(&mut self, action: &str, sql: &str, columns: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(self.session.connection()).await;
        let rows = rows.map_err(|error| failed(action, error))?;
        let row = |row| {
            let record = Record::from(row);
            columns.iter().map(|column| record.optional(column)).collect()
        };
        rows.into_iter().map(row).collect()
    }

    pub(super) async fn each(
        &mut self,
        action: &str,
        sql: &str,
        columns: usize,
        mut take: impl FnMut(Vec<Option<Vec<u8>>>) -> Result<()>,
    ) -> Result<()> {
        let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(self.session.connection());
        while let Some(row) = rows.try_next().await.map_err(|error| failed(action, error))? {
            let value = |index| -> Result<Option<Vec<u8>>, sqlx::Error> {
                let value = row.try_get_raw(index)?;
                if value.is_null() {
                    return Ok(None);
                }
                value.as_bytes().map(|bytes| Some(bytes.to_vec())).map_err(sqlx::Error::Decode)
            };
            let values: Result<_, sqlx::Error> = (0..columns).map(value).collect();
            take(values.map_err(|error| failed(action, error))?)?;
        }
        Ok(())
    }

    /// Those that are no relations of the database: tables of extensions are there, though not in the schema.
    pub(super) async fn absent(&mut self, names: Vec<Name>) -> Result<Vec<Name>> {
        let mut absent = Vec::new();
        for name in names {
            let quoted = qualified(name.schema.as_deref().unwrap_or("public"), &name.table);
            let sql = format!("SELECT to_regclass({})::text AS found", literal(&quoted));
            if self.session.row("looking for a table", &sql).await?.optional("found")?.is_none() {
                absent.push(name);
            }
        }
        Ok(absent)
    }

    pub(super) async fn begin(&mut self, schema: &Schema, classes: &Classes, intent: Intent) -> Result<()> {
        let mode = match intent {
            // One snapshot for all that is looked at.
            Intent::Look => "ISOLATION LEVEL REPEATABLE READ READ ONLY",
            // Each statement sees what others committed before it; locks keep them from more.
            Intent::Write => "ISOLATION LEVEL READ COMMITTED READ WRITE",
        };
        self.execute("beginning the transaction", &format!("BEGIN {mode}")).await?;
        self.execute("holding back triggers and cascades", "SET LOCAL session_replication_role = replica")
            .await
            .map_err(|error| {
                if error.class() != ErrorClass::Permission {
                    return error;
                }
                error.hint(
                    "Nothing has changed. Work as a superuser (rds_superuser on RDS), or, from PostgreSQL 15 on, \
                     GRANT SET ON PARAMETER session_replication_role to the role.",
                )
            })?;
        if intent == Intent::Write {
            let mut places = classes.order.clone();
            // Always in one order, so that two runs wait for each other and never in a circle.
            places.sort_unstable();
            let names: Vec<String> =
                places.iter().map(|place| Dialect::Postgres.table(&schema.tables[*place].name)).collect();
            let sql = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", names.join(", "));
            self.execute("locking the tenant's tables against writers", &sql).await?;
        }
        Ok(())
    }

    pub(super) async fn load(&mut self, statements: &Statements<'_>, place: usize, backup: &Backup<'_>) -> Result<()> {
        let table = &statements.schema.tables[place];
        let mut filter: Option<Filter> = None;
        let wanted: HashSet<&str> = table.stored().map(|column| column.name.as_str()).collect();
        for part in &table.parts {
            let section = backup.manifest.tables.iter().find(|it| it.name == part.table && it.schema == part.schema);
            let Some(section) = section.filter(|section| section.bytes > 0) else { continue };
            let action = format!("loading the backup's rows of {part}");
            backup.progress.set_current(action.clone());
            let range = section.offset..section.offset + section.bytes;
            let mut reader = backup.archive.range(&backup.manifest.entry, range)?;
            let mut lines = Section::default();
            // The head first, since the order of the columns stands in it.
            let mut pieces = 0;
            loop {
                let piece = reader.next().await?.ok_or_else(|| Error::corrupt(format!("{action}: there are none")))?;
                pieces += piece.len() as u64;
                if lines.begin(&piece)? {
                    break;
                }
            }
            backup.progress.add_raw_bytes(pieces);
            let columns = lines.columns().unwrap_or_default().to_vec();
            if columns.iter().map(String::as_str).collect::<HashSet<_>>() != wanted {
                return Err(Error::corrupt(format!("the rows of {part} have other columns than the table")));
            }
            if filter.is_none() {
                filter = self.filter(statements, place, &columns).await?;
            }
            let list = Dialect::Postgres.list("", &columns);
            let sql = format!("COPY {} ({list}) FROM stdin", statements.rows(place));
            let refused = |error| failed(&action, error);
            let mut copy = self.session.connection().copy_in_raw(&sql).await.map_err(refused)?;
            copy.send(lines.push(&[], filter.as_ref())?).await.map_err(refused)?;
            while let Some(piece) = reader.next().await? {
                backup.progress.add_raw_bytes(piece.len() as u64);
                let kept = lines.push(&piece, filter.as_ref())?;
                if !kept.is_empty() {
                    copy.send(kept).await.map_err(refused)?;
                }
            }
            copy.finish().await.map_err(refused)?;
            let rows = lines.finish()?;
            backup.progress.add_rows(rows);
            if rows != section.rows {
                return Err(Error::corrupt(format!(
                    "the backup holds {rows} rows of {part}, and its manifest says {}",
                    section.rows
                )));
            }
        }
        Ok(())
    }

    /// What may be left out on the way: rows of other tenants, where texts decide that. Rows that belong to the tenant in
    /// the database by now are taken along by their keys, so that a row which has moved between tenants is seen.
    async fn filter(
        &mut self,
        statements: &Statements<'_>,
        place: usize,
        columns: &[String],
    ) -> Result<Option<Filter>> {
        let table = &statements.schema.tables[place];
        let Class::Tenant { column } = &statements.classes.classes[place] else { return Ok(None) };
        let column = table.column(column).expect("the class was checked against the table");
        let exact = |name: &String| table.column(name).is_some_and(|column| column.exact);
        let at = |name: &str| columns.iter().position(|column| column == name);
        let keys: Option<Vec<usize>> = table.key.iter().map(|name| at(name)).collect();
        let (Some(tenant), Some(keys)) = (at(&column.name), keys) else { return Ok(None) };
        if !column.exact || !table.key.iter().all(exact) {
            return Ok(None);
        }
        let value = match column.kind.as_str() {
            "smallint" | "integer" | "bigint" | "uuid" => {
                let sql = format!("SELECT CAST({} AS {})::text AS value", literal(statements.value), column.kind);
                let rows = self.rows("reading the tenant", &sql, &["value"]).await?;
                rows.into_iter().flatten().next().flatten().unwrap_or_default()
            }
            _ => statements.value.to_owned(),
        };
        if table.key.is_empty() {
            return Ok(Some(Filter { tenant: (tenant, value.into_bytes()), keys: Default::default() }));
        }
        let names: Vec<String> = (0..table.key.len()).map(|number| format!("k{number}")).collect();
        let list: Vec<String> = table
            .key
            .iter()
            .zip(&names)
            .map(|(key, name)| format!("t.{}::text AS {name}", Dialect::Postgres.ident(key)))
            .collect();
        let sql = format!(
            "SELECT {} FROM {} t WHERE {} LIMIT {}",
            list.join(", "),
            Dialect::Postgres.table(&table.name),
            Dialect::Postgres.holds("t", column, statements.value)?,
            FILTERED_KEYS + 1
        );
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let rows = self.rows(&format!("reading the tenant's keys of {}", table.name), &sql, &names).await?;
        if rows.len() > FILTERED_KEYS {
            return Ok(None);
        }
        let bytes = |row: Vec<Option<String>>| row.into_iter().flatten().map(String::into_bytes).collect();
        Ok(Some(Filter { tenant: (tenant, value.into_bytes()), keys: (keys, rows.into_iter().map(bytes).collect()) }))
    }
}
