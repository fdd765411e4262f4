//! The restore recipe: a backup's database back into an empty one, its files into an empty folder.
//!
//! The dump is read twice: once to authenticate every byte and to learn what it needs, and once to execute it,
//! authenticated again piece by piece. Between the two stands the look at the target, and the files, where some are asked
//! for: they are read once. Nothing runs before all of it is known to be good.

mod files;
mod mysql;
mod postgres;
pub(super) mod select;
mod sqlite;
mod swap;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::archive::manifest::DatabaseManifest;
use crate::archive::reader::Archive;
use crate::config::{Config, DatabaseConfig, DatabaseRef, ServerDatabase, is_loopback, same_database};
use crate::environment::Environment;
use crate::operation::end::End;
use crate::operation::extract;
use crate::operation::find::{Wanted, find};
use crate::operation::foreign;
use crate::operation::{Context, Failed, elapsed_ms};
use crate::progress::Progress;
use crate::report::{RestoreReport, RestoreStatus, RestoredDatabase, RestoredTable};
use crate::secret::Secret;
use crate::store::{Object, Store};
use crate::target::Loaded;
use crate::{Error, Result};

pub use files::FilesRequest;

/// What is to be restored, and where to: a database, files, or both.
#[derive(Clone)]
pub struct RestoreRequest {
    /// The backup.
    pub of: Wanted,
    /// The database that takes the dump; `None` = no database is restored.
    pub to: Option<DatabaseConfig>,
    /// The folder that takes the files; `None` = no file is restored.
    pub files: Option<FilesRequest>,
    /// Which database of the backup; `None` = the only one for this kind of target.
    pub database: Option<String>,
    /// Connections that load at the same time. 1 = everything in one transaction, where the engine has such a thing.
    pub jobs: usize,
    /// Only these tables; `None` = the whole database, which must be empty.
    pub table: Option<TableRequest>,
    /// Make every check, execute nothing.
    pub dry_run: bool,
}

/// Single tables out of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRequest {
    /// Their names, `table` or `schema.table`.
    pub tables: Vec<String>,
    /// Take along the tables that they refer to by foreign keys and that the target lacks, and theirs.
    pub with_parents: bool,
    /// Another name for the table at the target; with one table only.
    pub rename: Option<String>,
}

impl fmt::Debug for RestoreRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RestoreRequest");
        shown.field("of", &self.of).field("jobs", &self.jobs).field("table", &self.table);
        shown.field("dry_run", &self.dry_run).finish()
    }
}

impl RestoreRequest {
    /// What cannot be asked for, whatever the backup and the target are.
    fn check(&self) -> Result<()> {
        if self.jobs == 0 {
            return Err(Error::configuration("a restore needs one connection at least").hint("Give --jobs 1 or more."));
        }
        let Some(wanted) = &self.table else { return Ok(()) };
        if wanted.tables.is_empty() {
            return Err(Error::configuration("no table is named").hint("Name one with --table."));
        }
        if wanted.rename.is_some() && wanted.tables.len() > 1 {
            return Err(Error::configuration(format!("one new name was given for {} tables", wanted.tables.len()))
                .hint("Restore the tables one by one, each with its own --as."));
        }
        if wanted.rename.as_deref() == Some("") {
            return Err(Error::configuration("the new name of the table is empty").hint("Give a name with --as."));
        }
        Ok(())
    }
}

/// Refuses what the engine's restore does not do.
fn refuse_parts(work: &Work<'_>) -> Result<()> {
    let engine = &work.manifest.engine;
    if work.table.is_some() {
        return Err(Error::unsupported(format!("single tables of {engine} are not restored"))
            .hint("Restore the whole database into an empty one and copy the table from there."));
    }
    if work.jobs > 1 {
        return Err(
            Error::unsupported(format!("a restore into {engine} has one connection")).hint("Leave --jobs away.")
        );
    }
    Ok(())
}

/// What every engine's restore works with.
struct Work<'a> {
    archive: Arc<Archive>,
    manifest: &'a DatabaseManifest,
    /// Bytes of one statement that are held in memory.
    limit: u64,
    jobs: usize,
    table: Option<&'a TableRequest>,
    stage: Stage,
    context: &'a Context,
}

/// How much of a database's restore is done at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Every check, and every byte authenticated; nothing is executed.
    Rehearsal,
    /// What is left behind a rehearsal of this very run: the target is looked at again, the dump is read to be executed.
    Rest,
    /// Both, one behind the other.
    Whole,
}

/// Where the files are taken from.
#[derive(Clone, Copy)]
struct Source<'a> {
    store: &'a Arc<dyn Store>,
    object: &'a Object,
    password: &'a Secret,
}

