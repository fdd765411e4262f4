//! Sequences of MariaDB as defaults: behind the rows that came back they go on where the backup's rows end.

use serde_json::json;

use super::clinic::{Clinic, Engine};

#[test]
fn a_sequence_that_a_default_takes_values_from_is_moved_on_in_mariadb_and_never_back() {
    let clinic = Clinic::with(Engine::MariaDb, |clinic| {
        clinic.ask(
            "CREATE SEQUENCE `num``bers` START WITH 1 INCREMENT BY 5 CACHE 10; CREATE SEQUENCE far START WITH 900;
             CREATE SEQUENCE down START WITH -1 INCREMENT BY -1 MAXVALUE -1;
             CREATE TABLE tickets (id int PRIMARY KEY DEFAULT NEXTVAL(`num``bers`), tenant_id int NOT NULL,
               far int DEFAULT NEXTVAL(far), down int DEFAULT NEXTVAL(down), note text DEFAULT 'nextval(`clinic`.`x`)');
             INSERT INTO tickets (tenant_id) VALUES (7); INSERT INTO tickets (tenant_id) SELECT 42 FROM seq_1_to_40",
        );
        clinic.class("tickets", json!({"class": "tenant"}));
    });
    let ids = "SELECT GROUP_CONCAT(id ORDER BY id) FROM tickets WHERE tenant_id = 42";
    let before = clinic.ask(ids);
    // As a careless import does it.
    clinic.ask("DELETE FROM tickets WHERE tenant_id = 42; ALTER SEQUENCE `num``bers` RESTART 26");
    let report = clinic.nightvault.ok(&clinic.arguments(&["--into-live"]));
    assert_eq!(clinic.ask(ids), before);
    assert_eq!(report["counters"], json!([{"name": "num`bers", "from": 26, "to": 206}]));
    // The next row finds a number that is free; the sequence that was ahead went on by the one that was asked for.
    clinic.ask("INSERT INTO tickets (tenant_id) VALUES (42)");
    assert_eq!(clinic.ask("SELECT id, far > 940, down FROM tickets ORDER BY id DESC LIMIT 1").trim(), "206\t1\t-42");
}
