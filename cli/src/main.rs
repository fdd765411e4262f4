//! The operator's door: arguments and variables in, one call into the core, a report out.
//!
//! Nothing is decided here. Reports go to standard output (as JSON with `--json`), everything else to standard error.

mod args;
mod completions;
mod demo;
mod door;
mod output;
mod progress;
mod variables;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use door::Door;
use nightvault_core::{Class, Error};

fn main() -> ExitCode {
    let args = Args::parse();
    let output = output::Output::new(args.global.json, args.global.color);
    ExitCode::from(run(&args, &output).unwrap_or_else(|error| output.error(&error, None)))
}

/// Runs the command and returns its exit code.
fn run(args: &Args, output: &output::Output) -> Result<u8, Error> {
    if let Command::Completions { shell } = args.command {
        return Ok(output.text(&completions::script(shell)));
    }
    // Before any thread is started: the variables of the process are set here, and the AWS SDK reads them too.
    if let Some(file) = &args.global.env_file {
        variables::load_file(file)?;
    }
    let progress = progress::Bar::new(args.global.quiet || args.global.json);
    progress::log(&progress, args.global.verbose, args.global.quiet);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Class::Transient, "cannot start the threads of this program").because(error))?;
    let door = Door { output, progress, quiet: args.global.quiet };
    let code = runtime.block_on(door.open(&args.command));
    // A thread that still reads from a hanging server must not keep the program.
    runtime.shutdown_background();
    code
}
