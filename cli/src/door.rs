//! One command from its event to its exit code.

use std::sync::Arc;

use jiff::Timestamp;
use nightvault_core::audit::Trigger;
use nightvault_core::config::{self, Config};
use nightvault_core::environment::Environment;
use nightvault_core::operation::{self, Context, Failed};
use nightvault_core::progress::Progress;
use nightvault_core::{Class, Error, Result};
use serde::Serialize;

use crate::args::{self, Command, Tenants};
use crate::demo;
use crate::output::{self, Output};
use crate::progress::Bar;
use crate::variables::{self, Variables};

/// What every command needs of its surroundings.
pub(crate) struct Door<'a> {
    pub(crate) output: &'a Output,
    pub(crate) progress: Bar,
    pub(crate) quiet: bool,
}

impl Door<'_> {
    /// Runs the command and returns its exit code.
    pub(crate) async fn open(&self, command: &Command) -> Result<u8> {
        let context = context();
        self.listen(&context);
        match command {
            Command::Run(run) => {
                let environment = self.environment(config::load_for_backup).await?;
                let event = run.event();
                let done = operation::backup(&environment, &event, &context);
                self.report(self.progress.watch(&context.progress, done).await, output::backup::text, |_| None)
            }
            Command::Cleanup(cleanup) => {
                let environment = self.environment(config::load).await?;
                let event = cleanup.event();
                let done = operation::cleanup(&environment, &event, &context);
                self.report(self.progress.watch(&context.progress, done).await, output::cleanup::text, |_| None)
            }
            Command::Monitor(monitor) => {
                let environment = self.environment(config::load).await?;
                let event = monitor.event();
                let done = operation::monitor(&environment, &event, &context);
                let done = self.progress.watch(&context.progress, done).await;
                self.report(done, output::monitor::text, output::monitor::judge)
            }
            Command::List(list) => {
                let environment = self.environment(config::load).await?;
                let event = list.event();
                let done = operation::list(&environment, &event, &context);
                let done = self.progress.watch(&context.progress, done).await;
                self.report(done.map_err(Failed::from), output::list::text, output::list::judge)
            }
            Command::Restore(wanted) => {
                let environment = self.environment(config::load).await?;
                let variables = Variables::read()?;
                let request = wanted.request(&environment.config().database_defaults, &|name| variables.get(name))?;
                if let Some(request) = wanted.tenant(&request)? {
                    let done = operation::tenant(&environment, &request, &context);
                    return self.report(
                        self.progress.watch(&context.progress, done).await,
                        output::tenant::text,
                        |_| None,
                    );
                }
                let done = operation::restore(&environment, &request, &context);
                self.report(self.progress.watch(&context.progress, done).await, output::restore::text, |_| None)
            }
            Command::Drill(wanted) => {
                let environment = self.environment(config::load).await?;
                let variables = Variables::read()?;
                let request = wanted.request(&environment.config().database_defaults, &|name| variables.get(name))?;
                let done = operation::drill(&environment, &request, &context);
                self.report(self.progress.watch(&context.progress, done).await, output::drill::text, |_| None)
            }
            Command::Tenants(Tenants::Plan(wanted)) => {
                let environment = self.environment(config::load).await?;
                let variables = Variables::read()?;
                let request = wanted.request(&environment.config().database_defaults, &|name| variables.get(name))?;
                let done = operation::tenants_plan(&environment, &request, &context);
                let done = self.progress.watch(&context.progress, done).await;
                self.report(done.map_err(Failed::from), output::tenant::plan, |_| None)
            }
            Command::Verify(verify) => {
                let environment = self.environment(config::load).await?;
                let selector = verify.selector();
                let done = operation::verify(&environment, &selector, verify.sample, &verify.disks, &context);
                self.report(self.progress.watch(&context.progress, done).await, output::verify::text, |_| None)
            }
            Command::Show(show) => {
                let environment = self.environment(config::load).await?;
                let wanted = show.wanted();
                let done = operation::show(&environment, &wanted, &context);
                let done = self.progress.watch(&context.progress, done).await;
                self.report(done.map_err(Failed::from), output::show::text, |_| None)
            }
            Command::Extract(extract) => {
                let environment = self.environment(config::load).await?;
                let extraction = extract.extraction();
                let done = operation::extract(&environment, &extraction, &context);
                self.report(self.progress.watch(&context.progress, done).await, output::extract::text, |_| None)
            }
            Command::Audit(wanted) => {
                let environment = self.environment(config::load).await?;
                let request = wanted.request();
                let done = operation::audit(&environment, &request, &context);
                let done = self.progress.watch(&context.progress, done).await;
                match wanted {
                    args::Audit::Show(_) => self.report(done, output::audit::show, |_| None),
                    args::Audit::Verify(_) => self.report(done, output::audit::verify, |_| None),
                }
            }
            Command::Hold(hold) => {
                let environment = self.environment(config::load).await?;
                let done = operation::hold(&environment, &hold.wanted(), &hold.reason, &context).await;
                self.report(done, output::hold::text, |_| None)
            }
            Command::Release(release) => {
                let environment = self.environment(config::load).await?;
                let done = operation::release(&environment, &release.wanted(), &context).await;
                self.report(done, output::hold::text, |_| None)
            }
            Command::Config(wanted) => self.config(wanted),
            Command::Demo(wanted) => demo::run(self.output, wanted.dir.as_deref(), &context).await,
            Command::Completions { .. } => Err(Error::bug("completions need no environment")),
        }
    }

    /// Prints a report, or an error with as much of the report as there is. `judge`: what a whole report says that
    /// nevertheless is no success.
    fn report<R: Serialize>(
        &self,
        done: Result<R, Failed<R>>,
        text: impl Fn(&R) -> String,
        judge: impl Fn(&R) -> Option<Error>,
    ) -> Result<u8> {
        let (report, error) = match done {
            Ok(report) => {
                let error = judge(&report);
                (report, error)
            }
            Err(Failed { error, report: None }) => return Err(error),
            // An unhealthy set is no failure of ours: its report says everything.
            Err(Failed { error, report: Some(report) }) if error.class() == Class::Unhealthy => (*report, Some(error)),
            Err(Failed { error, report: Some(report) }) => {
                if !self.output.is_json() {
                    self.output.text(&text(&report));
                }
                return Ok(self.output.error(&error, Some(output::value(&*report)?)));
            }
        };
        if self.output.is_json() {
            self.output.json(&output::value(&report)?);
            return Ok(error.map_or(0, |error| error.class().exit_code()));
        }
        self.output.text(&text(&report));
        Ok(error.map_or(0, |error| self.output.error(&error, None)))
    }

    fn config(&self, wanted: &args::Config) -> Result<u8> {
        let config = self.load(if wanted.without_backup { config::load } else { config::load_for_backup })?;
        if self.output.is_json() {
            return Ok(self.output.json(&config::describe(&config)));
        }
        Ok(self.output.text(&(config::describe_lines(&config).join("\n") + "\n")))
    }

    /// Loads the configuration and tells what is odd about it.
    fn load(&self, load: impl Fn(config::Lookup<'_>) -> Result<Config>) -> Result<Config> {
        let variables = Variables::read()?;
        let lookup = |name: &str| variables.get(name);
        let config = load(&lookup)?;
        if !self.quiet {
            for warning in config::warnings(&config, &lookup, &variables.names()) {
                self.output.warning(&warning);
            }
        }
        Ok(config)
    }

    async fn environment(&self, load: impl Fn(config::Lookup<'_>) -> Result<Config>) -> Result<Environment> {
        Environment::open(self.load(load)?).await
    }

    /// The first Ctrl-C (or SIGTERM, with which containers are stopped) ends the run in order, the second at once.
    fn listen(&self, context: &Context) {
        let interrupt = context.interrupt.clone();
        let progress = self.progress.clone();
        tokio::spawn(async move {
            asked_to_stop().await;
            progress.suspend(|| output::note("stopping: what was begun is being aborted; once more ends at once"));
            interrupt.cancel();
            asked_to_stop().await;
            std::process::exit(130);
        });
    }
}

async fn asked_to_stop() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => return,
            Ok(()) = tokio::signal::ctrl_c() => return,
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // Nobody can ask then; the run goes on.
        std::future::pending::<()>().await;
    }
}

/// The clock is read here and nowhere below.
#[expect(clippy::disallowed_methods, reason = "this is the door that reads the clock")]
fn context() -> Context {
    Context {
        now: Timestamp::now(),
        trigger: Trigger::command_line(variables::who()),
        deadline: None,
        progress: Arc::new(Progress::default()),
        interrupt: Default::default(),
    }
}
