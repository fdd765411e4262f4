//! The drill recipe: restore a backup for real, dump the restored database again, compare it with the manifest, drop it.
//!
//! The restore is the one of `nightvault restore`, with all its checks. It goes into a scratch database that the drill
//! makes itself under a name of its own, on a server that is given or on one that it starts, and for SQLite into a file in
//! a new folder. Whatever happens, what was made is removed; what could not be removed is told by name.
//!
//! The result is noted beside the backup and in the audit trail of every disk, where it outlives the backup.

mod compare;
mod each;
mod own;
mod record;
mod scratch;
mod stand;

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use self::compare::{Comparison, compare};
use self::each::each;
use self::stand::Stand;
use crate::archive::manifest::{DatabaseManifest, Manifest};
use crate::archive::reader;
use crate::catalog::Selector;
use crate::config::{Config, DatabaseConfig};
use crate::environment::Environment;
use crate::operation::end::{End, Outcome, Report};
use crate::operation::find::{Wanted, find};
use crate::operation::restore::{RestoreRequest, restore};
use crate::operation::{Context, Failed, elapsed_ms};
use crate::report::{DrillReport, DrillResult, DrilledDatabase};
use crate::source::{DatabaseDump, DumpWriter, EntrySink, hex, mysql, postgres, sqlite};
use crate::{Class, Error, Result};

/// How long a restore that was interrupted may take to give up by itself.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of a restored file that are read at once.
const READ_BYTES: usize = 1 << 20;

/// What is to be proven, and where.
#[derive(Debug, Clone)]
pub struct DrillRequest {
    /// The backup.
    pub of: Wanted,
    /// Only this of its databases; `None` = all that fit the place.
    pub database: Option<String>,
    /// Where the scratch database is made.
    pub place: DrillPlace,
}

/// Where scratch databases are made. SQLite needs none of these.
#[derive(Clone)]
pub enum DrillPlace {
    /// On this server, by a user that may create databases.
    Server(DatabaseConfig),
    /// On a server that the drill starts from binaries that are installed here; it looks in these folders too.
    Own(Vec<PathBuf>),
    /// Nowhere: SQLite alone is restored.
    Files,
}

impl fmt::Debug for DrillPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DrillPlace::Server(_) => "Server(…)",
            DrillPlace::Own(_) => "Own",
            DrillPlace::Files => "Files",
        })
    }
}

/// Restores a backup for proof.
///
/// # Errors
/// [`Class::Corrupt`] when the restored database is not what the manifest says; else what kept it from being restored.
/// The report says everything.
pub async fn drill(
    environment: &Environment,
    request: &DrillRequest,
    context: &Context,
) -> Result<DrillReport, Failed<DrillReport>> {
    let begun = Instant::now();
    let outcome = run(environment, request, context, begun).await;
    // On every disk, whichever the backup was read from: the record is to outlive the backup.
    let end = End { disks: &[], planned: false, notify: false, begun };
    super::end::end(environment, context, end, outcome).await
}

impl Report for DrillReport {
    const OPERATION: &'static str = "drill";

    fn not_recorded(mut self, _: &str, warning: String) -> Outcome<Self> {
        self.not_recorded.push(warning);
        Ok(self)
    }
}

