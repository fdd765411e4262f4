//! MySQL and MariaDB: one database, from one consistent snapshot, as SQL text for the server's own client.
//!
//! How nothing is lost: the user's grants prove that it can see everything; the inventory names every object or refuses
//! it; a metadata lock is taken on every table **before** the snapshot is opened, so that no `TRUNCATE`, `ALTER` or rename
//! swap can slip in between (a snapshot of a table that was swapped in later is empty, and no server calls that an
//! error); then the inventory is read again and must be the same. InnoDB alone knows snapshots, so other engines are
//! refused. Values pass through as the bytes that the server prints.
//!
//! What is needed of the server: `SELECT`, `SHOW VIEW`, `TRIGGER`, `EVENT` on the database and sight of its routines; no
//! `RELOAD`, no `LOCK TABLES`, no `SUPER`. What other sessions feel: an `ALTER`, `RENAME` or `TRUNCATE` waits until the
//! dump is through, and later queries on that table wait behind it; reads and writes go on otherwise.
//!
//! Not in a dump: users and grants, server settings, histograms, which belong to the server and not to the database.

mod columns;
mod emit;
pub(crate) mod inventory;
mod order;
pub(crate) mod privileges;
pub(crate) mod quoting;
mod rows;
pub(crate) mod session;
mod tables;
pub(crate) mod text;

use std::collections::BTreeMap;

use self::inventory::Inventory;
use self::quoting::identifier;
use self::session::{Flavor, Session, failed};
use crate::config::ServerDatabase;
use crate::source::{DatabaseDump, DumpLimits, DumpWriter};
use crate::{Class, Error, Result};

/// Connects and makes the cheap checks (version, privileges, objects that cannot be dumped), so that a run can name
/// every bad source before it writes a byte. Changes and locks nothing.
pub async fn check(database: &ServerDatabase, limits: &DumpLimits) -> Result<()> {
    let mut session = Session::open(database, limits).await?;
    privileges::check(&mut session).await?;
    inventory::read(&mut session).await.map(|_| ())
}

/// Dumps the database from one consistent snapshot into `out`.
///
/// Ends with [`Class::Inconsistent`] when the database keeps being changed while the snapshot is opened.
pub async fn dump(database: &ServerDatabase, limits: &DumpLimits, out: &mut DumpWriter<'_>) -> Result<DatabaseDump> {
    let mut session = Session::open(database, limits).await?;
    privileges::check(&mut session).await?;
    out.progress().set_current("opening the snapshot");
    let inventory = match open_snapshot(&mut session, limits).await {
        // Somebody's migration ran at this moment; most are over by now.
        Err(error) if error.class() == Class::Inconsistent => open_snapshot(&mut session, limits).await?,
        result => result?,
    };

    emit::preamble(out, session.flavor, &inventory);
    sequences(&mut session, &inventory, out).await?;
    for table in &inventory.tables {
        emit::table(out, table);
        out.flush_if_full().await?;
    }
    // From here on each column comes in its own character set.
    session.run("SET SESSION character_set_results = NULL").await?;
    let mut tables = Vec::with_capacity(inventory.tables.len());
    for table in &inventory.tables {
        tables.push(rows::write(&mut session, table, limits, out).await?);
    }
    emit::objects(out, &inventory.routines, &inventory);
    emit::views(out, &inventory.views);
    emit::objects(out, &inventory.triggers, &inventory);
    emit::objects(out, &inventory.events, &inventory);
    emit::postamble(out, session.flavor, &inventory);
    session.run("COMMIT").await?;

    Ok(DatabaseDump {
        engine: match session.flavor {
            Flavor::MariaDb => "MariaDB",
            Flavor::MySql => "MySQL",
        }
        .to_owned(),
        server_version: session.version_text.clone(),
        snapshot: facts(&inventory),
        tables,
        objects: inventory.counts(),
        warnings: inventory.warnings,
    })
}

/// A guess of the dump's size in bytes, for sizing upload parts; `None` when the server does not tell.
pub async fn estimate(database: &ServerDatabase) -> Option<u64> {
    let mut session = Session::open(database, &DumpLimits::default()).await.ok()?;
    let sql = format!(
        "SELECT CAST(COALESCE(SUM(DATA_LENGTH), 0) AS UNSIGNED) FROM information_schema.TABLES WHERE {}",
        session.here("TABLE_SCHEMA")
    );
    session.one(&sql).await.ok()?.number(0).ok()
}

/// Locks every table against changes of its definition, opens the snapshot, and proves that between the first look and
/// the locks nothing was changed.
async fn open_snapshot(session: &mut Session, limits: &DumpLimits) -> Result<Inventory> {
    session.run("ROLLBACK").await?;
    let before = inventory::read(session).await?;
    session.run("START TRANSACTION READ ONLY").await?;
    for table in &before.tables {
        // Takes the metadata lock and reads nothing, so that it opens no snapshot yet.
        let quoted = identifier(&table.name);
        session.try_run(format!("SELECT 1 FROM {quoted} LIMIT 0")).await.map_err(|cause| {
            failed(cause, format!("cannot lock table {quoted} within {} s", limits.lock_timeout.as_secs()))
        })?;
    }
    if let Some(table) = before.tables.first() {
        // The first read of a transaction opens its snapshot, for all tables.
        session.run(&format!("SELECT 1 FROM {} LIMIT 1", identifier(&table.name))).await?;
    }
    let after = inventory::read(session).await?;
    if before != after {
        return Err(Error::new(
            Class::Inconsistent,
            format!("database {} was changed while the snapshot was opened", identifier(&session.database)),
        )
        .hint("A migration is running; run the backup again when it is done."));
    }
    Ok(after)
}

/// Sequences, first of all since tables' defaults may name them.
async fn sequences(session: &mut Session, inventory: &Inventory, out: &mut DumpWriter<'_>) -> Result<()> {
    for sequence in &inventory.sequences {
        let row = session
            .one(&format!("SELECT next_not_cached_value, cycle_count FROM {}", identifier(&sequence.name)))
            .await?;
        emit::sequence(out, sequence, &row.text(0)?, &row.text(1)?);
    }
    Ok(())
}

fn facts(inventory: &Inventory) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::from([
        ("isolation".to_owned(), "REPEATABLE READ".to_owned()),
        ("time_zone".to_owned(), "+00:00".to_owned()),
        ("character_set".to_owned(), inventory.charset.clone()),
        ("collation".to_owned(), inventory.collation.clone()),
    ]);
    if !inventory.definers.is_empty() {
        facts.insert("definers".to_owned(), inventory.definers.iter().cloned().collect::<Vec<_>>().join(", "));
    }
    facts
}
