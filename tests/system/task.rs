//! The container of infra/fargate.yaml: the built command line with the command and the variables that the template gives it,
//! and nothing else but what ECS and the image set. Its credentials come from where ECS hands them out.
//!
//! Not played here: the image itself, its user and its read-only root. `AWS_ENDPOINT…` say where S3 and the rest are played.

use std::path::{Path, PathBuf};
use std::process::Command;

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::policies::template::Stack;
use crate::support::aws::{self, Hook};
use crate::support::nightvault::{Said, said};
use crate::support::{given, postgres, program, s3};

const PASSWORD: &str = "Archive0123456789Archive0123456789";
const IMAGE: &str = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/nightvault:1";

/// What the template says of the container, and what stands for what it makes: the bucket and the archive password.
struct Container {
    command: Vec<String>,
    /// What the schedule puts in the command's place, for this scheduled time.
    scheduled: Vec<String>,
    variables: Vec<(String, String)>,
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

impl Container {
    fn of(parameters: &[(&str, Value)], bucket: &str, password: &str, scheduled_time: &str) -> Self {
        let image = [("TaskImageUri", json!(IMAGE))];
        let task = Stack::open("template.yaml", &[&image[..], parameters].concat()).nested("Fargate");
        let container = task.properties("Task")["ContainerDefinitions"][0].clone();
        let made = [("arn:here:Vault.Outputs.Bucket", bucket), ("arn:here:ArchivePassword", password)];
        let variables = container["Environment"].as_array().unwrap().iter().map(|variable| {
            let value = match &variable["Value"] {
                Value::String(text) => {
                    made.iter().find(|(name, _)| text == name).map_or(text.as_str(), |(_, it)| it).to_owned()
                }
                number => number.to_string(),
            };
            assert!(!value.contains("arn:here:"), "{variable} is not known here");
            (variable["Name"].as_str().unwrap().to_owned(), value)
        });
        let input = task.properties("EveryNight")["Target"]["Input"].as_str().unwrap().to_owned();
        let input = input.replace("<aws.scheduler.scheduled-time>", scheduled_time);
        let overrides: Value = serde_json::from_str(&input).unwrap();
        assert_eq!(overrides["containerOverrides"][0]["name"], container["Name"]);
        Self {
            command: texts(&container["Command"]),
            scheduled: texts(&overrides["containerOverrides"][0]["command"]),
            variables: variables.collect(),
        }
    }

    /// The program with these variables and no others.
    fn program(&self) -> Command {
        let mut command = Command::new(Path::new(&given("TEST_BIN_DIR")).join("nightvault"));
        command.env_clear().current_dir("/").env("HOME", "/home/nonroot").envs(self.variables.iter().cloned());
        command
    }

    /// The same where ECS runs it: it hands out the role's credentials at an address of its own.
    fn on_ecs(&self, arguments: &[String], credentials: &str) -> Said {
        let mut command = self.program();
        command
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", credentials)
            .env("AWS_ENDPOINT_URL", aws::endpoint())
            .env("AWS_ENDPOINT", given("TEST_S3_ENDPOINT"))
            .env("AWS_USE_PATH_STYLE_ENDPOINT", "true");
        said(program::run(command.args(arguments)))
    }
}

/// Hands out credentials as ECS does for a task's role; returns the address.
async fn credentials() -> String {
    let answer = json!({
        "RoleArn": "arn:aws:iam::111111111111:role/task", "AccessKeyId": s3::KEY_ID, "SecretAccessKey": s3::SECRET,
        "Token": "token", "Expiration": "2999-01-01T00:00:00Z",
    });
    let routes = Router::new().route("/v2/credentials/task", get(move || std::future::ready(answer.to_string())));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v2/credentials/task", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_container_makes_the_backup_that_the_stacks_parameters_describe() {
    let bucket = s3::bucket().await;
    let database = postgres::Scratch::of("clinic.sql");
    let described = json!({
        "engine": "postgres", "host": "127.0.0.1", "port": postgres::port(), "username": "postgres",
        "password": "trusted", "dbname": database.name,
    });
    let hook = Hook::start([]).await;
    let (recipient, sender) = (format!("{}@task.example", database.name), "night@task.example");
    for address in [recipient.as_str(), sender] {
        aws::verify_identity(address).await;
    }
    let secret = async |what: &str, value: &str| aws::secret(&format!("{}-{what}", database.name), value).await;
    let password = secret("password", PASSWORD).await;
    let parameters = [
        ("BackupName", json!("ward")),
        ("DatabaseSecretArns", json!([secret("database", &described.to_string()).await])),
        ("ScheduleTimezone", json!("Europe/Berlin")),
        ("NotificationEmail", json!(recipient)),
        ("MailFrom", json!(sender)),
        ("SlackWebhookSecretArn", json!(secret("webhook", &hook.url).await)),
        ("SuccessNotifications", json!("mail,slack")),
    ];
    let container = Container::of(&parameters, &bucket.name, &password, "2024-01-15T02:00:00Z");
    let role = credentials().await;

    let done = container.on_ecs(&container.scheduled, &role);
    assert_eq!(done.code, 0, "{done:?}");
    let archive = stored(&bucket, "2024-01-15-03-00-00");
    assert!(archive.exists(), "{done:?}");
    assert_opens(&archive, &database);
    assert!(done.stderr.lines().any(|line| line.contains("\"BackupSuccess\"")), "{done:?}");
    assert_eq!((aws::mails_to(&recipient).await.len(), hook.payloads().len()), (1, 1));

    // Its event came twice: the same backup, and no second one. By hand it is one of now.
    let again = container.on_ecs(&container.scheduled, &role);
    assert_eq!((again.code, count(&bucket)), (0, 1), "{again:?}");
    let by_hand = container.on_ecs(&container.command, &role);
    assert_eq!((by_hand.code, count(&bucket)), (0, 2), "{by_hand:?}");
    bucket.remove().await;
}

/// Where the S3 server keeps the archive of a moment.
fn stored(bucket: &s3::Bucket, moment: &str) -> PathBuf {
    Path::new(&given("TEST_S3_ROOT")).join(&bucket.name).join(format!("ward/{moment}.zip"))
}

/// How many archives there are.
fn count(bucket: &s3::Bucket) -> usize {
    let folder = stored(bucket, "any").parent().unwrap().to_owned();
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "zip")).count()
}

