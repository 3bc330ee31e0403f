//! What calls are refused, and by which field.

use std::time::Duration;

use lobby::service::{Caller, Service};
use proto::muster::lobby::v1 as wire;

use crate::world::{World, brief, caller, join, pass};

async fn refusal(service: &Service, caller: &Caller, call: wire::JoinQueue) -> String {
    brief(&service.join_queue(caller, call).await.unwrap_err())
}

#[tokio::test(start_paused = true)]
async fn calls_that_make_no_ticket_are_refused_by_their_field() {
    let world = World::new();
    let lobby = world.lobby();
    let service = &lobby.service;
    let one = world.connect(&lobby, 1).await;
    let demand = |change: fn(&mut wire::Demand)| {
        let mut demand = wire::Demand {
            attribute: "level".to_owned(),
            must: Some(wire::demand::Must::BeAtLeast(1.0)),
            until: None,
        };
        change(&mut demand);
        wire::JoinQueue {
            demands: vec![demand],
            ..join("duel")
        }
    };
    let cases = [
        (join("none"), "not_found queue: there is no such queue"),
        (
            wire::JoinQueue {
                avoided: vec![one.player.to_string(), "x".to_owned()],
                ..join("duel")
            },
            "invalid_request avoided[1]: must be a UUID",
        ),
        (
            wire::JoinQueue {
                avoided: vec![one.player.to_string(); 65],
                ..join("duel")
            },
            "invalid_request avoided: must be 64 at most",
        ),
        (
            wire::JoinQueue {
                demands: vec![wire::Demand::default(); 65],
                ..join("duel")
            },
            "invalid_request demands: must be 64 at most",
        ),
        (
            demand(|demand| demand.attribute.clear()),
            "invalid_request demands[0].attribute: must have 1 to 64 bytes",
        ),
        (
            demand(|demand| demand.must = None),
            "invalid_request demands[0].must: must be there",
        ),
        (
            demand(|demand| demand.must = Some(wire::demand::Must::BeAtMost(f64::NAN))),
            "invalid_request demands[0].be_at_most: must be finite",
        ),
        (
            demand(|demand| {
                demand.must = Some(wire::demand::Must::BeOneOf(wire::Texts::default()));
            }),
            "invalid_request demands[0].be_one_of: must be 1 to 64 texts of at most 256 bytes",
        ),
        (
            demand(|demand| {
                let until = Duration::from_millis(10);
                demand.until = Some(lobby::service::duration(until));
            }),
            "invalid_request demands[0].until: must be 1 second to an hour",
        ),
        (
            demand(|demand| {
                let texts = vec!["x".repeat(256); 64];
                let texts = wire::Texts { texts };
                demand.must = Some(wire::demand::Must::BeOneOf(texts));
            }),
            "invalid_request demands: are too much for one ticket, with what profiles say",
        ),
    ];
    for (call, told) in cases {
        assert_eq!(refusal(service, &one, call).await, told);
    }
    let stranger = caller(9);
    assert_eq!(
        refusal(service, &stranger, join("duel")).await,
        "invalid_request queue: players: reach no region of the queue within 80 ms together"
    );
    assert_eq!(service.queue_state(one.player).await.unwrap(), None);
    lobby.stop().await;
}

#[tokio::test(start_paused = true)]
async fn attributes_count_only_where_the_queue_believes_clients() {
    let world = World::new();
    let lobby = world.lobby();
    let one = world.connect(&lobby, 1).await;
    lobby.service.join_queue(&one, join("duel")).await.unwrap();
    let two = world.connect(&lobby, 2).await;
    lobby.service.join_queue(&two, join("pairs")).await.unwrap();
    let loaded = |queue: &'static str| {
        let live = world.live.clone();
        async move { lobby::live::Live::load(&*live, queue).await.unwrap() }
    };
    let duel = loaded("duel").await.tickets[0].clone();
    assert!(duel.players[0].attributes.is_empty());
    let latencies: Vec<_> = duel.players[0].latencies.keys().cloned().collect();
    assert_eq!(latencies, ["eu", "us"]);
    let pairs = loaded("pairs").await.tickets[0].clone();
    assert_eq!(pairs.players[0].attributes.len(), 1);
    let latencies: Vec<_> = pairs.players[0].latencies.keys().cloned().collect();
    assert_eq!(latencies, ["eu"]);
    lobby.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_player_waits_in_one_queue() {
    let world = World::new();
    let lobby = world.lobby();
    let service = &lobby.service;
    let host = world.connect(&lobby, 1).await;
    let guest = world.connect(&lobby, 2).await;
    service.join_queue(&guest, join("duel")).await.unwrap();
    let told = "conflict -: you wait in a queue already: leave it first";
    assert_eq!(refusal(service, &guest, join("pairs")).await, told);
    let party = wire::CreateRoom::default();
    let room = service.create_room(&host, party).await.unwrap();
    let by = wire::join_room::By::Code(room.code.clone());
    let call = wire::JoinRoom { by: Some(by) };
    service.join_room(&guest, call).await.unwrap();
    // A party plays together or not at all: what its members waited for alone is gone.
    assert_eq!(service.queue_state(guest.player).await.unwrap(), None);
    let leave = wire::LeaveQueue {};
    let failure = service.leave_queue(&guest, leave).await.unwrap_err();
    assert_eq!(brief(&failure), "not_found -: you wait in no queue");
    service.join_queue(&host, join("pairs")).await.unwrap();
    pass(Duration::from_secs(1)).await;
    assert_eq!(world.counts("pairs").await, (1, 0));
    lobby.stop().await;
}
