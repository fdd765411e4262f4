//! Which statements of a dump belong to single tables: their own one, their sequences, their triggers, their parents.

use super::outline::Outline;
use super::split::{Statement, elements};
use crate::archive::manifest::{DatabaseManifest, TableManifest};
use crate::source::mysql::quoting::{Name, Names, identifier};
use crate::target::near::{nearest, nearness};
use crate::{Error, Result};

/// A table of the dump.
#[derive(Debug, Clone)]
pub(super) struct Picked<'a> {
    pub(super) manifest: &'a TableManifest,
    /// `CREATE TABLE …`.
    pub(super) create: String,
    /// Its foreign keys within the database: name and parent.
    pub(super) references: Vec<(String, String)>,
    /// Sequences that its defaults draw from.
    pub(super) sequences: Vec<Sequence>,
    /// In the order in which they fire.
    pub(super) triggers: Vec<Trigger>,
}

/// A sequence with its two statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) name: String,
    pub(super) create: Vec<u8>,
    /// Moves it on; a sequence never goes back by it.
    pub(super) set: Vec<u8>,
}

/// A trigger with the settings that it is made under.
#[derive(Debug, Clone)]
pub(super) struct Trigger {
    pub(super) name: String,
    /// All statements of its block but those that change the database.
    pub(super) statements: Vec<Statement>,
    /// `user@host`.
    pub(super) definer: Option<String>,
}

/// The table of this name, or an error with names that are near.
pub(super) fn find<'a>(manifest: &'a DatabaseManifest, outline: &Outline, name: &str) -> Result<Picked<'a>> {
    let Some(table) = manifest.tables.iter().find(|table| table.name == name) else {
        return Err(unknown(manifest, name));
    };
    let create = outline.statements.iter().filter_map(|statement| std::str::from_utf8(&statement.sql).ok());
    let create =
        create.filter(|sql| sql.starts_with("CREATE TABLE ")).find(|sql| created(sql).as_deref() == Some(name));
    let create = create.ok_or_else(|| Error::corrupt(format!("the dump does not make the table {name}")))?.to_owned();
    Ok(Picked {
        manifest: table,
        references: references(&create).into_iter().map(|(key, parent, _)| (key, parent)).collect(),
        sequences: sequences(outline, &create),
        triggers: triggers(outline, name)?,
        create,
    })
}

fn unknown(manifest: &DatabaseManifest, name: &str) -> Error {
    let near = nearest(manifest.tables.iter().map(|table| table.name.as_str()), |other| nearness(name, other));
    let near: Vec<String> = near.into_iter().map(|name| format!("{name:?}")).collect();
    let error = Error::configuration(format!("the backup of {:?} has no table {name:?}", manifest.name));
    if near.is_empty() {
        error.hint("`nightvault show` lists the tables of a backup.")
    } else {
        error.hint(format!("It has {}. Capitals count.", near.join(", ")))
    }
}

/// The table that a `CREATE TABLE` makes.
pub(super) fn created(sql: &str) -> Option<String> {
    let rest = sql.strip_prefix("CREATE TABLE ")?;
    Names::new(rest, "").token()?.ok().map(|name| name.text)
}

/// The foreign keys of a table: name, parent, and where in the text the parent stands. Those that leave the database are
/// not among them.
pub(super) fn references(create: &str) -> Vec<(String, String, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    for element in elements(create).unwrap_or_default() {
        let start = element.as_ptr() as usize - create.as_ptr() as usize;
        if let Some((key, parent)) = reference(element) {
            found.push((key, parent.text, start + parent.start..start + parent.end));
        }
    }
    found
}

fn reference(element: &str) -> Option<(String, Name)> {
    if !element.starts_with("CONSTRAINT `") {
        return None;
    }
    let is = |name: &Name, word: &str| &element[name.start..name.end] == word;
    let mut names = Names::new(element, "");
    names.token()?.ok()?;
    let key = names.token()?.ok()?;
    names.token()?.ok().filter(|name| is(name, "FOREIGN"))?;
    loop {
        match names.token()? {
            Ok(name) if is(&name, "REFERENCES") => break,
            _ => {}
        }
    }
    let parent = names.token()?.ok()?;
    (names.token() != Some(Err('.'))).then_some((key.text, parent))
}

