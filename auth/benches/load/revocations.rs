//! Until a revocation is known everywhere: two replicas, each with a follower by WebSocket and one by
//! gRPC.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use proto::muster::auth::v1 as wire;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::Code;
use wire::watch_response::Event;

use crate::report::{Report, number, p99};
use crate::world::{Replica, as_service};

/// How many sessions end.
const ROUNDS: usize = 200;

/// Longest time until everybody knows, in milliseconds.
const GOAL: f64 = 1000.0;

/// When nobody waits any more.
const LIMIT: Duration = Duration::from_secs(10);

/// Followers: two of each replica.
const FOLLOWERS: usize = 4;

/// A follower heard of the end of a session.
struct Heard {
    session: String,
    at: Instant,
}

/// Ends sessions at one replica and at the other.
pub(crate) async fn measure(report: &mut Report, replicas: [&Replica; 2]) {
    let (say, mut heard) = mpsc::channel(FOLLOWERS * ROUNDS);
    let mut followers = Vec::new();
    for replica in replicas {
        followers.push(by_socket(replica, say.clone()).await);
        followers.push(by_grpc(replica, say.clone()).await);
    }
    let mut clients = [replicas[0].grpc().await, replicas[1].grpc().await];
    let mut http = replicas[0].http().await;
    let (mut told, mut refused) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let device = format!("a device that signs in {}", round % 10);
        let session = replicas[0].device(&mut http, &device).await;
        let began = Instant::now();
        let revoke = as_service(wire::RevokeRequest {
            player_id: session.player.clone(),
            session_id: session.id.clone(),
        });
        let ended = clients[round % 2].revoke(revoke).await.unwrap();
        assert_eq!(ended.get_ref().ended, 1);
        // At the other replica, of which nobody was asked.
        let other = &mut clients[(round + 1) % 2];
        loop {
            assert!(began.elapsed() < LIMIT, "a revoked token is good still");
            let request = as_service(wire::ValidateRequest {
                access_token: session.access.clone(),
                audience: String::new(),
            });
            match other.validate(request).await {
                Ok(_) => {}
                Err(status) if status.code() == Code::Unauthenticated => break,
                Err(status) => panic!("{status}"),
            }
        }
        refused.push(began.elapsed());
        for _ in 0..FOLLOWERS {
            let one = tokio::time::timeout(LIMIT, heard.recv()).await;
            let one = one.expect("a follower was not told").unwrap();
            assert_eq!(one.session, session.id);
            told.push(one.at.duration_since(began));
        }
    }
    let longest = told.iter().max().copied().unwrap_or_default();
    report.at_most(
        "revocation, told to every follower: p99",
        p99(&mut told),
        GOAL,
        "ms",
    );
    report.at_most(
        "revocation, refused by the other replica: p99",
        p99(&mut refused),
        GOAL,
        "ms",
    );
    report.note(
        "revocation, told to the last follower: longest",
        format!("{} ms", number(crate::report::milliseconds(longest))),
    );
}

async fn by_socket(replica: &Replica, say: mpsc::Sender<Heard>) -> AbortOnDropHandle<()> {
    let mut socket = replica.socket().await;
    AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let at = Instant::now();
            let push: Value = serde_json::from_str(message.to_text().unwrap()).unwrap_or_default();
            if let Some(session) = push["session_key"].as_str() {
                let session = session.to_owned();
                say.send(Heard { session, at }).await.ok();
            }
        }
    }))
}

async fn by_grpc(replica: &Replica, say: mpsc::Sender<Heard>) -> AbortOnDropHandle<()> {
    let mut client = replica.grpc().await;
    let stream = client.watch(as_service(wire::WatchRequest {})).await;
    let mut stream = stream.unwrap().into_inner();
    // What ended before is not what is measured.
    while let Some(message) = stream.message().await.unwrap() {
        if matches!(message.event, Some(Event::Synced(_))) {
            break;
        }
    }
    AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok(Some(message)) = stream.message().await {
            let at = Instant::now();
            if let Some(Event::Revocation(revocation)) = message.event {
                let session = revocation.session_id;
                say.send(Heard { session, at }).await.ok();
            }
        }
    }))
}
