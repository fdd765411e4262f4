//! The file sets: names, roots and globs. Whether a root is there is told when it is walked.

use std::path::Path;

use super::FileSetConfig;
use super::raw::{Raw, is_word};

pub(super) fn read(raw: &mut Raw<'_>) -> Vec<FileSetConfig> {
    let include = read_globs(raw, "BACKUP_FILES_INCLUDE");
    let exclude = read_globs(raw, "BACKUP_FILES_EXCLUDE");
    let mut sets: Vec<FileSetConfig> = Vec::new();
    for item in raw.list("BACKUP_FILES") {
        match parse(&item) {
            Ok((name, _)) if sets.iter().any(|set| set.name == name) => {
                raw.problem("BACKUP_FILES", format!("has two sets named {name:?}; give them names: name=/path"));
            }
            Ok((name, root)) => {
                let (include, exclude) = (include.clone(), exclude.clone());
                sets.push(FileSetConfig { name: name.into(), root: root.into(), include, exclude });
            }
            Err(wrong) => raw.problem("BACKUP_FILES", wrong),
        }
    }
    sets
}

/// The name and the root of `name=/path` or `/path`, whose name is its last part.
fn parse(item: &str) -> Result<(&str, &str), String> {
    let (name, root) = match item.split_once('=') {
        Some((name, root)) if !item.starts_with('/') => (Some(name.trim()), root.trim()),
        _ => (None, item),
    };
    if !Path::new(root).is_absolute() {
        return Err(format!("has the path {root:?}, which is not absolute"));
    }
    let name = match name {
        Some(name) => name,
        None => Path::new(root).file_name().and_then(|name| name.to_str()).unwrap_or_default(),
    };
    if !is_word(name) {
        return Err(format!("has a set named {name:?}; a name has letters, digits, '.', '_' and '-': name=/path"));
    }
    Ok((name, root))
}

fn read_globs(raw: &mut Raw<'_>, variable: &str) -> Vec<String> {
    let globs = split_globs(&raw.text(variable).unwrap_or_default());
    for glob in &globs {
        if let Err(error) = globset::Glob::new(glob) {
            raw.problem(variable, format!("has the glob {glob:?}: {}", error.kind()));
        }
    }
    globs
}

/// Splits at commas, save those within `{…}` and `[…]`, which belong to a glob.
fn split_globs(text: &str) -> Vec<String> {
    let (mut globs, mut depth) = (vec![String::new()], 0_u32);
    for c in text.chars() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                globs.push(String::new());
                continue;
            }
            _ => {}
        }
        globs.last_mut().expect("there is always one").push(c);
    }
    globs.into_iter().map(|glob| glob.trim().to_owned()).filter(|glob| !glob.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_braces_belongs_to_the_glob() {
        assert_eq!(split_globs("*.{jpg,png}, cache/**,,"), ["*.{jpg,png}", "cache/**"]);
    }

    #[test]
    fn a_path_without_a_name_is_named_after_its_last_part() {
        assert_eq!(parse("/srv/app/storage"), Ok(("storage", "/srv/app/storage")));
        assert_eq!(parse("docs=/srv/a=b"), Ok(("docs", "/srv/a=b")));
        assert_eq!(parse("/srv/a-b"), Ok(("a-b", "/srv/a-b")));
        for wrong in ["/", "storage", "a/b=/srv", "=/srv", "/srv/a b", "x=../srv"] {
            parse(wrong).unwrap_err();
        }
    }
}
