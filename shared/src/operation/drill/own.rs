//! A database server of the drill's own, from binaries that are installed here: started, used, stopped, removed.
//!
//! It lives in a new folder that its user alone can enter, listens on a Unix socket in that folder and on no port, and
//! keeps nothing safe against a crash, since nothing of it is to last. Both servers refuse to run as root; then they run
//! as the user that their package made, or as `nobody`. It is stopped by its own means and waited for; a program that is
//! killed outright cannot do that, and leaves the server and its folder (`nightvault-drill-…`) behind.

mod binaries;
mod mariadb;
mod postgres;
mod user;

use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use self::binaries::Binaries;
use self::user::User;
use crate::archive::manifest::DatabaseManifest;
use crate::config::{DatabaseConfig, ServerDatabase, TlsMode};
use crate::secret::Secret;
use crate::source::DumpLimits;
use crate::{Class, Error, Result};

/// How long a server may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks whether it is there.
const LOOK: Duration = Duration::from_millis(50);
/// How much of a log a message holds, in bytes.
const LOG_SHOWN: usize = 600;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postgres,
    MariaDb,
}

/// A server that runs.
#[derive(Debug)]
pub(super) struct OwnServer {
    kind: Kind,
    child: Child,
    binaries: Binaries,
    home: Home,
    server: ServerDatabase,
}

/// The folder, and who owns it.
#[derive(Debug)]
struct Home {
    folder: TempDir,
    user: Option<User>,
}

impl OwnServer {
    /// Starts a server that can take the database. `search`: folders to look for binaries in, besides the usual ones.
    pub(super) async fn start(manifest: &DatabaseManifest, search: &[PathBuf]) -> Result<Self> {
        let kind = match manifest.engine.as_str() {
            "PostgreSQL" => Kind::Postgres,
            "MariaDB" => Kind::MariaDb,
            engine => {
                return Err(Error::unsupported(format!("a server of {engine} is not started here"))
                    .hint("Give a server with --to."));
            }
        };
        let binaries = binaries::find(kind, &manifest.server_version, search).await?;
        let home = Home::make(kind)?;
        let (command, server) = match kind {
            Kind::Postgres => postgres::prepare(&binaries, &home).await?,
            Kind::MariaDb => mariadb::prepare(&binaries, &home).await?,
        };
        let mut own = Self { kind, child: home.spawn(command)?, binaries, home, server };
        match own.wait_until_it_answers().await {
            Ok(()) => Ok(own),
            Err(error) => {
                let left = own.stop().await;
                Err(if left.is_empty() { error } else { error.context(left.join("; ")) })
            }
        }
    }

    /// Its address, for making databases on it.
    pub(super) fn address(&self) -> DatabaseConfig {
        match self.kind {
            Kind::Postgres => DatabaseConfig::Postgres(self.server.clone()),
            Kind::MariaDb => DatabaseConfig::Mysql(self.server.clone()),
        }
    }

    /// Makes what a dump takes for granted of its server: the roles of PostgreSQL.
    pub(super) async fn make_roles(&self, manifest: &DatabaseManifest) -> Result<()> {
        match self.kind {
            Kind::Postgres => postgres::make_roles(&self.server, manifest).await,
            Kind::MariaDb => Ok(()),
        }
    }

    async fn wait_until_it_answers(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let answer = match self.kind {
                Kind::Postgres => postgres::answers(&self.server).await,
                Kind::MariaDb => mariadb::answers(&self.server).await,
            };
            let Err(error) = answer else { return Ok(()) };
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let what = ended.map_or("does not answer".to_owned(), |status| format!("ended at once ({status})"));
                return Err(Error::new(
                    Class::Configuration,
                    format!("the drill's own server {what}; its log ends with: {}", self.home.log()),
                )
                .hint("Start it by hand to see why, or give a server with --to.")
                .because(error));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Stops the server and removes its folder; returns what could not be done.
    pub(super) async fn stop(mut self) -> Vec<String> {
        let mut left = Vec::new();
        let asked = match self.kind {
            Kind::Postgres => postgres::stop(&self.binaries, &self.home).await,
            Kind::MariaDb => mariadb::stop(&self.server).await,
        };
        let waited =
            if asked.is_ok() { tokio::time::timeout(PATIENCE, self.child.wait()).await.is_ok() } else { false };
        if !waited && let Err(error) = self.child.kill().await {
            let pid = self.child.id().map_or("unknown".to_owned(), |pid| pid.to_string());
            left.push(format!("the drill's own server (process {pid}) cannot be stopped: {error}"));
        }
        let path = self.home.folder.path().to_owned();
        if let Err(error) = self.home.folder.close() {
            left.push(format!("the folder {path:?} cannot be removed: {error}"));
        }
        left
    }
}

/// For messages of a server that failed to be used at all.
pub(super) fn limits() -> DumpLimits {
    DumpLimits::default()
}

impl Home {
    /// A new folder that belongs to whom the server runs as.
    fn make(kind: Kind) -> Result<Self> {
        let failed =
            |error| Error::new(Class::Permission, "cannot make a folder for the drill's server").because(error);
        let private = std::fs::Permissions::from_mode(0o700);
        let folder =
            tempfile::Builder::new().prefix("nightvault-drill-").permissions(private).tempdir().map_err(failed)?;
        let root = folder.path().metadata().map_err(failed)?.uid() == 0;
        let user = if root { Some(User::find(kind)?) } else { None };
        if let Some(user) = &user {
            user.own(folder.path())?;
        }
        Ok(Self { folder, user })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that runs as the folder's owner, in the folder, with a clean environment.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LC_ALL", "C").env("HOME", self.folder.path()).env("TMPDIR", self.folder.path());
        command.current_dir(self.folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        if let Some(user) = &self.user {
            command.uid(user.id).gid(user.group);
        }
        command
    }

    /// Runs a command to its end; its words are the error's.
    async fn run(&self, mut command: Command, what: &str) -> Result<()> {
        let output = command.output().await.map_err(|error| cannot_run(what, error))?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(Error::configuration(format!("{what} failed ({}): {}", output.status, tail(&said)))
            .hint("Run it by hand to see why, or give a server with --to."))
    }

    fn spawn(&self, mut command: Command) -> Result<Child> {
        let failed = |error| Error::new(Class::Permission, "cannot write a log for the drill's server").because(error);
        let log = File::create(self.path("log")).map_err(failed)?;
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        command.spawn().map_err(|error| cannot_run("the drill's own server", error))
    }

    fn log(&self) -> String {
        tail(&std::fs::read(self.path("log")).unwrap_or_default())
    }

    /// An address in this folder: `socket` is a directory for PostgreSQL and a file for MariaDB.
    fn address(&self, socket: &Path, port: u16, user: &str, database: &str) -> ServerDatabase {
        ServerDatabase {
            host: socket.display().to_string(),
            port,
            user: user.to_owned(),
            password: Secret::new(""),
            database: database.to_owned(),
            tls: TlsMode::Disable,
            tls_ca: None,
            iam: None,
        }
    }
}

fn cannot_run(what: &str, error: std::io::Error) -> Error {
    Error::new(Class::Permission, format!("cannot run {what}")).because(error)
}

/// The last words of a log, in one line.
fn tail(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let joined = lines.join(" | ");
    let start = joined.ceil_char_boundary(joined.len().saturating_sub(LOG_SHOWN));
    joined[start..].to_owned()
}
