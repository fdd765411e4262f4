//! `nightvault drill`: a backup is proven by a real restore, or named as what it is not; nothing that it makes stays.

mod forge;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use jiff::{SignedDuration, Timestamp};
use nightvault_core::audit::Trigger;
use nightvault_core::config;
use nightvault_core::environment::Environment;
use nightvault_core::operation::{self, Context, Event};
use serde_json::{Value, json};

use crate::support::mariadb::Server;
use crate::support::nightvault::Nightvault;
use crate::support::{mariadb, postgres, program};
use forge::forge;

fn postgres_url(database: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", postgres::port())
}

/// A server of the tests; root may do everything there.
fn address(server: Server) -> String {
    format!("{}://root@/mysql?socket={}&sslmode=disable", server.scheme(), server.socket())
}

fn mariadb_server() -> String {
    address(Server::MariaDb)
}

fn vault_of_postgres(source: &postgres::Scratch) -> Nightvault {
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set("DATABASE_URL", &postgres_url(&source.name));
    nightvault
}

fn backed_up(nightvault: &Nightvault) -> String {
    nightvault.ok(&["run"])["key"].as_str().unwrap().to_owned()
}

/// The scratch database that a report names.
fn scratch(report: &Value) -> String {
    let place = report["databases"][0]["place"].as_str().unwrap();
    place.split('"').nth(1).unwrap_or_else(|| panic!("no name in {place}")).to_owned()
}

