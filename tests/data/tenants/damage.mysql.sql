-- What can happen to tenant 42 between a backup and a restore; the others go on working.
SET SESSION sql_mode = 'STRICT_ALL_TABLES';
UPDATE patients SET name = 'rubbish', price = 1.5, photo = NULL WHERE tenant_id = 42 AND number % 3 = 0;
-- What collations and numbers take for the same.
UPDATE patients SET name = REPLACE(name, 'é', 'E'), kind = 1 WHERE tenant_id = 42 AND number % 4 = 3;
UPDATE patients SET weight = weight + 0.000001 WHERE tenant_id = 42 AND number % 10 = 0;
DELETE FROM measurements WHERE patient_id IN (SELECT id FROM patients WHERE tenant_id = 42 AND number <= 40);
DELETE FROM patients WHERE tenant_id = 42 AND number <= 40;
INSERT INTO patients (tenant_id, name, number) SELECT 42, 'rubbish', seq FROM seq_1_to_30;
-- A visit that stays has been moved to a patient that came since.
SET @newest = (SELECT MAX(id) FROM patients WHERE tenant_id = 42), @moved = (SELECT id FROM patients WHERE tenant_id = 42 AND number = 100);
UPDATE visits SET patient_id = @newest WHERE patient_id = @moved;
UPDATE visits SET user_id = NULL, note = 'rubbish' WHERE patient_id IN (SELECT id FROM patients WHERE tenant_id = 42 AND number > 190);
-- Mail addresses have changed hands among the tenant's own users.
UPDATE users SET mail = CONCAT('x', mail) WHERE tenant_id = 42;
SET @last = (SELECT MAX(id) FROM users WHERE tenant_id = 42);
UPDATE users SET mail = CONCAT('user', @last - id, '@42') WHERE tenant_id = 42;
UPDATE categories SET parent_id = 4201 WHERE id = 4209;
DELETE FROM comments WHERE id > 200000 AND id IN (SELECT id + 200000 FROM (SELECT v.id FROM visits v JOIN patients p ON p.id = v.patient_id WHERE p.tenant_id = 42) x);
UPDATE doctors SET department_id = NULL WHERE tenant_id = 42;
DELETE FROM departments WHERE id = 42;
DELETE FROM doctors WHERE id IN (420, 421);
INSERT INTO doctors VALUES (998, 42, NULL);
INSERT INTO departments VALUES (999, 'rubbish', 998);
UPDATE doctors SET department_id = 999 WHERE id = 998;
UPDATE measurements SET value = -1 WHERE at < '2025-01-01' AND patient_id IN (SELECT id FROM patients WHERE tenant_id = 42);
DELETE FROM tags WHERE subject_type = 'patient' AND subject_id IN (SELECT id FROM patients WHERE tenant_id = 42);
UPDATE tenants SET name = 'rubbish' WHERE id = 42;
-- The others.
UPDATE patients SET data = '{"since": true}' WHERE tenant_id = 7 AND number < 10;
INSERT INTO users (tenant_id, mail) VALUES (43, 'since@43');
INSERT INTO countries (code, name) VALUES ('it', 'Italia');
