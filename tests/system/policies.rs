//! What the roles of the templates may do, the backup task's three among them, evaluated as IAM would: for each role the
//! calls that must be allowed and those that must be denied, in a small stack (everything at its default) and in one with
//! every option on. Nested stacks get what template.yaml hands them and nothing else. A statement that is widened to `*`, in
//! its action, its resource or its condition, is noticed; that is a test here too.
//!
//! The evaluation knows what the templates use and panics at anything else, so that a new kind of condition is never taken
//! for a fulfilled one. It is no proof for AWS: identity policies and the bucket's policy only, no boundaries, no SCPs.

#![allow(clippy::unwrap_used, reason = "everything here is test code, its helpers too")]

pub(crate) mod calls;
pub(crate) mod evaluation;
mod task;
pub(crate) mod template;

use std::rc::Rc;

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

/// Every role with the stack that holds it.
fn roles(stack: Stack) -> Vec<(&'static str, Rc<Stack>)> {
    let (roles, task, stack) = (Rc::new(stack.nested("Roles")), Rc::new(stack.nested("Fargate")), Rc::new(stack));
    let home = |role| match role {
        "SchedulerRole" => &stack,
        "ExecutionRole" | "StartRole" => &task,
        _ => &roles,
    };
    ROLES.map(|role| (role, home(role).clone())).to_vec()
}

/// Every role with its statements.
fn statements(stack: Stack) -> Vec<(&'static str, Vec<Value>)> {
    roles(stack).into_iter().map(|(role, home)| (role, home.statements_of(role))).collect()
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
        for (role, statements) in statements(stack) {
            let found = violations(role, &statements, complete);
            assert!(found.is_empty(), "every option on: {complete}\n{}", found.join("\n"));
        }
    }
}

#[test]
fn a_statement_widened_in_action_resource_or_condition_is_noticed() {
    let mut tried = 0;
    for (role, statements) in statements(full()) {
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
    for (role, statements) in statements(full()) {
        for index in 0..statements.len() {
            let mut fewer = statements.clone();
            let gone = fewer.remove(index);
            assert!(!violations(role, &fewer, true).is_empty(), "{role}: nothing misses {}", gone["Sid"]);
        }
    }
}

#[test]
fn only_lambda_the_schedules_and_the_task_may_take_the_roles() {
    for (role, home) in roles(full()) {
        let trust = list(&home.properties(role)["AssumeRolePolicyDocument"]["Statement"]);
        let service = match role {
            "SchedulerRole" | "StartRole" => "scheduler.amazonaws.com",
            "TaskRole" | "ExecutionRole" => "ecs-tasks.amazonaws.com",
            _ => "lambda.amazonaws.com",
        };
        assert_eq!(trust.len(), 1, "{role}");
        assert_eq!(trust[0]["Principal"], json!({ "Service": service }), "{role}");
        assert_eq!(trust[0]["Action"], "sts:AssumeRole", "{role}");
        let condition = match service {
            "lambda.amazonaws.com" => Value::Null,
            "ecs-tasks.amazonaws.com" => json!({"StringEquals": {"aws:SourceAccount": calls::ACCOUNT}}),
            // Only the schedules of this stack.
            _ => {
                json!({"StringEquals": {"aws:SourceAccount": calls::ACCOUNT, "aws:SourceArn": "arn:here:ScheduleGroup"}})
            }
        };
        assert_eq!(trust[0]["Condition"], condition, "{role}");
    }
}

#[test]
fn each_function_and_the_task_have_their_own_role() {
    let stack = full();
    let roles = stack.nested("Roles");
    let handed_out = |role: &str| json!(format!("arn:here:Roles.Outputs.{role}"));
    for work in ["Backup", "Cleanup", "Monitor"] {
        let role = format!("{work}Role");
        assert_eq!(stack.properties(&format!("{work}Function"))["Role"], handed_out(&role));
        assert_eq!(roles.output(&role), json!(format!("arn:here:{role}")));
    }
    assert_eq!(stack.nested("Fargate").properties("Task")["TaskRoleArn"], handed_out("TaskRole"));
    assert_eq!(roles.output("TaskRole"), "arn:here:TaskRole");
    // Whoever is none of these and asks for the password sets off an alarm.
    assert_eq!(roles.output("All"), "arn:here:BackupRole,arn:here:CleanupRole,arn:here:MonitorRole,arn:here:TaskRole");
    assert_eq!(stack.properties("AlarmsOfAll")["Parameters"]["RoleArns"], handed_out("All"));
}

#[test]
fn an_image_named_by_its_digest_is_the_one_that_may_be_pulled() {
    let digest = format!("{}@sha256:{}", calls::IMAGE.replace(":1", ""), "0".repeat(64));
    let stack = Stack::open("infra/fargate.yaml", &[("ImageUri", json!(digest))]);
    let (allowed, _) = expectations("ExecutionRole", true);
    for call in &allowed {
        assert_eq!(judge(&stack.statements_of("ExecutionRole"), call), Verdict::Allowed, "{call}");
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
