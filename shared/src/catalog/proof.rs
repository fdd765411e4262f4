//! What the last whole reading of a backup said, noted beside it.
//!
//! The note names the version of the object that was read: a file that was replaced, copied to another key or restored
//! from elsewhere has no proof, whatever lies beside it. It is no secret and no signature; whoever may write there may
//! change it, and can thereby keep backups from being deleted, or let a damaged one pass in a list until it is read.

use futures_util::StreamExt;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Backup;
use crate::Result;
use crate::source::hex;
use crate::store::{Object, Store};

/// The name of the note.
pub(super) const NOTE: &str = "verified";
/// Notes that are read at the same time.
pub(super) const READS_IN_FLIGHT: usize = 16;

/// What a whole reading found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every byte was read, and is what was written.
    Whole,
    /// At least one is not.
    Damaged,
}

/// A verdict and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// What was found.
    pub verdict: Verdict,
    /// When it was read whole last; when damage was found first.
    pub at: Timestamp,
}

/// What is noted beside `object` about this very version of it.
///
/// # Errors
/// What the store says.
pub async fn proof(store: &dyn Store, object: &Object) -> Result<Option<Proof>> {
    let notes = store.notes(&object.key).await?.unwrap_or_default();
    Ok(notes.get(NOTE).and_then(|text| decode(text, object)))
}

/// The proofs of all `backups`, in their order.
///
/// # Errors
/// What the store says of the first that cannot be read.
pub async fn proofs(store: &dyn Store, backups: &[Backup]) -> Result<Vec<Option<Proof>>> {
    let reads: Vec<_> = backups.iter().map(|backup| proof(store, &backup.object)).collect();
    let read: Vec<Result<_>> = futures_util::stream::iter(reads).buffered(READS_IN_FLIGHT).collect().await;
    read.into_iter().collect()
}

/// Notes a verdict beside `object`; damage keeps the date on which it was found first. `None`: the store has no place
/// for notes.
///
/// # Errors
/// What the store says.
pub async fn record(store: &dyn Store, object: &Object, verdict: Verdict, now: Timestamp) -> Result<Option<Proof>> {
    let known = match verdict {
        Verdict::Whole => None,
        // Notes that cannot be read are about to be replaced.
        Verdict::Damaged => proof(store, object).await.ok().flatten(),
    };
    let proof = match known {
        Some(known) if known.verdict == Verdict::Damaged => known,
        _ => Proof { verdict, at: super::whole_seconds(now) },
    };
    Ok(store.note(&object.key, NOTE, &encode(proof, object)).await?.then_some(proof))
}

fn encode(proof: Proof, object: &Object) -> String {
    let word = match proof.verdict {
        Verdict::Whole => "whole",
        Verdict::Damaged => "damaged",
    };
    format!("{word} {:.0} {}", proof.at, version(object))
}

pub(super) fn decode(text: &str, object: &Object) -> Option<Proof> {
    let mut words = text.split(' ');
    let verdict = match words.next()? {
        "whole" => Verdict::Whole,
        "damaged" => Verdict::Damaged,
        _ => return None,
    };
    let at = words.next()?.parse().ok()?;
    (words.next()? == version(object) && words.next().is_none()).then_some(Proof { verdict, at })
}

/// What tells this version of the object from every other, in letters that a note can have.
pub(super) fn version(object: &Object) -> String {
    let Object { key, size, etag, .. } = object;
    let text = format!("{key}\n{size}\n{}", etag.as_deref().unwrap_or_default());
    hex(&Sha256::digest(text.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;
    use crate::store::{Notes, Review};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    async fn put(store: &MemoryStore, key: &str) -> Object {
        let upload = store.create(key, None).await.unwrap();
        upload.complete(&Review { bytes: 0 }).await.unwrap().object
    }

    #[tokio::test]
    async fn a_verdict_is_read_back_for_this_version_of_the_object_alone() {
        let store = MemoryStore::new("memory");
        let object = put(&store, "clinic/a.zip").await;
        assert_eq!(proof(&store, &object).await.unwrap(), None);
        let now = at("2026-01-02T03:04:05Z");
        let whole = Proof { verdict: Verdict::Whole, at: now };
        assert_eq!(record(&store, &object, Verdict::Whole, now).await.unwrap(), Some(whole));
        assert_eq!(proof(&store, &object).await.unwrap(), Some(whole));

        for other in [
            Object { etag: Some("another".into()), ..object.clone() },
            Object { size: 1, ..object.clone() },
            Object { etag: None, ..object.clone() },
        ] {
            assert_eq!(proof(&store, &other).await.unwrap(), None, "{other:?}");
        }
        // The same note beside a copy.
        let notes = store.notes("clinic/a.zip").await.unwrap().unwrap();
        let copy = put(&store, "clinic/b.zip").await;
        store.note("clinic/b.zip", NOTE, &notes[NOTE]).await.unwrap();
        assert_eq!(proof(&store, &copy).await.unwrap(), None);
    }

    #[tokio::test]
    async fn damage_keeps_the_date_on_which_it_was_found() {
        let store = MemoryStore::new("memory");
        let object = put(&store, "clinic/a.zip").await;
        let days = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"].map(at);
        record(&store, &object, Verdict::Whole, days[0]).await.unwrap();
        for day in &days[1..] {
            record(&store, &object, Verdict::Damaged, *day).await.unwrap();
            let expected = Proof { verdict: Verdict::Damaged, at: days[1] };
            assert_eq!(proof(&store, &object).await.unwrap(), Some(expected));
        }
        record(&store, &object, Verdict::Whole, days[2]).await.unwrap();
        assert_eq!(proof(&store, &object).await.unwrap().unwrap().verdict, Verdict::Whole);
    }

    #[tokio::test]
    async fn a_note_that_is_not_understood_proves_nothing() {
        let store = MemoryStore::new("memory");
        let object = put(&store, "clinic/a.zip").await;
        let good = encode(Proof { verdict: Verdict::Whole, at: at("2026-01-01T00:00:00Z") }, &object);
        assert!(decode(&good, &object).is_some());
        for bad in ["", "whole", "fine 2026-01-01T00:00:00Z", &good[1..], &format!("{good} more"), "whole soon x"] {
            assert_eq!(decode(bad, &object), None, "{bad}");
        }
        let _: Notes = store.notes("nothing").await.unwrap().unwrap();
    }
}
