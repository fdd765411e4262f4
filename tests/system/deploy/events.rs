//! Each sample of `events/`, asked of the deployed functions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::clinic::FOLDER;
use super::cloud::{Answer, Cloud, until};
use super::stack::{self, Function, Stack};
use crate::support::program;

/// The samples that were not asked yet.
struct Samples<'a> {
    cloud: &'a Cloud,
    left: BTreeSet<String>,
}

impl Samples<'_> {
    async fn ask(&mut self, function: &Function, name: &str) -> Answer {
        assert!(self.left.remove(name), "there is no events/{name}");
        let event = std::fs::read_to_string(stack::project().join("events").join(name)).unwrap();
        // Two backups of one second would have one key.
        let second = super::now();
        until("the next second", async || (super::now() > second).then_some(())).await;
        self.cloud.invoke(&function.name, &event).await
    }
}

fn names(report: &Value) -> Vec<&str> {
    report["sources"].as_array().unwrap().iter().map(|source| source["name"].as_str().unwrap()).collect()
}

/// Asks all of them.
pub(super) async fn each_is_answered(cloud: &Cloud, stack: &Stack) {
    let listed = std::fs::read_dir(stack::project().join("events")).unwrap();
    let left = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut samples = Samples { cloud, left };
    by_backup(&mut samples, stack).await;
    by_cleanup(&mut samples, stack).await;

    for (name, told) in [("monitor-scheduled.json", 2), ("monitor-one-disk.json", 2), ("monitor-quietly.json", 0)] {
        let report = samples.ask(&stack.monitor, name).await.report();
        assert_eq!(report["healthy"], true, "{name}: {report}");
        assert_eq!(report["notifications"].as_array().unwrap().len(), told, "{name}: {report}");
    }
    assert!(samples.left.is_empty(), "nobody asked {:?}", samples.left);
}

async fn by_backup(samples: &mut Samples<'_>, stack: &Stack) {
    let backup = &stack.backup;
    let report = samples.ask(backup, "backup-dry-run.json").await.report();
    assert_eq!((&report["status"], &report["archive_bytes"]), (&json!("planned"), &json!(0)), "{report}");
    // Before the others: monitor tells when the newest backup lacks what the one before it holds.
    let report = samples.ask(backup, "backup-one-database.json").await.report();
    assert_eq!((names(&report), &report["notifications"]), (vec!["clinic"], &json!([])), "{report}");
    for name in ["backup-now.json", "backup-one-disk.json", "backup-only-databases.json"] {
        let report = samples.ask(backup, name).await.report();
        assert_eq!((&report["status"], names(&report).len()), (&json!("stored"), 2), "{name}: {report}");
    }
    let message = samples.ask(backup, "backup-only-files.json").await.failed_with("ConfigurationError");
    assert!(message.contains("nothing to back up"), "{message}");
    let report = samples.ask(backup, "backup-scheduled.json").await.report();
    assert_eq!((&report["status"], &report["key"]), (&json!("stored"), &json!(of_2024())), "{report}");

    // The same event again, and by the command of the README: the backup is there already.
    let mut sam = samples.cloud.command("sam");
    sam.args(["remote", "invoke", "BackupFunction", "--stack-name", &samples.cloud.stack(), "--event-file"]);
    let told = program::stdout(sam.arg("events/backup-scheduled.json").current_dir(stack::project()));
    assert!(told.contains("already_done") && told.contains(&of_2024()), "{told}");
}

async fn by_cleanup(samples: &mut Samples<'_>, stack: &Stack) {
    for name in ["cleanup-dry-run.json", "cleanup-plan-at.json"] {
        let report = samples.ask(&stack.cleanup, name).await.report();
        assert_eq!((&report["dry_run"], &report["disks"][0]["deleted"]), (&json!(true), &json!(0)), "{name}: {report}");
    }
    assert!(keys(samples.cloud, stack).contains(&of_2024()));
    let report = samples.ask(&stack.cleanup, "cleanup-scheduled.json").await.report();
    assert_eq!(report["disks"][0]["deleted"], 1, "{report}");
    assert!(!keys(samples.cloud, stack).contains(&of_2024()));
}

/// The key that the scheduled sample asks for.
fn of_2024() -> String {
    format!("{FOLDER}/2024-01-15-02-00-00.zip")
}

fn keys(cloud: &Cloud, stack: &Stack) -> Vec<String> {
    let listed = cloud.aws(&["s3api", "list-objects-v2", "--bucket", &stack.bucket, "--prefix", FOLDER]);
    let objects = listed["Contents"].as_array().unwrap();
    objects.iter().map(|object| object["Key"].as_str().unwrap().to_owned()).collect()
}
