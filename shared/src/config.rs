//! Typed, validated configuration.
//!
//! What was written (`raw::Raw`, one look-up per variable) becomes one [`Config`] with every default resolved; nothing
//! below the doors reads the environment. [`load`] names every wrong variable at once, each with what is wrong and what
//! it takes. An empty variable counts as unset. Values of secrets never stand in an error, a warning or [`describe()`].
//! Nothing here touches the file system, the network or a clock.
//!
//! | variable | takes | default |
//! |---|---|---|
//! | `BACKUP_NAME` | letters, digits, `.`, `_`, `-`: the folder of all keys | `nightvault` |
//! | `BACKUP_FILENAME_PREFIX` | the same alphabet; stands before the date in a key | empty |
//! | `BACKUP_DISK` | comma list of `s3`, `local` or names of your own | `s3` |
//! | `BACKUP_MONITOR_DISKS` | the same; what `monitor` watches | `BACKUP_DISK` |
//! | `AWS_BUCKET` | bucket of the disk `s3` | needed by it |
//! | `AWS_DEFAULT_REGION`, `AWS_REGION` | region; the first goes first for the disk `s3`, the second for SES and Secrets Manager | the SDK's chain; `us-east-1` with an endpoint |
//! | `AWS_ENDPOINT` | `http(s)://…` of an S3-compatible store, for the disk `s3` alone | AWS |
//! | `AWS_USE_PATH_STYLE_ENDPOINT` | `true` or `false` | `false` |
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_PROFILE`, `AWS_ENDPOINT_URL`, … | read by the AWS SDK itself, not here | the SDK's chain |
//! | `BACKUP_LOCAL_PATH` | absolute directory of the disk `local` | needed by it |
//! | `BACKUP_DISK_<NAME>_URL` | `s3://bucket/prefix?region=…&endpoint=…&path_style=true` or `file:///path`; `<NAME>` in capitals, `-` and `.` as `_` | needed by that disk |
//! | `BACKUP_DISK_<NAME>_KEY`, `BACKUP_DISK_<NAME>_SECRET` | access key of that disk alone | the SDK's chain |
//! | `DATABASE_URL` | comma list of `postgres://user:password@host:port/database?sslmode=…`, `mysql://…`, `mariadb://…`, `sqlite:///path`; special characters percent-encoded | none |
//! | `DATABASE_SECRET` | comma list of names or ARNs in Secrets Manager that hold RDS's own JSON | none |
//! | `DB_CONNECTION` | `pgsql`, `mysql`, `mariadb` or `sqlite`; one more database, described by the fields below | none |
//! | `DB_HOST`, `DB_PORT`, `DB_SOCKET` | where its server is; a socket wins over a host | `127.0.0.1`, the engine's port |
//! | `DB_DATABASE`, `DB_USERNAME`, `DB_PASSWORD` | name (or SQLite file), user, password in any characters | name and user are needed |
//! | `DB_SSLMODE` | as `BACKUP_DB_TLS`, for the `DB_*` database alone, over which it goes | `BACKUP_DB_TLS` |
//! | `BACKUP_DB_TLS` | `disable`, `prefer`, `require`, `verify-ca` or `verify-full` | `verify-full`; `prefer` on loopback and sockets |
//! | `BACKUP_DB_TLS_CA` | PEM file of the authorities to trust besides the public ones | Amazon's own for hosts of RDS |
//! | `BACKUP_DB_AUTH` | `password`, or `iam`: a token for each connection, as RDS takes it | `password` |
//! | `BACKUP_FILES` | comma list of `name=/path` or `/path` | none |
//! | `BACKUP_FILES_INCLUDE`, `BACKUP_FILES_EXCLUDE` | comma lists of globs relative to each path | everything, nothing |
//! | `BACKUP_ARCHIVE_PASSWORD` | printable ASCII, 32 to 99 characters | needed by `backup` |
//! | `BACKUP_ARCHIVE_PASSWORD_SECRET` | name or ARN in Secrets Manager; wins over the one above | none |
//! | `BACKUP_ALLOW_WEAK_PASSWORD` | `true`: take an archive password under 32 characters | `false` |
//! | `BACKUP_COMPRESSION` | `deflate`, `zstd` or `store` | `deflate` |
//! | `BACKUP_COMPRESSION_LEVEL` | 1 to 9 for deflate, 1 to 19 for zstd | 3 |
//! | `BACKUP_WORKERS` | 1 to 256 CPU workers | the processors |
//! | `BACKUP_UPLOAD_CONCURRENCY` | 1 to 64 parts on their way at once | 4 |
//! | `BACKUP_PART_SIZE_MB` | 5 to 1024 MiB, size of the first parts | 8 |
//! | `BACKUP_LOCK_TIMEOUT_SECONDS` | 1 to 3600: how long to wait for a table lock | 60 |
//! | `BACKUP_MAX_ROW_MB` | 1 to 4096 MiB: largest row held in memory | 64 |
//! | `BACKUP_MAX_FILES` | 1 to 100,000,000 entries in one archive | 1,000,000 |
//! | `BACKUP_VERIFY` | `tail` or `full` | `full` on directories, `tail` elsewhere |
//! | `BACKUP_TIMEZONE` | an IANA name: the calendar of retention | `UTC` |
//! | `BACKUP_KEEP_ALL_DAYS`, `BACKUP_KEEP_DAILY_DAYS`, `BACKUP_KEEP_WEEKLY_WEEKS`, `BACKUP_KEEP_MONTHLY_MONTHS`, `BACKUP_KEEP_YEARLY_YEARS` | 0 to 10,000; not all 0 | 7, 30, 12, 12, 7 |
//! | `BACKUP_DELETE_OLDEST_OVER_MB` | MiB: delete the oldest while more is kept | off |
//! | `BACKUP_OBJECT_LOCK` | `off`, `governance` or `compliance`: lock each backup for as long as the policy surely keeps it | `off` |
//! | `BACKUP_DELETE_VERSIONS` | `true`: cleanup deletes all versions of an object, instead of leaving old ones behind a marker | `false` |
//! | `BACKUP_MAX_AGE_DAYS` | 1 to 3650: the newest backup may be this old | 1 |
//! | `BACKUP_MAX_STORAGE_MB` | MiB of all backups together, or `none` | 10240 |
//! | `BACKUP_MAX_DRILL_AGE_DAYS` | 1 to 3650: the last proven restore may be this old | told, never unhealthy |
//! | `BACKUP_EMPTY_DATABASES` | comma list of databases that may be without a single row; of any other `monitor` warns | none |
//! | `BACKUP_MONITOR_SAMPLE` | `0.01%` to `100%`: how much of a backup `monitor` reads every day; `0`: nothing | `5%` |
//! | `BACKUP_NOTIFICATION_EMAIL` | comma list of addresses | none |
//! | `BACKUP_MAIL_FROM`, `MAIL_FROM_ADDRESS` | the sender, verified in SES; the first goes first | needed by `mail` |
//! | `SLACK_WEBHOOK_URL` | `https://…` | none |
//! | `SLACK_WEBHOOK_SECRET` | name or ARN in Secrets Manager; wins over the one above | none |
//! | `BACKUP_FAILURE_NOTIFICATIONS`, `BACKUP_HEALTH_NOTIFICATIONS` | comma list of `mail`, `slack`, or `none` | every channel that is set up |
//! | `BACKUP_SUCCESS_NOTIFICATIONS` | the same | `none` |
//! | `BACKUP_METRICS` | `none`, or `emf`: figures for CloudWatch in the error output | `none` |

