//! One tenant's rows from a backup into a live database: plan, and then one transaction.
//!
//! The tenant's rows of the backup come into temporary tables; the transaction finds the tenant's rows of the database,
//! compares, and stops at anything that stands against it. Then it deletes what is only in the database or otherwise in
//! the backup, inserts what the backup has, and asks the server whether the tenant's rows are now those of the backup
//! and whether every foreign key holds. Until the commit nobody sees anything of it; there is no step after it.

mod apply;
mod compare;
mod conflicts;
mod export;
mod plan;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

pub use plan::{PlanRequest, plan};

use crate::archive::reader::Archive;
use crate::config::DatabaseConfig;
use crate::environment::Environment;
use crate::operation::end::End;
use crate::operation::find::{Wanted, find};
use crate::operation::restore::select;
use crate::operation::{Context, Failed, elapsed_ms};
use crate::report::{TenantConflict, TenantReport, TenantStatus, TenantTable};
use crate::target::tenant::{Backup, Intent, Place};
use crate::tenant::classify::{Class, Classes, circular, classify};
use crate::tenant::schema::{Name, Schema};
use crate::tenant::sql::{Statements, World};
use crate::{Class as ErrorClass, Error, Result};

/// Which tenant is to be restored, from where and where to.
#[derive(Clone)]
pub struct TenantRequest {
    /// The backup.
    pub of: Wanted,
    /// The live database.
    pub to: DatabaseConfig,
    /// Which database of the backup; `None` = the only one for this kind of target.
    pub database: Option<String>,
    /// The column that names the tenant; the map's own.
    pub column: String,
    /// The tenant.
    pub tenant: String,
    /// The map file.
    pub map: PathBuf,
    /// Make the plan, change nothing.
    pub dry_run: bool,
    /// Write the tenant's data to this folder, and change nothing.
    pub export: Option<PathBuf>,
    /// The word that it is meant to change the database named.
    pub into_live: bool,
}

impl fmt::Debug for TenantRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantRequest").field("of", &self.of).field("map", &self.map).finish_non_exhaustive()
    }
}

/// Restores one tenant's rows.
///
/// # Errors
/// A map that does not fit the database or a backup with other columns ([`Class::Configuration`](crate::Class::Configuration)),
/// conflicts ([`Class::Inconsistent`](crate::Class::Inconsistent), with the plan), or what the server said. Nothing has
/// changed then.
pub async fn tenant(
    environment: &Environment,
    request: &TenantRequest,
    context: &Context,
) -> Result<TenantReport, Failed<TenantReport>> {
    let begun = Instant::now();
    let mut outcome = run(environment, request, context).await;
    match &mut outcome {
        Ok(report) => report.duration_ms = elapsed_ms(begun),
        Err(failed) => failed.report.iter_mut().for_each(|report| report.duration_ms = elapsed_ms(begun)),
    }
    // A plan and an export change nothing of the database; an export hands data to a person, which is recorded.
    let planned = request.export.is_none() && (request.dry_run || !request.into_live);
    let end = End { disks: &request.of.disks, planned, notify: false, begun };
    super::end::end(environment, context, end, outcome).await
}

