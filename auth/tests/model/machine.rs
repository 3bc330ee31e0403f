//! Random calls to the service, against a simple model of which tokens and sessions are good.

use std::collections::BTreeSet;
use std::sync::Arc;

use auth::Code;
use auth::ids::PlayerId;
use auth::live::Live;
use auth::service::sessions::Tokens;
use auth::signing::plan::Policy;
use auth::store::{Status, Store, Which};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::replica::{Embedded, Replica, Servers};
use crate::world::HERE;

/// How many players there may be.
const PLAYERS: usize = 3;

/// One call, or what an operator does. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Register,
    Login(usize),
    /// The token of a session that is good.
    Refresh(usize),
    /// The same once more, by the client that has not heard the answer.
    Retry(usize),
    /// A token that was spent, by another client.
    Replay(usize, usize),
    /// A token that was spent, by a client that gives its requests no ids.
    Nameless(usize),
    Logout(usize),
    LogoutByRefresh(usize),
    EndAll(usize),
    EndOthers(usize),
    Disable(usize),
    Enable(usize),
    RotateKeys,
    Restart,
    /// The service starts anew, and live state has lost everything.
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    let any = 0..64_usize;
    prop_oneof![
        2 => Just(Step::Register),
        5 => any.clone().prop_map(Step::Login),
        8 => any.clone().prop_map(Step::Refresh),
        3 => any.clone().prop_map(Step::Retry),
        2 => (any.clone(), any.clone()).prop_map(|(session, token)| Step::Replay(session, token)),
        1 => any.clone().prop_map(Step::Nameless),
        1 => any.clone().prop_map(Step::Logout),
        1 => any.clone().prop_map(Step::LogoutByRefresh),
        1 => any.clone().prop_map(Step::EndAll),
        1 => any.clone().prop_map(Step::EndOthers),
        1 => any.clone().prop_map(Step::Disable),
        2 => any.prop_map(Step::Enable),
        1 => Just(Step::RotateKeys),
        2 => Just(Step::Restart),
        1 => Just(Step::Forget),
    ]
}

struct Player {
    id: PlayerId,
    email: String,
    enabled: bool,
}

/// A session as it must be.
struct Session {
    player: usize,
    first: Tokens,
    is_live: bool,
    /// The tokens that were spent, oldest first, with the id of the request that did.
    spent: Vec<(String, String)>,
    /// The token that is good, if the session is live.
    refresh: String,
    /// Access tokens with the second of their making.
    access: Vec<(String, i64)>,
}

/// The service with its model.
struct Machine {
    replica: Replica,
    store: Arc<dyn Store>,
    live: Arc<dyn Live>,
    /// Where the service over SQLite has its file.
    embedded: Option<Embedded>,
    players: Vec<Player>,
    sessions: Vec<Session>,
    requests: u32,
}

/// When an access token was made, as it says.
fn made(access: &str) -> i64 {
    let payload = access.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    claims["iat"].as_i64().unwrap()
}

/// One of them, whatever the number.
fn chosen<T>(all: &mut [T], number: usize) -> Option<&mut T> {
    let count = all.len().max(1);
    all.get_mut(number % count)
}

impl Machine {
    async fn new(store: Arc<dyn Store>, live: Arc<dyn Live>, embedded: Option<Embedded>) -> Self {
        Self {
            replica: Replica::start(Arc::clone(&store), Arc::clone(&live), Policy::default()).await,
            store,
            live,
            embedded,
            players: Vec::new(),
            sessions: Vec::new(),
            requests: 0,
        }
    }

    fn request(&mut self) -> String {
        self.requests += 1;
        format!("request {}", self.requests)
    }

