//! Which paths belong to a file set: its include and exclude globs.

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::config::FileSetConfig;
use crate::{Error, Result};

/// The compiled globs of a set.
#[derive(Debug)]
pub(super) struct Filter {
    /// `None` = everything.
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Filter {
    /// Compiles the globs; one that is wrong or could never match is a configuration error that names it.
    pub(super) fn new(set: &FileSetConfig) -> Result<Self> {
        Ok(Self {
            include: if set.include.is_empty() { None } else { Some(compile(&set.name, "include", &set.include)?) },
            exclude: compile(&set.name, "exclude", &set.exclude)?,
        })
    }

    /// Whether all that is not excluded is included.
    pub(super) fn takes_everything(&self) -> bool {
        self.include.is_none()
    }

    /// Whether `path`, relative to the root, matches an include.
    pub(super) fn includes(&self, path: &[u8]) -> bool {
        self.include.as_ref().is_none_or(|globs| globs.is_match_candidate(&Candidate::from_bytes(path)))
    }

    /// Whether `path`, relative to the root, matches an exclude.
    pub(super) fn excludes(&self, path: &[u8]) -> bool {
        self.exclude.is_match_candidate(&Candidate::from_bytes(path))
    }
}

fn compile(set: &str, kind: &str, globs: &[String]) -> Result<GlobSet> {
    let wrong = |glob: &str, why: String| {
        Error::configuration(format!("the {kind} glob {glob:?} of the file set {set:?} {why}"))
            .hint("Globs are relative to the set's root, such as `uploads/**` or `**/*.log`; `*` stops at `/`.")
    };
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        // `cache/` means the directory; paths are matched without the slash.
        let pattern = glob.strip_suffix('/').unwrap_or(glob);
        if pattern.is_empty() {
            return Err(wrong(glob, "is empty".to_owned()));
        }
        if pattern.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(wrong(glob, "is not relative to the root, so it would never match".to_owned()));
        }
        let compiled = GlobBuilder::new(pattern).literal_separator(true).build();
        builder.add(compiled.map_err(|error| wrong(glob, format!("is not valid: {}", error.kind())))?);
    }
    builder.build().map_err(|error| {
        Error::configuration(format!("the {kind} globs of the file set {set:?} cannot be used")).because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn a_filter(include: &[&str], exclude: &[&str]) -> Result<Filter> {
        let owned = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
        Filter::new(&FileSetConfig {
            name: "app".to_owned(),
            root: "/".into(),
            include: owned(include),
            exclude: owned(exclude),
        })
    }

    #[test]
    fn globs_match_paths_relative_to_the_root() {
        let filter = a_filter(&["uploads/**", "*.env", "a/[bc]?"], &["**/*.log", "cache/"]).unwrap();
        for path in ["uploads/x", "uploads/a/b/c", ".env", "a/bz"] {
            assert!(filter.includes(path.as_bytes()), "{path}");
        }
        for path in ["uploads", "sub/.env", "a/dz", "UPLOADS/x", "other"] {
            assert!(!filter.includes(path.as_bytes()), "{path}");
        }
        assert!(filter.excludes(b"x.log") && filter.excludes(b"a/b/x.log") && filter.excludes(b"cache"));
        assert!(!filter.excludes(b"a/cache") && !filter.excludes(b"x.log.txt"));
        // Any bytes and line ends are parts of names.
        assert!(filter.includes(b"uploads/\xff\n") && filter.excludes(b"a\nb/\xff.log"));
    }

    #[test]
    fn a_glob_that_is_wrong_is_named() {
        for glob in ["a[", "{a", "", "/etc/**", "./a", "../a", "a//b", "/"] {
            for (include, exclude) in [(vec![glob], vec![]), (vec![], vec![glob])] {
                let error = a_filter(&include, &exclude).unwrap_err();
                assert_eq!(error.class(), Class::Configuration, "{glob}");
                assert!(error.to_string().contains(&format!("{glob:?}")), "{error}");
            }
        }
    }
}
