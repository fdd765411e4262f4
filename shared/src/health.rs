//! Whether the backups are what they should be.
