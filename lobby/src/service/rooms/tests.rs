//! Calls of rooms on a live state that several lobbies share.

pub(in crate::service) mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use proto::muster::lobby::v1 as wire;
use wire::event::Event;
use wire::join_room::By;
use wire::room_changed::Reason;

use self::world::{World, caller, player, still};
use super::sweep;
use crate::error::{Code, Failure};
use crate::live::{Key, Live as _};
use crate::rooms::Kind;
use crate::servers;
use crate::service::Service;

fn party() -> wire::CreateRoom {
    wire::CreateRoom {
        kind: wire::RoomKind::Party.into(),
        settings: None,
    }
}

fn lobby(name: &str, is_public: bool) -> wire::CreateRoom {
    wire::CreateRoom {
        kind: wire::RoomKind::Lobby.into(),
        settings: Some(wire::RoomSettings {
            name: name.to_owned(),
            is_public,
            queue: "duo".to_owned(),
            ..wire::RoomSettings::default()
        }),
    }
}

async fn create(service: &Service, number: u128, call: wire::CreateRoom) -> wire::Room {
    service.create_room(&caller(number), call).await.unwrap()
}

async fn join(service: &Service, number: u128, by: By) -> Result<wire::Room, Failure> {
    let call = wire::JoinRoom { by: Some(by) };
    service.join_room(&caller(number), call).await
}

fn code(room: &wire::Room) -> By {
    By::Code(room.code.clone())
}

fn id(room: &wire::Room) -> By {
    By::RoomId(room.id.clone())
}

async fn leave(service: &Service, number: u128, room: &wire::Room) -> Result<(), Failure> {
    let room_id = room.id.clone();
    let call = wire::LeaveRoom { room_id };
    service.leave_room(&caller(number), call).await
}

async fn ready(service: &Service, number: u128, room: &wire::Room) {
    let call = wire::SetReady {
        room_id: room.id.clone(),
        is_ready: true,
    };
    service.set_ready(&caller(number), call).await.unwrap();
}

async fn start(service: &Service, number: u128, room: &wire::Room) -> Result<(), Failure> {
    let room_id = room.id.clone();
    let call = wire::StartMatch { room_id };
    service.start_match(&caller(number), call).await
}

/// The ids of a player's party and lobby.
async fn rooms(service: &Service, number: u128) -> [Option<String>; 2] {
    let joined = service.rooms_of(player(number)).await.unwrap();
    [joined.party, joined.lobby].map(|room| room.map(|room| room.id.to_string()))
}

