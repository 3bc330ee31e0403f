//! Tables of choices.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::*;
use crate::index::{Entry, Labels, Observed, Place, Release};
use crate::selector::{Expression, Test};

/// One server per line: name, state, node (`-` for none), labels. Nodes that end with `!` cannot be
/// used.
fn index(table: &str) -> Index {
    let mut index = Index::default();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let mut word = || words.next().unwrap();
        let (name, state, node) = (word(), word(), word());
        let labels: Labels = words
            .map(|label| label.split_once('=').unwrap())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let place = match node.trim_end_matches('!') {
            "-" => Place::Development,
            name => Place::Node(Name::from(name)),
        };
        if let Place::Node(name) = &place {
            index.set_node(name, !node.ends_with('!'));
        }
        let state = match state {
            "Ready" => SelectorState::Ready,
            _ => SelectorState::Allocated,
        };
        index.apply(
            &Key::new("default", name),
            Observed {
                version: 1,
                labels,
                state,
                place,
                entry: Entry::Open,
                has_request: false,
            },
        );
    }
    index
}

fn selector(labels: &[(&str, &str)]) -> Selector {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Selector {
        labels: labels.iter().map(pair).collect(),
        ..Selector::default()
    }
}

fn wanted(selectors: impl IntoIterator<Item = Selector>) -> Wanted {
    Wanted {
        namespace: "default".to_owned(),
        selectors: selectors.into_iter().map(Arc::new).collect(),
        scheduling: Scheduling::Packed,
        has_players: false,
        has_request_id: false,
    }
}

const BEST: Draw = Draw { seed: 0, among: 1 };

/// Chooses until nothing is left, each choice being reserved.
fn check(table: &str, wanted: &Wanted, expected: &Expect) {
    let mut index = index(table);
    let mut chosen = String::new();
    let reason = loop {
        match select(&index, wanted, BEST) {
            Ok(choice) => {
                write!(chosen, "{} ", choice.key.name).unwrap();
                index.reserve(&choice.key);
            }
            Err(reason) => break reason,
        }
    };
    expected.assert_eq(&format!("{chosen}{reason:?}"));
}

const FLEET: &str = "
    a1 Ready      a  mode=ctf
    a2 Ready      a
    b1 Allocated  b
    b2 Ready      b
    b3 Ready      b  mode=dm
    c1 Ready      c
    d1 Ready      d! mode=ctf
    dev Ready     -
";

#[test]
fn packed_fills_the_fullest_usable_node_first() {
    check(
        FLEET,
        &wanted([Selector::default()]),
        &expect!["b2 b3 a1 a2 c1 dev InFlight"],
    );
}

#[test]
fn the_first_selector_with_a_hit_wins() {
    let list = [
        selector(&[("mode", "none")]),
        selector(&[("mode", "ctf")]),
        selector(&[]),
    ];
    check(
        FLEET,
        &wanted(list),
        &expect!["a1 b2 b3 a2 c1 dev InFlight"],
    );
}

#[test]
fn selectors_look_at_the_asked_state() {
    let allocated = Selector {
        state: SelectorState::Allocated,
        ..Selector::default()
    };
    check(FLEET, &wanted([allocated]), &expect!["b1 InFlight"]);
}

#[test]
fn expressions_narrow_the_choice() {
    let of = |test| Selector {
        expressions: vec![Expression {
            key: "mode".to_owned(),
            test,
        }],
        ..Selector::default()
    };
    let values = |list: &[&str]| list.iter().map(|value| (*value).to_owned()).collect();
    let both: BTreeSet<String> = values(&["ctf", "dm"]);
    check(
        FLEET,
        &wanted([of(Test::In(both.clone()))]),
        &expect!["b3 a1 InFlight"],
    );
    check(
        FLEET,
        &wanted([of(Test::NotIn(both))]),
        &expect!["b2 a2 c1 dev InFlight"],
    );
    check(
        FLEET,
        &wanted([of(Test::Exists)]),
        &expect!["b3 a1 InFlight"],
    );
    check(
        FLEET,
        &wanted([of(Test::DoesNotExist)]),
        &expect!["b2 a2 c1 dev InFlight"],
    );
}

#[test]
fn labels_of_different_keys_must_all_fit() {
    let table = "
        a Ready n muster.dev/fleet=x mode=ctf
        b Ready n muster.dev/fleet=x mode=dm
        c Ready n muster.dev/fleet=y mode=ctf
    ";
    let both = selector(&[("muster.dev/fleet", "x"), ("mode", "ctf")]);
    check(table, &wanted([both]), &expect!["a InFlight"]);
    check(
        table,
        &wanted([selector(&[("muster.dev/fleet", "z")])]),
        &expect!["Capacity"],
    );
}

#[test]
fn another_namespace_has_no_capacity() {
    let elsewhere = Wanted {
        namespace: "other".to_owned(),
        ..wanted([Selector::default()])
    };
    check(FLEET, &elsewhere, &expect!["Capacity"]);
    let nowhere = Wanted {
        namespace: String::new(),
        ..wanted([Selector::default()])
    };
    check(FLEET, &nowhere, &expect!["Capacity"]);
}

