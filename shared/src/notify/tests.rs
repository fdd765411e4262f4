use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::archive::manifest::{FileProblem, FileProblemKind};
use crate::report::{
    BackupStatus, DecisionReport, DiskCleanup, DiskHealth, DiskReport, FindingReport, RefusedDelete, SourceReport,
};

mod samples;
use samples::*;

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

fn rendered(event: &Event<'_>) -> Message {
    message::render(event, "clinic", &berlin())
}

/// Everything that a person may get to see, in one text.
fn whole(message: &Message) -> String {
    let slack = serde_json::to_string_pretty(&message.slack).unwrap();
    format!("{}\n\n--- text\n{}\n--- html\n{}\n--- slack\n{slack}\n", message.subject, message.text, message.html)
}

#[test]
fn every_event_reads_well_in_every_channel() {
    let backup = backup_report("clinic");
    let mut unproved = backup.clone();
    unproved.disks[1].verified = None;
    let already = BackupReport { status: BackupStatus::AlreadyDone, ..backup.clone() };
    let planned = BackupReport { status: BackupStatus::Planned, warnings: Vec::new(), ..backup.clone() };
    let mut failed = backup.clone();
    failed.disks[1] = DiskReport {
        uploaded_bytes: 0,
        parts: 0,
        verified: None,
        checksum: None,
        locked_until: None,
        error: Some("put object: access denied".into()),
        ..failed.disks[1].clone()
    };
    let cleanup = cleanup_report("clinic");
    let dry = CleanupReport { dry_run: true, ..cleanup.clone() };
    let mut partly = cleanup.clone();
    partly.disks[0].deleted = 1;
    partly.disks[1].error = Some("access denied".into());
    let healthy = monitor_report("clinic", true);
    let unhealthy = monitor_report("clinic", false);
    let error = an_error();
    let plain = Error::new(Class::Deadline, "the time was up");
    for (name, event) in [
        ("backup_stored", Event::BackupSucceeded(&backup)),
        ("backup_stored_but_not_proved", Event::BackupSucceeded(&unproved)),
        ("backup_already_done", Event::BackupSucceeded(&already)),
        ("backup_planned", Event::BackupSucceeded(&planned)),
        ("backup_failed_on_one_disk", Event::BackupFailed(&error, Some(&failed))),
        ("backup_failed_early", Event::BackupFailed(&plain, None)),
        ("cleanup_done", Event::CleanupSucceeded(&cleanup)),
        ("cleanup_planned", Event::CleanupSucceeded(&dry)),
        ("cleanup_failed_in_part", Event::CleanupFailed(&error, Some(&partly))),
        ("cleanup_failed_early", Event::CleanupFailed(&plain, None)),
        ("healthy", Event::Healthy(&healthy)),
        ("unhealthy", Event::Unhealthy(&unhealthy)),
    ] {
        insta::assert_snapshot!(name, whole(&rendered(&event)));
    }
}

#[test]
fn a_backup_is_called_read_back_only_when_every_disk_was() {
    let mut report = backup_report("clinic");
    assert!(rendered(&Event::BackupSucceeded(&report)).subject.ends_with("backup stored and read back"));
    report.disks[0].error = Some("access denied".into());
    assert!(rendered(&Event::BackupSucceeded(&report)).subject.contains("NOT read back"));
    report.disks[0].error = None;
    report.disks[0].verified = None;
    let message = rendered(&Event::BackupSucceeded(&report));
    assert!(message.subject.contains("NOT read back"), "{}", message.subject);
    assert!(!whole(&message).contains("stored and read back"));
}

#[test]
fn no_message_holds_a_secret_of_an_error() {
    let error = Error::new(Class::Transient, "cannot reach postgres://night:s3cret@db/clinic")
        .because(std::io::Error::other("GET https://b.s3.amazonaws.com/k?X-Amz-Signature=s3cret: refused"))
        .hint("Ask https://hooks.slack.com/services/T0/B0/s3cret.");
    let all = whole(&rendered(&Event::BackupFailed(&error, None)));
    assert!(!all.contains("s3cret"), "{all}");
    assert!(all.contains("https://b.s3.amazonaws.com/…"), "{all}");
}

