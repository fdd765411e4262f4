//! One tenant's rows, by the runbook's commands: they are again what they were, nobody else's have changed, and where a
//! line fails nothing has changed at all.

use std::process::Command;

use super::desk::{Desk, back_up, new_mariadb, new_postgres};
use super::tables::script;
use crate::night::{mariadb_url, postgres_url};
use crate::support::nightvault::Nightvault;
use crate::support::{mariadb, postgres, program, s3};

/// Damage by a faulty release: tenant 42 loses patients and users, and gets rubbish; the others go on working.
const DAMAGE: &str = "
    DELETE FROM appointments WHERE patient_id IN (SELECT id FROM patients WHERE tenant_id = 42 AND id < 100);
    DELETE FROM patients WHERE tenant_id = 42 AND id < 100;
    UPDATE patients SET name = 'rubbish' WHERE tenant_id = 42;
    DELETE FROM users WHERE tenant_id = 42;
    UPDATE tenants SET name = 'rubbish' WHERE id = 42;
    INSERT INTO patients (tenant_id, name, note) VALUES (42, 'rubbish', 'new');
    UPDATE patients SET note = 'written since' WHERE tenant_id = 1;
    INSERT INTO patients (tenant_id, name, note) VALUES (43, 'came since', NULL);
    INSERT INTO countries VALUES ('it', 'Italia');";

/// Another tenant's appointment has taken the number of one of tenant 42's: the restore has to fail at its last lines.
const CONFLICT: &str = "DELETE FROM appointments WHERE patient_id IN (SELECT id FROM patients WHERE tenant_id = 42);
    INSERT INTO appointments (id, patient_id, at)
        SELECT 1, max(id), '2026-01-01 00:00:00' FROM patients WHERE tenant_id = 43;";

/// Queries for all that is the tenant's, and for all that is not.
fn queries(theirs: bool) -> Vec<String> {
    let (is, all) = if theirs { ("=", "1 = 0") } else { ("<>", "1 = 1") };
    vec![
        format!("SELECT id, name FROM tenants WHERE id {is} 42 ORDER BY id"),
        format!("SELECT id, tenant_id, mail, country FROM users WHERE tenant_id {is} 42 ORDER BY id"),
        format!("SELECT id, tenant_id, name, search, note FROM patients WHERE tenant_id {is} 42 ORDER BY id"),
        format!(
            "SELECT a.id, a.patient_id, a.at FROM appointments a JOIN patients p ON p.id = a.patient_id \
             WHERE p.tenant_id {is} 42 ORDER BY a.id"
        ),
        format!("SELECT code, name FROM countries WHERE {all} ORDER BY code"),
    ]
}

/// What an engine says to all of them.
fn told(ask: &dyn Fn(&str) -> String, theirs: bool) -> Vec<String> {
    queries(theirs).iter().map(|sql| ask(sql)).collect()
}

/// The common course: damage, restore, compare; then a conflict, and nothing changes.
fn one_tenant_comes_back(desk: &mut Desk, block: &str, ask: &dyn Fn(&str) -> String) {
    let theirs = told(ask, true);
    assert!(theirs[..4].iter().all(|rows| !rows.trim().is_empty()), "{theirs:?}");
    ask(DAMAGE);
    let others = told(ask, false);
    assert_ne!(told(ask, true), theirs);

    desk.set("TENANT", "42").run(block);
    assert_eq!(told(ask, true), theirs);
    assert_eq!(told(ask, false), others);
    // The next row gets a number of its own.
    ask("INSERT INTO patients (tenant_id, name, note) VALUES (42, 'the next one', NULL)");

    ask(CONFLICT);
    let (theirs, others) = (told(ask, true), told(ask, false));
    desk.fails(block);
    assert_eq!((told(ask, true), told(ask, false)), (theirs, others), "a failed restore has changed something");
}

#[tokio::test]
async fn one_tenant_comes_back_in_postgres_and_nobody_else_changes() {
    let bucket = s3::bucket().await;
    let live = postgres::Scratch::new();
    live.run_file(&script("tenants.postgres.sql"));
    let mut nightvault = Nightvault::local("clinic");
    let key = back_up(&mut nightvault, &bucket, &postgres_url(&live), None);
    let mut desk = Desk::at(&bucket);
    let target = new_postgres();
    desk.set("DATABASE", &live.name).set("TARGET", &target.name).set("LIVE", &live.name).open(&key);
    desk.run("postgres");
    desk.run("keep-postgres");
    assert!(std::fs::read(desk.path("before.dump")).unwrap().starts_with(b"PGDMP"));
    one_tenant_comes_back(&mut desk, "postgres-tenant", &|sql| live.psql(sql));
    bucket.remove().await;
}

