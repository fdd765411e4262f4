//! PostgreSQL: everything in one transaction; `pg_dump` and the server's own catalogue are the judges.

mod killed;
mod parallel;
mod table;

use std::io::Write;
use std::process::Stdio;

use super::{backed_up, damage};
use crate::support::nightvault::Nightvault;
use crate::support::postgres::{Scratch, assert_same, client, port, psql, unique};

fn url(database: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", port())
}

/// An installation whose source is this database.
fn vault_of(source: &Scratch) -> Nightvault {
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set("DATABASE_URL", &url(&source.name));
    nightvault
}

/// Objects that a new database does not have; 0 for an empty one.
fn objects(database: &Scratch) -> String {
    database.psql(
        "SELECT (SELECT count(*) FROM pg_class WHERE oid >= 16384) + (SELECT count(*) FROM pg_namespace WHERE oid >= 16384 \
         AND nspname !~ '^pg_') + (SELECT count(*) FROM pg_extension WHERE oid >= 16384)",
    )
}

/// Transactions that were rolled back in a database and rows that were written to it, once nobody is connected any more.
fn written(database: &Scratch) -> String {
    let name = &database.name;
    // A session's figures are there when it has ended.
    while psql("postgres", &format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")).trim() != "0" {}
    psql("postgres", &format!("SELECT xact_rollback, tup_inserted FROM pg_stat_database WHERE datname = '{name}'"))
}

/// Nothing is there, and nothing was there for a while and was rolled back.
fn assert_untouched(database: &Scratch) {
    assert_eq!(written(database).trim(), "0|0");
    assert_eq!(objects(database).trim(), "0");
}

fn assert_comes_back(file: &str) {
    let source = Scratch::of(file);
    let nightvault = vault_of(&source);
    let key = backed_up(&nightvault);
    let target = Scratch::new();
    let report = nightvault.ok(&["restore", &key, "--to", &url(&target.name)]);
    assert_eq!(report["status"], "restored");
    assert_eq!(report["key"], key);
    let tables = report["database"]["tables"].as_array().unwrap();
    let rows: u64 = tables.iter().map(|table| table["rows"].as_u64().unwrap()).sum();
    assert_eq!(report["database"]["rows"], rows);
    assert!(rows > 0 && report["database"]["statements"].as_u64().unwrap() > tables.len() as u64);
    assert_same("schemas", &source.pg_dump_schema(), &target.pg_dump_schema());
    assert_same("rows", &source.pg_dump_rows(), &target.pg_dump_rows());
}

#[test]
fn a_clinic_comes_back_as_it_was() {
    assert_comes_back("clinic.sql");
}

#[test]
fn an_object_of_every_kind_comes_back_as_it_was() {
    assert_comes_back("kinds.sql");
}

#[test]
fn values_of_every_type_come_back_as_they_were() {
    assert_comes_back("types.sql");
}

#[test]
fn a_dry_run_checks_everything_and_executes_nothing() {
    let source = Scratch::of("clinic.sql");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new();
    let report = nightvault.ok(&["restore", "latest", "--to", &url(&target.name), "--dry-run"]);
    assert_eq!(report["status"], "planned");
    assert_eq!(report["database"]["statements"], 0);
    assert_untouched(&target);
}

#[test]
fn a_wrong_password_and_damage_execute_nothing() {
    let source = Scratch::of("clinic.sql");
    let mut nightvault = vault_of(&source);
    let key = backed_up(&nightvault);
    let target = Scratch::new();

    nightvault.set("BACKUP_ARCHIVE_PASSWORD", "another-password-of-sufficient-length-000");
    let said = nightvault.fails(3, &["restore", &key, "--to", &url(&target.name)]);
    assert!(said.stderr.contains("wrong password"), "{said:?}");
    assert_untouched(&target);

    nightvault.set("BACKUP_ARCHIVE_PASSWORD", crate::support::nightvault::PASSWORD);
    damage(&nightvault.archive(&key));
    let said = nightvault.fails(3, &["restore", &key, "--to", &url(&target.name)]);
    assert!(said.stderr.contains("db-dumps/"), "{said:?}");
    assert_untouched(&target);
}

#[test]
fn a_target_that_holds_anything_is_refused_and_left_alone() {
    let source = Scratch::of("clinic.sql");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new();
    target.psql("CREATE TABLE precious (a int); INSERT INTO precious VALUES (1)");
    let before = target.pg_dump_schema();
    let said = nightvault.fails(2, &["restore", "latest", "--to", &url(&target.name)]);
    assert!(said.stderr.contains("not empty") && said.stderr.contains("relation public.precious"), "{said:?}");
    assert_same("schemas", &before, &target.pg_dump_schema());
    assert_eq!(target.psql("SELECT a FROM precious").trim(), "1");
}

#[test]
fn the_source_itself_is_refused_under_any_of_its_names() {
    let source = Scratch::of("clinic.sql");
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let other_name = url(&source.name).replace("127.0.0.1", "localhost");
    for to in [url(&source.name), other_name] {
        let said = nightvault.fails(2, &["restore", "latest", "--to", &to]);
        assert!(said.stderr.contains("the source itself"), "{said:?}");
    }
}

#[test]
fn an_error_at_the_end_leaves_nothing() {
    let source = Scratch::of("clinic.sql");
    // A rule that holds in the source alone, by its name, and is checked only behind all rows.
    source.psql(&format!(
        "CREATE TABLE zz (a int); INSERT INTO zz VALUES (1), (2); \
         CREATE FUNCTION here(int) RETURNS int LANGUAGE sql IMMUTABLE AS \
         $$ SELECT 1 / (current_database() = '{}')::int $$; CREATE INDEX zz_here ON zz (here(a))",
        source.name
    ));
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new();
    let said = nightvault.run(&["restore", "latest", "--to", &url(&target.name)]);
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.stderr.contains("refused `CREATE INDEX") && said.stderr.contains("SQLSTATE 22012"), "{said:?}");
    // Much was written, and none of it is left.
    let figures = written(&target);
    let (rolled_back, inserted) = figures.trim().split_once('|').unwrap();
    assert!(rolled_back != "0" && inserted.parse::<u64>().unwrap() > 500, "{figures}");
    assert_eq!(objects(&target).trim(), "0");
}

