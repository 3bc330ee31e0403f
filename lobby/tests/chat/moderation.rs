//! How well the moderation tells what may be said from what may not, on labeled messages.
//!
//! `moderation.json` has lists as an operator would write them, messages that are fine, messages
//! that are not, and the latter in disguise. Some of the disguises are known to pass: they are
//! counted, so that the numbers say what is true.

use std::collections::BTreeMap;

use lobby::chat::moderation::{Lists, Moderator, Verdict};
use serde::Deserialize;

/// Of the messages that are caught, so many are bad.
const PRECISION: f64 = 0.98;

/// Of the bad messages without a disguise, so many are caught.
const RECALL: f64 = 1.0;

/// Of the bad messages in disguise, so many are caught.
const DISGUISED_RECALL: f64 = 0.9;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Labeled {
    lists: Lists,
    clean: Vec<String>,
    bad: Vec<String>,
    disguised: Vec<Disguise>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disguise {
    way: String,
    messages: Vec<String>,
}

fn labeled() -> Labeled {
    serde_json::from_str(include_str!("moderation.json")).unwrap()
}

/// Whether a message is refused, or has more stars than its writer gave it.
fn is_caught(moderator: &Moderator, message: &str) -> bool {
    let stars = |text: &str| text.matches('*').count();
    match moderator.judge(message) {
        Verdict::Said(shown) => stars(&shown) > stars(message),
        Verdict::Refused(_) => true,
    }
}

/// Those of the messages that are not caught.
fn missed<'a>(moderator: &Moderator, messages: &'a [String]) -> Vec<&'a str> {
    let messages = messages.iter().map(String::as_str);
    messages
        .filter(|message| !is_caught(moderator, message))
        .collect()
}

/// A part of a whole.
fn share(part: usize, whole: usize) -> f64 {
    let [part, whole] = [part, whole].map(|count| f64::from(u32::try_from(count).unwrap()));
    part / whole
}

#[test]
fn bad_messages_are_caught_and_clean_ones_are_not() {
    let labeled = labeled();
    let moderator = Moderator::new(&labeled.lists).unwrap();
    let wrong: Vec<&String> = labeled
        .clean
        .iter()
        .filter(|message| is_caught(&moderator, message))
        .collect();
    let plain = missed(&moderator, &labeled.bad);
    let caught = labeled.bad.len() - plain.len();
    let (mut all, mut all_missed) = (0, 0);
    let mut missed_by_way = BTreeMap::new();
    for Disguise { way, messages } in &labeled.disguised {
        let missed = missed(&moderator, messages);
        all += messages.len();
        all_missed += missed.len();
        println!(
            "{}/{} {way}: {missed:?}",
            messages.len() - missed.len(),
            messages.len()
        );
        missed_by_way.insert(way.as_str(), missed.len());
    }
    let caught_at_all = caught + all - all_missed;
    let precision = share(caught_at_all, caught_at_all + wrong.len());
    let recall = share(caught, labeled.bad.len());
    let disguised_recall = share(all - all_missed, all);
    println!("precision {precision:.3}: {wrong:?}");
    println!("recall {recall:.3}: {plain:?}");
    println!("recall of disguises {disguised_recall:.3}");
    assert!(precision >= PRECISION, "{wrong:?}");
    assert!(recall >= RECALL, "{plain:?}");
    assert!(disguised_recall >= DISGUISED_RECALL);
    // What is known to pass is a list, not a hope: what is caught by now moves to its own way.
    let known = labeled
        .disguised
        .iter()
        .find(|way| way.way == "known to pass");
    let known = known.unwrap().messages.len();
    assert_eq!(missed_by_way["known to pass"], known);
    assert_eq!(all_missed, known, "{missed_by_way:?}");
}

#[test]
fn clean_messages_are_shown_as_they_were_written() {
    let labeled = labeled();
    let moderator = Moderator::new(&labeled.lists).unwrap();
    for message in &labeled.clean {
        let shown = Verdict::Said(message.clone());
        assert_eq!(moderator.judge(message), shown, "{message:?}");
    }
}

#[test]
fn words_that_are_fine_need_the_list_that_says_so() {
    let labeled = labeled();
    let lists = Lists {
        allowed: Vec::new(),
        ..labeled.lists
    };
    let moderator = Moderator::new(&lists).unwrap();
    let wrong = labeled.clean.iter();
    let wrong = wrong
        .filter(|message| is_caught(&moderator, message))
        .count();
    assert!(wrong > 30, "{wrong}");
}
