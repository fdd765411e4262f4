//! `extract`, as an operator runs it: what comes out is what went in, and nothing else is touched, whatever is in the way.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::nightvault::Nightvault;
use crate::verify::{back_up, flip, installation};

const DAY: &str = "2024-01-15";

/// Everything below a folder: path, mode, and contents or target.
pub(crate) fn tree(folder: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let kind = fs::symlink_metadata(&path).expect("metadata");
        let contents = if kind.is_dir() {
            found.extend(tree(&path).into_iter().map(|(name, mode, bytes)| {
                (format!("{}/{name}", path.file_name().expect("a name").to_string_lossy()), mode, bytes)
            }));
            Vec::new()
        } else if kind.is_symlink() {
            fs::read_link(&path).expect("a link").as_os_str().as_bytes().to_vec()
        } else {
            fs::read(&path).expect("a file")
        };
        found.push((path.file_name().expect("a name").to_string_lossy().into_owned(), kind.mode(), contents));
    }
    found.sort();
    found
}

pub(crate) fn modified(path: &Path) -> i64 {
    fs::symlink_metadata(path).expect("metadata").mtime()
}

pub(crate) fn set_modified(path: &Path, seconds: u64) {
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    fs::File::open(path).and_then(|file| file.set_modified(time)).expect("a new time");
}

#[test]
fn everything_comes_out_as_it_was_with_modes_times_and_odd_names() {
    let nightvault = installation();
    let docs = nightvault.folder().join("docs");
    fs::create_dir(docs.join("empty")).expect("a folder");
    for name in [b"line\nbreak %{41}.txt".as_slice(), b"not \xff utf-8", b"back\\slash"] {
        fs::write(docs.join(std::ffi::OsStr::from_bytes(name)), name).expect("an odd name");
    }
    fs::set_permissions(docs.join("b.txt"), fs::Permissions::from_mode(0o640)).expect("a mode");
    symlink("2024/letters", docs.join("link")).expect("a link");
    symlink("../../b.txt", docs.join("2024/letters/up")).expect("a link");
    set_modified(&docs.join("b.txt"), 1_000_000_000);
    set_modified(&docs.join("2024/letters"), 1_100_000_000);
    fs::set_permissions(docs.join("empty"), fs::Permissions::from_mode(0o555)).expect("a mode");
    back_up(&nightvault, DAY);

    let report = nightvault.ok(&["extract", "latest", "--to", "out/deep"]);
    let out = nightvault.folder().join("out/deep");
    assert_eq!(tree(&out.join("files/docs")), tree(&docs));
    assert_eq!(modified(&out.join("files/docs/b.txt")), 1_000_000_000);
    assert_eq!(modified(&out.join("files/docs/2024/letters")), 1_100_000_000);
    assert_eq!(modified(&out.join("files/docs/link")), modified(&docs.join("link")));
    assert_eq!((&report["files"], &report["symlinks"], &report["left_out"]), (&json!(6), &json!(2), &json!([])));
    let count = |path: &Path| -> i64 {
        let sql = "SELECT count(*) FROM patients WHERE name IN ('Zoë', 'O''Hara', 'line\nbreak')";
        rusqlite::Connection::open(path).and_then(|it| it.query_row(sql, [], |row| row.get(0))).expect("a count")
    };
    assert_eq!(count(&out.join("db-dumps/clinic.sqlite")), 3);
    assert!(nightvault.run(&["extract", "latest", "--to", "again"]).stdout.contains("whole and authenticated"));
}

#[test]
fn a_part_is_taken_by_database_file_set_and_pattern() {
    let nightvault = installation();
    back_up(&nightvault, DAY);
    let names = |to: &str| -> Vec<String> {
        let files =
            tree(&nightvault.folder().join(to)).into_iter().filter(|(_, mode, _)| mode & 0o170_000 == 0o100_000);
        files.map(|(name, _, _)| name).collect()
    };
    nightvault.ok(&["extract", DAY, "--to", "one", "--database", "clinic"]);
    assert_eq!(names("one"), ["db-dumps/clinic.sqlite"]);
    nightvault.ok(&["extract", DAY, "--to", "two", "--files", "docs"]);
    assert_eq!(names("two"), ["files/docs/2024/letters/a.txt", "files/docs/b.txt"]);
    nightvault.ok(&["extract", DAY, "--to", "three", "files/docs/2024"]);
    assert_eq!(names("three"), ["files/docs/2024/letters/a.txt"]);
    for (arguments, told) in [
        (["--database", "crm"], "It has: clinic."),
        (["--files", "doc"], "It has: docs."),
        (["--files=docs", "*.exe"], "no entry matches"),
    ] {
        let said = nightvault.fails(1, &[&["extract", DAY, "--to", "none"], arguments.as_slice()].concat());
        assert!(said.stderr.contains(told), "{said:?}");
    }
    assert!(!nightvault.folder().join("none").exists());
}

