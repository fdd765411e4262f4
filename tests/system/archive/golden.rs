//! Archives of every format that was ever released, kept for ever and read by every later version.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use nightvault_core::archive::manifest::FORMAT_VERSION;
use nightvault_core::archive::{SqliteRows, extract, read_tail, verify};
use nightvault_core::progress::Progress;
use nightvault_core::secret::Secret;
use nightvault_core::store::{Object, Store, Upload};
use nightvault_core::{Error, Result};

/// The key of the archives here.
pub(crate) const KEY: &str = "clinic/2024-01-15-02-00-00.zip";

/// One file, played as a store.
#[derive(Debug)]
struct OneFile(Bytes);

#[async_trait::async_trait]
impl Store for OneFile {
    fn disk(&self) -> &str {
        "golden"
    }
    async fn probe(&self) -> Result<()> {
        Ok(())
    }
    async fn list(&self, _prefix: &str) -> Result<Vec<Object>> {
        Ok(self.head(KEY).await?.into_iter().collect())
    }
    async fn head(&self, key: &str) -> Result<Option<Object>> {
        let object = Object { key: KEY.into(), size: self.0.len() as u64, modified: Timestamp::UNIX_EPOCH, etag: None };
        Ok((key == KEY).then_some(object))
    }
    async fn read(&self, _key: &str, range: Range<u64>, _etag: Option<&str>) -> Result<Bytes> {
        Ok(self.0.slice(range.start as usize..range.end as usize))
    }
    async fn create(&self, _key: &str, _expected_bytes: Option<u64>) -> Result<Box<dyn Upload>> {
        Err(Error::bug("read-only"))
    }
    async fn delete(&self, _key: &str) -> Result<()> {
        Err(Error::bug("read-only"))
    }
    async fn abort_stale(&self, _prefix: &str, _before: Timestamp) -> Result<u64> {
        Err(Error::bug("read-only"))
    }
}

fn museum() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/archives")
}

/// The archives in one hall of the museum.
fn archives(version: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(version).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "zip"));
    found.sort();
    found
}

#[test]
fn every_format_that_was_released_has_its_archives_and_a_test() {
    let mut halls: Vec<String> =
        fs::read_dir(museum()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    halls.sort();
    assert_eq!(halls, ["v1"], "a new hall needs a test of its own below");
    assert_eq!(FORMAT_VERSION, 1, "a new format needs a hall");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_format_1_are_read_to_the_last_byte() {
    let hall = museum().join("v1");
    // What it is stands in the note beside the archives.
    let password = Secret::new(fs::read_to_string(hall.join("password.txt")).unwrap().trim_end());
    let archives = archives(&hall);
    assert_eq!(archives.len(), 2, "{archives:?}");
    for path in archives {
        let store: Arc<dyn Store> = Arc::new(OneFile(fs::read(&path).unwrap().into()));
        let object = store.head(KEY).await.unwrap().unwrap();
        let tail = read_tail(store.clone(), &object, &password).await.unwrap();
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), tail.manifest.compression);
        assert_eq!((tail.entries, tail.manifest.databases.len(), tail.manifest.files[0].symlinks), (8, 1, 1));
        let verified =
            verify(store.clone(), &object, &password, SqliteRows::OfTheManifest, &Progress::default()).await.unwrap();
        assert_eq!(verified.entries, 8);
        let mut dump = Vec::new();
        extract(store.clone(), &object, &password, "db-dumps/clinic.sql", &mut dump).await.unwrap();
        assert_eq!(dump.len(), 1_280_000);
        assert!(dump.starts_with("INSERT INTO patients VALUES (0,'Grüße');\n".as_bytes()));
        let mut file = Vec::new();
        extract(store, &object, &password, "files/set/Übersicht.txt", &mut file).await.unwrap();
        assert_eq!(file, "Grüße aus der Vergangenheit".as_bytes());
    }
}
