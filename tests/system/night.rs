//! One whole night through the command line: real databases and files to several disks, and back with the engines' own
//! clients.

mod interrupted;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::mariadb;
use crate::support::nightvault::{Nightvault, extract};
use crate::support::s3::{self, Bucket};
use crate::support::{given, postgres, program};

/// The URL of a scratch database; both servers listen on loopback, where plain connections are the default.
pub(crate) fn postgres_url(database: &postgres::Scratch) -> String {
    format!("postgres://postgres@127.0.0.1:{}/{}", postgres::port(), database.name)
}

pub(crate) fn mariadb_url(database: &mariadb::Scratch) -> String {
    let password = "night%40vault%3A%2F%23%3F%25%20%C3%A9";
    format!("mariadb://nightvault:{password}@127.0.0.1:{}/{}", given("TEST_MARIADB_PORT"), database.name())
}

/// Adds the bucket as the disk `s3`.
pub(crate) fn use_bucket(nightvault: &mut Nightvault, bucket: &Bucket) {
    nightvault
        .set("AWS_BUCKET", &bucket.name)
        .set("AWS_ENDPOINT", &bucket.endpoint)
        .set("AWS_USE_PATH_STYLE_ENDPOINT", "true")
        .set("AWS_DEFAULT_REGION", "eu-central-1")
        .set("AWS_ACCESS_KEY_ID", s3::KEY_ID)
        .set("AWS_SECRET_ACCESS_KEY", s3::SECRET);
}

/// A small SQLite database; returns its path.
pub(crate) fn sqlite_clinic(folder: &Path) -> String {
    let path = folder.join("registry.sqlite");
    let sql = "PRAGMA user_version = 7;
        CREATE TABLE patient (id INTEGER PRIMARY KEY, name TEXT NOT NULL, photo BLOB);
        INSERT INTO patient VALUES (1, 'Grace', x'00ff00'), (2, 'Zoë', NULL), (3, 'O''Brien', x'');";
    program::stdout(Command::new("sqlite3").arg(&path).arg(sql));
    path.display().to_string()
}

/// A folder of files, one of them with an awkward name; returns `name=path`.
pub(crate) fn documents(folder: &Path) -> String {
    let root = folder.join("uploads");
    std::fs::create_dir_all(root.join("x-rays/2024")).unwrap();
    std::fs::write(root.join("x-rays/2024/röntgen 1.txt"), "no fracture").unwrap();
    std::fs::write(root.join("empty"), "").unwrap();
    std::fs::write(root.join("cache.tmp"), "left out").unwrap();
    std::os::unix::fs::symlink("empty", root.join("link")).unwrap();
    format!("uploads={}", root.display())
}

fn source<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["sources"].as_array().unwrap().iter().find(|source| source["name"] == name).unwrap()
}

