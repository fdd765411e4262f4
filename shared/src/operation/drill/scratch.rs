//! A scratch database on a server: made under a name that nobody has, dropped under that name alone.

use crate::archive::manifest::DatabaseManifest;
use crate::config::{DatabaseConfig, ServerDatabase};
use crate::source::mysql::quoting::{identifier, literal as text};
use crate::source::mysql::session::Session as MySql;
use crate::source::postgres::quote::{ident, literal};
use crate::source::postgres::session::Session as Postgres;
use crate::source::{DumpLimits, hex};
use crate::{Class, Error, Result};

/// What the names of scratch databases start with.
const PREFIX: &str = "nightvault_drill_";

/// A database that a drill made.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Where the restore goes.
    pub(super) database: DatabaseConfig,
    /// Whom to ask for it to be dropped.
    server: DatabaseConfig,
}

impl Scratch {
    /// Makes a database on `server` like the one of the manifest. What could not be made alike is added to `warnings`.
    pub(super) async fn create(
        server: &DatabaseConfig,
        manifest: &DatabaseManifest,
        limits: &DumpLimits,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let name = unique_name()?;
        match server {
            DatabaseConfig::Postgres(server) => {
                let (server, mut session) = maintenance(server).await?;
                create_postgres(&mut session, &name, manifest, warnings).await?;
                session.close().await;
                Ok(Self {
                    database: DatabaseConfig::Postgres(ServerDatabase { database: name, ..server.clone() }),
                    server: DatabaseConfig::Postgres(server),
                })
            }
            DatabaseConfig::Mysql(server) => {
                // It is there on every server, and whoever connects may look at it.
                let server = ServerDatabase { database: "information_schema".to_owned(), ..server.clone() };
                let mut session = MySql::open(&server, limits).await?;
                session.run(&format!("CREATE DATABASE {}", identifier(&name))).await.map_err(may_not_create)?;
                Ok(Self {
                    database: DatabaseConfig::Mysql(ServerDatabase { database: name, ..server.clone() }),
                    server: DatabaseConfig::Mysql(server),
                })
            }
            DatabaseConfig::Sqlite { .. } => Err(Error::bug("a file has no server to make a database on")),
        }
    }

    /// The database's name.
    pub(super) fn name(&self) -> &str {
        match &self.database {
            DatabaseConfig::Postgres(server) | DatabaseConfig::Mysql(server) => &server.database,
            DatabaseConfig::Sqlite { .. } => "",
        }
    }

    /// Drops the database, whoever is still connected to it.
    pub(super) async fn remove(self, limits: &DumpLimits) -> Result<()> {
        let name = self.name();
        match &self.server {
            DatabaseConfig::Postgres(server) => {
                let mut session = Postgres::connect(server).await?;
                let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(name));
                session.execute("dropping the scratch database", &sql).await?;
                session.close().await;
                Ok(())
            }
            DatabaseConfig::Mysql(server) => {
                let mut session = MySql::open(server, limits).await?;
                let connected = format!(
                    "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = {} AND ID <> CONNECTION_ID()",
                    text(name)
                );
                for row in session.all(&connected).await? {
                    // One that has ended by itself is gone all the same.
                    drop(session.try_run(format!("KILL {}", row.number(0)?)).await);
                }
                session.run(&format!("DROP DATABASE IF EXISTS {}", identifier(name))).await
            }
            DatabaseConfig::Sqlite { .. } => Ok(()),
        }
    }
}

/// A session for making and dropping databases: in the database of the address where that is there, else in `postgres`.
async fn maintenance(server: &ServerDatabase) -> Result<(ServerDatabase, Postgres)> {
    match Postgres::connect(server).await {
        Ok(session) => Ok((server.clone(), session)),
        Err(error) if error.class() == Class::NotFound => {
            let server = ServerDatabase { database: "postgres".to_owned(), ..server.clone() };
            let session = Postgres::connect(&server).await?;
            Ok((server, session))
        }
        Err(error) => Err(error),
    }
}

/// With the encoding of the source, without which nothing fits, and its locale, where the server knows it.
async fn create_postgres(
    session: &mut Postgres,
    name: &str,
    manifest: &DatabaseManifest,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let fact = |name: &str| manifest.snapshot.get(name);
    let mut sql = format!("CREATE DATABASE {} TEMPLATE template0", ident(name));
    if let Some(encoding) = fact("encoding") {
        sql.push_str(&format!(" ENCODING {}", literal(encoding)));
    }
    let locale =
        |collation: &str, ctype: &str| format!(" LC_COLLATE {} LC_CTYPE {}", literal(collation), literal(ctype));
    let action = "making the scratch database";
    if let (Some(collation), Some(ctype)) = (fact("collation"), fact("ctype")) {
        match session.execute(action, &format!("{sql}{}", locale(collation, ctype))).await {
            Ok(()) => return Ok(()),
            Err(error) if error.class() == Class::Permission => return Err(may_not_create(error)),
            Err(error) => warnings.push(format!(
                "the server has not the locale of the source ({collation}, {ctype}), so the scratch database sorts by \
                 bytes: {}",
                error.chain()
            )),
        }
    }
    session.execute(action, &format!("{sql}{}", locale("C", "C"))).await.map_err(may_not_create)
}

fn may_not_create(error: Error) -> Error {
    error.hint("A drill makes a database of its own and drops it: give --to a user that may create databases.")
}

fn unique_name() -> Result<String> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(|error| Error::bug("the system has no random numbers").because(error))?;
    Ok(format!("{PREFIX}{}", hex(&random)))
}
