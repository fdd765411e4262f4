//! Carries the plan out, and proves it before anybody can see it.

use super::gather;
use crate::operation::Context;
use crate::report::TenantReport;
use crate::target::tenant::Place;
use crate::tenant::sql::{Statements, World};
use crate::{Class as ErrorClass, Error, Result};

pub(super) async fn apply(
    place: &mut Place,
    statements: &Statements<'_>,
    report: &mut TenantReport,
    context: &Context,
) -> Result<()> {
    let (schema, order) = (statements.schema, &statements.classes.order);

    // Rows that are deleted and inserted again: changed ones, so that unique values can change hands among the tenant's own
    // rows; of those without a key the ones that are like a row which goes.
    let mut again: Vec<u64> = report.tables.iter().map(|line| line.update).collect();
    for (number, table) in order.iter().enumerate().filter(|(_, table)| !statements.keyed(**table)) {
        let doomed = place.numbers("counting rows to delete", &statements.doomed_rows(*table), &["many"]).await?;
        again[number] = doomed.iter().sum::<u64>().saturating_sub(report.tables[number].delete);
    }

    // Children first.
    for (number, table) in order.iter().enumerate().rev() {
        let (name, line) = (&schema.tables[*table].name, &report.tables[number]);
        context.progress.set_current(format!("deleting from {name}"));
        let done = place.execute(&format!("deleting from {name}"), &statements.delete(*table)?).await?;
        expect(name, done, line.delete + again[number])?;
    }
    for (number, table) in order.iter().enumerate() {
        let (name, line) = (&schema.tables[*table].name, &report.tables[number]);
        context.progress.set_current(format!("inserting into {name}"));
        let done = place.execute(&format!("inserting into {name}"), &statements.insert(*table)).await?;
        context.progress.add_rows(done);
        expect(name, done, line.insert + again[number])?;
    }

    // The tenant's rows are those of the backup, none more and none less.
    context.progress.set_current("comparing again");
    for table in order {
        place.execute("forgetting what was found", &statements.forget_live(*table)).await?;
    }
    gather(place, statements, World::Live).await?;
    for table in order {
        let name = &schema.tables[*table].name;
        let unlike = place.numbers("comparing again", &statements.unlike(*table), &["many"]).await?;
        if unlike != [0] {
            return Err(unproven(format!("{} rows of {name} are not what the backup has", unlike[0])).hint(
                "Nothing has changed. A trigger that fires, or a rule of the database, has changed them on the way.",
            ));
        }
    }

    // What foreign keys say, which were not asked while the rows were written.
    for table in order {
        for number in 0..schema.tables[*table].references.len() {
            if let Some(sql) = statements.hold_parents(*table, number) {
                place.rows("holding what the rows refer to", &sql, &["many"]).await?;
            }
            let name = &schema.tables[*table].references[number].name;
            nothing(place, name, &statements.orphans_of(*table, number)).await?;
        }
    }
    for (child, table) in schema.tables.iter().enumerate() {
        for (number, reference) in table.references.iter().enumerate() {
            if statements.classes.classes[reference.parent].is_member() {
                nothing(place, &reference.name, &statements.orphans_by(child, number)).await?;
            }
        }
    }

    for table in order {
        report.counters.extend(place.move_on(statements, *table).await?);
    }
    Ok(())
}

fn expect(name: &impl std::fmt::Display, done: u64, planned: u64) -> Result<()> {
    match done == planned {
        true => Ok(()),
        false => Err(unproven(format!("{done} rows of {name} were written where {planned} were planned"))),
    }
}

async fn nothing(place: &mut Place, reference: &str, sql: &str) -> Result<()> {
    match place.numbers("asking for rows that refer to nothing", sql, &["many"]).await?.as_slice() {
        [0] => Ok(()),
        found => Err(unproven(format!("the foreign key {reference} would not hold ({found:?} rows)"))),
    }
}

fn unproven(what: String) -> Error {
    Error::new(ErrorClass::Inconsistent, format!("the restore was undone: {what}"))
        .hint("Nothing has changed. Somebody else may have written meanwhile; run the command again.")
}
