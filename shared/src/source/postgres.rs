//! PostgreSQL: one database as plain SQL that `psql -X -v ON_ERROR_STOP=1 -d EMPTY < dump.sql` restores.
//!
//! Promises: one consistent snapshot that no concurrent TRUNCATE, ALTER or swap of tables can empty; every object of the
//! catalogue is in the dump or the dump is refused with its name; the same database gives the same bytes; no name and no
//! value can leave its quotes. Memory holds the schema and one row, never the data.
//!
//! The recipe stands here; `snapshot` takes the locks, `inventory` lists what there is, one file for each family of
//! objects turns it into SQL, `plan` orders that, `data` streams the rows.

mod catalog;
mod columns;
mod comments;
mod constraints;
pub(crate) mod data;
pub(crate) mod failure;
mod fragile;
mod inventory;
mod large_objects;
mod operators;
mod owners;
mod plan;
mod preamble;
mod privileges;
pub(crate) mod quote;
mod routines;
mod schemas;
mod sequences;
mod services;
pub(crate) mod session;
mod snapshot;
mod tables;
mod triggers;
mod types;
mod views;

use std::collections::BTreeMap;

use self::session::Session;
use crate::Result;
use crate::config::ServerDatabase;
use crate::source::{DatabaseDump, DumpLimits, DumpWriter};

/// Connects and makes the cheap checks (version, privileges, objects that cannot be dumped), so that a run can name
/// every bad source before it writes a byte. Changes and locks nothing.
pub async fn check(database: &ServerDatabase, limits: &DumpLimits) -> Result<()> {
    let mut session = Session::open(database, limits).await?;
    snapshot::look(&mut session).await?;
    catalog::read(&mut session).await?;
    session.close().await;
    Ok(())
}

/// Dumps the database from one consistent snapshot into `out`.
pub async fn dump(database: &ServerDatabase, limits: &DumpLimits, out: &mut DumpWriter<'_>) -> Result<DatabaseDump> {
    let mut session = Session::open(database, limits).await?;
    out.progress().set_current(format!("{}: locking and reading the catalogue", quote::shown(&database.database)));

    // 1. Locks, then the snapshot, then everything that there is.
    let (mut facts, mut catalog) = read(&mut session, database, limits).await?;
    facts.insert("roles".to_owned(), catalog.roles.join(", "));

    // 2. What the rows need.
    out.put_str(&preamble::text(&session));
    for sql in std::mem::take(&mut catalog.schema.pre_data) {
        out.put_str(&sql);
        out.put_str("\n");
        out.flush_if_full().await?;
    }

    // 3. The rows, and behind the last of them where the sequences are.
    let mut tables = Vec::with_capacity(catalog.tables.len());
    for table in &catalog.tables {
        let columns = catalog.columns.get(&table.oid).map_or(&[][..], Vec::as_slice);
        tables.push(data::dump(&mut session, table, columns, limits, out).await?);
        session.same_process().await?;
    }
    for object in &catalog.large_objects {
        large_objects::dump(&mut session, object, out).await?;
    }
    for name in &catalog.sequences {
        let sql = sequences::value(&mut session, name).await?;
        out.put_str(&sql);
        out.flush_if_full().await?;
    }
    out.put_str("\n");

    // 4. What must not be there while the rows are loaded.
    for sql in std::mem::take(&mut catalog.schema.post_data) {
        out.put_str(&sql);
        out.put_str("\n");
        out.flush_if_full().await?;
    }

    // 5. Nothing may have been lost on the way: the session must still be the one that was set up.
    session.verify().await?;
    let server_version = session.version.clone();
    session.close().await;
    Ok(DatabaseDump {
        engine: "PostgreSQL".to_owned(),
        server_version,
        snapshot: facts,
        tables,
        objects: catalog.counts,
        warnings: catalog.warnings,
    })
}

/// Takes the snapshot and reads the catalogue in it, again when a definition changed meanwhile.
async fn read(
    session: &mut Session,
    database: &ServerDatabase,
    limits: &DumpLimits,
) -> Result<(BTreeMap<String, String>, catalog::Catalog)> {
    for _ in 0..snapshot::ATTEMPTS {
        snapshot::begin(session).await?;
        let seen = snapshot::definitions(session).await?;
        let facts = preamble::facts(session).await?;
        let catalog = catalog::read(session).await;
        let mut other = Session::open(database, limits).await?;
        let now = snapshot::definitions(&mut other).await?;
        other.close().await;
        // An error of the reading may come from the change too: a function that is gone cannot be deparsed.
        if seen == now {
            return Ok((facts, catalog?));
        }
        snapshot::abandon(session).await?;
    }
    Err(snapshot::restless())
}

/// A guess of the dump's size in bytes, for sizing upload parts; `None` when the server does not tell.
pub async fn estimate(database: &ServerDatabase) -> Option<u64> {
    let mut session = Session::open(database, &DumpLimits::default()).await.ok()?;
    // Indexes are not in a dump, but text is longer than the stored form; values out of line are mostly compressed.
    let query = "SELECT coalesce(sum(pg_relation_size(oid) * CASE relkind WHEN 't' THEN 3 ELSE 1 END), 0)::int8 AS bytes \
                 FROM pg_class WHERE relkind IN ('r', 't') AND relpersistence <> 't'";
    let row = session.row("estimating the size", query).await.ok()?;
    let bytes = row.int("bytes").ok()?;
    session.close().await;
    u64::try_from(bytes).ok()
}
