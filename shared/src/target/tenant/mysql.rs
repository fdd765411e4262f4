//! MySQL and MariaDB: rows by `INSERT` into temporary tables, a serializable transaction without foreign keys.
//!
//! `foreign_key_checks = 0` keeps cascades away from everybody's rows and makes circles of keys no matter; what the keys
//! would have said is asked before the commit. In a serializable transaction every row that a query has read stays as it
//! is until the end, so that the answer holds. Triggers cannot be held back: tables that have them are refused unless the
//! map says that they may run. MySQL opens a temporary table once in a statement, and reads copies where we name it again;
//! they are made before a transaction in which none can be made.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::failure::mysql as failed;
use super::{Backup, Intent, mysql_schema};
use crate::config::ServerDatabase;
use crate::source::DumpLimits;
use crate::source::mysql::session::{Flavor, Session, value};
use crate::tenant::classify::Class;
use crate::tenant::copy::Filter;
use crate::tenant::dialect::{Dialect, kind};
use crate::tenant::reopened::{Copy, reopened};
use crate::tenant::schema::{Column, Schema};
use crate::tenant::sql::Statements;
use crate::tenant::values::Section;
use crate::{Error, Result};

/// Bytes of a statement of several rows.
const STATEMENT_BYTES: usize = 1 << 20;
/// A tenant with more rows in a table than this is not filtered on the way: its keys would be held in memory.
const FILTERED_KEYS: usize = 1_000_000;
/// The first MySQL with everything that is asked of it: windows, keys over expressions, CHECK
/// (<https://dev.mysql.com/doc/relnotes/mysql/8.0/en/news-8-0-16.html>).
const OLDEST_MYSQL: (u32, u32, u32) = (8, 0, 16);

/// A connection.
pub(crate) struct Place {
    pub(super) session: Session,
    pub(super) name: String,
    lock_seconds: u64,
    /// The copies that there are, on a server that needs such.
    copies: Option<BTreeSet<Copy>>,
}

impl Place {
    pub(super) async fn open(database: &ServerDatabase, limits: &DumpLimits) -> Result<Self> {
        let mut session = Session::open(database, limits).await?;
        if session.flavor == Flavor::MySql && session.version < OLDEST_MYSQL {
            return Err(Error::unsupported(format!("one tenant cannot be restored into MySQL {}", session.version_text))
                .hint("It takes MySQL 8.0.16 or newer. The runbook has the commands for older ones: shared/doc/disaster-recovery.md, section 7."));
        }
        // As the dump's own preamble has it.
        session.run("SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', sql_notes = 0").await?;
        let name = format!("database {:?} on {}:{}", database.database, database.host, database.port);
        let copies = (session.flavor == Flavor::MySql).then(BTreeSet::new);
        Ok(Self { session, name, copies, lock_seconds: limits.lock_timeout.as_secs().clamp(1, 1_073_741_824) })
    }

    pub(super) async fn schema(&mut self) -> Result<Schema> {
        mysql_schema::read(&mut self.session).await
    }

    pub(super) async fn execute(&mut self, action: &str, sql: &str) -> Result<u64> {
        let sql = self.opened_once(action, sql).await?;
        self.send(action, &sql).await
    }

