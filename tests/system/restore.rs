//! `nightvault restore`: what was backed up comes back whole, or nothing is touched and the reason is told.

pub(crate) mod damage;
mod files;
mod judge;
mod mysql;
mod places;
mod postgres;
mod reading;
mod sqlite;

use std::path::Path;

use crate::support::nightvault::Nightvault;

/// Backs up what is configured and returns the key.
fn backed_up(nightvault: &Nightvault) -> String {
    nightvault.ok(&["run"])["key"].as_str().expect("a key").to_owned()
}

/// Flips a bit in the middle of an archive's first entry.
fn damage(archive: &Path) {
    let mut bytes = std::fs::read(archive).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    let mut permissions = std::fs::metadata(archive).unwrap().permissions();
    #[allow(clippy::permissions_set_readonly_false, reason = "a test's own file")]
    permissions.set_readonly(false);
    std::fs::set_permissions(archive, permissions).unwrap();
    std::fs::write(archive, bytes).unwrap();
}
