//! The program or its session is killed while it works: nothing has changed.
//!
//! Another session holds one row, so that the restore stops at a statement that is known: the first delete, one in the
//! middle, the last one, and the proof behind all of them.

use super::clinic::{Clinic, Engine};
use crate::support::gate::{Gate, Running, eventually};
use crate::support::{mariadb, postgres};

/// What the holder locks, and so where the restore waits.
const POSTGRES: &[&str] = &[
    "SELECT 1 FROM departments WHERE id = 999 FOR KEY SHARE",
    "SELECT 1 FROM visits v JOIN patients p ON p.id = patient_id WHERE tenant_id = 42 AND note = 'rubbish' FOR KEY SHARE OF v",
    "SELECT 1 FROM tenants WHERE id = 42 FOR KEY SHARE",
    "SELECT 1 FROM countries WHERE code = 'de' FOR UPDATE",
];

/// The same; what is behind the deletes cannot be stopped this way, since all that is read there was read before.
const MARIADB: &[&str] = &[
    "SELECT 1 FROM departments WHERE id = 999 LOCK IN SHARE MODE",
    "SELECT 1 FROM visits v JOIN patients p ON p.id = patient_id WHERE tenant_id = 42 AND v.note = 'rubbish' LOCK IN SHARE MODE",
    "SELECT 1 FROM tenants WHERE id = 42 LOCK IN SHARE MODE",
];

/// The moments that a test waits for.
#[derive(Clone, Copy)]
enum Moment {
    /// The restore waits for it.
    Waits,
    /// The restore's session is there.
    Connected,
}

fn is(clinic: &Clinic, engine: Engine, moment: Moment) -> bool {
    let name = clinic.name();
    let answer = match engine {
        Engine::Postgres => {
            let condition = match moment {
                Moment::Waits => "application_name = 'nightvault' AND wait_event_type = 'Lock'",
                Moment::Connected => "application_name = 'nightvault'",
            };
            let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND {condition}");
            postgres::psql("postgres", &sql)
        }
        Engine::MariaDb | Engine::MySql => {
            let server = engine.server();
            let sql = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'nightvault'";
            let id = mariadb::run_as_root_on(server, &format!("{sql} AND DB = '{name}'"));
            match (moment, id.trim()) {
                (_, "") => "0".to_owned(),
                (Moment::Connected, _) => "1".to_owned(),
                // Not from INNODB_TRX, which stands still while it is asked more often than ten times a second.
                (Moment::Waits, id) => {
                    let status = mariadb::run_as_root_on(server, "SHOW ENGINE INNODB STATUS");
                    let waits = |it: &str| it.contains(&format!("thread id {id},")) && it.contains("LOCK WAIT");
                    u8::from(status.split("---TRANSACTION").any(waits)).to_string()
                }
            }
        }
    };
    answer.trim() != "0"
}

/// A session that holds what a statement locks.
fn holder(clinic: &Clinic, engine: Engine, sql: &str) -> Gate {
    match engine {
        Engine::Postgres => Gate::postgres(&clinic.name(), sql),
        Engine::MariaDb | Engine::MySql => Gate::on(engine.server(), &clinic.name(), &format!("BEGIN; {sql}")),
    }
}

fn dies(engine: Engine, points: &[&str], kill: impl Fn(&Clinic, Running)) {
    let clinic = Clinic::new(engine);
    clinic.damage();
    let before = clinic.all();
    for point in points {
        let holding = holder(&clinic, engine, point);
        let mut restore = Running::start(clinic.nightvault.command(&clinic.arguments(&["--into-live"])));
        restore.until(point, || is(&clinic, engine, Moment::Waits));
        kill(&clinic, restore);
        drop(holding);
        eventually("its session is gone", || !is(&clinic, engine, Moment::Connected));
        assert_eq!(clinic.all(), before, "{point}");
    }
    // It was no empty proof: left alone, it changes much.
    clinic.nightvault.ok(&clinic.arguments(&["--into-live"]));
    assert_ne!(clinic.all(), before);
}

#[test]
fn a_killed_program_has_changed_nothing_in_postgres_wherever_it_was() {
    dies(Engine::Postgres, POSTGRES, |_, restore| restore.kill());
}

#[test]
fn a_killed_program_has_changed_nothing_in_mariadb_wherever_it_was() {
    dies(Engine::MariaDb, MARIADB, |_, restore| restore.kill());
}

#[test]
#[ignore = "needs MySQL: tests/run runs it where that can be had"]
fn a_killed_program_has_changed_nothing_in_mysql_wherever_it_was() {
    dies(Engine::MySql, MARIADB, |_, restore| restore.kill());
}

#[test]
fn a_session_that_postgres_ends_has_changed_nothing_wherever_it_was() {
    dies(Engine::Postgres, POSTGRES, |clinic, restore| {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nightvault'";
        postgres::psql("postgres", &format!("{sql} AND datname = '{}'", clinic.name()));
        restore.fails();
    });
}

#[test]
fn a_session_that_mariadb_ends_has_changed_nothing_wherever_it_was() {
    dies(Engine::MariaDb, MARIADB, |clinic, restore| {
        let sql = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'nightvault'";
        let id = mariadb::run_as_root(&format!("{sql} AND DB = '{}'", clinic.name()));
        mariadb::run_as_root(&format!("KILL {}", id.trim()));
        restore.fails();
    });
}

#[test]
fn others_who_write_to_the_tables_make_it_give_up_and_not_wait_for_ever() {
    let mut clinic = Clinic::new(Engine::Postgres);
    clinic.nightvault.set("BACKUP_LOCK_TIMEOUT_SECONDS", "1");
    clinic.damage();
    let before = clinic.all();
    let holding = holder(&clinic, Engine::Postgres, "UPDATE patients SET name = 'held' WHERE tenant_id = 7");
    let said = clinic.restores(&["--into-live"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("locking the tenant's tables"), "{said:?}");
    drop(holding);
    assert_eq!(clinic.all(), before);
}
