//! What a person sees while a long run goes on: one line on standard error, and the log around it.
//!
//! The line is drawn only on a terminal. It is made from the core's counters, five times a second; the core does not
//! know that anybody looks.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nightvault_core::progress::{Progress, ProgressSnapshot};
use tracing::Metadata;
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::output::human::{clean, count, duration, size};

/// How often the line is drawn anew.
const INTERVAL: Duration = Duration::from_millis(200);

/// The line of progress.
#[derive(Debug, Clone)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A line on standard error, or none where that is no terminal or `hidden` is wanted.
    pub(crate) fn new(hidden: bool) -> Self {
        let hidden = hidden || !io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is a valid one");
        Self(ProgressBar::with_draw_target(None, target).with_style(style))
    }

    /// Runs `work` and shows how far it is.
    pub(crate) async fn watch<T>(&self, progress: &Arc<Progress>, work: impl Future<Output = T>) -> T {
        if self.0.is_hidden() {
            return work.await;
        }
        let began = Instant::now();
        let mut stage = (0, began);
        let mut ticks = tokio::time::interval(INTERVAL);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => {
                    self.0.finish_and_clear();
                    return done;
                }
                _ = ticks.tick() => {
                    let snapshot = progress.snapshot();
                    if let Some(now) = snapshot.stage.filter(|now| now.number != stage.0) {
                        stage = (now.number, Instant::now());
                    }
                    self.0.set_message(line(&snapshot, began.elapsed(), stage.1.elapsed()));
                    self.0.tick();
                }
            }
        }
    }

    /// Runs `write` while the line is out of the way.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }
}

/// The text of the line; `staged`: how long the stage goes on.
fn line(snapshot: &ProgressSnapshot, elapsed: Duration, staged: Duration) -> String {
    let rate = u128::from(snapshot.raw_bytes) * 1000 / elapsed.as_millis().max(1);
    let mut line = format!("{} read", size(snapshot.raw_bytes));
    // What only reads stores nothing.
    if snapshot.uploaded_bytes > 0 {
        line.push_str(&format!(", {} stored", size(snapshot.uploaded_bytes)));
    }
    line.push_str(&format!(", {}/s", size(u64::try_from(rate).unwrap_or(u64::MAX))));
    if snapshot.rows > 0 {
        line.push_str(&format!(", {} rows", count(snapshot.rows)));
    }
    if let Some(left) = left(snapshot, staged) {
        line.push_str(&format!(", {} left", duration(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))));
    }
    if !snapshot.current.is_empty() {
        line.push_str(&format!(": {}", clean(&snapshot.current)));
    }
    line
}

/// How long the stage still takes at the pace it had so far; in whole seconds. Nothing is said of its first seconds, of
/// which there is no pace, and of a stage that has read all and still works.
fn left(snapshot: &ProgressSnapshot, staged: Duration) -> Option<Duration> {
    /// A pace is that of two seconds at least.
    const SHORTEST: Duration = Duration::from_secs(2);
    let stage = snapshot.stage?;
    let done = snapshot.raw_bytes.saturating_sub(stage.base);
    if staged < SHORTEST || done == 0 || done >= stage.total {
        return None;
    }
    let millis = staged.as_millis() * u128::from(stage.total - done) / u128::from(done);
    Some(Duration::from_secs(u64::try_from(millis.div_ceil(1000)).unwrap_or(u64::MAX)))
}

/// Sends the log to standard error, around the line of progress.
///
/// Only our own crates follow `-v`: what others log at their finer levels holds requests, and with them secrets.
pub(crate) fn log(bar: &Bar, verbose: u8, quiet: bool) {
    let ours = match verbose {
        _ if quiet => "error",
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let others = if quiet { "error" } else { "warn" };
    // sqlx warns of slow statements with their whole text.
    let levels = format!("{others},sqlx=error,nightvault={ours},nightvault_core={ours}");
    let said_otherwise = filter_fn(move |event| verbose > 0 || !repeats_the_report(event));
    let bar = bar.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || Log(bar.clone()))
        .with_ansi(false)
        .with_target(false)
        .with_filter(EnvFilter::new(levels).and(said_otherwise));
    tracing_subscriber::registry().with(lines).init();
}

/// Whether an event is the one at the end of an operation, which carries the report that is printed anyway.
fn repeats_the_report(event: &Metadata<'_>) -> bool {
    event.fields().field("outcome").is_some()
}

/// Standard error around the line of progress.
struct Log(Bar);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use nightvault_core::progress::Stage;

    use super::*;

    #[test]
    fn the_line_says_bytes_rate_rows_and_what_is_worked_on() {
        let snapshot = ProgressSnapshot {
            raw_bytes: 3 << 30,
            uploaded_bytes: 5 << 20,
            rows: 1_234_567,
            current: "public.\"pa\nti\u{1b}[31ments\"".into(),
            stage: None,
        };
        assert_eq!(
            line(&snapshot, Duration::from_secs(30), Duration::ZERO),
            "3.0 GiB read, 5.0 MiB stored, 102.4 MiB/s, 1,234,567 rows: public.\"pa\\nti\\u{1b}[31ments\""
        );
        let nothing =
            ProgressSnapshot { raw_bytes: 0, uploaded_bytes: 0, rows: 0, current: String::new(), stage: None };
        assert_eq!(line(&nothing, Duration::ZERO, Duration::ZERO), "0 B read, 0 B/s");
    }

    #[test]
    fn what_is_left_follows_from_the_pace_of_the_stage_alone() {
        let at = |raw_bytes, stage| ProgressSnapshot {
            raw_bytes,
            uploaded_bytes: 0,
            rows: 0,
            current: String::new(),
            stage,
        };
        let stage = Some(Stage { number: 2, base: 1000, total: 400 });
        let seconds = Duration::from_secs;
        assert_eq!(left(&at(1100, stage), seconds(20)), Some(seconds(60)));
        assert_eq!(left(&at(1399, stage), seconds(20)), Some(seconds(1)), "less than a second is one");
        for (raw, stage, staged) in
            [(1100, None, 20), (1100, stage, 1), (1000, stage, 20), (1400, stage, 20), (9000, stage, 20)]
        {
            assert_eq!(left(&at(raw, stage), seconds(staged)), None, "{raw} {stage:?} {staged}");
        }
        let line = line(&at(1100, stage), seconds(50), seconds(20));
        assert!(line.ends_with("/s, 1 min 0 s left"), "{line}");
    }
}
