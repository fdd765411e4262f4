//! WinZip AE-2 with AES-256: what makes a compressed stream secret and tells when it was changed.
//!
//! Per entry: a random salt of 16 bytes; from password and salt, by PBKDF2-HMAC-SHA1 with 1000 rounds, a cipher key, a
//! key for the authentication code and two bytes by which a wrong password is told early; AES in counter mode, the
//! counter little-endian from 1; the first ten bytes of HMAC-SHA1 over the ciphertext. All of it is the format's choice
//! (<https://www.winzip.com/en/support/aes-encryption/>), none of it ours: 1000 rounds do little for a weak password.

use aes::Aes256;
use ctr::Ctr128LE;
use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::{Class, Error, Result};

/// Bytes of the salt.
pub(crate) const SALT_BYTES: usize = 16;
/// Bytes of the password verifier.
pub(crate) const VERIFIER_BYTES: usize = 2;
/// Bytes of the authentication code.
pub(crate) const CODE_BYTES: usize = 10;
/// What sealing adds to an entry's data.
pub(crate) const OVERHEAD_BYTES: u64 = (SALT_BYTES + VERIFIER_BYTES + CODE_BYTES) as u64;

const KEY_BYTES: usize = 32;
const ROUNDS: u32 = 1000;

/// The keys of one entry. They depend on password and salt alone, so they can be made before the entry is known.
pub(crate) struct Keys {
    salt: [u8; SALT_BYTES],
    derived: Zeroizing<[u8; 2 * KEY_BYTES + VERIFIER_BYTES]>,
}

impl Keys {
    /// Keys with a salt from the operating system's random numbers. Costs 8000 rounds of SHA-1.
    pub(crate) fn random(password: &Secret) -> Result<Self> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt)
            .map_err(|e| Error::new(Class::Transient, "the system gave no random numbers").because(e))?;
        Ok(Self::derive(password, salt))
    }

    /// The keys of a given salt.
    pub(crate) fn derive(password: &Secret, salt: [u8; SALT_BYTES]) -> Self {
        let mut derived = Zeroizing::new([0; 2 * KEY_BYTES + VERIFIER_BYTES]);
        pbkdf2::pbkdf2::<Hmac<Sha1>>(password.expose().as_bytes(), &salt, ROUNDS, derived.as_mut())
            .expect("HMAC takes a key of any length");
        Self { salt, derived }
    }

    /// What stands before the ciphertext: the salt and the verifier.
    pub(crate) fn prefix(&self) -> [u8; SALT_BYTES + VERIFIER_BYTES] {
        let mut prefix = [0; SALT_BYTES + VERIFIER_BYTES];
        prefix[..SALT_BYTES].copy_from_slice(&self.salt);
        prefix[SALT_BYTES..].copy_from_slice(&self.derived[2 * KEY_BYTES..]);
        prefix
    }
}

/// Encrypts and authenticates one entry, front to back.
pub(crate) struct Seal {
    cipher: Ctr128LE<Aes256>,
    code: Hmac<Sha1>,
}

impl Seal {
    /// Starts an entry.
    pub(crate) fn new(keys: &Keys) -> Self {
        Self { cipher: cipher(keys), code: mac(keys) }
    }

    /// Encrypts the next bytes in place.
    pub(crate) fn seal(&mut self, bytes: &mut [u8]) {
        self.cipher.apply_keystream(bytes);
        self.code.update(bytes);
    }

    /// The authentication code of all that was sealed.
    pub(crate) fn finish(self) -> [u8; CODE_BYTES] {
        shortened(self.code)
    }
}

/// Computes the authentication code of an entry's ciphertext, front to back.
pub(crate) struct Code(Hmac<Sha1>);

impl Code {
    /// Starts an entry.
    pub(crate) fn new(keys: &Keys) -> Self {
        Self(mac(keys))
    }

    /// Takes the next bytes of ciphertext.
    pub(crate) fn update(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    /// The code of all that was taken.
    pub(crate) fn finish(self) -> [u8; CODE_BYTES] {
        shortened(self.0)
    }
}

/// Decrypts in place what stands at `offset` in the ciphertext of an entry. Authenticates nothing.
pub(crate) fn open_at(keys: &Keys, offset: u64, bytes: &mut [u8]) {
    let mut cipher = cipher(keys);
    cipher.seek(offset);
    cipher.apply_keystream(bytes);
}

fn cipher(keys: &Keys) -> Ctr128LE<Aes256> {
    let counter = 1u128.to_le_bytes();
    Ctr128LE::<Aes256>::new_from_slices(&keys.derived[..KEY_BYTES], &counter)
        .expect("key and counter have the cipher's sizes")
}

fn mac(keys: &Keys) -> Hmac<Sha1> {
    Hmac::new_from_slice(&keys.derived[KEY_BYTES..2 * KEY_BYTES]).expect("HMAC takes a key of any length")
}

fn shortened(code: Hmac<Sha1>) -> [u8; CODE_BYTES] {
    let code = code.finalize().into_bytes();
    code[..CODE_BYTES].try_into().expect("SHA-1 has more than ten bytes")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::source::hex;

    /// Keys of PBKDF2-HMAC-SHA1("password", 16 × 'A', 1000), by Python's `hashlib.pbkdf2_hmac`.
    #[test]
    fn keys_are_those_of_an_independent_pbkdf2() {
        let keys = Keys::derive(&Secret::new("password"), [b'A'; 16]);
        assert_eq!(
            hex(&keys.derived[..]),
            "b74ef9126518e94c387329f3b4d19d7647a5fe655b7507bafdf78b4bfafe6abcb0a37cf9debcd8b1f8af14ccf22914a0242259fd58e7f2c2d9215e422f11ebbedb73"
        );
    }

    #[test]
    fn no_two_entries_share_a_salt() {
        let password = Secret::new("x");
        let salts: HashSet<[u8; 16]> = (0..1000).map(|_| Keys::random(&password).unwrap().salt).collect();
        assert_eq!(salts.len(), 1000);
    }

    #[test]
    fn sealing_in_slices_is_sealing_at_once() {
        let keys = Keys::derive(&Secret::new("password"), [7; 16]);
        let whole: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        let (mut at_once, mut sliced) = (whole.clone(), whole);
        let mut seal = Seal::new(&keys);
        seal.seal(&mut at_once);
        let code = seal.finish();
        let mut seal = Seal::new(&keys);
        for slice in sliced.chunks_mut(777) {
            seal.seal(slice);
        }
        assert_eq!((sliced, seal.finish()), (at_once, code));
    }
}