    /// Runs a statement that reads no temporary table.
    async fn send(&mut self, action: &str, sql: &str) -> Result<u64> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.session.connection()).await;
        Ok(done.map_err(|error| failed(action, error))?.rows_affected())
    }

    /// The statement as the server takes it, when the copies that it reads are filled.
    async fn opened_once<'s>(&mut self, action: &str, sql: &'s str) -> Result<Cow<'s, str>> {
        if self.copies.is_none() {
            return Ok(Cow::Borrowed(sql));
        }
        let (sql, copies) = reopened(sql);
        for copy in copies {
            self.make(&copy).await?;
            self.send(action, &format!("DELETE FROM {}", copy.copy)).await?;
            self.send(action, &format!("INSERT INTO {} SELECT * FROM {}", copy.copy, copy.of)).await?;
        }
        Ok(Cow::Owned(sql))
    }

    /// Makes a copy, empty, where there is none yet.
    async fn make(&mut self, copy: &Copy) -> Result<()> {
        if self.copies.as_mut().is_some_and(|copies| copies.insert(copy.clone())) {
            let sql = format!("CREATE TEMPORARY TABLE {} LIKE {}", copy.copy, copy.of);
            self.send("making a temporary table", &sql).await?;
        }
        Ok(())
    }

    pub(super) async fn rows(&mut self, action: &str, sql: &str, columns: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
        let sql = &self.opened_once(action, sql).await?;
        let rows = self.session.try_all(sql).await.map_err(|error| failed(action, error))?;
        rows.iter().map(|row| (0..columns.len()).map(|index| row.optional(index)).collect()).collect()
    }

    pub(super) async fn each(
        &mut self,
        action: &str,
        sql: &str,
        columns: usize,
        mut take: impl FnMut(Vec<Option<Vec<u8>>>) -> Result<()>,
    ) -> Result<()> {
        // The driver takes a row whose first value is 16 MiB or larger for the end of the result.
        let sql = sql.replacen("SELECT ", "SELECT 1, ", 1);
        let mut rows = self.session.stream(sql);
        while let Some(row) = rows.try_next().await.map_err(|error| failed(action, error))? {
            let read = |index| Ok(value(&row, index + 1)?.map(<[u8]>::to_vec));
            let values: Result<_, sqlx::Error> = (0..columns).map(read).collect();
            take(values.map_err(|error| failed(action, error))?)?;
        }
        Ok(())
    }

    pub(super) async fn begin(&mut self, statements: &Statements<'_>, intent: Intent) -> Result<()> {
        if self.copies.is_some() {
            for sql in statements.every()? {
                for copy in reopened(&sql).1 {
                    self.make(&copy).await?;
                }
            }
        }
        let (level, mode) = match intent {
            Intent::Look => ("REPEATABLE READ", "WITH CONSISTENT SNAPSHOT, READ ONLY"),
            Intent::Write => ("SERIALIZABLE", "READ WRITE"),
        };
        let wait = self.lock_seconds;
        for sql in [
            format!("SET SESSION foreign_key_checks = 0, innodb_lock_wait_timeout = {wait}"),
            format!("SET TRANSACTION ISOLATION LEVEL {level}"),
            format!("START TRANSACTION {mode}"),
        ] {
            self.execute("beginning the transaction", &sql).await?;
        }
        Ok(())
    }

    pub(super) async fn load(&mut self, statements: &Statements<'_>, place: usize, backup: &Backup<'_>) -> Result<()> {
        let table = &statements.schema.tables[place];
        let section = backup.manifest.tables.iter().find(|it| it.name == table.name.table);
        let Some(section) = section.filter(|section| section.bytes > 0) else { return Ok(()) };
        let action = format!("loading the backup's rows of {}", table.name);
        backup.progress.set_current(action.clone());
        let wanted: HashSet<&str> = table.stored_names().into_iter().collect();
        let range = section.offset..section.offset + section.bytes;
        let mut reader = backup.archive.range(&backup.manifest.entry, range)?;
        let mut rows = Section::default();
        let mut filter = None;
        let (mut head, mut statement) = (String::new(), String::new());
        let mut ended = false;
        while !ended {
            match reader.next().await? {
                Some(piece) => {
                    backup.progress.add_raw_bytes(piece.len() as u64);
                    rows.push(&piece);
                }
                None => ended = true,
            }
            if head.is_empty() && rows.begins()? {
                let list = Dialect::Mysql.list("", rows.columns());
                head = format!("INSERT INTO {} ({list}) VALUES\n", statements.rows(place));
                if rows.columns().iter().map(String::as_str).collect::<HashSet<_>>() != wanted {
                    return Err(Error::corrupt(format!(
                        "the rows of {} have other columns than the table",
                        table.name
                    )));
                }
                filter = self.filter(statements, place, rows.columns()).await?;
            }
            while let Some(row) = rows.next(filter.as_ref())? {
                let row = std::str::from_utf8(row).map_err(|_| Error::corrupt(format!("{action}: not UTF-8")))?;
                if statement.len() + row.len() > STATEMENT_BYTES && !statement.is_empty() {
                    self.send(&action, &statement).await?;
                    statement.clear();
                }
                if statement.is_empty() {
                    statement.push_str(&head);
                } else {
                    statement.push_str(",\n");
                }
                statement.push_str(row);
            }
        }
        if !statement.is_empty() {
            self.send(&action, &statement).await?;
        }
        let rows = rows.finish()?;
        backup.progress.add_rows(rows);
        if rows != section.rows {
            return Err(Error::corrupt(format!(
                "the backup holds {rows} rows of {}, and its manifest says {}",
                table.name, section.rows
            )));
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
        let at = |name: &str| columns.iter().position(|column| column == name);
        let places: Option<Vec<usize>> = table.key.iter().map(|name| at(name)).collect();
        let keys: Vec<&Column> = table.key.iter().filter_map(|name| table.column(name)).collect();
        let (Some(tenant), Some(places)) = (at(&column.name), places) else { return Ok(None) };
        let Some(value) = written(column, statements.value) else { return Ok(None) };
        if keys.is_empty() {
            return Ok(Some(Filter { tenant: (tenant, value), keys: Default::default() }));
        }
        if !keys.iter().all(|column| column.exact) {
            return Ok(None);
        }
        let sql = format!(
            "SELECT {} FROM {} t WHERE {} LIMIT {}",
            Dialect::Mysql.list("t", &table.key),
            Dialect::Mysql.table(&table.name),
            Dialect::Mysql.holds("t", column, statements.value)?,
            FILTERED_KEYS + 1
        );
        let names: Vec<&str> = table.key.iter().map(String::as_str).collect();
        let rows = self.rows(&format!("reading the tenant's keys of {}", table.name), &sql, &names).await?;
        if rows.len() > FILTERED_KEYS {
            return Ok(None);
        }
        let row = |row: Vec<Option<String>>| {
            let values = row.into_iter().flatten().zip(&keys);
            values.filter_map(|(value, column)| written(column, &value)).collect()
        };
        Ok(Some(Filter { tenant: (tenant, value), keys: (places, rows.into_iter().map(row).collect()) }))
    }
}

/// A value as a dump has it, where it can be written in one way alone.
fn written(column: &Column, value: &str) -> Option<Vec<u8>> {
    match kind(column) {
        "uuid" => None,
        "char" | "varchar" if value.is_ascii() => Some(Dialect::Mysql.literal(value).into_bytes()),
        _ if column.exact => value.parse::<i128>().ok().map(|number| number.to_string().into_bytes()),
        _ => None,
    }
}
