//! Completions for shells, made from the declaration of the arguments.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;

/// The script that a shell loads.
pub(crate) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "nightvault", &mut script);
    String::from_utf8(script).expect("the names of our arguments are UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            assert!(script(shell).contains("monitor"), "{shell}");
        }
    }
}