#[track_caller]
fn refused<Answer: std::fmt::Debug>(answer: Result<Answer, Failure>, code: Code) {
    assert_eq!(answer.unwrap_err().code, code);
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

async fn swept(service: &Service) {
    sweep::round(service).await.unwrap();
}

#[tokio::test]
async fn members_hear_of_each_other_wherever_they_are() {
    let world = World::new().await;
    let (here, there) = (world.lobby(), world.lobby());
    let room = create(&here, 1, party()).await;
    let mut host = world.ears(1).await;
    let mut guest = world.ears(2).await;
    let joined = join(&there, 2, code(&room)).await.unwrap();
    assert_eq!(joined.members.len(), 2);
    assert_eq!(host.changes(), [(Reason::Joined, true)]);
    guest.heard();

    let call = wire::KickMember {
        room_id: room.id.clone(),
        player_id: player(2).to_string(),
    };
    here.kick_member(&caller(1), call).await.unwrap();
    assert_eq!(guest.changes(), [(Reason::Kicked, false)]);
    assert_eq!(host.changes(), [(Reason::Kicked, true)]);
    refused(join(&there, 2, code(&room)).await, Code::Forbidden);
    assert_eq!(rooms(&there, 2).await, [None, None]);

    leave(&there, 1, &room).await.unwrap();
    assert_eq!(host.changes(), [(Reason::Left, false)]);
    // It is over, and its code leads nowhere.
    refused(join(&here, 1, code(&room)).await, Code::NotFound);
    let key = Key::Code(room.code.clone());
    assert_eq!(world.live.read(&key).await.unwrap(), None);
}

#[tokio::test]
async fn a_player_is_in_one_party_and_one_lobby_at_most() {
    let world = World::new().await;
    let service = world.lobby();
    let own = create(&service, 1, party()).await;
    let shared = create(&service, 1, lobby("ours", false)).await;
    let other = create(&service, 2, party()).await;
    refused(
        service.create_room(&caller(1), party()).await,
        Code::Conflict,
    );
    refused(join(&service, 1, code(&other)).await, Code::Conflict);
    let in_both = [Some(own.id.clone()), Some(shared.id.clone())];
    assert_eq!(rooms(&service, 1).await, in_both);
    leave(&service, 1, &own).await.unwrap();
    refused(leave(&service, 1, &own).await, Code::NotFound);
    join(&service, 1, code(&other)).await.unwrap();
    assert_eq!(rooms(&service, 1).await, [Some(other.id), Some(shared.id)]);
}

#[tokio::test]
async fn who_is_not_in_a_room_neither_sees_nor_changes_it() {
    let world = World::new().await;
    let service = world.lobby();
    let room = create(&service, 1, lobby("ours", false)).await;
    refused(join(&service, 2, id(&room)).await, Code::NotFound);
    let room_id = room.id.clone();
    let invite = wire::InvitePlayer {
        room_id: room_id.clone(),
        player_id: player(3).to_string(),
    };
    let change = wire::ChangeRoom {
        room_id,
        settings: Some(wire::RoomSettings::default()),
    };
    let stranger = caller(2);
    refused(
        service.invite_player(&stranger, invite.clone()).await,
        Code::NotFound,
    );
    refused(service.change_room(&stranger, change).await, Code::NotFound);
    refused(start(&service, 2, &room).await, Code::NotFound);

    let mut invited = world.ears(3).await;
    service.invite_player(&caller(1), invite).await.unwrap();
    let heard = invited.heard();
    let [Event::Invited(invitation)] = &heard[..] else {
        panic!("{heard:?}");
    };
    let shown = invitation.room.clone().unwrap();
    // Who is invited comes in himself, and cannot let in others.
    assert_eq!((&shown.id, shown.code.as_str()), (&room.id, ""));
    assert_eq!(join(&service, 3, id(&room)).await.unwrap().code, room.code);
}

#[tokio::test]
async fn malformed_calls_name_the_field() {
    let world = World::new().await;
    let service = world.lobby();
    let field = |failure: Failure| failure.field.unwrap().into_owned();
    let by = |by| async { field(join(&service, 1, by).await.unwrap_err()) };
    assert_eq!(by(By::RoomId("one".to_owned())).await, "room_id");
    assert_eq!(by(By::Code("ABC".to_owned())).await, "code");
    let call = wire::JoinRoom { by: None };
    let nowhere = service.join_room(&caller(1), call).await;
    assert_eq!(field(nowhere.unwrap_err()), "by");
    let kind = wire::CreateRoom {
        kind: 7,
        settings: None,
    };
    let created = service.create_room(&caller(1), kind).await;
    assert_eq!(field(created.unwrap_err()), "kind");
    let search = wire::SearchRooms {
        limit: 51,
        ..wire::SearchRooms::default()
    };
    let found = service.search_rooms(&caller(1), search).await;
    assert_eq!(field(found.unwrap_err()), "limit");
    // Nothing was begun for any of them.
    assert_eq!(rooms(&service, 1).await, [None, None]);
}

#[tokio::test]
async fn names_are_such_that_everybody_may_read_them() {
    let world = World::new().await;
    let service = world.lobby();
    let room = create(&service, 1, lobby("bugger all", true)).await;
    assert_eq!(room.settings.unwrap().name, "****** all");
    let call = lobby("vermin", true);
    let failure = service.create_room(&caller(2), call).await.unwrap_err();
    assert_eq!(failure.code, Code::Refused);
    assert_eq!(failure.field.as_deref(), Some("settings.name"));
}

#[tokio::test]
async fn codes_cannot_be_guessed_at_speed() {
    let world = World::new().await;
    let _time = still();
    let service = world.lobby();
    for _ in 0..10 {
        refused(
            join(&service, 1, By::Code("222222".to_owned())).await,
            Code::NotFound,
        );
    }
    let failure = join(&service, 1, By::Code("222222".to_owned())).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.code, Code::Throttled);
    assert!(failure.retry_after.unwrap() <= Duration::from_secs(6));
    // Others are not held up.
    refused(
        join(&service, 2, By::Code("222222".to_owned())).await,
        Code::NotFound,
    );
}

