//! MySQL or MariaDB as a target: an empty database, statement by statement.
//!
//! These servers commit with every statement that makes an object, so nothing can be rolled back. That is why everything
//! that can be known is looked at before the first statement, and why an error says what is there now and how to be rid
//! of it. Rows of a table are one transaction, and are counted when it ends and again at the end of all.

mod check;
mod orphans;
mod split;

use std::collections::BTreeSet;
use std::time::Instant;

use sqlx::AssertSqlSafe;

use self::split::{Splitter, Statement, words};
use super::feed::Feed;
use super::{Findings, Loaded, LoadedTable};
use crate::archive::manifest::{DatabaseManifest, TableManifest};
use crate::archive::reader::EntryReader;
use crate::config::ServerDatabase;
use crate::progress::Progress;
use crate::source::DumpLimits;
use crate::source::mysql::quoting::identifier;
use crate::source::mysql::session::{Session, failed};
use crate::{Class, Error, Result};

/// How much of a statement a message holds, in bytes.
const SHOWN_BYTES: usize = 120;

/// What a dump needs of the target.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Bytes of the longest statement.
    pub(crate) longest: u64,
    /// Collations that its tables name.
    pub(crate) collations: BTreeSet<String>,
}

/// A database that is to take a dump.
pub(crate) struct Target {
    session: Session,
    place: String,
}

/// Reads a dump from its beginning, `bytes` of it at least or all of it, and executes nothing. Read to its end, every
/// digest and every end of a statement was checked.
pub(crate) async fn rehearse(
    entry: EntryReader,
    manifest: &DatabaseManifest,
    bytes: u64,
    limit: u64,
    progress: &Progress,
) -> Result<Needs> {
    let mut feed = Feed::new(entry, Splitter::new(limit), manifest.raw_bytes, progress);
    let mut needs = Needs::default();
    feed.tell("checking the dump");
    while let Some(Statement { sql, offset }) = feed.next().await? {
        if offset >= bytes {
            return Ok(needs);
        }
        needs.longest = needs.longest.max(sql.len() as u64);
        if sql.starts_with("CREATE TABLE ") || sql.starts_with("ALTER DATABASE ") {
            let words = words(&sql);
            let named = words.windows(2).filter(|pair| pair[0].eq_ignore_ascii_case("COLLATE"));
            needs.collations.extend(named.map(|pair| pair[1].to_owned()));
        }
        feed.tell("checking the dump");
    }
    Ok(needs)
}

impl Target {
    /// Connects.
    pub(crate) async fn open(database: &ServerDatabase, limits: &DumpLimits) -> Result<Self> {
        let session = Session::open(database, limits).await?;
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
        check::privileges(&mut self.session, manifest, findings).await?;
        check::collations(&mut self.session, needs, findings).await?;
        check::packet(&mut self.session, needs, findings).await
    }

    /// Loads the dump, and counts. An error leaves what was loaded by then, and says so.
    pub(crate) async fn load(
        &mut self,
        entry: EntryReader,
        manifest: &DatabaseManifest,
        limit: u64,
        progress: &Progress,
    ) -> Result<Loaded> {
        let mut feed = Feed::new(entry, Splitter::new(limit), manifest.raw_bytes, progress);
        let mut loaded = Loaded::default();
        feed.tell("making tables");
        let mut tables = manifest.tables.iter().filter(|table| table.rows > 0).peekable();
        let mut current: Option<(&TableManifest, u64, Instant)> = None;
        while let Some(Statement { sql, offset }) = feed.next().await? {
            if let Some((table, rows, begun)) = current.take_if(|(table, ..)| offset >= table.offset + table.bytes) {
                loaded.tables.push(loaded_table(table, rows, begun)?);
                feed.tell("making other objects");
            }
            if let Some(table) = tables.next_if(|table| offset >= table.offset) {
                current = Some((table, 0, Instant::now()));
            }
            let rows = self.execute(&sql).await?;
            loaded.statements += 1;
            if let Some((table, counted, _)) = &mut current {
                *counted += rows;
                progress.add_rows(rows);
                feed.tell(&format!("loading {}", table.name));
            }
        }
        if let Some((table, rows, begun)) = current {
            loaded.tables.push(loaded_table(table, rows, begun)?);
        }
        if let Some(table) = tables.next() {
            return Err(Error::corrupt(format!("the dump lacks the rows of table {}", table.name)));
        }
        progress.set_current("counting the rows");
        self.count(manifest).await?;
        progress.set_current("looking for rows that refer to nothing");
        loaded.warnings = orphans::find(&mut self.session).await?;
        Ok(loaded)
    }

