//! Arguments of `muster dev`, and what remains after validation.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use runtime::service::Problems;
use runtime::telemetry::LogArgs;

/// Most simulated nodes.
const MOST_NODES: u16 = 1000;

/// Runs everything in one process: a Kubernetes API, a node, the operator and the allocator.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// Settings of the log.
    #[command(flatten)]
    pub(crate) log: LogArgs,

    /// Keeps the objects in this directory; without it, they are gone when the process ends.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Where the kubeconfig, the logs and the files of pods go; one directory serves one instance
    /// [default: `muster` in the user's state directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// Applies the manifests in this directory, and again when they change [default: built-in
    /// examples].
    #[arg(long, value_name = "DIR")]
    pub(crate) manifest: Option<PathBuf>,

    /// Applies nothing at the start.
    #[arg(long, conflicts_with = "manifest")]
    pub(crate) no_examples: bool,

    /// Runs this program for containers of this image; may be repeated.
    #[arg(long, value_name = "NAME=PATH")]
    pub(crate) image: Vec<String>,

    /// Runs nothing on this machine, but on this many simulated nodes: pods are Running and game
    /// servers Ready there without any process. For experiments with scale.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) nodes: u16,

    /// Address that everything listens on, and that players are given.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) address: IpAddr,

    /// First of ten ports: Kubernetes API, hub, allocator, the metrics of operator and allocator, the
    /// three of accounts, and the two of the lobby.
    #[arg(long, default_value_t = 16_443)]
    pub(crate) port: u16,

    /// Ports for game servers, as FIRST-LAST.
    #[arg(long, value_name = "PORTS", default_value = "7000-8000")]
    pub(crate) game_ports: String,

    /// Serves the Kubernetes API without TLS, on a loopback address only. Whatever runs on this
    /// machine may then do everything, and run programs as you, because kubectl sends no token over
    /// plain HTTP.
    #[arg(long)]
    pub(crate) http: bool,

    /// Runs no accounts of players, and no lobby, which needs them.
    #[arg(long)]
    pub(crate) no_auth: bool,

    /// First of three ports of accounts: HTTP with WebSockets, gRPC, metrics [default: after the
    /// others].
    #[arg(long, value_name = "PORT", conflicts_with = "no_auth")]
    pub(crate) auth_port: Option<u16>,

    /// Runs accounts with this configuration file. Without it addresses need not be verified.
    #[arg(long, value_name = "FILE", conflicts_with = "no_auth")]
    pub(crate) auth_config: Option<PathBuf>,

    /// Runs no lobby.
    #[arg(long)]
    pub(crate) no_lobby: bool,

    /// Runs the lobby with this configuration file [default: `examples/lobby.json`, which is built
    /// in].
    #[arg(long, value_name = "FILE", conflicts_with_all = ["no_auth", "no_lobby"])]
    pub(crate) lobby_config: Option<PathBuf>,
}

/// Validated settings of `muster dev`.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) data: Option<PathBuf>,
    pub(crate) dir: PathBuf,
    pub(crate) manifests: Manifests,
    /// Image to program.
    pub(crate) images: BTreeMap<String, PathBuf>,
    pub(crate) nodes: u16,
    pub(crate) ports: Ports,
    pub(crate) game_ports: String,
    pub(crate) http: bool,
    /// Configuration file of accounts.
    pub(crate) accounts_file: Option<PathBuf>,
    /// Configuration file of the lobby.
    pub(crate) lobby_file: Option<PathBuf>,
}

/// What is applied at the start.
#[derive(Clone, Debug)]
pub(crate) enum Manifests {
    /// The examples of the repository, which are part of the binary.
    Examples,
    /// The files of a directory.
    Directory(PathBuf),
    /// Nothing.
    None,
}

/// Where everything listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    address: IpAddr,
    first: u16,
    /// The first of accounts; none where these do not run.
    accounts: Option<u16>,
    /// Whether the lobby runs.
    has_lobby: bool,
}

