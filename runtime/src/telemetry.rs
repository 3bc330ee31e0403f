//! What a service tells of itself: logs, which are JSON unless standard output is a terminal, and
//! [traces](crate::trace) where they are asked for.

use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

#[cfg(feature = "trace")]
use crate::trace::{self, TraceArgs};

/// Arguments about logs; flatten them into a service's own.
#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// What is logged: a level, or directives such as `info,operator=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info", value_name = "FILTER")]
    pub log_level: String,
}

/// What a service's arguments say of its telemetry.
#[derive(Clone, Copy, Debug)]
pub struct Telemetry<'args> {
    log: &'args LogArgs,
    #[cfg(feature = "trace")]
    traces: Option<(&'static str, &'args TraceArgs)>,
}

impl<'args> Telemetry<'args> {
    /// Logs alone.
    pub const fn logs(log: &'args LogArgs) -> Self {
        Self {
            log,
            #[cfg(feature = "trace")]
            traces: None,
        }
    }

    /// Traces beside the logs, in which the service has this name unless the arguments say another.
    #[cfg(feature = "trace")]
    #[must_use]
    pub const fn and_traces(self, name: &'static str, traces: &'args TraceArgs) -> Self {
        Self {
            traces: Some((name, traces)),
            ..self
        }
    }
}

/// Sends traces while a service runs; nothing without them.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    #[cfg(feature = "trace")]
    exporter: Option<trace::Exporter>,
}

impl Sending {
    /// Runs `work`, and sends its traces meanwhile.
    pub(crate) async fn during<T>(self, work: impl Future<Output = T>) -> T {
        #[cfg(feature = "trace")]
        if let Some(exporter) = self.exporter {
            return exporter.during(work).await;
        }
        work.await
    }
}

/// Starts telemetry for the process: logs to standard output, and traces by what is returned.
///
/// A filter that cannot be read becomes `info`: a typo must not stop a service.
pub(crate) fn init(telemetry: Telemetry<'_>) -> Sending {
    let registry = tracing_subscriber::registry();
    #[cfg(feature = "trace")]
    if let Some((layer, exporter)) = telemetry
        .traces
        .and_then(|(name, args)| trace::pipeline(name, args))
    {
        // Each has a filter of its own: what is traced is no line of the log.
        let lines = lines().with_filter(filter(telemetry.log));
        return match registry.with(lines).with(layer).try_init() {
            Ok(()) => Sending {
                exporter: Some(exporter),
            },
            Err(_) => started_already(),
        };
    }
    let lines = registry.with(filter(telemetry.log)).with(lines());
    match lines.try_init() {
        Ok(()) => Sending::default(),
        Err(_) => started_already(),
    }
}

/// A second call, as in tests, keeps the first subscriber.
fn started_already() -> Sending {
    tracing::debug!("Logging was started already");
    Sending::default()
}

fn lines<S: Subscriber + for<'span> LookupSpan<'span>>() -> Box<dyn Layer<S> + Send + Sync> {
    let layer = tracing_subscriber::fmt::layer();
    if std::io::stdout().is_terminal() {
        layer.boxed()
    } else {
        layer.json().flatten_event(true).boxed()
    }
}

pub(crate) fn filter(args: &LogArgs) -> Targets {
    // `Targets` rather than `EnvFilter`: without its regular expressions the SDK server is
    // smaller by 200 KiB.
    let filter: Targets = args
        .log_level
        .to_lowercase()
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    #[cfg(feature = "trace")]
    let filter = filter.with_target(trace::TARGET, LevelFilter::OFF);
    // The library's own span repeats, on every line, the object that our fields name.
    if args.log_level.contains("kube") {
        filter
    } else {
        filter.with_target("kube_runtime", LevelFilter::WARN)
    }
}
