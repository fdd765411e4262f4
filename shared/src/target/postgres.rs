//! PostgreSQL as a target.
//!
//! One connection: everything in one transaction, so a dump is there whole or not at all. What ends in between (a failing
//! statement, damage, a lost connection, a killed program) ends the session, and the server rolls back. Several
//! connections: sections, each of which is committed ([`parallel`]).
//!
//! Statements go by the simple protocol, rows by `COPY … FROM stdin` in slices as they come out of the archive. How many
//! rows the server took of each table is compared with the manifest before the result is called done.

mod check;
mod failure;
mod lex;
mod names;
mod needs;
mod parallel;
mod part;
mod split;
mod walk;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;

use self::failure::{failed, shown};
use self::split::Splitter;
use self::walk::{Extent, Slices, extents};
use super::{Findings, Loaded, LoadedTable};
use crate::archive::manifest::{DatabaseManifest, TableManifest};
use crate::archive::reader::Archive;
use crate::config::ServerDatabase;
use crate::progress::Progress;
use crate::source::postgres::data::newlines;
use crate::source::postgres::quote::{literal, qualified};
use crate::source::postgres::session::Session;
use crate::{Class, Error, Result};

pub(crate) use needs::Needs;
pub(crate) use parallel::{Parallel, Reached};
pub(crate) use part::Wish;

/// A dump that is to be loaded.
#[derive(Clone, Copy)]
pub(crate) struct Dump<'a> {
    /// Where it is.
    pub(crate) archive: &'a Arc<Archive>,
    /// What the manifest says of it.
    pub(crate) manifest: &'a DatabaseManifest,
    /// Bytes of one statement, at most.
    pub(crate) limit: u64,
    /// Where it is told how far things are.
    pub(crate) progress: &'a Progress,
}

impl Dump<'_> {
    /// Reads the statements and not the rows, and executes nothing. Every byte of them was authenticated.
    pub(crate) async fn needs(&self) -> Result<Needs> {
        let mut needs = Needs::default();
        for extent in extents(self.manifest)? {
            let Extent::Statements(range) = extent else { continue };
            let entry = self.archive.range(&self.manifest.entry, range.clone())?;
            let quiet = Progress::default();
            let (mut slices, mut splitter) = (Slices::new(entry, range.start, &quiet), Splitter::new(self.limit));
            while let Some(sql) = slices.statement(&mut splitter, range.end).await? {
                // The bytes of large objects need nothing, and there may be many of them.
                if !sql.starts_with("SELECT pg_catalog.lo_put(") {
                    needs.see(&sql);
                }
            }
        }
        Ok(needs)
    }
}

/// How long a server may take to hear that the restore is given up.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the server looks during a statement whether the program is still there.
const CLIENT_LOOKED_FOR: &str = "5s";