/// Looks for everything that a hostile name could do to a message.
fn assert_harmless(message: &Message, lines: Option<usize>) -> Result<(), TestCaseError> {
    prop_assert!(!message.subject.chars().any(char::is_control), "{:?}", message.subject);
    prop_assert!(message.subject.chars().count() <= 200);
    prop_assert!(!message.text.chars().any(|c| c.is_control() && c != '\n'));
    prop_assert!(message.text.len() < 100_000 && message.html.len() < 200_000);
    if let Some(lines) = lines {
        prop_assert_eq!(message.text.lines().count(), lines, "{}", message.text);
    }
    // Of HTML's tags there are ours alone.
    for tag in message.html.split('<').skip(1) {
        let name: String = tag.chars().take_while(|c| c.is_ascii_alphanumeric() || "/!".contains(*c)).collect();
        let ours = ["!doctype", "html", "head", "meta", "body", "h2", "h3", "table", "tr", "td", "b", "ul", "li"];
        prop_assert!(ours.contains(&name.trim_start_matches('/')), "<{tag}");
    }
    // Slack takes `<` as the start of a mention or a link, and `&` as that of an entity.
    let mut texts = vec![message.slack["text"].as_str().unwrap()];
    let blocks = message.slack["blocks"].as_array().unwrap();
    texts.extend(blocks.iter().map(|block| block["text"]["text"].as_str().unwrap()));
    prop_assert!(blocks.len() <= 50);
    for text in texts {
        prop_assert!(!text.is_empty() && text.chars().count() <= 3000);
        prop_assert!(!text.contains(['<', '>']), "{}", text);
        let entities = ["&amp;", "&lt;", "&gt;"].map(|entity| text.matches(entity).count()).iter().sum::<usize>();
        prop_assert_eq!(text.matches('&').count(), entities, "{}", text);
    }
    prop_assert!(message.slack.to_string().len() <= 40_000);
    Ok(())
}

/// All events about things with this name.
fn all_events(name: &str) -> Vec<Message> {
    let (backup, cleanup) = (backup_report(name), cleanup_report(name));
    let (healthy, unhealthy) = (monitor_report(name, true), monitor_report(name, false));
    let error = Error::new(Class::Unsupported, format!("table {name} cannot be dumped")).hint(format!("Drop {name}."));
    [
        Event::BackupSucceeded(&backup),
        Event::BackupFailed(&error, Some(&backup)),
        Event::CleanupSucceeded(&cleanup),
        Event::CleanupFailed(&error, Some(&cleanup)),
        Event::Healthy(&healthy),
        Event::Unhealthy(&unhealthy),
    ]
    .iter()
    .map(|event| message::render(event, name, &berlin()))
    .collect()
}

#[test]
fn hostile_names_are_harmless() {
    let lines: Vec<_> = all_events("clinic").iter().map(|message| message.text.lines().count()).collect();
    for name in [
        "a\r\nBcc: all@example.org\r\n\r\n<b>x",
        "<!channel> <!everyone> <@U123> <https://example.org|click>",
        "&<>\"'&amp;&lt;",
        "</li></ul><script>alert(1)</script>",
        "\u{1b}[2J\u{202e}\u{2028}\0",
        "line\nfeed",
        &"x".repeat(10_000),
        &"&".repeat(10_000),
        &"\"\\".repeat(10_000),
        &"病".repeat(10_000),
        "",
    ] {
        for (message, lines) in all_events(name).iter().zip(&lines) {
            assert_harmless(message, Some(*lines)).unwrap();
        }
    }
}

#[test]
fn a_cleanup_tells_what_is_pending_what_is_kept_by_a_lock_and_what_could_not_be_locked() {
    let mut cleanup = cleanup_report("clinic");
    let disk = &mut cleanup.disks[0];
    (disk.freed_bytes, disk.pending_bytes) = (0, 2 << 20);
    disk.pending_until = Some("2026-07-31T00:00:00Z".parse().unwrap());
    disk.decisions[0].guarded = true;
    disk.decisions[0].reason = "locked until 2030-01-01T00:00:00Z".into();
    disk.not_locked = vec![crate::report::RefusedDelete { key: "clinic/a.zip".into(), error: "access denied".into() }];
    let text = message::render(&Event::CleanupSucceeded(&cleanup), "clinic", &berlin()).text;
    for told in [
        "of which 2.0 MiB become free from 2026-07-31T00:00:00Z",
        "Kept on clinic by a lock or a hold",
        "locked until 2030-01-01T00:00:00Z",
        "Not locked on clinic",
        "clinic/a.zip: access denied",
    ] {
        assert!(text.contains(told), "{told:?} is not in\n{text}");
    }
    cleanup.disks[0].pending_until = None;
    let text = message::render(&Event::CleanupSucceeded(&cleanup), "clinic", &berlin()).text;
    assert!(text.contains("of which 2.0 MiB become free at no known date"), "{text}");
}

