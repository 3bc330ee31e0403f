//! What the server runs with: the arguments, checked.

use std::time::Duration;

use runtime::service::Problems;

use crate::echo::args::Args;

/// Checked settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, as Agones has them"
)]
pub struct Config {
    /// Port to listen on; 0 for any.
    pub port: u16,
    /// Whether the SDK names the port.
    pub passthrough: bool,
    /// Whether Ready is said at the start.
    pub ready: bool,
    /// Wait before that.
    pub ready_delay: Duration,
    /// Whether UDP is served.
    pub udp: bool,
    /// Whether TCP is served.
    pub tcp: bool,
    /// Whether health pings are sent.
    pub health: bool,
    /// Time from an allocation to the end, or to Ready again.
    pub automatic_shutdown_delay: Option<Duration>,
    /// Allocations after which the server is Ready again.
    pub ready_iterations: u32,
    /// Time from the request to end to the end.
    pub graceful_termination_delay: Duration,
    /// Whether to end with an error at once.
    pub crash_at_start: bool,
    /// Port of the SDK server.
    pub sdk_port: u16,
}

impl TryFrom<Args> for Config {
    type Error = Problems;

    fn try_from(args: Args) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut flag = |name: &str, value: &str| {
            parse_bool(value).unwrap_or_else(|| {
                problems.push(format!("--{name} must be true or false, not {value:?}"));
                false
            })
        };
        let passthrough = flag("passthrough", &args.passthrough);
        let ready = flag("ready", &args.ready);
        let udp = flag("udp", &args.udp);
        let tcp = flag("tcp", &args.tcp);
        let health = flag("health", &args.health);
        let crash_at_start = flag("crashAtStart", &args.crash_at_start);

        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        let delays = (
            args.automatic_shutdown_delay,
            args.automatic_shutdown_delay_minutes,
        );
        let automatic_shutdown_delay = match delays {
            (0, 0) => None,
            (delay, 0) => Some(seconds(delay)),
            (0, minutes) => Some(seconds(minutes) * 60),
            _ => {
                problems.push(
                    "--automaticShutdownDelaySec and --automaticShutdownDelayMin exclude each other"
                        .to_owned(),
                );
                None
            }
        };
        if args.ready_iterations > 0 && delays == (0, 0) {
            problems.push("--readyIterations needs --automaticShutdownDelaySec".to_owned());
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(Self {
            port: args.port,
            passthrough,
            ready,
            ready_delay: seconds(args.ready_delay),
            udp,
            tcp,
            health,
            automatic_shutdown_delay,
            ready_iterations: args.ready_iterations,
            graceful_termination_delay: seconds(args.graceful_termination_delay),
            crash_at_start,
            sdk_port: args.sdk_port,
        })
    }
}

/// Reads a switch as Go does; manifests written for Agones rely on it.
fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn config(flags: &[&str]) -> Result<Config, Problems> {
        let arguments = std::iter::once("simple-server").chain(flags.iter().copied());
        Config::try_from(Args::try_parse_from(arguments).unwrap())
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let Problems(problems) =
            config(&["--udp=maybe", "--tcp=2", "--readyIterations=2"]).unwrap_err();
        assert_eq!(
            problems,
            [
                "--udp must be true or false, not \"maybe\"",
                "--tcp must be true or false, not \"2\"",
                "--readyIterations needs --automaticShutdownDelaySec",
            ]
        );
    }

    #[test]
    fn minutes_and_seconds_exclude_each_other() {
        let both = [
            "--automaticShutdownDelaySec=5",
            "--automaticShutdownDelayMin=1",
        ];
        assert!(config(&both).is_err());
        let minutes = config(&both[1..]).unwrap();
        assert_eq!(
            minutes.automatic_shutdown_delay,
            Some(Duration::from_mins(1))
        );
    }
}
