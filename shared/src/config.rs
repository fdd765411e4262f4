//! Typed, validated configuration.
pub mod types;
pub use types::*;