impl Work<'_> {
    fn progress(&self) -> &Progress {
        &self.context.progress
    }

    /// The first pass over the dump, unless a rehearsal made it.
    async fn authenticate(&self) -> Result<()> {
        match self.stage {
            Stage::Rest => Ok(()),
            Stage::Rehearsal | Stage::Whole => self.archive.authenticate(&self.manifest.entry, self.progress()).await,
        }
    }

    /// Whether nothing is to be executed.
    fn is_rehearsal(&self) -> bool {
        self.stage == Stage::Rehearsal
    }
}

/// What a restore of a database came to.
struct Outcome {
    /// Where it went, for the report.
    place: String,
    /// What was loaded; of a dry run nothing.
    loaded: Option<Loaded>,
    /// When the loading began.
    begun: Instant,
    warnings: Vec<String>,
    /// What was made besides the tables that were asked for: schemas, types, parents.
    along: Vec<String>,
}

/// Restores a backup.
///
/// # Errors
/// A target that cannot take the backup ([`Class::Configuration`](crate::Class::Configuration), every reason at once),
/// a wrong password or damage (nothing was executed), or what the target said (nothing of PostgreSQL stays).
/// [`Class::Unsupported`](crate::Class::Unsupported), with the report, when all is there but links that were left out.
pub async fn restore(
    environment: &Environment,
    request: &RestoreRequest,
    context: &Context,
) -> Result<RestoreReport, Failed<RestoreReport>> {
    let begun = Instant::now();
    let outcome = run(environment, request, context)
        .await
        .map(|report| RestoreReport { duration_ms: elapsed_ms(begun), ..report })
        .map_err(Failed::from);
    let outcome =
        outcome.and_then(|report| match report.files.as_ref().map_or(Ok(()), |it| extract::judge(&it.left_out)) {
            Ok(()) => Ok(report),
            Err(error) => Err(Failed { error, report: Some(Box::new(report)) }),
        });
    let end = End { disks: &request.of.disks, planned: request.dry_run, notify: false, begun };
    super::end::end(environment, context, end, outcome).await
}

async fn run(environment: &Environment, request: &RestoreRequest, context: &Context) -> Result<RestoreReport> {
    request.check()?;
    let to = match &request.to {
        Some(to) => Some(environment.signed(to.clone()).await),
        None => None,
    };
    // 1. What must not be the source. Asked first, since it takes no connection. Single tables may go back into it: they
    //    take the place of nothing that is there.
    let mut warnings = match &to {
        Some(to) if request.table.is_none() => refuse_source(environment, to).await?,
        _ => Vec::new(),
    };

    // 2. The backup, its password, and the end of the archive, which is authenticated.
    let password = environment.archive_password().await?;
    let (store, backup) = context.unless_stopped(find(environment, &request.of, context)).await?;
    let object = &backup.object;
    let opening = Archive::open(Arc::clone(&store), object, &password);
    let archive = match context.unless_stopped(opening).await {
        Ok(archive) => archive,
        Err(error) => {
            foreign::another_programs(&store, object, error).await?;
            return Err(foreign::has_no_manifest(object));
        }
    };
    let manifest = archive.manifest();
    let source = Source { store: &store, object, password: &password };

    // 3. The folder is looked at; with files to come first, the database is rehearsed before them.
    let files = request.files.as_ref().map(|wanted| files::Files::check(wanted, manifest)).transpose()?;
    let database = match &to {
        Some(to) => Some((to, select::database(manifest, request.database.as_deref(), to)?)),
        None => None,
    };
    let load = async |stage: Stage| match database {
        Some((to, database)) => {
            let work = Work {
                archive: Arc::clone(&archive),
                manifest: database,
                limit: environment.config().dump_limits.max_row_bytes,
                jobs: request.jobs,
                table: request.table.as_ref(),
                stage,
                context,
            };
            Ok(Some(restored(database, load(&work, to, environment.config()).await?, request)))
        }
        None => Ok(None),
    };
    let mut loaded = None;
    if request.dry_run || files.is_some() {
        loaded = load(Stage::Rehearsal).await?;
    }

    // 4. The files lie whole beside their place, then the database is loaded, then they get their names.
    let files = match files {
        Some(files) if request.dry_run => Some(files.rehearse(&source, context).await?),
        files => {
            let (hidden, stage) = match files {
                Some(files) => (Some(files.take_out(&source, context).await?), Stage::Rest),
                None => (None, Stage::Whole),
            };
            if !request.dry_run {
                loaded = load(stage).await?;
            }
            let named = hidden.map(files::Hidden::name).transpose();
            match &loaded {
                Some((database, _)) => named.map_err(|error| {
                    error.context(format!("the database {:?} is restored and its files are not", database.name))
                })?,
                None => named?,
            }
        }
    };
    warnings.extend(
        database.iter().flat_map(|(_, it)| it.warnings.iter().map(|warning| format!("{}: {warning}", it.name))),
    );
    let database = loaded.map(|(database, told)| {
        warnings.extend(told);
        database
    });

    Ok(RestoreReport {
        key: object.key.clone(),
        disk: store.disk().to_owned(),
        status: if request.dry_run { RestoreStatus::Planned } else { RestoreStatus::Restored },
        started: context.now,
        duration_ms: 0,
        bytes_read: archive.bytes_read() + files.as_ref().map_or(0, |files| files.bytes_read),
        database,
        files,
        warnings,
    })
}

