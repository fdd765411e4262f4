//! MariaDB: statement by statement into an empty database; `mariadb-dump` and digests made in the server are the judges. For
//! MySQL it is `mysqldump`.

mod killed;
mod mysql9;
mod table;

use super::{backed_up, damage};
use crate::support::mariadb::{PASSWORD, Scratch, User};
use crate::support::nightvault::Nightvault;

/// The address of a database, without the password, which no address is needed for.
fn url(database: &Scratch) -> String {
    database.url("nightvault")
}

/// An installation whose source is this database, described by Laravel's variables.
fn vault_of(source: &Scratch) -> Nightvault {
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set_source(source);
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

/// Loads the backup over one connection and over several.
fn assert_restored(nightvault: &Nightvault, source: &Scratch) {
    for jobs in ["1", "4"] {
        let target = Scratch::on(source.server(), "restored", "CHARACTER SET latin1");
        let report = nightvault.ok(&restore(&url(&target), &["--jobs", jobs]));
        assert_eq!(report["status"], "restored");
        let tables = report["database"]["tables"].as_array().unwrap();
        let rows: u64 = tables.iter().map(|table| table["rows"].as_u64().unwrap()).sum();
        assert_eq!(report["database"]["rows"], rows);
        assert!(rows > 0);
        assert_same(source, &target);
    }
}

fn assert_comes_back(script: &str) {
    assert_all_of_it_comes_back(&Scratch::seeded("restore", script));
}

fn assert_all_of_it_comes_back(source: &Scratch) {
    let nightvault = vault_of(source);
    backed_up(&nightvault);
    assert_restored(&nightvault, source);
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
fn every_kind_of_object_comes_back_those_that_are_not_utf_8_too() {
    assert_comes_back("everything.sql");
}

/// Raw bytes for the client; `statements` in the bytes of `charset`.
fn run_raw(database: &Scratch, charset: &str, statements: &[&[u8]]) {
    let mut script = format!("SET NAMES {charset};\nDELIMITER //\n").into_bytes();
    for statement in statements {
        script.extend_from_slice(statement);
        script.extend_from_slice(b"\n//\n");
    }
    let output = crate::support::mariadb::client_with(
        &[&format!("--default-character-set={charset}"), "--binary-mode"],
        Some(database.name()),
        &script,
    );
    assert!(output.status.success(), "{charset}: {}", crate::support::program::text(&output));
}

#[test]
fn bodies_in_latin1_sjis_and_gbk_come_back_byte_for_byte() {
    let source = Scratch::new("charsets");
    source.run("CREATE TABLE t (id INT PRIMARY KEY, l TEXT CHARACTER SET latin1, s TEXT CHARACTER SET sjis, g TEXT CHARACTER SET gbk, b BLOB) ENGINE=InnoDB;
         INSERT INTO t VALUES (1, 0xE4F65C27, 0x955C835C, 0xB4F3C9F1, 0xFF00275C0A)");
    // Characters whose second byte is a backslash in sjis, and one that is a backtick's neighbour in gbk.
    run_raw(&source, "sjis", &[b"CREATE PROCEDURE p_sjis() SELECT '\x95\x5c\x83\x5c;' /* \x95\x5c */"]);
    run_raw(&source, "gbk", &[b"CREATE FUNCTION f_gbk() RETURNS TEXT DETERMINISTIC RETURN '\xb4\xf3\x81\x60'"]);
    run_raw(
        &source,
        "latin1",
        &[
            b"CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW SET NEW.l = 'gr\xfc\xdfe; \xff' -- \xe4\xf6\xfc",
            b"CREATE PROCEDURE `p_\xe4`() BEGIN SELECT '\xe4;'; END",
            b"CREATE VIEW v AS SELECT '\xfc' AS `\xe4`",
            b"CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DISABLE DO SET @a = '\xe4'",
        ],
    );
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    assert_restored(&nightvault, &source);
    let bodies = |database: &Scratch| {
        database.run(
            "SELECT name, HEX(body), HEX(body_utf8), character_set_client, collation_connection FROM mysql.proc WHERE db = DATABASE()
             UNION ALL SELECT TRIGGER_NAME, HEX(ACTION_STATEMENT), '', CHARACTER_SET_CLIENT, COLLATION_CONNECTION
             FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY 1",
        )
    };
    let target = Scratch::new("bodies");
    nightvault.ok(&restore(&url(&target), &[]));
    assert_eq!(bodies(&source), bodies(&target));
    assert!(bodies(&source).contains("955C835C3B"), "{}", bodies(&source));
}

/// The server prints it as UTF-8 within text in another character set, to every client.
#[test]
fn a_comment_that_will_come_back_garbled_is_told() {
    let source = Scratch::new("comment");
    run_raw(
        &source,
        "latin1",
        &[b"CREATE PROCEDURE p() COMMENT '\xe4' SELECT '\xfc'", b"CREATE PROCEDURE q() SELECT '\xfc'"],
    );
    let nightvault = vault_of(&source);
    let report = nightvault.ok(&["run"]);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("the comment of procedure `p` will come back garbled"), "{warnings}");
    assert!(!warnings.contains("`q`"), "{warnings}");
}

/// Two tables that refer to each other and to themselves, large enough that their keys are made behind the rows.
fn large(label: &str) -> Scratch {
    let source = Scratch::new(label);
    source.run(
        "SET foreign_key_checks = 0;
         CREATE TABLE `a;
DELIMITER //` (
           id INT AUTO_INCREMENT PRIMARY KEY, b INT, me INT, name VARCHAR(200) NOT NULL, `k,)` INT, up VARCHAR(200) AS (UPPER(name)) VIRTUAL,
           w VARCHAR(210) AS (CONCAT(name, '!')) STORED, body TEXT,
           KEY z_first (`k,)` DESC) COMMENT 'a, ) key', UNIQUE KEY u (name), KEY a_last (b), KEY me (me), KEY up (up), FULLTEXT KEY f (body),
           UNIQUE KEY `nul``l` (`k,)`, me), CONSTRAINT a_b FOREIGN KEY (b) REFERENCES `b ``x` (id) ON DELETE CASCADE,
           CONSTRAINT me FOREIGN KEY (me) REFERENCES `a;
DELIMITER //` (id) ON DELETE SET NULL, CONSTRAINT c CHECK (b <> 77777777)
         ) ENGINE=InnoDB AUTO_INCREMENT=900000 CHARSET=utf8mb4 COMMENT='(, KEY `x` (';
         CREATE TABLE `b ``x` (id INT PRIMARY KEY, a INT, code CHAR(40) NOT NULL, t TEXT, KEY a (a), UNIQUE KEY code (code),
           CONSTRAINT b_a FOREIGN KEY (a) REFERENCES `a;
DELIMITER //` (id), CONSTRAINT b_code FOREIGN KEY (code) REFERENCES `b ``x` (code)) ENGINE=InnoDB;
         CREATE TABLE without (x INT NOT NULL, y CHAR(200), UNIQUE KEY x (x), KEY y (y)) ENGINE=InnoDB;
         CREATE TABLE small (id INT PRIMARY KEY, b INT, CONSTRAINT s_b FOREIGN KEY (b) REFERENCES `b ``x` (id)) ENGINE=InnoDB;
         INSERT INTO `a;
DELIMITER //` (id, b, me, name, `k,)`, body) SELECT seq, seq, seq + 1, CONCAT(SHA2(seq, 256), ';\\n\\''), seq % 1000, SHA2(seq, 512) FROM seq_1_to_30000;
         UPDATE `a;
DELIMITER //` SET me = NULL WHERE id = 30000;
         INSERT INTO `b ``x` SELECT seq, seq, SHA1(seq), CONCAT(SHA2(seq, 512), SHA2(seq, 512)) FROM seq_1_to_30000;
         INSERT INTO without SELECT seq, REPEAT(SHA1(seq), 5) FROM seq_1_to_25000;
         INSERT INTO small VALUES (1, 1), (2, NULL)",
    );
    source
}

#[test]
fn keys_of_large_tables_come_back_in_their_order_and_circles_of_references_with_them() {
    let source = large("keys");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    assert_restored(&nightvault, &source);
    // They are in force, not only written down.
    let target = Scratch::new("restored");
    nightvault.ok(&restore(&url(&target), &["--jobs", "3"]));
    target.run("DELETE FROM small; DELETE FROM `b ``x` WHERE id = 5 AND FALSE; UPDATE `a;\nDELIMITER //` SET me = NULL WHERE id = 4");
    let refused = target.client().run(b"INSERT INTO small VALUES (3, 999999)");
    assert!(!refused.status.success());
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

    // The next try says what it finds.
    let said = nightvault.fails(2, &restore(&url(&target), &[]));
    let wanted = "a restore of this backup that did not come to its end: of 1 tables 1 have all their rows, 0 have none, 0 are not there";
    assert!(said.stderr.contains(wanted), "{said:?}");
    target.run("DELETE FROM t WHERE a = 2");
    let said = nightvault.fails(2, &restore(&url(&target), &[]));
    assert!(said.stderr.contains("in part t (1 of 2 rows)"), "{said:?}");
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
