//! What variables become, and what is said of wrong ones.

mod databases;
mod disks;

use std::collections::BTreeMap;

use super::*;
use crate::Class;

pub(super) const LOCAL: [(&str, &str); 2] = [("BACKUP_DISK", "local"), ("BACKUP_LOCAL_PATH", "/vault")];
const STRONG: &str = "0123456789abcdefghijklmnopqrstuv";

/// Loads from a list of variables, of which a later one replaces an earlier one.
pub(super) fn load_from(variables: &[(&str, &str)]) -> Result<Config> {
    let map: BTreeMap<&str, &str> = variables.iter().copied().collect();
    load(&|name| map.get(name).map(|value| (*value).to_owned()))
}

/// Loads with a local disk besides.
pub(super) fn with_local(variables: &[(&str, &str)]) -> Result<Config> {
    load_from(&[&LOCAL[..], variables].concat())
}

/// The message of the error that `variables` make, beside a local disk.
pub(super) fn error_of(variables: &[(&str, &str)]) -> String {
    let error = with_local(variables).unwrap_err();
    assert_eq!(error.class(), Class::Configuration);
    error.chain()
}

#[test]
fn defaults_are_those_of_the_table() {
    let config = load_from(&[("AWS_BUCKET", "vault")]).unwrap();
    assert_eq!((config.name.as_str(), config.filename_prefix.as_str()), ("nightvault", ""));
    assert_eq!(config.disks.len(), 1);
    assert_eq!(config.disks, config.monitor_disks);
    assert_eq!(config.compression, Compression::Deflate(3));
    assert_eq!(config.max_files, 1_000_000);
    assert_eq!(config.upload, UploadLimits { parts_in_flight: 4, first_part_bytes: 8 << 20 });
    assert_eq!(config.dump_limits, DumpLimits::default());
    assert_eq!(config.retention, Policy::default());
    let limits = HealthLimits {
        max_age_days: 1,
        max_storage_mb: Some(10_240),
        max_drill_age_days: None,
        empty_databases: Vec::new(),
    };
    assert_eq!(config.health, limits);
    assert_eq!(config.monitor_sample.map(|share| share.to_string()), Some("5 %".to_owned()));
    assert_eq!(config.timezone, jiff::tz::TimeZone::UTC);
    assert!(config.verify.is_none() && config.archive_password.is_none() && config.databases.is_empty());
    assert!(config.workers >= 1);
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let empty = ["BACKUP_NAME", "BACKUP_WORKERS", "BACKUP_SUCCESS_NOTIFICATIONS", "AWS_ENDPOINT", "DB_CONNECTION"];
    let variables: Vec<_> = empty.map(|name| (name, "")).into_iter().chain([("AWS_BUCKET", "vault")]).collect();
    assert_eq!(describe(&load_from(&variables).unwrap()), describe(&load_from(&[("AWS_BUCKET", "vault")]).unwrap()));
}

