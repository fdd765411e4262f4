//! The map of tenants: made from a live schema, added to when tables come, never written over.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::way;
use crate::config::DatabaseConfig;
use crate::environment::Environment;
use crate::operation::Context;
use crate::report::{ClassedTable, TenantsReport};
use crate::target::tenant::Place;
use crate::tenant::classify::classify;
use crate::tenant::map::{Entry, Map, Word};
use crate::{Class as ErrorClass, Error, Result};

/// For which database a map is to be made.
#[derive(Clone)]
pub struct PlanRequest {
    /// The live database; `None` = the configured one.
    pub to: Option<DatabaseConfig>,
    /// Which of the configured databases, where there is more than one.
    pub database: Option<String>,
    /// The column that names the tenant.
    pub column: String,
    /// The map file.
    pub map: PathBuf,
}

impl std::fmt::Debug for PlanRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanRequest").field("column", &self.column).field("map", &self.map).finish_non_exhaustive()
    }
}

/// Writes the map file, or adds new tables to it.
///
/// # Errors
/// A file that cannot be read as a map or is for another column, a column that no table has, or what the server said.
pub async fn plan(environment: &Environment, request: &PlanRequest, context: &Context) -> Result<TenantsReport> {
    let there = read(&request.map)?;
    let database = match &request.to {
        Some(database) => environment.signed(database.clone()).await,
        None => configured(environment, request.database.as_deref()).await?,
    };
    let mut place = context.unless_stopped(Place::open(&database, &environment.config().dump_limits)).await?;
    let schema = context.unless_stopped(place.schema()).await?;
    if !schema.tables.iter().any(|table| table.column(&request.column).is_some()) {
        return Err(Error::configuration(format!("no table has a column {:?}", request.column))
            .hint("Name the column that most tables have for the tenant, such as tenant_id."));
    }
    let map = Map::merged(there.clone(), &schema, &request.column)?;
    let written = there.as_ref() != Some(&map);
    if written {
        write(&request.map, &map.text()?)?;
    }

    let checked = classify(&schema, &map, &[]);
    let tables = schema.tables.iter().enumerate().map(|(number, table)| {
        let name = table.name.to_string();
        let entry = &map.tables[&name];
        let found = match &checked {
            Ok(classes) => way(&schema, &classes.classes[number]),
            Err(_) => described(entry, &map.tenant_column),
        };
        let added = there.as_ref().is_none_or(|there| !there.tables.contains_key(&name));
        ClassedTable { name, class: entry.class.text().to_owned(), found, added }
    });
    let (open, warnings) = match &checked {
        Ok(classes) => (Vec::new(), classes.notes.clone()),
        // One line for each thing, behind a first line that says what the list is.
        Err(error) => (error.to_string().lines().skip(1).map(|line| line.trim().to_owned()).collect(), Vec::new()),
    };
    Ok(TenantsReport {
        target: place.name().to_owned(),
        map: request.map.display().to_string(),
        column: request.column.clone(),
        written,
        tables: tables.collect(),
        open,
        warnings,
    })
}

fn described(entry: &Entry, common: &str) -> String {
    match entry.class {
        Word::Tenant => format!("column {}", entry.column.as_deref().unwrap_or(common)),
        _ => {
            let ways = entry
                .through
                .iter()
                .map(|way| format!("{} -> {} ({})", way.columns.join(", "), way.table, way.references.join(", ")));
            ways.collect::<Vec<_>>().join(" or ")
        }
    }
}

async fn configured(environment: &Environment, name: Option<&str>) -> Result<DatabaseConfig> {
    let of = |database: &DatabaseConfig| match database {
        DatabaseConfig::Postgres(server) | DatabaseConfig::Mysql(server) => server.database.clone(),
        DatabaseConfig::Sqlite { path } => path.display().to_string(),
    };
    let mut all = environment.databases().await?;
    all.retain(|database| name.is_none_or(|name| of(database) == name));
    match all.len() {
        1 => Ok(all.remove(0)),
        0 => Err(Error::configuration("no database is configured by that name")
            .hint("Name the live database with --to URL.")),
        _ => {
            Err(Error::configuration("more than one database is configured")
                .hint("Say which one with --database NAME."))
        }
    }
}

/// The map of a file; `None` when there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Map>> {
    match fs::read_to_string(path) {
        Ok(text) => Map::parse(&text).map(Some).map_err(|error| error.context(path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::new(ErrorClass::Permission, format!("cannot read {path:?}")).because(error)),
    }
}

/// Puts the file there in one step.
fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed =
        |error: std::io::Error| Error::new(ErrorClass::Permission, format!("cannot write {path:?}")).because(error);
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map(drop).map_err(|error| failed(error.error))
}
