//! A lobby with fakes of what it calls, which fail and end as a test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use lobby::accounts::{self, Accounts, Playing};
use lobby::chat::moderation::{Lists, Moderator};
use lobby::config::Settings;
use lobby::ids::{MatchId, PlayerId, SessionId};
use lobby::live::memory::Memory;
use lobby::live::{Channel, Delivery, Live};
use lobby::matches::follow;
use lobby::matchmaking::Queue;
use lobby::metrics::Metrics;
use lobby::servers::{self, Allocated, Change, Player, Servers, Token, Wanted};
use lobby::service::matches::{NewMatch, NewSeat};
use lobby::service::{Caller, Parts, Service};
use lobby::sessions::Sessions;
use lobby::store::sqlite::Sqlite;
use lobby::store::{Match, Server, Store};
use prost::Message as _;
use proto::muster::lobby::v1 as wire;
use runtime::backoff::Backoff;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::event::Event;

/// How long a follower that died is waited for: long, so that a slow machine loses no lease.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

pub(crate) const SERVER: &str = "203.0.113.7:7012";

/// A trace of a player's own.
pub(crate) const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(crate) fn player(number: u128) -> PlayerId {
    PlayerId(Uuid::from_u128(number))
}

pub(crate) fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(0x5e55_0000 + number))
}

pub(crate) fn match_id(number: u128) -> MatchId {
    MatchId(Uuid::from_u128(0x3a7c_0000 + number))
}

/// A duel of two players.
pub(crate) fn duel(number: u128, players: [u128; 2]) -> NewMatch {
    let seat = |number| NewSeat {
        player: player(number),
        session: session(number),
        trace_context: TRACE.to_owned(),
    };
    NewMatch {
        is_rated: true,
        id: match_id(number),
        queue: "duel".to_owned(),
        region: "eu".to_owned(),
        teams: players.map(|player| vec![seat(player)]).to_vec(),
    }
}

pub(crate) fn caller(number: u128) -> Caller {
    Caller {
        player: player(number),
        session: session(number),
        roles: Vec::new(),
    }
}

/// Steps of the world that a lobby may do before it dies.
#[derive(Debug)]
pub(crate) struct Life {
    steps: Mutex<usize>,
    over: Notify,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            steps: Mutex::new(usize::MAX),
            over: Notify::new(),
        }
    }
}

impl Life {
    pub(crate) fn set(&self, steps: usize) {
        *lock(&self.steps) = steps;
    }

    /// The lobby is dead.
    pub(crate) async fn over(&self) {
        self.over.notified().await;
    }

