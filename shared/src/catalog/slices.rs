//! How far a backup was read in slices, noted beside it, so that the next slice goes on where the last one ended.
//!
//! As with a proof, the note names the version of the object that was read, is no secret and no signature. That all
//! slices were read is less than a proof: see [`crate::archive::reader`].

use futures_util::StreamExt;
use jiff::Timestamp;

use super::drills::{self, Drilled};
use super::proof::{self, Proof, READS_IN_FLIGHT, version};
use super::{Backup, whole_seconds};
use crate::Result;
use crate::store::{Object, Store};

/// The name of the note.
const NOTE: &str = "slices";

/// How far a backup was read in slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slices {
    /// The number of the piece with which the next slice starts; 0 when a round is over.
    pub next: u64,
    /// How many pieces there are.
    pub pieces: u64,
    /// When the first slice of this round was read.
    pub begun: Timestamp,
    /// When the last slice was read.
    pub at: Timestamp,
    /// When the last round ended, in which every piece was read.
    pub covered: Option<Timestamp>,
}

/// All that is noted beside a backup about its being read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Noted {
    /// What the last whole reading found, or the damage that any reading found.
    pub proof: Option<Proof>,
    /// How far it was read in slices.
    pub slices: Option<Slices>,
    /// What its last drill found.
    pub drill: Option<Drilled>,
}

/// What is noted beside each of `backups`, in their order; `None`: the store has no place for notes.
///
/// # Errors
/// What the store says of the first that cannot be read.
pub async fn noted(store: &dyn Store, backups: &[Backup]) -> Result<Option<Vec<Noted>>> {
    let reads: Vec<_> = backups.iter().map(|backup| noted_beside(store, &backup.object)).collect();
    let read: Vec<Result<_>> = futures_util::stream::iter(reads).buffered(READS_IN_FLIGHT).collect().await;
    read.into_iter().collect()
}

/// What is noted beside `object` about this very version of it; `None`: the store has no place for notes.
///
/// # Errors
/// What the store says.
pub async fn noted_beside(store: &dyn Store, object: &Object) -> Result<Option<Noted>> {
    Ok(store.notes(&object.key).await?.map(|notes| Noted {
        proof: notes.get(proof::NOTE).and_then(|text| proof::decode(text, object)),
        slices: notes.get(NOTE).and_then(|text| decode(text, object)),
        drill: notes.get(drills::NOTE).and_then(|text| drills::decode(text, object)),
    }))
}

/// Notes how far `object` was read; false: the store has no place for notes.
///
/// # Errors
/// What the store says.
pub async fn record_slices(store: &dyn Store, object: &Object, slices: Slices) -> Result<bool> {
    store.note(&object.key, NOTE, &encode(slices, object)).await
}

fn encode(slices: Slices, object: &Object) -> String {
    let Slices { next, pieces, begun, at, covered } = slices;
    let time = |time: Timestamp| format!("{:.0}", whole_seconds(time));
    let covered = covered.map_or_else(|| "-".to_owned(), time);
    format!("{next} {pieces} {} {} {covered} {}", time(begun), time(at), version(object))
}

fn decode(text: &str, object: &Object) -> Option<Slices> {
    let words: Vec<&str> = text.split(' ').collect();
    let [next, pieces, begun, at, covered, of] = words[..] else { return None };
    let slices = Slices {
        next: next.parse().ok()?,
        pieces: pieces.parse().ok()?,
        begun: begun.parse().ok()?,
        at: at.parse().ok()?,
        covered: if covered == "-" { None } else { Some(covered.parse().ok()?) },
    };
    (of == version(object) && slices.next < slices.pieces.max(1)).then_some(slices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_read_back_for_this_version_of_the_object_alone() {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let object = Object { key: "clinic/a.zip".into(), size: 9, modified: at, etag: Some("x".into()) };
        for covered in [None, Some(at)] {
            let slices = Slices { next: 3, pieces: u64::MAX, begun: at, at, covered };
            let text = encode(slices, &object);
            crate::store::check_note(NOTE, &text).unwrap();
            assert_eq!(decode(&text, &object), Some(slices));
            assert_eq!(decode(&text, &Object { etag: None, ..object.clone() }), None);
            for bad in ["", "3", &text[1..], &format!("{text} x"), &text.replacen("3 ", "-3 ", 1)] {
                assert_eq!(decode(bad, &object), None, "{bad}");
            }
        }
    }
}
