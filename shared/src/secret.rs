//! Values that must never be seen: passwords, webhook addresses.
//!
//! A [`Secret`] prints as `***` in every format, has no `Serialize`, and is wiped from memory when dropped.

use std::fmt;
use zeroize::Zeroizing;

/// A secret text. `Debug` and `Display` print `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself, for the one call that needs it. Never log or format the result.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret comes from: written in a variable, or kept in AWS Secrets Manager and fetched on every run (so that
/// a rotation is seen at once).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// The value, from a variable.
    Value(Secret),
    /// Name or ARN of a secret in AWS Secrets Manager.
    SecretsManager(String),
}
