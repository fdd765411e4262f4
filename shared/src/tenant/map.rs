//! The map file: what each table is to a tenant. Written once by `nightvault tenants plan`, edited and checked in by a person.
//!
//! JSON, since the file must be read back by other programs and by people, and the crate reads it anyway. Unknown words
//! are refused, so that a slip of the pen is no other class. A file that is there is only ever added to: an entry that a
//! person wrote stays as it is, that of a table which is gone too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::schema::Schema;
use super::suggest::{Suggestion, suggest};
use crate::{Error, Result};

/// The version that this code writes and reads.
pub(crate) const VERSION: u32 = 1;

/// The contents of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Map {
    /// Version of the file's format.
    pub(crate) version: u32,
    /// The column that names the tenant.
    pub(crate) tenant_column: String,
    /// Every table of the database.
    pub(crate) tables: BTreeMap<String, Entry>,
}

/// What one table is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Its class.
    pub(crate) class: Word,
    /// For `tenant`: the column, where it is not the common one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<String>,
    /// For `by path`: a row is the tenant's when any of these leads to a row of the tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) through: Vec<Through>,
    /// For `excluded`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// MySQL and MariaDB, where triggers cannot be held back: `fire` says that they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) triggers: Option<Fire>,
    /// What a person should know; read by nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

/// The classes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Word {
    /// Has the tenant column.
    #[serde(rename = "tenant")]
    Tenant,
    /// Belongs to a row that is the tenant's.
    #[serde(rename = "by path")]
    ByPath,
    /// Everybody's; never touched.
    #[serde(rename = "shared")]
    Shared,
    /// Left as it is, for a reason.
    #[serde(rename = "excluded")]
    Excluded,
    /// Nobody has decided yet.
    #[default]
    #[serde(rename = "unclassed")]
    Unclassed,
}

impl Word {
    /// The word itself.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Word::Tenant => "tenant",
            Word::ByPath => "by path",
            Word::Shared => "shared",
            Word::Excluded => "excluded",
            Word::Unclassed => "unclassed",
        }
    }
}

/// What triggers may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fire {
    /// They run.
    Fire,
}

/// A way from a row to its owner. A foreign key, or a reference that only the application knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Through {
    /// Columns of this table.
    pub(crate) columns: Vec<String>,
    /// The table that they lead to.
    pub(crate) table: String,
    /// Its columns, in the same order.
    pub(crate) references: Vec<String>,
    /// Only for rows with these values, for references whose table another column names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) when: BTreeMap<String, String>,
}

impl Map {
    /// Reads the text of a map file.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |cause: serde_json::Error| {
            Error::configuration("the map file cannot be read")
                .hint("Correct the place that is named; `nightvault tenants plan` shows what a whole file looks like.")
                .because(cause)
        };
        let map: Self = serde_json::from_str(text).map_err(wrong)?;
        if map.version != VERSION {
            return Err(Error::configuration(format!(
                "the map file has version {}; this program reads version {VERSION}",
                map.version
            )));
        }
        Ok(map)
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        Ok(text.map_err(|cause| Error::bug("the map cannot be written as JSON").because(cause))? + "\n")
    }

    /// A map with an entry for every table: those that are there as they are, new ones as the schema suggests.
    pub(crate) fn merged(there: Option<Self>, schema: &Schema, column: &str) -> Result<Self> {
        let mut map = there.unwrap_or_else(|| Self {
            version: VERSION,
            tenant_column: column.to_owned(),
            tables: BTreeMap::new(),
        });
        if map.tenant_column != column {
            return Err(Error::configuration(format!(
                "the map file is for the column {:?}, not for {column:?}",
                map.tenant_column
            ))
            .hint("Name the same column, or write another file."));
        }
        for (table, suggestion) in schema.tables.iter().zip(suggest(schema, column)) {
            map.tables.entry(table.name.to_string()).or_insert_with(|| entry(schema, column, suggestion));
        }
        Ok(map)
    }
}

fn entry(schema: &Schema, column: &str, suggestion: Suggestion) -> Entry {
    let through = |place: usize, references: &[usize]| -> Vec<Through> {
        references
            .iter()
            .map(|number| {
                let reference = &schema.tables[place].references[*number];
                Through {
                    columns: reference.columns.clone(),
                    table: schema.tables[reference.parent].name.to_string(),
                    references: reference.parent_columns.clone(),
                    when: BTreeMap::new(),
                }
            })
            .collect()
    };
    match suggestion {
        Suggestion::Tenant { column: own } => {
            Entry { class: Word::Tenant, column: (own != column).then_some(own), ..Entry::default() }
        }
        Suggestion::ByPath { table, references } => {
            Entry { class: Word::ByPath, through: through(table, &references), ..Entry::default() }
        }
        Suggestion::Perhaps { table, references } => Entry {
            through: through(table, &references),
            note: Some(
                "reached only through columns that may be NULL: \"by path\" if its rows belong to a tenant, \"shared\" if \
                 they are everybody's (then delete \"through\")"
                    .to_owned(),
            ),
            ..Entry::default()
        },
        Suggestion::Nothing => Entry {
            note: Some("nothing leads to a tenant: \"shared\", or \"excluded\" with a \"reason\"".to_owned()),
            ..Entry::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::schema::samples::{a_table, the_clinic};

    #[test]
    fn a_map_is_written_and_read_back() {
        let map = Map::merged(None, &the_clinic(), "tenant_id").unwrap();
        assert_eq!(Map::parse(&map.text().unwrap()).unwrap(), map);
        assert_eq!(map.tables["tenants"].column.as_deref(), Some("id"));
        assert_eq!(map.tables["users"], Entry { class: Word::Tenant, ..Entry::default() });
        assert_eq!(map.tables["countries"].class, Word::Unclassed);
        assert_eq!(map.tables["notes"].through[0].table, "visits");
    }

    #[test]
    fn what_a_person_wrote_stays_and_new_tables_are_added() {
        let mut schema = the_clinic();
        let mut map = Map::merged(None, &schema, "tenant_id").unwrap();
        let written = Entry { class: Word::Excluded, reason: Some("a log".into()), ..Entry::default() };
        map.tables.insert("users".into(), written.clone());
        map.tables.insert("gone".into(), written.clone());
        schema.tables.push(a_table("zebras", &["id", "tenant_id"]));
        let merged = Map::merged(Some(map), &schema, "tenant_id").unwrap();
        assert_eq!(merged.tables["users"], written);
        assert_eq!(merged.tables["gone"], written);
        assert_eq!(merged.tables["zebras"].class, Word::Tenant);
        assert!(Map::merged(Some(merged), &schema, "clinic_id").is_err());
    }

    #[test]
    fn slips_of_the_pen_are_refused() {
        let map = |table: &str| format!(r#"{{"version":1,"tenant_column":"t","tables":{{"a":{table}}}}}"#);
        assert!(Map::parse(&map(r#"{"class":"shared"}"#)).is_ok());
        for wrong in [r#"{"class":"Shared"}"#, r#"{"class":"shared","raeson":"x"}"#, r#"{}"#, r#"{"class":"by_path"}"#]
        {
            assert!(Map::parse(&map(wrong)).is_err(), "{wrong}");
        }
        assert!(Map::parse(r#"{"version":2,"tenant_column":"t","tables":{}}"#).unwrap_err().to_string().contains("2"));
    }
}
