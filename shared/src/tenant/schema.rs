//! What the restore of a tenant must know of a database's tables, the same for all engines.

use std::fmt;

/// A table's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    /// The schema, where the engine has such a thing.
    pub(crate) schema: Option<String>,
    /// The table, unquoted.
    pub(crate) table: String,
}

impl Name {
    /// A name of the two parts.
    pub(crate) fn new(schema: Option<&str>, table: &str) -> Self {
        Self { schema: schema.map(str::to_owned), table: table.to_owned() }
    }
}

/// As the map file has it: `schema.table`, or `table`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => f.write_str(&self.table),
        }
    }
}

/// The tables of a database, in the order of their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    /// The tables. References name them by their place here.
    pub(crate) tables: Vec<Table>,
}

/// A table; of a partitioned one the root.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: Name,
    pub(crate) columns: Vec<Column>,
    /// The columns that tell its rows apart and are never NULL: the primary key, or a unique key. Empty = it has none.
    pub(crate) key: Vec<String>,
    /// All unique keys, the primary one included.
    pub(crate) unique: Vec<Unique>,
    /// Its foreign keys.
    pub(crate) references: Vec<Reference>,
    /// Triggers that run whenever rows are written, and cannot be kept from it.
    pub(crate) triggers: Vec<String>,
    /// Why rows of it cannot be restored alone.
    pub(crate) troubles: Vec<String>,
    /// Counters that give values to its columns.
    pub(crate) counters: Vec<Counter>,
    /// The tables under whose names its rows stand in a dump: itself, or its partitions.
    pub(crate) parts: Vec<Name>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Its type as the server writes it, with its length.
    pub(crate) kind: String,
    pub(crate) not_null: bool,
    /// Computed by the server: it is in no dump and is never written.
    pub(crate) generated: bool,
    /// Whether two values are equal exactly when their texts are.
    pub(crate) exact: bool,
}

/// A unique key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unique {
    pub(crate) name: String,
    /// SQL over the table's own columns, one for each part of the key.
    pub(crate) expressions: Vec<String>,
    /// SQL over the table's own columns: which rows it holds for, where not for all.
    pub(crate) predicate: Option<String>,
    /// Whether two NULLs are the same.
    pub(crate) nulls_equal: bool,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    /// The table that it leads to, by its place in the schema.
    pub(crate) parent: usize,
    /// The parent's columns, in the order of `columns`.
    pub(crate) parent_columns: Vec<String>,
}

/// A sequence of PostgreSQL or MariaDB that a column takes its values from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) column: String,
    pub(crate) sequence: Name,
}

impl Schema {
    /// The place of a table by the name that the map file has.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.tables.iter().position(|table| table.name.to_string() == name)
    }
}

impl Table {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that a dump has and that are written.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.generated)
    }

    /// Their names.
    pub(crate) fn stored_names(&self) -> Vec<&str> {
        self.stored().map(|column| column.name.as_str()).collect()
    }

    /// Whether a reference over these columns leads from every row to a parent.
    pub(crate) fn never_null(&self, columns: &[String]) -> bool {
        columns.iter().all(|name| self.column(name).is_some_and(|column| column.not_null))
    }
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    /// A table whose columns are written as `name`, `name?` when it may be NULL; the first one is the key.
    pub(crate) fn a_table(name: &str, columns: &[&str]) -> Table {
        let columns: Vec<Column> = columns
            .iter()
            .map(|column| Column {
                name: column.trim_end_matches('?').to_owned(),
                kind: "integer".to_owned(),
                not_null: !column.ends_with('?'),
                generated: false,
                exact: true,
            })
            .collect();
        let key = vec![columns[0].name.clone()];
        Table {
            name: Name::new(None, name),
            unique: Vec::new(),
            references: Vec::new(),
            triggers: Vec::new(),
            troubles: Vec::new(),
            counters: Vec::new(),
            parts: vec![Name::new(None, name)],
            key,
            columns,
        }
    }

    /// A schema with references written as `child.column>parent.column`.
    pub(crate) fn a_schema(tables: Vec<Table>, references: &[&str]) -> Schema {
        let mut schema = Schema { tables };
        schema.tables.sort_by(|one, other| one.name.cmp(&other.name));
        for text in references {
            let (child, parent) = text.split_once('>').unwrap();
            let (table, column) = child.split_once('.').unwrap();
            let (parent, parent_column) = parent.split_once('.').unwrap();
            let (child, parent) = (schema.place(table).unwrap(), schema.place(parent).unwrap());
            schema.tables[child].references.push(Reference {
                name: (*text).to_owned(),
                columns: vec![column.to_owned()],
                parent,
                parent_columns: vec![parent_column.to_owned()],
            });
        }
        schema
    }

    /// The clinic: what a class of every kind needs.
    pub(crate) fn the_clinic() -> Schema {
        a_schema(
            vec![
                a_table("tenants", &["id", "name"]),
                a_table("users", &["id", "tenant_id", "country?"]),
                a_table("patients", &["id", "tenant_id"]),
                a_table("visits", &["id", "patient_id", "user_id?"]),
                a_table("notes", &["id", "visit_id", "author_id?"]),
                a_table("comments", &["id", "note_id?", "parent_id?"]),
                a_table("doctors", &["id", "department_id?", "tenant_id"]),
                a_table("departments", &["id", "head_id"]),
                a_table("countries", &["code", "created_by?"]),
                a_table("audit", &["id", "what"]),
            ],
            &[
                "users.tenant_id>tenants.id",
                "users.country>countries.code",
                "patients.tenant_id>tenants.id",
                "visits.patient_id>patients.id",
                "visits.user_id>users.id",
                "notes.visit_id>visits.id",
                "notes.author_id>users.id",
                "comments.note_id>notes.id",
                "comments.parent_id>comments.id",
                "doctors.department_id>departments.id",
                "doctors.tenant_id>tenants.id",
                "departments.head_id>doctors.id",
                "countries.created_by>users.id",
            ],
        )
    }
}
