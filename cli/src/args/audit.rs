//! What can be asked of the audit trail.

use clap::{Args as Group, Subcommand};
use nightvault_core::audit::Head;
use nightvault_core::operation::AuditRequest;

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Show the newest records, and whether the trail is whole.
    Show(AuditShow),
    /// Read every record and check that nothing was changed, taken away or put in; ends with 3 when something was.
    ///
    /// Records that were taken from the end leave no trace in the chain. `--head` tells: give it what a monitor's report, in
    /// a mail or the log, said was the last record.
    Verify(AuditVerify),
}

#[derive(Debug, Group)]
pub(crate) struct AuditShow {
    /// Only records of this operation, e.g. backup.
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// How many, the newest.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    last: usize,
    /// Only these disks; may be given several times.
    #[arg(long = "disk", value_name = "NAME", num_args = 1..)]
    disks: Vec<String>,
}

#[derive(Debug, Group)]
pub(crate) struct AuditVerify {
    /// A record that must be in the trail, by its number and SHA-256; may be given several times.
    #[arg(long = "head", value_name = "NUMBER:SHA256", value_parser = head)]
    heads: Vec<Head>,
    /// Only these disks; may be given several times.
    #[arg(long = "disk", value_name = "NAME", num_args = 1..)]
    disks: Vec<String>,
}

/// Reads `42:9f86d0…`.
fn head(text: &str) -> Result<Head, String> {
    let read = text.split_once(':').and_then(|(sequence, sha256)| {
        let sha256 = sha256.to_ascii_lowercase();
        let digest = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        digest.then_some(Head { sequence: sequence.parse().ok()?, sha256 })
    });
    read.ok_or_else(|| "it takes a number, a colon and 64 hexadecimal digits".to_owned())
}

impl Audit {
    pub(crate) fn request(&self) -> AuditRequest {
        match self {
            Audit::Show(show) => AuditRequest {
                disks: show.disks.clone(),
                operation: show.operation.clone(),
                last: show.last,
                heads: Vec::new(),
            },
            Audit::Verify(verify) => {
                AuditRequest { disks: verify.disks.clone(), heads: verify.heads.clone(), ..AuditRequest::default() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Args::try_parse_from(line.split_whitespace()).map(|args| args.command)
    }

    #[test]
    fn the_audit_trail_is_asked_for_as_a_whole_or_by_its_newest() {
        let Command::Audit(audit) = parse("nightvault audit show --operation backup --disk s3").unwrap() else {
            panic!("it is audit")
        };
        let disks = vec!["s3".to_owned()];
        assert_eq!(audit.request(), AuditRequest { disks, operation: Some("backup".into()), last: 20, heads: vec![] });
        let sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let line = format!("nightvault audit verify --head 42:{}", sha256.to_uppercase());
        let Command::Audit(audit) = parse(&line).unwrap() else { panic!("it is audit") };
        let heads = vec![Head { sequence: 42, sha256: sha256.into() }];
        assert_eq!(audit.request(), AuditRequest { heads, ..AuditRequest::default() });
        for wrong in ["42", "42:", "x:9f", "42:9f86", &format!("42:{}", "z".repeat(64))] {
            assert!(parse(&format!("nightvault audit verify --head {wrong}")).is_err(), "{wrong}");
        }
    }
}