/// The statement with another name for the table, its foreign keys (and checks, where `checks` says so) under the names
/// that `constraint` gives them. References to itself go to the new name.
pub(super) fn renamed(
    create: &str,
    from: &str,
    to: &str,
    checks: bool,
    constraint: &dyn Fn(&str) -> String,
) -> Option<String> {
    let mut changes = Vec::new();
    let rest = create.strip_prefix("CREATE TABLE ")?;
    let offset = create.len() - rest.len();
    let name = Names::new(rest, "").token()?.ok()?;
    changes.push((offset + name.start..offset + name.end, identifier(to)));
    let keys = references(create);
    for element in elements(create)? {
        let start = element.as_ptr() as usize - create.as_ptr() as usize;
        let mut names = Names::new(element, "");
        let (Some(Ok(word)), Some(Ok(name)), Some(Ok(kind))) = (names.token(), names.token(), names.token()) else {
            continue;
        };
        let (word, kind) = (&element[word.start..word.end], &element[kind.start..kind.end]);
        if word == "CONSTRAINT" && (kind == "FOREIGN" || (checks && kind == "CHECK")) {
            changes.push((start + name.start..start + name.end, identifier(&constraint(&name.text))));
        }
    }
    changes.extend(keys.into_iter().filter(|(_, parent, _)| parent == from).map(|(_, _, at)| (at, identifier(to))));
    changes.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
    let mut create = create.to_owned();
    for (at, text) in changes {
        create.replace_range(at, &text);
    }
    Some(create)
}

fn sequences(outline: &Outline, create: &str) -> Vec<Sequence> {
    let drawn = drawn_from(create);
    let mut statements = outline.statements.iter().peekable();
    let mut found = Vec::new();
    while let Some(statement) = statements.next() {
        let Some(rest) = statement.sql.strip_prefix(b"CREATE SEQUENCE ") else { continue };
        let Some(Ok(name)) = std::str::from_utf8(rest).ok().and_then(|rest| Names::new(rest, "").token()) else {
            continue;
        };
        if let Some(set) = statements.next_if(|next| next.sql.starts_with(b"DO SETVAL("))
            && drawn.contains(&name.text)
        {
            found.push(Sequence { name: name.text, create: statement.sql.clone(), set: set.sql.clone() });
        }
    }
    found
}

/// The sequences of the same database that a table's defaults name.
fn drawn_from(create: &str) -> Vec<String> {
    let mut names = Names::new(create, "");
    let mut found = Vec::new();
    while let Some(token) = names.token() {
        let is_call = token.is_ok_and(|name| {
            ["nextval", "lastval", "setval"]
                .into_iter()
                .any(|word| create[name.start..name.end].eq_ignore_ascii_case(word))
        });
        let inside = names.at();
        match (is_call, names.token(), names.token(), names.token()) {
            (true, Some(Err('(')), Some(Ok(sequence)), Some(Err(')' | ','))) => found.push(sequence.text),
            _ => names.back_to(inside),
        }
    }
    found
}

/// The triggers of a table.
fn triggers(outline: &Outline, table: &str) -> Result<Vec<Trigger>> {
    let (_, tail) = outline.around_rows();
    let mut found = Vec::new();
    for block in tail.chunk_by(|one, _| !ends_block(one)) {
        let Some(create) = block.iter().find(|statement| statement.sql.starts_with(b"CREATE ")) else { continue };
        let mode = block.iter().find_map(|statement| {
            let mode = std::str::from_utf8(&statement.sql).ok()?.strip_prefix("SET SESSION sql_mode = '")?;
            mode.strip_suffix('\'')
        });
        // Positions and ASCII names are right in every character set built upon ASCII.
        let text: String = match std::str::from_utf8(&create.sql) {
            Ok(text) => text.to_owned(),
            Err(_) => create.sql.iter().map(|byte| if byte.is_ascii() { *byte as char } else { '?' }).collect(),
        };
        let Some((name, of)) = trigger(&text, mode.unwrap_or_default()) else { continue };
        if std::str::from_utf8(&create.sql).is_err() && !table.is_ascii() {
            return Err(Error::unsupported(format!(
                "whether a trigger that is not written in UTF-8 belongs to table {table:?} cannot be told"
            ))
            .hint("Restore the whole database into an empty one, and copy the table from there."));
        }
        if of == table {
            let of_the_database = |statement: &&Statement| !statement.sql.starts_with(b"ALTER DATABASE ");
            found.push(Trigger {
                name,
                statements: block.iter().filter(of_the_database).cloned().collect(),
                definer: crate::source::mysql::text::definer(&text, mode.unwrap_or_default()),
            });
        }
    }
    Ok(found)
}

/// The last statement of an object's block puts the dump's own mode back.
fn ends_block(statement: &Statement) -> bool {
    statement.sql == b"SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'"
}

