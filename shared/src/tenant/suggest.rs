//! What a schema alone says of each table: the tenant column, and foreign keys that lead to it.
//!
//! The shortest way wins, and one that can never be NULL wins over all that can. A table that only references with NULL
//! lead out of is left to a person: `countries.created_by` makes no country the property of a tenant.

use std::collections::BTreeSet;

use super::schema::{Reference, Schema};

/// What a table seems to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Suggestion {
    /// It has the tenant column, or the tenant column of another table refers to it.
    Tenant {
        /// The column that holds the tenant.
        column: String,
    },
    /// A reference that is never NULL leads to a tenant.
    ByPath {
        /// The table itself.
        table: usize,
        /// Its references to follow, by their places.
        references: Vec<usize>,
    },
    /// References that may be NULL lead to a tenant.
    Perhaps {
        /// The table itself.
        table: usize,
        /// Its references to follow, by their places.
        references: Vec<usize>,
    },
    /// Nothing leads to a tenant.
    Nothing,
}

/// A suggestion for each table.
pub(crate) fn suggest(schema: &Schema, column: &str) -> Vec<Suggestion> {
    let tables = &schema.tables;
    let mut found: Vec<Suggestion> = vec![Suggestion::Nothing; tables.len()];
    let mut known = BTreeSet::new();
    for (place, table) in tables.iter().enumerate() {
        if table.column(column).is_some() {
            found[place] = Suggestion::Tenant { column: column.to_owned() };
            known.insert(place);
        }
    }
    for reference in tables.iter().flat_map(|table| &table.references) {
        // The table of the tenants themselves.
        if reference.columns == [column] && known.insert(reference.parent) {
            found[reference.parent] = Suggestion::Tenant { column: reference.parent_columns[0].clone() };
        }
    }

    let leads = |place: usize, known: &BTreeSet<usize>, nullable: bool| -> Vec<usize> {
        let table = &tables[place];
        let fits = |reference: &Reference| {
            known.contains(&reference.parent)
                && reference.parent != place
                && (nullable || table.never_null(&reference.columns))
        };
        (0..table.references.len()).filter(|number| fits(&table.references[*number])).collect()
    };
    loop {
        let open: Vec<usize> = (0..tables.len()).filter(|place| !known.contains(place)).collect();
        let level: Vec<(usize, Vec<usize>)> = open
            .iter()
            .map(|place| (*place, leads(*place, &known, false)))
            .filter(|(_, references)| !references.is_empty())
            .collect();
        for (table, references) in &level {
            known.insert(*table);
            // All of one level are equally short: the first by its columns, so that every run says the same.
            let first = references.iter().min_by_key(|number| &tables[*table].references[**number].columns);
            found[*table] = Suggestion::ByPath { table: *table, references: first.into_iter().copied().collect() };
        }
        if !level.is_empty() {
            continue;
        }
        let level: Vec<usize> = open.into_iter().filter(|place| !leads(*place, &known, true).is_empty()).collect();
        if level.is_empty() {
            break;
        }
        for table in level {
            known.insert(table);
            found[table] = Suggestion::Perhaps { table, references: Vec::new() };
        }
    }
    // Each of several references may be the one that is there, those to the table itself included.
    for suggestion in &mut found {
        if let Suggestion::Perhaps { table, references } = suggestion {
            let numbers = 0..tables[*table].references.len();
            *references = numbers.filter(|number| known.contains(&tables[*table].references[*number].parent)).collect();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::schema::samples::{a_schema, a_table, the_clinic};

    fn suggested(schema: &Schema) -> Vec<(String, String)> {
        let text = |suggestion: Suggestion| match suggestion {
            Suggestion::Tenant { column } => format!("tenant {column}"),
            Suggestion::ByPath { table, references } | Suggestion::Perhaps { table, references } => references
                .iter()
                .map(|number| schema.tables[table].references[*number].name.clone())
                .collect::<Vec<_>>()
                .join(" or "),
            Suggestion::Nothing => "nothing".to_owned(),
        };
        let all = suggest(schema, "tenant_id").into_iter().map(text);
        schema.tables.iter().map(|table| table.name.to_string()).zip(all).collect()
    }

    #[test]
    fn the_clinic_is_seen_through_its_keys() {
        let schema = the_clinic();
        let expected = [
            ("audit", "nothing"),
            ("comments", "comments.note_id>notes.id or comments.parent_id>comments.id"),
            ("countries", "countries.created_by>users.id"),
            ("departments", "departments.head_id>doctors.id"),
            ("doctors", "tenant tenant_id"),
            ("notes", "notes.visit_id>visits.id"),
            ("patients", "tenant tenant_id"),
            ("tenants", "tenant id"),
            ("users", "tenant tenant_id"),
            ("visits", "visits.patient_id>patients.id"),
        ];
        assert_eq!(suggested(&schema), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(matches!(suggest(&schema, "tenant_id")[2], Suggestion::Perhaps { .. }));
    }

    #[test]
    fn a_long_way_that_is_never_null_wins_over_a_short_one_that_can_be() {
        let schema = a_schema(
            vec![
                a_table("a", &["id", "tenant_id"]),
                a_table("b", &["id", "a_id"]),
                a_table("c", &["id", "b_id", "a_id?"]),
                a_table("d", &["id", "z_id", "a_id", "c_id"]),
                a_table("z", &["id", "z_id"]),
            ],
            &["b.a_id>a.id", "c.a_id>a.id", "c.b_id>b.id", "d.z_id>z.id", "d.c_id>c.id", "d.a_id>a.id", "z.z_id>z.id"],
        );
        let found = suggested(&schema);
        assert_eq!(found[2].1, "c.b_id>b.id");
        assert_eq!(found[3].1, "d.a_id>a.id");
        assert_eq!(found[4].1, "nothing", "a table that leads to itself alone leads nowhere");
    }
}
