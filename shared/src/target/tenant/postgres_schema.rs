//! The tables of a PostgreSQL database as its catalogue has them.

use std::collections::HashMap;

use crate::source::postgres::session::{Record, Session};
use crate::tenant::schema::{Column, Counter, Name, Reference, Schema, Table, Unique};
use crate::{Error, Result};

/// Tables that people made, the roots of partitions alone.
const TABLES: &str = "
    SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS partitioned,
        EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid OR (i.inhparent = c.oid AND c.relkind = 'r')) AS inherits,
        EXISTS (SELECT FROM pg_inherits i JOIN pg_class f ON f.oid = i.inhrelid WHERE i.inhparent = c.oid AND f.relkind = 'f')
            AS is_foreign,
        (SELECT json_agg(tgname ORDER BY tgname)::text FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT tgisinternal
            AND tgenabled IN ('A', 'R')) AS triggers,
        EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_enabled IN ('A', 'R')) AS rules
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
        AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

const PARTITIONS: &str = "
    SELECT pg_partition_root(c.oid)::oid::int8 AS oid, n.nspname AS schema, c.relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relispartition AND c.relkind = 'r'
    ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

const COLUMNS: &str = "
    SELECT a.attrelid::int8 AS oid, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
        a.attnotnull AS not_null, a.attgenerated <> '' AS is_generated,
        t.typname IN ('int2', 'int4', 'int8', 'uuid', 'text', 'varchar')
            AND coalesce((SELECT o.collisdeterministic FROM pg_collation o WHERE o.oid = a.attcollation), true) AS exact
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
    WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum";

const UNIQUE: &str = "
    SELECT i.indrelid::int8 AS oid, c.relname AS name, i.indisprimary AS is_primary, pg_get_expr(i.indpred, i.indrelid) AS predicate,
        coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS nulls_equal,
        (SELECT json_agg(pg_get_indexdef(i.indexrelid, k, false) ORDER BY k)::text FROM generate_series(1, i.indnkeyatts) k)
            AS expressions,
        (SELECT json_agg(coalesce(a.attname, '') ORDER BY k)::text FROM generate_series(1, i.indnkeyatts) k
            LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k - 1] AND a.attnum <> 0) AS columns
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indisunique AND i.indisvalid ORDER BY i.indrelid, i.indisprimary DESC, c.relname COLLATE \"C\"";

/// The copies that partitions have of their root's keys left out; a key to a partition counts as one to its root.
const REFERENCES: &str = "
    SELECT c.conrelid::int8 AS oid, c.conname AS name, coalesce(pg_partition_root(c.confrelid)::oid, c.confrelid)::int8 AS parent,
        (SELECT json_agg(a.attname ORDER BY k.n)::text FROM unnest(c.conkey) WITH ORDINALITY k(num, n)
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num) AS columns,
        (SELECT json_agg(a.attname ORDER BY k.n)::text FROM unnest(c.confkey) WITH ORDINALITY k(num, n)
            JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num) AS parent_columns
    FROM pg_constraint c WHERE c.contype = 'f' AND c.conparentid = 0 ORDER BY c.conrelid, c.conname COLLATE \"C\"";

/// Sequences that belong to a column, and those that its default calls.
const COUNTERS: &str = "
    SELECT DISTINCT d.refobjid::int8 AS oid, a.attname AS name, n.nspname AS schema, s.relname AS sequence
    FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace n ON n.oid = s.relnamespace
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    UNION SELECT ad.adrelid::int8, a.attname, n.nspname, s.relname
    FROM pg_depend d JOIN pg_attrdef ad ON ad.oid = d.objid JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
    JOIN pg_namespace n ON n.oid = s.relnamespace JOIN pg_attribute a ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum
    WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
    ORDER BY 1, 2, 3, 4";

/// Reads them.
pub(super) async fn read(session: &mut Session) -> Result<Schema> {
    let mut places = HashMap::new();
    let mut schema = Schema::default();
    for row in session.rows("reading the tables", TABLES).await? {
        places.insert(row.oid("oid")?, schema.tables.len());
        schema.tables.push(table(&row)?);
    }
    for row in session.rows("reading the partitions", PARTITIONS).await? {
        if let Some(place) = places.get(&row.oid("oid")?) {
            schema.tables[*place].parts.push(Name::new(Some(&row.text("schema")?), &row.text("name")?));
        }
    }
    for row in session.rows("reading the columns", COLUMNS).await? {
        let Some(place) = places.get(&row.oid("oid")?) else { continue };
        schema.tables[*place].columns.push(Column {
            name: row.text("name")?,
            kind: row.text("type")?,
            not_null: row.flag("not_null")?,
            generated: row.flag("is_generated")?,
            exact: row.flag("exact")?,
        });
    }
    for row in session.rows("reading the unique keys", UNIQUE).await? {
        let Some(place) = places.get(&row.oid("oid")?) else { continue };
        let table = &mut schema.tables[*place];
        let (columns, predicate) = (row.list("columns")?, row.optional("predicate")?);
        if table.key.is_empty() && predicate.is_none() && table.never_null(&columns) {
            table.key = columns;
        }
        table.unique.push(Unique {
            name: row.text("name")?,
            expressions: row.list("expressions")?,
            predicate,
            nulls_equal: row.flag("nulls_equal")?,
        });
    }
    for row in session.rows("reading the foreign keys", REFERENCES).await? {
        let (Some(place), Some(parent)) = (places.get(&row.oid("oid")?), places.get(&row.oid("parent")?)) else {
            continue;
        };
        schema.tables[*place].references.push(Reference {
            name: row.text("name")?,
            columns: row.list("columns")?,
            parent: *parent,
            parent_columns: row.list("parent_columns")?,
        });
    }
    for row in session.rows("reading the sequences", COUNTERS).await? {
        let Some(place) = places.get(&row.oid("oid")?) else { continue };
        schema.tables[*place].counters.push(Counter {
            column: row.text("name")?,
            sequence: Name::new(Some(&row.text("schema")?), &row.text("sequence")?),
        });
    }
    match schema.tables.is_empty() {
        true => Err(Error::configuration("the database has no tables").hint("Name the live database with --to.")),
        false => Ok(schema),
    }
}

fn table(row: &Record) -> Result<Table> {
    let name = Name::new(Some(&row.text("schema")?), &row.text("name")?);
    let mut troubles = Vec::new();
    for (flag, trouble) in [
        ("inherits", "inherits from another table, or another one from it"),
        ("is_foreign", "has a partition on another server"),
        ("rules", "has a rule that is always on"),
    ] {
        if row.flag(flag)? {
            troubles.push(trouble.to_owned());
        }
    }
    Ok(Table {
        parts: if row.flag("partitioned")? { Vec::new() } else { vec![name.clone()] },
        name,
        columns: Vec::new(),
        key: Vec::new(),
        unique: Vec::new(),
        references: Vec::new(),
        triggers: row.list("triggers")?,
        troubles,
        counters: Vec::new(),
    })
}
