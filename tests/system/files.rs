//! File sets that need more than one process or many files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::program;

/// Whether this process is bound by file permissions. Root is not: then the test `name` runs once more in a process
/// without root's capabilities, must pass there, and has nothing to do here.
pub(crate) fn without_root_rights(name: &str) -> bool {
    let probe = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(probe.path(), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(probe.path()).is_err() {
        return true;
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(std::env::current_exe().unwrap());
    let said = program::stdout(command.args(["--exact", name, "--test-threads=1"]));
    assert!(said.contains("1 passed"), "{name} did not run: {said}");
    false
}
