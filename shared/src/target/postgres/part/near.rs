//! Which table of a backup a name means; when none, which names are near.

use std::collections::BTreeSet;

use super::schema::Schema;
use crate::source::postgres::quote::shown;
use crate::target::near::{nearest, nearness};
use crate::target::postgres::names::Name;
use crate::{Error, Result};

/// The tables that are asked for, each once.
pub(super) fn resolve(schema: &Schema, wanted: &[String]) -> Result<BTreeSet<Name>> {
    let mut found = BTreeSet::new();
    for text in wanted {
        found.insert(one(&schema.tables, text)?);
    }
    Ok(found)
}

/// How a name is written for a person.
pub(super) fn plain(name: &Name) -> String {
    shown(&format!("{}.{}", name.schema.as_deref().unwrap_or("public"), name.name))
}

fn one(tables: &BTreeSet<Name>, text: &str) -> Result<Name> {
    // A name may hold a point itself, so both readings count.
    let means = |table: &&Name| table.name == text || full(table) == text;
    let all: Vec<&Name> = tables.iter().filter(means).collect();
    match all.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(unknown(tables, text)),
        many => {
            let names: Vec<String> = many.iter().map(|name| plain(name)).collect();
            Err(Error::configuration(format!("table {:?} may be any of {}", text, names.join(", ")))
                .hint("Say which one with its schema: --table schema.name."))
        }
    }
}

fn unknown(tables: &BTreeSet<Name>, text: &str) -> Error {
    let bare = text.rsplit('.').next().unwrap_or(text);
    let near = nearest(tables, |table| [bare, text].into_iter().filter_map(|it| nearness(it, &table.name)).min());
    let names: Vec<String> = near.into_iter().map(plain).collect();
    let error = Error::configuration(format!("the backup has no table {text:?}"));
    if names.is_empty() {
        return error.hint(format!("It has {} tables; `nightvault show` lists those with rows.", tables.len()));
    }
    error.hint(format!("Near to it: {}.", names.join(", ")))
}

fn full(name: &Name) -> String {
    format!("{}.{}", name.schema.as_deref().unwrap_or("public"), name.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> BTreeSet<Name> {
        [
            ("public", "users"),
            ("public", "user_roles"),
            ("audit", "users_log"),
            ("audit", "a.b"),
            ("x", "twin"),
            ("y", "twin"),
        ]
        .map(|(schema, name)| Name { schema: Some(schema.into()), name: name.into() })
        .into()
    }

    #[test]
    fn a_name_is_found_with_and_without_its_schema() {
        for (text, full_name) in
            [("users", "public.users"), ("public.users", "public.users"), ("a.b", "audit.a.b"), ("y.twin", "y.twin")]
        {
            assert_eq!(full(&one(&tables(), text).unwrap()), full_name);
        }
        let error = one(&tables(), "twin").unwrap_err();
        assert_eq!(error.to_string(), "table \"twin\" may be any of x.twin, y.twin");
    }

    #[test]
    fn names_near_an_unknown_one_are_told() {
        for (text, near) in [
            ("usres", "Near to it: public.users."),
            ("public.Users", "Near to it: public.users, audit.users_log."),
            ("log", "Near to it: audit.users_log."),
            ("zzzzzz", "It has 6 tables; `nightvault show` lists those with rows."),
        ] {
            assert_eq!(one(&tables(), text).unwrap_err().hint_text(), Some(near), "{text}");
        }
    }
}
