//! What Valkey's absence does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use lobby::live::valkey::Valkey;
use lobby::live::{Channel, Cursor, Delivery, Fence, Key, Live as _, Owned};
use redis::cmd;
use storage::valkey::Config;
use testing::valkey::Server;
use uuid::Uuid;

use crate::cases::{HOUR, hash, loaded, owned, pending, player, ticket};
use crate::{LIMIT, Replica, SLACK, ask, until, urls};

/// How long a call took that failed.
async fn fails<T: std::fmt::Debug, E>(call: impl Future<Output = Result<T, E>>) -> Duration {
    let since = Instant::now();
    let answer = call.await;
    assert!(answer.is_err(), "{:?}", answer.ok());
    since.elapsed()
}

#[tokio::test]
async fn a_server_that_comes_back_empty_has_other_fences_and_no_news_of_before() {
    let mut server = Server::start().unwrap();
    let mut one = Replica::within(vec![server.url()], LIMIT).await;
    let other = Replica::within(vec![server.url()], LIMIT).await;
    let channels: Vec<Channel> = (0..2000).map(|_| Channel::Presence(player())).collect();
    for some in channels.chunks(100) {
        let subscribed = some.iter().map(|channel| one.valkey.subscribe(channel));
        assert!(join_all(subscribed).await.iter().all(Result::is_ok));
    }
    let mut fences: Vec<Fence> = Vec::new();
    for _ in 0..3 {
        let fence = owned(&*one.valkey, "queue").await;
        assert!(fences.iter().all(|before| *before < fence), "{fences:?}");
        fences.push(fence);
        let ticket = ticket();
        one.valkey.enter("queue", &ticket).await.unwrap();
        let mut cursor = Cursor::default();
        let news = one.valkey.news("queue", &mut cursor, 9, HOUR).await;
        assert!(!news.unwrap().unwrap().is_empty());

        server.kill();
        until("a failure", async || one.valkey.ping().await.is_err()).await;
        // Whether it fails at once or waits, it ends within the limit of a call and of a wait.
        let waited = fails(one.valkey.news("queue", &mut cursor, 9, HOUR)).await;
        assert!(
            waited < Duration::from_secs(1) + LIMIT + SLACK,
            "{waited:?}"
        );
        let waited = fails(one.valkey.load("queue")).await;
        assert!(waited < LIMIT + SLACK, "{waited:?}");
        let late = Channel::Presence(player());
        let waited = fails(one.valkey.subscribe(&late)).await;
        assert!(waited < LIMIT + SLACK, "{waited:?}");
        one.valkey.unsubscribe(&channels[0]).await.unwrap();

        server.run().unwrap();
        one.missed().await;
        until("an answer", async || other.valkey.ping().await.is_ok()).await;
        until("an answer", async || one.valkey.ping().await.is_ok()).await;
        // What could not be subscribed to then is heard now; what was given up is not.
        other
            .valkey
            .publish(&channels[0], b"given up")
            .await
            .unwrap();
        for channel in [&late, &channels[1], &channels[1999]] {
            one.hears(&other.valkey, channel).await;
        }
        let empty = loaded(&*one.valkey, "queue").await;
        assert!(empty.tickets.is_empty() && empty.pending.is_empty());
        let of_before = one.valkey.news("queue", &mut cursor, 9, HOUR).await;
        assert_eq!(of_before, Ok(None));
        // Lobbies put their players' tickets in again; the owner from before may not decide.
        one.valkey.enter("queue", &ticket).await.unwrap();
        let of_before = one.valkey.news("queue", &mut cursor, 9, HOUR).await;
        assert_eq!(of_before, Ok(None));
        let match_of_before = pending(&[&ticket]);
        let refused = one.valkey.propose("queue", fence, &match_of_before).await;
        assert_eq!(refused, Ok(Owned::Fenced));
    }
}

