//! Being built.

use std::path::Path;

use crate::source::{DatabaseDump, DumpWriter};
use crate::{Error, Result};

/// Opens the file and makes the cheap checks. Changes nothing.
pub async fn check(_path: &Path) -> Result<()> {
    Err(Error::bug("not built yet"))
}

/// Takes an online snapshot of the database, checks its integrity and writes its bytes into `out`.
pub async fn dump(_path: &Path, _out: &mut DumpWriter<'_>) -> Result<DatabaseDump> {
    Err(Error::bug("not built yet"))
}
