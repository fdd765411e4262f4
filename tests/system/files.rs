//! File sets that need more than one process or many files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use async_trait::async_trait;
use nightvault_core::Result;
use nightvault_core::archive::manifest::{FileProblemKind, FilesManifest};
use nightvault_core::config::FileSetConfig;
use nightvault_core::progress::Progress;
use nightvault_core::source::files::{self, FileMeta, FileSink};

use crate::support::program;

/// Whether this process is bound by file permissions. Root is not: then the test `name` runs once more in a process
/// without root's capabilities, must pass there, and has nothing to do here.
pub(crate) fn without_root_rights(name: &str) -> bool {
    let probe = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(probe.path(), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(probe.path()).is_err() {
        return true;
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(std::env::current_exe().unwrap());
    let said = program::stdout(command.args(["--exact", name, "--test-threads=1"]));
    assert!(said.contains("1 passed"), "{name} did not run: {said}");
    false
}

/// Keeps the names of the first entries and nothing else.
#[derive(Default)]
struct FirstNames(Vec<String>);

#[async_trait]
impl FileSink for FirstNames {
    async fn start(&mut self, meta: &FileMeta) -> Result<()> {
        if self.0.len() < 10 {
            self.0.push(meta.entry.clone());
        }
        Ok(())
    }

    async fn write(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    async fn end(&mut self) -> Result<u64> {
        Ok(0)
    }
}

fn added(root: &Path, max_files: u64) -> (FilesManifest, Vec<String>) {
    let set = FileSetConfig { name: "app".to_owned(), root: root.to_owned(), include: vec![], exclude: vec![] };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut sink = FirstNames::default();
    let manifest = runtime.block_on(files::add(&set, &mut sink, &Progress::default(), max_files)).unwrap();
    (manifest, sink.0)
}

#[test]
fn what_permissions_refuse_is_told_and_the_rest_is_added() {
    if !without_root_rights("files::what_permissions_refuse_is_told_and_the_rest_is_added") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    let mode = |name: &str, mode| fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    for directory in ["closed", "listed", "open"] {
        fs::create_dir(path(directory)).unwrap();
        fs::write(path(directory).join("file"), "x").unwrap();
    }
    fs::write(path("private"), "x").unwrap();
    mode("private", 0o000);
    mode("closed", 0o000);
    // Its names can be read, its files cannot be reached.
    mode("listed", 0o400);
    let (manifest, entries) = added(root.path(), 100);
    mode("closed", 0o700);
    mode("listed", 0o700);

    let problems: Vec<_> = manifest.problems.iter().map(|problem| (problem.path.as_str(), problem.kind)).collect();
    let unreadable = FileProblemKind::Unreadable;
    assert_eq!(problems, [("closed/", unreadable), ("listed/", unreadable), ("private", unreadable)]);
    assert!(manifest.problems.iter().all(|problem| problem.detail.contains("ermission denied")), "{problems:?}");
    assert!(entries.contains(&"files/app/open/file".to_owned()), "{entries:?}");
    assert!(!entries.iter().any(|entry| entry.contains("closed/file") || entry.contains("private")), "{entries:?}");
    assert_eq!(manifest.files, 1);

    mode("open", 0o000);
    let set = FileSetConfig { name: "app".to_owned(), root: path("open"), include: vec![], exclude: vec![] };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(files::check(&set)).unwrap_err();
    mode("open", 0o700);
    assert_eq!(error.class(), nightvault_core::Class::Permission);
}

/// The most memory that this process ever had, in KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_hundred_thousand_files_and_a_large_one_take_little_memory() {
    const DIRECTORIES: u64 = 100;
    const FILES: u64 = 1000;
    // In memory where there is such a place: making the files is the slow part.
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for directory in 0..DIRECTORIES {
        let directory = root.path().join(format!("{directory:04}"));
        fs::create_dir(&directory).unwrap();
        for file in 0..FILES {
            fs::write(directory.join(format!("{file:06}.txt")), "").unwrap();
        }
    }
    // Holes are read like bytes.
    let sparse: u64 = 512 << 20;
    fs::File::create(root.path().join("sparse")).unwrap().set_len(sparse).unwrap();
    let before = peak_kib();
    let (manifest, _) = added(root.path(), 200_000);
    let grown = peak_kib() - before;
    assert_eq!((manifest.files, manifest.directories), (DIRECTORIES * FILES + 1, DIRECTORIES));
    assert_eq!(manifest.raw_bytes, sparse);
    assert!(manifest.problems.is_empty());
    // Other tests run in this process, so the bound is loose.
    println!("peak memory grew by {grown} KiB");
    assert!(grown < 64 << 10, "peak memory grew by {grown} KiB");
}