async fn run(
    environment: &Environment,
    request: &DrillRequest,
    context: &Context,
    begun: Instant,
) -> Result<DrillReport, Failed<DrillReport>> {
    // 1. The backup and its authenticated end.
    let password = environment.archive_password().await?;
    let (store, backup) = context.unless_stopped(find(environment, &request.of, context)).await?;
    let reading = reader::read_tail(Arc::clone(&store), &backup.object, &password);
    let tail = context.unless_stopped(reading).await?;
    let (chosen, not_restored) = choose(&tail.manifest, request)?;
    let whole = chosen.len() == tail.manifest.databases.len();

    // 2. One database after the other.
    let mut report = DrillReport {
        key: backup.object.key.clone(),
        disk: store.disk().to_owned(),
        date: backup.key.date(),
        result: if whole { DrillResult::Proven } else { DrillResult::ProvenInPart },
        started: context.now,
        duration_ms: 0,
        bytes_read: tail.bytes_read,
        raw_bytes: chosen.iter().map(|database| database.raw_bytes).sum(),
        databases: Vec::new(),
        not_restored,
        left_behind: Vec::new(),
        not_recorded: Vec::new(),
    };
    let place = match &request.place {
        DrillPlace::Server(server) => DrillPlace::Server(environment.signed(server.clone()).await),
        place => place.clone(),
    };
    let of = match &request.of.backup {
        Selector::Path(_) => request.of.clone(),
        _ => Wanted { backup: Selector::Named(backup.object.key.clone()), disks: vec![store.disk().to_owned()] },
    };
    let proving = async |database| one(environment, &of, database, &place, context, &mut report).await;
    let failure = each(&chosen, context, proving).await;
    report.duration_ms = elapsed_ms(begun);

    // 3. The verdict, and where it is kept.
    if let Some(error) = &failure {
        report.result = DrillResult::Failed;
        tracing::debug!(error = error.chain(), "the drill failed");
    }
    record::beside(&*store, &backup.object, &mut report, failure.as_ref(), context.now).await;
    match failure {
        None => Ok(report),
        Some(error) => Err(Failed { error, report: Some(Box::new(report)) }),
    }
}

/// The databases that are restored, and what is not, with the reason.
fn choose<'a>(manifest: &'a Manifest, request: &DrillRequest) -> Result<(Vec<&'a DatabaseManifest>, Vec<String>)> {
    let (mut chosen, mut not_restored) = (Vec::new(), Vec::new());
    for database in &manifest.databases {
        let shown = format!("database {:?} ({})", database.name, database.engine);
        let why_not = match (&request.database, &request.place, database.engine.as_str()) {
            (Some(name), ..) if *name != database.name => Some("was not asked for"),
            (_, _, "SQLite")
            | (_, DrillPlace::Own(_), "PostgreSQL" | "MariaDB")
            | (_, DrillPlace::Server(DatabaseConfig::Postgres(_)), "PostgreSQL")
            | (_, DrillPlace::Server(DatabaseConfig::Mysql(_)), "MariaDB" | "MySQL") => None,
            (_, DrillPlace::Own(_), _) => Some("needs a server: no own one of this engine is started"),
            (_, DrillPlace::Server(_), _) => Some("needs a server of its own engine"),
            (_, DrillPlace::Files, _) => Some("needs a server"),
        };
        match why_not {
            None => chosen.push(database),
            Some(why) => not_restored.push(format!("{shown} {why}")),
        }
    }
    if chosen.is_empty() {
        let all = if not_restored.is_empty() { "it holds no database".to_owned() } else { not_restored.join("; ") };
        return Err(Error::configuration(format!("nothing of the backup can be restored for proof: {all}")).hint(
            "Give a server with --to URL, or start one from the binaries that are installed with --own-server.",
        ));
    }
    not_restored.extend(manifest.files.iter().map(|set| format!("files {:?}: `verify` reads them", set.name)));
    Ok((chosen, not_restored))
}

/// Restores one database, compares it, and removes it. What kept it from being proven is returned.
async fn one(
    environment: &Environment,
    of: &Wanted,
    database: &DatabaseManifest,
    place: &DrillPlace,
    context: &Context,
    report: &mut DrillReport,
) -> Option<Error> {
    let mut drilled = DrilledDatabase {
        name: database.name.clone(),
        engine: database.engine.clone(),
        source_version: database.server_version.clone(),
        version: None,
        place: String::new(),
        result: DrillResult::Failed,
        error: None,
        tables: 0,
        rows: 0,
        identical_tables: 0,
        raw_bytes: database.raw_bytes,
        restore_ms: 0,
        compare_ms: 0,
        differences: Vec::new(),
        not_comparable: Vec::new(),
        warnings: Vec::new(),
    };
    context.progress.set_current(format!("making a place for {}", database.name));
    let config = environment.config();
    // Never given up half-way: what was made must be known to be removed.
    let error = match Stand::build(place, database, &config.dump_limits, &mut drilled.warnings).await {
        Err((error, left)) => {
            report.left_behind.extend(left);
            Some(error)
        }
        Ok(stand) => {
            drilled.place = stand.place();
            let bytes_read = &mut report.bytes_read;
            let proven = prove(environment, of, database, &stand, context, &mut drilled, bytes_read).await;
            context.progress.set_current("removing the scratch database");
            report.left_behind.extend(stand.remove(&config.dump_limits).await);
            proven.err()
        }
    };
    drilled.error = error.as_ref().filter(|_| drilled.differences.is_empty()).map(Error::chain);
    if error.is_none() {
        drilled.result = DrillResult::Proven;
    }
    report.databases.push(drilled);
    error.map(|error| error.context(format!("database {}", database.name)))
}

