//! How names and values are written into a dump, and how text that the server wrote is looked through.
//!
//! A dump runs under the `sql_mode` that its own preamble sets, so strings use backslash escapes. No raw control
//! character ever stands inside a string: the client that reads the dump works line by line, drops carriage returns and
//! stops at NUL bytes, and none of that can touch `\n`, `\r` and `\0` written as two characters. Binary values are
//! hexadecimal literals, which mean the same in every `sql_mode` and in every character set.

/// `` `name` ``, with backticks doubled. Right in every `sql_mode`.
pub(crate) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// `` `a`, `b` ``.
pub(crate) fn identifiers<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(identifier).collect::<Vec<_>>().join(", ")
}

/// `'text'` for queries and for the dump.
pub(crate) fn literal(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    string(&mut out, text.as_bytes());
    String::from_utf8(out).expect("escaping replaces ASCII by ASCII and leaves the rest")
}

/// What stands for each byte inside a string: 0 for itself, or the letter behind the backslash (`'` doubles itself).
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    table[0] = b'0';
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[0x1a] = b'Z';
    table[b'\\' as usize] = b'\\';
    table[b'\'' as usize] = b'\'';
    table
};

/// Appends `'…'`.
pub(crate) fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'\'');
    let mut rest = bytes;
    while let Some(at) = next_escape(rest) {
        out.extend_from_slice(&rest[..at]);
        let escape = ESCAPES[rest[at] as usize];
        out.push(if escape == b'\'' { b'\'' } else { b'\\' });
        out.push(escape);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'\'');
}

/// Where the next byte stands that must be escaped. Whole blocks without one, which is most of them, are passed at once.
fn next_escape(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let mut at = 0;
    while let Some(block) = bytes.get(at..at + BLOCK) {
        // No early exit, so that the compiler looks at all of the block in a few instructions.
        let suspicious =
            block.iter().fold(false, |found, byte| found | (*byte < 0x20) | (*byte == b'\'') | (*byte == b'\\'));
        if suspicious && let Some(found) = block.iter().position(|byte| ESCAPES[*byte as usize] != 0) {
            return Some(at + found);
        }
        at += BLOCK;
    }
    bytes[at..].iter().position(|byte| ESCAPES[*byte as usize] != 0).map(|found| at + found)
}

/// Two hexadecimal digits for each byte, looked up as one.
const HEX: [[u8; 2]; 256] = {
    let digits = *b"0123456789ABCDEF";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

/// Appends `0x…`, or `''` for no bytes.
pub(crate) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        out.extend_from_slice(b"''");
        return;
    }
    out.reserve(2 + bytes.len() * 2);
    out.extend_from_slice(b"0x");
    for byte in bytes {
        out.extend_from_slice(&HEX[*byte as usize]);
    }
}

/// Whether a server takes these bytes as text of `utf8mb4` (or `utf8mb3`): UTF-8, but surrogates pass, as both servers
/// let them. `None` when they are no such text, otherwise whether they are true UTF-8 too.
pub(crate) fn utf8(bytes: &[u8]) -> Option<bool> {
    let mut rest = bytes;
    let mut strict = true;
    loop {
        match std::str::from_utf8(rest) {
            Ok(_) => return Some(strict),
            Err(error) => {
                rest = &rest[error.valid_up_to()..];
                let surrogate = rest.len() >= 3
                    && rest[0] == 0xed
                    && (0xa0..=0xbf).contains(&rest[1])
                    && (0x80..=0xbf).contains(&rest[2]);
                if !surrogate {
                    return None;
                }
                strict = false;
                rest = &rest[3..];
            }
        }
    }
}

/// A delimiter for the client that does not occur in `body`. It is written on a line of its own, so how the body ends
/// does not matter.
pub(crate) fn delimiter(body: &[u8]) -> String {
    let occurs = |candidate: &str| body.windows(candidate.len()).any(|window| window == candidate.as_bytes());
    [";;", "//", "$$"]
        .into_iter()
        .map(str::to_owned)
        .chain((0u64..).map(|n| format!("$nightvault{n}$")))
        .find(|candidate| !occurs(candidate))
        .expect("there are more numbers than bytes in a body")
}

/// A name as it stands in SQL text: `quoted` by backticks, double quotes or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// Unquoted.
    pub(crate) text: String,
    /// Where it starts, in bytes.
    pub(crate) start: usize,
    /// Where what follows starts.
    pub(crate) end: usize,
}

/// Reads SQL text for names alone: skips white space, comments and strings.
pub(crate) struct Names<'a> {
    text: &'a str,
    at: usize,
    ansi_quotes: bool,
    backslashes: bool,
}

impl<'a> Names<'a> {
    /// Text written under `sql_mode`.
    pub(crate) fn new(text: &'a str, sql_mode: &str) -> Self {
        let has = |mode: &str| sql_mode.split(',').any(|part| part == mode);
        Self { text, at: 0, ansi_quotes: has("ANSI_QUOTES"), backslashes: !has("NO_BACKSLASH_ESCAPES") }
    }

    /// Where the next token is looked for, for [`Names::back_to`].
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Reads on from an earlier place.
    pub(crate) fn back_to(&mut self, at: usize) {
        self.at = at;
    }

