//! All clients, built once per process; secrets, fetched on every call, so that a rotation is seen by the next run.
//!
//! Nothing is built before it is needed: a run that stores into a directory and tells nobody never loads the AWS
//! configuration, and so never asks the metadata service of a machine that has none. Values of secrets and addresses
//! of webhooks stand in no error and no log line.

mod iam;
mod secrets;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use tokio::sync::OnceCell;

use crate::config::{
    Config, DatabaseConfig, DatabaseRef, check_password, ends_in_newline, parse_rds_secret, same_database,
};
use crate::secret::{Secret, SecretRef};
use crate::store::Store;
use crate::{Error, Result};

/// How long a connection to SES, Secrets Manager or a webhook may take. A missing route must not eat the run's time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one attempt of a call may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a call with all its attempts may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);

/// What an operation works with: the configuration, the stores and the clients.
pub struct Environment {
    config: Config,
    stores: Vec<Arc<dyn Store>>,
    monitor_stores: Vec<Arc<dyn Store>>,
    aws: OnceCell<SdkConfig>,
    ses: OnceCell<aws_sdk_sesv2::Client>,
    secrets: OnceCell<aws_sdk_secretsmanager::Client>,
    http: OnceCell<reqwest::Client>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("config", &self.config)
            .field("stores", &self.stores)
            .field("monitor_stores", &self.monitor_stores)
            .finish_non_exhaustive()
    }
}

impl Environment {
    /// Builds the stores that `config` asks for. Opens no connection. A disk that stands in both lists is one store.
    ///
    /// # Errors
    /// What the store says of its configuration.
    pub async fn open(config: Config) -> Result<Self> {
        let mut stores: Vec<Arc<dyn Store>> = Vec::with_capacity(config.disks.len());
        for disk in &config.disks {
            stores.push(crate::store::open(disk, &config.upload).await?);
        }
        let mut monitor_stores = Vec::with_capacity(config.monitor_disks.len());
        for disk in &config.monitor_disks {
            // Names are unique within a list, and a name has one description for both.
            let known = stores.iter().find(|store| store.disk() == disk.name).cloned();
            monitor_stores.push(match known {
                Some(store) => store,
                None => crate::store::open(disk, &config.upload).await?,
            });
        }
        Ok(Self::with_stores(config, stores, monitor_stores))
    }