#[test]
fn a_report_of_many_things_stays_within_the_limits() {
    let mut report = backup_report("clinic");
    report.sources = vec![report.sources[0].clone(); 500];
    report.disks = vec![report.disks[0].clone(); 100];
    report.warnings = vec!["w".repeat(5_000); 100];
    let mut cleanup = cleanup_report("clinic");
    cleanup.disks = vec![cleanup.disks[0].clone(); 20];
    for disk in &mut cleanup.disks {
        disk.decisions = vec![disk.decisions[1].clone(); 100];
        disk.foreign = vec!["&".repeat(1_000); 100];
    }
    for event in [Event::BackupSucceeded(&report), Event::CleanupSucceeded(&cleanup)] {
        assert_harmless(&rendered(&event), None).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_name_at_all_does_harm(name in any::<String>(), times in 1..200_usize) {
        for message in all_events(&name.repeat(times)) {
            assert_harmless(&message, None)?;
        }
    }
}

#[test]
fn each_kind_of_event_goes_to_the_channels_of_its_variable() {
    let config = NotificationConfig {
        success: BTreeSet::from([Channel::Mail]),
        failure: BTreeSet::from([Channel::Mail, Channel::Slack]),
        health: BTreeSet::from([Channel::Slack]),
        ..NotificationConfig::default()
    };
    let (backup, cleanup, monitor) = (backup_report("c"), cleanup_report("c"), monitor_report("c", true));
    let error = an_error();
    let mut quiet = monitor.clone();
    for finding in quiet.disks.iter_mut().flat_map(|disk| &mut disk.findings) {
        finding.status = "ok".into();
    }
    for event in [Event::BackupSucceeded(&backup), Event::CleanupSucceeded(&cleanup), Event::Healthy(&quiet)] {
        assert_eq!(event.channels(&config), config.success, "{event:?}");
    }
    for event in [Event::BackupFailed(&error, None), Event::CleanupFailed(&error, None)] {
        assert_eq!(event.channels(&config), config.failure, "{event:?}");
    }
    assert_eq!(Event::Unhealthy(&monitor).channels(&config), config.health);
}

#[test]
fn a_warning_is_told_to_those_who_hear_of_bad_health_alone() {
    let health = BTreeSet::from([Channel::Slack]);
    let config = NotificationConfig { health: health.clone(), ..NotificationConfig::default() };
    let mut report = monitor_report("c", true);
    report.disks.truncate(1);
    let finding = |check: &str| FindingReport { check: check.into(), status: "warning".into(), message: String::new() };
    report.disks[0].findings = vec![finding("complete")];
    assert_eq!(Event::Healthy(&report).channels(&config), health);
    // Every night for ever would be too often.
    report.disks[0].findings = vec![finding("foreign")];
    assert_eq!(Event::Healthy(&report).channels(&config), BTreeSet::new());
}

#[tokio::test]
async fn one_channel_never_stops_the_other() {
    let failing =
        async { Err(Error::new(Class::Transient, "post to https://hooks.slack.com/services/T0/B0/abc\nfailed")) };
    let both = BTreeSet::from([Channel::Mail, Channel::Slack]);
    // Each waits until the other has begun: one after the other they would wait for ever.
    let meeting = tokio::sync::Barrier::new(2);
    let mail = async {
        meeting.wait().await;
        Ok(())
    };
    let slack = async {
        meeting.wait().await;
        failing.await
    };
    let deliveries = deliver(&both, mail, slack).await;
    assert_eq!(deliveries[0], Delivery { channel: "mail".into(), error: None });
    assert_eq!(deliveries[1].channel, "slack");
    assert_eq!(deliveries[1].error.as_deref(), Some("post to https://hooks.slack.com/…\\nfailed"));
}

#[tokio::test]
async fn a_channel_that_was_not_chosen_is_not_even_asked() {
    let never = || async { panic!("not chosen") };
    assert_eq!(deliver(&BTreeSet::new(), never(), never()).await, []);
    assert_eq!(deliver(&BTreeSet::from([Channel::Mail]), async { Ok(()) }, never()).await.len(), 1);
}

#[test]
fn a_payload_is_what_a_slack_webhook_takes() {
    let message = rendered(&Event::Healthy(&monitor_report("clinic", true)));
    assert_eq!(message.slack["unfurl_links"], Value::Bool(false));
    assert_eq!(message.slack["blocks"][0]["type"], "section");
    assert_eq!(message.slack["blocks"][0]["text"]["type"], "mrkdwn");
    assert_eq!(message.slack["text"], "✅ clinic: backups are healthy, with 1 warning");
}
