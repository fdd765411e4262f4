//! What an archive password must be, wherever it comes from.
//!
//! The format derives its key by a thousand rounds of PBKDF2-HMAC-SHA1, which is cheap to try; only the password's own
//! strength protects an archive. And every reader must arrive at the same bytes: readers disagree about the encoding of
//! anything but ASCII, and 7-Zip takes 99 bytes at most (`kPasswordSizeMax` in its `CPP/7zip/Crypto/WzAes.h`).

use base64::Engine;

use crate::secret::Secret;
use crate::{Class, Error, Result};

/// The fewest characters of a strong password.
const FEWEST: usize = 32;
/// The most bytes that 7-Zip takes.
const MOST: usize = 99;

/// A new password: 32 random bytes of the operating system, in base64.
///
/// # Errors
/// When the operating system has no random numbers to give.
pub fn generate_password() -> Result<Secret> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut()).map_err(|error| {
        Error::new(Class::Transient, "the operating system gave no random numbers for a password")
            .because(error.to_string())
    })?;
    Ok(Secret::new(base64::engine::general_purpose::STANDARD.encode(bytes.as_ref())))
}

/// Takes off one newline at the end (files and editors add it) and checks the rest. The error is a clause that follows
/// the name of the variable or secret and quotes nothing.
pub(crate) fn check_password(written: &Secret, allow_weak: bool) -> Result<Secret, String> {
    let text = without_newline(written.expose());
    let length = text.chars().count();
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.chars().any(char::is_control) {
        return Err("has a control character".into());
    }
    if !text.is_ascii() {
        return Err("has characters beyond ASCII, which other programs encode in different ways".into());
    }
    if length > MOST {
        return Err(format!("has {length} characters, and 7-Zip takes {MOST} at most"));
    }
    if length < FEWEST && !allow_weak {
        return Err(format!(
            "has {length} characters, fewer than {FEWEST} (BACKUP_ALLOW_WEAK_PASSWORD=true takes it as it is)"
        ));
    }
    let distinct = text.bytes().collect::<std::collections::BTreeSet<_>>().len();
    if distinct < 8 && !allow_weak {
        return Err(format!(
            "has only {distinct} different characters (BACKUP_ALLOW_WEAK_PASSWORD=true takes it as it is)"
        ));
    }
    Ok(Secret::new(text))
}

/// Whether the text ends in a newline that [`check_password`] takes off.
pub(crate) fn ends_in_newline(text: &str) -> bool {
    without_newline(text).len() != text.len()
}

fn without_newline(text: &str) -> &str {
    let line = text.strip_suffix('\n').unwrap_or(text);
    if line.len() == text.len() { line } else { line.strip_suffix('\r').unwrap_or(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRONG: &str = "0123456789abcdefghijklmnopqrstuv";

    fn check(text: &str) -> Result<String, String> {
        check_password(&Secret::new(text), false).map(|password| password.expose().to_owned())
    }

    #[test]
    fn one_newline_at_the_end_is_taken_off_and_a_second_is_refused() {
        assert_eq!(check(&format!("{STRONG}\n")).as_deref(), Ok(STRONG));
        assert_eq!(check(&format!("{STRONG}\r\n")).as_deref(), Ok(STRONG));
        assert!(check(&format!("{STRONG}\n\n")).unwrap_err().contains("control"));
        assert!(ends_in_newline("x\n") && !ends_in_newline("x\r") && !ends_in_newline("x"));
    }

    #[test]
    fn what_other_readers_cannot_type_or_take_is_refused() {
        for (text, word) in [
            (format!("{STRONG}\0"), "control"),
            (format!("{STRONG}é"), "ASCII"),
            (STRONG.repeat(4), "99 at most"),
            ("Passw0rd!2024".into(), "fewer than 32"),
            ("ababababababababababababababababab".into(), "2 different"),
            ("\n".into(), "empty"),
        ] {
            let wrong = check(&text).unwrap_err();
            assert!(wrong.contains(word), "{wrong}");
            assert!(!wrong.contains(text.trim()) || text.trim().is_empty(), "{wrong}");
        }
    }

    #[test]
    fn a_generated_password_is_one_that_is_taken_and_no_two_are_alike() {
        let (one, other) = (generate_password().unwrap(), generate_password().unwrap());
        assert_eq!(check_password(&one, false).unwrap(), one);
        assert_ne!(one, other);
    }

    #[test]
    fn a_weak_password_is_taken_only_when_that_is_asked_for() {
        assert!(check_password(&Secret::new("short"), true).is_ok());
        assert!(check_password(&Secret::new("short é"), true).is_err());
    }
}
