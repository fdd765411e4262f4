//! What stands in files that no compiler reads: sample events, the template, the README, the length of our own files.

#![allow(clippy::unwrap_used, reason = "everything here is test code, its helpers too")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nightvault_core::operation::Event;

const FUNCTIONS: [&str; 3] = ["backup", "cleanup", "monitor"];
/// Nobody finds anything in a longer file.
const LONGEST_FILE: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate stands in the workspace").to_owned()
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file under `folder` that ends in `ending`.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_sample_event_is_understood() {
    let mut named = BTreeSet::new();
    for path in files(&root().join("events"), ".json") {
        let text = std::fs::read_to_string(&path).unwrap();
        serde_json::from_str::<Event>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let function = FUNCTIONS.into_iter().find(|function| name.starts_with(&format!("{function}-")));
        named.insert(function.unwrap_or_else(|| panic!("{name} names no function")));
    }
    assert_eq!(named, BTreeSet::from(FUNCTIONS), "each function has a sample");
}

#[test]
fn what_the_schedules_send_is_understood() {
    let template = read("template.yaml");
    let inputs: Vec<&str> =
        template.lines().filter_map(|line| line.trim().strip_prefix("Input: '")?.strip_suffix('\'')).collect();
    assert_eq!(inputs.len(), FUNCTIONS.len(), "each function has a schedule with an input");
    for input in inputs {
        // EventBridge Scheduler puts the time in its place: docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
        let sent = input.replace("<aws.scheduler.scheduled-time>", "2024-01-15T02:00:00Z");
        let event: Event = serde_json::from_str(&sent).unwrap_or_else(|error| panic!("{input}: {error}"));
        let scheduled = event.scheduled_time.expect("the key of a scheduled run is made from its time");
        assert_eq!(scheduled.to_string(), "2024-01-15T02:00:00Z");
    }
    for (function, cron) in [("backup", "cron(0 2 "), ("cleanup", "cron(30 2 "), ("monitor", "cron(0 3 ")] {
        assert!(part_of(&template, function).contains(cron), "{function} runs at {cron}");
    }
}

#[test]
fn what_the_schedule_of_the_task_sends_is_the_command_line_of_a_scheduled_run() {
    let template = read("infra/fargate.yaml");
    let inputs: Vec<&str> =
        template.lines().filter_map(|line| line.trim().strip_prefix("Input: '")?.strip_suffix('\'')).collect();
    assert_eq!(inputs.len(), 1, "the task has one schedule");
    let sent = inputs[0].replace("<aws.scheduler.scheduled-time>", "2024-01-15T02:00:00Z");
    let overrides: serde_json::Value = serde_json::from_str(&sent).unwrap();
    let container = &overrides["containerOverrides"][0];
    let named = format!("- Name: {}\n", container["name"].as_str().expect("ECS wants the container's name"));
    assert!(template.contains(&named), "there is no container {named}");
    // cli/src/args.rs tests that this is understood.
    assert_eq!(container["command"], serde_json::json!(["run", "--scheduled-time", "2024-01-15T02:00:00Z"]));
    assert!(template.contains("cron(0 2 "), "it starts when the function would");
}

/// The text of one function's resource in the template.
fn part_of<'a>(template: &'a str, function: &str) -> &'a str {
    section(template, &format!("BuildProperties: {{ Binary: {function} }}"))
}

/// What stands from these words to the end of their section.
fn section<'a>(template: &'a str, words: &str) -> &'a str {
    let start = template.find(words).unwrap_or_else(|| panic!("nowhere stands {words}"));
    let rest = &template[start..];
    // Sections are set apart by a comment of this form.
    &rest[..rest.find("\n  # --- ").unwrap_or(rest.len())]
}

