//! The databases: addresses, secrets, and Laravel's fields. All of them are dumped; none hides another.

use std::path::PathBuf;

use super::raw::{Raw, check_secret_name};
use super::url::{self, Url};
use super::{DatabaseConfig, DatabaseDefaults, DatabaseRef, Iam, ServerDatabase, TlsMode};
use crate::secret::Secret;

/// The words of [`TlsMode`]; PostgreSQL's and MySQL's own ones among them.
const TLS_WORDS: &[(&str, TlsMode)] = &[
    ("disable", TlsMode::Disable),
    ("disabled", TlsMode::Disable),
    ("allow", TlsMode::Prefer),
    ("prefer", TlsMode::Prefer),
    ("preferred", TlsMode::Prefer),
    ("require", TlsMode::Require),
    ("required", TlsMode::Require),
    ("verify-ca", TlsMode::VerifyCa),
    ("verify_ca", TlsMode::VerifyCa),
    ("verify-full", TlsMode::VerifyFull),
    ("verify_identity", TlsMode::VerifyFull),
];

/// How one logs in.
const AUTH_WORDS: &[(&str, bool)] = &[("password", false), ("iam", true)];

/// Which server it is, for ports and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
    Mysql,
}

impl Engine {
    pub(super) fn default_port(self) -> u16 {
        match self {
            Engine::Postgres => 5432,
            Engine::Mysql => 3306,
        }
    }

    pub(super) fn wrap(self, database: ServerDatabase) -> DatabaseConfig {
        match self {
            Engine::Postgres => DatabaseConfig::Postgres(database),
            Engine::Mysql => DatabaseConfig::Mysql(database),
        }
    }
}

/// What holds for every connection that does not say otherwise.
pub(super) fn read_defaults(raw: &mut Raw<'_>) -> DatabaseDefaults {
    let tls_ca = raw.text("BACKUP_DB_TLS_CA").map(PathBuf::from);
    if let Some(path) = tls_ca.as_ref().filter(|path| !path.is_absolute()) {
        raw.problem("BACKUP_DB_TLS_CA", format!("{path:?} is not absolute"));
    }
    let iam = raw.one_of("BACKUP_DB_AUTH", AUTH_WORDS).unwrap_or_default();
    DatabaseDefaults { tls: raw.one_of("BACKUP_DB_TLS", TLS_WORDS), tls_ca, iam }
}

pub(super) fn read(raw: &mut Raw<'_>, defaults: &DatabaseDefaults) -> Vec<DatabaseRef> {
    let mut databases = Vec::new();
    read_urls(raw, defaults, &mut databases);
    for name in raw.list("DATABASE_SECRET") {
        match check_secret_name(&name) {
            Ok(()) => databases.push(DatabaseRef::SecretsManager(name)),
            Err(wrong) => raw.problem("DATABASE_SECRET", wrong),
        }
    }
    if let Some(database) = read_laravel(raw, defaults) {
        add(raw, &mut databases, database, "DB_CONNECTION");
    }
    databases
}

fn add(raw: &mut Raw<'_>, databases: &mut Vec<DatabaseRef>, database: DatabaseConfig, variable: &str) {
    let twice = databases.iter().any(|other| matches!(other, DatabaseRef::Inline(it) if same_database(it, &database)));
    if twice {
        raw.problem(variable, "describes a database that is in the configuration already; it would be dumped twice");
    } else {
        databases.push(DatabaseRef::Inline(database));
    }
}

/// Whether two descriptions mean one database, as far as they tell without asking anybody.
pub(crate) fn same_database(one: &DatabaseConfig, other: &DatabaseConfig) -> bool {
    let place = |it: &ServerDatabase| (it.host.to_ascii_lowercase(), it.port, it.database.clone());
    match (one, other) {
        (DatabaseConfig::Postgres(one), DatabaseConfig::Postgres(other))
        | (DatabaseConfig::Mysql(one), DatabaseConfig::Mysql(other)) => place(one) == place(other),
        (DatabaseConfig::Sqlite { path: one }, DatabaseConfig::Sqlite { path: other }) => one == other,
        _ => false,
    }
}

