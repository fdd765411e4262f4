//! Names, texts and settings that mean harm.

use super::{assert_lines, assert_same, dump};
use crate::support::mariadb::{Scratch, User, client_with, run_as_root};
use crate::support::program;

/// What a hostile, or only old, server has as its defaults.
const SETTINGS: &[(&str, &str)] = &[
    ("sql_mode", "'ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_UNSIGNED_SUBTRACTION'"),
    ("time_zone", "'+09:00'"),
    ("character_set_results", "'latin1'"),
    ("character_set_client", "'latin1'"),
    ("collation_connection", "'latin1_bin'"),
    ("sql_select_limit", "3"),
    ("sql_quote_show_create", "0"),
    ("tx_isolation", "'READ-UNCOMMITTED'"),
    ("autocommit", "0"),
    ("lc_time_names", "'de_DE'"),
    ("sql_auto_is_null", "1"),
    ("max_statement_time", "0.5"),
];

#[tokio::test]
async fn the_servers_defaults_do_not_change_the_dump() {
    let database = Scratch::seeded("defaults", "types.sql");
    let grants =
        [format!("SELECT, SHOW VIEW, TRIGGER, EVENT ON `{}`.*", database.name()), "SELECT ON mysql.proc".to_owned()];
    let user = User::new("defaults", &[&grants[0], &grants[1]]);
    let config = database.config_as(user.name(), "pw");
    let (plain, _) = dump(&config).await.unwrap();
    // Run at the start of this user's sessions alone, since other tests run meanwhile.
    let assignments: Vec<_> = SETTINGS
        .iter()
        .map(|(name, value)| {
            format!("{name} = IF(USER() LIKE ''{}@%'', {}, @@{name})", user.name(), value.replace('\'', "''"))
        })
        .collect();
    run_as_root(&format!("SET GLOBAL init_connect = 'SET SESSION {}'", assignments.join(", ")));
    let hostile = dump(&config).await;
    run_as_root("SET GLOBAL init_connect = ''");
    assert_lines(&String::from_utf8_lossy(&plain), &String::from_utf8_lossy(&hostile.unwrap().0));
}

#[tokio::test]
async fn the_restoring_servers_defaults_do_not_change_what_comes_back() {
    for (label, script) in [("types", "types.sql"), ("kinds", "everything.sql")] {
        let original = Scratch::seeded(label, script);
        let (bytes, _) = dump(&original.config()).await.unwrap();
        for mode in [
            "'ANSI,NO_BACKSLASH_ESCAPES,TRADITIONAL'",
            "'ORACLE'",
            "'MSSQL,STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE'",
        ] {
            let restored = Scratch::with_options("hostile_target", "CHARACTER SET utf16");
            let init =
                format!("--init-command=SET SESSION sql_mode = {mode}, time_zone = '+09:00', foreign_key_checks = 1");
            let output = client_with(&[&init, "--default-character-set=latin1"], Some(restored.name()), &bytes);
            assert!(output.status.success(), "{mode}: {}", program::text(&output));
            assert_same(&original, &restored);
        }
    }
}

#[tokio::test]
async fn names_and_texts_that_speak_to_the_client_run_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("ran");
    let shell = format!("\\! touch {}", mark.display());
    let database = Scratch::new("shell");
    let names = [
        format!("a\n{shell}\n-- x"),
        format!("b`\n{shell}\n`"),
        format!("*/ \n{shell} \n/*"),
        "backslash\\".to_owned(),
    ];
    // A name has 64 characters at most, and the view's one more than the table's.
    for name in names.iter().filter(|name| name.len() <= 63) {
        let name = name.replace('`', "``");
        database.run(&format!(
            "CREATE TABLE `{name}` (`x\n{shell}` INT COMMENT '*/\\n{shell}') ENGINE=InnoDB COMMENT '\\n{shell}'",
            shell = &shell[..20]
        ));
        database.run(&format!("CREATE VIEW `v{name}` AS SELECT 1 AS `y\n\\! q`"));
    }
    let (bytes, dump) = dump(&database.config()).await.unwrap();
    assert!(dump.objects["table"] >= 1 && dump.objects["view"] == dump.objects["table"], "{:?}", dump.objects);
    let restored = Scratch::new("shell_restored");
    restored.restore(&bytes);
    assert!(!mark.exists());
    assert_lines(&database.digests(), &restored.digests());
    // No comment but the first line, which has no name in it.
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with(
        "-- Nightvault dump of one MariaDB database. Restore it into an empty database: mariadb NAME < FILE\n"
    ));
    assert!(!text.contains("/*!") && !text.contains("enable the sandbox mode"));
}

