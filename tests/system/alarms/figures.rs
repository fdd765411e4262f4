//! The alarms of schedules, queues and copies: each reads a figure that AWS's own guide names, of what the stack really
//! makes, and is judged over a night on which those figures say that something went wrong.

use serde_json::{Value, json};

use super::cloudwatch::{Metrics, alarms};
use crate::policies::template::Stack;

const REPLICA: &str = "arn:aws:s3:::second-vault-bucket";
/// 02:00 of some night, in minutes.
const TWO: i64 = 29_500_680;

/// The whole stack with a second vault.
fn whole() -> Stack {
    let given = [("DatabaseSecretArns", json!(["arn:database"])), ("ReplicaBucketArn", json!(REPLICA))];
    Stack::open("template.yaml", &given)
}

/// Namespace, metric, dimensions and statistic of an alarm.
fn figure(alarm: &Value) -> (String, String, Vec<(String, String)>, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let dimensions = alarm["Dimensions"].as_array().unwrap();
    let dimensions = dimensions.iter().map(|one| (text(&one["Name"]), text(&one["Value"]))).collect();
    (text(&alarm["Namespace"]), text(&alarm["MetricName"]), dimensions, text(&alarm["Statistic"]))
}

/// The guides: "Monitoring Amazon EventBridge Scheduler with CloudWatch", "Available CloudWatch metrics for Amazon SQS",
/// "Amazon S3 CloudWatch metrics" (replication), "EventBridge metrics".
#[test]
fn each_alarm_reads_a_figure_that_aws_publishes_of_what_the_stack_makes() {
    let alarms = whole().nested("AlarmsOfAll");
    let group = [("ScheduleGroup", "arn:here:ScheduleGroup")];
    let queue = |name: &'static str| [("QueueName", name)];
    let rule = [("RuleName", "arn:here:Deletion")];
    let copies = [
        ("SourceBucket", "arn:here:Vault.Outputs.Bucket"),
        ("DestinationBucket", "second-vault-bucket"),
        ("RuleId", "second-vault"),
    ];
    for (alarm, namespace, metric, dimensions, statistic) in [
        ("EventDropped", "AWS/Scheduler", "InvocationDroppedCount", &group[..], "Sum"),
        ("EventRefused", "AWS/Scheduler", "TargetErrorCount", &group[..], "Sum"),
        (
            "NotStarted",
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            &queue("arn:here:NotStartedQueue.QueueName")[..],
            "Maximum",
        ),
        (
            "FailureWaits",
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            &queue("arn:here:FailedQueue.QueueName")[..],
            "Maximum",
        ),
        ("CopyFailed", "AWS/S3", "OperationsFailedReplication", &copies[..], "Sum"),
        ("MassDeletion", "AWS/Events", "Invocations", &rule[..], "Sum"),
        ("DeletionNotWritten", "AWS/Events", "FailedInvocations", &rule[..], "Sum"),
    ] {
        let dimensions = dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let expected = (namespace.to_owned(), metric.to_owned(), dimensions, statistic.to_owned());
        let properties = alarms.properties(alarm);
        assert_eq!(figure(&properties), expected, "{alarm}");
        assert_eq!(properties["AlarmActions"], json!(["arn:here:Topic"]), "{alarm}");
    }
}

/// The minutes after 02:00 at which this alarm stands.
fn stands(stack: &Stack, alarm: &str, metrics: &Metrics, minutes: std::ops::Range<i64>) -> Vec<i64> {
    let alarm = stack.properties(alarm);
    minutes.filter(|minute| alarms(&alarm, metrics, TWO + minute)).collect()
}

