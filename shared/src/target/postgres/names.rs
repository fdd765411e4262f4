//! Names in statements, as our own dumper and PostgreSQL's deparser write them: with or without quotes, with or without a
//! schema. Keywords are told from names by their place alone, never by what a name looks like.

use super::lex::{Kind, token};
use crate::source::postgres::quote::qualified;

/// A name, with its schema where one is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    /// The schema; `public` where none is written, which happens for names without a schema only.
    pub(crate) schema: Option<String>,
    /// The name itself, without quotes.
    pub(crate) name: String,
}

impl Name {
    /// `"schema"."name"`.
    pub(crate) fn quoted(&self) -> String {
        qualified(self.schema.as_deref().unwrap_or("public"), &self.name)
    }
}

/// A statement in tokens.
pub(crate) struct Statement<'a> {
    pub(crate) text: &'a str,
    /// Kind, begin and end of each token; blanks and comments are left out.
    pub(crate) tokens: Vec<(Kind, usize, usize)>,
}

impl<'a> Statement<'a> {
    /// Takes a statement apart.
    pub(crate) fn new(text: &'a str) -> Self {
        let (mut tokens, mut at) = (Vec::new(), 0);
        while let Some((kind, end)) = token(text.as_bytes(), at, true) {
            if kind != Kind::Blank {
                tokens.push((kind, at, end));
            }
            at = end;
        }
        Self { text, tokens }
    }

    /// The text of a token. A token ends at an ASCII character or at the end, so this never cuts a character.
    pub(crate) fn token(&self, at: usize) -> Option<(Kind, &'a str)> {
        self.tokens.get(at).map(|(kind, start, end)| (*kind, self.text.get(*start..*end).unwrap_or_default()))
    }

    /// Whether the token is this word.
    pub(crate) fn is(&self, at: usize, word: &str) -> bool {
        matches!(self.token(at), Some((Kind::Word, text)) if text.eq_ignore_ascii_case(word))
    }

    /// Whether the token is this character.
    pub(crate) fn is_char(&self, at: usize, wanted: u8) -> bool {
        matches!(self.tokens.get(at), Some((Kind::Other(found), ..)) if *found == wanted)
    }

    /// The identifier at a token, without quotes.
    pub(crate) fn ident(&self, at: usize) -> Option<String> {
        match self.token(at)? {
            (Kind::Word, text) => Some(text.to_owned()),
            (Kind::Quoted, text) => Some(text[1..text.len() - 1].replace("\"\"", "\"")),
            _ => None,
        }
    }

    /// The table that `CREATE TABLE` makes and those that it inherits from.
    pub(crate) fn inherits(&self) -> Option<(Name, Vec<Name>)> {
        let mut words = Words::new(self);
        if !words.take(&["CREATE"]) {
            return None;
        }
        words.take(&["UNLOGGED"]);
        if !words.take(&["TABLE"]) {
            return None;
        }
        let child = words.name()?;
        words.parentheses();
        let mut parents = Vec::new();
        if words.take(&["INHERITS"]) && words.char(b'(') {
            loop {
                parents.push(words.name()?);
                if !words.char(b',') {
                    break;
                }
            }
        }
        (!parents.is_empty()).then_some((child, parents))
    }
}

/// A walk through a statement.
pub(crate) struct Words<'s, 'a> {
    statement: &'s Statement<'a>,
    pub(crate) at: usize,
}

impl<'s, 'a> Words<'s, 'a> {
    /// From the beginning.
    pub(crate) fn new(statement: &'s Statement<'a>) -> Self {
        Self { statement, at: 0 }
    }

    /// Goes behind these words when they come next.
    pub(crate) fn take(&mut self, words: &[&str]) -> bool {
        let there = words.iter().enumerate().all(|(number, word)| self.statement.is(self.at + number, word));
        if there {
            self.at += words.len();
        }
        there
    }

    /// Goes behind the character when it comes next.
    pub(crate) fn char(&mut self, wanted: u8) -> bool {
        let there = self.statement.is_char(self.at, wanted);
        self.at += usize::from(there);
        there
    }

    /// Goes behind the next identifier, which has no schema.
    pub(crate) fn ident(&mut self) -> Option<String> {
        let name = self.statement.ident(self.at)?;
        self.at += 1;
        Some(name)
    }

    /// Goes behind the next name.
    pub(crate) fn name(&mut self) -> Option<Name> {
        let first = self.ident()?;
        if self.statement.is_char(self.at, b'.')
            && let Some(second) = self.statement.ident(self.at + 1)
        {
            self.at += 2;
            return Some(Name { schema: Some(first), name: second });
        }
        Some(Name { schema: None, name: first })
    }

    /// Goes behind the parentheses that come next, with all that is in them.
    pub(crate) fn parentheses(&mut self) -> bool {
        if !self.statement.is_char(self.at, b'(') {
            return false;
        }
        let mut depth = 0usize;
        while self.at < self.statement.tokens.len() {
            if self.statement.is_char(self.at, b'(') {
                depth += 1;
            } else if self.statement.is_char(self.at, b')') {
                depth -= 1;
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        true
    }

    /// Goes behind the next place outside parentheses where these words stand.
    pub(crate) fn find(&mut self, words: &[&str]) -> bool {
        let before = self.at;
        while self.at < self.statement.tokens.len() {
            if self.take(words) {
                return true;
            }
            if !self.parentheses() {
                self.at += 1;
            }
        }
        self.at = before;
        false
    }
}
