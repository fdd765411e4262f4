//! What a database holds whose names could be in the way.

use std::collections::BTreeSet;

use crate::Result;
use crate::source::mysql::session::{Flavor, Record, Session};

/// What a database holds.
pub(super) struct Held {
    pub(super) tables: BTreeSet<String>,
    /// In small letters.
    pub(super) constraints: BTreeSet<String>,
    pub(super) triggers: BTreeSet<String>,
    pub(super) collation: String,
    /// Whether capitals count in tables' names.
    exact: bool,
}

impl Held {
    /// Asks the server.
    pub(super) async fn read(session: &mut Session) -> Result<Self> {
        let names = |rows: Vec<Record>| rows.iter().map(|row| row.text(0)).collect::<Result<BTreeSet<String>>>();
        let row = session.one("SELECT @@lower_case_table_names, @@collation_database").await?;
        let exact = row.number(0)? == 0;
        let collation = row.text(1)?;
        let tables = format!("SELECT TABLE_NAME FROM information_schema.TABLES WHERE {}", session.here("TABLE_SCHEMA"));
        let tables = names(session.all(&tables).await?)?;
        let checks = if session.flavor == Flavor::MySql { ", 'CHECK'" } else { "" };
        let constraints = format!(
            "SELECT LOWER(CONSTRAINT_NAME) FROM information_schema.TABLE_CONSTRAINTS WHERE {} \
             AND CONSTRAINT_TYPE IN ('FOREIGN KEY'{checks})",
            session.here("CONSTRAINT_SCHEMA")
        );
        let constraints = names(session.all(&constraints).await?)?;
        let triggers =
            format!("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE {}", session.here("TRIGGER_SCHEMA"));
        let triggers = names(session.all(&triggers).await?)?;
        Ok(Self { tables, constraints, triggers, collation, exact })
    }

    /// Whether a table, view or sequence has this name.
    pub(super) fn has_table(&self, name: &str) -> bool {
        let same = |held: &String| held == name || (!self.exact && held.to_lowercase() == name.to_lowercase());
        self.tables.iter().any(same)
    }
}
