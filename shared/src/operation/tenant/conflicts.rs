//! The plan of a tenant's restore, and everything that stands against it, found before a row is changed.

use super::gather;
use crate::report::{TenantConflict, TenantReport};
use crate::target::tenant::Place;
use crate::tenant::sql::{Statements, World, first};
use crate::{Error, Result};

/// How many rows of a conflict are named.
const NAMED: usize = 10;

/// Fills in the counts of every table and the conflicts. Writes to temporary tables alone.
pub(super) async fn plan(place: &mut Place, statements: &Statements<'_>, report: &mut TenantReport) -> Result<()> {
    let (schema, classes) = (statements.schema, statements.classes);
    loop {
        gather(place, statements, World::Live).await?;
        let mut adopted = 0;
        for table in &classes.order {
            if let Some(sql) = statements.adopt(*table) {
                adopted += place.execute("finding rows that were left behind", &sql).await?;
            }
        }
        if adopted == 0 {
            break;
        }
    }
    let mut found = Vec::new();
    for table in &classes.order {
        // A row without a key is never another one's than it was: it would be another row.
        if statements.keyed(*table) {
            let name = schema.tables[*table].name.to_string();
            let what = "belonged to another tenant in the backup and are this tenant's now";
            found.extend(conflict(place, &name, what, &statements.moved(*table)).await?);
        }
        place.execute("leaving out other tenants' rows", &statements.keep_members(*table)).await?;
    }
    for (number, table) in classes.order.iter().enumerate() {
        let it = &schema.tables[*table];
        let name = it.name.to_string();
        let counts =
            place.numbers("counting rows", &statements.counts(*table), &["backup", "live", "both_have"]).await?;
        let &[backup, live, both] = counts.as_slice() else { return Err(Error::bug("three counts were asked for")) };
        if both > backup.min(live) {
            return Err(Error::bug(format!("{name}: more rows were counted on both sides than on one")));
        }
        let line = &mut report.tables[number];
        (line.backup_rows, line.live_rows, line.insert) = (backup, live, backup - both);
        if statements.keyed(*table) {
            line.delete = place.execute("finding rows to delete", &statements.doom_missing(*table)).await?;
            line.update = place.execute("finding rows to update", &statements.doom_changed(*table)).await?;
            if line.delete != live - both {
                return Err(Error::bug(format!("{name}: rows to delete were counted in two ways, with two results")));
            }
            let what = "have a key that somebody else's row has now";
            found.extend(conflict(place, &name, what, &statements.taken(*table)).await?);
        } else {
            place.execute("finding rows to delete", &statements.doom_surplus(*table)).await?;
            line.delete = live - both;
        }
        for (number, unique) in it.unique.iter().enumerate() {
            // The key itself was just asked for.
            if is_key(statements, *table, number) {
                continue;
            }
            if let Some(why) = cannot_ask(statements, *table, number) {
                report.warnings.push(format!(
                    "{name}: whether the unique key {} is taken was not asked beforehand, since {why}; the server checks it",
                    unique.name
                ));
                continue;
            }
            let what = format!("have the same {} as somebody else's row", unique.name);
            found.extend(conflict(place, &name, &what, &statements.occupied(*table, number)).await?);
        }
        for (number, reference) in it.references.iter().enumerate() {
            let parent = &schema.tables[reference.parent].name;
            let whose = if classes.classes[reference.parent].is_member() {
                "which is not a row of the tenant in the backup"
            } else {
                "which the database no longer has"
            };
            let what = format!("refer by {} to a row of {parent} {whose}", reference.columns.join(", "));
            found.extend(conflict(place, &name, &what, &statements.dangling(*table, number)).await?);
        }
    }
    for (child, table) in schema.tables.iter().enumerate() {
        for (number, reference) in table.references.iter().enumerate() {
            if !classes.classes[reference.parent].is_member() {
                continue;
            }
            let parent = &schema.tables[reference.parent].name;
            let what = format!("are not the tenant's and refer to a row of {parent} that would be deleted");
            let query = statements.clinging(child, number);
            found.extend(conflict(place, &table.name.to_string(), &what, &query).await?);
        }
    }
    for line in &mut report.tables {
        line.conflicts = found.iter().filter(|it| it.table == line.name).map(|it| it.rows).sum();
    }
    report.conflicts = found;
    Ok(())
}

/// Whether a unique key is the one that rows are told apart by.
fn is_key(statements: &Statements<'_>, place: usize, number: usize) -> bool {
    let table = &statements.schema.tables[place];
    let names = table.key.iter().map(|name| statements.dialect.ident(name));
    let plain = table.key.iter().cloned();
    let expressions = &table.unique[number].expressions;
    table.unique[number].predicate.is_none()
        && (names.eq(expressions.iter().cloned()) || plain.eq(expressions.iter().cloned()))
}

/// Why it cannot be asked who has a value of a unique key.
fn cannot_ask(statements: &Statements<'_>, place: usize, number: usize) -> Option<&'static str> {
    let table = &statements.schema.tables[place];
    let unique = &table.unique[number];
    let text = [unique.expressions.join(" "), unique.predicate.clone().unwrap_or_default()].join(" ");
    // The backup's rows do not have them.
    if table.columns.iter().any(|column| column.generated && text.contains(&column.name)) {
        return Some("it is made of generated columns");
    }
    table.key.is_empty().then_some("the table has no key")
}

async fn conflict(place: &mut Place, table: &str, what: &str, query: &str) -> Result<Option<TenantConflict>> {
    let action = format!("looking for rows of {table} that stand against it");
    let rows = place.rows(&action, &first(query, NAMED), &["which", "other", "many"]).await?;
    let Some(many) = rows.first().and_then(|row| row[2].as_ref()?.parse().ok()) else { return Ok(None) };
    let text = |row: &Vec<Option<String>>| {
        let which = row[0].clone().unwrap_or_default();
        match &row[1] {
            Some(other) => format!("{which} ({other})"),
            None => which,
        }
    };
    Ok(Some(TenantConflict {
        table: table.to_owned(),
        what: what.to_owned(),
        rows: many,
        keys: rows.iter().map(text).collect(),
    }))
}