#[test]
fn distributed_spreads_over_the_nodes() {
    let table = "
        a1 Ready a
        a2 Ready a
        b1 Ready b
        b2 Ready b
        c1 Ready c
        c2 Ready c
        d1 Allocated d
        d2 Ready d
    ";
    let spread = Wanted {
        scheduling: Scheduling::Distributed,
        ..wanted([Selector::default()])
    };
    let mut firsts = BTreeMap::new();
    for seed in 0..64 {
        let mut index = index(table);
        let mut nodes = Vec::new();
        for attempt in 0..7 {
            let draw = Draw::of(seed, 0, 0);
            assert_eq!(draw.among, 1);
            let choice = select(
                &index,
                &spread,
                Draw {
                    seed: mix(draw.seed ^ attempt),
                    ..draw
                },
            );
            let key = choice.unwrap().key;
            index.reserve(&key);
            nodes.push(key.name[..1].to_owned());
        }
        let empty: BTreeSet<&str> = nodes[..3].iter().map(String::as_str).collect();
        assert_eq!(
            empty,
            BTreeSet::from(["a", "b", "c"]),
            "the empty nodes come first"
        );
        *firsts.entry(nodes[0].clone()).or_insert(0) += 1;
    }
    assert!(firsts.len() == 3, "equal nodes take turns: {firsts:?}");
}

#[test]
fn losers_of_a_race_spread() {
    let lines: Vec<String> = (0..64)
        .map(|number| format!("s{number:02} Ready n"))
        .collect();
    let table = lines.join("\n");
    let index = index(&table);
    let any = wanted([Selector::default()]);
    let name = |replica: u64, attempt: u32| {
        let draw = Draw::of(mix(replica), attempt, 0);
        select(&index, &any, draw).unwrap().key.name.to_string()
    };
    let chosen = |attempt| {
        (0..32)
            .map(|replica| name(replica, attempt))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        chosen(0),
        BTreeSet::from(["s00".to_owned()]),
        "the first try takes the best"
    );
    assert!(
        chosen(1).iter().all(|name| name.as_str() <= "s01"),
        "one of the best two"
    );
    assert_eq!(chosen(2).len(), 4, "one of the best four");
    assert!(chosen(6).len() > 16, "one of the best 64");
    assert_eq!(Draw::of(0, 200, 6).among, MOST);
    assert_eq!(
        Draw::of(0, 0, 3).among,
        8,
        "contention widens the first try"
    );
}

#[test]
fn what_is_stale_is_looked_up_before_anything_is_awaited() {
    let mut index = index("a Ready n\nb Ready n");
    let any = wanted([Selector::default()]);
    let a = Key::new("default", "a");
    index.reserve(&a);
    index.reserve(&Key::new("default", "b"));
    assert_eq!(select(&index, &any, BEST), Err(Missing::InFlight));
    index.release(&a, 1, Release::Stale);
    let choice = Choice {
        key: a.clone(),
        version: 1,
        state: SelectorState::Ready,
    };
    assert_eq!(select(&index, &any, BEST), Err(Missing::Stale(choice)));
    let newer = Observed {
        version: 2,
        labels: Labels::new(),
        state: SelectorState::Ready,
        place: Place::Node(Name::from("n")),
        entry: Entry::Open,
        has_request: false,
    };
    index.apply(&a, newer);
    assert_eq!(
        select(&index, &any, BEST),
        Ok(Choice {
            key: a,
            version: 2,
            state: SelectorState::Ready,
        })
    );
}

#[test]
fn a_node_takes_its_servers_along_and_brings_them_back() {
    let mut index = index("a Ready n\nb Ready m");
    let any = wanted([Selector::default()]);
    let name = |index: &Index| select(index, &any, BEST).unwrap().key.name.to_string();
    assert_eq!(name(&index), "b");
    index.set_node("m", false);
    assert_eq!(name(&index), "a");
    index.set_node("n", false);
    assert_eq!(select(&index, &any, BEST), Err(Missing::Capacity));
    index.set_node("m", true);
    assert_eq!(name(&index), "b");
}

#[test]
fn players_are_not_sent_where_their_tokens_cannot_be_opened() {
    let mut index = index("a Ready n");
    let key = Key::new("default", "a");
    index.apply(
        &key,
        Observed {
            version: 2,
            labels: Labels::new(),
            state: SelectorState::Ready,
            place: Place::Node(Name::from("n")),
            entry: Entry::Closed,
            has_request: false,
        },
    );
    let anybody = wanted([Selector::default()]);
    let players = Wanted {
        has_players: true,
        ..anybody.clone()
    };
    assert_eq!(select(&index, &players, BEST), Err(Missing::Unjoinable));
    assert_eq!(select(&index, &anybody, BEST).unwrap().key, key);
}
