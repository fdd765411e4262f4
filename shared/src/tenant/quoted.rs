//! A quoted name in the text of a dump, as both dialects write it: the quote doubled where it is part of the name.

use crate::{Error, Result};

/// The name whose opening `quote` stands at `start`, and where the text goes on behind it. `None`: its end, or what tells
/// a doubled quote from it, is not in `bytes` yet.
pub(crate) fn quoted(bytes: &[u8], start: usize, quote: u8) -> Result<Option<(String, usize)>> {
    let mut name = Vec::new();
    let mut at = start + 1;
    loop {
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(byte), None) if *byte == quote => return Ok(None),
            (None, _) => return Ok(None),
            (Some(byte), Some(next)) if *byte == quote && *next == quote => {
                name.push(quote);
                at += 2;
            }
            (Some(byte), _) if *byte == quote => {
                let name = String::from_utf8(name).map_err(|_| Error::corrupt("a column's name is not UTF-8"))?;
                return Ok(Some((name, at + 1)));
            }
            (Some(byte), _) => {
                name.push(*byte);
                at += 1;
            }
        }
    }
}
