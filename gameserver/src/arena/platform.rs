//! The control plane: what the game and the platform tell each other.
//!
//! It is also where the trace of an allocation goes on, see [`traces`].
//!
//! Everything here may take its time, so none of it runs on the thread that ticks. Under Muster
//! the key, the match and its players come by `muster.sdk.v1`; under plain Agones there is none of
//! that, and the state of the server is all that is told.

mod label;
mod traces;

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::Sender;
use std::time::Duration;

use netcode::Key;
use proto::agones::dev::sdk::GameServer;
use proto::muster::sdk::v1::end_match_request::Next;
use proto::muster::sdk::v1::sdk_client::SdkClient;
use proto::muster::sdk::v1::{
    EndMatchRequest, GetConnectKeyRequest, Match, PlayerJoinedRequest, PlayerLeftRequest,
    WatchMatchRequest, WatchMatchResponse,
};
use runtime::backoff::Backoff;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tracing::Instrument as _;

use self::label::Label;
use self::traces::Assigned;
use crate::arena::host::{Order, Report};
use crate::arena::life::AfterMatch;
use crate::arena::sessions::PlayerId;
use crate::arena::shell::Progress;
use crate::sdk::{self, Sdk};

/// Waits between attempts to tell the platform something that it must know.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(200),
    cap: Duration::from_secs(5),
};

/// Attempts to tell it something that it can do without.
const ATTEMPTS: u32 = 4;

/// Attempts to get a key after the first one: about half a minute.
const KEY_ATTEMPTS: u32 = 10;

/// The port that players use, if it has this name; else the first.
const GAME_PORT: &str = "game";

/// The platform could not give what the server cannot do without.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call failed.
    #[error(transparent)]
    Sdk(#[from] sdk::Error),
    /// The SDK server is one of plain Agones.
    #[error(
        "the SDK server gives no connect key: it is not Muster's; add --key-file, or --connect=open"
    )]
    NoConnectKey,
    /// What came is not a key.
    #[error("the platform's connect key cannot be used")]
    BadKey(#[from] netcode::keys::Error),
    /// Reconnection tokens would lead nowhere.
    #[error("the platform names no address and port for players; add --address")]
    NoAddress,
}

/// Time for the platform to name the address of a server that said Ready.
const ADDRESS_LIMIT: Duration = Duration::from_secs(30);

/// The platform, as its SDK server shows it.
#[derive(Debug)]
pub(crate) struct Platform {
    sdk: Sdk,
    server: GameServer,
    muster: SdkClient<Channel>,
    /// Matches as they are assigned; none under plain Agones.
    matches: Option<Streaming<WatchMatchResponse>>,
}

impl Platform {
    /// Connects to the SDK server.
    pub(crate) async fn connect(port: u16) -> Result<Self, Error> {
        let (sdk, server) = sdk::connect(port).await?;
        Ok(Self {
            sdk,
            server,
            muster: SdkClient::new(sdk::channel(port)?),
            matches: None,
        })
    }

    /// The keys of connect tokens for this process, the one that mints first.
    pub(crate) async fn connect_keys(&mut self) -> Result<Vec<Key>, Error> {
        let mut attempt = 0;
        let answer = loop {
            match sdk::limited(self.muster.get_connect_key(GetConnectKeyRequest {})).await {
                Ok(answer) => break answer.into_inner(),
                Err(status) if status.code() == Code::Unimplemented => {
                    return Err(Error::NoConnectKey);
                }
                Err(status) if attempt == KEY_ATTEMPTS => {
                    return Err(sdk::failed("get a connect key")(status).into());
                }
                Err(status) => {
                    tracing::warn!(error = %status, attempt, "Platform gave no connect key yet");
                    tokio::time::sleep(BACKOFF.bound(attempt)).await;
                    attempt += 1;
                }
            }
        };
        if answer.keys.is_empty() {
            return Err(Error::NoConnectKey);
        }
        let keys = answer.keys.iter().map(|key| Key::from_slice(&key.key));
        Ok(keys.collect::<Result<_, _>>()?)
    }

    /// Whether the platform assigns matches. Plain Agones knows no matches.
    pub(crate) async fn assigns_matches(&mut self) -> Result<bool, Error> {
        match sdk::limited(self.muster.watch_match(WatchMatchRequest {})).await {
            Ok(matches) => self.matches = Some(matches.into_inner()),
            Err(status) if status.code() == Code::Unimplemented => {}
            Err(status) => return Err(sdk::failed("watch the match")(status).into()),
        }
        Ok(self.matches.is_some())
    }

    /// The port that players use.
    pub(crate) fn port(&self) -> Option<u16> {
        let ports = &self.server.status.as_ref()?.ports;
        let port = ports
            .iter()
            .find(|port| port.name == GAME_PORT)
            .or_else(|| ports.first())?;
        u16::try_from(port.port).ok()
    }

