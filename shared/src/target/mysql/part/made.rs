//! What a restore of single tables has made, and how it is taken away again after an error.
//!
//! Only what this run made is dropped. The hidden name tells: where it is there, the table has not got its own name, and
//! whatever has that one is somebody else's.

use super::held::Held;
use crate::source::mysql::quoting::identifier;
use crate::source::mysql::session::Session;
use crate::target::mysql::Load;
use crate::{Error, Result};

/// What was made so far, for its end.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// Hidden name and name in the end.
    pub(super) tables: Vec<(String, String)>,
    /// The tables were about to get their names.
    pub(super) renaming: bool,
    /// Names.
    pub(super) sequences: Vec<String>,
}

impl Made {
    /// Drops again what was made, over a session of its own, and says with the error what is there now.
    pub(crate) async fn undo(self, error: Error, load: &Load<'_>) -> Error {
        let left = self.drop_all(load).await;
        let before = error.hint_text().map(|hint| format!("{hint} ")).unwrap_or_default();
        match left {
            Ok(()) if self.tables.is_empty() && self.sequences.is_empty() => {
                error.hint(format!("{before}Nothing was made."))
            }
            Ok(()) => error.hint(format!("{before}What had been made was dropped again; nothing of it is there.")),
            Err(why) => {
                let hidden = self.tables.iter().map(|(hidden, _)| identifier(hidden));
                let names: Vec<String> = hidden.chain(self.sequences.iter().map(|it| identifier(it))).collect();
                error.hint(format!(
                    "{before}What had been made could not be dropped again ({}); look for {} and drop it by hand.",
                    why.chain(),
                    names.join(", ")
                ))
            }
        }
    }

    async fn drop_all(&self, load: &Load<'_>) -> Result<()> {
        if self.tables.is_empty() && self.sequences.is_empty() {
            return Ok(());
        }
        let mut session = Session::open(load.server, load.limits).await?;
        session.run("SET SESSION foreign_key_checks = 0").await?;
        let held = Held::read(&mut session).await?;
        for (hidden, name) in &self.tables {
            // Where the hidden name is gone, the table has its own one.
            let there = if held.has_table(hidden) {
                hidden
            } else if self.renaming && held.has_table(name) {
                name
            } else {
                continue;
            };
            session.run(&format!("DROP TABLE {}", identifier(there))).await?;
        }
        for sequence in &self.sequences {
            session.run(&format!("DROP SEQUENCE IF EXISTS {}", identifier(sequence))).await?;
        }
        Ok(())
    }
}
