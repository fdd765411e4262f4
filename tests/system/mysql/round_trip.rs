//! What comes back is what was there.

use super::{assert_lines, assert_round_trip, dump};
use crate::support::mariadb::{Scratch, Server};

#[tokio::test]
async fn a_clinic_comes_back_row_for_row() {
    let clinic = Scratch::seeded("clinic", "clinic.sql");
    let dump = assert_round_trip(&clinic).await;
    assert_eq!(dump.engine, "MariaDB");
    assert!(dump.server_version.contains("MariaDB"), "{}", dump.server_version);
    let rows: Vec<_> = dump.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect();
    assert_eq!(rows, [("appointments", 5000), ("audit", 50), ("clinics", 3), ("doctors", 3), ("patients", 5000)]);
    assert_eq!(dump.objects["table"], 5);
    assert_eq!(dump.snapshot["collation"], "utf8mb4_unicode_ci");
}

#[tokio::test]
async fn every_type_keeps_its_values_to_the_byte() {
    let types = Scratch::seeded("types", "types.sql");
    assert_round_trip(&types).await;
}

#[tokio::test]
async fn dumping_twice_gives_the_same_bytes() {
    let types = Scratch::seeded("twice", "types.sql");
    let (first, _) = dump(&types.config()).await.unwrap();
    let (second, _) = dump(&types.config()).await.unwrap();
    assert!(first == second);
}

#[tokio::test]
async fn each_section_is_where_the_manifest_says() {
    let types = Scratch::seeded("sections", "types.sql");
    let (bytes, dump) = dump(&types.config()).await.unwrap();
    for table in &dump.tables {
        let section = &bytes[table.offset as usize..(table.offset + table.bytes) as usize];
        let text = String::from_utf8_lossy(section);
        if table.rows == 0 {
            assert_eq!(text, "");
        } else {
            assert!(text.starts_with("START TRANSACTION;\nINSERT INTO `"), "{}", table.name);
            assert!(text.ends_with(";\nCOMMIT;\n"), "{}", table.name);
        }
    }
}

#[tokio::test]
async fn every_kind_of_object_comes_back() {
    let everything = Scratch::seeded("everything", "everything.sql");
    let dump = assert_round_trip(&everything).await;
    let counts: Vec<_> = dump.objects.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    let expected = [
        ("event", 2),
        ("function", 2),
        ("package", 1),
        ("package body", 1),
        ("procedure", 4),
        ("sequence", 2),
        ("table", 12),
        ("trigger", 4),
        ("view", 8),
    ];
    assert_eq!(counts, expected);
    let warned = |words: &[&str]| dump.warnings.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(warned(&["`at` of table `places`", "REF_SYSTEM_ID=4326"]), "{:#?}", dump.warnings);
    assert!(warned(&["event `once` has an end"]), "{:#?}", dump.warnings);
    assert!(dump.snapshot["definers"].contains("no`body@%.example.com"), "{}", dump.snapshot["definers"]);
}

#[tokio::test]
#[ignore = "needs MySQL: tests/run runs it where that can be had"]
async fn mysql_comes_back_too() {
    let original = Scratch::on(Server::MySql, "mysql", "CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs");
    original.seed("mysql9.sql");
    let (bytes, dumped) = dump(&original.config()).await.unwrap();
    assert_eq!(dumped.engine, "MySQL");
    assert!(bytes == dump(&original.config()).await.unwrap().0);
    let restored = Scratch::on(Server::MySql, "mysql_restored", "");
    restored.restore(&bytes);
    assert!(original.definitions().lines().count() > 10);
    assert_lines(&original.definitions(), &restored.definitions());
    assert_lines(&original.digests(), &restored.digests());
}

#[tokio::test]
async fn a_first_value_of_sixteen_mebibytes_does_not_end_the_table() {
    let original = Scratch::new("large_first");
    original.run(
        "CREATE TABLE t (b LONGBLOB, id INT) ENGINE=InnoDB;
         INSERT INTO t VALUES ('small', 1), (REPEAT('x', 17000000), 2), ('last', 3), (REPEAT('y', 16777216), 4), ('', 5);",
    );
    let dump = assert_round_trip(&original).await;
    assert_eq!(dump.tables[0].rows, 5);
}

#[tokio::test]
async fn the_socket_gives_the_same_dump() {
    let original = Scratch::seeded("socket", "types.sql");
    let (tcp, _) = dump(&original.config()).await.unwrap();
    let (socket, _) = dump(&original.config_over_socket()).await.unwrap();
    assert!(tcp == socket);
    let estimate = nightvault_core::source::mysql::estimate(&original.config_over_socket()).await.unwrap();
    assert!(estimate > 100_000, "{estimate}");
}

#[tokio::test]
async fn statements_stay_under_a_mebibyte_unless_a_single_row_is_larger() {
    let original = Scratch::new("statements");
    original.run(
        "CREATE TABLE t (id INT PRIMARY KEY, t LONGTEXT) ENGINE=InnoDB;
         INSERT INTO t SELECT seq, REPEAT('x', 300000) FROM seq_1_to_9; INSERT INTO t VALUES (10, REPEAT('y', 3000000)), (11, '');",
    );
    let (bytes, dump) = dump(&original.config()).await.unwrap();
    let table = &dump.tables[0];
    let section = &bytes[table.offset as usize..(table.offset + table.bytes) as usize];
    let text = std::str::from_utf8(section).unwrap();
    let sizes: Vec<usize> = text.split("INSERT INTO").skip(1).map(str::len).collect();
    assert_eq!(sizes.len(), 5, "{sizes:?}");
    assert_eq!(sizes.iter().filter(|size| **size > 1 << 20).count(), 1, "{sizes:?}");
    assert_round_trip(&original).await;
}