/// A database that is to take a dump.
pub(crate) struct Target {
    session: Session,
    place: String,
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
        // A server that is in the middle of a statement, or waits for a lock, does not hear that the program is gone, and
        // would hold what it locked. It looks itself, from PostgreSQL 14 on and where its system lets it.
        let watch = format!(
            "SELECT pg_catalog.set_config(name, '{CLIENT_LOOKED_FOR}', false) FROM pg_catalog.pg_settings \
             WHERE name = 'client_connection_check_interval'"
        );
        if let Err(error) = session.execute("setting up the session", &watch).await {
            tracing::debug!(error = error.chain(), "the server does not look for its client during a statement");
        }
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
        let listed: Vec<String> = manifest.snapshot.get("roles").into_iter().cloned().collect();
        check::version(&self.session, manifest, findings);
        check::emptiness(&mut self.session, findings).await?;
        check::privileges(&mut self.session, needs, findings).await?;
        check::roles(&mut self.session, &listed, needs, findings).await?;
        check::extensions(&mut self.session, needs, findings).await?;
        check::encoding(&mut self.session, manifest, needs, findings).await
    }

    /// Loads the dump in a transaction. Nothing of it stays unless [`Target::commit`] is called. How many rows it took of
    /// each table is the server's own word; nobody else can see them, so they are not counted once more.
    pub(crate) async fn load(&mut self, dump: &Dump<'_>) -> Result<Loaded> {
        let Dump { manifest, progress, .. } = *dump;
        let mut loaded = Loaded::default();
        let mut made = HashSet::new();
        progress.expect(manifest.raw_bytes);
        let mut slices = Slices::new(dump.archive.dump(manifest)?, 0, progress);
        self.begin().await?;
        progress.set_current("making tables");
        for extent in extents(manifest)? {
            match extent {
                Extent::Statements(range) => {
                    let mut splitter = Splitter::new(dump.limit);
                    while let Some(sql) = slices.statement(&mut splitter, range.end).await? {
                        made.extend(made_table(&sql));
                        self.execute(&sql).await?;
                        loaded.statements += 1;
                    }
                    progress.set_current("making indexes and constraints");
                }
                Extent::Rows(table) => {
                    let fresh = made.contains(&qualified(table.schema.as_deref().unwrap_or("public"), &table.name));
                    loaded.tables.push(self.copy(&mut slices, table, fresh, dump).await?);
                    loaded.statements += 1;
                }
            }
        }
        slices.end().await?;
        self.session.same_process().await?;
        Ok(loaded)
    }

    /// Begins a transaction. Whatever the role's default is, it must be able to write, and see what was committed meanwhile.
    async fn begin(&mut self) -> Result<()> {
        self.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await
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
        let rolling_back = async {
            if let Err(error) = self.session.execute("rolling back", "ROLLBACK").await {
                tracing::debug!(error = error.chain(), "the rollback is left to the end of the session");
            }
            self.session.close().await;
        };
        // A statement that was given up still runs, and the server hears nothing before its end, or
        // before it looks for us; it rolls back then.
        if tokio::time::timeout(ROLLBACK_TIMEOUT, rolling_back).await.is_err() {
            tracing::debug!("the server is busy; the rollback is left to the end of the session");
        }
    }

    async fn execute(&mut self, sql: &str) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *self.session.connection())
            .await
            .map(drop)
            .map_err(|error| failed(format!("{} refused `{}`", self.place, shown(sql)), error))
    }

    /// Streams the rows of one table. `fresh`: this transaction made or emptied it.
    async fn copy(
        &mut self,
        slices: &mut Slices<'_>,
        table: &TableManifest,
        fresh: bool,
        dump: &Dump<'_>,
    ) -> Result<LoadedTable> {
        self.copy_as(slices, table, fresh, dump, &str::to_owned).await
    }

    /// Streams the rows of one table by the statement that `rename` makes of that in the dump.
    async fn copy_as(
        &mut self,
        slices: &mut Slices<'_>,
        table: &TableManifest,
        fresh: bool,
        dump: &Dump<'_>,
        rename: &(dyn Fn(&str) -> String + Sync),
    ) -> Result<LoadedTable> {
        let begun = Instant::now();
        dump.progress.set_current(format!("loading {}", plain(table)));
        let mut rows = slices.rows(table, dump.limit).await?;
        // Nobody else can read the table before the commit, so its rows may be frozen at once: counting them and making
        // indexes is quicker, and the server never has to write them again.
        let frozen = if fresh { " WITH (FREEZE)" } else { "" };
        let refused = |error| failed(format!("the rows of table {} were refused", plain(table)), error);
        let sql = format!("{} FROM stdin{frozen}", rename(&rows.copy));
        let mut copy = self.session.connection().copy_in_raw(&sql).await.map_err(refused)?;
        let mut counted = 0;
        while let Some(slice) = rows.next(slices).await? {
            counted += newlines(&slice);
            copy.send(slice).await.map_err(refused)?;
        }
        let taken = copy.finish().await.map_err(refused)?;
        dump.progress.add_rows(taken);
        loaded(table, counted, taken, begun)
    }

    /// Asks the server how many rows the table has now.
    async fn count(&mut self, table: &TableManifest) -> Result<()> {
        let name = qualified(table.schema.as_deref().unwrap_or("public"), &table.name);
        // Tables of an extension hold what it ships besides; row security would hide rows from the count.
        let query = format!(
            "SELECT NOT pg_catalog.row_security_active(c.oid) AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE \
             d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e') AS countable \
             FROM pg_catalog.pg_class c WHERE c.oid = {}::pg_catalog.regclass",
            literal(&name)
        );
        if !self.session.row("asking for a table", &query).await?.flag("countable")? {
            return Ok(());
        }
        let row = self.session.row("counting the rows", &format!("SELECT count(*) AS rows FROM ONLY {name}")).await?;
        let rows = row.int("rows")?.unsigned_abs();
        if rows == table.rows { Ok(()) } else { Err(miscounted(table, rows, "the target now has")) }
    }
}

/// The table that a statement makes, as it is written there.
fn made_table(sql: &str) -> Option<String> {
    let rest = sql.strip_prefix("CREATE TABLE ").or_else(|| sql.strip_prefix("CREATE UNLOGGED TABLE "))?;
    // Both names are quoted, and a quote within a name is doubled.
    let mut quoted = false;
    let end = rest.find(|c| {
        quoted ^= c == '"';
        !quoted && !matches!(c, '"' | '.')
    });
    rest.get(..end?).map(str::to_owned)
}

/// A table whose rows were counted in the dump and taken by the server.
fn loaded(table: &TableManifest, counted: u64, taken: u64, begun: Instant) -> Result<LoadedTable> {
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

fn miscounted(table: &TableManifest, rows: u64, who: &str) -> Error {
    let message = format!("{who} {rows} rows of table {}, its manifest says {}", plain(table), table.rows);
    Error::new(Class::Corrupt, message).hint("Take another backup.")
}

/// A table's name for messages.
fn plain(table: &TableManifest) -> String {
    match &table.schema {
        Some(schema) => format!("{schema}.{}", table.name),
        None => table.name.clone(),
    }
}
