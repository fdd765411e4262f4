//! Which authorities a database server's certificate is checked against.
//!
//! Servers of RDS and Aurora have certificates of Amazon's own authorities, which no system trusts; for their host names
//! those come along, in `data/rds-roots.pem`, so that `verify-full` holds without a file to fetch. They end in 2061 and
//! later. An authority file of one's own (`BACKUP_DB_TLS_CA`, `sslrootcert`) goes before them.
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html>

use std::borrow::Cow;

use crate::config::ServerDatabase;
use crate::{Error, Result};

const RDS_ROOTS: &[u8] = include_bytes!("../../data/rds-roots.pem");
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The authorities to trust besides the public ones for this server, as PEM.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub(crate) async fn authorities(database: &ServerDatabase) -> Result<Option<Cow<'static, [u8]>>> {
    let Some(path) = &database.tls_ca else {
        return Ok(is_rds(&database.host).then_some(Cow::Borrowed(RDS_ROOTS)));
    };
    let wrong = |what: &str| {
        Error::configuration(format!("{}, the file of authorities to trust, {what}", path.display()))
            .hint("BACKUP_DB_TLS_CA and sslrootcert name a file of certificates in PEM form.")
    };
    let pem = tokio::fs::read(path).await.map_err(|e| wrong("cannot be read").because(e))?;
    if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Err(wrong("holds no certificate"));
    }
    Ok(Some(Cow::Owned(pem)))
}

/// Whether the host is one of RDS by its name.
fn is_rds(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.ends_with(".rds.amazonaws.com")
}

/// What to do when a handshake failed.
pub(crate) const HANDSHAKE_HINT: &str = "Check the host name, the TLS mode (sslmode, BACKUP_DB_TLS) and the authorities: \
    BACKUP_DB_TLS_CA names a PEM file; hosts of RDS are checked against Amazon's own without one.";

/// Whether the handshake failed: the server's certificate was not accepted, or TLS could not be had.
pub(crate) fn handshake_failed(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        // The driver hands on what the handshake says as an error of the connection.
        sqlx::Error::Io(error) => error.to_string().contains("certificate"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DatabaseConfig, DatabaseDefaults, parse_database_url};

    fn database(url: &str) -> ServerDatabase {
        match parse_database_url("it", url, &DatabaseDefaults::default(), None).unwrap() {
            DatabaseConfig::Postgres(server) | DatabaseConfig::Mysql(server) => server,
            DatabaseConfig::Sqlite { .. } => panic!("it is a server"),
        }
    }

    #[tokio::test]
    async fn hosts_of_rds_are_checked_against_its_own_authorities_and_others_are_not() {
        for (host, wanted) in [
            ("clinic.abc.eu-central-1.rds.amazonaws.com", Some(RDS_ROOTS)),
            ("Clinic.abc.eu-central-1.RDS.amazonaws.com.", Some(RDS_ROOTS)),
            ("rds.amazonaws.com.evil.example", None),
            ("xrds.amazonaws.com", None),
            ("db.example", None),
        ] {
            let found = authorities(&database(&format!("postgres://u:p@{host}/d"))).await.unwrap();
            assert_eq!(found.as_deref(), wanted, "{host}");
        }
    }

    #[tokio::test]
    async fn a_file_of_ones_own_goes_before_them_and_must_hold_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.pem");
        let own = database(&format!("mysql://u:p@c.abc.eu-west-1.rds.amazonaws.com/d?ssl-ca={}", file.display()));
        assert!(authorities(&own).await.unwrap_err().chain().contains("own.pem"));
        std::fs::write(&file, "-----BEGIN PRIVATE KEY-----").unwrap();
        assert!(authorities(&own).await.unwrap_err().chain().contains("no certificate"));
        std::fs::write(&file, BEGIN).unwrap();
        assert_eq!(authorities(&own).await.unwrap().as_deref(), Some(BEGIN));
    }

    #[test]
    fn the_roots_are_as_many_as_three_for_each_of_their_regions() {
        let text = std::str::from_utf8(RDS_ROOTS).unwrap();
        let of = |kind: &str| text.lines().filter(|it| it.starts_with("# Amazon RDS ") && it.contains(kind)).count();
        assert_eq!([of("RSA2048 G1,"), of("RSA4096 G1,"), of("ECC384 G1,")], [27; 3]);
        assert_eq!(text.matches("-----BEGIN CERTIFICATE-----").count(), 81);
    }
}