mod databases;
mod describe;
mod disks;
mod files;
mod notifications;
mod password;
mod raw;
mod rds;
mod share;
#[cfg(test)]
mod tests;
pub mod types;
mod url;
mod variables;
mod warnings;

pub use databases::parse_database_url;
pub use describe::{describe, describe_lines};
pub use password::generate_password;
pub use share::Share;
pub use types::*;
pub use warnings::warnings;

pub(crate) use databases::{is_loopback, same_database};
pub(crate) use password::{check_password, ends_in_newline};
pub(crate) use rds::parse_rds_secret;

use std::time::Duration;

use crate::Result;
use crate::retention::Policy;
use crate::secret::{Secret, SecretRef};
use crate::source::DumpLimits;
use crate::store::{LockMode, UploadLimits};
use raw::Raw;

/// How variables are read: the process environment in the doors, a map in tests and in `demo`.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads and checks every variable.
///
/// # Errors
/// One [`Class::Configuration`](crate::Class::Configuration) that names every wrong variable, one a line.
pub fn load(lookup: Lookup<'_>) -> Result<Config> {
    let mut raw = Raw::new(lookup);
    let config = read(&mut raw);
    raw.finish(config)
}

/// As [`load`], and refuses what only a backup cannot do without: an archive password, and something to back up.
///
/// # Errors
/// One [`Class::Configuration`](crate::Class::Configuration) that names every wrong or missing variable, one a line.
pub fn load_for_backup(lookup: Lookup<'_>) -> Result<Config> {
    let mut raw = Raw::new(lookup);
    let config = read(&mut raw);
    if raw.text("BACKUP_ARCHIVE_PASSWORD_SECRET").is_none() && !raw.is_set("BACKUP_ARCHIVE_PASSWORD") {
        raw.problem("BACKUP_ARCHIVE_PASSWORD", "is not set, and nothing is ever stored unencrypted");
    }
    let sources = ["DATABASE_URL", "DATABASE_SECRET", "DB_CONNECTION", "DB_DATABASE", "DB_HOST", "BACKUP_FILES"];
    if !sources.iter().any(|name| raw.is_set(name)) {
        raw.problem(
            "DATABASE_URL",
            "is not set, nor is DATABASE_SECRET, DB_CONNECTION or BACKUP_FILES: nothing to back up",
        );
    }
    raw.finish(config)
}

