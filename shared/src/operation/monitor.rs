//! The monitor recipe: gather facts of every disk, check them all, tell.

mod drills;
mod samples;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::archive::reader;
use crate::audit::Place;
use crate::catalog;
use crate::environment::Environment;
use crate::health::{self, DiskFacts, Status, TailFacts};
use crate::metrics::{self, Measure};
use crate::operation::backup::pick;
use crate::operation::end::{End, Report, parts};
use crate::operation::foreign::another_programs;
use crate::operation::{Context, Event, Failed};
use crate::report::{Delivery, DiskHealth, FindingReport, MonitorReport};
use crate::retention::Candidate;
use crate::secret::Secret;
use crate::store::{Hidden, Object, Store};
use crate::{Class, Error, notify};

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
    let outcome = run(environment, event, context, begun).await;
    let watched = environment.monitor_stores().iter().map(|store| store.disk().to_owned());
    let disks = if event.disks.is_empty() { watched.collect() } else { event.disks.clone() };
    let end = End { disks: &disks, planned: event.only_plans(), notify: event.wants_notifications(), begun };
    super::end::end(environment, context, end, outcome).await
}

async fn run(
    environment: &Environment,
    event: &Event,
    context: &Context,
    begun: Instant,
) -> Result<MonitorReport, Failed<MonitorReport>> {
    let stores = pick(environment.monitor_stores(), &event.disks, |store| store.disk().to_owned(), "disk")?;
    let password = environment.archive_password().await;
    let disks = join_all(stores.iter().map(|store| check_disk(environment, store, password.as_ref(), context))).await;
    judge(MonitorReport {
        name: environment.config().name.clone(),
        now: context.now,
        healthy: true,
        disks,
        duration_ms: super::elapsed_ms(begun),
        notifications: Vec::new(),
    })
}

/// A report in which any check did not pass is a failure.
fn judge(mut report: MonitorReport) -> Result<MonitorReport, Failed<MonitorReport>> {
    report.healthy = report.disks.iter().all(|disk| disk.healthy);
    if report.healthy { Ok(report) } else { Err(unhealthy(report)) }
}

impl Report for MonitorReport {
    const OPERATION: &'static str = "monitor";

    /// Nobody but monitor tells people, so a trail that takes no record is a check which did not pass.
    fn not_recorded(mut self, disk: &str, warning: String) -> Result<Self, Failed<Self>> {
        // A disk that is watched and takes no backups has no record of ours; then the first one tells.
        let position = self.disks.iter().position(|on| on.disk == disk).unwrap_or_default();
        if let Some(on) = self.disks.get_mut(position) {
            on.healthy = false;
            let (check, status) = ("recorded".to_owned(), Status::Unhealthy.to_string());
            on.findings.push(FindingReport { check, status, message: format!("this run was {warning}") });
        }
        judge(self)
    }

    fn news(outcome: &Result<Self, Failed<Self>>) -> Option<notify::Event<'_>> {
        match outcome {
            Ok(report) => Some(notify::Event::Healthy(report)),
            Err(Failed { report, .. }) => report.as_deref().map(notify::Event::Unhealthy),
        }
    }

    fn figures(outcome: &Result<Self, Failed<Self>>, took: Duration, left: Option<Duration>) -> Vec<Measure> {
        metrics::of(parts(outcome).0, outcome.is_ok(), took, left)
    }

    fn told(&mut self, deliveries: Vec<Delivery>) {
        self.notifications = deliveries;
    }
}

async fn check_disk(
    environment: &Environment,
    store: &Arc<dyn Store>,
    password: std::result::Result<&Secret, &Error>,
    context: &Context,
) -> DiskHealth {
    let facts = gather(environment, store, password, context).await;
    health::disk_health(&facts, &environment.config().health, context.now)
}

