//! One tenant's data of a backup in a folder, for whoever asks for it: a CSV file for each table, all rows as SQL, and a list.
//!
//! The database that gives the schema is only looked at: its server refuses writes in this transaction. A folder that is
//! not empty is refused, nothing is written outside of it, and every file is for its owner's eyes alone. `manifest.json`
//! is written last: a folder without it is not whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::operation::Context;
use crate::report::TenantReport;
use crate::source::hex;
use crate::target::tenant::Place;
use crate::tenant::export::{
    Form, SQL_END, csv_header, csv_row, expression, file_name, form, insert, sql_head, sql_row,
};
use crate::tenant::sql::Statements;
use crate::{Class as ErrorClass, Error, Result};

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 64 << 10;

/// The list of what is in the folder.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    format_version: u32,
    backup: &'a str,
    database: &'a str,
    tenant_column: &'a str,
    tenant: &'a str,
    tables: Vec<Exported>,
    sql: Written,
}

#[derive(Debug, Serialize)]
struct Exported {
    table: String,
    rows: u64,
    #[serde(flatten)]
    csv: Written,
}

#[derive(Debug, Serialize)]
struct Written {
    file: String,
    bytes: u64,
    sha256: String,
}

/// A folder that takes an export.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder, or takes one that is empty.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorClass::Permission, format!("cannot use the folder {path:?}")).because(error)
        };
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if fs::read_dir(path).map_err(failed)?.next().is_some() {
                    return Err(Error::configuration(format!("the folder {path:?} is not empty"))
                        .hint("Name a new folder: an export never mixes with what is there."));
                }
            }
            Err(error) => return Err(failed(error)),
        }
        Ok(Self(path.to_owned()))
    }

    fn create(&self, name: String) -> Result<Output> {
        let path = self.0.join(&name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| failed(&path, error))?;
        Ok(Output { name, path, file: BufWriter::new(file), sha256: Sha256::new(), bytes: 0 })
    }
}

struct Output {
    name: String,
    path: PathBuf,
    file: BufWriter<File>,
    sha256: Sha256,
    bytes: u64,
}

impl Output {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| failed(&self.path, error))
    }

    fn finish(mut self) -> Result<Written> {
        let done = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        done.map_err(|error| failed(&self.path, error))?;
        Ok(Written { file: self.name, bytes: self.bytes, sha256: hex(&self.sha256.finalize()) })
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    let class = if error.kind() == ErrorKind::StorageFull { ErrorClass::Limit } else { ErrorClass::Permission };
    Error::new(class, format!("cannot write {path:?}")).because(error)
}

/// Writes the tenant's rows, of which the temporary tables hold those of all tenants yet.
pub(super) async fn export(
    place: &mut Place,
    statements: &Statements<'_>,
    report: &mut TenantReport,
    folder: &Folder,
    context: &Context,
) -> Result<()> {
    let dialect = statements.dialect;
    let mut sql = folder.create("tenant.sql".to_owned())?;
    sql.put(sql_head(dialect).as_bytes())?;
    let mut tables = Vec::new();
    for (number, table) in statements.classes.order.iter().enumerate() {
        let it = &statements.schema.tables[*table];
        let name = it.name.to_string();
        place.execute("leaving out other tenants' rows", &statements.keep_members(*table)).await?;
        let mut csv = folder.create(file_name(&name))?;
        let forms: Vec<Form> = it.stored().map(|column| form(dialect, column)).collect();
        let columns: Vec<String> = it.stored().map(|column| expression(dialect, column)).collect();
        let query = format!(
            "SELECT {} FROM {} ORDER BY {}",
            columns.join(", "),
            statements.rows(*table),
            statements.in_order(*table)
        );
        let head = insert(dialect, it);
        let (mut lines, mut statements, mut rows) = (Vec::new(), Vec::new(), 0);
        csv_header(&mut lines, it);
        context.progress.set_current(format!("exporting {name}"));
        place
            .each(&format!("reading the tenant's rows of {name}"), &query, forms.len(), |values| {
                csv_row(&mut lines, &forms, &values);
                sql_row(&mut statements, dialect, &head, &forms, &values)?;
                rows += 1;
                if lines.len() + statements.len() > BUFFER_BYTES {
                    csv.put(&lines)?;
                    sql.put(&statements)?;
                    lines.clear();
                    statements.clear();
                }
                Ok(())
            })
            .await?;
        csv.put(&lines)?;
        sql.put(&statements)?;
        context.progress.add_rows(rows);
        report.tables[number].backup_rows = rows;
        tables.push(Exported { table: name, rows, csv: csv.finish()? });
    }
    sql.put(SQL_END.as_bytes())?;
    let manifest = Manifest {
        format_version: 1,
        backup: &report.key,
        database: &report.database,
        tenant_column: &report.column,
        tenant: &report.tenant,
        tables,
        sql: sql.finish()?,
    };
    let text = serde_json::to_string_pretty(&manifest);
    let text = text.map_err(|error| Error::bug("the list of an export is no JSON").because(error))? + "\n";
    let mut list = folder.create("manifest.json".to_owned())?;
    list.put(text.as_bytes())?;
    list.finish()?;
    report.exported_to = Some(folder.0.display().to_string());
    Ok(())
}