#[tokio::test]
async fn a_server_that_stands_still_fails_calls_in_time() {
    let server = Server::start().unwrap();
    let mut replica = Replica::within(vec![server.url()], LIMIT).await;
    let valkey = Arc::clone(&replica.valkey);
    let channel = Channel::Player(player());
    valkey.subscribe(&channel).await.unwrap();
    // Somebody waits for news when it happens.
    let waiting = Arc::clone(&valkey);
    let waiting = tokio::spawn(async move {
        let mut cursor = Cursor::default();
        fails(waiting.news("queue", &mut cursor, 9, HOUR)).await
    });
    until("a reader", async || {
        let clients: String = ask(&server, cmd("CLIENT").arg("LIST")).await;
        clients.contains("cmd=xread")
    })
    .await;
    server.pause();
    let key = Key::Seat(player());
    let ticket = ticket();
    let calls = [
        fails(valkey.ping()).await,
        fails(valkey.read(&key)).await,
        fails(valkey.write(&key, 0, b"seat", HOUR)).await,
        fails(valkey.touch(std::slice::from_ref(&key), HOUR)).await,
        fails(valkey.throttle(&Key::Rate(hash()), 1, HOUR)).await,
        fails(valkey.marked("set", 1)).await,
        fails(valkey.lease("lease", Uuid::new_v4(), HOUR)).await,
        fails(valkey.enter("queue", &ticket)).await,
        fails(valkey.subscribe(&Channel::Presence(player()))).await,
        fails(valkey.publish(&channel, b"message")).await,
    ];
    for waited in calls {
        assert!(waited < LIMIT + SLACK, "{waited:?}");
    }
    let waited = waiting.await.unwrap();
    assert!(waited < Duration::from_secs(30), "{waited:?}");
    server.resume();
    // It stood still for longer than the connection is left untried: messages may be missing.
    replica.missed().await;
    until("an answer", async || valkey.ping().await.is_ok()).await;
    let other = Replica::within(vec![server.url()], LIMIT).await;
    // What was published while it stood still may come now; nobody hears it twice.
    let since = Channel::Presence(player());
    valkey.subscribe(&since).await.unwrap();
    replica.deliveries = valkey.deliveries();
    replica.hears(&other.valkey, &since).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_again() {
    let server = Server::start().unwrap();
    let mut replica = Replica::within(vec![server.url()], LIMIT).await;
    let other = Replica::within(vec![server.url()], LIMIT).await;
    let channel = Channel::Player(player());
    replica.valkey.subscribe(&channel).await.unwrap();
    for _ in 0..3 {
        let mut kill = cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("pubsub");
        let _: i64 = ask(&server, &kill).await;
        replica.missed().await;
        until("an answer", async || other.valkey.ping().await.is_ok()).await;
        replica.hears(&other.valkey, &channel).await;
    }
}

#[tokio::test]
async fn a_node_of_a_cluster_that_goes_is_heard_when_it_is_back() {
    let mut servers = Server::cluster().unwrap();
    let mut one = Replica::within(urls(&servers), LIMIT).await;
    let other = Replica::within(urls(&servers), LIMIT).await;
    let channels: Vec<Channel> = (0..30).map(|_| Channel::Presence(player())).collect();
    for channel in &channels {
        one.valkey.subscribe(channel).await.unwrap();
    }
    let since = Instant::now();
    servers[1].pause();
    for channel in &channels {
        // Those of other nodes are still published to.
        one.valkey.publish(channel, b"message").await.ok();
    }
    assert!(since.elapsed() < 30 * (LIMIT + SLACK));
    servers[1].resume();
    while one.deliveries.recv().await.unwrap() != Delivery::Missed {}
    hears_all(&one, &other, &channels).await;

    one.deliveries = one.valkey.deliveries();
    servers[1].kill();
    servers[1].run().unwrap();
    while one.deliveries.recv().await.unwrap() != Delivery::Missed {}
    hears_all(&one, &other, &channels).await;
}

#[tokio::test]
async fn a_channel_that_a_node_gives_up_is_heard_where_it_goes() {
    let servers = Server::cluster().unwrap();
    let mut one = Replica::of(urls(&servers)).await;
    let channel = Channel::Chat("moves".to_owned());
    one.valkey.subscribe(&channel).await.unwrap();
    let slot: u16 = ask(&servers[0], cmd("CLUSTER").arg("KEYSLOT").arg("moves")).await;
    let place = Key::Code("moves".to_owned());
    one.valkey.write(&place, 0, b"here", HOUR).await.unwrap();
    let mut from = None;
    for server in &servers {
        let count: u64 = ask(server, cmd("CLUSTER").arg("COUNTKEYSINSLOT").arg(slot)).await;
        if count > 0 {
            from = Some(server);
        }
    }
    let from = from.unwrap();
    let document = one.valkey.read(&place).await.unwrap().unwrap();
    assert_eq!(one.valkey.remove(&place, document.version).await, Ok(true));
    let _: u64 = ask(from, cmd("UNLINK").arg(place.to_string())).await;
    let to = servers.iter().find(|server| server.port() != from.port());
    let id: String = ask(to.unwrap(), cmd("CLUSTER").arg("MYID")).await;
    for server in &servers {
        let mut give = cmd("CLUSTER");
        give.arg("SETSLOT").arg(slot).arg("NODE").arg(&id);
        let _: String = ask(server, &give).await;
    }
    one.missed().await;
    let other = Replica::of(urls(&servers)).await;
    let channels = [channel];
    hears_all(&one, &other, &channels).await;
}

/// Waits until all of these channels are heard: nodes may think another one gone for a while yet.
async fn hears_all(one: &Replica, other: &Replica, channels: &[Channel]) {
    until("every channel", async || {
        let mut deliveries = one.valkey.deliveries();
        let told = channels.iter().map(|to| other.valkey.publish(to, b"all"));
        let told = join_all(told).await.iter().all(Result::is_ok);
        let mut silent = channels.to_vec();
        let hearing = async {
            while !silent.is_empty() {
                if let Delivery::Message { channel, .. } = deliveries.recv().await.unwrap() {
                    silent.retain(|other| *other != channel);
                }
            }
        };
        told && tokio::time::timeout(LIMIT + SLACK, hearing).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn nobody_hears_without_a_listener_and_waits_are_bounded() {
    let server = Server::start().unwrap();
    let mut config = Config::new(vec![server.url()]);
    config.limit = LIMIT;
    let valkey = Valkey::new(&config).unwrap();
    let waited = fails(valkey.subscribe(&Channel::Player(player()))).await;
    assert!(waited < LIMIT + SLACK, "{waited:?}");
    let waits = (0..300).map(async |_| {
        let mut cursor = Cursor::default();
        valkey.news("queue", &mut cursor, 1, 2 * LIMIT).await
    });
    let waits = join_all(waits).await;
    assert!(waits.iter().any(Result::is_ok));
    let refused = waits.iter().filter(|wait| match wait {
        Ok(_) => false,
        Err(error) => error.to_string().contains("too many wait"),
    });
    assert_eq!(refused.count(), 300 - 256);
}
