//! The promises of `nightvault_core::store`, each an async function over any store.

use bytes::Bytes;
use nightvault_core::Class;
use nightvault_core::store::{Guard, HeldBy, Hold, Notes, Review};

use super::rig::{PART, Rig, assert_class, assert_nothing_visible, get, noise, put};

const KEY: &str = "clinic/2024-01-15-02-00-00.zip";

pub(crate) async fn a_store_that_is_there_can_be_probed(rig: &Rig) {
    rig.store.probe().await.unwrap();
    assert_eq!(rig.keys("").await, Vec::<String>::new());
}

pub(crate) async fn what_was_written_is_read_back(rig: &Rig) {
    let bytes = noise(3_000_000, 1);
    let stored = rig.put(KEY, &bytes).await.unwrap();
    assert_eq!(stored.object.key, KEY);
    assert_eq!(stored.object.size, bytes.len() as u64);
    assert_eq!(rig.store.head(KEY).await.unwrap().as_ref(), Some(&stored.object));
    let listed = rig.store.list("clinic/").await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].key, listed[0].size), (&stored.object.key, stored.object.size));
    assert_eq!(get(rig.store.as_ref(), &stored.object).await, bytes);
    assert_eq!((rig.uploads)().await, 0);
}

pub(crate) async fn an_empty_object_is_an_object(rig: &Rig) {
    let stored = rig.put(KEY, b"").await.unwrap();
    assert_eq!(stored.object.size, 0);
    assert_eq!(get(rig.store.as_ref(), &stored.object).await, Bytes::new());
    assert_eq!(rig.keys("").await, [KEY]);
}

pub(crate) async fn every_size_around_a_part_boundary_is_stored_whole(rig: &Rig) {
    let sizes = if rig.cuts_parts { vec![PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 17] } else { vec![1, PART] };
    for (number, size) in sizes.into_iter().enumerate() {
        let key = format!("clinic/{number}.zip");
        let bytes = noise(size, number as u64);
        let stored = rig.put(&key, &bytes).await.unwrap();
        assert_eq!(stored.object.size, size as u64);
        assert!(get(rig.store.as_ref(), &stored.object).await == bytes, "{size} bytes came back as they were");
        if rig.cuts_parts {
            assert_eq!(stored.parts as usize, size.div_ceil(PART), "parts of {size} bytes");
            assert!(stored.checksum.is_some(), "the store confirmed a checksum of {size} bytes");
        }
    }
    assert_eq!((rig.uploads)().await, 0);
}

pub(crate) async fn a_wrong_guess_of_the_size_harms_nothing(rig: &Rig) {
    for (number, guess) in [Some(0), Some(1), Some(u64::MAX)].into_iter().enumerate() {
        let key = format!("clinic/{number}.zip");
        let bytes = noise(1_000_003, number as u64);
        let stored = put(rig.store.as_ref(), &key, &bytes, guess).await.unwrap();
        assert!(get(rig.store.as_ref(), &stored.object).await == bytes);
    }
}

pub(crate) async fn nothing_is_visible_before_completion(rig: &Rig) {
    let bytes = noise(2 * PART + 1, 2);
    let mut upload = rig.store.create(KEY, None).await.unwrap();
    for piece in bytes.chunks(1 << 20) {
        upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
        assert_nothing_visible(rig.store.as_ref(), KEY).await;
    }
    assert_eq!((rig.uploads)().await, 1, "an upload in progress is seen by the tests");
    upload.complete(&Review { bytes: bytes.len() as u64 }).await.unwrap();
    assert_eq!(rig.keys("").await, [KEY]);
}

