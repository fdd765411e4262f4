//! PostgreSQL as a target: everything in one transaction, so a dump is there whole or not at all.
//!
//! Statements go by the simple protocol, rows by `COPY … FROM stdin` in slices as they come out of the archive. The
//! server counts the rows of every table before the transaction is committed. What ends in between (a failing statement,
//! damage, a lost connection, a killed program) ends the session, and the server rolls back.

mod check;
mod failure;
mod lex;
mod needs;
mod split;

use std::time::Instant;

use sqlx::AssertSqlSafe;

use self::failure::{failed, shown};
use self::split::{Event, Splitter};
use super::feed::Feed;
use super::{Findings, Loaded, LoadedTable};
use crate::archive::manifest::{DatabaseManifest, TableManifest};
use crate::archive::reader::EntryReader;
use crate::config::ServerDatabase;
use crate::progress::Progress;
use crate::source::postgres::quote::{literal, qualified};
use crate::source::postgres::session::Session;
use crate::{Class, Error, Result};

pub(crate) use needs::Needs;

/// A database that is to take a dump.
pub(crate) struct Target {
    session: Session,
    place: String,
}

/// What the first pass over a dump found out.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What the dump needs of the target.
    pub(crate) needs: Needs,
}

/// Reads a dump from its beginning, `bytes` of it at least or all of it, and executes nothing. Read to its end, every
/// digest, every block of rows and every end of a statement was checked.
pub(crate) async fn rehearse(
    entry: EntryReader,
    manifest: &DatabaseManifest,
    bytes: u64,
    limit: u64,
    progress: &Progress,
) -> Result<Plan> {
    let mut feed = Feed::new(entry, Splitter::new(limit), manifest.raw_bytes, progress);
    let mut plan = Plan::default();
    let mut tables = manifest.tables.iter();
    let mut current: Option<&TableManifest> = None;
    while let Some(event) = feed.next().await? {
        match event {
            Event::Statement(sql) => plan.needs.see(&sql),
            Event::CopyBegin(_) if feed.taken() >= bytes && bytes < manifest.raw_bytes => return Ok(plan),
            Event::CopyBegin(sql) => {
                let table = next_table(&mut tables, &sql)?;
                feed.tell(&format!("checking {}", plain(table)));
                current = Some(table);
            }
            Event::CopyData(_) => {}
            Event::CopyEnd(rows) => {
                if let Some(table) = current.take()
                    && table.rows != rows
                {
                    return Err(miscounted(table, rows, "the dump holds"));
                }
            }
        }
    }
    all_seen(tables)?;
    Ok(plan)
}

impl Target {
    /// Connects.
    pub(crate) async fn open(database: &ServerDatabase) -> Result<Self> {
        let mut session = Session::connect(database).await?;
        // Whatever the role and the database say: the looking must not be stopped or misled. The dump sets the rest.
        let settings = [
            ("search_path", ""),
            ("client_encoding", "UTF8"),
            ("standard_conforming_strings", "on"),
            ("statement_timeout", "0"),
            ("lock_timeout", "0"),
            ("idle_in_transaction_session_timeout", "0"),
            ("client_min_messages", "error"),
        ]
        .map(|(name, value)| format!("pg_catalog.set_config({}, {}, false)", literal(name), literal(value)));
        session.execute("setting up the session", &format!("SELECT {}", settings.join(", "))).await?;
        let place = format!("database {:?} on {}:{}", database.database, database.host, database.port);
        Ok(Self { session, place })
    }

    /// The target for messages.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Looks whether the database can take the dump. Changes nothing.
    pub(crate) async fn check(
        &mut self,
        manifest: &DatabaseManifest,
        needs: &Needs,
        findings: &mut Findings,
    ) -> Result<()> {
        check::version(&self.session, manifest, findings);
        check::emptiness(&mut self.session, findings).await?;
        check::privileges(&mut self.session, needs, findings).await?;
        check::roles(&mut self.session, manifest, needs, findings).await?;
        check::extensions(&mut self.session, needs, findings).await?;
        check::encoding(&mut self.session, manifest, needs, findings).await
    }

    /// Loads the dump in a transaction, and counts. Nothing of it stays unless [`Target::commit`] is called.
    pub(crate) async fn load(
        &mut self,
        entry: EntryReader,
        manifest: &DatabaseManifest,
        limit: u64,
        progress: &Progress,
    ) -> Result<Loaded> {
        let mut feed = Feed::new(entry, Splitter::new(limit), manifest.raw_bytes, progress);
        let mut loaded = Loaded::default();
        let mut tables = manifest.tables.iter();
        // Whatever the role's default is, this one must be able to write, and see what was committed meanwhile.
        self.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
        feed.tell("making tables");
        while let Some(event) = feed.next().await? {
            loaded.statements += 1;
            match event {
                Event::Statement(sql) => {
                    self.execute(&sql).await?;
                    if !loaded.tables.is_empty() && tables.len() == 0 {
                        feed.tell("making indexes and constraints");
                    }
                }
                Event::CopyBegin(sql) => {
                    let table = next_table(&mut tables, &sql)?;
                    loaded.tables.push(self.copy(&sql, table, &mut feed, progress).await?);
                }
                Event::CopyData(_) | Event::CopyEnd(_) => {
                    return Err(Error::bug("rows of a dump outside their block"));
                }
            }
        }
        all_seen(tables)?;
        progress.set_current("counting the rows");
        self.count(manifest).await?;
        self.session.same_process().await?;
        Ok(loaded)
    }

