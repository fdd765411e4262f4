//! The faulty store itself: whatever call fails, at whatever count, nothing half-made is left.

use std::sync::Arc;

use nightvault_core::Class;
use nightvault_core::store::Store;
use nightvault_core::store::memory::MemoryStore;

use super::rig::{assert_class, assert_nothing_visible, noise, put};
use crate::support::faults::{Call, FaultyStore};

const KEY: &str = "clinic/2024-01-15-02-00-00.zip";

fn faulty() -> (MemoryStore, FaultyStore) {
    let memory = MemoryStore::new("memory");
    (memory.clone(), FaultyStore::new(Arc::new(memory)))
}

#[tokio::test]
async fn an_upload_that_fails_at_any_call_leaves_nothing() {
    let bytes = noise(3_000_000, 1);
    for (call, nth) in [(Call::Create, 1), (Call::Write, 1), (Call::Write, 2), (Call::Write, 8), (Call::Complete, 1)] {
        let (memory, store) = faulty();
        store.fail(call, nth, Class::Transient);
        assert_class(put(&store, KEY, &bytes, None).await, Class::Transient);
        assert_nothing_visible(&memory, KEY).await;
        assert_eq!(memory.uploads(), Vec::<String>::new(), "{call:?} {nth}");
        store.heal();
        put(&store, KEY, &bytes, None).await.unwrap();
    }
}

#[tokio::test]
async fn every_call_can_be_made_to_fail_with_any_class() {
    for call in Call::ALL {
        let (_, store) = faulty();
        put(&store, KEY, b"x", None).await.unwrap();
        store.fail(call, 1, Class::Permission);
        let outcome = match call {
            Call::Probe => store.probe().await,
            Call::List => store.list("").await.map(|_| ()),
            Call::Head => store.head(KEY).await.map(|_| ()),
            Call::Read => store.read(KEY, 0..1, None).await.map(|_| ()),
            Call::Create | Call::Write | Call::Complete => put(&store, "other", b"x", None).await.map(|_| ()),
            Call::Delete => store.delete(KEY).await,
            Call::AbortStale => store.abort_stale("", jiff::Timestamp::MAX).await.map(|_| ()),
            Call::Notes => store.notes(KEY).await.map(|_| ()),
            Call::Guard => store.guard(KEY).await.map(|_| ()),
            Call::Note => store.note(KEY, "a", "b").await.map(|_| ()),
        };
        assert_class(outcome, Class::Permission);
    }
}

#[tokio::test]
async fn damage_is_in_what_is_read_and_nowhere_else() {
    let (memory, store) = faulty();
    put(&store, KEY, b"0123456789", None).await.unwrap();
    store.flip(KEY, 3);
    assert_eq!(store.read(KEY, 0..10, None).await.unwrap(), "0122456789");
    assert_eq!(store.read(KEY, 2..5, None).await.unwrap(), "224");
    assert_eq!(store.read(KEY, 4..6, None).await.unwrap(), "45");
    store.truncate(KEY, 8);
    assert_eq!(store.head(KEY).await.unwrap().unwrap().size, 8);
    assert_eq!(store.list("").await.unwrap()[0].size, 8);
    assert_class(store.read(KEY, 0..10, None).await, Class::Corrupt);
    assert_eq!(memory.read(KEY, 0..10, None).await.unwrap(), "0123456789");
}
