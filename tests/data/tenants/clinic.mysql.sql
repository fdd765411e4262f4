-- The clinic of clinic.postgres.sql for MariaDB. Its only trigger is one of UPDATE: the restore deletes and inserts.
SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00';
CREATE TABLE tenants (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE countries (code varchar(2) PRIMARY KEY, name text NOT NULL, created_by int);
CREATE TABLE users (id int AUTO_INCREMENT PRIMARY KEY, tenant_id int NOT NULL, mail varchar(100) NOT NULL, country varchar(2),
    active boolean NOT NULL DEFAULT true, UNIQUE KEY users_mail (mail), FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    FOREIGN KEY (country) REFERENCES countries (code));
ALTER TABLE countries ADD FOREIGN KEY (created_by) REFERENCES users (id) ON DELETE SET NULL;
CREATE TABLE patients (id int AUTO_INCREMENT PRIMARY KEY, tenant_id int NOT NULL, name text COLLATE utf8mb4_unicode_ci, number int NOT NULL,
    price decimal(10,2), search varchar(100) GENERATED ALWAYS AS (UPPER(name)) STORED, photo blob, data json, seen timestamp NULL,
    weight float, flags bit(10), kind enum('', 'x'), archived boolean NOT NULL DEFAULT false, UNIQUE KEY patients_number (tenant_id, number),
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE);
CREATE TABLE visits (id bigint AUTO_INCREMENT PRIMARY KEY, patient_id int NOT NULL, user_id int, note text,
    FOREIGN KEY (patient_id) REFERENCES patients (id) ON DELETE CASCADE, FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL);
CREATE TABLE visit_notes (visit_id bigint NOT NULL, line int NOT NULL, text text, PRIMARY KEY (visit_id, line),
    FOREIGN KEY (visit_id) REFERENCES visits (id) ON DELETE CASCADE);
CREATE TABLE categories (id int PRIMARY KEY, tenant_id int NOT NULL, parent_id int, name text,
    FOREIGN KEY (tenant_id) REFERENCES tenants (id), FOREIGN KEY (parent_id) REFERENCES categories (id));
CREATE TABLE comments (id int PRIMARY KEY, visit_id bigint, parent_id int, text text,
    FOREIGN KEY (visit_id) REFERENCES visits (id) ON DELETE CASCADE, FOREIGN KEY (parent_id) REFERENCES comments (id) ON DELETE CASCADE);
CREATE TABLE departments (id int PRIMARY KEY, name text NOT NULL, head_id int NOT NULL);
CREATE TABLE doctors (id int PRIMARY KEY, tenant_id int NOT NULL, department_id int,
    FOREIGN KEY (tenant_id) REFERENCES tenants (id), FOREIGN KEY (department_id) REFERENCES departments (id));
ALTER TABLE departments ADD CONSTRAINT departments_head FOREIGN KEY (head_id) REFERENCES doctors (id);
CREATE TABLE measurements (patient_id int NOT NULL, at date NOT NULL, value double, PRIMARY KEY (patient_id, at),
    FOREIGN KEY (patient_id) REFERENCES patients (id));
CREATE TABLE tags (id int PRIMARY KEY, subject_type varchar(20) NOT NULL, subject_id bigint NOT NULL, tag text);
CREATE TABLE audit (id bigint AUTO_INCREMENT PRIMARY KEY, tenant_id int, what text, at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP);

INSERT INTO tenants VALUES (7, 'Seven'), (42, 'Forty-two'), (43, 'Forty-three');
INSERT INTO countries (code, name) VALUES ('de', 'Deutschland'), ('fr', 'France');
INSERT INTO users (tenant_id, mail, country) SELECT t.id, CONCAT('user', n.seq, '@', t.id), IF(n.seq % 2 = 0, 'de', NULL)
    FROM tenants t, seq_1_to_20 n ORDER BY t.id, n.seq;
UPDATE countries SET created_by = 1;
INSERT INTO patients (tenant_id, name, number, price, photo, data, seen, weight, flags, kind, archived)
    SELECT t.id, CASE n.seq % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'tab\tnew\nline\\N''' ELSE CONCAT('é "', n.seq) END, n.seq,
        n.seq + 0.50, x'00ff27', JSON_OBJECT('n', n.seq), TIMESTAMPADD(SECOND, n.seq, '2024-01-01 00:00:00'), n.seq / 3, n.seq,
        IF(n.seq % 2 = 0, '', 'x'), n.seq % 5 = 0
    FROM tenants t, seq_1_to_200 n ORDER BY t.id, n.seq;
INSERT INTO visits (patient_id, user_id, note)
    SELECT p.id, (SELECT MIN(id) FROM users u WHERE u.tenant_id = p.tenant_id) + n.seq, CONCAT('visit ', n.seq)
    FROM patients p, seq_1_to_3 n ORDER BY p.id, n.seq;
INSERT INTO visit_notes SELECT id, n.seq, CONCAT('line ', n.seq) FROM visits, seq_1_to_2 n;
INSERT INTO categories SELECT t.id * 100 + n.seq, t.id, IF(n.seq > 1, t.id * 100 + n.seq DIV 2, NULL), CONCAT('category ', n.seq)
    FROM tenants t, seq_1_to_9 n ORDER BY t.id, n.seq;
INSERT INTO comments SELECT id, id, NULL, 'first' FROM visits WHERE id % 10 = 0;
INSERT INTO comments SELECT id + 100000, NULL, id, 'reply' FROM comments;
INSERT INTO comments SELECT id + 100000, NULL, id, 'reply to the reply' FROM comments WHERE text = 'reply';
SET SESSION foreign_key_checks = 0;
INSERT INTO departments SELECT id, CONCAT('department ', id), id * 10 FROM tenants;
SET SESSION foreign_key_checks = 1;
INSERT INTO doctors SELECT t.id * 10 + n.seq, t.id, t.id FROM tenants t, seq_0_to_2 n;
INSERT INTO measurements SELECT id, DATE_ADD('2024-12-30', INTERVAL n.seq DAY), n.seq / 3 FROM patients, seq_0_to_3 n WHERE id % 7 = 0;
INSERT INTO tags SELECT id, 'visit', id, 'urgent' FROM visits WHERE id % 20 = 0;
INSERT INTO tags SELECT 10000 + id, 'patient', id, 'vip' FROM patients WHERE id % 20 = 0;
INSERT INTO audit (tenant_id, what) VALUES (42, 'before');
CREATE TRIGGER log_patients AFTER UPDATE ON patients FOR EACH ROW INSERT INTO audit (what) VALUES ('update');
