//! MariaDB: statement by statement into an empty database; `mariadb-dump` and digests made in the server are the judges.

use super::{backed_up, damage};
use crate::support::given;
use crate::support::mariadb::{PASSWORD, Scratch, User};
use crate::support::nightvault::Nightvault;

/// The address of a database, without the password, which no address is needed for.
fn url(database: &Scratch) -> String {
    format!("mariadb://nightvault@127.0.0.1:{}/{}?sslmode=prefer", given("TEST_MARIADB_PORT"), database.name())
}

/// An installation whose source is this database, described by Laravel's variables.
fn vault_of(source: &Scratch) -> Nightvault {
    let mut nightvault = Nightvault::local("clinic");
    nightvault
        .set("DB_CONNECTION", "mariadb")
        .set("DB_HOST", "127.0.0.1")
        .set("DB_PORT", &given("TEST_MARIADB_PORT"))
        .set("DB_DATABASE", source.name())
        .set("DB_USERNAME", "nightvault")
        .set("DB_PASSWORD", PASSWORD);
    nightvault
}

fn restore<'a>(to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["restore", "latest", "--to", to, "--to-password-env", "DB_PASSWORD"], more].concat()
}

fn assert_same(source: &Scratch, target: &Scratch) {
    for (one, other) in [(source.oracle(), target.oracle()), (source.digests(), target.digests())] {
        for (number, (a, b)) in one.lines().zip(other.lines()).enumerate() {
            assert_eq!(a, b, "line {}", number + 1);
        }
        assert_eq!(one.lines().count(), other.lines().count());
    }
}

fn assert_comes_back(script: &str) {
    let source = Scratch::seeded("restore", script);
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::with_options("restored", "CHARACTER SET latin1");
    let report = nightvault.ok(&restore(&url(&target), &[]));
    assert_eq!(report["status"], "restored");
    let tables = report["database"]["tables"].as_array().unwrap();
    let rows: u64 = tables.iter().map(|table| table["rows"].as_u64().unwrap()).sum();
    assert_eq!(report["database"]["rows"], rows);
    assert!(rows > 0);
    assert_same(&source, &target);
}

#[test]
fn a_clinic_comes_back_as_it_was() {
    assert_comes_back("clinic.sql");
}

#[test]
fn values_of_every_type_come_back_as_they_were() {
    assert_comes_back("types.sql");
}

#[test]
fn text_that_is_not_utf_8_is_refused_before_anything_runs() {
    let source = Scratch::seeded("latin", "everything.sql");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new("target");
    let said = nightvault.fails(4, &restore(&url(&target), &[]));
    assert!(said.stderr.contains("another character set than UTF-8"), "{said:?}");
    assert_eq!(target.run("SHOW TABLES"), "");
}

#[test]
fn values_of_seventeen_mebibytes_and_their_delimiters_come_back() {
    let source = Scratch::new("large");
    source.run(
        "CREATE TABLE t (id INT PRIMARY KEY, b LONGBLOB, c LONGTEXT) ENGINE=InnoDB;
         INSERT INTO t VALUES (1, REPEAT('x', 17000000), '\nDELIMITER ;;\n'), (2, '\nDELIMITER ;;\n\\\\', 'a;\nb');",
    );
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new("restored");
    nightvault.ok(&restore(&url(&target), &[]));
    assert_same(&source, &target);
}

#[test]
fn a_wrong_password_damage_and_a_dry_run_execute_nothing() {
    let source = Scratch::seeded("damage", "clinic.sql");
    let mut nightvault = vault_of(&source);
    let key = backed_up(&nightvault);
    let target = Scratch::new("target");
    let to = url(&target);
    assert_eq!(nightvault.ok(&restore(&to, &["--dry-run"]))["status"], "planned");
    assert_eq!(target.run("SHOW TABLES"), "");

    nightvault.set("BACKUP_ARCHIVE_PASSWORD", "another-password-of-sufficient-length-000");
    assert!(nightvault.fails(3, &restore(&to, &[])).stderr.contains("wrong password"));
    nightvault.set("BACKUP_ARCHIVE_PASSWORD", crate::support::nightvault::PASSWORD);
    damage(&nightvault.archive(&key));
    assert!(nightvault.fails(3, &restore(&to, &[])).stderr.contains("db-dumps/"));
    assert_eq!(target.run("SHOW TABLES"), "");
}

