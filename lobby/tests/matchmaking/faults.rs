//! What players see when something fails: nobody is stuck, and no ticket is lost or doubled.

use std::time::Duration;

use lobby::live::{Key, Live as _};
use lobby::matchmaking::Ticket;
use lobby::servers;
use wire::queue_state::Status;

use crate::world::{World, brief, join, pass};
use proto::muster::lobby::v1 as wire;

#[tokio::test(start_paused = true)]
async fn another_lobby_goes_on_when_the_owner_dies_or_stops() {
    let mut world = World::new();
    let first = world.lobby();
    let one = world.connect(&first, 1).await;
    first.service.join_queue(&one, join("duel")).await.unwrap();
    pass(Duration::from_secs(2)).await;
    let second = world.lobby();
    first.kill().await;
    let two = world.connect(&second, 2).await;
    second.service.join_queue(&two, join("duel")).await.unwrap();
    let id = world.ready(one.player).await;
    assert_eq!(world.ready(two.player).await, id);
    world.store.end_all();

    // Who stops hands over at once: before the lease would pass.
    let third = world.lobby();
    let now = tokio::time::Instant::now();
    second.stop().await;
    for caller in [&one, &two] {
        third
            .service
            .join_queue(caller, join("duel"))
            .await
            .unwrap();
    }
    world.ready(one.player).await;
    assert!(
        now.elapsed() < Duration::from_secs(3),
        "{:?}",
        now.elapsed()
    );
    third.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_match_goes_on_where_the_dead_owner_left_it() {
    let mut world = World::new();
    let away = servers::Error::Unavailable("away".to_owned());
    *world.hosts.failure.lock().unwrap() = Some(away);
    let first = world.lobby();
    let one = world.connect(&first, 1).await;
    let two = world.connect(&first, 2).await;
    for caller in [&one, &two] {
        first
            .service
            .join_queue(caller, join("duel"))
            .await
            .unwrap();
    }
    pass(Duration::from_secs(2)).await;
    assert_eq!(world.counts("duel").await, (0, 1));
    first.kill().await;
    let second = world.lobby();
    pass(Duration::from_secs(20)).await;
    *world.hosts.failure.lock().unwrap() = None;
    let id = world.ready(one.player).await;
    assert_eq!(world.ready(two.player).await, id);
    let asked = world.hosts.asked.lock().unwrap().clone();
    assert!(asked.len() > 5);
    assert!(
        asked.iter().all(|other| *other == id),
        "Another match was tried"
    );
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn tickets_return_with_their_age_when_no_server_is_free() {
    let mut world = World::new();
    *world.hosts.failure.lock().unwrap() = Some(servers::Error::NoServer);
    let lobby = world.lobby();
    let one = world.connect(&lobby, 1).await;
    let two = world.connect(&lobby, 2).await;
    let mut entered = Vec::new();
    for caller in [&one, &two] {
        let state = lobby
            .service
            .join_queue(caller, join("duel"))
            .await
            .unwrap();
        entered.push(state.entered_at);
    }
    pass(Duration::from_mins(1)).await;
    let asked = world.hosts.asked.lock().unwrap().clone();
    let mut matches = asked.clone();
    matches.dedup();
    assert!((4..=7).contains(&matches.len()), "{}", matches.len());
    assert!((20..=60).contains(&asked.len()), "{}", asked.len());
    let state = lobby.service.queue_state(one.player).await.unwrap();
    assert_eq!(state.unwrap().entered_at, entered[0]);
    *world.hosts.failure.lock().unwrap() = None;
    let id = world.ready(one.player).await;
    assert_eq!(world.ready(two.player).await, id);
    assert_eq!(world.store.all().len(), 1);
    lobby.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_no_server_is_free_is_let_go() {
    let mut world = World::new();
    *world.hosts.failure.lock().unwrap() = Some(servers::Error::NoServer);
    let lobby = world.lobby();
    let one = world.connect(&lobby, 1).await;
    let two = world.connect(&lobby, 2).await;
    for caller in [&one, &two] {
        lobby
            .service
            .join_queue(caller, join("duel"))
            .await
            .unwrap();
    }
    pass(Duration::from_secs(2)).await;
    let leave = wire::LeaveQueue {};
    lobby.service.leave_queue(&one, leave).await.unwrap();
    assert_eq!(world.gone(one.player, "left").await, Status::None);
    pass(Duration::from_secs(1)).await;
    assert_eq!(world.counts("duel").await, (1, 0));
    lobby.stop().await;
}

#[tokio::test(start_paused = true)]
async fn tickets_are_put_in_again_when_the_live_state_comes_back_empty() {
    let mut world = World::new();
    let lobby = world.lobby();
    let one = world.connect(&lobby, 1).await;
    let two = world.connect(&lobby, 2).await;
    let state = lobby.service.join_queue(&one, join("duel")).await.unwrap();
    pass(Duration::from_secs(5)).await;
    world.live.set_away(true);
    let failure = lobby.service.join_queue(&two, join("duel")).await;
    let told = "unavailable -: the lobby's live state does not answer";
    assert_eq!(brief(&failure.unwrap_err()), told);
    pass(Duration::from_secs(30)).await;
    world.live.lose_everything();
    world.live.set_away(false);
    for caller in [&one, &two] {
        world.online(caller.player, Duration::from_hours(1)).await;
    }
    pass(Duration::from_secs(20)).await;
    assert_eq!(world.counts("duel").await, (1, 0));
    let again = lobby
        .service
        .queue_state(one.player)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.ticket_id, state.ticket_id);
    assert_eq!(again.entered_at, state.entered_at);
    let two = world.connect(&lobby, 2).await;
    lobby.service.join_queue(&two, join("duel")).await.unwrap();
    let id = world.ready(one.player).await;
    assert_eq!(world.ready(two.player).await, id);

    // Who has a match is not put in again.
    world.live.lose_everything();
    pass(Duration::from_secs(20)).await;
    assert_eq!(world.counts("duel").await, (0, 0));
    lobby.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_lost_its_tickets_alone_gets_them_again() {
    let world = World::new();
    let lobby = world.lobby();
    let one = world.connect(&lobby, 1).await;
    let state = lobby.service.join_queue(&one, join("duel")).await.unwrap();
    pass(Duration::from_secs(5)).await;
    // Its seat is as it was: only the queue does not have it.
    let ticket = world.live.load("duel").await.unwrap().tickets[0].clone();
    world.live.withdraw("duel", ticket.id).await.unwrap();
    assert_eq!(world.counts("duel").await, (0, 0));
    pass(Duration::from_mins(2)).await;
    assert_eq!(world.live.load("duel").await.unwrap().tickets, [ticket]);
    let again = lobby
        .service
        .queue_state(one.player)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.ticket_id, state.ticket_id);
    lobby.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_away_for_half_a_minute_loses_the_ticket_of_the_party() {
    let mut world = World::new();
    let (near, far) = (world.lobby(), world.lobby());
    let host = world.connect(&near, 1).await;
    let guest = world.connect(&far, 2).await;
    let room = near
        .service
        .create_room(&host, wire::CreateRoom::default())
        .await
        .unwrap();
    let by = wire::join_room::By::Code(room.code);
    let call = wire::JoinRoom { by: Some(by) };
    far.service.join_room(&guest, call).await.unwrap();
    near.service.join_queue(&host, join("pairs")).await.unwrap();

    // A short absence does no harm.
    let session = Key::Player(guest.player);
    let version = world.live.read(&session).await.unwrap().unwrap().version;
    far.service.queue_connection(guest.player, false).await;
    pass(Duration::from_secs(20)).await;
    far.service.queue_connection(guest.player, true).await;
    pass(Duration::from_mins(1)).await;
    assert_eq!(world.counts("pairs").await, (1, 0));

    far.service.queue_connection(guest.player, false).await;
    world.live.remove(&session, version).await.unwrap();
    pass(Duration::from_secs(25)).await;
    assert_eq!(world.counts("pairs").await, (1, 0));
    pass(Duration::from_secs(10)).await;
    assert_eq!(world.counts("pairs").await, (0, 0));
    assert_eq!(world.gone(host.player, "player_left").await, Status::None);
    near.service.join_queue(&host, join("pairs")).await.unwrap();

    // So does who goes with his lobby, as the lobbies of the others find out.
    world.gone(guest.player, "player_left").await;
    assert_eq!(world.gone(host.player, "player_left").await, Status::None);
    near.stop().await;
    far.stop().await;
}

#[tokio::test(start_paused = true)]
async fn tickets_of_a_lobby_that_died_go_unless_their_players_come_back() {
    let world = World::new();
    let first = world.lobby();
    let one = world.connect(&first, 1).await;
    let two = world.connect_with(&first, 2, "duel").await;
    for caller in [&one, &two] {
        first
            .service
            .join_queue(caller, join("pairs"))
            .await
            .unwrap();
    }
    first.kill().await;
    let second = world.lobby();
    pass(Duration::from_secs(20)).await;
    second.service.queue_connection(one.player, true).await;
    pass(Duration::from_mins(3)).await;
    let left = world.live.load("pairs").await.unwrap().tickets;
    let players: Vec<_> = left.iter().flat_map(Ticket::player_ids).collect();
    assert_eq!(players, [one.player]);
    assert_eq!(second.service.queue_state(two.player).await.unwrap(), None);
    second
        .service
        .join_queue(&two, join("pairs"))
        .await
        .unwrap();
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn tickets_of_players_who_are_in_a_match_elsewhere_go() {
    let mut world = World::new();
    let lobby = world.lobby();
    let one = world.connect(&lobby, 1).await;
    let two = world.connect(&lobby, 2).await;
    lobby.service.join_queue(&one, join("duel")).await.unwrap();
    pass(Duration::from_secs(1)).await;
    // A match of a room's own, which no queue knows of.
    let seat = lobby::service::matches::NewSeat {
        player: one.player,
        session: one.session,
        trace_context: String::new(),
    };
    let wanted = lobby::service::matches::NewMatch {
        is_rated: true,
        id: lobby::ids::MatchId(uuid::Uuid::from_u128(7)),
        queue: "duel".to_owned(),
        region: "eu".to_owned(),
        teams: vec![vec![seat]],
    };
    lobby.service.place(&wanted).await.unwrap();
    lobby.service.join_queue(&two, join("duel")).await.unwrap();
    assert_eq!(world.gone(one.player, "failed").await, Status::None);
    pass(Duration::from_secs(1)).await;
    assert_eq!(world.counts("duel").await, (1, 0));
    let state = lobby.service.queue_state(two.player).await.unwrap();
    assert!(state.is_some());
    lobby.stop().await;
}
