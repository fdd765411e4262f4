//! Where one database is restored: made before, removed behind, in the order in which it was made backwards.

use tempfile::TempDir;

use super::DrillPlace;
use super::own::OwnServer;
use super::scratch::Scratch;
use crate::archive::manifest::DatabaseManifest;
use crate::config::{DatabaseConfig, ServerDatabase};
use crate::source::DumpLimits;
use crate::{Class, Error, Result};

/// What was made for one database.
#[derive(Debug)]
pub(super) enum Stand {
    /// A database on a server, and the server where it is ours.
    Server { scratch: Scratch, own: Option<Box<OwnServer>> },
    /// A folder for a file.
    File { folder: TempDir, target: DatabaseConfig },
}

impl Stand {
    /// Makes it. With an error comes what it left behind.
    pub(super) async fn build(
        place: &DrillPlace,
        manifest: &DatabaseManifest,
        limits: &DumpLimits,
        warnings: &mut Vec<String>,
    ) -> Result<Self, (Error, Vec<String>)> {
        let nothing = |error| (error, Vec::new());
        if manifest.engine == "SQLite" {
            let folder = tempfile::Builder::new().prefix("nightvault-drill-").tempdir().map_err(|error| {
                nothing(Error::new(Class::Permission, "cannot make a folder for the restored file").because(error))
            })?;
            let target = DatabaseConfig::Sqlite { path: folder.path().join("restored.sqlite") };
            return Ok(Self::File { folder, target });
        }
        match place {
            DrillPlace::Server(server) => {
                let scratch = Scratch::create(server, manifest, limits, warnings).await.map_err(nothing)?;
                Ok(Self::Server { scratch, own: None })
            }
            DrillPlace::Own(search) => {
                let own = OwnServer::start(manifest, search).await.map_err(nothing)?;
                let made = async {
                    own.make_roles(manifest).await?;
                    Scratch::create(&own.address(), manifest, limits, warnings).await
                };
                match made.await {
                    Ok(scratch) => Ok(Self::Server { scratch, own: Some(Box::new(own)) }),
                    Err(error) => Err((error, own.stop().await)),
                }
            }
            DrillPlace::Files => Err(nothing(Error::bug("a database that needs a server was chosen without one"))),
        }
    }

    /// Where the restore goes.
    pub(super) fn target(&self) -> &DatabaseConfig {
        match self {
            Stand::Server { scratch, .. } => &scratch.database,
            Stand::File { target, .. } => target,
        }
    }

    /// The same for messages.
    pub(super) fn place(&self) -> String {
        match (self, self.target()) {
            (Stand::Server { own: Some(_), .. }, DatabaseConfig::Postgres(it) | DatabaseConfig::Mysql(it)) => {
                format!("database {:?} on a server of the drill's own", it.database)
            }
            (_, DatabaseConfig::Postgres(it) | DatabaseConfig::Mysql(it)) => {
                let ServerDatabase { host, port, database, .. } = it;
                format!("database {database:?} on {host}:{port}")
            }
            (_, DatabaseConfig::Sqlite { path }) => format!("{path:?}"),
        }
    }

    /// Removes it; returns what could not be removed.
    pub(super) async fn remove(self, limits: &DumpLimits) -> Vec<String> {
        match self {
            // The database goes with its server.
            Stand::Server { own: Some(own), .. } => own.stop().await,
            Stand::Server { scratch, own: None } => {
                let name = scratch.name().to_owned();
                match scratch.remove(limits).await {
                    Ok(()) => Vec::new(),
                    Err(error) => {
                        vec![format!("the scratch database {name:?} could not be dropped: {}", error.chain())]
                    }
                }
            }
            Stand::File { folder, .. } => {
                let path = folder.path().to_owned();
                match folder.close() {
                    Ok(()) => Vec::new(),
                    Err(error) => vec![format!("the folder {path:?} could not be removed: {error}")],
                }
            }
        }
    }
}
