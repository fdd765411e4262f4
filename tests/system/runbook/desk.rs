//! The desk of an operator who has lost everything but the runbook: the programs that it names, a bucket, the password, and
//! the runbook's own commands, word for word.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::night::use_bucket;
use crate::support::nightvault::{Nightvault, PASSWORD};
use crate::support::s3::{self, Bucket};
use crate::support::{given, postgres, program};

/// Every block of the runbook that is marked `sh restore=...`; [`Desk::run`] takes no other, and
/// `every_marked_block_is_run_by_a_test` sees that the document has exactly these.
pub(crate) const BLOCKS: [&str; 42] = [
    "bsdtar",
    "check",
    "count-mysql",
    "count-postgres",
    "cut",
    "extract",
    "extract-one",
    "facts",
    "fetch",
    "fetch-version",
    "files",
    "keep-mysql",
    "keep-postgres",
    "list",
    "list-deleted",
    "list-versions",
    "mysql",
    "mysql-beside",
    "mysql-missing",
    "mysql-table",
    "mysql-tenant",
    "nightvault-beside",
    "nightvault-missing",
    "one-file",
    "password",
    "password-before",
    "postgres",
    "postgres-beside",
    "postgres-missing",
    "postgres-table",
    "postgres-tenant",
    "sqlite",
    "sqlite-beside",
    "sqlite-tenant",
    "swap-mysql",
    "swap-postgres",
    "sync",
    "tenant-export",
    "tenant-plan",
    "tenant-restore",
    "tenants-plan",
    "test",
];

