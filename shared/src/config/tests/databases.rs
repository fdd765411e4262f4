//! Databases from addresses, fields and both.

use proptest::prelude::*;

use super::{error_of, with_local};
use crate::config::{Config, DatabaseConfig, DatabaseRef, ServerDatabase, TlsMode};

fn only(config: &Config) -> DatabaseConfig {
    match config.databases.as_slice() {
        [DatabaseRef::Inline(database)] => database.clone(),
        other => panic!("there should be one database: {other:?}"),
    }
}

fn server(config: &Config) -> ServerDatabase {
    match only(config) {
        DatabaseConfig::Postgres(server) | DatabaseConfig::Mysql(server) => server,
        other => panic!("it should be on a server: {other:?}"),
    }
}

fn from_url(url: &str) -> ServerDatabase {
    server(&with_local(&[("DATABASE_URL", url)]).unwrap())
}

fn laravel(password: &str) -> Vec<(&str, &str)> {
    vec![
        ("DB_CONNECTION", "mysql"),
        ("DB_HOST", "db.example"),
        ("DB_DATABASE", "clinic"),
        ("DB_USERNAME", "backup"),
        ("DB_PASSWORD", password),
    ]
}

/// Percent-encodes all but letters and digits.
fn encode(text: &str) -> String {
    let code = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(code).collect()
}

proptest! {
    #[test]
    fn a_password_in_a_field_arrives_as_it_was_written(password in r"[@/:#?% é,'\\&=+\w\PC]{1,40}") {
        let database = server(&with_local(&laravel(&password)).unwrap());
        prop_assert_eq!(database.password.expose(), password.as_str());
        prop_assert_eq!((database.host.as_str(), database.database.as_str()), ("db.example", "clinic"));
    }

    #[test]
    fn an_encoded_password_in_an_address_arrives_decoded(password in r"[@/:#?% é,'\\&=+\w\PC]{1,40}") {
        let database = from_url(&format!("postgres://u:{}@db.example/clinic", encode(&password)));
        prop_assert_eq!(database.password.expose(), password.as_str());
        prop_assert_eq!((database.host.as_str(), database.database.as_str()), ("db.example", "clinic"));
    }

    #[test]
    fn a_raw_password_in_an_address_is_taken_whole_or_refused_and_never_sent_elsewhere(password in r"[@/:#?%é,\[\]&=a-z0-9]{1,20}") {
        let url = format!("postgres://u:{password}@db.example/clinic");
        match with_local(&[("DATABASE_URL", &url)]) {
            Ok(config) => {
                let database = server(&config);
                prop_assert_eq!((database.host.as_str(), database.database.as_str()), ("db.example", "clinic"));
                // Valid percent-codes are decoded, as they are asked to be.
                if !password.contains('%') {
                    prop_assert_eq!(database.password.expose(), password.as_str());
                }
            }
            Err(error) => if password.len() > 8 {
                prop_assert!(!error.chain().contains(&password), "{}", error.chain());
            },
        }
    }
}

#[test]
fn addresses_of_all_engines_are_read() {
    let database = from_url("postgresql://u@[::1]:6543/clinic?sslmode=require");
    assert_eq!((database.host.as_str(), database.port, database.tls), ("::1", 6543, TlsMode::Require));
    assert_eq!(database.password.expose(), "");
    let database = from_url("mariadb://u:p@h/clinic?ssl-mode=VERIFY_IDENTITY&ssl-ca=/etc/ca.pem");
    assert_eq!((database.port, database.tls), (3306, TlsMode::VerifyFull));
    assert_eq!(database.tls_ca.as_deref(), Some(std::path::Path::new("/etc/ca.pem")));
    let database = from_url("postgres://u@/clinic?host=/var/run/postgresql");
    assert_eq!((database.host.as_str(), database.tls), ("/var/run/postgresql", TlsMode::Prefer));
    let config = with_local(&[("DATABASE_URL", "sqlite:///srv/my%20clinic.sqlite")]).unwrap();
    assert_eq!(only(&config), DatabaseConfig::Sqlite { path: "/srv/my clinic.sqlite".into() });
}