    fn opened(&mut self, player: usize, tokens: Tokens) {
        self.sessions.push(Session {
            player,
            is_live: true,
            spent: Vec::new(),
            refresh: tokens.refresh.clone(),
            access: vec![(tokens.access.clone(), made(&tokens.access))],
            first: tokens,
        });
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Register if self.players.len() < PLAYERS => {
                let (email, tokens) = self.replica.register().await;
                let id = tokens.player;
                let enabled = true;
                self.players.push(Player { id, email, enabled });
                self.opened(self.players.len() - 1, tokens);
            }
            Step::Register => {}
            Step::Login(number) => {
                let count = self.players.len().max(1);
                let Some(player) = self.players.get(number % count) else {
                    return;
                };
                let entered = self.replica.login(&player.email).await;
                if player.enabled {
                    self.opened(number % count, entered.unwrap());
                } else {
                    assert_eq!(entered.unwrap_err().code, Code::InvalidCredentials);
                }
            }
            Step::Refresh(number) => self.refresh(number).await,
            Step::Retry(number) => self.retry(number).await,
            Step::Replay(number, token) => {
                let request = self.request();
                self.replay(number, token, Some(&request)).await;
            }
            Step::Nameless(number) => self.replay(number, 0, None).await,
            Step::Logout(_) | Step::LogoutByRefresh(_) | Step::EndAll(_) | Step::EndOthers(_) => {
                self.end(step).await;
            }
            Step::Disable(number) | Step::Enable(number) => {
                let Some(player) = chosen(&mut self.players, number) else {
                    return;
                };
                player.enabled = matches!(step, Step::Enable(_));
                let status = if player.enabled {
                    Status::Active
                } else {
                    Status::Disabled
                };
                let set = self.replica.service.set_status(player.id, status).await;
                set.unwrap();
                let (id, enabled) = (player.id, player.enabled);
                for session in &mut self.sessions {
                    session.is_live &= enabled || session.first.player != id;
                }
            }
            Step::RotateKeys => {
                let rotated = self.replica.signing.rotate(runtime::clock::now()).await;
                rotated.unwrap();
            }
            Step::Restart => self.restart().await,
            Step::Forget => {
                if let Some(embedded) = &self.embedded {
                    (self.store, self.live) = embedded.clients().await;
                }
                self.restart().await;
            }
        }
    }

    async fn restart(&mut self) {
        let (store, live) = (Arc::clone(&self.store), Arc::clone(&self.live));
        let next = Replica::start(store, live, Policy::default()).await;
        std::mem::replace(&mut self.replica, next).end().await;
    }

    async fn refresh(&mut self, number: usize) {
        let request = self.request();
        let Some(session) = chosen(&mut self.sessions, number) else {
            return;
        };
        let refreshed = self.replica.refresh(&session.refresh, Some(&request));
        match refreshed.await {
            Ok(tokens) => {
                assert!(session.is_live, "a token of an ended session was good");
                assert_eq!(tokens.session, session.first.session);
                assert_ne!(tokens.refresh, session.refresh);
                session
                    .access
                    .push((tokens.access.clone(), made(&tokens.access)));
                let spent = std::mem::replace(&mut session.refresh, tokens.refresh);
                session.spent.push((spent, request));
            }
            Err(failure) => {
                assert_eq!(failure.code, Code::InvalidToken);
                assert!(!session.is_live, "a good token was refused");
            }
        }
    }

    async fn retry(&mut self, number: usize) {
        let Some(session) = chosen(&mut self.sessions, number) else {
            return;
        };
        let Some((token, request)) = session.spent.last() else {
            return;
        };
        match self.replica.refresh(token, Some(request)).await {
            Ok(tokens) => {
                assert!(session.is_live, "a retry for an ended session was good");
                assert_eq!(
                    tokens.refresh, session.refresh,
                    "a retry has the same answer"
                );
                session
                    .access
                    .push((tokens.access.clone(), made(&tokens.access)));
            }
            Err(failure) => {
                assert_eq!(failure.code, Code::InvalidToken);
                assert!(!session.is_live, "an honest retry was refused");
            }
        }
    }

    /// A token that was spent comes from somewhere else: the session ends.
    async fn replay(&mut self, number: usize, token: usize, request: Option<&str>) {
        let Some(session) = chosen(&mut self.sessions, number) else {
            return;
        };
        let Some((token, _)) = chosen(&mut session.spent, token) else {
            return;
        };
        let replayed = self.replica.refresh(token, request).await;
        assert_eq!(replayed.unwrap_err().code, Code::InvalidToken);
        session.is_live = false;
    }

    async fn end(&mut self, step: &Step) {
        let service = &self.replica.service;
        let (Step::Logout(number)
        | Step::LogoutByRefresh(number)
        | Step::EndAll(number)
        | Step::EndOthers(number)) = step
        else {
            return;
        };
        let Some(session) = chosen(&mut self.sessions, *number) else {
            return;
        };
        let (player, id) = (session.first.player, session.first.session);
        let which = match step {
            Step::LogoutByRefresh(_) => {
                // Any token of the session does, even one that was spent.
                let ended = service
                    .logout_by_refresh(HERE, &session.first.refresh)
                    .await;
                assert_eq!(ended.unwrap(), u32::from(session.is_live));
                session.is_live = false;
                return;
            }
            Step::Logout(_) => Which::One(id),
            Step::EndAll(_) => Which::All,
            _ => Which::AllBut(id),
        };
        let ended = service.end_sessions(player, which, "192.0.2.1").await;
        let mut expected = 0;
        for session in &mut self.sessions {
            let is_meant = session.first.player == player
                && match which {
                    Which::AllBut(kept) => session.first.session != kept,
                    Which::One(only) => session.first.session == only,
                    _ => true,
                };
            if is_meant && session.is_live {
                session.is_live = false;
                expected += 1;
            }
        }
        assert_eq!(ended.unwrap(), expected);
    }

    /// Compares every token and session with the model.
    async fn compare(&self) {
        let store = &self.store;
        let all = store.revocations_since(Timestamp::UNIX_EPOCH, Uuid::nil(), 10_000);
        let revocations = all.await.unwrap();
        // Tokens count whole seconds: of the second in which an account is disabled none is good.
        let floor = |player: PlayerId| {
            let all = revocations.iter();
            all.filter(|revocation| revocation.player == player && revocation.session.is_none())
                .map(|revocation| revocation.at.as_second())
                .max()
                .unwrap_or(i64::MIN)
        };
        for (index, session) in self.sessions.iter().enumerate() {
            let floor = floor(session.first.player);
            for (access, made) in &session.access {
                let expected = session.is_live && *made > floor;
                let accepted = self.replica.accepts(access).await;
                assert_eq!(
                    accepted, expected,
                    "session {index}, made {made}, floor {floor}"
                );
            }
        }
        for (index, player) in self.players.iter().enumerate() {
            let listed = self.replica.service.sessions(player.id).await.unwrap();
            let listed: BTreeSet<_> = listed.iter().map(|session| session.id).collect();
            let all = self.sessions.iter();
            let expected: BTreeSet<_> = all
                .filter(|session| session.player == index && session.is_live)
                .map(|session| session.first.session)
                .collect();
            assert_eq!(listed, expected);
        }
    }
}

