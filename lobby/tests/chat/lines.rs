//! Lines: what becomes of them from the call to the store, and who may change them.

use std::time::Duration;

use lobby::live::Channel;
use lobby::service::Caller;
use lobby::{Code, Failure};
use proto::muster::lobby::v1 as wire;

use crate::world::{World, code, field};

const ENGLISH: &str = "global:english";

async fn edit(
    world: &World,
    caller: &Caller,
    number: u64,
    text: &str,
) -> Result<wire::ChatMessage, Failure> {
    let call = wire::EditChat {
        channel: ENGLISH.to_owned(),
        number,
        text: text.to_owned(),
    };
    world.rest().await;
    world.service.edit_chat(caller, call).await
}

async fn delete(world: &World, caller: &Caller, channel: &str, number: u64) -> Result<(), Failure> {
    let call = wire::DeleteChat {
        channel: channel.to_owned(),
        number,
    };
    world.rest().await;
    world.service.delete_chat(caller, call).await
}

#[tokio::test]
async fn a_text_is_put_together_and_judged_before_it_is_kept() {
    let world = World::new().await;
    let ada = world.player().await;
    for (text, kept) in [
        ("  hello \n", "hello".to_owned()),
        ("cafe\u{301}", "café".to_owned()),
        ("you b.u.g.g.e.r", "you *.*.*.*.*.*".to_owned()),
        (&"e\u{301}".repeat(500), "é".repeat(500)),
    ] {
        let number = world.said(&ada, ENGLISH, text).await;
        let lines = world.lines(&ada, ENGLISH).await;
        let line = lines.last().unwrap();
        assert_eq!((line.number, &line.text), (number, &kept));
    }
    for text in [
        "",
        " \n",
        "\u{200B}",
        &"a".repeat(501),
        &"a".repeat(100_000),
    ] {
        world.rest().await;
        assert_eq!(field(world.say(&ada, ENGLISH, text).await), "text");
    }
    world.rest().await;
    let refused = world.say(&ada, ENGLISH, "you v3rm1n").await;
    assert_eq!(code(refused), Code::Refused);
    assert_eq!(world.lines(&ada, ENGLISH).await.len(), 4);
}

#[tokio::test]
async fn who_writes_too_much_waits_and_others_do_not() {
    let world = World::new().await;
    let [ada, bob] = [world.player().await, world.player().await];
    for _ in 0..5 {
        world.say(&ada, ENGLISH, "spam").await.unwrap();
    }
    let failure = world.say(&ada, "global:polski", "spam").await.unwrap_err();
    assert_eq!(failure.code, Code::Throttled);
    assert!(failure.retry_after.unwrap() <= Duration::from_secs(1));
    world.say(&bob, ENGLISH, "hello").await.unwrap();
    world.pass(Duration::from_secs(1)).await;
    world.say(&ada, ENGLISH, "spam").await.unwrap();
}

#[tokio::test]
async fn a_line_is_changed_by_who_wrote_it_and_all_are_told() {
    let mut world = World::new().await;
    let [ada, bob] = [world.player().await, world.player().await];
    let room = world.room(wire::RoomKind::Party, &[&ada, &bob]).await;
    let number = world.said(&ada, &room, "helo").await;
    world.told();
    let call = wire::EditChat {
        channel: room.clone(),
        number,
        text: " hello, bugger".to_owned(),
    };
    let line = world.service.edit_chat(&ada, call).await.unwrap();
    assert_eq!((line.number, line.text.as_str()), (1, "hello, ******"));
    assert!(line.edited_at.is_some());
    let to = [ada.player, bob.player].map(Channel::Player);
    assert_eq!(world.told(), to.map(|to| (to, line.clone())));
    assert_eq!(world.lines(&bob, &room).await, [line]);
}

#[tokio::test]
async fn a_line_is_not_changed_late_or_by_others_or_to_what_is_refused() {
    let world = World::new().await;
    let [ada, eve] = [world.player().await, world.moderator().await];
    let number = world.said(&ada, ENGLISH, "hello").await;
    assert_eq!(
        code(edit(&world, &eve, number, "I am bad").await),
        Code::Forbidden
    );
    assert_eq!(
        code(edit(&world, &ada, number, "vermin").await),
        Code::Refused
    );
    assert_eq!(field(edit(&world, &ada, number, "").await), "text");
    assert_eq!(
        code(edit(&world, &ada, number + 1, "hello").await),
        Code::NotFound
    );
    assert_eq!(
        code(edit(&world, &ada, u64::MAX, "hello").await),
        Code::NotFound
    );
    edit(&world, &ada, number, "hi").await.unwrap();
    world.pass(Duration::from_mins(10)).await;
    assert_eq!(
        code(edit(&world, &ada, number, "ho").await),
        Code::Forbidden
    );
    assert_eq!(world.lines(&ada, ENGLISH).await[0].text, "hi");
}

#[tokio::test]
async fn a_line_that_was_deleted_keeps_its_place() {
    let mut world = World::new().await;
    let [ada, bob] = [world.player().await, world.player().await];
    let to_bob = format!("private:{}", bob.player);
    world.said(&ada, &to_bob, "one").await;
    let number = world.said(&ada, &to_bob, "two").await;
    world.told();
    let to_ada = format!("private:{}", ada.player);
    assert_eq!(
        code(delete(&world, &bob, &to_ada, number).await),
        Code::Forbidden
    );
    delete(&world, &ada, &to_bob, number).await.unwrap();
    let told = world.told();
    let names: Vec<&str> = told.iter().map(|(_, line)| line.channel.as_str()).collect();
    assert_eq!(names, [&to_bob, &to_ada]);
    assert!(
        told.iter()
            .all(|(_, line)| line.is_deleted && line.text.is_empty())
    );
    let lines = world.lines(&bob, &to_ada).await;
    assert_eq!((lines[1].number, lines[1].is_deleted), (2, true));
    assert_eq!(lines[1].text, "");
    assert_eq!(
        code(delete(&world, &ada, &to_bob, number).await),
        Code::NotFound
    );
    // Who takes back an own line does nothing that moderators must answer for.
    assert!(world.audit().await.is_empty());
    assert_eq!(world.said(&ada, &to_bob, "three").await, 3);
}

#[tokio::test]
async fn history_is_read_page_by_page() {
    let world = World::new().await;
    let ada = world.player().await;
    for number in 1..=5 {
        world.said(&ada, ENGLISH, &number.to_string()).await;
    }
    let list = |before, limit| {
        let call = wire::ListChat {
            channel: ENGLISH.to_owned(),
            before,
            limit,
        };
        let page = world.service.list_chat(&ada, call);
        async {
            let lines = page.await.unwrap().messages.into_iter();
            lines.map(|line| line.number).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(0, 2).await, [4, 5]);
    assert_eq!(list(4, 2).await, [2, 3]);
    assert_eq!(list(2, 2).await, [1]);
    assert_eq!(list(1, 2).await, [0_u64; 0]);
    assert_eq!(list(0, 0).await, [1, 2, 3, 4, 5]);
    assert_eq!(list(u64::MAX, 100).await, [1, 2, 3, 4, 5]);
    let call = wire::ListChat {
        channel: ENGLISH.to_owned(),
        before: 0,
        limit: 101,
    };
    assert_eq!(field(world.service.list_chat(&ada, call).await), "limit");
}