    async fn execute(&mut self, sql: &str) -> Result<u64> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(self.session.connection())
            .await
            .map(|done| done.rows_affected())
            .map_err(|error| refused(error, format!("{} refused `{}`", self.place, shown(sql))))
    }

    /// Asks the server how many rows each table has now.
    async fn count(&mut self, manifest: &DatabaseManifest) -> Result<()> {
        for table in &manifest.tables {
            let kind = self
                .session
                .all(&format!(
                    "SELECT TABLE_TYPE FROM information_schema.TABLES WHERE BINARY TABLE_SCHEMA = {} AND BINARY TABLE_NAME = {}",
                    self.session.database_literal(),
                    crate::source::mysql::quoting::literal(&table.name)
                ))
                .await?;
            let kind = kind.first().map(|row| row.text(0)).transpose()?;
            let all = if kind.as_deref() == Some("SYSTEM VERSIONED") { " FOR SYSTEM_TIME ALL" } else { "" };
            let rows =
                self.session.one(&format!("SELECT COUNT(*) FROM {}{all}", identifier(&table.name))).await?.number(0)?;
            if rows != table.rows {
                return Err(miscounted(table, rows, "the target now has"));
            }
        }
        Ok(())
    }
}

/// Says what an error of [`Target::load`] left in the database, and how to be rid of it.
pub(crate) async fn explain(error: Error, server: &ServerDatabase, limits: &DumpLimits) -> Error {
    let name = identifier(&server.database);
    let again = format!("Before another try: DROP DATABASE {name}; CREATE DATABASE {name};");
    let held = async {
        let mut session = Session::open(server, limits).await?;
        let schema = session.database_literal();
        let query = format!("SELECT COUNT(*) FROM information_schema.TABLES WHERE BINARY TABLE_SCHEMA = {schema}");
        session.one(&query).await?.number(0)
    }
    .await;
    let left = match held {
        Ok(0) => format!("The database {name} holds no table."),
        Ok(number) => format!("The database {name} now holds {number} tables of the backup; it is NOT whole."),
        Err(_) => format!("The database {name} may hold a part of the backup; it could not be asked."),
    };
    let before = error.hint_text().map(|hint| format!("{hint} ")).unwrap_or_default();
    error.hint(format!("{before}{left} {again}"))
}

fn loaded_table(table: &TableManifest, rows: u64, begun: Instant) -> Result<LoadedTable> {
    if rows != table.rows {
        return Err(miscounted(table, rows, "the server took"));
    }
    Ok(LoadedTable {
        schema: None,
        name: table.name.clone(),
        renamed: None,
        rows,
        bytes: table.bytes,
        took: begun.elapsed(),
    })
}

fn miscounted(table: &TableManifest, rows: u64, who: &str) -> Error {
    Error::corrupt(format!("{who} {rows} rows of table {}, its manifest says {}", table.name, table.rows))
}

/// The server's refusal of a statement of the dump: that is the target's matter, and no fault of ours.
fn refused(error: sqlx::Error, what: String) -> Error {
    let cause = failed(error, what);
    if cause.class() != Class::Bug {
        return cause;
    }
    let text = cause.chain();
    Error::new(Class::Unsupported, text).hint("Compare the server's version and settings with those of the manifest.")
}

/// The beginning of a statement, for a message; rows are not shown.
fn shown(sql: &str) -> String {
    let sql = sql.split(" VALUES").next().unwrap_or_default();
    let end = sql.floor_char_boundary(SHOWN_BYTES);
    let more = if end < sql.len() { "…" } else { "" };
    format!("{}{more}", sql[..end].split_whitespace().collect::<Vec<_>>().join(" "))
}
