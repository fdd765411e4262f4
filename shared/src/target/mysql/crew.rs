//! Connections that work at the same time: each takes the next task, the largest first.
//!
//! A table's rows are loaded by one connection, in one transaction, as the dump has them; tables go side by side. The first
//! error ends all of them: their connections are closed, and the servers roll back what was not committed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::future::try_join_all;

use super::execute::execute;
use super::keys::Deferred;
use super::orphans::{self, Key};
use super::outline::Statements;
use crate::archive::manifest::{DatabaseManifest, TableManifest};
use crate::archive::reader::Archive;
use crate::progress::Progress;
use crate::source::mysql::quoting::{identifier, literal};
use crate::source::mysql::session::Session;
use crate::target::LoadedTable;
use crate::{Error, Result};

/// A table's rows: where they come from and where they go.
#[derive(Clone)]
pub(super) struct Rows<'a> {
    pub(super) table: &'a TableManifest,
    /// The name of the table that takes them.
    pub(super) into: String,
    /// Its keys, which are made behind the rows.
    pub(super) keys: Option<&'a Deferred>,
}

/// What one connection does at a time.
pub(super) enum Task<'a> {
    Load(Rows<'a>),
    /// Counts the rows of a table again.
    Count(Rows<'a>),
    /// Looks for rows that refer to nothing.
    Orphans(String, Key),
}

/// What came of it.
pub(super) enum Done {
    Loaded { offset: u64, table: LoadedTable, statements: u64 },
    Counted,
    Orphans(Option<String>),
}

/// The connections and what they work with.
pub(super) struct Crew<'a> {
    pub(super) archive: &'a Arc<Archive>,
    pub(super) manifest: &'a DatabaseManifest,
    pub(super) place: &'a str,
    pub(super) limit: u64,
    pub(super) progress: &'a Progress,
}

impl Crew<'_> {
    /// Does all tasks over all sessions.
    pub(super) async fn work(&self, sessions: &mut [&mut Session], tasks: Vec<Task<'_>>) -> Result<Vec<Done>> {
        let queue = Mutex::new(VecDeque::from(tasks));
        let workers = sessions.iter_mut().map(|session| async {
            let mut done = Vec::new();
            loop {
                let task = queue.lock().expect("no holder of this lock can panic").pop_front();
                let Some(task) = task else { return Ok::<_, Error>(done) };
                done.push(self.perform(session, task).await?);
            }
        });
        Ok(try_join_all(workers).await?.into_iter().flatten().collect())
    }

    async fn perform(&self, session: &mut Session, task: Task<'_>) -> Result<Done> {
        match task {
            Task::Load(rows) => self.load(session, &rows).await,
            Task::Count(rows) => self.count(session, &rows).await.map(|()| Done::Counted),
            Task::Orphans(name, key) => orphans::look(session, &name, &key).await.map(Done::Orphans),
        }
    }

    async fn load(&self, session: &mut Session, rows: &Rows<'_>) -> Result<Done> {
        let (table, begun) = (rows.table, Instant::now());
        let told = format!("loading {}", table.name);
        self.progress.set_current(told.clone());
        let range = table.offset..table.offset + table.bytes;
        let mut statements = Statements::open(self.archive, self.manifest, range, self.limit)?;
        let (from, to) = (heading(&table.name), heading(&rows.into));
        let (mut taken, mut executed) = (0, 0);
        while let Some(statement) = statements.next(self.progress).await? {
            let mut sql = statement.sql;
            if sql.starts_with(b"INSERT ") && from != to {
                if !sql.starts_with(from.as_bytes()) {
                    let name = &table.name;
                    return Err(Error::corrupt(format!("the dump has rows of another table in the section of {name}")));
                }
                sql.splice(..from.len(), to.bytes());
            }
            let rows = execute(session, self.place, sql).await?;
            taken += rows;
            executed += 1;
            self.progress.add_rows(rows);
            self.progress.set_current(told.clone());
        }
        if taken != table.rows {
            return Err(miscounted(table, taken, "the server took"));
        }
        if let Some(keys) = rows.keys {
            self.progress.set_current(format!("making keys of {}", table.name));
            keys.build(session).await?;
            executed += 1;
        }
        let renamed = (rows.into != table.name).then(|| rows.into.clone());
        let loaded = LoadedTable {
            schema: None,
            name: table.name.clone(),
            renamed,
            rows: taken,
            bytes: table.bytes,
            took: begun.elapsed(),
        };
        Ok(Done::Loaded { offset: table.offset, table: loaded, statements: executed })
    }

    /// Asks the server how many rows the table has now.
    async fn count(&self, session: &mut Session, rows: &Rows<'_>) -> Result<()> {
        let (schema, name) = (session.database_literal(), literal(&rows.into));
        let kind = session
            .all(&format!(
                "SELECT TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {name} \
                 AND BINARY TABLE_SCHEMA = {schema} AND BINARY TABLE_NAME = {name}"
            ))
            .await?;
        let kind = kind.first().map(|row| row.text(0)).transpose()?;
        let all = if kind.as_deref() == Some("SYSTEM VERSIONED") { " FOR SYSTEM_TIME ALL" } else { "" };
        let count = format!("SELECT COUNT(*) FROM {}{all}", identifier(&rows.into));
        let found = session.one(&count).await?.number(0)?;
        if found == rows.table.rows { Ok(()) } else { Err(miscounted(rows.table, found, "the target now has")) }
    }
}

/// How a statement with rows of this table begins.
fn heading(table: &str) -> String {
    format!("INSERT INTO {} (", identifier(table))
}

fn miscounted(table: &TableManifest, rows: u64, who: &str) -> Error {
    Error::corrupt(format!("{who} {rows} rows of table {}, its manifest says {}", table.name, table.rows))
}
