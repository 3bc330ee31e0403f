//! What was said, who complained, and who may not speak.

use futures::future::join_all;
use jiff::Timestamp;
use lobby::store::{ChatLine, Mute, Report, Store};

use super::{Shared, at, player, players, report};

async fn say(store: &dyn Store, channel: &str, count: u64) -> Vec<ChatLine> {
    let mut lines = Vec::new();
    for number in 0..count {
        let text = format!("line {number}");
        let at = at(i64::try_from(number).unwrap());
        let line = store.add_line(channel, player(), &text, at).await;
        lines.push(line.unwrap());
    }
    lines
}

pub(super) async fn lines_are_as_they_were_said(store: Shared) {
    let said = player();
    let line = store
        .add_line("global:eu", said, "hi", at(1))
        .await
        .unwrap();
    let expected = ChatLine {
        channel: "global:eu".to_owned(),
        number: 1,
        player: said,
        text: "hi".to_owned(),
        sent_at: at(1),
        edited_at: None,
        is_deleted: false,
    };
    assert_eq!(line, expected);
    let found = store.line("global:eu", 1).await.unwrap();
    assert_eq!(found, Some(expected));
    for number in [0, 2, u64::MAX] {
        assert_eq!(store.line("global:eu", number).await.unwrap(), None);
    }
    assert_eq!(store.line("global:us", 1).await.unwrap(), None);
    // A time is said as it will be read again.
    let fine = Timestamp::from_nanosecond(1_800_000_000_123_456_789).unwrap();
    let line = store.add_line("global:eu", said, "ho", fine).await.unwrap();
    assert_eq!(line.sent_at, at(0));
}

pub(super) async fn numbers_have_no_gaps(store: Shared) {
    let channels = ["one", "two"];
    let said = (0..80).map(|number| {
        let store = store.clone();
        let channel = channels[number % 2];
        tokio::spawn(async move {
            let line = store
                .add_line(channel, player(), "hi", at(0))
                .await
                .unwrap();
            // Whoever sees a number sees all before it.
            let lines = store
                .lines(channel, Some(line.number + 1), 99)
                .await
                .unwrap();
            let numbers = lines.iter().map(|line| line.number);
            assert!(numbers.eq(1..=line.number));
            (line.channel, line.number)
        })
    });
    let said = join_all(said).await;
    let mut said: Vec<(String, u64)> = said.into_iter().map(Result::unwrap).collect();
    said.sort();
    for (channel, said) in channels.iter().zip(said.chunks(40)) {
        let expected = (1..=40).map(|number| ((*channel).to_owned(), number));
        assert!(expected.eq(said.iter().cloned()), "{said:?}");
    }
}

pub(super) async fn a_history_is_read_page_by_page(store: Shared) {
    let all = say(&*store, "room", 5).await;
    say(&*store, "room:2", 3).await;
    assert_eq!(store.lines("room", None, 9).await.unwrap(), all);
    assert_eq!(store.lines("room", None, 2).await.unwrap(), all[3..]);
    assert_eq!(store.lines("room", Some(4), 2).await.unwrap(), all[1..3]);
    assert_eq!(store.lines("room", Some(1), 2).await.unwrap(), []);
    assert_eq!(store.lines("room", Some(u64::MAX), 9).await.unwrap(), all);
    assert_eq!(store.lines("room", None, 0).await.unwrap(), []);
    assert_eq!(store.lines("nowhere", None, 9).await.unwrap(), []);
}

pub(super) async fn lines_are_edited_and_deleted(store: Shared) {
    let all = say(&*store, "room", 2).await;
    let edited = store.change_line("room", 1, Some("better"), at(50)).await;
    let expected = ChatLine {
        text: "better".to_owned(),
        edited_at: Some(at(50)),
        ..all[0].clone()
    };
    assert_eq!(edited.unwrap(), Some(expected.clone()));
    let deleted = store.change_line("room", 1, None, at(51)).await;
    let expected = ChatLine {
        text: String::new(),
        edited_at: Some(at(51)),
        is_deleted: true,
        ..expected
    };
    assert_eq!(deleted.unwrap(), Some(expected.clone()));
    // What is gone does not come back.
    for text in [Some("again"), None] {
        let changed = store.change_line("room", 1, text, at(52)).await;
        assert_eq!(changed.unwrap(), None);
    }
    let changed = store.change_line("room", 3, Some("nothing"), at(52)).await;
    assert_eq!(changed.unwrap(), None);
    let lines = store.lines("room", None, 9).await.unwrap();
    assert_eq!(lines, [expected, all[1].clone()]);
    // An empty text is a text.
    let empty = store
        .change_line("room", 2, Some(""), at(53))
        .await
        .unwrap();
    assert!(!empty.unwrap().is_deleted);
}

