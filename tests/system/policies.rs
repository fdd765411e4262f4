//! What the roles of the template may do, the backup task's among them, evaluated as IAM would: for each role the calls that must be allowed and those
//! that must be denied, in a small stack (everything at its default) and in one with every option on. A statement that is
//! widened to `*`, in its action, its resource or its condition, is noticed; that is a test here too.
//!
//! The evaluation knows what the templates use and panics at anything else, so that a new kind of condition is never taken
//! for a fulfilled one. It is no proof for AWS: identity policies and the bucket's policy only, no boundaries, no SCPs.

#![allow(clippy::unwrap_used, reason = "everything here is test code, its helpers too")]

mod calls;
mod evaluation;
pub(crate) mod template;

use calls::{Call, ROLES, call, expectations, of_the_bucket};
use evaluation::{Verdict, judge};
use serde_json::{Value, json};
use template::{Stack, list};

/// Everything at its default, except for what has none; with the task, so that its role has its rights.
fn small() -> Stack {
    Stack::open(
        "template.yaml",
        &[
            ("DatabaseSecretArns", json!([calls::DATABASE])),
            ("BackupName", json!("clinic")),
            ("TaskImageUri", json!(calls::IMAGE)),
        ],
    )
}

/// Every option on that adds a statement.
fn full() -> Stack {
    Stack::open(
        "template.yaml",
        &[
            ("DatabaseSecretArns", json!([calls::DATABASE])),
            ("BackupName", json!("clinic")),
            ("Encryption", json!("SSE-KMS")),
            ("SecretsKeyArn", json!(calls::SECRETS_KEY)),
            ("DatabaseIamUserArns", json!([calls::LOGIN])),
            ("SlackWebhookSecretArn", json!(calls::SLACK)),
            ("NotificationEmail", json!("night@example.com")),
            ("MailFrom", json!("backup@example.com")),
            ("SubnetIds", json!(["subnet-1"])),
            ("SecurityGroupIds", json!(["sg-1"])),
            ("ObjectLock", json!("COMPLIANCE")),
            ("TaskImageUri", json!(calls::IMAGE)),
        ],
    )
}

fn bucket_policy() -> Vec<Value> {
    let parameters = [("Encryption", json!("SSE-KMS"))];
    list(&Stack::open("infra/vault.yaml", &parameters).properties("BucketPolicy")["PolicyDocument"]["Statement"])
}

/// What is wrong with these statements of a role, if anything.
fn violations(role: &str, statements: &[Value], complete: bool) -> Vec<String> {
    let mut found = Vec::new();
    let (allowed, denied) = expectations(role, complete);
    for call in &allowed {
        if judge(statements, call) != Verdict::Allowed {
            found.push(format!("{role} needs {call}"));
        }
    }
    for call in &denied {
        if judge(statements, call) == Verdict::Allowed {
            found.push(format!("{role} must not do {call}"));
        }
    }
    found
}

#[test]
fn each_role_may_do_its_work_and_nothing_else() {
    for (stack, complete) in [(small(), false), (full(), true)] {
        for role in ROLES {
            let found = violations(role, &stack.statements_of(role), complete);
            assert!(found.is_empty(), "every option on: {complete}\n{}", found.join("\n"));
        }
    }
}

#[test]
fn a_statement_widened_in_action_resource_or_condition_is_noticed() {
    let stack = full();
    let mut tried = 0;
    for role in ROLES {
        let statements = stack.statements_of(role);
        for (index, statement) in statements.iter().enumerate().filter(|(_, s)| s["Effect"] == "Allow") {
            for part in ["Action", "Resource", "Condition"] {
                let mut widened = statements.clone();
                let changed = widened[index].as_object_mut().unwrap();
                if part == "Condition" {
                    changed.remove(part);
                } else {
                    changed.insert(part.to_owned(), json!("*"));
                }
                if widened[index] == *statement {
                    continue; // There is nothing left to widen.
                }
                tried += 1;
                let sid = &statement["Sid"];
                assert!(!violations(role, &widened, true).is_empty(), "{role}, {sid}: nothing notices a wide {part}");
            }
        }
    }
    assert!(tried > 40, "only {tried} statements were widened");
}

#[test]
fn a_statement_taken_away_is_noticed() {
    let stack = full();
    for role in ROLES {
        let statements = stack.statements_of(role);
        for index in 0..statements.len() {
            let mut fewer = statements.clone();
            let gone = fewer.remove(index);
            assert!(!violations(role, &fewer, true).is_empty(), "{role}: nothing misses {}", gone["Sid"]);
        }
    }
}

