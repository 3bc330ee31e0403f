//! The command line and environment of `arena-server`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use netcode::ProtocolId;
use runtime::telemetry::LogArgs;
use runtime::trace::TraceArgs;

use crate::arena::life::AfterMatch;

/// An authoritative game server: players join with connect tokens, over sealed UDP.
#[derive(Clone, Debug, Parser)]
#[command(name = "arena-server", version)]
pub struct Args {
    /// UDP port to listen on; 0 for any.
    #[arg(long, env = "ARENA_PORT", default_value_t = 7777)]
    pub port: u16,

    /// Where players reach this server, as reconnection tokens name it; repeat for more. The
    /// platform's address and port by default, and loopback without a platform.
    #[arg(
        long = "address",
        env = "ARENA_ADDRESSES",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub addresses: Vec<SocketAddr>,

    /// Who may connect. With `open` anybody can make a token: for development alone.
    #[arg(long, env = "ARENA_CONNECT", value_enum, default_value_t = Connect::Token)]
    pub connect: Connect,

    /// Reads the key of connect tokens, 32 bytes or 64 hexadecimal digits, from this file instead
    /// of the platform.
    #[arg(long, env = "ARENA_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// Names the game and its wire format, in hexadecimal; tokens must say the same.
    #[arg(
        long,
        env = "ARENA_PROTOCOL_ID",
        value_name = "HEX",
        default_value_t = ProtocolId::MUSTER
    )]
    pub protocol_id: ProtocolId,

    /// Who assigns matches and wants to know how they end.
    #[arg(long, env = "ARENA_PLATFORM", value_enum, default_value_t = Platform::Muster)]
    pub platform: Platform,

    /// Port of the SDK server on this host.
    #[arg(long, env = "AGONES_SDK_GRPC_PORT", default_value_t = 9357)]
    pub sdk_port: u16,

    /// Most players of a match, up to 1024.
    #[arg(
        long,
        env = "ARENA_PLAYERS",
        value_name = "COUNT",
        default_value_t = 64
    )]
    pub players: u16,

    /// Most spectators.
    #[arg(
        long,
        env = "ARENA_SPECTATORS",
        value_name = "COUNT",
        default_value_t = 16
    )]
    pub spectators: u16,

    /// Players who have to be there for a match to start before the wait is over, unless the
    /// platform says who is expected.
    #[arg(
        long,
        env = "ARENA_MIN_PLAYERS",
        value_name = "COUNT",
        default_value_t = 2
    )]
    pub min_players: u16,

    /// Longest wait for players. Then the match starts with whoever is there, or ends.
    #[arg(
        long,
        env = "ARENA_WAIT_SECONDS",
        value_name = "SECONDS",
        default_value_t = 60
    )]
    pub wait_seconds: u32,

    /// Teams; 0 for everybody alone.
    #[arg(long, env = "ARENA_TEAMS", value_name = "COUNT", default_value_t = 0)]
    pub teams: u8,

    /// Score of a player or team that ends the match.
    #[arg(
        long,
        env = "ARENA_SCORE_LIMIT",
        value_name = "SCORE",
        default_value_t = 50
    )]
    pub score_limit: u16,

    /// Longest match, in seconds.
    #[arg(
        long,
        env = "ARENA_TIME_LIMIT",
        value_name = "SECONDS",
        default_value_t = 300
    )]
    pub time_limit: u32,

    /// Whether players may join while a match is played.
    #[arg(
        long, env = "ARENA_LATE_JOIN", value_name = "BOOL", default_value = "true",
        action = clap::ArgAction::Set
    )]
    pub late_join: bool,

    /// Seed of the first match's level.
    #[arg(
        long,
        env = "ARENA_LEVEL_SEED",
        value_name = "SEED",
        default_value_t = 1
    )]
    pub level_seed: u64,

    /// Balls and crates, up to 200.
    #[arg(long, env = "ARENA_PROPS", value_name = "COUNT", default_value_t = 40)]
    pub props: u16,

    /// Threads that play: one for everything, or one for the socket and one for the game. By
    /// default one on machines with up to two cores.
    #[arg(long, env = "ARENA_THREADS", value_enum)]
    pub threads: Option<Threads>,

    /// Keeps the history of matches in this directory, one file per match.
    #[arg(long, env = "ARENA_HISTORY_DIRECTORY", value_name = "DIRECTORY")]
    pub history_directory: Option<PathBuf>,

    /// Keeps the history of matches in the TimescaleDB or PostgreSQL whose URL is in this file.
    #[arg(
        long,
        env = "ARENA_HISTORY_URL_FILE",
        value_name = "FILE",
        conflicts_with = "history_directory"
    )]
    pub history_url_file: Option<PathBuf>,

    /// What is done after a match.
    #[arg(long, env = "ARENA_AFTER_MATCH", value_enum, default_value_t = AfterMatch::Shutdown)]
    pub after_match: AfterMatch,

    /// How long a match may go on after the process was asked to end, in seconds.
    #[arg(
        long,
        env = "ARENA_DRAIN_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 300
    )]
    pub drain_timeout: u32,

    /// Address of the admin server: health and metrics.
    #[arg(long, env = "ARENA_ADMIN_ADDRESS", default_value = "0.0.0.0:9092")]
    pub admin_address: SocketAddr,

    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,

    /// What is traced.
    #[command(flatten)]
    pub trace: TraceArgs,
}

/// Who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Connect {
    /// Holders of a token that was sealed with this server's key.
    Token,
    /// Anybody, by a token sealed with a key that is no secret.
    Open,
}

/// Who runs this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// Muster, or Agones: there is an SDK server on this host.
    Muster,
    /// Nobody.
    None,
}

/// How the work is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Threads {
    /// Socket and game on one thread.
    One,
    /// A thread for each.
    Two,
}
