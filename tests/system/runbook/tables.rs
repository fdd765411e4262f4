//! One table, beside the live one or in its old place, by the runbook's commands.

use std::path::Path;

use super::desk::{Desk, back_up, new_mariadb, new_postgres};
use super::sqlite_dump;
use crate::night::{mariadb_url, postgres_url, sqlite_clinic};
use crate::support::nightvault::Nightvault;
use crate::support::{mariadb, postgres, program, s3};

/// Scripts of `tests/data/runbook`.
pub(super) fn script(name: &str) -> String {
    format!("{}/data/runbook/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn one_postgres_table_is_cut_out_of_the_dump_and_put_beside_the_live_one() {
    let bucket = s3::bucket().await;
    let live = postgres::Scratch::of("clinic.sql");
    let mut nightvault = Nightvault::local("clinic");
    let key = back_up(&mut nightvault, &bucket, &postgres_url(&live), None);
    let rows = "SELECT p::text FROM public.patients p ORDER BY id";
    let before = live.psql(rows);
    live.psql("UPDATE public.patients SET name = 'overwritten' WHERE id % 2 = 0");
    let damaged = live.psql(rows);

    let mut desk = Desk::at(&bucket);
    let target = new_postgres();
    desk.set("DATABASE", &live.name).set("TARGET", &target.name).set("LIVE", &live.name);
    desk.set("SCHEMA", "public").set("TABLE", "patients").open(&key);
    assert!(desk.run("cut").ends_with("rows.sql: OK\n"));
    desk.run("postgres-table");
    assert_eq!(target.psql(rows), before);
    assert_eq!(target.psql("SELECT count(*) FROM public.visits").trim(), "0", "the rows of no other table came along");
    desk.run("postgres-beside");
    assert_eq!(live.psql(&rows.replace("patients", "patients_restored")), before);
    assert_eq!(live.psql(rows), damaged, "the live table was not touched");

    // A name that is not there is not taken for an empty table.
    assert!(desk.set("TABLE", "patient").fails("cut").contains("the table is not in this backup"));
    assert!(!desk.path("table.sql").exists(), "the table before lies there no more");
    // A table of another schema, whose rows begin somewhere else.
    let second = new_postgres();
    desk.set("TARGET", &second.name).set("SCHEMA", "billing").set("TABLE", "invoices");
    assert!(desk.run("cut").ends_with("rows.sql: OK\n"));
    desk.run("postgres-table");
    let invoices = "SELECT i::text FROM billing.invoices i ORDER BY number";
    assert_eq!(second.psql(invoices), live.psql(invoices));
    bucket.remove().await;
}

#[tokio::test]
async fn a_dropped_postgres_table_comes_back_with_its_keys_and_its_counter() {
    let bucket = s3::bucket().await;
    let live = postgres::Scratch::new();
    live.run_file(&script("tenants.postgres.sql"));
    let mut nightvault = Nightvault::local("clinic");
    let key = back_up(&mut nightvault, &bucket, &postgres_url(&live), None);
    let (schema, rows) = (live.pg_dump_schema(), live.pg_dump_rows());
    live.psql("DROP TABLE public.appointments");

    let mut desk = Desk::at(&bucket);
    let target = new_postgres();
    desk.set("DATABASE", &live.name).set("TARGET", &target.name).set("LIVE", &live.name);
    desk.set("SCHEMA", "public").set("TABLE", "appointments").open(&key);
    desk.run("postgres");
    desk.run("postgres-missing");
    postgres::assert_same("schemas", &schema, &live.pg_dump_schema());
    postgres::assert_same("rows", &rows, &live.pg_dump_rows());
    bucket.remove().await;
}

#[tokio::test]
async fn nightvault_puts_a_postgres_table_beside_the_live_one_and_back_in_its_place() {
    let bucket = s3::bucket().await;
    let live = postgres::Scratch::new();
    live.run_file(&script("tenants.postgres.sql"));
    let mut nightvault = Nightvault::local("clinic");
    let key = back_up(&mut nightvault, &bucket, &postgres_url(&live), None);
    let (schema, all) = (live.pg_dump_schema(), live.pg_dump_rows());
    let rows = "SELECT p::text FROM public.patients p ORDER BY id";
    let before = live.psql(rows);

    let mut desk = Desk::at(&bucket);
    desk.with_nightvault(&bucket).set("KEY", &key).set("URL", &postgres_url(&live));
    desk.set("SCHEMA", "public").set("TABLE", "patients");
    live.psql("ALTER TABLE public.patients DISABLE TRIGGER USER; UPDATE public.patients SET name = 'overwritten'");
    let damaged = live.psql(rows);
    desk.run("nightvault-beside");
    assert_eq!(live.psql(&rows.replace("patients", "patients_restored")), before);
    assert_eq!(live.psql(rows), damaged, "the live table was not touched");
    assert!(desk.fails("nightvault-missing").contains("table public.patients is there already"));
    live.psql("DROP TABLE public.patients_restored");

    // Gone altogether: with all that hung on it.
    let lost = postgres::Scratch::new();
    lost.run_file(&script("tenants.postgres.sql"));
    lost.psql("DROP TABLE public.appointments");
    desk.set("URL", &postgres_url(&lost)).set("TABLE", "appointments");
    desk.run("nightvault-missing");
    postgres::assert_same("schemas", &schema, &lost.pg_dump_schema());
    postgres::assert_same("rows", &all, &lost.pg_dump_rows());
    bucket.remove().await;
}

#[tokio::test]
async fn one_mariadb_table_is_cut_out_of_the_dump_put_beside_the_live_one_or_in_its_place() {
    let bucket = s3::bucket().await;
    let live = mariadb::Scratch::new("runbook_table");
    let seed = live.client().run(&std::fs::read(script("tenants.mysql.sql")).unwrap());
    assert!(seed.status.success(), "{}", program::text(&seed));
    let mut nightvault = Nightvault::local("clinic");
    let key = back_up(&mut nightvault, &bucket, &mariadb_url(&live), None);
    let rows = "SELECT id, tenant_id, name, search, note FROM patients ORDER BY id";
    let (before, whole, digests) = (live.run(rows), live.oracle(), live.digests());
    live.run("UPDATE patients SET name = 'overwritten'");
    let damaged = live.run(rows);

    let mut desk = Desk::at(&bucket);
    let target = new_mariadb("runbook_scratch");
    desk.set("DATABASE", live.name()).set("TARGET", target.name()).set("LIVE", live.name());
    desk.set("SCHEMA", "public").set("TABLE", "patients").open(&key);
    assert!(desk.run("cut").ends_with("rows.sql: OK\n"));
    desk.run("mysql-table");
    assert_eq!(target.run(rows), before);
    assert_eq!(target.run("SELECT count(*) FROM appointments"), "0\n", "the rows of no other table came along");
    desk.run("mysql-beside");
    assert_eq!(live.run(&rows.replace("patients", "patients_restored")), before);
    assert_eq!(live.run(rows), damaged, "the live table was not touched");

    live.run("DROP TABLE patients_restored; SET foreign_key_checks = 0; DROP TABLE patients");
    desk.run("mysql-missing");
    assert_eq!(live.oracle(), whole);
    assert_eq!(live.digests(), digests);
    bucket.remove().await;
}

#[tokio::test]
async fn one_sqlite_table_is_put_beside_the_live_one() {
    let bucket = s3::bucket().await;
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    let key = back_up(&mut nightvault, &bucket, &format!("sqlite://{sqlite}"), None);
    let ask = |sql: &str| program::stdout(std::process::Command::new("sqlite3").args([&sqlite, sql]));
    let before = ask("SELECT quote(id), quote(name), quote(photo) FROM patient");
    ask("DELETE FROM patient WHERE id > 1");
    let damaged = sqlite_dump(Path::new(&sqlite));

    let mut desk = Desk::at(&bucket);
    desk.set("DATABASE", "registry").set("TABLE", "patient").set("LIVE", &sqlite).open(&key);
    desk.run("sqlite-beside");
    assert_eq!(ask("SELECT quote(id), quote(name), quote(photo) FROM patient_restored"), before);
    ask("DROP TABLE patient_restored");
    assert_eq!(sqlite_dump(Path::new(&sqlite)), damaged, "the live table was not touched");
    bucket.remove().await;
}