pub(crate) async fn an_existing_object_is_never_replaced(rig: &Rig) {
    let first = rig.put(KEY, b"the first").await.unwrap();
    assert_class(rig.store.create(KEY, None).await.map(|_| ()), Class::AlreadyExists);
    // Begun while the key was free, completed when it was not.
    let other = "clinic/late.zip";
    for size in [9, PART + 1] {
        let mut late = rig.store.create(other, None).await.unwrap();
        late.write(noise(size, 9).into()).await.unwrap();
        let there = rig.put(other, b"in time").await.unwrap();
        assert_class(late.complete(&Review { bytes: size as u64 }).await, Class::AlreadyExists);
        assert_eq!(get(rig.store.as_ref(), &there.object).await, "in time");
        rig.store.delete(other).await.unwrap();
    }
    assert_eq!(get(rig.store.as_ref(), &first.object).await, "the first");
    assert_eq!((rig.uploads)().await, 0);
}

pub(crate) async fn of_two_uploads_of_one_key_exactly_one_wins(rig: &Rig) {
    for size in [1000, PART + 1] {
        let key = format!("clinic/{size}.zip");
        // The same bytes on purpose: whose object it is must not be guessed from its digest.
        let bytes = noise(size, 3);
        let mut one = rig.store.create(&key, None).await.unwrap();
        let mut other = rig.store.create(&key, None).await.unwrap();
        one.write(bytes.clone().into()).await.unwrap();
        other.write(bytes.clone().into()).await.unwrap();
        let review = Review { bytes: size as u64 };
        let (one, other) = match rig.one_step {
            true => tokio::join!(one.complete(&review), other.complete(&review)),
            false => (one.complete(&review).await, other.complete(&review).await),
        };
        let (won, lost) = if one.is_ok() { (one, other) } else { (other, one) };
        assert!(get(rig.store.as_ref(), &won.unwrap().object).await == bytes);
        assert_class(lost, Class::AlreadyExists);
    }
    assert_eq!((rig.uploads)().await, 0);
}

pub(crate) async fn a_review_that_disagrees_stores_nothing(rig: &Rig) {
    for size in [10, PART + 10] {
        let mut upload = rig.store.create(KEY, None).await.unwrap();
        upload.write(noise(size, 4).into()).await.unwrap();
        assert_class(upload.complete(&Review { bytes: size as u64 - 1 }).await, Class::Bug);
        rig.assert_nothing_left(KEY).await;
    }
}

pub(crate) async fn an_aborted_upload_leaves_nothing(rig: &Rig) {
    for size in [0, 10, 3 * PART] {
        let mut upload = rig.store.create(KEY, None).await.unwrap();
        upload.write(noise(size, 5).into()).await.unwrap();
        upload.abort().await.unwrap();
        rig.assert_nothing_left(KEY).await;
    }
    rig.put(KEY, b"the next run works").await.unwrap();
}

pub(crate) async fn a_dropped_upload_leaves_nothing_visible(rig: &Rig) {
    let mut upload = rig.store.create(KEY, None).await.unwrap();
    upload.write(noise(2 * PART, 6).into()).await.unwrap();
    drop(upload);
    assert_nothing_visible(rig.store.as_ref(), KEY).await;
    rig.put(KEY, b"the next run works").await.unwrap();
}

pub(crate) async fn ranges_are_exact_or_an_error(rig: &Rig) {
    let bytes = noise(100_000, 7);
    let stored = rig.put(KEY, &bytes).await.unwrap();
    let etag = stored.object.etag.as_deref();
    for (from, to) in [(0, 1), (0, 0), (99_999, 100_000), (100_000, 100_000), (5, 70_000), (0, 100_000)] {
        let read = rig.store.read(KEY, from..to, etag).await.unwrap();
        assert!(read == bytes[from as usize..to as usize], "{from}..{to}");
    }
    for (from, to) in [(0, 100_001), (99_999, 100_001), (100_000, 100_001), (200_000, 200_000), (200_000, 200_001)] {
        assert_class(rig.store.read(KEY, from..to, etag).await, Class::Corrupt);
    }
    #[allow(clippy::reversed_empty_ranges, reason = "what a damaged index may ask for")]
    let backwards = 9..3;
    assert_class(rig.store.read(KEY, backwards, etag).await, Class::Corrupt);
}

