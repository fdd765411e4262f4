//! Archives of other programs, as an operator meets them: those of `spatie/laravel-backup`, made as it makes them by PHP, and
//! what 7-Zip and bsdtar write. Readable at best; what may be a damaged one of ours is never taken for one of theirs.

mod fixtures;
mod hostile;
mod ours;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use self::fixtures::{Packed, central, complete_sql, gzip, local, pack, php};
use crate::extract::tree;
use crate::support::nightvault::Nightvault;
use crate::verify::flip;

/// The first backup of `verify --json`, which must end with this code.
fn verified(nightvault: &Nightvault, code: i32, path: &str) -> Value {
    let report = nightvault.fails(code, &["--json", "verify", path]).json();
    // What is not healthy is a report like any other.
    let report = if code < 2 { report } else { report["report"].clone() };
    report["disks"][0]["backups"][0].clone()
}

#[test]
fn what_every_program_packs_is_shown_verified_and_extracted() {
    for packed in Packed::ALL {
        let nightvault = Nightvault::local("clinic");
        let source = nightvault.folder().join("source");
        let archive = pack(packed, &source, nightvault.folder());
        let backup = verified(&nightvault, 0, "./old.zip");
        assert_eq!((&backup["verdict"], &backup["error"]), (&json!("readable"), &Value::Null), "{packed:?}: {backup}");
        assert_eq!(backup["size"], fs::metadata(&archive).expect("it").len());
        assert_eq!(nightvault.ok(&["verify", "./old.zip"])["whole"], false, "nobody can tell");
        let warned = backup["warnings"].to_string();
        assert_eq!(warned.contains("NOT encrypted"), packed.encryption() == "none", "{packed:?}: {warned}");
        assert_eq!(warned.contains("ZipCrypto"), packed.encryption() == "ZipCrypto", "{packed:?}: {warned}");

        let shown = nightvault.ok(&["show", "./old.zip"]);
        for command in ["show", "verify"] {
            let said = nightvault.fails(2, &[command, "./old.zip", "--disk", "local"]);
            assert!(said.stderr.contains("Leave --disk away"), "{said:?}");
        }
        let entries = shown["foreign"].as_array().expect("a directory");
        let dump =
            entries.iter().find(|entry| entry["name"] == "db-dumps/mysql-clinic.sql").expect("the dump is listed");
        assert_eq!(dump["encryption"], packed.encryption(), "{packed:?}");
        assert_eq!(dump["bytes"], complete_sql().len());
        assert_eq!((&shown["manifest"], &shown["encrypted"]), (&Value::Null, &json!(packed.encryption() == "AES-256")));

        let report = nightvault.ok(&["extract", "./old.zip", "--to", "out", "--gunzip"]);
        assert_eq!((&report["foreign"], &report["decompressed"]), (&json!(true), &json!(1)));
        let out = nightvault.folder().join("out");
        let text = out.join("db-dumps/postgresql-crm.sql");
        assert_eq!(fs::read(&text).expect("the text beside it"), complete_sql().into_bytes(), "{packed:?}");
        fs::remove_file(text).expect("it");
        let contents = |folder: &Path| -> Vec<(String, Vec<u8>)> {
            tree(folder).into_iter().filter(|it| it.1 & 0o170_000 == 0o100_000).map(|it| (it.0, it.2)).collect()
        };
        assert_eq!(contents(&out), contents(&source), "{packed:?}");
        nightvault.ok(&["extract", "./old.zip", "--to", "part", "db-dumps/*.sql"]);
        assert_eq!(contents(&nightvault.folder().join("part")).len(), 1);
        let said = nightvault.fails(2, &["extract", "./old.zip", "--to", "x", "--database", "clinic"]);
        assert!(said.stderr.contains("no databases and file sets by name"), "{said:?}");
    }
}

