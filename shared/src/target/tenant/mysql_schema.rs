//! The tables of a MySQL or MariaDB database as its catalogue has them.

use std::collections::HashMap;

use crate::source::mysql::quoting::identifier;
use crate::source::mysql::session::{Flavor, Session};
use crate::tenant::quoted::quoted;
use crate::tenant::schema::{Column, Counter, Name, Reference, Schema, Table, Unique};
use crate::{Error, Result};

/// Reads them.
pub(super) async fn read(session: &mut Session) -> Result<Schema> {
    let mut schema = Schema::default();
    let mut places = HashMap::new();
    let here = session.here("TABLE_SCHEMA");
    let sql = format!(
        "SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES \
         WHERE {here} AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY BINARY TABLE_NAME"
    );
    for row in session.all(&sql).await? {
        let (name, engine) = (row.text(0)?, row.optional(2)?.unwrap_or_default());
        let mut troubles = Vec::new();
        if !engine.eq_ignore_ascii_case("InnoDB") {
            troubles.push(format!("is {engine}, and InnoDB alone knows transactions"));
        }
        if row.text(1)? == "SYSTEM VERSIONED" {
            troubles.push("is system-versioned: its history would not be what it was".to_owned());
        }
        places.insert(name.clone(), schema.tables.len());
        let name = Name::new(None, &name);
        schema.tables.push(Table {
            parts: vec![name.clone()],
            name,
            columns: Vec::new(),
            key: Vec::new(),
            unique: Vec::new(),
            references: Vec::new(),
            triggers: Vec::new(),
            troubles,
            counters: Vec::new(),
        });
    }
    columns(session, &here, &places, &mut schema).await?;
    unique(session, &here, &places, &mut schema).await?;
    references(session, &places, &mut schema).await?;
    // Rows are deleted and inserted, never updated.
    let sql = format!(
        "SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS WHERE {} \
         AND EVENT_MANIPULATION IN ('INSERT', 'DELETE') ORDER BY TRIGGER_NAME",
        session.here("EVENT_OBJECT_SCHEMA")
    );
    for row in session.all(&sql).await? {
        if let Some(place) = places.get(&row.text(0)?) {
            schema.tables[*place].triggers.push(row.text(1)?);
        }
    }
    match schema.tables.is_empty() {
        true => Err(Error::configuration("the database has no tables").hint("Name the live database with --to.")),
        false => Ok(schema),
    }
}

type Places = HashMap<String, usize>;

/// A part of a key.
enum Part {
    /// A column.
    Column(String),
    /// So many of a column's first characters.
    Beginning(String, String),
    /// SQL.
    Expression(String),
}

/// MySQL escapes the quotes and backslashes of an expression that it shows.
fn unescaped(text: &str) -> String {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    plain
}

async fn columns(session: &mut Session, here: &str, places: &Places, schema: &mut Schema) -> Result<()> {
    let sql = format!(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COALESCE(GENERATION_EXPRESSION, '') <> '', DATA_TYPE, \
         COLUMN_DEFAULT FROM information_schema.COLUMNS WHERE {here} ORDER BY TABLE_NAME, ORDINAL_POSITION"
    );
    for row in session.all(&sql).await? {
        let Some(place) = places.get(&row.text(0)?) else { continue };
        if session.flavor == Flavor::MariaDb
            && let Some(default) = row.optional(6)?
            && let Some(sequence) = sequence(&default, &session.database)?
        {
            schema.tables[*place].counters.push(Counter { column: row.text(1)?, sequence });
        }
        let exact = ["tinyint", "smallint", "mediumint", "int", "bigint"].contains(&row.text(5)?.as_str());
        schema.tables[*place].columns.push(Column {
            name: row.text(1)?,
            // ZEROFILL prints numbers in another way than they are compared.
            exact: exact && !row.text(2)?.contains("zerofill"),
            kind: row.text(2)?,
            not_null: row.text(3)? == "NO",
            generated: row.number(4)? == 1,
        });
    }
    Ok(())
}

/// The sequence from which a default of MariaDB takes values, shown as ``nextval(`database`.`name`)``; text stands in quotes.
fn sequence(default: &str, here: &str) -> Result<Option<Name>> {
    let Some(names) = default.strip_prefix("nextval(") else { return Ok(None) };
    let Some((database, dot)) = quoted(names.as_bytes(), 0, b'`')? else { return Ok(None) };
    let Some((name, _)) = quoted(names.as_bytes(), dot + 1, b'`')? else { return Ok(None) };
    Ok(Some(Name::new(Some(database.as_str()).filter(|database| *database != here), &name)))
}

