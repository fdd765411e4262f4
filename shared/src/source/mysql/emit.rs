//! The SQL text around the rows: preamble, statements that make objects, postamble.
//!
//! The text restores into any database of any server set-up by `mariadb NAME < dump.sql` (or `mysql`): the preamble makes
//! its own session settings and the postamble puts the old ones back. Objects whose text depends on settings are made
//! under the ones that they were made with first. No name and no text of the database stands in a comment, where a line
//! break would let it speak to the client. Nothing depends on the moment, so the same data gives the same bytes.

use super::inventory::{Coded, Inventory, Sequence, Table, View};
use super::quoting::{Name, Names, delimiter, hex, identifier, literal};
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

/// The account after `DEFINER =`, as it is written.
pub(super) fn definer(create: &str, sql_mode: &str) -> Option<String> {
    let mut names = Names::new(create, sql_mode);
    // It can only stand before the name of the object.
    for _ in 0..16 {
        match names.token()? {
            Ok(name) if name.text.eq_ignore_ascii_case("definer") => break,
            _ => {}
        }
    }
    let Some(Err('=')) = names.token() else { return None };
    let user = names.token()?.ok()?;
    match names.token()? {
        Err('@') => Some(format!("{}@{}", user.text, names.token()?.ok()?.text)),
        _ => Some(user.text),
    }
}

/// A trigger's statement as it was typed may name its database, and would then be made in the original one when it is
/// restored elsewhere: `TRIGGER db.t … ON db.x` becomes `TRIGGER t … ON x`. `None` when it cannot be understood.
pub(super) fn unqualified_trigger(coded: &Coded, database: &str) -> Option<Vec<u8>> {
    // Positions are found byte for byte, so the text may be in any character set built upon ASCII.
    let text: String = coded.create.iter().map(|byte| if byte.is_ascii() { *byte as char } else { '?' }).collect();
    let mut names = Names::new(&text, coded.sql_mode.as_deref().unwrap_or_default());
    let mut cuts: Vec<std::ops::Range<usize>> = Vec::new();
    let is = |name: &Name, word: &str| text[name.start..name.end].eq_ignore_ascii_case(word);
    for word in ["TRIGGER", "ON"] {
        while !is_word(names.token()?, |name| is(name, word)) {}
        let mut name = names.token()?.ok()?;
        while word == "TRIGGER" && ["IF", "NOT", "EXISTS"].into_iter().any(|part| is(&name, part)) {
            name = names.token()?.ok()?;
        }
        let before_point = names.at();
        if let Some(Err('.')) = names.token() {
            let table = names.token()?.ok()?;
            // Only ever its own database; anything else is not for us to guess.
            if name.text.is_ascii() && database.is_ascii() && !name.text.eq_ignore_ascii_case(database) {
                return None;
            }
            cuts.push(name.start..table.start);
        } else {
            names.back_to(before_point);
        }
    }
    let mut create = coded.create.clone();
    for cut in cuts.into_iter().rev() {
        create.drain(cut);
    }
    Some(create)
}

/// A table's definition as text. Strings in it that are no UTF-8, which are defaults of binary columns, become
/// hexadecimal; `None` when something else is no UTF-8.
pub(super) fn as_text(create: &[u8]) -> Option<String> {
    if let Ok(text) = std::str::from_utf8(create) {
        return Some(text.to_owned());
    }
    let mut text = Vec::with_capacity(create.len() + 64);
    let mut at = 0;
    while at < create.len() {
        let start = at;
        let quote = create[at];
        at += 1;
        if quote != b'\'' && quote != b'`' {
            text.push(quote);
            continue;
        }
        let mut value = Vec::new();
        loop {
            match (*create.get(at)?, create.get(at + 1)) {
                (b'\\', Some(escaped)) if quote == b'\'' => {
                    value.push(match escaped {
                        b'0' => 0,
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b'Z' => 0x1a,
                        other => *other,
                    });
                    at += 2;
                }
                (byte, Some(next)) if byte == quote && *next == quote => {
                    value.push(quote);
                    at += 2;
                }
                (byte, _) if byte == quote => break,
                (byte, _) => {
                    value.push(byte);
                    at += 1;
                }
            }
        }
        at += 1;
        if quote == b'\'' && std::str::from_utf8(&value).is_err() {
            hex(&mut text, &value);
        } else {
            text.extend_from_slice(&create[start..at]);
        }
    }
    String::from_utf8(text).ok()
}

