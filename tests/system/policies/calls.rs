//! The calls that each role must and must not be able to make. `arn:here:X` is what the templates' own X is called here.

use std::collections::BTreeMap;
use std::fmt;

/// The roles of template.yaml, infra/roles.yaml and infra/fargate.yaml.
pub(super) const ROLES: [&str; 7] =
    ["BackupRole", "CleanupRole", "MonitorRole", "SchedulerRole", "TaskRole", "ExecutionRole", "StartRole"];
pub(super) const ACCOUNT: &str = "111111111111";
pub(super) const DATABASE: &str = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:database";
pub(super) const SLACK: &str = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:slack";
pub(super) const SECRETS_KEY: &str = "arn:aws:kms:eu-central-1:111111111111:key/secrets";
/// An object of the bucket, as infra/vault.yaml itself calls it.
pub(super) const IN_BUCKET: &str = "arn:here:Bucket/clinic/2024-01-15-02-00-00.zip";

/// The image of the backup as a task.
pub(super) const IMAGE: &str = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/nightvault:1";

/// A login of a database by IAM.
pub(super) const LOGIN: &str = "arn:aws:rds-db:eu-central-1:111111111111:dbuser:cluster-clinic/backup";

pub(super) const VAULT: &str = "arn:here:Vault.Outputs.BucketArn";
pub(super) const ARCHIVE: &str = "arn:here:Vault.Outputs.BucketArn/clinic/2024-01-15-02-00-00.zip";
/// A record of the audit trail.
const RECORD: &str = "arn:here:Vault.Outputs.BucketArn/clinic/audit/00000042.json";
const KEY: &str = "arn:here:Vault.Outputs.KeyArn";
pub(super) const PASSWORD: &str = "arn:here:ArchivePassword";
const IDENTITY: &str = "arn:aws:ses:eu-central-1:111111111111:identity/example.com";

/// One call of AWS's API.
#[derive(Clone)]
pub(crate) struct Call {
    pub(super) action: &'static str,
    pub(super) resource: String,
    context: BTreeMap<String, String>,
}

impl Call {
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.context.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(super) fn context(&self, key: &str) -> Option<&str> {
        self.context.get(key).map(String::as_str)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} {:?}", self.action, self.resource, self.context)
    }
}

pub(crate) fn call(action: &'static str, resource: &str) -> Call {
    Call { action, resource: resource.to_owned(), context: BTreeMap::new() }
}

/// Decryption that Secrets Manager does for the caller.
fn decrypt(key: &str, secret: &str) -> Call {
    call("kms:Decrypt", key)
        .with("kms:ViaService", "secretsmanager.eu-central-1.amazonaws.com")
        .with("kms:EncryptionContext:SecretARN", secret)
}

/// What S3 does with the key for the caller.
fn by_s3(action: &'static str) -> Call {
    call(action, KEY).with("kms:ViaService", "s3.eu-central-1.amazonaws.com")
}

/// The condition that nothing is there yet.
const ADDS: &str = "s3:if-none-match";

/// A put of an object whose key does not exist.
fn adding(object: &str) -> Call {
    call("s3:PutObject", object).with(ADDS, "*").with("s3:ObjectCreationOperation", "true")
}

fn mail(from: &str) -> Call {
    call("ses:SendEmail", IDENTITY).with("ses:FromAddress", from)
}