#[test]
fn in_the_vault_it_is_listed_thinned_out_and_no_healthy_newest_backup() {
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set("BACKUP_MAX_AGE_DAYS", "3650");
    let source = nightvault.folder().join("source");
    let archive = pack(Packed::Php, &source, nightvault.folder());
    fs::create_dir_all(nightvault.vault().join("clinic")).expect("the vault");
    for day in ["2024-01-12", "2024-01-13", "2024-01-14"] {
        fs::copy(&archive, nightvault.archive(&format!("clinic/{day}-02-00-00.zip"))).expect("a copy");
    }
    assert_eq!(nightvault.listed().len(), 3);
    let line = nightvault.ok(&["list"])["disks"][0]["backups"][0].clone();
    assert_eq!((&line["verified"], &line["encrypted"]), (&json!("foreign"), &json!(true)));
    assert!(nightvault.run(&["list"]).stdout.contains("another program's, no manifest"));
    let all = nightvault.ok(&["verify", "--all"]);
    assert_eq!(all["disks"][0]["backups"].as_array().expect("backups").len(), 3);
    // Nothing is noted: readable is not whole.
    assert_eq!(nightvault.ok(&["list"])["disks"][0]["backups"][0]["proof"], Value::Null);
    let said = nightvault.fails(1, &["monitor", "--no-notify"]);
    assert!(said.stdout.contains("another program wrote it; it has no manifest"), "{said:?}");
    let plan = nightvault.ok(&["cleanup", "--at", "2024-03-15T00:00:00Z"]);
    let kept = |decision: &&Value| decision["keep"] == true;
    let decisions = plan["disks"][0]["decisions"].as_array().expect("decisions");
    assert_eq!(
        (decisions.len(), decisions.iter().filter(kept).count()),
        (3, 2),
        "the policy is that of our own: {plan}"
    );
    // Damage is noted, as with ours.
    flip(&nightvault.archive("clinic/2024-01-13-02-00-00.zip"), 200);
    assert_eq!(verified(&nightvault, 3, "2024-01-13")["recorded"]["whole"], false);

    let to = format!("sqlite://{}", nightvault.folder().join("new.sqlite").display());
    for arguments in [vec!["--to", &to], vec!["--files", "new"]] {
        let said = nightvault.fails(4, &[vec!["restore", "2024-01-14"], arguments].concat());
        for told in ["was written by another program", "nightvault extract", "psql", "mysql NEW < FILE"] {
            assert!(said.stderr.contains(told), "{told}: {said:?}");
        }
    }
}

#[test]
fn every_changed_bit_of_the_contents_is_found() {
    for (packed, checked_by) in [(Packed::Php, "damaged"), (Packed::Plain, "damaged"), (Packed::ZipCrypto, "damaged")] {
        let nightvault = Nightvault::local("clinic");
        let archive = pack(packed, &nightvault.folder().join("source"), nightvault.folder());
        let whole = fs::read(&archive).expect("the archive");
        let end = central(&whole);
        for at in (0..end).step_by(end / 37) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&archive, bytes).expect("a damaged archive");
            // In a local header only what nobody reads may change: versions, times, extra fields.
            let said = nightvault.run(&["--json", "verify", "./old.zip"]);
            let harmless = local(&whole, at).is_some_and(|field| (4..6).contains(&field) || (10..14).contains(&field));
            assert!(said.code == 3 || harmless, "{packed:?} at {at}: {said:?}");
            assert!(said.code != 3 || said.stdout.contains(checked_by), "{packed:?} at {at}: {said:?}");
        }
    }
}

#[test]
fn ae_1_is_checked_by_its_crc_too() {
    let nightvault = Nightvault::local("clinic");
    let archive = fixtures::ae_1(&nightvault.folder().join("source"), nightvault.folder());
    assert_eq!(verified(&nightvault, 0, "./old.zip")["verdict"], "readable");
    nightvault.ok(&["extract", "./old.zip", "--to", "out"]);
    // The CRC in both headers, so that they agree: contents and authentication code are as they were.
    let mut bytes = fs::read(&archive).expect("the archive");
    let directory = central(&bytes);
    bytes[14] ^= 1;
    bytes[directory + 16] ^= 1;
    fs::write(&archive, bytes).expect("a changed archive");
    let backup = verified(&nightvault, 3, "./old.zip");
    assert_eq!(backup["verdict"], "damaged");
    assert!(backup["error"].as_str().expect("words").contains("Invalid checksum"), "{backup}");
}

