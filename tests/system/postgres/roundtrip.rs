//! Dump, restore with psql, compare with pg_dump of the original.

use crate::support::postgres::{Scratch, assert_same};

/// Dumps `original`, restores it, and compares schema and rows.
async fn assert_round_trip(original: &Scratch) -> String {
    let (sql, _) = original.dump().await.unwrap();
    let restored = original.restored(&sql);
    assert_same("schemas", &original.pg_dump_schema(), &restored.pg_dump_schema());
    assert_same("rows", &original.pg_dump_rows(), &restored.pg_dump_rows());
    sql
}

#[tokio::test]
async fn a_clinic_comes_back_as_it_was() {
    let original = Scratch::of("clinic.sql");
    assert_round_trip(&original).await;
}

#[tokio::test]
async fn an_object_of_every_kind_comes_back_as_it_was() {
    let original = Scratch::of("kinds.sql");
    assert_round_trip(&original).await;
}