/// Name and table of a `CREATE … TRIGGER`.
fn trigger(create: &str, mode: &str) -> Option<(String, String)> {
    const OTHERS: [&str; 5] = ["PROCEDURE", "FUNCTION", "EVENT", "VIEW", "PACKAGE"];
    let mut names = Names::new(create, mode);
    let is = |name: &Name, word: &str| create[name.start..name.end].eq_ignore_ascii_case(word);
    loop {
        match names.token()? {
            Ok(name) if is(&name, "TRIGGER") => break,
            Ok(name) if OTHERS.iter().any(|other| is(&name, other)) => return None,
            _ => {}
        }
    }
    let mut name = names.token()?.ok()?;
    while ["IF", "NOT", "EXISTS"].into_iter().any(|word| is(&name, word)) {
        name = names.token()?.ok()?;
    }
    loop {
        match names.token()? {
            Ok(word) if is(&word, "ON") => break,
            _ => {}
        }
    }
    Some((name.text, names.token()?.ok()?.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(statements: &[&[u8]]) -> Outline {
        let statements = statements.iter().map(|sql| Statement { sql: sql.to_vec(), offset: 10 }).collect();
        Outline { statements, rows_at: 0 }
    }

    #[test]
    fn triggers_are_found_by_their_table_whatever_stands_around() {
        let outline = outline(&[
            b"SET SESSION sql_mode = 'ANSI_QUOTES'",
            b"CREATE DEFINER=`trigger`@`on` TRIGGER IF NOT EXISTS \"a\" BEFORE INSERT ON \"users\" FOR EACH ROW SET @x = 'ON y'",
            b"SET NAMES utf8mb4",
            b"SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
            b"SET SESSION sql_mode = ''",
            b"CREATE DEFINER=`a`@`b` PROCEDURE p() BEGIN /* TRIGGER t */ SELECT 1 FROM TRIGGER x ON users; END",
            b"SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
            b"ALTER DATABASE DEFAULT CHARACTER SET latin1 DEFAULT COLLATE latin1_swedish_ci",
            b"SET SESSION sql_mode = ''",
            b"CREATE TRIGGER b BEFORE INSERT ON users FOR EACH ROW SET @x = '\xe4'",
            b"SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
            b"SET SESSION sql_notes = @nightvault_sql_notes",
        ]);
        let found = triggers(&outline, "users").unwrap();
        let names: Vec<_> =
            found.iter().map(|it| (it.name.as_str(), it.definer.as_deref(), it.statements.len())).collect();
        assert_eq!(names, [("a", Some("trigger@on"), 4), ("b", None, 3)]);
        assert!(triggers(&outline, "y").unwrap().is_empty());
        assert!(triggers(&outline, "ü").unwrap_err().to_string().contains("not written in UTF-8"));
    }

    #[test]
    fn a_table_gets_its_new_name_everywhere_and_keeps_the_rest() {
        let create = "CREATE TABLE `a``b` (\n  `x` int DEFAULT nextval(`s`) COMMENT 'REFERENCES `a``b`',\n  KEY `k` (`x`),\n  \
             CONSTRAINT `k1` FOREIGN KEY (`x`) REFERENCES `a``b` (`x`) ON DELETE CASCADE,\n  \
             CONSTRAINT `k2` FOREIGN KEY (`x`) REFERENCES `other`.`a``b` (`x`),\n  \
             CONSTRAINT `k3` FOREIGN KEY (`x`) REFERENCES `p` (`x`),\n  CONSTRAINT `c` CHECK (`x` > 1)\n)";
        let keys: Vec<_> = references(create).into_iter().map(|(key, parent, _)| (key, parent)).collect();
        assert_eq!(keys, [("k1".to_owned(), "a`b".to_owned()), ("k3".to_owned(), "p".to_owned())]);
        assert_eq!(drawn_from(create), ["s"]);
        let renamed = renamed(create, "a`b", "new", false, &|name| format!("{name}_n")).unwrap();
        let expected = "CREATE TABLE `new` (\n  `x` int DEFAULT nextval(`s`) COMMENT 'REFERENCES `a``b`',\n  KEY `k` (`x`),\n  \
             CONSTRAINT `k1_n` FOREIGN KEY (`x`) REFERENCES `new` (`x`) ON DELETE CASCADE,\n  \
             CONSTRAINT `k2_n` FOREIGN KEY (`x`) REFERENCES `other`.`a``b` (`x`),\n  \
             CONSTRAINT `k3_n` FOREIGN KEY (`x`) REFERENCES `p` (`x`),\n  CONSTRAINT `c` CHECK (`x` > 1)\n)";
        assert_eq!(renamed, expected);
    }

    #[test]
    fn sequences_come_with_the_value_that_is_next() {
        let outline = outline(&[
            b"CREATE SEQUENCE `s` start with 1",
            b"DO SETVAL(`s`, 7, 0, 0)",
            b"CREATE SEQUENCE `t`",
            b"DO SETVAL(`t`, 1, 0, 0)",
        ]);
        let found = sequences(&outline, "CREATE TABLE `t` (`a` int DEFAULT (nextval(`s`) + 1))");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].set.as_slice()), ("s", &b"DO SETVAL(`s`, 7, 0, 0)"[..]));
    }
}