async fn run(
    environment: &Environment,
    request: &TenantRequest,
    context: &Context,
) -> Result<TenantReport, Failed<TenantReport>> {
    // 1. What a person has written about the tables.
    let map = plan::read(&request.map)?.ok_or_else(|| {
        Error::new(ErrorClass::NotFound, format!("there is no map file {:?}", request.map))
            .hint("Make one with `nightvault tenants plan`, and decide what it leaves open.")
    })?;
    if map.tenant_column != request.column {
        let (wanted, has) = (&request.column, &map.tenant_column);
        let error = Error::configuration(format!("--tenant names the column {wanted:?}; the map file is for {has:?}"));
        return Err(error.hint("Name the map's column, as in --tenant tenant_id=42.").into());
    }

    // 2. The backup, from its end.
    let config = environment.config();
    let password = environment.archive_password().await?;
    let (store, found) = context.unless_stopped(find(environment, &request.of, context)).await?;
    let archive = context.unless_stopped(Archive::open(Arc::clone(&store), &found.object, &password)).await?;
    let manifest = archive.manifest().clone();
    let to = environment.signed(request.to.clone()).await;
    let database = select::database(&manifest, request.database.as_deref(), &to)?;
    let backup = Backup { archive: &archive, manifest: database, progress: &context.progress };

    // 3. The tables as they are, what each is to the tenant, and whether the backup has the same.
    let mut place = context.unless_stopped(Place::open(&to, &config.dump_limits)).await?;
    let look = async {
        context.progress.set_current("looking at the tables");
        let schema = place.schema().await?;
        let names: Vec<Name> =
            database.tables.iter().map(|table| Name::new(table.schema.as_deref(), &table.name)).collect();
        let absent = place.absent(&schema, &names).await?;
        let classes = classify(&schema, &map, &absent)?;
        compare::definitions(&schema, &classes, place.dialect(), &backup).await?;
        Ok((schema, classes))
    };
    let (schema, classes) = context.unless_stopped(look).await?;
    let statements =
        Statements { dialect: place.dialect(), schema: &schema, classes: &classes, value: &request.tenant };

    let mut report = TenantReport {
        key: found.object.key.clone(),
        disk: store.disk().to_owned(),
        status: TenantStatus::Planned,
        started: context.now,
        duration_ms: 0,
        bytes_read: 0,
        database: database.name.clone(),
        target: place.name().to_owned(),
        column: map.tenant_column.clone(),
        tenant: request.tenant.clone(),
        tables: tables(&schema, &classes),
        conflicts: Vec::new(),
        counters: Vec::new(),
        exported_to: None,
        warnings: classes.notes.clone(),
    };

    // 4. The backup's rows, and which of them are the tenant's.
    let loading = async {
        load(&mut place, &statements, &backup).await?;
        refuse_unknown(&mut place, &statements).await
    };
    context.unless_stopped(loading).await?;
    report.bytes_read = archive.bytes_read();

    if let Some(path) = &request.export {
        let writing = async {
            let folder = export::Folder::open(path)?;
            place.begin(&statements, Intent::Look).await?;
            export::export(&mut place, &statements, &mut report, &folder, context).await
        };
        context.unless_stopped(writing).await?;
        place.roll_back().await;
        report.status = TenantStatus::Exported;
        return Ok(report);
    }

    // 5. The plan, and what stands against it.
    let write = request.into_live && !request.dry_run;
    let intent = if write { Intent::Write } else { Intent::Look };
    let planning = async {
        context.progress.set_current("comparing with the database");
        place.begin(&statements, intent).await?;
        conflicts::plan(&mut place, &statements, &mut report).await
    };
    context.unless_stopped(planning).await?;
    if !report.conflicts.is_empty() {
        place.roll_back().await;
        report.status = TenantStatus::Refused;
        let error = refused(&report.conflicts);
        return Err(Failed { error, report: Some(Box::new(report)) });
    }
    for table in &report.tables {
        tracing::info!(
            table = table.name,
            insert = table.insert,
            update = table.update,
            delete = table.delete,
            "planned for the tenant"
        );
    }
    if !write {
        place.roll_back().await;
        if request.dry_run {
            return Ok(report);
        }
        let error = Error::configuration(format!("nothing was changed: this would write into {}", report.target))
            .hint("Read the plan; when it is right, run the command again with --into-live.");
        return Err(Failed { error, report: Some(Box::new(report)) });
    }

    // 6. The same transaction goes on: delete, insert, prove, commit.
    let applying = apply::apply(&mut place, &statements, &mut report, context);
    if let Err(error) = context.unless_stopped(applying).await {
        place.roll_back().await;
        return Err(Failed { error, report: Some(Box::new(report)) });
    }
    context.progress.set_current("committing");
    if let Err(error) = place.commit().await {
        return Err(Failed { error, report: Some(Box::new(report)) });
    }
    report.status = TenantStatus::Restored;
    Ok(report)
}

