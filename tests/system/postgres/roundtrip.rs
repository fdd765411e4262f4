//! Dump, restore with psql, compare with pg_dump of the original.

use crate::support::postgres::{Scratch, assert_same};

/// Dumps `original`, restores it, and compares schema and rows.
async fn assert_round_trip(original: &Scratch) -> String {
    let (sql, _) = original.dump().await.unwrap();
    let restored = original.restored(&sql);
    original.assert_same_as(&restored);
    // Our own inventory is another witness, and the only one where pg_dump is older than the server.
    assert_same("dumps", &sql, &restored.dump().await.unwrap().0);
    sql
}

#[tokio::test]
async fn a_clinic_comes_back_as_it_was() {
    let original = Scratch::of("clinic.sql");
    assert_round_trip(&original).await;
}

#[tokio::test]
async fn an_object_of_every_kind_comes_back_as_it_was() {
    let original = Scratch::of("kinds.sql");
    let sql = assert_round_trip(&original).await;
    // What pg_dump leaves to pg_dumpall or to --create.
    let restored = original.restored(&sql);
    let settings = "SELECT coalesce(rolname, ''), setconfig FROM pg_db_role_setting LEFT JOIN pg_roles r ON r.oid = setrole \
                    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1";
    let comment = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()";
    for query in [settings, comment] {
        assert_eq!(original.psql(query), restored.psql(query));
        assert_ne!(original.psql(query).trim(), "");
    }
}

#[tokio::test]
async fn rows_of_an_extension_s_configuration_come_back() {
    let prepare = "CREATE EXTENSION hstore; CREATE TABLE config (n integer, t text); INSERT INTO config VALUES (1, 'shipped'); \
                   CREATE TABLE internal (n integer); CREATE SEQUENCE numbers; ALTER EXTENSION hstore ADD TABLE config; \
                   ALTER EXTENSION hstore ADD TABLE internal; ALTER EXTENSION hstore ADD SEQUENCE numbers; \
                   UPDATE pg_extension SET extconfig = ARRAY['config'::regclass, 'numbers'::regclass]::oid[], \
                   extcondition = ARRAY['WHERE n > 10', ''] WHERE extname = 'hstore'";
    let original = Scratch::new();
    original.psql(prepare);
    original.psql("INSERT INTO config VALUES (11, 'own'), (12, NULL); INSERT INTO internal VALUES (1); SELECT setval('numbers', 77)");
    let (sql, dump) = original.dump().await.unwrap();
    assert_eq!(dump.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect::<Vec<_>>(), [("config", 2)]);
    // The target's extension ships the same rows; psql finds it there already.
    let copy = Scratch::new();
    copy.psql(prepare);
    copy.restore(&sql);
    for query in ["SELECT * FROM config ORDER BY n", "SELECT last_value FROM numbers"] {
        assert_eq!(original.psql(query), copy.psql(query));
    }
}
