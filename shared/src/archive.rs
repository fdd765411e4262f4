//! Placeholder while the rooms are built.
pub mod manifest;
pub mod reader;
