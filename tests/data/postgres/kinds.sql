-- One object of every kind that is dumped, in its awkward forms.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nv owner') THEN CREATE ROLE "nv owner"; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nv_reader') THEN CREATE ROLE nv_reader; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nv_writer') THEN CREATE ROLE nv_writer; END IF;
END $$;

CREATE SCHEMA s AUTHORIZATION "nv owner";
CREATE SCHEMA "S 2";
GRANT USAGE ON SCHEMA s TO nv_reader;
GRANT ALL ON SCHEMA "S 2" TO nv_writer WITH GRANT OPTION;
CREATE EXTENSION hstore SCHEMA "S 2";
CREATE EXTENSION pgcrypto SCHEMA public;
REVOKE EXECUTE ON FUNCTION public.digest(text, text) FROM PUBLIC;

-- Types.
CREATE TYPE s.mood AS ENUM ('sad', 'it''s ok', 'a\b', '');
CREATE TYPE s.empty AS ENUM ();
CREATE TYPE s.pair AS (a s.mood, b text COLLATE "C");
CREATE TYPE s.nothing AS ();
CREATE TYPE s.span AS RANGE (subtype = float8, subtype_diff = float8mi, multirange_type_name = s.spans);
CREATE TYPE s.words AS RANGE (subtype = text, collation = "C", subtype_opclass = text_pattern_ops);
CREATE DOMAIN s.positive AS integer DEFAULT 1 CONSTRAINT is_positive CHECK (VALUE > 0) CONSTRAINT is_small CHECK (VALUE < 1000000);
CREATE DOMAIN s.code AS varchar(5) COLLATE "C" NOT NULL;
CREATE FUNCTION s.fine(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> 13';
ALTER DOMAIN s.positive ADD CONSTRAINT is_fine CHECK (s.fine(VALUE));
ALTER DOMAIN s.code ADD CONSTRAINT short CHECK (length(VALUE) > 1) NOT VALID;
ALTER TYPE s.mood OWNER TO "nv owner";
ALTER DOMAIN s.code OWNER TO "nv owner";
ALTER TYPE s.pair OWNER TO "nv owner";
REVOKE USAGE ON TYPE s.mood FROM PUBLIC;
GRANT USAGE ON TYPE s.mood TO nv_reader;
COMMENT ON CONSTRAINT is_fine ON DOMAIN s.positive IS 'constraint of a domain';
COMMENT ON TYPE s.pair IS 'composite';
COMMENT ON COLUMN s.pair.a IS 'attribute';
COMMENT ON DOMAIN s.code IS 'domain';

-- Functions.
CREATE FUNCTION s.total(VARIADIC numbers integer[] DEFAULT '{}', OUT total bigint) LANGUAGE sql STABLE PARALLEL SAFE COST 5
    SET search_path TO 's', 'S 2' AS $_$ SELECT sum(n) FROM unnest($1) n $_$;
CREATE FUNCTION s.series(n integer) RETURNS TABLE (x integer, y text) LANGUAGE plpgsql ROWS 7 SECURITY DEFINER AS $$
BEGIN RETURN QUERY SELECT i, 'it''s \! ' || i FROM generate_series(1, n) i; END $$;
CREATE FUNCTION s.atomic(a integer) RETURNS integer LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT a + 1; SELECT a + 2; END;
CREATE PROCEDURE s.proc(INOUT a integer, b text DEFAULT 'x') LANGUAGE plpgsql AS $$ BEGIN a := a + 1; END $$;
CREATE FUNCTION s.audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION s.ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
REVOKE EXECUTE ON FUNCTION s.series(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION s.series(integer) TO nv_reader;
GRANT EXECUTE ON PROCEDURE s.proc(integer, text) TO nv_writer;
ALTER FUNCTION s.total(integer[]) OWNER TO "nv owner";
ALTER PROCEDURE s.proc(integer, text) OWNER TO "nv owner";
COMMENT ON PROCEDURE s.proc(integer, text) IS 'procedure';

-- Tables.
CREATE TABLE s.plain (
    id serial,
    mood s.mood DEFAULT 'sad',
    pairs s.pair[],
    hs "S 2".hstore DEFAULT '"a"=>"1"',
    span s.span, spans s.spans, words s.words,
    n s.positive,
    doubled integer GENERATED ALWAYS AS (s.atomic(2)) STORED,
    moment timestamptz DEFAULT '2020-02-02 02:02:02+00',
    CHECK (n <> 5)
);
ALTER TABLE s.plain OWNER TO "nv owner";
ALTER TABLE s.plain ALTER COLUMN hs SET STORAGE MAIN, ALTER COLUMN pairs SET (n_distinct = -0.5), REPLICA IDENTITY FULL;
GRANT SELECT, INSERT ON s.plain TO nv_reader WITH GRANT OPTION;
GRANT SELECT (id, mood), UPDATE (mood) ON s.plain TO nv_writer;
REVOKE DELETE ON s.plain FROM "nv owner";
SET SESSION AUTHORIZATION nv_reader;
GRANT SELECT ON s.plain TO nv_writer;
RESET SESSION AUTHORIZATION;
GRANT USAGE ON SEQUENCE s.plain_id_seq TO nv_writer;
GRANT SELECT ON s.plain TO PUBLIC;
CREATE UNLOGGED TABLE s.fast (id integer GENERATED ALWAYS AS IDENTITY, t text);
CREATE TABLE s.no_columns ();
CREATE TABLE s."only generated" (g integer GENERATED ALWAYS AS (1) STORED);
CREATE TABLE s.typed OF s.pair (a DEFAULT 'sad' NOT NULL, PRIMARY KEY (b));
CREATE TABLE s.typed_bare OF s.pair;
CREATE TABLE s.identities (a integer GENERATED ALWAYS AS IDENTITY (MINVALUE -100 START WITH -7 INCREMENT BY -2 MAXVALUE 0 CYCLE CACHE 4));
CREATE TABLE s.of_identity (id integer NOT NULL, v text);
CREATE UNIQUE INDEX of_identity_index ON s.of_identity (id);
ALTER TABLE s.of_identity REPLICA IDENTITY USING INDEX of_identity_index, CLUSTER ON of_identity_index;

-- Inheritance.
CREATE TABLE s.parent (a integer DEFAULT 1, b text DEFAULT 'b' NOT NULL, CONSTRAINT a_small CHECK (a < 100), CONSTRAINT mine CHECK (b <> '') NO INHERIT);
CREATE TABLE s.aunt (c numeric);
CREATE TABLE s.child (d integer) INHERITS (s.parent, s.aunt);
ALTER TABLE s.child ALTER COLUMN a SET DEFAULT 2;
CREATE TABLE s.grandchild () INHERITS (s.child);
ALTER TABLE s.grandchild ALTER COLUMN a SET DEFAULT 3, ALTER COLUMN b DROP DEFAULT, ALTER COLUMN c SET NOT NULL;
ALTER TABLE s.parent ADD CONSTRAINT called CHECK (s.atomic(a) < 1000);

-- Partitions.
CREATE TABLE s.measures (id bigint NOT NULL, at timestamptz NOT NULL, kind text COLLATE "C", value numeric DEFAULT 0,
    CONSTRAINT value_known CHECK (value > -1000)) PARTITION BY RANGE (at);
CREATE TABLE s.measures_2024 PARTITION OF s.measures FOR VALUES FROM ('2024-01-01 00:00+00') TO ('2025-01-01 00:00+00');
CREATE TABLE s.measures_2025 (kind text COLLATE "C", extra_gone integer, value numeric DEFAULT 5, at timestamptz NOT NULL, id bigint NOT NULL,
    CONSTRAINT value_known CHECK (value > -1000)) PARTITION BY LIST (kind);
ALTER TABLE s.measures_2025 DROP COLUMN extra_gone;
ALTER TABLE s.measures ATTACH PARTITION s.measures_2025 FOR VALUES FROM ('2025-01-01 00:00+00') TO (MAXVALUE);
CREATE TABLE s.measures_2025_a PARTITION OF s.measures_2025 FOR VALUES IN ('a', NULL);
CREATE TABLE s.measures_2025_rest PARTITION OF s.measures_2025 DEFAULT;
CREATE TABLE s.hashed (id integer) PARTITION BY HASH (id);
CREATE TABLE s.hashed_0 PARTITION OF s.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE s.hashed_1 PARTITION OF s.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER TABLE s.measures ADD PRIMARY KEY (id, at, kind);
CREATE INDEX measures_value ON s.measures (value DESC NULLS LAST) INCLUDE (id);
CREATE INDEX measures_2024_own ON s.measures_2024 (id) WHERE value > 0;
CREATE INDEX only_parent ON ONLY s.measures (kind);
CREATE TABLE s.refers (id bigint, at timestamptz, kind text COLLATE "C", FOREIGN KEY (id, at, kind) REFERENCES s.measures);
ALTER TABLE s.hashed ADD FOREIGN KEY (id) REFERENCES s.of_identity (id) NOT DEFERRABLE;
CREATE TRIGGER partitioned AFTER INSERT ON s.measures FOR EACH ROW EXECUTE FUNCTION s.audit();
ALTER TABLE s.measures_2024 DISABLE TRIGGER partitioned;

-- Indexes.
CREATE INDEX expressions ON s.plain ((n * 2), lower(id::text) text_pattern_ops) WITH (fillfactor = 60);
ALTER INDEX s.expressions ALTER COLUMN 1 SET STATISTICS 99;
CREATE INDEX brin ON s.plain USING brin (id) WITH (pages_per_range = 4);
CREATE INDEX hashed_index ON s.plain USING hash (id);
COMMENT ON INDEX s.expressions IS 'index';

-- Views.
CREATE VIEW s.v1 AS SELECT id AS "USER", array_agg(n) AS "list" FROM s.plain GROUP BY id;
CREATE VIEW s.slices AS SELECT list["USER": "USER"] AS slice FROM s.v1;
CREATE VIEW s.checked WITH (security_invoker = true, security_barrier) AS SELECT id, v FROM s.of_identity WHERE id > 0 WITH CASCADED CHECK OPTION;
ALTER VIEW s.checked ALTER COLUMN v SET DEFAULT 'from the view';
CREATE VIEW s.counting AS WITH RECURSIVE c (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 10) SELECT n FROM c;
CREATE VIEW s.circle AS SELECT 1 AS one, 'x'::text COLLATE "C" AS two;
CREATE FUNCTION s.of_circle(c s.circle) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE OR REPLACE VIEW s.circle AS SELECT s.of_circle(NULL) AS one, 'x'::text COLLATE "C" AS two;
CREATE VIEW s.no_columns_view AS SELECT;
GRANT SELECT ON s.v1 TO nv_reader;
ALTER VIEW s.v1 OWNER TO "nv owner";
CREATE MATERIALIZED VIEW s.z_first AS SELECT id, n AS v FROM s.plain;
CREATE VIEW s.between AS SELECT count(*) AS c FROM s.z_first;
CREATE MATERIALIZED VIEW s.a_second AS SELECT c FROM s.between;
CREATE MATERIALIZED VIEW s.unfilled WITH (fillfactor = 50) AS SELECT 1 AS one, 'text'::text AS t WITH NO DATA;
ALTER MATERIALIZED VIEW s.unfilled ALTER COLUMN t SET STATISTICS 7;
CREATE UNIQUE INDEX z_first_id ON s.z_first (id);
ALTER MATERIALIZED VIEW s.z_first CLUSTER ON z_first_id;
ALTER MATERIALIZED VIEW s.z_first OWNER TO "nv owner";
GRANT SELECT ON s.of_identity, s.z_first TO "nv owner", nv_reader;

-- Rules, triggers, policies.
CREATE RULE "no delete" AS ON DELETE TO s.of_identity WHERE old.id < 0 DO INSTEAD NOTHING;
CREATE RULE also AS ON INSERT TO s.of_identity DO ALSO (NOTIFY "a channel"; UPDATE s.parent SET a = new.id WHERE false);
ALTER TABLE s.of_identity DISABLE RULE also;
CREATE TRIGGER always AFTER UPDATE ON s.of_identity REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION s.audit('a''b', '\x');
ALTER TABLE s.of_identity ENABLE ALWAYS TRIGGER always;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON s.of_identity DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION s.audit();
CREATE TRIGGER instead INSTEAD OF INSERT ON s.checked FOR EACH ROW EXECUTE FUNCTION s.audit();
ALTER TABLE s.of_identity ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY "see own" ON s.of_identity FOR SELECT TO nv_reader, "nv owner" USING (v = CURRENT_USER);
CREATE POLICY write ON s.of_identity AS RESTRICTIVE FOR INSERT TO PUBLIC WITH CHECK (id > 0);
COMMENT ON POLICY write ON s.of_identity IS 'policy';
COMMENT ON RULE also ON s.of_identity IS 'rule';
CREATE EVENT TRIGGER nv_watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION s.ddl();
COMMENT ON EVENT TRIGGER nv_watch IS 'event trigger';

-- Default privileges and settings of the database.
ALTER DEFAULT PRIVILEGES FOR ROLE "nv owner" IN SCHEMA s GRANT SELECT ON TABLES TO nv_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE "nv owner" REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET search_path TO "$user", s, "S 2"', current_database());
  EXECUTE format('ALTER DATABASE %I SET "my.setting" TO %L', current_database(), '50% it''s');
  EXECUTE format('ALTER ROLE nv_reader IN DATABASE %I SET work_mem TO ''9MB''', current_database());
  EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'a 100% database');
END $$;

-- Rows.
INSERT INTO s.of_identity SELECT n, 'v' || n FROM generate_series(1, 20) n;
INSERT INTO s.plain (mood, pairs, span, spans, words, n) SELECT 'it''s ok', ARRAY[('sad', 'x')::s.pair, ('a\b', E'"\n')::s.pair, NULL],
    s.span(1.5, NULL), '{[1,2),[3,4)}', s.words('a', 'b'), 7 FROM generate_series(1, 5);
INSERT INTO s.fast (t) VALUES ('x');
INSERT INTO s.no_columns SELECT FROM generate_series(1, 3);
INSERT INTO s."only generated" DEFAULT VALUES;
INSERT INTO s.typed VALUES ('sad', 'b');
INSERT INTO s.identities SELECT FROM generate_series(1, 4);
INSERT INTO s.parent VALUES (1, 'p');
INSERT INTO s.child (a, b, d) VALUES (2, 'c', 3);
INSERT INTO s.grandchild (b, c) VALUES ('g', 4);
INSERT INTO s.measures (id, at, kind) VALUES (1, '2024-02-02', 'a'), (2, '2025-02-02', 'a'), (3, '2026-02-02', 'z');
INSERT INTO s.refers VALUES (1, '2024-02-02', 'a');
INSERT INTO s.hashed SELECT n FROM generate_series(1, 20) n;
REFRESH MATERIALIZED VIEW s.z_first;
REFRESH MATERIALIZED VIEW s.a_second;

-- Rarer kinds.
CREATE COLLATION s.plain_c (provider = libc, locale = 'C');
CREATE COLLATION s.caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE s.collated (t text COLLATE s.caseless PRIMARY KEY);
CREATE FUNCTION s.add(bigint, integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT coalesce($1, 0) + coalesce($2, 0)';
CREATE FUNCTION s.finish(bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1::text $$;
CREATE AGGREGATE s.sum_text(integer) (SFUNC = s.add, STYPE = bigint, INITCOND = '-1', FINALFUNC = s.finish, PARALLEL = SAFE,
    MSFUNC = s.add, MINVFUNC = s.add, MSTYPE = bigint, MFINALFUNC = s.finish, MFINALFUNC_MODIFY = SHAREABLE, MINITCOND = '0', COMBINEFUNC = int8pl);
CREATE AGGREGATE s.count_all(*) (SFUNC = int8inc, STYPE = bigint, INITCOND = '0');
ALTER AGGREGATE s.sum_text(integer) OWNER TO "nv owner";
COMMENT ON AGGREGATE s.sum_text(integer) IS 'aggregate';
REVOKE EXECUTE ON FUNCTION s.sum_text(integer) FROM PUBLIC;
CREATE FUNCTION s.same(s.pair, s.pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT ($1).b = ($2).b $$;
CREATE FUNCTION s.other(s.pair, s.pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT ($1).b <> ($2).b $$;
CREATE OPERATOR s.=== (FUNCTION = s.same, LEFTARG = s.pair, RIGHTARG = s.pair, COMMUTATOR = OPERATOR(s.===), NEGATOR = OPERATOR(s.!==), RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR s.!== (FUNCTION = s.other, LEFTARG = s.pair, RIGHTARG = s.pair, COMMUTATOR = OPERATOR(s.!==), NEGATOR = OPERATOR(s.===));
CREATE FUNCTION s.negated(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT -$1';
CREATE OPERATOR s.!! (FUNCTION = s.negated, RIGHTARG = integer);
COMMENT ON OPERATOR s.=== (s.pair, s.pair) IS 'operator';
CREATE FUNCTION s.pair_text(s.pair) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT ($1).b $$;
CREATE CAST (s.pair AS text) WITH FUNCTION s.pair_text(s.pair) AS ASSIGNMENT;
CREATE CAST (text AS s.mood) WITH INOUT AS IMPLICIT;
COMMENT ON CAST (s.pair AS text) IS 'cast';
CREATE VIEW s.uses_operators AS SELECT s.sum_text(OPERATOR(s.!!) n) AS total FROM s.plain HAVING bool_and(ROW('sad', 'x')::s.pair OPERATOR(s.===) ROW('sad', 'x')::s.pair);
CREATE STATISTICS s.related (ndistinct, mcv) ON id, mood, (n * 2) FROM s.plain;
ALTER STATISTICS s.related SET STATISTICS 42;
COMMENT ON STATISTICS s.related IS 'statistics';
CREATE PUBLICATION nv_some FOR TABLE s.of_identity (id, v) WHERE (id > 3) WITH (publish = 'insert, update');
CREATE PUBLICATION nv_schema FOR TABLES IN SCHEMA "S 2";
CREATE PUBLICATION nv_all FOR ALL TABLES WITH (publish_via_partition_root);
COMMENT ON PUBLICATION nv_all IS 'publication';
CREATE TEXT SEARCH DICTIONARY s.simple_too (TEMPLATE = pg_catalog.simple, stopwords = 'english', accept = false);
CREATE TEXT SEARCH CONFIGURATION s.search (COPY = pg_catalog.english);
ALTER TEXT SEARCH CONFIGURATION s.search ALTER MAPPING FOR asciiword, word WITH s.simple_too, english_stem;
COMMENT ON TEXT SEARCH CONFIGURATION s.search IS 'search';
ALTER TEXT SEARCH CONFIGURATION s.search OWNER TO "nv owner";
CREATE TABLE s.documents (t text);
CREATE INDEX documents_search ON s.documents USING gin (to_tsvector('s.search', t));
