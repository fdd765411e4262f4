//! The resolved configuration for people and programs, with `***` wherever a secret stands.
//!
//! Built field by field from [`Config`]: what is not written here is not shown.

use serde_json::{Value, json};

use super::{
    Channel, Compression, Config, DatabaseConfig, DatabaseRef, DiskConfig, DiskKind, ServerDatabase, TlsMode,
    VerifyMode,
};
use crate::secret::SecretRef;

/// The configuration as JSON, secrets as `***`.
pub fn describe(config: &Config) -> Value {
    let retention = &config.retention;
    let notifications = &config.notifications;
    json!({
        "name": config.name,
        "filename_prefix": config.filename_prefix,
        "disks": config.disks.iter().map(disk).collect::<Vec<_>>(),
        "monitor_disks": config.monitor_disks.iter().map(|disk| &disk.name).collect::<Vec<_>>(),
        "databases": config.databases.iter().map(database).collect::<Vec<_>>(),
        "files": config.files.iter().map(|set| json!({
            "name": set.name, "root": set.root, "include": set.include, "exclude": set.exclude,
        })).collect::<Vec<_>>(),
        "archive_password": secret(config.archive_password.as_ref()),
        "allow_weak_password": config.allow_weak_password,
        "compression": match config.compression {
            Compression::Deflate(level) => format!("deflate, level {level}"),
            Compression::Zstd(level) => format!("zstd, level {level}"),
            Compression::Store => "store".into(),
        },
        "workers": config.workers,
        "upload": {
            "concurrency": config.upload.parts_in_flight,
            "part_size_mb": config.upload.first_part_bytes >> 20,
        },
        "limits": {
            "lock_timeout_seconds": config.dump_limits.lock_timeout.as_secs(),
            "max_row_mb": config.dump_limits.max_row_bytes >> 20,
            "max_files": config.max_files,
        },
        "verify": match config.verify {
            Some(VerifyMode::Full) => "full",
            Some(VerifyMode::Tail) => "tail",
            None => "full on directories, tail elsewhere",
        },
        "metrics": if config.metrics { "emf" } else { "none" },
        "timezone": config.timezone.iana_name().unwrap_or("UTC"),
        "retention": {
            "keep_all_days": retention.keep_all_days,
            "keep_daily_days": retention.keep_daily_days,
            "keep_weekly_weeks": retention.keep_weekly_weeks,
            "keep_monthly_months": retention.keep_monthly_months,
            "keep_yearly_years": retention.keep_yearly_years,
            "delete_oldest_over_mb": retention.delete_oldest_over_mb,
            "object_lock": config.object_lock.map_or("off".to_owned(), |mode| mode.to_string()),
            "delete_versions": config.delete_versions,
        },
        "health": {
            "max_age_days": config.health.max_age_days,
            "max_storage_mb": config.health.max_storage_mb,
            "max_drill_age_days": config.health.max_drill_age_days,
            "empty_databases": config.health.empty_databases,
        },
        "monitor_sample": config.monitor_sample.map(|share| share.to_string()),
        "notifications": {
            "mail_to": notifications.mail_to,
            "mail_from": notifications.mail_from,
            "slack_webhook": secret(notifications.slack_webhook.as_ref()),
            "success": notifications.success.iter().map(channel).collect::<Vec<_>>(),
            "failure": notifications.failure.iter().map(channel).collect::<Vec<_>>(),
            "health": notifications.health.iter().map(channel).collect::<Vec<_>>(),
        },
        "aws_region": config.aws.region,
    })
}

/// The same as lines `path.to.field  value`, aligned. Control characters in values are escaped.
pub fn describe_lines(config: &Config) -> Vec<String> {
    let mut fields = Vec::new();
    flatten("", &describe(config), &mut fields);
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    fields.into_iter().map(|(name, value)| format!("{name:width$}  {value}")).collect()
}

fn flatten(path: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    let below = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| flatten(&below(name), value, fields)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(i, item)| flatten(&below(&(i + 1).to_string()), item, fields));
        }
        Value::Array(items) if items.is_empty() => fields.push((path.into(), "none".into())),
        Value::Array(items) => {
            fields.push((path.into(), items.iter().map(text).collect::<Vec<_>>().join(", ")));
        }
        other => fields.push((path.into(), text(other))),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) if text.is_empty() => "none".into(),
        Value::String(text) if text.chars().any(char::is_control) => text.escape_debug().to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn secret(secret: Option<&SecretRef>) -> Value {
    match secret {
        None => Value::Null,
        Some(SecretRef::Value(_)) => "***".into(),
        Some(SecretRef::SecretsManager(name)) => format!("*** (from Secrets Manager: {name})").into(),
    }
}

fn channel(channel: &Channel) -> &'static str {
    match channel {
        Channel::Mail => "mail",
        Channel::Slack => "slack",
    }
}

fn disk(disk: &DiskConfig) -> Value {
    match &disk.kind {
        DiskKind::Local { path } => json!({ "name": disk.name, "kind": "local", "path": path }),
        DiskKind::S3(s3) => json!({
            "name": disk.name, "kind": "s3", "bucket": s3.bucket, "prefix": s3.prefix, "region": s3.region,
            "endpoint": s3.endpoint, "path_style": s3.path_style,
            "credentials": if s3.credentials.is_some() { "***" } else { "AWS default chain" },
        }),
    }
}

fn database(database: &DatabaseRef) -> Value {
    match database {
        DatabaseRef::SecretsManager(name) => json!({ "secret": name }),
        DatabaseRef::Inline(DatabaseConfig::Sqlite { path }) => json!({ "engine": "sqlite", "path": path }),
        DatabaseRef::Inline(DatabaseConfig::Postgres(it)) => server("postgresql", it),
        DatabaseRef::Inline(DatabaseConfig::Mysql(it)) => server("mysql or mariadb", it),
    }
}

fn server(engine: &str, it: &ServerDatabase) -> Value {
    let tls = match it.tls {
        TlsMode::Disable => "disable",
        TlsMode::Prefer => "prefer",
        TlsMode::Require => "require",
        TlsMode::VerifyCa => "verify-ca",
        TlsMode::VerifyFull => "verify-full",
    };
    json!({
        "engine": engine, "host": it.host, "port": it.port, "database": it.database, "user": it.user,
        "auth": if it.iam.is_some() { "iam" } else { "password" },
        "password": if it.password.expose().is_empty() { Value::Null } else { "***".into() },
        "tls": tls, "tls_ca": it.tls_ca,
    })
}