pub(super) async fn forgotten_lines_leave_their_numbers(store: Shared) {
    let all = say(&*store, "room", 5).await;
    assert_eq!(store.forget_lines(at(0), 9).await.unwrap(), 0);
    assert_eq!(store.forget_lines(at(4), 2).await.unwrap(), 2);
    assert_eq!(store.lines("room", None, 9).await.unwrap(), all[2..]);
    assert_eq!(store.forget_lines(at(4), 9).await.unwrap(), 2);
    assert_eq!(store.lines("room", None, 9).await.unwrap(), all[4..]);
    assert_eq!(store.forget_lines(at(9), usize::MAX).await.unwrap(), 1);
    let next = store.add_line("room", player(), "hi", at(9)).await.unwrap();
    assert_eq!(next.number, 6);
}

pub(super) async fn any_text_is_kept(store: Shared) {
    // Half a family, a letter from right to left, a noncharacter, the last one, quotes, marks.
    let odd = "a\u{200d}👩\u{202e}א\u{ffff}\u{10ffff}'\"\\\r\n\u{301}\u{1}%;--";
    let long = "é".repeat(100_000);
    for text in [odd, &long, "", " "] {
        let line = store.add_line(odd, player(), text, at(0)).await.unwrap();
        assert_eq!((&*line.channel, &*line.text), (odd, text));
        assert_eq!(store.line(odd, line.number).await.unwrap(), Some(line));
    }
    // What no database of text holds is seen to be missing.
    let line = store
        .add_line("a\0b", player(), "c\0d", at(0))
        .await
        .unwrap();
    assert_eq!((&*line.channel, &*line.text), ("a\u{fffd}b", "c\u{fffd}d"));
    assert_eq!(store.line("a\0b", 1).await.unwrap(), Some(line.clone()));
    assert_eq!(store.lines("a\0b", None, 9).await.unwrap(), [line]);
    let changed = store.change_line("a\0b", 1, Some("\0"), at(1)).await;
    assert_eq!(changed.unwrap().unwrap().text, "\u{fffd}");
    assert!(
        store
            .ratings("\0", &players::<1>())
            .await
            .unwrap()
            .is_empty()
    );
    let mute = Mute {
        player: player(),
        until: at(9),
        by: None,
        reason: "\0".to_owned(),
    };
    store.mute(&mute).await.unwrap();
    let found = store.mute_of(mute.player, at(1)).await.unwrap();
    assert_eq!(found.unwrap().reason, "\u{fffd}");
}

pub(super) async fn a_line_is_reported_once_by_each(store: Shared) {
    let report = Report {
        channel: "room\0".to_owned(),
        reason: "rude\0".to_owned(),
        ..report()
    };
    assert!(store.report(&report).await.unwrap());
    let again = Report {
        reason: "still rude".to_owned(),
        ..report.clone()
    };
    assert!(!store.report(&again).await.unwrap());
    let others = [
        Report {
            by: player(),
            ..report.clone()
        },
        Report {
            number: 2,
            ..report.clone()
        },
        Report {
            channel: "room".to_owned(),
            ..report
        },
    ];
    for other in others {
        let tries = (0..4).map(|_| store.report(&other));
        let first = join_all(tries).await.into_iter().map(Result::unwrap);
        assert_eq!(first.filter(|is_first| *is_first).count(), 1);
    }
}

pub(super) async fn a_mute_is_replaced_and_ends(store: Shared) {
    let [one, moderator] = players();
    assert_eq!(store.mute_of(one, at(0)).await.unwrap(), None);
    let first = Mute {
        player: one,
        until: at(10),
        by: None,
        reason: "words of the list".to_owned(),
    };
    store.mute(&first).await.unwrap();
    assert_eq!(
        store.mute_of(one, at(9)).await.unwrap(),
        Some(first.clone())
    );
    assert_eq!(store.mute_of(one, at(10)).await.unwrap(), None);
    assert_eq!(store.mute_of(moderator, at(9)).await.unwrap(), None);
    let second = Mute {
        until: at(5),
        by: Some(moderator),
        reason: "enough".to_owned(),
        ..first.clone()
    };
    store.mute(&second).await.unwrap();
    assert_eq!(store.mute_of(one, at(4)).await.unwrap(), Some(second));
    // It does not outlive the one that replaced it.
    assert_eq!(store.mute_of(one, at(6)).await.unwrap(), None);
    let over = Mute {
        until: at(3),
        ..first
    };
    store.mute(&over).await.unwrap();
    assert_eq!(store.mute_of(one, at(4)).await.unwrap(), None);
}
