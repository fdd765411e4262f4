//! Rows that refer to rows which are not there. A dump is loaded with foreign keys unchecked, as it must be where tables
//! refer to each other in circles, and the server never looks again: what was an orphan in the source stays one unseen.

use std::collections::BTreeMap;

use crate::Result;
use crate::source::mysql::quoting::identifier;
use crate::source::mysql::session::Session;

/// One foreign key: its table, the table that it refers to, and the pairs of columns.
#[derive(Default)]
struct Key {
    table: String,
    parent: String,
    columns: Vec<(String, String)>,
}

/// A sentence for each foreign key with rows that refer to nothing, or that cannot be looked at.
pub(super) async fn find(session: &mut Session) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (name, key) in keys(session).await? {
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
        let Ok(rows) = session.try_all(&query).await else {
            found.push(format!("the foreign key {name} refers to {}, which cannot be read", key.parent));
            continue;
        };
        let orphans = rows.first().map_or(Ok(0), |row| row.number(0))?;
        if orphans > 0 {
            found.push(format!(
                "{orphans} rows of {} refer to rows of {} that are not there (foreign key {name}); the backup holds them so",
                key.table, key.parent
            ));
        }
    }
    Ok(found)
}

async fn keys(session: &mut Session) -> Result<BTreeMap<String, Key>> {
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
        let table = identifier(&row.text(1)?);
        let key = keys.entry(format!("{} of {table}", identifier(&row.text(0)?))).or_default();
        key.columns.push((identifier(&row.text(2)?), identifier(&row.text(5)?)));
        key.parent = format!("{}.{}", identifier(&row.text(3)?), identifier(&row.text(4)?));
        key.table = table;
    }
    Ok(keys)
}
