//! The columns of tables, views and foreign tables, read for all relations at once.

use std::collections::HashMap;

use super::inventory::{FIRST_USER_OID, Key, PG_ATTRDEF, PG_CLASS, PG_CONSTRAINT, PG_TYPE};
use super::plan::{ItemId, Plan, Rank, Section};
use super::quote::{ident, literal, qualified};
use super::session::Session;
use crate::Result;

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    relation: u32,
    pub(super) name: String,
    pub(super) type_name: String,
    /// Where it is not the type's own.
    collation: Option<String>,
    not_null: bool,
    /// The constraint behind NOT NULL: since 18 it has a name.
    rule: Option<Rule>,
    preset: Option<(Key, String)>,
    /// The preset is a generation expression.
    pub(super) generated: bool,
    /// A generated column that is computed when it is read (since 18).
    computed: bool,
    /// Defined here and not only by a parent.
    pub(super) local: bool,
    /// Storage, where it is not the type's own.
    storage: Option<&'static str>,
    compression: Option<&'static str>,
    statistics: Option<i64>,
    options: Vec<String>,
    /// A type of which a value may be compressed or stored out of line.
    pub(super) variable: bool,
    /// How its size in dump text is measured.
    pub(super) base_type: String,
}

/// A NOT NULL constraint.
#[derive(Debug)]
struct Rule {
    key: Key,
    name: String,
    local: bool,
    valid: bool,
    /// NO INHERIT.
    own: bool,
}

impl Rule {
    fn suffix(&self) -> &'static str {
        if self.own { " NO INHERIT" } else { "" }
    }
}

/// The columns of every relation, by its object id.
pub(super) type Columns = HashMap<u32, Vec<Column>>;

/// Reads them.
pub(super) async fn read(session: &mut Session) -> Result<Columns> {
    let compression = if session.major >= 14 { "a.attcompression::text" } else { "''" };
    // `pg_attver` is bookkeeping that some builds of the server keep among the options of every column; it is no option
    // that anybody set, other builds do not know it, and pg_dump leaves it out as well.
    let query = format!(
        "SELECT a.attrelid::int8 AS relation, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, \
         a.attnotnull AS not_null, ad.oid::int8 AS preset_oid, pg_get_expr(ad.adbin, ad.adrelid) AS preset, \
         a.attgenerated::text AS generated, a.attislocal AS local, \
         CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END AS storage, {compression} AS compression, \
         nullif(a.attstattarget, -1) AS statistics, (SELECT json_agg(o)::text FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\\_attver=%') AS options, t.typlen < 0 AS variable, \
         t.typname AS base, nn.oid::int8 AS rule_oid, nn.conname AS rule_name, nn.conislocal AS rule_local, \
         nn.convalidated AS rule_valid, nn.connoinherit AS rule_own, cn.nspname AS collation_schema, co.collname AS collation \
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum \
         LEFT JOIN pg_constraint nn ON nn.conrelid = a.attrelid AND nn.contype = 'n' AND nn.conkey = ARRAY[a.attnum] \
         LEFT JOIN pg_collation co ON co.oid = a.attcollation AND a.attcollation <> t.typcollation \
         LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid >= {FIRST_USER_OID} AND a.attnum > 0 AND NOT a.attisdropped \
         ORDER BY a.attrelid, a.attnum"
    );
    let mut columns = Columns::new();
    for row in session.rows("reading the columns", &query).await? {
        let collation = match (row.optional("collation_schema")?, row.optional("collation")?) {
            (Some(schema), Some(name)) => Some(qualified(&schema, &name)),
            _ => None,
        };
        let preset = match row.optional("preset")? {
            Some(text) => Some(((PG_ATTRDEF, row.oid("preset_oid")?), text)),
            None => None,
        };
        columns.entry(row.oid("relation")?).or_default().push(Column {
            relation: row.oid("relation")?,
            name: row.text("name")?,
            type_name: row.text("type")?,
            collation,
            not_null: row.flag("not_null")?,
            preset,
            rule: match row.optional("rule_name")? {
                Some(name) => Some(Rule {
                    key: (PG_CONSTRAINT, row.oid("rule_oid")?),
                    name,
                    local: row.flag("rule_local")?,
                    valid: row.flag("rule_valid")?,
                    own: row.flag("rule_own")?,
                }),
                None => None,
            },
            generated: !row.text("generated")?.is_empty(),
            computed: row.text("generated")? == "v",
            local: row.flag("local")?,
            storage: row.optional("storage")?.and_then(|letter| match letter.as_str() {
                "p" => Some("PLAIN"),
                "e" => Some("EXTERNAL"),
                "m" => Some("MAIN"),
                "x" => Some("EXTENDED"),
                _ => None,
            }),
            compression: match row.text("compression")?.as_str() {
                "p" => Some("pglz"),
                "l" => Some("lz4"),
                _ => None,
            },
            statistics: match row.optional("statistics")? {
                Some(_) => Some(row.int("statistics")?),
                None => None,
            },
            options: row.list("options")?,
            variable: row.flag("variable")?,
            base_type: row.text("base")?,
        });
    }
    Ok(columns)
}

