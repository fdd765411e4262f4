//! A clinic of several tenants, always the same one: patients, appointments, invoices, scans, documents.
//!
//! Its values are chosen to be hard on a backup: quotes, line breaks, other scripts, empty texts beside NULL, bytes
//! that are no text, numbers at the ends of their range, an empty file, a name that is not ASCII.

use std::fs;
use std::path::Path;

use nightvault_core::{Class, Error, Result};
use rusqlite::{Connection, params};

use super::cannot;

/// What was made.
pub(super) struct Clinic {
    /// Rows of all tables.
    pub(super) rows: u64,
    /// Paths of the documents below their folder.
    pub(super) files: Vec<String>,
}

const SCHEMA: &str = "
    CREATE TABLE tenants (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE patients (
        id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL REFERENCES tenants (id),
        name TEXT NOT NULL, born TEXT NOT NULL, note TEXT
    );
    CREATE TABLE appointments (
        id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL REFERENCES tenants (id),
        patient_id INTEGER NOT NULL REFERENCES patients (id), starts TEXT NOT NULL, minutes INTEGER NOT NULL
    );
    CREATE TABLE invoices (
        id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL REFERENCES tenants (id),
        appointment_id INTEGER NOT NULL REFERENCES appointments (id), cents INTEGER NOT NULL, paid REAL
    );
    CREATE TABLE scans (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patients (id), image BLOB NOT NULL);
    CREATE INDEX appointments_by_start ON appointments (tenant_id, starts);
    CREATE VIEW unpaid AS SELECT * FROM invoices WHERE paid IS NULL;
    CREATE TRIGGER no_free_lunch BEFORE INSERT ON invoices WHEN NEW.cents < 0
    BEGIN SELECT RAISE(ABORT, 'an invoice cannot be negative'); END;
";

const TENANTS: [&str; 3] = ["Praxis Dr. Müller", "St. Mary's Clinic", "さくら診療所"];
const NAMES: [&str; 8] = ["Anna", "Björn", "Chloé", "O'Brien", "Дмитрий", "李雷", "\"Bobby\"", "Zoë\\"];
const PATIENTS: i64 = 1_500;
const APPOINTMENTS: i64 = 4_000;
const SCANS: i64 = 60;

/// Makes the database and the documents.
pub(super) fn create(database: &Path, documents: &Path) -> Result<Clinic> {
    let rows = create_database(database)
        .map_err(|error| Error::new(Class::Limit, format!("cannot make {}", database.display())).because(error))?;
    Ok(Clinic { rows, files: create_documents(documents)? })
}

fn create_database(path: &Path) -> rusqlite::Result<u64> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(SCHEMA)?;
    let transaction = connection.transaction()?;
    let mut rows = 0;
    let mut numbers = Numbers(7);
    let mut insert = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> rusqlite::Result<()> {
        rows += transaction.prepare(sql)?.execute(values)? as u64;
        Ok(())
    };
    for (id, name) in (1_i64..).zip(TENANTS) {
        insert("INSERT INTO tenants VALUES (?, ?)", params![id, name])?;
    }
    for id in 1..=PATIENTS {
        let name = format!("{} {id}", NAMES[numbers.below(NAMES.len())]);
        let born = format!("{}-{:02}-{:02}", 1930 + numbers.below(95), 1 + numbers.below(12), 1 + numbers.below(28));
        let note = match numbers.below(4) {
            0 => None,
            1 => Some(String::new()),
            2 => Some("line\nbreak;\ttab -- no comment".to_owned()),
            _ => Some(format!("allergic to {}", numbers.below(1000))),
        };
        insert("INSERT INTO patients VALUES (?, ?, ?, ?, ?)", params![id, tenant(id), name, born, note])?;
    }
    for id in 1..=APPOINTMENTS {
        let patient = 1 + (id * 7) % PATIENTS;
        let starts = format!("2026-{:02}-{:02}T{:02}:{:02}:00Z", 1 + id % 12, 1 + id % 28, 8 + id % 10, id % 4 * 15);
        let minutes = 15 * (1 + id % 4);
        insert(
            "INSERT INTO appointments VALUES (?, ?, ?, ?, ?)",
            params![id, tenant(patient), patient, starts, minutes],
        )?;
        let cents = if id == APPOINTMENTS { i64::MAX } else { id * 37 % 50_000 };
        let paid = (id % 3 != 0).then_some(cents as f64 / 100.0);
        insert("INSERT INTO invoices VALUES (?, ?, ?, ?, ?)", params![id, tenant(patient), id, cents, paid])?;
    }
    for id in 1..=SCANS {
        let image: Vec<u8> = (0..4096).map(|_| numbers.byte()).collect();
        insert("INSERT INTO scans VALUES (?, ?, ?)", params![id, id, image])?;
    }
    transaction.commit()?;
    Ok(rows)
}

/// The tenant of a patient.
fn tenant(patient: i64) -> i64 {
    1 + patient % TENANTS.len() as i64
}

fn create_documents(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut numbers = Numbers(11);
    for number in 0..24 {
        let name = match number {
            0 => "empty.txt".to_owned(),
            1 => "2026/Überweisung für Zoë.txt".to_owned(),
            _ => format!("{}/letter-{number:02}.txt", 2024 + number % 3),
        };
        let contents: Vec<u8> = match number {
            0 => Vec::new(),
            2 => (0..200_000).map(|_| numbers.byte()).collect(),
            _ => format!("Letter {number}\n\n{}", "Dear colleague, thank you for the referral.\n".repeat(number * 20))
                .into_bytes(),
        };
        let path = folder.join(&name);
        super::create_folder(path.parent().unwrap_or(folder))?;
        fs::write(&path, contents).map_err(|error| cannot("write", &path, error))?;
        files.push(name);
    }
    Ok(files)
}

/// Numbers that look random and are always the same (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("the remainder is smaller than a usize")
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 32).to_le_bytes()[0]
    }
}