#[tokio::test]
async fn a_night_goes_to_every_disk_and_comes_back_with_the_engines_own_clients() {
    let bucket = s3::bucket().await;
    let pg = postgres::Scratch::of("clinic.sql");
    let maria = mariadb::Scratch::seeded("night", "clinic.sql");
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    let files = documents(nightvault.folder());
    use_bucket(&mut nightvault, &bucket);
    nightvault
        .set("BACKUP_DISK", "s3,local")
        .set("DATABASE_URL", &format!("{},{},sqlite://{sqlite}", postgres_url(&pg), mariadb_url(&maria)))
        .set("BACKUP_FILES", &files)
        .set("BACKUP_FILES_EXCLUDE", "**/*.tmp,*.tmp");

    let report = nightvault.ok(&["run"]);
    assert_eq!(report["status"], "stored");
    let key = report["key"].as_str().unwrap();
    assert_eq!(report["disks"][0]["verified"], "tail");
    assert_eq!(report["disks"][1]["verified"], "full");
    assert_eq!(source(&report, "registry")["rows"], 3);
    assert_eq!(source(&report, "uploads")["items"], 2);

    // One dump for both disks: the very same bytes, of the size that the report says.
    let archive = nightvault.archive(key);
    let on_s3 = Path::new(&given("TEST_S3_ROOT")).join(&bucket.name).join(key);
    let bytes = std::fs::read(&archive).unwrap();
    assert_eq!(bytes, std::fs::read(on_s3).unwrap());
    assert_eq!(report["archive_bytes"], bytes.len());

    // Every engine's own client takes its dump, and nothing differs.
    let out = extract(&archive);
    let dumps = out.path().join("db-dumps");
    let pg_dump = std::fs::read_to_string(dumps.join(format!("{}.sql", pg.name))).unwrap();
    let restored = pg.restored(&pg_dump);
    postgres::assert_same("schema", &pg.pg_dump_schema(), &restored.pg_dump_schema());
    postgres::assert_same("rows", &pg.pg_dump_rows(), &restored.pg_dump_rows());
    let rows: u64 = report_rows_of(&pg);
    assert_eq!(source(&report, &pg.name)["rows"], rows);

    let maria_restored = mariadb::Scratch::new("night_restored");
    maria_restored.restore(&std::fs::read(dumps.join(format!("{}.sql", maria.name()))).unwrap());
    assert_eq!(maria.oracle(), maria_restored.oracle());
    assert_eq!(maria.digests(), maria_restored.digests());

    let dump = |path: &Path| program::stdout(Command::new("sqlite3").arg(path).args([".dump", "PRAGMA user_version"]));
    assert_eq!(dump(&dumps.join("registry.sqlite")), dump(Path::new(&sqlite)));

    let uploads = out.path().join("files/uploads");
    assert_eq!(std::fs::read(uploads.join("x-rays/2024/röntgen 1.txt")).unwrap(), b"no fracture");
    assert_eq!(std::fs::read(uploads.join("empty")).unwrap(), b"");
    assert_eq!(std::fs::read_link(uploads.join("link")).unwrap(), Path::new("empty"));
    assert!(!uploads.join("cache.tmp").exists());

    // The other three commands agree about what there is.
    let list = nightvault.ok(&["list"]);
    for disk in list["disks"].as_array().unwrap() {
        assert_eq!(disk["backups"][0]["key"], key);
        assert_eq!(disk["backups"][0]["encrypted"], true);
        assert_eq!(disk["backups"][0]["sources"].as_array().unwrap().len(), 4);
    }
    assert_eq!(nightvault.ok(&["monitor"])["healthy"], true);
    let cleanup = nightvault.ok(&["cleanup"]);
    assert_eq!(cleanup["disks"][0]["deleted"], 0);
    assert_eq!(nightvault.listed(), [key]);
    bucket.remove().await;
}

/// All rows of all tables, as the server counts them.
fn report_rows_of(database: &postgres::Scratch) -> u64 {
    let counts = database.psql(
        "SELECT sum((xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM ONLY %s', oid::regclass), \
         false, true, '')))[1]::text::bigint) FROM pg_class WHERE relkind = 'r' AND relnamespace IN (SELECT oid FROM \
         pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')",
    );
    counts.trim().parse().unwrap()
}

#[tokio::test]
async fn a_repeated_event_makes_one_backup_and_says_so() {
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    nightvault.set("DATABASE_URL", &format!("sqlite://{sqlite}"));
    let time = ["run", "--scheduled-time", "2024-01-15T02:00:00Z"];

    let first = nightvault.ok(&time);
    assert_eq!((&first["status"], &first["key"]), (&"stored".into(), &"clinic/2024-01-15-02-00-00.zip".into()));
    let bytes = std::fs::read(nightvault.archive("clinic/2024-01-15-02-00-00.zip")).unwrap();
    let second = nightvault.ok(&time);
    assert_eq!(second["status"], "already_done");
    assert_eq!(std::fs::read(nightvault.archive("clinic/2024-01-15-02-00-00.zip")).unwrap(), bytes);
}

#[tokio::test]
async fn half_a_backup_under_the_key_is_not_taken_for_the_whole_one() {
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    let files = documents(nightvault.folder());
    nightvault.set("DATABASE_URL", &format!("sqlite://{sqlite}")).set("BACKUP_FILES", &files);
    let time = ["run", "--scheduled-time", "2024-01-15T02:00:00Z"];

    nightvault.ok(&[&time[..], &["--only", "files"]].concat());
    let said = nightvault.fails(1, &time);
    assert!(said.stderr.contains("lacks registry"), "{said:?}");
    assert_eq!(nightvault.ok(&[&time[..], &["--only", "files"]].concat())["status"], "already_done");
}

#[tokio::test]
async fn two_moments_that_share_a_key_are_not_taken_for_one_backup() {
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    nightvault.set("DATABASE_URL", &format!("sqlite://{sqlite}")).set("BACKUP_TIMEZONE", "Europe/Berlin");

    let before = nightvault.ok(&["run", "--scheduled-time", "2024-10-27T00:30:00Z"]);
    assert_eq!(before["key"], "clinic/2024-10-27-02-30-00.zip");
    let after = nightvault.fails(1, &["run", "--scheduled-time", "2024-10-27T01:30:00Z"]);
    assert!(after.stderr.contains("it is the backup of 2024-10-27T00:30:00Z"), "{after:?}");
    assert!(after.stderr.contains("BACKUP_TIMEZONE=UTC"), "{after:?}");
}

