//! What can be asked for on the command line, and how it becomes an event of the core.

use std::path::PathBuf;

use clap::{ArgAction, Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use jiff::Timestamp;
use nightvault_core::config::{self, DatabaseTls};
use nightvault_core::operation::{Event, Only, RestoreRequest};
use nightvault_core::secret::Secret;
use nightvault_core::{Error, Result};

const AFTER_HELP: &str = "\
Exit codes:
  0  done; for monitor: healthy
  1  failed, or unhealthy
  2  wrong usage or configuration; only where one disk of several is configured wrongly, the others were written
  3  an archive is corrupt, or the password does not open it
  4  something that was found cannot be dumped faithfully, and was refused
  130  ended at once by a second Ctrl-C; the first one ends a run in order, with its upload aborted (1)

The configuration comes from environment variables; `nightvault config` shows what they come to.";

/// Encrypted backups of databases and files: made, listed, thinned out, watched.
#[derive(Debug, Parser)]
#[command(name = "nightvault", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Group)]
pub(crate) struct Global {
    /// Print the report as JSON, failures too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Read variables from a file like Laravel's .env; variables that are set already, even empty ones, stay as they are.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// No progress, no warnings: the report and errors alone.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log more to standard error: -v what is done, -vv details, -vvv everything.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Colours: auto is off when the output is no terminal or NO_COLOR is set.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a backup now: dump, encrypt, store on every disk, read it back.
    Run(Run),
    /// List the backups of every disk.
    List(List),
    /// Delete what the retention policy no longer keeps.
    Cleanup(Cleanup),
    /// Take a database out of a backup into an empty one.
    Restore(Restore),
    /// Check that backups are reachable, recent, readable and within limits.
    Monitor(Monitor),
    /// Show the resolved configuration, secrets as ***; name every wrong variable.
    Config(Config),
    /// Make a small clinic, back it up, take it back and compare: no service, no account, nothing to set up.
    Demo(Demo),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Group)]
pub(crate) struct Run {
    /// Only the databases, or only the files.
    #[arg(long, value_name = "HALF")]
    only: Option<Half>,
    /// Only databases of these names; may be given several times.
    #[arg(long = "database", value_name = "NAME", num_args = 1.., conflicts_with = "only")]
    databases: Vec<String>,
    /// Only these disks; may be given several times.
    #[arg(long = "disk", value_name = "NAME", num_args = 1..)]
    disks: Vec<String>,
    /// Reach every source and disk, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Tell nobody.
    #[arg(long)]
    no_notify: bool,
    /// The time that names the backup, e.g. 2024-01-15T02:00:00Z; a second run for the same time does nothing.
    #[arg(long, value_name = "TIME")]
    scheduled_time: Option<Timestamp>,
}

#[derive(Debug, Group)]
pub(crate) struct List {
    /// Only these disks; may be given several times.
    #[arg(long = "disk", value_name = "NAME", num_args = 1..)]
    disks: Vec<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Cleanup {
    /// Show the plan, delete nothing.
    #[arg(long)]
    dry_run: bool,
    /// Plan as of another moment, e.g. 2025-01-01T00:00:00Z; deletes nothing.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Only these disks; may be given several times.
    #[arg(long = "disk", value_name = "NAME", num_args = 1..)]
    disks: Vec<String>,
    /// Tell nobody.
    #[arg(long)]
    no_notify: bool,
}

#[derive(Group)]
pub(crate) struct Restore {
    /// The backup: latest, a key as `list` shows it, or a date such as 2024-01-15.
    backup: String,
    /// The database that takes it, empty and no source of backups: postgres://user@host/database. A password in it is
    /// seen by whoever lists processes; --to-password-env is not.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The variable that holds the password of --to, in any characters.
    #[arg(long, value_name = "VARIABLE")]
    to_password_env: Option<String>,
    /// Which database of the backup, where it holds more than one.
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Only this disk.
    #[arg(long, value_name = "NAME")]
    disk: Option<String>,
    /// Read and check every byte, look at the target, execute nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Monitor {
    /// Only these disks; may be given several times.
    #[arg(long = "disk", value_name = "NAME", num_args = 1..)]
    disks: Vec<String>,
    /// Tell nobody.
    #[arg(long)]
    no_notify: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Config {
    /// Do not ask for what only `run` needs: an archive password and something to back up.
    #[arg(long)]
    pub(crate) without_backup: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Demo {
    /// Where to make everything; must be empty or not there yet [default: a new folder for temporary files].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
}

/// Half of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Half {
    Databases,
    Files,
}

/// Absent means yes, as in the events of the functions.
fn notify(no_notify: bool) -> Option<bool> {
    no_notify.then_some(false)
}

impl Run {
    pub(crate) fn event(&self) -> Event {
        Event {
            only: self.only.map(|half| match half {
                Half::Databases => Only::Databases,
                Half::Files => Only::Files,
            }),
            databases: self.databases.clone(),
            disks: self.disks.clone(),
            dry_run: self.dry_run,
            notify: notify(self.no_notify),
            scheduled_time: self.scheduled_time,
            at: None,
        }
    }
}

impl List {
    pub(crate) fn event(&self) -> Event {
        Event { disks: self.disks.clone(), ..Event::default() }
    }
}

impl Cleanup {
    pub(crate) fn event(&self) -> Event {
        Event {
            disks: self.disks.clone(),
            dry_run: self.dry_run || self.at.is_some(),
            notify: notify(self.no_notify),
            at: self.at,
            ..Event::default()
        }
    }
}

/// Without the address, in which a password may stand.
impl std::fmt::Debug for Restore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restore").field("backup", &self.backup).finish_non_exhaustive()
    }
}

