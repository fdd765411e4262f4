//! Rows that refer to rows which are not there. A dump is loaded with foreign keys unchecked, as it must be where tables
//! refer to each other in circles, and the server never looks again: what was an orphan in the source stays one unseen.

use std::collections::BTreeMap;

use crate::Result;
use crate::source::mysql::quoting::identifier;
use crate::source::mysql::session::{Session, failed};

/// One foreign key: its table, the table that it refers to, and the pairs of columns.
#[derive(Default)]
pub(super) struct Key {
    table: String,
    parent: String,
    columns: Vec<(String, String)>,
}

/// A sentence, where the foreign key has rows that refer to nothing, or cannot be looked at.
pub(super) async fn look(session: &mut Session, name: &str, key: &Key) -> Result<Option<String>> {
    let present = key.columns.iter().map(|(column, _)| format!("c.{column} IS NOT NULL"));
    let equal = key.columns.iter().map(|(column, parent)| format!("p.{parent} = c.{column}"));
    let query = format!(
        "SELECT COUNT(*) FROM {} c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})",
        key.table,
        present.collect::<Vec<_>>().join(" AND "),
        key.parent,
        equal.collect::<Vec<_>>().join(" AND ")
    );
    // The parent may be in another database, which need not be there.
    let rows = match session.try_all(&query).await {
        Ok(rows) => rows,
        Err(sqlx::Error::Database(error)) => {
            return Ok(Some(format!("the foreign key {name} refers to {}, which cannot be read: {error}", key.parent)));
        }
        Err(error) => return Err(failed(error, format!("the rows of foreign key {name} were not looked at"))),
    };
    let orphans = rows.first().map_or(Ok(0), |row| row.number(0))?;
    Ok((orphans > 0).then(|| {
        format!(
            "{orphans} rows of {} refer to rows of {} that are not there (foreign key {name}); the backup holds them so",
            key.table, key.parent
        )
    }))
}

/// The foreign keys of the database, of some of its tables alone where `of` names them.
pub(super) async fn keys(session: &mut Session, of: Option<&[String]>) -> Result<BTreeMap<String, Key>> {
    let schema = session.database_literal();
    let rows = session
        .all(&format!(
            "SELECT CONSTRAINT_NAME, TABLE_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, \
             REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE WHERE BINARY TABLE_SCHEMA = {schema} \
             AND REFERENCED_TABLE_NAME IS NOT NULL ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION"
        ))
        .await?;
    let mut keys: BTreeMap<String, Key> = BTreeMap::new();
    for row in rows {
        let table = row.text(1)?;
        if of.is_some_and(|of| !of.contains(&table)) {
            continue;
        }
        let table = identifier(&table);
        let key = keys.entry(format!("{} of {table}", identifier(&row.text(0)?))).or_default();
        key.columns.push((identifier(&row.text(2)?), identifier(&row.text(5)?)));
        key.parent = format!("{}.{}", identifier(&row.text(3)?), identifier(&row.text(4)?));
        key.table = table;
    }
    Ok(keys)
}
