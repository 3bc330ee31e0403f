//! A lobby without sockets, and players who call it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use lobby::accounts::{self, Accounts};
use lobby::chat::moderation::{Lists, Moderator};
use lobby::config::Settings;
use lobby::ids::{MatchId, PlayerId, SessionId};
use lobby::live::memory::Memory;
use lobby::live::{Channel, Delivery, Live};
use lobby::metrics::Metrics;
use lobby::ratings::Rating;
use lobby::servers::{self, Allocated, Change, Player, Servers, Token, Wanted};
use lobby::service::{Caller, Parts, Service};
use lobby::sessions::notice::Notice;
use lobby::sessions::{ResumeToken, Sessions};
use lobby::store::sqlite::Sqlite;
use lobby::store::{Ending, Match, MatchStatus, Seat, Server, Store};
use lobby::{Code, Failure};
use proto::muster::lobby::v1 as wire;
use serde_json::Value;
use sqlx::ConnectOptions as _;
use tokio::sync::broadcast;
use uuid::Uuid;
use wire::event::Event;

/// Numbers worlds, so that each has a file of its own.
static WORLDS: AtomicU32 = AtomicU32::new(0);

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// There are no game servers.
#[derive(Debug)]
struct NoServers;

#[async_trait]
impl Servers for NoServers {
    async fn allocate(&self, _wanted: &Wanted) -> Result<Allocated, servers::Error> {
        Err(servers::Error::NoServer)
    }

    async fn mint(
        &self,
        _namespace: &str,
        _id: MatchId,
        _players: &[Player],
    ) -> Result<Vec<Token>, servers::Error> {
        Err(servers::Error::Unknown)
    }

    async fn release(&self, _namespace: &str, _id: MatchId) -> Result<(), servers::Error> {
        Ok(())
    }

    async fn watch(
        &self,
        _namespace: &str,
    ) -> Result<BoxStream<'static, Result<Change, servers::Error>>, servers::Error> {
        Err(servers::Error::NoServer)
    }

    fn token_lifetime(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// There is no auth.
#[derive(Debug)]
struct NoAccounts;

#[async_trait]
impl Accounts for NoAccounts {
    async fn assign(
        &self,
        _player: PlayerId,
        _session: SessionId,
        _game_server: &str,
    ) -> Result<(), accounts::Error> {
        Ok(())
    }

    async fn reconnection_token(
        &self,
        _player: PlayerId,
        _session: SessionId,
        _game_server: &str,
    ) -> Result<String, accounts::Error> {
        Ok(String::new())
    }

    async fn reconnect(
        &self,
        _reconnection_token: &str,
    ) -> Result<accounts::Playing, accounts::Error> {
        Err(accounts::Error::Refused("nobody is known".to_owned()))
    }
}

/// A lobby.
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) live: Arc<Memory>,
    deliveries: broadcast::Receiver<Delivery>,
    folder: Folder,
    _clock: runtime::clock::Guard,
}