/// The runbook's text.
pub(crate) fn runbook() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/doc/disaster-recovery.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every fenced block of the runbook: its mark (empty where it has none) and its text.
pub(crate) fn blocks() -> Vec<(String, String)> {
    let text = runbook();
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => {
                let mark = info.strip_prefix("sh").expect("every block is shell").trim();
                let mark = mark.strip_prefix("restore=").unwrap_or(mark);
                open = Some((mark.to_owned(), String::new()));
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn block(name: &str) -> String {
    let mut found = blocks().into_iter().filter(|(mark, _)| mark == name).map(|(_, text)| text);
    let text = found.next().unwrap_or_else(|| panic!("the runbook has no block {name}"));
    assert!(found.next().is_none(), "the runbook has two blocks {name}");
    text
}

/// A folder, an environment and, unless it is put there, nothing of Nightvault.
pub(crate) struct Desk {
    folder: TempDir,
    home: TempDir,
    variables: BTreeMap<String, String>,
}

impl Desk {
    /// A desk that can reach the bucket and both database servers, as an operator's would who filled in the card.
    pub(crate) fn at(bucket: &Bucket) -> Self {
        let home = TempDir::with_prefix("nightvault-home-").unwrap();
        let cnf = format!("[client]\nuser=root\nsocket={}\n", given("TEST_MARIADB_SOCKET"));
        std::fs::write(home.path().join(".my.cnf"), cnf).unwrap();
        let folder = TempDir::with_prefix("nightvault-runbook-").unwrap();
        let mut desk = Self { folder, home, variables: BTreeMap::new() };
        desk.set("AWS_ENDPOINT_URL", &bucket.endpoint)
            .set("AWS_ACCESS_KEY_ID", s3::KEY_ID)
            .set("AWS_SECRET_ACCESS_KEY", s3::SECRET)
            .set("AWS_DEFAULT_REGION", "us-east-1")
            .set("AWS_EC2_METADATA_DISABLED", "true")
            .set("PGHOST", "127.0.0.1")
            .set("PGPORT", &postgres::port().to_string())
            .set("PGUSER", "postgres")
            .set("LC_ALL", "C.UTF-8")
            .set("BUCKET", &bucket.name)
            .set("NAME", "clinic")
            .set("PASSWORD", PASSWORD)
            .set("ENCODING", "UTF8")
            .set("COLLATION", "C.UTF-8")
            .set("CTYPE", "C.UTF-8");
        desk
    }

    /// Sets a variable of the runbook.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A path in the folder in which the commands run.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a block, word for word, to its end, whatever that is.
    pub(crate) fn output(&self, name: &str) -> Output {
        self.output_then(name, "")
    }

    /// The same with more behind it in the same shell.
    fn output_then(&self, name: &str, after: &str) -> Output {
        assert!(BLOCKS.contains(&name), "{name} is not in the list of blocks");
        let mut shell = Command::new("bash");
        shell.env_clear().env("PATH", given("PATH")).env("HOME", self.home.path()).envs(&self.variables);
        // As it is pasted: what must stop at the first error has to say so itself.
        shell.current_dir(self.folder.path()).args(["-c", &format!("{}{after}", block(name))]);
        program::run(&mut shell)
    }

    /// Runs a block, which must succeed; returns what it printed.
    pub(crate) fn run(&self, name: &str) -> String {
        let output = self.output(name);
        assert!(output.status.success(), "{name} failed: {}\n{}", output.status, program::text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Puts the `nightvault` command on the desk, configured as that installation is, as the runbook takes it for granted
    /// where it says so.
    pub(crate) fn with(&mut self, nightvault: &Nightvault) -> &mut Self {
        let command = nightvault.command(&[]);
        for (name, value) in command.get_envs() {
            if let (Some(name), Some(value)) = (name.to_str(), value.and_then(|value| value.to_str())) {
                self.variables.insert(name.to_owned(), value.to_owned());
            }
        }
        let path = format!("{}:{}", given("TEST_BIN_DIR"), given("PATH"));
        self.set("PATH", &path)
    }

    /// Runs a block, which must fail; returns all that it said.
    pub(crate) fn fails(&self, name: &str) -> String {
        let output = self.output(name);
        assert!(!output.status.success(), "{name} succeeded: {}", program::text(&output));
        program::text(&output)
    }

    /// Runs a block that sets `variable`, and returns its value.
    pub(crate) fn value_after(&self, name: &str, variable: &str) -> String {
        let output = self.output_then(name, &format!("printf %s \"${variable}\"\n"));
        assert!(output.status.success(), "{name} failed: {}", program::text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Puts Nightvault on the desk, configured for the bucket as it was for the backup.
    pub(crate) fn with_nightvault(&mut self, bucket: &Bucket) -> &mut Self {
        let path = format!("{}:{}", given("TEST_BIN_DIR"), given("PATH"));
        self.set("PATH", &path)
            .set("BACKUP_NAME", "clinic")
            .set("BACKUP_DISK", "s3")
            .set("BACKUP_ARCHIVE_PASSWORD", PASSWORD)
            .set("AWS_BUCKET", &bucket.name)
            .set("AWS_ENDPOINT", &bucket.endpoint)
            .set("AWS_USE_PATH_STYLE_ENDPOINT", "true")
    }

    /// Fetches, tests and opens the backup of a key.
    pub(crate) fn open(&mut self, key: &str) {
        self.set("KEY", key).run("fetch");
        assert!(self.run("test").contains("Everything is Ok"));
        self.run("extract");
    }
}

/// Backs up into the bucket what `urls` (a comma list) and `files` name; returns the key.
pub(crate) fn back_up(nightvault: &mut Nightvault, bucket: &Bucket, urls: &str, files: Option<&str>) -> String {
    use_bucket(nightvault, bucket);
    nightvault.set("AWS_DEFAULT_REGION", "us-east-1");
    nightvault.set("BACKUP_DISK", "s3").set("DATABASE_URL", urls);
    if let Some(files) = files {
        nightvault.set("BACKUP_FILES", files);
    }
    let report: Value = nightvault.ok(&["run"]);
    assert_eq!(report["status"], "stored");
    report["key"].as_str().unwrap().to_owned()
}

/// A database of MariaDB that is not there yet, and is dropped at the end.
pub(crate) fn new_mariadb(label: &str) -> crate::support::mariadb::Scratch {
    let scratch = crate::support::mariadb::Scratch::new(label);
    crate::support::mariadb::run_as_root(&format!("DROP DATABASE `{}`", scratch.name()));
    scratch
}

/// A database of PostgreSQL that is not there yet, and is dropped at the end.
pub(crate) fn new_postgres() -> postgres::Scratch {
    postgres::Scratch { name: postgres::unique("runbook") }
}
