//! Lobbies that share a live state, whose steps a test may interleave, and after which one may die.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use proto::muster::lobby::v1 as wire;
use tokio::sync::{Notify, broadcast};
use uuid::Uuid;
use wire::event::Event;

use crate::accounts::{self, Accounts, Playing};
use crate::chat::moderation::{Lists, Moderator};
use crate::config::{Region, Settings};
use crate::ids::{MatchId, PlayerId, SessionId, TicketId};
use crate::live::memory::Memory;
use crate::live::{
    Channel, Cursor, Delivery, Document, Error, Fence, Key, Live, Loaded, Owned, Pending,
    QueueNews, Withdrawn, Written,
};
use crate::matchmaking::{Queue, Ticket};
use crate::metrics::Metrics;
use crate::servers::{self, Allocated, Change, Player, Servers, Token, Wanted};
use crate::service::{Caller, Parts, Service};
use crate::sessions::Sessions;
use crate::sessions::notice::Notice;
use crate::sessions::online::Online;
use crate::store::Server;
use crate::store::sqlite::Sqlite;

pub(crate) fn player(number: u128) -> PlayerId {
    PlayerId(Uuid::from_u128(number))
}

pub(crate) fn caller(number: u128) -> Caller {
    Caller {
        player: player(number),
        session: SessionId(Uuid::from_u128(1000 + number)),
        roles: Vec::new(),
    }
}

/// Time that passes only when a test says so.
pub(crate) fn still() -> runtime::clock::Guard {
    tokio::time::pause();
    runtime::clock::virtual_time(Timestamp::from_second(1_700_000_000).unwrap())
}

/// What lobbies share.
pub(crate) struct World {
    pub(crate) live: Arc<Stage>,
    pub(crate) servers: Arc<FakeServers>,
    store: Arc<Sqlite>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self {
            live: Arc::default(),
            servers: Arc::default(),
            store: Arc::new(Sqlite::in_memory().await.unwrap()),
        }
    }

    /// Another lobby.
    pub(crate) fn lobby(&self) -> Service {
        let duo = r#"{
            "name": "duo", "teams": {"count": 2, "size": 2}, "regions": ["eu", "us"],
            "rating": {"value": 50}, "latency": {"value": 60}
        }"#;
        let duo = Queue::parse(duo).unwrap();
        let lists = Lists {
            masked: vec!["bugger".to_owned()],
            refused: vec!["vermin".to_owned()],
            ..Lists::default()
        };
        let moderator = Moderator::new(&lists).unwrap();
        let region = Region {
            name: "eu".to_owned(),
            udp_echo: Some("echo.test:7".to_owned()),
            https_echo: None,
            lobby: None,
        };
        Service::new(Parts {
            replica: Uuid::new_v4(),
            settings: Settings {
                regions: vec![region],
                channels: Vec::new(),
                lists,
                slow_mode: Duration::ZERO,
                chat_retention: Duration::from_hours(1),
                audit_retention: Duration::from_hours(1),
            },
            queues: BTreeMap::from([(duo.name.clone(), duo)]),
            verifier: Arc::new(access::Verifier::new("https://auth.test", "lobby")),
            store: Arc::clone(&self.store) as _,
            live: Arc::clone(&self.live) as Arc<dyn Live>,
            servers: Arc::clone(&self.servers) as Arc<dyn Servers>,
            accounts: Arc::new(NoAccounts),
            moderator,
            sessions: Sessions::new(Arc::clone(&self.live) as _),
            metrics: Metrics::default(),
        })
    }

    /// Players whose sockets some lobby has.
    pub(crate) async fn connect(&self, numbers: impl IntoIterator<Item = u128>) {
        for number in numbers {
            let bytes = Online::new(Uuid::nil(), Uuid::nil()).write();
            let key = Key::Player(player(number));
            let keep = Duration::from_hours(24);
            self.live.memory.write(&key, 0, &bytes, keep).await.unwrap();
        }
    }

    /// The lobby with a player's socket is gone, and what it had written has passed.
    pub(crate) async fn lose(&self, number: u128) {
        let key = Key::Player(player(number));
        let document = self.live.memory.read(&key).await.unwrap().unwrap();
        let version = document.version;
        assert!(self.live.memory.remove(&key, version).await.unwrap());
    }

    /// What a player is told from now on.
    pub(crate) async fn ears(&self, number: u128) -> Ears {
        self.ears_for(Channel::Player(player(number))).await
    }

    /// What comes over a channel from now on.
    pub(crate) async fn ears_for(&self, channel: Channel) -> Ears {
        self.live.memory.subscribe(&channel).await.unwrap();
        Ears {
            channel,
            deliveries: self.live.memory.deliveries(),
        }
    }
}

