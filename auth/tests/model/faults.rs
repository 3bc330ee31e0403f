//! Databases that fail under load: no token is spent twice, calls fail in time and recover, and
//! validation goes on.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use auth::Code;
use auth::service::sessions::Tokens;
use auth::signing::plan::Policy;
use futures::future::join_all;

use crate::replica::{LIMIT, Replica, Servers, until};
use crate::world::HERE;

/// The longest call: what the store and Valkey may take together, and what a busy machine adds.
const CALL: Duration = Duration::from_secs(5);

/// Clients of the load; each has one that stole its tokens.
const CLIENTS: usize = 4;

/// What became of refresh tokens, and how calls went.
#[derive(Default)]
struct History {
    /// By token: the request that spent it.
    spent: Mutex<HashMap<String, String>>,
    stop: AtomicBool,
    good: AtomicU64,
    unavailable: AtomicU64,
    validated: AtomicU64,
}

impl History {
    /// Presents a token; nothing when the service is not ready.
    async fn refresh(
        &self,
        replica: &Replica,
        token: &str,
        request: &str,
    ) -> Option<Option<Tokens>> {
        let refresh = replica.refresh(token, Some(request));
        let answer = tokio::time::timeout(CALL, refresh).await;
        match answer.expect("a call ends in time") {
            Ok(tokens) => {
                self.good.fetch_add(1, Ordering::Relaxed);
                let mut spent = self.spent.lock().unwrap();
                let by = spent
                    .entry(token.to_owned())
                    .or_insert_with(|| request.to_owned());
                assert_eq!(by, request, "a token was spent twice");
                Some(Some(tokens))
            }
            Err(failure) if failure.code == Code::InvalidToken => Some(None),
            Err(failure) => {
                assert_eq!(failure.code, Code::Unavailable, "{failure}");
                self.unavailable.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                None
            }
        }
    }

    /// A token that is good stays good, whatever is down.
    async fn validate(&self, replica: &Replica, access: &str) {
        let accepted = tokio::time::timeout(CALL, replica.accepts(access)).await;
        assert!(accepted.expect("validation ends in time"));
        self.validated.fetch_add(1, Ordering::Relaxed);
    }

    /// Refreshes and validates until told to stop, and retries as an honest client does.
    async fn client(&self, replicas: &[Replica; 2], number: usize, account: (String, Tokens)) {
        let (email, mut tokens) = account;
        let mut request = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            request += 1;
            let id = format!("{number} {request}");
            let here = &replicas[usize::try_from(request).unwrap() % 2];
            let there = &replicas[(usize::try_from(request).unwrap() + 1) % 2];
            let (own, stolen) = if request.is_multiple_of(8) {
                // Somebody else has the token, and tries it elsewhere at the same time.
                tokio::join!(
                    self.refresh(here, &tokens.refresh, &id),
                    self.refresh(there, &tokens.refresh, "stolen"),
                )
            } else {
                self.validate(there, &tokens.access).await;
                (self.refresh(here, &tokens.refresh, &id).await, None)
            };
            let own = match own {
                // It may have been spent without us hearing of it: the same request asks again.
                None => self.insist(there, &tokens.refresh, &id).await,
                Some(answer) => answer,
            };
            if let (Some(next), None) = (own, stolen) {
                tokens = next;
                if !request.is_multiple_of(8) {
                    continue;
                }
            }
            tokens = self.login(here, &email).await;
        }
    }

    /// Asks until there is an answer.
    async fn insist(&self, replica: &Replica, token: &str, request: &str) -> Option<Tokens> {
        let asks = async {
            loop {
                if let Some(answer) = self.refresh(replica, token, request).await {
                    return answer;
                }
            }
        };
        let answer = tokio::time::timeout(LIMIT, asks).await;
        answer.expect("it answers again")
    }

    async fn login(&self, replica: &Replica, email: &str) -> Tokens {
        let tries = async {
            loop {
                let entered = tokio::time::timeout(CALL, replica.login(email)).await;
                match entered.expect("a call ends in time") {
                    Ok(tokens) => return tokens,
                    Err(failure) => assert_eq!(failure.code, Code::Unavailable, "{failure}"),
                }
                tokio::task::yield_now().await;
            }
        };
        let tokens = tokio::time::timeout(LIMIT, tries).await;
        tokens.expect("players sign in again")
    }

    /// Waits for so many more good calls: it works, or works again.
    async fn goes_on(&self, counter: &AtomicU64) {
        let before = counter.load(Ordering::Relaxed);
        until("good calls", async || {
            counter.load(Ordering::Relaxed) > before + 50
        })
        .await;
    }

    async fn fails(&self) {
        let before = self.unavailable.load(Ordering::Relaxed);
        until("calls that fail", async || {
            self.unavailable.load(Ordering::Relaxed) > before + 8
        })
        .await;
    }
}

