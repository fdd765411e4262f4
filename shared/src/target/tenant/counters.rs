//! Sequences of PostgreSQL behind the rows that came back.
//!
//! `setval` is seen at once and is not undone by a rollback; `ALTER SEQUENCE … RESTART` belongs to the transaction
//! (<https://www.postgresql.org/docs/current/sql-altersequence.html>). An ALTER that changes nothing comes first: it keeps others
//! from the sequence, so that it is never moved back.

use super::postgres::Place;
use crate::report::MovedCounter;
use crate::tenant::dialect::Dialect;
use crate::tenant::sql::Statements;
use crate::{Error, Result};

pub(super) async fn move_on(it: &mut Place, statements: &Statements<'_>, place: usize) -> Result<Vec<MovedCounter>> {
    let table = &statements.schema.tables[place];
    let mut moved = Vec::new();
    for counter in &table.counters {
        let (sequence, shown) = (Dialect::Postgres.table(&counter.sequence), counter.sequence.to_string());
        let action = format!("moving the sequence {shown} on");
        let sql = format!(
            "SELECT max({}::int8)::text AS most FROM {}",
            Dialect::Postgres.ident(&counter.column),
            statements.rows(place)
        );
        let most = it.rows(&action, &sql, &["most"]).await?.into_iter().flatten().next().flatten();
        let Some(most) = most.and_then(|text| text.parse::<i64>().ok()) else { continue };
        let step = format!(
            "SELECT seqincrement::text AS step FROM pg_sequence WHERE seqrelid = {}::regclass",
            Dialect::Postgres.literal(&sequence)
        );
        let step = it.rows(&action, &step, &["step"]).await?.into_iter().flatten().next().flatten();
        let step: i64 = step.and_then(|text| text.parse().ok()).ok_or_else(|| Error::bug(action.clone()))?;
        if step < 1 || next(it, &action, &sequence, step).await? > most {
            continue;
        }
        it.execute(&action, &format!("ALTER SEQUENCE {sequence} INCREMENT BY {step}")).await?;
        let before = next(it, &action, &sequence, step).await?;
        let after = most.checked_add(step).ok_or_else(|| Error::unsupported(format!("{shown} has no number left")))?;
        if before <= most {
            it.execute(&action, &format!("ALTER SEQUENCE {sequence} RESTART WITH {after}")).await?;
            moved.push(MovedCounter { name: shown, from: before, to: after });
        }
    }
    Ok(moved)
}

/// The number that would come next.
async fn next(it: &mut Place, action: &str, sequence: &str, step: i64) -> Result<i64> {
    let sql = format!(
        "SELECT (CASE WHEN is_called THEN last_value + {step} ELSE last_value END)::text AS next FROM {sequence}"
    );
    let next = it.rows(action, &sql, &["next"]).await?.into_iter().flatten().next().flatten();
    next.and_then(|text| text.parse().ok()).ok_or_else(|| Error::bug(format!("{action}: the sequence has no value")))
}
