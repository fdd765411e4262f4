//! One tenant's rows out of a backup into the live database: they are those of the backup again, nobody else's have
//! changed, and where anything stands against it, or the program is killed, nothing has changed at all.
//!
//! The judges are digests that the server itself makes, of queries that know the clinic and nothing of Nightvault.

mod clinic;
mod conflicts;
mod export;
mod keyless;
mod killed;
mod maps;
mod sequences;

use clinic::{Clinic, Engine};

/// The tenant's rows come back whatever has happened to them, and nothing else has changed.
fn comes_back(engine: Engine) {
    let clinic = Clinic::new(engine);
    let theirs = clinic.theirs();
    clinic.damage();
    assert_ne!(clinic.theirs(), theirs);
    let (others, all) = (clinic.others(), clinic.all());

    // Nothing is done until it was said twice.
    let said = clinic.restores(&[]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("--into-live") && said.stdout.contains("to insert"), "{said:?}");
    let plan = clinic.nightvault.ok(&clinic.arguments(&["--dry-run"]));
    assert_eq!(plan["status"], "planned");
    assert_eq!(clinic.all(), all, "a plan has changed something");

    let report = clinic.nightvault.ok(&clinic.arguments(&["--into-live"]));
    assert_eq!(report["status"], "restored");
    assert_eq!(report["tables"], plan["tables"]);
    assert_eq!(clinic.theirs(), theirs);
    assert_eq!(clinic.others(), others);

    // There is nothing left to do, and whoever comes next gets a number of his own.
    let again = clinic.nightvault.ok(&clinic.arguments(&["--dry-run"]));
    for table in again["tables"].as_array().unwrap() {
        assert_eq!(
            (&table["insert"], &table["update"], &table["delete"]),
            (&0.into(), &0.into(), &0.into()),
            "{table}"
        );
        assert_eq!(table["backup_rows"], table["live_rows"]);
    }
    clinic.ask("INSERT INTO patients (tenant_id, name, number) VALUES (42, 'the next one', 5000)");
    clinic.ask("INSERT INTO visits (patient_id, note) SELECT MAX(id), 'the next one' FROM patients");
}

#[test]
fn a_tenant_comes_back_in_postgres_and_nobody_else_changes() {
    comes_back(Engine::Postgres);
}

#[test]
fn a_tenant_comes_back_in_mariadb_and_nobody_else_changes() {
    comes_back(Engine::MariaDb);
}

#[test]
#[ignore = "needs MySQL: tests/run runs it where that can be had"]
fn a_tenant_comes_back_in_mysql_and_nobody_else_changes() {
    comes_back(Engine::MySql);
}

#[test]
fn a_tenant_that_was_deleted_whole_comes_back_whole() {
    let clinic = Clinic::new(Engine::Postgres);
    let theirs = clinic.theirs();
    clinic.ask(
        "BEGIN; DELETE FROM measurements WHERE patient_id IN (SELECT id FROM patients WHERE tenant_id = 42);
         UPDATE doctors SET department_id = NULL WHERE tenant_id = 42; DELETE FROM departments WHERE id = 42;
         DELETE FROM doctors WHERE tenant_id = 42; DELETE FROM categories WHERE tenant_id = 42;
         DELETE FROM patients WHERE tenant_id = 42; DELETE FROM users WHERE tenant_id = 42;
         DELETE FROM tenants WHERE id = 42; COMMIT",
    );
    let others = clinic.others();
    let report = clinic.nightvault.ok(&clinic.arguments(&["--into-live"]));
    let inserted: u64 = report["tables"].as_array().unwrap().iter().map(|it| it["insert"].as_u64().unwrap()).sum();
    assert!(inserted > 2000, "{report}");
    assert_eq!(clinic.theirs(), theirs);
    assert_eq!(clinic.others(), others);
}

#[test]
fn only_the_pieces_with_the_tenants_tables_are_read() {
    let clinic = Clinic::with(Engine::Postgres, |clinic| {
        // Random text, which no compression makes small.
        clinic.ask(
            "CREATE TABLE ballast AS SELECT n, md5(random()::text) || md5(random()::text) AS x FROM generate_series(1, 200000) n",
        );
        clinic.class("ballast", serde_json::json!({"class": "shared"}));
    });
    let report = clinic.nightvault.ok(&clinic.arguments(&["--dry-run"]));
    let archive = std::fs::metadata(clinic.nightvault.archive(report["key"].as_str().unwrap())).unwrap().len();
    let read = report["bytes_read"].as_u64().unwrap();
    assert!(archive > 4 << 20 && read < 2 << 20, "{read} of {archive} bytes were read");
}
