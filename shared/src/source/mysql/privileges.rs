//! Whether the backup user can see everything, proved from its grants.
//!
//! Both servers hide what a user may not see: with `SELECT` alone a database has no triggers, no events and no routines,
//! and no query says that some are missing. So what a dump needs is read from `SHOW GRANTS`, which tells the truth on
//! managed servers too, and a missing privilege is refused by its name before anything is read.

use std::collections::{BTreeMap, BTreeSet};

use super::quoting::{Names, identifier};
use super::session::{Flavor, Session};
use crate::{Class, Error, Result};

type Privileges = BTreeSet<String>;

/// What the grants give.
#[derive(Debug, Default)]
struct Grants {
    /// On `*.*`, of the user and its active roles.
    global: Privileges,
    /// On databases, by grantee and then by pattern: a grantee's closest pattern is the only one that counts.
    databases: BTreeMap<String, BTreeMap<String, Privileges>>,
    /// `SELECT` on the table in which MariaDB keeps routines.
    routine_table: bool,
    /// Set when some grant is taken back for a database by a partial revoke.
    revoked: BTreeMap<String, Privileges>,
}

/// Refuses a user that cannot see everything in the session's database.
pub(crate) async fn check(session: &mut Session) -> Result<()> {
    let mut lines = Vec::new();
    // Without FOR it lists the active roles' grants too.
    for record in session.all("SHOW GRANTS").await? {
        lines.push(record.text(0)?);
    }
    let grants = parse(&lines);
    let missing = missing(&grants, &session.database, session.flavor);
    if missing.is_empty() {
        return Ok(());
    }
    let database = identifier(&session.database);
    let hint = match session.flavor {
        _ if missing == [ROUTINES] => match session.flavor {
            Flavor::MariaDb => {
                "Grant SELECT ON mysql.proc, or from MariaDB 11.3 on SHOW CREATE ROUTINE on the database.".to_owned()
            }
            Flavor::MySql => "Grant SHOW_ROUTINE ON *.* (MySQL 8.0.20 and newer) or SELECT ON *.*.".to_owned(),
        },
        Flavor::MariaDb => format!(
            "Grant SELECT, SHOW VIEW, TRIGGER, EVENT ON {database}.* and SELECT ON mysql.proc to the backup user."
        ),
        Flavor::MySql => format!(
            "Grant SELECT, SHOW VIEW, TRIGGER, EVENT ON {database}.* and SHOW_ROUTINE ON *.* to the backup user."
        ),
    };
    Err(Error::new(
        Class::Permission,
        format!("the backup user cannot be sure to see all of database {database}: it lacks {}", missing.join(", ")),
    )
    .hint(hint))
}

/// The privileges of the session's user.
pub(crate) struct Held {
    grants: Grants,
    database: String,
}

/// Reads what the session's user may do in its database.
pub(crate) async fn held(session: &mut Session) -> Result<Held> {
    let mut lines = Vec::new();
    for record in session.all("SHOW GRANTS").await? {
        lines.push(record.text(0)?);
    }
    Ok(Held { grants: parse(&lines), database: session.database.clone() })
}

impl Held {
    /// Whether the user has the privilege on all of the database.
    pub(crate) fn has(&self, privilege: &str) -> bool {
        let given = |held: &Privileges| held.contains(privilege) || held.contains("ALL PRIVILEGES");
        let revoked = self.grants.revoked.get(&self.database).is_some_and(given);
        let by_database = self.grants.databases.values().any(|patterns| given(&effective(patterns, &self.database)));
        (given(&self.grants.global) || by_database) && !revoked
    }

    /// Whether the user has the privilege on the whole server.
    pub(crate) fn has_globally(&self, privilege: &str) -> bool {
        self.grants.global.contains(privilege) || self.grants.global.contains("ALL PRIVILEGES")
    }
}

const ROUTINES: &str = "the privilege to see routines";

