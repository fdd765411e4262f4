//! The program is killed while it restores: in one transaction nothing is left, over several connections a part is, which is
//! never taken for a whole; and no session of it goes on.
//!
//! The dump's own statements wait at gates: locks that the test holds in the target. So the moment of the kill is known.

use super::{objects, url, vault_of};
use crate::restore::backed_up;
use crate::support::gate::{Gate, Running, eventually};
use crate::support::nightvault::Nightvault;
use crate::support::postgres::{Scratch, psql};

/// Rows, an index and a materialized view that each wait for a lock of their own.
const SOURCE: &str = "
CREATE FUNCTION gate(place int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(4711, place); RETURN place; END $$;
CREATE TABLE a_free (id int PRIMARY KEY, note text DEFAULT 'x');
INSERT INTO a_free (id) SELECT generate_series(1, 1000);
CREATE TABLE gated (id int PRIMARY KEY REFERENCES a_free, place int CHECK (public.gate(place) > 0));
INSERT INTO gated VALUES (1, 1), (2, 1);
CREATE INDEX gated_place ON gated (public.gate(place + 1));
CREATE MATERIALIZED VIEW seen AS SELECT public.gate(place + 2) AS place FROM gated;
";

/// Where the restore stands when it is killed, and what the holder locks for that.
const MAKING_TABLES: &str = "LOCK TABLE pg_catalog.pg_attrdef IN SHARE MODE";
const LOADING_ROWS: &str = "SELECT pg_advisory_xact_lock(4711, 1)";
const MAKING_INDEXES: &str = "SELECT pg_advisory_xact_lock(4711, 2)";
const FILLING_A_VIEW: &str = "SELECT pg_advisory_xact_lock(4711, 3)";

fn source() -> (Scratch, Nightvault) {
    let source = Scratch::new();
    source.psql(SOURCE);
    let nightvault = vault_of(&source);
    backed_up(&nightvault);
    (source, nightvault)
}

fn sessions(target: &Scratch, condition: &str) -> bool {
    let name = &target.name;
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND application_name = 'nightvault' AND {condition}"
    );
    psql("postgres", &sql).trim() != "0"
}

/// Restores into `target` and kills the program at the gate. Whether the gate opens before the sessions are gone, or never.
fn killed(nightvault: &Nightvault, target: &Scratch, jobs: &str, gate: &str, opens: bool) {
    let gate = Gate::postgres(&target.name, gate);
    let mut restore =
        Running::start(nightvault.command(&["restore", "latest", "--to", &url(&target.name), "--jobs", jobs]));
    restore.until("it waits at the gate", || sessions(target, "wait_event_type = 'Lock'"));
    restore.kill();
    let closed = (!opens).then_some(gate);
    eventually("all sessions are gone", || !sessions(target, "true"));
    drop(closed);
}

#[test]
fn one_transaction_leaves_nothing_wherever_the_program_is_killed() {
    let (source, nightvault) = source();
    let target = Scratch::new();
    for gate in [MAKING_TABLES, LOADING_ROWS, MAKING_INDEXES, FILLING_A_VIEW] {
        killed(&nightvault, &target, "1", gate, true);
        assert_eq!(objects(&target).trim(), "0", "{gate}");
    }
    nightvault.ok(&["restore", "latest", "--to", &url(&target.name)]);
    source.assert_same_as(&target);
}

#[test]
fn several_connections_leave_a_part_that_the_next_try_refuses() {
    let (source, nightvault) = source();
    let indexes = "SELECT count(*) FROM pg_class WHERE relname = 'gated_place' AND relkind = 'i'";
    let filled = "SELECT count(*) FROM pg_class WHERE relname = 'seen' AND relispopulated";
    for (gate, rows, index) in [(LOADING_ROWS, "0", "0"), (MAKING_INDEXES, "2", "1"), (FILLING_A_VIEW, "2", "1")] {
        let target = Scratch::new();
        killed(&nightvault, &target, "2", gate, true);
        // A statement that the server was in the middle of may still have come to its end; nothing came behind it.
        assert_eq!(target.psql("SELECT count(*) FROM gated").trim(), rows, "{gate}");
        assert!(target.psql(indexes).trim() <= index, "{gate}");
        assert_eq!(target.psql(filled).trim(), "0", "{gate}: it is not whole");

        let said = nightvault.fails(2, &["restore", "latest", "--to", &url(&target.name), "--jobs", "2"]);
        for wanted in ["the database is not empty", "public.gated", "CREATE DATABASE x TEMPLATE template0"] {
            assert!(said.stderr.contains(wanted), "{gate}: {wanted}: {said:?}");
        }
        assert_eq!(target.psql("SELECT count(*) FROM gated").trim(), rows, "{gate}: and nothing was done");
    }
    let fresh = Scratch::new();
    nightvault.ok(&["restore", "latest", "--to", &url(&fresh.name), "--jobs", "2"]);
    source.assert_same_as(&fresh);
}

#[test]
fn killed_before_the_first_commit_several_connections_leave_nothing_either() {
    let (source, nightvault) = source();
    let target = Scratch::new();
    killed(&nightvault, &target, "2", MAKING_TABLES, true);
    assert_eq!(objects(&target).trim(), "0");
    nightvault.ok(&["restore", "latest", "--to", &url(&target.name), "--jobs", "2"]);
    source.assert_same_as(&target);
}

#[test]
fn a_session_whose_program_is_gone_does_not_wait_for_ever() {
    let (_source, nightvault) = source();
    for jobs in ["1", "2"] {
        let target = Scratch::new();
        killed(&nightvault, &target, jobs, MAKING_INDEXES, false);
    }
}