async fn prove(
    environment: &Environment,
    of: &Wanted,
    database: &DatabaseManifest,
    stand: &Stand,
    context: &Context,
    drilled: &mut DrilledDatabase,
    bytes_read: &mut u64,
) -> Result<()> {
    // 1. The restore, by the code that an operator's restore goes through.
    let begun = Instant::now();
    let request = RestoreRequest {
        of: of.clone(),
        to: Some(stand.target().clone()),
        files: None,
        database: Some(database.name.clone()),
        jobs: 1,
        table: None,
        dry_run: false,
    };
    let restored = unless_it_hangs(context, restore(environment, &request, context)).await?;
    drilled.restore_ms = elapsed_ms(begun);
    *bytes_read += restored.bytes_read;
    drilled.warnings.extend(restored.warnings);

    // 2. The restored database, dumped again: rows, text and inventory as the server has them now.
    let begun = Instant::now();
    context.progress.set_current(format!("dumping {} again", database.name));
    let again = context.unless_stopped(dump_again(stand.target(), environment.config(), context)).await?;
    let file = match stand.target() {
        DatabaseConfig::Sqlite { path } => Some(context.unless_stopped(digest(path)).await?),
        _ => None,
    };
    let Comparison { differences, not_comparable, tables, identical, rows } =
        compare(database, &again, file.as_deref());
    drilled.version = Some(again.server_version);
    drilled.compare_ms = elapsed_ms(begun);
    (drilled.tables, drilled.identical_tables, drilled.rows) = (tables, identical, rows);
    (drilled.differences, drilled.not_comparable) = (differences, not_comparable);
    match drilled.differences.as_slice() {
        [] => Ok(()),
        [one] => Err(Error::corrupt(format!("the restored database is not what the manifest says: {one}"))),
        [first, rest @ ..] => Err(Error::corrupt(format!(
            "the restored database is not what the manifest says: {first}, and {} more differences",
            rest.len()
        ))),
    }
}

/// A restore that is to stop gives up by itself, unless its server is in the middle of a long statement. Then it is left:
/// the scratch database is dropped under it.
async fn unless_it_hangs<R>(context: &Context, restoring: impl Future<Output = Result<R, Failed<R>>>) -> Result<R> {
    let hangs = async {
        let stopped = context.stopped().await;
        tokio::time::sleep(GRACE).await;
        stopped
    };
    tokio::select! {
        biased;
        restored = restoring => restored.map_err(|failed| failed.error),
        stopped = hangs => Err(stopped),
    }
}

async fn dump_again(from: &DatabaseConfig, config: &Config, context: &Context) -> Result<DatabaseDump> {
    let limits = &config.dump_limits;
    let mut nowhere = Nowhere;
    let mut out = DumpWriter::new(&mut nowhere, &context.progress);
    let dump = match from {
        DatabaseConfig::Postgres(server) => postgres::dump(server, limits, &mut out).await?,
        DatabaseConfig::Mysql(server) => mysql::dump(server, limits, &mut out).await?,
        DatabaseConfig::Sqlite { path } => sqlite::dump(path, &mut out).await?,
    };
    out.finish().await?;
    Ok(dump)
}

/// A dump of which only the figures are wanted.
struct Nowhere;

#[async_trait]
impl EntrySink for Nowhere {
    async fn write(&mut self, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }

    async fn cut_piece(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The SHA-256 of a file.
async fn digest(path: &Path) -> Result<String> {
    let failed = |error| Error::new(Class::Transient, format!("cannot read the restored file {path:?}")).because(error);
    let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
    let (mut sha256, mut buffer) = (Sha256::new(), vec![0; READ_BYTES]);
    loop {
        match file.read(&mut buffer).await.map_err(failed)? {
            0 => return Ok(hex(&sha256.finalize())),
            read => sha256.update(&buffer[..read]),
        }
    }
}