#[test]
fn killed_in_the_middle_it_leaves_nothing() {
    let source = Scratch::of("clinic.sql");
    // An index that waits, behind all rows, for a lock which the test holds in the target.
    source.psql(&format!(
        "CREATE TABLE zz (a int); INSERT INTO zz VALUES (1), (2); \
         CREATE FUNCTION waits(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN \
         IF current_database() <> '{}' THEN PERFORM pg_advisory_xact_lock(4711); END IF; RETURN $1; END $$; \
         CREATE INDEX zz_waits ON zz (waits(a))",
        source.name
    ));
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    let target = Scratch::new();
    let mut holder = client("psql", &target.name);
    let mut holder = holder.args(["-X", "-q"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut orders = holder.stdin.take().unwrap();
    orders.write_all(b"SELECT pg_advisory_lock(4711);\n").unwrap();
    let locks = |granted: bool| {
        let query = format!(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE locktype = 'advisory' \
             AND datname = '{}' AND granted = {granted}",
            target.name
        );
        psql("postgres", &query).trim() == "1"
    };
    while !locks(true) {}

    let mut command = nightvault.command(&["restore", "latest", "--to", &url(&target.name)]);
    let mut restore = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !locks(false) {
        assert!(restore.try_wait().unwrap().is_none(), "the restore ended before it had to wait");
    }
    restore.kill().unwrap();
    restore.wait().unwrap();
    drop(orders);
    assert!(holder.wait().unwrap().success());
    let figures = written(&target);
    assert!(!figures.starts_with("0|"), "{figures}");
    assert_eq!(objects(&target).trim(), "0");
}

#[test]
fn what_is_missing_at_the_target_is_told_at_once_and_before_anything_runs() {
    let source = Scratch::new();
    let (owner, other) = (unique("owner"), unique("reader"));
    source.psql(&format!(
        "CREATE ROLE {owner}; CREATE ROLE {other}; CREATE TABLE t (a int); ALTER TABLE t OWNER TO {owner}; \
         GRANT SELECT ON t TO {other}; INSERT INTO t VALUES (1)"
    ));
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    source.psql(&format!("DROP OWNED BY {owner}, {other}; DROP ROLE {owner}; DROP ROLE {other}"));
    let target = Scratch::with("TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
    let said = nightvault.fails(2, &["restore", "latest", "--to", &url(&target.name)]);
    for wanted in [
        format!("CREATE ROLE \"{owner}\""),
        format!("CREATE ROLE \"{other}\""),
        "the encoding of the database is LATIN1".to_owned(),
        "for 3 reasons".to_owned(),
    ] {
        assert!(said.stderr.contains(&wanted), "{wanted}: {said:?}");
    }
    assert_untouched(&target);
}
