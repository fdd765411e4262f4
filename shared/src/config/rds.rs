//! The JSON that RDS keeps in Secrets Manager:
//! `{"engine", "host", "port", "username", "password", "dbname", "dbInstanceIdentifier"}`.
//!
//! Its fields are described at <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html>.
//! A field that is missing or odd is named; no value of the secret ever stands in an error.

use serde_json::{Map, Value};

use super::databases::{Engine, default_tls, iam_over};
use super::{DatabaseConfig, DatabaseDefaults, ServerDatabase};
use crate::secret::Secret;
use crate::{Error, Result};

/// The database that the JSON of the secret `name` describes.
///
/// # Errors
/// [`Class::Configuration`](crate::Class::Configuration) with the secret's name and the field; never with a value.
pub(crate) fn parse_rds_secret(name: &str, json: &Secret, defaults: &DatabaseDefaults) -> Result<DatabaseConfig> {
    let wrong = |what: String| {
        Error::configuration(format!("the secret {name:?} {what}")).hint(
            "DATABASE_SECRET takes secrets in RDS's own form: \
             {\"engine\", \"host\", \"port\", \"username\", \"password\", \"dbname\"}.",
        )
    };
    // The parser's own words quote what it read.
    let fields: Map<String, Value> =
        serde_json::from_str(json.expose()).map_err(|_| wrong("is no JSON object".into()))?;
    let text = |field: &str| match fields.get(field) {
        Some(Value::String(text)) if text.contains('\0') => Err(wrong(format!("has a NUL character in {field:?}"))),
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::String(_)) | None => Err(wrong(format!("has no {field:?}"))),
        Some(_) => Err(wrong(format!("has a {field:?} that is no text"))),
    };
    let engine = match text("engine")?.to_ascii_lowercase().as_str() {
        "postgres" | "postgresql" | "aurora-postgresql" => Engine::Postgres,
        "mysql" | "mariadb" | "aurora" | "aurora-mysql" => Engine::Mysql,
        other => return Err(wrong(format!("has the engine {other:?}, which is none of postgres, mysql and mariadb"))),
    };
    let port = match fields.get("port") {
        None | Some(Value::Null) => Some(engine.default_port()),
        Some(Value::Number(port)) => port.as_u64().and_then(|port| u16::try_from(port).ok()),
        Some(Value::String(port)) => port.parse().ok(),
        Some(_) => None,
    };
    let port = port.filter(|port| *port != 0).ok_or_else(|| wrong("has a \"port\" that is no port".into()))?;
    let host = text("host")?;
    let mode = defaults.tls.unwrap_or_else(|| default_tls(&host));
    let iam = iam_over(defaults.iam, mode).map_err(wrong)?;
    Ok(engine.wrap(ServerDatabase {
        port,
        user: text("username")?,
        // With IAM authentication the secret is but the address.
        password: Secret::new(if iam.is_some() { String::new() } else { text("password")? }),
        // RDS itself leaves `dbname` out when an instance was made without one; its identifier is the custom then.
        database: text("dbname").or_else(|missing| text("dbInstanceIdentifier").map_err(|_| missing))?,
        tls: mode,
        tls_ca: defaults.tls_ca.clone(),
        iam,
        host,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use crate::config::TlsMode;

    fn parse(json: &str) -> Result<DatabaseConfig> {
        parse_rds_secret("prod/db", &Secret::new(json), &DatabaseDefaults::default())
    }

    #[test]
    fn the_form_that_rds_writes_is_read_with_any_password() {
        let json = r#"{"username":"u","password":"p@:/#?% é\"","engine":"postgres","host":"db.example","port":5433,
            "dbname":"clinic","dbInstanceIdentifier":"instance"}"#;
        let DatabaseConfig::Postgres(database) = parse(json).unwrap() else { panic!("it is PostgreSQL") };
        assert_eq!(database.password.expose(), "p@:/#?% é\"");
        assert_eq!((database.host.as_str(), database.port, database.user.as_str()), ("db.example", 5433, "u"));
        assert_eq!((database.database.as_str(), database.tls), ("clinic", TlsMode::VerifyFull));
    }

    #[test]
    fn ports_may_be_text_or_missing_and_the_identifier_stands_in_for_the_name() {
        let json = r#"{"username":"u","password":"p","engine":"aurora-mysql","host":"h","port":"3307","dbInstanceIdentifier":"i"}"#;
        let DatabaseConfig::Mysql(database) = parse(json).unwrap() else { panic!("it is MySQL") };
        assert_eq!((database.port, database.database.as_str()), (3307, "i"));
        let json = r#"{"username":"u","password":"p","engine":"mariadb","host":"h","dbname":"d"}"#;
        let DatabaseConfig::Mysql(database) = parse(json).unwrap() else { panic!("it is MariaDB") };
        assert_eq!(database.port, 3306);
    }

    #[test]
    fn what_is_missing_or_odd_is_named_and_no_value_is_quoted() {
        for (json, word) in [
            ("canary", "no JSON object"),
            (r#"["canary"]"#, "no JSON object"),
            (r#"{"username":"canary","password":"canary"}"#, "\"engine\""),
            (r#"{"engine":"mysql","host":"h","username":"u","password":"canary"}"#, "\"dbname\""),
            (r#"{"engine":"mysql","host":"h","username":"u","password":12345,"dbname":"d"}"#, "\"password\""),
            (
                r#"{"engine":"mysql","host":"h","username":"u","password":"canary","dbname":"d","port":70000}"#,
                "\"port\"",
            ),
            (r#"{"engine":"oracle","password":"canary"}"#, "oracle"),
        ] {
            let error = parse(json).unwrap_err();
            assert_eq!(error.class(), Class::Configuration);
            let text = error.chain();
            assert!(text.contains(word) && text.contains("prod/db") && !text.contains("canary"), "{text}");
        }
    }
}
