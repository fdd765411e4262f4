//! What can be asked for on the command line, and how it becomes an event of the core.

mod audit;
mod drill;
mod hold;
mod restore;
mod tenants;

use std::path::PathBuf;

use clap::{ArgAction, Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use jiff::Timestamp;
use nightvault_core::catalog::Selector;
use nightvault_core::config::Share;
use nightvault_core::operation::{Event, Extraction, Only, Wanted};

pub(crate) use audit::Audit;
pub(crate) use drill::Drill;
pub(crate) use hold::{Hold, Release};
pub(crate) use restore::Restore;
use restore::password_of;
pub(crate) use tenants::Tenants;

const AFTER_HELP: &str = "\
Exit codes:
  0  done; for monitor: healthy
  1  failed, or unhealthy
  2  wrong usage or configuration; only where one disk of several is configured wrongly, the others were written
  3  an archive is corrupt, or the password does not open it, or the audit trail is broken; the message says which
  4  something that was found cannot be dumped faithfully, and was refused; for extract: left out
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
    /// Read every byte of backups and check it; note beside each what was found.
    ///
    /// Every authentication code and digest, each table's rows counted anew, and each bit of the zip around them. What was found is shown by `list` and
    /// heeded by `cleanup`: it never deletes the newest backup that was verified whole, and nothing while the newest of
    /// which anything is known is damaged. Ends with 3 for damage or a wrong password, and says which.
    ///
    /// An archive of spatie/laravel-backup or another program has no manifest: it is called readable at best, and ends with 1
    /// when a dump in it looks cut off.
    Verify(Verify),
    /// Show what is inside a backup: databases, tables, rows, file sets, warnings. Reads its end alone.
    Show(Show),
    /// Take databases' dumps and files out of a backup into a folder.
    ///
    /// A file appears when it was read to its end and authenticated; nothing is ever overwritten. Modes (without
    /// set-user-id) and times are given back. Links that could lead out of the folder are left out, which ends with 4.
    Extract(Extract),
    /// Delete what the retention policy no longer keeps.
    Cleanup(Cleanup),
    /// Take a database out of a backup into an empty one, its files into an empty folder, or one tenant's rows into the live
    /// one.
    ///
    /// Nothing is executed before every byte of the dump was authenticated. Files lie hidden beside their place until all of
    /// them are whole; with a database they get their names when it is restored, so that a failure leaves neither.
    Restore(Restore),
    /// Prove that a backup comes back: restore it into a scratch database, compare, drop it.
    ///
    /// The scratch database is made under a name of its own (`nightvault_drill_…`) on the server of --to, or on one that is
    /// started from binaries that are installed here; SQLite needs neither. It is dumped again, and rows, text and the number of
    /// objects are compared with the backup's manifest. Whatever happens, what was made is removed. `monitor` tells the last
    /// proven restore. Ends with 3 when the restored database is not what the manifest says.
    Drill(Drill),
    /// Say what each table is to a tenant, so that one tenant can be restored.
    #[command(subcommand)]
    Tenants(Tenants),
    /// Keep a backup from being deleted until `release`, whatever the retention policy says.
    ///
    /// On every disk that has it. Where the bucket has Object Lock it is a legal hold, and nobody can delete the backup;
    /// elsewhere it is a mark beside the backup (a tag, a hidden file) that cleanup heeds, and nobody else. The report says
    /// which.
    Hold(Hold),
    /// End the hold on a backup; a lock stays until its date.
    Release(Release),
    /// Check that backups are reachable, recent, readable and within limits.
    Monitor(Monitor),
    /// Show or check the audit trail: one record per operation, each with the digest of the one before.
    #[command(subcommand)]
    Audit(Audit),
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
pub(crate) struct Verify {
    /// Which: `latest`, a key as `list` shows it, the beginning of a date such as 2024-01-15, or the path of a file that
    /// begins with / or ./
    #[arg(default_value = "latest", conflicts_with = "all")]
    backup: String,
    /// Every backup, the newest first; damage does not end it.
    #[arg(long)]
    all: bool,
    /// Only this share of each, e.g. 5%, from where its last slice ended; as many slices as make 100 % read every piece.
    #[arg(long, value_name = "SHARE")]
    pub(crate) sample: Option<Share>,
    /// Only these disks; may be given several times.
    #[arg(long = "disk", value_name = "NAME")]
    pub(crate) disks: Vec<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Show {
    #[command(flatten)]
    which: Which,
}

/// One backup.
#[derive(Debug, Group)]
struct Which {
    /// Which: `latest`, a key as `list` shows it, the beginning of a date such as 2024-01-15, or the path of a file that
    /// begins with / or ./
    backup: String,
    /// Only on these disks; may be given several times [default: the first disk that has it].
    #[arg(long = "disk", value_name = "NAME")]
    disks: Vec<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Extract {
    #[command(flatten)]
    which: Which,
    /// Globs on the entries' names, e.g. 'files/docs/2024/**' or '**/*.sql'; of what is named, only what matches one.
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// The folder; made when it is not there.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Only the dump of this database; may be given several times.
    #[arg(long = "database", value_name = "NAME")]
    databases: Vec<String>,
    /// Only this file set; may be given several times.
    #[arg(long = "files", value_name = "SET")]
    files: Vec<String>,
    /// Of an archive of another program: decompress each dump that gzip compressed, beside itself.
    #[arg(long)]
    gunzip: bool,
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

impl Verify {
    pub(crate) fn selector(&self) -> Selector {
        if self.all { Selector::All } else { self.backup.as_str().into() }
    }
}

impl Which {
    fn wanted(&self) -> Wanted {
        Wanted { backup: self.backup.as_str().into(), disks: self.disks.clone() }
    }
}

impl Show {
    pub(crate) fn wanted(&self) -> Wanted {
        self.which.wanted()
    }
}

impl Extract {
    pub(crate) fn extraction(&self) -> Extraction {
        Extraction {
            of: self.which.wanted(),
            to: self.to.clone(),
            databases: self.databases.clone(),
            files: self.files.clone(),
            patterns: self.patterns.clone(),
            gunzip: self.gunzip,
        }
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

impl Monitor {
    pub(crate) fn event(&self) -> Event {
        Event { disks: self.disks.clone(), notify: notify(self.no_notify), ..Event::default() }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use nightvault_core::config::DatabaseDefaults;
    use nightvault_core::operation::TableRequest;

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
    fn verify_show_and_extract_become_what_they_ask_for() {
        let Command::Verify(verify) = parse("nightvault verify").unwrap().command else { panic!("it is verify") };
        assert_eq!(verify.selector(), Selector::Latest);
        let Command::Verify(verify) = parse("nightvault verify --all --disk nas").unwrap().command else {
            panic!("it is verify")
        };
        assert_eq!((verify.selector(), verify.disks), (Selector::All, vec!["nas".to_owned()]));
        let Command::Verify(verify) = parse("nightvault verify --sample 2.5%").unwrap().command else {
            panic!("it is verify")
        };
        assert_eq!((verify.selector(), verify.sample), (Selector::Latest, Some("2.5%".parse().unwrap())));
        let Command::Show(show) = parse("nightvault show 2024-01-15 --disk s3").unwrap().command else {
            panic!("it is show")
        };
        assert_eq!(show.wanted(), Wanted { backup: Selector::Named("2024-01-15".into()), disks: vec!["s3".into()] });
        let line = "nightvault extract latest --to out --database crm --files docs files/docs/** **/*.sql";
        let Command::Extract(extract) = parse(line).unwrap().command else { panic!("it is extract") };
        let asked = extract.extraction();
        assert_eq!((asked.of.backup, asked.to), (Selector::Latest, PathBuf::from("out")));
        assert_eq!((asked.databases, asked.files), (vec!["crm".to_owned()], vec!["docs".to_owned()]));
        assert_eq!(asked.patterns, ["files/docs/**", "**/*.sql"]);
    }

    #[test]
    fn restore_becomes_what_it_asks_for() {
        let request = |line: &str| {
            let Command::Restore(restore) = parse(line).unwrap().command else { panic!("it is restore") };
            restore.request(&DatabaseDefaults::default(), &|_| None).unwrap()
        };
        let whole = request("nightvault restore latest --to postgres://u@127.0.0.1/d");
        assert_eq!((whole.jobs, whole.table, whole.dry_run), (1, None, false));
        let line =
            "nightvault restore latest --to postgres://u@127.0.0.1/d --jobs 4 --table a --table s.b --with-parents";
        let wanted = TableRequest { tables: vec!["a".into(), "s.b".into()], with_parents: true, rename: None };
        let asked = request(line);
        assert_eq!((asked.jobs, asked.table), (4, Some(wanted)));
        let asked = request("nightvault restore latest --to postgres://u@127.0.0.1/d --table a --as b");
        assert_eq!(asked.table.unwrap().rename.as_deref(), Some("b"));
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
            "nightvault verify latest --all",
            "nightvault verify --sample 0%",
            "nightvault verify --sample 101%",
            "nightvault drill --own-server --to postgres://u@h/d",
            "nightvault drill --to-password-env X",
            "nightvault show",
            "nightvault extract latest",
            "nightvault extract --to out",
            "nightvault restore latest --to x --with-parents",
            "nightvault restore latest --to x --as y",
            "nightvault restore latest --to x --jobs many",
            "nightvault restore latest --files out --table users",
            "nightvault restore latest --files out --jobs 4",
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
