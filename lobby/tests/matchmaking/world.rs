//! Lobbies around one live state, in virtual time, with game servers and auth that do as told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use access::Verifier;
use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use jiff::Timestamp;
use lobby::accounts::{self, Accounts, Playing};
use lobby::chat::moderation::{Lists, Moderator};
use lobby::config::Settings;
use lobby::documents;
use lobby::error::Failure;
use lobby::ids::{MatchId, PlayerId, SessionId};
use lobby::live::{Channel, Delivery, Key, Live as _};
use lobby::matchmaking::{Queue, matchmaker};
use lobby::metrics::Metrics;
use lobby::servers::{self, Allocated, Change, Player, Servers, Token, Wanted};
use lobby::service::{Caller, Parts, Service};
use lobby::sessions::Sessions;
use lobby::store::Server;
use prost::Message as _;
use proto::muster::lobby::v1 as wire;
use runtime::clock::{self, Guard};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::event::Event;
use wire::queue_state::Status;

use crate::live::Frail;
use crate::store::Matches;

/// Nothing takes longer in virtual time.
const LONG: Duration = Duration::from_mins(5);

/// Game servers: as many as are wanted, or none.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// What every request is answered instead of a server.
    pub(crate) failure: Mutex<Option<servers::Error>>,
    /// Requests, in order.
    pub(crate) asked: Mutex<Vec<MatchId>>,
}

#[async_trait]
impl Servers for Hosts {
    async fn allocate(&self, wanted: &Wanted) -> Result<Allocated, servers::Error> {
        self.asked.lock().unwrap().push(wanted.id);
        if let Some(failure) = self.failure.lock().unwrap().clone() {
            return Err(failure);
        }
        Ok(Allocated {
            server: Server {
                namespace: wanted.namespace.clone(),
                name: wanted.id.to_string(),
                endpoint: "203.0.113.7:7012".to_owned(),
            },
            tokens: Vec::new(),
        })
    }

    async fn mint(&self, _: &str, _: MatchId, _: &[Player]) -> Result<Vec<Token>, servers::Error> {
        Ok(Vec::new())
    }

    async fn release(&self, _: &str, _: MatchId) -> Result<(), servers::Error> {
        Ok(())
    }

    async fn watch(
        &self,
        _: &str,
    ) -> Result<BoxStream<'static, Result<Change, servers::Error>>, servers::Error> {
        Ok(futures::stream::pending().boxed())
    }

    fn token_lifetime(&self) -> Duration {
        Duration::from_secs(30)
    }
}

#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Accounts for Nobody {
    async fn assign(&self, _: PlayerId, _: SessionId, _: &str) -> Result<(), accounts::Error> {
        Ok(())
    }

    async fn reconnection_token(
        &self,
        _: PlayerId,
        _: SessionId,
        _: &str,
    ) -> Result<String, accounts::Error> {
        Ok(String::new())
    }

    async fn reconnect(&self, _: &str) -> Result<Playing, accounts::Error> {
        Err(accounts::Error::Refused("nobody".to_owned()))
    }
}

