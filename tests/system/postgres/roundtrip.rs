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

#[tokio::test]
async fn what_each_version_brought_comes_back() {
    // From which major version, and what.
    let cases = [
        (13, "CREATE TABLE old (id integer PRIMARY KEY, v text NOT NULL); CREATE TABLE heir () INHERITS (old)"),
        (14, "CREATE TABLE packed (v text COMPRESSION pglz, r int4multirange)"),
        (15, "CREATE TABLE once (a integer, UNIQUE NULLS NOT DISTINCT (a)); CREATE UNLOGGED SEQUENCE loose"),
        (16, "CREATE TABLE stored (v text STORAGE EXTERNAL); ALTER TABLE heir ADD CONSTRAINT positive CHECK (id > 0)"),
        (
            17,
            "CREATE TABLE split (id bigint GENERATED ALWAYS AS IDENTITY, at date NOT NULL) PARTITION BY RANGE (at); \
             CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); \
             INSERT INTO split (at) SELECT '2024-02-02' FROM generate_series(1, 3); \
             CREATE DOMAIN named AS text CONSTRAINT must_be NOT NULL; GRANT MAINTAIN ON old TO PUBLIC",
        ),
        (
            18,
            "CREATE TABLE computed (a integer CONSTRAINT \"a is there\" NOT NULL NO INHERIT, b integer GENERATED ALWAYS AS (a * 2) VIRTUAL, \
             c integer GENERATED ALWAYS AS (a * 3) STORED, CONSTRAINT loose CHECK (a > 5) NOT ENFORCED); \
             INSERT INTO computed VALUES (1); CREATE TABLE later (n integer); INSERT INTO later VALUES (NULL); \
             ALTER TABLE later ADD CONSTRAINT not_yet NOT NULL n NOT VALID; \
             ALTER TABLE heir ADD CONSTRAINT own_name CHECK (v <> ''); \
             CREATE TABLE periods (id int4range, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS)); \
             CREATE TABLE of_periods (id int4range, during daterange, FOREIGN KEY (id, PERIOD during) REFERENCES periods); \
             CREATE PUBLICATION generated FOR TABLE computed WITH (publish_generated_columns = stored)",
        ),
    ];
    let original = Scratch::new();
    let version: u32 =
        original.psql("SELECT current_setting('server_version_num')::integer / 10000").trim().parse().unwrap();
    for (_, sql) in cases.iter().filter(|(from, _)| *from <= version) {
        original.psql(sql);
    }
    assert_round_trip(&original).await;
}

#[tokio::test]
async fn large_objects_come_back_with_their_ids_and_bytes() {
    let original = Scratch::new();
    original.psql(
        "SELECT lo_create(424242); SELECT lo_from_bytea(50000, decode(repeat('00ff5c270a', 200000), 'hex')); \
         COMMENT ON LARGE OBJECT 50000 IS 'a scan'; GRANT SELECT ON LARGE OBJECT 50000 TO PUBLIC; \
         SELECT lo_from_bytea(50001, ''); SELECT lo_put(50001, 3000000, 'behind a hole')",
    );
    let sql = assert_round_trip(&original).await;
    let restored = original.restored(&sql);
    let digests = "SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid";
    assert_eq!(original.psql(digests), restored.psql(digests));
    assert_eq!(original.psql(digests).lines().count(), 3);
}

#[tokio::test]
async fn what_restores_by_luck_only_is_told() {
    let original = Scratch::new();
    original.psql(
        "CREATE TABLE words (w text); CREATE FUNCTION known(t text) RETURNS boolean LANGUAGE sql IMMUTABLE AS \
         'SELECT EXISTS (SELECT FROM words WHERE w = t)'; CREATE TABLE letters (t text CHECK (known(t))); \
         CREATE FUNCTION unused(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT t'; \
         CREATE TABLE filled (n integer); CREATE INDEX broken ON filled (n); \
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass",
    );
    let (sql, dump) = original.dump().await.unwrap();
    let all = dump.warnings.join("; ");
    assert!(all.contains("public.known(") && !all.contains("unused"), "{all}");
    assert!(all.contains("the invalid index \"public\".\"broken\" is not in the dump"), "{all}");
    assert!(!sql.contains("broken"));
}
