//! Refresh tokens that several callers try at once, many of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use auth::store::{Rotated, Session, Store};
use futures::future::join_all;

use crate::cases;
use crate::cluster::Cluster;

/// How many tokens. 100,000 take minutes: `cargo xtask test --long` asks for them.
fn races() -> u64 {
    match std::env::var("MUSTER_RACES") {
        Ok(number) => number.parse().expect("MUSTER_RACES is a number"),
        Err(_) => 10_000,
    }
}

/// Players that refresh at the same time.
const PLAYERS: u64 = 16;

/// One token in so many is tried by strangers, which ends its session.
const THEFTS: u64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_spent_twice() {
    let cluster = Cluster::start();
    let store: Arc<dyn Store> = Arc::new(cluster.migrate("auth").await);
    let (races, next) = (races(), Arc::new(AtomicU64::new(0)));
    let calls = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let players = (0..PLAYERS).map(|_| {
        let (store, next, calls) = (store.clone(), next.clone(), calls.clone());
        tokio::spawn(async move {
            let player = cases::player(&*store).await;
            let mut session = cases::session(&*store, player, 0).await;
            let mut generation = 0;
            loop {
                let race = next.fetch_add(1, Ordering::Relaxed);
                if race >= races {
                    break;
                }
                let callers = u8::try_from(2 + race % 3).unwrap();
                calls.fetch_add(callers.into(), Ordering::Relaxed);
                let strangers = race % THEFTS == 0;
                run(&*store, &session, generation, callers, strangers).await;
                generation += 1;
                if strangers {
                    session = cases::session(&*store, player, 0).await;
                    generation = 0;
                }
            }
        })
    });
    for player in join_all(players).await {
        player.unwrap();
    }
    let (took, calls) = (began.elapsed(), calls.load(Ordering::Relaxed));
    println!("{races} tokens, {calls} calls, {took:.1?}");
}

/// Several callers try a token at once: one succeeds.
async fn run(store: &dyn Store, session: &Session, generation: u32, callers: u8, strangers: bool) {
    let tokens: Vec<_> = (0..callers)
        .map(|caller| cases::rotate(session, generation, if strangers { caller } else { 0 }, 1))
        .collect();
    let rotated = join_all(tokens.iter().map(|token| store.rotate(token))).await;
    let (mut firsts, mut reused) = (0, 0);
    for one in rotated {
        match one.unwrap() {
            Rotated::Next {
                generation: next, ..
            } => {
                firsts += 1;
                assert_eq!(next, generation + 1);
            }
            Rotated::Again {
                generation: next, ..
            } => {
                assert!(!strangers);
                assert_eq!(next, generation + 1);
            }
            Rotated::Reused(_) => reused += 1,
            Rotated::Refused => assert!(strangers),
        }
    }
    assert_eq!(firsts, 1, "{} {generation}", session.id);
    assert_eq!(reused, u32::from(strangers), "{} {generation}", session.id);
}