/// What there is to know of one disk; what cannot be learned is a fact as well.
async fn gather(
    environment: &Environment,
    store: &Arc<dyn Store>,
    password: std::result::Result<&Secret, &Error>,
    context: &Context,
) -> DiskFacts {
    let config = environment.config();
    let mut facts = DiskFacts {
        disk: store.disk().to_owned(),
        reached: Ok(()),
        backups: Vec::new(),
        notes_unread: None,
        foreign: 0,
        hidden: Ok(Hidden::default()),
        newest_tail: None,
        previous_tail: None,
        trail: None,
        samples: Vec::new(),
        last_drill: Ok(None),
    };
    let listing = catalog::read(&**store, &config.name, &config.filename_prefix, &config.timezone);
    let catalog = match context.unless_stopped(listing).await {
        Ok(catalog) => catalog,
        Err(error) => {
            facts.reached = Err(error.chain());
            return facts;
        }
    };
    facts.foreign = catalog.foreign.len() as u64;
    let folder = format!("{}/", config.name);
    facts.hidden = context.unless_stopped(store.hidden(&folder)).await.map_err(|error| error.chain());
    let proofs = context.unless_stopped(catalog::proofs(&**store, &catalog.backups)).await.unwrap_or_else(|error| {
        facts.notes_unread = Some(error.chain());
        vec![None; catalog.backups.len()]
    });
    let with_proof = |(backup, proof)| Candidate::from(backup).with_proof(proof);
    facts.backups = catalog.backups.iter().zip(proofs).map(with_proof).collect();
    let object = |candidate: Option<&Candidate>| {
        let key = &candidate?.key;
        catalog.backups.iter().map(|backup| &backup.object).find(|object| object.key == *key)
    };
    let newest = object(health::newest(&facts.backups, context.now));
    let previous = object(health::previous(&facts.backups, context.now));
    facts.newest_tail = tail(store, newest, password, context).await;
    facts.previous_tail = tail(store, previous, password, context).await;
    let place = Place::new(&config.name);
    let read = health::TrailFacts::read(&**store, &place, newest.map(|object| object.key.as_str()));
    facts.trail = Some(context.unless_stopped(read).await.map_err(|error| error.chain()));
    if let Ok(password) = password {
        facts.samples = samples::read(environment, store, &catalog, newest, password, context).await;
    }
    facts.last_drill = drills::last(&**store, &config.name, &catalog).await.map_err(|error| error.chain());
    facts
}

/// What the end of a backup says, or why it could not be read.
async fn tail(
    store: &Arc<dyn Store>,
    object: Option<&Object>,
    password: std::result::Result<&Secret, &Error>,
    context: &Context,
) -> Option<std::result::Result<TailFacts, (Class, String)>> {
    let object = object?;
    let tail = match password {
        Ok(password) => {
            let read = async {
                match reader::read_tail(store.clone(), object, password).await {
                    Ok(tail) => Ok(tail),
                    Err(error) => {
                        another_programs(store, object, error).await?;
                        let message = "another program wrote it; it has no manifest, so nobody can tell what it lacks";
                        Err(Error::unsupported(message))
                    }
                }
            };
            context.unless_stopped(read).await
        }
        Err(error) => return Some(Err((error.class(), error.chain()))),
    };
    Some(match tail {
        Ok(tail) => Ok(TailFacts::from(&tail)),
        Err(error) => Err((error.class(), error.chain())),
    })
}

fn unhealthy(report: MonitorReport) -> Failed<MonitorReport> {
    let failed: Vec<String> = report
        .disks
        .iter()
        .flat_map(|disk| disk.findings.iter().map(move |finding| (disk, finding)))
        .filter(|(_, finding)| finding.status == Status::Unhealthy.to_string())
        .map(|(disk, finding)| format!("{}: {}: {}", disk.disk, finding.check, finding.message))
        .collect();
    let error = Error::new(Class::Unhealthy, format!("the backups are not healthy: {}", failed.join("; ")));
    Failed { error, report: Some(Box::new(report)) }
}