/// A process.
pub(crate) struct Lobby {
    pub(crate) service: Service,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Lobby {
    /// Ends in order.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }

    /// Dies at once: nothing is handed over.
    pub(crate) async fn kill(self) {
        self.running.abort();
        self.running.await.ok();
    }
}

pub(crate) struct World {
    pub(crate) live: Arc<Frail>,
    pub(crate) store: Arc<Matches>,
    pub(crate) hosts: Arc<Hosts>,
    queues: BTreeMap<String, Queue>,
    deliveries: broadcast::Receiver<Delivery>,
    heard: Vec<(PlayerId, Event)>,
    _time: Guard,
}

impl World {
    pub(crate) fn new() -> Self {
        let live = Arc::new(Frail::default());
        let queues = [
            r#"{"name": "duel", "teams": {"count": 2, "size": 1}, "regions": ["eu", "us"],
                "rating": {"value": 10, "steps": [{"afterSeconds": 20, "value": 100}]},
                "latency": {"value": 80}, "clientAttributes": ["level"]}"#,
            r#"{"name": "pairs", "teams": {"count": 2, "size": 2}, "regions": ["eu"],
                "rating": {"value": 100}, "latency": {"value": 80}, "same": ["mode"],
                "clientAttributes": ["mode"]}"#,
            r#"{"name": "asked", "teams": {"count": 2, "size": 1}, "regions": ["eu"],
                "rating": {"value": 100}, "latency": {"value": 80}, "acceptSeconds": 20}"#,
        ];
        let queues = queues.map(|text| Queue::parse(text).unwrap());
        Self {
            deliveries: live.deliveries(),
            live,
            store: Arc::default(),
            hosts: Arc::default(),
            queues: queues.map(|queue| (queue.name.clone(), queue)).into(),
            heard: Vec::new(),
            _time: clock::virtual_time(at(0)),
        }
    }

    /// A lobby whose matchmaker runs.
    pub(crate) fn lobby(&self) -> Lobby {
        self.recorded(None)
    }

    /// A lobby that writes down what happens in queues.
    pub(crate) fn recorded(&self, directory: Option<PathBuf>) -> Lobby {
        let service = Service::new(Parts {
            replica: Uuid::new_v4(),
            settings: Settings {
                regions: Vec::new(),
                channels: Vec::new(),
                lists: Lists::default(),
                slow_mode: Duration::ZERO,
                chat_retention: LONG,
                audit_retention: LONG,
            },
            queues: self.queues.clone(),
            verifier: Arc::new(Verifier::new("https://auth.test", "lobby")),
            store: self.store.clone(),
            live: self.live.clone(),
            servers: self.hosts.clone(),
            accounts: Arc::new(Nobody),
            moderator: Moderator::new(&Lists::default()).unwrap(),
            sessions: Sessions::default(),
            metrics: Metrics::default(),
        });
        let stop = CancellationToken::new();
        let running = tokio::spawn(matchmaker::run_recorded(
            service.clone(),
            directory,
            stop.clone(),
        ));
        Lobby {
            service,
            stop,
            running,
        }
    }

    /// A player has a session somewhere, and has measured latencies.
    pub(crate) async fn connect(&self, lobby: &Lobby, number: u128) -> Caller {
        self.connect_with(lobby, number, "flag").await
    }

    /// A player who plays a mode.
    pub(crate) async fn connect_with(&self, lobby: &Lobby, number: u128, mode: &str) -> Caller {
        let caller = caller(number);
        let value = wire::attribute::Value::Text(mode.to_owned());
        let mode = wire::Attribute { value: Some(value) };
        let profile = wire::SetProfile {
            latencies: [("eu".to_owned(), 20), ("us".to_owned(), 70)].into(),
            attributes: [("mode".to_owned(), mode)].into(),
        };
        lobby.service.set_profile(&caller, profile).await.unwrap();
        self.online(caller.player, Duration::from_hours(10)).await;
        lobby.service.queue_connection(caller.player, true).await;
        caller
    }

    /// A lobby says that the player has a session, for so long.
    pub(crate) async fn online(&self, player: PlayerId, keep: Duration) {
        let session = serde_json::json!({"session": Uuid::nil()});
        let key = Key::Player(player);
        documents::put(&*self.live, &key, &session, keep)
            .await
            .unwrap();
    }

    /// What a player is told next that is like this; what others are told is kept.
    pub(crate) async fn told(&mut self, player: PlayerId, is_it: impl Fn(&Event) -> bool) -> Event {
        let is_wanted = |(to, event): &(PlayerId, Event)| *to == player && is_it(event);
        let heard = async {
            loop {
                if let Some(index) = self.heard.iter().position(is_wanted) {
                    return self.heard.remove(index).1;
                }
                let Delivery::Message { channel, bytes } = self.deliveries.recv().await.unwrap()
                else {
                    panic!("Deliveries were missed");
                };
                let Channel::Player(to) = channel else {
                    continue;
                };
                let event = wire::Event::decode(&bytes[..]).unwrap();
                self.heard.push((to, event.event.unwrap()));
            }
        };
        let heard = tokio::time::timeout(LONG, heard).await;
        heard.unwrap_or_else(|_| panic!("{player} was not told"))
    }

    /// The match that a player is told of.
    pub(crate) async fn ready(&mut self, player: PlayerId) -> MatchId {
        let ready = self.told(player, |event| matches!(event, Event::MatchReady(_)));
        let Event::MatchReady(ready) = ready.await else {
            unreachable!()
        };
        ready.r#match.unwrap().match_id.parse().unwrap()
    }

    /// The ticket of a player is gone, for this reason.
    pub(crate) async fn gone(&mut self, player: PlayerId, reason: &str) -> Status {
        let is_gone =
            |event: &Event| matches!(event, Event::Queue(state) if state.reason == reason);
        let Event::Queue(state) = self.told(player, is_gone).await else {
            unreachable!()
        };
        state.status()
    }

    /// The proposal that a player is asked about.
    pub(crate) async fn proposed(&mut self, player: PlayerId) -> wire::Proposed {
        let proposed = self.told(player, |event| matches!(event, Event::Proposed(_)));
        let Event::Proposed(proposed) = proposed.await else {
            unreachable!()
        };
        proposed
    }

    /// What is in a queue: tickets that wait, and matches.
    pub(crate) async fn counts(&self, queue: &str) -> (usize, usize) {
        let loaded = self.live.load(queue).await.unwrap();
        (loaded.tickets.len(), loaded.pending.len())
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

pub(crate) fn player(number: u128) -> PlayerId {
    PlayerId(Uuid::from_u128(number))
}

pub(crate) fn caller(number: u128) -> Caller {
    Caller {
        player: player(number),
        session: SessionId(Uuid::from_u128(number << 64)),
        roles: Vec::new(),
    }
}

pub(crate) fn join(queue: &str) -> wire::JoinQueue {
    wire::JoinQueue {
        queue: queue.to_owned(),
        ..wire::JoinQueue::default()
    }
}

/// A failure in few words.
pub(crate) fn brief(failure: &Failure) -> String {
    let field = failure.field.as_deref().unwrap_or("-");
    format!("{} {field}: {}", failure.code.name(), failure.message)
}

/// Virtual time goes by.
pub(crate) async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}
