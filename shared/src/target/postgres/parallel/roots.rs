//! Partitions and tables that inherit: the server locks along their line, and some statements are not for them.

use std::collections::{HashMap, HashSet};

use crate::target::postgres::names::{Statement, Words};

/// Which table hangs below which.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// Sets of tables that hang together, each named by one of them.
    above: HashMap<String, String>,
    /// All that hang together with others, or may.
    several: HashSet<String>,
}

impl Roots {
    /// Looks at a definition.
    pub(super) fn see(&mut self, sql: &str) {
        if !["PARTITION", "INHERITS"].iter().any(|word| sql.contains(word)) {
            return;
        }
        let statement = Statement::new(sql);
        let mut words = Words::new(&statement);
        if words.take(&["CREATE"])
            && {
                words.take(&["UNLOGGED"]);
                words.take(&["TABLE"])
            }
            && let Some(table) = words.name()
            && words.find(&["PARTITION", "BY"])
        {
            self.several.insert(table.quoted());
        }
        words.at = 0;
        if words.take(&["ALTER", "TABLE"]) {
            words.take(&["ONLY"]);
            if let Some(parent) = words.name()
                && words.take(&["ATTACH", "PARTITION"])
                && let Some(child) = words.name()
            {
                self.join(child.quoted(), parent.quoted());
            }
        } else if let Some((child, parents)) = statement.inherits() {
            for parent in parents {
                self.join(child.quoted(), parent.quoted());
            }
        }
    }

    /// Whether the table is partitioned, or hangs together with others.
    pub(super) fn hangs(&self, table: &str) -> bool {
        self.several.contains(table)
    }

    fn join(&mut self, child: String, parent: String) {
        self.several.extend([child.clone(), parent.clone()]);
        let (child, parent) = (self.of(&child), self.of(&parent));
        if child != parent {
            self.above.insert(child, parent);
        }
    }

    /// What stands for the table and all that hang together with it.
    pub(super) fn of(&self, table: &str) -> String {
        let mut at = table;
        while let Some(above) = self.above.get(at) {
            at = above;
        }
        at.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_and_heirs_count_as_their_root() {
        let mut roots = Roots::default();
        for sql in [
            "ALTER TABLE ONLY public.mid ATTACH PARTITION \"public\".\"leaf\" FOR VALUES IN (1);",
            "ALTER TABLE ONLY public.top ATTACH PARTITION \"public\".\"mid\" FOR VALUES IN (1);",
            "CREATE TABLE \"public\".\"heir\" (\n    \"INHERITS\" integer\n)\nINHERITS (public.one, public.top);",
        ] {
            roots.see(sql);
        }
        let all: HashSet<String> =
            ["leaf", "mid", "top", "heir", "one"].iter().map(|it| roots.of(&format!("\"public\".\"{it}\""))).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(roots.of("\"public\".\"other\""), "\"public\".\"other\"");
    }
}
