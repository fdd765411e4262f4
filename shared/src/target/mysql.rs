//! MySQL or MariaDB as a target: an empty database, table beside table; or single tables into one that holds other things.
//!
//! These servers commit with every statement that makes an object, so nothing can be rolled back. That is why everything
//! that can be known is looked at before the first statement, and why an error says what is there now and how to be rid
//! of it. Rows of a table are one transaction, and are counted when it ends and again at the end of all. Every connection
//! makes the settings of the dump's preamble and reads them back.

mod check;
mod crew;
mod execute;
mod keys;
mod orphans;
mod outline;
mod part;
mod pick;
mod split;

use std::sync::Arc;

use self::crew::{Crew, Done, Rows, Task};
use self::execute::{execute, set_up};
pub(crate) use self::outline::{Needs, Outline, rehearse};
pub(crate) use self::part::{Made, Wanted};
use self::split::Statement;
use super::{Findings, Loaded};
use crate::archive::manifest::DatabaseManifest;
use crate::archive::reader::Archive;
use crate::config::ServerDatabase;
use crate::progress::Progress;
use crate::source::DumpLimits;
use crate::source::mysql::quoting::identifier;
use crate::source::mysql::session::Session;
use crate::{Error, Result};

/// A database that is to take a dump.
pub(crate) struct Target {
    session: Session,
    place: String,
}

/// What a load works with.
pub(crate) struct Load<'a> {
    pub(crate) archive: &'a Arc<Archive>,
    pub(crate) manifest: &'a DatabaseManifest,
    pub(crate) outline: &'a Outline,
    pub(crate) server: &'a ServerDatabase,
    pub(crate) limits: &'a DumpLimits,
    /// Connections.
    pub(crate) jobs: usize,
    /// Bytes of one statement that are held in memory.
    pub(crate) limit: u64,
    pub(crate) progress: &'a Progress,
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
        check::foreign(&self.session, needs)?;
        check::version(&self.session, manifest, findings);
        check::emptiness(&mut self.session, manifest, findings).await?;
        let definers = manifest.snapshot.get("definers").map_or("", String::as_str);
        check::privileges(&mut self.session, &manifest.objects, definers, findings).await?;
        check::collations(&mut self.session, needs, findings).await?;
        check::packet(&mut self.session, needs, findings).await
    }

    /// Loads the dump over several connections, and counts. An error leaves what was loaded by then.
    pub(crate) async fn load(&mut self, load: &Load<'_>) -> Result<Loaded> {
        let Load { archive, manifest, outline, progress, .. } = *load;
        let mut loaded = Loaded::default();
        let (head, tail) = outline.around_rows();

        // 1. Settings, sequences, empty tables; the keys of large tables are taken off again.
        progress.set_current("making tables");
        set_up(&mut self.session, &self.place, outline.settings()).await?;
        let made = &head[outline.settings().len()..];
        for statement in made {
            execute(&mut self.session, &self.place, statement.sql.clone()).await?;
        }
        loaded.statements += head.len() as u64;
        let originals = worthwhile(made, manifest);
        let deferred = keys::defer(&mut self.session, &originals, &self.place).await?;

        // 2. Rows and keys, the largest table first, over all connections.
        let mut others = self.others(load, manifest.tables.len()).await?;
        let mut sessions: Vec<&mut Session> = std::iter::once(&mut self.session).chain(&mut others).collect();
        let crew = Crew { archive, manifest, place: &self.place, limit: load.limit, progress };
        progress.expect(manifest.tables.iter().map(|table| table.bytes).sum());
        let mut all: Vec<Rows<'_>> = manifest
            .tables
            .iter()
            .map(|table| Rows {
                table,
                into: table.name.clone(),
                keys: deferred.iter().find(|it| it.is_of(&table.name)),
            })
            .collect();
        all.sort_by_key(|rows| std::cmp::Reverse(rows.table.bytes));
        let with_rows = all.iter().filter(|rows| rows.table.rows > 0);
        let done = crew.work(&mut sessions, with_rows.cloned().map(Task::Load).collect()).await?;
        loaded.take(done);

        // 3. Foreign keys, one table behind the other since each locks its parents.
        progress.set_current("making foreign keys");
        for keys in &deferred {
            keys.refer(sessions[0]).await?;
        }

        // 4. The server counts, and looks for what it did not check.
        progress.set_current("counting the rows and looking for rows that refer to nothing");
        let keys = orphans::keys(sessions[0], None).await?;
        let counts = all.into_iter().map(Task::Count);
        let tasks = keys.into_iter().map(|(name, key)| Task::Orphans(name, key)).chain(counts).collect();
        let done = crew.work(&mut sessions, tasks).await?;
        loaded.take(done);

        // 5. What reads the tables or acts on them.
        progress.set_current("making views, routines, triggers and events");
        for statement in tail {
            execute(sessions[0], &self.place, statement.sql.clone()).await?;
        }
        loaded.statements += tail.len() as u64;
        Ok(loaded)
    }
}

impl Target {
    /// The connections besides the first one, set up as that is.
    async fn others(&self, load: &Load<'_>, tables: usize) -> Result<Vec<Session>> {
        let mut others = Vec::new();
        for _ in 1..load.jobs.min(tables) {
            let mut session = Session::open(load.server, load.limits).await?;
            set_up(&mut session, &self.place, load.outline.settings()).await?;
            others.push(session);
        }
        Ok(others)
    }
}

impl Loaded {
    fn take(&mut self, done: Vec<Done>) {
        let mut tables = Vec::new();
        let mut orphans = Vec::new();
        for done in done {
            match done {
                Done::Loaded { offset, table, statements } => {
                    tables.push((offset, table));
                    self.statements += statements;
                }
                Done::Counted => {}
                Done::Orphans(told) => orphans.extend(told),
            }
        }
        tables.sort_by_key(|(offset, _)| *offset);
        self.tables.extend(tables.into_iter().map(|(_, table)| table));
        orphans.sort();
        self.warnings.extend(orphans);
    }
}

/// The tables whose keys are worth to be made behind the rows, with the statements that make them.
fn worthwhile(made: &[Statement], manifest: &DatabaseManifest) -> Vec<(String, Vec<u8>)> {
    let large =
        |name: &str| manifest.tables.iter().any(|table| table.name == name && table.bytes >= keys::WORTHWHILE_BYTES);
    let named = made.iter().filter_map(|statement| {
        Some((pick::created(std::str::from_utf8(&statement.sql).ok()?)?, statement.sql.clone()))
    });
    named.filter(|(name, _)| large(name)).collect()
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