fn read(raw: &mut Raw<'_>) -> Config {
    let disks = disks::read(raw);
    let database_defaults = databases::read_defaults(raw);
    Config {
        name: raw.word("BACKUP_NAME").unwrap_or_else(|| "nightvault".into()),
        filename_prefix: raw.word("BACKUP_FILENAME_PREFIX").unwrap_or_default(),
        disks: disks.backup,
        monitor_disks: disks.monitor,
        metrics: raw.one_of("BACKUP_METRICS", &[("none", false), ("emf", true)]).unwrap_or_default(),
        databases: databases::read(raw, &database_defaults),
        database_defaults,
        files: files::read(raw),
        archive_password: read_password(raw),
        allow_weak_password: raw.flag("BACKUP_ALLOW_WEAK_PASSWORD"),
        compression: read_compression(raw),
        workers: raw
            .number("BACKUP_WORKERS", 1..=256)
            .map_or_else(processors, |workers| usize::try_from(workers).expect("at most 256")),
        dump_limits: read_dump_limits(raw),
        max_files: raw.number("BACKUP_MAX_FILES", 1..=100_000_000).unwrap_or(1_000_000),
        upload: read_upload_limits(raw),
        verify: raw.one_of("BACKUP_VERIFY", &[("tail", VerifyMode::Tail), ("full", VerifyMode::Full)]),
        timezone: read_timezone(raw),
        retention: read_retention(raw),
        object_lock: read_object_lock(raw),
        delete_versions: raw.flag("BACKUP_DELETE_VERSIONS"),
        health: HealthLimits {
            max_age_days: raw.number_u32("BACKUP_MAX_AGE_DAYS", 1..=3650).unwrap_or(1),
            max_storage_mb: raw.number_or_none("BACKUP_MAX_STORAGE_MB", 10_240),
            max_drill_age_days: raw.number_u32("BACKUP_MAX_DRILL_AGE_DAYS", 1..=3650),
            empty_databases: read_empty_databases(raw),
        },
        monitor_sample: read_sample(raw),
        notifications: notifications::read(raw),
        aws: AwsConfig { region: raw.text("AWS_REGION").or_else(|| raw.text("AWS_DEFAULT_REGION")) },
    }
}

/// Names as they stand in a backup. Whether there is such a database is for monitor to tell: it may know none itself.
fn read_empty_databases(raw: &mut Raw<'_>) -> Vec<String> {
    const EMPTY: &str = "BACKUP_EMPTY_DATABASES";
    let names = raw.list(EMPTY);
    if names.iter().any(|name| name.contains('/')) {
        // An address may hold a password: it is not quoted.
        raw.problem(EMPTY, "has an address or a path where the name of a database is meant");
    }
    names
}

/// How much of a backup monitor reads; `0` is nothing.
fn read_sample(raw: &mut Raw<'_>) -> Option<Share> {
    const SAMPLE: &str = "BACKUP_MONITOR_SAMPLE";
    let Some(text) = raw.text(SAMPLE) else { return Some(Share::DEFAULT) };
    if ["0", "0%", "0 %"].contains(&text.as_str()) {
        return None;
    }
    match text.parse() {
        Ok(share) => Some(share),
        Err(error) => {
            raw.problem(SAMPLE, format!("is wrong: {error}"));
            None
        }
    }
}

/// The processors this process may use; one where the system does not say.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

fn read_password(raw: &mut Raw<'_>) -> Option<SecretRef> {
    let allow_weak = raw.flag_quietly("BACKUP_ALLOW_WEAK_PASSWORD");
    let secret = raw.secret_name("BACKUP_ARCHIVE_PASSWORD_SECRET").map(SecretRef::SecretsManager);
    if secret.is_some() {
        return secret;
    }
    let written = raw.secret("BACKUP_ARCHIVE_PASSWORD")?;
    match check_password(&written, allow_weak) {
        Ok(password) => Some(SecretRef::Value(password)),
        Err(wrong) => {
            raw.problem("BACKUP_ARCHIVE_PASSWORD", wrong);
            None
        }
    }
}

