//! The audit trail as the built programs write it: on a local disk, on S3, by two at once, and when it cannot be written.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::night::{sqlite_clinic, use_bucket};
use crate::stores::proxy::{Act, Op, Proxy, refusal};
use crate::support::lambda::Function;
use crate::support::nightvault::{Nightvault, PASSWORD, said};
use crate::support::s3;
use crate::support::{given, program};

/// An installation with one small SQLite database.
fn installation() -> Nightvault {
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    nightvault.set("DATABASE_URL", &format!("sqlite://{sqlite}"));
    nightvault
}

fn record(nightvault: &Nightvault, sequence: u64) -> PathBuf {
    nightvault.vault().join(format!("clinic/audit/{sequence:08}.json"))
}

/// The records of the first disk, checked.
fn records(nightvault: &Nightvault) -> Vec<Value> {
    let report = nightvault.ok(&["audit", "show", "--last", "1000"]);
    report["disks"][0]["shown"].as_array().unwrap().clone()
}

/// `operation outcome` of each record.
fn told(nightvault: &Nightvault) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    records(nightvault).iter().map(|it| format!("{} {}", text(&it["operation"]), text(&it["outcome"]))).collect()
}

fn finding<'a>(monitor: &'a Value, check: &str) -> &'a Value {
    let findings = monitor["disks"][0]["findings"].as_array().unwrap();
    findings.iter().find(|it| it["check"] == check).unwrap_or_else(|| panic!("no {check} in {monitor}"))
}

#[test]
fn each_operation_leaves_exactly_one_record_and_a_look_leaves_none() {
    let mut nightvault = installation();
    let at = "2026-01-15T02:00:00Z";
    let key = nightvault.ok(&["run", "--scheduled-time", at])["key"].clone();
    nightvault.ok(&["run", "--scheduled-time", at]);
    nightvault.set("BACKUP_MAX_AGE_DAYS", "3650");
    nightvault.ok(&["verify"]);
    nightvault.ok(&["extract", "latest", "--to", "out"]);
    let to = format!("sqlite://{}", nightvault.folder().join("restored.sqlite").display());
    nightvault.ok(&["restore", "latest", "--to", &to]);
    nightvault.ok(&["monitor"]);
    nightvault.ok(&["cleanup"]);
    let all =
        ["backup", "backup", "verify", "extract", "restore", "monitor", "cleanup"].map(|it| format!("{it} success"));
    assert_eq!(told(&nightvault), all);

    let to = format!("sqlite://{}", nightvault.folder().join("never.sqlite").display());
    for look in [
        &["run", "--dry-run"][..],
        &["cleanup", "--dry-run"],
        &["cleanup", "--at", "2030-01-01T00:00:00Z"],
        &["restore", "latest", "--to", &to, "--dry-run"],
        &["list"],
        &["show", "latest"],
        &["config"],
        &["audit", "verify"],
        &["audit", "show"],
    ] {
        nightvault.ok(look);
    }
    assert_eq!(told(&nightvault), all);

    // What each says.
    let records = records(&nightvault);
    let first = &records[0];
    assert_eq!((&first["version"], &first["sequence"], &first["previous"]), (&json!(1), &json!(1), &Value::Null));
    assert_eq!((&first["report"]["status"], &first["report"]["key"]), (&json!("stored"), &key));
    assert_eq!(records[1]["report"]["status"], "already_done");
    assert_eq!(first["trigger"]["by"], "command-line");
    assert!(first["trigger"]["who"].as_str().unwrap().contains('@'), "{first}");
    assert_eq!(first["report"].get("notifications"), None, "nobody was told yet");
    assert_eq!(
        records[6]["successes"],
        json!({
            "backup": 2, "verify": 3, "extract": 4, "restore": 5, "monitor": 6, "cleanup": 7,
        })
    );
    assert_eq!(records[4]["report"]["database"]["rows"], 3);

    // The trail is no backup and nothing foreign; monitor tells its head, and verify takes it.
    assert_eq!(nightvault.listed(), [key.as_str().unwrap()]);
    assert_eq!(nightvault.ok(&["list"])["disks"][0]["foreign"], json!([]));
    let monitor = nightvault.ok(&["monitor"]);
    let head = &monitor["disks"][0]["audit_head"];
    assert_eq!(head["sequence"], 7);
    assert!(finding(&monitor, "audit")["message"].as_str().unwrap().contains(head["sha256"].as_str().unwrap()));
    let head = format!("7:{}", head["sha256"].as_str().unwrap());
    nightvault.ok(&["audit", "verify", "--head", &head]);
    for sequence in [7, 8] {
        fs::remove_file(record(&nightvault, sequence)).unwrap();
    }
    nightvault.ok(&["audit", "verify"]);
    let said = nightvault.fails(3, &["audit", "verify", "--head", &head]);
    assert!(said.stderr.contains("the trail ends with record 6, and record 7 was kept elsewhere"), "{said:?}");
}

