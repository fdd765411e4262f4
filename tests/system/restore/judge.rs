//! The servers' own logs of the statements that one test's target was sent.

use std::fs;
use std::io::{Read, Seek, SeekFrom};

use crate::support::given;
use crate::support::mariadb::run_as_root as root;
use crate::support::postgres::psql;

/// What only looks: by the first word of the statement, and what no such statement may hold.
const LOOKING: [&str; 9] = ["SELECT", "WITH", "SHOW", "SET", "BEGIN", "START", "ROLLBACK", "COMMIT", "USE"];
const CHANGES: [&str; 5] = ["INSERT INTO ", "UPDATE ", "DELETE FROM ", "MERGE INTO ", " INTO OUTFILE "];

fn writing(statements: Vec<String>) -> Vec<String> {
    let looks = |statement: &str| {
        LOOKING.contains(&statement.split([' ', ';', '\n']).next().unwrap_or_default())
            && !CHANGES.iter().any(|change| statement.contains(change))
    };
    statements.into_iter().filter(|statement| !looks(statement)).collect()
}

/// PostgreSQL: `log_statement = all` for one database, in the server's log.
pub(super) struct Postgres {
    database: String,
    from: u64,
}

impl Postgres {
    /// Logs what the database is sent from now on; the log names the database in each line.
    pub(super) fn of(database: &str) -> Self {
        psql("postgres", &format!("ALTER DATABASE \"{database}\" SET log_statement = 'all'"));
        let database = database.to_owned();
        Self { database, from: fs::metadata(given("TEST_POSTGRES_LOG")).expect("the server's log").len() }
    }

    /// What was sent so far.
    pub(super) fn statements(&self) -> Vec<String> {
        let mut log = fs::File::open(given("TEST_POSTGRES_LOG")).expect("the server's log");
        log.seek(SeekFrom::Start(self.from)).expect("it only grows");
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes).expect("the server's log");
        let text = String::from_utf8_lossy(&bytes);
        let statement = |line: &str| {
            let (before, said) = line.split_once(" LOG:  ")?;
            before.ends_with(&format!("] {}", self.database)).then_some(())?;
            let (how, statement) = said.split_once(": ")?;
            (how == "statement" || how.starts_with("execute ")).then(|| statement.trim_start().to_owned())
        };
        text.lines().filter_map(statement).collect()
    }

    /// Those of them that do more than look.
    pub(super) fn writing(&self) -> Vec<String> {
        writing(self.statements())
    }
}

/// MariaDB: the general log, in its table, which names the user.
pub(super) struct MariaDb {
    user: String,
}

impl MariaDb {
    /// Logs what the user sends from now on.
    pub(super) fn of(user: &str) -> Self {
        root("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = ON");
        Self { user: user.to_owned() }
    }

    /// What was sent so far.
    pub(super) fn statements(&self) -> Vec<String> {
        let found = root(&format!(
            "SELECT REPLACE(LEFT(CONVERT(argument USING utf8mb4), 200), '\\n', ' ') FROM mysql.general_log \
             WHERE user_host LIKE '{}[%' AND command_type IN ('Query', 'Execute')",
            self.user
        ));
        found.lines().map(|line| line.trim_start().to_owned()).collect()
    }

    /// Those of them that do more than look.
    pub(super) fn writing(&self) -> Vec<String> {
        writing(self.statements())
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        root("SET GLOBAL general_log = OFF");
    }
}