#[tokio::test]
async fn a_dry_run_reaches_everything_and_writes_nothing() {
    let pg = postgres::Scratch::of("clinic.sql");
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set("DATABASE_URL", &postgres_url(&pg));
    let report = nightvault.ok(&["run", "--dry-run"]);
    assert_eq!(report["status"], "planned");
    assert_eq!(report["archive_bytes"], 0);
    assert!(!nightvault.vault().join("clinic").exists());
}

#[tokio::test]
async fn cleanup_deletes_exactly_the_planned_keys_and_touches_nothing_else() {
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    nightvault.set("DATABASE_URL", &format!("sqlite://{sqlite}"));
    // Three backups of one day two years ago, one of the year before, a recent one; and things that are not ours.
    for time in ["2023-05-02T02", "2024-01-15T01", "2024-01-15T02", "2024-01-15T03"] {
        nightvault.ok(&["run", "--scheduled-time", &format!("{time}:00:00Z")]);
    }
    let newest = nightvault.ok(&["run"])["key"].as_str().unwrap().to_owned();
    let folder = nightvault.vault().join("clinic");
    std::fs::write(folder.join("2020-01-01-00-00-00.zip.part"), "not ours").unwrap();
    std::fs::write(folder.join("notes.txt"), "not ours").unwrap();

    let planned = nightvault.ok(&["cleanup", "--dry-run"]);
    let fates = |report: &Value| -> Vec<(String, bool)> {
        let decisions = report["disks"][0]["decisions"].as_array().unwrap();
        decisions.iter().map(|d| (d["key"].as_str().unwrap().to_owned(), d["keep"].as_bool().unwrap())).collect()
    };
    let expected = [
        (newest.clone(), true),
        ("clinic/2024-01-15-03-00-00.zip".to_owned(), true),
        ("clinic/2024-01-15-02-00-00.zip".to_owned(), false),
        ("clinic/2024-01-15-01-00-00.zip".to_owned(), false),
        ("clinic/2023-05-02-02-00-00.zip".to_owned(), true),
    ];
    assert_eq!(fates(&planned), expected);
    assert_eq!(nightvault.listed().len(), 5, "a dry run deletes nothing");
    let at = nightvault.ok(&["cleanup", "--at", "2099-01-01T00:00:00Z"]);
    assert!(at["dry_run"].as_bool().unwrap(), "a plan as of another moment is never applied");

    let done = nightvault.ok(&["cleanup"]);
    assert_eq!(fates(&done), expected);
    assert_eq!(done["disks"][0]["deleted"], 2);
    assert_eq!(done["disks"][0]["foreign"].as_array().unwrap().len(), 2);
    assert_eq!(
        nightvault.listed(),
        [newest.as_str(), "clinic/2024-01-15-03-00-00.zip", "clinic/2023-05-02-02-00-00.zip"]
    );
    assert!(folder.join("notes.txt").exists() && folder.join("2020-01-01-00-00-00.zip.part").exists());
}

#[tokio::test]
async fn cleanup_deletes_nothing_while_backups_have_been_failing() {
    let mut nightvault = Nightvault::local("clinic");
    let sqlite = sqlite_clinic(nightvault.folder());
    nightvault.set("DATABASE_URL", &format!("sqlite://{sqlite}"));
    for time in ["2024-01-15T01", "2024-01-15T02", "2024-01-15T03"] {
        nightvault.ok(&["run", "--scheduled-time", &format!("{time}:00:00Z")]);
    }
    let said = nightvault.fails(1, &["cleanup"]);
    assert!(said.stderr.contains("nothing is deleted while backups are failing"), "{said:?}");
    let report = &nightvault.fails(1, &["--json", "cleanup"]).json()["disks"][0];
    let sizes = report["decisions"].as_array().unwrap().iter().map(|decision| decision["size"].as_u64().unwrap());
    assert_eq!((&report["deleted"], &report["kept_bytes"]), (&0.into(), &sizes.sum::<u64>().into()));
    assert_eq!(nightvault.listed().len(), 3);

    let monitor = nightvault.fails(1, &["--json", "monitor"]).json();
    let age = monitor["disks"][0]["findings"].as_array().unwrap().iter().find(|f| f["check"] == "max_age").unwrap();
    assert_eq!(age["status"], "unhealthy");
}
