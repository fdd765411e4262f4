//! Where data goes back: an empty database, or a file that is not there yet.
//!
//! Promises, for every engine:
//!
//! - The target is looked at first, and everything that is wrong with it is told at once ([`Findings`]).
//! - A target that holds anything is refused; nothing is ever dropped or overwritten.
//! - Only bytes whose digests matched are executed or written ([`EntryReader`](crate::archive::reader::EntryReader)), and
//!   a dump in which they stop matching is never committed (PostgreSQL, SQLite) or told as partial (MySQL).
//! - Rows are counted by the target itself and compared with the manifest before the result is called done.

pub(crate) mod feed;
pub(crate) mod mysql;
mod near;
pub(crate) mod postgres;
pub(crate) mod sqlite;
pub(crate) mod tenant;

use std::time::Duration;

use crate::{Error, Result};

/// What was found at a target before anything was done to it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Each of them keeps the backup from being restored there.
    pub(crate) problems: Vec<String>,
    /// What a person should know though it can be restored.
    pub(crate) warnings: Vec<String>,
}

impl Findings {
    /// Notes what keeps the backup from being restored.
    pub(crate) fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Notes what a person should know.
    pub(crate) fn warning(&mut self, warning: impl Into<String>) {
        let warning = warning.into();
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// An error that tells every problem, when there is one.
    pub(crate) fn refuse(&self, place: &str) -> Result<()> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let many = match self.problems.len() {
            1 => "for a reason".to_owned(),
            many => format!("for {many} reasons"),
        };
        let mut message = format!("the backup cannot be restored into {place}, {many}:");
        for problem in &self.problems {
            message.push_str("\n  ");
            message.push_str(problem);
        }
        Err(Error::configuration(message)
            .hint("Nothing was executed. Correct what is named, then run the command again."))
    }
}

/// One table, as counted while it was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadedTable {
    /// The schema, where the engine has such a thing.
    pub(crate) schema: Option<String>,
    /// The table's name.
    pub(crate) name: String,
    /// Its name at the target, where that is another one.
    pub(crate) renamed: Option<String>,
    /// Rows that the target took.
    pub(crate) rows: u64,
    /// Bytes of the section that holds them.
    pub(crate) bytes: u64,
    /// From the first to the last row.
    pub(crate) took: Duration,
}

/// What was loaded.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The tables, in the order of the dump.
    pub(crate) tables: Vec<LoadedTable>,
    /// Statements that were executed, blocks of rows included.
    pub(crate) statements: u64,
    /// What a person should know of the data that was loaded.
    pub(crate) warnings: Vec<String>,
}
