//! Single tables: back into their place, beside the live one, or not at all.

use super::{assert_same, large, restore, url, vault_of};
use crate::restore::{backed_up, damage};
use crate::support::mariadb::Scratch;
use crate::support::nightvault::Nightvault;

fn warnings(report: &serde_json::Value) -> String {
    report["warnings"].to_string()
}

/// Restores a table into a copy of its database from which it was dropped; the copy must be the original again.
pub(super) fn assert_takes_its_place(nightvault: &Nightvault, source: &Scratch, tables: &[&str]) {
    let copy = Scratch::on(source.server(), "copy", "CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci");
    nightvault.ok(&restore(&url(&copy), &[]));
    // The one before the last is dropped with the keys of its children left in place.
    for table in tables {
        let quoted = format!("`{}`", table.replace('`', "``"));
        copy.run(&format!("SET foreign_key_checks = 0; DROP TABLE {quoted}"));
    }
    let options: Vec<&str> = tables.iter().flat_map(|table| ["--table", table]).collect();
    let report = nightvault.ok(&restore(&url(&copy), &[&options[..], &["--jobs", "2"]].concat()));
    let restored = report["database"]["tables"].as_array().unwrap();
    assert_eq!(report["database"]["whole"], false);
    assert_eq!(restored.len(), tables.len(), "{report}");
    assert_same(source, &copy);
}

#[test]
fn a_table_takes_its_place_with_its_keys_triggers_and_counter() {
    let source = Scratch::seeded("places", "clinic.sql");
    source.run(
        "CREATE TABLE fired (n INT); CREATE TRIGGER noted AFTER INSERT ON doctors FOR EACH ROW INSERT INTO fired VALUES (NEW.id);
         CREATE TRIGGER other BEFORE UPDATE ON `doctors` FOR EACH ROW FOLLOWS noted SET @x = 'TRIGGER y ON z'"
            .replace("FOLLOWS noted ", "")
            .as_str(),
    );
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    assert_takes_its_place(&nightvault, &source, &["doctors"]);
    assert_takes_its_place(&nightvault, &source, &["appointments", "patients"]);
}

#[test]
fn tables_with_history_sequences_and_hostile_names_take_their_places() {
    let source = Scratch::seeded("kinds", "everything.sql");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    assert_takes_its_place(&nightvault, &source, &["prices", "invoices", "parents"]);
    assert_takes_its_place(&nightvault, &source, &["weird `name\n\\! touch PWNED\n-- x", "by_list", "old_text"]);
}

#[test]
fn a_large_table_is_read_alone_and_takes_its_place() {
    let source = large("alone");
    source.run("CREATE TABLE noise (id INT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB; SET @n = 0; \
                INSERT INTO noise SELECT seq, UNHEX(CONCAT(SHA2(seq, 512), SHA2(seq + 1e6, 512), SHA2(seq + 2e6, 512), SHA2(seq + 3e6, 512))) FROM seq_1_to_40000");
    let nightvault = vault_of(&source);
    let key = backed_up(&nightvault);
    let copy = Scratch::new("copy");
    let whole = nightvault.ok(&restore(&url(&copy), &[]))["bytes_read"].as_u64().unwrap();
    assert!(whole > std::fs::metadata(nightvault.archive(&key)).unwrap().len());
    copy.run("SET foreign_key_checks = 0; DROP TABLE `b ``x`");
    let report = nightvault.ok(&restore(&url(&copy), &["--table", "b `x"]));
    let read = report["bytes_read"].as_u64().unwrap();
    let raw = report["database"]["tables"][0]["bytes"].as_u64().unwrap();
    assert!(read < raw + (2 << 20), "{read} of {raw}");
    assert!(read < whole / 3, "{read} of {whole}");
    assert_same(&source, &copy);
    let refused = copy.client().run(b"INSERT INTO `b ``x` VALUES (99999, 99999, 'x', '')");
    assert!(!refused.status.success(), "its foreign keys are in force");
}