fn assert_opens(archive: &Path, database: &postgres::Scratch) {
    let folder = TempDir::with_prefix("nightvault-task-").unwrap();
    let mut seven = Command::new("7z");
    seven.arg("x").arg(format!("-p{PASSWORD}")).arg(format!("-o{}", folder.path().display())).arg(archive);
    program::stdout(&mut seven);
    let dump = std::fs::read_to_string(folder.path().join(format!("db-dumps/{}.sql", database.name))).unwrap();
    database.assert_same_as(&database.restored(&dump));
}

/// Every parameter at a value that is not the program's default.
fn unusual() -> Container {
    let parameters = [
        ("BackupName", json!("ward")),
        ("DatabaseSecretArns", json!(["arn:aws:secretsmanager:eu-central-1:111111111111:secret:a"])),
        ("DatabaseIamUserArns", json!(["arn:aws:rds-db:eu-central-1:111111111111:dbuser:cluster/backup"])),
        ("ScheduleTimezone", json!("Europe/Berlin")),
        ("ObjectLock", json!("GOVERNANCE")),
        ("KeepAllDays", json!(11)),
        ("KeepDailyDays", json!(12)),
        ("KeepWeeklyWeeks", json!(13)),
        ("KeepMonthlyMonths", json!(14)),
        ("KeepYearlyYears", json!(15)),
        ("NotificationEmail", json!("admin@example.com")),
        ("MailFrom", json!("night@example.com")),
        ("SlackWebhookSecretArn", json!("arn:aws:secretsmanager:eu-central-1:111111111111:secret:slack")),
        ("SuccessNotifications", json!("mail,slack")),
    ];
    let password = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:password";
    Container::of(&parameters, "the-vault", password, "2024-01-15T02:00:00Z")
}

fn configuration(container: &Container) -> Said {
    said(program::run(container.program().args(["--json", "config"])))
}

#[test]
fn each_parameter_of_the_stack_arrives_where_it_belongs() {
    let said = configuration(&unusual());
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    let config = said.json();
    assert_eq!((&config["name"], &config["timezone"]), (&json!("ward"), &json!("Europe/Berlin")));
    assert_eq!((&config["metrics"], &config["aws_region"]), (&json!("emf"), &json!("eu-central-1")));
    let disks = config["disks"].as_array().unwrap();
    assert!(disks.len() == 1 && disks[0].to_string().contains("the-vault"), "{config}");
    let retention = json!({
        "keep_all_days": 11, "keep_daily_days": 12, "keep_weekly_weeks": 13, "keep_monthly_months": 14,
        "keep_yearly_years": 15, "delete_oldest_over_mb": null, "object_lock": "governance", "delete_versions": false,
    });
    assert_eq!(config["retention"].to_string().to_lowercase(), retention.to_string(), "{config}");
    let told = &config["notifications"];
    assert_eq!((&told["mail_to"], &told["mail_from"]), (&json!(["admin@example.com"]), &json!("night@example.com")));
    assert_eq!(told["success"], json!(["mail", "slack"]));
    assert!(told["slack_webhook"].to_string().contains("secret:slack"), "{config}");
    assert!(config["archive_password"].to_string().contains("secret:password"), "{config}");
    assert!(config["databases"].to_string().contains("secret:a"), "{config}");
}

#[test]
fn a_variable_of_the_container_that_is_misspelt_is_noticed() {
    let right = unusual();
    let said = configuration(&right);
    assert!(right.variables.len() > 15, "{:?}", right.variables);
    for at in 0..right.variables.len() {
        let mut wrong = unusual();
        wrong.variables[at].0.push('X');
        let name = &wrong.variables[at].0;
        assert_ne!(configuration(&wrong).all(), said.all(), "nothing notices {name}");
    }
}
