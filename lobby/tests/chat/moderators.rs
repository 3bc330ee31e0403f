//! What keeps order: reports, moderators, and mutes that follow from refused messages.

use std::time::Duration;

use lobby::live::{Channel, Live as _};
use lobby::service::{Caller, duration};
use lobby::{Code, Failure};
use proto::muster::lobby::v1 as wire;
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, code, field, now};

const ENGLISH: &str = "global:english";

async fn mute(
    world: &World,
    moderator: &Caller,
    player: &Caller,
    length: Duration,
) -> Result<(), Failure> {
    let call = wire::MutePlayer {
        player_id: player.player.to_string(),
        duration: Some(duration(length)),
        reason: "flooding".to_owned(),
    };
    world.service.mute_player(moderator, call).await
}

async fn report(world: &World, caller: &Caller, number: u64, reason: &str) -> Result<(), Failure> {
    let call = wire::ReportChat {
        channel: ENGLISH.to_owned(),
        number,
        reason: reason.to_owned(),
    };
    world.pass(Duration::from_mins(1)).await;
    world.service.report_chat(caller, call).await
}

#[tokio::test]
async fn who_is_muted_reads_and_does_not_write_for_so_long() {
    let world = World::new().await;
    let [ada, eve] = [world.player().await, world.moderator().await];
    let number = world.said(&ada, ENGLISH, "one").await;
    world.rest().await;
    mute(&world, &eve, &ada, Duration::from_mins(5))
        .await
        .unwrap();
    let failure = world.say(&ada, ENGLISH, "two").await.unwrap_err();
    assert_eq!(failure.code, Code::Muted);
    assert!(failure.message.ends_with(": flooding"));
    let wait = failure.retry_after.unwrap();
    assert!(
        wait <= Duration::from_mins(5) && wait > Duration::from_mins(4),
        "{wait:?}"
    );
    let edit = wire::EditChat {
        channel: ENGLISH.to_owned(),
        number,
        text: "two".to_owned(),
    };
    assert_eq!(code(world.service.edit_chat(&ada, edit).await), Code::Muted);
    assert_eq!(world.lines(&ada, ENGLISH).await.len(), 1);
    // It may be taken back by who wrote it.
    let delete = wire::DeleteChat {
        channel: ENGLISH.to_owned(),
        number,
    };
    world.service.delete_chat(&ada, delete).await.unwrap();
    world.pass(Duration::from_mins(5)).await;
    world.say(&ada, ENGLISH, "two").await.unwrap();
}

#[tokio::test]
async fn moderators_end_mutes_and_what_they_do_is_written_down() {
    let world = World::new().await;
    let [ada, eve] = [world.player().await, world.moderator().await];
    let until = now() + jiff::SignedDuration::from_hours(1);
    mute(&world, &eve, &ada, Duration::from_hours(1))
        .await
        .unwrap();
    assert_eq!(code(world.say(&ada, ENGLISH, "hello").await), Code::Muted);
    mute(&world, &eve, &ada, Duration::ZERO).await.unwrap();
    world.say(&ada, ENGLISH, "hello").await.unwrap();
    let lines = world.audit().await;
    let events: Vec<&str> = lines.iter().map(|line| line.event.as_str()).collect();
    assert_eq!(events, ["mute", "unmute"]);
    for line in &lines {
        assert_eq!(
            (line.actor, line.subject),
            (Some(eve.player), Some(ada.player))
        );
        assert_eq!(line.detail["reason"], "flooding");
    }
    let written: jiff::Timestamp = lines[0].detail["until"].as_str().unwrap().parse().unwrap();
    assert!(written.duration_since(until).abs() < jiff::SignedDuration::from_secs(30));
}

