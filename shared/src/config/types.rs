//! What the rest of the crate gets to see of the configuration: validated, typed, defaults resolved.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::tz::TimeZone;

use super::share::Share;
use crate::retention::Policy;
use crate::secret::{Secret, SecretRef};
use crate::source::DumpLimits;
use crate::store::{LockMode, UploadLimits};

/// The whole configuration of one run.
#[derive(Debug, Clone)]
pub struct Config {
    /// `BACKUP_NAME`: the folder of all keys. Letters, digits, `.`, `_`, `-`; checked.
    pub name: String,
    /// `BACKUP_FILENAME_PREFIX`: stands before the date in the key; may be empty.
    pub filename_prefix: String,
    /// `BACKUP_DISK`: where a backup goes; at least one.
    pub disks: Vec<DiskConfig>,
    /// `BACKUP_MONITOR_DISKS`: what monitor watches; default: the same.
    pub monitor_disks: Vec<DiskConfig>,
    /// `BACKUP_METRICS=emf`: figures for CloudWatch.
    pub metrics: bool,
    /// The databases to dump.
    pub databases: Vec<DatabaseRef>,
    /// How databases from Secrets Manager and those of `--to` are connected to; the configured ones say so themselves.
    pub database_defaults: DatabaseDefaults,
    /// The file sets to add.
    pub files: Vec<FileSetConfig>,
    /// `BACKUP_ARCHIVE_PASSWORD` or `BACKUP_ARCHIVE_PASSWORD_SECRET`. `None` only for operations that need none.
    pub archive_password: Option<SecretRef>,
    /// `BACKUP_ALLOW_WEAK_PASSWORD`: take a password under 32 characters.
    pub allow_weak_password: bool,
    /// `BACKUP_COMPRESSION`, `BACKUP_COMPRESSION_LEVEL`.
    pub compression: Compression,
    /// `BACKUP_WORKERS`: CPU workers of the pipeline; default: the number of processors.
    pub workers: usize,
    /// What bounds a dump.
    pub dump_limits: DumpLimits,
    /// `BACKUP_MAX_FILES`: entries in one archive, at most; bounds the memory that the central directory takes.
    pub max_files: u64,
    /// What bounds an upload.
    pub upload: UploadLimits,
    /// `BACKUP_VERIFY`: how the stored object is proved; `None` = full on `local` disks, tail on others.
    pub verify: Option<VerifyMode>,
    /// `BACKUP_TIMEZONE`: the calendar of retention, and the second clock in messages.
    pub timezone: TimeZone,
    /// The retention policy.
    pub retention: Policy,
    /// How firmly backups are locked; `None`: they are not.
    pub object_lock: Option<LockMode>,
    /// Whether cleanup deletes all versions of an object.
    pub delete_versions: bool,
    /// The limits of health.
    pub health: HealthLimits,
    /// `BACKUP_MONITOR_SAMPLE`: how much of a backup monitor reads every day; `None` = nothing.
    pub monitor_sample: Option<Share>,
    /// Who is told what.
    pub notifications: NotificationConfig,
    /// Region and endpoint for the AWS services other than the S3 disks.
    pub aws: AwsConfig,
}

/// Where backups go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskConfig {
    /// The disk's name: `s3`, `local`, or one of the user's.
    pub name: String,
    /// What stands behind it.
    pub kind: DiskKind,
}

/// What stands behind a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskKind {
    /// A bucket of S3 or of an S3-compatible store.
    S3(S3Config),
    /// A local directory.
    Local {
        /// The directory; made when missing.
        path: PathBuf,
    },
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Config {
    /// The bucket.
    pub bucket: String,
    /// Keys start with it (without slashes at either end); may be empty.
    pub prefix: String,
    /// The region; `None` = the SDK's own default chain.
    pub region: Option<String>,
    /// The endpoint of an S3-compatible store; `None` = AWS (or the SDK's own `AWS_ENDPOINT_URL`).
    pub endpoint: Option<String>,
    /// `https://host/bucket/key` instead of `https://bucket.host/key`.
    pub path_style: bool,
    /// Credentials of this disk alone; `None` = the SDK's own default chain.
    pub credentials: Option<S3Credentials>,
}

/// Static credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: Secret,
    /// Session token of temporary credentials.
    pub session_token: Option<Secret>,
}

/// A database, or where its description is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseRef {
    /// Described by variables.
    Inline(DatabaseConfig),
    /// `DATABASE_SECRET`: name or ARN of a secret that holds RDS's own JSON; fetched on every run.
    SecretsManager(String),
}

/// A database to dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseConfig {
    /// PostgreSQL.
    Postgres(ServerDatabase),
    /// MySQL or MariaDB; which one the server says itself.
    Mysql(ServerDatabase),
    /// A SQLite file.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
}

/// A database on a server. Fields, never a URL: a password may hold any character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerDatabase {
    /// Host name or address; an absolute path is the directory (PostgreSQL) or file (MySQL) of a Unix socket.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password; may be empty.
    pub password: Secret,
    /// The database's name.
    pub database: String,
    /// How the connection is protected.
    pub tls: TlsMode,
    /// PEM file of the authorities to trust besides the public ones.
    pub tls_ca: Option<PathBuf>,
    /// IAM authentication instead of the password.
    pub iam: Option<Iam>,
}