#[test]
fn the_env_file_of_the_laravel_guide_is_taken_as_it_is() {
    let config = load_from(&[
        ("BACKUP_DISK", "s3"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_BUCKET", "your-backup-bucket-name"),
        ("AWS_ENDPOINT", ""),
        ("AWS_USE_PATH_STYLE_ENDPOINT", "false"),
        ("BACKUP_ARCHIVE_PASSWORD", "your-strong-encryption-password-here"),
        ("BACKUP_NOTIFICATION_EMAIL", "admin@example.com"),
        ("MAIL_FROM_ADDRESS", "backup@example.com"),
        ("BACKUP_FAILURE_NOTIFICATIONS", "mail"),
        ("BACKUP_HEALTH_NOTIFICATIONS", "mail"),
        ("BACKUP_SUCCESS_NOTIFICATIONS", ""),
        ("BACKUP_MONITOR_DISKS", "s3"),
        ("BACKUP_MAX_AGE_DAYS", "1"),
        ("BACKUP_MAX_STORAGE_MB", "10240"),
    ])
    .unwrap();
    assert!(config.notifications.success.is_empty());
    assert_eq!(config.notifications.failure.iter().collect::<Vec<_>>(), [&Channel::Mail]);
}

#[test]
fn every_wrong_variable_is_named_at_once_with_what_it_takes() {
    let error = load_from(&[
        ("BACKUP_NAME", "../clinic"),
        ("BACKUP_DISK", "local"),
        ("BACKUP_WORKERS", "many"),
        ("BACKUP_PART_SIZE_MB", "4"),
        ("BACKUP_COMPRESSION", "rar"),
        ("BACKUP_VERIFY", "no"),
        ("BACKUP_TIMEZONE", "Mars/Olympus"),
        ("BACKUP_ARCHIVE_PASSWORD", "Passw0rd!2024"),
        ("BACKUP_FAILURE_NOTIFICATIONS", "mail,pigeon"),
        ("BACKUP_FILES", "relative"),
        ("DB_CONNECTION", "sqlsrv"),
    ])
    .unwrap_err();
    assert_eq!(error.class(), Class::Configuration);
    insta::assert_snapshot!(error.chain());
}

#[test]
fn wrong_values_are_named_one_by_one() {
    for (variable, value, words) in [
        ("BACKUP_NAME", ".hidden", "not usable"),
        ("BACKUP_NAME", "a\nb", "control character"),
        ("BACKUP_ALLOW_WEAK_PASSWORD", "maybe", "neither true nor false"),
        ("BACKUP_KEEP_ALL_DAYS", "-1", "no whole number"),
        ("BACKUP_KEEP_ALL_DAYS", "7.5", "no whole number"),
        ("BACKUP_MAX_AGE_DAYS", "0", "not between 1 and 3650"),
        ("BACKUP_MAX_STORAGE_MB", "0", "not between"),
        ("BACKUP_MAX_DRILL_AGE_DAYS", "0", "not between 1 and 3650"),
        ("BACKUP_MONITOR_SAMPLE", "120%", "is no share"),
        ("BACKUP_EMPTY_DATABASES", "postgres://u:canary@host/clinic", "where the name of a database is meant"),
        ("BACKUP_DELETE_OLDEST_OVER_MB", "0", "not between"),
        ("BACKUP_COMPRESSION_LEVEL", "10", "not between 1 and 9"),
        ("BACKUP_FILES_EXCLUDE", "a[", "glob"),
        ("BACKUP_FILES", "a=/x,a=/y", "two sets named"),
        ("BACKUP_ARCHIVE_PASSWORD_SECRET", "the secret itself!", "is it the secret itself?"),
        ("BACKUP_ARCHIVE_PASSWORD_SECRET", "a:b", "no ARN"),
        ("SLACK_WEBHOOK_URL", "http://hooks.example/canary", "no https://"),
        ("BACKUP_NOTIFICATION_EMAIL", "a@b\u{7}", "control character"),
        ("BACKUP_NOTIFICATION_EMAIL", "nobody", "no address"),
        ("BACKUP_MAIL_FROM", "Night <vault", "no address"),
    ] {
        let message = error_of(&[(variable, value)]);
        assert!(message.contains(variable) && message.contains(words), "{message}");
        assert!(!message.contains("canary"), "{message}");
    }
}

#[test]
fn levels_belong_to_their_compression() {
    let compression = |kind, level| with_local(&[("BACKUP_COMPRESSION", kind), ("BACKUP_COMPRESSION_LEVEL", level)]);
    assert_eq!(compression("zstd", "19").unwrap().compression, Compression::Zstd(19));
    assert_eq!(compression("deflate", "").unwrap().compression, Compression::Deflate(3));
    assert_eq!(compression("store", "").unwrap().compression, Compression::Store);
    compression("store", "3").unwrap_err();
}

#[test]
fn a_policy_that_keeps_nothing_is_refused() {
    let zero: Vec<_> = ["ALL_DAYS", "DAILY_DAYS", "WEEKLY_WEEKS", "MONTHLY_MONTHS", "YEARLY_YEARS"]
        .map(|window| (format!("BACKUP_KEEP_{window}"), "0"))
        .to_vec();
    let zero: Vec<_> = zero.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert!(error_of(&zero).contains("would keep nothing"));
    with_local(&zero[1..]).unwrap();
}

#[test]
fn a_channel_that_is_chosen_and_not_set_up_is_named_with_what_it_lacks() {
    let message = error_of(&[("BACKUP_SUCCESS_NOTIFICATIONS", "mail,slack")]);
    for name in ["BACKUP_NOTIFICATION_EMAIL", "BACKUP_MAIL_FROM", "SLACK_WEBHOOK_URL", "BACKUP_SUCCESS_NOTIFICATIONS"] {
        assert!(message.contains(name), "{message}");
    }
    assert!(error_of(&[("BACKUP_NOTIFICATION_EMAIL", "a@b.example")]).contains("BACKUP_MAIL_FROM"));
}

#[test]
fn failures_go_to_every_channel_that_is_set_up_unless_silence_is_asked_for() {
    let set_up = [("SLACK_WEBHOOK_SECRET", "hooks/slack")];
    let told = with_local(&set_up).unwrap().notifications;
    assert!(told.failure.contains(&Channel::Slack) && told.health.contains(&Channel::Slack) && told.success.is_empty());
    let silent = with_local(&[set_up[0], ("BACKUP_FAILURE_NOTIFICATIONS", "none")]).unwrap().notifications;
    assert!(silent.failure.is_empty() && silent.health.contains(&Channel::Slack));
}

#[test]
fn a_secret_in_secrets_manager_wins_over_its_variable_and_that_is_told() {
    let variables = [
        LOCAL[0],
        LOCAL[1],
        ("BACKUP_ARCHIVE_PASSWORD", STRONG),
        ("BACKUP_ARCHIVE_PASSWORD_SECRET", "arn:aws:secretsmanager:eu-central-1:1:secret:vault-AbCdEf"),
    ];
    let config = load_from(&variables).unwrap();
    assert!(matches!(config.archive_password, Some(SecretRef::SecretsManager(_))));
    let told = warnings_of(&variables);
    assert!(told.iter().any(|line| line.starts_with("BACKUP_ARCHIVE_PASSWORD is not used")), "{told:?}");
}

#[test]
fn a_backup_needs_a_password_and_something_to_back_up() {
    let lookup = |name: &str| LOCAL.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    load(&lookup).unwrap();
    let message = load_for_backup(&lookup).unwrap_err().chain();
    assert!(message.contains("BACKUP_ARCHIVE_PASSWORD is not set") && message.contains("DATABASE_URL"), "{message}");
}

#[test]
fn mistyped_names_and_odd_settings_are_told() {
    let told = warnings_of(&[
        LOCAL[0],
        LOCAL[1],
        ("BACKUP_KEEP_YEARLY_YEAR", "10"),
        ("BACKUP_DISK_OFFSITE_URL", "file:///x"),
        ("BACKUP_ALLOW_WEAK_PASSWORD", "true"),
        ("BACKUP_ARCHIVE_PASSWORD", "short\n"),
        ("BACKUP_UNUSED", ""),
    ]);
    assert!(told.iter().any(|line| line.contains("did you mean BACKUP_KEEP_YEARLY_YEARS?")));
    assert!(told.iter().any(|line| line.contains("BACKUP_DISK_OFFSITE_URL describes a disk")));
    assert!(told.iter().any(|line| line.contains("newline at the end")));
    assert!(told.iter().any(|line| line.contains("nobody is told")));
    assert!(!told.iter().any(|line| line.contains("BACKUP_UNUSED") || line.contains("short")), "{told:?}");
}

fn warnings_of(variables: &[(&str, &str)]) -> Vec<String> {
    let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let names: Vec<String> = variables.iter().map(|(name, _)| (*name).to_owned()).collect();
    warnings(&load(&lookup).unwrap(), &lookup, &names)
}

#[test]
fn no_secret_is_shown_by_debug_or_by_the_description() {
    let config = load_from(&[
        ("BACKUP_DISK", "local,offsite"),
        LOCAL[1],
        ("BACKUP_DISK_OFFSITE_URL", "s3://bucket/prefix?endpoint=https://s3.example"),
        ("BACKUP_DISK_OFFSITE_KEY", "AKIDVISIBLE"),
        ("BACKUP_DISK_OFFSITE_SECRET", "canary-1"),
        ("BACKUP_ARCHIVE_PASSWORD", "canary-2-0123456789abcdefghijklmnopqrstuv"),
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.example/services/canary-3"),
        ("DATABASE_URL", "postgres://u:canary-4@h/d,mysql://u:canary%2D5@h/d"),
        ("DB_CONNECTION", "mysql"),
        ("DB_DATABASE", "laravel"),
        ("DB_USERNAME", "u"),
        ("DB_PASSWORD", "canary-6"),
    ])
    .unwrap();
    let lines = describe_lines(&config).join("\n");
    for shown in [format!("{config:?}"), format!("{config:#?}"), describe(&config).to_string(), lines.clone()] {
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("***"));
    }
    assert!(lines.contains("laravel") && lines.contains("s3.example"));
}

#[test]
fn every_variable_of_the_list_stands_in_the_table_of_the_module() {
    let source = include_str!("../config.rs");
    for (name, _) in variables::VARIABLES {
        assert!(source.contains(&format!("`{name}`")), "{name} is not in the table");
    }
}
