//! The variables of this process, read once, and the file that may add to them.

use std::collections::BTreeMap;
use std::path::Path;

use nightvault_core::{Class, Error};

/// All variables there are.
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// A variable of ours that is no UTF-8: it would else count as unset.
    pub(crate) fn read() -> Result<Self, Error> {
        let mut variables = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => _ = variables.insert(name, value),
                Err(_)
                    if ["BACKUP_", "DB_", "DATABASE_", "AWS_", "SLACK_"].iter().any(|ours| name.starts_with(ours)) =>
                {
                    return Err(Error::configuration(format!("{name} is no UTF-8")));
                }
                Err(_) => {}
            }
        }
        Ok(Self(variables))
    }

    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// The names of all of them.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

/// Who runs this, as `user@host`, for the audit trail. It is what the machine says of itself, and no proof.
#[expect(clippy::disallowed_methods, reason = "a door reads the environment")]
pub(crate) fn who() -> String {
    let of = |names: &[&str]| names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let user = of(&["USER", "LOGNAME", "USERNAME"]).or_else(uid);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| of(&["HOSTNAME", "COMPUTERNAME"]));
    let or_unknown = |text: Option<String>| text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned());
    format!("{}@{}", or_unknown(user), or_unknown(host))
}

/// The number of this process's user, where a system has such a thing.
fn uid() -> Option<String> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata("/proc/self").ok().map(|process| format!("uid-{}", process.uid()))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Adds the variables of a file to those of the process, without touching any that is set already.
///
/// # Errors
/// The file's name and what is wrong with it; never a line of it, which may hold a secret.
pub(crate) fn load_file(path: &Path) -> Result<(), Error> {
    dotenvy::from_path(path).map_err(|error| describe(path, &error))
}

fn describe(path: &Path, error: &dotenvy::Error) -> Error {
    match error {
        dotenvy::Error::Io(cause) => Error::configuration(format!("cannot read {}", path.display()))
            .because(std::io::Error::new(cause.kind(), cause.to_string()))
            .hint("--env-file takes a readable file with a line NAME=value for each variable."),
        dotenvy::Error::LineParse(line, _) => {
            // The name in front of the '=' is no secret; what follows it may be.
            let name: String = line.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let place = if name.is_empty() || !line.contains('=') {
                "a line that is no NAME=value".to_owned()
            } else {
                format!("the line of {name}, which cannot be read")
            };
            Error::configuration(format!("{} has {place}", path.display())).hint(
                "Put values with blanks, quotes, '#' or '$' in single quotes: NAME='value'; a '\\' needs another before it.",
            )
        }
        _ => Error::new(Class::Configuration, format!("{} cannot be read", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_cannot_be_read_is_named_without_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        for (text, word) in [("DB_PASSWORD='canary\n", "DB_PASSWORD"), ("canary canary\n", "no NAME=value")] {
            std::fs::write(&file, text).unwrap();
            let error = load_file(&file).unwrap_err();
            let shown = format!("{} {:?}", error.chain(), error.hint_text());
            assert!(shown.contains(word) && !shown.contains("canary"), "{shown}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_a_configuration_error() {
        let error = load_file(Path::new("/nowhere/.env")).unwrap_err();
        assert_eq!(error.class(), Class::Configuration);
        assert!(error.chain().contains("/nowhere/.env"));
    }
}