#[test]
fn connections_are_checked_in_full_save_on_this_machine() {
    for (host, tls) in [
        ("db.example", TlsMode::VerifyFull),
        ("10.0.0.5", TlsMode::VerifyFull),
        ("localhost.example", TlsMode::VerifyFull),
        ("localhost", TlsMode::Prefer),
        ("127.0.0.53", TlsMode::Prefer),
    ] {
        assert_eq!(from_url(&format!("mysql://u:p@{host}/d")).tls, tls, "{host}");
    }
    let strict = with_local(&[("DATABASE_URL", "mysql://u:p@localhost/d"), ("BACKUP_DB_TLS", "verify-ca")]).unwrap();
    assert_eq!(server(&strict).tls, TlsMode::VerifyCa);
    let fields = [&laravel("p")[..], &[("DB_SSLMODE", "disable"), ("BACKUP_DB_TLS", "verify-ca")]].concat();
    assert_eq!(server(&with_local(&fields).unwrap()).tls, TlsMode::Disable);
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_with_what_to_do() {
    for (url, words) in [
        ("postgres://u:p@ss/w#ord@host/db", "%23"),
        ("postgres://u:p@ss@host/db", "%40"),
        ("postgres://u:pa/canary@host/db", "DB_*"),
        ("postgres://u:pa?canary@host/db", "DB_*"),
        ("postgres://u:100%zcanary@host/db", "%25"),
        ("postgres://u:%ff@host/db", "UTF-8"),
        ("postgres://u:%00@host/db", "NUL"),
        ("postgres://u:a,canary@host/db", "%2C"),
        ("postgres://u:p@host/a/b", "more than one"),
        ("postgres://u:p@host", "no database name"),
        ("postgres://u:p@host/", "no database"),
        ("postgres://host/db", "no user"),
        ("postgres://u:p@host:0/db", "port"),
        ("postgres://u:p@host/db?application_name=x", "a parameter that is none"),
        ("postgres://u:p@host/db?sslmode=maybe", "sslmode"),
        ("oracle://u:p@host/db", "scheme"),
        ("sqlite://relative.db", "three slashes"),
        ("postgres://u:p@h%0A/db", "control character in the host"),
    ] {
        let message = error_of(&[("DATABASE_URL", url)]);
        assert!(message.contains("DATABASE_URL") && message.contains(words), "{url}: {message}");
        assert!(!message.contains("canary") && !message.contains("w#ord"), "{message}");
    }
}

#[test]
fn all_descriptions_add_up_and_one_database_twice_is_refused() {
    let mut variables = laravel("p");
    variables.extend([("DATABASE_URL", "sqlite:///a.db, postgres://u:p@h/d"), ("DATABASE_SECRET", "prod/a, prod/b")]);
    assert_eq!(with_local(&variables).unwrap().databases.len(), 5);
    variables.push(("DATABASE_URL", "mysql://other:user@DB.example:3306/clinic"));
    assert!(error_of(&variables).contains("twice"));
}

#[test]
fn laravels_fields_are_needed_and_checked() {
    assert!(error_of(&[("DB_DATABASE", "clinic")]).contains("DB_CONNECTION is not set"));
    let message = error_of(&[("DB_CONNECTION", "pgsql")]);
    assert!(message.contains("DB_DATABASE") && message.contains("DB_USERNAME"), "{message}");
    assert!(error_of(&[("DB_CONNECTION", "sqlite"), ("DB_DATABASE", ":memory:")]).contains("in memory"));
    let socket = [&laravel("p")[..], &[("DB_SOCKET", "/run/mysqld/mysqld.sock")]].concat();
    let database = server(&with_local(&socket).unwrap());
    assert_eq!((database.host.as_str(), database.tls), ("/run/mysqld/mysqld.sock", TlsMode::Prefer));
}