#[tokio::test]
async fn a_search_finds_public_lobbies_with_room() {
    let world = World::new().await;
    let service = world.lobby();
    let dunes = create(&service, 1, lobby("Dunes at night", true)).await;
    create(&service, 2, lobby("Dunes in private", false)).await;
    let canyon = create(&service, 3, lobby("Canyon", true)).await;
    let found = async |call: wire::SearchRooms| {
        let found = service.search_rooms(&caller(9), call).await.unwrap();
        let mut ids: Vec<String> = found.rooms.iter().map(|room| room.id.clone()).collect();
        assert!(found.rooms.iter().all(|room| room.code.is_empty()));
        ids.sort();
        ids
    };
    let mut both = vec![dunes.id.clone(), canyon.id.clone()];
    both.sort();
    let named = |name: &str| wire::SearchRooms {
        name: name.to_owned(),
        ..wire::SearchRooms::default()
    };
    assert_eq!(found(named("")).await, both);
    assert_eq!(found(named("DUNES")).await, std::slice::from_ref(&dunes.id));
    let one = wire::SearchRooms {
        limit: 1,
        ..named("")
    };
    assert_eq!(found(one).await.len(), 1);
    let queue = wire::SearchRooms {
        queue: "solo".to_owned(),
        ..named("")
    };
    assert_eq!(found(queue).await, [""; 0]);

    let change = async |number, room: &wire::Room, change: &dyn Fn(&mut wire::RoomSettings)| {
        let mut settings = room.settings.clone().unwrap();
        change(&mut settings);
        let call = wire::ChangeRoom {
            room_id: room.id.clone(),
            settings: Some(settings),
        };
        service.change_room(&caller(number), call).await.unwrap()
    };
    let night = BTreeMap::from([("time".to_owned(), "night".to_owned())]);
    change(1, &dunes, &|settings| settings.properties = night.clone()).await;
    let at_night = wire::SearchRooms {
        properties: night.clone(),
        ..named("")
    };
    assert_eq!(found(at_night).await, std::slice::from_ref(&dunes.id));
    change(1, &dunes, &|settings| settings.is_locked = true).await;
    assert_eq!(found(named("")).await, std::slice::from_ref(&canyon.id));
    // Whoever searches may come in, until it is full.
    join(&service, 9, id(&canyon)).await.unwrap();
    change(3, &canyon, &|settings| settings.capacity = 2).await;
    assert_eq!(found(named("")).await, [""; 0]);
    let hidden = change(1, &dunes, &|settings| settings.is_public = false).await;
    assert!(!hidden.settings.unwrap().is_public);
    let listed = world.live.marked(super::LISTED, 10).await.unwrap();
    assert_eq!(listed, [canyon.id]);
}

#[tokio::test]
async fn a_party_that_changes_does_not_wait_for_a_match_any_more() {
    let world = World::new().await;
    let service = world.lobby();
    let room = create(&service, 1, party()).await;
    let queues = async |number| {
        let profile = wire::SetProfile {
            latencies: [("eu".to_owned(), 10)].into(),
            ..wire::SetProfile::default()
        };
        service.set_profile(&caller(number), profile).await.unwrap();
        let call = wire::JoinQueue {
            queue: "duo".to_owned(),
            ..wire::JoinQueue::default()
        };
        service.join_queue(&caller(number), call).await.unwrap();
    };
    let waits = async |number| service.queue_state(player(number)).await.unwrap().is_some();
    queues(1).await;
    queues(2).await;
    assert!(waits(1).await && waits(2).await);
    // Neither the party nor who joins it waits with the ticket of before.
    join(&service, 2, code(&room)).await.unwrap();
    assert!(!waits(1).await && !waits(2).await);
    queues(1).await;
    assert!(waits(2).await);
    leave(&service, 2, &room).await.unwrap();
    assert!(!waits(1).await && !waits(2).await);
}