/// What the role must be able to do, and what it must not. `complete`: in the stack with every option on.
pub(super) fn expectations(role: &str, complete: bool) -> (Vec<Call>, Vec<Call>) {
    let mut allowed = Vec::new();
    let mut denied = of_nobody();
    let of_the_task = match role {
        "ExecutionRole" => Some(super::task::of_execution()),
        "StartRole" => Some(super::task::of_start()),
        _ => None,
    };
    if let Some((own, of_others)) = of_the_task {
        denied.extend(of_others);
        return (own, denied);
    }
    if role == "SchedulerRole" {
        for function in ["BackupFunction", "CleanupFunction", "MonitorFunction"] {
            allowed.push(call("lambda:InvokeFunction", &format!("arn:here:{function}")));
        }
        allowed.push(call("sqs:SendMessage", "arn:here:NotStartedQueue"));
        denied.extend([call("sqs:SendMessage", "arn:here:FailedQueue"), call("s3:ListBucket", VAULT)]);
        return (allowed, denied);
    }
    // ECS writes the task's log for it, and hands over no failure.
    let task = role == "TaskRole";
    let logs = format!("arn:here:{}Logs", role.trim_end_matches("Role"));
    for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
        if !task {
            allowed.push(call(action, &logs));
        }
        let others = ["BackupLogs", "CleanupLogs", "MonitorLogs"].map(|other| format!("arn:here:{other}"));
        denied.extend(others.iter().filter(|other| **other != logs).map(|other| call(action, other)));
    }
    let failed = call("sqs:SendMessage", "arn:here:FailedQueue");
    if task {
        denied.push(failed)
    } else {
        allowed.push(failed)
    }
    denied.push(call("sqs:SendMessage", "arn:here:NotStartedQueue"));
    allowed.push(call("s3:ListBucket", VAULT));
    let tell = [call("secretsmanager:GetSecretValue", SLACK), decrypt(SECRETS_KEY, SLACK), mail("backup@example.com")];
    if complete {
        allowed.extend(tell)
    } else {
        denied.extend(tell)
    }

    allowed.extend([call("s3:GetObject", RECORD), adding(RECORD)]);
    // With a condition that a delete cannot have, so that a statement for puts which is widened to all is noticed.
    denied.extend([
        call("s3:PutObject", RECORD),
        call("s3:DeleteObject", RECORD),
        call("s3:DeleteObject", RECORD).with(ADDS, "*"),
    ]);
    denied.extend(["s3:PutObjectTagging", "s3:DeleteObjectTagging"].map(|action| call(action, RECORD)));
    denied.push(adding("arn:here:Vault.Outputs.BucketArn/other/audit/00000042.json"));
    // The task does the work of the backup function.
    let worker = if task { "BackupRole" } else { role };
    if worker != "BackupRole" {
        denied.push(adding(ARCHIVE));
    }

    let puts = vec![call("s3:PutObject", ARCHIVE)];
    let parts = vec![call("s3:ListMultipartUploadParts", ARCHIVE)];
    let uploads = vec![call("s3:ListBucketMultipartUploads", VAULT)];
    let versions = vec![call("s3:ListBucketVersions", VAULT)];
    let abort = vec![call("s3:AbortMultipartUpload", ARCHIVE)];
    let reads = vec![call("s3:GetObject", ARCHIVE)];
    let locks = vec![call("s3:PutObjectRetention", ARCHIVE)];
    let looks_at_lock = vec![call("s3:GetObjectRetention", ARCHIVE)];
    let looks_at_rule = vec![call("s3:GetBucketObjectLockConfiguration", VAULT)];
    let notes = vec![call("s3:GetObjectTagging", ARCHIVE)];
    let holds = vec![call("s3:GetObjectLegalHold", ARCHIVE)];
    let tags = vec![call("s3:PutObjectTagging", ARCHIVE)];
    let deletes = vec![call("s3:DeleteObject", ARCHIVE), call("s3:GetLifecycleConfiguration", VAULT)];
    let password = vec![call("secretsmanager:GetSecretValue", PASSWORD), decrypt(KEY, PASSWORD)];
    let database = vec![call("secretsmanager:GetSecretValue", DATABASE)];
    let database_key = vec![decrypt(SECRETS_KEY, DATABASE)];
    let (seals, opens) = (vec![by_s3("kms:GenerateDataKey")], vec![by_s3("kms:Decrypt")]);
    let login = vec![call("rds-db:connect", LOGIN)];
    // The last lines exist only with every option on.
    let groups: [(Vec<Call>, &[&str]); 19] = [
        (puts, &["BackupRole"]),
        (parts, &["BackupRole", "MonitorRole"]),
        (uploads, &["CleanupRole", "MonitorRole"]),
        (versions, &["MonitorRole"]),
        (abort, &["BackupRole", "CleanupRole"]),
        (reads, &["BackupRole", "MonitorRole"]),
        (notes, &["CleanupRole", "MonitorRole"]),
        (tags, &["MonitorRole"]),
        (holds, &["CleanupRole"]),
        (deletes, &["CleanupRole"]),
        (password, &["BackupRole", "MonitorRole"]),
        (database, &["BackupRole"]),
        (login, if complete { &["BackupRole"] } else { &[] }),
        (database_key, if complete { &["BackupRole"] } else { &[] }),
        (locks, if complete { &["BackupRole", "CleanupRole"] } else { &[] }),
        (looks_at_lock, if complete { &["BackupRole", "CleanupRole"] } else { &["CleanupRole"] }),
        (looks_at_rule, if complete { &["BackupRole"] } else { &[] }),
        (seals, if complete { &ROLES[..3] } else { &[] }),
        (opens, if complete { &ROLES[..3] } else { &[] }),
    ];
    for (calls, roles) in groups {
        if roles.contains(&worker) { allowed.extend(calls) } else { denied.extend(calls) }
    }
    let interface = "arn:aws:ec2:eu-central-1:111111111111:network-interface/eni-1";
    for action in ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface"] {
        let by_lambda = call(action, interface);
        let function = "arn:aws:lambda:eu-central-1:111111111111:function:backup";
        denied.push(by_lambda.clone().with("lambda:SourceFunctionArn", function));
        if complete && role == "BackupRole" { allowed.push(by_lambda) } else { denied.push(by_lambda) }
    }
    (allowed, denied)
}

