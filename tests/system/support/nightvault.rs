//! The built `nightvault` command, run as an operator runs it: a clean environment, variables, arguments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::{given, mariadb, program};

/// A password that nothing refuses.
pub(crate) const PASSWORD: &str = "correct-horse-battery-staple-0123456789";

/// A configured installation of Nightvault with a local vault of its own.
#[derive(Debug)]
pub(crate) struct Nightvault {
    variables: BTreeMap<String, String>,
    folder: TempDir,
}

/// What a run of the command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Both streams.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Nightvault {
    /// One that stores into a local folder and has no sources yet.
    pub(crate) fn local(name: &str) -> Self {
        let folder = TempDir::with_prefix("nightvault-test-").expect("a temporary folder");
        let mut nightvault = Self { variables: BTreeMap::new(), folder };
        let vault = nightvault.vault().display().to_string();
        nightvault
            .set("BACKUP_NAME", name)
            .set("BACKUP_DISK", "local")
            .set("BACKUP_LOCAL_PATH", &vault)
            .set("BACKUP_ARCHIVE_PASSWORD", PASSWORD);
        nightvault
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Describes a database of MariaDB or MySQL as its source, by Laravel's variables.
    pub(crate) fn set_source(&mut self, source: &mariadb::Scratch) -> &mut Self {
        self.set("DB_CONNECTION", source.server().scheme())
            .set("DB_HOST", "127.0.0.1")
            .set("DB_PORT", &source.server().port())
            .set("DB_DATABASE", source.name())
            .set("DB_USERNAME", "nightvault")
            .set("DB_PASSWORD", mariadb::PASSWORD)
    }

    /// Unsets a variable.
    pub(crate) fn unset(&mut self, name: &str) -> &mut Self {
        self.variables.remove(name);
        self
    }

    /// The folder of the disk `local`.
    pub(crate) fn vault(&self) -> PathBuf {
        self.folder.path().join("vault")
    }

    /// A folder for whatever a test needs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command, ready to run, with nothing inherited from the caller's environment but the search path.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Path::new(&given("TEST_BIN_DIR")).join("nightvault"));
        command.env_clear().env("PATH", given("PATH")).env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(&self.variables).args(arguments).current_dir(self.folder.path());
        command
    }

    /// Runs the command to its end, whatever that is.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        said(program::run(&mut self.command(arguments)))
    }

    /// Runs the command with `--json`, which must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[&["--json"], arguments].concat());
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.json()
    }

    /// Runs the command, which must fail with this exit code; returns what it said.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
        said
    }

    /// The keys that `list` shows on the first disk, newest first.
    pub(crate) fn listed(&self) -> Vec<String> {
        let report = self.ok(&["list"]);
        let backups = report["disks"][0]["backups"].as_array().expect("a list of backups");
        backups.iter().map(|backup| backup["key"].as_str().expect("a key").to_owned()).collect()
    }

    /// The archive of a key on the local disk.
    pub(crate) fn archive(&self, key: &str) -> PathBuf {
        self.vault().join(key)
    }
}

/// The exit code and both streams of an output.
pub(crate) fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Tests an archive with 7-Zip and takes it out into a new folder.
pub(crate) fn extract(archive: &Path) -> TempDir {
    let folder = TempDir::with_prefix("nightvault-extract-").expect("a temporary folder");
    let password = format!("-p{PASSWORD}");
    let test = program::stdout(Command::new("7zz").args(["t", &password]).arg(archive));
    assert!(test.contains("Everything is Ok"), "{test}");
    program::stdout(
        Command::new("7zz").args(["x", "-y", &password]).arg(format!("-o{}", folder.path().display())).arg(archive),
    );
    folder
}
