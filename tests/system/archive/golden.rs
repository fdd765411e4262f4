//! Archives of every format that was ever released.

/// The key of the archives here.
pub(crate) const KEY: &str = "clinic/2024-01-15-02-00-00.zip";