#[tokio::test]
async fn a_room_makes_a_match_where_all_members_are_near() {
    let world = World::new().await;
    let service = world.lobby();
    let room = create(&service, 1, lobby("ours", false)).await;
    join(&service, 2, code(&room)).await.unwrap();
    for (number, eu, us) in [(1, 10, 90), (2, 200, 90)] {
        let latencies = [("eu".to_owned(), eu), ("us".to_owned(), us)];
        let profile = wire::SetProfile {
            latencies: latencies.into(),
            ..wire::SetProfile::default()
        };
        service.set_profile(&caller(number), profile).await.unwrap();
    }
    refused(start(&service, 1, &room).await, Code::Conflict);
    ready(&service, 2, &room).await;
    refused(start(&service, 2, &room).await, Code::Forbidden);
    let mut guest = world.ears(2).await;
    start(&service, 1, &room).await.unwrap();
    let heard = guest.heard();
    let [Event::MatchReady(seat), Event::RoomChanged(changed)] = &heard[..] else {
        panic!("{heard:?}");
    };
    let made = seat.r#match.as_ref().unwrap();
    assert_eq!((made.queue.as_str(), made.region.as_str()), ("duo", "us"));
    assert_eq!(seat.session_key, caller(2).session.to_string());
    let teams: Vec<u32> = made.seats.iter().map(|seat| seat.team).collect();
    assert_eq!(teams, [0, 1]);
    assert_eq!(changed.reason(), Reason::MatchStarted);
    let members = &changed.room.as_ref().unwrap().members;
    assert!(members.iter().all(|member| !member.is_ready));
    // They play: there is no other match until this one is over.
    ready(&service, 2, &room).await;
    let failure = start(&service, 1, &room).await.unwrap_err();
    assert!(failure.message.contains("in another match"), "{failure}");
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_leaves_the_room_as_it_was() {
    let world = World::new().await;
    let service = world.lobby();
    let room = create(&service, 1, lobby("ours", false)).await;
    join(&service, 2, code(&room)).await.unwrap();
    ready(&service, 2, &room).await;
    let fail = |error| *world.servers.fails.lock().unwrap() = error;
    let asked = || {
        let wanted = world.servers.wanted.lock().unwrap();
        wanted.iter().map(|wanted| wanted.id).collect::<Vec<_>>()
    };
    fail(Some(servers::Error::NoServer));
    refused(start(&service, 1, &room).await, Code::NoServer);
    fail(Some(servers::Error::Refused("why".to_owned())));
    refused(start(&service, 1, &room).await, Code::Conflict);
    // Nobody knows what was done: the next try is the same match, so that there are not two.
    fail(Some(servers::Error::Unavailable("gone".to_owned())));
    refused(start(&service, 1, &room).await, Code::Unavailable);
    fail(None);
    start(&world.lobby(), 1, &room).await.unwrap();
    let asked = asked();
    let [first, second, third, fourth] = asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!(third, fourth);
    assert!(first != second && second != third);
    let region = &wire::SetProfile {
        latencies: [("mars".to_owned(), 1)].into(),
        ..wire::SetProfile::default()
    };
    service
        .set_profile(&caller(1), region.clone())
        .await
        .unwrap();
    ready(&service, 2, &room).await;
    let failure = start(&service, 1, &room).await.unwrap_err();
    assert!(failure.message.contains("in reach of all"), "{failure}");
}

#[tokio::test]
async fn who_has_no_socket_is_gone_after_a_while_and_so_is_an_empty_room() {
    let world = World::new().await;
    let _time = still();
    let (here, there) = (world.lobby(), world.lobby());
    world.connect([1, 2]).await;
    let room = create(&here, 1, lobby("ours", true)).await;
    join(&here, 2, code(&room)).await.unwrap();
    let mut guest = world.ears(2).await;
    // The lobby with the host's socket dies.
    world.lose(1).await;
    swept(&there).await;
    assert_eq!(guest.changes(), [(Reason::Connection, true)]);
    pass(29).await;
    swept(&there).await;
    assert_eq!(guest.changes(), []);
    pass(1).await;
    swept(&there).await;
    let left_to_the_guest = [(Reason::Left, true), (Reason::Promoted, true)];
    assert_eq!(guest.changes(), left_to_the_guest);
    assert_eq!(rooms(&there, 1).await, [None, None]);

    // The guest's lobby says so itself, late: the guest is connected elsewhere by now.
    there.room_connection(player(2), false).await;
    swept(&there).await;
    let away_and_back = [(Reason::Connection, true), (Reason::Connection, true)];
    assert_eq!(guest.changes(), away_and_back);
    world.lose(2).await;
    there.room_connection(player(2), false).await;
    pass(30).await;
    swept(&there).await;
    let key = Key::Room(room.id.parse().unwrap());
    assert_eq!(world.live.read(&key).await.unwrap(), None);
    let listed = world.live.marked(super::LISTED, 10).await.unwrap();
    assert_eq!(listed, [""; 0]);
}

#[tokio::test]
async fn a_room_is_kept_as_long_as_it_is_lived_in_and_swept_by_one_lobby() {
    let world = World::new().await;
    let _time = still();
    let service = world.lobby();
    world.connect([1, 2]).await;
    let room = create(&service, 1, party()).await;
    for _ in 0..12 {
        pass(300).await;
        swept(&service).await;
    }
    join(&service, 2, code(&room)).await.unwrap();
    assert_eq!(rooms(&service, 1).await, [Some(room.id.clone()), None]);
    // Another lobby does not do it too while the right to it is taken.
    swept(&service).await;
    world.lose(2).await;
    let mut host = world.ears(1).await;
    swept(&world.lobby()).await;
    assert_eq!(host.changes(), []);
    // Nobody sweeps: all is gone.
    pass(1800).await;
    assert_eq!(rooms(&service, 1).await, [None, None]);
    refused(join(&service, 1, code(&room)).await, Code::NotFound);
}

/// However calls of one player interleave at several lobbies, the player is in one room of a kind.
#[tokio::test]
async fn joins_that_meet_leave_a_player_in_one_room() {
    let world = World::new().await;
    let lobbies = [world.lobby(), world.lobby(), world.lobby()];
    for seed in 0..200 {
        let base = u128::from(seed) * 100 + 100;
        let first = create(&lobbies[0], base + 1, party()).await;
        let second = create(&lobbies[1], base + 2, party()).await;
        world.live.shuffle(seed);
        let joins = [
            join(&lobbies[0], base, code(&first)),
            join(&lobbies[1], base, code(&second)),
        ];
        let player_himself = caller(base);
        let own = lobbies[2].create_room(&player_himself, party());
        let (joined, own) = futures::join!(futures::future::join_all(joins), own);
        let answers: Vec<_> = joined.into_iter().chain([own]).collect();

        let [pointed, _] = rooms(&lobbies[0], base).await;
        let mut ids = vec![first.id.clone(), second.id.clone()];
        ids.extend(answers[2].as_ref().ok().map(|room| room.id.clone()));
        for id in &ids {
            let key = Key::Room(id.parse().unwrap());
            let (room, _) = crate::documents::read::<crate::rooms::Room>(&*world.live, &key)
                .await
                .unwrap();
            let is_member = room.is_some_and(|room| room.member(player(base)).is_some());
            assert_eq!(is_member, pointed.as_ref() == Some(id), "seed {seed}");
        }
        // Nobody is told to be in while he is not, but for who was in first and moved on.
        let told = answers.iter().filter(|answer| answer.is_ok()).count();
        assert!(told >= usize::from(pointed.is_some()), "seed {seed}");
        for failure in answers.into_iter().filter_map(Result::err) {
            assert_eq!(failure.code, Code::Conflict, "seed {seed}");
        }
    }
}

/// A lobby dies after any step of any call: the player can go on, and nothing is left of it.
#[tokio::test]
async fn what_a_dead_lobby_left_half_done_is_put_right() {
    let world = World::new().await;
    let _time = still();
    let alive = world.lobby();
    let mut is_done = [false; 3];
    let mut steps = 0;
    while is_done != [true; 3] {
        assert!(steps < 100, "calls end");
        for (index, done) in is_done.iter_mut().enumerate() {
            let base = steps as u128 * 100 + index as u128 * 10 + 10;
            world.connect(base..base + 4).await;
            let room = create(&alive, base, party()).await;
            let dying = world.lobby();
            let stage = &world.live;
            *done = match index {
                0 => {
                    stage
                        .dies_after(steps, dying.create_room(&caller(base + 1), party()))
                        .await
                }
                1 => {
                    stage
                        .dies_after(steps, join(&dying, base + 1, code(&room)))
                        .await
                }
                _ => {
                    join(&alive, base + 1, code(&room)).await.unwrap();
                    stage
                        .dies_after(steps, leave(&dying, base + 1, &room))
                        .await
                }
            };
            swept(&alive).await;
            // Whatever it was, he is where the pointer and the room agree, and can leave it.
            if let Some(party) = alive.rooms_of(player(base + 1)).await.unwrap().party {
                assert_eq!(party.kind, Kind::Party);
                leave(&alive, base + 1, &party.to_wire()).await.unwrap();
            }
            join(&alive, base + 1, code(&room)).await.unwrap();
            swept(&alive).await;
            let party = alive.rooms_of(player(base)).await.unwrap().party.unwrap();
            assert_eq!(party.players(), [player(base), player(base + 1)]);
            pass(10).await;
        }
        steps += 1;
    }
    assert!(steps > 5, "calls have steps");
}

#[tokio::test]
async fn the_sweep_runs_until_it_is_told_to_stop() {
    let world = World::new().await;
    let _time = still();
    let service = world.lobby();
    world.connect([1, 2]).await;
    let room = create(&service, 1, party()).await;
    join(&service, 2, code(&room)).await.unwrap();
    let mut guest = world.ears(2).await;
    world.lose(1).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let sweeping = tokio::spawn(sweep::run(service, stop.clone()));
    let gone = async {
        loop {
            if guest.changes().contains(&(Reason::Promoted, true)) {
                break;
            }
            pass(1).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), gone)
        .await
        .unwrap();
    stop.cancel();
    sweeping.await.unwrap();
    // Whoever comes next has the right at once.
    swept(&world.lobby()).await;
    let lease = world
        .live
        .lease("rooms", uuid::Uuid::new_v4(), Duration::from_secs(1));
    assert_eq!(lease.await.unwrap(), None);
}