impl Restore {
    /// What is asked for; `lookup` gives the variables.
    pub(crate) fn request(&self, tls: &DatabaseTls, lookup: config::Lookup<'_>) -> Result<RestoreRequest> {
        let password = match &self.to_password_env {
            None => None,
            Some(name) => Some(Secret::new(lookup(name).ok_or_else(|| {
                Error::configuration(format!("the variable {name:?}, which --to-password-env names, is not set"))
            })?)),
        };
        Ok(RestoreRequest {
            backup: self.backup.clone(),
            disk: self.disk.clone(),
            to: Some(config::parse_database_url("--to", &self.to, tls, password)?),
            database: self.database.clone(),
            files: None,
            dry_run: self.dry_run,
        })
    }
}

impl Monitor {
    pub(crate) fn event(&self) -> Event {
        Event { disks: self.disks.clone(), notify: notify(self.no_notify), ..Event::default() }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_declaration_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn run_becomes_its_event() {
        let args = parse(
            "nightvault run --only files --disk s3 nas --disk local --dry-run --no-notify \
             --scheduled-time 2024-01-15T02:00:00Z --json",
        )
        .unwrap();
        assert!(args.global.json);
        let Command::Run(run) = args.command else { panic!("it is run") };
        let event = run.event();
        assert_eq!(event.only, Some(Only::Files));
        assert_eq!(event.disks, ["s3", "nas", "local"]);
        assert_eq!((event.dry_run, event.notify, event.at), (true, Some(false), None));
        assert_eq!(event.scheduled_time.unwrap().to_string(), "2024-01-15T02:00:00Z");
    }

    #[test]
    fn a_bare_command_is_the_event_of_a_schedule() {
        let Command::Run(run) = parse("nightvault run").unwrap().command else { panic!("it is run") };
        assert_eq!(run.event(), Event::default());
        let Command::Cleanup(cleanup) = parse("nightvault cleanup").unwrap().command else { panic!("it is cleanup") };
        assert_eq!(cleanup.event(), Event::default());
    }

    #[test]
    fn a_plan_for_another_moment_never_deletes() {
        let line = "nightvault cleanup --at 2030-01-01T00:00:00Z";
        let Command::Cleanup(cleanup) = parse(line).unwrap().command else { panic!("it is cleanup") };
        assert!(cleanup.event().dry_run);
        assert_eq!(cleanup.event().at.unwrap().to_string(), "2030-01-01T00:00:00Z");
    }

    #[test]
    fn wrong_usage_is_told_and_ends_with_2() {
        for line in [
            "nightvault",
            "nightvault destroy",
            "nightvault run --only tables",
            "nightvault run --only files --database a",
            "nightvault cleanup --at yesterday",
            "nightvault -q -v list",
            "nightvault run --dryrun",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("nightvault --help").unwrap_err().exit_code(), 0);
    }

    #[test]
    fn the_help_says_the_exit_codes() {
        let help = Args::command().render_long_help().to_string();
        for line in ["0  done", "1  failed", "2  wrong usage", "3  an archive", "4  something"] {
            assert!(help.contains(line), "{help}");
        }
    }
}
