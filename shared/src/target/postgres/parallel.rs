//! A restore over several connections, in sections that are committed one after the other:
//!
//! 1. what the rows need (tables, types, functions), in one transaction;
//! 2. the rows: large tables cut at row boundaries, small ones gathered, each part a transaction of its own;
//! 3. the rest in the dump's order; runs of indexes and keys, and runs of foreign keys, over all connections;
//! 4. the rows are counted.
//!
//! Rows are not visible to anybody as a whole until the end: an error leaves a part behind, which [`Parallel::explain`]
//! tells. Every commit is an ordinary one, so what was committed survives a crash of the server; since small tables share
//! a transaction there are few of them.

mod chunks;
mod roots;
mod units;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use self::chunks::{Batch, batches, load_batch};
use self::roots::Roots;
use self::units::{Sort, Unit, UnitQueue, sort};
use super::split::Splitter;
use super::walk::{Extent, Slices, extents};
use super::{Dump, Target, loaded, made_table, plain};
use crate::archive::manifest::TableManifest;
use crate::config::ServerDatabase;
use crate::source::postgres::quote::{ident, qualified, shown};
use crate::source::postgres::session::Session;
use crate::target::Loaded;
use crate::{Error, Result};

/// How often it is asked whether the server processes of an ended run are gone, and how many times at most.
const GONE_EVERY: Duration = Duration::from_millis(100);
const GONE_ASKED: usize = 100;
/// How many names a message holds.
const SHOWN: usize = 5;

/// How far a restore came; kept outside of it, so that it is there when the restore was ended in the middle.
#[derive(Debug, Default)]
pub(crate) struct Reached(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The definitions are committed.
    made: bool,
    /// All rows are committed.
    filled: bool,
    /// Statements behind the rows that are committed.
    behind: u64,
    /// Statements of the main connection's transaction, which is not committed.
    begun: u64,
    /// All statements are committed.
    done: bool,
    /// The server's processes.
    processes: Vec<i64>,
}

impl Reached {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock can panic")
    }
}

/// A restore over several connections.
pub(crate) struct Parallel<'a> {
    pub(crate) server: &'a ServerDatabase,
    pub(crate) dump: Dump<'a>,
    pub(crate) jobs: usize,
    pub(crate) reached: &'a Reached,
}

/// What was taken of one table so far.
struct Taken {
    counted: u64,
    taken: u64,
    begun: Instant,
}

