//! Values and names that are easy to lose or to misread.

use crate::support::postgres::{Scratch, client};
use crate::support::program;

/// Dumps, restores and compares; returns the copy.
async fn round_trip(original: &Scratch) -> Scratch {
    let (sql, _) = original.dump().await.unwrap();
    let restored = original.restored(&sql);
    original.assert_same_as(&restored);
    restored
}

#[tokio::test]
async fn special_values_of_every_built_in_type_survive() {
    round_trip(&Scratch::of("types.sql")).await;
}

/// An identifier or a literal for the tests, quoted here and not by the code under test.
fn quoted(quote: char, text: &str) -> String {
    format!("{quote}{}{quote}", text.replace(quote, &format!("{quote}{quote}")))
}

#[tokio::test]
async fn names_of_every_ascii_character_survive_and_run_nothing() {
    let original = Scratch::new();
    let mut names: Vec<String> = (1..128u8).map(|byte| format!("n{}", char::from(byte))).collect();
    names.extend(
        [
            "x\n\\! touch canary",
            "\\! touch canary",
            "x'; \\! touch canary",
            "*/ \\! touch canary",
            "-- x",
            ":USER",
            ":'USER'",
            "$$",
            "select",
            "A\"B\"",
            "a.b",
            "é😀",
            " ",
            "%s%I",
            "E'",
        ]
        .map(str::to_owned),
    );
    let mut sql = String::from("SET standard_conforming_strings = on;\n");
    for name in &names {
        let (ident, text) = (quoted('"', name), quoted('\'', name));
        let function = format!(
            "CREATE FUNCTION {ident}.{ident}({ident} {ident}.{ident} DEFAULT {text}) RETURNS text LANGUAGE sql AS {text};"
        );
        sql.push_str(&format!(
            "CREATE SCHEMA {ident}; CREATE TYPE {ident}.{ident} AS ENUM ({text}); \
             SET check_function_bodies = off; {function} \
             CREATE TABLE {ident}.{ident}_t ({ident} text DEFAULT {text} CONSTRAINT {ident} CHECK ({ident} <> ''), id serial); \
             CREATE TABLE {ident}.t_{ident} (n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, e {ident}.{ident}); \
             CREATE INDEX {ident} ON {ident}.t_{ident} (e) WHERE e = {text}; \
             INSERT INTO {ident}.t_{ident} (e) VALUES ({text}); \
             CREATE VIEW {ident}.v AS SELECT {ident} AS {ident}, {text} AS t FROM {ident}.{ident}_t WHERE {ident} = {text}; \
             COMMENT ON TABLE {ident}.t_{ident} IS {text}; COMMENT ON COLUMN {ident}.v.{ident} IS {text};\n",
            ident = ident,
            text = text,
            function = function,
        )
        .replace(&format!("{ident}_t"), &quoted('"', &format!("{name}_t")))
        .replace(&format!("t_{ident}"), &quoted('"', &format!("t_{name}"))));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.sql");
    std::fs::write(&path, &sql).unwrap();
    original.run_file(path.to_str().unwrap());
    let restored = round_trip(&original).await;
    let enums = "SELECT string_agg(enumlabel, ',' ORDER BY enumlabel COLLATE \"C\") FROM pg_enum";
    assert_eq!(original.psql(enums), restored.psql(enums));
}

#[tokio::test]
async fn the_dump_restores_in_a_single_transaction_by_a_role_with_hostile_settings() {
    let original = Scratch::of("types.sql");
    let (sql, _) = original.dump().await.unwrap();
    let copy = Scratch::new();
    copy.psql(&format!(
        "ALTER DATABASE \"{0}\" SET search_path = 'pg_temp'; ALTER DATABASE \"{0}\" SET standard_conforming_strings = off; \
         ALTER DATABASE \"{0}\" SET intervalstyle = 'sql_standard'; ALTER DATABASE \"{0}\" SET datestyle = 'German, DMY'; \
         ALTER DATABASE \"{0}\" SET array_nulls = off; ALTER DATABASE \"{0}\" SET timezone = 'Asia/Kathmandu'; \
         ALTER DATABASE \"{0}\" SET statement_timeout = '1ms'; ALTER DATABASE \"{0}\" SET xmloption = document; \
         ALTER DATABASE \"{0}\" SET bytea_output = escape; ALTER DATABASE \"{0}\" SET client_encoding = LATIN1",
        copy.name
    ));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.sql");
    std::fs::write(&path, &sql).unwrap();
    let mut command = client("psql", &copy.name);
    program::stdout(command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-f"]).arg(&path));
    copy.psql(&format!("ALTER DATABASE \"{}\" RESET ALL", copy.name));
    original.assert_same_as(&copy);
}

#[tokio::test]
async fn a_database_of_another_encoding_survives() {
    let original = Scratch::with("TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
    original.psql("CREATE TABLE \"größe\" (\"ä\" text DEFAULT 'ß'); INSERT INTO \"größe\" VALUES ('é')");
    round_trip(&original).await;
}

#[tokio::test]
async fn bytes_of_a_database_without_encoding_survive() {
    let options = "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'";
    let original = Scratch::with(options);
    original.psql("CREATE TABLE t (v text); INSERT INTO t VALUES (E'a\\xe9\\xff'), (E'\\xc3\\xa9')");
    let limits = nightvault_core::source::DumpLimits::default();
    let (bytes, dump) = crate::support::postgres::dump(&original.config(), &limits).await.unwrap();
    let copy = Scratch::with(options);
    copy.restore(&bytes);
    let digest = "SELECT md5(string_agg(encode(convert_to(v, 'SQL_ASCII'), 'hex'), ',' ORDER BY v)) FROM t";
    assert_eq!(original.psql(digest), copy.psql(digest));
    assert_eq!(dump.snapshot["encoding"], "SQL_ASCII");
}