/// Puts load on two replicas while servers fail.
async fn under_load(fail: impl AsyncFnOnce(&History, &mut Servers)) {
    let mut servers = Servers::start_hasty().await;
    let policy = Policy::default();
    let replicas = [servers.replica(policy).await, servers.replica(policy).await];
    let history = History::default();
    // Before anything fails: accounts are not what this is about.
    let accounts = join_all((0..CLIENTS).map(|_| replicas[0].register())).await;
    let clients = accounts.into_iter().enumerate();
    let load =
        join_all(clients.map(|(number, account)| history.client(&replicas, number, account)));
    let faults = async {
        history.goes_on(&history.good).await;
        fail(&history, &mut servers).await;
        // Nothing is left of it.
        history.goes_on(&history.good).await;
        history.stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(load, faults);
    println!(
        "{} tokens spent, {} calls unavailable, {} validations",
        history.spent.lock().unwrap().len(),
        history.unavailable.load(Ordering::Relaxed),
        history.validated.load(Ordering::Relaxed),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_killed_again_and_again() {
    under_load(async |history, servers| {
        for _ in 0..3 {
            servers.postgres.kill();
            history.fails().await;
            servers.postgres.run().unwrap();
            history.goes_on(&history.good).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_stands_still() {
    under_load(async |history, servers| {
        servers.postgres.pause();
        history.fails().await;
        servers.postgres.resume();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valkey_loses_everything_again_and_again() {
    under_load(async |history, servers| {
        for _ in 0..3 {
            servers.valkey.kill();
            history.goes_on(&history.good).await;
            servers.valkey.run().unwrap();
            history.goes_on(&history.good).await;
        }
        assert_eq!(history.unavailable.load(Ordering::Relaxed), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valkey_stands_still() {
    under_load(async |history, servers| {
        servers.valkey.pause();
        history.goes_on(&history.good).await;
        servers.valkey.resume();
        assert_eq!(history.unavailable.load(Ordering::Relaxed), 0);
    })
    .await;
}

/// Without any database, tokens are good by keys and revocations at hand; what needs a database
/// says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_validated_without_any_database() {
    let mut servers = Servers::start_hasty().await;
    let replica = servers.replica(Policy::default()).await;
    let (email, tokens) = replica.register().await;
    let (_, ended) = replica.register().await;
    let end = replica
        .service
        .logout_by_refresh(HERE, &ended.refresh)
        .await;
    assert_eq!(end.unwrap(), 1);
    servers.postgres.kill();
    servers.valkey.kill();
    let ask = async || {
        let asks = async {
            assert!(replica.accepts(&tokens.access).await);
            assert!(!replica.accepts(&ended.access).await);
            let refreshed = replica.refresh(&tokens.refresh, Some("1"));
            assert_eq!(refreshed.await.unwrap_err().code, Code::Unavailable);
            let entered = replica.login(&email).await;
            assert_eq!(entered.unwrap_err().code, Code::Unavailable);
        };
        let asked = tokio::time::timeout(CALL * 4, asks).await;
        asked.expect("calls end in time");
    };
    // Longer than any session is cached in the process.
    let cached = std::time::Instant::now();
    while cached.elapsed() < Duration::from_millis(1500) {
        ask().await;
    }
    servers.postgres.run().unwrap();
    servers.valkey.run().unwrap();
    until("a refresh", async || {
        let refreshed = replica.refresh(&tokens.refresh, Some("1"));
        refreshed.await.is_ok()
    })
    .await;
}