    async fn step(&self) {
        let goes_on = {
            let mut steps = lock(&self.steps);
            let goes_on = *steps > 0;
            *steps = steps.saturating_sub(1);
            goes_on
        };
        if !goes_on {
            self.over.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An allocation of the fake allocator.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) wanted: Wanted,
    pub(crate) name: String,
    /// Its end, with the result.
    pub(crate) ended: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct FakeServers {
    pub(crate) life: Arc<Life>,
    pub(crate) held: Mutex<BTreeMap<MatchId, Held>>,
    pub(crate) released: Mutex<Vec<MatchId>>,
    /// Fails every call.
    pub(crate) away: Mutex<Option<servers::Error>>,
    minted: Mutex<u8>,
    changes: Mutex<Vec<broadcast::Sender<Change>>>,
}

impl FakeServers {
    /// How many servers were given away.
    pub(crate) fn count(&self) -> usize {
        lock(&self.held).len()
    }

    pub(crate) fn held(&self, id: MatchId) -> Held {
        lock(&self.held)[&id].clone()
    }

    /// The server of a match has ended, and the watch says so.
    pub(crate) fn end(&self, id: MatchId, result: &str) {
        if let Some(held) = lock(&self.held).get_mut(&id) {
            held.ended = Some(result.to_owned());
        }
        self.say(&Change::Allocation {
            id,
            has_ended: true,
            result: result.to_owned(),
        });
    }

    /// The server is gone while nobody looked.
    pub(crate) fn vanish(&self, id: MatchId) {
        lock(&self.held).remove(&id);
    }

    /// Every watch breaks.
    pub(crate) fn break_watches(&self) {
        lock(&self.changes).clear();
    }

    /// How many watches are open.
    pub(crate) fn watches(&self) -> usize {
        let changes = lock(&self.changes);
        changes
            .iter()
            .filter(|each| each.receiver_count() > 0)
            .count()
    }

    fn say(&self, change: &Change) {
        for watch in &*lock(&self.changes) {
            // It may be closed.
            watch.send(change.clone()).ok();
        }
    }

    async fn begin(&self) -> Result<(), servers::Error> {
        self.life.step().await;
        match &*lock(&self.away) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn tokens(&self, players: &[Player]) -> Vec<Token> {
        let mut minted = lock(&self.minted);
        *minted += 1;
        let token = |player: &Player| Token {
            player: player.id,
            connect_token: vec![*minted, 0xff, 0xfe],
            expires_at: Timestamp::MAX,
        };
        players.iter().map(token).collect()
    }
}

#[async_trait]
impl Servers for FakeServers {
    async fn allocate(&self, wanted: &Wanted) -> Result<Allocated, servers::Error> {
        self.begin().await?;
        let name = {
            let mut held = lock(&self.held);
            let name = format!("arena-{}", held.len());
            let held = held.entry(wanted.id).or_insert_with(|| Held {
                wanted: wanted.clone(),
                name,
                ended: None,
            });
            if held.ended.is_some() {
                return Err(servers::Error::Unknown);
            }
            held.name.clone()
        };
        self.say(&Change::Allocation {
            id: wanted.id,
            has_ended: false,
            result: String::new(),
        });
        Ok(Allocated {
            server: Server {
                namespace: wanted.namespace.clone(),
                name,
                endpoint: SERVER.to_owned(),
            },
            tokens: self.tokens(&wanted.players),
        })
    }

    async fn mint(
        &self,
        _: &str,
        id: MatchId,
        players: &[Player],
    ) -> Result<Vec<Token>, servers::Error> {
        self.begin().await?;
        let is_live = lock(&self.held)
            .get(&id)
            .is_some_and(|held| held.ended.is_none());
        if !is_live {
            return Err(servers::Error::Unknown);
        }
        Ok(self.tokens(players))
    }

    async fn release(&self, _: &str, id: MatchId) -> Result<(), servers::Error> {
        self.begin().await?;
        lock(&self.released).push(id);
        if let Some(held) = lock(&self.held).get_mut(&id) {
            held.ended = Some(String::new());
        }
        Ok(())
    }

    async fn watch(
        &self,
        _: &str,
    ) -> Result<BoxStream<'static, Result<Change, servers::Error>>, servers::Error> {
        self.begin().await?;
        let held = lock(&self.held);
        let (sender, receiver) = broadcast::channel(64);
        lock(&self.changes).push(sender);
        let known: Vec<_> = held
            .iter()
            .map(|(id, held)| Change::Allocation {
                id: *id,
                has_ended: held.ended.is_some(),
                result: held.ended.clone().unwrap_or_default(),
            })
            .chain([Change::Synced])
            .collect();
        let later = futures::stream::unfold(receiver, async |mut receiver| {
            let change = receiver.recv().await.ok()?;
            Some((change, receiver))
        });
        Ok(futures::stream::iter(known).chain(later).map(Ok).boxed())
    }

    fn token_lifetime(&self) -> Duration {
        Duration::from_secs(30)
    }
}

#[derive(Debug, Default)]
pub(crate) struct FakeAuth {
    pub(crate) life: Arc<Life>,
    /// Where sessions play.
    pub(crate) playing: Mutex<BTreeMap<SessionId, String>>,
    pub(crate) tokens: Mutex<BTreeMap<String, Playing>>,
    issued: Mutex<u32>,
    /// Fails every call.
    pub(crate) is_away: Mutex<bool>,
}

impl FakeAuth {
    pub(crate) fn set_away(&self, is_away: bool) {
        *lock(&self.is_away) = is_away;
    }

    /// Where the session of a player plays; "?" when auth was never told.
    pub(crate) fn server_of(&self, number: u128) -> String {
        let playing = lock(&self.playing);
        playing
            .get(&session(number))
            .cloned()
            .unwrap_or_else(|| "?".to_owned())
    }

    async fn begin(&self) -> Result<(), accounts::Error> {
        self.life.step().await;
        if *lock(&self.is_away) {
            return Err(accounts::Error::Unavailable("away".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Accounts for FakeAuth {
    async fn assign(
        &self,
        _: PlayerId,
        session: SessionId,
        game_server: &str,
    ) -> Result<(), accounts::Error> {
        self.begin().await?;
        lock(&self.playing).insert(session, game_server.to_owned());
        Ok(())
    }

    async fn reconnection_token(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: &str,
    ) -> Result<String, accounts::Error> {
        self.begin().await?;
        let token = {
            let mut issued = lock(&self.issued);
            *issued += 1;
            format!("back-{issued}")
        };
        let playing = Playing {
            player,
            session,
            game_server: game_server.to_owned(),
        };
        lock(&self.tokens).insert(token.clone(), playing);
        Ok(token)
    }

    async fn reconnect(&self, token: &str) -> Result<Playing, accounts::Error> {
        self.begin().await?;
        let refused = || accounts::Error::Refused("spent".to_owned());
        lock(&self.tokens).remove(token).ok_or_else(refused)
    }
}

/// Everything that outlives a lobby.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) life: Arc<Life>,
    pub(crate) servers: Arc<FakeServers>,
    pub(crate) auth: Arc<FakeAuth>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) live: Arc<Memory>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_store(Arc::new(Sqlite::in_memory().await.unwrap()))
    }

    pub(crate) fn with_store(store: Arc<dyn Store>) -> Self {
        let life = Arc::new(Life::default());
        let servers = FakeServers {
            life: Arc::clone(&life),
            ..FakeServers::default()
        };
        let auth = FakeAuth {
            life: Arc::clone(&life),
            ..FakeAuth::default()
        };
        Self {
            life,
            servers: Arc::new(servers),
            auth: Arc::new(auth),
            store,
            live: Arc::new(Memory::default()),
        }
    }

    /// Another lobby.
    pub(crate) fn lobby(&self) -> Service {
        let duel = r#"{
            "name": "duel", "teams": {"count": 2, "size": 1}, "regions": ["eu"],
            "rating": {"value": 50}, "latency": {"value": 60}, "ratings": "Glicko2",
            "servers": {
                "namespace": "games",
                "labels": {"muster.dev/fleet": "arena"},
                "regionLabel": "topology.kubernetes.io/region"
            }
        }"#;
        let duel = Queue::parse(duel).unwrap();
        Service::new(Parts {
            replica: Uuid::now_v7(),
            settings: settings(),
            queues: BTreeMap::from([(duel.name.clone(), duel)]),
            verifier: Arc::new(access::Verifier::new("https://auth.test", "lobby")),
            store: Arc::clone(&self.store),
            live: Arc::clone(&self.live) as Arc<dyn Live>,
            servers: Arc::clone(&self.servers) as Arc<dyn Servers>,
            accounts: Arc::clone(&self.auth) as Arc<dyn Accounts>,
            moderator: Moderator::new(&Lists::default()).unwrap(),
            sessions: Sessions::default(),
            metrics: Metrics::default(),
        })
    }

    /// A lobby that follows matches, until the token is canceled.
    pub(crate) fn follow(&self) -> Following {
        let stop = CancellationToken::new();
        let settings = follow::Settings {
            lease: LEASE,
            sync: Duration::from_secs(5),
            backoff: Backoff {
                base: Duration::from_millis(5),
                cap: Duration::from_millis(20),
            },
            sweep: Duration::from_millis(50),
            retry: Duration::from_millis(20),
            grace: SignedDuration::from_secs(60),
            patience: Duration::from_millis(100),
        };
        let run = follow::run_with(self.lobby(), settings, stop.clone());
        Following {
            stop,
            task: tokio::spawn(run),
        }
    }

    /// What these players are told from now on.
    pub(crate) async fn listen(&self, players: &[u128]) -> Ears {
        for number in players {
            let channel = Channel::Player(player(*number));
            self.live.subscribe(&channel).await.unwrap();
        }
        Ears(self.live.deliveries())
    }

    /// The match as the store has it.
    pub(crate) async fn stored(&self, id: MatchId) -> Match {
        self.store.find(id).await.unwrap().unwrap()
    }
}

fn settings() -> Settings {
    Settings {
        regions: Vec::new(),
        channels: Vec::new(),
        lists: Lists::default(),
        slow_mode: Duration::ZERO,
        chat_retention: Duration::from_hours(1),
        audit_retention: Duration::from_hours(1),
    }
}

/// A follower that ends with the test.
#[derive(Debug)]
pub(crate) struct Following {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Following {
    /// Ends it as it should end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.unwrap();
    }

    /// Ends it as a machine does that burns.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        assert!((&mut self.task).await.unwrap_err().is_cancelled());
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Hears what players are told.
#[derive(Debug)]
pub(crate) struct Ears(broadcast::Receiver<Delivery>);

impl Ears {
    /// The next event, and who is told.
    pub(crate) async fn hear(&mut self) -> (PlayerId, Event) {
        let heard = tokio::time::timeout(Duration::from_secs(10), self.0.recv()).await;
        told(heard.unwrap().unwrap())
    }

    /// What was told up to now.
    pub(crate) fn heard(&mut self) -> Vec<(PlayerId, Event)> {
        std::iter::from_fn(|| self.0.try_recv().ok())
            .map(told)
            .collect()
    }
}

fn told(delivery: Delivery) -> (PlayerId, Event) {
    let Delivery::Message {
        channel: Channel::Player(player),
        bytes,
    } = delivery
    else {
        panic!("{delivery:?} is for no player")
    };
    let event = wire::Event::decode(&*bytes).unwrap();
    (player, event.event.unwrap())
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    let waiting = async {
        while !so().await {
            looks.tick().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "waited in vain until {what}");
}