    /// Makes what was loaded visible.
    pub(crate) async fn commit(mut self) -> Result<()> {
        let done = sqlx::raw_sql("COMMIT").execute(&mut *self.session.connection()).await;
        if let Err(error) = done {
            // Without the server's word it is not known on which side of the commit the connection broke.
            let server_said = matches!(error, sqlx::Error::Database(_));
            let failure = failed(format!("the restore into {} could not be committed", self.place), error);
            return Err(if server_said {
                failure
            } else {
                failure.hint("Look whether the target holds tables: it has all of the backup or nothing of it.")
            });
        }
        self.session.close().await;
        Ok(())
    }

    /// Gives up what was loaded, at once where the server still listens.
    pub(crate) async fn abandon(mut self) {
        if let Err(error) = self.session.execute("rolling back", "ROLLBACK").await {
            tracing::debug!(error = error.chain(), "the rollback is left to the end of the session");
        }
        self.session.close().await;
    }

    async fn execute(&mut self, sql: &str) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *self.session.connection())
            .await
            .map(drop)
            .map_err(|error| failed(format!("{} refused `{}`", self.place, shown(sql)), error))
    }

    /// Streams the rows of one table.
    async fn copy(
        &mut self,
        sql: &str,
        table: &TableManifest,
        feed: &mut Feed<'_, Splitter>,
        progress: &Progress,
    ) -> Result<LoadedTable> {
        let begun = Instant::now();
        let refused = |error| failed(format!("the rows of table {} were refused", plain(table)), error);
        let name = format!("loading {}", plain(table));
        feed.tell(&name);
        let mut copy = self.session.connection().copy_in_raw(sql).await.map_err(refused)?;
        let counted = loop {
            match feed.next().await? {
                Some(Event::CopyData(rows)) => {
                    copy.send(rows).await.map_err(refused)?;
                    feed.tell(&name);
                }
                Some(Event::CopyEnd(rows)) => break rows,
                _ => return Err(Error::bug("a block of rows that does not end")),
            }
        };
        let taken = copy.finish().await.map_err(refused)?;
        progress.add_rows(taken);
        if counted != table.rows {
            return Err(miscounted(table, counted, "the dump holds"));
        }
        if taken != table.rows {
            return Err(miscounted(table, taken, "the server took"));
        }
        Ok(LoadedTable {
            schema: table.schema.clone(),
            name: table.name.clone(),
            renamed: None,
            rows: taken,
            bytes: table.bytes,
            took: begun.elapsed(),
        })
    }

    /// Asks the server how many rows each table has now.
    async fn count(&mut self, manifest: &DatabaseManifest) -> Result<()> {
        for table in &manifest.tables {
            let name = qualified(table.schema.as_deref().unwrap_or("public"), &table.name);
            // Tables of an extension hold what it ships besides; row security would hide rows from the count.
            let query = format!(
                "SELECT NOT pg_catalog.row_security_active(c.oid) AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE \
                 d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e') AS countable \
                 FROM pg_catalog.pg_class c WHERE c.oid = {}::pg_catalog.regclass",
                literal(&name)
            );
            if !self.session.row("asking for a table", &query).await?.flag("countable")? {
                continue;
            }
            let row =
                self.session.row("counting the rows", &format!("SELECT count(*) AS rows FROM ONLY {name}")).await?;
            let rows = row.int("rows")?.unsigned_abs();
            if rows != table.rows {
                return Err(miscounted(table, rows, "the target now has"));
            }
        }
        Ok(())
    }
}

/// The table whose rows come next, which must be the one that the manifest has next.
fn next_table<'a>(tables: &mut std::slice::Iter<'a, TableManifest>, sql: &str) -> Result<&'a TableManifest> {
    let table = tables.next().ok_or_else(|| Error::corrupt("the dump has more tables than its manifest"))?;
    let name = qualified(table.schema.as_deref().unwrap_or("public"), &table.name);
    if sql.trim_start().strip_prefix("COPY ").is_some_and(|rest| rest.starts_with(&format!("{name} "))) {
        return Ok(table);
    }
    Err(Error::corrupt(format!("the dump has other rows where its manifest has those of table {}", plain(table))))
}

fn all_seen(mut tables: std::slice::Iter<'_, TableManifest>) -> Result<()> {
    match tables.next() {
        None => Ok(()),
        Some(table) => Err(Error::corrupt(format!("the dump lacks table {}, which its manifest has", plain(table)))),
    }
}

fn miscounted(table: &TableManifest, rows: u64, who: &str) -> Error {
    let message = format!("{who} {rows} rows of table {}, its manifest says {}", plain(table), table.rows);
    Error::new(Class::Corrupt, message).hint("Nothing of this run is left in the target. Take another backup.")
}

/// A table's name for messages.
fn plain(table: &TableManifest) -> String {
    match &table.schema {
        Some(schema) => format!("{schema}.{}", table.name),
        None => table.name.clone(),
    }
}
