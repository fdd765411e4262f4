//! The monitor recipe: gather facts of every disk, check them all, tell.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;

use crate::archive::reader;
use crate::catalog;
use crate::environment::Environment;
use crate::health::{self, DiskFacts, Status};
use crate::operation::backup::pick;
use crate::operation::{Context, Event, Failed};
use crate::report::{DiskHealth, MonitorReport};
use crate::secret::Secret;
use crate::store::Store;
use crate::{Class, Error, Result, notify};

/// Checks the backups of every monitored disk and tells whoever wants to know.
///
/// # Errors
/// [`Class::Unhealthy`] with the report when a check did not pass, so that exit codes, retries and alarms see it.
pub async fn monitor(
    environment: &Environment,
    event: &Event,
    context: &Context,
) -> Result<MonitorReport, Failed<MonitorReport>> {
    let begun = Instant::now();
    let stores = pick(environment.monitor_stores(), &event.disks, |store| store.disk().to_owned(), "disk")?;
    let password = environment.archive_password().await;
    let disks =
        join_all(stores.iter().map(|store| check_disk(environment, store, password.as_ref(), context))).await;

    let healthy = disks.iter().all(|disk| disk.healthy);
    let mut report = MonitorReport {
        name: environment.config().name.clone(),
        now: context.now,
        healthy,
        disks,
        duration_ms: super::elapsed_ms(begun),
        notifications: Vec::new(),
    };
    if event.wants_notifications() {
        let event = if healthy { notify::Event::Healthy(&report) } else { notify::Event::Unhealthy(&report) };
        report.notifications = notify::send(environment, &event).await;
    }
    let outcome = if healthy { Ok(report) } else { Err(unhealthy(report)) };
    super::log_outcome("monitor", &outcome);
    outcome
}