impl Column {
    /// The column as it stands in CREATE TABLE, with its default where that can stand there.
    pub(super) fn definition(&self, plan: &Plan, typed: bool) -> Option<String> {
        let mut text = ident(&self.name);
        let bare = text.len();
        if !typed {
            text.push_str(&format!(" {}", self.type_name));
            if let Some(collation) = &self.collation {
                text.push_str(&format!(" COLLATE {collation}"));
            }
        }
        match &self.preset {
            Some((_, expression)) if self.generated => {
                let kind = if self.computed { "VIRTUAL" } else { "STORED" };
                text.push_str(&format!(" GENERATED ALWAYS AS ({expression}) {kind}"));
            }
            Some((_, expression)) if self.inline(plan) => text.push_str(&format!(" DEFAULT {expression}")),
            _ => {}
        }
        match &self.rule {
            Some(rule) if rule.valid => {
                text.push_str(&format!(" CONSTRAINT {} NOT NULL{}", ident(&rule.name), rule.suffix()));
            }
            // One that is not validated is added behind the rows.
            Some(_) => {}
            None if self.not_null => text.push_str(" NOT NULL"),
            None => {}
        }
        (!typed || text.len() > bare).then_some(text)
    }

    /// Whether the default can stand in CREATE TABLE: it may use nothing that is made later, such as its own sequence.
    fn inline(&self, plan: &Plan) -> bool {
        self.preset.as_ref().is_none_or(|(key, _)| {
            // Its own table is always among what it depends on; types are made before any table.
            !plan.uses(*key, |on| on.0 != PG_TYPE && on != (PG_CLASS, self.relation))
        })
    }

    /// A stand-in for the column in a view that is defined later.
    pub(super) fn stand_in(&self) -> String {
        let collation = self.collation.as_ref().map_or(String::new(), |name| format!(" COLLATE {name}"));
        format!("NULL::{}{collation} AS {}", self.type_name, ident(&self.name))
    }

    /// What CREATE cannot say of a column of `relation` (`TABLE ONLY x`): `printed` tells whether the column stood in it,
    /// `inherits` whether a parent's default must be taken off.
    pub(super) fn details(&self, relation: &str, printed: bool, inherits: bool) -> String {
        let alter = format!("ALTER {relation} ALTER COLUMN {}", ident(&self.name));
        let mut sql = String::new();
        if !printed && self.not_null && self.rule.is_none() {
            sql.push_str(&format!("{alter} SET NOT NULL;\n"));
        }
        if !printed && inherits && self.preset.is_none() {
            sql.push_str(&format!("{alter} DROP DEFAULT;\n"));
        }
        if let Some(storage) = self.storage {
            sql.push_str(&format!("{alter} SET STORAGE {storage};\n"));
        }
        if let Some(compression) = self.compression {
            sql.push_str(&format!("{alter} SET COMPRESSION {compression};\n"));
        }
        if let Some(statistics) = self.statistics {
            sql.push_str(&format!("{alter} SET STATISTICS {statistics};\n"));
        }
        if !self.options.is_empty() {
            sql.push_str(&format!("{alter} SET ({});\n", options(&self.options)));
        }
        sql
    }

    /// Claims the NOT NULL constraint and adds an item for it where it does not stand in CREATE TABLE.
    pub(super) fn add_rule(&self, plan: &mut Plan, table: &str, item: ItemId, printed: bool) -> Result<()> {
        let Some(rule) = &self.rule else { return Ok(()) };
        // What is not local comes from the parent.
        if (printed && rule.valid) || (!printed && !rule.local) {
            return plan.part(rule.key, item);
        }
        let (section, state) = if rule.valid { (Section::PreData, "") } else { (Section::PostData, " NOT VALID") };
        let sql = format!(
            "ALTER TABLE {}{table} ADD CONSTRAINT {} NOT NULL {}{}{state};\n",
            if rule.valid { "ONLY " } else { "" },
            ident(&rule.name),
            ident(&self.name),
            rule.suffix()
        );
        let added = plan.create(rule.key, "not-null constraint", (section, Rank::Check), sql)?;
        plan.after(added, item);
        Ok(())
    }

    /// Claims the default and adds an item for it where it does not stand in CREATE TABLE.
    pub(super) fn add_preset(&self, plan: &mut Plan, table: &str, item: ItemId, printed: bool) -> Result<()> {
        let Some((key, expression)) = &self.preset else { return Ok(()) };
        // An inherited generation expression comes with the column.
        if self.generated || (printed && self.inline(plan)) {
            return plan.part(*key, item);
        }
        if !plan.has(key.0, key.1) {
            return Ok(());
        }
        let sql = format!("ALTER TABLE ONLY {table} ALTER COLUMN {} SET DEFAULT {expression};\n", ident(&self.name));
        let preset = plan.add(Section::PreData, Rank::Default, plan.identity(key.0, key.1), sql);
        plan.part(*key, preset)?;
        plan.after(preset, item);
        Ok(())
    }
}

/// `name=value` options of the catalogue as they are written in SQL.
pub(super) fn options(options: &[String]) -> String {
    let parts: Vec<String> = options
        .iter()
        .map(|option| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            // `toast.` is a namespace, not a part of the name.
            let name = match name.split_once('.') {
                Some((space, name)) => format!("{}.{}", ident(space), ident(name)),
                None => ident(name),
            };
            format!("{name} = {}", literal(value))
        })
        .collect();
    parts.join(", ")
}
