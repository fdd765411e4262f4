//! The system tests: real databases, real S3 APIs, the built programs. `tests/run` starts the servers and says where
//! they are (`support`); a test that needs one and is not told where it is fails and says how to start it.

#![allow(clippy::unwrap_used, reason = "everything here is test code, its helpers too")]

mod alarms;
mod archive;
mod audit;
mod demo;
mod deploy;
mod documents;
mod drill;
mod extract;
mod failures;
mod files;
mod foreign;
mod holds;
mod lambda;
mod mysql;
mod night;
mod notify;
mod object_lock;
mod policies;
mod postgres;
mod restore;
mod runbook;
mod secrets;
mod sqlite;
mod stores;
mod support;
mod task;
mod tenants;
mod tls;
mod verify;
