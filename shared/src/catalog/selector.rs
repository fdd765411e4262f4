//! How a person names a backup: `latest`, its key, or as much of its date as tells it from all others.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;

use super::{Backup, Catalog, EXTENSION};
use crate::{Class, Error, Result};

/// So many backups are named when a date fits several.
const NAMED: usize = 5;

/// Which backups are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The newest that is not dated in the future.
    Latest,
    /// Every one.
    All,
    /// One: its key, its file name, or the beginning of its date, e.g. `2024-01-15` or `2024-01-15T02:00`.
    Named(String),
    /// An archive that lies anywhere: what begins with `/`, `./` or `../`, as no key does.
    Path(PathBuf),
}

impl From<&str> for Selector {
    fn from(text: &str) -> Self {
        match text {
            "latest" => Self::Latest,
            path if ["/", "./", "../"].iter().any(|start| path.starts_with(start)) => Self::Path(path.into()),
            name => Self::Named(name.to_owned()),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("the latest backup"),
            Self::All => f.write_str("all backups"),
            Self::Named(name) => write!(f, "{name:?}"),
            Self::Path(path) => write!(f, "{path:?}"),
        }
    }
}

impl Catalog {
    /// The backups that are meant, newest first; never none.
    ///
    /// # Errors
    /// [`Class::NotFound`] when there is none; [`Class::Configuration`] when a date fits several.
    pub fn select(&self, selector: &Selector, now: Timestamp) -> Result<Vec<&Backup>> {
        let found: Vec<&Backup> = match selector {
            Selector::All => self.backups.iter().collect(),
            Selector::Latest => self.newest(now).into_iter().collect(),
            // A catalog holds what lies under a name on a disk.
            Selector::Path(_) => Vec::new(),
            Selector::Named(name) => return self.named(name, now).map(|backup| vec![backup]),
        };
        if found.is_empty() { Err(self.absent(selector, now)) } else { Ok(found) }
    }

    fn named(&self, name: &str, now: Timestamp) -> Result<&Backup> {
        let is_file = |backup: &&Backup| {
            let key = backup.object.key.as_str();
            let file = key.rsplit('/').next().unwrap_or(key);
            [key, file, file.strip_suffix(EXTENSION).unwrap_or(file)].contains(&name)
        };
        if let Some(backup) = self.backups.iter().find(is_file) {
            return Ok(backup);
        }
        let steps = steps(name);
        let fits = |backup: &&Backup| match &steps {
            Some(steps) => backup.key.date_steps().starts_with(steps),
            None => false,
        };
        match self.backups.iter().filter(fits).collect::<Vec<_>>().as_slice() {
            [] => Err(self.absent(&Selector::Named(name.to_owned()), now)),
            [backup] => Ok(backup),
            several => {
                let keys: Vec<&str> = several.iter().take(NAMED).map(|backup| backup.object.key.as_str()).collect();
                let more = if several.len() > NAMED { ", …" } else { "" };
                Err(Error::configuration(format!("{name:?} fits {} backups: {}{more}", several.len(), keys.join(", ")))
                    .hint("Name one of them, or more of its date."))
            }
        }
    }

    fn absent(&self, selector: &Selector, now: Timestamp) -> Error {
        let error = Error::new(Class::NotFound, format!("there is no backup to be found for {selector}"));
        match self.newest(now) {
            Some(newest) => {
                error.hint(format!("`nightvault list` shows what is there; the newest is {}.", newest.object.key))
            }
            None => error.hint("There is no backup at all under this name; check BACKUP_NAME and the disk."),
        }
    }
}