#[tokio::test]
async fn only_moderators_mute_and_not_for_ever() {
    let world = World::new().await;
    let [ada, bob, eve] = [
        world.player().await,
        world.player().await,
        world.moderator().await,
    ];
    let year = Duration::from_hours(24 * 365);
    assert_eq!(code(mute(&world, &ada, &bob, year).await), Code::Forbidden);
    assert_eq!(field(mute(&world, &eve, &bob, year * 11).await), "duration");
    mute(&world, &eve, &bob, year * 10).await.unwrap();
    let call = |player_id: &str, reason: &str| wire::MutePlayer {
        player_id: player_id.to_owned(),
        duration: Some(duration(year)),
        reason: reason.to_owned(),
    };
    let service = &world.service;
    let unnamed = service.mute_player(&eve, call("bob", "")).await;
    assert_eq!(field(unnamed), "player_id");
    let wordy = call(&bob.player.to_string(), &"a".repeat(501));
    assert_eq!(field(service.mute_player(&eve, wordy).await), "reason");
    assert_eq!(world.audit().await.len(), 1);
}

#[tokio::test]
async fn moderators_delete_lines_of_others_where_they_are_not_members() {
    let mut world = World::new().await;
    let [ada, bob, eve] = [
        world.player().await,
        world.player().await,
        world.moderator().await,
    ];
    let room = world.room(wire::RoomKind::Lobby, &[&ada, &bob]).await;
    let number = world.said(&ada, &room, "something bad").await;
    world.told();
    let delete = wire::DeleteChat {
        channel: room.clone(),
        number,
    };
    world
        .service
        .delete_chat(&eve, delete.clone())
        .await
        .unwrap();
    let told = world.told();
    assert_eq!(told.len(), 2);
    assert!(
        told.iter()
            .all(|(_, line)| line.is_deleted && line.text.is_empty())
    );
    let [line] = &world.audit().await[..] else {
        panic!("one line is written");
    };
    assert_eq!(line.event, "delete_chat");
    assert_eq!(
        (line.actor, line.subject),
        (Some(eve.player), Some(ada.player))
    );
    assert_eq!(line.detail, json!({ "channel": room, "number": number }));
    // They read no more than others, nor do they change what others said.
    let list = wire::ListChat {
        channel: room.clone(),
        ..wire::ListChat::default()
    };
    assert_eq!(
        code(world.service.list_chat(&eve, list).await),
        Code::NotFound
    );
    assert_eq!(code(world.say(&eve, &room, "hello").await), Code::NotFound);
}

#[tokio::test]
async fn a_report_has_the_lines_around() {
    let world = World::new().await;
    let [ada, bob] = [world.player().await, world.player().await];
    for number in 1..=20 {
        world.said(&ada, ENGLISH, &number.to_string()).await;
    }
    let delete = wire::DeleteChat {
        channel: ENGLISH.to_owned(),
        number: 9,
    };
    world.service.delete_chat(&ada, delete).await.unwrap();
    report(&world, &bob, 10, " rude ").await.unwrap();
    report(&world, &bob, 20, "").await.unwrap();
    let reports = world.reports().await;
    let numbers = |report: usize| -> Vec<u64> {
        let lines = reports[report].1.as_array().unwrap().iter();
        lines.map(|line| line["number"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(0), (5..=15).collect::<Vec<_>>());
    assert_eq!(numbers(1), (10..=20).collect::<Vec<_>>());
    let (reason, evidence) = &reports[0];
    assert_eq!(reason, "rude");
    assert_eq!(evidence[5]["text"], "10");
    assert_eq!(evidence[5]["player"], ada.player.to_string());
    assert_eq!(evidence[4]["isDeleted"], true);
    let lines = world.audit().await;
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].event, "report");
    assert_eq!(
        (lines[0].actor, lines[0].subject),
        (Some(bob.player), Some(ada.player))
    );
    assert_eq!(lines[0].detail, json!({ "channel": ENGLISH, "number": 10 }));
}

