//! Names that are near to one that is not there: what a person may have meant.

/// How many names a message holds.
const SHOWN: usize = 5;
/// Shorter names are part of too many others.
const PART_CHARS: usize = 3;

/// Those of `all` that are near, the nearest first; `nearness` is what [`nearness`] says of each.
pub(crate) fn nearest<T: Ord>(all: impl IntoIterator<Item = T>, nearness: impl Fn(&T) -> Option<usize>) -> Vec<T> {
    let mut near: Vec<(usize, T)> = all.into_iter().filter_map(|it| Some((nearness(&it)?, it))).collect();
    near.sort();
    near.into_iter().take(SHOWN).map(|(_, it)| it).collect()
}

/// How many characters must be put in, left out or changed to make the name of the one that was given; `None`: it is too far
/// to have been meant.
pub(crate) fn nearness(given: &str, name: &str) -> Option<usize> {
    let (given, name) = (given.to_lowercase(), name.to_lowercase());
    let (distance, chars) = (strsim::levenshtein(&given, &name), given.chars().count());
    let part = chars >= PART_CHARS && name.contains(&given);
    (part || distance <= 2.max(chars / 3)).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_near_when_few_letters_differ_or_when_it_holds_the_other() {
        for (given, name, expected) in [
            ("users", "users", Some(0)),
            ("user", "Users", Some(1)),
            ("usres", "users", Some(2)),
            ("log", "users_log", Some(6)),
            ("appointmnets_of_tody", "appointments_of_today", Some(3)),
            ("lo", "users_log", None),
            ("zzzzzz", "users", None),
            ("", "abc", None),
        ] {
            assert_eq!(nearness(given, name), expected, "{given} and {name}");
        }
    }

    #[test]
    fn the_nearest_are_told_first_and_not_all_of_them() {
        let names = ["abcd", "abc", "xabc", "abcx", "ab", "abx", "far away"];
        assert_eq!(nearest(names, |name| nearness("abc", name)), ["abc", "ab", "abcd", "abcx", "abx"]);
    }
}
