//! What the server runs with: the arguments, checked.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use netcode::{Key, ProtocolId};
use runtime::service::Problems;
use simulation::arena::ArenaConfig;
use simulation::entity::MAX_PLAYERS;
use simulation::rules::Rules;
use simulation::snapshot::DEFAULT_BUDGET;
use simulation::tick::TICK_RATE;
use zeroize::Zeroizing;

use crate::arena::args::{Args, Connect, Platform, Threads};
use crate::arena::game::MatchConfig;
use crate::arena::life::AfterMatch;
use crate::arena::sessions::Policy;
use crate::history::Place;
use crate::history::database::DatabaseUrl;

/// The key of `--connect open`. It is no secret: whoever knows it can play, under any name.
pub const OPEN_KEY: [u8; 32] = *b"muster: open to anybody, no key.";

/// Most props of a match.
const MOST_PROPS: u16 = 200;

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// UDP port to listen on; 0 for any.
    pub port: u16,
    /// Where players reach this server, if it was said.
    pub addresses: Vec<SocketAddr>,
    /// Where the key comes from.
    pub key: KeySource,
    /// Names the game and its wire format.
    pub protocol_id: ProtocolId,
    /// Port of the SDK server; none without a platform.
    pub sdk_port: Option<u16>,
    /// What matches are made of.
    pub game: MatchConfig,
    /// How the work is divided.
    pub threads: Threads,
    /// Where the history goes, if anywhere.
    pub history: Option<Place>,
    /// What follows a match.
    pub after: AfterMatch,
    /// How long a match may go on after the process was asked to end.
    pub drain_timeout: Duration,
    /// Address of the admin server.
    pub admin_address: SocketAddr,
}

/// Where the key of connect tokens comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The platform derives one for this process.
    Platform,
    /// Read from a file.
    Given(Key),
    /// [`OPEN_KEY`].
    Open,
}

impl TryFrom<Args> for Config {
    type Error = Problems;

    fn try_from(args: Args) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let key = match (&args.key_file, args.connect) {
            (Some(_), Connect::Open) => {
                problems.push("--key-file and --connect=open exclude each other".to_owned());
                KeySource::Open
            }
            (None, Connect::Open) => KeySource::Open,
            (None, Connect::Token) => {
                if args.platform == Platform::None {
                    problems.push(
                        "--platform=none gives no key: add --key-file, or --connect=open"
                            .to_owned(),
                    );
                }
                KeySource::Platform
            }
            (Some(path), Connect::Token) => match read_key(path) {
                Ok(key) => KeySource::Given(key),
                Err(problem) => {
                    problems.push(format!("--key-file {}: {problem}", path.display()));
                    KeySource::Platform
                }
            },
        };
        let history = match (args.history_directory, args.history_url_file) {
            (Some(directory), _) => Some(Place::Directory(directory)),
            (None, Some(path)) => DatabaseUrl::read(&path)
                .map_err(|error| {
                    let problem = runtime::service::chain(&error);
                    problems.push(format!("--history-url-file {}: {problem}", path.display()));
                })
                .ok()
                .map(Place::Database),
            (None, None) => None,
        };
        for (flag, value, most) in [
            ("players", args.players, MAX_PLAYERS),
            ("min-players", args.min_players, args.players),
        ] {
            if !(1..=most).contains(&value) {
                problems.push(format!("--{flag} must be from 1 to {most}, not {value}"));
            }
        }
        if args.props > MOST_PROPS {
            problems.push(format!(
                "--props must be at most {MOST_PROPS}, not {}",
                args.props
            ));
        }
        for (flag, value) in [
            ("wait-seconds", args.wait_seconds),
            ("time-limit", args.time_limit),
        ] {
            if !(1..=86_400).contains(&value) {
                problems.push(format!("--{flag} must be from 1 to 86400, not {value}"));
            }
        }
        if args.score_limit == 0 {
            problems.push("--score-limit must be at least 1".to_owned());
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let rules = Rules {
            min_players: args.min_players,
            wait_ticks: args.wait_seconds * TICK_RATE,
            time_limit_ticks: args.time_limit * TICK_RATE,
            score_limit: args.score_limit,
            late_join: args.late_join,
            ..Rules::default()
        };
        Ok(Self {
            port: args.port,
            addresses: args.addresses,
            key,
            protocol_id: args.protocol_id,
            sdk_port: (args.platform == Platform::Muster).then_some(args.sdk_port),
            game: MatchConfig {
                arena: ArenaConfig {
                    seed: args.level_seed,
                    capacity: args.players,
                    props: args.props,
                    rules,
                },
                spectators: args.spectators,
                teams: args.teams,
                policy: Policy::default(),
                budget: DEFAULT_BUDGET,
            },
            threads: args.threads.unwrap_or_else(default_threads),
            history,
            after: args.after_match,
            drain_timeout: Duration::from_secs(u64::from(args.drain_timeout)),
            admin_address: args.admin_address,
        })
    }
}

