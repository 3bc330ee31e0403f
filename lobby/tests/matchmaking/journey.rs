//! What players see when everything works.

use std::time::Duration;

use lobby::ids::TicketId;
use lobby::matchmaking::explain::Obstacle;
use lobby::matchmaking::matchmaker;
use lobby::matchmaking::owner::Why;
use lobby::ratings::Rating;
use lobby::store::Rated;
use proto::muster::lobby::v1 as wire;
use wire::event::Event;
use wire::queue_state::Status;

use crate::world::{World, brief, join, pass};

#[tokio::test(start_paused = true)]
async fn two_players_are_matched_and_may_queue_again_when_it_is_over() {
    let mut world = World::new();
    let lobby = world.lobby();
    let one = world.connect(&lobby, 1).await;
    let two = world.connect(&lobby, 2).await;
    let service = &lobby.service;
    let state = service.join_queue(&one, join("duel")).await.unwrap();
    assert_eq!(state.status(), Status::Waiting);
    assert_eq!((&state.queue[..], state.estimate), ("duel", None));
    let same = service.queue_state(one.player).await.unwrap().unwrap();
    assert_eq!(same, state);
    pass(Duration::from_secs(3)).await;
    assert_eq!(world.counts("duel").await, (1, 0));

    service.join_queue(&two, join("duel")).await.unwrap();
    let id = world.ready(one.player).await;
    assert_eq!(world.ready(two.player).await, id);
    assert_eq!(world.gone(one.player, "matched").await, Status::Matched);
    assert_eq!(world.gone(two.player, "matched").await, Status::Matched);
    assert_eq!(world.counts("duel").await, (0, 0));
    assert_eq!(service.desk().kept(), 0);
    assert_eq!(service.queue_state(one.player).await.unwrap(), None);
    let made = world.store.all()[&id].clone();
    assert_eq!((&made.queue[..], &made.region[..]), ("duel", "eu"));
    let mut seats: Vec<_> = made
        .seats
        .iter()
        .map(|it| (it.player, it.session))
        .collect();
    seats.sort_unstable();
    assert_eq!(
        seats,
        [(one.player, one.session), (two.player, two.session)]
    );

    let failure = service.join_queue(&one, join("duel")).await.unwrap_err();
    assert_eq!(brief(&failure), "conflict -: you are in a match");
    assert_eq!(service.queue_state(one.player).await.unwrap(), None);
    world.store.end_all();
    pass(Duration::from_secs(5)).await;
    let state = service.join_queue(&one, join("duel")).await.unwrap();
    // The others waited for 0 and 3 s.
    let estimate = state.estimate.unwrap();
    assert!((1..4).contains(&estimate.seconds), "{estimate:?}");
    lobby.stop().await;
}

