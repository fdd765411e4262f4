//! The PostgreSQL dumper against a real server: what it dumps restores with psql, and pg_dump sees no difference.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test itself does")]

mod consistency;
mod refusals;
mod roundtrip;
mod values;
