//! Messages on their way: through an SES that refuses what is not verified, and to a webhook that misbehaves.

use jiff::Timestamp;
use nightvault_core::config;
use nightvault_core::environment::Environment;
use nightvault_core::notify::{self, Event};
use nightvault_core::report::{Delivery, DiskHealth, FindingReport, MonitorReport};
use nightvault_core::{Class, Error};

use crate::support::aws::{Answer, HOOK_SECRET, Hook, mails_to, verify_identity};

/// An environment that tells `channels` of everything, by mail from and to these addresses and to this webhook.
fn environment(channels: &str, from: &str, to: &str, webhook: &str) -> Environment {
    let variables = [
        ("BACKUP_NAME", "clinic"),
        ("BACKUP_DISK", "local"),
        ("BACKUP_LOCAL_PATH", "/nowhere"),
        ("BACKUP_TIMEZONE", "Europe/Berlin"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("BACKUP_SUCCESS_NOTIFICATIONS", channels),
        ("BACKUP_FAILURE_NOTIFICATIONS", channels),
        ("BACKUP_HEALTH_NOTIFICATIONS", channels),
        ("BACKUP_MAIL_FROM", from),
        ("BACKUP_NOTIFICATION_EMAIL", to),
        ("SLACK_WEBHOOK_URL", webhook),
    ];
    let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Environment::with_stores(config::load(&lookup).unwrap(), Vec::new(), Vec::new())
}

fn report() -> MonitorReport {
    let finding = |status: &str, message: &str| FindingReport {
        check: "max_age".into(),
        status: status.into(),
        message: message.into(),
    };
    MonitorReport {
        name: "clinic".into(),
        now: "2026-06-30T03:00:00Z".parse::<Timestamp>().unwrap(),
        healthy: false,
        disks: vec![DiskHealth {
            disk: "Zürich <!channel>\r\nBcc: all@example.org".into(),
            healthy: false,
            backups: 3,
            used_bytes: 4096,
            hidden_bytes: 0,
            newest: None,
            newest_percent: None,
            limit_bytes: None,
            audit_head: None,
            samples: Vec::new(),
            last_drill: None,
            findings: vec![finding("unhealthy", "the newest backup is <b>49</b> h old & counting 病院")],
        }],
        duration_ms: 12,
        notifications: Vec::new(),
    }
}

/// A domain of one test of one run alone.
fn domain(test: &str) -> String {
    format!("{test}-{}.example.org", std::process::id())
}

/// A verified sender and a verified recipient.
async fn addresses(test: &str) -> (String, String) {
    let (from, to) = (format!("night@{}", domain(test)), format!("admin@{}", domain(test)));
    verify_identity(&from).await;
    verify_identity(&to).await;
    (from, to)
}

const NOWHERE: &str = "http://127.0.0.1:9/services/T0/B0/XyzzyWebhookToken";

fn error_of<'a>(deliveries: &'a [Delivery], channel: &str) -> Option<&'a str> {
    let delivery = deliveries.iter().find(|delivery| delivery.channel == channel);
    delivery.unwrap_or_else(|| panic!("{channel} was not tried: {deliveries:?}")).error.as_deref()
}

/// What Slack's channel says to these answers, and how often it asked.
async fn told_slack(answers: impl IntoIterator<Item = Answer>) -> (Option<String>, usize) {
    let hook = Hook::start(answers).await;
    let environment = environment("slack", "a@example.org", "b@example.org", &hook.url);
    let deliveries = notify::send(&environment, &Event::Unhealthy(&report())).await;
    assert_eq!(deliveries.len(), 1, "mail was not chosen");
    let error = error_of(&deliveries, "slack").map(str::to_owned);
    assert!(!format!("{deliveries:?}").contains(HOOK_SECRET), "{deliveries:?}");
    (error, hook.payloads().len())
}

#[tokio::test]
async fn a_mail_arrives_with_text_and_html_and_no_header_of_a_hostile_name() {
    let (from, to) = addresses("arrives").await;
    let environment = environment("mail", &from, &to, NOWHERE);
    let deliveries = notify::send(&environment, &Event::Unhealthy(&report())).await;
    assert_eq!(deliveries, [Delivery { channel: "mail".into(), error: None }]);

    let mails = mails_to(&to).await;
    assert_eq!(mails.len(), 1);
    let part = |name: &str| mails[0][name].as_str().unwrap().to_owned();
    assert_eq!(part("Source"), from);
    let subject = part("Subject");
    assert!(
        subject.starts_with("[Nightvault] clinic: backups are UNHEALTHY on Zürich <!channel>\\r\\nBcc:"),
        "{subject}"
    );
    assert!(!subject.contains(['\r', '\n']), "{subject:?}");
    assert!(part("BodyText").contains("Checked: 2026-06-30 03:00:00 UTC (2026-06-30 05:00:00 +02:00 Europe/Berlin)"));
    assert!(part("BodyText").contains("UNHEALTHY max_age: the newest backup is <b>49</b> h old & counting 病院"));
    assert!(part("BodyHtml").contains("&lt;b&gt;49&lt;/b&gt; h old &amp; counting 病院"), "{}", part("BodyHtml"));
    assert!(mails_to("all@example.org").await.is_empty());
}