fn default_threads() -> Threads {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores > 2 {
        Threads::Two
    } else {
        Threads::One
    }
}

/// Reads a key; the error never shows what the file holds.
fn read_key(path: &Path) -> Result<Key, String> {
    let content = Zeroizing::new(std::fs::read(path).map_err(|error| error.to_string())?);
    Key::from_file(&content).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn config(flags: &[&str]) -> Result<Config, Problems> {
        let arguments = std::iter::once("arena-server").chain(flags.iter().copied());
        Config::try_from(Args::try_parse_from(arguments).unwrap())
    }

    #[test]
    fn the_defaults_are_a_server_of_the_platform() {
        let config = config(&[]).unwrap();
        assert_eq!((config.port, config.sdk_port), (7777, Some(9357)));
        assert_eq!(config.key, KeySource::Platform);
        assert_eq!(config.history, None);
        assert_eq!(config.protocol_id, ProtocolId::MUSTER);
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let Problems(problems) = config(&[
            "--platform=none",
            "--players=2000",
            "--min-players=0",
            "--props=201",
            "--score-limit=0",
            "--time-limit=0",
        ])
        .unwrap_err();
        assert_eq!(
            problems,
            [
                "--platform=none gives no key: add --key-file, or --connect=open",
                "--players must be from 1 to 1024, not 2000",
                "--min-players must be from 1 to 2000, not 0",
                "--props must be at most 200, not 201",
                "--time-limit must be from 1 to 86400, not 0",
                "--score-limit must be at least 1",
            ]
        );
    }

    #[test]
    fn a_key_is_read_in_either_form_and_never_shown() {
        let directory = std::env::temp_dir().join(format!("arena-keys-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("key");
        for bytes in [
            vec![0xab; 32],
            "ab".repeat(32).into_bytes(),
            b"short".to_vec(),
        ] {
            std::fs::write(&path, &bytes).unwrap();
            match read_key(&path) {
                Ok(key) => assert_eq!(key.expose(), &[0xab; 32]),
                Err(problem) => {
                    assert_eq!(bytes, b"short");
                    assert!(!problem.contains("short"), "{problem}");
                }
            }
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn history_goes_where_it_is_told_and_a_url_is_never_shown() {
        let place = |flag: &str| config(&[flag]).map(|config| config.history);
        let matches = place("--history-directory=/var/matches").unwrap();
        assert_eq!(matches, Some(Place::Directory("/var/matches".into())));
        let path = std::env::temp_dir().join(format!("arena-url-{}", std::process::id()));
        let flag = format!("--history-url-file={}", path.display());
        std::fs::write(&path, "postgres://muster:s3cret@localhost/history\n").unwrap();
        let database = config(&["--players=2", &flag]).unwrap();
        assert!(matches!(database.history, Some(Place::Database(_))));
        assert!(!format!("{database:?}").contains("s3cret"));
        std::fs::write(&path, "s3cret").unwrap();
        let Problems(problems) = place(&flag).unwrap_err();
        assert!(problems[0].contains("that is no URL"), "{problems:?}");
        assert!(!problems[0].contains("s3cret"), "{problems:?}");
        std::fs::remove_file(&path).unwrap();
    }
}
