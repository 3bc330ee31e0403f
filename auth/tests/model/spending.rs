//! Refresh tokens that several clients spend at once, through two replicas.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use auth::Code;
use auth::signing::plan::Policy;
use futures::future::join_all;

use crate::replica::{Replica, Servers, until};

/// How many tokens. `cargo xtask test --long` asks for 100,000.
fn races() -> u64 {
    match std::env::var("MUSTER_RACES") {
        Ok(number) => number.parse().expect("MUSTER_RACES is a number"),
        Err(_) => 2000,
    }
}

/// Players that refresh at the same time.
const PLAYERS: u64 = 8;

/// Several clients try one token, half of them at each replica: one gets tokens.
async fn race(replicas: &[Replica], email: &str, race: u64) {
    let tokens = replicas[0].login(email).await.unwrap();
    let tries = (0..2 + race % 3).map(|client| {
        let replica = &replicas[usize::try_from(client).unwrap() % replicas.len()];
        let request = format!("client {client}");
        let refresh = tokens.refresh.clone();
        async move {
            let answer = replica.refresh(&refresh, Some(&request));
            answer.await.map_err(|failure| failure.code)
        }
    });
    let answers = join_all(tries).await;
    let good = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(good, 1, "race {race}: {answers:?}");
    let others = answers.iter().filter_map(|answer| answer.as_ref().err());
    others.for_each(|code| assert_eq!(*code, Code::InvalidToken));
}

/// Waits until more races than that have begun; fails when none begins for long.
async fn begun(next: &AtomicU64, count: u64) {
    let mut seen = next.load(Ordering::Relaxed);
    while seen <= count {
        until("another race", async || next.load(Ordering::Relaxed) > seen).await;
        seen = next.load(Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_clients_at_two_replicas_one_spends_a_token() {
    let mut servers = Servers::start().await;
    let policy = Policy::default();
    let replicas = [servers.replica(policy).await, servers.replica(policy).await];
    let (races, next) = (races(), AtomicU64::new(0));
    let began = Instant::now();
    let players = join_all((0..PLAYERS).map(async |_| {
        let (email, _) = replicas[0].register().await;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= races {
                break;
            }
            race(&replicas, &email, number).await;
        }
    }));
    // In the middle of it Valkey goes, and comes back empty.
    let loss = async {
        begun(&next, races / 3).await;
        servers.valkey.kill();
        begun(&next, races / 3 * 2).await;
        servers.valkey.run().unwrap();
    };
    tokio::join!(players, loss);
    println!("{races} tokens, {:.1?}", began.elapsed());
}