#[test]
fn nothing_is_ever_overwritten_and_all_that_is_in_the_way_is_told_at_once() {
    let nightvault = installation();
    back_up(&nightvault, DAY);
    let out = nightvault.folder().join("out");
    fs::create_dir_all(out.join("files/docs")).expect("folders");
    fs::create_dir_all(out.join("db-dumps/clinic.sqlite")).expect("folders");
    fs::write(out.join("files/docs/b.txt"), "precious").expect("a file");
    let before = tree(&out);
    let said = nightvault.fails(1, &["extract", "latest", "--to", "out"]);
    assert!(said.stderr.contains("2 of the places are taken"), "{said:?}");
    assert_eq!(tree(&out), before);
    // What is not in the way does no harm, and stays.
    nightvault.ok(&["extract", "latest", "--to", "out", "files/docs/2024/**"]);
    assert_eq!(fs::read(out.join("files/docs/b.txt")).expect("a file"), b"precious");
    assert_eq!(fs::read(out.join("files/docs/2024/letters/a.txt")).expect("a file"), "Dear Zoë".as_bytes());
}

#[test]
fn no_link_that_is_in_the_way_is_followed() {
    let nightvault = installation();
    back_up(&nightvault, DAY);
    let elsewhere = nightvault.folder().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    for (to, link) in [("one", "files"), ("two", "files/docs"), ("three", "files/docs/b.txt")] {
        let link = nightvault.folder().join(to).join(link);
        fs::create_dir_all(link.parent().expect("a parent")).expect("folders");
        symlink(&elsewhere, &link).expect("a link");
        let said = nightvault.fails(1, &["extract", "latest", "--to", to, "--files", "docs"]);
        assert!(said.stderr.contains("taken"), "{said:?}");
    }
    assert_eq!(tree(&elsewhere), []);
}

#[test]
fn links_that_lead_out_are_left_out_and_the_rest_is_there() {
    let nightvault = installation();
    let docs = nightvault.folder().join("docs");
    let evil = [("absolute", "/etc"), ("above", "../../../../etc"), ("2024/twisted", "letters/../../../../etc")];
    for (name, target) in evil {
        symlink(target, docs.join(name)).expect("a link");
    }
    symlink("b.txt", docs.join("good")).expect("a link");
    back_up(&nightvault, DAY);
    let report = nightvault.fails(4, &["--json", "extract", "latest", "--to", "out"]).json();
    assert_eq!(report["error_type"], "UnsupportedObject");
    let left_out: Vec<&Value> =
        report["report"]["left_out"].as_array().expect("a list").iter().map(|it| &it["entry"]).collect();
    assert_eq!(left_out.len(), 3, "{report}");
    let out = nightvault.folder().join("out/files/docs");
    for (name, _) in evil {
        assert!(fs::symlink_metadata(out.join(name)).is_err(), "{name} was made");
    }
    assert_eq!(fs::read_link(out.join("good")).expect("a link"), Path::new("b.txt"));
    assert_eq!(fs::read(out.join("b.txt")).expect("a file").len(), 3000);
}

#[test]
fn a_damaged_file_never_appears_and_what_is_there_is_told_exactly() {
    let nightvault = installation();
    let archive = back_up(&nightvault, DAY);
    // The last file of the archive: its authentication code stands right before its data descriptor.
    let bytes = fs::read(&archive).expect("an archive");
    let name = b"files/docs/b.txt";
    let at = bytes.windows(name.len()).position(|window| window == name).expect("the entry");
    flip(&archive, at + name.len() + 80);
    let said = nightvault.fails(3, &["extract", "latest", "--to", "out"]);
    assert!(said.stderr.contains("\"files/docs/b.txt\""), "{said:?}");
    assert!(said.stdout.contains("2 of 3 that were asked for are there"), "{said:?}");
    assert!(said.stdout.contains("in the archive's order: files/docs/2024/letters/a.txt"), "{said:?}");
    let there: Vec<String> = tree(&nightvault.folder().join("out")).into_iter().map(|(name, _, _)| name).collect();
    let expected = [
        "db-dumps",
        "db-dumps/clinic.sqlite",
        "files",
        "files/docs",
        "files/docs/2024",
        "files/docs/2024/letters",
        "files/docs/2024/letters/a.txt",
    ];
    assert_eq!(there, expected, "no hidden file stays behind");
}

#[test]
fn set_user_id_is_not_given_back() {
    let nightvault: Nightvault = installation();
    let file = nightvault.folder().join("docs/b.txt");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o6755)).expect("a mode");
    back_up(&nightvault, DAY);
    nightvault.ok(&["extract", "latest", "--to", "out", "**/b.txt"]);
    let out = nightvault.folder().join("out/files/docs/b.txt");
    assert_eq!(fs::metadata(out).expect("a file").permissions().mode() & 0o7777, 0o755);
}
