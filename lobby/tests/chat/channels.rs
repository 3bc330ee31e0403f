//! Who writes, reads and hears where.

use std::time::Duration;

use lobby::Code;
use lobby::chat::channel::AFTERWARDS;
use lobby::live::{Channel, Live as _};
use lobby::service::Caller;
use proto::muster::lobby::v1 as wire;
use uuid::Uuid;

use crate::world::{World, code, field};

/// That there is nothing of that name for this player, whatever the player asks.
async fn finds_nothing(world: &World, caller: &Caller, channel: &str) {
    world.rest().await;
    assert_eq!(
        code(world.say(caller, channel, "hello").await),
        Code::NotFound
    );
    let channel = channel.to_owned();
    let service = &world.service;
    let list = wire::ListChat {
        channel: channel.clone(),
        ..wire::ListChat::default()
    };
    assert_eq!(code(service.list_chat(caller, list).await), Code::NotFound);
    let edit = wire::EditChat {
        channel: channel.clone(),
        number: 1,
        text: "other".to_owned(),
    };
    assert_eq!(code(service.edit_chat(caller, edit).await), Code::NotFound);
    let delete = wire::DeleteChat {
        channel: channel.clone(),
        number: 1,
    };
    assert_eq!(
        code(service.delete_chat(caller, delete).await),
        Code::NotFound
    );
    let report = wire::ReportChat {
        channel,
        number: 1,
        reason: String::new(),
    };
    assert_eq!(
        code(service.report_chat(caller, report).await),
        Code::NotFound
    );
}

/// Who was told of a line by what name of the channel, in order.
fn heard(world: &mut World) -> Vec<(Channel, String)> {
    let told = world.told().into_iter();
    told.map(|(to, message)| (to, message.channel)).collect()
}

#[tokio::test]
async fn members_of_a_room_talk_to_each_other() {
    let mut world = World::new().await;
    let [ada, bob, eve] = [
        world.player().await,
        world.player().await,
        world.player().await,
    ];
    for kind in [wire::RoomKind::Lobby, wire::RoomKind::Party] {
        let room = world.room(kind, &[&ada, &bob]).await;
        world.rest().await;
        let line = world.say(&ada, &room, "hello").await.unwrap();
        assert_eq!((line.number, line.text.as_str()), (1, "hello"));
        assert_eq!(line.player_id, ada.player.to_string());
        assert_eq!(line.channel, room);
        assert!(line.sent_at.is_some() && line.edited_at.is_none() && !line.is_deleted);
        let told = world.told();
        let to = [ada.player, bob.player].map(Channel::Player);
        assert_eq!(told, to.map(|to| (to, line.clone())));
        assert_eq!(world.said(&bob, &room, "hi").await, 2);
        let lines = world.lines(&ada, &room).await;
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], line);
        finds_nothing(&world, &eve, &room).await;
        world.told();
    }
}

#[tokio::test]
async fn a_room_is_of_its_kind_and_who_left_is_out() {
    let world = World::new().await;
    let [ada, bob] = [world.player().await, world.player().await];
    let room = world.room(wire::RoomKind::Lobby, &[&ada, &bob]).await;
    world.said(&bob, &room, "hello").await;
    finds_nothing(&world, &ada, &room.replace("lobby:", "party:")).await;
    let leave = wire::LeaveRoom {
        room_id: room.replace("lobby:", ""),
    };
    world.service.leave_room(&bob, leave).await.unwrap();
    finds_nothing(&world, &bob, &room).await;
    finds_nothing(&world, &ada, &format!("lobby:{}", Uuid::new_v4())).await;
}