fn read_urls(raw: &mut Raw<'_>, defaults: &DatabaseDefaults, databases: &mut Vec<DatabaseRef>) {
    // Not `text` and not `list`: what is wrong may be a password and is never quoted.
    let Some(written) = raw.secret("DATABASE_URL") else { return };
    let items = written.expose().split(',').map(str::trim).filter(|item| !item.is_empty());
    for (index, item) in items.enumerate() {
        match parse_url(item, defaults) {
            Ok(database) => add(raw, databases, database, "DATABASE_URL"),
            Err(wrong) if !item.contains("://") => raw.problem(
                "DATABASE_URL",
                format!("{wrong} (address {} of the list; a comma within a password is written %2C)", index + 1),
            ),
            Err(wrong) => raw.problem("DATABASE_URL", format!("{wrong} (address {} of the list)", index + 1)),
        }
    }
}

/// Reads one address as `DATABASE_URL` takes it, e.g. that of a database to restore into. `password`, where given, goes
/// before one in the address, and may hold any character.
///
/// # Errors
/// [`Class::Configuration`](crate::Class::Configuration), which quotes no part of the address; `what` names it.
pub fn parse_database_url(
    what: &str,
    text: &str,
    defaults: &DatabaseDefaults,
    password: Option<Secret>,
) -> crate::Result<DatabaseConfig> {
    let mut database = parse_url(text.trim(), defaults).map_err(|wrong| {
        crate::Error::configuration(format!("{what} {wrong}"))
            .hint("It takes postgres://user:password@host:port/database, mysql://…, mariadb://… or sqlite:///path.")
    })?;
    if let Some(password) = password {
        match &mut database {
            DatabaseConfig::Postgres(server) | DatabaseConfig::Mysql(server) => server.password = password,
            DatabaseConfig::Sqlite { .. } => {
                return Err(crate::Error::configuration(format!("{what} is a file, which has no password")));
            }
        }
    }
    Ok(database)
}

fn parse_url(text: &str, defaults: &DatabaseDefaults) -> Result<DatabaseConfig, String> {
    if text.chars().any(char::is_control) {
        return Err("has a control character".into());
    }
    let url = url::parse(text)?;
    match url.scheme.as_str() {
        "postgres" | "postgresql" | "pgsql" => server(Engine::Postgres, url, defaults),
        "mysql" | "mariadb" => server(Engine::Mysql, url, defaults),
        "sqlite" => sqlite(&url),
        _ => Err("has a scheme that is none of postgres, mysql, mariadb and sqlite".into()),
    }
}

fn sqlite(url: &Url) -> Result<DatabaseConfig, String> {
    if !url.host.is_empty() || url.user.is_some() || url.port.is_some() {
        return Err("has a host before the path of an SQLite file; an absolute path has three slashes in front".into());
    }
    if !url.query.is_empty() {
        return Err("has parameters, which an SQLite file does not take".into());
    }
    if url.segments.last().is_none_or(String::is_empty) {
        return Err("names no SQLite file".into());
    }
    Ok(DatabaseConfig::Sqlite { path: PathBuf::from(url.path()) })
}

fn server(engine: Engine, url: Url, defaults: &DatabaseDefaults) -> Result<DatabaseConfig, String> {
    let (mut host, mut tls, mut tls_ca, mut iam) = (url.host, defaults.tls, defaults.tls_ca.clone(), defaults.iam);
    for (name, value) in url.query {
        match name.as_str() {
            "sslmode" | "ssl-mode" | "ssl_mode" => {
                let found = TLS_WORDS.iter().find(|(word, _)| value.eq_ignore_ascii_case(word));
                tls = Some(found.ok_or("has an sslmode that is none")?.1);
            }
            "sslrootcert" | "ssl-ca" | "ssl_ca" => tls_ca = Some(PathBuf::from(value)),
            "auth" => {
                let found = AUTH_WORDS.iter().find(|(word, _)| value.eq_ignore_ascii_case(word));
                iam = found.ok_or("has an auth that is neither password nor iam")?.1;
            }
            "host" | "socket" if host.is_empty() && value.starts_with('/') => host = value,
            "host" | "socket" => return Err("has a socket that is not absolute, or beside a host".into()),
            // Its name is not quoted: it may be half a password with a bare '?' and a bare comma in it.
            _ => return Err("has a parameter that is none of sslmode, sslrootcert, auth and socket".into()),
        }
    }
    let [database] =
        <[String; 1]>::try_from(url.segments).map_err(|_| "has no database name behind the host, or more than one")?;
    let user = url.user.unwrap_or_default();
    for (what, text) in [("host", &host), ("user", &user), ("database", &database)] {
        if text.is_empty() {
            return Err(format!("has no {what}"));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("has a control character in the {what}"));
        }
    }
    let tls = tls.unwrap_or_else(|| default_tls(&host));
    let iam = iam_over(iam, tls)?;
    Ok(engine.wrap(ServerDatabase {
        port: url.port.unwrap_or(engine.default_port()),
        user,
        password: url.password.unwrap_or_else(|| Secret::new("")),
        database,
        tls,
        tls_ca,
        iam,
        host,
    }))
}

