//! Which entries are meant by names of databases and file sets and by globs.

use std::collections::HashSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::Extraction;
use crate::archive::manifest::{IndexEntry, Manifest};
use crate::{Class, Error, Result};

/// What was asked for, its globs compiled.
#[derive(Debug)]
pub(super) struct Filter {
    databases: Vec<String>,
    files: Vec<String>,
    patterns: Vec<String>,
    globs: GlobSet,
}

impl Filter {
    /// Compiles the globs.
    pub(super) fn new(extraction: &Extraction) -> Result<Self> {
        let mut globs = GlobSetBuilder::new();
        for pattern in &extraction.patterns {
            let wrong = |error| {
                Error::configuration(format!("the pattern {pattern:?} cannot be read"))
                    .hint("Patterns are globs on the entries' names, such as `files/docs/2024/**`; `*` stops at `/`.")
                    .because(error)
            };
            // `files/docs/` means the directory and what is in it.
            for form in forms(pattern) {
                globs.add(
                    GlobBuilder::new(&form).literal_separator(true).backslash_escape(true).build().map_err(wrong)?,
                );
            }
        }
        let globs = globs.build().map_err(|error| Error::configuration("too many patterns").because(error))?;
        let Extraction { databases, files, patterns, .. } = extraction.clone();
        Ok(Self { databases, files, patterns, globs })
    }

    /// All of these file sets.
    pub(super) fn file_sets(names: &[String]) -> Self {
        Self { databases: Vec::new(), files: names.to_vec(), patterns: Vec::new(), globs: GlobSet::empty() }
    }

    /// The numbers of the entries that are meant, and of the directories that they lie in.
    pub(super) fn select(&self, manifest: &Manifest, index: &[IndexEntry]) -> Result<Vec<usize>> {
        self.check_names(manifest)?;
        let everything = self.databases.is_empty() && self.files.is_empty();
        let dumps = manifest.databases.iter().filter(|it| everything || self.databases.contains(&it.name));
        let dumps: HashSet<&str> = dumps.map(|database| database.entry.as_str()).collect();
        let of_set = |name: &str| {
            let set = name.strip_prefix("files/").and_then(|rest| rest.split('/').next());
            set.is_some_and(|set| everything || self.files.iter().any(|wanted| wanted == set))
        };
        let matches = |name: &str| self.patterns.is_empty() || self.globs.is_match(name.trim_end_matches('/'));
        let meant: HashSet<&str> = index
            .iter()
            .map(|entry| entry.name.as_str())
            .filter(|name| (dumps.contains(name) || of_set(name)) && matches(name))
            .collect();
        if meant.is_empty() && !self.patterns.is_empty() {
            return Err(Error::new(Class::NotFound, format!("no entry matches {}", self.patterns.join(" or "))).hint(
                "`nightvault show` names the databases and file sets; entries are named as in `files/<set>/<path>`.",
            ));
        }
        let parents: HashSet<&str> = meant.iter().flat_map(|name| directories(name)).collect();
        let selected =
            |entry: &IndexEntry| meant.contains(entry.name.as_str()) || parents.contains(entry.name.as_str());
        Ok(index.iter().enumerate().filter(|(_, entry)| selected(entry)).map(|(number, _)| number).collect())
    }

    /// The same for the entries of another program's archive, which knows of no databases and file sets.
    pub(super) fn select_foreign(&self, names: &[&str]) -> Result<Vec<usize>> {
        if !self.databases.is_empty() || !self.files.is_empty() {
            return Err(Error::configuration(
                "another program wrote this archive: it has no databases and file sets by name",
            )
            .hint("`nightvault show` names its entries; say which by patterns, such as 'db-dumps/**'."));
        }
        let matches = |name: &str| self.patterns.is_empty() || self.globs.is_match(name.trim_end_matches('/'));
        let meant: HashSet<&str> = names.iter().copied().filter(|name| matches(name)).collect();
        if meant.is_empty() {
            return Err(Error::new(Class::NotFound, format!("no entry matches {}", self.patterns.join(" or ")))
                .hint("`nightvault show` names the entries."));
        }
        let parents: HashSet<&str> = meant.iter().flat_map(|name| directories(name)).collect();
        let selected = |name: &str| meant.contains(name) || parents.contains(name);
        Ok(names.iter().enumerate().filter(|(_, name)| selected(name)).map(|(number, _)| number).collect())
    }

    fn check_names(&self, manifest: &Manifest) -> Result<()> {
        let databases: Vec<&str> = manifest.databases.iter().map(|database| database.name.as_str()).collect();
        let sets: Vec<&str> = manifest.files.iter().map(|set| set.name.as_str()).collect();
        for (what, wanted, there) in [("database", &self.databases, databases), ("file set", &self.files, sets)] {
            if let Some(unknown) = wanted.iter().find(|name| !there.contains(&name.as_str())) {
                let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                return Err(Error::new(Class::NotFound, format!("there is no {what} {unknown:?} in this backup"))
                    .hint(format!("It has: {there}.")));
            }
        }
        Ok(())
    }
}

