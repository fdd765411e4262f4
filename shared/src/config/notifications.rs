//! Who is told what. A channel that is chosen and not set up is an error; silence must be asked for with `none`.

use std::collections::BTreeSet;

use super::raw::Raw;
use super::{Channel, NotificationConfig, secret_pair, url};
use crate::secret::SecretRef;

pub(super) fn read(raw: &mut Raw<'_>) -> NotificationConfig {
    let mail_to = raw.list("BACKUP_NOTIFICATION_EMAIL");
    for address in mail_to.iter().filter(|address| !is_address(address)) {
        raw.problem("BACKUP_NOTIFICATION_EMAIL", format!("has {address:?}, which is no address"));
    }
    let sender = if raw.is_set("BACKUP_MAIL_FROM") { "BACKUP_MAIL_FROM" } else { "MAIL_FROM_ADDRESS" };
    let mail_from = raw.text(sender);
    let slack_webhook = read_webhook(raw);

    let mut set_up = BTreeSet::new();
    if !mail_to.is_empty() {
        set_up.insert(Channel::Mail);
    }
    if slack_webhook.is_some() {
        set_up.insert(Channel::Slack);
    }
    let success = read_channels(raw, "BACKUP_SUCCESS_NOTIFICATIONS").unwrap_or_default();
    let failure = read_channels(raw, "BACKUP_FAILURE_NOTIFICATIONS").unwrap_or_else(|| set_up.clone());
    let health = read_channels(raw, "BACKUP_HEALTH_NOTIFICATIONS").unwrap_or_else(|| set_up.clone());

    for (variable, channels) in [
        ("BACKUP_FAILURE_NOTIFICATIONS", &failure),
        ("BACKUP_HEALTH_NOTIFICATIONS", &health),
        ("BACKUP_SUCCESS_NOTIFICATIONS", &success),
    ] {
        let chosen = if raw.is_set(variable) { "has" } else { "is by default" };
        if channels.contains(&Channel::Mail) && mail_to.is_empty() {
            raw.problem("BACKUP_NOTIFICATION_EMAIL", format!("is not set, but {variable} {chosen} mail"));
        }
        if channels.contains(&Channel::Mail) && mail_from.is_none() {
            raw.problem("BACKUP_MAIL_FROM", format!("is not set, but {variable} {chosen} mail"));
        }
        if channels.contains(&Channel::Slack) && slack_webhook.is_none() && !raw.is_set("SLACK_WEBHOOK_URL") {
            raw.problem("SLACK_WEBHOOK_URL", format!("is not set, but {variable} {chosen} slack"));
        }
    }
    // Laravel's own MAIL_FROM_ADDRESS may hold anything while no mail is sent.
    if let Some(address) = mail_from.as_deref().filter(|address| !is_sender(address))
        && (sender == "BACKUP_MAIL_FROM" || !mail_to.is_empty())
    {
        raw.problem(sender, format!("{address:?} is no address"));
    }
    NotificationConfig { mail_to, mail_from, slack_webhook, success, failure, health }
}

fn read_webhook(raw: &mut Raw<'_>) -> Option<SecretRef> {
    let webhook = secret_pair(raw, "SLACK_WEBHOOK_URL", "SLACK_WEBHOOK_SECRET")?;
    if let SecretRef::Value(address) = &webhook
        && let Err(wrong) = check_webhook(address.expose())
    {
        raw.problem("SLACK_WEBHOOK_URL", wrong);
        return None;
    }
    Some(webhook)
}

/// What is wrong with a webhook's address, in words that do not quote it.
fn check_webhook(address: &str) -> Result<(), String> {
    let url = url::parse(address)?;
    let plain = url.scheme == "http" && super::databases::is_loopback(&url.host);
    if (url.scheme != "https" && !plain) || url.host.is_empty() || address.chars().any(|c| c.is_control() || c == ' ') {
        return Err("is no https:// address".into());
    }
    Ok(())
}

/// The channels of a variable; `None` when it is unset.
fn read_channels(raw: &mut Raw<'_>, variable: &str) -> Option<BTreeSet<Channel>> {
    let words = raw.list(variable);
    if words.is_empty() {
        return None;
    }
    let mut channels = BTreeSet::new();
    for word in &words {
        match word.to_ascii_lowercase().as_str() {
            "mail" => _ = channels.insert(Channel::Mail),
            "slack" => _ = channels.insert(Channel::Slack),
            "none" if words.len() == 1 => {}
            _ => raw.problem(variable, format!("has {word:?}")),
        }
    }
    Some(channels)
}

/// `user@host` in characters that cannot break a header.
fn is_address(text: &str) -> bool {
    let usable = |c: char| !c.is_control() && !c.is_whitespace() && !"<>()[],;:\\\"".contains(c);
    matches!(text.split_once('@'), Some((user, host)) if !user.is_empty() && !host.is_empty() && !host.contains('@'))
        && text.chars().all(usable)
}

/// An address, or `Name <address>`.
fn is_sender(text: &str) -> bool {
    match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, address)) => !name.contains(['<', '>', '\\']) && is_address(address),
        None => is_address(text),
    }
}
