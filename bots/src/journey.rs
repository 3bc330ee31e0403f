//! The whole way of players, as their programs take it: an account, the lobby, a party, a ticket, a
//! match, chat, a loss and the way back, the result.
//!
//! Each player is a task of its own; all bots play on one thread, the `field`. What is measured is
//! what a player would see, from outside.

mod account;
mod field;
mod lobby;
mod player;
mod table;

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::try_join_all;
use tokio::sync::oneshot;
use url::Url;

use self::account::Auth;
use self::field::Field;
use self::player::{Fate, Player, Role};
pub use self::table::{Step, Steps};
use crate::args::JourneyArgs;
use crate::command;

/// Who travels, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where auth serves HTTP.
    pub auth: Url,
    /// Where the lobby serves its socket, as `http://`.
    pub lobby: Url,
    /// Which queue they join.
    pub queue: String,
    /// How many players: whole parties, and whole matches.
    pub players: usize,
    /// Players of a party.
    pub party: usize,
    /// How long a player waits for a match at most.
    pub patience: Duration,
}

/// Why a journey ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A URL cannot be used.
    #[error("{0} cannot be used")]
    Url(Url),
    /// Auth does not answer.
    #[error("auth does not answer")]
    Http(#[source] reqwest::Error),
    /// Auth refused.
    #[error("auth answered {0}: {1}")]
    Auth(u16, String),
    /// Auth's answer makes no sense.
    #[error("auth's answer makes no sense")]
    Answer(#[source] serde_json::Error),
    /// The socket failed.
    #[error("the lobby's socket failed")]
    Socket(#[source] Box<tokio_tungstenite::tungstenite::Error>),
    /// The lobby closed the socket.
    #[error("the lobby closed the socket: {0}")]
    Closed(String),
    /// The lobby refused a call.
    #[error("the lobby refused: {0}: {1}")]
    Lobby(String, String),
    /// The lobby's message makes no sense.
    #[error("the lobby's message makes no sense")]
    Protobuf(#[source] prost::DecodeError),
    /// Something else came.
    #[error("the lobby did not say {0}")]
    Unexpected(&'static str),
    /// Something did not come in time.
    #[error("there was no {0} in time")]
    Late(&'static str),
    /// A player's game failed.
    #[error("the game refused the player")]
    Client(#[from] client::Error),
    /// Sockets failed.
    #[error("input or output failed")]
    Io(#[source] std::io::Error),
    /// The thread that plays is gone.
    #[error("the thread of the bots is gone")]
    Field,
    /// The match ended in another way than by its rules.
    #[error("the match ended: {0}")]
    Ended(client::session::End),
    /// The tokens of a match cannot be read.
    #[error("the connect token is not in base64")]
    Token,
    /// The arguments do not fit.
    #[error("{0}")]
    Argument(&'static str),
    /// Where it happened.
    #[error("player {player}, {step}")]
    At {
        /// Which player.
        player: usize,
        /// Doing what.
        step: &'static str,
        /// What happened.
        #[source]
        source: Box<Self>,
    },
}

/// What `bots journey` does: lets players travel, and prints how long each step took.
pub fn command(args: &JourneyArgs) -> Result<(), command::Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let steps = runtime.block_on(run(&Config {
        auth: args.auth.clone(),
        lobby: args.lobby.clone(),
        queue: args.queue.clone(),
        players: args.players.into(),
        party: args.party.into(),
        patience: Duration::from_secs(args.patience),
    }))?;
    write!(std::io::stdout(), "{}", steps.markdown())?;
    Ok(())
}

/// Lets all players travel at once. How long each step took; an error as soon as one of them is
/// stuck.
pub async fn run(config: &Config) -> Result<Steps, Error> {
    let (players, party) = (config.players, config.party);
    if players == 0 || party == 0 || players % party != 0 {
        return Err(Error::Argument("the players must be whole parties"));
    }
    let auth = Auth::new(config.auth.clone())?;
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or_default()
        });
    let field = Field::start(seed);
    let mut tasks = Vec::new();
    for group in 0..players / party {
        let (mut mates, codes): (Vec<_>, Vec<_>) = (1..party).map(|_| oneshot::channel()).unzip();
        let mut roles = vec![Role::Host(std::mem::take(&mut mates))];
        roles.extend(codes.into_iter().map(Role::Mate));
        for (place, role) in roles.into_iter().enumerate() {
            let index = group * party + place;
            let player = Player {
                index,
                device: format!("journey-{seed:x}-{index}"),
                fate: fate(index),
                config: config.clone(),
                auth: auth.clone(),
                field: field.commands(),
            };
            tasks.push(player.travel(role));
        }
    }
    let traveled = try_join_all(tasks).await;
    // The thread ends when the players have.
    let ended = tokio::task::spawn_blocking(move || field.end())
        .await
        .map_err(|_| Error::Field)?;
    let mut steps = Steps::default();
    for one in traveled? {
        steps.add(&one);
    }
    ended?;
    Ok(steps)
}

/// Somebody loses the network, and somebody the whole program.
const fn fate(index: usize) -> Fate {
    match index {
        1 => Fate::Blackout,
        2 => Fate::Crash,
        _ => Fate::Plain,
    }
}
