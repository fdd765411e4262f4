//! Where a backup comes from and where it goes to: a bucket, an archive that is replaced meanwhile, a server that lacks what
//! the dump needs, a disk that is full.

use std::fs;
use std::ops::Range;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use nightvault_core::Result;
use nightvault_core::store::{Object, Store, Upload};
use rusqlite::Connection;
use serde_json::json;

use super::damage::{archives, attempt, store_of};
use super::judge::Postgres;
use crate::support::given;
use crate::support::nightvault::{Nightvault, said};
use crate::support::postgres::{Scratch, port};
use crate::support::s3;
use crate::verify::{back_up, installation};

fn url(database: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", port())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_and_files_come_back_from_a_bucket() {
    let bucket = s3::bucket().await;
    let mut nightvault = installation();
    nightvault
        .set("BACKUP_DISK", "s3")
        .set("AWS_BUCKET", &bucket.name)
        .set("AWS_ENDPOINT", &bucket.endpoint)
        .set("AWS_USE_PATH_STYLE_ENDPOINT", "true")
        .set("AWS_DEFAULT_REGION", "us-east-1")
        .set("AWS_ACCESS_KEY_ID", s3::KEY_ID)
        .set("AWS_SECRET_ACCESS_KEY", s3::SECRET);
    nightvault.ok(&["run", "--no-notify"]);
    let to = format!("sqlite://{}", nightvault.folder().join("copy.sqlite").display());
    let report = nightvault.ok(&["restore", "latest", "--to", &to, "--files", "new"]);
    assert_eq!((&report["disk"], &report["database"]["rows"]), (&json!("s3"), &json!(3)));
    assert_eq!(fs::read(nightvault.folder().join("new/docs/b.txt")).expect("a file").len(), 3000);
    bucket.remove().await;
}

/// A store that is another one from the `at`-th look at its object on.
#[derive(Debug)]
struct Replaced {
    before: Arc<dyn Store>,
    after: Arc<dyn Store>,
    at: usize,
    looks: AtomicUsize,
}

impl Replaced {
    fn now(&self) -> &Arc<dyn Store> {
        if self.looks.load(Ordering::SeqCst) < self.at { &self.before } else { &self.after }
    }
}

#[async_trait]
impl Store for Replaced {
    fn disk(&self) -> &str {
        "replaced"
    }
    async fn probe(&self) -> Result<()> {
        Ok(())
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        self.before.list(prefix).await
    }
    async fn head(&self, key: &str) -> Result<Option<Object>> {
        let found = self.now().head(key).await;
        self.looks.fetch_add(1, Ordering::SeqCst);
        found
    }
    async fn read(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes> {
        self.now().read(key, range, etag).await
    }
    async fn create(&self, _: &str, _: Option<u64>) -> Result<Box<dyn Upload>> {
        // The record of the audit trail; the backup stays as it is.
        Err(nightvault_core::Error::new(nightvault_core::Class::Permission, "this store takes nothing"))
    }
    async fn delete(&self, _: &str) -> Result<()> {
        panic!("a restore deletes nothing")
    }
    async fn abort_stale(&self, _: &str, _: Timestamp) -> Result<u64> {
        panic!("a restore aborts nothing")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_replaced_between_two_looks_executes_nothing() {
    let source = Scratch::new();
    source.psql("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'x')");
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set("DATABASE_URL", &url(&source.name));
    let archives = archives(&nightvault, || _ = source.psql("UPDATE t SET name = 'y'"));
    // Of the same length and of another one; both are whole archives, or were once.
    let mut same_length = archives.whole.clone();
    same_length[100] ^= 1;
    for other in [&archives.other, &same_length] {
        let target = Scratch::new();
        let judge = Postgres::of(&target.name);
        let mut at = 1;
        loop {
            let before = store_of(&archives.key, &archives.whole).await;
            // Another version in the store's own eyes too.
            let after = store_of("clinic/2000-01-01-00-00-00.zip", b"first").await;
            let mut upload = after.create(&archives.key, None).await.expect("an upload");
            upload.write(Bytes::copy_from_slice(other)).await.expect("taken");
            let bytes = other.len() as u64;
            upload.complete(&nightvault_core::store::Review { bytes }).await.expect("stored");
            let store = Arc::new(Replaced { before, after, at, looks: AtomicUsize::new(0) });
            let outcome = attempt(Arc::clone(&store) as Arc<dyn Store>, &url(&target.name)).await;
            if store.looks.load(Ordering::SeqCst) < at {
                // It was never replaced while anybody looked.
                outcome.expect("the whole one is restored");
                break;
            }
            assert!(outcome.is_err(), "replaced after {at} looks");
            if store.looks.load(Ordering::SeqCst) > at {
                assert_eq!(judge.writing(), Vec::<String>::new(), "replaced after {at} looks");
            }
            assert_eq!(target.psql("SELECT count(*) FROM pg_class WHERE oid >= 16384").trim(), "0", "{at}");
            at += 1;
        }
        assert!(at > 1, "it is looked at before anything is read: {at}");
    }
}

#[test]
fn a_server_without_the_extension_is_told_of_it_before_anything_runs() {
    let source = Scratch::new();
    source.psql("CREATE EXTENSION pg_trgm; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    // A name that no server has; the catalogue is the superuser's to change.
    source.psql(
        "SET allow_system_table_mods = on; UPDATE pg_extension SET extname = 'nightvault_missing' WHERE extname = 'pg_trgm'",
    );
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set("DATABASE_URL", &url(&source.name));
    nightvault.ok(&["run"]);
    let target = Scratch::new();
    let judge = Postgres::of(&target.name);
    let said = nightvault.fails(2, &["restore", "latest", "--to", &url(&target.name)]);
    assert!(said.stderr.contains("nightvault_missing\" is not available on the server"), "{said:?}");
    assert_eq!(judge.writing(), Vec::<String>::new());
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    let nightvault = installation();
    let database = nightvault.folder().join("clinic.sqlite");
    let filler = "INSERT INTO patients SELECT id + 100, hex(randomblob(2000)) FROM patients";
    Connection::open(&database).and_then(|it| it.execute_batch(filler)).expect("more rows");
    fs::write(nightvault.folder().join("docs/large.bin"), vec![7; 100_000]).expect("a large file");
    back_up(&nightvault, "2024-01-15");
    let folder = nightvault.folder().join("new");
    fs::create_dir(&folder).expect("a folder");
    let to = format!("sqlite://{}/copy.sqlite", folder.display());
    let program = format!("{}/nightvault", given("TEST_BIN_DIR"));
    for arguments in [vec!["--to", to.as_str()], vec!["--files", "files"], vec!["--files", "new"]] {
        // A limit of 8 KiB to every file, which fails as a full disk does once its signal is ignored.
        let mut limited = Command::new("bash");
        let inner = nightvault.command(&[]);
        limited.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        limited.current_dir(nightvault.folder()).args([
            "-c",
            "trap '' XFSZ; ulimit -f 8; exec \"$@\"",
            "bash",
            &program,
        ]);
        limited.args(["restore", "latest"]).args(&arguments);
        let said = said(limited.output().expect("it runs"));
        assert_eq!(said.code, 1, "{arguments:?}: {said:?}");
        assert!(said.stderr.contains("File too large"), "{said:?}");
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0, "{arguments:?}");
        let names = fs::read_dir(nightvault.folder()).expect("a folder");
        let left: Vec<_> = names
            .map(|it| it.expect("it").file_name())
            .filter(|name| name.to_string_lossy().starts_with('.'))
            .collect();
        assert!(left.is_empty() && !nightvault.folder().join("files").exists(), "{left:?}");
    }
}