#[test]
fn a_target_that_holds_anything_and_the_source_are_refused_and_left_alone() {
    let source = Scratch::seeded("refused", "clinic.sql");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new("full");
    target.run("CREATE TABLE precious (a INT); INSERT INTO precious VALUES (1)");
    let said = nightvault.fails(2, &restore(&url(&target), &[]));
    assert!(said.stderr.contains("not empty") && said.stderr.contains("base table precious"), "{said:?}");
    assert_eq!(target.run("SHOW TABLES; SELECT * FROM precious"), "precious\n1\n");
    let said = nightvault.fails(2, &restore(&url(&source).replace("127.0.0.1", "localhost"), &[]));
    assert!(said.stderr.contains("the source itself"), "{said:?}");
}

#[test]
fn what_the_user_may_not_do_is_told_before_anything_runs() {
    let source = Scratch::seeded("lacks", "everything.sql");
    let mut nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new("target");
    let user = User::new("lacks", &[&format!("SELECT, CREATE, INSERT ON `{}`.*", target.name())]);
    nightvault.set("OTHER_PASSWORD", "pw");
    let to = url(&target).replace("nightvault@", &format!("{}@", user.name()));
    let said = nightvault.fails(2, &["restore", "latest", "--to", &to, "--to-password-env", "OTHER_PASSWORD"]);
    for wanted in ["the user lacks ALTER, DROP, INDEX, REFERENCES, CREATE VIEW, TRIGGER", "in the names of"] {
        assert!(said.stderr.contains(wanted), "{wanted}: {said:?}");
    }
    assert_eq!(target.run("SHOW TABLES"), "");
}

#[test]
fn an_error_in_the_middle_says_what_is_there_and_how_to_be_rid_of_it() {
    let source = Scratch::new("fails");
    // A function of another database, which is gone when the view is made again.
    let other = Scratch::new("other");
    other.run("CREATE TABLE gone (a INT)");
    source.run(&format!(
        "CREATE TABLE t (a INT PRIMARY KEY); INSERT INTO t VALUES (1), (2); CREATE VIEW v AS SELECT a FROM `{}`.gone",
        other.name()
    ));
    let nightvault = vault_of(&source);
    let backup = nightvault.run(&["run"]);
    other.run("DROP TABLE gone");
    let target = Scratch::new("target");
    assert_eq!(backup.code, 0, "{backup:?}");
    let said = nightvault.run(&restore(&url(&target), &[]));
    assert_ne!(said.code, 0, "{said:?}");
    let wanted = format!(
        "The database `{0}` now holds 1 tables of the backup; it is NOT whole. Before another try: DROP DATABASE `{0}`",
        target.name()
    );
    assert!(said.stderr.contains(&wanted), "{said:?}");
    assert!(!said.all().contains(PASSWORD), "{said:?}");
}

#[test]
fn rows_that_refer_to_nothing_come_back_and_are_told() {
    let source = Scratch::new("orphans");
    source.run(
        "CREATE TABLE parent (a INT, b INT, PRIMARY KEY (a, b));
         CREATE TABLE child (id INT PRIMARY KEY, a INT, b INT, CONSTRAINT `no``ne` FOREIGN KEY (a, b) REFERENCES parent (a, b),
           me INT, CONSTRAINT me FOREIGN KEY (me) REFERENCES child (id));
         INSERT INTO parent VALUES (1, 1);
         SET foreign_key_checks = 0;
         INSERT INTO child VALUES (1, 1, 1, 2), (2, 1, 2, 1), (3, NULL, 9, NULL), (4, 7, 7, 4);",
    );
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new("target");
    let report = nightvault.ok(&restore(&url(&target), &[]));
    let warnings: Vec<&str> = report["warnings"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let wanted = format!(
        "2 rows of `child` refer to rows of `{}`.`parent` that are not there (foreign key `no``ne` of `child`); the backup holds them so",
        target.name()
    );
    assert_eq!(warnings, [wanted]);
    assert_same(&source, &target);
}
