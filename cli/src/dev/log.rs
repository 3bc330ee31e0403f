//! Logs for a person at a terminal: time, level, which component speaks, and what it says.

use std::fmt;
use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Components by the beginning of their targets; the first that fits.
const COMPONENTS: [(&str, &str); 8] = [
    ("muster", "dev"),
    ("operator", "operator"),
    ("allocator", "allocator"),
    ("auth", "accounts"),
    ("lobby", "lobby"),
    ("embedded::node", "node"),
    ("embedded", "api"),
    ("runtime", "runtime"),
];

/// Starts logging. `filter` is a level, or directives such as `info,operator=debug`.
pub(crate) fn start(filter: &str) {
    // A filter that cannot be read becomes `info`, as in every service.
    let targets: Targets = filter
        .to_lowercase()
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let targets = if filter.contains("kube") {
        targets
    } else {
        targets.with_target("kube_runtime", LevelFilter::ERROR)
    };
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .event_format(Format);
    let started = tracing_subscriber::registry()
        .with(targets)
        .with(layer)
        .try_init();
    if started.is_err() {
        tracing::debug!("Logging was started already");
    }
}

/// One line per event.
struct Format;

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let now = runtime::clock::now().to_zoned(jiff::tz::TimeZone::system());
        let (dim, strong, reset) = if writer.has_ansi_escapes() {
            ("\u{1b}[2m", color(*metadata.level()), "\u{1b}[0m")
        } else {
            ("", "", "")
        };
        write!(
            writer,
            "{dim}{}{reset} {strong}{:5}{reset} {dim}{:9}{reset} ",
            now.strftime("%H:%M:%S%.3f"),
            metadata.level().as_str(),
            component(metadata.target())
        )?;
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

fn color(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        _ => "\u{1b}[2m",
    }
}

fn component(target: &str) -> &str {
    COMPONENTS
        .iter()
        .find(|(prefix, _)| {
            target
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
        .map_or_else(
            || target.split("::").next().unwrap_or(target),
            |(_, name)| name,
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_has_a_name_and_others_keep_their_crate() {
        for (target, name) in [
            ("muster::dev::run", "dev"),
            ("operator::hub", "operator"),
            ("embedded::node::pod", "node"),
            ("embedded::server", "api"),
            ("embedded::nodes", "api"),
            ("operators::x", "operators"),
            ("hyper::proto", "hyper"),
        ] {
            assert_eq!(component(target), name, "{target}");
        }
    }
}
