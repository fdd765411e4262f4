//! Names in the archive: any sequence of bytes as readable text, reversibly.

/// Appends `name` to `text`: bytes that are not UTF-8, control characters and `\` as `%{XX}` each, and `%` too where it
/// begins what would read as such an escape. Everything else stays as it is.
pub(super) fn escape_into(text: &mut String, name: &[u8]) {
    let mut at = 0;
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            let bytes = &name[at..at + character.len_utf8()];
            if character.is_control() || character == '\\' || is_escape(&name[at..]) {
                escape_bytes(text, bytes);
            } else {
                text.push(character);
            }
            at += bytes.len();
        }
        escape_bytes(text, chunk.invalid());
        at += chunk.invalid().len();
    }
}

/// The escaped form of `name`.
pub(super) fn escape(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    escape_into(&mut text, name);
    text
}

fn escape_bytes(text: &mut String, bytes: &[u8]) {
    use std::fmt::Write;
    for byte in bytes {
        write!(text, "%{{{byte:02X}}}").expect("writing to a String cannot fail");
    }
}

/// Whether `name` begins with what the escape of a byte looks like.
fn is_escape(name: &[u8]) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    matches!(name, [b'%', b'{', high, low, b'}', ..] if hex(*high) && hex(*low))
}

/// The bytes that `escape` was given, as `doc/format.md` describes it.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let (bytes, mut name, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let escaped = is_escape(&bytes[at..]).then(|| std::str::from_utf8(&bytes[at + 2..at + 4]).ok()).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                name.push(byte);
                at += 5;
            }
            None => {
                name.push(bytes[at]);
                at += 1;
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in
            ["befund 2024.pdf", "Ä.txt", "A\u{308}.txt", "100%.txt", "a%20b", "%{", "%{0a}", "%{G0}", "日本", "a:b?*"]
        {
            assert_eq!(escape(name.as_bytes()), name);
        }
    }

    #[test]
    fn what_would_harm_a_reader_is_escaped() {
        for (name, escaped) in [
            (&b"a\nb"[..], "a%{0A}b"),
            (b"\xff.txt", "%{FF}.txt"),
            (b"a\\b", "a%{5C}b"),
            (b"%{0A}", "%{25}{0A}"),
            (b"\xc2\x85", "%{C2}%{85}"),
            (b"\xc3", "%{C3}"),
            (b"%%{41}\x7f", "%%{25}{41}%{7F}"),
        ] {
            assert_eq!(escape(name), escaped);
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"%{}0AF\\\n".to_vec())], 0..40)) {
            let escaped = escape(&name);
            prop_assert!(!escaped.chars().any(|c| c.is_control() || c == '\\'), "{escaped:?}");
            prop_assert_eq!(unescape(&escaped), name);
        }
    }
}
