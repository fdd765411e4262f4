//! Over several connections: the same result, and when it fails, what is there.

use super::{assert_untouched, damage, url, vault_of};
use crate::restore::backed_up;
use crate::support::postgres::{Scratch, assert_same};

fn assert_comes_back(source: &Scratch, jobs: &str) {
    let nightvault = vault_of(source);
    let key = backed_up(&nightvault);
    let target = Scratch::new();
    let report = nightvault.ok(&["restore", &key, "--to", &url(&target.name), "--jobs", jobs]);
    assert_eq!((report["status"].as_str(), report["database"]["jobs"].as_u64()), (Some("restored"), jobs.parse().ok()));
    source.assert_same_as(&target);
}

#[test]
fn an_object_of_every_kind_comes_back_as_it_was_over_four_connections() {
    for file in ["clinic.sql", "kinds.sql", "types.sql"] {
        assert_comes_back(&Scratch::of(file), "4");
    }
}

#[test]
fn partitions_heirs_circles_of_keys_and_hostile_names_come_back_in_both_ways() {
    let source = Scratch::new();
    source.psql(HOSTILE);
    for jobs in ["1", "4"] {
        assert_comes_back(&source, jobs);
    }
}

/// What makes a restore in parallel stumble: keys in a circle, a hub that everything refers to, partitions two levels deep
/// with keys to and from them, tables that inherit, generated columns, identities, names that hold quotes and statements.
const HOSTILE: &str = r#"
CREATE SCHEMA "odd; DROP ""x""";
CREATE TABLE "odd; DROP ""x"""."COPY t FROM stdin;" (
    "a
b" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "REFERENCES" text DEFAULT E'\\.\n', twice int GENERATED ALWAYS AS (3 * 2) STORED);
INSERT INTO "odd; DROP ""x"""."COPY t FROM stdin;" ("REFERENCES") SELECT E'\\.\n\\.\n\t' || i FROM generate_series(1, 2000) i;
CREATE INDEX "ON ""public"".hub USING" ON "odd; DROP ""x"""."COPY t FROM stdin;" ("REFERENCES");
COMMENT ON INDEX "odd; DROP ""x"""."ON ""public"".hub USING" IS 'ALTER TABLE a ADD CONSTRAINT b FOREIGN KEY';
CREATE TABLE hub (id serial PRIMARY KEY, left_id int, CONSTRAINT hub_unique UNIQUE (id, left_id) WITH (fillfactor = 70));
COMMENT ON CONSTRAINT hub_unique ON hub IS 'both';
CREATE TABLE ring_a (id int PRIMARY KEY, other int, hub int REFERENCES hub);
CREATE TABLE ring_b (id int PRIMARY KEY, other int REFERENCES ring_a DEFERRABLE INITIALLY DEFERRED, hub int REFERENCES hub);
ALTER TABLE ring_a ADD CONSTRAINT ring FOREIGN KEY (other) REFERENCES ring_b DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE hub ADD CONSTRAINT self FOREIGN KEY (left_id) REFERENCES hub;
INSERT INTO hub (left_id) SELECT CASE WHEN i > 1 THEN i - 1 END FROM generate_series(1, 300) i;
BEGIN; INSERT INTO ring_a SELECT i, i, i FROM generate_series(1, 300) i; INSERT INTO ring_b SELECT i, i, i FROM generate_series(1, 300) i; COMMIT;
CREATE TABLE events (day date NOT NULL, id int NOT NULL, hub int REFERENCES hub, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01') PARTITION BY HASH (id);
CREATE TABLE events_1a PARTITION OF events_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_1b PARTITION OF events_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
INSERT INTO events SELECT date '2024-01-01' + i % 60, i, 1 + i % 300 FROM generate_series(1, 2000) i;
CREATE TABLE notes (day date, event int, note text, FOREIGN KEY (day, event) REFERENCES events);
INSERT INTO notes SELECT day, id, 'n' FROM events;
CREATE INDEX ON events (hub);
CREATE TABLE base (id int, CHECK (id > 0)); CREATE TABLE heir (extra text) INHERITS (base);
INSERT INTO base VALUES (1); INSERT INTO heir VALUES (2, 'x');
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM events; CREATE UNIQUE INDEX ON counted (n);
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := NEW.note || ';'; RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION touched();
SELECT lo_from_bytea(0, 'a large object; with a statement');
SELECT setval('hub_id_seq', 4711, false);
"#;

#[test]
fn a_large_table_is_cut_between_its_rows_and_loses_none() {
    let source = Scratch::new();
    // Rows of all lengths, one of which is longer than a part, and one that ends where a part may end.
    source.psql(
        "CREATE TABLE large (id int PRIMARY KEY, note text); ALTER TABLE large ALTER COLUMN note SET STORAGE EXTERNAL; \
         INSERT INTO large SELECT i, CASE WHEN i % 5000 = 4999 THEN repeat(E'long\\n', 200000) ELSE repeat('x', i % 700) END \
         FROM generate_series(1, 50000) i; \
         INSERT INTO large SELECT 100000, repeat(E'a\\tb\\\\', 6000000)",
    );
    let nightvault = vault_of(&source);
    let key = backed_up(&nightvault);
    let target = Scratch::new();
    let report = nightvault.ok(&["restore", &key, "--to", &url(&target.name), "--jobs", "2"]);
    let bytes = report["database"]["tables"][0]["bytes"].as_u64().unwrap();
    assert!(bytes > 48 << 20, "{bytes}: large enough to be cut");
    let digest = "SELECT count(*), sum(id), md5(string_agg(md5(note), '' ORDER BY id)) FROM large";
    assert_same("rows", &source.psql(digest), &target.psql(digest));
}

#[test]
fn tables_of_even_size_are_loaded_whole_and_frozen_and_keep_their_keys() {
    let source = Scratch::new();
    for table in ["one", "two"] {
        source.psql(&format!(
            "CREATE TABLE {table} (id int CONSTRAINT {table}_key PRIMARY KEY, code text UNIQUE, note text, a int, b int, \
             CONSTRAINT {table}_late UNIQUE (id, code) DEFERRABLE, CONSTRAINT {table}_wide UNIQUE (id) INCLUDE (code)); \
             INSERT INTO {table} SELECT i, 'c' || i, repeat('x', 400), i, i FROM generate_series(1, 45000) i; \
             CREATE INDEX ON {table} (a); CREATE INDEX ON {table} (b); ALTER TABLE {table} CLUSTER ON {table}_key; \
             ALTER TABLE {table} REPLICA IDENTITY USING INDEX {table}_key; \
             COMMENT ON CONSTRAINT {table}_key ON {table} IS 'the key'; COMMENT ON INDEX {table}_code_key IS 'its index'"
        ));
    }
    let nightvault = vault_of(&source);
    let key = backed_up(&nightvault);
    let target = Scratch::new();
    let report = nightvault.ok(&["restore", &key, "--to", &url(&target.name), "--jobs", "2"]);
    for table in report["database"]["tables"].as_array().unwrap() {
        assert!(table["bytes"].as_u64().unwrap() > 16 << 20, "{table}: not among the small ones");
    }
    source.assert_same_as(&target);
    // Making an index counts the pages all of whose rows everybody sees: without freezing, none.
    let frozen =
        "SELECT count(*) FROM pg_class WHERE relname IN ('one', 'two') AND relallvisible = relpages AND relpages > 0";
    assert_eq!(target.psql(frozen).trim(), "2");
}

#[test]
fn an_error_behind_the_rows_tells_what_is_there_and_how_to_begin_again() {
    let source = Scratch::of("clinic.sql");
    source.psql(&format!(
        "CREATE TABLE zz (a int); INSERT INTO zz VALUES (1), (2); \
         CREATE FUNCTION here(int) RETURNS int LANGUAGE sql IMMUTABLE AS \
         $$ SELECT 1 / (current_database() = '{}')::int $$; CREATE INDEX zz_here ON zz (here(a))",
        source.name
    ));
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new();
    let said = nightvault.run(&["restore", "latest", "--to", &url(&target.name), "--jobs", "3"]);
    assert_ne!(said.code, 0, "{said:?}");
    let tables = target.psql("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND nspname !~ '^(pg_|information)'");
    for wanted in [
        "refused `CREATE INDEX zz_here".to_owned(),
        "is NOT whole".to_owned(),
        format!("{} of {} tables are there", tables.trim(), tables.trim()),
        "all rows were loaded".to_owned(),
        format!("DROP DATABASE \"{0}\"; CREATE DATABASE \"{0}\"", target.name),
    ] {
        assert!(said.stderr.contains(&wanted), "{wanted}: {said:?}");
    }
    assert_eq!(target.psql("SELECT count(*) FROM zz").trim(), "2");
}

#[test]
fn damage_executes_nothing_over_several_connections_either() {
    let source = Scratch::of("clinic.sql");
    let nightvault = vault_of(&source);
    let key = backed_up(&nightvault);
    damage(&nightvault.archive(&key));
    let target = Scratch::new();
    let said = nightvault.fails(3, &["restore", &key, "--to", &url(&target.name), "--jobs", "4"]);
    assert!(said.stderr.contains("db-dumps/"), "{said:?}");
    assert_untouched(&target);
}