#[tokio::test]
async fn a_line_is_reported_once_by_each_who_may_read_it() {
    let world = World::new().await;
    let [ada, bob, cid] = [
        world.player().await,
        world.player().await,
        world.player().await,
    ];
    let number = world.said(&ada, ENGLISH, "something bad").await;
    report(&world, &bob, number, "bad").await.unwrap();
    report(&world, &bob, number, "very bad").await.unwrap();
    report(&world, &cid, number, "bad").await.unwrap();
    let reasons: Vec<String> = world
        .reports()
        .await
        .into_iter()
        .map(|(why, _)| why)
        .collect();
    assert_eq!(reasons, ["bad", "bad"]);
    assert_eq!(world.audit().await.len(), 2);
    assert_eq!(field(report(&world, &ada, number, "mine").await), "number");
    assert_eq!(
        code(report(&world, &bob, number + 1, "none").await),
        Code::NotFound
    );
    let wordy = report(&world, &bob, number, &"a".repeat(501)).await;
    assert_eq!(field(wordy), "reason");
}

#[tokio::test]
async fn who_reports_too_much_waits() {
    let world = World::new().await;
    let bob = world.player().await;
    let call = wire::ReportChat {
        channel: ENGLISH.to_owned(),
        number: 1,
        reason: String::new(),
    };
    for _ in 0..5 {
        let outcome = world.service.report_chat(&bob, call.clone()).await;
        assert_eq!(code(outcome), Code::NotFound);
    }
    let outcome = world.service.report_chat(&bob, call).await;
    assert_eq!(code(outcome), Code::Throttled);
}

/// What five refused messages come to, and how long the mute is that follows.
async fn muted_for(world: &World, caller: &Caller) -> Duration {
    for _ in 0..5 {
        world.rest().await;
        assert_eq!(
            code(world.say(caller, ENGLISH, "vermin").await),
            Code::Refused
        );
    }
    let mute = world.store.mute_of(caller.player, now()).await.unwrap();
    let until = mute.unwrap().until;
    until.duration_since(now()).unsigned_abs()
}

#[tokio::test]
async fn refused_messages_mute_for_longer_each_time() {
    let world = World::new().await;
    let [ada, bob] = [world.player().await, world.player().await];
    for minutes in [1, 5, 30] {
        let length = Duration::from_mins(minutes);
        let muted = muted_for(&world, &ada).await;
        assert!(
            muted <= length && length.saturating_sub(muted) < Duration::from_secs(20),
            "{muted:?}"
        );
        world.rest().await;
        let failure = world.say(&ada, ENGLISH, "hello").await.unwrap_err();
        assert_eq!(failure.code, Code::Muted);
        assert!(failure.message.ends_with(": refused messages"));
        world.say(&bob, ENGLISH, "hello").await.unwrap();
        world.pass(length).await;
        world.say(&ada, ENGLISH, "hello").await.unwrap();
    }
    let lines = world.audit().await;
    assert_eq!(lines.len(), 3);
    for line in lines {
        assert_eq!((line.event.as_str(), line.actor), ("mute", None));
        assert_eq!(line.subject, Some(ada.player));
    }
}

#[tokio::test]
async fn a_few_refused_messages_mute_nobody() {
    let world = World::new().await;
    let ada = world.player().await;
    for _ in 0..12 {
        assert_eq!(
            code(world.say(&ada, ENGLISH, "vermin").await),
            Code::Refused
        );
        // What is masked, or no message at all, is no offense.
        world.say(&ada, ENGLISH, "bugger").await.unwrap();
        assert_eq!(field(world.say(&ada, ENGLISH, "").await), "text");
        world.pass(Duration::from_mins(3)).await;
    }
    assert!(world.audit().await.is_empty());
}

#[tokio::test]
async fn a_moderator_deletes_for_everybody_who_joined() {
    let mut world = World::new().await;
    let [ada, eve] = [world.player().await, world.moderator().await];
    let english = Channel::Chat("english".to_owned());
    world.live.subscribe(&english).await.unwrap();
    let number = world.said(&ada, ENGLISH, "something bad").await;
    world.told();
    let delete = wire::DeleteChat {
        channel: ENGLISH.to_owned(),
        number,
    };
    world.service.delete_chat(&eve, delete).await.unwrap();
    let told = world.told();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, english);
    assert!(told[0].1.is_deleted);
    let nowhere = wire::DeleteChat {
        channel: format!("lobby:{}", Uuid::new_v4()),
        number,
    };
    assert_eq!(
        code(world.service.delete_chat(&eve, nowhere).await),
        Code::NotFound
    );
}
