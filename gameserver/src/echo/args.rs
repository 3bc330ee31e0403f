//! The command line and environment, by Agones' names.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser};
use runtime::telemetry::LogArgs;

/// A small UDP and TCP echo game server that drives the Agones SDK.
#[derive(Clone, Debug, Parser)]
#[command(name = "simple-server", version)]
pub struct Args {
    /// Port to listen on; 0 for any.
    #[arg(long, env = "PORT", default_value_t = 7654)]
    pub port: u16,

    /// Listens on the port that the game server's status names instead of `--port`.
    #[arg(
        long, env = "PASSTHROUGH", value_name = "BOOL", default_value = "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub passthrough: String,

    /// Says Ready at the start.
    #[arg(
        long, env = "READY", value_name = "BOOL", default_value = "true",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub ready: String,

    /// Serves UDP.
    #[arg(
        long, env = "UDP", value_name = "BOOL", default_value = "true",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub udp: String,

    /// Serves TCP.
    #[arg(
        long, env = "TCP", value_name = "BOOL", default_value = "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub tcp: String,

    /// Sends health pings, from the start until the command UNHEALTHY.
    #[arg(
        long, env = "HEALTH", value_name = "BOOL", default_value = "true",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub health: String,

    /// Ends this many seconds after each allocation; 0 for never.
    #[arg(
        long = "automaticShutdownDelaySec",
        alias = "automatic-shutdown-delay-seconds",
        env = "AUTOMATIC_SHUTDOWN_DELAY_SEC",
        value_name = "SECONDS",
        default_value_t = 0
    )]
    pub automatic_shutdown_delay: u32,

    /// Deprecated by `--automaticShutdownDelaySec`: the same in minutes.
    #[arg(
        long = "automaticShutdownDelayMin",
        value_name = "MINUTES",
        default_value_t = 0
    )]
    pub automatic_shutdown_delay_minutes: u32,

    /// Waits this long before it says Ready at the start.
    #[arg(
        long = "readyDelaySec",
        alias = "ready-delay-seconds",
        env = "READY_DELAY_SEC",
        value_name = "SECONDS",
        default_value_t = 0
    )]
    pub ready_delay: u32,

    /// Says Ready again this many times after allocations, before it ends.
    #[arg(
        long = "readyIterations",
        alias = "ready-iterations",
        env = "READY_ITERATIONS",
        value_name = "COUNT",
        default_value_t = 0
    )]
    pub ready_iterations: u32,

    /// Goes on serving this long after it was asked to end.
    #[arg(
        long = "gracefulTerminationDelaySec",
        alias = "graceful-termination-delay-seconds",
        env = "GRACEFUL_TERMINATION_DELAY_SEC",
        value_name = "SECONDS",
        default_value_t = 0
    )]
    pub graceful_termination_delay: u32,

    /// Ends with exit code 1 at once, to try out how crashes are handled.
    #[arg(
        long = "crashAtStart", alias = "crash-at-start", env = "CRASH_AT_START",
        value_name = "BOOL", default_value = "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub crash_at_start: String,

    /// Port of the SDK server on this host.
    #[arg(
        long = "sdkPort",
        alias = "sdk-port",
        env = "AGONES_SDK_GRPC_PORT",
        default_value_t = 9357
    )]
    pub sdk_port: u16,

    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
}

/// [`Args`] as the binary reads them: Agones' flags come with one dash too.
#[derive(Clone, Debug)]
pub struct CommandLine(pub Args);

impl CommandFactory for CommandLine {
    fn command() -> Command {
        Args::command()
    }

    fn command_for_update() -> Command {
        Args::command_for_update()
    }
}

impl FromArgMatches for CommandLine {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Args::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl Parser for CommandLine {
    fn try_parse() -> Result<Self, clap::Error> {
        Self::try_parse_from(std::env::args_os())
    }

    fn try_parse_from<I, T>(arguments: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let arguments = arguments
            .into_iter()
            .map(|argument| two_dashes(argument.into()));
        let matches = Args::command().try_get_matches_from(arguments)?;
        Self::from_arg_matches(&matches).map_err(|error| match error.kind() {
            ErrorKind::MissingRequiredArgument => error,
            _ => error.format(&mut Args::command()),
        })
    }
}

/// Writes `-flag` as `--flag`: Go's flag package takes both, and manifests use the former.
///
/// Flags of one letter stay, and so does everything that is not text.
fn two_dashes(argument: OsString) -> OsString {
    match argument.to_str() {
        Some(text) if is_go_flag(text) => OsString::from(format!("-{text}")),
        _ => argument,
    }
}

fn is_go_flag(text: &str) -> bool {
    let Some(name) = text.strip_prefix('-') else {
        return false;
    };
    let mut letters = name.chars();
    letters.next().is_some_and(char::is_alphabetic) && letters.next().is_some_and(|c| c != '=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_with_one_dash_or_two() {
        for dashes in ["-", "--"] {
            let arguments = [
                "simple-server".to_owned(),
                format!("{dashes}port=7000"),
                format!("{dashes}readyDelaySec"),
                "3".to_owned(),
                format!("{dashes}ready=false"),
                format!("{dashes}tcp"),
            ];
            let CommandLine(args) = CommandLine::try_parse_from(arguments).unwrap();
            assert_eq!((args.port, args.ready_delay), (7000, 3));
            assert_eq!((args.ready.as_str(), args.tcp.as_str()), ("false", "true"));
        }
    }

    #[test]
    fn short_flags_and_values_stay() {
        for text in ["-h", "-V", "--port", "value", "-", "-1", "-f=x"] {
            assert_eq!(two_dashes(text.into()), text, "{text}");
        }
    }

    #[test]
    fn an_unknown_flag_is_refused_by_name() {
        let error = CommandLine::try_parse_from(["simple-server", "-prot=1"]).unwrap_err();
        assert!(error.to_string().contains("--prot"), "{error}");
    }
}
