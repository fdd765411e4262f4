//! Archives made to harm whoever extracts them. Their maker knows the password, so that all is authentic.

use std::path::Path;

use super::*;
use crate::archive::tests::forge::{Evil, forge, honest};
use crate::archive::tests::password;
use crate::catalog::Selector;
use crate::progress::Progress;

/// Extracts all of a forged archive into `to`.
async fn extracted(entries: &[Evil], to: &Path) -> (take::Taken, Result<()>) {
    let (store, object) = forge(entries);
    let extraction = Extraction {
        of: Wanted { backup: Selector::Latest, disks: vec![] },
        to: to.to_owned(),
        databases: vec![],
        files: vec![],
        patterns: vec![],
        gunzip: false,
    };
    let filter = Filter::new(&extraction).unwrap();
    let take = Take::new(Folder::new(to.to_owned()), filter, Arc::default(), Arc::new(Progress::default()));
    let (take, _, result) = reader::unpack(store, &object, &password(), take).await.unwrap();
    take.finish(result)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_forger_writes_archives_that_are_taken_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    let (taken, result) = extracted(&[honest("files/set/a", b"one"), honest("files/set/d/b", b"")], &to).await;
    result.unwrap();
    assert_eq!((taken.files, taken.raw_bytes), (2, 3));
    assert_eq!(std::fs::read(to.join("files/set/a")).unwrap(), b"one");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_out_or_meet_are_refused_before_anything_is_made() {
    let names: [&[&str]; 9] = [
        &["../evil"],
        &["files/set/../../../evil"],
        &["/files/set/evil"],
        &["files/set/%{2E}%{2E}/%{2E}%{2E}/%{2E}%{2E}/evil"],
        &["files/set/a%{2F}..%{2F}evil"],
        &["files/set/a", "files/set/a"],
        // Two names of one place: the second is the first with its letter escaped.
        &["files/set/a", "files/set/%{61}"],
        &["files/set/a", "files/set/a/b"],
        &["files/set/a%{00}"],
    ];
    for names in names {
        let folder = tempfile::tempdir().unwrap();
        let entries: Vec<Evil> = names.iter().map(|name| honest(name, b"x")).collect();
        let (_, result) = extracted(&entries, &folder.path().join("out")).await;
        assert_eq!(result.unwrap_err().class(), Class::Corrupt, "{names:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_through_a_link_of_the_same_archive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let link = Evil { mode: 0o120_777, ..honest("files/set/l", b"") };
    // A link's target is stored, not deflated, so this one has none; its place is what matters.
    let (_, result) = extracted(&[link, honest("files/set/l/x", b"x")], &folder.path().join("out")).await;
    assert_eq!(result.unwrap_err().class(), Class::Corrupt);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_not_inflated_beyond_what_the_manifest_says() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    let bomb = Evil { contents: vec![0; 256 << 20], ..honest("files/set/bomb", &[0; 10]) };
    let (taken, result) = extracted(&[honest("files/set/a", b"x"), bomb], &to).await;
    let error = result.unwrap_err();
    assert!(error.class() == Class::Corrupt && error.to_string().contains("files/set/bomb"), "{error:?}");
    assert_eq!((taken.files, taken.last.as_deref()), (1, Some("files/set/a")));
    let there: Vec<_> = std::fs::read_dir(to.join("files/set")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(there, ["a"], "nothing of the bomb is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_what_the_manifest_says_never_appears() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    let other = Evil { contents: b"two".to_vec(), ..honest("files/set/a", b"one") };
    let (taken, result) = extracted(&[other], &to).await;
    assert!(result.unwrap_err().to_string().contains("does not match its digest"));
    assert_eq!(taken.files, 0);
    assert_eq!(std::fs::read_dir(to.join("files/set")).unwrap().count(), 0);
}
