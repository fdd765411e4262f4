//! The trail: without one that logs management events, reads too, three rules see nothing. infra/trail.yaml makes one that
//! nobody changes in silence.

use serde_json::json;

use super::{CALL, matches, sees};
use crate::policies::calls::{Call, call};
use crate::policies::evaluation::{Verdict, judge};
use crate::policies::template::{Stack, list};

const OURS: &str = "arn:aws:cloudtrail:eu-central-1:111111111111:trail/arn:here:AWS::StackName";
const LOG: &str = "arn:here:Bucket/AWSLogs/111111111111/CloudTrail/eu-central-1/2026/01/01/log.json.gz";

fn trail() -> Stack {
    let given = [("DatabaseSecretArns", json!(["arn:database"])), ("MakeTrail", json!("true"))];
    Stack::open("template.yaml", &given).nested("Trail")
}

#[test]
fn the_trail_logs_what_the_rules_look_for_and_can_be_checked() {
    let trail = trail().properties("Trail");
    for on in ["IsLogging", "IsMultiRegionTrail", "IncludeGlobalServiceEvents", "EnableLogFileValidation"] {
        assert_eq!(trail[on], true, "{on}");
    }
    // Decrypt and GetSecretValue are reads.
    assert_eq!(trail["EventSelectors"], json!([{"IncludeManagementEvents": true, "ReadWriteType": "All"}]));
    // With a bucket key, AWS refuses a trail whose key lets CloudTrail encrypt and not decrypt.
    let rules = &self::trail().properties("Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"];
    assert!(rules[0]["BucketKeyEnabled"].is_null(), "{rules}");
    assert_eq!((&trail["S3BucketName"], &trail["KMSKeyId"]), (&json!("arn:here:Bucket"), &json!("arn:here:Key")));
    // Key and bucket let in the trail by the name that it has.
    assert_eq!(OURS.rsplit_once('/').unwrap().1, trail["TrailName"]);
}

#[test]
fn the_trails_bucket_takes_its_log_and_nothing_else_and_lets_nobody_delete() {
    let statements = |resource: &str, document: &str| list(&trail().properties(resource)[document]["Statement"]);
    let bucket = statements("BucketPolicy", "PolicyDocument");
    let by = |call: Call, service: &str, source: &str| {
        call.with("aws:PrincipalServiceName", service).with("aws:SourceArn", source).with("aws:SecureTransport", "true")
    };
    let put = |key: &str| call("s3:PutObject", key).with("s3:x-amz-acl", "bucket-owner-full-control");
    let service = "cloudtrail.amazonaws.com";
    let other = OURS.replace(":trail/", ":trail/other-");
    for (call, expected) in [
        (by(put(LOG), service, OURS), Verdict::Allowed),
        (by(call("s3:GetBucketAcl", "arn:here:Bucket"), service, OURS), Verdict::Allowed),
        (by(put(LOG), service, &other), Verdict::Neither),
        (by(put("arn:here:Bucket/elsewhere"), service, OURS), Verdict::Neither),
        (by(put(LOG), "config.amazonaws.com", OURS), Verdict::Denied),
        (put(LOG).with("aws:SecureTransport", "true"), Verdict::Denied),
        (by(call("s3:DeleteObject", LOG), service, OURS), Verdict::Denied),
        (call("s3:DeleteObjectVersion", LOG).with("aws:SecureTransport", "true"), Verdict::Denied),
        (call("s3:GetObject", LOG).with("aws:SecureTransport", "false"), Verdict::Denied),
        (call("s3:GetObject", LOG).with("aws:SecureTransport", "true"), Verdict::Neither),
    ] {
        assert_eq!(judge(&bucket, &call), expected, "{call}");
    }

    // Of the key's policy the account's own statement is left out: it hands the decision to the principals' policies.
    let mut key = statements("Key", "KeyPolicy");
    key.retain(|statement| statement["Sid"] != "TheAccountDecides");
    let encrypt = |source: &str| {
        call("kms:GenerateDataKey", "arn:here:Key")
            .with("kms:EncryptionContext:aws:cloudtrail:arn", OURS)
            .with("aws:SourceArn", source)
    };
    assert_eq!(judge(&key, &encrypt(OURS)), Verdict::Allowed);
    assert_eq!(judge(&key, &encrypt(&other)), Verdict::Neither);
    assert_eq!(judge(&key, &call("kms:Decrypt", "arn:here:Key").with("aws:SourceArn", OURS)), Verdict::Neither);
}

#[tokio::test]
async fn whoever_stops_a_trail_is_told_of_while_it_still_logs() {
    let call = |name: &str| json!({"eventSource": "cloudtrail.amazonaws.com", "eventName": name, "requestParameters": {"name": "any"}});
    for name in ["StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors"] {
        assert!(sees("ProtectionChanged", "aws.cloudtrail", CALL, &call(name)).await, "{name}");
    }
    for name in ["StartLogging", "LookupEvents", "GetTrailStatus"] {
        assert!(!sees("ProtectionChanged", "aws.cloudtrail", CALL, &call(name)).await, "{name}");
    }
}

#[tokio::test]
async fn whoever_takes_away_what_protects_the_log_is_told_of() {
    let rule = trail().properties("LogChanged");
    assert_eq!(rule["Targets"][0]["Arn"], "arn:here:AlarmsOfAll.Outputs.Topic");
    for (service, name, what, told) in [
        ("s3", "DeleteBucketPolicy", json!({"requestParameters": {"bucketName": "arn:here:Bucket"}}), true),
        ("s3", "DeleteBucketPolicy", json!({"requestParameters": {"bucketName": "another"}}), false),
        ("kms", "DisableKey", json!({"resources": [{"ARN": "arn:here:Key"}]}), true),
        ("kms", "DisableKey", json!({"resources": [{"ARN": "another"}]}), false),
        ("kms", "DescribeKey", json!({"resources": [{"ARN": "arn:here:Key"}]}), false),
    ] {
        let mut detail = json!({"eventSource": format!("{service}.amazonaws.com"), "eventName": name});
        detail.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        let seen = matches(&rule["EventPattern"], &format!("aws.{service}"), CALL, &detail).await;
        assert_eq!(seen, told, "{detail}");
    }
}

#[test]
fn the_rules_that_need_a_trail_are_the_three_that_the_page_names() {
    let alarms = crate::documents::read("infra/alarms.yaml");
    let rules = alarms.split("    Type: AWS::Events::Rule\n").skip(1).filter(|rule| {
        let rule = rule.split("\n\n").next().unwrap();
        rule.contains(CALL)
    });
    assert_eq!(rules.count(), 3);
    let page = crate::documents::read("infra/README.md");
    let row: Vec<&str> = page.lines().filter(|line| line.starts_with("| no trail in the account ")).collect();
    assert!(row.len() == 1 && row[0].contains("MakeTrail"), "{row:?}");
    for rule in ["ProtectionChanged", "Denied", "PasswordRead"] {
        assert!(row[0].contains(rule), "the row does not name {rule}");
    }
}
