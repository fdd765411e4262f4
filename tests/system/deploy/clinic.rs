//! What the deployed stack backs up, and how its archives are judged.

use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::cloud::Cloud;
use super::stack::Stack;
use crate::support::aws::Hook;
use crate::support::{given, mariadb, postgres, program};

/// A clinic with a PostgreSQL and a MariaDB database, whose user's password can be changed.
pub(super) struct Clinic {
    patients: String,
    visits: mariadb::Scratch,
    user: String,
}

/// Whom mail comes from.
pub(super) const SENDER: &str = "night@clinic.example";
/// Whom it goes to.
pub(super) const RECIPIENT: &str = "admin@clinic.example";
/// `BackupName`.
pub(super) const FOLDER: &str = "ward";

/// A stack for it.
pub(super) struct Deployed {
    pub(super) stack: Stack,
    /// The ARN of the secret of the MariaDB database.
    pub(super) visits: String,
}

impl Clinic {
    /// A clinic whose PostgreSQL database has this name, which no other test may use.
    pub(super) fn new(patients: &str) -> Self {
        postgres::psql("postgres", &format!("DROP DATABASE IF EXISTS {patients} WITH (FORCE)"));
        postgres::psql("postgres", &format!("CREATE DATABASE {patients}"));
        postgres::psql(
            patients,
            "CREATE TABLE patient (id integer PRIMARY KEY, name text NOT NULL);
             INSERT INTO patient SELECT n, 'Pätient ' || n FROM generate_series(1, 10) n",
        );
        let visits = mariadb::Scratch::new("deploy");
        visits.run(
            "CREATE TABLE visit (id int PRIMARY KEY, note blob); INSERT INTO visit VALUES (1, X'00FF27'), (2, NULL)",
        );
        let user = visits.name().to_owned();
        visits.run(&format!(
            "CREATE USER {user}@'%' IDENTIFIED BY 'first'; GRANT ALL PRIVILEGES ON {user}.* TO {user}@'%'"
        ));
        Self { patients: patients.to_owned(), visits, user }
    }

    /// Puts what describes it into Secrets Manager and deploys everything, with these parameters besides.
    pub(super) fn deploy(&self, cloud: &Cloud, hook: &Hook, parameters: &[(&str, &str)]) -> Deployed {
        let patients = cloud.secret("patients", &self.patients_secret());
        let visits = cloud.secret("visits", &self.visits_secret("first"));
        let webhook = cloud.secret("webhook", &hook.url);
        for address in [SENDER, RECIPIENT] {
            cloud.aws(&["sesv2", "create-email-identity", "--email-identity", address]);
        }
        let databases = format!("{patients},{visits}");
        let described = [
            ("BackupName", FOLDER),
            ("DatabaseSecretArns", &databases),
            ("NotificationEmail", RECIPIENT),
            ("MailFrom", SENDER),
            ("SlackWebhookSecretArn", &webhook),
            ("SuccessNotifications", "mail,slack"),
        ];
        let stack = Stack::deploy(cloud, &[&described[..], parameters].concat());
        Deployed { stack, visits }
    }

    /// Opens an archive of the vault with 7-Zip and the password of the stack; each engine's own client takes its dump.
    pub(super) fn assert_opens(&self, cloud: &Cloud, stack: &Stack, key: &str) {
        let folder = TempDir::with_prefix("nightvault-deploy-").unwrap();
        let archive = folder.path().join("backup.zip");
        cloud.download(&stack.bucket, key, &archive);
        let secret = cloud.aws(&["secretsmanager", "get-secret-value", "--secret-id", &stack.password]);
        let mut seven = Command::new("7z");
        seven.arg("x").arg(format!("-p{}", secret["SecretString"].as_str().unwrap()));
        seven.arg(format!("-o{}", folder.path().display())).arg(&archive);
        program::stdout(&mut seven);

        let dump = |name: &str| folder.path().join(format!("db-dumps/{name}.sql"));
        let restored = postgres::Scratch::new();
        restored.run_file(&dump(&self.patients).display().to_string());
        let content = "SELECT count(*), md5(string_agg(p::text, ',' ORDER BY id)) FROM patient p";
        assert_eq!(restored.psql(content), postgres::psql(&self.patients, content));
        let restored = mariadb::Scratch::new("deploy_restored");
        restored.restore(&std::fs::read(dump(self.visits.name())).unwrap());
        let content = "SELECT id, hex(note) FROM visit ORDER BY id";
        assert_eq!(restored.run(content), self.visits.run(content));
    }

    /// The secret of the PostgreSQL database, as RDS writes it.
    fn patients_secret(&self) -> String {
        json!({
            "engine": "postgres", "host": "127.0.0.1", "port": postgres::port(), "username": "postgres",
            "password": "trusted", "dbname": self.patients,
        })
        .to_string()
    }

    /// The secret of the MariaDB database.
    pub(super) fn visits_secret(&self, password: &str) -> String {
        json!({
            "engine": "mariadb", "host": "127.0.0.1", "port": given("TEST_MARIADB_PORT"), "username": self.user,
            "password": password, "dbname": self.visits.name(),
        })
        .to_string()
    }

    /// Changes the password at the server.
    pub(super) fn change_password(&self, password: &str) {
        self.visits.run(&format!("ALTER USER {}@'%' IDENTIFIED BY '{password}'", self.user));
    }
}

impl Drop for Clinic {
    fn drop(&mut self) {
        self.visits.run(&format!("DROP USER {}@'%'", self.user));
        postgres::psql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.patients));
    }
}
