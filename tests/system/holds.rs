//! `nightvault hold` and `release` through the built command, and what cleanup makes of holds, locks and versions.

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ObjectLockRetention, ObjectLockRetentionMode};
use std::sync::Arc;

use nightvault_core::Class;
use nightvault_core::config;
use nightvault_core::environment::Environment;
use nightvault_core::operation::{self, Context, Event};
use nightvault_core::progress::Progress;
use nightvault_core::store::memory::MemoryStore;
use nightvault_core::store::{Review, Store};
use serde_json::{Value, json};

use crate::support::faults::{Call, FaultyStore};
use crate::support::nightvault::Nightvault;
use crate::support::s3::{self, Bucket};

/// Two of one day long ago, of which the policy keeps the later.
const OLDER: &str = "clinic/2024-01-15-02-00-00.zip";
const LATER: &str = "clinic/2024-01-15-03-00-00.zip";

/// A vault with the two and a new one.
fn with_backups(nightvault: &mut Nightvault) -> String {
    let registry = nightvault.folder().join("registry");
    std::fs::create_dir(&registry).unwrap();
    std::fs::write(registry.join("patients.txt"), "one patient").unwrap();
    nightvault.set("BACKUP_FILES", &format!("registry={}", registry.display()));
    for hour in ["02", "03"] {
        nightvault.ok(&["run", "--scheduled-time", &format!("2024-01-15T{hour}:00:00Z")]);
    }
    nightvault.ok(&["run"])["key"].as_str().unwrap().to_owned()
}

/// The same on a bucket.
fn on(bucket: &Bucket) -> Nightvault {
    let mut nightvault = Nightvault::local("clinic");
    nightvault
        .unset("BACKUP_LOCAL_PATH")
        .set("BACKUP_DISK", "s3")
        .set("AWS_BUCKET", &bucket.name)
        .set("AWS_ENDPOINT", &bucket.endpoint)
        .set("AWS_USE_PATH_STYLE_ENDPOINT", "true")
        .set("AWS_ACCESS_KEY_ID", s3::KEY_ID)
        .set("AWS_SECRET_ACCESS_KEY", s3::SECRET);
    nightvault
}

fn reason_of(cleanup: &Value, key: &str) -> String {
    let decisions = cleanup["disks"][0]["decisions"].as_array().unwrap();
    let decision = decisions.iter().find(|decision| decision["key"] == key).unwrap();
    format!("{} {}", decision["keep"], decision["reason"].as_str().unwrap())
}

#[tokio::test]
async fn a_held_backup_stays_on_a_local_disk_until_it_is_released() {
    let mut nightvault = Nightvault::local("clinic");
    let newest = with_backups(&mut nightvault);
    let held = nightvault.ok(&["hold", "2024-01-15T02", "--reason", "Löschsperre: audit"]);
    assert_eq!(held["key"], OLDER);
    let guard = &held["disks"][0]["guard"];
    assert_eq!((&guard["held"], &guard["held_by"]), (&json!(true), &json!("mark")));
    assert_eq!(guard["hold_reason"], "Löschsperre: audit");
    let marks = std::fs::read_dir(nightvault.vault().join("clinic")).unwrap();
    let marks: Vec<_> =
        marks.map(|it| it.unwrap().file_name()).filter(|it| it.to_string_lossy().ends_with("-hold")).collect();
    assert_eq!(marks, [".2024-01-15-02-00-00.zip.nightvault-hold"]);

    let list = nightvault.run(&["list"]);
    assert!(list.stdout.contains("KEPT BY"), "{list:?}");
    let listed = nightvault.ok(&["list"]);
    assert_eq!(listed["disks"][0]["backups"][2]["guard"]["held"], true);
    assert_eq!(listed["disks"][0]["backups"][1]["guard"], Value::Null);
    assert_eq!(nightvault.ok(&["show", "2024-01-15T02"])["guard"]["hold_reason"], "Löschsperre: audit");

    for arguments in [&["cleanup", "--dry-run"][..], &["cleanup"]] {
        let cleanup = nightvault.ok(arguments);
        assert_eq!(reason_of(&cleanup, OLDER), "true held until it is released");
        assert_eq!(cleanup["disks"][0]["deleted"], 0);
    }
    let said = nightvault.run(&["release", OLDER]);
    assert_eq!(said.stdout, format!("disk local: {OLDER} is neither held nor locked; the retention policy decides\n"));
    assert_eq!(nightvault.ok(&["cleanup"])["disks"][0]["deleted"], 1);
    assert_eq!(nightvault.listed(), [newest.as_str(), LATER]);
}

