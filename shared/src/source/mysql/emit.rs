//! The SQL text around the rows: preamble, statements that make objects, postamble.
//!
//! The text restores into any database of any server set-up by `mariadb NAME < dump.sql` (or `mysql`): the preamble makes
//! its own session settings and the postamble puts the old ones back. Objects whose text depends on settings are made
//! under the ones that they were made with first. No name and no text of the database stands in a comment, where a line
//! break would let it speak to the client. Nothing depends on the moment, so the same data gives the same bytes.

use super::inventory::{Coded, Inventory, Sequence, Table, View};
use super::quoting::{delimiter, identifier, literal};
use super::session::Flavor;
use crate::source::DumpWriter;

/// The modes under which tables are made and rows are read back.
const RESTORE_MODE: &str = "NO_AUTO_VALUE_ON_ZERO";

/// Sets the session up. Every line is read under the restoring server's own settings, so it must mean the same in all.
pub(super) fn preamble(out: &mut DumpWriter<'_>, flavor: Flavor, inventory: &Inventory) {
    let (name, client) = match flavor {
        Flavor::MariaDb => ("MariaDB", "mariadb"),
        Flavor::MySql => ("MySQL", "mysql"),
    };
    out.put_str(&format!(
        "-- Nightvault dump of one {name} database. Restore it into an empty database: {client} NAME < FILE\n\n\
         SET @nightvault_sql_mode = @@SESSION.sql_mode;\n\
         SET SESSION sql_mode = '{RESTORE_MODE}';\n\
         SET @nightvault_client = @@SESSION.character_set_client;\n\
         SET @nightvault_results = @@SESSION.character_set_results;\n\
         SET @nightvault_collation = @@SESSION.collation_connection;\n\
         SET @nightvault_time_zone = @@SESSION.time_zone;\n\
         SET @nightvault_unique_checks = @@SESSION.unique_checks;\n\
         SET @nightvault_foreign_key_checks = @@SESSION.foreign_key_checks;\n\
         SET @nightvault_sql_notes = @@SESSION.sql_notes;\n\
         SET NAMES utf8mb4;\n\
         SET SESSION time_zone = '+00:00', unique_checks = 0, foreign_key_checks = 0, sql_notes = 0;\n"
    ));
    if flavor == Flavor::MariaDb && inventory.tables.iter().any(|table| table.versioned) {
        out.put_str("SET SESSION system_versioning_insert_history = 1;\n");
    }
    out.put_str(&alter_database(&inventory.charset, &inventory.collation));
}

/// Puts the session back.
pub(super) fn postamble(out: &mut DumpWriter<'_>, flavor: Flavor, inventory: &Inventory) {
    out.put_str("\n");
    if flavor == Flavor::MariaDb && inventory.tables.iter().any(|table| table.versioned) {
        out.put_str("SET SESSION system_versioning_insert_history = 0;\n");
    }
    out.put_str(
        "SET SESSION sql_notes = @nightvault_sql_notes;\n\
         SET SESSION foreign_key_checks = @nightvault_foreign_key_checks;\n\
         SET SESSION unique_checks = @nightvault_unique_checks;\n\
         SET SESSION time_zone = @nightvault_time_zone;\n\
         SET SESSION character_set_client = @nightvault_client;\n\
         SET SESSION character_set_results = @nightvault_results;\n\
         SET SESSION collation_connection = @nightvault_collation;\n\
         SET SESSION sql_mode = @nightvault_sql_mode;\n",
    );
}

fn alter_database(charset: &str, collation: &str) -> String {
    format!("ALTER DATABASE DEFAULT CHARACTER SET {charset} DEFAULT COLLATE {collation};\n")
}

/// Makes a sequence and sets it to the value that would come next.
pub(super) fn sequence(out: &mut DumpWriter<'_>, sequence: &Sequence, next: &str, round: &str) {
    out.put_str(&format!("\n{};\nDO SETVAL({}, {next}, 0, {round});\n", sequence.create, identifier(&sequence.name)));
}

/// Makes a table.
pub(super) fn table(out: &mut DumpWriter<'_>, table: &Table) {
    out.put_str("\n");
    out.put_str(&table.create.0);
    out.put_str(";\n");
}

/// Makes views: placeholders for those that stand in a circle, then all.
pub(super) fn views(out: &mut DumpWriter<'_>, views: &[View]) {
    for view in views.iter().filter(|view| view.placeholder) {
        let columns: Vec<_> = view.columns.iter().map(|column| format!("1 AS {}", identifier(column))).collect();
        out.put_str(&format!("\nCREATE VIEW {} AS SELECT {};\n", identifier(&view.name), columns.join(", ")));
    }
    for view in views {
        let mut coded = view.coded.clone();
        if view.placeholder && coded.create.starts_with(b"CREATE ") {
            coded.create.splice(..b"CREATE ".len(), *b"CREATE OR REPLACE ");
        }
        object(out, &coded, None);
    }
}

/// Makes objects whose text depends on settings.
pub(super) fn objects(out: &mut DumpWriter<'_>, objects: &[Coded], inventory: &Inventory) {
    for coded in objects {
        object(out, coded, Some(inventory));
    }
}

fn object(out: &mut DumpWriter<'_>, coded: &Coded, inventory: Option<&Inventory>) {
    let charset = &coded.client_charset;
    out.put_str("\n");
    // The database's collation at the time is what parameters without a character set of their own have.
    let other = match (inventory, &coded.database_collation) {
        (Some(inventory), Some(collation)) if *collation != inventory.collation => Some((inventory, collation)),
        _ => None,
    };
    if let Some((_, collation)) = other {
        let charset = collation.split('_').next().unwrap_or(collation);
        out.put_str(&alter_database(charset, collation));
    }
    if let Some(mode) = &coded.sql_mode {
        out.put_str(&format!("SET SESSION sql_mode = {};\n", literal(mode)));
    }
    if let Some(zone) = &coded.time_zone {
        out.put_str(&format!("SET SESSION time_zone = {};\n", literal(zone)));
    }
    out.put_str(&format!(
        "SET SESSION character_set_client = {charset}, character_set_results = {charset}, \
         collation_connection = {};\n",
        coded.connection_collation
    ));
    let delimiter = delimiter(&coded.create);
    out.put_str(&format!("DELIMITER {delimiter}\n"));
    out.put(&coded.create);
    // On a line of its own, since the text may end in a comment.
    out.put_str(&format!("\n{delimiter}\nDELIMITER ;\n"));
    if let Some((inventory, _)) = other {
        out.put_str(&alter_database(&inventory.charset, &inventory.collation));
    }
    if coded.time_zone.is_some() {
        out.put_str("SET SESSION time_zone = '+00:00';\n");
    }
    out.put_str(&format!("SET NAMES utf8mb4;\nSET SESSION sql_mode = '{RESTORE_MODE}';\n"));
}
