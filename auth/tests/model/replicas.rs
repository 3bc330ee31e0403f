//! What one replica does, another knows: with Valkey, without it, and when it hangs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auth::ids::PlayerId;
use auth::live::{News, Revocation};
use auth::service::login::SignIn;
use auth::service::sessions::Tokens;
use auth::service::validate::Holder;
use auth::signing::plan::Policy;
use auth::store::Which;
use auth::store::postgres::Postgres;
use futures::StreamExt as _;
use futures::future::join_all;
use jiff::SignedDuration;
use storage::postgres;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::cluster::Cluster;
use crate::replica::{LIMIT, Replica, Servers, until};
use crate::world::{caller, signing};

/// How long a revocation may take until others know it.
const SOON: Duration = Duration::from_secs(1);

/// So many at once: what a busy machine does to one of them says nothing of the others.
const REVOCATIONS: usize = 200;

/// Waits until a follower hears that something of the player ended.
async fn heard(news: &mut broadcast::Receiver<News>, player: PlayerId) {
    let hears = async {
        loop {
            if let News::Revoked(revocation) = news.recv().await.unwrap()
                && revocation.player == player
            {
                return;
            }
        }
    };
    let hears = tokio::time::timeout(LIMIT, hears).await;
    hears.expect("followers are told");
}

/// Ends a session at one replica, with the other looking.
async fn end_one(how: &str, here: &Replica, there: &Replica) {
    let (email, first) = here.register().await;
    let second = here.login(&email).await.unwrap();
    for tokens in [&first, &second] {
        assert!(there.accepts(&tokens.access).await);
    }
    let mut news = there.service.follow().await.unwrap().news;
    let began = Instant::now();
    let end = here
        .service
        .end_sessions(first.player, Which::One(first.session), "");
    let told = async {
        heard(&mut news, first.player).await;
        began.elapsed()
    };
    let (ended, told) = tokio::join!(end, told);
    assert_eq!(ended.unwrap(), 1);
    assert!(!there.accepts(&first.access).await, "{how}");
    assert!(!here.accepts(&first.access).await, "{how}");
    assert!(here.accepts(&second.access).await, "{how}");
    assert!(there.accepts(&second.access).await, "{how}");
    println!("{how}: told after {told:.0?}");
}

/// Sessions of as many players.
async fn many(replica: &Replica) -> Vec<Tokens> {
    let register = async |_| replica.register().await.1;
    let all = futures::stream::iter(0..REVOCATIONS).then(register);
    all.collect().await
}