#[tokio::test]
async fn more_recipients_than_one_mail_may_have_all_get_it() {
    let (from, _) = addresses("many").await;
    verify_identity(&domain("many")).await;
    let everyone: Vec<_> = (0..51).map(|number| format!("nurse{number}@{}", domain("many"))).collect();
    let environment = environment("mail", &from, &everyone.join(","), NOWHERE);
    let deliveries = notify::send(&environment, &Event::Unhealthy(&report())).await;
    assert_eq!(error_of(&deliveries, "mail"), None);
    for recipient in [&everyone[0], &everyone[49], &everyone[50]] {
        assert_eq!(mails_to(recipient).await.len(), 1, "{recipient}");
    }
    assert_eq!(mails_to(&everyone[0]).await[0]["To"].as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn an_address_that_is_not_verified_is_told_with_what_to_do() {
    let environment = environment("mail", "stranger@unverified.example.org", "admin@unverified.example.org", NOWHERE);
    let deliveries = notify::send(&environment, &Event::Unhealthy(&report())).await;
    let error = error_of(&deliveries, "mail").unwrap();
    assert!(error.contains("MessageRejected") && error.contains("Verify the sender in Amazon SES"), "{error}");
    assert!(mails_to("admin@unverified.example.org").await.is_empty());
}

#[tokio::test]
async fn a_webhook_gets_one_payload_that_mentions_nobody() {
    let hook = Hook::start([]).await;
    let environment = environment("slack", "a@example.org", "b@example.org", &hook.url);
    let deliveries = notify::send(&environment, &Event::Unhealthy(&report())).await;
    assert_eq!(deliveries, [Delivery { channel: "slack".into(), error: None }]);
    let payloads = hook.payloads();
    assert_eq!(payloads.len(), 1);
    let text = payloads[0]["text"].as_str().unwrap();
    assert!(text.contains("Zürich &lt;!channel&gt;") && !payloads[0].to_string().contains("<!channel>"), "{text}");
}

#[tokio::test]
async fn a_channel_that_fails_never_stops_the_other() {
    let (from, to) = addresses("one-fails").await;
    let environment = environment("mail,slack", &from, &to, NOWHERE);
    let deliveries = notify::send(&environment, &Event::Unhealthy(&report())).await;
    assert_eq!((error_of(&deliveries, "mail"), mails_to(&to).await.len()), (None, 1));
    let error = error_of(&deliveries, "slack").unwrap();
    assert!(error.starts_with("the webhook could not be reached") && !error.contains(HOOK_SECRET), "{error}");

    let hook = Hook::start([]).await;
    let environment = self::environment("mail,slack", "stranger@one-fails.example.com", &to, &hook.url);
    let error = Error::new(Class::Deadline, "the time was up");
    let deliveries = notify::send(&environment, &Event::BackupFailed(&error, None)).await;
    assert!(error_of(&deliveries, "mail").unwrap().contains("MessageRejected"));
    assert_eq!((error_of(&deliveries, "slack"), hook.payloads().len()), (None, 1));
}

#[tokio::test]
async fn a_revoked_webhook_is_told_with_what_to_do_and_asked_once() {
    let (error, asked) = told_slack([Answer::Say(404, "no_service", None)]).await;
    let error = error.unwrap();
    assert!(error.contains("answered 404: no_service") && error.contains("make a new one"), "{error}");
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_busy_webhook_is_asked_again_when_the_wait_is_short() {
    assert_eq!(told_slack([Answer::Say(429, "slow down", Some("0"))]).await, (None, 2));
    assert_eq!(told_slack([Answer::Say(500, "oops", Some("0"))]).await, (None, 2));
}

#[tokio::test]
async fn a_webhook_that_stays_busy_is_given_up_after_the_second_time() {
    let busy = Answer::Say(503, "down", Some("0"));
    let (error, asked) = told_slack([busy.clone(), busy]).await;
    assert_eq!((error.as_deref(), asked), (Some("the webhook answered 503, twice: down"), 2));
}

#[tokio::test]
async fn a_webhook_that_asks_for_a_long_wait_is_not_waited_for() {
    let (error, asked) = told_slack([Answer::Say(429, "slow down", Some("3600"))]).await;
    assert_eq!((error.as_deref(), asked), (Some("the webhook answered 429: slow down; it asks to wait 3600 s"), 1));
}

#[tokio::test]
async fn a_success_that_is_none_is_told() {
    let (error, asked) = told_slack([Answer::Say(200, "invalid_payload", None)]).await;
    assert!(error.unwrap().contains("did not take the message: invalid_payload"));
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn an_answer_that_repeats_the_address_or_leads_elsewhere_shows_no_secret() {
    let (error, _) = told_slack([Answer::Echo]).await;
    assert!(error.unwrap().starts_with("the webhook answered 400: no hook at "));
    let (error, asked) = told_slack([Answer::Redirect]).await;
    assert!(error.unwrap().starts_with("the webhook answered 307"));
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_webhook_that_hangs_is_given_up_and_not_asked_twice() {
    let (error, asked) = told_slack([Answer::Hang]).await;
    assert_eq!(
        (error.as_deref(), asked),
        (Some("the webhook did not answer within 10 s; whether the message arrived is unknown"), 1)
    );
}