pub(crate) async fn another_version_is_not_read(rig: &Rig) {
    let first = rig.put(KEY, b"one").await.unwrap();
    let etag = first.object.etag.expect("every store of ours tells versions apart");
    rig.store.delete(KEY).await.unwrap();
    // Another length, because a file system may give the same inode again within one tick of its clock.
    rig.put(KEY, b"another").await.unwrap();
    assert_class(rig.store.read(KEY, 0..3, Some(&etag)).await, Class::Inconsistent);
    assert_class(rig.store.read(KEY, 0..0, Some(&etag)).await, Class::Inconsistent);
    assert_eq!(rig.store.read(KEY, 0..7, None).await.unwrap(), "another");
}

pub(crate) async fn a_key_that_is_not_there_is_told(rig: &Rig) {
    assert_eq!(rig.store.head(KEY).await.unwrap(), None);
    assert_class(rig.store.read(KEY, 0..1, None).await, Class::NotFound);
    assert_class(rig.store.read(KEY, 0..0, None).await, Class::NotFound);
    assert_eq!(rig.store.list("clinic/").await.unwrap(), []);
}

pub(crate) async fn deleting_takes_exactly_one_key_and_twice_is_no_error(rig: &Rig) {
    for key in ["clinic/a", "clinic/a.zip", "clinic/a.zip2", "clinic/sub/a.zip"] {
        rig.put(key, key.as_bytes()).await.unwrap();
    }
    for _ in 0..2 {
        rig.store.delete("clinic/a.zip").await.unwrap();
        assert_eq!(rig.keys("").await, ["clinic/a", "clinic/a.zip2", "clinic/sub/a.zip"]);
    }
}

pub(crate) async fn a_listing_is_sorted_and_bounded_by_its_prefix(rig: &Rig) {
    for key in ["clinic/b.zip", "clinic/a.zip", "clinic-2/a.zip", "clinic/a/c.zip", "other/a.zip", "top.zip"] {
        rig.put(key, b"x").await.unwrap();
    }
    assert_eq!(rig.keys("clinic/").await, ["clinic/a.zip", "clinic/a/c.zip", "clinic/b.zip"]);
    assert_eq!(rig.keys("clinic").await.len(), 4);
    assert_eq!(rig.keys("clinic/a").await, ["clinic/a.zip", "clinic/a/c.zip"]);
    assert_eq!(rig.keys("to").await, ["top.zip"]);
    assert_eq!(rig.keys("none/").await, Vec::<String>::new());
    let all = rig.keys("").await;
    assert_eq!(all.len(), 6);
    assert!(all.is_sorted());
}

pub(crate) async fn odd_keys_come_back_as_they_were(rig: &Rig) {
    let keys = ["clinic/a b+c%20d&e=f.zip", "clinic/ümlaut-日本.zip", "clinic/quote'\"<x>.zip", "clinic/..dots...zip"];
    for key in keys {
        let stored = rig.put(key, key.as_bytes()).await.unwrap();
        assert_eq!(stored.object.key, key);
        assert_eq!(rig.store.read(key, 0..key.len() as u64, None).await.unwrap(), key);
    }
    let mut sorted = keys.map(str::to_owned);
    sorted.sort_unstable();
    assert_eq!(rig.keys("clinic/").await, sorted);
}

