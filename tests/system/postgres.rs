//! The PostgreSQL dumper against a real server: what it dumps restores with psql, and pg_dump sees no difference.

mod consistency;
mod refusals;
mod roundtrip;
mod values;
