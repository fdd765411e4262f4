//! Being built.

use crate::config::ServerDatabase;
use crate::source::{DatabaseDump, DumpLimits, DumpWriter};
use crate::{Error, Result};

/// Connects and makes the cheap checks (version, privileges, objects that cannot be dumped), so that a run can name
/// every bad source before it writes a byte. Changes and locks nothing.
pub async fn check(_database: &ServerDatabase, _limits: &DumpLimits) -> Result<()> {
    Err(Error::bug("not built yet"))
}

/// Dumps the database from one consistent snapshot into `out`.
pub async fn dump(_database: &ServerDatabase, _limits: &DumpLimits, _out: &mut DumpWriter<'_>) -> Result<DatabaseDump> {
    Err(Error::bug("not built yet"))
}

/// A guess of the dump's size in bytes, for sizing upload parts; `None` when the server does not tell.
pub async fn estimate(_database: &ServerDatabase) -> Option<u64> {
    None
}