/// Addresses of the lobby.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lobby {
    /// HTTP and the socket; over UDP the echo for latencies.
    pub(crate) http: SocketAddr,
    /// Health and metrics.
    pub(crate) admin: SocketAddr,
}

/// Addresses of accounts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accounts {
    /// HTTP and WebSockets.
    pub(crate) http: SocketAddr,
    /// gRPC.
    pub(crate) grpc: SocketAddr,
    /// Health and metrics.
    pub(crate) admin: SocketAddr,
}

impl Ports {
    /// The Kubernetes API.
    pub(crate) fn api(self) -> SocketAddr {
        self.at(0)
    }

    /// The operator's hub.
    pub(crate) fn hub(self) -> SocketAddr {
        self.at(1)
    }

    /// The allocation API.
    pub(crate) fn allocator(self) -> SocketAddr {
        self.at(2)
    }

    /// Health and metrics of the operator.
    pub(crate) fn operator_admin(self) -> SocketAddr {
        self.at(3)
    }

    /// Health and metrics of the allocator.
    pub(crate) fn allocator_admin(self) -> SocketAddr {
        self.at(4)
    }

    /// The address of all of them.
    pub(crate) fn address(self) -> IpAddr {
        self.address
    }

    /// Accounts of players, where they run.
    pub(crate) fn accounts(self) -> Option<Accounts> {
        // Validation left room for the others.
        let at = |first: u16, offset| SocketAddr::new(self.address, first.saturating_add(offset));
        self.accounts.map(|first| Accounts {
            http: at(first, 0),
            grpc: at(first, 1),
            admin: at(first, 2),
        })
    }

    /// The lobby, where it runs.
    pub(crate) fn lobby(self) -> Option<Lobby> {
        self.has_lobby.then(|| Lobby {
            http: self.at(8),
            admin: self.at(9),
        })
    }

    /// Every address, with what it is for.
    pub(crate) fn all(self) -> Vec<(&'static str, SocketAddr)> {
        let mut all = vec![
            ("Kubernetes API", self.api()),
            ("hub", self.hub()),
            ("allocator", self.allocator()),
            ("operator's metrics", self.operator_admin()),
            ("allocator's metrics", self.allocator_admin()),
        ];
        if let Some(accounts) = self.accounts() {
            all.extend([
                ("accounts", accounts.http),
                ("accounts' gRPC", accounts.grpc),
                ("accounts' metrics", accounts.admin),
            ]);
        }
        if let Some(lobby) = self.lobby() {
            all.extend([("lobby", lobby.http), ("lobby's metrics", lobby.admin)]);
        }
        all
    }

    fn at(self, offset: u16) -> SocketAddr {
        // Validation left room for the offsets.
        SocketAddr::new(self.address, self.first.saturating_add(offset))
    }
}

impl TryFrom<Args> for Config {
    type Error = Problems;