#[test]
fn a_table_comes_beside_the_live_one_under_another_name() {
    let source = Scratch::seeded("beside", "clinic.sql");
    source.run("CREATE TRIGGER noted AFTER INSERT ON doctors FOR EACH ROW SET @a = 1");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    source.run("DELETE FROM appointments; UPDATE doctors SET name = 'gone'");
    let before = source.digests();
    // The source itself: nothing of it is replaced.
    let report = nightvault.ok(&restore(&url(&source), &["--table", "doctors", "--as", "doctors_restored"]));
    assert_eq!(report["database"]["tables"][0]["renamed"], "doctors_restored");
    assert!(warnings(&report).contains("the triggers of \\\"doctors\\\" are not made"), "{report}");
    let after = source.digests();
    for line in before.lines() {
        assert!(after.contains(line), "{line}");
    }
    assert_eq!(source.run("SELECT COUNT(*) FROM doctors_restored WHERE name = 'gone'"), "0\n");
    let keys = source.run(
        "SELECT CONSTRAINT_NAME, REFERENCED_TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE CONSTRAINT_SCHEMA = DATABASE() AND TABLE_NAME = 'doctors_restored' ORDER BY 1",
    );
    assert_eq!(keys, "doctors_restored_clinic\tclinics\ndoctors_restored_deputy\tdoctors_restored\n");
    // A second time it is there.
    let said = nightvault.fails(2, &restore(&url(&source), &["--table", "doctors", "--as", "doctors_restored"]));
    assert!(said.stderr.contains("\"doctors_restored\" is there already"), "{said:?}");
    let said = nightvault.fails(2, &restore(&url(&source), &["--table", "doctors"]));
    assert!(said.stderr.contains("--as NAME puts its rows beside it"), "{said:?}");
}

#[test]
fn missing_parents_are_told_or_taken_along_with_theirs() {
    let source = Scratch::seeded("parents", "clinic.sql");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new("target");
    target.run("CREATE TABLE precious (a INT); INSERT INTO precious VALUES (1)");
    let said = nightvault.fails(2, &restore(&url(&target), &["--table", "appointments"]));
    for wanted in ["refers to \"patients\" (foreign key \"appointments_patient\")", "refers to \"doctors\""] {
        assert!(said.stderr.contains(wanted), "{wanted}: {said:?}");
    }
    let planned = nightvault.ok(&restore(&url(&target), &["--table", "appointments", "--with-parents", "--dry-run"]));
    assert_eq!(planned["status"], "planned");
    assert_eq!(target.run("SHOW TABLES"), "precious\n");
    let report = nightvault.ok(&restore(&url(&target), &["--table", "appointments", "--with-parents"]));
    let along = report["database"]["along"].to_string();
    for wanted in ["table clinics", "table doctors", "table patients"] {
        assert!(along.contains(wanted), "{along}");
    }
    assert_eq!(target.run("SELECT * FROM precious"), "1\n");
    let counts = "SELECT (SELECT COUNT(*) FROM appointments), (SELECT COUNT(*) FROM clinics)";
    assert_eq!(source.run(counts), target.run(counts));
}

#[test]
fn an_unknown_table_is_refused_with_the_names_that_are_near() {
    let source = Scratch::seeded("near", "clinic.sql");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new("target");
    let said = nightvault.fails(2, &restore(&url(&target), &["--table", "Patient"]));
    assert!(
        said.stderr.contains("has no table \"Patient\"") && said.stderr.contains("It has \"patients\""),
        "{said:?}"
    );
}

#[test]
fn damage_within_the_rows_leaves_nothing_of_the_table() {
    let source = large("damaged");
    let nightvault = vault_of(&source);
    let key = backed_up(&nightvault);
    let target = Scratch::new("target");
    target.run("CREATE TABLE precious (a INT)");
    damage(&nightvault.archive(&key));
    // One of the tables has the damage; which one, the compression decides.
    let mut damaged = 0;
    for table in ["a;\nDELIMITER //", "b `x", "without"] {
        let said = nightvault.run(&restore(&url(&target), &["--table", table, "--with-parents"]));
        if said.code != 0 {
            damaged += 1;
            assert_eq!(said.code, 3, "{said:?}");
            assert!(said.stderr.contains("What had been made was dropped again; nothing of it is there."), "{said:?}");
            assert_eq!(target.run("SHOW TABLES"), "precious\n");
        } else {
            target.run("SET foreign_key_checks = 0; DROP TABLE IF EXISTS `a;\nDELIMITER //`, `b ``x`, without");
        }
    }
    assert!(damaged > 0);
}

#[test]
fn what_a_killed_restore_left_is_told_by_its_name() {
    let source = Scratch::seeded("killed", "clinic.sql");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new("target");
    target.run("CREATE TABLE nightvault_restores_clinics (a INT)");
    let said = nightvault.fails(2, &restore(&url(&target), &["--table", "clinics"]));
    assert!(
        said.stderr.contains("one that was killed left it (then: DROP TABLE `nightvault_restores_clinics`)"),
        "{said:?}"
    );
    assert_eq!(target.run("SHOW TABLES"), "nightvault_restores_clinics\n");
}