#[test]
fn only_lambda_the_schedules_and_the_task_may_take_the_roles() {
    let stack = full();
    for role in ROLES {
        let trust = list(&stack.properties(role)["AssumeRolePolicyDocument"]["Statement"]);
        let service = match role {
            "SchedulerRole" => "scheduler.amazonaws.com",
            "TaskRole" => "ecs-tasks.amazonaws.com",
            _ => "lambda.amazonaws.com",
        };
        assert_eq!(trust.len(), 1, "{role}");
        assert_eq!(trust[0]["Principal"], json!({ "Service": service }), "{role}");
        assert_eq!(trust[0]["Action"], "sts:AssumeRole", "{role}");
    }
    let schedules = &stack.properties("SchedulerRole")["AssumeRolePolicyDocument"]["Statement"][0]["Condition"];
    assert_eq!(schedules["StringEquals"]["aws:SourceAccount"], calls::ACCOUNT);
    assert!(schedules["StringEquals"]["aws:SourceArn"].is_string(), "only the schedules of this stack");
}

#[test]
fn the_schedule_of_the_task_may_start_it_with_its_two_roles_and_nothing_else() {
    let given = [("TaskRoleArn", json!("arn:task-role")), ("NotStartedQueueArn", json!("arn:not-started"))];
    let statements = Stack::open("infra/fargate.yaml", &given).statements_of("StartRole");
    let start = |task: &str, cluster: &str| call("ecs:RunTask", task).with("ecs:cluster", cluster);
    let hand_over = |role: &str, service: &str| call("iam:PassRole", role).with("iam:PassedToService", service);
    for (call, expected) in [
        (start("arn:here:Task", "arn:here:Cluster"), Verdict::Allowed),
        (start("arn:other", "arn:here:Cluster"), Verdict::Neither),
        (start("arn:here:Task", "arn:other"), Verdict::Neither),
        (hand_over("arn:task-role", "ecs-tasks.amazonaws.com"), Verdict::Allowed),
        (hand_over("arn:here:ExecutionRole", "ecs-tasks.amazonaws.com"), Verdict::Allowed),
        (hand_over("arn:task-role", "lambda.amazonaws.com"), Verdict::Neither),
        (hand_over("arn:admin", "ecs-tasks.amazonaws.com"), Verdict::Neither),
        (call("sqs:SendMessage", "arn:not-started"), Verdict::Allowed),
        (call("sqs:SendMessage", "arn:other"), Verdict::Neither),
        (call("ecs:StopTask", "arn:here:Task"), Verdict::Neither),
    ] {
        assert_eq!(judge(&statements, &call), expected, "{call}");
    }
}

#[test]
fn without_an_image_the_function_runs_each_night_and_with_one_the_task_alone() {
    let state = |image: &str| {
        let given = [("DatabaseSecretArns", json!([calls::DATABASE])), ("TaskImageUri", json!(image))];
        let events = Stack::open("template.yaml", &given).properties("BackupFunction")["Events"].clone();
        events["EveryNight"]["Properties"]["State"].clone()
    };
    assert_eq!(state(""), "ENABLED");
    assert_eq!(state(calls::IMAGE), "DISABLED");
}

#[test]
fn the_bucket_refuses_what_nobody_may_do() {
    let policy = bucket_policy();
    for call in of_the_bucket() {
        assert_eq!(judge(&policy, &call), Verdict::Denied, "{call}");
    }
}

#[test]
fn the_bucket_refuses_none_of_what_the_roles_do() {
    let policy = bucket_policy();
    for role in ROLES {
        let (allowed, _) = expectations(role, true);
        for call in allowed.iter().filter(|call| call.action.starts_with("s3:")) {
            let here = calls::of_this_account(call);
            assert_ne!(judge(&policy, &here), Verdict::Denied, "{role}: {call}");
        }
    }
}

#[test]
fn a_replica_lets_one_account_write_copies_and_do_nothing_else() {
    let parameters = [("ReplicaOfAccount", json!("222222222222"))];
    let stack = Stack::open("infra/vault.yaml", &parameters);
    let policy = list(&stack.properties("BucketPolicy")["PolicyDocument"]["Statement"]);
    let from = |action, role: &str, account: &str| -> Call {
        call(action, calls::IN_BUCKET)
            .with("aws:PrincipalAccount", account)
            .with("aws:PrincipalIsAWSService", "false")
            .with("aws:PrincipalArn", &format!("arn:aws:iam::{account}:role/{role}"))
            .with("aws:SecureTransport", "true")
            .with("s3:TlsVersion", "1.3")
    };
    let role = "stack-ReplicationRole-X";
    assert_eq!(judge(&policy, &from("s3:ReplicateObject", role, "222222222222")), Verdict::Allowed);
    assert_eq!(judge(&policy, &from("s3:GetObject", role, "222222222222")), Verdict::Neither);
    assert_eq!(judge(&policy, &from("s3:ReplicateDelete", role, "222222222222")), Verdict::Neither);
    assert_eq!(judge(&policy, &from("s3:ReplicateObject", "admin", "222222222222")), Verdict::Neither);
    assert_eq!(judge(&policy, &from("s3:ReplicateObject", role, "333333333333")), Verdict::Denied);
}
