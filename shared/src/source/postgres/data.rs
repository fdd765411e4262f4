//! The rows: each table as one `COPY … FROM stdin` block, streamed as the server sends it, never decoded.
//!
//! A row costs a count and a copy. Rows are counted as newlines, of which COPY's text format has exactly one per row; for
//! a table of a few pages the server's own `count(*)` is a second witness. A row over the limit is refused before the
//! table is read where its size can be known, and at the latest when it arrives.

use std::io::BufRead;

use futures_util::TryStreamExt;

use super::columns::Column;
use super::failure::failed;
use super::quote::{ident, shown};
use super::session::Session;
use super::tables::Table;
use crate::archive::manifest::TableManifest;
use crate::source::{DumpLimits, DumpWriter};
use crate::{Class, Error, Result};

/// A table under this size, in bytes, is counted a second time by the server.
const COUNTED_BYTES: u64 = 4 << 20;
/// How many times smaller than its text a stored value can be: PGLZ's shortest code stands for 273 bytes with three,
/// LZ4's run of lengths for 255 with one, and bytea prints each byte as two.
const MOST_COMPRESSED: u64 = 512;
/// How much of one row is handed on at a time, in bytes.
const SLICE_BYTES: usize = 256 << 10;
/// Rows between two notes of progress.
const ROWS_PER_NOTE: u64 = 1024;

/// Dumps one table's rows.
pub(super) async fn dump(
    session: &mut Session,
    table: &Table,
    columns: &[Column],
    limits: &DumpLimits,
    out: &mut DumpWriter<'_>,
) -> Result<TableManifest> {
    let name = table.qualified();
    let plain = format!("{}.{}", shown(&table.schema), shown(&table.name));
    out.progress().set_current(plain.clone());
    let columns: Vec<&Column> = columns.iter().filter(|column| !column.generated).collect();
    refuse_large_rows(session, table, &columns, limits).await?;

    let quoted: Vec<String> = columns.iter().map(|column| ident(&column.name)).collect();
    // A table without columns has rows all the same; an empty list is no SQL.
    let list = if quoted.is_empty() { String::new() } else { format!("({}) ", quoted.join(", ")) };
    let offset = out.start_section().await?;
    out.put_str(&format!("COPY {name} {list}FROM stdin;\n"));
    let (sql, counted) = match &table.filter {
        None => (format!("COPY {name} {list}TO STDOUT"), name.clone()),
        Some(filter) => {
            let (names, from) = (quoted.join(", "), format!("{name} {filter}"));
            (format!("COPY (SELECT {names} FROM ONLY {from}) TO STDOUT"), from)
        }
    };
    let rows = copy(session, &sql, &plain, limits, out).await?;
    out.put(b"\\.\n\n");
    let bytes = out.position() - offset;
    let sha256 = out.end_section().await?;

    if table.bytes < COUNTED_BYTES {
        let count = session.row("counting the rows", &format!("SELECT count(*) AS rows FROM ONLY {counted}")).await?;
        if count.int("rows")?.unsigned_abs() != rows {
            return Err(Error::new(
                Class::Inconsistent,
                format!("table {plain} sent {rows} rows and counts {}", count.text("rows")?),
            ));
        }
    }
    Ok(TableManifest {
        schema: Some(table.schema.clone()),
        name: table.name.clone(),
        rows,
        offset,
        bytes,
        sha256,
        longest_statement: None,
    })
}