/// What none of the roles may do: other things with what is theirs, and their own things with what is not.
fn of_nobody() -> Vec<Call> {
    let mut denied = Vec::new();
    for action in [
        "s3:DeleteObjectVersion",
        "s3:BypassGovernanceRetention",
        "s3:PutObjectLegalHold",
        "s3:PutObjectAcl",
        "s3:GetObjectVersion",
    ] {
        denied.push(call(action, ARCHIVE));
    }
    for action in [
        "s3:DeleteBucket",
        "s3:PutBucketPolicy",
        "s3:DeleteBucketPolicy",
        "s3:PutBucketVersioning",
        "s3:PutLifecycleConfiguration",
        "s3:PutReplicationConfiguration",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutEncryptionConfiguration",
    ] {
        denied.push(call(action, VAULT));
    }
    for action in [
        "s3:GetObject",
        "s3:GetObjectTagging",
        "s3:PutObjectTagging",
        "s3:GetObjectRetention",
        "s3:GetObjectLegalHold",
        "s3:PutObjectRetention",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
    ] {
        denied.push(call(action, "arn:here:Vault.Outputs.BucketArn/other/2024-01-15-02-00-00.zip"));
        denied.push(call(action, "arn:aws:s3:::elsewhere/clinic/2024-01-15-02-00-00.zip"));
    }
    for action in [
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:ListBucketVersions",
        "s3:GetLifecycleConfiguration",
        "s3:GetBucketObjectLockConfiguration",
    ] {
        denied.push(call(action, "arn:aws:s3:::elsewhere"));
    }
    let (secret, key) = ("arn:aws:secretsmanager:eu-central-1:111111111111:secret:other", "arn:aws:kms:x:y:key/other");
    denied.push(call("secretsmanager:GetSecretValue", secret));
    for secret in [PASSWORD, DATABASE, SLACK] {
        denied.push(call("secretsmanager:PutSecretValue", secret));
        denied.push(call("secretsmanager:DeleteSecret", secret));
        denied.push(decrypt(key, secret));
    }
    for key in [KEY, SECRETS_KEY] {
        // By the caller's own hand, and not through S3 or Secrets Manager.
        denied.push(call("kms:Decrypt", key));
        denied.push(call("kms:GenerateDataKey", key));
        denied.push(call("kms:ScheduleKeyDeletion", key).with("kms:ViaService", "s3.eu-central-1.amazonaws.com"));
        denied.push(call("kms:DisableKey", key).with("kms:ViaService", "secretsmanager.eu-central-1.amazonaws.com"));
        for secret in [PASSWORD, DATABASE, SLACK] {
            denied.push(call("kms:PutKeyPolicy", key).with("kms:EncryptionContext:SecretARN", secret));
        }
    }
    for action in ["kms:GenerateDataKey", "kms:Decrypt"] {
        denied.push(call(action, key).with("kms:ViaService", "s3.eu-central-1.amazonaws.com"));
    }
    denied.extend([decrypt(KEY, secret), decrypt(SECRETS_KEY, secret)]);
    denied.extend([
        mail("chief@example.com"),
        call("ses:DeleteIdentity", IDENTITY).with("ses:FromAddress", "backup@example.com"),
    ]);
    denied.push(
        call("ses:SendEmail", "arn:aws:ses:eu-central-1:222222222222:identity/example.com")
            .with("ses:FromAddress", "backup@example.com"),
    );
    for queue in ["arn:here:FailedQueue", "arn:here:NotStartedQueue"] {
        denied.extend([call("sqs:ReceiveMessage", queue), call("sqs:PurgeQueue", queue)]);
    }
    for logs in ["arn:here:BackupLogs", "arn:here:CleanupLogs", "arn:here:MonitorLogs"] {
        denied.extend([call("logs:DeleteLogGroup", logs), call("logs:PutRetentionPolicy", logs)]);
    }
    for (action, resource) in [
        ("sqs:SendMessage", "arn:aws:sqs:eu-central-1:111111111111:other"),
        ("logs:CreateLogStream", "arn:aws:logs:eu-central-1:111111111111:log-group:other"),
        ("logs:PutLogEvents", "arn:aws:logs:eu-central-1:111111111111:log-group:other"),
        ("lambda:InvokeFunction", "arn:aws:lambda:eu-central-1:111111111111:function:other"),
        ("lambda:UpdateFunctionCode", "arn:here:BackupFunction"),
        ("scheduler:DeleteSchedule", "arn:aws:scheduler:eu-central-1:111111111111:schedule/group/backup"),
        ("cloudwatch:DeleteAlarms", "arn:aws:cloudwatch:eu-central-1:111111111111:alarm:NotSeen"),
        ("iam:CreateUser", "arn:aws:iam::111111111111:user/intruder"),
        ("iam:PassRole", "arn:aws:iam::111111111111:role/admin"),
        ("sts:AssumeRole", "arn:aws:iam::111111111111:role/admin"),
        ("ec2:RunInstances", "arn:aws:ec2:eu-central-1:111111111111:instance/*"),
        ("rds-db:anything-else", LOGIN),
        ("rds-db:connect", "arn:aws:rds-db:eu-central-1:111111111111:dbuser:cluster-clinic/admin"),
        ("rds-db:connect", "arn:aws:rds-db:eu-central-1:111111111111:dbuser:cluster-other/backup"),
        ("rds:DeleteDBInstance", "arn:aws:rds:eu-central-1:111111111111:db:clinic"),
    ] {
        denied.push(call(action, resource));
    }
    denied
}