/// What players may not say here.
fn lists() -> Lists {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Lists {
        masked: words(&["bugger"]),
        refused: words(&["vermin"]),
        allowed: words(&[]),
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = runtime::clock::virtual_time(Timestamp::now());
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let folder = format!("muster-chat-{}-{number}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(folder));
        std::fs::create_dir_all(&folder.0).unwrap();
        let store = Sqlite::open(&folder.0.join("lobby.sqlite")).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let live = Arc::new(Memory::default());
        let mut settings = Settings {
            regions: Vec::new(),
            channels: vec!["english".to_owned(), "polski".to_owned()],
            lists: lists(),
            slow_mode: Duration::ZERO,
            chat_retention: Duration::from_hours(24 * 30),
            audit_retention: Duration::from_hours(24 * 365),
        };
        change(&mut settings);
        let deliveries = live.deliveries();
        let service = Service::new(Parts {
            replica: Uuid::new_v4(),
            moderator: Moderator::new(&settings.lists).unwrap(),
            settings,
            queues: BTreeMap::new(),
            verifier: Arc::new(access::Verifier::new("http://localhost", "lobby")),
            store: Arc::clone(&store),
            live: Arc::clone(&live) as Arc<dyn Live>,
            servers: Arc::new(NoServers),
            accounts: Arc::new(NoAccounts),
            sessions: Sessions::new(Arc::clone(&live) as Arc<dyn Live>),
            metrics: Metrics::default(),
        });
        Self {
            service,
            store,
            live,
            deliveries,
            folder,
            _clock: clock,
        }
    }

    /// A player whose news are heard.
    pub(crate) async fn player(&self) -> Caller {
        let caller = Caller {
            player: PlayerId(Uuid::new_v4()),
            session: SessionId(Uuid::new_v4()),
            roles: Vec::new(),
        };
        let channel = Channel::Player(caller.player);
        self.live.subscribe(&channel).await.unwrap();
        caller
    }

    /// A player who moderates.
    pub(crate) async fn moderator(&self) -> Caller {
        Caller {
            roles: vec!["moderator".to_owned()],
            ..self.player().await
        }
    }

    /// Gives a player a session, as a socket has one.
    pub(crate) async fn connect(&self, caller: &Caller) {
        let token = ResumeToken::new().unwrap();
        let sessions = &self.service.parts().sessions;
        sessions.open(caller, &token, now()).await;
    }

    /// Lets time pass.
    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    /// Lets enough time pass that everybody may write again.
    pub(crate) async fn rest(&self) {
        self.pass(Duration::from_secs(10)).await;
    }

    /// Says something.
    pub(crate) async fn say(
        &self,
        caller: &Caller,
        channel: &str,
        text: &str,
    ) -> Result<wire::ChatMessage, Failure> {
        let call = wire::SendChat {
            channel: channel.to_owned(),
            text: text.to_owned(),
        };
        self.service.send_chat(caller, call).await
    }

    /// Says something, well apart from what was said before.
    pub(crate) async fn said(&self, caller: &Caller, channel: &str, text: &str) -> u64 {
        self.rest().await;
        self.say(caller, channel, text).await.unwrap().number
    }

    /// The newest lines of a channel.
    pub(crate) async fn lines(&self, caller: &Caller, channel: &str) -> Vec<wire::ChatMessage> {
        let call = wire::ListChat {
            channel: channel.to_owned(),
            ..wire::ListChat::default()
        };
        self.service.list_chat(caller, call).await.unwrap().messages
    }

    /// What was told since the last look, and to whom.
    pub(crate) fn told(&mut self) -> Vec<(Channel, wire::ChatMessage)> {
        let mut told = Vec::new();
        while let Ok(delivery) = self.deliveries.try_recv() {
            let Delivery::Message { channel, bytes } = delivery else {
                panic!("news were missed");
            };
            let Notice::Event(event) = Notice::decode(&bytes).unwrap() else {
                continue;
            };
            if let Some(Event::ChatMessage(message)) = event.event {
                told.push((channel, message));
            }
        }
        told
    }

    /// A room with these members, the first of whom is the host; its channel.
    pub(crate) async fn room(&self, kind: wire::RoomKind, members: &[&Caller]) -> String {
        let [host, others @ ..] = members else {
            panic!("a room has a host");
        };
        let create = wire::CreateRoom {
            kind: kind.into(),
            settings: Some(wire::RoomSettings {
                capacity: 8,
                ..wire::RoomSettings::default()
            }),
        };
        let room = self.service.create_room(host, create).await.unwrap();
        for member in others {
            let join = wire::JoinRoom {
                by: Some(wire::join_room::By::Code(room.code.clone())),
            };
            self.service.join_room(member, join).await.unwrap();
        }
        match kind {
            wire::RoomKind::Party => format!("party:{}", room.id),
            wire::RoomKind::Lobby => format!("lobby:{}", room.id),
        }
    }

    /// A match of these teams.
    pub(crate) async fn begin(&self, teams: &[&[&Caller]]) -> MatchId {
        let id = MatchId(Uuid::now_v7());
        let mut seats = Vec::new();
        for (team, players) in teams.iter().enumerate() {
            seats.extend(players.iter().map(|caller| Seat {
                player: caller.player,
                session: caller.session,
                team: u16::try_from(team).unwrap(),
                rank: None,
                ratings: None,
            }));
        }
        let made = Match {
            id,
            queue: "duel".to_owned(),
            region: "eu".to_owned(),
            server: Server {
                namespace: "default".to_owned(),
                name: "arena-1".to_owned(),
                endpoint: "203.0.113.7:7012".to_owned(),
            },
            is_rated: true,
            status: MatchStatus::Started,
            made_at: now(),
            ended_at: None,
            result: None,
            seats,
        };
        self.store.commit(&made).await.unwrap();
        id
    }

    /// Ends a match now.
    pub(crate) async fn end(&self, id: MatchId) {
        let ending = Ending {
            at: now(),
            result: None,
            ranks: None,
            newcomer: Rating {
                mean: 25.0,
                deviation: 8.0,
                volatility: 0.0,
            },
        };
        let ended = self.store.end(id, &ending, &|_, _| None).await.unwrap();
        assert!(ended.is_some());
    }

    /// The audit log: event, who did it, to whom, and more.
    pub(crate) async fn audit(&self) -> Vec<Audited> {
        let statement =
            "SELECT event, actor_id, subject_id, detail FROM audit_log ORDER BY audit_id";
        let rows: Vec<(String, Option<Uuid>, Option<Uuid>, String)> = sqlx::query_as(statement)
            .fetch_all(&mut self.database().await)
            .await
            .unwrap();
        rows.into_iter()
            .map(|(event, actor, subject, detail)| Audited {
                event,
                actor: actor.map(PlayerId),
                subject: subject.map(PlayerId),
                detail: serde_json::from_str(&detail).unwrap(),
            })
            .collect()
    }

    /// What reports hold: why, and the lines around.
    pub(crate) async fn reports(&self) -> Vec<(String, Value)> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT reason, evidence FROM chat_reports ORDER BY at")
                .fetch_all(&mut self.database().await)
                .await
                .unwrap();
        rows.into_iter()
            .map(|(reason, evidence)| (reason, serde_json::from_str(&evidence).unwrap()))
            .collect()
    }

    async fn database(&self) -> sqlx::SqliteConnection {
        sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.folder.0.join("lobby.sqlite"))
            .connect()
            .await
            .unwrap()
    }
}

/// A line of the audit log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Audited {
    pub(crate) event: String,
    pub(crate) actor: Option<PlayerId>,
    pub(crate) subject: Option<PlayerId>,
    pub(crate) detail: Value,
}

/// The time of the world.
pub(crate) fn now() -> Timestamp {
    runtime::clock::now()
}

/// The time so long ago.
pub(crate) fn ago(time: Duration) -> Timestamp {
    now() - SignedDuration::try_from(time).unwrap()
}

/// How a call failed.
pub(crate) fn code<Output: std::fmt::Debug>(outcome: Result<Output, Failure>) -> Code {
    outcome.unwrap_err().code
}

/// Which field was wrong.
pub(crate) fn field<Output: std::fmt::Debug>(outcome: Result<Output, Failure>) -> String {
    let failure = outcome.unwrap_err();
    assert_eq!(failure.code, Code::InvalidRequest, "{failure}");
    failure.field.unwrap().into_owned()
}
