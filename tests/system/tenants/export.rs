//! One tenant's data in a folder: read by other programs, it is what the server has.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use super::clinic::{Clinic, Engine};
use crate::support::{mariadb, postgres, program};

/// Reads the CSV files with another reader, and checks the list: the number of rows of each table, and the digests.
const READER: &str = r#"
import csv, hashlib, json, sys
folder = sys.argv[1]
found = json.load(open(folder + '/manifest.json'))
for it in found['tables'] + [found['sql']]:
    data = open(folder + '/' + it['file'], 'rb').read()
    assert hashlib.sha256(data).hexdigest() == it['sha256'] and len(data) == it['bytes'], it
counts = {}
for it in found['tables']:
    rows = list(csv.reader(open(folder + '/' + it['file'], newline='', encoding='utf-8'), strict=True))
    assert len(rows) == it['rows'] + 1 and all(len(row) == len(rows[0]) for row in rows), it
    counts[it['table']] = it['rows']
    if it['table'].endswith('patients'):
        names = [row[rows[0].index('name')] for row in rows]
        assert 'tab\tnew\nline\\N' in [name.rstrip("'") for name in names], names[:5]
print(json.dumps(counts))
"#;

fn exports(engine: Engine) {
    let clinic = Clinic::new(engine);
    let expected = clinic.theirs();
    clinic.damage();
    let before = clinic.all();
    let report = clinic.nightvault.ok(&clinic.arguments(&["--export", "out"]));
    assert_eq!(report["status"], "exported");
    assert_eq!(clinic.all(), before, "an export has changed the database");

    let folder = clinic.nightvault.folder().join("out");
    let counts: Value =
        serde_json::from_str(&program::stdout(Command::new("python3").args(["-c", READER]).arg(&folder))).unwrap();
    assert_eq!(counts[clinic.full("patients")], 200);
    assert_eq!(counts[clinic.full("comments")], 180);
    assert_eq!(counts.as_object().unwrap().len(), 11);
    let patients = std::fs::read_to_string(folder.join(format!("{}.csv", clinic.full("patients")))).unwrap();
    assert!(patients.contains(",\"\",") && patients.contains(",,"), "NULL and '' are the same: {patients:.500}");
    for file in std::fs::read_dir(&folder).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    // The SQL restores into tables without a row of the tenant.
    clinic.copy_without_tenants(&folder.join("tenant.sql"), &expected);

    // A folder that holds anything is left alone.
    let said = clinic.nightvault.fails(2, &clinic.arguments(&["--export", "out"]));
    assert!(said.stderr.contains("not empty"), "{said:?}");
}

impl Clinic {
    /// Empties the tenants' tables, runs the exported SQL with the server's own client and compares the tenant's rows.
    fn copy_without_tenants(&self, sql: &std::path::Path, expected: &[String]) {
        let tables =
            "tenants users patients categories doctors visits visit_notes comments departments measurements tags";
        let name = self.name();
        if self.full("x") == "x" {
            let empty: Vec<String> = tables.split(' ').map(|table| format!("DELETE FROM {table};")).collect();
            self.ask(&format!("SET foreign_key_checks = 0; {}", empty.concat()));
            mariadb::run_as_root_on(
                self.engine().server(),
                &format!("USE `{name}`;\n{}", std::fs::read_to_string(sql).unwrap()),
            );
        } else {
            self.ask(&format!(
                "UPDATE countries SET created_by = NULL; SET session_replication_role = replica; \
                DELETE FROM {}",
                tables.replace(' ', "; DELETE FROM ")
            ));
            self.ask("ALTER TABLE doctors ALTER CONSTRAINT doctors_department_id_fkey DEFERRABLE");
            program::stdout(postgres::client("psql", &name).args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(sql));
        }
        assert_eq!(self.theirs(), expected);
    }
}

#[test]
fn a_tenants_data_of_postgres_is_read_by_other_programs() {
    exports(Engine::Postgres);
}

#[test]
fn a_tenants_data_of_mariadb_is_read_by_other_programs() {
    exports(Engine::MariaDb);
}

#[test]
#[ignore = "needs MySQL: tests/run runs it where that can be had"]
fn a_tenants_data_of_mysql_is_read_by_other_programs() {
    exports(Engine::MySql);
}
