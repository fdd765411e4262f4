//! The core of Nightvault: everything that the three Lambda functions and the command line do.
//!
//! The rooms stand in the order in which data flows; a room uses only rooms above it and the ground floor.
//!
//! ```text
//! config ─▶ source ─▶ archive ─▶ store ─▶ audit, catalog ─▶ retention, health ─▶ notify ─▶ operation
//! ground floor: error, secret, progress, report, environment, telemetry
//! ```
//!
//! `doc/design.md` says why, `doc/format.md` what others may rely on.

pub mod archive;
pub mod audit;
pub mod catalog;
pub mod config;
pub mod environment;
pub mod error;
pub mod health;
pub(crate) mod metrics;
pub mod notify;
pub mod operation;
pub mod progress;
pub mod report;
pub mod retention;
pub mod secret;
pub mod source;
pub mod store;
mod target;
pub mod telemetry;
mod tenant;

pub use error::{Class, Error, Result};
