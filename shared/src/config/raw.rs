//! The configuration as it was written: one look-up per variable, and a list of what is wrong with them.
//!
//! A getter that finds nonsense notes a [`Problem`] and goes on with what is harmless, so that one run names everything
//! that is wrong; [`Raw::finish`] then gives out no configuration at all. Problems quote values, save those of secrets.

use std::fmt;
use std::ops::RangeInclusive;

use super::Lookup;
use super::variables::takes;
use crate::secret::Secret;
use crate::{Error, Result};

/// What is wrong with one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    variable: String,
    wrong: String,
    takes: Option<&'static str>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.variable, self.wrong)?;
        self.takes.map_or(Ok(()), |takes| write!(f, "; it takes {takes}"))
    }
}

/// The variables as they were written.
pub(super) struct Raw<'a> {
    lookup: Lookup<'a>,
    problems: Vec<Problem>,
}

impl<'a> Raw<'a> {
    pub(super) fn new(lookup: Lookup<'a>) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    /// Notes that `variable` is wrong; what it takes is added from the list of variables.
    pub(super) fn problem(&mut self, variable: &str, wrong: impl Into<String>) {
        let problem = Problem { variable: variable.into(), wrong: wrong.into(), takes: takes(variable) };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The configuration, if nothing is wrong.
    pub(super) fn finish<T>(self, config: T) -> Result<T> {
        if self.problems.is_empty() {
            return Ok(config);
        }
        let mut message = match self.problems.len() {
            1 => "the configuration has a problem:".to_owned(),
            many => format!("the configuration has {many} problems:"),
        };
        for problem in &self.problems {
            message.push_str(&format!("\n  {problem}"));
        }
        Err(Error::configuration(message).hint("Correct the variables that are named; nothing was done."))
    }

    /// The value as it was written; an empty one is none.
    fn raw(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).filter(|value| !value.is_empty())
    }

    pub(super) fn is_set(&self, variable: &str) -> bool {
        self.raw(variable).is_some()
    }

    /// A secret, exactly as it was written: blanks belong to it.
    pub(super) fn secret(&self, variable: &str) -> Option<Secret> {
        self.raw(variable).map(Secret::new)
    }

    /// A text without the blanks around it.
    pub(super) fn text(&mut self, variable: &str) -> Option<String> {
        let text = self.raw(variable)?.trim().to_owned();
        if text.chars().any(char::is_control) {
            self.problem(variable, "holds a control character");
            return None;
        }
        Some(text).filter(|text| !text.is_empty())
    }

    /// The name or ARN of a secret in Secrets Manager.
    pub(super) fn secret_name(&mut self, variable: &str) -> Option<String> {
        let name = self.text(variable)?;
        match check_secret_name(&name) {
            Ok(()) => Some(name),
            // Somebody may have pasted the secret itself: the value is not quoted.
            Err(wrong) => {
                self.problem(variable, wrong);
                None
            }
        }
    }

    /// A word that may stand in an object key.
    pub(super) fn word(&mut self, variable: &str) -> Option<String> {
        let word = self.text(variable)?;
        if is_word(&word) {
            return Some(word);
        }
        self.problem(variable, format!("{word:?} is not usable in an object key"));
        None
    }

    /// The items of a comma list, without blanks around them and without empty ones.
    pub(super) fn list(&mut self, variable: &str) -> Vec<String> {
        let items = self.text(variable).unwrap_or_default();
        items.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// `true` or `false`; unset is false.
    pub(super) fn flag(&mut self, variable: &str) -> bool {
        let Some(text) = self.text(variable) else { return false };
        parse_flag(&text).unwrap_or_else(|| {
            self.problem(variable, format!("{text:?} is neither true nor false"));
            false
        })
    }

    /// As [`Raw::flag`], for a second look at a variable whose problem is noted elsewhere.
    pub(super) fn flag_quietly(&self, variable: &str) -> bool {
        self.raw(variable).and_then(|text| parse_flag(text.trim())).unwrap_or(false)
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, variable: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let text = self.text(variable)?;
        match text.parse::<u64>() {
            Ok(number) if range.contains(&number) => Some(number),
            Ok(number) => {
                self.problem(variable, format!("{number} is not between {} and {}", range.start(), range.end()));
                None
            }
            Err(_) => {
                self.problem(variable, format!("{text:?} is no whole number"));
                None
            }
        }
    }

    /// A whole number within bounds that fit 32 bits.
    pub(super) fn number_u32(&mut self, variable: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let range = u64::from(*range.start())..=u64::from(*range.end());
        self.number(variable, range).map(|number| u32::try_from(number).expect("the range fits 32 bits"))
    }

    /// A positive number, or the word `none`.
    pub(super) fn number_or_none(&mut self, variable: &str, default: u64) -> Option<u64> {
        match self.text(variable) {
            Some(text) if text.eq_ignore_ascii_case("none") => None,
            Some(_) => self.number(variable, 1..=u64::from(u32::MAX)),
            None => Some(default),
        }
    }

    /// One of several words.
    pub(super) fn one_of<T: Copy>(&mut self, variable: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(variable)?;
        let found = choices.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
        if found.is_none() {
            self.problem(variable, format!("is {text:?}"));
        }
        found.map(|(_, choice)| *choice)
    }
}

/// Whether a name may stand in an object key or an archive path: letters, digits, `.`, `_`, `-`, no dot in front.
pub(super) fn is_word(text: &str) -> bool {
    let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=100).contains(&text.len()) && !text.starts_with('.') && text.chars().all(usable)
}

/// `true` or `false`, in the spellings that `.env` files have.
pub(super) fn parse_flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "(true)" => Some(true),
        "false" | "0" | "no" | "off" | "(false)" => Some(false),
        _ => None,
    }
}

/// What is wrong with the name of a secret, in words that do not quote it.
///
/// Names are letters, digits and `/_+=.@-`, at most 512 of them; ARNs have colons besides:
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>
pub(super) fn check_secret_name(name: &str) -> Result<(), &'static str> {
    let usable = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:".contains(c);
    if name.len() > 2048 || !name.chars().all(usable) {
        return Err("holds what no name and no ARN of a secret can hold (is it the secret itself?)");
    }
    if name.contains(':') && !name.starts_with("arn:") {
        return Err("has a colon but is no ARN");
    }
    Ok(())
}
