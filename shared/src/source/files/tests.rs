//! Real directories, and a sink that may change them while they are read.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use async_trait::async_trait;
use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

use super::{FileMeta, FileSink, add, check};
use crate::archive::manifest::{FileProblem, FileProblemKind as Problem, FilesManifest};
use crate::config::FileSetConfig;
use crate::progress::Progress;
use crate::{Class, Result};

/// Larger than what waits between the reader and the sink, so that the reader is still at it when the sink starts.
const LARGE: usize = 8 << 20;

/// Keeps everything; does something to the tree when an entry starts.
struct Sink<'a> {
    entries: Vec<(FileMeta, Vec<u8>)>,
    at_start: Box<dyn FnMut(&str) + Send + 'a>,
}

#[async_trait]
impl FileSink for Sink<'_> {
    async fn start(&mut self, meta: &FileMeta) -> Result<()> {
        (self.at_start)(&meta.entry);
        self.entries.push((meta.clone(), Vec::new()));
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.entries.last_mut().unwrap().1.extend_from_slice(bytes);
        Ok(())
    }

    async fn end(&mut self) -> Result<u64> {
        Ok(self.entries.last().unwrap().1.len() as u64 + 10)
    }
}

struct Added {
    manifest: FilesManifest,
    entries: Vec<(FileMeta, Vec<u8>)>,
}

impl Added {
    fn names(&self) -> Vec<&str> {
        self.entries.iter().map(|(meta, _)| meta.entry.strip_prefix("files/app/").unwrap()).collect()
    }

    fn bytes(&self, name: &str) -> &[u8] {
        &self.entries.iter().find(|(meta, _)| meta.entry == format!("files/app/{name}")).unwrap().1
    }

    fn problems(&self) -> Vec<(&str, Problem)> {
        self.manifest.problems.iter().map(|FileProblem { path, kind, .. }| (path.as_str(), *kind)).collect()
    }
}

fn a_set(root: &Path) -> FileSetConfig {
    FileSetConfig { name: "app".to_owned(), root: root.to_owned(), include: Vec::new(), exclude: Vec::new() }
}

async fn added_with(set: &FileSetConfig, max: u64, at_start: impl FnMut(&str) + Send) -> Result<Added> {
    let progress = Progress::default();
    let mut sink = Sink { entries: Vec::new(), at_start: Box::new(at_start) };
    let manifest = add(set, &mut sink, &progress, max).await?;
    assert_eq!(manifest.name, set.name);
    let stored: u64 = sink.entries.iter().map(|(_, bytes)| bytes.len() as u64 + 10).sum();
    assert_eq!(manifest.stored_bytes, stored);
    let entries = std::mem::take(&mut sink.entries);
    assert_eq!(manifest.files + manifest.directories + manifest.symlinks, entries.len() as u64);
    Ok(Added { manifest, entries })
}

async fn added(set: &FileSetConfig) -> Added {
    added_with(set, 1000, |_| {}).await.unwrap()
}

fn a_tree(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

#[tokio::test]
async fn a_tree_is_added_in_the_order_of_its_names_with_modes_and_times() {
    let root = a_tree(&[("b/2", "two"), ("b/10", "ten"), ("a.txt", "a"), ("b.txt", ""), ("Z", "z")]);
    fs::create_dir_all(root.path().join("c/empty")).unwrap();
    fs::set_permissions(root.path().join("b/2"), fs::Permissions::from_mode(0o640)).unwrap();
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_705_284_000);
    fs::File::options().write(true).open(root.path().join("b/2")).unwrap().set_modified(moment).unwrap();
    let added = added(&a_set(root.path())).await;
    assert_eq!(added.names(), ["Z", "a.txt", "b/", "b/10", "b/2", "b.txt", "c/", "c/empty/"]);
    assert_eq!(added.bytes("b/2"), b"two");
    let meta = |name: &str| &added.entries.iter().find(|(meta, _)| meta.entry.ends_with(name)).unwrap().0;
    assert_eq!((meta("b/2").mode, meta("b/2").modified), (0o100_640, 1_705_284_000));
    assert_eq!(meta("c/empty/").mode & 0o170_000, 0o040_000);
    let FilesManifest { files, directories, symlinks, raw_bytes, ref problems, .. } = added.manifest;
    assert_eq!((files, directories, symlinks, raw_bytes, problems.len()), (5, 3, 0, 8, 0));
}