/// The steps of a date as far as it is given, each two digits (the year four); also as `2024-01-15T02:00` or with a blank.
fn steps(text: &str) -> Option<Vec<String>> {
    let steps: Vec<&str> = text.trim_end_matches('Z').split(['-', 'T', ' ', ':']).collect();
    let right = |(at, step): (usize, &&str)| {
        step.len() == if at == 0 { 4 } else { 2 } && step.bytes().all(|byte| byte.is_ascii_digit())
    };
    (steps.len() <= 6 && steps.iter().enumerate().all(right)).then(|| steps.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::super::BackupKey;
    use super::*;
    use crate::store::Object;

    const NOW: &str = "2024-02-01T00:00:00Z";

    fn catalog(files: &[&str]) -> Catalog {
        let backup = |file: &&str| {
            let key = format!("clinic/{file}.zip");
            Backup {
                key: BackupKey::parse("clinic", "", &key, &TimeZone::UTC).unwrap(),
                object: Object { key, size: 1, modified: Timestamp::UNIX_EPOCH, etag: None },
            }
        };
        let mut backups: Vec<Backup> = files.iter().map(backup).collect();
        backups.sort_by_key(|backup| std::cmp::Reverse(backup.key.date()));
        Catalog { backups, foreign: Vec::new() }
    }

    fn select(catalog: &Catalog, text: &str) -> Result<Vec<String>> {
        let found = catalog.select(&text.into(), NOW.parse().unwrap())?;
        Ok(found.into_iter().map(|backup| backup.object.key.clone()).collect())
    }

    #[test]
    fn a_backup_is_named_by_its_key_or_by_as_much_of_its_date_as_is_needed() {
        let catalog =
            catalog(&["2024-01-15-02-00-00", "2024-01-16-02-00-00", "2024-01-16-14-00-00", "2023-12-31-02-00-00"]);
        for (name, key) in [
            ("latest", "clinic/2024-01-16-14-00-00.zip"),
            ("clinic/2024-01-15-02-00-00.zip", "clinic/2024-01-15-02-00-00.zip"),
            ("2024-01-15-02-00-00.zip", "clinic/2024-01-15-02-00-00.zip"),
            ("2024-01-15-02-00-00", "clinic/2024-01-15-02-00-00.zip"),
            ("2024-01-15", "clinic/2024-01-15-02-00-00.zip"),
            ("2024-01-16-14", "clinic/2024-01-16-14-00-00.zip"),
            ("2024-01-16T02:00:00Z", "clinic/2024-01-16-02-00-00.zip"),
            ("2024-01-16 02:00", "clinic/2024-01-16-02-00-00.zip"),
            ("2023", "clinic/2023-12-31-02-00-00.zip"),
        ] {
            assert_eq!(select(&catalog, name).unwrap(), [key], "{name}");
        }
    }

    #[test]
    fn what_begins_as_a_path_is_one_and_is_no_backup_of_a_catalog() {
        for path in ["/mnt/a.zip", "./clinic/2024-01-15-02-00-00.zip", "../a.zip"] {
            assert_eq!(Selector::from(path), Selector::Path(path.into()));
            let error = select(&catalog(&["2024-01-15-02-00-00"]), path).unwrap_err();
            assert_eq!(error.class(), Class::NotFound);
        }
        assert_eq!(Selector::from("clinic/a.zip"), Selector::Named("clinic/a.zip".into()));
    }

    #[test]
    fn a_date_that_fits_several_is_refused_and_they_are_named() {
        let catalog = catalog(&["2024-01-16-02-00-00", "2024-01-16-14-00-00"]);
        let error = select(&catalog, "2024-01-16").unwrap_err();
        assert_eq!(error.class(), Class::Configuration);
        assert!(
            error.to_string().contains("clinic/2024-01-16-14-00-00.zip, clinic/2024-01-16-02-00-00.zip"),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let there = catalog(&["2024-01-16-02-00-00"]);
        for name in ["2024-01-1", "2024-01-17", "", "yesterday", "2024-01-16-02-00-00-00", "20", "clinic", "../x"] {
            let error = select(&there, name).unwrap_err();
            assert_eq!(error.class(), Class::NotFound, "{name}");
            assert!(error.hint_text().unwrap().contains("clinic/2024-01-16-02-00-00.zip"), "{error:?}");
        }
        let error = select(&catalog(&[]), "latest").unwrap_err();
        assert!(error.hint_text().unwrap().contains("no backup at all"), "{error:?}");
    }

    #[test]
    fn the_latest_is_never_one_of_the_future_and_all_are_all() {
        let catalog = catalog(&["2024-01-16-02-00-00", "2099-01-01-00-00-00"]);
        assert_eq!(select(&catalog, "latest").unwrap(), ["clinic/2024-01-16-02-00-00.zip"]);
        assert_eq!(catalog.select(&Selector::All, NOW.parse().unwrap()).unwrap().len(), 2);
    }
}
