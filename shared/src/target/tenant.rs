//! A live database that takes one tenant's rows back: its schema, rows into temporary tables, one transaction.
//!
//! Promises: nothing is written but temporary tables of the session until [`Place::begin`] was told to; everything after it
//! is one transaction, which a lost connection or a killed program ends without a trace. Foreign keys and triggers of
//! the server do not run in it, so no cascade and no trigger reaches a row that no statement of ours names; what the
//! foreign keys would have said is proven by queries before the commit.

mod counters;
mod failure;
mod mysql;
mod mysql_schema;
mod postgres;
mod postgres_schema;

use std::sync::Arc;

use crate::archive::manifest::DatabaseManifest;
use crate::archive::reader::Archive;
use crate::config::DatabaseConfig;
use crate::progress::Progress;
use crate::report::MovedCounter;
use crate::source::DumpLimits;
use crate::tenant::dialect::Dialect;
use crate::tenant::schema::{Name, Schema};
use crate::tenant::sql::Statements;
use crate::{Error, Result};

/// Where rows come from.
pub(crate) struct Backup<'a> {
    pub(crate) archive: &'a Arc<Archive>,
    pub(crate) manifest: &'a DatabaseManifest,
    pub(crate) progress: &'a Progress,
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Only to look: the server itself refuses to write.
    Look,
    /// To change rows.
    Write,
}

/// A connection to a live database.
pub(crate) enum Place {
    /// PostgreSQL.
    Postgres(postgres::Place),
    /// MySQL or MariaDB.
    Mysql(mysql::Place),
}

impl Place {
    /// Connects.
    pub(crate) async fn open(database: &DatabaseConfig, limits: &DumpLimits) -> Result<Self> {
        match database {
            DatabaseConfig::Postgres(server) => Ok(Self::Postgres(postgres::Place::open(server, limits).await?)),
            DatabaseConfig::Mysql(server) => Ok(Self::Mysql(mysql::Place::open(server, limits).await?)),
            DatabaseConfig::Sqlite { .. } => {
                Err(Error::configuration("one tenant cannot be restored into a SQLite database")
                    .hint("The runbook has the commands for SQLite: shared/doc/disaster-recovery.md, section 7."))
            }
        }
    }

    /// Its SQL.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Mysql(_) => Dialect::Mysql,
        }
    }

    /// The database for messages.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Postgres(place) => &place.name,
            Self::Mysql(place) => &place.name,
        }
    }

    /// The tables, without those of extensions.
    pub(crate) async fn schema(&mut self) -> Result<Schema> {
        match self {
            Self::Postgres(place) => postgres_schema::read(&mut place.session).await,
            Self::Mysql(place) => place.schema().await,
        }
    }

    /// Those of these tables that are not in the database at all.
    pub(crate) async fn absent(&mut self, schema: &Schema, names: &[Name]) -> Result<Vec<Name>> {
        let known = |name: &Name| schema.tables.iter().any(|table| table.name == *name || table.parts.contains(name));
        let unknown: Vec<Name> = names.iter().filter(|name| !known(name)).cloned().collect();
        match self {
            Self::Postgres(place) => place.absent(unknown).await,
            Self::Mysql(_) => Ok(unknown),
        }
    }

    /// Runs a statement; the rows that it wrote.
    pub(crate) async fn execute(&mut self, action: &str, sql: &str) -> Result<u64> {
        match self {
            Self::Postgres(place) => place.execute(action, sql).await,
            Self::Mysql(place) => place.execute(action, sql).await,
        }
    }

    /// The rows of a query with these columns.
    pub(crate) async fn rows(&mut self, action: &str, sql: &str, columns: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
        match self {
            Self::Postgres(place) => place.rows(action, sql, columns).await,
            Self::Mysql(place) => place.rows(action, sql, columns).await,
        }
    }

    /// Hands each row of a query with so many columns to `take`, as it comes.
    pub(crate) async fn each(
        &mut self,
        action: &str,
        sql: &str,
        columns: usize,
        take: impl FnMut(Vec<Option<Vec<u8>>>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Postgres(place) => place.each(action, sql, columns, take).await,
            Self::Mysql(place) => place.each(action, sql, columns, take).await,
        }
    }

    /// The whole numbers in the one row of a query.
    pub(crate) async fn numbers(&mut self, action: &str, sql: &str, columns: &[&str]) -> Result<Vec<u64>> {
        let rows = self.rows(action, sql, columns).await?;
        let number = |value: &Option<String>| value.as_ref().and_then(|text| text.parse().ok());
        let numbers: Option<Vec<u64>> = rows.first().and_then(|row| row.iter().map(number).collect());
        numbers.ok_or_else(|| Error::bug(format!("{action}: no number came back")))
    }

    /// Loads a table's rows from the backup into its temporary table. What cannot be the tenant's may be left out.
    pub(crate) async fn load(&mut self, statements: &Statements<'_>, place: usize, backup: &Backup<'_>) -> Result<()> {
        match self {
            Self::Postgres(it) => it.load(statements, place, backup).await,
            Self::Mysql(it) => it.load(statements, place, backup).await,
        }
    }

    /// Begins the transaction. To write, it keeps others from writing the tenant's tables until its end.
    pub(crate) async fn begin(&mut self, statements: &Statements<'_>, intent: Intent) -> Result<()> {
        match self {
            Self::Postgres(place) => place.begin(statements.schema, statements.classes, intent).await,
            Self::Mysql(place) => place.begin(statements, intent).await,
        }
    }

    /// Moves the counters of a table on, where the rows that came back are ahead of them. Never back.
    pub(crate) async fn move_on(&mut self, statements: &Statements<'_>, place: usize) -> Result<Vec<MovedCounter>> {
        match self {
            Self::Postgres(it) => counters::in_postgres(it, statements, place).await,
            // AUTO_INCREMENT moves by itself when a greater number is inserted.
            Self::Mysql(it) => counters::in_mariadb(it, statements, place).await,
        }
    }

    /// Makes it so.
    pub(crate) async fn commit(&mut self) -> Result<()> {
        self.execute("committing", "COMMIT").await.map(drop).map_err(|error| {
            error.hint("Whether it was committed is not known when the connection broke here: run with --dry-run, which shows it.")
        })
    }

    /// Gives up, at once where the server still listens, else at the end of the session.
    pub(crate) async fn roll_back(&mut self) {
        if let Err(error) = self.execute("rolling back", "ROLLBACK").await {
            tracing::debug!(error = error.chain(), "the rollback is left to the end of the session");
        }
    }
}