#[tokio::test]
async fn players_of_a_match_talk_to_all_or_to_their_team() {
    let mut world = World::new().await;
    let [ada, bob, cid] = [
        world.player().await,
        world.player().await,
        world.player().await,
    ];
    let eve = world.player().await;
    let id = world.begin(&[&[&ada, &bob], &[&cid]]).await;
    let [all, first, second] = [
        format!("match:{id}"),
        format!("team:{id}:0"),
        format!("team:{id}:1"),
    ];
    world.said(&cid, &all, "good luck").await;
    let players = [ada.player, bob.player, cid.player].map(Channel::Player);
    assert_eq!(heard(&mut world), players.map(|to| (to, all.clone())));
    world.said(&ada, &first, "left").await;
    let players = [ada.player, bob.player].map(Channel::Player);
    assert_eq!(heard(&mut world), players.map(|to| (to, first.clone())));
    finds_nothing(&world, &cid, &first).await;
    finds_nothing(&world, &ada, &second).await;
    finds_nothing(&world, &ada, &format!("team:{id}:2")).await;
    for channel in [&all, &first] {
        finds_nothing(&world, &eve, channel).await;
    }
    finds_nothing(&world, &ada, &format!("match:{}", Uuid::new_v4())).await;
}

#[tokio::test]
async fn players_say_good_game_after_a_match_and_read_it_later() {
    let world = World::new().await;
    let [ada, bob] = [world.player().await, world.player().await];
    let id = world.begin(&[&[&ada], &[&bob]]).await;
    let all = format!("match:{id}");
    world.end(id).await;
    world.said(&ada, &all, "gg").await;
    world.pass(AFTERWARDS.unsigned_abs()).await;
    assert_eq!(code(world.say(&bob, &all, "gg").await), Code::Conflict);
    let edit = wire::EditChat {
        channel: all.clone(),
        number: 1,
        text: "bg".to_owned(),
    };
    assert_eq!(
        code(world.service.edit_chat(&ada, edit).await),
        Code::Conflict
    );
    assert_eq!(world.lines(&bob, &all).await.len(), 1);
}

#[tokio::test]
async fn two_players_have_one_private_channel_with_two_names() {
    let mut world = World::new().await;
    let [ada, bob, eve] = [
        world.player().await,
        world.player().await,
        world.player().await,
    ];
    let [to_ada, to_bob] = [&ada, &bob].map(|caller| format!("private:{}", caller.player));
    world.said(&ada, &to_bob, "psst").await;
    let names = [
        (Channel::Player(ada.player), to_bob.clone()),
        (Channel::Player(bob.player), to_ada.clone()),
    ];
    assert_eq!(heard(&mut world), names);
    assert_eq!(world.said(&bob, &to_ada, "yes?").await, 2);
    let names = [
        (Channel::Player(bob.player), to_ada.clone()),
        (Channel::Player(ada.player), to_bob.clone()),
    ];
    assert_eq!(heard(&mut world), names);
    for (caller, channel) in [(&ada, &to_bob), (&bob, &to_ada)] {
        let lines = world.lines(caller, channel).await;
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["psst", "yes?"]);
        assert!(lines.iter().all(|line| line.channel == *channel));
    }
    assert!(world.lines(&eve, &to_bob).await.is_empty());
    assert_eq!(field(world.say(&ada, &to_ada, "me?").await), "channel");
}

#[tokio::test]
async fn a_global_channel_is_heard_by_who_joined_it_anywhere() {
    let mut world = World::new().await;
    let ada = world.player().await;
    let english = Channel::Chat("english".to_owned());
    world.live.subscribe(&english).await.unwrap();
    let line = world.say(&ada, "global:english", "hello").await.unwrap();
    assert_eq!(world.told(), [(english, line)]);
    world.said(&ada, "global:polski", "dzień dobry").await;
    assert!(world.told().is_empty());
    finds_nothing(&world, &ada, "global:deutsch").await;
}

fn join(channel: &str) -> wire::JoinChannel {
    wire::JoinChannel {
        channel: channel.to_owned(),
    }
}