pub(crate) async fn notes_stand_beside_an_object_and_go_with_it(rig: &Rig) {
    let (store, other) = (rig.store.as_ref(), "clinic/2024-01-16-02-00-00.zip");
    let before = rig.put(KEY, b"one").await.unwrap().object;
    rig.put(other, b"two").await.unwrap();
    assert_eq!(store.note(KEY, "verified", "whole 2024-01-16T03:00:00Z a-b.c").await.unwrap(), rig.keeps_notes);
    if !rig.keeps_notes {
        // A store without a place for notes says so, and that is no failure.
        assert_eq!(store.notes(KEY).await.unwrap(), None);
        return;
    }
    assert_eq!(store.notes(other).await.unwrap(), Some(Notes::new()));
    assert_eq!(store.notes("clinic/none.zip").await.unwrap(), Some(Notes::new()));
    assert_class(store.note("clinic/none.zip", "verified", "whole").await, Class::NotFound);
    // One note in place of the other; a second beside it.
    assert!(store.note(KEY, "verified", "damaged").await.unwrap());
    assert!(store.note(KEY, "seen", "by +-=._:/@ us").await.unwrap());
    let notes: Notes =
        [("verified", "damaged"), ("seen", "by +-=._:/@ us")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    assert_eq!(store.notes(KEY).await.unwrap(), Some(notes));
    for (name, value) in [("", "x"), ("a\nb", "x"), ("a", "\u{e9}"), ("a", &"x".repeat(257))] {
        assert_class(store.note(KEY, name, value).await, Class::Bug);
    }
    // Neither bytes nor version have changed, and no object has come.
    assert_eq!(store.head(KEY).await.unwrap(), Some(before.clone()));
    assert_eq!(get(store, &before).await, "one");
    assert_eq!(rig.keys("").await, [KEY, other]);
    // They go with their object and do not wait for the next one of its name.
    store.delete(KEY).await.unwrap();
    assert_eq!(store.notes(KEY).await.unwrap(), Some(Notes::new()));
    rig.put(KEY, b"another").await.unwrap();
    assert_eq!(store.notes(KEY).await.unwrap(), Some(Notes::new()));
}

pub(crate) async fn a_hold_is_told_until_it_is_released_and_changes_nothing_else(rig: &Rig) {
    let (store, other) = (rig.store.as_ref(), "clinic/2024-01-16-02-00-00.zip");
    let before = rig.put(KEY, b"one").await.unwrap().object;
    rig.put(other, b"two").await.unwrap();
    let none = Guard::default();
    assert_eq!(store.guard(KEY).await.unwrap(), none);
    let held = store.hold(KEY, "2024-01-16T03:00:00Z audit").await.unwrap();
    if !rig.keeps_notes {
        // A store without a place for a hold says so, and nothing is held.
        assert_eq!((held, store.guard(KEY).await.unwrap()), (None, none.clone()));
        return store.release(KEY).await.unwrap();
    }
    assert_eq!(held, Some(HeldBy::Mark));
    let hold = |text: &str| Guard { lock: None, hold: Some(Hold { by: HeldBy::Mark, text: Some(text.into()) }) };
    assert_eq!(store.guard(KEY).await.unwrap(), hold("2024-01-16T03:00:00Z audit"));
    assert_eq!(store.guard(other).await.unwrap(), none);
    // Held again, for another reason; what is noted besides stays.
    assert!(store.note(KEY, "verified", "whole").await.unwrap());
    store.hold(KEY, "another").await.unwrap();
    assert_eq!(store.guard(KEY).await.unwrap(), hold("another"));
    assert_eq!(store.head(KEY).await.unwrap(), Some(before.clone()));
    assert_eq!(get(store, &before).await, "one");
    assert_eq!(rig.keys("").await, [KEY, other]);
    for _ in 0..2 {
        store.release(KEY).await.unwrap();
        assert_eq!(store.guard(KEY).await.unwrap(), none);
    }
    assert_eq!(store.notes(KEY).await.unwrap().unwrap()["verified"], "whole");
    assert_class(store.hold(KEY, "\u{e9}").await, Class::Bug);
    // What is not there is not held, cannot be, and can be let go.
    assert_class(store.hold("clinic/none.zip", "x").await, Class::NotFound);
    assert_eq!(store.guard("clinic/none.zip").await.unwrap(), none);
    store.release("clinic/none.zip").await.unwrap();
    // A hold goes with its object and does not wait for the next one of its name.
    store.hold(KEY, "gone with it").await.unwrap();
    store.delete(KEY).await.unwrap();
    assert_eq!(store.guard(KEY).await.unwrap(), none);
    rig.put(KEY, b"another").await.unwrap();
    assert_eq!(store.guard(KEY).await.unwrap(), none);
}