fn read_laravel(raw: &mut Raw<'_>, defaults: &DatabaseDefaults) -> Option<DatabaseConfig> {
    let Some(connection) = raw.text("DB_CONNECTION") else {
        for variable in ["DB_DATABASE", "DB_HOST"] {
            if raw.is_set(variable) {
                raw.problem("DB_CONNECTION", format!("is not set, but {variable} is"));
                break;
            }
        }
        return None;
    };
    let engine = match connection.to_ascii_lowercase().as_str() {
        "pgsql" | "postgres" | "postgresql" => Engine::Postgres,
        "mysql" | "mariadb" => Engine::Mysql,
        "sqlite" => return read_laravel_sqlite(raw),
        _ => {
            raw.problem("DB_CONNECTION", format!("is {connection:?}"));
            return None;
        }
    };
    let host = match raw.text("DB_SOCKET") {
        Some(socket) if !socket.starts_with('/') => {
            raw.problem("DB_SOCKET", format!("{socket:?} is not absolute"));
            socket
        }
        Some(socket) => socket,
        None => raw.text("DB_HOST").unwrap_or_else(|| "127.0.0.1".into()),
    };
    let port = raw.number("DB_PORT", 1..=65_535).map(|port| u16::try_from(port).expect("at most 65535"));
    let tls = raw.one_of("DB_SSLMODE", TLS_WORDS).or(defaults.tls).unwrap_or_else(|| default_tls(&host));
    let password = raw.secret("DB_PASSWORD").unwrap_or_else(|| Secret::new(""));
    if password.expose().contains('\0') {
        raw.problem("DB_PASSWORD", "has a NUL character");
    }
    let iam = iam_over(defaults.iam, tls).unwrap_or_else(|wrong| {
        raw.problem("BACKUP_DB_AUTH", wrong);
        None
    });
    let mut needed = |variable: &str| {
        let text = raw.text(variable);
        if text.is_none() {
            raw.problem(variable, format!("is not set, but DB_CONNECTION is {connection}"));
        }
        text
    };
    let (database, user) = (needed("DB_DATABASE"), needed("DB_USERNAME"));
    Some(engine.wrap(ServerDatabase {
        host,
        port: port.unwrap_or(engine.default_port()),
        user: user?,
        password,
        database: database?,
        tls,
        tls_ca: defaults.tls_ca.clone(),
        iam,
    }))
}

/// IAM authentication, where it is wanted. Its token is a password that the server must see in clear text, so it never
/// goes over a connection that somebody may listen to.
pub(super) fn iam_over(wanted: bool, tls: TlsMode) -> Result<Option<Iam>, String> {
    match (wanted, tls) {
        (false, _) => Ok(None),
        (true, TlsMode::VerifyCa | TlsMode::VerifyFull) => Ok(Some(Iam::default())),
        (true, _) => {
            Err("logs in by IAM, which takes a connection whose certificate is checked: sslmode=verify-full".into())
        }
    }
}

fn read_laravel_sqlite(raw: &mut Raw<'_>) -> Option<DatabaseConfig> {
    match raw.text("DB_DATABASE") {
        None => raw.problem("DB_DATABASE", "is not set, but DB_CONNECTION is sqlite"),
        Some(path) if path == ":memory:" => raw.problem("DB_DATABASE", "is a database in memory, which has no file"),
        Some(path) if !path.starts_with('/') => raw.problem("DB_DATABASE", format!("{path:?} is not absolute")),
        Some(path) => return Some(DatabaseConfig::Sqlite { path: PathBuf::from(path) }),
    }
    None
}

/// Checked in full, save where nobody can stand between: on this machine's own loopback and sockets.
pub(super) fn default_tls(host: &str) -> TlsMode {
    if host.starts_with('/') || is_loopback(host) { TlsMode::Prefer } else { TlsMode::VerifyFull }
}

/// Whether the host is this machine by its name or address.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