#[test]
fn a_wrong_password_is_told_from_damage_and_none_is_needed_where_none_is_used() {
    for packed in Packed::ALL {
        let mut nightvault = Nightvault::local("clinic");
        pack(packed, &nightvault.folder().join("source"), nightvault.folder());
        nightvault.set("BACKUP_ARCHIVE_PASSWORD", "another-password-of-sufficient-length-000");
        if packed.encryption() == "none" {
            nightvault.unset("BACKUP_ARCHIVE_PASSWORD");
            assert_eq!(verified(&nightvault, 0, "./old.zip")["verdict"], "readable");
            nightvault.ok(&["extract", "./old.zip", "--to", "out"]);
            continue;
        }
        assert_eq!(verified(&nightvault, 3, "./old.zip")["verdict"], "wrong_password", "{packed:?}");
        let said = nightvault.fails(3, &["extract", "./old.zip", "--to", "out"]);
        assert!(said.stderr.contains("wrong password"), "{packed:?}: {said:?}");
        nightvault.unset("BACKUP_ARCHIVE_PASSWORD");
        let said = nightvault.fails(2, &["verify", "./old.zip"]);
        assert!(said.stderr.contains("BACKUP_ARCHIVE_PASSWORD"), "{said:?}");
        nightvault.ok(&["show", "./old.zip"]);
    }
}

#[test]
fn a_dump_that_was_cut_off_is_suspicious() {
    let whole = complete_sql();
    let cut = gzip(&whole.as_bytes()[..whole.len() / 2]);
    let broken = &gzip(whole.as_bytes())[..900];
    for (name, contents, told) in [
        ("db-dumps/mysql-a.sql", &whole.as_bytes()[..whole.len() - 30], "it may be cut off"),
        ("db-dumps/mysql-a.sql", b"".as_slice(), "it is empty"),
        ("db-dumps/postgresql-a.sql.gz", cut.as_slice(), "it may be cut off"),
        ("db-dumps/postgresql-a.sql.gz", broken, "gzip"),
    ] {
        let nightvault = Nightvault::local("clinic");
        php(&nightvault.folder().join("old.zip"), &[(name, contents), ("db-dumps/mysql-b.sql", whole.as_bytes())]);
        let backup = verified(&nightvault, 1, "./old.zip");
        assert_eq!(backup["verdict"], "suspicious", "{name}: {backup}");
        assert!(backup["error"].as_str().expect("words").contains(told), "{told}: {backup}");
        assert!(backup["error"].as_str().expect("words").contains("1 of 2 dumps"), "{backup}");
        // It is taken out as it is; what gzip cannot read is told.
        let code = if told == "gzip" { 4 } else { 0 };
        let said = nightvault.fails(code, &["extract", "./old.zip", "--to", "out", "--gunzip"]);
        assert_eq!(fs::read(nightvault.folder().join("out").join(name)).expect("it"), contents, "{said:?}");
    }
    // A dump elsewhere is a file like any other.
    let nightvault = Nightvault::local("clinic");
    php(&nightvault.folder().join("old.zip"), &[("var/www/schema.sql", b"CREATE TABLE t (a INT);")]);
    let backup = verified(&nightvault, 0, "./old.zip");
    assert!(backup["warnings"].to_string().contains("it holds no dump of a database"), "{backup}");
}

#[test]
fn names_that_lead_out_are_refused_and_nothing_is_made() {
    for name in ["../evil.txt", "a/../../evil.txt", "/evil.txt", "a//b", "./x"] {
        let nightvault = Nightvault::local("clinic");
        php(&nightvault.folder().join("old.zip"), &[("good.txt", b"good"), (name, b"evil")]);
        let said = nightvault.fails(3, &["extract", "./old.zip", "--to", "out"]);
        assert!(said.stderr.contains("would leave the folder"), "{name}: {said:?}");
        assert!(!nightvault.folder().join("out").exists() && !nightvault.folder().join("evil.txt").exists());
    }
    // Two entries in one place, one below the other.
    let nightvault = Nightvault::local("clinic");
    php(&nightvault.folder().join("old.zip"), &[("a", b"file"), ("a/b", b"below it")]);
    nightvault.fails(3, &["extract", "./old.zip", "--to", "out"]);
    assert!(!nightvault.folder().join("out").exists());
}