#[test]
fn no_function_may_do_what_is_not_its_work() {
    let roles = read("infra/roles.yaml");
    let secrets = ["secretsmanager:", "DatabaseSecretArns", "PasswordArn"];
    for (function, allowed, forbidden) in [
        ("backup", vec!["s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject", "s3:ListBucket"], vec!["s3:Delete"]),
        (
            "cleanup",
            vec!["s3:DeleteObject", "s3:ListBucket", "s3:GetObjectTagging"],
            // Tags and locks, but no contents; longer locks, and nothing else that is written.
            [
                vec![
                    "s3:GetObject,",
                    "s3:GetObject]",
                    "s3:GetObject\n",
                    "s3:PutObject,",
                    "s3:PutObject]",
                    "s3:PutObject\n",
                ],
                vec!["s3:PutObjectTagging", "s3:PutObjectLegalHold", "s3:PutBucket"],
                secrets.to_vec(),
            ]
            .concat(),
        ),
        (
            "monitor",
            // Notes, but no contents.
            vec!["s3:GetObject", "s3:ListBucket", "s3:GetObjectTagging", "s3:PutObjectTagging"],
            vec!["s3:PutObject,", "s3:PutObject]", "s3:PutObject\n", "s3:Delete", "s3:Abort", "DatabaseSecretArns"],
        ),
    ] {
        let part = section(&roles, &format!("  # --- {function}: "));
        assert!(!part.contains("s3:*") && !part.contains("Action: \"*\""), "{function} has a wildcard");
        for action in allowed {
            assert!(part.contains(action), "{function} needs {action}");
        }
        for action in forbidden {
            assert!(!part.contains(action), "{function} must not have {action}");
        }
    }
}

#[test]
fn what_holds_the_backups_outlives_the_stack() {
    for (path, resource) in [
        ("template.yaml", "  Vault:\n    Type: AWS::CloudFormation::Stack\n"),
        ("template.yaml", "  ArchivePassword:\n    Type: AWS::SecretsManager::Secret\n"),
        ("infra/vault.yaml", "  Bucket:\n    Type: AWS::S3::Bucket\n"),
        ("infra/vault.yaml", "  Key:\n    Type: AWS::KMS::Key\n"),
        ("infra/trail.yaml", "  Bucket:\n    Type: AWS::S3::Bucket\n"),
        ("infra/trail.yaml", "  Key:\n    Type: AWS::KMS::Key\n"),
    ] {
        let template = read(path);
        let kept = format!("{resource}    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n");
        assert!(template.contains(&kept), "{resource} is kept when the stack is deleted");
    }
}

#[test]
fn every_alarm_tells_somebody_and_points_at_a_section_of_the_runbook() {
    let page = read("infra/README.md");
    let sections: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    let mut alarms = 0;
    for path in ["infra/alarms.yaml", "infra/function-alarms.yaml", "infra/metric-alarms.yaml"] {
        let text = read(path);
        for alarm in text.split("    Type: AWS::CloudWatch::Alarm\n").skip(1) {
            // A resource ends where the next one's name stands.
            let alarm: Vec<&str> =
                alarm.lines().take_while(|line| line.is_empty() || line.starts_with("    ")).collect();
            let description = alarm.iter().find(|line| line.contains("AlarmDescription")).expect("a description");
            let (_, section) = description.split_once("${Runbook}#").expect("a link to the runbook");
            let section = section.trim_end_matches('"');
            assert!(sections.contains(section), "{path}: the runbook has no section {section:?}");
            assert!(
                alarm.iter().any(|line| line.contains("AlarmActions: [!Ref Topic]")),
                "{path}: {section} tells nobody"
            );
            alarms += 1;
        }
    }
    assert!(alarms > 10, "only {alarms} alarms were found");
}

/// Names of variables as they stand in the list that `config` checks.
fn variables() -> BTreeSet<String> {
    read("shared/src/config/variables.rs")
        .split('"')
        .filter(|text| is_variable(text) && !text.starts_with('_') && !text.ends_with('_'))
        .map(str::to_owned)
        .collect()
}

