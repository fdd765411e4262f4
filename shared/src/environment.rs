//! All clients, built once per process; secrets, fetched on every run.

use std::sync::Arc;

use crate::config::{Config, DatabaseConfig};
use crate::secret::{Secret, SecretRef};
use crate::store::Store;
use crate::{Error, Result};

/// What an operation works with: the configuration, the stores and the clients.
#[derive(Debug)]
pub struct Environment {
    config: Config,
    stores: Vec<Arc<dyn Store>>,
    monitor_stores: Vec<Arc<dyn Store>>,
}

impl Environment {
    /// Builds the clients that `config` asks for. Opens no connection.
    pub async fn open(_config: Config) -> Result<Self> {
        Err(Error::bug("the environment is not built yet"))
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

    /// The value of a secret; one in Secrets Manager is fetched anew on every call.
    pub async fn secret(&self, _secret: &SecretRef) -> Result<Secret> {
        Err(Error::bug("the environment is not built yet"))
    }

    /// The archive password, fetched and checked (missing, too short, not usable in every reader).
    pub async fn archive_password(&self) -> Result<Secret> {
        Err(Error::bug("the environment is not built yet"))
    }

    /// The databases with their secrets fetched, in the order of the configuration.
    pub async fn databases(&self) -> Result<Vec<DatabaseConfig>> {
        Err(Error::bug("the environment is not built yet"))
    }
}
