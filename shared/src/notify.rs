//! Telling people.
//!
//! An event becomes a [`Message`] by pure functions ([`message::render`]), and the message goes to the channels that
//! the configuration chose for that kind of event, all at the same time. A channel that fails, hangs or is badly
//! configured changes neither the result of the run nor any other channel: it is told in its [`Delivery`] and in the
//! log, and nowhere else. Every channel is given up after a bounded time. Secrets are in no message and no error.

mod mail;
pub mod message;
mod page;
mod slack;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;

use crate::config::{Channel, NotificationConfig};
use crate::environment::Environment;
use crate::error::Error;
use crate::report::{BackupReport, CleanupReport, Delivery, MonitorReport};
use crate::secret::Secret;
use crate::{Class, Result};

pub use message::Message;

/// Characters of a channel's error, at most.
const LONGEST_ERROR: usize = 600;

/// What there is to tell: the six events.
#[derive(Debug)]
pub enum Event<'a> {
    /// A backup was made, read back and checked.
    BackupSucceeded(&'a BackupReport),
    /// A backup failed; the report holds what was nevertheless done.
    BackupFailed(&'a Error, Option<&'a BackupReport>),
    /// Cleanup is done.
    CleanupSucceeded(&'a CleanupReport),
    /// Cleanup failed, wholly or in part.
    CleanupFailed(&'a Error, Option<&'a CleanupReport>),
    /// Every check passed.
    Healthy(&'a MonitorReport),
    /// A check did not pass.
    Unhealthy(&'a MonitorReport),
}

impl Event<'_> {
    /// The channels that `config` chose for this kind of event. A vault that is healthy with warnings is told to those
    /// who want to hear of bad health too: most of them hear of nothing else, and a database that lost its rows is one.
    pub fn channels(&self, config: &NotificationConfig) -> BTreeSet<Channel> {
        match self {
            Event::Healthy(report) if warns(report) => &config.success | &config.health,
            Event::BackupSucceeded(_) | Event::CleanupSucceeded(_) | Event::Healthy(_) => config.success.clone(),
            Event::BackupFailed(..) | Event::CleanupFailed(..) => config.failure.clone(),
            Event::Unhealthy(_) => config.health.clone(),
        }
    }
}

/// Whether a check has a warning that is news. Foreign objects lie there every night.
fn warns(report: &MonitorReport) -> bool {
    let findings = report.disks.iter().flat_map(|disk| &disk.findings);
    findings.into_iter().any(|finding| finding.status == "warning" && finding.check != "foreign")
}

/// Sends `event` to the channels that the configuration chose for it. Never fails: what a channel says wrong is in its
/// [`Delivery`], and no channel stops another.
pub async fn send(environment: &Environment, event: &Event<'_>) -> Vec<Delivery> {
    let config = environment.config();
    let channels = event.channels(&config.notifications);
    if channels.is_empty() {
        return Vec::new();
    }
    let message = message::render(event, &config.name, &config.timezone);
    // Clients and secrets are asked for inside, so that one that cannot be had is that channel's failure alone.
    let mail = async {
        let (from, to) = (config.notifications.mail_from.as_deref(), &config.notifications.mail_to);
        mail::send(environment.ses().await, from, to, &message).await
    };
    let slack = async {
        let webhook = webhook(environment).await?;
        slack::send(environment.http().await?, &webhook, &message).await
    };
    deliver(&channels, mail, slack).await
}

async fn webhook(environment: &Environment) -> Result<Secret> {
    let Some(reference) = &environment.config().notifications.slack_webhook else {
        return Err(Error::configuration("slack is to be told, but no webhook is configured")
            .hint("Set SLACK_WEBHOOK_URL or SLACK_WEBHOOK_SECRET."));
    };
    environment.secret(reference).await.map_err(|error| error.context("cannot fetch the webhook's address"))
}

/// Runs the channels that are chosen, both at the same time, and waits for both.
async fn deliver(
    channels: &BTreeSet<Channel>,
    mail: impl Future<Output = Result<()>>,
    slack: impl Future<Output = Result<()>>,
) -> Vec<Delivery> {
    let mail = async { if channels.contains(&Channel::Mail) { Some(delivery("mail", mail.await)) } else { None } };
    let slack = async { if channels.contains(&Channel::Slack) { Some(delivery("slack", slack.await)) } else { None } };
    let (mail, slack) = tokio::join!(mail, slack);
    mail.into_iter().chain(slack).collect()
}

/// Logs what went wrong, once, and puts it into the report.
fn delivery(channel: &str, result: Result<()>) -> Delivery {
    let error = result.err().map(|error| {
        let hint = error.hint_text().map(|hint| format!(" ({hint})")).unwrap_or_default();
        words::clean(&(error.chain() + &hint), LONGEST_ERROR)
    });
    if let Some(error) = &error {
        // An alarm counts these words (infra/function-alarms.yaml).
        tracing::error!(channel, error, "a notification was not taken");
    }
    Delivery { channel: channel.to_owned(), error }
}

/// The error of a channel that did not answer in time.
fn too_slow(channel: &str, seconds: u64) -> Error {
    Error::new(
        Class::Transient,
        format!("{channel} did not answer within {seconds} s; whether the message arrived is unknown"),
    )
}