/// Streams the rows into the dump and counts them.
async fn copy(
    session: &mut Session,
    sql: &str,
    plain: &str,
    limits: &DumpLimits,
    out: &mut DumpWriter<'_>,
) -> Result<u64> {
    let reading = |error| failed(format!("cannot read table {plain}"), error);
    let mut stream = session.connection().copy_out_raw(sql).await.map_err(reading)?;
    let (mut rows, mut noted) = (0u64, 0u64);
    while let Some(message) = stream.try_next().await.map_err(reading)? {
        if message.len() as u64 > limits.max_row_bytes {
            return Err(too_large(plain, message.len() as u64, limits));
        }
        rows += newlines(&message);
        if message.len() <= SLICE_BYTES {
            out.put(&message);
            out.flush_if_full().await?;
        } else {
            for slice in message.chunks(SLICE_BYTES) {
                out.put(slice);
                out.flush_if_full().await?;
            }
        }
        if rows - noted >= ROWS_PER_NOTE {
            out.progress().add_rows(rows - noted);
            noted = rows;
        }
    }
    out.progress().add_rows(rows - noted);
    Ok(rows)
}

/// How many newlines there are, by the search of the C library, which is quick in every build.
pub(crate) fn newlines(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    loop {
        let before = bytes;
        match bytes.skip_until(b'\n') {
            Ok(length) if length > 0 => count += u64::from(before[length - 1] == b'\n'),
            // A slice cannot fail to be read.
            _ => return count,
        }
    }
}

/// Asks for the largest row where the table has enough out-of-line bytes to hold one over the limit.
async fn refuse_large_rows(
    session: &mut Session,
    table: &Table,
    columns: &[&Column],
    limits: &DumpLimits,
) -> Result<()> {
    if table.toast_bytes.saturating_mul(MOST_COMPRESSED) < limits.max_row_bytes {
        return Ok(());
    }
    let sizes: Vec<String> =
        columns.iter().filter(|column| column.variable).map(|column| size(column, limits)).collect();
    if sizes.is_empty() {
        return Ok(());
    }
    let query =
        format!("SELECT coalesce(max({}), 0)::int8 AS bytes FROM ONLY {}", sizes.join(" + "), table.qualified());
    let plain = format!("{}.{}", shown(&table.schema), shown(&table.name));
    let largest =
        session.row(&format!("measuring the rows of table {plain}"), &query).await?.int("bytes")?.unsigned_abs();
    if largest > limits.max_row_bytes { Err(too_large(&plain, largest, limits)) } else { Ok(()) }
}

/// An expression for the bytes that a column's value takes in dump text; reads no value that is small enough anyway.
fn size(column: &Column, limits: &DumpLimits) -> String {
    let name = ident(&column.name);
    let limit = limits.max_row_bytes;
    let escaped = |text: &str| {
        format!("octet_length({text})::int8 * 2 - octet_length(translate({text}, E'\\\\\\n\\r\\t\\b\\f\\v', ''))")
    };
    match column.base_type.as_str() {
        // The length of these is known without reading the value.
        "bytea" => format!("coalesce(octet_length({name})::int8 * 2 + 3, 0)"),
        "text" | "varchar" => format!(
            "coalesce(CASE WHEN octet_length({name})::int8 * 2 <= {limit} THEN octet_length({name})::int8 ELSE {} END, 0)",
            escaped(&format!("{name}::text"))
        ),
        _ => format!(
            "coalesce(CASE WHEN pg_column_size({name})::int8 * {MOST_COMPRESSED} <= {limit} THEN pg_column_size({name})::int8 \
             ELSE {} END, 0)",
            escaped(&format!("{name}::text"))
        ),
    }
}

/// A row that memory is not meant to hold.
fn too_large(table: &str, bytes: u64, limits: &DumpLimits) -> Error {
    Error::new(
        Class::Limit,
        format!("table {table} holds a row of {bytes} bytes of dump text; the limit is {}", limits.max_row_bytes),
    )
    .hint("Raise the limit for rows and give the process three times as much memory as the largest row takes.")
}

#[cfg(test)]
mod tests {
    use super::newlines;

    #[test]
    fn rows_are_counted_by_their_newlines_wherever_a_message_ends() {
        for (bytes, wanted) in [("", 0), ("a", 0), ("\n", 1), ("a\nb", 1), ("a\n\nb\n", 3)] {
            assert_eq!(newlines(bytes.as_bytes()), wanted, "{bytes:?}");
        }
    }
}
