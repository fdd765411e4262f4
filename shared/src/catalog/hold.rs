//! Holds as people set them: since when, and why.
//!
//! What is written down with a hold is one line, `<date> <reason>`, in the alphabet of notes; other letters of a reason
//! are written as `=` and two hexadecimal digits for each byte. A text that is not ours is shown as it is, and holds too:
//! that there is a hold is the store's word, not the text's.

use futures_util::StreamExt;
use jiff::Timestamp;

use super::Backup;
use crate::store::{Guard, Hold, Store, check_note};
use crate::{Error, Result};

/// Guards that are read at the same time.
const READS_IN_FLIGHT: usize = 16;

/// What stands beside a hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HoldText {
    /// Since when.
    pub since: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
}

/// What keeps each of `backups`, in their order.
///
/// # Errors
/// What the store says of the first that it cannot tell of.
pub async fn guards(store: &dyn Store, backups: &[Backup]) -> Result<Vec<Guard>> {
    let reads: Vec<_> = backups.iter().map(|backup| store.guard(&backup.object.key)).collect();
    let read: Vec<Result<_>> = futures_util::stream::iter(reads).buffered(READS_IN_FLIGHT).collect().await;
    read.into_iter().collect()
}

/// The line for a hold that begins at `now`.
///
/// # Errors
/// A reason that is empty or does not fit.
pub fn hold_text(reason: &str, now: Timestamp) -> Result<String> {
    let reason = reason.trim();
    let wrong = |what: &str| {
        Error::configuration(format!("the reason of a hold {what}"))
            .hint("Say in a few words why the backup must stay; letters outside of ASCII take more room.")
    };
    if reason.is_empty() {
        return Err(wrong("is empty"));
    }
    let text = format!("{:.0} {}", super::whole_seconds(now), encode(reason));
    check_note("hold", &text).map_err(|_| wrong("is too long"))?;
    Ok(text)
}

/// What a hold says.
pub fn read_hold(hold: &Hold) -> HoldText {
    let Some(text) = hold.text.as_deref() else { return HoldText::default() };
    let dated = text.split_once(' ').and_then(|(since, reason)| Some((since.parse().ok()?, decode(reason)?)));
    match dated {
        Some((since, reason)) => HoldText { since: Some(since), reason: Some(reason) },
        None => HoldText { since: None, reason: Some(text.to_owned()) },
    }
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" +-._:/@".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("={byte:02X}") };
    text.bytes().map(one).collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'=' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use crate::store::HeldBy;

    fn held(text: Option<&str>) -> HoldText {
        read_hold(&Hold { by: HeldBy::Mark, text: text.map(str::to_owned) })
    }

    #[test]
    fn a_reason_in_any_letters_is_read_back_as_it_was_given() {
        let now = "2026-01-02T03:04:05.678Z".parse().unwrap();
        for reason in ["audit 2026", "Löschsperre = §17, \"Az. 4\"\n", "病院", "a\u{1b}[2Jb", "100 % =41"] {
            let text = hold_text(reason, now).unwrap();
            assert!(text.starts_with("2026-01-02T03:04:05Z "), "{text}");
            let since = Some("2026-01-02T03:04:05Z".parse().unwrap());
            assert_eq!(held(Some(&text)), HoldText { since, reason: Some(reason.trim().to_owned()) });
        }
    }

    #[test]
    fn a_reason_that_says_nothing_or_does_not_fit_is_refused() {
        for reason in ["", " \n", &"x".repeat(300), &"ü".repeat(50)] {
            let error = hold_text(reason, Timestamp::UNIX_EPOCH).unwrap_err();
            assert_eq!(error.class(), Class::Configuration, "{reason}");
        }
    }

    #[test]
    fn a_text_that_is_not_ours_is_shown_as_it_is() {
        for text in ["", "by hand", "yesterday because", "2026-01-02T03:04:05Z =Z1", "2026-01-02T03:04:05Z =FF"] {
            assert_eq!(held(Some(text)), HoldText { since: None, reason: Some(text.to_owned()) });
        }
        assert_eq!(held(None), HoldText::default());
    }
}
