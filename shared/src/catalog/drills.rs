//! What the last drill of a backup found, noted beside it. The audit trail says the same and outlives the backup.

use jiff::Timestamp;

use super::proof::version;
use super::whole_seconds;
use crate::Result;
use crate::store::{Object, Store};

/// The name of the note.
pub(super) const NOTE: &str = "drill";

/// The result of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drilled {
    /// What was restored is what the manifest says.
    pub proven: bool,
    /// Not every database of the backup was restored.
    pub in_part: bool,
    /// When.
    pub at: Timestamp,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// Bytes of the dumps that were restored.
    pub raw_bytes: u64,
}

/// Notes the result of a drill beside `object`; false: the store has no place for notes.
///
/// # Errors
/// What the store says.
pub async fn record_drill(store: &dyn Store, object: &Object, drilled: Drilled) -> Result<bool> {
    store.note(&object.key, NOTE, &encode(drilled, object)).await
}

fn encode(drilled: Drilled, object: &Object) -> String {
    let Drilled { proven, in_part, at, duration_ms, raw_bytes } = drilled;
    let word = match (proven, in_part) {
        (true, false) => "proven",
        (true, true) => "proven-in-part",
        (false, _) => "failed",
    };
    format!("{word} {:.0} {duration_ms} {raw_bytes} {}", whole_seconds(at), version(object))
}

pub(super) fn decode(text: &str, object: &Object) -> Option<Drilled> {
    let words: Vec<&str> = text.split(' ').collect();
    let [word, at, duration_ms, raw_bytes, of] = words[..] else { return None };
    let (proven, in_part) = match word {
        "proven" => (true, false),
        "proven-in-part" => (true, true),
        "failed" => (false, false),
        _ => return None,
    };
    let (at, duration_ms, raw_bytes) = (at.parse().ok()?, duration_ms.parse().ok()?, raw_bytes.parse().ok()?);
    (of == version(object)).then_some(Drilled { proven, in_part, at, duration_ms, raw_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_read_back_for_this_version_of_the_object_alone() {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let object = Object { key: "clinic/a.zip".into(), size: 9, modified: at, etag: None };
        for (proven, in_part) in [(true, false), (true, true), (false, false)] {
            let drilled = Drilled { proven, in_part, at, duration_ms: 61_000, raw_bytes: u64::MAX };
            let text = encode(drilled, &object);
            crate::store::check_note(NOTE, &text).unwrap();
            assert_eq!(decode(&text, &object), Some(drilled));
            assert_eq!(decode(&text, &Object { size: 8, ..object.clone() }), None);
            for bad in ["", "proven", &text[1..], &format!("{text} x"), &text.replace("61000", "-1")] {
                assert_eq!(decode(bad, &object), None, "{bad}");
            }
        }
    }
}
