//! Servers that speak TLS with a certificate for `localhost`, of an authority that nobody knows: who is let past, and
//! what is said of whom is not. Each check holds for both kinds of servers.

use std::path::PathBuf;

use nightvault_core::config::{ServerDatabase, TlsMode};
use nightvault_core::secret::Secret;
use nightvault_core::source::{DumpLimits, mysql, postgres};
use nightvault_core::{Class, Error, Result};

use crate::support::given;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    Postgres,
    MariaDb,
}

const BOTH: [Server; 2] = [Server::Postgres, Server::MariaDb];

impl Server {
    /// A login that is checked in full; each test spoils one thing.
    fn config(self) -> ServerDatabase {
        let (port, user, password, database) = match self {
            Server::Postgres => ("TEST_POSTGRES_TLS_PORT", "postgres", "scram, with @:/#", "postgres"),
            Server::MariaDb => ("TEST_MARIADB_TLS_PORT", "tls", "pw", "clinic"),
        };
        ServerDatabase {
            host: "localhost".into(),
            port: given(port).parse().expect("a port"),
            user: user.into(),
            password: Secret::new(password),
            database: database.into(),
            tls: TlsMode::VerifyFull,
            tls_ca: Some(PathBuf::from(given("TEST_TLS_CA"))),
            iam: None,
        }
    }

    async fn check(self, config: &ServerDatabase) -> Result<()> {
        match self {
            Server::Postgres => postgres::check(config, &DumpLimits::default()).await,
            Server::MariaDb => mysql::check(config, &DumpLimits::default()).await,
        }
    }

    async fn refusal(self, config: &ServerDatabase) -> Error {
        self.check(config).await.expect_err("the connection must be refused")
    }
}

#[tokio::test]
async fn a_certificate_of_the_given_authority_for_this_host_is_taken() {
    for server in BOTH {
        server.check(&server.config()).await.unwrap_or_else(|error| panic!("{server:?}: {}", error.chain()));
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_and_said_to_be_one() {
    for server in BOTH {
        for tls in [TlsMode::VerifyFull, TlsMode::VerifyCa] {
            let config = ServerDatabase { tls, tls_ca: None, ..server.config() };
            let error = server.refusal(&config).await;
            assert_eq!(error.class(), Class::Configuration, "{server:?}: {error:?}");
            assert!(error.chain().contains("UnknownIssuer"), "{server:?}: {}", error.chain());
            assert!(error.hint_text().expect("a hint").contains("BACKUP_DB_TLS_CA"), "{server:?}: {error:?}");
        }
        let unchecked = ServerDatabase { tls: TlsMode::Require, tls_ca: None, ..server.config() };
        server.check(&unchecked).await.expect("`require` asks for no name and no authority");
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused_and_the_host_is_named() {
    for server in BOTH {
        let config = ServerDatabase { host: "127.0.0.1".into(), ..server.config() };
        let error = server.refusal(&config).await;
        assert_eq!(error.class(), Class::Configuration, "{server:?}: {error:?}");
        assert!(error.chain().contains("127.0.0.1"), "{server:?}: {}", error.chain());
        let authority_alone = ServerDatabase { tls: TlsMode::VerifyCa, ..config };
        server.check(&authority_alone).await.expect("`verify-ca` does not ask for the name");
    }
}

#[tokio::test]
async fn a_file_of_authorities_that_is_none_is_refused_by_its_name() {
    for server in BOTH {
        let config = ServerDatabase { tls_ca: Some("/no/such/ca.pem".into()), ..server.config() };
        let error = server.refusal(&config).await;
        assert_eq!(error.class(), Class::Configuration, "{server:?}: {error:?}");
        assert!(error.chain().contains("/no/such/ca.pem"), "{server:?}: {}", error.chain());
    }
}

#[tokio::test]
async fn a_wrong_password_over_tls_is_a_matter_of_permission() {
    for server in BOTH {
        let config = ServerDatabase { password: Secret::new("wrong-canary"), ..server.config() };
        let error = server.refusal(&config).await;
        assert_eq!(error.class(), Class::Permission, "{server:?}: {error:?}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

/// The way of a token of RDS: 1.5 kB, in clear text within TLS.
#[tokio::test]
async fn a_password_as_long_as_a_token_goes_in_clear_text_over_tls() {
    use sqlx::{AssertSqlSafe, Connection};
    let token = format!("clinic.example:5432/?Action=connect&DBUser=clear&X-Amz-Security-Token={}", "x%2F".repeat(370));
    let admin = Server::Postgres.config();
    let options = sqlx::postgres::PgConnectOptions::new()
        .host("localhost")
        .port(admin.port)
        .username("postgres")
        .password(admin.password.expose())
        .ssl_root_cert(given("TEST_TLS_CA"));
    let mut connection = sqlx::PgConnection::connect_with(&options).await.unwrap();
    let sql = format!("CREATE ROLE clear LOGIN SUPERUSER PASSWORD '{token}'");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    let config = ServerDatabase { user: "clear".into(), password: Secret::new(token), ..Server::Postgres.config() };
    Server::Postgres.check(&config).await.unwrap();
}