fn exists_in_postgres(name: &str) -> bool {
    assert!(name.starts_with("nightvault_drill_"), "{name}");
    postgres::psql("postgres", &format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'")).trim() != "0"
}

fn assert_proven(database: &Value) {
    assert_eq!(database["result"], "proven", "{database:#}");
    assert_eq!(database["identical_tables"], database["tables"], "{database:#}");
    assert!(database["tables"].as_u64() > Some(0) && database["rows"].as_u64() > Some(0), "{database:#}");
    assert_eq!((&database["differences"], &database["not_comparable"]), (&json!([]), &json!([])));
}

#[test]
fn a_postgres_backup_is_proven_on_a_server_and_its_scratch_database_is_gone() {
    let source = postgres::Scratch::of("kinds.sql");
    source.psql("CREATE TABLE filled (a int, \"b\nc\" text); INSERT INTO filled VALUES (1, E'x\\n\\\\.'), (2, NULL)");
    let nightvault = vault_of_postgres(&source);
    let key = backed_up(&nightvault);
    // The database of the address need not be there.
    let report = nightvault.ok(&["drill", "--to", &postgres_url("not_there")]);
    assert_eq!((&report["result"], &report["key"]), (&json!("proven"), &json!(key)));
    assert_proven(&report["databases"][0]);
    assert_eq!((&report["left_behind"], &report["not_recorded"]), (&json!([]), &json!([])));
    assert!(!exists_in_postgres(&scratch(&report)));
    // Rows were counted anew by `verify` in the same text.
    nightvault.ok(&["verify"]);
    // A server of another engine cannot take it.
    let said = nightvault.fails(2, &["drill", "--to", &mariadb_server()]);
    assert!(said.stderr.contains("needs a server of its own engine"), "{said:?}");
    let said = nightvault.fails(2, &["drill"]);
    assert!(said.stderr.contains("--own-server"), "{said:?}");
}

/// Proves a backup on its own server, where nothing of it stays.
fn is_proven(source: &mariadb::Scratch) {
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set_source(source);
    backed_up(&nightvault);
    let report = nightvault.ok(&["drill", "latest", "--to", &address(source.server())]);
    assert_proven(&report["databases"][0]);
    let name = scratch(&report);
    assert!(name.starts_with("nightvault_drill_"), "{name}");
    let query = format!("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{name}'");
    assert_eq!(mariadb::run_as_root_on(source.server(), &query).trim(), "0");
    nightvault.ok(&["verify"]);
}

#[test]
fn a_mariadb_backup_is_proven_on_a_server_and_its_scratch_database_is_gone() {
    is_proven(&mariadb::Scratch::seeded("drill", "clinic.sql"));
}

#[test]
#[ignore = "needs MySQL: tests/run runs it where that can be had"]
fn a_mysql_backup_is_proven_on_a_server_and_its_scratch_database_is_gone() {
    let source = mariadb::Scratch::on(Server::MySql, "drill", "CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs");
    source.seed("mysql9.sql");
    is_proven(&source);
}

#[test]
fn a_sqlite_backup_needs_no_server_and_leaves_no_file() {
    let mut nightvault = crate::verify::installation();
    let temporary = nightvault.folder().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    nightvault.set("TMPDIR", &temporary.display().to_string());
    crate::verify::back_up(&nightvault, "2024-01-15");
    let report = nightvault.ok(&["drill"]);
    assert_proven(&report["databases"][0]);
    assert_eq!(report["not_restored"], json!(["files \"docs\": `verify` reads them"]));
    let said = nightvault.fails(2, &["drill", "--to", "sqlite:///nowhere/copy.sqlite"]);
    assert!(said.stderr.contains("Leave --to away"), "{said:?}");
    assert_eq!(names(&temporary), Vec::<String>::new());
    let text = nightvault.run(&["drill"]).stdout;
    assert!(text.contains("PROVEN: restored, compared, dropped") && text.contains("3 rows in 2 tables"), "{text}");
}

#[test]
fn an_archive_that_lies_anywhere_is_proven_by_its_path_and_nothing_is_noted_beside_it() {
    let nightvault = crate::verify::installation();
    let archive = crate::verify::back_up(&nightvault, "2024-01-15");
    let elsewhere = nightvault.folder().join("copy.zip");
    std::fs::rename(archive, &elsewhere).unwrap();
    let report = nightvault.ok(&["drill", &elsewhere.display().to_string()]);
    assert_proven(&report["databases"][0]);
    assert_eq!(report["not_recorded"], json!(["nothing is noted beside a file that was named by its path"]));
}

fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_server_of_one_engine_proves_a_part_which_neither_is_a_proof_of_the_backup_nor_takes_one_back() {
    let source = mariadb::Scratch::seeded("drill", "clinic.sql");
    let mut nightvault = crate::verify::installation();
    let clinic = nightvault.folder().join("clinic.sqlite");
    let registry = mariadb_server().replace("/mysql?", &format!("/{}?", source.name()));
    nightvault
        .set("DATABASE_URL", &format!("sqlite://{},{registry}", clinic.display()))
        .set("BACKUP_MAX_DRILL_AGE_DAYS", "31");
    backed_up(&nightvault);
    let drill = |nightvault: &Nightvault| {
        let report = nightvault.ok(&["monitor"]);
        let findings = report["disks"][0]["findings"].as_array().unwrap();
        let status = findings.iter().find(|finding| finding["check"] == "drill").unwrap()["status"].clone();
        (status, report["disks"][0]["last_drill"]["in_part"].clone())
    };

    let report = nightvault.ok(&["drill"]);
    assert_eq!(report["result"], "proven_in_part");
    assert!(report["not_restored"].to_string().contains("needs a server"), "{report}");
    assert_eq!(drill(&nightvault), (json!("warning"), json!(true)));
    assert_eq!(nightvault.ok(&["drill", "--to", &mariadb_server()])["result"], "proven");
    assert_eq!(drill(&nightvault), (json!("ok"), json!(false)));
    let report = nightvault.ok(&["drill"]);
    assert_eq!(report["result"], "proven_in_part");
    assert!(report["not_recorded"].to_string().contains("stays the note of the proof of all"), "{report}");
    assert_eq!(drill(&nightvault), (json!("ok"), json!(false)));
}

/// Processes whose command line names the folder.
fn processes(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let lines = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|process| {
        let line = std::fs::read(process.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(&folder)).collect()
}

#[test]
fn servers_of_the_drills_own_prove_two_engines_and_leave_no_process_and_no_folder() {
    let (clinic, registry) = (postgres::Scratch::of("clinic.sql"), mariadb::Scratch::seeded("drill", "clinic.sql"));
    let owner = postgres::unique("drill owner");
    clinic.psql(&format!(
        "CREATE ROLE \"{owner}\"; CREATE TABLE theirs (a int); ALTER TABLE theirs OWNER TO \"{owner}\""
    ));
    let mut nightvault = vault_of_postgres(&clinic);
    nightvault.set_source(&registry);
    // Whoever the servers run as must be able to pass through.
    let temporary = tempfile::TempDir::with_prefix("nv-").unwrap();
    std::fs::set_permissions(temporary.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    nightvault.set("TMPDIR", &temporary.path().display().to_string());
    backed_up(&nightvault);
    let report = nightvault.ok(&["drill", "--own-server"]);
    assert_eq!(report["databases"].as_array().unwrap().len(), 2);
    report["databases"].as_array().unwrap().iter().for_each(assert_proven);
    assert_eq!(report["left_behind"], json!([]));
    assert_eq!(names(temporary.path()), Vec::<String>::new());
    assert_eq!(processes(temporary.path()), Vec::<String>::new());
    assert_eq!(report["result"], "proven");
    clinic.psql(&format!("DROP OWNED BY \"{owner}\"; DROP ROLE \"{owner}\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_counts_wrongly_fails_with_the_tables_name_and_both_numbers() {
    let source = postgres::Scratch::new();
    source.psql("CREATE TABLE visits (a int); INSERT INTO visits VALUES (1), (2)");
    let nightvault = vault_of_postgres(&source);
    let key = backed_up(&nightvault);
    forge(&nightvault, &key, |_, manifest| {
        manifest.databases[0].tables[0].rows += 1;
        manifest.databases[0].rows += 1;
    })
    .await;
    for command in [&["verify"][..], &["drill", "--to", &postgres_url("postgres")]] {
        let said = nightvault.fails(3, command);
        assert!(said.stderr.contains("visits") && said.stderr.contains('2') && said.stderr.contains('3'), "{said:?}");
    }
    assert!(nightvault.run(&["list"]).stdout.contains("DAMAGED since"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_lost_an_index_fails_by_its_inventory() {
    let source = postgres::Scratch::new();
    source.psql("CREATE TABLE visits (a int); CREATE INDEX lost ON visits (a); INSERT INTO visits VALUES (1), (2)");
    let nightvault = vault_of_postgres(&source);
    let key = backed_up(&nightvault);
    forge(&nightvault, &key, |dump, _| {
        let kept: Vec<&str> = dump.split_inclusive('\n').filter(|line| !line.starts_with("CREATE INDEX")).collect();
        let kept = kept.concat();
        assert!(kept.len() < dump.len(), "{dump}");
        *dump = kept;
    })
    .await;
    // No digest can tell: whoever made it knew the password.
    nightvault.ok(&["verify"]);
    let said = nightvault.fails(3, &["--json", "drill", "--to", &postgres_url("postgres")]).json();
    let report = &said["report"];
    assert_eq!(report["result"], "failed");
    assert_eq!(report["databases"][0]["differences"], json!(["index: 0 in the restored database, 1 in the backup"]));
    assert!(!exists_in_postgres(&scratch(report)));
    assert!(said["message"].as_str().unwrap().contains("index: 0 in the restored database"), "{said}");
}

#[test]
fn interrupted_in_the_middle_it_drops_its_scratch_database() {
    let source = postgres::Scratch::new();
    source.psql(
        "CREATE TABLE zz (a int); INSERT INTO zz VALUES (1), (2); \
         CREATE FUNCTION waits(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN \
         IF current_database() LIKE 'nightvault_drill_%' THEN PERFORM pg_sleep(3600); END IF; RETURN $1; END $$; \
         CREATE INDEX zz_waits ON zz (waits(a))",
    );
    let nightvault = vault_of_postgres(&source);
    backed_up(&nightvault);
    let mut command = nightvault.command(&["--json", "drill", "--to", &postgres_url("postgres")]);
    let mut drill = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let waiting =
        "SELECT datname FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname LIKE 'nightvault_drill_%'";
    let name = loop {
        let found = postgres::psql("postgres", waiting);
        if !found.trim().is_empty() {
            break found.trim().to_owned();
        }
        assert!(drill.try_wait().unwrap().is_none(), "the drill ended before it had to wait");
    };
    program::stdout(std::process::Command::new("kill").args(["-INT", &drill.id().to_string()]));
    let output = drill.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["error_type"], "DeadlineExceeded", "{said:#}");
    assert_eq!(said["report"]["left_behind"], json!([]), "{said:#}");
    assert!(!exists_in_postgres(&name));
}

/// What monitor finds of the last drill on a day that many days ahead.
async fn drill_finding(variables: &[(&str, String)], days: i64) -> (String, String) {
    let lookup = |name: &str| variables.iter().find(|(it, _)| *it == name).map(|(_, value)| value.clone());
    let environment = Environment::open(config::load(&lookup).unwrap()).await.unwrap();
    #[allow(clippy::disallowed_methods, reason = "the command under test reads the clock too")]
    let now = Timestamp::now() + SignedDuration::from_hours(24 * days);
    let context = Context {
        now,
        deadline: None,
        progress: Default::default(),
        interrupt: Default::default(),
        trigger: Trigger::command_line("a test"),
    };
    let event = Event { notify: Some(false), ..Event::default() };
    let report = match operation::monitor(&environment, &event, &context).await {
        Ok(report) => report,
        Err(failed) => *failed.report.unwrap(),
    };
    let finding = report.disks[0].findings.iter().find(|finding| finding.check == "drill").unwrap();
    (finding.status.clone(), finding.message.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn monitor_tells_the_last_proven_restore_and_finds_one_that_is_too_old_even_when_its_backup_is_gone() {
    let nightvault = crate::verify::installation();
    let archive = crate::verify::back_up(&nightvault, "2024-01-15");
    let mut variables = vec![
        ("BACKUP_NAME", "clinic".to_owned()),
        ("BACKUP_DISK", "local".to_owned()),
        ("BACKUP_LOCAL_PATH", nightvault.vault().display().to_string()),
        ("BACKUP_ARCHIVE_PASSWORD", crate::support::nightvault::PASSWORD.to_owned()),
        ("BACKUP_MAX_DRILL_AGE_DAYS", "31".to_owned()),
    ];
    let (status, message) = drill_finding(&variables, 0).await;
    assert_eq!(status, "unhealthy");
    assert!(message.contains("no restore was ever proven"), "{message}");
    nightvault.ok(&["drill"]);
    let (status, message) = drill_finding(&variables, 30).await;
    assert_eq!(status, "ok", "{message}");
    assert!(message.contains("is 30 days old: clinic/2024-01-15-02-00-00.zip"), "{message}");
    let (status, _) = drill_finding(&variables, 32).await;
    assert_eq!(status, "unhealthy");
    // The audit trail remembers what a cleanup has deleted.
    std::fs::remove_file(archive).unwrap();
    assert_eq!(drill_finding(&variables, 32).await.0, "unhealthy");
    variables.pop();
    let (status, message) = drill_finding(&variables, 32).await;
    assert_eq!(status, "ok", "without a limit it is only told");
    assert!(message.contains("is 32 days old"), "{message}");
}
