//! A session of the test that holds a lock, so that what is tested stands still at a place that is known.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::mariadb::Server;
use super::postgres;

/// How long a state is waited for. It is a bound for what hangs, and no measure.
const PATIENCE: Duration = Duration::from_secs(120);

/// A session that holds what its statements locked, until it is dropped.
pub(crate) struct Gate {
    client: Child,
}

impl Gate {
    /// A session of PostgreSQL, with a transaction.
    pub(crate) fn postgres(database: &str, sql: &str) -> Self {
        let mut client = postgres::client("psql", database);
        client.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        Self::closed(client, &format!("BEGIN; {sql}"))
    }

    /// A session of MariaDB, or of MySQL.
    pub(crate) fn on(server: Server, database: &str, sql: &str) -> Self {
        let mut client = Command::new(server.program("mariadb"));
        client.args(["--no-defaults", "--unbuffered", "--skip-column-names", "--user=root"]);
        client.args(["--socket", &server.socket(), database]);
        Self::closed(client, sql)
    }

    /// A session of MariaDB.
    pub(crate) fn mariadb(database: &str, sql: &str) -> Self {
        Self::on(Server::MariaDb, database, sql)
    }

    fn closed(mut client: Command, sql: &str) -> Self {
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        client.stdin.as_mut().unwrap().write_all(format!("{sql}; SELECT 'held';\n").as_bytes()).unwrap();
        // What is behind the lock is answered when it is there.
        let answers = BufReader::new(client.stdout.as_mut().unwrap()).lines();
        assert!(answers.map_while(Result::ok).any(|line| line == "held"), "{sql}");
        Self { client }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // At the end of its input the client goes, and the server gives back what it held.
        drop(self.client.stdin.take());
        let ended = self.client.wait();
        assert!(std::thread::panicking() || ended.is_ok_and(|status| status.success()));
    }
}

/// A program under test; it does not outlive the test.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it, without its output.
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Waits until the server shows a state, which must come before the program ends.
    pub(crate) fn until(&mut self, what: &str, shows: impl Fn() -> bool) {
        eventually(what, || {
            let shown = shows();
            assert!(shown || self.0.try_wait().unwrap().is_none(), "it ended before this was so: {what}");
            shown
        });
    }

    /// Waits for its end, which is a failure.
    pub(crate) fn fails(mut self) {
        assert!(!self.0.wait().unwrap().success());
    }

    /// Ends it as the kernel does when memory is out.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.fails();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a server shows a state.
pub(crate) fn eventually(what: &str, mut shows: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !shows() {
        assert!(begun.elapsed() < PATIENCE, "it never was so: {what}");
    }
}
