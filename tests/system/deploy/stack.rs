//! `sam build` once, with the programs that are built already, and `sam deploy` of the whole stack as often as there are
//! tests, with the settings of samconfig.toml's `dev`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use super::cloud::{self, Cloud};
use crate::support::program;

/// A deployed stack: the names of what it made.
pub(super) struct Stack {
    pub(super) bucket: String,
    /// The ARN of the secret that opens the archives.
    pub(super) password: String,
    pub(super) backup: Function,
    pub(super) cleanup: Function,
    pub(super) monitor: Function,
    pub(super) failed_queue: String,
}

/// A deployed function.
pub(super) struct Function {
    pub(super) name: String,
    /// Its log group.
    pub(super) logs: String,
}

impl Stack {
    /// Deploys into this account. The schedules are off, so that nothing fires that the test did not ask for.
    ///
    /// `Alarms=false`: the emulator refuses metric math. `ReserveConcurrency` is as in production, not as in `dev`.
    pub(super) fn deploy(cloud: &Cloud, parameters: &[(&str, &str)]) -> Self {
        let mut sam = cloud.command("sam");
        sam.args(["deploy", "--template-file"]).arg(built(cloud).join("template.yaml"));
        sam.arg("--config-file").arg(project().join("samconfig.toml")).args(["--config-env", "dev"]);
        sam.args([
            "--stack-name",
            &cloud.stack(),
            "--parameter-overrides",
            "Alarms=false",
            "ScheduleState=DISABLED",
            "ReserveConcurrency=true",
        ]);
        sam.args(parameters.iter().map(|(name, value)| format!("{name}={value}")));
        // It asks each five seconds whether the stack is there.
        sam.env("SAM_CLI_POLL_DELAY", "1").current_dir(cloud::root());
        program::stdout(&mut sam);

        let answer = cloud.aws(&["cloudformation", "describe-stacks", "--stack-name", &cloud.stack()]);
        assert_eq!(answer["Stacks"][0]["StackStatus"], "CREATE_COMPLETE", "{answer}");
        let outputs = answer["Stacks"][0]["Outputs"].as_array().unwrap();
        let output = |name: &str| -> String {
            let found = outputs.iter().find(|output| output["OutputKey"] == name);
            found.unwrap_or_else(|| panic!("no output {name}"))["OutputValue"].as_str().unwrap().to_owned()
        };
        let function = |name: &str| {
            let name = output(name);
            let settings = cloud.aws(&["lambda", "get-function-configuration", "--function-name", &name]);
            let role = settings["Role"].as_str().unwrap().rsplit('/').next().unwrap();
            let mail = [
                &["iam", "put-role-policy", "--policy-name", "mail", "--role-name", role, "--policy-document"],
                &[MAIL][..],
            ];
            cloud.aws(&mail.concat());
            Function { name, logs: settings["LoggingConfig"]["LogGroup"].as_str().unwrap().to_owned() }
        };
        Self {
            bucket: output("VaultBucket"),
            password: output("ArchivePasswordSecret"),
            backup: function("BackupFunction"),
            cleanup: function("CleanupFunction"),
            monitor: function("MonitorFunction"),
            failed_queue: output("FailedQueue"),
        }
    }

    /// What the function of this operation logged as the outcome of each of its runs.
    pub(super) async fn outcomes(&self, cloud: &Cloud, operation: &str) -> Vec<Value> {
        let function = match operation {
            "backup" => &self.backup,
            "cleanup" => &self.cleanup,
            "monitor" => &self.monitor,
            other => panic!("there is no function {other}"),
        };
        let lines = cloud.logged(&function.logs).await.into_iter();
        lines.filter(|line| line["operation"] == operation && !line["outcome"].is_null()).collect()
    }
}

/// What the emulator asks for where SES asks for what template.yaml gives; and what it takes for a put without a
/// condition, since it knows no `s3:if-none-match`, which template.yaml asks of those who add to the audit trail.
const MAIL: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "ses:SendEmail", "Resource": "*"},
    {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::*/audit/*.json"}]}"#;

/// The folder of the project.
pub(super) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folder of what `sam build` made: SAM's own workflow, with a `cargo-lambda` that takes what is built already.
fn built(cloud: &Cloud) -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = cloud::root().join(format!("build-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut path = project().join("tests/setup/shims").into_os_string();
        path.push(":");
        path.push(crate::support::given("PATH"));
        let mut sam = cloud.command("sam");
        sam.args(["build", "--template"]).arg(project().join("template.yaml")).arg("--base-dir").arg(project());
        sam.arg("--config-file").arg(project().join("samconfig.toml")).arg("--build-dir").arg(folder.join("stack"));
        sam.env("PATH", path).env("CARGO_TARGET_DIR", folder.join("target")).current_dir(&folder);
        program::stdout(&mut sam);
        folder.join("stack")
    })
}
