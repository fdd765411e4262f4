//! Every variable with a fixed name, and what it takes: the words that errors add and typing errors are measured against.

/// What the variable takes, for errors; `None` for names that are not in the list.
pub(super) fn takes(variable: &str) -> Option<&'static str> {
    if let Some((_, takes)) = VARIABLES.iter().find(|(name, _)| *name == variable) {
        return Some(takes);
    }
    let (_, takes) = DISK_VARIABLES.iter().find(|(ending, _)| disk_variable(variable, ending).is_some())?;
    Some(takes)
}

/// The `<NAME>` of `BACKUP_DISK_<NAME><ending>`.
pub(super) fn disk_variable<'a>(variable: &'a str, ending: &str) -> Option<&'a str> {
    variable.strip_prefix("BACKUP_DISK_")?.strip_suffix(ending).filter(|name| !name.is_empty())
}

const WORD: &str = "up to 100 letters, digits, '.', '_' and '-', no '.' in front";
const DISKS: &str = "a comma list of disks: s3, local, or names that BACKUP_DISK_<NAME>_URL describes";
const SECRET_NAME: &str = "the name or ARN of a secret in AWS Secrets Manager";
const FLAG: &str = "true or false";
const CHANNELS: &str = "a comma list of mail and slack, or none";
const TLS: &str = "disable, prefer, require, verify-ca or verify-full";
const KEEP: &str = "a whole number from 0 to 10000; not all five may be 0";
const GLOBS: &str = "a comma list of globs relative to the roots of BACKUP_FILES";

/// What follows `BACKUP_DISK_<NAME>`.
pub(super) const DISK_VARIABLES: &[(&str, &str)] = &[
    ("_URL", "s3://bucket/prefix?region=...&endpoint=...&path_style=true or file:///path"),
    ("_KEY", "an access key id, together with the variable that ends in _SECRET"),
    ("_SECRET", "a secret access key, together with the variable that ends in _KEY"),
];

/// Name and what it takes.
pub(super) const VARIABLES: &[(&str, &str)] = &[
    ("BACKUP_NAME", WORD),
    ("BACKUP_FILENAME_PREFIX", WORD),
    ("BACKUP_DISK", DISKS),
    ("BACKUP_MONITOR_DISKS", DISKS),
    ("AWS_BUCKET", "the name of a bucket"),
    ("AWS_DEFAULT_REGION", "a region, e.g. eu-central-1"),
    ("AWS_REGION", "a region, e.g. eu-central-1"),
    ("AWS_ENDPOINT", "http://host or https://host of an S3-compatible store, with a port if need be"),
    ("AWS_USE_PATH_STYLE_ENDPOINT", FLAG),
    ("BACKUP_LOCAL_PATH", "an absolute directory"),
    (
        "DATABASE_URL",
        "a comma list of postgres://user:password@host/database, mysql://..., mariadb://... and sqlite:///path, \
         with special characters percent-encoded",
    ),
    ("DATABASE_SECRET", "a comma list of names or ARNs of secrets in AWS Secrets Manager"),
    ("DB_CONNECTION", "pgsql, mysql, mariadb or sqlite"),
    ("DB_HOST", "a host name, an address, or the absolute path of a socket"),
    ("DB_PORT", "a port from 1 to 65535"),
    ("DB_SOCKET", "the absolute path of a socket"),
    ("DB_DATABASE", "the name of a database, for sqlite the path of its file"),
    ("DB_USERNAME", "a user of the database server"),
    ("DB_PASSWORD", "a password, in any characters"),
    ("DB_SSLMODE", TLS),
    ("BACKUP_DB_TLS", TLS),
    ("BACKUP_DB_AUTH", "password or iam"),
    ("BACKUP_DB_TLS_CA", "the absolute path of a PEM file"),
    ("BACKUP_FILES", "a comma list of name=/path and /path"),
    ("BACKUP_FILES_INCLUDE", GLOBS),
    ("BACKUP_FILES_EXCLUDE", GLOBS),
    ("BACKUP_ARCHIVE_PASSWORD", "32 to 99 printable ASCII characters, e.g. what `openssl rand -base64 32` prints"),
    ("BACKUP_ARCHIVE_PASSWORD_SECRET", SECRET_NAME),
    ("BACKUP_ALLOW_WEAK_PASSWORD", FLAG),
    ("BACKUP_COMPRESSION", "deflate, zstd or store"),
    ("BACKUP_COMPRESSION_LEVEL", "a level from 1 to 9 for deflate, from 1 to 19 for zstd"),
    ("BACKUP_WORKERS", "a number of CPU workers from 1 to 256"),
    ("BACKUP_UPLOAD_CONCURRENCY", "a number of parts from 1 to 64"),
    ("BACKUP_PART_SIZE_MB", "a number of MiB from 5 to 1024"),
    ("BACKUP_LOCK_TIMEOUT_SECONDS", "a number of seconds from 1 to 3600"),
    ("BACKUP_MAX_ROW_MB", "a number of MiB from 1 to 4096"),
    ("BACKUP_MAX_FILES", "a number of entries from 1 to 100000000"),
    ("BACKUP_VERIFY", "tail or full"),
    ("BACKUP_TIMEZONE", "the name of a time zone, e.g. UTC or Europe/Berlin"),
    ("BACKUP_KEEP_ALL_DAYS", KEEP),
    ("BACKUP_KEEP_DAILY_DAYS", KEEP),
    ("BACKUP_KEEP_WEEKLY_WEEKS", KEEP),
    ("BACKUP_KEEP_MONTHLY_MONTHS", KEEP),
    ("BACKUP_KEEP_YEARLY_YEARS", KEEP),
    ("BACKUP_DELETE_OLDEST_OVER_MB", "a number of MiB from 1"),
    ("BACKUP_OBJECT_LOCK", "off, governance or compliance; not with BACKUP_DELETE_OLDEST_OVER_MB"),
    ("BACKUP_DELETE_VERSIONS", FLAG),
    ("BACKUP_MAX_AGE_DAYS", "a number of days from 1 to 3650"),
    ("BACKUP_MAX_STORAGE_MB", "a number of MiB from 1, or none"),
    ("BACKUP_MAX_DRILL_AGE_DAYS", "a number of days from 1 to 3650"),
    ("BACKUP_EMPTY_DATABASES", "a comma list of names of databases, as they stand in a backup"),
    ("BACKUP_MONITOR_SAMPLE", "a share of a backup such as 5%, or 0 for nothing"),
    ("BACKUP_NOTIFICATION_EMAIL", "a comma list of e-mail addresses"),
    ("BACKUP_MAIL_FROM", "an e-mail address that is verified in Amazon SES"),
    ("MAIL_FROM_ADDRESS", "an e-mail address that is verified in Amazon SES"),
    ("SLACK_WEBHOOK_URL", "the https:// address of an incoming webhook"),
    ("SLACK_WEBHOOK_SECRET", SECRET_NAME),
    ("BACKUP_SUCCESS_NOTIFICATIONS", CHANNELS),
    ("BACKUP_METRICS", "none or emf"),
    ("BACKUP_FAILURE_NOTIFICATIONS", CHANNELS),
    ("BACKUP_HEALTH_NOTIFICATIONS", CHANNELS),
];