    /// The next token: a name, or any other single character as `Err`.
    pub(crate) fn token(&mut self) -> Option<Result<Name, char>> {
        loop {
            let rest = &self.text[self.at..];
            let next = rest.chars().next()?;
            let start = self.at;
            match next {
                c if c.is_whitespace() => self.at += c.len_utf8(),
                '#' => self.skip_past(rest, "\n"),
                '-' if rest.starts_with("-- ") || rest.starts_with("--\n") || rest.starts_with("--\t") => {
                    self.skip_past(rest, "\n");
                }
                // A version comment is code to the server.
                '/' if rest.starts_with("/*!") || rest.starts_with("/*M!") => {
                    self.at += rest.find('!').expect("it was just seen") + 1;
                    let digits = self.text[self.at..].bytes().take_while(u8::is_ascii_digit).count();
                    self.at += digits;
                }
                '/' if rest.starts_with("/*") => self.skip_past(&rest[2..], "*/"),
                '`' => return Some(Ok(self.quoted(start, '`', false))),
                '"' if self.ansi_quotes => return Some(Ok(self.quoted(start, '"', false))),
                '"' | '\'' => {
                    self.quoted(start, next, self.backslashes);
                    return Some(Err(next));
                }
                c if c.is_alphanumeric() || c == '_' || c == '$' => {
                    let length =
                        rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
                    self.at += length;
                    return Some(Ok(Name { text: rest[..length].to_owned(), start, end: self.at }));
                }
                c => {
                    self.at += c.len_utf8();
                    return Some(Err(c));
                }
            }
        }
    }

    fn skip_past(&mut self, rest: &str, end: &str) {
        let offset = self.text.len() - rest.len();
        self.at = rest.find(end).map_or(self.text.len(), |at| offset + at + end.len());
    }

    fn quoted(&mut self, start: usize, quote: char, backslashes: bool) -> Name {
        let mut text = String::new();
        let mut chars = self.text[start + 1..].char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == '\\' && backslashes {
                chars.next();
            } else if c == quote {
                if chars.next_if(|(_, next)| *next == quote).is_some() {
                    text.push(quote);
                } else {
                    self.at = start + 1 + at + 1;
                    return Name { text, start, end: self.at };
                }
            } else {
                text.push(c);
            }
        }
        self.at = self.text.len();
        Name { text, start, end: self.at }
    }
}

/// Every pair of names with a point between them, as `database.table`, `table.column`, …
pub(crate) fn qualified_pairs(text: &str, sql_mode: &str) -> Vec<(String, String)> {
    let mut names = Names::new(text, sql_mode);
    let mut pairs = Vec::new();
    let mut before: Option<Name> = None;
    let mut point = false;
    while let Some(token) = names.token() {
        match token {
            Ok(name) => {
                if let (Some(first), true) = (&before, point) {
                    pairs.push((first.text.clone(), name.text.clone()));
                }
                before = Some(name);
                point = false;
            }
            Err('.') if before.is_some() => point = true,
            Err(_) => {
                before = None;
                point = false;
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        string(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_hold_no_raw_control_character_that_a_client_would_change() {
        assert_eq!(quoted(b"it's"), "'it''s'");
        assert_eq!(quoted(b"a\\b\r\n\0\x1a\t"), "'a\\\\b\\r\\n\\0\\Z\t'");
        assert_eq!(quoted("é\u{1F600}".as_bytes()), "'é\u{1F600}'");
        assert_eq!(quoted(b""), "''");
        // At every place within and behind the blocks of the search.
        for length in 0..100 {
            let text = format!("{}\t'{}", "x".repeat(length), "y".repeat(length));
            assert_eq!(quoted(text.as_bytes()), format!("'{}'", text.replace('\'', "''")));
        }
    }

    #[test]
    fn bytes_are_hex_and_no_bytes_are_the_empty_string() {
        let mut out = Vec::new();
        hex(&mut out, &[0, 0x0a, 0xff]);
        hex(&mut out, &[]);
        assert_eq!(out, b"0x000AFF''");
    }

    #[test]
    fn identifiers_double_their_quotes() {
        assert_eq!(identifier("a`b\n\\! x"), "`a``b\n\\! x`");
    }

    #[test]
    fn delimiters_do_not_occur_in_the_body() {
        assert_eq!(delimiter(b"select 1"), ";;");
        assert_eq!(delimiter(b"select 1;; // "), "$$");
        assert_eq!(delimiter(b"end;"), ";;");
        assert_eq!(delimiter(b";; // $$ $nightvault0$"), "$nightvault1$");
    }

    #[test]
    fn surrogates_pass_as_the_server_lets_them_and_other_bad_bytes_do_not() {
        assert_eq!(utf8("aé".as_bytes()), Some(true));
        assert_eq!(utf8(&[b'a', 0xed, 0xa0, 0x80, b'b']), Some(false));
        assert_eq!(utf8(&[0xff]), None);
        assert_eq!(utf8(&[0xc3]), None);
    }

    #[test]
    fn names_in_strings_and_comments_are_not_names() {
        let text = "select `a`.`b``c`, 'x.y' /* q.r */ from d . e -- f.g\n where # h.i\n j.k = \"l.m\" /*!50000 n.o */";
        let expected = [("a", "b`c"), ("d", "e"), ("j", "k"), ("n", "o")];
        let expected: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(qualified_pairs(text, ""), expected);
        assert_eq!(qualified_pairs("\"l\".\"m\"", "ANSI_QUOTES"), vec![("l".to_owned(), "m".to_owned())]);
        assert_eq!(qualified_pairs("'it\\'s a.b'", ""), vec![]);
    }
}
