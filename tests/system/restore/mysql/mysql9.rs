//! The same on MySQL, with what it has and MariaDB has not.

use super::table::assert_takes_its_place;
use super::{assert_all_of_it_comes_back, assert_same, restore, url, vault_of};
use crate::restore::backed_up;
use crate::support::mariadb::{Scratch, Server};

/// Every kind of object, and two tables that refer to each other.
fn everything(label: &str) -> Scratch {
    let source = Scratch::on(Server::MySql, label, "CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs");
    source.seed("mysql9.sql");
    source.run(
        "CREATE TABLE owners (id INT PRIMARY KEY, document BIGINT, name VARCHAR(30) COLLATE utf8mb4_de_pb_0900_as_cs,
           CONSTRAINT owned FOREIGN KEY (document) REFERENCES documents (id) ON UPDATE CASCADE);
         INSERT INTO owners VALUES (1, 5, 'ä'), (2, NULL, 'Ae'), (3, 0, '');
         ALTER TABLE documents ADD owner INT, ADD CONSTRAINT owns FOREIGN KEY (owner) REFERENCES owners (id) ON DELETE SET NULL;
         UPDATE documents SET owner = 1 WHERE id = 5",
    );
    source
}

/// A table that is large enough for its keys to be made behind the rows, of all the kinds that there are.
fn large(label: &str) -> Scratch {
    let source = Scratch::on(Server::MySql, label, "CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci");
    source.run(
        "CREATE TABLE `pla``ces` (id INT AUTO_INCREMENT PRIMARY KEY, near INT, name VARCHAR(200) COLLATE utf8mb4_0900_as_cs NOT NULL,
           doc JSON, at POINT NOT NULL SRID 4326, body TEXT, up VARCHAR(200) AS (UPPER(name)) VIRTUAL INVISIBLE,
           UNIQUE KEY u (name), KEY low ((LOWER(name)), id), KEY quoted ((CONCAT(name, 'it''s, `)\\\\'))),
           KEY tags ((CAST(doc->'$.tags' AS UNSIGNED ARRAY))), SPATIAL KEY at (at), FULLTEXT KEY f (body),
           KEY hidden (up DESC) INVISIBLE, KEY near (near),
           CONSTRAINT near FOREIGN KEY (near) REFERENCES `pla``ces` (id) ON DELETE SET NULL,
           CONSTRAINT lax CHECK (name <> 'q') NOT ENFORCED, CONSTRAINT strict CHECK (name <> 'r')) COMMENT 'KEY `x` (';
         SET SESSION cte_max_recursion_depth = 100000;
         INSERT INTO `pla``ces` (id, near, name, doc, at, body)
           WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 15000)
           SELECT n, NULL, CONCAT(SHA2(n, 256), ';\\n\\''), JSON_OBJECT('tags', JSON_ARRAY(n, n + 1)),
             ST_GeomFromText(CONCAT('POINT(', n % 90, ' ', n % 180, ')'), 4326), SHA2(n, 512) FROM s;
         UPDATE `pla``ces` SET near = id + 1 WHERE id < 15000;
         CREATE TABLE small (id INT PRIMARY KEY, place INT, CONSTRAINT small_place FOREIGN KEY (place) REFERENCES `pla``ces` (id));
         INSERT INTO small VALUES (1, 1), (2, NULL)",
    );
    source
}

#[test]
#[ignore = "needs MySQL: tests/run runs it where that can be had"]
fn every_kind_of_object_of_mysql_comes_back_as_it_was() {
    assert_all_of_it_comes_back(&everything("everything"));
}

#[test]
#[ignore = "needs MySQL: tests/run runs it where that can be had"]
fn a_server_of_another_kind_and_the_collations_that_it_lacks_are_told_at_once() {
    let source = everything("collations");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new("mariadb");
    let said = nightvault.fails(2, &restore(&url(&target), &[]));
    for words in [
        "the server is MariaDB",
        "collation utf8mb4_0900_as_cs is not known to the server",
        "collation utf8mb4_de_pb_0900_as_cs is not known to the server",
    ] {
        assert!(said.stderr.contains(words), "{words}: {said:?}");
    }
    assert_eq!(target.run("SHOW TABLES"), "");
}

#[test]
#[ignore = "needs MySQL: tests/run runs it where that can be had"]
fn keys_of_a_large_table_of_mysql_come_back_as_they_were_and_are_in_force() {
    let source = large("keys");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::on(Server::MySql, "restored", "");
    nightvault.ok(&restore(&url(&target), &["--jobs", "2"]));
    assert_same(&source, &target);
    for wrong in [
        "INSERT INTO small VALUES (3, 999999)",
        "INSERT INTO `pla``ces` (name, at) VALUES ('r', ST_GeomFromText('POINT(1 1)', 4326))",
        "INSERT INTO `pla``ces` (name, at) SELECT name, at FROM `pla``ces` LIMIT 1",
    ] {
        assert!(!target.client().run(wrong.as_bytes()).status.success(), "{wrong}");
    }
}

#[test]
#[ignore = "needs MySQL: tests/run runs it where that can be had"]
fn single_tables_of_mysql_take_their_places_alone_or_with_their_parents() {
    let source = everything("tables");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    assert_takes_its_place(&nightvault, &source, &["types", "hidden_key", "parted"]);
    assert_takes_its_place(&nightvault, &source, &["owners"]);
    assert_takes_its_place(&nightvault, &source, &["documents", "owners"]);

    let target = Scratch::on(Server::MySql, "parents", "CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs");
    let report = nightvault.ok(&restore(&url(&target), &["--table", "owners", "--with-parents", "--jobs", "2"]));
    assert!(report["database"]["along"].to_string().contains("table documents"), "{report}");
    source.run(
        "DROP TABLE types, hidden_key, parted; DROP VIEW a, z; DROP FUNCTION plus1; DROP PROCEDURE p; DROP EVENT e",
    );
    assert_same(&source, &target);

    // Beside the one that is there, under another name.
    nightvault.ok(&restore(&url(&target), &["--table", "owners", "--as", "owners_before"]));
    let key = "SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE() \
               AND TABLE_NAME = 'owners_before' AND REFERENCED_TABLE_NAME = 'documents'";
    assert_eq!(target.run(key), "1\n");
    assert_eq!(
        target.run("CHECKSUM TABLE owners").split('\t').nth(1),
        target.run("CHECKSUM TABLE owners_before").split('\t').nth(1)
    );
}
