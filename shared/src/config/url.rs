//! Takes addresses apart, strictly: what could be read in two ways is refused.
//!
//! The usual parsers read `postgres://u:p@ss/w#ord@host/db` as host `ss` and database `w` without a word, and send part
//! of the password to the name servers. Here a special character stands percent-encoded or the address is refused. No
//! message quotes any part of an address that may hold a password.

use crate::secret::Secret;

/// An address `scheme://[user[:password]@]host[:port]/path[?query]`, everything decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// In lower case.
    pub(super) scheme: String,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    /// Without the brackets of an IPv6 address; may be empty.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// What stands between the slashes behind the host; the first slash itself is not in it.
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(String, String)>,
}

impl Url {
    /// The path with its slash in front.
    pub(super) fn path(&self) -> String {
        format!("/{}", self.segments.join("/"))
    }
}

/// Takes an address apart. The error is a clause that follows the variable's name.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let (scheme, rest) = text.split_once("://").ok_or("has an address without scheme://")?;
    if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) {
        return Err("has an address with an odd scheme".into());
    }
    if rest.contains('#') {
        return Err("has a bare '#', which would end the address; write it as %23".into());
    }
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(authority_end);
    // An '@' behind the first slash or question mark: these stand in a password, or the '@' itself must be encoded.
    if rest.contains('@') || authority.matches('@').count() > 1 {
        return Err(
            "can be read in two ways: write '@' as %40, '/' as %2F, '?' as %3F and '#' as %23 where they stand in \
                    a user name or password, or use the DB_* variables, which take any character"
                .into(),
        );
    }
    let (user_info, host_port) = match authority.split_once('@') {
        Some((user_info, host_port)) => (Some(user_info), host_port),
        None => (None, authority),
    };
    let (user, password) = match user_info.map(|both| both.split_once(':').map_or((both, None), |(u, p)| (u, Some(p))))
    {
        Some((user, password)) => (Some(decode(user)?), password.map(decode).transpose()?.map(Secret::new)),
        None => (None, None),
    };
    let (host, port) = split_port(host_port)?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix('/').unwrap_or(path);
    let segments = path.split('/').filter(|_| !path.is_empty()).map(decode).collect::<Result<_, _>>()?;
    let query = query.split('&').filter(|pair| !pair.is_empty()).map(decode_pair).collect::<Result<_, _>>()?;
    Ok(Url { scheme: scheme.to_ascii_lowercase(), user, password, host: decode(host)?, port, segments, query })
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("has an address with '[' but no ']'")?;
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or("has text behind ']'")?) };
            (host, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map(|port| port.parse().ok().filter(|port| *port != 0).ok_or("has a port that is no port"));
    Ok((host, port.transpose()?))
}

fn decode_pair(pair: &str) -> Result<(String, String), String> {
    let (name, value) = pair.split_once('=').ok_or("has a parameter without '='")?;
    Ok((decode(name)?, decode(value)?))
}

/// Percent-decodes. A `%` that begins no code, and bytes that are no UTF-8 or NUL, are refused; `+` is a plus.
pub(super) fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first == b'%' {
            let code = behind.get(..2).and_then(hex).ok_or("has a '%' that begins no code; write it as %25")?;
            bytes.push(code);
            rest = &behind[2..];
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| "has percent-codes that are no UTF-8")?;
    if text.contains('\0') {
        return Err("has a NUL character".into());
    }
    Ok(text)
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let code = digit(digits[0])? * 16 + digit(digits[1])?;
    Some(u8::try_from(code).expect("two hex digits fit a byte"))
}