    /// An environment around stores that are there already.
    pub fn with_stores(config: Config, stores: Vec<Arc<dyn Store>>, monitor_stores: Vec<Arc<dyn Store>>) -> Self {
        Self {
            config,
            stores,
            monitor_stores,
            aws: OnceCell::new(),
            ses: OnceCell::new(),
            secrets: OnceCell::new(),
            http: OnceCell::new(),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The stores of `BACKUP_DISK`, in its order.
    pub fn stores(&self) -> &[Arc<dyn Store>] {
        &self.stores
    }

    /// The stores of `BACKUP_MONITOR_DISKS`, in its order.
    pub fn monitor_stores(&self) -> &[Arc<dyn Store>] {
        &self.monitor_stores
    }

    /// The client of Amazon SES; built at the first call.
    pub async fn ses(&self) -> &aws_sdk_sesv2::Client {
        self.ses.get_or_init(async || aws_sdk_sesv2::Client::new(self.aws().await)).await
    }

    /// The client for webhooks: no redirects (they would carry the address's token elsewhere); built at the first call.
    ///
    /// # Errors
    /// When the system has no certificates to trust.
    pub async fn http(&self) -> Result<&reqwest::Client> {
        self.http
            .get_or_try_init(async || {
                reqwest::Client::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .timeout(ATTEMPT_TIMEOUT)
                    .redirect(reqwest::redirect::Policy::none())
                    .build()
                    .map_err(|error| Error::configuration("cannot make a client for webhooks").because(error))
            })
            .await
    }

    /// The value of a secret; one in Secrets Manager is fetched anew on every call.
    ///
    /// # Errors
    /// What Secrets Manager says, with the secret's name and the permission that is missing.
    pub async fn secret(&self, secret: &SecretRef) -> Result<Secret> {
        match secret {
            SecretRef::Value(value) => Ok(value.clone()),
            SecretRef::SecretsManager(name) => secrets::single_value(name, self.fetch(name).await?),
        }
    }

    /// The archive password, fetched and checked (missing, too short, not usable in every reader).
    ///
    /// # Errors
    /// [`Class::Configuration`](crate::Class::Configuration) when there is none or it must not be used, else as [`Self::secret`].
    pub async fn archive_password(&self) -> Result<Secret> {
        let Some(reference) = &self.config.archive_password else {
            return Err(Error::configuration("BACKUP_ARCHIVE_PASSWORD is not set, and nothing is ever stored unencrypted")
                .hint("Set BACKUP_ARCHIVE_PASSWORD or BACKUP_ARCHIVE_PASSWORD_SECRET; `openssl rand -base64 32` makes a good password."));
        };
        let place = match reference {
            SecretRef::Value(_) => "BACKUP_ARCHIVE_PASSWORD".to_owned(),
            SecretRef::SecretsManager(name) => format!("the archive password in the secret {name:?}"),
        };
        let written = self.secret(reference).await?;
        if ends_in_newline(written.expose()) {
            tracing::warn!("the newline at the end of {place} is not part of the password");
        }
        check_password(&written, self.config.allow_weak_password).map_err(|wrong| {
            Error::configuration(format!("{place} {wrong}"))
                .hint("It takes 32 to 99 printable ASCII characters, e.g. what `openssl rand -base64 32` prints.")
        })
    }

    /// The databases with their secrets fetched, in the order of the configuration.
    ///
    /// # Errors
    /// As [`Self::secret`]; a secret that is not in RDS's form; two descriptions of one database.
    pub async fn databases(&self) -> Result<Vec<DatabaseConfig>> {
        let mut databases: Vec<DatabaseConfig> = Vec::with_capacity(self.config.databases.len());
        for reference in &self.config.databases {
            let database = match reference {
                DatabaseRef::Inline(database) => self.signed(database.clone()).await,
                DatabaseRef::SecretsManager(name) => {
                    let database = parse_rds_secret(name, &self.fetch(name).await?, &self.config.database_defaults)?;
                    self.signed(database).await
                }
            };
            if databases.iter().any(|other| same_database(other, &database)) {
                let what = match reference {
                    DatabaseRef::SecretsManager(name) => format!("the secret {name:?}"),
                    DatabaseRef::Inline(_) => "a variable".to_owned(),
                };
                let message = format!("{what} describes a database that is in the configuration already");
                return Err(Error::configuration(message)
                    .hint("Name each database once: in DATABASE_URL, in DATABASE_SECRET or by the DB_* variables."));
            }
            databases.push(database);
        }
        Ok(databases)
    }

    /// The database with somebody who signs its logins, where they are signed.
    pub(crate) async fn signed(&self, mut database: DatabaseConfig) -> DatabaseConfig {
        if let DatabaseConfig::Postgres(server) | DatabaseConfig::Mysql(server) = &mut database
            && let Some(iam) = &mut server.iam
        {
            iam.signer = Some(Arc::new(iam::AwsSigner::new(self.aws().await.clone())));
        }
        database
    }

    async fn fetch(&self, name: &str) -> Result<Secret> {
        let client = self.secrets.get_or_init(async || aws_sdk_secretsmanager::Client::new(self.aws().await)).await;
        secrets::fetch(client, name).await
    }

    /// Region, credentials and endpoint (`AWS_ENDPOINT_URL` and its kin) as the SDK finds them.
    async fn aws(&self) -> &SdkConfig {
        self.aws
            .get_or_init(async || {
                let timeouts = TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .operation_timeout(CALL_TIMEOUT)
                    .build();
                let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
                if let Some(region) = &self.config.aws.region {
                    loader = loader.region(Region::new(region.clone()));
                }
                loader.load().await
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use crate::config;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Environment::with_stores(config::load(&lookup).unwrap(), Vec::new(), Vec::new())
    }

    const LOCAL: [(&str, &str); 2] = [("BACKUP_DISK", "local"), ("BACKUP_LOCAL_PATH", "/vault")];

    #[tokio::test]
    async fn without_a_password_nothing_can_be_encrypted_and_the_error_names_the_variable() {
        let error = environment(&LOCAL).archive_password().await.unwrap_err();
        assert_eq!(error.class(), Class::Configuration);
        assert!(error.chain().contains("BACKUP_ARCHIVE_PASSWORD"));
        assert!(error.hint_text().unwrap().contains("BACKUP_ARCHIVE_PASSWORD_SECRET"));
    }

    #[tokio::test]
    async fn a_run_without_aws_never_loads_its_configuration() {
        let password = "0123456789abcdefghijklmnopqrstuv";
        let variables =
            [&LOCAL[..], &[("BACKUP_ARCHIVE_PASSWORD", password), ("DATABASE_URL", "sqlite:///a.db")]].concat();
        let environment = environment(&variables);
        assert_eq!(environment.archive_password().await.unwrap().expose(), password);
        assert_eq!(environment.databases().await.unwrap(), [DatabaseConfig::Sqlite { path: "/a.db".into() }]);
        environment.http().await.unwrap();
        assert!(!environment.aws.initialized());
    }

    #[test]
    fn debug_shows_no_secret() {
        let variables = [&LOCAL[..], &[("BACKUP_ARCHIVE_PASSWORD", "canary-canary-canary-canary-0123456789")]].concat();
        assert!(!format!("{:?}", environment(&variables)).contains("canary"));
    }
}
