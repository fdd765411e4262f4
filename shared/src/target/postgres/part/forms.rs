//! The forms of our own dumper's statements that say what an object belongs to, and the names in a statement.

use std::collections::BTreeSet;

use super::schema::{About, Part};
use crate::target::postgres::lex::Kind;
use crate::target::postgres::names::{Name, Statement, Words};

/// What stands behind `CREATE`.
pub(super) fn created(words: &mut Words<'_, '_>) -> Option<About> {
    words.take(&["OR", "REPLACE"]);
    words.take(&["UNLOGGED"]);
    words.take(&["UNIQUE"]);
    words.take(&["CONSTRAINT"]);
    if words.take(&["TABLE"]) {
        return Some(About::Table(words.name()?, Part::Definition));
    }
    if words.take(&["INDEX"]) {
        let name = words.ident()?;
        words.take(&["ON"]).then_some(())?;
        words.take(&["ONLY"]);
        return Some(About::Table(words.name()?, Part::Index(name)));
    }
    if words.take(&["TRIGGER"]) {
        let name = words.ident()?;
        words.find(&["ON"]).then_some(())?;
        return Some(About::Table(words.name()?, Part::Trigger(name)));
    }
    if words.take(&["RULE"]) {
        let name = words.ident()?;
        words.find(&["TO"]).then_some(())?;
        return Some(About::Table(words.name()?, Part::Trigger(name)));
    }
    if words.take(&["POLICY"]) {
        words.ident()?;
        words.take(&["ON"]).then_some(())?;
        return Some(About::Table(words.name()?, Part::Detail));
    }
    if words.take(&["STATISTICS"]) {
        let name = words.name()?;
        words.find(&["FROM"]).then_some(())?;
        return Some(About::Table(words.name()?, Part::Statistics(name)));
    }
    if words.take(&["EXTENSION"]) {
        words.take(&["IF", "NOT", "EXISTS"]);
        let name = words.ident()?;
        words.take(&["WITH", "SCHEMA"]).then_some(())?;
        return Some(About::Extension(name, words.ident()?));
    }
    if words.take(&["MATERIALIZED", "VIEW"]) {
        return Some(About::View(words.name()?));
    }
    object(words)
}

/// What an object of a kind that all statements name alike is.
pub(super) fn object(words: &mut Words<'_, '_>) -> Option<About> {
    if words.take(&["SCHEMA"]) {
        return Some(About::Schema(words.ident()?));
    }
    if words.take(&["TYPE"]) || words.take(&["DOMAIN"]) || words.take(&["COLLATION"]) {
        return Some(About::Type(words.name()?));
    }
    if words.take(&["FUNCTION"]) || words.take(&["PROCEDURE"]) || words.take(&["AGGREGATE"]) {
        return Some(About::Function(words.name()?));
    }
    if words.take(&["SEQUENCE"]) {
        return Some(About::Sequence(words.name()?));
    }
    if words.take(&["VIEW"]) {
        return Some(About::View(words.name()?));
    }
    None
}

/// What stands behind the `ON` of a grant.
pub(super) fn granted(words: &mut Words<'_, '_>) -> Option<About> {
    if words.take(&["TABLE"]) {
        return Some(About::Table(words.name()?, Part::Detail));
    }
    object(words)
}

/// What stands behind `ALTER TABLE name`.
pub(super) fn table_part(words: &mut Words<'_, '_>) -> Option<Part> {
    if words.take(&["ATTACH", "PARTITION"]) {
        return Some(Part::Attach(words.name()?));
    }
    if words.take(&["ADD", "CONSTRAINT"]) {
        let name = words.ident()?;
        if words.take(&["PRIMARY", "KEY"]) || words.take(&["UNIQUE"]) || words.take(&["EXCLUDE"]) {
            return Some(Part::Key(name));
        }
        if words.take(&["FOREIGN", "KEY"]) {
            words.find(&["REFERENCES"]).then_some(())?;
            return Some(Part::ForeignKey(name, words.name()?));
        }
        return Some(Part::Detail);
    }
    let before = words.at;
    if words.take(&["ALTER", "COLUMN"]) && words.ident().is_some() && words.take(&["ADD", "GENERATED"]) {
        words.take(&["ALWAYS"]);
        words.take(&["BY", "DEFAULT"]);
        if words.take(&["AS", "IDENTITY"]) && words.char(b'(') && words.take(&["SEQUENCE", "NAME"]) {
            return Some(Part::Identity(words.name()?));
        }
    }
    words.at = before;
    if words.take(&["DISABLE"]) || words.take(&["ENABLE"]) {
        words.take(&["REPLICA"]);
        words.take(&["ALWAYS"]);
        if words.take(&["TRIGGER"]) || words.take(&["RULE"]) {
            return Some(Part::Trigger(words.ident()?));
        }
    }
    Some(Part::Detail)
}

/// All names with a schema in a statement, those in `'…'::regclass` too.
pub(super) fn names(statement: &Statement<'_>) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    for at in 0..statement.tokens.len() {
        if let Some((Kind::Text, text)) = statement.token(at)
            && statement.is_char(at + 1, b':')
            && statement.is_char(at + 2, b':')
            && statement.is(at + 3, "regclass")
        {
            names.extend(literal_name(text));
        }
        if at > 0 && statement.is_char(at - 1, b'.') {
            continue;
        }
        if statement.is_char(at + 1, b'.')
            && let (Some(schema), Some(name)) = (statement.ident(at), statement.ident(at + 2))
        {
            names.insert(Name { schema: Some(schema), name });
        }
    }
    names
}

/// The value of a string literal; `None` for a kind that stands around no name.
pub(super) fn literal_value(text: &str) -> Option<String> {
    let (body, escapes) = match text.strip_prefix(['E', 'e']) {
        Some(body) => (body, true),
        None => (text, false),
    };
    let body = body.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'");
    Some(if escapes { body.replace("\\\\", "\\") } else { body })
}

/// The name that a string literal holds.
pub(super) fn literal_name(text: &str) -> Option<Name> {
    let value = literal_value(text)?;
    let inner = Statement::new(&value);
    let mut words = Words::new(&inner);
    let name = words.name()?;
    (name.schema.is_some() && words.at == inner.tokens.len()).then_some(name)
}
