//! MySQL opens a temporary table once in a statement
//! (<https://dev.mysql.com/doc/refman/8.4/en/temporary-table-problems.html>): where our own stand there more often, copies of them
//! take the other places.

use std::collections::BTreeMap;

/// A copy that a statement reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Copy {
    /// The table, quoted.
    pub(crate) of: String,
    /// Its copy, quoted.
    pub(crate) copy: String,
}

/// The statement with each of our temporary tables in it once, and the copies that it reads instead. The first place keeps
/// the table itself: that is where a statement writes.
pub(crate) fn reopened(sql: &str) -> (String, Vec<Copy>) {
    let (mut text, mut copies) = (String::with_capacity(sql.len()), Vec::new());
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rest = sql;
    while let Some(start) = rest.find(['\'', '`']) {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        let (token, behind) = rest.split_at(token(rest));
        rest = behind;
        if !is_ours(token) {
            text.push_str(token);
            continue;
        }
        let times = seen.entry(token).or_default();
        *times += 1;
        if *times == 1 {
            text.push_str(token);
        } else {
            let copy = format!("{}_{times}`", token.trim_end_matches('`'));
            text.push_str(&copy);
            copies.push(Copy { of: token.to_owned(), copy });
        }
    }
    text.push_str(rest);
    (text, copies)
}

/// Bytes of the string or name that the text begins with, quotes included.
fn token(text: &str) -> usize {
    let bytes = text.as_bytes();
    let quote = bytes[0];
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'\'' => at += 1,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 1,
            byte if byte == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn is_ours(token: &str) -> bool {
    let name = token.strip_prefix("`nightvault_").and_then(|name| name.strip_suffix('`'));
    name.and_then(|name| name.split_once('_')).is_some_and(|(what, place)| {
        ["rows", "backup", "live", "doomed"].contains(&what) && place.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_time_a_copy_is_read() {
        let (sql, copies) = reopened(
            "INSERT INTO `nightvault_live_3` (`id`) SELECT `id` FROM `t` JOIN `nightvault_rows_3` WHERE EXISTS (SELECT 1 FROM \
             `nightvault_live_3` has) OR (SELECT COUNT(*) FROM `nightvault_live_3`) > 1",
        );
        assert_eq!(
            sql,
            "INSERT INTO `nightvault_live_3` (`id`) SELECT `id` FROM `t` JOIN `nightvault_rows_3` WHERE EXISTS (SELECT 1 FROM \
             `nightvault_live_3_2` has) OR (SELECT COUNT(*) FROM `nightvault_live_3_3`) > 1"
        );
        let names: Vec<(&str, &str)> = copies.iter().map(|it| (it.of.as_str(), it.copy.as_str())).collect();
        assert_eq!(
            names,
            [("`nightvault_live_3`", "`nightvault_live_3_2`"), ("`nightvault_live_3`", "`nightvault_live_3_3`")]
        );
    }

    #[test]
    fn what_only_looks_like_one_stays() {
        for sql in [
            "SELECT '`nightvault_live_3`', 'it''s `nightvault_live_3` \\' `nightvault_live_3`' FROM `nightvault_live_3`",
            "SELECT `a``nightvault_live_3`, `nightvault_live_3x`, `nightvault_other_3` FROM `nightvault_live_3`",
            "SELECT 'é \\",
        ] {
            assert_eq!(reopened(sql), (sql.to_owned(), Vec::new()));
        }
    }
}