#[tokio::test]
async fn includes_and_excludes_choose_and_excluded_directories_are_not_entered() {
    let root = a_tree(&[
        ("app/uploads/1/x.jpg", "x"),
        ("app/uploads/1/x.tmp", "t"),
        ("app/cache/uploads/y.jpg", "y"),
        ("vendor/z.jpg", "z"),
        ("docs/readme.md", "r"),
        ("top.jpg", "t"),
    ]);
    fs::create_dir(root.path().join("app/uploads/empty")).unwrap();
    // What is excluded is not even looked at: this would be told otherwise.
    rustix::fs::mknodat(CWD, root.path().join("app/cache/fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let mut set = a_set(root.path());
    set.include = vec!["app".to_owned(), "docs/*.md".to_owned(), "*.jpg".to_owned()];
    set.exclude = vec!["app/cache/".to_owned(), "**/*.tmp".to_owned()];
    let added = added(&set).await;
    assert_eq!(
        added.names(),
        [
            "app/",
            "app/uploads/",
            "app/uploads/1/",
            "app/uploads/1/x.jpg",
            "app/uploads/empty/",
            "docs/",
            "docs/readme.md",
            "top.jpg"
        ]
    );
    assert!(added.manifest.problems.is_empty());
}

#[tokio::test]
async fn links_are_stored_as_links_and_never_followed() {
    let outside = a_tree(&[("secret", "secret")]);
    let root = a_tree(&[("a/file", "x")]);
    symlink("..", root.path().join("a/loop")).unwrap();
    symlink(outside.path(), root.path().join("out")).unwrap();
    symlink("missing\n", root.path().join("dangling")).unwrap();
    symlink(outside.path().join("secret"), root.path().join("secret")).unwrap();
    fs::hard_link(root.path().join("a/file"), root.path().join("a/same")).unwrap();
    let current = outside.path().join("current");
    symlink(root.path(), &current).unwrap();
    let added = added(&a_set(&current)).await;
    assert_eq!(added.names(), ["a/", "a/file", "a/loop", "a/same", "dangling", "out", "secret"]);
    assert_eq!(added.bytes("a/loop"), b"..");
    assert_eq!(added.bytes("dangling"), b"missing\n");
    assert_eq!(added.bytes("out"), outside.path().as_os_str().as_bytes());
    assert_eq!(added.bytes("a/same"), b"x");
    assert_eq!((added.manifest.symlinks, added.manifest.raw_bytes), (4, 2));
    let link = &added.entries.iter().find(|(meta, _)| meta.entry.ends_with("out")).unwrap().0;
    assert_eq!(link.mode & 0o170_000, 0o120_000);
}

#[tokio::test]
async fn sockets_and_fifos_are_told_and_nothing_waits_for_them() {
    let root = a_tree(&[("z", "after them")]);
    rustix::fs::mknodat(CWD, root.path().join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = UnixListener::bind(root.path().join("socket")).unwrap();
    let added = added(&a_set(root.path())).await;
    assert_eq!(added.names(), ["z"]);
    assert_eq!(added.problems(), [("fifo", Problem::Special), ("socket", Problem::Special)]);
    assert_eq!(added.manifest.problems[0].detail, "a FIFO");
}

#[test]
fn a_fifo_that_takes_the_place_of_a_file_is_seen_at_the_open_handle() {
    let root = a_tree(&[]);
    rustix::fs::mknodat(CWD, root.path().join("was-a-file"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let directory = fs::File::open(root.path()).unwrap();
    let refused = super::read::open(std::os::fd::AsFd::as_fd(&directory), c"was-a-file").map(drop).unwrap_err();
    assert_eq!(refused.0, Problem::Special);
    symlink("/etc/passwd", root.path().join("now-a-link")).unwrap();
    let refused = super::read::open(std::os::fd::AsFd::as_fd(&directory), c"now-a-link").map(drop).unwrap_err();
    assert_eq!(refused.0, Problem::Vanished);
}

/// A tree with a large file `a`, whose start is the moment of the change, and what comes of it.
async fn changed_at_start(change: impl Fn(&Path) + Send + Sync, others: &[(&str, &str)]) -> Added {
    let root = a_tree(others);
    fs::write(root.path().join("a"), vec![b'.'; LARGE]).unwrap();
    let set = a_set(root.path());
    added_with(&set, 1000, |entry| {
        if entry == "files/app/a" {
            change(root.path());
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_growing_file_is_read_to_its_first_size_and_told() {
    let grow = |root: &Path| {
        use std::io::Write;
        fs::File::options().append(true).open(root.join("a")).unwrap().write_all(&[b'+'; LARGE]).unwrap();
    };
    let added = changed_at_start(grow, &[]).await;
    assert_eq!(added.problems(), [("a", Problem::Changed)]);
    assert!(added.bytes("a") == [b'.'; LARGE]);
    assert_eq!(added.manifest.raw_bytes, LARGE as u64);
}

#[tokio::test]
async fn a_shrinking_file_ends_where_it_ends_and_is_told() {
    let shrink =
        |root: &Path| fs::File::options().write(true).open(root.join("a")).unwrap().set_len(LARGE as u64 - 1).unwrap();
    let added = changed_at_start(shrink, &[("b", "next")]).await;
    assert_eq!(added.problems(), [("a", Problem::Changed)]);
    assert_eq!(added.bytes("a").len(), LARGE - 1);
    assert_eq!(added.bytes("b"), b"next");
}

#[tokio::test]
async fn a_file_that_is_written_or_replaced_while_it_is_read_is_told() {
    let write = |root: &Path| {
        let file = fs::File::options().write(true).open(root.join("a")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"!", LARGE as u64 - 1).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    };
    let added = changed_at_start(write, &[]).await;
    assert_eq!(added.problems(), [("a", Problem::Changed)]);

    let replace = |root: &Path| {
        fs::write(root.join("new"), "new").unwrap();
        fs::rename(root.join("new"), root.join("a")).unwrap();
    };
    let added = changed_at_start(replace, &[]).await;
    assert_eq!(added.problems(), [("a", Problem::Changed)]);
    assert!(added.manifest.problems[0].detail.contains("read whole"));
    assert!(added.bytes("a") == [b'.'; LARGE]);
}

#[tokio::test]
async fn what_vanishes_after_it_was_listed_is_told_and_the_rest_goes_on() {
    let remove = |root: &Path| {
        fs::remove_file(root.join("b")).unwrap();
        fs::remove_dir_all(root.join("c")).unwrap();
    };
    let added = changed_at_start(remove, &[("b", "b"), ("c/x", "x"), ("d", "d")]).await;
    assert_eq!(added.names(), ["a", "d"]);
    assert_eq!(added.problems(), [("b", Problem::Vanished), ("c", Problem::Vanished)]);
}

#[tokio::test]
async fn a_directory_that_is_swapped_for_a_link_does_not_lead_outside() {
    let outside = a_tree(&[("secret", "secret")]);
    let target = outside.path().to_owned();
    let swap = move |root: &Path| {
        fs::rename(root.join("b"), root.join("moved")).unwrap();
        symlink(&target, root.join("b")).unwrap();
    };
    let added = changed_at_start(swap, &[("b/x", "x")]).await;
    assert_eq!(added.names(), ["a", "b"]);
    assert_eq!(added.bytes("b"), outside.path().as_os_str().as_bytes());
}

#[tokio::test]
async fn a_file_that_has_more_bytes_than_it_says_is_told() {
    let mut set = a_set(Path::new("/proc/self"));
    set.include = vec!["status".to_owned()];
    let added = added(&set).await;
    assert_eq!(added.problems(), [("status", Problem::Changed)]);
    assert!(added.manifest.problems[0].detail.contains("more bytes"));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_told_and_not_in_the_archive() {
    // Reading this one fails for everybody; what permissions refuse is in the system tests.
    let mut set = a_set(Path::new("/proc/self"));
    set.include = vec!["mem".to_owned()];
    let file = fs::File::options().read(true).custom_flags(0).open("/proc/self/mem").unwrap();
    assert_eq!(file.metadata().unwrap().len(), 0);
    let added = added(&set).await;
    assert_eq!(added.problems(), [("mem", Problem::Unreadable)], "{:?}", added.manifest.problems);
}

#[tokio::test]
async fn hostile_names_are_escaped_and_twins_are_two_files() {
    let root = tempfile::tempdir().unwrap();
    let names: &[&[u8]] = &[
        b"a\nb",
        b"\xff\xfe",
        b"back\\slash",
        b"%{0A}",
        "Ä".as_bytes(),
        "A\u{308}".as_bytes(),
        b"Readme",
        b"README",
        b"-rf *",
        b"%41",
    ];
    for name in names {
        fs::write(root.path().join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    let added = added(&a_set(root.path())).await;
    let found: BTreeMap<&str, &[u8]> =
        added.entries.iter().map(|(meta, bytes)| (&meta.entry["files/app/".len()..], bytes.as_slice())).collect();
    let expected: BTreeMap<&str, &[u8]> = BTreeMap::from([
        ("a%{0A}b", names[0]),
        ("%{FF}%{FE}", names[1]),
        ("back%{5C}slash", names[2]),
        ("%{25}{0A}", names[3]),
        ("Ä", names[4]),
        ("A\u{308}", names[5]),
        ("Readme", names[6]),
        ("README", names[7]),
        ("-rf *", names[8]),
        ("%41", names[9]),
    ]);
    assert_eq!(found, expected);
}

/// Makes `depth` directories of this name within each other, deeper than a path may be long, and a file in the last.
fn a_deep_tree(root: &Path, name: &str, depth: usize) {
    use rustix::fs::{OFlags, mkdirat, openat};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut directory = rustix::fs::open(root, flags, Mode::empty()).unwrap();
    for _ in 0..depth {
        mkdirat(&directory, name, Mode::RWXU).unwrap();
        directory = openat(&directory, name, flags, Mode::empty()).unwrap();
    }
    openat(&directory, "leaf", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
}

/// Removes what [`a_deep_tree`] made; the standard library's own way takes a handle for each level.
fn remove_deep_tree(root: TempDir) {
    let status = std::process::Command::new("rm").arg("-rf").arg(root.path()).status().unwrap();
    assert!(status.success());
    drop(root.keep());
}

#[tokio::test]
async fn a_tree_deeper_than_a_path_may_be_long_is_walked_with_few_handles() {
    let root = tempfile::tempdir().unwrap();
    a_deep_tree(root.path(), "deep", 3000);
    fs::write(root.path().join("z"), "after").unwrap();
    let added = added_with(&a_set(root.path()), 4000, |_| {}).await.unwrap();
    assert_eq!((added.manifest.directories, added.manifest.files), (3000, 2));
    assert_eq!(added.names()[3000].len(), 3000 * 5 + 4);
    assert_eq!(added.names()[3001], "z");
    remove_deep_tree(root);
}

#[tokio::test]
async fn a_path_longer_than_an_archive_can_name_is_refused() {
    let root = tempfile::tempdir().unwrap();
    a_deep_tree(root.path(), &"d".repeat(255), 257);
    let error = added_with(&a_set(root.path()), 1000, |_| {}).await.map(|added| added.manifest).unwrap_err();
    assert_eq!(error.class(), Class::Unsupported);
    assert!(error.to_string().contains("65535") && error.to_string().len() < 500, "{error}");
    remove_deep_tree(root);
}

#[tokio::test]
async fn more_files_than_allowed_are_refused() {
    let root = a_tree(&[("a", ""), ("b/c", ""), ("d", "")]);
    assert_eq!(added_with(&a_set(root.path()), 4, |_| {}).await.unwrap().entries.len(), 4);
    for max in [0, 2, 3] {
        let error = added_with(&a_set(root.path()), max, |_| {}).await.map(|added| added.manifest).unwrap_err();
        assert_eq!(error.class(), Class::Limit, "{max}");
        assert!(error.to_string().contains("\"app\"") && error.to_string().contains(&max.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_sink_that_fails_ends_the_walk_with_its_error() {
    struct Full;
    #[async_trait]
    impl FileSink for Full {
        async fn start(&mut self, _: &FileMeta) -> Result<()> {
            Ok(())
        }
        async fn write(&mut self, _: &[u8]) -> Result<()> {
            Err(crate::Error::new(Class::Transient, "the store is gone"))
        }
        async fn end(&mut self) -> Result<u64> {
            Ok(0)
        }
    }
    let root = a_tree(&[("a", "a"), ("b", "b")]);
    let error = add(&a_set(root.path()), &mut Full, &Progress::default(), 1000).await.unwrap_err();
    assert_eq!(error.to_string(), "the store is gone");
}

#[tokio::test]
async fn wrong_sets_are_configuration_errors_that_name_what_is_wrong() {
    let root = a_tree(&[("file", "")]);
    check(&a_set(root.path())).await.unwrap();
    let with = |change: &dyn Fn(&mut FileSetConfig)| {
        let mut set = a_set(root.path());
        change(&mut set);
        set
    };
    for (set, named) in [
        (with(&|set| set.root = root.path().join("missing")), "missing"),
        (with(&|set| set.root = root.path().join("file")), "file"),
        (with(&|set| set.exclude = vec!["a[".to_owned()]), "a["),
        (with(&|set| set.name = "../x".to_owned()), "../x"),
        (with(&|set| set.name = String::new()), "\"\""),
    ] {
        let checked = check(&set).await.unwrap_err();
        let added = added_with(&set, 10, |_| {}).await.map(|added| added.manifest).unwrap_err();
        for error in [checked, added] {
            assert_eq!(error.class(), Class::Configuration, "{named}: {error:?}");
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
