//! Reads the whole catalogue into a plan: each emitter claims its kinds, the parts that the server makes by itself go
//! with what they are parts of, and what is left is refused by name.

use std::collections::{BTreeMap, BTreeSet};

use super::inventory::{Inventory, Key, PG_CLASS, PG_CONSTRAINT, PG_PROC, PG_REWRITE, PG_TRIGGER, PG_TYPE};
use super::large_objects::LargeObject;
use super::plan::{ItemId, Ordered, Plan};
use super::quote::{shown, statement};
use super::session::Session;
use super::tables::Table;
use super::{
    columns, comments, constraints, fragile, large_objects, operators, owners, privileges, routines, schemas,
    sequences, services, tables, triggers, types, views,
};
use crate::Result;

/// `pg_amop`, `pg_amproc`: the members of an operator class.
const PG_AMOP: u32 = 2602;
const PG_AMPROC: u32 = 2603;
/// `pg_cast`: a range comes with a cast to its multirange.
const PG_CAST: u32 = 2605;

/// What a dump is made of.
pub(super) struct Catalog {
    /// The SQL of the schema, in order.
    pub(super) schema: Ordered,
    /// The tables whose rows are dumped, by name.
    pub(super) tables: Vec<Table>,
    /// Their columns.
    pub(super) columns: columns::Columns,
    /// The sequences whose values are dumped, qualified and quoted.
    pub(super) sequences: Vec<String>,
    /// The large objects.
    pub(super) large_objects: Vec<LargeObject>,
    /// How many objects of each kind.
    pub(super) counts: BTreeMap<String, u64>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
    /// The roles that must be there before the dump is restored.
    pub(super) roles: Vec<String>,
}

/// Reads it in the session's snapshot.
pub(super) async fn read(session: &mut Session) -> Result<Catalog> {
    let mut plan = Plan::new(Inventory::read(session).await?);
    let columns = columns::read(session).await?;
    schemas::read(session, &mut plan).await?;
    types::read(session, &mut plan).await?;
    routines::read(session, &mut plan).await?;
    let mut tables = tables::read(session, &mut plan, &columns).await?;
    let mut sequences = sequences::read(session, &mut plan).await?;
    let (more_tables, more_sequences) = schemas::configuration(session).await?;
    tables.extend(more_tables);
    tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    sequences.extend(more_sequences);
    sequences.sort();
    views::read(session, &mut plan, &columns).await?;
    constraints::read(session, &mut plan).await?;
    triggers::read(session, &mut plan).await?;
    operators::read(session, &mut plan).await?;
    services::read(session, &mut plan).await?;
    let large_objects = large_objects::read(session, &mut plan).await?;
    take_parts(&mut plan)?;
    owners::read(session, &mut plan).await?;
    privileges::read(session, &mut plan).await?;
    comments::read(session, &mut plan).await?;
    fragile::read(session, &mut plan).await?;
    plan.inventory.refuse_unclaimed()?;
    for (attach, parent) in std::mem::take(&mut plan.attached) {
        plan.after_object(attach, PG_CLASS, parent);
    }
    order_refreshes(&mut plan);
    let (counts, warnings) = (std::mem::take(&mut plan.counts), std::mem::take(&mut plan.warnings));
    let roles = std::mem::take(&mut plan.roles).into_iter().collect();
    let mut schema = plan.order()?;
    for sql in schema.pre_data.iter_mut().chain(&mut schema.post_data) {
        *sql = statement(sql)?;
    }
    Ok(Catalog { schema, tables, columns, sequences, large_objects, counts, warnings, roles })
}

/// Gives to each object what the server makes with it: row and array types, toast tables and their indexes, the rule
/// behind a view, the triggers behind a foreign key, the functions behind a range type.
fn take_parts(plan: &mut Plan) -> Result<()> {
    let dependencies = plan.inventory.dependencies.clone();
    loop {
        let mut found = false;
        for dependency in &dependencies {
            let key = dependency.dependent;
            let part = match key.0 {
                PG_TYPE | PG_REWRITE | PG_PROC | PG_AMOP | PG_AMPROC | PG_CAST => dependency.kind == 'i',
                // `P`: the clones on partitions of a partitioned table's foreign keys and triggers.
                PG_TRIGGER | PG_CONSTRAINT => matches!(dependency.kind, 'i' | 'P'),
                // Toast tables hang on their table; the index of one on the toast table.
                PG_CLASS => matches!(dependency.kind, 'i' | 'a') && plan.is_toast(key),
                _ => false,
            };
            if part
                && plan.unclaimed(key)
                && let Some(item) = plan.provider(dependency.on.0, dependency.on.1)
            {
                plan.part(key, item)?;
                found = true;
            }
        }
        if !found {
            return Ok(());
        }
    }
}

/// A materialized view is filled behind those that it reads, be it through views.
fn order_refreshes(plan: &mut Plan) {
    let refreshes: BTreeMap<Key, ItemId> = plan.refreshes.iter().map(|(oid, item)| ((PG_CLASS, *oid), *item)).collect();
    let mut rules: BTreeMap<Key, Key> = BTreeMap::new();
    for dependency in plan.inventory.dependencies.iter().filter(|d| d.dependent.0 == PG_REWRITE && d.kind == 'i') {
        rules.insert(dependency.dependent, dependency.on);
    }
    let mut reads: BTreeMap<Key, BTreeSet<Key>> = BTreeMap::new();
    for dependency in plan.inventory.dependencies.iter().filter(|d| d.on.0 == PG_CLASS) {
        if let Some(view) = rules.get(&dependency.dependent).filter(|view| **view != dependency.on) {
            reads.entry(*view).or_default().insert(dependency.on);
        }
    }
    for (view, item) in &refreshes {
        let mut seen: BTreeSet<Key> = BTreeSet::from([*view]);
        let mut waiting = vec![*view];
        while let Some(next) = waiting.pop() {
            for read in reads.get(&next).into_iter().flatten().filter(|read| seen.insert(**read)).collect::<Vec<_>>() {
                waiting.push(*read);
                match refreshes.get(read) {
                    Some(other) => plan.after(*item, *other),
                    None if plan.is_materialized(*read) => plan.warnings.push(format!(
                        "materialized view {} reads {}, which has no data: its refresh will fail at restore",
                        shown(&plan.identity(view.0, view.1)),
                        shown(&plan.identity(read.0, read.1))
                    )),
                    None => {}
                }
            }
        }
    }
}