/// The names of the privileges that are missing.
fn missing(grants: &Grants, database: &str, flavor: Flavor) -> Vec<&'static str> {
    let mut held = grants.global.clone();
    for patterns in grants.databases.values() {
        held.extend(effective(patterns, database));
    }
    let revoked = |privilege: &str| {
        grants.revoked.get(database).is_some_and(|set| set.contains(privilege) || set.contains("ALL PRIVILEGES"))
    };
    let has = |privilege: &str| (held.contains(privilege) || held.contains("ALL PRIVILEGES")) && !revoked(privilege);
    let mut missing: Vec<&'static str> =
        ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"].into_iter().filter(|privilege| !has(privilege)).collect();
    // Any of these lists the routines; one whose text stays hidden all the same is refused when it is read.
    let routines = grants.routine_table
        || ["SHOW CREATE ROUTINE", "SHOW_ROUTINE", "EXECUTE", "ALTER ROUTINE"].into_iter().any(has)
        || grants.global.contains("SELECT")
        || (flavor == Flavor::MariaDb && proc_by_database(grants));
    if !routines {
        missing.push(ROUTINES);
    }
    missing
}

fn proc_by_database(grants: &Grants) -> bool {
    grants.databases.values().any(|patterns| {
        let held = effective(patterns, "mysql");
        held.contains("SELECT") || held.contains("ALL PRIVILEGES")
    })
}

/// A server takes the most specific pattern that matches and no other. The exact name is that; among several with
/// wildcards we do not guess its order and count only what all of them give.
fn effective(patterns: &BTreeMap<String, Privileges>, database: &str) -> Privileges {
    if let Some(exact) = patterns.iter().find(|(pattern, _)| literally(pattern).as_deref() == Some(database)) {
        return exact.1.clone();
    }
    let all = || -> Privileges {
        ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "EXECUTE", "ALL PRIVILEGES"].map(str::to_owned).into()
    };
    patterns
        .iter()
        .filter(|(pattern, _)| matches(pattern, database))
        .map(|(_, held)| if held.contains("ALL PRIVILEGES") { all() } else { held.clone() })
        .reduce(|a, b| a.intersection(&b).cloned().collect())
        .unwrap_or_default()
}

/// The name that a pattern without wildcards stands for.
fn literally(pattern: &str) -> Option<String> {
    let mut name = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' | '_' => return None,
            '\\' => name.push(chars.next().unwrap_or('\\')),
            c => name.push(c),
        }
    }
    Some(name)
}

/// `LIKE`, case-sensitive.
fn matches(pattern: &str, name: &str) -> bool {
    let mut chars = pattern.chars();
    match chars.next() {
        None => name.is_empty(),
        Some('%') => {
            name.char_indices().map(|(at, _)| &name[at..]).chain([""]).any(|rest| matches(chars.as_str(), rest))
        }
        Some(c) => {
            let wanted = match c {
                '_' => None,
                '\\' => Some(chars.next().unwrap_or('\\')),
                c => Some(c),
            };
            let mut rest = name.chars();
            rest.next().is_some_and(|next| wanted.is_none_or(|wanted| wanted == next))
                && matches(chars.as_str(), rest.as_str())
        }
    }
}

/// Reads `GRANT … ON … TO …` and `REVOKE … ON … FROM …`. What it does not know gives nothing.
fn parse(lines: &[String]) -> Grants {
    let mut grants = Grants::default();
    for line in lines {
        let Some((grant, privileges, object, grantee)) = split(line) else { continue };
        let database = match object.as_slice() {
            [star, table] if star == "*" && table == "*" => None,
            [database, table] if table == "*" => Some(database.clone()),
            [database, table] if grant && database == "mysql" && table == "proc" => {
                grants.routine_table |= privileges.contains("SELECT") || privileges.contains("ALL PRIVILEGES");
                continue;
            }
            _ => continue,
        };
        match (grant, database) {
            (true, None) => grants.global.extend(privileges),
            (true, Some(database)) => {
                grants.databases.entry(grantee).or_default().entry(database).or_default().extend(privileges);
            }
            (false, Some(database)) => grants.revoked.entry(database).or_default().extend(privileges),
            (false, None) => {}
        }
    }
    grants
}

