//! The two roles of infra/fargate.yaml that are not the program's: what ECS needs to start the task, and its schedule.
//! The stack is the one that template.yaml makes, so `arn:here:X` is a name of either.

use super::calls::{ACCOUNT, Call, call};

const IMAGE: &str = "arn:aws:ecr:eu-central-1:111111111111:repository/nightvault";
/// The schedule's condition: in this cluster and no other.
const CLUSTER: &str = "ecs:cluster";
/// And: to this service and no other.
const TO: &str = "iam:PassedToService";

const TASK: &str = "arn:here:Task";
const ECS: &str = "ecs-tasks.amazonaws.com";

/// What ECS does in this role before the program runs; and what it must not, besides what nobody may.
pub(super) fn of_execution() -> (Vec<Call>, Vec<Call>) {
    let pulls = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"];
    let logs = ["logs:CreateLogStream", "logs:PutLogEvents"];
    let mut allowed = vec![call("ecr:GetAuthorizationToken", "*")];
    allowed.extend(pulls.map(|action| call(action, IMAGE)));
    allowed.extend(logs.map(|action| call(action, "arn:here:Logs")));

    let mut denied = Vec::new();
    for elsewhere in [
        format!("{IMAGE}-2"),
        IMAGE.replace("nightvault", "shop"),
        IMAGE.replace("eu-central-1", "us-east-1"),
        IMAGE.replace(ACCOUNT, "222222222222"),
    ] {
        denied.extend(pulls.map(|action| call(action, &elsewhere)));
    }
    let changes = ["ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:BatchDeleteImage", "ecr:DeleteRepository"];
    denied.extend(changes.map(|action| call(action, IMAGE)));
    denied
        .extend(["ecr:CreateRepository", "ecr:DescribeRepositories", "ecs:ListTasks"].map(|action| call(action, "*")));
    for other in ["arn:here:BackupLogs", "arn:here:CleanupLogs", "arn:here:MonitorLogs"] {
        denied.extend(logs.map(|action| call(action, other)));
    }
    let reads = ["logs:DeleteLogGroup", "logs:DeleteLogStream", "logs:GetLogEvents", "logs:PutRetentionPolicy"];
    denied.extend(reads.map(|action| call(action, "arn:here:Logs")));
    // The program's own business, in the program's own role.
    denied.extend(of_the_program());
    denied.push(start(TASK, "arn:here:Cluster"));
    (allowed, denied)
}

/// What the schedule does in this role; and what it must not, besides what nobody may.
pub(super) fn of_start() -> (Vec<Call>, Vec<Call>) {
    let (task, execution) = ("arn:here:Roles.Outputs.TaskRole", "arn:here:ExecutionRole");
    let allowed = vec![
        start(TASK, "arn:here:Cluster"),
        hand_over(task, ECS),
        hand_over(execution, ECS),
        call("sqs:SendMessage", "arn:here:NotStartedQueue"),
    ];
    let in_cluster = |action| call(action, TASK).with(CLUSTER, "arn:here:Cluster");
    let on_role = |action| call(action, task).with(TO, ECS);
    let mut denied = vec![
        start("arn:other", "arn:here:Cluster"),
        start(TASK, "arn:other"),
        call("ecs:RunTask", TASK),
        in_cluster("ecs:StartTask"),
        in_cluster("ecs:StopTask"),
        in_cluster("ecs:ExecuteCommand"),
        in_cluster("ecs:DeregisterTaskDefinition"),
        hand_over(task, "lambda.amazonaws.com"),
        hand_over(execution, "ec2.amazonaws.com"),
        hand_over("arn:admin", ECS),
        on_role("iam:PutRolePolicy"),
        on_role("iam:UpdateAssumeRolePolicy"),
        call("sqs:SendMessage", "arn:here:FailedQueue"),
        call("lambda:InvokeFunction", "arn:here:BackupFunction"),
    ];
    denied.extend(of_the_program());
    (allowed, denied)
}

fn start(task: &str, cluster: &str) -> Call {
    call("ecs:RunTask", task).with(CLUSTER, cluster)
}

fn hand_over(role: &str, service: &str) -> Call {
    call("iam:PassRole", role).with(TO, service)
}

fn of_the_program() -> Vec<Call> {
    let (vault, archive) = (super::calls::VAULT, super::calls::ARCHIVE);
    let mut calls = vec![call("s3:ListBucket", vault), call("rds-db:connect", super::calls::LOGIN)];
    calls.extend(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"].map(|action| call(action, archive)));
    let secrets = [super::calls::PASSWORD, super::calls::DATABASE, super::calls::SLACK];
    calls.extend(secrets.map(|secret| call("secretsmanager:GetSecretValue", secret)));
    calls
}
