-- The same small application for several tenants as in tenants.postgres.sql.
CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE tenants (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE users (id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL REFERENCES tenants, mail TEXT NOT NULL, country TEXT REFERENCES countries);
CREATE TABLE patients (id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL REFERENCES tenants, name TEXT NOT NULL, search TEXT GENERATED ALWAYS AS (lower(name)) STORED, note TEXT);
CREATE TABLE appointments (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patients ON DELETE CASCADE, at TEXT NOT NULL);
INSERT INTO countries VALUES ('de', 'Deutschland'), ('fr', 'France');
INSERT INTO tenants VALUES (1, 'North'), (42, 'Café Süd'), (43, 'East');
WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 300)
  INSERT INTO patients (tenant_id, name, note) SELECT CASE n % 3 WHEN 0 THEN 1 WHEN 1 THEN 42 ELSE 43 END, 'Patient ' || n, NULL FROM s;
INSERT INTO users (tenant_id, mail, country) SELECT tenant_id, 'u' || id || '@example.org', 'de' FROM patients WHERE id <= 30 ORDER BY id;
INSERT INTO appointments (patient_id, at) SELECT id, '2024-01-01' FROM patients ORDER BY id;
