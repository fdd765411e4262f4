//! Files: they come back as they were, all of them at one moment, or none; with a database, both or neither.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use serde_json::json;

use crate::extract::{modified, set_modified, tree};
use crate::support::nightvault::Nightvault;
use crate::verify::{back_up, flip, installation};

const DAY: &str = "2024-01-15";

/// An installation with a backup of a database and of two file sets, with modes, times, links and odd names.
fn vault() -> Nightvault {
    let mut nightvault = installation();
    let docs = nightvault.folder().join("docs");
    fs::write(docs.join("line\nbreak"), "odd").expect("an odd name");
    fs::set_permissions(docs.join("b.txt"), fs::Permissions::from_mode(0o640)).expect("a mode");
    symlink("2024/letters", docs.join("link")).expect("a link");
    set_modified(&docs.join("b.txt"), 1_000_000_000);
    let media = nightvault.folder().join("media");
    fs::create_dir_all(media.join("empty")).expect("folders");
    fs::write(media.join("scan.bin"), [0_u8; 5000]).expect("a file");
    fs::set_permissions(media.join("empty"), fs::Permissions::from_mode(0o555)).expect("a mode");
    set_modified(&media.join("empty"), 1_000_000_007);
    set_modified(&docs.join("2024"), 1_100_000_000);
    let sets = format!("{},{}", docs.display(), media.display());
    nightvault.set("BACKUP_FILES", &sets);
    back_up(&nightvault, DAY);
    nightvault
}

/// The names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|it| it.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

fn sqlite_url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

#[test]
fn every_set_comes_back_below_a_new_folder_as_it_was() {
    let nightvault = vault();
    let planned = nightvault.ok(&["restore", "latest", "--files", "new", "--dry-run"]);
    assert_eq!((&planned["status"], &planned["database"]), (&json!("planned"), &json!(null)));
    assert!(!nightvault.folder().join("new").exists());

    let report = nightvault.ok(&["restore", "latest", "--files", "new"]);
    let files = &report["files"];
    assert_eq!((&report["status"], &files["sets"]), (&json!("restored"), &json!(["docs", "media"])));
    assert_eq!((&files["files"], &files["directories"], &files["symlinks"]), (&json!(4), &json!(3), &json!(1)));
    assert_eq!(files["raw_bytes"], 5000 + 3000 + 3 + "Dear Zoë".len());
    for figure in ["files", "directories", "symlinks", "raw_bytes", "left_out"] {
        assert_eq!(files[figure], planned["files"][figure], "the dry run foretold it");
    }
    let new = nightvault.folder().join("new");
    assert_eq!(names(&new), ["docs", "media"]);
    for set in ["docs", "media"] {
        assert_eq!(tree(&new.join(set)), tree(&nightvault.folder().join(set)));
    }
    assert_eq!(modified(&new.join("docs/b.txt")), 1_000_000_000);
    assert_eq!(modified(&new.join("docs/2024")), 1_100_000_000);
    // A second time it is not empty.
    let said = nightvault.fails(2, &["restore", "latest", "--files", "new"]);
    assert!(said.stderr.contains("it is not empty: "), "{said:?}");
    assert!(
        nightvault
            .run(&["restore", "latest", "--files", "again"])
            .stdout
            .contains("4 files, 3 directories and 1 symbolic link")
    );
}

#[test]
fn one_set_takes_the_place_of_the_folder_itself() {
    let nightvault = vault();
    let new = nightvault.folder().join("new");
    nightvault.ok(&["restore", "latest", "--files", "new", "--set", "docs"]);
    assert_eq!(tree(&new), tree(&nightvault.folder().join("docs")));
    // An archive does not keep the mode of a set's own folder: a new one is its owner's alone.
    assert_eq!(fs::metadata(&new).expect("it").mode() & 0o777, 0o700);
    let said = nightvault.fails(1, &["restore", "latest", "--files", "other", "--set", "doc"]);
    assert!(said.stderr.contains("It has: docs, media."), "{said:?}");
}

#[test]
fn an_empty_folder_keeps_its_own_mode_and_takes_read_only_directories_too() {
    let nightvault = vault();
    let there = nightvault.folder().join("there");
    fs::create_dir(&there).expect("a folder");
    fs::set_permissions(&there, fs::Permissions::from_mode(0o710)).expect("a mode");
    let inode = fs::metadata(&there).expect("it").ino();
    nightvault.ok(&["restore", "latest", "--files", "there", "--set", "media"]);
    assert_eq!(tree(&there), tree(&nightvault.folder().join("media")));
    let found = fs::metadata(&there).expect("it");
    assert_eq!((found.ino(), found.mode() & 0o777), (inode, 0o710), "it is the folder that was there");
    assert_eq!(modified(&there.join("empty")), 1_000_000_007);
}

