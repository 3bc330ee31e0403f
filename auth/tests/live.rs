//! The live state: one contract for memory, Valkey and a cluster of Valkey; and what Valkey's
//! absence does.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

mod live {
    pub(crate) mod contract;

    use std::time::Duration;

    /// Waits until it is so; fails when that takes absurdly long.
    pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        let waiting = async {
            while !so().await {
                looks.tick().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(waited.is_ok(), "waited in vain for {what}");
    }
}

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use auth::ids::{IdentityHash, PlayerId, SessionId};
use auth::limits::{self, Limits, Source};
use auth::live::gcra::gcra;
use auth::live::memory::Memory;
use auth::live::valkey::{NEWS, USER_DATA_UPDATE, Valkey};
use auth::live::{Key, Live as _, News, Rate};
use futures::StreamExt as _;
use futures::future::join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use redis::{Cmd, FromRedisValue, cmd};
use storage::valkey::Config;
use storage::valkey::Nodes;
use testing::valkey::Server;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use live::contract::{self, hash};
use live::until;

const HOUR: Duration = Duration::from_hours(1);

/// The calls' limit, and what a busy machine may add to it.
const LIMIT: Duration = Duration::from_millis(250);
const SLACK: Duration = Duration::from_millis(500);

/// Does one command on a connection of its own.
async fn ask<T: FromRedisValue>(server: &Server, command: &Cmd) -> T {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    command.query_async(&mut connection).await.unwrap()
}

/// A replica that hears news.
struct Replica {
    valkey: Arc<Valkey>,
    _listens: AbortOnDropHandle<()>,
}

impl Replica {
    async fn of(nodes: impl Into<Nodes>) -> Self {
        let mut config = Config::new(nodes);
        config.limit = LIMIT;
        let valkey = Arc::new(Valkey::new(&config).unwrap());
        let listener = Arc::clone(&valkey);
        let listens = tokio::spawn(async move { listener.listen(&CancellationToken::new()).await });
        let this = Self {
            valkey,
            _listens: AbortOnDropHandle::new(listens),
        };
        until("the news", async || this.valkey.gaps() == 1).await;
        until("an answer", async || this.valkey.ping().await.is_ok()).await;
        this
    }
}

#[tokio::test(start_paused = true)]
async fn memory_keeps_the_contract() {
    let _time = runtime::clock::virtual_time("2026-01-01T00:00:00Z".parse().unwrap());
    contract::is_kept(&Memory::new(1000)).await;
}

#[tokio::test]
async fn valkey_keeps_the_contract() {
    let server = Server::start().unwrap();
    contract::is_kept(&*Replica::of(vec![server.url()]).await.valkey).await;
}

#[tokio::test]
async fn a_cluster_keeps_the_contract_and_tells_through_every_node() {
    let mut servers = Server::cluster().unwrap();
    let urls: Vec<String> = servers.iter().map(Server::url).collect();
    let one = Replica::of(urls.clone()).await;
    contract::is_kept(&*one.valkey).await;

    let other = Replica::of(urls.iter().rev().cloned().collect::<Vec<_>>()).await;
    let mut heard = one.valkey.subscribe();
    other.valkey.publish(&News::KeysChanged).await.unwrap();
    assert_eq!(heard.recv().await, Ok(News::KeysChanged));

    // The node that it hears from goes; it hears from the next one.
    let gaps = one.valkey.gaps();
    servers[0].kill();
    until("another node's news", async || one.valkey.gaps() > gaps).await;
    assert_eq!(heard.recv().await, Ok(News::Missed));
    let envelope = format!(
        r#"{{"origin":"{}","about":{{"news":"keys_changed"}}}}"#,
        Uuid::nil()
    );
    let _: i64 = ask(&servers[2], cmd("PUBLISH").arg(NEWS).arg(envelope)).await;
    assert_eq!(heard.recv().await, Ok(News::KeysChanged));
}

#[tokio::test]
async fn keys_of_a_player_are_in_one_slot_and_leave_nothing_behind() {
    let servers = Server::cluster().unwrap();
    let replica = Replica::of(servers.iter().map(Server::url).collect::<Vec<_>>()).await;
    let (player, session) = (PlayerId(Uuid::new_v4()), SessionId(Uuid::new_v4()));
    replica
        .valkey
        .put_session(player, session, 0, b"session", HOUR)
        .await
        .unwrap();
    let reconnection = Key::Reconnection(player, Uuid::new_v4());
    replica
        .valkey
        .put(&reconnection, b"token", HOUR)
        .await
        .unwrap();
    let mut found = Vec::new();
    for server in &servers {
        let names: Vec<String> = ask(server, cmd("KEYS").arg("*")).await;
        found.push(names.len());
        for name in names {
            assert!(name.contains(&format!("{{{player}}}")), "{name}");
        }
    }
    found.sort_unstable();
    assert_eq!(found, [0, 0, 3]);
    replica.valkey.forget_sessions(player, None).await.unwrap();
    replica.valkey.forget(&reconnection).await.unwrap();
    // But the mark, for a while.
    let mut left = Vec::new();
    for server in &servers {
        left.extend(ask::<Vec<String>>(server, cmd("KEYS").arg("*")).await);
    }
    assert_eq!(left, [Key::Mark(player).to_string()]);
}

#[tokio::test]
async fn every_key_in_valkey_ends() {
    let server = Server::start().unwrap();
    let replica = Replica::of(vec![server.url()]).await;
    let valkey = &replica.valkey;
    let player = PlayerId(Uuid::new_v4());
    let (long, short) = (SessionId(Uuid::new_v4()), SessionId(Uuid::new_v4()));
    valkey
        .put_session(player, long, 0, b"session", 2 * HOUR)
        .await
        .unwrap();
    valkey
        .put_session(player, short, 0, b"session", HOUR)
        .await
        .unwrap();
    valkey.put(&Key::Step(hash()), b"step", HOUR).await.unwrap();
    valkey.once(&Key::Once(hash()), HOUR).await.unwrap();
    let failures = Key::Failures(hash());
    valkey.count(&failures, HOUR / 2).await.unwrap();
    valkey.count(&failures, HOUR).await.unwrap();
    let rate = Rate {
        burst: 2,
        period: HOUR,
    };
    valkey.throttle(&Key::Rate(hash()), rate).await.unwrap();
    let other = PlayerId(Uuid::new_v4());
    valkey.forget_sessions(other, None).await.unwrap();
    let mut lifetimes = Vec::new();
    for name in ask::<Vec<String>>(&server, cmd("KEYS").arg("*")).await {
        let millis: u64 = ask(&server, cmd("PTTL").arg(&name)).await;
        let (kind, _) = name.split_once(':').unwrap();
        let minutes = Duration::from_millis(millis).as_secs().div_ceil(60);
        lifetimes.push(format!("{kind} {minutes}"));
    }
    lifetimes.sort_unstable();
    let expected = [
        "failures 60",
        "mark 60",
        "once 60",
        "rate 60",
        "session 120",
        "session 60",
        "step 60",
        "user 120",
    ];
    assert_eq!(lifetimes, expected);
}

#[tokio::test]
async fn the_script_counts_as_the_function_does() {
    let server = Server::start().unwrap();
    let replica = Replica::of(vec![server.url()]).await;
    let valkey = &replica.valkey;
    let mut runner = TestRunner::deterministic();
    let rates = (1_u32..6, 200_000_u64..100_000_000_000);
    let stored = async |key: &Key| -> Option<i64> {
        ask::<Option<String>>(&server, cmd("GET").arg(key.to_string()))
            .await
            .map(|text| text.parse().unwrap())
    };
    let mut limited = 0;
    for _ in 0..60 {
        let (burst, micros) = rates.new_tree(&mut runner).unwrap().current();
        let rate = Rate {
            burst,
            period: Duration::from_micros(micros),
        };
        let key = Key::Rate(hash());
        for _ in 0..burst + 2 {
            let before = stored(&key).await;
            let answer = valkey.throttle(&key, rate).await.unwrap();
            // The clock of the server at the call follows from the state and the answer.
            let after = stored(&key).await.unwrap();
            let reset = i64::try_from(answer.reset_after.as_micros()).unwrap();
            assert_eq!(gcra(after - reset, before, rate), (Some(after), answer));
            limited += usize::from(answer.limited);
        }
    }
    assert!(limited > 30, "{limited}");
    // States that no attempt leaves: of a clock far ahead, or of another algorithm.
    for state in [i64::pow(2, 52), 0, -5] {
        let rate = Rate {
            burst: 3,
            period: HOUR,
        };
        let key = Key::Rate(hash());
        let _: () = ask(&server, cmd("SET").arg(key.to_string()).arg(state)).await;
        let answer = valkey.throttle(&key, rate).await.unwrap();
        assert_eq!(answer.limited, state > 0);
        assert!(answer.retry_after <= HOUR && answer.reset_after <= 3 * HOUR);
    }
}

#[tokio::test]
async fn others_hear_of_changed_players_in_the_promised_form() {
    let server = Server::start().unwrap();
    let replica = Replica::of(vec![server.url()]).await;
    let valkey = &replica.valkey;
    let client = redis::Client::open(server.url()).unwrap();
    let mut listener = client.get_async_pubsub().await.unwrap();
    listener.subscribe(USER_DATA_UPDATE).await.unwrap();
    let user_id = PlayerId(Uuid::from_u128(1));
    valkey.publish(&News::KeysChanged).await.unwrap();
    let changed = News::PlayerChanged {
        user_id,
        user_data: serde_json::json!({ "level": 3 }),
        roles: vec!["moderator".to_owned()],
    };
    valkey.publish(&changed).await.unwrap();
    let message = listener.on_message().next().await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(message.get_payload_bytes()).unwrap();
    let expected = serde_json::json!({ "user_id": user_id, "user_data": { "level": 3 } });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_is_not_understood_is_a_gap() {
    let server = Server::start().unwrap();
    let replica = Replica::of(vec![server.url()]).await;
    let valkey = &replica.valkey;
    let mut heard = valkey.subscribe();
    // Nor is it understood that another process has missed something.
    for unknown in ["of another version", r#"{"news":"missed"}"#] {
        let _: i64 = ask(&server, cmd("PUBLISH").arg(NEWS).arg(unknown)).await;
        assert_eq!(heard.recv().await, Ok(News::Missed));
    }
    assert_eq!(valkey.gaps(), 3);
}

/// Calls without pause; returns how long the longest took.
fn load(valkey: &Arc<Valkey>, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<Duration> {
    let (valkey, stop) = (Arc::clone(valkey), Arc::clone(stop));
    tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        let key = Key::Step(hash());
        while !stop.load(Ordering::Relaxed) {
            let since = Instant::now();
            valkey.put(&key, b"step", HOUR).await.ok();
            longest = longest.max(since.elapsed());
            tokio::task::yield_now().await;
        }
        longest
    })
}

#[tokio::test]
async fn a_server_that_dies_fails_calls_in_time_and_is_found_again() {
    let mut server = Server::start().unwrap();
    let (one, other) = (
        Replica::of(vec![server.url()]).await,
        Replica::of(vec![server.url()]).await,
    );
    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = (0..8).map(|_| load(&one.valkey, &stop)).collect();
    let mut heard = one.valkey.subscribe();
    for round in 1..=3 {
        server.kill();
        until("a failure", async || one.valkey.ping().await.is_err()).await;
        // What this replica does, it hears, whoever else does not.
        assert!(one.valkey.publish(&News::KeysChanged).await.is_err());
        assert_eq!(heard.recv().await, Ok(News::KeysChanged));
        server.run().unwrap();
        for replica in [&one, &other] {
            until("an answer", async || replica.valkey.ping().await.is_ok()).await;
            until("the news", async || replica.valkey.gaps() > round).await;
        }
        assert_eq!(heard.recv().await, Ok(News::Missed));
        other.valkey.publish(&News::KeysChanged).await.unwrap();
        assert_eq!(heard.recv().await, Ok(News::KeysChanged));
        // Scripts are gone with the server and are sent anew.
        assert_eq!(one.valkey.count(&Key::Failures(hash()), HOUR).await, Ok(1));
    }
    stop.store(true, Ordering::Relaxed);
    for load in loads {
        let longest = load.await.unwrap();
        assert!(longest < LIMIT + SLACK, "{longest:?}");
    }
}

#[tokio::test]
async fn a_server_that_stands_still_fails_calls_in_time() {
    let server = Server::start().unwrap();
    let replica = Replica::of(vec![server.url()]).await;
    let valkey = &replica.valkey;
    server.pause();
    let since = Instant::now();
    let key = Key::Step(hash());
    let calls = join_all((0..20).map(|_| valkey.get(&key))).await;
    assert!(calls.iter().all(|call| call.as_ref().is_err()));
    assert!(since.elapsed() >= LIMIT && since.elapsed() < LIMIT + SLACK);
    // One that is not connected yet does not wait for that either.
    let fresh = Valkey::new(&Config::new(vec![server.url()])).unwrap();
    let since = Instant::now();
    assert!(fresh.ping().await.is_err());
    assert!(since.elapsed() < LIMIT + SLACK);
    let since = Instant::now();
    assert!(valkey.publish(&News::KeysChanged).await.is_err());
    assert!(since.elapsed() < LIMIT + SLACK);
    server.resume();
    until("an answer", async || valkey.get(&key).await.is_ok()).await;

    // It stands still for longer than the news are left untried: they may have been missed.
    server.pause();
    let gaps = valkey.gaps();
    for _ in 0..8 {
        assert!(valkey.ping().await.is_err());
    }
    server.resume();
    until("the news", async || valkey.gaps() > gaps).await;
}

#[tokio::test]
async fn sign_ins_at_once_are_no_more_than_those_one_after_another() {
    let server = Server::start().unwrap();
    let valkey = Valkey::new(&Config::new(vec![server.url()])).unwrap();
    valkey.ping().await.unwrap();
    let mut config = limits::Config::default();
    config.lockout.first = config.lockout.longest;
    let replicas = [(); 3].map(|()| Limits::new(config.clone()));
    let account = IdentityHash([1; 32]);
    let source = Source::KnownDevice(b"laptop");
    let all = replicas.iter().cycle().take(90);
    let begun = join_all(all.map(|limits| limits.begin(&valkey, account, source))).await;
    let passed = begun.iter().filter(|attempt| attempt.is_ok()).count();
    assert!((5..=6).contains(&passed), "{passed}");
}

/// Answers like a server that has redis-cell, for one connection; returns what it was asked to
/// throttle.
async fn cell(listener: tokio::net::TcpListener) -> Vec<String> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    loop {
        let words = command(&mut stream).await;
        let answer = match words[0].as_str() {
            "COMMAND" => "*1\r\n*1\r\n$11\r\ncl.throttle\r\n",
            "CL.THROTTLE" => "*5\r\n:1\r\n:4\r\n:0\r\n:2\r\n:9\r\n",
            _ => "+OK\r\n",
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        if words[0] == "CL.THROTTLE" {
            return words;
        }
    }
}

/// Reads one command: an array of strings.
async fn command(stream: &mut BufReader<tokio::net::TcpStream>) -> Vec<String> {
    let mut count = number(stream).await;
    let mut words = Vec::new();
    while count > 0 {
        let mut word = vec![0; number(stream).await + 2];
        stream.read_exact(&mut word).await.unwrap();
        word.truncate(word.len() - 2);
        words.push(String::from_utf8(word).unwrap());
        count -= 1;
    }
    words
}

/// Reads the number after the mark of a line.
async fn number(stream: &mut BufReader<tokio::net::TcpStream>) -> usize {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line[1..].trim().parse().unwrap()
}

#[tokio::test]
async fn redis_cell_is_used_where_it_is() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}?protocol=resp2", listener.local_addr().unwrap());
    let server = tokio::spawn(cell(listener));
    let valkey = Valkey::new(&Config::new(vec![url])).unwrap();
    let key = Key::Rate([0xab; 32]);
    let rate = Rate {
        burst: 4,
        period: Duration::from_millis(2500),
    };
    let answer = valkey.throttle(&key, rate).await.unwrap();
    assert!(answer.limited && answer.limit == 4 && answer.remaining == 0);
    assert_eq!(answer.retry_after, Duration::from_secs(2));
    assert_eq!(answer.reset_after, Duration::from_secs(9));
    let asked = server.await.unwrap();
    assert_eq!(asked, ["CL.THROTTLE", &key.to_string(), "3", "2", "5"]);
}
