//! The order in which views are made: each behind those that it reads from.

use std::collections::BTreeSet;

use super::inventory::View;
use super::quoting::Names;

/// Orders views so that each stands behind those whose names its text holds. Such a name may be a table's alias, so a
/// circle is possible; its views get placeholders.
pub(super) fn in_order(views: Vec<View>) -> Vec<View> {
    let names: BTreeSet<String> = views.iter().map(|view| view.name.clone()).collect();
    let mut waiting: Vec<(View, BTreeSet<String>)> = Vec::new();
    for view in views {
        let mut needed = names_in(&String::from_utf8_lossy(&view.coded.create), &names);
        needed.remove(&view.name);
        waiting.push((view, needed));
    }
    let mut ordered: Vec<View> = Vec::with_capacity(waiting.len());
    let mut done: BTreeSet<String> = BTreeSet::new();
    while !waiting.is_empty() {
        let free = waiting.iter().position(|(_, needed)| needed.is_subset(&done));
        if free.is_none() {
            waiting.iter_mut().for_each(|(view, _)| view.placeholder = true);
        }
        let (view, _) = waiting.remove(free.unwrap_or(0));
        done.insert(view.name.clone());
        ordered.push(view);
    }
    ordered
}

/// Which of `names` stand in `text`, as a server prints a view, where a table can: not as a part of `a`.`b`, and not as
/// the alias behind `AS`.
fn names_in(text: &str, names: &BTreeSet<String>) -> BTreeSet<String> {
    let mut reader = Names::new(text, "");
    let mut found = BTreeSet::new();
    let mut skip = false;
    while let Some(token) = reader.token() {
        let Ok(name) = token else {
            skip = token == Err('.');
            continue;
        };
        let after = reader.at();
        let qualifies = reader.token() == Some(Err('.'));
        reader.back_to(after);
        if !skip && !qualifies && names.contains(&name.text) {
            found.insert(name.text);
        }
        skip = text[name.start..name.end].eq_ignore_ascii_case("as");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::inventory::Coded;
    use super::*;

    fn view(name: &str, create: &str) -> View {
        View {
            name: name.into(),
            columns: vec![],
            placeholder: false,
            coded: Coded {
                kind: "view",
                name: name.into(),
                create: create.into(),
                sql_mode: None,
                time_zone: None,
                client_charset: "utf8mb4".into(),
                connection_collation: "utf8mb4_general_ci".into(),
                database_collation: None,
            },
        }
    }

    #[test]
    fn views_stand_behind_those_that_they_read() {
        let views = vec![
            view("a", "CREATE VIEW `a` AS select `b`.`x` from `b` join `c`"),
            view("b", "CREATE VIEW `b` AS select 'a',`t`.`c` AS `a` from `t`"),
            view("c", "CREATE VIEW `c` AS select 1 from `b`"),
        ];
        let names: Vec<_> = in_order(views).into_iter().map(|view| view.name).collect();
        assert_eq!(names, ["b", "c", "a"]);
    }

    #[test]
    fn views_that_seem_to_stand_in_a_circle_get_placeholders() {
        let views = vec![
            view("a", "CREATE VIEW `a` AS select 1 from `t` `b`"),
            view("b", "CREATE VIEW `b` AS select 1 from `a`"),
            view("c", "CREATE VIEW `c` AS select 1 from `t`"),
        ];
        let ordered: Vec<_> = in_order(views).into_iter().map(|view| (view.name, view.placeholder)).collect();
        assert_eq!(ordered, [("c".to_owned(), false), ("a".to_owned(), true), ("b".to_owned(), true)]);
    }
}
