//! Names of what is made: hidden ones of tables that are not whole yet, and those of a copy's constraints, which are names
//! of the whole database.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::source::hex;
use crate::source::mysql::quoting::{Names, identifier};
use crate::target::mysql::split::elements;

/// Characters of a name, at most (<https://dev.mysql.com/doc/refman/8.4/en/identifier-length.html>).
pub(super) const NAME_CHARS: usize = 64;
/// What a table's name begins with until it is whole.
const HIDDEN: &str = "nightvault_restores_";

/// The name of a table that is not whole yet.
pub(super) fn hidden(name: &str) -> String {
    let long = format!("{HIDDEN}{name}");
    if long.chars().count() <= NAME_CHARS {
        return long;
    }
    format!("{HIDDEN}{}", &hex(&Sha256::digest(name))[..32])
}

/// A name for a constraint of the copy that nothing has yet.
pub(super) fn derived(constraint: &str, old: &str, new: &str, used: &BTreeSet<String>) -> String {
    let wanted = match constraint.strip_prefix(old) {
        Some(rest) => format!("{new}{rest}"),
        None => format!("{constraint}_{new}"),
    };
    let fitting = |suffix: &str| {
        let room = NAME_CHARS - suffix.chars().count();
        format!("{}{suffix}", wanted.chars().take(room).collect::<String>())
    };
    std::iter::once(String::new())
        .chain((2u64..).map(|number| format!("_{number}")))
        .map(|suffix| fitting(&suffix))
        .find(|name| !used.contains(&name.to_lowercase()))
        .expect("there are more numbers than constraints")
}

/// Names of the foreign keys, of checks too where those are names of the database.
pub(super) fn constraints_of(create: &str, checks: bool) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for element in elements(create).unwrap_or_default() {
        let mut names = Names::new(element, "");
        if let (Some(Ok(word)), Some(Ok(name)), Some(Ok(kind))) = (names.token(), names.token(), names.token())
            && &element[word.start..word.end] == "CONSTRAINT"
            && (&element[kind.start..kind.end] == "FOREIGN" || (checks && &element[kind.start..kind.end] == "CHECK"))
        {
            found.push(name.text);
        }
    }
    found
}

/// The `CREATE TABLE` for a table of this name.
pub(super) fn with_name(create: &str, name: &str) -> Option<String> {
    let rest = create.strip_prefix("CREATE TABLE ")?;
    let old = Names::new(rest, "").token()?.ok()?;
    Some(format!("CREATE TABLE {}{}", identifier(name), &rest[old.end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_constraints_follow_the_table_and_meet_no_other() {
        let used = BTreeSet::from(["copy_ibfk_1".to_owned(), "mine_copy".to_owned()]);
        assert_eq!(derived("users_ibfk_2", "users", "copy", &used), "copy_ibfk_2");
        assert_eq!(derived("users_ibfk_1", "users", "copy", &used), "copy_ibfk_1_2");
        assert_eq!(derived("Mine", "users", "copy", &used), "Mine_copy_2");
        let long = derived(&"ü".repeat(64), "users", "copy", &used);
        assert_eq!(long.chars().count(), 64);
        assert_eq!(derived(&"ü".repeat(64), "users", "copy", &BTreeSet::from([long])).chars().count(), 64);
    }

    #[test]
    fn a_hidden_name_is_a_name_that_the_server_takes() {
        assert_eq!(hidden("users"), "nightvault_restores_users");
        assert_eq!(hidden(&"é".repeat(44)).chars().count(), 64);
        assert_eq!(hidden(&"é".repeat(45)).chars().count(), 52);
        assert_ne!(hidden(&"é".repeat(45)), hidden(&"é".repeat(46)));
        assert_eq!(with_name("CREATE TABLE `a``(` (\n `b` int)", "n`").unwrap(), "CREATE TABLE `n``` (\n `b` int)");
    }
}