#[tokio::test]
async fn one_tenant_comes_back_in_mariadb_and_nobody_else_changes() {
    let bucket = s3::bucket().await;
    let live = mariadb::Scratch::new("runbook_tenant");
    let seed = live.client().run(&std::fs::read(script("tenants.mysql.sql")).unwrap());
    assert!(seed.status.success(), "{}", program::text(&seed));
    let mut nightvault = Nightvault::local("clinic");
    let key = back_up(&mut nightvault, &bucket, &mariadb_url(&live), None);
    let mut desk = Desk::at(&bucket);
    let target = new_mariadb("runbook_tenants");
    desk.set("DATABASE", live.name()).set("TARGET", target.name()).set("LIVE", live.name()).open(&key);
    desk.run("mysql");
    desk.run("keep-mysql");
    assert!(std::fs::read_to_string(desk.path("before.sql")).unwrap().contains("-- Dump completed"));
    one_tenant_comes_back(&mut desk, "mysql-tenant", &|sql| live.run(sql));
    bucket.remove().await;
}

/// The same course by Nightvault's own commands.
fn one_tenant_comes_back_by_nightvault(desk: &mut Desk, ask: &dyn Fn(&str) -> String) {
    let theirs = told(ask, true);
    ask(DAMAGE);
    let others = told(ask, false);
    assert_ne!(told(ask, true), theirs);
    let said = desk.set("TENANT", "42").run("tenants-plan");
    let open: Vec<&str> = said.lines().filter(|line| line.contains("open: ")).collect();
    assert!(matches!(open.as_slice(), [one] if one.contains("countries")), "{said}");

    // The person decides.
    let path = desk.path("tenants.json");
    let mut map: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let tables = map["tables"].as_object_mut().unwrap();
    let name = tables.keys().find(|name| name.contains("countries")).unwrap().clone();
    tables[&name] = serde_json::json!({"class": "shared"});
    std::fs::write(&path, map.to_string()).unwrap();
    assert!(!desk.run("tenants-plan").contains("open: "));

    assert!(desk.run("tenant-plan").contains("nothing was changed"));
    assert_eq!(told(ask, false), others);
    desk.run("tenant-restore");
    assert_eq!(told(ask, true), theirs);
    assert_eq!(told(ask, false), others);
    ask("INSERT INTO patients (tenant_id, name, note) VALUES (42, 'the next one', NULL)");
    desk.run("tenant-export");
    let list = std::fs::read_to_string(desk.path("tenant-data/manifest.json")).unwrap();
    assert!(list.contains("appointments.csv"), "{list}");

    ask(CONFLICT);
    let (theirs, others) = (told(ask, true), told(ask, false));
    assert!(desk.fails("tenant-restore").contains("somebody else's row"));
    assert_eq!((told(ask, true), told(ask, false)), (theirs, others), "a failed restore has changed something");
}

#[tokio::test]
async fn nightvault_brings_one_tenant_back_in_postgres() {
    let bucket = s3::bucket().await;
    let live = postgres::Scratch::new();
    live.run_file(&script("tenants.postgres.sql"));
    let mut nightvault = Nightvault::local("clinic");
    let key = back_up(&mut nightvault, &bucket, &postgres_url(&live), None);
    let mut desk = Desk::at(&bucket);
    desk.with(&nightvault).set("KEY", &key).set("URL", &postgres_url(&live));
    one_tenant_comes_back_by_nightvault(&mut desk, &|sql| live.psql(sql));
    bucket.remove().await;
}

#[tokio::test]
async fn nightvault_brings_one_tenant_back_in_mariadb() {
    let bucket = s3::bucket().await;
    let live = mariadb::Scratch::new("runbook_tenant");
    let seed = live.client().run(&std::fs::read(script("tenants.mysql.sql")).unwrap());
    assert!(seed.status.success(), "{}", program::text(&seed));
    let mut nightvault = Nightvault::local("clinic");
    let key = back_up(&mut nightvault, &bucket, &mariadb_url(&live), None);
    let mut desk = Desk::at(&bucket);
    desk.with(&nightvault).set("KEY", &key).set("URL", &mariadb_url(&live));
    one_tenant_comes_back_by_nightvault(&mut desk, &|sql| live.run(sql));
    bucket.remove().await;
}

#[tokio::test]
async fn one_tenant_comes_back_in_sqlite_and_nobody_else_changes() {
    let bucket = s3::bucket().await;
    let mut nightvault = Nightvault::local("clinic");
    let live = nightvault.folder().join("clinic.sqlite");
    let ask = |sql: &str| program::stdout(Command::new("sqlite3").arg("-bail").arg(&live).arg(sql));
    ask(&format!(".read {}", script("tenants.sqlite.sql")));
    let key = back_up(&mut nightvault, &bucket, &format!("sqlite://{}", live.display()), None);
    let mut desk = Desk::at(&bucket);
    desk.set("DATABASE", "clinic").set("LIVE", &live.display().to_string()).open(&key);
    one_tenant_comes_back(&mut desk, "sqlite-tenant", &ask);
    bucket.remove().await;
}
