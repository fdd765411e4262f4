-- What can happen to tenant 42 between a backup and a restore; the others go on working.
UPDATE patients SET name = 'rubbish', price = 1.5, photo = NULL WHERE tenant_id = 42 AND number % 3 = 0;
UPDATE patients SET price = price + 0.00, name = NULL WHERE tenant_id = 42 AND number % 4 = 1;
DELETE FROM measurements WHERE patient_id IN (SELECT id FROM patients WHERE tenant_id = 42 AND number <= 40);
DELETE FROM patients WHERE tenant_id = 42 AND number <= 40;
INSERT INTO patients (tenant_id, name, number) SELECT 42, 'rubbish', n FROM generate_series(1, 30) n;
-- A visit that stays has been moved to a patient that came since.
UPDATE visits SET patient_id = (SELECT max(id) FROM patients WHERE tenant_id = 42)
    WHERE id IN (SELECT v.id FROM visits v JOIN patients p ON p.id = v.patient_id WHERE p.tenant_id = 42 AND p.number = 100);
UPDATE visits SET user_id = NULL, note = 'rubbish' WHERE patient_id IN (SELECT id FROM patients WHERE tenant_id = 42 AND number > 190);
-- Mail addresses have changed hands among the tenant's own users.
UPDATE users SET mail = 'x' || mail WHERE tenant_id = 42;
UPDATE users SET mail = 'user' || (SELECT count(*) FROM users u WHERE u.tenant_id = 42 AND u.id > users.id) || '@42' WHERE tenant_id = 42;
UPDATE categories SET parent_id = 42001 % 4200 + 4200 WHERE tenant_id = 42 AND id = 4209;
DELETE FROM comments WHERE id > 200000 AND id IN (SELECT c.id FROM comments c JOIN comments b ON b.id = c.parent_id
    JOIN comments a ON a.id = b.parent_id JOIN visits v ON v.id = a.visit_id JOIN patients p ON p.id = v.patient_id WHERE p.tenant_id = 42);
BEGIN;
UPDATE doctors SET department_id = NULL WHERE tenant_id = 42;
DELETE FROM departments WHERE id = 42;
DELETE FROM doctors WHERE id IN (420, 421);
INSERT INTO departments VALUES (999, 'rubbish', 998);
INSERT INTO doctors VALUES (998, 42, 999);
COMMIT;
UPDATE measurements SET value = -1 WHERE at < '2025-01-01' AND patient_id IN (SELECT id FROM patients WHERE tenant_id = 42);
DELETE FROM tags WHERE subject_type = 'patient' AND subject_id IN (SELECT id FROM patients WHERE tenant_id = 42);
UPDATE tenants SET name = 'rubbish' WHERE id = 42;
-- The tenant with the highest numbers is gone, and the sequence is set back, as a careless import does it.
DELETE FROM visits USING patients p WHERE p.id = patient_id AND p.tenant_id = 43;
SELECT setval('visits_id_seq', 5);
-- The others.
UPDATE patients SET data = '{"since": true}' WHERE tenant_id = 7 AND number < 10;
INSERT INTO users (tenant_id, mail) VALUES (43, 'since@43');
INSERT INTO countries VALUES ('it', 'Italia');
