//! What stands against the restore of a tenant: it is named, and nothing changes.

use super::clinic::{Clinic, Engine};

/// Makes `trouble` after the backup; the restore must name all of `wanted`, and change nothing.
fn refused(clinic: &Clinic, trouble: &str, wanted: &[&str]) {
    clinic.ask(trouble);
    let before = clinic.all();
    let said = clinic.restores(&["--into-live"]);
    assert_eq!(said.code, 1, "{trouble}: {said:?}");
    for part in wanted {
        assert!(said.stderr.contains(part), "{part}: {said:?}");
    }
    assert!(said.stdout.contains("refused, nothing was changed"), "{said:?}");
    assert_eq!(clinic.all(), before, "{trouble}: something has changed");
}

fn first(clinic: &Clinic, sql: &str) -> String {
    clinic.ask(sql).trim().to_owned()
}

fn ids_and_unique_values(engine: Engine) {
    let clinic = Clinic::new(engine);
    let id = first(&clinic, "SELECT MAX(id) FROM categories WHERE tenant_id = 42");
    let user = first(&clinic, "SELECT MIN(id) FROM users WHERE tenant_id = 42");
    let other = first(&clinic, "SELECT MAX(id) FROM users WHERE tenant_id = 43");
    refused(
        &clinic,
        &format!(
            "DELETE FROM categories WHERE id = {id}; INSERT INTO categories (id, tenant_id, name) VALUES ({id}, 43, 'taken');
             UPDATE users SET mail = 'elsewhere@42' WHERE id = {user}; UPDATE users SET mail = 'user1@42' WHERE id = {other}"
        ),
        &[
            &format!("categories: 1 rows have a key that somebody else's row has now: {id}"),
            &format!("users: 1 rows have the same users_mail as somebody else's row: {user} ({other})"),
        ],
    );
}

fn rows_that_moved_between_tenants(engine: Engine) {
    let clinic = Clinic::new(engine);
    let theirs = first(&clinic, "SELECT MIN(id) FROM categories WHERE tenant_id = 42 AND parent_id IS NOT NULL");
    let others = first(&clinic, "SELECT MAX(id) FROM categories WHERE tenant_id = 43");
    refused(
        &clinic,
        &format!(
            "UPDATE categories SET tenant_id = 7 WHERE id = {theirs}; UPDATE categories SET tenant_id = 42 WHERE id = {others}"
        ),
        &[
            &format!("categories: 1 rows have a key that somebody else's row has now: {theirs}"),
            &format!("categories: 1 rows belonged to another tenant in the backup and are this tenant's now: {others}"),
        ],
    );
}

fn references_out_of_the_tenant_and_into_it(engine: Engine) {
    let clinic = Clinic::with(engine, |clinic| {
        // In the backup already: a visit of tenant 42 by a user of tenant 43.
        clinic.ask(
            "UPDATE visits SET user_id = (SELECT MAX(id) FROM users WHERE tenant_id = 43)
             WHERE id = (SELECT MIN(id) FROM comments WHERE visit_id IN
                (SELECT v.id FROM (SELECT * FROM visits) v JOIN patients p ON p.id = v.patient_id WHERE p.tenant_id = 42))",
        );
    });
    refused(
        &clinic,
        // The country of tenant 42's users is gone; a shared row refers to a user that the backup does not have.
        "UPDATE users SET country = NULL; UPDATE countries SET created_by = NULL; DELETE FROM countries WHERE code = 'de';
         INSERT INTO users (tenant_id, mail) VALUES (42, 'since@42');
         UPDATE countries SET created_by = (SELECT id FROM users WHERE mail = 'since@42')",
        &[
            "users: 10 rows refer by country to a row of",
            "countries which the database no longer has",
            "visits: 1 rows refer by user_id to a row of",
            "users which is not a row of the tenant in the backup",
            "countries: 1 rows are not the tenant's and refer to a row of",
            "users that would be deleted: fr (",
        ],
    );
}

#[test]
fn ids_and_unique_values_that_others_have_now_stop_it_in_postgres() {
    ids_and_unique_values(Engine::Postgres);
}

#[test]
fn ids_and_unique_values_that_others_have_now_stop_it_in_mariadb() {
    ids_and_unique_values(Engine::MariaDb);
}

#[test]
fn rows_that_moved_between_tenants_stop_it_in_postgres() {
    rows_that_moved_between_tenants(Engine::Postgres);
}

#[test]
fn rows_that_moved_between_tenants_stop_it_in_mariadb() {
    rows_that_moved_between_tenants(Engine::MariaDb);
}

#[test]
fn references_out_of_the_tenant_and_into_it_stop_it_in_postgres() {
    references_out_of_the_tenant_and_into_it(Engine::Postgres);
}

#[test]
fn references_out_of_the_tenant_and_into_it_stop_it_in_mariadb() {
    references_out_of_the_tenant_and_into_it(Engine::MariaDb);
}

#[test]
#[ignore = "needs MySQL: tests/run runs it where that can be had"]
fn what_stands_against_it_stops_it_in_mysql_too() {
    ids_and_unique_values(Engine::MySql);
    rows_that_moved_between_tenants(Engine::MySql);
    references_out_of_the_tenant_and_into_it(Engine::MySql);
}

#[test]
#[ignore = "needs MySQL: tests/run runs it where that can be had"]
fn keys_over_expressions_are_asked_in_mysql() {
    let clinic = Clinic::with(Engine::MySql, |clinic| {
        clinic.ask("CREATE UNIQUE INDEX users_lower ON users ((LOWER(CONCAT(mail, 'it''s \\\\'))))");
    });
    let theirs = first(&clinic, "SELECT MIN(id) FROM users WHERE tenant_id = 42");
    let other = first(&clinic, "SELECT MAX(id) FROM users WHERE tenant_id = 43");
    refused(
        &clinic,
        &format!(
            "ALTER TABLE users DROP KEY users_mail; UPDATE users SET mail = 'elsewhere@42' WHERE id = {theirs};
             UPDATE users SET mail = 'USER1@42' WHERE id = {other}"
        ),
        &[&format!("users: 1 rows have the same users_lower as somebody else's row: {theirs} ({other})")],
    );
}

#[test]
fn keys_over_expressions_and_parts_of_a_table_are_asked_too() {
    let clinic = Clinic::with(Engine::Postgres, |clinic| {
        clinic.ask("UPDATE patients SET name = 'unique Name' WHERE tenant_id = 42 AND number = 1");
    });
    let theirs = first(&clinic, "SELECT id FROM patients WHERE tenant_id = 42 AND number = 1");
    let other = first(&clinic, "SELECT id FROM patients WHERE tenant_id = 7 AND number = 1");
    refused(
        &clinic,
        &format!(
            "UPDATE patients SET name = 'gone' WHERE id = {theirs}; UPDATE patients SET name = 'unique name' WHERE id = {other}"
        ),
        &[&format!("have the same patients_name_everywhere as somebody else's row: {theirs} ({other})")],
    );
}