/// The server writes a default's sequence with its database: `` nextval(`db`.`s`) ``. Restored elsewhere the table would
/// draw its numbers from the original, so the database's name is taken out where it is this one.
pub(super) fn unqualified_sequences(create: &str, database: &str) -> String {
    let mut names = Names::new(create, "");
    let mut cuts = Vec::new();
    while let Some(token) = names.token() {
        let is_call = is_word(token, |name| {
            ["nextval", "lastval"].into_iter().any(|word| create[name.start..name.end].eq_ignore_ascii_case(word))
        });
        if !is_call {
            continue;
        }
        let inside = names.at();
        if let (Some(Err('(')), Some(Ok(schema)), Some(Err('.')), Some(Ok(sequence))) =
            (names.token(), names.token(), names.token(), names.token())
            && schema.text == database
        {
            cuts.push(schema.start..sequence.start);
        } else {
            names.back_to(inside);
        }
    }
    let mut create = create.to_owned();
    for cut in cuts.into_iter().rev() {
        create.replace_range(cut, "");
    }
    create
}

fn is_word(token: Result<Name, char>, is: impl Fn(&Name) -> bool) -> bool {
    token.is_ok_and(|name| is(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(create: &str, mode: &str) -> Option<String> {
        let coded = Coded {
            kind: "trigger",
            name: "t".into(),
            create: create.into(),
            sql_mode: Some(mode.into()),
            time_zone: None,
            client_charset: "utf8mb4".into(),
            connection_collation: "utf8mb4_general_ci".into(),
            database_collation: None,
        };
        unqualified_trigger(&coded, "clinic").map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn triggers_lose_the_name_of_their_database_and_nothing_else() {
        for (mode, create, expected) in [
            ("", "CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW set @a='ON clinic.x'", None),
            (
                "",
                "CREATE DEFINER=`a`@`b` trigger clinic.t before insert on `clinic` . x for each row set @a = clinic.f()",
                Some("CREATE DEFINER=`a`@`b` trigger t before insert on x for each row set @a = clinic.f()"),
            ),
            (
                "ANSI_QUOTES",
                "CREATE TRIGGER IF NOT EXISTS \"clinic\".\"é\" AFTER UPDATE ON \"clinic\".\"x\" FOR EACH ROW SET @é = 1",
                Some("CREATE TRIGGER IF NOT EXISTS \"é\" AFTER UPDATE ON \"x\" FOR EACH ROW SET @é = 1"),
            ),
            ("", "CREATE TRIGGER /* on x */ t -- on y\n BEFORE INSERT ON x FOR EACH ROW BEGIN END", None),
        ] {
            assert_eq!(trigger(create, mode).as_deref(), Some(expected.unwrap_or(create)), "{create}");
        }
        assert_eq!(trigger("CREATE TRIGGER other.t BEFORE INSERT ON x FOR EACH ROW BEGIN END", ""), None);
        assert_eq!(trigger("CREATE EVENT e", ""), None);
    }

    #[test]
    fn binary_defaults_become_hexadecimal_and_the_rest_stays() {
        let create =
            b"CREATE TABLE `a'\xc3\xbc` (\n `b` binary(4) DEFAULT '\xff\\0''\\\\',\n `c` char(1) DEFAULT '\xc3\xbc''')";
        let expected = "CREATE TABLE `a'ü` (\n `b` binary(4) DEFAULT 0xFF00275C,\n `c` char(1) DEFAULT 'ü''')";
        assert_eq!(as_text(create).as_deref(), Some(expected));
        assert_eq!(as_text(b"CREATE TABLE `\xff` ()"), None);
    }

    #[test]
    fn sequences_in_defaults_lose_the_name_of_their_own_database() {
        let create = "CREATE TABLE `t` (\n  `nextval` int DEFAULT nextval(`clinic`.`s`) COMMENT 'nextval(`clinic`.`s`)',\n  \
                      `b` int DEFAULT (1 + lastval(`clinic`.`s2`)),\n  `c` int DEFAULT nextval(`other`.`s`)\n)";
        let expected = "CREATE TABLE `t` (\n  `nextval` int DEFAULT nextval(`s`) COMMENT 'nextval(`clinic`.`s`)',\n  \
                        `b` int DEFAULT (1 + lastval(`s2`)),\n  `c` int DEFAULT nextval(`other`.`s`)\n)";
        assert_eq!(unqualified_sequences(create, "clinic"), expected);
    }

    #[test]
    fn definers_are_found_where_they_can_stand() {
        assert_eq!(definer("CREATE DEFINER=`a``x`@`%` PROCEDURE p() begin end", "").as_deref(), Some("a`x@%"));
        assert_eq!(
            definer(
                "CREATE ALGORITHM=UNDEFINED DEFINER=\"r\"@\"h\" SQL SECURITY DEFINER VIEW v AS select 1",
                "ANSI_QUOTES"
            )
            .as_deref(),
            Some("r@h")
        );
        assert_eq!(definer("CREATE PROCEDURE p() begin end", ""), None);
    }
}
