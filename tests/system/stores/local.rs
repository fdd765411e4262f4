//! What is a local directory's own: names, modes, links, leftovers of killed processes.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use nightvault_core::Class;
use nightvault_core::store::Store;
use nightvault_core::store::local::LocalStore;

use super::rig::{assert_class, assert_nothing_visible, hidden_files, noise, put};

const KEY: &str = "clinic/2024-01-15-02-00-00.zip";

fn vault() -> (tempfile::TempDir, LocalStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::new("local", directory.path().join("made/by/probe"));
    (directory, store)
}

fn root(directory: &tempfile::TempDir) -> std::path::PathBuf {
    directory.path().join("made/by/probe")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_directory_that_is_missing_is_no_empty_vault() {
    let (directory, store) = vault();
    assert_class(store.list("").await, Class::NotFound);
    store.probe().await.unwrap();
    assert_eq!(store.list("").await.unwrap(), []);
    assert_eq!(fs::read_dir(root(&directory)).unwrap().count(), 0, "the probe leaves nothing");
}

#[tokio::test]
async fn files_and_directories_are_for_their_owner_alone() {
    let (directory, store) = vault();
    put(&store, KEY, b"x", None).await.unwrap();
    assert_eq!(mode(&root(&directory).join(KEY)), 0o600);
    assert_eq!(mode(&root(&directory).join("clinic")), 0o700);
    assert_eq!(mode(&root(&directory)), 0o700);
}

#[tokio::test]
async fn a_path_that_is_a_file_is_a_configuration_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    let store = LocalStore::new("local", &file);
    assert!(store.probe().await.is_err());
    assert_class(store.list("").await, Class::Configuration);
}

#[tokio::test]
async fn a_key_that_leaves_the_directory_is_refused_by_every_call() {
    let (directory, store) = vault();
    store.probe().await.unwrap();
    let outside = directory.path().join("outside.zip");
    fs::write(&outside, "not ours").unwrap();
    for key in ["../../../outside.zip", outside.to_str().unwrap(), "clinic/../../../../outside.zip"] {
        assert_class(store.head(key).await, Class::Configuration);
        assert_class(store.read(key, 0..1, None).await, Class::Configuration);
        assert_class(store.create(key, None).await.map(|_| ()), Class::Configuration);
        assert_class(store.delete(key).await, Class::Configuration);
    }
    assert_eq!(store.list("../../../").await.unwrap(), []);
    assert_eq!(fs::read(&outside).unwrap(), b"not ours");
}

#[tokio::test]
async fn a_mark_holds_whatever_it_says() {
    let (directory, store) = vault();
    put(&store, KEY, b"x", None).await.unwrap();
    let mark = root(&directory).join("clinic/.2024-01-15-02-00-00.zip.nightvault-hold");
    for (text, read) in [(&b""[..], None), (b"\xff\xfe", None), (b"by hand", Some("by hand".to_owned()))] {
        fs::write(&mark, text).unwrap();
        assert_eq!(store.guard(KEY).await.unwrap().hold.unwrap().text, read);
    }
    // Notes that are damaged and written anew take no hold with them.
    fs::write(root(&directory).join("clinic/.2024-01-15-02-00-00.zip.nightvault-notes.json"), "{").unwrap();
    store.note(KEY, "verified", "whole").await.unwrap();
    assert!(store.guard(KEY).await.unwrap().hold.is_some());
    store.release(KEY).await.unwrap();
    assert!(!mark.exists());
}

#[tokio::test]
async fn symbolic_links_are_not_followed() {
    let (directory, store) = vault();
    store.probe().await.unwrap();
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("a.zip"), "not ours").unwrap();
    symlink(&elsewhere, root(&directory).join("linked")).unwrap();
    symlink(elsewhere.join("a.zip"), root(&directory).join("link.zip")).unwrap();
    for key in ["linked/a.zip", "link.zip"] {
        assert_nothing_visible(&store, key).await;
        assert_class(store.read(key, 0..1, None).await, Class::NotFound);
        store.delete(key).await.unwrap();
    }
    assert_eq!(store.list("linked/").await.unwrap(), []);
    assert_class(store.create("linked/b.zip", None).await.map(|_| ()), Class::Configuration);
    assert_eq!(fs::read(elsewhere.join("a.zip")).unwrap(), b"not ours");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
}

#[tokio::test]
async fn what_a_killed_process_left_is_invisible_and_swept_when_it_is_old() {
    let (directory, store) = vault();
    let mut killed = store.create(KEY, None).await.unwrap();
    killed.write(noise(2 << 20, 1).into()).await.unwrap();
    // A killed process runs no destructor.
    std::mem::forget(killed);
    assert_nothing_visible(&store, KEY).await;
    assert_eq!(hidden_files(&root(&directory)), 1);

    let left = fs::read_dir(root(&directory).join("clinic")).unwrap().next().unwrap().unwrap().path();
    let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    File::options().write(true).open(&left).unwrap().set_modified(begun).unwrap();
    let at = |seconds| jiff::Timestamp::from_second(seconds).unwrap();
    assert_eq!(store.abort_stale("clinic/", at(1_700_000_000)).await.unwrap(), 0, "not older");
    assert_eq!(store.abort_stale("other/", at(1_800_000_000)).await.unwrap(), 0, "not under the prefix");
    assert_eq!(store.abort_stale("clinic/2023", at(1_800_000_000)).await.unwrap(), 0, "not under the prefix");
    assert_eq!(store.abort_stale("clinic/2024", at(1_800_000_000)).await.unwrap(), 1);
    assert_eq!(hidden_files(&root(&directory)), 0);
    put(&store, KEY, b"the next run works", None).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_cut_or_replaced_while_it_is_read_is_told() {
    let (directory, store) = vault();
    let stored = put(&store, KEY, b"0123456789", None).await.unwrap();
    let path = root(&directory).join(KEY);
    File::options().write(true).open(&path).unwrap().set_len(4).unwrap();
    assert_class(store.read(KEY, 0..10, stored.object.etag.as_deref()).await, Class::Inconsistent);
    assert_class(store.read(KEY, 0..10, None).await, Class::Corrupt);
}

#[tokio::test]
async fn foreign_files_are_listed_as_they_are_and_survive() {
    let (directory, store) = vault();
    put(&store, KEY, b"x", None).await.unwrap();
    fs::write(root(&directory).join("clinic/.hidden"), "foreign").unwrap();
    fs::write(root(&directory).join("clinic/notes.txt"), "foreign").unwrap();
    let keys: Vec<_> = store.list("").await.unwrap().into_iter().map(|object| object.key).collect();
    assert_eq!(keys, ["clinic/.hidden", KEY, "clinic/notes.txt"]);
    store.delete(KEY).await.unwrap();
    // A directory is no object.
    store.delete("clinic").await.unwrap();
    assert_eq!(store.list("").await.unwrap().len(), 2);
}