/// Loads the rows of the tenant's tables and notes which are the tenant's.
async fn load(place: &mut Place, statements: &Statements<'_>, backup: &Backup<'_>) -> Result<()> {
    let order = &statements.classes.order;
    for table in order {
        for sql in statements.create(*table) {
            place.execute("making a temporary table", &sql).await?;
        }
        place.load(statements, *table, backup).await?;
        for sql in statements.index(*table) {
            place.execute("indexing a temporary table", &sql).await?;
        }
    }
    gather(place, statements, World::Backup).await
}

/// A tenant that the backup does not know at all is refused: to restore it would be to delete it.
async fn refuse_unknown(place: &mut Place, statements: &Statements<'_>) -> Result<()> {
    let mut held = 0;
    for table in &statements.classes.order {
        let rows = place.numbers("counting the tenant's rows", &statements.held(*table), &["many"]).await?;
        held += rows.iter().sum::<u64>();
    }
    match held {
        0 => {
            Err(Error::new(ErrorClass::NotFound, format!("the backup has no row of the tenant {:?}", statements.value))
                .hint("Nothing was changed. Look at the value, or take a backup in which the tenant is."))
        }
        _ => Ok(()),
    }
}

/// Notes the keys of the tenant's rows, until no more are found.
async fn gather(place: &mut Place, statements: &Statements<'_>, world: World) -> Result<()> {
    let again = circular(statements.classes);
    let (keyed, whole): (Vec<usize>, Vec<usize>) =
        statements.classes.order.iter().partition(|table| statements.keyed(**table));
    let action = |table: usize| format!("finding the tenant's rows of {}", statements.schema.tables[table].name);
    loop {
        let mut found = 0;
        for table in &keyed {
            found += place.execute(&action(*table), &statements.gather(world, *table)?).await?;
        }
        if found == 0 || !again {
            break;
        }
    }
    // No row is the tenant's because of a row without a key, so these are counted once all others are known.
    for table in whole {
        for sql in statements.count_lines(world, table)? {
            place.execute(&action(table), &sql).await?;
        }
    }
    Ok(())
}

fn tables(schema: &Schema, classes: &Classes) -> Vec<TenantTable> {
    let table = |place: &usize| {
        let class = &classes.classes[*place];
        TenantTable {
            name: schema.tables[*place].name.to_string(),
            class: class.word().text().to_owned(),
            found: way(schema, class),
            ..TenantTable::default()
        }
    };
    classes.order.iter().map(table).collect()
}

/// How rows of a class are found, for people.
fn way(schema: &Schema, class: &Class) -> String {
    match class {
        Class::Tenant { column } => format!("column {column}"),
        Class::ByPath { ways } => {
            let ways = ways.iter().map(|way| {
                let parent = &schema.tables[way.parent].name;
                format!("{} -> {parent} ({})", way.columns.join(", "), way.parent_columns.join(", "))
            });
            ways.collect::<Vec<_>>().join(" or ")
        }
        Class::Shared | Class::Excluded => String::new(),
    }
}

fn refused(conflicts: &[TenantConflict]) -> Error {
    let rows: u64 = conflicts.iter().map(|conflict| conflict.rows).sum();
    let lines: Vec<String> = conflicts
        .iter()
        .map(|conflict| {
            let more = if conflict.rows > conflict.keys.len() as u64 { ", …" } else { "" };
            format!("{}: {} rows {}: {}{more}", conflict.table, conflict.rows, conflict.what, conflict.keys.join("; "))
        })
        .collect();
    Error::new(
        ErrorClass::Inconsistent,
        format!("{rows} rows stand against the restore, and nothing was changed:\n  {}", lines.join("\n  ")),
    )
    .hint(
        "Look at these rows in the database; move, renumber or delete what is in the way, then run the command again.",
    )
}
