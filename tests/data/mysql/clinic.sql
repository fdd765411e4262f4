-- A small clinic: what a practice's database looks like on an ordinary day.
CREATE TABLE clinics (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(120) NOT NULL COMMENT 'as on the door; "quoted" and ''quoted''',
  timezone VARCHAR(64) NOT NULL DEFAULT 'Europe/Berlin',
  settings JSON NOT NULL DEFAULT '{}',
  UNIQUE KEY clinics_name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='*/ drop table clinics; /*';

CREATE TABLE doctors (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  clinic_id INT UNSIGNED NOT NULL,
  name VARCHAR(120) NOT NULL,
  speciality ENUM('general', 'surgery', 'children''s', 'radiology') NOT NULL DEFAULT 'general',
  deputy_id INT UNSIGNED NULL,
  CONSTRAINT doctors_clinic FOREIGN KEY (clinic_id) REFERENCES clinics (id) ON DELETE CASCADE,
  CONSTRAINT doctors_deputy FOREIGN KEY (deputy_id) REFERENCES doctors (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE patients (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  clinic_id INT UNSIGNED NOT NULL,
  given_name VARCHAR(100) NOT NULL,
  family_name VARCHAR(100) NOT NULL,
  full_name VARCHAR(201) GENERATED ALWAYS AS (CONCAT(given_name, ' ', family_name)) STORED,
  initials CHAR(2) GENERATED ALWAYS AS (CONCAT(LEFT(given_name, 1), LEFT(family_name, 1))) VIRTUAL,
  born DATE NOT NULL DEFAULT '0000-00-00',
  insurance_number CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NULL,
  note TEXT NULL,
  photo MEDIUMBLOB NULL,
  balance DECIMAL(12, 2) NOT NULL DEFAULT 0.00,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP NULL DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP,
  secret_flag TINYINT(1) NOT NULL DEFAULT 0 INVISIBLE,
  KEY patients_name (family_name, given_name),
  FULLTEXT KEY patients_note (note),
  CONSTRAINT patients_balance CHECK (balance >= -10000),
  CONSTRAINT patients_clinic FOREIGN KEY (clinic_id) REFERENCES clinics (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE appointments (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  patient_id BIGINT UNSIGNED NOT NULL,
  doctor_id INT UNSIGNED NOT NULL,
  starts_at DATETIME(3) NOT NULL,
  minutes SMALLINT UNSIGNED NOT NULL DEFAULT 15,
  status SET('booked', 'confirmed', 'arrived', 'done') NOT NULL DEFAULT 'booked',
  temperature FLOAT NULL,
  KEY appointments_start (starts_at DESC, doctor_id),
  CONSTRAINT appointments_patient FOREIGN KEY (patient_id) REFERENCES patients (id) ON UPDATE CASCADE,
  CONSTRAINT appointments_doctor FOREIGN KEY (doctor_id) REFERENCES doctors (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE audit (
  at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  what VARCHAR(200) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00';
INSERT INTO clinics (id, name, settings) VALUES
  (0, 'Zero', '{"emoji": "😀", "n": 1.0}'), (1, 'Praxis Dr. Müller', '{}'), (7, 'Line\nbreak \\ clinic', '[]');
SET SESSION foreign_key_checks = 0;
INSERT INTO doctors (id, clinic_id, name, speciality, deputy_id) VALUES
  (1, 1, 'Ann', 'surgery', 2), (2, 1, 'Bob', 'children''s', 1), (3, 0, 'Zoë', 'general', NULL);
SET SESSION foreign_key_checks = 1;
INSERT INTO patients (clinic_id, given_name, family_name, born, insurance_number, note, photo, balance, created_at, secret_flag)
  SELECT seq % 2, CONCAT('Given', seq), CONCAT('O''Family', seq % 97), IF(seq % 50 = 0, '0000-00-00', DATE('1930-01-01') + INTERVAL seq DAY),
    LPAD(seq, 10, 'X'), IF(seq % 3 = 0, NULL, CONCAT('Line one\r\nline two of ', seq, '\tTab \\ backslash; semicolon -- dash')),
    IF(seq % 10 = 0, UNHEX(SHA2(seq, 512)), NULL), seq / 7, '2024-10-27 00:30:00' + INTERVAL seq MINUTE, seq % 2
  FROM seq_1_to_5000;
INSERT INTO appointments (patient_id, doctor_id, starts_at, minutes, status, temperature)
  SELECT id, 1 + id % 3, '2026-01-01 08:00:00.125' + INTERVAL id HOUR, 15, IF(id % 2, 'booked,confirmed', ''), 36 + id / 977 FROM patients;
INSERT INTO audit (at, what) SELECT '2026-01-01 00:00:00.000001' + INTERVAL seq SECOND, 'same' FROM seq_1_to_50;
