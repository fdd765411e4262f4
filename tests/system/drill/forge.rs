//! A backup as somebody would make it who knows the password: sound by every digest, and not what was in the database.

use async_trait::async_trait;
use bytes::Bytes;
use nightvault_core::Result;
use nightvault_core::archive::manifest::Manifest;
use nightvault_core::archive::{ArchiveOptions, ArchiveOutput, ArchiveWriter, EntryMeta, extract, read_tail};
use nightvault_core::config::Compression;
use nightvault_core::secret::Secret;
use nightvault_core::source::EntrySink;
use nightvault_core::store::Store;
use nightvault_core::store::local::LocalStore;

use crate::support::nightvault::{Nightvault, PASSWORD};

struct Kept(Vec<u8>);

#[async_trait]
impl ArchiveOutput for Kept {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.0.extend_from_slice(&bytes);
        Ok(())
    }
}

/// Puts an archive of the one database's dump in the place of the backup, both changed; the digests are those of the new.
pub(super) async fn forge(nightvault: &Nightvault, key: &str, change: impl FnOnce(&mut String, &mut Manifest)) {
    let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(LocalStore::new("local", nightvault.vault()));
    let password = Secret::new(PASSWORD);
    let object = store.head(key).await.unwrap().unwrap();
    let mut manifest = read_tail(store.clone(), &object, &password).await.unwrap().manifest;
    let mut dump = Vec::new();
    let entry = manifest.databases[0].entry.clone();
    extract(store.clone(), &object, &password, &entry, &mut dump).await.unwrap();
    let mut dump = String::from_utf8(dump).unwrap();
    change(&mut dump, &mut manifest);

    let mut output = Kept(Vec::new());
    let options = ArchiveOptions { compression: Compression::Deflate(1), workers: 1, max_entries: 10 };
    let mut writer = ArchiveWriter::new(&mut output, &password, &options).unwrap();
    writer.start_entry(&entry, EntryMeta { mode: 0o100_600, modified: manifest.finished.as_second() }).await.unwrap();
    writer.write(dump.as_bytes()).await.unwrap();
    let made = writer.end_entry().await.unwrap();
    let database = &mut manifest.databases[0];
    (database.raw_bytes, database.stored_bytes, database.sha256) = (made.raw_bytes, made.stored_bytes, made.sha256);
    writer.finish(manifest).await.unwrap();

    let path = nightvault.archive(key);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path, output.0).unwrap();
}
