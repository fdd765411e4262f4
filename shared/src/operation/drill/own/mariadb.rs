//! MariaDB as the drill's own server.

use tokio::process::Command;

use super::{Binaries, Home, limits};
use crate::config::ServerDatabase;
use crate::source::mysql::session::Session;
use crate::{Class, Error, Result};

/// What makes it quick, and keeps it quiet: events of the backup must not run.
const SETTINGS: &[&str] = &[
    "--skip-networking",
    "--skip-log-bin",
    "--event-scheduler=OFF",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-size=256M",
    "--innodb-log-file-size=256M",
    "--max-allowed-packet=1G",
    "--local-infile=0",
];

/// Makes the data directory; returns the command that starts the server, and its address.
pub(super) async fn prepare(binaries: &Binaries, home: &Home) -> Result<(Command, ServerDatabase)> {
    let (data, socket) = (home.path("data"), home.path("socket"));
    let mut install = home.command(&binaries.tool("mariadb-install-db"));
    install.arg("--no-defaults").arg(argument("--datadir=", &data));
    install.args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]);
    home.run(install, "mariadb-install-db").await?;

    let mut server = home.command(&binaries.server("mariadbd"));
    server.arg("--no-defaults").arg(argument("--datadir=", &data)).arg(argument("--socket=", &socket));
    server.arg(argument("--pid-file=", &home.path("pid"))).args(SETTINGS);
    Ok((server, home.address(&socket, 3306, "root", "information_schema")))
}

fn argument(name: &str, path: &std::path::Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(name);
    argument.push(path);
    argument
}

pub(super) async fn answers(server: &ServerDatabase) -> Result<()> {
    Session::open(server, &limits()).await.map(drop)
}

/// Asks it to end.
pub(super) async fn stop(server: &ServerDatabase) -> Result<()> {
    let mut session = Session::open(server, &limits()).await?;
    session
        .try_run("SHUTDOWN".to_owned())
        .await
        .map_err(|error| Error::new(Class::Transient, "the drill's own server does not end").because(error))
}
