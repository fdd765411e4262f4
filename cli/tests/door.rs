//! The built command as an operator meets it: exit codes, streams, files of variables.

use std::path::Path;
use std::process::{Command, Output};

const STRONG: &str = "0123456789abcdefghijklmnopqrstuv";

/// Runs the command with these variables and no others.
fn nightvault(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightvault"));
    command.args(args).env_clear().envs(variables.iter().copied());
    command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Writes a file of variables and returns its path.
fn env_file(folder: &Path, text: &str) -> String {
    let path = folder.join("nightvault.env");
    std::fs::write(&path, text).expect("a temporary folder takes a file");
    path.display().to_string()
}

#[test]
fn wrong_variables_are_all_named_on_standard_error_with_exit_code_2() {
    let output = nightvault(&["config"], &[("BACKUP_WORKERS", "many"), ("BACKUP_VERIFY", "maybe")]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output), "");
    let text = stderr(&output);
    for word in ["error: ", "BACKUP_WORKERS", "BACKUP_VERIFY", "AWS_BUCKET", "BACKUP_ARCHIVE_PASSWORD", "hint: "] {
        assert!(text.contains(word), "{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours in a pipe: {text}");
    let coloured = stderr(&nightvault(&["config", "--color", "always"], &[]));
    assert!(coloured.starts_with("\u{1b}[1;31merror"), "{coloured}");
}

#[test]
fn a_failure_as_json_is_one_object_on_standard_output() {
    let output = nightvault(&["list", "--json"], &[]);
    assert_eq!(output.status.code(), Some(2));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["error_type"], "ConfigurationError");
    assert!(value["message"].as_str().unwrap().contains("AWS_BUCKET"));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_file_of_variables_adds_to_the_environment_and_never_overrules_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = env_file(
        folder.path(),
        "BACKUP_DISK=local\nBACKUP_LOCAL_PATH=/vault # a comment\nBACKUP_NAME=from-file\nAWS_ENDPOINT=  # empty\n\
         BACKUP_WORKERS=2\nDB_CONNECTION=pgsql\nDB_DATABASE=clinic\nDB_USERNAME=u\nDB_PASSWORD='canary@:/#?% é'\n\
         BACKUP_ARCHIVE_PASSWORD=\"canary-0123456789abcdefghijklmnop\"\n",
    );
    // An empty variable that is set stays set, and to us it is unset.
    let set = [("BACKUP_NAME", "from-environment"), ("BACKUP_WORKERS", "")];
    let output = nightvault(&["--env-file", &file, "config", "--json"], &set);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["name"], "from-environment");
    assert_eq!(value["disks"][0]["path"], "/vault");
    assert_eq!(value["databases"][0]["database"], "clinic");
    assert_eq!(value["databases"][0]["password"], "***");
    for output in [output, nightvault(&["--env-file", &file, "config"], &set)] {
        let text = stdout(&output) + &stderr(&output);
        assert!(text.contains("***") && !text.contains("canary"), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_quotes_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = env_file(folder.path(), "DB_PASSWORD=\"canary\nBACKUP_NAME=x\n");
    for path in [file.as_str(), "/nowhere/.env"] {
        let output = nightvault(&["config", "--env-file", path], &[]);
        assert_eq!(output.status.code(), Some(2));
        let text = stderr(&output);
        assert!(text.contains(path) && text.contains("hint: ") && !text.contains("canary"), "{text}");
    }
}

#[test]
fn what_is_odd_is_warned_of_and_quiet_is_quiet() {
    let variables = [
        ("BACKUP_DISK", "local"),
        ("BACKUP_LOCAL_PATH", "/vault"),
        ("BACKUP_KEEP_YEARLY_YEAR", "10"),
        ("BACKUP_ARCHIVE_PASSWORD", STRONG),
        ("DATABASE_URL", "sqlite:///srv/clinic.sqlite"),
    ];
    let output = nightvault(&["config"], &variables);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("did you mean BACKUP_KEEP_YEARLY_YEARS?"), "{}", stderr(&output));
    assert!(stdout(&output).contains("retention.keep_yearly_years"), "{}", stdout(&output));
    assert_eq!(stderr(&nightvault(&["-q", "config"], &variables)), "");
}

#[test]
fn a_run_needs_a_password_and_a_monitor_does_not_ask_for_one() {
    let variables = [("BACKUP_DISK", "local"), ("BACKUP_LOCAL_PATH", "/vault"), ("DATABASE_URL", "sqlite:///a.db")];
    let output = nightvault(&["run"], &variables);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("BACKUP_ARCHIVE_PASSWORD is not set"), "{}", stderr(&output));
    let output = nightvault(&["config", "--without-backup"], &variables[..2]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn a_variable_of_ours_that_is_no_text_is_named() {
    use std::os::unix::ffi::OsStrExt;
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightvault"));
    command.arg("config").env_clear().env("DB_PASSWORD", std::ffi::OsStr::from_bytes(b"canary\xff"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("DB_PASSWORD is no UTF-8") && !stderr(&output).contains("canary"));
}

#[test]
fn usage_errors_exit_with_2_and_completions_with_0() {
    assert_eq!(nightvault(&["destroy"], &[]).status.code(), Some(2));
    let output = nightvault(&["completions", "zsh"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("_nightvault"));
}