#[tokio::test]
async fn who_joins_a_global_channel_hears_it_until_they_leave() {
    let mut world = World::new().await;
    let [ada, bob] = [world.player().await, world.player().await];
    let early = world
        .service
        .join_channel(&ada, join("global:english"))
        .await;
    assert_eq!(code(early), Code::Conflict);
    world.connect(&ada).await;
    world
        .said(&bob, "global:english", "nobody hears this")
        .await;
    assert!(world.told().is_empty());
    world
        .service
        .join_channel(&ada, join("global:english"))
        .await
        .unwrap();
    world.said(&bob, "global:english", "hello").await;
    world.said(&bob, "global:polski", "hej").await;
    let english = Channel::Chat("english".to_owned());
    assert_eq!(heard(&mut world), [(english, "global:english".to_owned())]);
    let leave = wire::LeaveChannel {
        channel: "global:english".to_owned(),
    };
    world.service.leave_channel(&ada, leave).await.unwrap();
    world.said(&bob, "global:english", "bye").await;
    assert!(world.told().is_empty());
}

#[tokio::test]
async fn a_player_hears_eight_global_channels() {
    let names = (0..9).map(|number| number.to_string());
    let world = World::with(|settings| settings.channels = names.collect()).await;
    let ada = world.player().await;
    world.connect(&ada).await;
    for number in [0, 1, 2, 3, 4, 5, 6, 7, 7] {
        let join = join(&format!("global:{number}"));
        world.service.join_channel(&ada, join).await.unwrap();
    }
    let ninth = world.service.join_channel(&ada, join("global:8")).await;
    assert_eq!(code(ninth), Code::Full);
    let leave = wire::LeaveChannel {
        channel: "global:3".to_owned(),
    };
    world.service.leave_channel(&ada, leave).await.unwrap();
    world
        .service
        .join_channel(&ada, join("global:8"))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_no_channel_is_said_to_be_none() {
    let world = World::new().await;
    let ada = world.player().await;
    for channel in ["", "english", "guild:1", "lobby:mine", "private:ada"] {
        world.rest().await;
        assert_eq!(field(world.say(&ada, channel, "hello").await), "channel");
    }
    let room = world.room(wire::RoomKind::Lobby, &[&ada]).await;
    let service = &world.service;
    assert_eq!(
        field(service.join_channel(&ada, join(&room)).await),
        "channel"
    );
    let missing = service.join_channel(&ada, join("global:deutsch")).await;
    assert_eq!(code(missing), Code::NotFound);
    let leave = wire::LeaveChannel { channel: room };
    assert_eq!(field(service.leave_channel(&ada, leave).await), "channel");
}

#[tokio::test]
async fn slow_mode_is_for_each_player_and_global_channel() {
    let slow = Duration::from_secs(30);
    let world = World::with(|settings| settings.slow_mode = slow).await;
    let [ada, bob] = [world.player().await, world.player().await];
    world.say(&ada, "global:english", "one").await.unwrap();
    let failure = world.say(&ada, "global:english", "two").await.unwrap_err();
    assert_eq!(failure.code, Code::Throttled);
    let wait = failure.retry_after.unwrap();
    assert!(wait <= slow && wait > Duration::from_secs(25), "{wait:?}");
    world.say(&bob, "global:english", "two").await.unwrap();
    world.say(&ada, "global:polski", "dwa").await.unwrap();
    let other = format!("private:{}", bob.player);
    for _ in 0..2 {
        world.say(&ada, &other, "psst").await.unwrap();
    }
    world.pass(slow).await;
    world.say(&ada, "global:english", "three").await.unwrap();
}

#[tokio::test]
async fn what_is_refused_does_not_slow_down() {
    let world = World::with(|settings| settings.slow_mode = Duration::from_secs(30)).await;
    let ada = world.player().await;
    assert_eq!(field(world.say(&ada, "global:english", " ").await), "text");
    world.say(&ada, "global:english", "hello").await.unwrap();
}
