use std::time::UNIX_EPOCH;

use serde_json::json;

use super::*;
use crate::Class;
use crate::operation::Only;

fn seconds(context: &Context) -> u64 {
    let left = context.deadline.unwrap().saturating_duration_since(Instant::now());
    // The clock went on a little since the context was made.
    (left + Duration::from_millis(500)).as_secs()
}

fn trigger() -> Trigger {
    Trigger::lambda("arn:aws:lambda:eu-central-1:111111111111:function:backup", "r-1")
}

fn context_of(remaining: Duration) -> Context {
    let now = UNIX_EPOCH + Duration::from_secs(1_705_284_000);
    context(now, now + remaining, trigger()).unwrap()
}

#[test]
fn the_empty_event_and_no_event_are_the_usual_run() {
    assert_eq!(event(json!({})).unwrap(), Event::default());
    assert_eq!(event(Value::Null).unwrap(), Event::default());
}

#[test]
fn an_event_says_what_is_wanted() {
    let event = event(json!({
        "only": "databases", "databases": ["clinic"], "disks": ["s3"], "dry_run": true, "notify": false,
        "scheduled_time": "2024-01-15T02:00:00Z", "at": "2024-02-01T00:00:00Z",
    }))
    .unwrap();
    assert_eq!(event.only, Some(Only::Databases));
    assert_eq!(event.scheduled_time.unwrap().to_string(), "2024-01-15T02:00:00Z");
    assert_eq!((event.dry_run, event.notify), (true, Some(false)));
}

#[test]
fn an_event_that_is_not_understood_is_refused_with_its_field() {
    for (payload, named) in [
        (json!({"dryrun": true}), "dryrun"),
        (json!({"key1": "value1", "key2": "value2"}), "key1"),
        // A rule of EventBridge without an input of its own sends its envelope.
        (json!({"version": "0", "detail-type": "Scheduled Event", "time": "2024-01-15T02:00:00Z"}), "detail-type"),
        (json!({"only": "everything"}), "`only`"),
        (json!({"dry_run": "true"}), "`dry_run`"),
        (json!({"scheduled_time": "<aws.scheduler.scheduled-time>"}), "`scheduled_time`"),
        (json!([{}]), "[{}]"),
        (json!("{}"), "\"{}\""),
    ] {
        let error = event(payload.clone()).unwrap_err();
        assert_eq!(error.class(), Class::Configuration, "{payload}");
        assert!(error.chain().contains(named), "{payload}: {}", error.chain());
        assert!(error.hint_text().is_some());
    }
}

#[test]
fn a_run_ends_before_lambda_ends_it() {
    assert_eq!(seconds(&context_of(Duration::from_secs(900))), 840);
    assert_eq!(seconds(&context_of(Duration::from_secs(300))), 270);
    assert_eq!(seconds(&context_of(Duration::from_secs(100))), 90);
    assert_eq!(seconds(&context_of(Duration::from_secs(10))), 9);
}

#[test]
fn a_deadline_that_is_over_leaves_no_time() {
    let now = UNIX_EPOCH + Duration::from_secs(1_705_284_000);
    let context = context(now, now - Duration::from_secs(5), trigger()).unwrap();
    assert!(context.deadline.unwrap() <= Instant::now());
    assert_eq!(context.now.to_string(), "2024-01-15T02:00:00Z");
}

#[test]
fn a_failure_names_its_type_its_causes_and_its_hint() {
    let error = Error::new(Class::Transient, "database \"clinic\" cannot be reached")
        .because(std::io::Error::other("connection refused"))
        .hint("Check that the server is up.");
    assert_eq!(
        Failure::from(&error),
        Failure {
            error_type: "TransientFailure",
            message: "database \"clinic\" cannot be reached: connection refused\nhint: Check that the server is up."
                .to_owned(),
        }
    );
}

#[test]
fn a_report_that_fits_is_answered_whole() {
    let report = json!({"name": "clinic", "warnings": (0..2000).collect::<Vec<_>>()});
    assert_eq!(small(&report).unwrap(), report);
}

#[test]
fn a_report_that_does_not_fit_says_what_was_left_out() {
    let problem = json!({"path": "p".repeat(100), "kind": "unreadable", "detail": "é".repeat(10)});
    let report = json!({"name": "clinic", "sources": [{"name": "uploads", "problems": vec![problem; 50_000]}]});
    let answer = small(&report).unwrap();
    assert!(answer.to_string().len() <= ANSWER_BYTES);
    assert_eq!(answer["name"], "clinic");
    let kept = answer["sources"][0]["problems"].as_array().unwrap().len();
    assert_eq!(kept, 1000);
    assert_eq!(answer["left_out"], json!({"sources[0].problems": 49_000}));
}

#[test]
fn a_message_is_cut_between_characters_and_says_so() {
    let mut text = "é".repeat(10);
    cut(&mut text, 5);
    assert_eq!(text, "éé… (15 bytes left out)");
    let mut short = "é".to_owned();
    cut(&mut short, 5);
    assert_eq!(short, "é");
}

#[tokio::test]
async fn a_configuration_error_is_the_answer_to_every_invocation() {
    let environment = Err(Error::configuration("BACKUP_DISK is empty"));
    for _ in 0..2 {
        let never = async |_: &Environment, _: &Event, _: &Context| Ok(json!({"never": true}));
        let answer = answer(&environment, json!({}), (UNIX_EPOCH, UNIX_EPOCH), trigger(), ("backup", never));
        assert_eq!(
            answer.await.unwrap_err(),
            Failure { error_type: "ConfigurationError", message: "BACKUP_DISK is empty".to_owned() }
        );
    }
}