/// `(is a grant, privileges, object's parts, grantee)`; `None` for roles, proxies and columns alone.
fn split(line: &str) -> Option<(bool, Privileges, Vec<String>, String)> {
    let (grant, rest) = if let Some(rest) = line.strip_prefix("GRANT ") {
        (true, rest)
    } else {
        (false, line.strip_prefix("REVOKE ")?)
    };
    let mut names = Names::new(rest, "");
    let mut privileges = Privileges::new();
    let mut words: Vec<String> = Vec::new();
    let mut depth = 0usize;
    let mut limited = false;
    loop {
        match names.token()? {
            Ok(name) if depth == 0 && rest[name.start..name.end] == *"ON" => break,
            Ok(name) if depth == 0 => words.push(name.text.to_ascii_uppercase()),
            Ok(_) => {}
            Err('(') => {
                // On some columns only.
                depth += 1;
                limited = true;
            }
            Err(')') => depth = depth.saturating_sub(1),
            Err(',') if depth == 0 => {
                let privilege = std::mem::take(&mut words).join(" ");
                if !std::mem::take(&mut limited) {
                    privileges.insert(privilege);
                }
            }
            Err(_) => {}
        }
    }
    if !limited {
        privileges.insert(words.join(" "));
    }
    let mut object = Vec::new();
    loop {
        match names.token()? {
            // PROCEDURE `a`.`b` has three parts and matches nothing; a database named TO is quoted.
            Ok(name) if matches!(&rest[name.start..name.end], "TO" | "FROM") => break,
            Ok(name) => object.push(name.text),
            Err('*') => object.push("*".to_owned()),
            Err(_) => {}
        }
    }
    let grantee = rest[names_end(&mut names)?..].split_whitespace().next()?.to_owned();
    Some((grant, privileges, object, grantee))
}

/// Where the grantee starts.
fn names_end(names: &mut Names<'_>) -> Option<usize> {
    names.token()?.ok().map(|name| name.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(lines: &[&str], flavor: Flavor) -> Vec<&'static str> {
        missing(&parse(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()), "clinic_a", flavor)
    }

    #[test]
    fn grants_decide_what_a_user_is_sure_to_see() {
        use Flavor::{MariaDb, MySql};
        let all = vec!["SELECT", "SHOW VIEW", "TRIGGER", "EVENT", ROUTINES];
        let four = "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `clinic\\_a`.* TO `b`@`%`";
        for (lines, flavor, expected) in [
            (
                vec!["GRANT ALL PRIVILEGES ON *.* TO `b`@`%` IDENTIFIED BY PASSWORD '*X' WITH GRANT OPTION"],
                MariaDb,
                vec![],
            ),
            (vec!["GRANT USAGE ON *.* TO `b`@`%`"], MariaDb, all.clone()),
            (vec![four], MariaDb, vec![ROUTINES]),
            (vec![four, "GRANT SELECT ON `mysql`.`proc` TO `b`@`%`"], MariaDb, vec![]),
            (vec![four, "GRANT SHOW CREATE ROUTINE ON `clinic_a`.* TO `r`"], MariaDb, vec![]),
            (vec![four, "GRANT SHOW_ROUTINE ON *.* TO `b`@`%`"], MySql, vec![]),
            // One table, or some columns, are not the database.
            (vec!["GRANT SELECT ON `clinic_a`.`patients` TO `b`@`%`"], MariaDb, all.clone()),
            (
                vec!["GRANT SELECT (`a`, `b`), TRIGGER ON `clinic_a`.* TO `b`@`%`"],
                MariaDb,
                vec!["SELECT", "SHOW VIEW", "EVENT", ROUTINES],
            ),
            // Another database's name, and one whose wildcard matches.
            (vec!["GRANT ALL PRIVILEGES ON `clinic\\_b`.* TO `b`@`%`"], MariaDb, all.clone()),
            (vec!["GRANT ALL PRIVILEGES ON `clinic%`.* TO `b`@`%`"], MariaDb, vec![]),
            // The exact pattern hides the wider one of the same grantee, but not that of a role.
            (
                vec!["GRANT ALL PRIVILEGES ON `clin%`.* TO `b`@`%`", "GRANT SELECT ON `clinic\\_a`.* TO `b`@`%`"],
                MariaDb,
                vec!["SHOW VIEW", "TRIGGER", "EVENT", ROUTINES],
            ),
            (
                vec!["GRANT ALL PRIVILEGES ON `clin%`.* TO `r`", "GRANT SELECT ON `clinic\\_a`.* TO `b`@`%`"],
                MariaDb,
                vec![],
            ),
            (
                vec!["GRANT ALL PRIVILEGES ON *.* TO `b`@`%`", "REVOKE TRIGGER ON `clinic_a`.* FROM `b`@`%`"],
                MySql,
                vec!["TRIGGER"],
            ),
            (vec!["GRANT `ALL PRIVILEGES ON *.*` TO `b`@`%`"], MySql, all.clone()),
            (vec!["GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION"], MySql, all),
        ] {
            let found = lacks(&lines, flavor);
            assert_eq!(found, expected, "{lines:?}");
        }
    }
}