#[tokio::test]
async fn bodies_may_hold_every_delimiter() {
    let database = Scratch::new("delimiters");
    database.run(
        "DELIMITER ~~\nCREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB~~
CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET @a = ';; // $$ $nightvault0$ DELIMITER ;;
DELIMITER ;;
'~~
CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01' DO SET @a = ';;$$//'~~
CREATE PROCEDURE p() SELECT ';;'; -- ends in a comment ;;~~
",
    );
    let (bytes, _) = dump(&database.config()).await.unwrap();
    let restored = Scratch::new("delimiters_restored");
    restored.restore(&bytes);
    let bodies = "SELECT HEX(ACTION_STATEMENT) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() UNION ALL \
                  SELECT HEX(EVENT_DEFINITION) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() UNION ALL \
                  SELECT HEX(ROUTINE_DEFINITION) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()";
    assert_eq!(database.run(bodies).lines().count(), 3);
    assert_lines(&database.run(bodies), &restored.run(bodies));
}

#[tokio::test]
async fn a_trigger_that_names_its_database_is_restored_into_the_new_one() {
    let database = Scratch::new("qualified");
    let name = database.name();
    database.run(&format!(
        "CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB;
         CREATE TRIGGER `{name}`.r BEFORE INSERT ON {name}.t FOR EACH ROW SET NEW.id = NEW.id + 1;
         CREATE SEQUENCE s; CREATE TABLE u (id INT DEFAULT NEXTVAL(s)) ENGINE=InnoDB;"
    ));
    let (bytes, _) = dump(&database.config()).await.unwrap();
    let restored = Scratch::new("qualified_restored");
    restored.restore(&bytes);
    drop(database);
    assert_eq!(
        restored.run("INSERT INTO t VALUES (1); SELECT id FROM t; INSERT INTO u VALUES (); SELECT id FROM u"),
        "2\n1\n"
    );
}

#[tokio::test]
async fn what_leaves_the_database_is_told() {
    let other = Scratch::new("elsewhere");
    other.run("CREATE TABLE o (id INT PRIMARY KEY) ENGINE=InnoDB");
    let database = Scratch::new("leaves");
    let (name, other_name) = (database.name(), other.name());
    database.run(&format!(
        "CREATE TABLE t (id INT PRIMARY KEY, o INT, FOREIGN KEY (o) REFERENCES {other_name}.o (id)) ENGINE=InnoDB;
         CREATE VIEW v AS SELECT t.id FROM t JOIN {other_name}.o USING (id);
         CREATE PROCEDURE p() SELECT * FROM {name}.t;
         CREATE PROCEDURE fine() SELECT '{name}.t {other_name}.o' FROM t;"
    ));
    let (bytes, dump) = dump(&database.config()).await.unwrap();
    let warned = |words: &[&str]| dump.warnings.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(warned(&["foreign key of table `t`", other_name]), "{:#?}", dump.warnings);
    assert!(warned(&["view `v`", other_name]), "{:#?}", dump.warnings);
    assert!(warned(&["procedure `p` names its own database", name]), "{:#?}", dump.warnings);
    assert_eq!(dump.warnings.len(), 3, "{:#?}", dump.warnings);
    // The restored view reads the restored table, and what it read of the other database.
    let restored = Scratch::new("leaves_restored");
    restored.restore(&bytes);
    other.run("INSERT INTO o VALUES (1), (2)");
    restored.run("INSERT INTO t VALUES (1, 1)");
    drop(database);
    assert_eq!(restored.run("SELECT * FROM v"), "1\n");
}
