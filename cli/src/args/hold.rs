//! What hold and release take.

use clap::Args as Group;
use nightvault_core::operation::Wanted;

#[derive(Debug, Group)]
pub(crate) struct Hold {
    #[command(flatten)]
    which: Everywhere,
    /// Why; shown by `list` and `show`, and no secret.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

#[derive(Debug, Group)]
pub(crate) struct Release {
    #[command(flatten)]
    which: Everywhere,
}

/// One backup, on every disk that has it.
#[derive(Debug, Group)]
struct Everywhere {
    /// Which: `latest`, a key as `list` shows it, or the beginning of a date such as 2024-01-15.
    backup: String,
    /// Only on these disks; may be given several times [default: every disk that has it].
    #[arg(long = "disk", value_name = "NAME")]
    disks: Vec<String>,
}

impl Everywhere {
    fn wanted(&self) -> Wanted {
        Wanted { backup: self.backup.as_str().into(), disks: self.disks.clone() }
    }
}

impl Hold {
    pub(crate) fn wanted(&self) -> Wanted {
        self.which.wanted()
    }
}

impl Release {
    pub(crate) fn wanted(&self) -> Wanted {
        self.which.wanted()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use nightvault_core::catalog::Selector;
    use nightvault_core::operation::Wanted;

    use crate::args::{Args, Command};

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn hold_needs_a_reason_and_release_needs_none() {
        let Command::Hold(hold) = parse("nightvault hold 2024-01 --reason audit --disk s3").unwrap().command else {
            panic!("it is hold")
        };
        assert_eq!(hold.wanted(), Wanted { backup: Selector::Named("2024-01".into()), disks: vec!["s3".into()] });
        assert_eq!(hold.reason, "audit");
        let Command::Release(release) = parse("nightvault release latest").unwrap().command else {
            panic!("it is release")
        };
        assert_eq!(release.wanted(), Wanted { backup: Selector::Latest, disks: vec![] });
        for line in ["nightvault hold latest", "nightvault hold --reason x", "nightvault release"] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