#[tokio::test(start_paused = true)]
async fn ratings_of_the_queue_decide_who_meets() {
    let mut world = World::new();
    let lobby = world.lobby();
    for (number, mean) in [(1, 60.0), (2, 65.0), (3, 25.0)] {
        let rating = Rating {
            mean,
            deviation: 1.0,
            volatility: 0.0,
        };
        let rated = Rated { rating, matches: 9 };
        let player = crate::world::player(number);
        world.store.ratings.lock().unwrap().insert(player, rated);
    }
    let mut callers = Vec::new();
    // Who has no rating yet counts as a newcomer, with 25.
    for number in [1, 4, 3, 2] {
        let caller = world.connect(&lobby, number).await;
        lobby
            .service
            .join_queue(&caller, join("duel"))
            .await
            .unwrap();
        callers.push(caller.player);
    }
    let strong = world.ready(callers[0]).await;
    assert_eq!(world.ready(callers[3]).await, strong);
    let weak = world.ready(callers[1]).await;
    assert_eq!(world.ready(callers[2]).await, weak);
    assert_ne!(strong, weak);
    lobby.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_party_stays_together_whichever_lobby_its_members_are_at() {
    let mut world = World::new();
    let (near, far) = (world.lobby(), world.lobby());
    let host = world.connect(&near, 1).await;
    let guest = world.connect(&far, 2).await;
    let party = wire::CreateRoom::default();
    let room = near.service.create_room(&host, party).await.unwrap();
    let by = wire::join_room::By::Code(room.code.clone());
    let call = wire::JoinRoom { by: Some(by) };
    far.service.join_room(&guest, call).await.unwrap();

    let failure = far.service.join_queue(&guest, join("pairs")).await;
    let failure = failure.unwrap_err();
    let told = "forbidden -: the host of the party decides about queues";
    assert_eq!(brief(&failure), told);
    let failure = near.service.join_queue(&host, join("duel")).await;
    let told = "invalid_request queue: takes parties of 1 at most";
    assert_eq!(brief(&failure.unwrap_err()), told);

    let state = near.service.join_queue(&host, join("pairs")).await.unwrap();
    let waits = |event: &Event| matches!(event, Event::Queue(_));
    let Event::Queue(told) = world.told(guest.player, waits).await else {
        unreachable!()
    };
    assert_eq!(told, state);
    // Any member takes all of them out.
    let leave = wire::LeaveQueue {};
    far.service.leave_queue(&guest, leave).await.unwrap();
    assert_eq!(world.gone(guest.player, "left").await, Status::None);
    assert_eq!(world.gone(host.player, "player_left").await, Status::None);
    assert_eq!(world.counts("pairs").await, (0, 0));
    near.service.join_queue(&host, join("pairs")).await.unwrap();
    for number in [3, 4] {
        let caller = world.connect(&far, number).await;
        far.service
            .join_queue(&caller, join("pairs"))
            .await
            .unwrap();
    }
    let id = world.ready(host.player).await;
    assert_eq!(world.ready(guest.player).await, id);
    let made = world.store.all()[&id].clone();
    let seat = |player| {
        made.seats
            .iter()
            .find(|seat| seat.player == player)
            .unwrap()
    };
    let (host_seat, guest_seat) = (seat(host.player), seat(guest.player));
    assert_eq!(host_seat.team, guest_seat.team);
    assert_eq!(guest_seat.session, guest.session);
    near.stop().await;
    far.stop().await;
}

#[tokio::test(start_paused = true)]
async fn players_are_asked_where_the_queue_wants_that() {
    let mut world = World::new();
    let lobby = world.lobby();
    let service = &lobby.service;
    let mut callers = Vec::new();
    for number in 1..=3 {
        callers.push(world.connect(&lobby, number).await);
    }
    let [one, two, three] = &callers[..] else {
        unreachable!()
    };
    for caller in [one, two] {
        service.join_queue(caller, join("asked")).await.unwrap();
    }
    let proposed = world.proposed(one.player).await;
    assert_eq!((&proposed.queue[..], proposed.players), ("asked", 2));
    assert_eq!(world.proposed(two.player).await, proposed);
    let state = service.queue_state(one.player).await.unwrap().unwrap();
    assert_eq!(state.status(), Status::Proposed);
    // Whoever comes back is asked again.
    service.queue_connection(one.player, true).await;
    assert_eq!(world.proposed(one.player).await, proposed);

    let answer = |match_id: &str, accept| wire::AnswerProposal {
        match_id: match_id.to_owned(),
        accept,
    };
    for (caller, id, told) in [
        (one, "x", "invalid_request match_id: must be a UUID"),
        (
            one,
            "00000000-0000-0000-0000-000000000001",
            "not_found -: there is no such proposal",
        ),
        (three, "", "not_found -: you wait in no queue"),
    ] {
        let failure = service.answer_proposal(caller, answer(id, true)).await;
        assert_eq!(brief(&failure.unwrap_err()), told);
    }
    let id = &proposed.match_id;
    service
        .answer_proposal(one, answer(id, true))
        .await
        .unwrap();
    service
        .answer_proposal(two, answer(id, false))
        .await
        .unwrap();
    assert_eq!(world.gone(two.player, "declined").await, Status::None);
    assert_eq!(service.queue_state(two.player).await.unwrap(), None);
    let waits =
        |event: &Event| matches!(event, Event::Queue(state) if state.status() == Status::Waiting);
    let Event::Queue(back) = world.told(one.player, waits).await else {
        unreachable!()
    };
    assert_eq!(
        (&back.ticket_id, back.entered_at),
        (&state.ticket_id, state.entered_at)
    );

    // The next one is late.
    service.join_queue(three, join("asked")).await.unwrap();
    world.proposed(three.player).await;
    world.proposed(one.player).await;
    service
        .answer_proposal(one, answer("", true))
        .await
        .unwrap();
    assert_eq!(world.gone(three.player, "declined").await, Status::None);
    // And comes again, and all accept.
    service.join_queue(three, join("asked")).await.unwrap();
    let proposed = world.proposed(three.player).await;
    for caller in [one, three] {
        service
            .answer_proposal(caller, answer("", true))
            .await
            .unwrap();
    }
    let id = world.ready(one.player).await;
    assert_eq!(id.to_string(), proposed.match_id);
    assert_eq!(world.ready(three.player).await, id);
    lobby.stop().await;
}

#[tokio::test(start_paused = true)]
async fn leaving_a_proposed_match_is_declining_it() {
    let mut world = World::new();
    let lobby = world.lobby();
    let service = &lobby.service;
    let one = world.connect(&lobby, 1).await;
    let two = world.connect(&lobby, 2).await;
    for caller in [&one, &two] {
        service.join_queue(caller, join("asked")).await.unwrap();
    }
    world.proposed(one.player).await;
    let leave = wire::LeaveQueue {};
    service.leave_queue(&one, leave).await.unwrap();
    assert_eq!(world.gone(one.player, "declined").await, Status::None);
    pass(Duration::from_secs(1)).await;
    assert_eq!(world.counts("asked").await, (1, 0));
    lobby.stop().await;
}

#[tokio::test(start_paused = true)]
async fn operators_learn_why_a_ticket_waits() {
    let world = World::new();
    let lobby = world.lobby();
    let service = &lobby.service;
    let mut tickets = Vec::new();
    for (number, mode) in [(1, "flag"), (2, "duel")] {
        let caller = world.connect_with(&lobby, number, mode).await;
        let state = service.join_queue(&caller, join("pairs")).await.unwrap();
        let id: uuid::Uuid = state.ticket_id.parse().unwrap();
        tickets.push(TicketId(id));
    }
    pass(Duration::from_secs(7)).await;
    let why = matchmaker::explain(service, "pairs", tickets[0]).await;
    let Some(Why::Waits(explanation)) = why.unwrap() else {
        panic!("It does not wait");
    };
    assert_eq!(explanation.waited.as_secs(), 7);
    assert_eq!(explanation.apart, [(Obstacle::Same, 1)]);
    let stranger = TicketId(uuid::Uuid::nil());
    let why = matchmaker::explain(service, "pairs", stranger).await;
    assert_eq!(why.unwrap(), None);
    let failure = matchmaker::explain(service, "none", stranger).await;
    let told = "not_found -: there is no such queue";
    assert_eq!(brief(&failure.unwrap_err()), told);
    let idle = world.lobby();
    let failure = matchmaker::explain(&idle.service, "pairs", stranger).await;
    let told = "unavailable -: another lobby owns the queue";
    assert_eq!(brief(&failure.unwrap_err()), told);
    idle.stop().await;
    lobby.stop().await;
}
