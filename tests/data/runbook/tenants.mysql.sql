-- The same small application for several tenants as in tenants.postgres.sql.
CREATE TABLE countries (code CHAR(2) PRIMARY KEY, name VARCHAR(80) NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE tenants (id INT PRIMARY KEY, name VARCHAR(80) NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE users (
  id BIGINT AUTO_INCREMENT PRIMARY KEY,
  tenant_id INT NOT NULL,
  mail VARCHAR(120) NOT NULL,
  country CHAR(2),
  UNIQUE KEY users_mail (tenant_id, mail),
  CONSTRAINT users_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (id),
  CONSTRAINT users_country FOREIGN KEY (country) REFERENCES countries (code)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE patients (
  id BIGINT AUTO_INCREMENT PRIMARY KEY,
  tenant_id INT NOT NULL,
  name VARCHAR(120) NOT NULL,
  search VARCHAR(120) GENERATED ALWAYS AS (LOWER(name)) STORED,
  note TEXT,
  CONSTRAINT patients_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE appointments (
  id BIGINT AUTO_INCREMENT PRIMARY KEY,
  patient_id BIGINT NOT NULL,
  at DATETIME NOT NULL,
  CONSTRAINT appointments_patient FOREIGN KEY (patient_id) REFERENCES patients (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO countries VALUES ('de', 'Deutschland'), ('fr', 'France');
INSERT INTO tenants VALUES (1, 'North'), (42, 'Café Süd'), (43, 'East');
INSERT INTO users (tenant_id, mail, country)
  SELECT ELT(1 + seq % 3, 1, 42, 43), CONCAT('u', seq, '@example.org'), 'de' FROM seq_1_to_30;
INSERT INTO patients (tenant_id, name, note)
  SELECT ELT(1 + seq % 3, 1, 42, 43), CONCAT('Patient ', seq), IF(seq % 2, NULL, 'tab\tline\nback\\slash "quote"') FROM seq_1_to_300;
INSERT INTO appointments (patient_id, at) SELECT id, '2024-01-01 00:00:00' + INTERVAL id HOUR FROM patients ORDER BY id;
