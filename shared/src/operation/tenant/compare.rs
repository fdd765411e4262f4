//! Whether the backup's tables have the columns that the database's have now.
//!
//! A column that came or went since, or has another type, is refused by name: what the tenant's rows would have in it
//! cannot be known from the backup, and a value that is read by another type may come out as another value.

use crate::target::tenant::Backup;
use crate::tenant::classify::Classes;
use crate::tenant::definition::{definitions as read, has_type};
use crate::tenant::dialect::Dialect;
use crate::tenant::schema::Schema;
use crate::{Error, Result};

pub(super) async fn definitions(
    schema: &Schema,
    classes: &Classes,
    dialect: Dialect,
    backup: &Backup<'_>,
) -> Result<()> {
    let manifest = backup.manifest;
    let head = manifest.tables.iter().map(|table| table.offset).min().unwrap_or(manifest.raw_bytes);
    let mut reader = backup.archive.range(&manifest.entry, 0..head)?;
    let mut text = Vec::new();
    while let Some(piece) = reader.next().await? {
        text.extend_from_slice(&piece);
    }
    // Comments of objects may be in other character sets; names and types are not.
    let text = String::from_utf8_lossy(&text);
    let quote = if dialect == Dialect::Postgres { '"' } else { '`' };
    let found = read(&text, quote);

    let mut wrong: Vec<String> = Vec::new();
    for place in &classes.order {
        let table = &schema.tables[*place];
        let name = &table.name;
        let Some(columns) = found.get(name) else {
            wrong.push(format!("{name} is not in the backup as a table with columns of its own"));
            continue;
        };
        for column in table.stored() {
            match columns.iter().find(|(name, _)| *name == column.name) {
                None => wrong.push(format!("{name}: the column {} is not in the backup", column.name)),
                Some((_, definition)) if !has_type(definition, &column.kind) => wrong.push(format!(
                    "{name}: the column {} is {} now, and was another type in the backup",
                    column.name, column.kind
                )),
                Some(_) => {}
            }
        }
        for (column, definition) in columns {
            let generated = definition.contains(" GENERATED ALWAYS AS (");
            let known = table.column(column).is_some_and(|column| column.generated == generated);
            if !known {
                wrong.push(format!(
                    "{name}: the backup has the column {column}, which the database has no more as it was"
                ));
            }
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Error::configuration(format!(
            "the tables have changed since the backup:\n  {}",
            wrong.join("\n  ")
        ))
        .hint(
            "Restore the whole backup into a new database, run the migrations that came since there, back that up, and \
             take the tenant from it.",
        )),
    }
}