/// What came over one channel.
pub(crate) struct Ears {
    pub(crate) channel: Channel,
    pub(crate) deliveries: broadcast::Receiver<Delivery>,
}

impl Ears {
    /// Everything since the last time.
    pub(crate) fn heard(&mut self) -> Vec<Event> {
        let mut heard = Vec::new();
        while let Ok(delivery) = self.deliveries.try_recv() {
            if let Delivery::Message { channel, bytes } = delivery
                && channel == self.channel
            {
                match Notice::decode(&bytes).unwrap() {
                    Notice::Event(event) => heard.push(event.event.unwrap()),
                    Notice::Superseded { .. } => {}
                }
            }
        }
        heard
    }

    /// Changes of rooms since the last time: why, and whether the player is in it.
    pub(crate) fn changes(&mut self) -> Vec<(wire::room_changed::Reason, bool)> {
        let heard = self.heard();
        let changes = heard.into_iter().filter_map(|event| match event {
            Event::RoomChanged(changed) => Some((changed.reason(), changed.room.is_some())),
            _ => None,
        });
        changes.collect()
    }
}

/// A live state in memory, each step of which lets others go first now and then, and after some of
/// which whoever does the next one dies.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    pub(crate) memory: Memory,
    random: Mutex<Option<fastrand::Rng>>,
    left: Mutex<Option<usize>>,
    died: Notify,
}

impl Stage {
    /// Interleaves steps from now on.
    pub(crate) fn shuffle(&self, seed: u64) {
        *self.random.lock().unwrap() = Some(fastrand::Rng::with_seed(seed));
    }

    /// Does a call of a lobby that dies after so many steps. False when it dies before the end.
    pub(crate) async fn dies_after(&self, steps: usize, call: impl Future) -> bool {
        *self.left.lock().unwrap() = Some(steps);
        let mut call = pin!(call);
        let is_done = tokio::select! {
            biased;
            _ = &mut call => true,
            () = self.died.notified() => false,
        };
        *self.left.lock().unwrap() = None;
        is_done
    }