fn read_compression(raw: &mut Raw<'_>) -> Compression {
    const LEVEL: &str = "BACKUP_COMPRESSION_LEVEL";
    let kind = raw.one_of("BACKUP_COMPRESSION", &[("deflate", 'd'), ("zstd", 'z'), ("store", 's')]);
    let level = |raw: &mut Raw<'_>, most: u64| {
        raw.number(LEVEL, 1..=most).map_or(3, |level| u8::try_from(level).expect("at most 19"))
    };
    match kind {
        Some('z') => Compression::Zstd(level(raw, 19)),
        Some('s') => {
            if raw.is_set(LEVEL) {
                raw.problem(LEVEL, "is set, but BACKUP_COMPRESSION is store, which has no levels");
            }
            Compression::Store
        }
        _ => Compression::Deflate(level(raw, 9)),
    }
}

fn read_dump_limits(raw: &mut Raw<'_>) -> DumpLimits {
    let default = DumpLimits::default();
    DumpLimits {
        lock_timeout: raw
            .number("BACKUP_LOCK_TIMEOUT_SECONDS", 1..=3600)
            .map_or(default.lock_timeout, Duration::from_secs),
        max_row_bytes: raw.number("BACKUP_MAX_ROW_MB", 1..=4096).map_or(default.max_row_bytes, |mb| mb << 20),
    }
}

fn read_upload_limits(raw: &mut Raw<'_>) -> UploadLimits {
    let default = UploadLimits::default();
    UploadLimits {
        parts_in_flight: raw
            .number("BACKUP_UPLOAD_CONCURRENCY", 1..=64)
            .map_or(default.parts_in_flight, |parts| usize::try_from(parts).expect("at most 64")),
        // S3 takes parts of 5 MiB and more: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
        first_part_bytes: raw.number("BACKUP_PART_SIZE_MB", 5..=1024).map_or(default.first_part_bytes, |mb| mb << 20),
    }
}

fn read_timezone(raw: &mut Raw<'_>) -> jiff::tz::TimeZone {
    let Some(name) = raw.text("BACKUP_TIMEZONE") else { return jiff::tz::TimeZone::UTC };
    jiff::tz::TimeZone::get(&name).unwrap_or_else(|_| {
        raw.problem("BACKUP_TIMEZONE", format!("{name:?} is no time zone of the IANA database"));
        jiff::tz::TimeZone::UTC
    })
}

fn read_retention(raw: &mut Raw<'_>) -> Policy {
    const KEEP: [&str; 5] = [
        "BACKUP_KEEP_ALL_DAYS",
        "BACKUP_KEEP_DAILY_DAYS",
        "BACKUP_KEEP_WEEKLY_WEEKS",
        "BACKUP_KEEP_MONTHLY_MONTHS",
        "BACKUP_KEEP_YEARLY_YEARS",
    ];
    let default = Policy::default();
    let mut keep = |name, default| raw.number_u32(name, 0..=10_000).unwrap_or(default);
    let policy = Policy {
        keep_all_days: keep(KEEP[0], default.keep_all_days),
        keep_daily_days: keep(KEEP[1], default.keep_daily_days),
        keep_weekly_weeks: keep(KEEP[2], default.keep_weekly_weeks),
        keep_monthly_months: keep(KEEP[3], default.keep_monthly_months),
        keep_yearly_years: keep(KEEP[4], default.keep_yearly_years),
        delete_oldest_over_mb: raw.number("BACKUP_DELETE_OLDEST_OVER_MB", 1..=u64::from(u32::MAX)),
    };
    let nothing = Policy {
        keep_all_days: 0,
        keep_daily_days: 0,
        keep_weekly_weeks: 0,
        keep_monthly_months: 0,
        keep_yearly_years: 0,
        ..policy
    };
    if policy == nothing {
        raw.problem(KEEP[0], format!("is 0, and so are {}: that would keep nothing", KEEP[1..].join(", ")));
    }
    policy
}

fn read_object_lock(raw: &mut Raw<'_>) -> Option<LockMode> {
    const LOCK: &str = "BACKUP_OBJECT_LOCK";
    let modes = [("off", None), ("governance", Some(LockMode::Governance)), ("compliance", Some(LockMode::Compliance))];
    let mode = raw.one_of(LOCK, &modes).flatten();
    if mode.is_some() && raw.is_set("BACKUP_DELETE_OLDEST_OVER_MB") {
        raw.problem(
            LOCK,
            "is on, but with BACKUP_DELETE_OLDEST_OVER_MB any backup may be the next to go: nothing can be locked",
        );
    }
    mode
}

/// The secret of a pair `<name>` and `<name of its twin>`, of which the one in Secrets Manager wins.
fn secret_pair(raw: &mut Raw<'_>, value: &str, in_secrets_manager: &str) -> Option<SecretRef> {
    let secret = raw.secret_name(in_secrets_manager).map(SecretRef::SecretsManager);
    secret.or_else(|| raw.secret(value).map(|value| SecretRef::Value(Secret::new(value.expose().trim()))))
}
