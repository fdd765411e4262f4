-- Three tenants (7, 42, 43) in one database: every kind of table that the restore of one of them must tell apart.
CREATE TABLE tenants (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL, created_by int);
CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id int NOT NULL REFERENCES tenants,
    mail text NOT NULL, country text REFERENCES countries, active boolean NOT NULL DEFAULT true,
    CONSTRAINT users_mail UNIQUE (mail));
ALTER TABLE countries ADD FOREIGN KEY (created_by) REFERENCES users ON DELETE SET NULL;
CREATE TABLE patients (id serial PRIMARY KEY, tenant_id int NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name text, number int NOT NULL, price numeric(10,2), search text GENERATED ALWAYS AS (upper(name)) STORED,
    photo bytea, data jsonb, seen timestamptz, archived boolean NOT NULL DEFAULT false);
CREATE UNIQUE INDEX patients_number ON patients (tenant_id, number) WHERE NOT archived;
CREATE UNIQUE INDEX patients_name_everywhere ON patients (lower(name)) WHERE name LIKE 'unique%';
CREATE TABLE visits (id bigserial PRIMARY KEY, patient_id int NOT NULL REFERENCES patients ON DELETE CASCADE,
    user_id int REFERENCES users ON DELETE SET NULL, note text);
CREATE TABLE visit_notes (visit_id bigint NOT NULL REFERENCES visits ON DELETE CASCADE, line int NOT NULL, text text,
    PRIMARY KEY (visit_id, line));
CREATE TABLE categories (id int PRIMARY KEY, tenant_id int NOT NULL REFERENCES tenants, parent_id int REFERENCES categories,
    name text);
-- Replies have no visit of their own: they are found through what they reply to.
CREATE TABLE comments (id int PRIMARY KEY, visit_id bigint REFERENCES visits ON DELETE CASCADE,
    parent_id int REFERENCES comments ON DELETE CASCADE, text text);
CREATE TABLE departments (id int PRIMARY KEY, name text NOT NULL, head_id int NOT NULL);
CREATE TABLE doctors (id int PRIMARY KEY, tenant_id int NOT NULL REFERENCES tenants, department_id int REFERENCES departments);
ALTER TABLE departments ADD CONSTRAINT departments_head FOREIGN KEY (head_id) REFERENCES doctors DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE measurements (patient_id int NOT NULL REFERENCES patients, at date NOT NULL, value float8, PRIMARY KEY (patient_id, at))
    PARTITION BY RANGE (at);
CREATE TABLE measurements_2024 PARTITION OF measurements FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE measurements_2025 PARTITION OF measurements FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
-- Whose row it is only the application knows.
CREATE TABLE tags (id int PRIMARY KEY, subject_type text NOT NULL, subject_id bigint NOT NULL, tag text);
CREATE TABLE audit (id bigserial PRIMARY KEY, tenant_id int, what text, at timestamptz NOT NULL DEFAULT now());
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.audit (what) VALUES (TG_OP || ' ' || TG_TABLE_NAME); RETURN NULL; END $$;

INSERT INTO tenants VALUES (7, 'Seven'), (42, 'Forty-two'), (43, 'Forty-three');
INSERT INTO countries VALUES ('de', 'Deutschland'), ('fr', 'France');
INSERT INTO users (tenant_id, mail, country) SELECT t, 'user' || n || '@' || t, CASE WHEN n % 2 = 0 THEN 'de' END
    FROM unnest(ARRAY[7, 42, 43]) t, generate_series(1, 20) n;
UPDATE countries SET created_by = 1;
INSERT INTO patients (tenant_id, name, number, price, photo, data, seen, archived)
    SELECT t, CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'tab\tnew\nline\\N' ELSE 'é "' || n END, n, n + 0.50,
        decode('00ff27', 'hex'), jsonb_build_object('n', n), '2024-01-01Z'::timestamptz + n * interval '1 second', n % 5 = 0
    FROM unnest(ARRAY[7, 42, 43]) t, generate_series(1, 200) n;
INSERT INTO visits (patient_id, user_id, note)
    SELECT p.id, (SELECT min(id) FROM users u WHERE u.tenant_id = p.tenant_id) + n, 'visit ' || n
    FROM patients p, generate_series(1, 3) n;
INSERT INTO visit_notes SELECT id, n, 'line ' || n FROM visits, generate_series(1, 2) n;
INSERT INTO categories SELECT t * 100 + n, t, CASE WHEN n > 1 THEN t * 100 + n / 2 END, 'category ' || n
    FROM unnest(ARRAY[7, 42, 43]) t, generate_series(1, 9) n;
INSERT INTO comments SELECT id, id, NULL, 'first' FROM visits WHERE id % 10 = 0;
INSERT INTO comments SELECT id + 100000, NULL, id, 'reply' FROM comments;
INSERT INTO comments SELECT id + 100000, NULL, id, 'reply to the reply' FROM comments WHERE text = 'reply';
BEGIN;
INSERT INTO departments SELECT t, 'department ' || t, t * 10 FROM unnest(ARRAY[7, 42, 43]) t;
INSERT INTO doctors SELECT t * 10 + n, t, t FROM unnest(ARRAY[7, 42, 43]) t, generate_series(0, 2) n;
COMMIT;
INSERT INTO measurements SELECT id, '2024-12-30'::date + n, n / 3.0 FROM patients, generate_series(0, 3) n WHERE id % 7 = 0;
INSERT INTO tags SELECT row_number() OVER (), 'visit', id, 'urgent' FROM visits WHERE id % 20 = 0;
INSERT INTO tags SELECT 10000 + id, 'patient', id, 'vip' FROM patients WHERE id % 20 = 0;
INSERT INTO audit (tenant_id, what) SELECT 42, 'before';
CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON patients FOR EACH ROW EXECUTE FUNCTION log();
CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON visits FOR EACH ROW EXECUTE FUNCTION log();
