//! What is changed in the text that the server gives of an object, and what is read from it.
//!
//! The text is made by the server or was typed by a person. Some of it would not restore to the same thing elsewhere: it
//! names the database that it comes from, or holds bytes that are no text. Some of it would do harm on the way: the
//! client that restores a dump has a lexer of its own, and what it takes for a command it runs.

use super::inventory::Coded;
use super::quoting::{Name, Names, hex};

/// The account after `DEFINER =`, as it is written.
pub(crate) fn definer(create: &str, sql_mode: &str) -> Option<String> {
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

/// As soon as a view reads another database the server writes its own one before every name too, and the view would read
/// the original when it is restored elsewhere: `` `own`.`t`.`c` `` becomes `` `t`.`c` ``. `None` when a table goes by the
/// database's name in it, so that the two cannot be told apart.
pub(super) fn unqualified_view(create: &str, database: &str) -> Option<String> {
    let mut names = Names::new(create, "");
    let mut cuts = Vec::new();
    let mut ambiguous = false;
    let (mut behind_point, mut introduces) = (false, false);
    while let Some(token) = names.token() {
        let Ok(name) = token else {
            behind_point = token == Err('.');
            introduces = false;
            continue;
        };
        if name.text == database && !behind_point {
            let after = names.at();
            match (names.token(), names.token()) {
                (Some(Err('.')), Some(Ok(next))) => cuts.push(name.start..next.start),
                // Behind AS it is a column's alias, behind VIEW the view itself.
                _ => ambiguous |= !introduces,
            }
            names.back_to(after);
        }
        introduces = ["as", "view"].into_iter().any(|word| create[name.start..name.end].eq_ignore_ascii_case(word));
        behind_point = false;
    }
    if ambiguous && !cuts.is_empty() {
        return None;
    }
    let mut create = create.to_owned();
    for cut in cuts.into_iter().rev() {
        create.replace_range(cut, "");
    }
    Some(create)
}

/// Frees what the server wraps into version comments, as in `/*!80023 INVISIBLE */`. The wrapped text may hold a comment
/// that a person wrote, `*/` in it included; and an older server would pass over the wrapped part without a word.
pub(super) fn without_version_comments(create: &str) -> String {
    let bytes = create.as_bytes();
    let mut text = String::with_capacity(create.len());
    let (mut at, mut kept, mut inside) = (0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'\'' | b'`') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' && quote == b'\'' { 2 } else { 1 };
                }
                at += 1;
            }
            b'/' if create[at..].starts_with("/*!") || create[at..].starts_with("/*M!") => {
                text.push_str(&create[kept..at]);
                at += create[at..].find('!').expect("it was just seen") + 1;
                while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                    at += 1;
                }
                kept = at;
                inside = true;
            }
            b'*' if inside && bytes.get(at + 1) == Some(&b'/') => {
                text.push_str(&create[kept..at]);
                at += 2;
                kept = at;
                inside = false;
            }
            _ => at += 1,
        }
    }
    text.push_str(&create[kept..]);
    text
}

/// Whether the client that restores the text could take some of it for a command: a backslash outside of strings and
/// comments (which servers pass over in `/*!999999 \\! … */`), or one in a name in double quotes, which the client takes
/// for a string.
pub(super) fn speaks_to_the_client(create: &str, sql_mode: &str) -> bool {
    let mut names = Names::new(create, sql_mode);
    while let Some(token) = names.token() {
        match token {
            Err('\\') => return true,
            Ok(name) if create[name.start..].starts_with('"') && name.text.contains('\\') => return true,
            _ => {}
        }
    }
    false
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
    fn views_lose_the_name_of_their_own_database_alone() {
        let create =
            "CREATE VIEW `v` AS select `own`.`t`.`own` AS `own`,'`own`.`t`' from (`own`.`t` join `other`.`own` `x`)";
        let expected = "CREATE VIEW `v` AS select `t`.`own` AS `own`,'`own`.`t`' from (`t` join `other`.`own` `x`)";
        assert_eq!(unqualified_view(create, "own").as_deref(), Some(expected));
        assert_eq!(unqualified_view("CREATE VIEW `v` AS select `own`.`c` from `t` `own`", "own"), None);
        let plain = "CREATE VIEW `own` AS select 1 AS `own` from `own`";
        assert_eq!(unqualified_view(plain, "own").as_deref(), Some(plain));
    }

    #[test]
    fn version_comments_are_freed_and_strings_that_look_like_them_stay() {
        let create = "CREATE TABLE `a/*!1 */` (`b` int /*!80023 INVISIBLE */ COMMENT '*/ /*!5 it''s \\\\ */')\n/*!50100 PARTITION BY x \
                      (PARTITION p COMMENT = '*/ \\! sh') */";
        let expected = "CREATE TABLE `a/*!1 */` (`b` int  INVISIBLE  COMMENT '*/ /*!5 it''s \\\\ */')\n PARTITION BY x \
                        (PARTITION p COMMENT = '*/ \\! sh') ";
        assert_eq!(without_version_comments(create), expected);
        assert_eq!(without_version_comments("t text /*M!100301 COMPRESSED*/,"), "t text  COMPRESSED,");
    }

    #[test]
    fn commands_for_the_client_are_seen() {
        assert!(speaks_to_the_client("SELECT 1 /*!999999 \\! touch x */", ""));
        assert!(speaks_to_the_client("SELECT 1; \\q", ""));
        assert!(speaks_to_the_client("SELECT \"a\\\" FROM t", "ANSI_QUOTES"));
        assert!(!speaks_to_the_client("SELECT 'a\\'', \"b\\\"\", 1 -- \\! x\n /* \\! */ # \\!\n FROM `\\`", ""));
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