#[tokio::test]
async fn what_is_not_there_or_not_said_is_not_held() {
    let mut nightvault = Nightvault::local("clinic");
    with_backups(&mut nightvault);
    nightvault.fails(1, &["hold", "2019-01-01", "--reason", "audit"]);
    nightvault.fails(2, &["hold", "latest", "--reason", " "]);
    nightvault.fails(2, &["hold", "latest", "--reason", &"long ".repeat(80)]);
    nightvault.fails(2, &["hold", "2024-01-15", "--reason", "which of the two?"]);
    let said = nightvault.fails(2, &["hold", "latest", "--reason", "audit", "--disk", "s4"]);
    assert!(said.stderr.contains("s4"), "{said:?}");
    // A file beside the vault, or in it, is no backup of a disk; that nothing was held must not look like a hold.
    let path = nightvault.archive(LATER).display().to_string();
    for arguments in [&["hold", &path, "--reason", "audit"][..], &["release", &path]] {
        let said = nightvault.fails(2, arguments);
        assert!(said.stderr.contains("by its key or its date"), "{said:?}");
    }
    for backup in nightvault.ok(&["list"])["disks"][0]["backups"].as_array().unwrap() {
        assert_eq!(backup["guard"], Value::Null);
    }
}

#[tokio::test]
async fn a_hold_is_set_on_every_disk_that_has_the_backup() {
    let bucket = s3::locking_bucket().await;
    let mut nightvault = on(&bucket);
    let vault = nightvault.vault().display().to_string();
    nightvault.set("BACKUP_LOCAL_PATH", &vault).set("BACKUP_DISK", "local,s3");
    with_backups(&mut nightvault);
    let held = nightvault.ok(&["hold", OLDER, "--reason", "audit"]);
    let by = |disk: usize| held["disks"][disk]["guard"]["held_by"].clone();
    assert_eq!((by(0), by(1)), (json!("mark"), json!("legal_hold")));
    let cleanup = nightvault.ok(&["cleanup"]);
    assert_eq!((&cleanup["disks"][0]["deleted"], &cleanup["disks"][1]["deleted"]), (&json!(0), &json!(0)));
    let released = nightvault.ok(&["release", OLDER, "--disk", "s3"]);
    assert_eq!(released["disks"], json!([{ "disk": "s3", "guard": null, "error": null }]));
    let cleanup = nightvault.ok(&["cleanup"]);
    assert_eq!((&cleanup["disks"][0]["deleted"], &cleanup["disks"][1]["deleted"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn a_bucket_without_object_lock_holds_by_a_tag_and_says_so() {
    let bucket = s3::aws_bucket().await;
    let mut nightvault = on(&bucket);
    with_backups(&mut nightvault);
    let said = nightvault.run(&["hold", OLDER, "--reason", "audit"]);
    assert!(said.stdout.contains("a mark that our cleanup heeds, and nobody else"), "{said:?}");
    let tags = bucket.client.get_object_tagging().bucket(&bucket.name).key(OLDER).send().await.unwrap();
    assert!(tags.tag_set().iter().any(|tag| tag.key() == "nightvault-hold"));
    assert_eq!(nightvault.ok(&["cleanup"])["disks"][0]["deleted"], 0);
    nightvault.ok(&["release", OLDER]);
    assert_eq!(nightvault.ok(&["cleanup"])["disks"][0]["deleted"], 1);
    bucket.remove().await;
}

#[tokio::test]
async fn a_store_that_has_no_place_for_a_hold_says_so() {
    let bucket = s3::bucket().await;
    let mut nightvault = on(&bucket);
    with_backups(&mut nightvault);
    let said = nightvault.fails(4, &["hold", OLDER, "--reason", "audit"]);
    assert!(said.stderr.contains("has no place for a hold"), "{said:?}");
    nightvault.ok(&["release", OLDER]);
    assert_eq!(nightvault.ok(&["cleanup"])["disks"][0]["deleted"], 1);
    bucket.remove().await;
}

#[tokio::test]
async fn what_is_locked_is_kept_until_its_date_and_then_goes() {
    let bucket = s3::locking_bucket().await;
    let mut nightvault = on(&bucket);
    with_backups(&mut nightvault);
    let until: jiff::Timestamp = "2090-01-01T00:00:00Z".parse().unwrap();
    let lock = ObjectLockRetention::builder()
        .mode(ObjectLockRetentionMode::Governance)
        .retain_until_date(DateTime::from_secs(until.as_second()))
        .build();
    bucket.client.put_object_retention().bucket(&bucket.name).key(OLDER).retention(lock).send().await.unwrap();
    let cleanup = nightvault.ok(&["cleanup"]);
    assert_eq!(reason_of(&cleanup, OLDER), "true locked until 2090-01-01T00:00:00Z");
    assert_eq!(cleanup["disks"][0]["deleted"], 0);
    let then = nightvault.ok(&["cleanup", "--at", "2090-01-01T00:00:00Z"]);
    assert!(reason_of(&then, OLDER).starts_with("false "), "{then:#}");
    let show = nightvault.run(&["show", OLDER]);
    assert!(show.stdout.contains("locked until 2090-01-01T00:00:00Z (governance)"), "{show:?}");
}

#[tokio::test]
async fn cleanup_says_what_is_really_free_and_when_the_rest_will_be() {
    let bucket = s3::locking_bucket().await;
    let mut nightvault = on(&bucket);
    with_backups(&mut nightvault);
    let size = nightvault.ok(&["list"])["disks"][0]["backups"][2]["size"].as_u64().unwrap();
    let done = nightvault.run(&["cleanup"]);
    assert!(done.stdout.contains("no lifecycle rule of the bucket removes them"), "{done:?}");
    assert!(done.stdout.contains("free now: 0 B; "), "{done:?}");
    // What cleanup only hid is stored, and monitor counts it.
    let monitor = nightvault.ok(&["monitor"]);
    assert_eq!(monitor["disks"][0]["hidden_bytes"], size);

    for hour in ["04", "05"] {
        nightvault.ok(&["run", "--scheduled-time", &format!("2024-01-15T{hour}:00:00Z")]);
    }
    bucket.forget_old_versions_after(30).await;
    let disk = nightvault.ok(&["cleanup"])["disks"][0].clone();
    assert_eq!((&disk["deleted"], &disk["freed_bytes"]), (&json!(2), &json!(0)));
    assert_eq!(disk["pending_bytes"], disk["deleted_bytes"]);
    assert_eq!((&disk["warnings"], disk["pending_until"].as_str().unwrap().len()), (&json!([]), 20));

    nightvault.set("BACKUP_DELETE_VERSIONS", "true");
    nightvault.ok(&["run", "--scheduled-time", "2024-01-15T06:00:00Z"]);
    let disk = nightvault.ok(&["cleanup"])["disks"][0].clone();
    assert_eq!(
        (&disk["deleted"], &disk["pending_bytes"], &disk["pending_until"]),
        (&json!(1), &json!(0), &Value::Null)
    );
    assert_eq!((disk["freed_bytes"].as_u64().unwrap() > 0, &disk["freed_bytes"]), (true, &disk["deleted_bytes"]));
    let versions =
        bucket.client.list_object_versions().bucket(&bucket.name).prefix("clinic/2024-01-15-05").send().await;
    assert_eq!(versions.unwrap().versions().len(), 0);
}

#[tokio::test]
async fn a_key_that_the_store_refuses_is_told_and_the_others_go() {
    let bucket = s3::locking_bucket().await;
    let mut nightvault = on(&bucket);
    nightvault.set("BACKUP_DELETE_VERSIONS", "true");
    with_backups(&mut nightvault);
    // An old version of the key, under a legal hold that the newest version does not show.
    let hold = aws_sdk_s3::types::ObjectLockLegalHold::builder()
        .status(aws_sdk_s3::types::ObjectLockLegalHoldStatus::On)
        .build();
    bucket.client.put_object_legal_hold().bucket(&bucket.name).key(OLDER).legal_hold(hold).send().await.unwrap();
    bucket.client.delete_object().bucket(&bucket.name).key(OLDER).send().await.unwrap();
    for hour in ["02", "01"] {
        nightvault.ok(&["run", "--scheduled-time", &format!("2024-01-15T{hour}:00:00Z")]);
    }
    let failed = nightvault.fails(1, &["--json", "cleanup"]).json();
    let disk = &failed["report"]["disks"][0];
    assert_eq!((&failed["error_type"], &disk["deleted"]), (&json!("PermissionDenied"), &json!(1)));
    assert_eq!((&disk["refused"][0]["key"], disk["refused"].as_array().unwrap().len()), (&json!(OLDER), 1));
    assert!(nightvault.listed().contains(&OLDER.to_owned()), "what was not deleted is still there");
    assert!(!nightvault.listed().contains(&"clinic/2024-01-15-01-00-00.zip".to_owned()));
}

#[tokio::test]
async fn while_nobody_can_tell_what_is_held_nothing_is_deleted() {
    let memory = MemoryStore::new("memory");
    for key in [OLDER, LATER, "clinic/2024-02-29-02-00-00.zip"] {
        let mut upload = memory.create(key, None).await.unwrap();
        upload.write("archive".into()).await.unwrap();
        upload.complete(&Review { bytes: 7 }).await.unwrap();
    }
    let store = FaultyStore::new(Arc::new(memory.clone()));
    let variables = [("BACKUP_NAME", "clinic"), ("BACKUP_DISK", "local"), ("BACKUP_LOCAL_PATH", "/none")];
    let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let stores: Vec<Arc<dyn Store>> = vec![Arc::new(store.clone())];
    let environment = Environment::with_stores(config::load(&lookup).unwrap(), stores, Vec::new());
    let context = Context {
        now: "2024-03-01T02:30:00Z".parse().unwrap(),
        deadline: None,
        progress: Arc::new(Progress::default()),
        interrupt: Default::default(),
        trigger: nightvault_core::audit::Trigger::command_line("a test"),
    };
    let event = Event { notify: Some(false), ..Event::default() };

    // Not for the plan; then for the plan, and not any more when it comes to deleting.
    for (nth, refused) in [(1, 0), (4, 1)] {
        store.fail(Call::Guard, nth, Class::Permission);
        let failed = operation::cleanup(&environment, &event, &context).await.unwrap_err();
        assert_eq!(failed.error.class(), Class::Permission);
        let disk = &failed.report.unwrap().disks[0];
        assert_eq!((disk.deleted, disk.refused.len()), (0, refused), "{disk:?}");
        if refused == 0 {
            assert!(disk.error.as_ref().unwrap().contains("which backups are locked or held"), "{disk:?}");
        }
        assert_eq!(memory.list("clinic/20").await.unwrap().len(), 3);
        store.heal();
    }
    assert_eq!(operation::cleanup(&environment, &event, &context).await.unwrap().disks[0].deleted, 1);
}
