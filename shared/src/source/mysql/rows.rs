//! A table's rows, from the wire into the dump.
//!
//! One query for the whole table, read as it comes: memory holds one packet and one row. A row costs no allocation of
//! ours; its text is built in one buffer that lives as long as the table. A statement ends before it grows beyond
//! [`STATEMENT_BYTES`], so that only a single huge row makes a larger one.

use futures_util::StreamExt;

use super::columns::{self, Form};
use super::inventory::Table;
use super::quoting::{identifier, identifiers, literal};
use super::session::{Session, failed, value};
use crate::archive::manifest::TableManifest;
use crate::source::{DumpLimits, DumpWriter};
use crate::{Class, Error, Result};

/// How large a statement of several rows may be, in bytes: far below every server's and client's packet limit, of which
/// the smallest common one is 4 MiB
/// (<https://dev.mysql.com/doc/refman/5.7/en/server-system-variables.html#sysvar_max_allowed_packet>).
const STATEMENT_BYTES: usize = 1 << 20;

/// How many rows are counted before they are told.
const TOLD_ROWS: u64 = 1000;

/// Writes a table's rows as a section of the dump.
pub(super) async fn write(
    session: &mut Session,
    table: &Table,
    limits: &DumpLimits,
    out: &mut DumpWriter<'_>,
) -> Result<TableManifest> {
    let quoted = identifier(&table.name);
    out.progress().set_current(table.name.clone());
    refuse_huge_rows(session, table, limits).await?;

    let offset = out.start_section().await?;
    let head = format!(
        "INSERT INTO {quoted} ({}) VALUES\n",
        identifiers(table.columns.iter().map(|column| column.name.as_str()))
    );
    let forms: Vec<Form> = table.columns.iter().map(|column| column.form).collect();
    let mut rows = 0u64;
    let mut statement = 0usize;
    let (mut longest, mut begun) = (0, 0);
    let mut text: Vec<u8> = Vec::with_capacity(64 << 10);
    let mut stream = session.stream(select(table));
    while let Some(row) = stream.next().await {
        let row = row.map_err(|cause| failed(cause, format!("reading table {quoted} failed after {rows} rows")))?;
        text.clear();
        text.push(b'(');
        for (index, form) in forms.iter().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            let value = value(&row, index + 1)
                .map_err(|cause| failed(cause, format!("reading table {quoted} failed after {rows} rows")))?;
            columns::write(&mut text, *form, value).map_err(|what| {
                Error::unsupported(format!(
                    "column {} of table {quoted} {what} (row {})",
                    identifier(&table.columns[index].name),
                    rows + 1
                ))
            })?;
        }
        text.push(b')');
        if text.len() as u64 > limits.max_row_bytes {
            return Err(too_large(&quoted, limits));
        }
        if rows == 0 {
            out.put_str("START TRANSACTION;\n");
        }
        if statement == 0 || statement + text.len() + 4 > STATEMENT_BYTES {
            if statement > 0 {
                longest = longest.max(out.position() - begun);
                out.put(b";\n");
            }
            begun = out.position();
            out.put_str(&head);
            statement = head.len();
        } else {
            out.put(b",\n");
        }
        out.put(&text);
        statement += text.len() + 2;
        text.shrink_to(STATEMENT_BYTES);
        rows += 1;
        if rows.is_multiple_of(TOLD_ROWS) {
            out.progress().add_rows(TOLD_ROWS);
        }
        out.flush_if_full().await?;
    }
    drop(stream);
    if rows > 0 {
        longest = longest.max(out.position() - begun);
        out.put(b";\nCOMMIT;\n");
    }
    out.progress().add_rows(rows % TOLD_ROWS);
    let sha256 = out.end_section().await?;
    let longest_statement = (rows > 0).then_some(longest);
    let bytes = out.position() - offset;
    Ok(TableManifest { schema: None, name: table.name.clone(), rows, offset, bytes, sha256, longest_statement })
}

/// All rows in the order of the primary key, in which they lie on disk.
fn select(table: &Table) -> String {
    // The driver takes a row whose first value is 16 MiB or larger for the end of the result, since both start with the
    // same byte; so the first value is a small one, always.
    let mut sql = "SELECT 1".to_owned();
    for column in &table.columns {
        sql.push_str(", ");
        sql.push_str(&column.expression);
    }
    sql.push_str(" FROM ");
    sql.push_str(&identifier(&table.name));
    if table.versioned {
        sql.push_str(" FOR SYSTEM_TIME ALL");
    }
    if table.key.is_empty() {
        // By no index that happens to hold all columns: by the table itself.
        sql.push_str(" USE INDEX ()");
    } else {
        sql.push_str(" FORCE INDEX (PRIMARY) ORDER BY ");
        sql.push_str(&identifiers(table.key.iter().map(String::as_str)));
    }
    sql
}

/// Looks for a row that is larger than memory allows, where the table could hold one, before any is read.
async fn refuse_huge_rows(session: &mut Session, table: &Table, limits: &DumpLimits) -> Result<()> {
    // Hexadecimal and escapes take two bytes for one at most.
    let possible: u64 = table.columns.iter().map(|column| column.max_bytes.saturating_mul(2).saturating_add(8)).sum();
    if possible <= limits.max_row_bytes {
        return Ok(());
    }
    let quoted = identifier(&table.name);
    let name = literal(&table.name);
    let sql = format!(
        "SELECT DATA_LENGTH FROM information_schema.TABLES WHERE {} AND TABLE_NAME = {name} AND BINARY TABLE_NAME = {name}",
        session.here("TABLE_SCHEMA")
    );
    let size = session.one(&sql).await?.number(0)?;
    // A row cannot be larger than the pages of its table. The figure may be some minutes old, so there is a margin.
    if !table.compressed && size.saturating_mul(4) <= limits.max_row_bytes {
        return Ok(());
    }
    let lengths: Vec<_> = table
        .columns
        .iter()
        .map(|column| {
            let weight = if column.form == Form::Hex { 2 } else { 1 };
            format!("COALESCE(LENGTH({}), 4) * {weight}", identifier(&column.name))
        })
        .collect();
    let all = if table.versioned { " FOR SYSTEM_TIME ALL" } else { "" };
    let sql = format!("SELECT 1 FROM {quoted}{all} WHERE {} > {} LIMIT 1", lengths.join(" + "), limits.max_row_bytes);
    if session.all(&sql).await?.is_empty() { Ok(()) } else { Err(too_large(&quoted, limits)) }
}

fn too_large(quoted: &str, limits: &DumpLimits) -> Error {
    Error::new(
        Class::Limit,
        format!("a row of table {quoted} takes more than {} bytes of dump text", limits.max_row_bytes),
    )
    .hint("Raise the limit for rows, and the memory of the function with it: about three times the row.")
}
