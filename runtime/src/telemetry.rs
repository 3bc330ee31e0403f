//! Logs: JSON unless standard output is a terminal.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Arguments about logs; flatten them into a service's own.
#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// What is logged: a level, or directives such as `info,operator=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info", value_name = "FILTER")]
    pub log_level: String,
}

/// Starts logging to standard output.
///
/// Unknown directives are left out rather than refused: a typo must not stop a service.
pub fn init(args: &LogArgs) {
    let filter = EnvFilter::builder().parse_lossy(args.log_level.to_lowercase());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_target(true);
    // A second call, as in tests, keeps the first subscriber.
    let result = if std::io::stdout().is_terminal() {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    if result.is_err() {
        tracing::debug!("Logging was started already");
    }
}
