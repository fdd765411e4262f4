//! Sequences behind the rows that came back: they are moved on, and never back.
//!
//! PostgreSQL: `setval` is seen at once and is not undone by a rollback; `ALTER SEQUENCE … RESTART` belongs to the transaction
//! (<https://www.postgresql.org/docs/current/sql-altersequence.html>). An ALTER that changes nothing comes first: it keeps others
//! from the sequence, so that it is never moved back.
//!
//! MariaDB: `SETVAL` never goes back (<https://mariadb.com/kb/en/setval/>), and no transaction holds a sequence: one that was
//! moved on stays so when the restore fails behind it, as a counter of AUTO_INCREMENT does. It leaves a gap, no more.

use super::{mysql, postgres};
use crate::report::MovedCounter;
use crate::tenant::dialect::Dialect;
use crate::tenant::sql::Statements;
use crate::{Error, Result};

/// Moves those of a table of PostgreSQL on.
pub(super) async fn in_postgres(
    it: &mut postgres::Place,
    statements: &Statements<'_>,
    place: usize,
) -> Result<Vec<MovedCounter>> {
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

/// Moves those of a table of MariaDB on. `NEXTVAL` takes a number to know which would have come.
pub(super) async fn in_mariadb(
    it: &mut mysql::Place,
    statements: &Statements<'_>,
    place: usize,
) -> Result<Vec<MovedCounter>> {
    let mut moved = Vec::new();
    for counter in &statements.schema.tables[place].counters {
        let (sequence, shown) = (Dialect::Mysql.table(&counter.sequence), counter.sequence.to_string());
        let action = format!("moving the sequence {shown} on");
        let most = format!("SELECT MAX({}) FROM {}", Dialect::Mysql.ident(&counter.column), statements.rows(place));
        let Some(most) = number(it, &action, &most).await? else { continue };
        // A sequence that counts down, or has no number left, is left to whoever made it so.
        let room = format!("SELECT increment >= 0 AND maximum_value > {most} FROM {sequence}");
        if number(it, &action, &room).await? != Some(1) {
            continue;
        }
        let Some(from) = number(it, &action, &format!("SELECT NEXTVAL({sequence})")).await? else { continue };
        if from > most || number(it, &action, &format!("SELECT SETVAL({sequence}, {most}, 1)")).await?.is_none() {
            continue;
        }
        let to = number(it, &action, &format!("SELECT next_not_cached_value FROM {sequence}")).await?;
        let to = to.ok_or_else(|| Error::bug(format!("{action}: the sequence has no value")))?;
        moved.push(MovedCounter { name: shown, from, to });
    }
    Ok(moved)
}

/// The one whole number of an answer; `None`: NULL, or something else than such a number.
async fn number(it: &mut mysql::Place, action: &str, sql: &str) -> Result<Option<i64>> {
    let value = it.rows(action, sql, &["number"]).await?.into_iter().flatten().next().flatten();
    Ok(value.and_then(|text| text.parse().ok()))
}

/// The number that would come next.
async fn next(it: &mut postgres::Place, action: &str, sequence: &str, step: i64) -> Result<i64> {
    let sql = format!(
        "SELECT (CASE WHEN is_called THEN last_value + {step} ELSE last_value END)::text AS next FROM {sequence}"
    );
    let next = it.rows(action, &sql, &["next"]).await?.into_iter().flatten().next().flatten();
    next.and_then(|text| text.parse().ok()).ok_or_else(|| Error::bug(format!("{action}: the sequence has no value")))
}