async fn unique(session: &mut Session, here: &str, places: &Places, schema: &mut Schema) -> Result<()> {
    let expression = if session.flavor == Flavor::MySql { "EXPRESSION" } else { "NULL" };
    let sql = format!(
        "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART, {expression} FROM information_schema.STATISTICS \
         WHERE {here} AND NON_UNIQUE = 0 ORDER BY TABLE_NAME, INDEX_NAME <> 'PRIMARY', BINARY INDEX_NAME, SEQ_IN_INDEX"
    );
    let mut keys: Vec<(usize, String, Vec<Part>)> = Vec::new();
    for row in session.all(&sql).await? {
        let Some(place) = places.get(&row.text(0)?) else { continue };
        let part = match (row.optional(2)?, row.optional(3)?) {
            (Some(column), Some(length)) => Part::Beginning(column, length),
            (Some(column), None) => Part::Column(column),
            (None, _) => Part::Expression(unescaped(&row.text(4)?)),
        };
        let index = row.text(1)?;
        match keys.last_mut() {
            Some((last, name, parts)) if last == place && *name == index => parts.push(part),
            _ => keys.push((*place, index, vec![part])),
        }
    }
    for (place, name, parts) in keys {
        let table = &mut schema.tables[place];
        let whole = |part: &Part| match part {
            Part::Column(column) => Some(column.clone()),
            _ => None,
        };
        let names: Option<Vec<String>> = parts.iter().map(whole).collect();
        if let Some(names) = names.filter(|names| table.key.is_empty() && table.never_null(names)) {
            table.key = names;
        }
        let expression = |part: Part| match part {
            Part::Beginning(name, length) => format!("LEFT({}, {length})", identifier(&name)),
            Part::Column(name) => identifier(&name),
            Part::Expression(sql) => format!("({sql})"),
        };
        let expressions = parts.into_iter().map(expression).collect();
        table.unique.push(Unique { name, expressions, predicate: None, nulls_equal: false });
    }
    Ok(())
}

async fn references(session: &mut Session, places: &Places, schema: &mut Schema) -> Result<()> {
    let sql = format!(
        "SELECT {0}, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, {1}, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME, TABLE_SCHEMA, \
         REFERENCED_TABLE_SCHEMA FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME IS NOT NULL AND ({0} OR {1}) \
         ORDER BY TABLE_SCHEMA, TABLE_NAME, BINARY CONSTRAINT_NAME, ORDINAL_POSITION",
        format_args!("BINARY TABLE_SCHEMA = {}", session.database_literal()),
        format_args!("BINARY REFERENCED_TABLE_SCHEMA = {}", session.database_literal()),
    );
    for row in session.all(&sql).await? {
        let (child, parent) = (row.text(1)?, row.text(5)?);
        let (child_here, parent_here) = (row.number(0)? == 1, row.number(4)? == 1);
        let trouble = |schema: &mut Schema, name: &str, what: String| {
            if let Some(place) = places.get(name)
                && !schema.tables[*place].troubles.contains(&what)
            {
                schema.tables[*place].troubles.push(what);
            }
        };
        if !parent_here {
            trouble(schema, &child, format!("refers to the database {}", row.text(8)?));
        } else if !child_here {
            trouble(schema, &parent, format!("is referred to from the database {}", row.text(7)?));
        } else if let (Some(place), Some(parent)) = (places.get(&child), places.get(&parent)) {
            let (name, column, parent_column) = (row.text(2)?, row.text(3)?, row.text(6)?);
            let references = &mut schema.tables[*place].references;
            match references.iter_mut().find(|reference| reference.name == name) {
                Some(reference) => {
                    reference.columns.push(column);
                    reference.parent_columns.push(parent_column);
                }
                None => references.push(Reference {
                    name,
                    columns: vec![column],
                    parent: *parent,
                    parent_columns: vec![parent_column],
                }),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_that_takes_values_from_a_sequence_names_it() {
        let named = |default: &str| sequence(default, "clinic").unwrap().map(|name| (name.schema, name.table));
        assert_eq!(named("nextval(`clinic`.`num``bers`)"), Some((None, "num`bers".to_owned())));
        assert_eq!(named("nextval(`other`.`s`)"), Some((Some("other".to_owned()), "s".to_owned())));
        for other in ["'nextval(`clinic`.`s`)'", "nextval(`clinic`", "0", "NULL", "current_timestamp()"] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