/// Checks, the first pass, the second pass.
async fn load(work: &Work<'_>, to: &DatabaseConfig, config: &Config) -> Result<Outcome> {
    match to {
        DatabaseConfig::Postgres(server) => postgres::restore(work, server).await,
        DatabaseConfig::Mysql(server) => mysql::restore(work, server, &config.dump_limits).await,
        DatabaseConfig::Sqlite { path } => sqlite::restore(work, path).await,
    }
}

/// The report of a database, and what a person should know of it.
fn restored(
    database: &DatabaseManifest,
    outcome: Outcome,
    request: &RestoreRequest,
) -> (RestoredDatabase, Vec<String>) {
    let mut warnings = outcome.warnings;
    warnings.extend(outcome.loaded.iter().flat_map(|loaded| loaded.warnings.iter().cloned()));
    let duration_ms = if outcome.loaded.is_some() { elapsed_ms(outcome.begun) } else { 0 };
    let (statements, tables) = outcome.loaded.map_or((0, Vec::new()), |loaded| (loaded.statements, loaded.tables));
    let whole = request.table.is_none();
    let raw_bytes = if whole { database.raw_bytes } else { tables.iter().map(|table| table.bytes).sum() };
    let rows = if tables.is_empty() && whole { database.rows } else { tables.iter().map(|table| table.rows).sum() };
    let report = RestoredDatabase {
        name: database.name.clone(),
        engine: database.engine.clone(),
        target: outcome.place,
        rows,
        raw_bytes,
        statements,
        duration_ms,
        whole,
        jobs: request.jobs,
        along: outcome.along,
        swap: request.to.as_ref().filter(|_| whole).map_or(Vec::new(), |to| swap::statements(database, to)),
        tables: tables
            .into_iter()
            .map(|table| RestoredTable {
                schema: table.schema,
                name: table.name,
                renamed: table.renamed,
                rows: table.rows,
                bytes: table.bytes,
                duration_ms: u64::try_from(table.took.as_millis()).unwrap_or(u64::MAX),
            })
            .collect(),
    };
    (report, warnings)
}

/// Refuses a target that is one of the configured sources. What cannot be asked for (a secret of a lost account) is told;
/// a source holds objects, so the check for an empty target stands behind this one.
async fn refuse_source(environment: &Environment, to: &DatabaseConfig) -> Result<Vec<String>> {
    let config: &Config = environment.config();
    let mut warnings = Vec::new();
    let mut sources: Vec<DatabaseConfig> = Vec::new();
    match environment.databases().await {
        Ok(databases) => sources = databases,
        Err(error) => {
            warnings.push(format!("the target was not compared with every configured source: {}", error.chain()));
            sources.extend(config.databases.iter().filter_map(|reference| match reference {
                DatabaseRef::Inline(database) => Some(database.clone()),
                DatabaseRef::SecretsManager(_) => None,
            }));
        }
    }
    if sources.iter().any(|source| same_place(source, to)) {
        return Err(Error::configuration("the target is a database that is backed up, the source itself")
            .hint("Restore into a new, empty database beside it, look at it, then swap their names."));
    }
    Ok(warnings)
}

/// Whether two descriptions mean one database, this machine's own names taken for one.
fn same_place(one: &DatabaseConfig, other: &DatabaseConfig) -> bool {
    let local = |server: &ServerDatabase| {
        let here = server.host.starts_with('/') || is_loopback(&server.host);
        ServerDatabase { host: if here { "localhost".to_owned() } else { server.host.clone() }, ..server.clone() }
    };
    let plain = |database: &DatabaseConfig| match database {
        DatabaseConfig::Postgres(server) => DatabaseConfig::Postgres(local(server)),
        DatabaseConfig::Mysql(server) => DatabaseConfig::Mysql(local(server)),
        DatabaseConfig::Sqlite { path } => DatabaseConfig::Sqlite { path: path.clone() },
    };
    same_database(&plain(one), &plain(other))
}