    async fn step(&self) {
        let yields = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            random.as_mut().map_or(0, |random| random.usize(0..4))
        };
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        let is_over = {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            let is_over = *left == Some(0);
            *left = left.map(|left| left.saturating_sub(1));
            is_over
        };
        if is_over {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Live for Stage {
    async fn ping(&self) -> Result<(), Error> {
        self.memory.ping().await
    }

    async fn read(&self, key: &Key) -> Result<Option<Document>, Error> {
        self.step().await;
        self.memory.read(key).await
    }

    async fn write(
        &self,
        key: &Key,
        expected: u64,
        value: &[u8],
        keep: Duration,
    ) -> Result<Written, Error> {
        self.step().await;
        self.memory.write(key, expected, value, keep).await
    }

    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error> {
        self.step().await;
        self.memory.remove(key, expected).await
    }

    async fn touch(&self, keys: &[Key], keep: Duration) -> Result<(), Error> {
        self.step().await;
        self.memory.touch(keys, keep).await
    }

    async fn throttle(
        &self,
        key: &Key,
        burst: u32,
        period: Duration,
    ) -> Result<Option<Duration>, Error> {
        self.memory.throttle(key, burst, period).await
    }

    async fn mark(&self, set: &str, member: &str, keep: Duration) -> Result<(), Error> {
        self.step().await;
        self.memory.mark(set, member, keep).await
    }

    async fn marked(&self, set: &str, limit: usize) -> Result<Vec<String>, Error> {
        self.step().await;
        self.memory.marked(set, limit).await
    }

    async fn lease(
        &self,
        name: &str,
        holder: Uuid,
        keep: Duration,
    ) -> Result<Option<Fence>, Error> {
        self.step().await;
        self.memory.lease(name, holder, keep).await
    }

    async fn release(&self, name: &str, holder: Uuid) -> Result<(), Error> {
        self.memory.release(name, holder).await
    }

    async fn own(&self, queue: &str, holder: Uuid, keep: Duration) -> Result<Option<Fence>, Error> {
        self.memory.own(queue, holder, keep).await
    }

    async fn disown(&self, queue: &str, holder: Uuid) -> Result<(), Error> {
        self.memory.disown(queue, holder).await
    }

    async fn enter(&self, queue: &str, ticket: &Ticket) -> Result<(), Error> {
        self.memory.enter(queue, ticket).await
    }

    async fn withdraw(&self, queue: &str, ticket: TicketId) -> Result<Withdrawn, Error> {
        self.memory.withdraw(queue, ticket).await
    }

    async fn answer(
        &self,
        queue: &str,
        id: MatchId,
        player: PlayerId,
        accepts: bool,
    ) -> Result<(), Error> {
        self.memory.answer(queue, id, player, accepts).await
    }

    async fn load(&self, queue: &str) -> Result<Loaded, Error> {
        self.memory.load(queue).await
    }

    async fn news(
        &self,
        queue: &str,
        cursor: &mut Cursor,
        limit: usize,
        patience: Duration,
    ) -> Result<Option<Vec<QueueNews>>, Error> {
        self.memory.news(queue, cursor, limit, patience).await
    }

    async fn propose(&self, queue: &str, fence: Fence, pending: &Pending) -> Result<Owned, Error> {
        self.memory.propose(queue, fence, pending).await
    }

    async fn amend(&self, queue: &str, fence: Fence, pending: &Pending) -> Result<Owned, Error> {
        self.memory.amend(queue, fence, pending).await
    }

    async fn settle(
        &self,
        queue: &str,
        fence: Fence,
        id: MatchId,
        back: &[TicketId],
    ) -> Result<Owned, Error> {
        self.memory.settle(queue, fence, id, back).await
    }

    async fn subscribe(&self, channel: &Channel) -> Result<(), Error> {
        self.memory.subscribe(channel).await
    }

    async fn unsubscribe(&self, channel: &Channel) -> Result<(), Error> {
        self.memory.unsubscribe(channel).await
    }

    async fn publish(&self, channel: &Channel, bytes: &[u8]) -> Result<(), Error> {
        self.step().await;
        self.memory.publish(channel, bytes).await
    }

    fn deliveries(&self) -> broadcast::Receiver<Delivery> {
        self.memory.deliveries()
    }
}

/// Servers that are given, or fail as a test says.
#[derive(Debug, Default)]
pub(crate) struct FakeServers {
    /// What is answered instead of a server.
    pub(crate) fails: Mutex<Option<servers::Error>>,
    /// What was asked for.
    pub(crate) wanted: Mutex<Vec<Wanted>>,
}

#[async_trait]
impl Servers for FakeServers {
    async fn allocate(&self, wanted: &Wanted) -> Result<Allocated, servers::Error> {
        self.wanted.lock().unwrap().push(wanted.clone());
        if let Some(error) = self.fails.lock().unwrap().clone() {
            return Err(error);
        }
        Ok(Allocated {
            server: Server {
                namespace: wanted.namespace.clone(),
                name: "arena-1".to_owned(),
                endpoint: "203.0.113.7:7012".to_owned(),
            },
            tokens: Vec::new(),
        })
    }

    async fn mint(
        &self,
        _namespace: &str,
        _id: MatchId,
        _players: &[Player],
    ) -> Result<Vec<Token>, servers::Error> {
        Ok(Vec::new())
    }

    async fn release(&self, _namespace: &str, _id: MatchId) -> Result<(), servers::Error> {
        Ok(())
    }

    async fn watch(
        &self,
        _namespace: &str,
    ) -> Result<BoxStream<'static, Result<Change, servers::Error>>, servers::Error> {
        Ok(Box::pin(futures::stream::pending()))
    }

    fn token_lifetime(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// An auth that is not there.
#[derive(Debug)]
struct NoAccounts;

fn nobody() -> accounts::Error {
    accounts::Error::Refused("there are no accounts".to_owned())
}

#[async_trait]
impl Accounts for NoAccounts {
    async fn assign(
        &self,
        _player: PlayerId,
        _session: SessionId,
        _game_server: &str,
    ) -> Result<(), accounts::Error> {
        Err(nobody())
    }

    async fn reconnection_token(
        &self,
        _player: PlayerId,
        _session: SessionId,
        _game_server: &str,
    ) -> Result<String, accounts::Error> {
        Err(nobody())
    }

    async fn reconnect(&self, _reconnection_token: &str) -> Result<Playing, accounts::Error> {
        Err(nobody())
    }
}