impl ServerDatabase {
    /// The password of the next connection; with IAM authentication a token that is made for it and lives 15 minutes.
    ///
    /// # Errors
    /// No AWS credentials could be had, or there is nobody who signs.
    pub(crate) async fn login_password(&self) -> crate::Result<Secret> {
        match &self.iam {
            None => Ok(self.password.clone()),
            Some(Iam { signer: Some(signer) }) => signer.token(&self.host, self.port, &self.user).await,
            Some(Iam { signer: None }) => Err(crate::Error::bug("nobody signs for the IAM authentication")),
        }
    }
}

/// IAM database authentication.
#[derive(Clone, Debug, Default)]
pub struct Iam {
    /// Who signs; the configuration knows nobody, the environment does.
    pub(crate) signer: Option<Arc<dyn Signer>>,
}

/// Two logins by IAM are the same login: the user stands elsewhere.
impl PartialEq for Iam {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Iam {}

/// Makes the tokens of IAM database authentication.
#[async_trait]
pub(crate) trait Signer: Debug + Send + Sync {
    /// A token for one connection.
    async fn token(&self, host: &str, port: u16, user: &str) -> crate::Result<Secret>;
}

/// How a database connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never TLS.
    Disable,
    /// TLS where the server has it, unchecked. The default for loopback addresses and sockets alone.
    Prefer,
    /// TLS, certificate unchecked.
    Require,
    /// TLS, certificate checked, host name not.
    VerifyCa,
    /// TLS, certificate and host name checked. The default.
    VerifyFull,
}

/// How a database is connected to whose description does not say: protection and login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseDefaults {
    /// `BACKUP_DB_TLS`; `None` = checked in full, save on loopback addresses and sockets.
    pub tls: Option<TlsMode>,
    /// `BACKUP_DB_TLS_CA`: PEM file of the authorities to trust besides the public ones.
    pub tls_ca: Option<PathBuf>,
    /// `BACKUP_DB_AUTH=iam`: log in with a token instead of a password.
    pub iam: bool,
}

/// A set of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSetConfig {
    /// Its name; entries are `files/<name>/…`.
    pub name: String,
    /// The directory that is walked; paths in the archive are relative to it.
    pub root: PathBuf,
    /// Globs relative to the root; a file must match one. Empty = everything.
    pub include: Vec<String>,
    /// Globs relative to the root; what matches is left out (and not descended into).
    pub exclude: Vec<String>,
}

/// How entries are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// DEFLATE, level 1 to 9: every reader of AES zips opens it.
    Deflate(u8),
    /// Zstandard, level 1 to 19: 7-Zip 24 and newer.
    Zstd(u8),
    /// No compression.
    Store,
}

/// How a stored object is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyMode {
    /// Size, checksum, central directory, index and manifest.
    Tail,
    /// Besides: every byte read, every authentication code and digest checked.
    Full,
}

/// The limits of health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthLimits {
    /// `BACKUP_MAX_AGE_DAYS`: the newest backup may be this old, in days of 24 hours.
    pub max_age_days: u32,
    /// `BACKUP_MAX_STORAGE_MB`: all backups together, in MiB; `None` = no limit.
    pub max_storage_mb: Option<u64>,
    /// `BACKUP_MAX_DRILL_AGE_DAYS`: the last proven restore may be this old; `None` = it is told, and no finding.
    pub max_drill_age_days: Option<u32>,
    /// `BACKUP_EMPTY_DATABASES`: databases that may be without a single row.
    pub empty_databases: Vec<String>,
}

/// A way to reach people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// E-mail by Amazon SES.
    Mail,
    /// A Slack incoming webhook.
    Slack,
}

/// Who is told what.
#[derive(Debug, Clone, Default)]
pub struct NotificationConfig {
    /// `BACKUP_NOTIFICATION_EMAIL`: recipients.
    pub mail_to: Vec<String>,
    /// `BACKUP_MAIL_FROM` (or Laravel's `MAIL_FROM_ADDRESS`): the sender, an identity verified in SES.
    pub mail_from: Option<String>,
    /// `SLACK_WEBHOOK_URL` or `SLACK_WEBHOOK_SECRET`.
    pub slack_webhook: Option<SecretRef>,
    /// `BACKUP_SUCCESS_NOTIFICATIONS`: backup and cleanup done, backups healthy.
    pub success: BTreeSet<Channel>,
    /// `BACKUP_FAILURE_NOTIFICATIONS`: backup or cleanup failed.
    pub failure: BTreeSet<Channel>,
    /// `BACKUP_HEALTH_NOTIFICATIONS`: backups unhealthy.
    pub health: BTreeSet<Channel>,
}

/// Region and endpoint of SES and Secrets Manager.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsConfig {
    /// `AWS_DEFAULT_REGION` or `AWS_REGION`.
    pub region: Option<String>,
}
