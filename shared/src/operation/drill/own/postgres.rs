//! PostgreSQL as the drill's own server.

use tokio::process::Command;

use super::{Binaries, Home};
use crate::Result;
use crate::archive::manifest::DatabaseManifest;
use crate::config::ServerDatabase;
use crate::source::postgres::quote::{ident, literal};
use crate::source::postgres::session::Session;

/// A socket has a port in its name.
const PORT: u16 = 5432;
/// What makes it quick: nothing must survive, and the data is in the backup.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "archive_mode=off",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
    "maintenance_work_mem=256MB",
    "max_locks_per_transaction=1024",
    "logging_collector=off",
];

/// Makes the cluster; returns the command that starts it, and its address.
pub(super) async fn prepare(binaries: &Binaries, home: &Home) -> Result<(Command, ServerDatabase)> {
    let data = home.path("data");
    let mut initdb = home.command(&binaries.tool("initdb"));
    initdb.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
    home.run(initdb, "initdb").await?;

    let mut server = home.command(&binaries.server("postgres"));
    server.arg("-D").arg(&data).arg("-k").arg(home.folder.path()).arg("-p").arg(PORT.to_string());
    SETTINGS.iter().for_each(|setting| _ = server.arg("-c").arg(setting));
    Ok((server, home.address(home.folder.path(), PORT, "postgres", "postgres")))
}

pub(super) async fn answers(server: &ServerDatabase) -> Result<()> {
    Session::connect(server).await?.close().await;
    Ok(())
}

/// Makes the roles that a dump names and that are not there; they can do nothing but own and be granted to.
pub(super) async fn make_roles(server: &ServerDatabase, manifest: &DatabaseManifest) -> Result<()> {
    let roles = manifest.snapshot.get("roles").map_or("", String::as_str);
    let mut session = Session::connect(server).await?;
    for role in roles.split(", ").filter(|role| !role.is_empty()) {
        let query =
            format!("SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {}) AS known", literal(role));
        if !session.row("looking for a role", &query).await?.flag("known")? {
            session.execute("making a role", &format!("CREATE ROLE {}", ident(role))).await?;
        }
    }
    session.close().await;
    Ok(())
}

/// Ends it at once; what it holds is about to be removed.
pub(super) async fn stop(binaries: &Binaries, home: &Home) -> Result<()> {
    let mut stop = home.command(&binaries.server("pg_ctl"));
    stop.arg("-D").arg(home.path("data")).args(["-m", "immediate", "-w", "-t", "60", "stop"]);
    home.run(stop, "pg_ctl stop").await
}