#[test]
fn a_night_that_starts_sets_none_of_them_off() {
    let stack = whole().nested("AlarmsOfAll");
    let mut metrics = Metrics::default();
    metrics.publish("InvocationAttemptCount", TWO, 1.0);
    for (metric, value) in [("ApproximateNumberOfMessagesVisible", 0.0), ("OperationsFailedReplication", 0.0)] {
        metrics.publish(metric, TWO, value);
    }
    for alarm in ["EventDropped", "EventRefused", "NotStarted", "FailureWaits", "CopyFailed"] {
        assert_eq!(stands(&stack, alarm, &metrics, 0..120), Vec::<i64>::new(), "{alarm}");
    }
}

/// The role of the schedules was changed by hand: Lambda refuses each of the three attempts, the event is dropped and goes into
/// the queue. SQS tells of a queue as long as something happens there or lies in it, and some hours longer.
#[test]
fn an_event_that_is_refused_is_told_at_the_first_attempt_and_when_it_is_given_up() {
    let stack = whole().nested("AlarmsOfAll");
    let mut metrics = Metrics::default();
    for attempt in [0, 1, 3] {
        metrics.publish("TargetErrorCount", TWO + attempt, 1.0);
    }
    metrics.publish("InvocationDroppedCount", TWO + 3, 1.0);
    metrics.publish("InvocationsSentToDeadLetterCount", TWO + 3, 1.0);
    for minute in 4..30 {
        metrics.publish("ApproximateNumberOfMessagesVisible", TWO + minute, 1.0);
    }
    assert_eq!(stands(&stack, "EventRefused", &metrics, 0..30), [1, 2, 4]);
    assert_eq!(stands(&stack, "EventDropped", &metrics, 0..30), [4]);
    // By periods of five minutes, the first of which that ends after the message came.
    assert_eq!(stands(&stack, "NotStarted", &metrics, 0..30), (5..30).collect::<Vec<_>>());
}

/// A function that is gone is a refusal too; one that is throttled is not, and is given up after an hour all the same.
#[test]
fn an_event_that_meets_no_open_door_for_an_hour_is_told_when_it_is_given_up() {
    let stack = whole().nested("AlarmsOfAll");
    let mut metrics = Metrics::default();
    for attempt in [0, 1, 3] {
        metrics.publish("TargetErrorThrottledCount", TWO + attempt, 1.0);
    }
    metrics.publish("InvocationDroppedCount", TWO + 60, 1.0);
    assert_eq!(stands(&stack, "EventRefused", &metrics, 0..120), Vec::<i64>::new());
    assert_eq!(stands(&stack, "EventDropped", &metrics, 0..120), [61]);
}

#[test]
fn a_copy_that_fails_is_told_within_five_minutes_by_the_rule_that_the_vault_has() {
    let stack = whole().nested("AlarmsOfAll");
    let mut metrics = Metrics::default();
    metrics.publish("OperationsPendingReplication", TWO + 2, 1.0);
    metrics.publish("OperationsFailedReplication", TWO + 7, 1.0);
    assert_eq!(stands(&stack, "CopyFailed", &metrics, 0..30), (10..15).collect::<Vec<_>>());

    // S3 publishes that figure of a rule whose metrics are on, under the rule's name.
    let replication = whole().nested("Vault").properties("Bucket")["ReplicationConfiguration"].clone();
    let rules = replication["Rules"].as_array().unwrap();
    assert_eq!((rules.len(), &rules[0]["Status"], &rules[0]["Id"]), (1, &json!("Enabled"), &json!("second-vault")));
    assert_eq!(rules[0]["Filter"], json!({"Prefix": ""}), "every object is copied");
    let destination = &rules[0]["Destination"];
    assert_eq!((&destination["Bucket"], &destination["Metrics"]["Status"]), (&json!(REPLICA), &json!("Enabled")));
}

/// Without a replica there is nothing to watch, and nothing is copied.
#[test]
fn without_a_second_vault_nothing_is_copied() {
    let stack = Stack::open("template.yaml", &[("DatabaseSecretArns", json!(["arn:database"]))]);
    assert_eq!(stack.nested("Vault").properties("Bucket").get("ReplicationConfiguration"), None);
}