#[tokio::test]
async fn an_event_that_is_refused_leaves_a_record_and_a_wrong_configuration_cannot() {
    let nightvault = installation();
    let mut variables = vec![
        ("BACKUP_NAME", "clinic".to_owned()),
        ("BACKUP_DISK", "local".to_owned()),
        ("BACKUP_LOCAL_PATH", nightvault.vault().display().to_string()),
        ("BACKUP_ARCHIVE_PASSWORD", PASSWORD.to_owned()),
    ];
    nightvault.ok(&["run"]);
    let (mistyped, limit) = (r#"{"dryrun": true}"#, Duration::from_secs(900));
    let works = ["backup", "cleanup", "monitor"];
    for work in works {
        let mut function = Function::start(work, &variables).await;
        let message = function.invoke(mistyped, limit).await.failed_with("ConfigurationError");
        assert!(message.contains("`dryrun`") && !message.contains("not recorded"), "{message}");
    }
    assert_eq!(told(&nightvault)[1..], works.map(|work| format!("{work} failure")));
    for (record, work) in records(&nightvault)[1..].iter().zip(works) {
        assert_eq!((&record["report"], &record["successes"]), (&Value::Null, &json!({"backup": 1})), "{record}");
        assert_eq!(record["error"]["class"], "ConfigurationError");
        assert!(record["error"]["message"].as_str().unwrap().contains("`dryrun`"), "{record}");
        assert_eq!(record["trigger"]["by"], "lambda-invoke");
        assert_eq!(record["trigger"]["request_id"], format!("{work}-request-1"));
    }

    // What says where the trail is, is wrong itself.
    variables.push(("BACKUP_KEEP_ALL_DAYS", "a week".to_owned()));
    let mut function = Function::start("backup", &variables).await;
    function.invoke("{}", limit).await.failed_with("ConfigurationError");
    assert_eq!(told(&nightvault).len(), 1 + works.len());
    variables.pop();

    // A trail that takes nothing is told with the refusal.
    fs::remove_dir_all(nightvault.vault()).unwrap();
    fs::write(nightvault.vault(), "a file").unwrap();
    let mut function = Function::start("cleanup", &variables).await;
    let message = function.invoke(mistyped, limit).await.failed_with("ConfigurationError");
    assert!(
        message.contains("`dryrun`") && message.contains("not recorded in the audit trail of disk local"),
        "{message}"
    );
}

#[test]
fn an_operation_that_fails_leaves_the_record_of_its_failure() {
    let mut nightvault = installation();
    nightvault.ok(&["run", "--scheduled-time", "2026-01-15T02:00:00Z"]);
    nightvault.set("DATABASE_URL", "sqlite:///nowhere/registry.sqlite");
    nightvault.fails(1, &["run"]);
    nightvault.fails(1, &["extract", "2001-01-01", "--to", "out"]);
    nightvault.fails(2, &["cleanup", "--disk", "elsewhere"]);
    nightvault.fails(2, &["monitor", "--disk", "elsewhere"]);
    nightvault.set("BACKUP_ARCHIVE_PASSWORD", "another-password-of-thirty-two-or-more");
    nightvault.fails(1, &["monitor"]);
    nightvault.fails(3, &["verify"]);
    let failed = ["backup", "extract", "cleanup", "monitor", "monitor", "verify"].map(|it| format!("{it} failure"));
    assert_eq!(told(&nightvault)[1..], failed);

    let records = records(&nightvault);
    let classes: Vec<&str> = records[1..].iter().map(|it| it["error"]["class"].as_str().unwrap()).collect();
    assert_eq!(classes[1..], ["NotFound", "ConfigurationError", "ConfigurationError", "Unhealthy", "WrongPassword"]);
    assert!(records[1]["error"]["message"].as_str().unwrap().contains("/nowhere/registry.sqlite"), "{}", records[1]);
    assert_eq!(records[3]["report"], Value::Null);
    assert_eq!(records[5]["report"]["healthy"], false);
    // A failure is no success, and no secret stands in any record.
    assert_eq!(records[6]["successes"], json!({"backup": 1}));
    assert!(!format!("{records:?}").contains("another-password"));
    // Another configuration has another digest.
    assert_ne!(records[0]["configuration"], records[1]["configuration"]);
}

#[test]
fn a_trail_that_was_changed_is_told_by_verify_show_and_monitor() {
    let nightvault = installation();
    for _ in 0..2 {
        nightvault.ok(&["run", "--scheduled-time", "2026-01-15T02:00:00Z"]);
    }
    nightvault.ok(&["verify"]);
    nightvault.ok(&["audit", "verify"]);
    let second = record(&nightvault, 2);
    let text = fs::read_to_string(&second).unwrap();
    fs::write(&second, text.replace("\"tool\":\"nightvault", "\"tool\":\"elsewhere")).unwrap();

    let said = nightvault.fails(3, &["audit", "verify"]);
    assert!(
        said.stderr.contains("clinic/audit/00000003.json: record 3 was not written after record 2 as it is"),
        "{said:?}"
    );
    assert!(said.stdout.contains("disk local: the audit trail is BROKEN, 3 records could be read"), "{said:?}");
    let report = nightvault.fails(3, &["--json", "audit", "show"]).json();
    assert_eq!(report["report"]["disks"][0]["findings"][0]["finding"], "broken");
    let monitor = nightvault.fails(1, &["--json", "monitor"]).json();
    assert_eq!(finding(&monitor, "audit")["status"], "unhealthy");

    fs::remove_file(&second).unwrap();
    let said = nightvault.fails(3, &["audit", "verify"]);
    assert!(said.stderr.contains("clinic/audit/00000002.json: record 2 is missing"), "{said:?}");
    // The trail goes on nevertheless, and cleanup does not touch it.
    nightvault.run(&["cleanup"]);
    assert!(record(&nightvault, 5).exists() && record(&nightvault, 1).exists());
}

#[test]
fn a_backup_that_cannot_be_recorded_is_stored_and_says_so_and_monitor_tells() {
    let nightvault = installation();
    nightvault.ok(&["run", "--scheduled-time", "2026-01-15T02:00:00Z"]);
    // The trail's folder gives way to a file of its name: nothing can be put there.
    let folder = nightvault.vault().join("clinic/audit");
    fs::rename(&folder, nightvault.folder().join("kept")).unwrap();
    fs::write(&folder, "in the way").unwrap();

    let report = nightvault.ok(&["run"]);
    assert_eq!(report["status"], "stored");
    let warning = report["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("not recorded in the audit trail of disk local: "), "{warning}");
    let said = nightvault.run(&["run", "--scheduled-time", "2026-02-15T02:00:00Z"]);
    assert!(said.stdout.contains("not recorded in the audit trail of disk local"), "{said:?}");
    for (code, command) in [(0, "cleanup"), (0, "verify")] {
        let said = nightvault.run(&[command]);
        assert_eq!(said.code, code, "{said:?}");
        assert!(said.stdout.contains("not recorded in the audit trail of disk local"), "{said:?}");
    }
    let said = nightvault.fails(1, &["extract", "2001-01-01", "--to", "out"]);
    assert!(said.stderr.contains("This failure was not recorded in the audit trail of disk local: "), "{said:?}");
    let monitor = nightvault.fails(1, &["--json", "monitor"]).json();
    assert_eq!(finding(&monitor, "recorded")["status"], "unhealthy");

    // The trail is there again, without the newest backup.
    fs::remove_file(&folder).unwrap();
    fs::rename(nightvault.folder().join("kept"), &folder).unwrap();
    let newest = nightvault.listed()[0].clone();
    let monitor = nightvault.ok(&["monitor"]);
    let found = finding(&monitor, "audit");
    // As young as it is, its run might not have ended.
    assert_eq!(found["status"], "warning");
    assert!(found["message"].as_str().unwrap().starts_with(&format!("{newest} is not recorded yet")), "{found}");
}

/// Runs `count` operations at the same time, all of which must succeed.
fn at_once(nightvault: &Nightvault, count: usize) {
    let start = |_| nightvault.command(&["verify"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let running: Vec<_> = (0..count).map(start).collect();
    for run in running {
        let said = said(run.wait_with_output().unwrap());
        assert!(said.code == 0 && !said.stdout.contains("not recorded"), "{said:?}");
    }
}

#[test]
fn operations_that_end_at_the_same_time_on_a_local_disk_each_get_a_number() {
    let nightvault = installation();
    nightvault.ok(&["run"]);
    at_once(&nightvault, 5);
    assert_eq!(told(&nightvault).len(), 6);
    assert_eq!(nightvault.ok(&["audit", "verify"])["whole"], true);
}

#[tokio::test]
async fn operations_that_end_at_the_same_time_on_s3_each_get_a_number() {
    // This server checks a condition and writes in one step, as S3 does.
    let bucket = s3::aws_bucket().await;
    let mut nightvault = installation();
    use_bucket(&mut nightvault, &bucket);
    nightvault.set("BACKUP_DISK", "s3").set("AWS_DEFAULT_REGION", "us-east-1");
    nightvault.ok(&["run"]);
    at_once(&nightvault, 4);
    assert_eq!(told(&nightvault).len(), 5);
    assert_eq!(nightvault.ok(&["audit", "verify"])["whole"], true);
    bucket.remove().await;
}

#[tokio::test]
async fn a_store_that_denies_the_trail_gets_the_backup_and_is_told() {
    let bucket = s3::bucket().await;
    let proxy = Proxy::start(&bucket.endpoint, |request| {
        let to_the_trail = request.head.lines().next().is_some_and(|line| line.contains("/clinic/audit/"));
        if to_the_trail && request.op == Op::Put { Act::Answer(403, refusal("AccessDenied")) } else { Act::Pass }
    })
    .await;
    let mut nightvault = installation();
    use_bucket(&mut nightvault, &bucket);
    nightvault.set("AWS_ENDPOINT", &proxy.endpoint);
    // Every disk has its own trail; one that denies keeps no other from its record.
    nightvault.set("BACKUP_DISK", "s3,local");
    let (nightvault, report) = tokio::task::spawn_blocking(move || {
        let report = nightvault.ok(&["run"]);
        (nightvault, report)
    })
    .await
    .unwrap();
    assert_eq!(report["status"], "stored");
    let warnings = report["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{report}");
    let warning = warnings[0].as_str().unwrap();
    assert!(
        warning.starts_with("not recorded in the audit trail of disk s3: ") && warning.contains("AccessDenied"),
        "{warning}"
    );
    assert!(record(&nightvault, 1).exists());
    bucket.remove().await;
}

/// The block of doc/format.md that checks a trail without Nightvault.
fn without_nightvault() -> String {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/doc/format.md")).unwrap();
    let block =
        document.split("```sh\n").find(|block| block.contains("s3 sync")).expect("a block that checks the trail");
    block.split("```").next().unwrap().to_owned()
}

#[tokio::test]
async fn the_chain_can_be_checked_without_nightvault() {
    let bucket = s3::bucket().await;
    let mut nightvault = installation();
    use_bucket(&mut nightvault, &bucket);
    nightvault.set("BACKUP_DISK", "s3");
    nightvault.ok(&["run"]);
    for _ in 0..2 {
        nightvault.ok(&["verify"]);
    }
    let script = without_nightvault();
    assert_eq!(script.trim().lines().count(), 3, "{script}");
    let check = || {
        let desk = tempfile::tempdir().unwrap();
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &script]).current_dir(desk.path()).env("BUCKET", &bucket.name);
        shell.env("AWS_ENDPOINT_URL", &bucket.endpoint).env("AWS_DEFAULT_REGION", "us-east-1");
        shell.env("AWS_ACCESS_KEY_ID", s3::KEY_ID).env("AWS_SECRET_ACCESS_KEY", s3::SECRET);
        program::run(&mut shell)
    };
    let output = check();
    assert!(
        output.status.success() && program::text(&output).contains("the chain is whole"),
        "{}",
        program::text(&output)
    );

    let second = PathBuf::from(given("TEST_S3_ROOT")).join(&bucket.name).join("clinic/audit/00000002.json");
    let text = fs::read_to_string(&second).unwrap();
    fs::write(&second, text.replace("\"tool\":\"nightvault", "\"tool\":\"elsewhere")).unwrap();
    assert!(!check().status.success());
    fs::remove_file(&second).unwrap();
    assert!(!check().status.success());
    bucket.remove().await;
}

#[test]
fn the_digest_of_the_configuration_can_be_made_by_hand() {
    let nightvault = installation();
    nightvault.ok(&["run"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "jq -jcS . | sha256sum | cut -c1-64"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let config = nightvault.run(&["--json", "config"]).stdout;
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), config.as_bytes()).unwrap();
    let digest = String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(records(&nightvault)[0]["configuration"], digest.trim());
}

#[tokio::test]
async fn a_function_records_what_set_it_off() {
    let bucket = s3::bucket().await;
    let sqlite = tempfile::tempdir().unwrap();
    let variables = [
        ("BACKUP_NAME", "clinic".to_owned()),
        ("AWS_BUCKET", bucket.name.clone()),
        ("AWS_ENDPOINT", bucket.endpoint.clone()),
        ("AWS_USE_PATH_STYLE_ENDPOINT", "true".to_owned()),
        ("BACKUP_ARCHIVE_PASSWORD", crate::support::nightvault::PASSWORD.to_owned()),
        ("DATABASE_URL", format!("sqlite://{}", sqlite_clinic(sqlite.path()))),
    ];
    let mut function = crate::support::lambda::Function::start("backup", &variables).await;
    let limit = Duration::from_secs(900);
    function.invoke(r#"{"scheduled_time": "2026-01-15T02:00:00Z"}"#, limit).await.report();
    function.invoke("{}", limit).await.report();
    let read = |sequence: u64| -> Value {
        let path = format!("{}/clinic/audit/{sequence:08}.json", bucket.name);
        serde_json::from_slice(&fs::read(PathBuf::from(given("TEST_S3_ROOT")).join(path)).unwrap()).unwrap()
    };
    let (scheduled, by_hand) = (read(1), read(2));
    assert_eq!(scheduled["trigger"]["by"], "eventbridge-scheduler");
    assert_eq!(scheduled["trigger"]["scheduled_time"], "2026-01-15T02:00:00Z");
    assert_eq!(by_hand["trigger"]["by"], "lambda-invoke");
    for record in [&scheduled, &by_hand] {
        assert!(record["trigger"]["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{record}");
        assert!(record["trigger"]["who"].as_str().is_some_and(|arn| arn.starts_with("arn:")), "{record}");
    }
    assert_ne!(scheduled["trigger"]["request_id"], by_hand["trigger"]["request_id"]);
    bucket.remove().await;
}