    /// Says Ready, and waits until the server knows where players reach it: the platform names the
    /// address only then.
    pub(crate) async fn say_ready(&mut self) -> Result<(), Error> {
        sdk::say_ready(self.sdk.clone()).await;
        let knows_address = |server: &GameServer| {
            let status = server.status.as_ref();
            status.is_some_and(|status| !status.address.is_empty())
        };
        let told = tokio::time::timeout(ADDRESS_LIMIT, async {
            loop {
                if let Ok(mut servers) = self.sdk.watch().await {
                    while let Ok(Some(server)) = servers.message().await {
                        if knows_address(&server) {
                            return server;
                        }
                    }
                }
                tokio::time::sleep(sdk::RETRY).await;
            }
        });
        self.server = told.await.map_err(|_| Error::NoAddress)?;
        Ok(())
    }

    /// Where players reach this server, once it is Ready.
    pub(crate) async fn address(&self) -> Result<SocketAddr, Error> {
        let port = self.port().ok_or(Error::NoAddress)?;
        let status = self.server.status.as_ref().ok_or(Error::NoAddress)?;
        if let Ok(ip) = status.address.parse::<IpAddr>() {
            return Ok((ip, port).into());
        }
        let found = tokio::net::lookup_host((status.address.as_str(), port)).await;
        let mut found = found.map_err(|_| Error::NoAddress)?;
        found.next().ok_or(Error::NoAddress)
    }

    /// Serves the game until it is gone, which ends `reports`.
    pub(crate) async fn serve(
        self,
        orders: Sender<Order>,
        mut reports: Receiver<Report>,
        progress: Progress,
    ) {
        let ended = CancellationToken::new();
        let is_assigned = self.matches.is_some();
        let period = sdk::health_period(&self.server);
        let mut before = None;
        let health = sdk::send_health(self.sdk.clone(), period, ended.clone(), move || {
            // No tick since the last ping: the game hangs, and the platform shall know.
            let ticks = Some(progress.ticks());
            std::mem::replace(&mut before, ticks) != ticks
        });
        let (assigned, newest) = watch::channel(None);
        let watching = watch_matches(self.muster.clone(), self.matches, orders.clone(), assigned);
        let (label, writer) = label::new();
        let mut sdk = self.sdk.clone();
        let labeling = writer.run(async |is_open| label::write(&mut sdk, is_open).await);
        let mut teller = Teller {
            label,
            sdk: self.sdk.clone(),
            muster: is_assigned.then_some(self.muster),
            is_allocated: false,
            assigned: newest,
        };
        let tell = async {
            while let Some(report) = reports.recv().await {
                if let Some(answer) = teller.tell(report).await {
                    // Once the game is gone, nobody needs to know.
                    drop(orders.send(answer));
                }
            }
            teller.label.settle().await;
            ended.cancel();
        };
        tokio::join!(
            health,
            tell,
            ended.run_until_cancelled(watching),
            ended.run_until_cancelled(labeling)
        );
    }
}

/// Serves a game that no platform runs: nobody assigns matches or wants to know results.
pub(crate) async fn serve_alone(orders: Sender<Order>, mut reports: Receiver<Report>) {
    while let Some(report) = reports.recv().await {
        if let Report::Ended { result, .. } = report {
            tracing::info!(result, "Match ended");
            // Once the game is gone, nobody needs to know.
            drop(orders.send(Order::Reported));
        }
    }
}

/// Hands assignments to the game, for as long as there are any, and shows which is the newest.
async fn watch_matches(
    mut muster: SdkClient<Channel>,
    matches: Option<Streaming<WatchMatchResponse>>,
    orders: Sender<Order>,
    newest: watch::Sender<Option<Assigned>>,
) {
    let Some(mut matches) = matches else {
        return std::future::pending().await;
    };
    loop {
        while let Ok(Some(answer)) = matches.message().await {
            let assigned = answer.r#match.as_ref().and_then(order);
            // The same match again, with other players or after a new connection, is no news.
            let id = match &assigned {
                Some(Order::Assigned { match_id, .. }) => Some(*match_id),
                _ => None,
            };
            if id == newest.borrow().as_ref().map(Assigned::id) {
                continue;
            }
            let of_match = answer.r#match.unwrap_or_default();
            newest.send_replace(id.map(|id| Assigned::new(id, of_match)));
            if orders.send(assigned.unwrap_or(Order::Withdrawn)).is_err() {
                return;
            }
        }
        tokio::time::sleep(sdk::RETRY).await;
        if let Ok(answer) = sdk::limited(muster.watch_match(WatchMatchRequest {})).await {
            matches = answer.into_inner();
        }
    }
}

fn order(assigned: &Match) -> Option<Order> {
    let players = assigned.players.iter();
    Some(Order::Assigned {
        match_id: assigned.match_id.as_slice().try_into().ok()?,
        // Nobody can come as a player whose id is none.
        players: players
            .filter_map(|player| PlayerId::from_uuid(&player.player_id))
            .collect(),
    })
}