/// So many random sequences. `MUSTER_CASES=1000` asks for more.
fn cases(usual: u32) -> u32 {
    match std::env::var("MUSTER_CASES") {
        Ok(number) => number.parse().expect("MUSTER_CASES is a number"),
        Err(_) => usual,
    }
}

/// Runs sequences, each on a machine of its own.
fn holds(runtime: &Runtime, cases: u32, machine: impl AsyncFn() -> Machine) {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    });
    let outcome = runner.run(&vec(step(), 1..40), |steps| {
        runtime.block_on(async {
            let mut machine = machine().await;
            for step in &steps {
                machine.take(step).await;
                machine.compare().await;
            }
            machine.replica.end().await;
        });
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, steps)) => panic!("{reason}\n{steps:#?}"),
        Err(abort) => panic!("{abort}"),
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn the_embedded_service_is_as_its_model() {
    holds(&runtime(), cases(64), async || {
        let embedded = Embedded::new();
        let (store, live) = embedded.clients().await;
        Machine::new(store, live, Some(embedded)).await
    });
}

#[test]
fn the_service_over_postgresql_and_valkey_is_as_its_model() {
    let runtime = runtime();
    let servers = tokio::sync::Mutex::new(runtime.block_on(Servers::start()));
    holds(&runtime, cases(8), async || {
        let (store, live) = servers.lock().await.clients().await;
        Machine::new(store, live, None).await
    });
    // Its connections are of the runtime.
    runtime.block_on(async { drop(servers) });
}