impl Parallel<'_> {
    /// Loads the dump; `main` is a connection to the target, which was looked at.
    pub(crate) async fn load(&self, mut main: Target) -> Result<Loaded> {
        let manifest = self.dump.manifest;
        let progress = self.dump.progress;
        progress.expect(manifest.raw_bytes);
        self.note(&main);
        let extents = extents(manifest)?;
        let mut result = Loaded::default();

        // All connections first: when the server has no room for them, nothing was done yet.
        let mut workers = Vec::new();
        for _ in 0..self.jobs {
            let worker = Target::open(self.server).await?;
            self.note(&worker);
            workers.push(worker);
        }

        // 1. What stands before the first rows.
        progress.set_current("making tables");
        let mut settings = Settings::default();
        let mut roots = Roots::default();
        let mut made = HashSet::new();
        main.begin().await?;
        let first_rows = extents.iter().position(|extent| matches!(extent, Extent::Rows(_))).unwrap_or(extents.len());
        for extent in &extents[..first_rows] {
            let Extent::Statements(range) = extent else { continue };
            let mut statements = self.statements(range.start, range.end)?;
            while let Some(sql) = statements.next().await? {
                settings.see(&sql);
                roots.see(&sql);
                made.extend(made_table(&sql));
                main.execute(&sql).await?;
                result.statements += 1;
            }
        }
        main.execute("COMMIT").await?;
        self.reached.state().made = true;

        // 2. The rows.
        for worker in &mut workers {
            for sql in &settings.statements {
                worker.execute(sql).await?;
            }
        }
        progress.set_current("loading rows");
        self.rows(&mut workers, &made, &mut result).await?;
        self.reached.state().filled = true;

        // 3. The rest.
        progress.set_current("making indexes and constraints");
        main.begin().await?;
        let mut run: Vec<Unit> = Vec::new();
        for extent in &extents[first_rows..] {
            let Extent::Statements(range) = extent else { continue };
            let mut statements = self.statements(range.start, range.end)?;
            while let Some(sql) = statements.next().await? {
                result.statements += 1;
                match sort(&sql, &roots) {
                    Sort::Detail if !run.is_empty() => {
                        run.last_mut().expect("it was just asked for").add(sql);
                    }
                    Sort::Unit(unit) => {
                        if run.last().is_some_and(|last| last.kind != unit.kind) {
                            self.units(&mut main, &mut workers, &mut run).await?;
                        }
                        run.push(unit);
                    }
                    Sort::Detail | Sort::Other => {
                        if !run.is_empty() {
                            self.units(&mut main, &mut workers, &mut run).await?;
                        }
                        main.execute(&sql).await?;
                        self.reached.state().begun += 1;
                    }
                }
            }
        }
        self.units(&mut main, &mut workers, &mut run).await?;
        self.commit(&mut main).await?;
        self.reached.state().done = true;

        // 4. What is there now.
        progress.set_current("counting the rows");
        let queue = Mutex::new(manifest.tables.iter());
        try_join_all(workers.iter_mut().map(|worker| async {
            while let Some(table) = next(&queue) {
                worker.count(table).await?;
            }
            worker.session.same_process().await
        }))
        .await?;
        main.session.close().await;
        for worker in workers {
            worker.session.close().await;
        }
        Ok(result)
    }

    fn note(&self, target: &Target) {
        self.reached.state().processes.push(target.session.process());
    }

    fn statements(&self, from: u64, to: u64) -> Result<Statements<'_>> {
        let entry = self.dump.archive.range(&self.dump.manifest.entry, from..to)?;
        Ok(Statements {
            slices: Slices::new(entry, from, self.dump.progress),
            splitter: Splitter::new(self.dump.limit),
            end: to,
        })
    }

    /// Loads the rows of all tables.
    async fn rows(&self, workers: &mut [Target], made: &HashSet<String>, result: &mut Loaded) -> Result<()> {
        let tables = &self.dump.manifest.tables;
        let queue = Mutex::new(batches(&self.dump, self.jobs).await?.into_iter());
        let taken: Mutex<HashMap<usize, (Taken, Option<Instant>)>> = Mutex::default();
        try_join_all(workers.iter_mut().map(|worker| async {
            while let Some(Batch { parts }) = next(&queue) {
                let begun = Instant::now();
                for (table, counted, rows) in load_batch(worker, &self.dump, &parts, made).await? {
                    let mut taken = taken.lock().expect("no holder of this lock can panic");
                    let (sum, last) = taken.entry(table).or_insert((Taken { counted: 0, taken: 0, begun }, None));
                    sum.counted += counted;
                    sum.taken += rows;
                    *last = Some(Instant::now());
                }
            }
            Ok::<(), Error>(())
        }))
        .await?;
        let mut taken = taken.into_inner().expect("no holder of this lock can panic");
        for (number, table) in tables.iter().enumerate() {
            let (sum, last) = taken.remove(&number).ok_or_else(|| Error::bug("a table was not loaded"))?;
            let mut it = loaded(table, sum.counted, sum.taken, sum.begun)?;
            it.took = last.map_or(Duration::ZERO, |last| last - sum.begun);
            result.tables.push(it);
            result.statements += 1;
        }
        Ok(())
    }

    /// Executes what is gathered, and begins the next transaction of the main connection.
    async fn units(&self, main: &mut Target, workers: &mut [Target], run: &mut Vec<Unit>) -> Result<()> {
        if run.is_empty() {
            return Ok(());
        }
        self.commit(main).await?;
        let sizes: HashMap<String, u64> =
            self.dump.manifest.tables.iter().map(|it| (full_name(it), it.bytes)).collect();
        let queue = UnitQueue::new(std::mem::take(run), &sizes);
        try_join_all(workers.iter_mut().map(|worker| async {
            while let Some(unit) = queue.take().await {
                for sql in &unit.statements {
                    worker.execute(sql).await?;
                    // A key whose index alone is made is counted with its constraint.
                    self.reached.state().behind += u64::from(unit.then.is_none());
                }
                queue.done(unit);
            }
            Ok::<(), Error>(())
        }))
        .await?;
        main.begin().await
    }

    /// Commits what the main connection executed behind the rows.
    async fn commit(&self, main: &mut Target) -> Result<()> {
        main.execute("COMMIT").await?;
        let mut state = self.reached.state();
        state.behind += std::mem::take(&mut state.begun);
        Ok(())
    }

    /// Says what an error left in the database, and how to begin again.
    pub(crate) async fn explain(&self, error: Error) -> Error {
        let before = error.hint_text().map(|hint| format!("{hint} ")).unwrap_or_default();
        let (made, filled, behind, done, processes) = {
            let state = self.reached.state();
            (state.made, state.filled, state.behind, state.done, state.processes.clone())
        };
        let held = self.held(&processes).await;
        if !made && matches!(&held, Ok(held) if held.tables == 0) {
            return error.hint(format!("{before}Nothing of this run is left in the target."));
        }
        let rows = match held {
            Ok(Held { tables, filled: names }) => {
                let total = self.dump.manifest.tables.len();
                let mut list: Vec<String> = names.iter().take(SHOWN).map(|name| shown(name)).collect();
                if names.len() > SHOWN {
                    list.push("…".to_owned());
                }
                let list = if list.is_empty() { String::new() } else { format!(" ({})", list.join(", ")) };
                let whole = if filled { "all rows were loaded" } else { "not all rows were loaded" };
                format!("{tables} of {total} tables are there, {} of them hold rows{list}; {whole}", names.len())
            }
            Err(why) => format!("it could not be asked what is there ({})", why.chain()),
        };
        let rest = if done {
            "all indexes, constraints and other statements behind the rows were executed".to_owned()
        } else {
            format!("{behind} statements behind the rows (indexes, constraints, triggers, privileges) were executed")
        };
        let name = ident(&self.server.database);
        error.hint(format!(
            "{before}The database {name} is NOT whole: {rows}; {rest}. Before another try: DROP DATABASE {name}; CREATE DATABASE \
             {name} TEMPLATE template0;"
        ))
    }

    /// Ends the server processes of the run, which may still be at work, and looks what is there.
    async fn held(&self, processes: &[i64]) -> Result<Held> {
        let mut session = Session::connect(self.server).await?;
        let list: Vec<String> = processes.iter().map(i64::to_string).collect();
        let list = list.join(", ");
        if !list.is_empty() {
            let running = format!(
                "FROM pg_catalog.pg_stat_activity WHERE pid IN ({list}) AND application_name = 'nightvault' AND \
                 datname = pg_catalog.current_database() AND usename = current_user"
            );
            let end = format!("SELECT pg_catalog.pg_terminate_backend(pid) {running}");
            session.execute("ending the processes of the run", &end).await?;
            for _ in 0..GONE_ASKED {
                let left = session.row("asking for them", &format!("SELECT count(*) AS number {running}")).await?;
                if left.int("number")? == 0 {
                    break;
                }
                tokio::time::sleep(GONE_EVERY).await;
            }
        }
        let mut held = Held::default();
        for table in &self.dump.manifest.tables {
            let name = full_name(table);
            let there = format!(
                "SELECT pg_catalog.to_regclass({}) IS NOT NULL AS there",
                crate::source::postgres::quote::literal(&name)
            );
            if !session.row("asking for a table", &there).await?.flag("there")? {
                continue;
            }
            held.tables += 1;
            let rows = format!("SELECT EXISTS (SELECT FROM ONLY {name}) AS rows");
            if session.row("asking for rows", &rows).await?.flag("rows")? {
                held.filled.push(plain(table));
            }
        }
        session.close().await;
        Ok(held)
    }
}

/// What is in the target.
#[derive(Default)]
struct Held {
    tables: usize,
    filled: Vec<String>,
}

/// The statements of one extent.
struct Statements<'a> {
    slices: Slices<'a>,
    splitter: Splitter,
    end: u64,
}

impl Statements<'_> {
    async fn next(&mut self) -> Result<Option<String>> {
        self.slices.statement(&mut self.splitter, self.end).await
    }
}

/// The settings at a dump's head, which every connection needs.
#[derive(Default)]
struct Settings {
    statements: Vec<String>,
    over: bool,
}

impl Settings {
    fn see(&mut self, sql: &str) {
        self.over |= !(sql.starts_with("SET ") || sql.starts_with("SELECT pg_catalog.set_config("));
        if !self.over {
            self.statements.push(sql.to_owned());
        }
    }
}

fn full_name(table: &TableManifest) -> String {
    qualified(table.schema.as_deref().unwrap_or("public"), &table.name)
}

fn next<T>(queue: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    queue.lock().expect("no holder of this lock can panic").next()
}