#[test]
fn all_that_is_wrong_with_the_folder_is_told_and_nothing_is_made() {
    let nightvault = vault();
    let before = names(nightvault.folder());
    let docs = nightvault.folder().join("docs").display().to_string();
    let dangling = nightvault.folder().join("media/dangling");
    symlink("/nowhere", &dangling).expect("a link");
    for (to, told) in [
        ("missing/new", "the folder above it"),
        (docs.as_str(), "it is not empty"),
        ("clinic.sqlite", "it is there and is no folder"),
        ("media/dangling", "leads nowhere"),
        ("/", "is no folder that files can go into"),
    ] {
        let said = nightvault.fails(2, &["restore", "latest", "--files", to]);
        assert!(said.stderr.contains(told), "{to}: {said:?}");
    }
    assert_eq!(names(nightvault.folder()), before);
}

#[test]
fn damage_leaves_neither_files_nor_database() {
    let nightvault = vault();
    let archive = nightvault.archive(&nightvault.listed()[0]);
    let bytes = fs::read(&archive).expect("an archive");
    let name = b"files/media/scan.bin";
    let at = bytes.windows(name.len()).position(|window| window == name).expect("the entry");
    flip(&archive, at + name.len() + 60);
    let there = nightvault.folder().join("there");
    fs::create_dir(&there).expect("a folder");
    let before = names(nightvault.folder());
    let copy = sqlite_url(&nightvault.folder().join("copy.sqlite"));
    for to in ["new", "there"] {
        let said = nightvault.fails(3, &["restore", "latest", "--files", to, "--to", &copy]);
        assert!(said.stderr.contains("\"files/media/scan.bin\""), "{said:?}");
        assert_eq!(names(nightvault.folder()), before, "no file, no hidden folder, no database");
        assert_eq!(names(&there), Vec::<String>::new());
    }
    nightvault.fails(3, &["restore", "latest", "--files", "new", "--dry-run"]);
    // What is not damaged still comes back.
    nightvault.ok(&["restore", "latest", "--files", "new", "--set", "docs"]);
}

#[test]
fn a_database_and_files_come_back_together() {
    let nightvault = vault();
    let copy = nightvault.folder().join("copy.sqlite");
    let report = nightvault.ok(&["restore", "latest", "--files", "new", "--to", &sqlite_url(&copy)]);
    assert_eq!((&report["database"]["rows"], &report["files"]["files"]), (&json!(3), &json!(4)));
    assert!(copy.exists() && nightvault.folder().join("new/docs/b.txt").exists());
}

#[test]
fn what_the_database_says_no_to_leaves_no_files() {
    let nightvault = vault();
    let copy = nightvault.folder().join("copy.sqlite");
    fs::write(&copy, "precious").expect("a file");
    let before = names(nightvault.folder());
    let said = nightvault.fails(2, &["restore", "latest", "--files", "new", "--to", &sqlite_url(&copy)]);
    assert!(said.stderr.contains("is there already"), "{said:?}");
    assert_eq!(names(nightvault.folder()), before);
    assert_eq!(fs::read(&copy).expect("it"), b"precious");
}

#[test]
fn links_that_lead_out_are_left_out_and_told_beforehand() {
    let nightvault = installation();
    let docs = nightvault.folder().join("docs");
    symlink("/etc", docs.join("evil")).expect("a link");
    symlink("../docs/b.txt", docs.join("sideways")).expect("a link");
    back_up(&nightvault, DAY);
    for (arguments, left_out) in [
        (vec!["--files", "all"], 1),
        // With the set's own folder as the root, a link to its sibling leads out too.
        (vec!["--files", "one", "--set", "docs"], 2),
    ] {
        for more in [vec!["--dry-run"], vec![]] {
            let line = [vec!["--json", "restore", "latest"], arguments.clone(), more].concat();
            let report = nightvault.fails(4, &line).json();
            assert_eq!(report["report"]["files"]["left_out"].as_array().expect("a list").len(), left_out, "{report}");
        }
    }
    assert!(nightvault.folder().join("all/docs/b.txt").exists());
    assert!(fs::symlink_metadata(nightvault.folder().join("one/evil")).is_err());
}

#[test]
fn a_backup_without_files_says_so() {
    let mut nightvault = installation();
    nightvault.unset("BACKUP_FILES");
    back_up(&nightvault, DAY);
    let said = nightvault.fails(1, &["restore", "latest", "--files", "new"]);
    assert!(said.stderr.contains("this backup holds no files"), "{said:?}");
    let said = nightvault.fails(2, &["restore", "latest"]);
    assert!(said.stderr.contains("--to"), "{said:?}");
}
