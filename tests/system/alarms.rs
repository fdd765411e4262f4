//! The alarms and rules of `infra/`, read from the templates and judged over nights that go wrong in silence.
//!
//! No emulator evaluates them: CloudWatch's judgement is written down in `cloudwatch`; of EventBridge's patterns the
//! emulator knows enough. That Lambda and S3 publish these metrics, and CloudTrail these events, is their word.

mod cloudwatch;
mod figures;
mod trail;

use std::time::Duration;

use jiff::civil::{Date, Time, date, time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use self::cloudwatch::{Metrics, alarms};
use crate::policies::template::Stack;
use crate::support::aws;
use crate::support::lambda::Function;
use crate::support::nightvault::PASSWORD;

const HOUR: i64 = 60;

fn function_alarm(name: &str) -> Value {
    let given = [("Function", "backup"), ("Logs", "backup-logs"), ("Topic", "arn:here:topic"), ("Work", "The backup")];
    let given = given.map(|(name, value)| (name, json!(value)));
    Stack::open("infra/function-alarms.yaml", &[&given[..], &[("Runbook", json!("the page"))]].concat())
        .properties(name)
}

fn minute(moment: Timestamp) -> i64 {
    moment.as_second() / 60
}

/// When a daily schedule starts its function from this day on: never in an hour that the zone skips, once in one that it
/// has twice, as EventBridge Scheduler's guide says ("Daylight savings time").
fn nights(zone: &str, at: Time, from: Date, days: i64) -> Vec<Timestamp> {
    let zone = TimeZone::get(zone).unwrap();
    let moments = (0..days).filter_map(|day| {
        let local = zone.to_ambiguous_timestamp((from + day.days()).to_datetime(at));
        match local.offset() {
            AmbiguousOffset::Gap { .. } => None,
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => Some(local.earlier().unwrap()),
        }
    });
    moments.collect()
}

/// What Lambda publishes of these invocations.
fn published(invocations: &[Timestamp], fails: impl Fn(&Timestamp) -> bool) -> Metrics {
    let mut metrics = Metrics::default();
    for moment in invocations {
        metrics.publish("Invocations", minute(*moment), 1.0);
        metrics.publish("Errors", minute(*moment), if fails(moment) { 1.0 } else { 0.0 });
    }
    metrics
}

/// The moments at which the alarm goes off between these two, looked at every hour.
fn goes_off(alarm: &Value, metrics: &Metrics, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let mut before = false;
    let mut moments = Vec::new();
    let (first, last) = (minute(from) / HOUR, minute(to) / HOUR);
    for hour in first..=last {
        let now = alarms(alarm, metrics, hour * HOUR);
        if now && !before {
            moments.push(Timestamp::from_second(hour * HOUR * 60).unwrap());
        }
        before = now;
    }
    moments
}

const TWO: Time = time(2, 0, 0, 0);

#[test]
fn good_nights_set_nothing_off_whenever_in_its_window_a_schedule_starts() {
    // The latest window that the template allows after the earliest, and the other way round.
    let days = nights("UTC", TWO, date(2026, 1, 1), 60);
    let shifted = days.iter().zip([0, 25].into_iter().cycle()).map(|(night, late)| *night + late.minutes());
    let metrics = published(&shifted.collect::<Vec<_>>(), |_| false);
    for name in ["NotSeen", "Failed", "Throttled", "NearlyOutOfTime", "NotHeard"] {
        let off = goes_off(&function_alarm(name), &metrics, days[2], days[59]);
        assert_eq!(off, Vec::<Timestamp>::new(), "{name}");
    }
}

#[test]
fn a_schedule_that_is_switched_off_is_told_three_hours_after_the_night_that_it_missed() {
    let days = nights("UTC", TWO, date(2026, 1, 1), 20);
    let metrics = published(&days[..10], |_| false);
    let off = goes_off(&function_alarm("NotSeen"), &metrics, days[2], days[19]);
    assert_eq!(off, [days[10] + 3.hours()], "once, and it stays");
}

#[test]
fn a_function_that_was_never_started_is_told() {
    let metrics = Metrics::default();
    assert!(alarms(&function_alarm("NotSeen"), &metrics, minute("2026-01-02T00:00:00Z".parse().unwrap())));
}

#[test]
fn a_function_that_starts_and_fails_every_night_is_told_at_once_and_again_as_not_seen() {
    let days = nights("UTC", TWO, date(2026, 1, 1), 20);
    let metrics = published(&days, |night| *night >= days[10]);
    assert!(!alarms(&function_alarm("Failed"), &metrics, minute(days[9]) + 1));
    assert!(alarms(&function_alarm("Failed"), &metrics, minute(days[10]) + 1));
    assert_eq!(goes_off(&function_alarm("NotSeen"), &metrics, days[2], days[19]), [days[10] + 3.hours()]);
}

#[test]
fn a_throttle_four_fifths_of_the_time_and_a_message_not_taken_are_told_within_the_minute() {
    let at = minute("2026-01-02T02:00:00Z".parse().unwrap());
    for (name, metric, too_much, enough) in [
        ("Throttled", "Throttles", 1.0, 0.0),
        ("NearlyOutOfTime", "Duration", 720_000.0, 719_999.0),
        ("NotHeard", "NotHeard-backup", 1.0, 0.0),
    ] {
        for (value, expected) in [(too_much, true), (enough, false)] {
            let mut metrics = Metrics::default();
            metrics.publish(metric, at, value);
            assert_eq!(alarms(&function_alarm(name), &metrics, at + 1), expected, "{name} at {value}");
        }
    }
}

#[tokio::test]
async fn a_message_that_nobody_takes_is_counted_from_the_functions_own_log() {
    let vault = tempfile::TempDir::with_prefix("nightvault-unheard-").unwrap();
    // Nobody listens on the discard port.
    let variables = [
        ("BACKUP_NAME", "clinic".to_owned()),
        ("BACKUP_DISK", "local".to_owned()),
        ("BACKUP_LOCAL_PATH", vault.path().display().to_string()),
        ("BACKUP_ARCHIVE_PASSWORD", PASSWORD.to_owned()),
        ("SLACK_WEBHOOK_URL", "http://127.0.0.1:9/services/T0/B0/secret".to_owned()),
    ];
    let mut monitor = Function::start("monitor", &variables).await;
    monitor.invoke("{}", Duration::from_secs(900)).await.failed_with("Unhealthy");

    let filter = function_alarm("NotTaken");
    assert_eq!(filter["MetricTransformations"][0]["MetricName"], function_alarm("NotHeard")["MetricName"]);
    assert_eq!(filter["LogGroupName"], "backup-logs");
    let pattern = filter["FilterPattern"].as_str().unwrap();
    let words = pattern.strip_prefix("{ $.message = \"").and_then(|rest| rest.strip_suffix("\" }")).unwrap();
    let log = monitor.log();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(lines.filter(|line| line["message"] == words).count(), 1, "{log}");
}

#[test]
fn summer_time_is_told_for_the_one_night_that_it_skips_and_for_no_other() {
    let days = nights("Europe/Berlin", TWO, date(2026, 1, 1), 365);
    let metrics = published(&days, |_| false);
    let off = goes_off(&function_alarm("NotSeen"), &metrics, days[2], days[363]);
    // 02:00 did not come on the 29th of March; three hours after it should have.
    assert_eq!(off, ["2026-03-29T04:00:00Z".parse().unwrap()]);

    // Monitor's hour is there all year, and in UTC every hour is.
    for (zone, at) in [("Europe/Berlin", time(3, 0, 0, 0)), ("UTC", TWO)] {
        let days = nights(zone, at, date(2026, 1, 1), 365);
        assert_eq!(days.len(), 365);
        let off = goes_off(&function_alarm("NotSeen"), &published(&days, |_| false), days[2], days[363]);
        assert_eq!(off, Vec::<Timestamp>::new(), "{zone}");
    }
}

/// Asks the emulator's EventBridge whether a rule of `infra/alarms.yaml` sees this event.
async fn sees(rule: &str, source: &str, kind: &str, detail: &Value) -> bool {
    let given = [
        ("Runbook", json!("the page")),
        ("Bucket", json!("vault")),
        ("KeyArn", json!("arn:key")),
        ("PasswordArn", json!("arn:password")),
        ("ScheduleGroup", json!("nights")),
        ("BackupFunction", json!("backup")),
        ("CleanupFunction", json!("cleanup")),
        ("MonitorFunction", json!("monitor")),
        ("RoleArns", json!(["arn:role/backup", "arn:role/cleanup", "arn:role/monitor"])),
    ];
    matches(&Stack::open("infra/alarms.yaml", &given).properties(rule)["EventPattern"], source, kind, detail).await
}

/// Asks it whether a pattern matches this event.
async fn matches(pattern: &Value, source: &str, kind: &str, detail: &Value) -> bool {
    let event = json!({
        "id": "1", "account": "000000000000", "source": source, "time": "2026-01-01T00:00:00Z", "region": "eu-central-1",
        "resources": [], "detail-type": kind, "detail": detail,
    });
    let answer = reqwest::Client::new()
        .post(aws::endpoint())
        .header("x-amz-target", "AWSEvents.TestEventPattern")
        .header("content-type", "application/x-amz-json-1.1")
        .header("authorization", aws::AUTHORIZATION)
        .body(json!({"EventPattern": pattern.to_string(), "Event": event.to_string()}).to_string())
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["Result"].as_bool().unwrap_or_else(|| panic!("{pattern}: {answer}"))
}

const CALL: &str = "AWS API Call via CloudTrail";

#[tokio::test]
async fn whoever_weakens_the_vault_is_told_of_and_nobody_else() {
    let call = |service: &str, name: &str, what: Value| json!({"eventSource": format!("{service}.amazonaws.com"), "eventName": name, "requestParameters": what});
    for (service, name, ours, foreign) in [
        ("scheduler", "UpdateSchedule", json!({"groupName": "nights"}), json!({"groupName": "default"})),
        ("scheduler", "DeleteSchedule", json!({"groupName": "nights"}), json!({"groupName": "default"})),
        ("s3", "PutBucketVersioning", json!({"bucketName": "vault"}), json!({"bucketName": "photos"})),
        ("s3", "DeleteBucketPolicy", json!({"bucketName": "vault"}), json!({"bucketName": "photos"})),
        // What copies into the second vault, switched off.
        ("s3", "PutBucketReplication", json!({"bucketName": "vault"}), json!({"bucketName": "photos"})),
        ("s3", "DeleteBucketReplication", json!({"bucketName": "vault"}), json!({"bucketName": "photos"})),
        (
            "lambda",
            "PutFunctionConcurrency20171031",
            json!({"functionName": "backup"}),
            json!({"functionName": "shop"}),
        ),
        ("lambda", "DeleteFunction20150331", json!({"functionName": "monitor"}), json!({"functionName": "shop"})),
    ] {
        let source = format!("aws.{service}");
        assert!(sees("ProtectionChanged", &source, CALL, &call(service, name, ours)).await, "{name}");
        assert!(!sees("ProtectionChanged", &source, CALL, &call(service, name, foreign)).await, "{name} elsewhere");
    }
    // Whatever the secret was called in the request.
    for (secret, expected) in [("arn:password", true), ("arn:another", false)] {
        let deleted = json!({
            "eventSource": "secretsmanager.amazonaws.com", "eventName": "DeleteSecret",
            "requestParameters": {"secretId": "its name"}, "responseElements": {"arn": secret},
        });
        assert_eq!(sees("ProtectionChanged", "aws.secretsmanager", CALL, &deleted).await, expected, "{secret}");
    }
    for (key, expected) in [("arn:key", true), ("arn:another", false)] {
        let disabled =
            json!({"eventSource": "kms.amazonaws.com", "eventName": "DisableKey", "resources": [{"ARN": key}]});
        assert_eq!(sees("ProtectionChanged", "aws.kms", CALL, &disabled).await, expected, "{key}");
    }
    let reading = call("scheduler", "GetSchedule", json!({"groupName": "nights"}));
    assert!(!sees("ProtectionChanged", "aws.scheduler", CALL, &reading).await);
}

#[tokio::test]
async fn a_denied_key_and_a_password_that_a_stranger_reads_are_told_of() {
    let by = |role: &str| json!({"sessionContext": {"sessionIssuer": {"arn": role}}});
    let denied = json!({"eventName": "Decrypt", "errorCode": "AccessDenied", "userIdentity": by("arn:role/backup")});
    assert!(sees("Denied", "aws.kms", CALL, &denied).await);
    let allowed = json!({"eventName": "Decrypt", "userIdentity": by("arn:role/backup")});
    assert!(!sees("Denied", "aws.kms", CALL, &allowed).await);

    // Who reads it, by whatever name, has it decrypted; who is refused is not let so far.
    let read = |secret: &str, by: Value| json!({"eventName": "Decrypt", "requestParameters": {"encryptionContext": {"SecretARN": secret}}, "userIdentity": by});
    let refused = |by: Value| json!({"eventName": "GetSecretValue", "errorCode": "AccessDenied", "requestParameters": {"secretId": "arn:password"}, "userIdentity": by});
    for (who, told) in [
        (by("arn:role/admin"), true),
        // A user without a role has no issuer.
        (json!({"type": "IAMUser"}), true),
        (by("arn:role/monitor"), false),
    ] {
        assert_eq!(sees("PasswordRead", "aws.kms", CALL, &read("arn:password", who.clone())).await, told, "{who}");
        assert_eq!(sees("PasswordRead", "aws.secretsmanager", CALL, &refused(who.clone())).await, told, "{who}");
        assert!(!sees("PasswordRead", "aws.kms", CALL, &read("arn:another", who)).await);
    }
}

#[tokio::test]
async fn a_deletion_is_counted_and_one_for_good_is_told_of_but_not_those_of_the_lifecycle() {
    let deleted = |bucket: &str, reason: &str, kind: &str| json!({"bucket": {"name": bucket}, "reason": reason, "deletion-type": kind});
    for (bucket, reason, kind, counted, told) in [
        ("vault", "DeleteObject", "Delete Marker Created", true, false),
        ("vault", "DeleteObject", "Permanently Deleted", true, true),
        ("vault", "Lifecycle Expiration", "Permanently Deleted", false, false),
        ("photos", "DeleteObject", "Permanently Deleted", false, false),
    ] {
        let event = deleted(bucket, reason, kind);
        assert_eq!(sees("Deletion", "aws.s3", "Object Deleted", &event).await, counted, "{event}");
        assert_eq!(sees("VersionDeleted", "aws.s3", "Object Deleted", &event).await, told, "{event}");
    }
}

#[tokio::test]
async fn a_task_that_fails_or_does_not_start_is_told_of_and_a_good_one_is_not() {
    let fargate = Stack::open("infra/fargate.yaml", &[("Runbook", json!("the page"))]);
    let pattern = fargate.properties("TaskFailed")["EventPattern"].clone();
    let exited = |code: i64| json!([{"name": "nightvault", "exitCode": code}]);
    let none = json!([{"name": "nightvault"}]);
    for (cluster, status, stopped, containers, expected) in [
        ("arn:here:Cluster", "STOPPED", "EssentialContainerExited", exited(0), false),
        ("arn:here:Cluster", "STOPPED", "EssentialContainerExited", exited(1), true),
        // Killed for memory.
        ("arn:here:Cluster", "STOPPED", "EssentialContainerExited", exited(137), true),
        ("arn:here:Cluster", "STOPPED", "TaskFailedToStart", none.clone(), true),
        ("arn:here:Cluster", "STOPPED", "UserInitiated", exited(0), true),
        ("arn:here:Cluster", "RUNNING", "", none, false),
        ("arn:other", "STOPPED", "EssentialContainerExited", exited(1), false),
    ] {
        let mut detail = json!({"clusterArn": cluster, "lastStatus": status, "containers": containers});
        if !stopped.is_empty() {
            detail["stopCode"] = json!(stopped);
        }
        let told = matches(&pattern, "aws.ecs", "ECS Task State Change", &detail).await;
        assert_eq!(told, expected, "{detail}");
    }
}
