//! Structured logs that follow [Lambda's logging controls](https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html)
//! (`AWS_LAMBDA_LOG_FORMAT`, `AWS_LAMBDA_LOG_LEVEL`).
//!
//! The configured level applies to the registry's own lines. Other crates never log below INFO: at TRACE the Lambda runtime
//! logs whole events, and at DEBUG the SDK logs whole items, tokens and hashes included.

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::lambda::config::Env;

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text.
    Text,
    /// One JSON object a line.
    Json,
}

/// The crates whose lines follow the configured level.
const OWN_CRATES: [&str; 4] = ["domain", "shared", "functions", "local"];

/// Lambda's two settings. The defaults are text and INFO.
pub fn settings(env: &Env<'_>) -> (LogFormat, LevelFilter) {
    let format = match env.get("AWS_LAMBDA_LOG_FORMAT") {
        Some(format) if format.eq_ignore_ascii_case("json") => LogFormat::Json,
        _ => LogFormat::Text,
    };
    let level = match env.get("AWS_LAMBDA_LOG_LEVEL").map(|level| level.to_ascii_lowercase()).as_deref() {
        Some("trace") => LevelFilter::TRACE,
        Some("debug") => LevelFilter::DEBUG,
        Some("warn") => LevelFilter::WARN,
        Some("error" | "fatal") => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    (format, level)
}

/// A subscriber that writes log lines to `writer`.
pub fn subscriber<W>(format: LogFormat, level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let below = level.min(LevelFilter::from_level(Level::INFO));
    let targets = OWN_CRATES
        .into_iter()
        .fold(Targets::new().with_default(below), |targets, name| targets.with_target(name, level));
    let is_wanted = filter_fn(|line| !repeats_a_function_error(line));
    let lines = fmt::layer().with_writer(writer).with_ansi(false);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_span_list(false).with_current_span(true).boxed()
        }
    };
    Registry::default().with(lines.with_filter(targets.and(is_wanted)))
}

/// The Lambda runtime logs every function error again, even a mere refusal, as an ERROR without a request id. It logs panics
/// with the same target, but with a field `error`. A test runs the real runtime to notice when it logs otherwise.
fn repeats_a_function_error(line: &Metadata<'_>) -> bool {
    line.target() == "lambda_runtime::layers::panic" && line.fields().field("error").is_none()
}

/// Writes log lines to standard output, where Lambda collects them. Does nothing if the process already has a subscriber.
pub fn start(env: &Env<'_>) {
    let (format, level) = settings(env);
    let _already_there = tracing::subscriber::set_global_default(subscriber(format, level, std::io::stdout));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::api::call::NoBody;
    use crate::api::error::{Audience, Error};
    use crate::api::event::{Answer, Event};
    use crate::lambda::config::ConfigError;
    use crate::lambda::start::{Function, Resources, invoke};
    use lambda_runtime::{Context, LambdaEvent};
    use serde_json::value::RawValue;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing::instrument::WithSubscriber;

    #[derive(Clone, Default)]
    pub(in crate::lambda) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        pub(in crate::lambda) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: LevelFilter) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(format, level, move || writer.clone()), || {
            let span = tracing::info_span!(target: "shared", "invocation", request_id = "r-1");
            let _entered = span.enter();
            tracing::debug!(target: "shared", "ours");
            tracing::info!(target: "shared", status = 200, "answered");
            tracing::trace!(target: "lambda_runtime::layers", "raw JSON event");
            tracing::debug!(target: "aws_smithy_runtime", "response");
        });
        lines.text()
    }

    #[test]
    fn g8_no_level_makes_the_runtime_or_the_sdk_log_events_or_items() {
        let text = logged(LogFormat::Text, LevelFilter::TRACE);
        assert!(text.contains("ours") && text.contains("answered"), "{text}");
        assert!(!text.contains("raw JSON event") && !text.contains("aws_smithy"), "{text}");
    }

    /// A function whose store fails.
    struct Failing;

    impl Function for Failing {
        const AUDIENCE: Audience = Audience::Operators;

        fn new(_: &Env<'_>, _: Resources) -> Result<Self, ConfigError> {
            Ok(Self)
        }

        async fn answer(&self, event: Event) -> Answer {
            let fail = || Err(Error::StoreUnavailable { cause: "no store".to_owned() });
            event.answer::<NoBody, _, _, _, _>(|_| async move { fail() }, |_| async move { fail() }).await
        }
    }

    #[tokio::test]
    async fn failures_carry_the_request_id_at_every_level() {
        for level in [LevelFilter::INFO, LevelFilter::WARN, LevelFilter::ERROR] {
            let lines = Lines::default();
            let writer = lines.clone();
            let mut context = Context::default();
            context.request_id = "r-1".to_owned();
            let event = LambdaEvent::new(
                RawValue::from_string(r#"{"workspace_id": "w"}"#.to_owned()).unwrap(),
                context,
            );
            let subscriber = subscriber(LogFormat::Json, level, move || writer.clone());
            assert!(invoke(&Failing, event).with_subscriber(subscriber).await.is_err());
            let text = lines.text();
            let line: serde_json::Value = serde_json::from_str(text.trim_end()).expect(&text);
            assert_eq!(
                (&line["message"], &line["span"]["request_id"]),
                (&"failed".into(), &"r-1".into()),
                "{level}"
            );
        }
    }

    #[test]
    fn json_lines_carry_the_request_id() {
        let text = logged(LogFormat::Json, LevelFilter::INFO);
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).expect(&text);
        assert_eq!(line["message"], "answered");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["status"], 200);
        assert_eq!(line["span"]["request_id"], "r-1");
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn lambda_s_settings_apply() {
        let of = |format: &'static str, level: &'static str| {
            settings(&Env::from_fn(move |name| {
                Some(if name == "AWS_LAMBDA_LOG_FORMAT" { format } else { level }.to_owned())
            }))
        };
        assert_eq!(of("JSON", "DEBUG"), (LogFormat::Json, LevelFilter::DEBUG));
        assert_eq!(of("Text", "FATAL"), (LogFormat::Text, LevelFilter::ERROR));
        assert_eq!(of("", ""), (LogFormat::Text, LevelFilter::INFO));
    }
}
