//! Logging of the functions: one JSON object a line on standard output, which is where Lambda reads it.
//!
//! Our own code is heard at `AWS_LAMBDA_LOG_LEVEL` (which Lambda sets from the function's logging configuration; `INFO`
//! when it does not). Foreign crates are heard from `WARN` on, whatever that level is: below it the SDK logs requests with
//! their headers, and sqlx logs statements, and neither belongs in a log. The command line has its own, human output and
//! shares [`filter`] alone.
//!
//! Every line carries `timestamp`, `level`, `target`, `message`, its own fields flat beside them, and the spans it stands
//! in (the runtime's first one holds `requestId`). An operation ends with one line that carries its report as JSON text in
//! `report`.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Starts logging for a function. To be called once per process, before anything else.
pub fn start_json(variable: &dyn Fn(&str) -> Option<String>) {
    let level = variable("AWS_LAMBDA_LOG_LEVEL").unwrap_or_default();
    // A second call is the only way in which this fails, and then the first one's logging is there.
    let _ = tracing::subscriber::set_global_default(json(&level, std::io::stdout));
}

/// What is heard at `level` (`TRACE` to `ERROR` or `FATAL`, in any case; anything else is `INFO`): ours from there on,
/// foreign crates' warnings.
pub fn filter(level: &str) -> EnvFilter {
    let ours = match level.to_ascii_lowercase().as_str() {
        known @ ("trace" | "debug" | "warn" | "error") => known.to_owned(),
        "fatal" => "error".to_owned(),
        _ => "info".to_owned(),
    };
    // sqlx warns of slow statements with their text; the runtime's span with the request id is at `info`.
    EnvFilter::new(format!("warn,sqlx=error,lambda_runtime=info,nightvault_core={ours},nightvault={ours}"))
}

fn json<W>(level: &str, writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_env_filter(filter(level))
        .with_writer(writer)
        .finish()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged_at(level: &str, log: impl FnOnce()) -> Vec<serde_json::Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(json(level, move || writer.clone()), log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_one_json_object_with_its_fields_and_its_spans() {
        let lines = logged_at("", || {
            let span = tracing::info_span!(target: "lambda_runtime", "invoke", requestId = "r-1");
            let _entered = span.enter();
            tracing::info!(dumped_rows = 7, "table \"a\nb\" done");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["message"], "table \"a\nb\" done");
        assert_eq!(lines[0]["dumped_rows"], 7);
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(lines[0]["spans"][0]["requestId"], "r-1");
    }

    #[test]
    fn foreign_crates_are_never_heard_below_their_warnings() {
        let lines = logged_at("TRACE", || {
            tracing::debug!(target: "aws_smithy_runtime::client", "authorization: AWS4-HMAC-SHA256 …");
            tracing::info!(target: "hyper", "connected");
            tracing::warn!(target: "sqlx::query", "slow statement: INSERT …");
            tracing::warn!(target: "aws_config", "no region");
            tracing::trace!("ours");
        });
        let messages: Vec<&str> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
        assert_eq!(messages, ["no region", "ours"]);
    }

    #[test]
    fn the_level_of_the_function_is_ours() {
        let at = |level| {
            logged_at(level, || {
                tracing::error!("e");
                tracing::warn!("w");
                tracing::info!("i");
                tracing::debug!("d");
            })
            .len()
        };
        assert_eq!(["FATAL", "ERROR", "WARN", "INFO", "DEBUG", "nonsense", ""].map(at), [1, 1, 2, 3, 4, 3, 3]);
    }
}
