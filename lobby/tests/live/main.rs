//! The live state: one contract for memory, Valkey and a cluster of Valkey; and what Valkey's
//! absence does.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and says where"
)]

mod cases;
mod faults;
mod tls;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lobby::live::gcra::gcra;
use lobby::live::memory::Memory;
use lobby::live::valkey::Valkey;
use lobby::live::{Channel, Cursor, Delivery, Key, Live as _};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use redis::{Cmd, FromRedisValue, cmd};
use storage::valkey::{Config, Nodes};
use testing::valkey::Server;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use cases::{HOUR, hash, message, owned, pending, player, ticket};

/// The calls' limit where nothing fails, however busy the machine is.
const GENEROUS: Duration = Duration::from_secs(10);

/// The calls' limit where something fails, and what a busy machine may add to it.
const LIMIT: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_secs(2);

/// Waits until it is so; fails when that takes absurdly long.
async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    let waiting = async {
        while !so().await {
            looks.tick().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(waited.is_ok(), "waited in vain for {what}");
}

/// Does one command on a connection of its own.
async fn ask<T: FromRedisValue>(server: &Server, command: &Cmd) -> T {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    command.query_async(&mut connection).await.unwrap()
}

/// A replica that hears channels.
struct Replica {
    valkey: Arc<Valkey>,
    deliveries: Receiver<Delivery>,
    _listens: AbortOnDropHandle<()>,
}

impl Replica {
    async fn of(nodes: impl Into<Nodes>) -> Self {
        Self::within(nodes, GENEROUS).await
    }

    async fn within(nodes: impl Into<Nodes>, limit: Duration) -> Self {
        let mut config = Config::new(nodes);
        config.limit = limit;
        let valkey = Arc::new(Valkey::new(&config).unwrap());
        let deliveries = valkey.deliveries();
        let listener = Arc::clone(&valkey);
        let listens = tokio::spawn(async move { listener.listen(&CancellationToken::new()).await });
        let mut this = Self {
            valkey,
            deliveries,
            _listens: AbortOnDropHandle::new(listens),
        };
        this.missed().await;
        until("an answer", async || this.valkey.ping().await.is_ok()).await;
        this
    }

    /// Waits until it hears channels again.
    async fn missed(&mut self) {
        let within = Duration::from_secs(30);
        let next = tokio::time::timeout(within, self.deliveries.recv()).await;
        assert_eq!(next.unwrap().unwrap(), Delivery::Missed);
    }

    /// Publishes something, and hears it.
    async fn hears(&mut self, from: &Valkey, channel: &Channel) {
        let bytes = hash();
        from.publish(channel, &bytes).await.unwrap();
        let heard = message(&mut self.deliveries).await;
        assert_eq!(heard, (channel.clone(), bytes.to_vec()));
    }
}

fn urls(servers: &[Server]) -> Vec<String> {
    servers.iter().map(Server::url).collect()
}

#[tokio::test(start_paused = true)]
async fn memory_keeps_the_contract() {
    cases::are_kept(&Memory::default()).await;
}

#[tokio::test]
async fn valkey_keeps_the_contract() {
    let server = Server::start().unwrap();
    cases::are_kept(&*Replica::of(vec![server.url()]).await.valkey).await;
}

#[tokio::test]
async fn a_cluster_keeps_the_contract_and_tells_others_through_every_node() {
    let servers = Server::cluster().unwrap();
    let mut one = Replica::of(urls(&servers)).await;
    cases::are_kept(&*one.valkey).await;
    one.deliveries = one.valkey.deliveries();

    let other = Replica::of(urls(&servers)).await;
    for _ in 0..30 {
        let channel = Channel::Presence(player());
        one.valkey.subscribe(&channel).await.unwrap();
        one.hears(&other.valkey, &channel).await;
    }
    // Each node tells of channels of its own.
    for server in &servers {
        let told: Vec<String> = ask(server, cmd("PUBSUB").arg("SHARDCHANNELS")).await;
        assert!(!told.is_empty() && told.len() < 30, "{told:?}");
    }
}

#[tokio::test]
async fn keys_of_a_queue_are_in_one_slot_and_every_key_ends() {
    let servers = Server::cluster().unwrap();
    let replica = Replica::of(urls(&servers)).await;
    let valkey = &replica.valkey;
    valkey
        .write(&Key::Seat(player()), 0, b"seat", HOUR)
        .await
        .unwrap();
    valkey.throttle(&Key::Rate(hash()), 1, HOUR).await.unwrap();
    valkey.mark("set", "member", HOUR).await.unwrap();
    valkey.lease("lease", Uuid::new_v4(), HOUR).await.unwrap();
    let fence = owned(&**valkey, "queue").await;
    let (waits, taken) = (ticket(), ticket());
    valkey.enter("queue", &waits).await.unwrap();
    valkey.enter("queue", &taken).await.unwrap();
    let proposed = pending(&[&taken]);
    valkey.propose("queue", fence, &proposed).await.unwrap();

    let mut nodes_of_queue = 0;
    let mut kinds = BTreeSet::new();
    for server in &servers {
        let names: Vec<String> = ask(server, cmd("KEYS").arg("*")).await;
        nodes_of_queue += usize::from(names.iter().any(|name| name.contains("{queue}")));
        for name in names {
            let millis: i64 = ask(server, cmd("PTTL").arg(&name)).await;
            assert!(millis > 0, "{name} does not end");
            let (kind, rest) = name
                .strip_prefix("lobby:")
                .unwrap()
                .split_once(':')
                .unwrap();
            let part = rest.split_once("}:").map_or("", |(_, part)| part);
            kinds.insert(format!("{kind} {part}"));
        }
    }
    assert_eq!(nodes_of_queue, 1);
    let expected = [
        "lease ",
        "queue matches",
        "queue news",
        "queue owner",
        "queue rosters",
        "queue taken",
        "queue tickets",
        "rate ",
        "seat ",
        "set ends",
        "set marked",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_script_counts_as_the_function_does() {
    let server = Server::start().unwrap();
    let replica = Replica::of(vec![server.url()]).await;
    let mut runner = TestRunner::deterministic();
    let rates = (1_u32..6, 200_000_u64..100_000_000_000);
    let mut limited = 0;
    for _ in 0..60 {
        let (burst, micros) = rates.new_tree(&mut runner).unwrap().current();
        let period = Duration::from_micros(micros);
        let key = Key::Rate(hash());
        let state = async || -> Option<i64> {
            let text: Option<String> = ask(&server, cmd("GET").arg(key.to_string())).await;
            text.map(|text| text.parse().unwrap())
        };
        for _ in 0..burst + 2 {
            let before = state().await;
            let answer = replica.valkey.throttle(&key, burst, period).await.unwrap();
            let Some(wait) = answer else {
                continue;
            };
            // The clock of the server at the call follows from the state and the answer.
            let wait_micros = i64::try_from(wait.as_micros()).unwrap();
            let tolerance = i64::from(burst - 1) * i64::try_from(micros).unwrap();
            let now = before.unwrap() - tolerance - wait_micros;
            assert_eq!(gcra(now, before, burst, period), Err(wait));
            assert_eq!(state().await, before);
            limited += 1;
        }
    }
    assert!(limited > 30, "{limited}");
    // States that no attempt leaves: of a clock far ahead, or of another algorithm.
    for state in [i64::pow(2, 52), 0, -5] {
        let key = Key::Rate(hash());
        let _: () = ask(&server, cmd("SET").arg(key.to_string()).arg(state)).await;
        let answer = replica.valkey.throttle(&key, 3, HOUR).await.unwrap();
        assert_eq!(answer.is_some(), state > 0);
        assert!(answer.is_none_or(|wait| wait <= HOUR));
    }
}

#[tokio::test]
async fn who_has_not_read_news_that_are_dropped_is_told() {
    let server = Server::start().unwrap();
    let replica = Replica::of(vec![server.url()]).await;
    let valkey = &replica.valkey;
    for _ in 0..3 {
        valkey.enter("queue", &ticket()).await.unwrap();
    }
    let (mut first, mut second) = (Cursor::default(), Cursor::default());
    for (cursor, read) in [(&mut first, 1), (&mut second, 2)] {
        let news = valkey.news("queue", cursor, read, HOUR).await.unwrap();
        assert_eq!(news.unwrap().len(), read);
    }
    let mut trim = cmd("XTRIM");
    trim.arg("lobby:queue:{queue}:news").arg(&["MAXLEN", "1"]);
    let _: i64 = ask(&server, &trim).await;
    let missing = valkey.news("queue", &mut first, 9, HOUR).await;
    assert_eq!(missing, Ok(None));
    let news = valkey.news("queue", &mut second, 9, HOUR).await.unwrap();
    assert_eq!(news.unwrap().len(), 1);
}

#[tokio::test]
async fn other_nodes_are_used_without_a_restart() {
    let (first, second) = (Server::start().unwrap(), Server::start().unwrap());
    let mut replica = Replica::of(vec![first.url()]).await;
    let channel = Channel::Presence(player());
    replica.valkey.subscribe(&channel).await.unwrap();
    let mut cursor = Cursor::default();
    replica.valkey.enter("queue", &ticket()).await.unwrap();
    let heard = replica.valkey.news("queue", &mut cursor, 9, HOUR).await;
    assert_eq!(heard.unwrap().unwrap().len(), 1);
    let bad = Nodes::from(vec!["http://host".to_owned()]);
    replica.valkey.renew(&bad).unwrap_err();

    replica.valkey.renew(&vec![second.url()].into()).unwrap();
    replica.missed().await;
    let other = Replica::of(vec![second.url()]).await;
    replica.hears(&other.valkey, &channel).await;
    // What reads is not connected to where it was.
    let unknown = replica.valkey.news("queue", &mut cursor, 9, HOUR).await;
    assert_eq!(unknown, Ok(None));
    assert!(
        replica
            .valkey
            .load("queue")
            .await
            .unwrap()
            .tickets
            .is_empty()
    );
}