fn is_variable(text: &str) -> bool {
    text.contains('_') && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "_<>…".contains(c))
}

/// Names of variables in the README's table, in its own short form (`…_DAILY_DAYS`) or whole.
fn variables_of_the_readme() -> BTreeSet<String> {
    let readme = read("README.md");
    let section = readme.split("\n## Configuration\n").nth(1).expect("the README has a section on configuration");
    let table = section.split("\n## ").next().unwrap_or(section);
    table.split('`').filter(|text| is_variable(text)).map(str::to_owned).collect()
}

fn is_short_for(short: &str, name: &str) -> bool {
    match short.strip_prefix('…') {
        Some(ending) => name.ends_with(ending),
        None => short == name,
    }
}

#[test]
fn the_readme_names_exactly_the_variables_that_are_read() {
    let (real, told) = (variables(), variables_of_the_readme());
    // Read by the SDK and by Lambda, not by us; and the names that a user makes.
    let others = |name: &str| name.contains('<') || ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].contains(&name);
    let invented: Vec<_> =
        told.iter().filter(|short| !others(short) && !real.iter().any(|name| is_short_for(short, name))).collect();
    let untold: Vec<_> = real.iter().filter(|name| !told.iter().any(|short| is_short_for(short, name))).collect();
    assert!(invented.is_empty(), "the README names what nothing reads: {invented:?}");
    assert!(untold.is_empty(), "the README says nothing of {untold:?}");
}

#[test]
fn the_template_sets_only_variables_that_are_read() {
    let real = variables();
    let template = read("template.yaml");
    let set: BTreeSet<&str> = template
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(name, _)| name)
        .filter(|name| is_variable(name))
        .collect();
    assert!(set.contains("BACKUP_NAME") && set.contains("DATABASE_SECRET"), "found: {set:?}");
    for name in set {
        assert!(real.contains(name), "the template sets {name}, which nothing reads");
    }
}

#[test]
fn the_task_has_the_variables_of_the_backup_function_and_no_others() {
    let template = read("template.yaml");
    let shared = template.split("\nGlobals:\n").nth(1).unwrap().split("\nResources:\n").next().unwrap();
    let function: BTreeSet<&str> = [shared, part_of(&template, "backup")]
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(name, _)| name)
        .filter(|name| is_variable(name))
        .collect();
    let template = read("infra/fargate.yaml");
    let task: BTreeSet<&str> = template
        .split("{ Name: ")
        .filter_map(|text| text.split_once(", Value: "))
        .map(|(name, _)| name)
        .filter(|name| is_variable(name))
        .collect();
    // Lambda sets the region itself, and only monitor asks for the greatest age.
    let difference: Vec<&&str> = function.symmetric_difference(&task).collect();
    assert_eq!(difference, [&"AWS_REGION", &"BACKUP_MAX_AGE_DAYS"]);
}

#[test]
fn the_readme_points_at_files_that_are_there() {
    let readme = read("README.md");
    let is_path = |text: &&str| {
        ["events/", "shared/", "tests/", "template.yaml", "samconfig.toml"].iter().any(|start| text.starts_with(start))
    };
    let paths: BTreeSet<&str> = readme
        .split(|c: char| c.is_whitespace() || "`()[]\"'".contains(c))
        .map(|text| text.trim_end_matches(['.', ',', ';', ':']))
        .filter(is_path)
        .collect();
    assert!(!paths.is_empty());
    for path in paths {
        assert!(root().join(path).exists(), "the README points at {path}");
    }
}

#[test]
fn no_file_of_ours_is_too_long_to_be_read() {
    let mut checked = 0;
    for folder in
        ["shared/src", "cli/src", "functions/backup/src", "functions/cleanup/src", "functions/monitor/src", "tests"]
    {
        for path in files(&root().join(folder), ".rs") {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= LONGEST_FILE, "{} has {lines} lines: is there a second room in it?", path.display());
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} files were found");
}
