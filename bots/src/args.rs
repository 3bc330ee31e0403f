//! The command line of `bots`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand};
use netcode::ProtocolId;
use url::Url;

/// Players for an arena server: bots that verify what they see, and a client for a terminal.
#[derive(Clone, Debug, Parser)]
#[command(name = "bots", version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `bots` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Lets bots play over simulated networks, and judges what they saw.
    Run(RunArgs),
    /// Prints the names of the networks that `run` knows, one per line.
    Profiles,
    /// Plays in this terminal, or watches.
    Play(PlayArgs),
    /// Draws a scene of a match as SVG.
    Picture(PictureArgs),
    /// Takes players the whole way: account, lobby, party, match, result.
    Journey(JourneyArgs),
}

/// Where tokens come from: a file, a key, or the platform.
#[derive(Clone, Debug, Group)]
pub struct TicketArgs {
    /// Connect tokens in base64, one per line; `-` reads them from standard input.
    #[arg(long, env = "BOTS_TOKENS", value_name = "FILE", group = "tickets")]
    pub tokens: Option<PathBuf>,

    /// The key of a server in development (32 bytes, or 64 hexadecimal digits): players mint their
    /// own tokens. Needs `--server`.
    #[arg(long, env = "BOTS_KEY_FILE", value_name = "FILE", group = "tickets")]
    pub key_file: Option<PathBuf>,

    /// The allocator of the platform, which finds a server and mints a token for each player.
    #[arg(long, env = "BOTS_ALLOCATOR", value_name = "URL", group = "tickets")]
    pub allocator: Option<String>,

    /// Where the server is, for tokens that are minted here.
    #[arg(long, env = "BOTS_SERVER", default_value = "127.0.0.1:7777")]
    pub server: SocketAddr,

    /// Names the game and its wire format, in hexadecimal; the server must say the same.
    #[arg(
        long,
        env = "BOTS_PROTOCOL_ID",
        value_name = "HEX",
        default_value_t = ProtocolId::MUSTER
    )]
    pub protocol_id: ProtocolId,

    /// The match of minted tokens, a UUID; a new one by default. A server without a platform plays
    /// the match of its first player.
    #[arg(long, env = "BOTS_MATCH", value_name = "UUID")]
    pub match_id: Option<String>,

    /// The namespace of the game servers, with `--allocator`.
    #[arg(long, env = "BOTS_NAMESPACE", default_value = "default")]
    pub namespace: String,

    /// The fleet to allocate from, with `--allocator`; any by default.
    #[arg(long, env = "BOTS_FLEET")]
    pub fleet: Option<String>,
}

/// Arguments of `bots run`.
#[derive(Clone, Debug, Group)]
pub struct RunArgs {
    /// The network that the bots have; repeat for more, or `all`. `flood` lets a flood loose on the
    /// server in the second half.
    #[arg(
        long = "profile",
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "clean"
    )]
    pub profiles: Vec<String>,

    /// Bots.
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub players: u16,

    /// How long each profile is played; at least as long as it needs to show itself.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub seconds: u64,

    /// Decides what bots do and what their networks do to them.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Writes everything that was measured to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// The server's admin address: its ticks are part of the report then.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,

    /// Junk of a flood, in datagrams per second: half random bytes, half shaped like packets.
    #[arg(long, value_name = "RATE", default_value_t = 200_000)]
    pub flood_junk: u32,

    /// Forged requests of a flood, in datagrams per second.
    #[arg(long, value_name = "RATE", default_value_t = 20_000)]
    pub flood_requests: u32,

    /// Where tokens come from.
    #[command(flatten)]
    pub tickets: TicketArgs,
}

/// Arguments of `bots play`.
#[derive(Clone, Debug, Group)]
pub struct PlayArgs {
    /// The name that others see.
    #[arg(long, env = "USER", default_value = "player")]
    pub name: String,

    /// Watches instead of playing. A token of somebody else says by itself whether its holder does.
    #[arg(long)]
    pub watch: bool,

    /// Where the token comes from.
    #[command(flatten)]
    pub tickets: TicketArgs,
}

/// Arguments of `bots picture`.
#[derive(Clone, Debug, Group)]
pub struct PictureArgs {
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Bots in the picture, besides the one that it is drawn around.
    #[arg(long, value_name = "COUNT", default_value_t = 15)]
    pub players: u16,

    /// How long they play before the picture is taken.
    #[arg(long, value_name = "SECONDS", default_value_t = 12)]
    pub seconds: u64,

    /// Decides what bots do.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Where tokens come from.
    #[command(flatten)]
    pub tickets: TicketArgs,
}

/// Arguments of `bots journey`.
#[derive(Clone, Debug, Group)]
pub struct JourneyArgs {
    /// Where auth serves HTTP.
    #[arg(
        long,
        env = "BOTS_AUTH",
        value_name = "URL",
        default_value = "http://127.0.0.1:16448"
    )]
    pub auth: Url,

    /// Where the lobby serves HTTP and its socket.
    #[arg(
        long,
        env = "BOTS_LOBBY",
        value_name = "URL",
        default_value = "http://127.0.0.1:16451"
    )]
    pub lobby: Url,

    /// The queue that they join.
    #[arg(long, value_name = "NAME", default_value = "skirmish")]
    pub queue: String,

    /// Players: whole parties, and whole matches of the queue.
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub players: u16,

    /// Players of a party.
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub party: u16,

    /// Longest wait for a match.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub patience: u64,
}