/// How an attempt to tell the platform something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// The platform took it.
    Taken,
    /// It will not take it, however often it is told.
    Refused,
    /// It was told often enough.
    GivenUp,
}

/// Tells the platform what happens.
struct Teller {
    label: Label,
    sdk: Sdk,
    /// None under plain Agones.
    muster: Option<SdkClient<Channel>>,
    is_allocated: bool,
    /// The match that the platform assigned last, unless it took it away.
    assigned: watch::Receiver<Option<Assigned>>,
}

impl Teller {
    /// Tells it, and returns what the game is to hear of that.
    async fn tell(&mut self, report: Report) -> Option<Order> {
        match report {
            Report::Joined(player) => {
                let player_id = player.to_uuid();
                let span = traces::joined(self.assigned.borrow().as_ref(), &player_id);
                self.insist(Some(ATTEMPTS), "player joined", async |this| {
                    this.joined(&player_id).await
                })
                .instrument(span)
                .await;
            }
            Report::Left(player) => {
                let player_id = player.to_uuid();
                self.insist(Some(ATTEMPTS), "player left", async |this| {
                    let Some(muster) = &mut this.muster else {
                        return Ok(());
                    };
                    let player_id = player_id.clone();
                    let request = PlayerLeftRequest { player_id };
                    sdk::limited(muster.player_left(request)).await.map(drop)
                })
                .await;
            }
            Report::Ended {
                match_id,
                result,
                next,
            } => {
                tracing::info!(result, "Match ended");
                // The server may be given another match right after it.
                self.label.settle().await;
                let told = self.insist(None, "match ended", async |this| {
                    this.ended(match_id, &result, next).await
                });
                // The result is not wanted, but the server must not stay Allocated for nothing.
                if told.await == Told::Refused && !self.is_wanted_elsewhere(match_id, next) {
                    self.insist(None, "next state", async |this| this.move_on(next).await)
                        .await;
                }
                self.is_allocated = false;
                return Some(Order::Reported);
            }
            Report::Open(is_open) => self.label.set(is_open),
            Report::Leaving => {
                self.insist(Some(ATTEMPTS), "server ends", async |this| {
                    this.move_on(AfterMatch::Shutdown).await
                })
                .await;
            }
        }
        None
    }

    async fn joined(&mut self, player_id: &str) -> Result<(), Status> {
        if let Some(muster) = &mut self.muster {
            let player_id = player_id.to_owned();
            let request = PlayerJoinedRequest { player_id };
            sdk::limited(muster.player_joined(request)).await?;
        } else if !self.is_allocated {
            // Nobody shall take away a server that is played on.
            self.sdk.allocate().await?;
        }
        self.is_allocated = true;
        Ok(())
    }

    async fn ended(
        &mut self,
        match_id: [u8; 16],
        result: &str,
        next: AfterMatch,
    ) -> Result<(), Status> {
        if let Some(muster) = &mut self.muster {
            let next = match next {
                AfterMatch::Shutdown => Next::Shutdown,
                AfterMatch::Ready => Next::Ready,
            };
            let request = EndMatchRequest {
                match_id: match_id.to_vec(),
                result: result.to_owned(),
                next: next.into(),
            };
            return sdk::limited(muster.end_match(request)).await.map(drop);
        }
        self.move_on(next).await
    }

    /// Whether the server was assigned another match meanwhile, which Ready would take away again.
    fn is_wanted_elsewhere(&self, match_id: [u8; 16], next: AfterMatch) -> bool {
        let assigned = self.assigned.borrow();
        let is_another = assigned.as_ref().is_some_and(|it| it.id() != match_id);
        next == AfterMatch::Ready && is_another
    }

    /// Says in which state the server goes on, without a result.
    async fn move_on(&mut self, next: AfterMatch) -> Result<(), Status> {
        match next {
            AfterMatch::Shutdown => self.sdk.shutdown().await,
            AfterMatch::Ready => self.sdk.ready().await,
        }
    }

    /// Calls until it succeeds, or is refused for good, or was tried `attempts` times. Returns how
    /// it ended.
    async fn insist(
        &mut self,
        attempts: Option<u32>,
        what: &'static str,
        mut call: impl AsyncFnMut(&mut Self) -> Result<(), Status>,
    ) -> Told {
        for attempt in 0..attempts.unwrap_or(u32::MAX) {
            let Err(status) = call(self).await else {
                return Told::Taken;
            };
            tracing::warn!(what, error = %status, attempt, "Platform was not told");
            if is_final(&status) {
                return Told::Refused;
            }
            tokio::time::sleep(BACKOFF.bound(attempt)).await;
        }
        Told::GivenUp
    }
}

/// Whether what was refused would be refused again.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition
    )
}
