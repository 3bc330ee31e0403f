//! The `muster` command: `muster dev` runs the whole control plane in one process.
//!
//! The other commands are the programs of game server pods. They are here so that one binary is
//! enough on a laptop; `muster dev` starts itself by these names.

mod dev;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use runtime::service::{self, Threads};
use runtime::telemetry::Telemetry;

/// Game servers for multiplayer games on Kubernetes, and on a laptop.
#[derive(Debug, Parser)]
#[command(name = "muster", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Runs everything in one process: a Kubernetes API, a node, the operator, the allocator and
    /// accounts of players.
    ///
    /// Needs no root, no containers and no cluster. kubectl works with the kubeconfig that is
    /// written at the start.
    Dev(Box<dev::Args>),
    /// Serves the Agones SDK to the game server beside it.
    #[command(disable_help_flag = true)]
    SdkServer(Words),
    /// The sample game server: echoes UDP and TCP, and obeys commands that drive the SDK.
    #[command(disable_help_flag = true)]
    SimpleServer(Words),
    /// The authoritative game server of the arena: players join it with connect tokens.
    #[command(disable_help_flag = true)]
    ArenaServer(Words),
    /// Programs that the node of `muster dev` needs beside it.
    #[command(name = dev::HELPER, hide = true, disable_help_flag = true)]
    Helper(Words),
}

/// A command line that another parser reads.
#[derive(Debug, clap::Args)]
struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Words {
    fn of(self, program: &str) -> impl Iterator<Item = OsString> {
        std::iter::once(OsString::from(program)).chain(self.words)
    }
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Dev(args) => dev::main(*args),
        Command::SdkServer(words) => service::main_from(
            words.of("muster sdk-server"),
            Threads::One,
            |args: &sdk_server::Args| Telemetry::logs(&args.log),
            sdk_server::Config::try_from,
            sdk_server::run,
        ),
        Command::SimpleServer(words) => service::main_from(
            words.of("muster simple-server"),
            Threads::One,
            |args: &gameserver::echo::args::CommandLine| Telemetry::logs(&args.0.log),
            |args| gameserver::echo::config::Config::try_from(args.0),
            gameserver::echo::run,
        ),
        Command::ArenaServer(words) => service::main_from(
            words.of("muster arena-server"),
            Threads::One,
            |args: &gameserver::arena::args::Args| {
                Telemetry::logs(&args.log).and_traces("arena-server", &args.trace)
            },
            gameserver::arena::config::Config::try_from,
            gameserver::arena::run,
        ),
        Command::Helper(Words { words }) => embedded::node::helper(words),
    }
}
