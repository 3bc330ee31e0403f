//! Logs: JSON unless standard output is a terminal.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Arguments about logs; flatten them into a service's own.
#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// What is logged: a level, or directives such as `info,operator=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info", value_name = "FILTER")]
    pub log_level: String,
}

/// Starts logging to standard output.
///
/// A filter that cannot be read becomes `info`: a typo must not stop a service.
pub fn init(args: &LogArgs) {
    // `Targets` rather than `EnvFilter`: without its regular expressions the SDK server is
    // smaller by 200 KiB.
    let filter: Targets = args
        .log_level
        .to_lowercase()
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    // The library's own span repeats, on every line, the object that our fields name.
    let filter = if args.log_level.contains("kube") {
        filter
    } else {
        filter.with_target("kube_runtime", LevelFilter::WARN)
    };
    let layer = tracing_subscriber::fmt::layer();
    // A second call, as in tests, keeps the first subscriber.
    let result = if std::io::stdout().is_terminal() {
        tracing_subscriber::registry()
            .with(filter)
            .with(layer)
            .try_init()
    } else {
        tracing_subscriber::registry()
            .with(filter)
            .with(layer.json().flatten_event(true))
            .try_init()
    };
    if result.is_err() {
        tracing::debug!("Logging was started already");
    }
}
