//! Where the servers' binaries are, and of which version.

use std::path::{Path, PathBuf};

use super::{Kind, cannot_run};
use crate::{Error, Result};

/// Folders in which packages put servers; `*` stands for one step of any name.
const USUAL: &[&str] = &[
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/*/bin",
    "/usr/local/opt/*/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/usr/libexec",
];

/// Programs of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    /// The folder of the server.
    folder: PathBuf,
    /// The folder of what sets it up, where that is another one.
    tools: PathBuf,
    /// Major and minor version.
    pub(super) version: (u32, u32),
}

impl Binaries {
    /// The server, or what stands beside it.
    pub(super) fn server(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    /// A program that sets it up.
    pub(super) fn tool(&self, program: &str) -> PathBuf {
        self.tools.join(program)
    }
}

/// The installation that fits the source best: its own version, else the next newer one, else the newest.
pub(super) async fn find(kind: Kind, source: &str, search: &[PathBuf]) -> Result<Binaries> {
    let (server, tool, name) = match kind {
        Kind::Postgres => ("postgres", "initdb", "PostgreSQL (initdb, postgres, pg_ctl)"),
        Kind::MariaDb => ("mariadbd", "mariadb-install-db", "MariaDB (mariadb-install-db, mariadbd)"),
    };
    let mut folders: Vec<PathBuf> = search.iter().filter(|folder| folder.is_absolute()).cloned().collect();
    folders.extend(USUAL.iter().flat_map(|pattern| expand(pattern)));
    let tools = folders.iter().find(|folder| folder.join(tool).is_file()).cloned();
    let mut found: Vec<Binaries> = Vec::new();
    for folder in folders {
        let program = folder.join(server);
        // PostgreSQL's tools must be those of the same version; MariaDB's stand in another folder.
        let tools = match kind {
            Kind::Postgres => folder.join(tool).is_file().then(|| folder.clone()),
            Kind::MariaDb => tools.clone(),
        };
        let Some(tools) = tools.filter(|_| program.is_file()) else { continue };
        if let Some(version) = version(&program).await? {
            found.push(Binaries { folder, tools, version });
        }
    }
    let wanted = numbers(source).unwrap_or((0, 0));
    best(found, wanted).ok_or_else(|| {
        Error::configuration(format!("{name} is not installed here")).hint("Install it, or give a server with --to.")
    })
}

fn best(mut found: Vec<Binaries>, wanted: (u32, u32)) -> Option<Binaries> {
    found.sort_by_key(|it| it.version);
    let same = found.iter().find(|it| it.version.0 == wanted.0 && it.version >= wanted);
    let newer = found.iter().find(|it| it.version >= wanted);
    same.or(newer).or(found.last()).cloned()
}

async fn version(program: &Path) -> Result<Option<(u32, u32)>> {
    let mut command = tokio::process::Command::new(program);
    let said =
        command.arg("--version").output().await.map_err(|error| cannot_run(&program.display().to_string(), error))?;
    Ok(numbers(&String::from_utf8_lossy(&said.stdout)))
}

/// The first `major.minor` of a text.
fn numbers(text: &str) -> Option<(u32, u32)> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let mut numbers = word.split('.');
        let major = numbers.next()?.parse().ok()?;
        Some((major, numbers.next().unwrap_or("0").parse().ok()?))
    })
}

/// The folders that a pattern means, in the order of their names.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = std::fs::read_dir(if parent.is_empty() { "/" } else { parent }) else { return Vec::new() };
    let fits = |name: &std::ffi::OsString| name.to_str().is_some_and(|name| name.starts_with(prefix));
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).filter(fits).collect();
    names.sort();
    let path = |name: std::ffi::OsString| PathBuf::from(format!("{}{after}", Path::new(parent).join(name).display()));
    names.into_iter().map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_out_of_what_programs_say() {
        for (text, expected) in [
            ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", Some((15, 14))),
            ("mariadbd  Ver 10.11.14-MariaDB-0+deb12u2 for debian-linux-gnu on x86_64", Some((10, 11))),
            ("postgres (PostgreSQL) 18beta1", Some((18, 0))),
            ("nothing", None),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
    }

    #[test]
    fn the_version_of_the_source_is_taken_or_the_next_newer_one() {
        let of = |version| Binaries { folder: "/a".into(), tools: "/a".into(), version };
        let all = || vec![of((18, 1)), of((13, 2)), of((15, 3)), of((16, 0))];
        for (wanted, expected) in [((15, 1), (15, 3)), ((14, 9), (15, 3)), ((15, 9), (16, 0)), ((19, 0), (18, 1))] {
            assert_eq!(best(all(), wanted).unwrap().version, expected, "{wanted:?}");
        }
        assert_eq!(best(Vec::new(), (1, 0)), None);
    }
}