/// The call as one that comes over TLS from a principal of the vault's own account, named as infra/vault.yaml names it.
pub(super) fn of_this_account(of_a_role: &Call) -> Call {
    let mut call = of_a_role.clone();
    call.resource = call.resource.replace(VAULT, "arn:here:Bucket");
    call.with("aws:PrincipalAccount", ACCOUNT)
        .with("aws:PrincipalIsAWSService", "false")
        .with("aws:SecureTransport", "true")
        .with("s3:TlsVersion", "1.3")
}

/// What the bucket refuses even to those whom their own policy allows everything.
pub(super) fn of_the_bucket() -> Vec<Call> {
    let here = |action| of_this_account(&call(action, IN_BUCKET));
    vec![
        here("s3:GetObject").with("aws:SecureTransport", "false"),
        here("s3:GetObject").with("s3:TlsVersion", "1.1"),
        here("s3:GetObject").with("aws:PrincipalAccount", "222222222222"),
        here("s3:DeleteObjectVersion"),
        here("s3:BypassGovernanceRetention"),
        of_this_account(&call("s3:DeleteObject", RECORD)),
        of_this_account(&call("s3:PutObject", RECORD)).with("s3:ObjectCreationOperation", "true"),
        here("s3:PutObjectRetention").with("s3:object-lock-remaining-retention-days", "3651"),
        here("s3:PutObject").with("s3:x-amz-server-side-encryption-customer-algorithm", "AES256"),
        here("s3:PutObject").with("s3:x-amz-server-side-encryption-aws-kms-key-id", "arn:aws:kms:x:y:key/intruder"),
        of_this_account(&call("s3:ListBucket", "arn:here:Bucket")).with("aws:PrincipalAccount", "222222222222"),
    ]
}