/// Ends sessions at one replica; the time after which 99 of 100 are known at the other.
async fn end_many(sessions: &[Tokens], here: &Replica, there: &Replica) -> Duration {
    let mut news = there.service.follow().await.unwrap().news;
    let began = Mutex::new(HashMap::new());
    let end = async |tokens: &Tokens| {
        began.lock().unwrap().insert(tokens.player, Instant::now());
        let which = Which::One(tokens.session);
        let ended = here.service.end_sessions(tokens.player, which, "").await;
        assert_eq!(ended.unwrap(), 1);
    };
    let ends = futures::stream::iter(sessions).for_each_concurrent(4, end);
    let mut times = Vec::new();
    let hears = async {
        while times.len() < sessions.len() {
            if let News::Revoked(revocation) = news.recv().await.unwrap()
                && let Some(began) = began.lock().unwrap().remove(&revocation.player)
            {
                times.push(began.elapsed());
            }
        }
    };
    let hears = tokio::time::timeout(LIMIT, hears);
    let ((), told) = tokio::join!(ends, hears);
    told.expect("followers are told of each");
    for tokens in sessions {
        assert!(!there.accepts(&tokens.access).await);
    }
    times.sort_unstable();
    times[times.len() * 99 / 100 - 1]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nearly_every_revocation_is_known_elsewhere_within_a_second() {
    let mut servers = Servers::start().await;
    let policy = Policy::default();
    let (one, other) = (servers.replica(policy).await, servers.replica(policy).await);
    let (first, second) = (many(&one).await, many(&one).await);
    let told = end_many(&first, &one, &other).await;
    assert!(told <= SOON, "by Valkey after {told:?}");
    servers.valkey.kill();
    let told = end_many(&second, &one, &other).await;
    assert!(told <= SOON, "without Valkey after {told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_at_one_replica_ends_at_the_other() {
    let mut servers = Servers::start().await;
    let policy = Policy::default();
    let (one, other) = (servers.replica(policy).await, servers.replica(policy).await);
    end_one("by Valkey", &one, &other).await;
    servers.valkey.pause();
    end_one("past a Valkey that hangs", &one, &other).await;
    servers.valkey.resume();
    servers.valkey.kill();
    end_one("without Valkey", &one, &other).await;
    servers.valkey.run().unwrap();
    end_one("by a new Valkey", &other, &one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_replica_knows_what_ended_before_it_began() {
    let mut servers = Servers::start().await;
    let one = servers.replica(Policy::default()).await;
    let (email, ended) = one.register().await;
    assert!(one.accepts(&ended.access).await);
    // In Valkey a session stays that the store has ended: the end was not told there.
    servers.valkey.pause();
    let end = one.service.end_sessions(ended.player, Which::All, "").await;
    assert_eq!(end.unwrap(), 1);
    servers.valkey.resume();
    let other = servers.replica(Policy::default()).await;
    assert!(!other.accepts(&ended.access).await);
    let good = one.login(&email).await.unwrap();
    assert!(other.accepts(&good.access).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_do_not_wait_for_a_database_that_stands_still() {
    let mut servers = Servers::start().await;
    let replica = servers.replica(Policy::default()).await;
    let (_, there) = servers.clients().await;
    let mut news = replica.service.follow().await.unwrap().news;
    servers.postgres.pause();
    // Until long after the store was asked, and does not answer.
    let began = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    while began.elapsed() < Duration::from_secs(2) {
        pause.tick().await;
        let player = PlayerId(Uuid::new_v4());
        let revocation = Revocation {
            id: Uuid::new_v4(),
            player,
            session: None,
            at: runtime::clock::now(),
        };
        there.publish(&News::Revoked(revocation)).await.unwrap();
        heard(&mut news, player).await;
    }
    servers.postgres.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_given_up_without_any_news() {
    let mut servers = Servers::start().await;
    let policy = Policy::default();
    let (one, other) = (servers.replica(policy).await, servers.replica(policy).await);
    let (_, tokens) = one.register().await;
    assert!(other.accepts(&tokens.access).await);
    servers.valkey.kill();
    let mut keys = other.signing.published();
    let stolen = keys.borrow().ids().next().unwrap().to_owned();
    let revoked = one.signing.revoke(runtime::clock::now(), &stolen).await;
    assert!(revoked.unwrap());
    let given_up = keys.wait_for(|keys| keys.ids().all(|id| id != stolen));
    let given_up = tokio::time::timeout(LIMIT, given_up).await;
    given_up.expect("it is given up soon").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_is_told_that_news_were_missed() {
    let mut servers = Servers::start().await;
    let replica = servers.replica(Policy::default()).await;
    let mut news = replica.service.follow().await.unwrap().news;
    servers.valkey.kill();
    servers.valkey.run().unwrap();
    let told = tokio::time::timeout(LIMIT, async {
        while news.recv().await.unwrap() != News::Missed {}
    });
    told.await.expect("it is told when Valkey is heard again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_sign_in_does_not_ask_the_database_that_follows() {
    let mut servers = Servers::start().await;
    // It never hears of anything.
    let follower = Cluster::start();
    follower.migrate("auth").await.database().close().await;
    let config = postgres::Config {
        replica: Some(follower.url("auth")),
        ..postgres::Config::new(servers.postgres.url("auth"))
    };
    let store = Arc::new(Postgres::new(config).unwrap());
    let (_, live) = servers.clients().await;
    let replica = Replica::start(store, live, Policy::default()).await;
    let mut caller = caller();
    caller.client.device_id = Some("a device of nobody".to_owned());
    let mut players = Vec::new();
    for _ in 0..2 {
        let entered = replica.service.login_by_device(&caller).await.unwrap();
        let SignIn::Tokens(tokens) = entered else {
            panic!("guests have no second factor");
        };
        players.push(tokens.player);
    }
    assert_eq!(players[0], players[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_read_before_a_change_is_not_cached_after_it() {
    const SERVER: &str = "203.0.113.7:7012";
    let mut servers = Servers::start().await;
    let policy = Policy::default();
    let (one, other) = (servers.replica(policy).await, servers.replica(policy).await);
    let (_, tokens) = one.register().await;
    let (player, session) = (tokens.player, tokens.session);
    assert!(one.accepts(&tokens.access).await);
    // A replica reads the session, and stands still before it caches what it has read.
    let (_, live) = servers.clients().await;
    let cached = live.session(player, session).await.unwrap();
    let service = &one.service;
    let assigned = service.assign_server(player, session, Some(SERVER)).await;
    assigned.unwrap();
    let value = cached.value.unwrap();
    let put = live.put_session(player, session, cached.mark, &value, LIMIT);
    put.await.unwrap();
    let known = other.service.validate_session(player, session, SERVER);
    assert_eq!(known.await.unwrap().player, player);
}

/// Players that sign in at one replica and are validated at once at the other.
struct Validating {
    stop: AtomicBool,
    tokens: AtomicU64,
}

impl Validating {
    async fn run(&self, here: &Replica, there: &Replica) {
        let (email, _) = here.register().await;
        while !self.stop.load(Ordering::Relaxed) {
            let tokens = here.login(&email).await.unwrap();
            let at_once = there
                .service
                .validate(&tokens.access, None, Holder::Player(None));
            at_once.await.expect("a good token is accepted");
            assert!(here.accepts(&tokens.access).await);
            let mut access = vec![tokens.access];
            let mut refresh = tokens.refresh;
            for number in 0..4 {
                let request = format!("request {number}");
                let next = there.refresh(&refresh, Some(&request));
                let next = next.await.unwrap();
                access.push(next.access);
                refresh = next.refresh;
                for token in &access {
                    assert!(here.accepts(token).await);
                    assert!(there.accepts(token).await);
                }
                let count = u64::try_from(access.len()).unwrap() * 2;
                self.tokens.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// Waits for some more.
    async fn goes_on(&self) {
        let before = self.tokens.load(Ordering::Relaxed);
        until("validations", async || {
            self.tokens.load(Ordering::Relaxed) > before + 20
        })
        .await;
    }

    /// Validates while something is done.
    async fn during(replicas: &[Replica; 2], done: impl AsyncFnOnce(&Self)) {
        let this = Self {
            stop: AtomicBool::new(false),
            tokens: AtomicU64::new(0),
        };
        let [one, other] = replicas;
        let load = join_all([
            this.run(one, other),
            this.run(other, one),
            this.run(one, other),
        ]);
        let change = async {
            done(&this).await;
            this.stop.store(true, Ordering::Relaxed);
        };
        tokio::time::timeout(LIMIT, async { tokio::join!(load, change) })
            .await
            .expect("it ends");
        println!("{} validations", this.tokens.load(Ordering::Relaxed));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_good_token_is_refused_while_keys_are_replaced_at_once() {
    let mut servers = Servers::start().await;
    let policy = Policy::default();
    let replicas = [servers.replica(policy).await, servers.replica(policy).await];
    let rotations = async |load: &Validating| {
        for number in 0..20 {
            if number == 10 {
                // Nobody tells of the next ones: they are asked for.
                servers.valkey.kill();
            }
            let rotating = &replicas[number % 2].signing;
            rotating.rotate(runtime::clock::now()).await.unwrap();
            load.goes_on().await;
        }
    };
    Validating::during(&replicas, rotations).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_good_token_is_refused_while_the_next_key_begins_to_sign() {
    let mut servers = Servers::start().await;
    let policy = Policy {
        rotate_every: SignedDuration::from_mins(10),
        ..Policy::default()
    };
    // As if a replica had run for ten minutes less three seconds, and made the next key in time.
    let (store, live) = servers.clients().await;
    let began = runtime::clock::now() - policy.rotate_every + SignedDuration::from_secs(3);
    let former = signing(began, &store, &live, policy).await;
    let due = began + policy.rotate_every - policy.ahead();
    former
        .refresh(due + SignedDuration::from_secs(1))
        .await
        .unwrap();
    let keys = store.signing_keys().await.unwrap();
    assert_eq!(keys.len(), 2);
    let next = keys.iter().map(|key| key.activates).max().unwrap();

    let replicas = [servers.replica(policy).await, servers.replica(policy).await];
    assert!(
        runtime::clock::now() < next,
        "the replicas start before the key signs"
    );
    let turn = async |load: &Validating| {
        until("the next key to sign", async || {
            runtime::clock::now() > next
        })
        .await;
        load.goes_on().await;
    };
    Validating::during(&replicas, turn).await;
}