    fn try_from(args: Args) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut images = BTreeMap::new();
        for text in &args.image {
            match text.split_once('=') {
                Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                    images.insert(name.to_owned(), PathBuf::from(path));
                }
                _ => problems.push(format!(
                    "--image {text}: must be NAME=PATH, such as muster/my-game=target/debug/my-game"
                )),
            }
        }
        for (name, path) in &images {
            if !path.is_file() {
                problems.push(format!(
                    "--image {name}: there is no program {}; build it first",
                    path.display()
                ));
            }
        }
        if let Some(directory) = &args.manifest
            && !directory.is_dir()
        {
            problems.push(format!(
                "--manifest {}: there is no such directory",
                directory.display()
            ));
        }
        if args.nodes > MOST_NODES {
            problems.push(format!("--nodes {}: at most {MOST_NODES}", args.nodes));
        }
        if args.port == 0 || args.port > u16::MAX - 9 {
            problems.push(format!(
                "--port {}: must be from 1 to {}, because ten ports in a row are used",
                args.port,
                u16::MAX - 9
            ));
        }
        if let Some(port) = args.auth_port
            && (port == 0 || port > u16::MAX - 2)
        {
            problems.push(format!(
                "--auth-port {port}: must be from 1 to {}, because three ports in a row are used",
                u16::MAX - 2
            ));
        }
        if args.address.is_unspecified() {
            problems.push(format!(
                "--address {}: must be an address that players can be given",
                args.address
            ));
        }
        if args.http && !args.address.is_loopback() {
            problems.push(
                "--http: only with a loopback --address, because nobody is asked who they are"
                    .to_owned(),
            );
        }
        let dir = args.dir.or_else(state_directory);
        if dir.is_none() {
            problems.push(
                "--dir: needed, because neither XDG_STATE_HOME nor HOME says where the state of \
                 programs goes"
                    .to_owned(),
            );
        }
        let manifests = match args.manifest {
            Some(directory) => Manifests::Directory(directory),
            None if args.no_examples => Manifests::None,
            None => Manifests::Examples,
        };
        // Ten ports fit behind the first.
        let accounts = args
            .auth_port
            .unwrap_or_else(|| args.port.saturating_add(5));
        match dir {
            Some(dir) if problems.is_empty() => Ok(Self {
                data: args.data,
                dir,
                manifests,
                images,
                nodes: args.nodes,
                ports: Ports {
                    address: args.address,
                    first: args.port,
                    accounts: (!args.no_auth).then_some(accounts),
                    has_lobby: !args.no_auth && !args.no_lobby,
                },
                game_ports: args.game_ports,
                http: args.http,
                accounts_file: args.auth_config,
                lobby_file: args.lobby_config,
            }),
            _ => Err(Problems(problems)),
        }
    }
}

/// The user's directory for state that programs keep between runs.
fn state_directory() -> Option<PathBuf> {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    from("XDG_STATE_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("muster"))
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    /// The settings that a command line means.
    pub(in crate::dev) fn config(line: &str) -> Result<Config, Problems> {
        let words = std::iter::once("dev").chain(line.split_whitespace());
        Config::try_from(Line::try_parse_from(words).unwrap().args)
    }

    #[test]
    fn the_defaults_are_enough() {
        let config = config("--dir /tmp/state").unwrap();
        assert!(matches!(config.manifests, Manifests::Examples));
        assert_eq!(config.ports.api().to_string(), "127.0.0.1:16443");
        assert_eq!(
            config.ports.allocator_admin().to_string(),
            "127.0.0.1:16447"
        );
        let accounts = config.ports.accounts().unwrap();
        assert_eq!(accounts.http.to_string(), "127.0.0.1:16448");
        assert_eq!(accounts.admin.to_string(), "127.0.0.1:16450");
        let lobby = config.ports.lobby().unwrap();
        assert_eq!(lobby.http.to_string(), "127.0.0.1:16451");
    }

    #[test]
    fn accounts_have_ports_of_their_own_or_none() {
        let ports = config("--dir /tmp/state --auth-port 18000").unwrap().ports;
        assert_eq!(ports.accounts().unwrap().grpc.port(), 18_001);
        assert_eq!(ports.all().len(), 10);
        let ports = config("--dir /tmp/state --no-lobby").unwrap().ports;
        assert_eq!(ports.all().len(), 8);
        let ports = config("--dir /tmp/state --no-auth").unwrap().ports;
        assert!(ports.accounts().is_none());
        assert_eq!(ports.all().len(), 5);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let line = "--dir /tmp/state --image game --image other=/no/such/program \
                    --manifest /no/such/directory --nodes 1001 --port 65535 --address 0.0.0.0 --http \
                    --auth-port 65534";
        let Problems(problems) = config(line).unwrap_err();
        let starts: Vec<_> = problems
            .iter()
            .filter_map(|problem| problem.split_once(':'))
            .map(|(start, _)| start)
            .collect();
        assert_eq!(
            starts,
            [
                "--image game",
                "--image other",
                "--manifest /no/such/directory",
                "--nodes 1001",
                "--port 65535",
                "--auth-port 65534",
                "--address 0.0.0.0",
                "--http"
            ]
        );
    }
}
