//! The tokens of PostgreSQL's SQL, as far as one must know them to find where a statement ends: what is quoted, what is
//! a comment, what is a word. The rules are those of `psql`, for which dumps are written.

/// What stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Blanks and comments.
    Blank,
    /// An identifier without quotes, a keyword or a number.
    Word,
    /// `"an identifier"`.
    Quoted,
    /// A string in any kind of quotes.
    Text,
    /// Any other single character.
    Other(u8),
}

/// The token at `at` and the offset behind it; `None` when it may go on beyond the end. `whole`: nothing comes behind.
pub(crate) fn token(bytes: &[u8], at: usize, whole: bool) -> Option<(Kind, usize)> {
    let rest = &bytes[at..];
    let ends = |kind: Kind, length: Option<usize>| length.map(|length| (kind, at + length));
    match *rest.first()? {
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Some((Kind::Blank, at + 1)),
        b'\'' => ends(Kind::Text, end_of_quote(rest, 0, false, whole)),
        b'"' => ends(Kind::Quoted, end_of_quote(rest, 0, false, whole)),
        b'$' => match dollar_tag(rest, whole)? {
            0 => Some((Kind::Other(b'$'), at + 1)),
            tag => {
                let end = find(&rest[tag..], &rest[..tag])?;
                Some((Kind::Text, at + tag + end + tag))
            }
        },
        first @ (b'-' | b'/') => match rest.get(1) {
            None if !whole => None,
            Some(b'-') if first == b'-' => match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => Some((Kind::Blank, at + end + 1)),
                None => whole.then_some((Kind::Blank, bytes.len())),
            },
            Some(b'*') if first == b'/' => ends(Kind::Blank, end_of_comment(rest)),
            _ => Some((Kind::Other(first), at + 1)),
        },
        first if in_word(first) => {
            let length = rest.iter().position(|byte| !(in_word(*byte) || *byte == b'$'));
            let length = length.or(whole.then_some(rest.len()))?;
            // E'…' is one token: a backslash in it escapes.
            if matches!(&rest[..length], b"e" | b"E") && rest.get(length) == Some(&b'\'') {
                return ends(Kind::Text, end_of_quote(rest, length, true, whole));
            }
            Some((Kind::Word, at + length))
        }
        other => Some((Kind::Other(other), at + 1)),
    }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The offset behind the quoted text that starts at `at`. A doubled quote belongs to it.
fn end_of_quote(bytes: &[u8], at: usize, escapes: bool, whole: bool) -> Option<usize> {
    let quote = bytes[at];
    let mut end = at + 1;
    while end < bytes.len() {
        match bytes[end] {
            b'\\' if escapes => end += 2,
            byte if byte == quote => match bytes.get(end + 1) {
                Some(next) if *next == quote => end += 2,
                None if !whole => return None,
                _ => return Some(end + 1),
            },
            _ => end += 1,
        }
    }
    None
}

/// Bytes of the tag `$name$` at the start, 0 when there is none; `None` when that cannot be told yet.
fn dollar_tag(bytes: &[u8], whole: bool) -> Option<usize> {
    match bytes[1..].iter().position(|byte| !in_word(*byte)) {
        Some(length) if bytes[1 + length] == b'$' && !bytes[1].is_ascii_digit() => Some(length + 2),
        None if !whole => None,
        _ => Some(0),
    }
}

/// Bytes of the comment `/* … */` at the start; comments nest.
fn end_of_comment(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return Some(at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    None
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes[at..].iter().position(|byte| *byte == b'$')?;
        if bytes[at..].starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
}
