//! The restore recipe: a backup's database back into an empty one.
//!
//! The archive is read twice: once to authenticate every byte and to learn what the dump needs, and once to execute it,
//! authenticated again piece by piece. Between the two stands the look at the target. Nothing runs before all of it is
//! known to be good.

mod mysql;
mod postgres;
mod select;
mod sqlite;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::archive::manifest::DatabaseManifest;
use crate::archive::reader::Archive;
use crate::config::{Config, DatabaseConfig, DatabaseRef, ServerDatabase, is_loopback, same_database};
use crate::environment::Environment;
use crate::operation::find::{Wanted, find};
use crate::operation::{Context, Failed, elapsed_ms, log_outcome};
use crate::progress::Progress;
use crate::report::{RestoreReport, RestoreStatus, RestoredDatabase, RestoredTable};
use crate::target::Loaded;
use crate::{Error, Result};

/// What is to be restored, and where to.
#[derive(Clone)]
pub struct RestoreRequest {
    /// The backup.
    pub of: Wanted,
    /// The database that takes it.
    pub to: DatabaseConfig,
    /// Which database of the backup; `None` = the only one for this kind of target.
    pub database: Option<String>,
    /// Make every check, execute nothing.
    pub dry_run: bool,
}

impl fmt::Debug for RestoreRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreRequest").field("of", &self.of).field("dry_run", &self.dry_run).finish()
    }
}

/// What every engine's restore works with.
struct Work<'a> {
    archive: Arc<Archive>,
    manifest: &'a DatabaseManifest,
    /// Bytes of one statement that are held in memory.
    limit: u64,
    dry_run: bool,
    context: &'a Context,
}

impl Work<'_> {
    fn progress(&self) -> &Progress {
        &self.context.progress
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
}

/// Restores a backup.
///
/// # Errors
/// A target that cannot take the backup ([`Class::Configuration`](crate::Class::Configuration), every reason at once),
/// a wrong password or damage (nothing was executed), or what the target said (nothing of PostgreSQL stays).
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
    log_outcome("restore", &outcome);
    outcome
}

async fn run(environment: &Environment, request: &RestoreRequest, context: &Context) -> Result<RestoreReport> {
    let config = environment.config();
    let to = &environment.signed(request.to.clone()).await;

    // 1. What must not be the source. Asked first, since it takes no connection.
    let mut warnings = refuse_source(environment, to).await?;

    // 2. The backup, its password, and the end of the archive, which is authenticated.
    let password = environment.archive_password().await?;
    let (store, backup) = context.unless_stopped(find(environment, &request.of, context)).await?;
    let object = &backup.object;
    let archive = context.unless_stopped(Archive::open(Arc::clone(&store), object, &password)).await?;
    let manifest = archive.manifest().clone();
    let database = select::database(&manifest, request.database.as_deref(), to)?;
    warnings.extend(database.warnings.iter().map(|warning| format!("{}: {warning}", database.name)));

    // 3. Checks, the first pass, the second pass.
    let work = Work {
        archive: Arc::clone(&archive),
        manifest: database,
        limit: config.dump_limits.max_row_bytes,
        dry_run: request.dry_run,
        context,
    };
    let outcome = match to {
        DatabaseConfig::Postgres(server) => postgres::restore(&work, server).await?,
        DatabaseConfig::Mysql(server) => mysql::restore(&work, server, &config.dump_limits).await?,
        DatabaseConfig::Sqlite { path } => sqlite::restore(&work, path).await?,
    };
    warnings.extend(outcome.warnings.iter().cloned());
    warnings.extend(outcome.loaded.iter().flat_map(|loaded| loaded.warnings.iter().cloned()));

    Ok(RestoreReport {
        key: object.key.clone(),
        disk: store.disk().to_owned(),
        status: if request.dry_run { RestoreStatus::Planned } else { RestoreStatus::Restored },
        started: context.now,
        duration_ms: 0,
        bytes_read: archive.bytes_read(),
        database: Some(restored(database, outcome)),
        warnings,
    })
}

fn restored(database: &DatabaseManifest, outcome: Outcome) -> RestoredDatabase {
    let duration_ms = if outcome.loaded.is_some() { elapsed_ms(outcome.begun) } else { 0 };
    let (statements, tables) = outcome.loaded.map_or((0, Vec::new()), |loaded| (loaded.statements, loaded.tables));
    let rows = if tables.is_empty() { database.rows } else { tables.iter().map(|table| table.rows).sum() };
    RestoredDatabase {
        name: database.name.clone(),
        engine: database.engine.clone(),
        target: outcome.place,
        rows,
        raw_bytes: database.raw_bytes,
        statements,
        duration_ms,
        tables: tables
            .into_iter()
            .map(|table| RestoredTable {
                schema: table.schema,
                name: table.name,
                rows: table.rows,
                bytes: table.bytes,
                duration_ms: u64::try_from(table.took.as_millis()).unwrap_or(u64::MAX),
            })
            .collect(),
    }
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