/// The globs that a pattern stands for: itself, and all below it where it names a directory.
fn forms(pattern: &str) -> Vec<String> {
    let pattern = pattern.trim_end_matches('/');
    vec![pattern.to_owned(), format!("{pattern}/**")]
}

/// The names of the directories above an entry.
fn directories(name: &str) -> impl Iterator<Item = &str> {
    let inner = name.trim_end_matches('/');
    inner.match_indices('/').map(|(at, _)| &name[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tests::manifest;
    use crate::catalog::Selector;
    use crate::operation::Wanted;

    fn select(databases: &[&str], files: &[&str], patterns: &[&str]) -> Result<Vec<&'static str>> {
        const NAMES: [&str; 9] = [
            "db-dumps/clinic.sql",
            "db-dumps/crm.sql",
            "files/docs/",
            "files/docs/2024/",
            "files/docs/2024/a.pdf",
            "files/docs/b.pdf",
            "files/docs/empty/",
            "files/docs-2/b.pdf",
            "files/docs-2/c[1].txt",
        ];
        let mut manifest = manifest();
        for name in ["clinic", "crm"] {
            manifest.databases.push(serde_json::from_value(serde_json::json!({
                "name": name, "engine": "PostgreSQL", "server_version": "15", "entry": format!("db-dumps/{name}.sql"),
                "snapshot": {}, "tables": [], "objects": {}, "warnings": [], "rows": 0, "raw_bytes": 0,
                "stored_bytes": 0, "sha256": "",
            })).unwrap());
        }
        for name in ["docs", "docs-2"] {
            manifest.files.push(
                serde_json::from_value(serde_json::json!({
                    "name": name, "files": 0, "directories": 0, "symlinks": 0, "raw_bytes": 0, "stored_bytes": 0,
                    "problems": [],
                }))
                .unwrap(),
            );
        }
        let index = NAMES.map(|name| IndexEntry {
            name: name.into(),
            mode: 0,
            modified: 0,
            bytes: 0,
            stored_bytes: 0,
            sha256: String::new(),
            pieces: vec![],
        });
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let filter = Filter::new(&Extraction {
            of: Wanted { backup: Selector::Latest, disks: vec![] },
            to: "/nowhere".into(),
            databases: owned(databases),
            files: owned(files),
            patterns: owned(patterns),
            gunzip: false,
        })?;
        Ok(filter.select(&manifest, &index)?.into_iter().map(|number| NAMES[number]).collect())
    }

    #[test]
    fn nothing_named_means_everything() {
        assert_eq!(select(&[], &[], &[]).unwrap().len(), 9);
    }

    #[test]
    fn databases_and_file_sets_are_named_exactly() {
        assert_eq!(select(&["crm"], &[], &[]).unwrap(), ["db-dumps/crm.sql"]);
        assert_eq!(select(&[], &["docs-2"], &[]).unwrap(), ["files/docs-2/b.pdf", "files/docs-2/c[1].txt"]);
        assert_eq!(select(&["crm"], &["docs-2"], &[]).unwrap().len(), 3);
    }

    #[test]
    fn globs_take_what_matches_and_the_directories_above_it() {
        assert_eq!(select(&[], &[], &["**/*.sql"]).unwrap(), ["db-dumps/clinic.sql", "db-dumps/crm.sql"]);
        let a = ["files/docs/", "files/docs/2024/", "files/docs/2024/a.pdf"];
        for pattern in ["files/docs/2024", "files/docs/2024/", "files/docs/2024/**", "files/*/2024/?.pdf"] {
            assert_eq!(select(&[], &[], &[pattern]).unwrap(), a, "{pattern}");
        }
        assert_eq!(select(&[], &["docs"], &["**/b.pdf"]).unwrap(), ["files/docs/", "files/docs/b.pdf"]);
        assert_eq!(select(&[], &[], &["files/docs-2/c\\[1\\].txt"]).unwrap(), ["files/docs-2/c[1].txt"]);
    }

    #[test]
    fn what_is_not_there_is_told() {
        for (databases, files, patterns, word) in [
            (vec!["nope"], vec![], vec![], "database"),
            (vec![], vec!["doc"], vec![], "file set"),
            (vec![], vec![], vec!["*.exe"], "no entry matches"),
            (vec!["crm"], vec![], vec!["files/**"], "no entry matches"),
        ] {
            let error = select(&databases, &files, &patterns).unwrap_err();
            assert_eq!(error.class(), Class::NotFound, "{error:?}");
            assert!(error.to_string().contains(word), "{error:?}");
        }
        assert_eq!(select(&[], &[], &["["]).unwrap_err().class(), Class::Configuration);
    }
}
