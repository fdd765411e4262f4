//! Ours, damaged, changed or dressed up: never called another program's.

use std::fs;

use super::fixtures::{central, php};
use super::verified;
use crate::support::nightvault::Nightvault;
use crate::support::postgres::{Scratch, port};
use crate::verify::{back_up, installation};

const DAY: &str = "2024-01-15";

/// Asserts that neither `verify` nor `list` nor `show` nor `extract` takes the archive for another program's.
fn assert_damaged(nightvault: &Nightvault, what: &str) {
    for path in ["./cut.zip", DAY] {
        let backup = verified(nightvault, 3, path);
        assert_eq!(backup["verdict"], "damaged", "{what}: {backup}");
        nightvault.fails(3, &["show", path]);
        nightvault.fails(3, &["extract", path, "--to", "out"]);
    }
    let said = nightvault.run(&["list"]);
    assert!(!said.stdout.contains("another program"), "{what}: {said:?}");
}

#[test]
fn one_of_ours_is_opened_by_its_path_under_any_name_and_restored_from_there() {
    let nightvault = installation();
    let archive = back_up(&nightvault, DAY);
    fs::rename(&archive, nightvault.folder().join("downloaded.zip")).expect("another place");
    assert_eq!(verified(&nightvault, 0, "./downloaded.zip")["verdict"], "whole");
    assert_eq!(nightvault.ok(&["show", "./downloaded.zip"])["manifest"]["key"], "clinic/2024-01-15-02-00-00.zip");
    let to = format!("sqlite://{}", nightvault.folder().join("new.sqlite").display());
    let report = nightvault.ok(&["restore", "./downloaded.zip", "--to", &to, "--files", "new"]);
    assert_eq!(report["database"]["rows"], 3);
    let names: Vec<_> =
        fs::read_dir(nightvault.folder()).expect("a folder").map(|it| it.expect("it").file_name()).collect();
    assert!(
        !names.iter().any(|name| name.to_string_lossy().contains("notes")),
        "nothing is noted beside it: {names:?}"
    );
    let said = nightvault.fails(1, &["verify", "./nothing.zip"]);
    assert!(said.stderr.contains("there is no file"), "{said:?}");
    // On a disk, another name is still a copy in another's place.
    fs::copy(nightvault.folder().join("downloaded.zip"), nightvault.archive("clinic/2024-01-16-02-00-00.zip"))
        .expect("it");
    let backup = verified(&nightvault, 3, "2024-01-16");
    assert!(backup["error"].as_str().expect("words").contains("is a copy of that backup"), "{backup}");
}

#[test]
fn one_that_lost_its_end_is_damaged_wherever_it_was_cut() {
    let nightvault = installation();
    let archive = back_up(&nightvault, DAY);
    let whole = fs::read(&archive).expect("an archive");
    let cut = nightvault.folder().join("cut.zip");
    let directory = central(&whole);
    for length in
        [whole.len() - 1, whole.len() - 21, directory + 50, directory, directory - 1, directory / 2, 100, 31, 3]
    {
        fs::write(&cut, &whole[..length]).expect("a cut archive");
        fs::write(&archive, &whole[..length]).expect("a cut archive");
        assert_damaged(&nightvault, &format!("cut to {length}"));
        if length > 100 {
            let said = nightvault.fails(3, &["verify", "./cut.zip"]);
            assert!(said.stderr.contains("begins as an archive of Nightvault does"), "{length}: {said:?}");
        }
    }
}

#[test]
fn one_whose_directory_was_written_anew_without_its_manifest_is_damaged() {
    let nightvault = installation();
    let archive = back_up(&nightvault, DAY);
    let whole = fs::read(&archive).expect("an archive");
    let directory = central(&whole);
    let mut headers: Vec<Vec<u8>> = Vec::new();
    let mut at = directory;
    while whole[at..].starts_with(b"PK\x01\x02") {
        let short = |offset: usize| usize::from(u16::from_le_bytes([whole[at + offset], whole[at + offset + 1]]));
        let next = at + 46 + short(28) + short(30) + short(32);
        headers.push(whole[at..next].to_vec());
        at = next;
    }
    let with = |headers: &[Vec<u8>], start: usize, from: usize| {
        let (bytes, count) = (headers.concat(), u16::try_from(headers.len()).expect("few").to_le_bytes());
        let size = u32::try_from(bytes.len()).expect("small").to_le_bytes();
        let offset = u32::try_from(start - from).expect("small").to_le_bytes();
        [&whole[from..start], &bytes, b"PK\x05\x06\0\0\0\0", &count, &count, &size, &offset, &[0, 0]].concat()
    };
    let without = headers.len() - 2;
    let cut = nightvault.folder().join("cut.zip");
    for (what, bytes) in [
        ("index and manifest dropped from the directory", with(&headers[..without], directory, 0)),
        ("one file dropped", with(&headers[1..], directory, 0)),
        ("the manifest dropped", with(&headers[..headers.len() - 1], directory, 0)),
        ("the other way round", with(&headers.iter().rev().cloned().collect::<Vec<_>>(), directory, 0)),
    ] {
        for path in [&archive, &cut] {
            fs::write(path, &bytes).expect("a changed archive");
        }
        assert_damaged(&nightvault, what);
    }
}

#[test]
fn one_of_our_dumps_in_another_programs_clothes_is_found_by_its_own_words() {
    let scratch = Scratch::of("clinic.sql");
    let mut nightvault = Nightvault::local("clinic");
    let url = format!("postgres://postgres@127.0.0.1:{}/{}?sslmode=disable", port(), scratch.name);
    nightvault.set("DATABASE_URL", &url);
    let archive = back_up(&nightvault, DAY);
    nightvault.ok(&["extract", "latest", "--to", "out"]);
    let name = format!("db-dumps/{}.sql", scratch.name);
    let dump = fs::read(nightvault.folder().join("out").join(&name)).expect("the dump");
    php(&archive, &[("db-dumps/mysql-clinic.sql", &dump)]);
    let backup = verified(&nightvault, 3, DAY);
    assert!(backup["error"].as_str().expect("words").contains("was written by Nightvault"), "{backup}");
    // Files and copies of databases hold no words of ours; their names give them away.
    for name in ["files/docs/a.txt", "db-dumps/clinic.sqlite", "manifest.json"] {
        php(&archive, &[(name, b"contents")]);
        let said = nightvault.fails(3, &["verify", DAY]);
        assert!(said.stderr.contains("Nightvault"), "{name}: {said:?}");
    }
}
