use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::super::Queue;
use super::super::limit::{Limit, Step};
use super::super::queue::{Difference, ServerChoice, Teams};
use super::super::ticket::{Attribute, Demand, Must, Player};
use super::*;
use crate::ids::{PlayerId, SessionId, TicketId};
use crate::ratings::System;

const REGIONS: [&str; 2] = ["eu", "us"];

pub(in crate::matchmaking) fn queue(count: u16, size: u16) -> Queue {
    let widening = |value: f64, steps: &[(u32, f64)]| Limit {
        value,
        steps: steps
            .iter()
            .map(|(after_seconds, value)| Step {
                after_seconds: *after_seconds,
                value: *value,
            })
            .collect(),
    };
    Queue {
        name: "test".to_owned(),
        teams: Teams { count, size },
        regions: REGIONS.map(str::to_owned).to_vec(),
        rating: widening(10.0, &[(5, 30.0), (20, 100.0)]),
        latency: widening(50.0, &[(10, 150.0)]),
        same: vec!["mode".to_owned()],
        differences: vec![Difference {
            attribute: "level".to_owned(),
            at_most: widening(2.0, &[(10, 5.0)]),
        }],
        party_size: None,
        gather_milliseconds: 0,
        accept_seconds: None,
        ratings: System::default(),
        client_attributes: Vec::new(),
        servers: ServerChoice::default(),
    }
}

pub(in crate::matchmaking) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn player(id: u128, rating: f64) -> Player {
    Player {
        id: PlayerId(Uuid::from_u128(id)),
        session: SessionId(Uuid::nil()),
        trace_context: String::new(),
        rating,
        attributes: BTreeMap::from([
            ("mode".to_owned(), Attribute::Text("flag".to_owned())),
            ("level".to_owned(), Attribute::Number(1.0)),
        ]),
        latencies: BTreeMap::from([("eu".to_owned(), 20), ("us".to_owned(), 90)]),
    }
}

pub(in crate::matchmaking) fn ticket(id: u128, entered: i64, ratings: &[f64]) -> Ticket {
    let players = (0..).zip(ratings);
    Ticket {
        id: TicketId(Uuid::from_u128(id)),
        entered: at(entered),
        players: players
            .map(|(index, rating)| player(id * 100 + index, *rating))
            .collect(),
        demands: Vec::new(),
        avoided: Vec::new(),
    }
}

/// The numbers of a match's tickets, in order.
fn numbers(proposal: &Proposal) -> Vec<u128> {
    let tickets = proposal.teams.iter().flatten();
    let mut numbers: Vec<u128> = tickets.map(|ticket| ticket.id.0.as_u128()).collect();
    numbers.sort_unstable();
    numbers
}

/// The rules once more, as the words of the queue say them, for two tickets.
fn accepts(queue: &Queue, one: &Ticket, other: &Ticket, now: Timestamp) -> bool {
    let waited = u64::try_from((now.as_millisecond() - one.entered.as_millisecond()).max(0));
    let waited = waited.unwrap();
    let mean = |ticket: &Ticket, of: &dyn Fn(&Player) -> f64| {
        let sum: f64 = ticket.players.iter().map(of).sum();
        sum / f64::from(u32::try_from(ticket.players.len()).unwrap())
    };
    let level = |player: &Player| match player.attributes["level"] {
        Attribute::Number(number) => number,
        Attribute::Text(_) => f64::NAN,
    };
    let apart = |of: &dyn Fn(&Player) -> f64| (mean(one, of) - mean(other, of)).abs();
    apart(&|player| player.rating) <= queue.rating.at(waited)
        && apart(&level) <= queue.differences[0].at_most.at(waited)
        && one.players[0].attributes["mode"] == other.players[0].attributes["mode"]
        && other.players.iter().all(|player| {
            let demands = one.demands.iter();
            let mut standing = demands.filter(|demand| demand.stands(waited));
            !one.avoided.contains(&player.id) && standing.all(|demand| demand.is_met_by(player))
        })
}

fn accepts_region(queue: &Queue, ticket: &Ticket, region: &str, now: Timestamp) -> bool {
    let waited = (now.as_millisecond() - ticket.entered.as_millisecond()).max(0);
    let most = queue.latency.at(u64::try_from(waited).unwrap());
    let mut players = ticket.players.iter();
    players.all(|player| {
        let latency = player.latencies.get(region);
        latency.is_some_and(|latency| f64::from(*latency) <= most)
    })
}

/// Whether these tickets, in these teams or in any, are a match by the rules.
fn is_match(queue: &Queue, tickets: &[&Ticket], now: Timestamp) -> bool {
    let pairs = tickets.iter().enumerate();
    let mut pairs = pairs.flat_map(|(index, one)| {
        let others = tickets.iter().enumerate();
        others
            .filter(move |(other, _)| *other != index)
            .map(move |(_, other)| (*one, *other))
    });
    let units: Vec<Unit> = tickets
        .iter()
        .map(|ticket| Unit {
            players: u16::try_from(ticket.players.len()).unwrap(),
            rating: 0.0,
        })
        .collect();
    let mut regions = REGIONS.iter();
    teams::split(&units, queue.teams).is_some()
        && pairs.all(|(one, other)| accepts(queue, one, other, now))
        && regions.any(|region| {
            let mut tickets = tickets.iter();
            tickets.all(|ticket| accepts_region(queue, ticket, region, now))
        })
}

fn any_match<'ticket>(
    queue: &Queue,
    waiting: &[&'ticket Ticket],
    now: Timestamp,
) -> Option<Vec<&'ticket Ticket>> {
    (1..1_u32 << waiting.len()).find_map(|chosen| {
        let tickets = waiting.iter().enumerate();
        let tickets: Vec<&Ticket> = tickets
            .filter(|(index, _)| chosen & (1 << index) != 0)
            .map(|(_, ticket)| *ticket)
            .collect();
        is_match(queue, &tickets, now).then_some(tickets)
    })
}

fn any_ticket() -> impl Strategy<Value = Ticket> {
    let demand = (prop::bool::ANY, 0..4_u8, prop::option::of(1..15_u32)).prop_map(
        |(is_least, level, until_seconds)| Demand {
            attribute: "level".to_owned(),
            must: if is_least {
                Must::BeAtLeast(f64::from(level))
            } else {
                Must::BeOneOf(vec!["never".to_owned()])
            },
            until_seconds,
        },
    );
    (
        prop::collection::vec((0..60_i32, 0..8_u8, 10..200_u32, 10..200_u32), 1..=3),
        prop::bool::weighted(0.9),
        prop::collection::vec(demand, 0..=1),
        prop::option::weighted(0.2, 0..12_u128),
    )
        .prop_map(|(players, is_flag, demands, avoided)| {
            let mode = if is_flag { "flag" } else { "duel" };
            let player = |(rating, level, eu, us): &(i32, u8, u32, u32)| Player {
                id: PlayerId(Uuid::nil()),
                session: SessionId(Uuid::nil()),
                trace_context: String::new(),
                rating: f64::from(*rating),
                attributes: BTreeMap::from([
                    ("mode".to_owned(), Attribute::Text(mode.to_owned())),
                    ("level".to_owned(), Attribute::Number(f64::from(*level))),
                ]),
                latencies: BTreeMap::from([("eu".to_owned(), *eu), ("us".to_owned(), *us)]),
            };
            Ticket {
                id: TicketId(Uuid::nil()),
                entered: at(0),
                players: players.iter().map(player).collect(),
                demands,
                avoided: avoided
                    .map(|id| PlayerId(Uuid::from_u128(id * 100)))
                    .into_iter()
                    .collect(),
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Tickets come over half a minute. Each match follows the rules in the words of the queue,
    /// nobody is lost or doubled, and no match that the rules allow is left out.
    #[test]
    fn every_match_follows_the_rules_and_none_is_left_out(
        shape in prop::sample::select(vec![(2, 1), (2, 2), (2, 3), (3, 2), (1, 4)]),
        arrivals in prop::collection::vec((0..6_i64, any_ticket()), 1..=12),
        seconds in 10..40_i64,
    ) {
        let queue = queue(shape.0, shape.1);
        let mut pool = Pool::new(queue.clone());
        let mut waiting: BTreeMap<TicketId, Ticket> = BTreeMap::new();
        let mut arrivals = (1..).zip(arrivals).peekable();
        let mut due = 0;
        for second in 0..seconds {
            while let Some((id, (pause, mut ticket))) =
                arrivals.next_if(|(_, (pause, _))| due + pause <= second)
            {
                due += pause;
                ticket.id = TicketId(Uuid::from_u128(id));
                ticket.entered = at(second);
                for (index, player) in (0..).zip(&mut ticket.players) {
                    player.id = PlayerId(Uuid::from_u128(id * 100 + index));
                }
                if pool.insert(ticket.clone(), at(second)).is_ok() {
                    waiting.insert(ticket.id, ticket);
                } else {
                    prop_assert!(queue.admit(&ticket).is_err());
                }
            }
            for proposal in pool.pass(at(second)) {
                let tickets: Vec<&Ticket> = proposal.teams.iter().flatten().collect();
                prop_assert!(is_match(&queue, &tickets, at(second)), "{proposal:?}");
                for ticket in &tickets {
                    prop_assert!(accepts_region(&queue, ticket, &proposal.region, at(second)));
                    let known = waiting.remove(&ticket.id);
                    prop_assert_eq!(known.as_ref(), Some(*ticket));
                }
                for team in &proposal.teams {
                    let players: usize = team.iter().map(|it| it.players.len()).sum();
                    prop_assert_eq!(players, usize::from(queue.teams.size));
                }
            }
            prop_assert_eq!(pool.len(), waiting.len());
            let left: Vec<&Ticket> = waiting.values().collect();
            let missed = any_match(&queue, &left, at(second));
            prop_assert!(missed.is_none(), "in second {second}: {missed:?}");
        }
    }

    /// Pairs on a line: nobody can pair more of them, and as many of them nearer.
    #[test]
    fn duels_are_as_near_as_any(ratings in prop::collection::vec(0..40_i32, 2..=10)) {
        let mut queue = queue(2, 1);
        queue.rating = Limit::fixed(12.0);
        let mut pool = Pool::new(queue);
        for (id, rating) in (1..).zip(&ratings) {
            pool.insert(ticket(id, 0, &[f64::from(*rating)]), at(0)).unwrap();
        }
        let proposals = pool.pass(at(0));
        let spread: f64 = proposals.iter().map(|proposal| proposal.quality.spread).sum();
        let (most, least) = pair(&ratings);
        prop_assert_eq!(proposals.len(), most);
        prop_assert!((spread - f64::from(least)).abs() < 1e-9, "{spread} against {least}");
    }
}

/// The most pairs with a difference of at most 12, and the least sum of differences for as many.
fn pair(ratings: &[i32]) -> (usize, i32) {
    let Some((first, rest)) = ratings.split_first() else {
        return (0, 0);
    };
    let alone = pair(rest);
    let with = rest.iter().enumerate().filter_map(|(index, other)| {
        let apart = (first - other).abs();
        (apart <= 12).then(|| {
            let mut left = rest.to_vec();
            left.remove(index);
            let (pairs, sum) = pair(&left);
            (pairs + 1, sum + apart)
        })
    });
    with.chain([alone])
        .min_by_key(|(pairs, sum)| (std::cmp::Reverse(*pairs), *sum))
        .unwrap()
}

#[test]
fn two_meet_when_the_stricter_one_lets_them() {
    let mut pool = Pool::new(queue(2, 1));
    pool.insert(ticket(1, 0, &[0.0]), at(0)).unwrap();
    assert_eq!(pool.pass(at(0)), []);
    assert_eq!(pool.next_change(), Some(at(5)));
    // The first one accepts 30 by now, the new one 10.
    pool.insert(ticket(2, 6, &[25.0]), at(6)).unwrap();
    assert_eq!(pool.pass(at(6)), []);
    assert_eq!(pool.pass(at(10)), []);
    let proposals = pool.pass(at(11));
    assert_eq!(numbers(&proposals[0]), [1, 2]);
    assert_eq!(proposals[0].region, "eu");
    assert_eq!(
        proposals[0].quality,
        Quality {
            spread: 25.0,
            gap: 25.0,
            latency: 20
        }
    );
    assert!(pool.is_empty());
    assert_eq!(pool.next_change(), None);
}

#[test]
fn who_comes_back_has_kept_his_age() {
    let mut pool = Pool::new(queue(2, 1));
    for (id, rating) in [(1, 0.0), (2, 5.0)] {
        pool.insert(ticket(id, 0, &[rating]), at(0)).unwrap();
    }
    let mut proposals = pool.pass(at(0));
    let tickets = proposals.remove(0).teams.into_iter().flatten();
    for ticket in tickets.filter(|ticket| ticket.id.0.as_u128() == 1) {
        pool.insert(ticket, at(7)).unwrap();
    }
    // 25 apart: the one who came back accepts 30, the new one after five seconds.
    pool.insert(ticket(3, 2, &[25.0]), at(7)).unwrap();
    assert_eq!(numbers(&pool.pass(at(7))[0]), [1, 3]);
}

#[test]
fn the_longest_waiting_goes_first() {
    let mut pool = Pool::new(queue(2, 1));
    pool.insert(ticket(1, 0, &[0.0]), at(0)).unwrap();
    assert_eq!(pool.pass(at(20)), []);
    // Nearer to each other than to him.
    pool.insert(ticket(2, 20, &[9.0]), at(20)).unwrap();
    pool.insert(ticket(3, 20, &[9.5]), at(20)).unwrap();
    let proposals = pool.pass(at(20));
    assert_eq!(proposals.len(), 1);
    assert!(numbers(&proposals[0]).contains(&1), "{proposals:?}");
}

#[test]
fn nobody_is_matched_before_there_is_a_choice() {
    let mut queue = queue(2, 1);
    queue.gather_milliseconds = 2000;
    let mut pool = Pool::new(queue);
    pool.insert(ticket(1, 0, &[0.0]), at(0)).unwrap();
    pool.insert(ticket(2, 1, &[5.0]), at(1)).unwrap();
    assert_eq!(pool.pass(at(2)), []);
    pool.insert(ticket(3, 1, &[1.0]), at(2)).unwrap();
    assert_eq!(numbers(&pool.pass(at(3))[0]), [1, 3]);
}

#[test]
fn a_ticket_is_there_once_and_leaves_when_it_wants() {
    let mut pool = Pool::new(queue(2, 1));
    let first = ticket(1, 0, &[0.0]);
    pool.insert(first.clone(), at(0)).unwrap();
    assert!(pool.insert(first.clone(), at(0)).is_err());
    assert_eq!(pool.get(first.id), Some(&first));
    assert_eq!(pool.remove(first.id), Some(first.clone()));
    assert_eq!(pool.remove(first.id), None);
    pool.insert(ticket(2, 0, &[0.0]), at(0)).unwrap();
    assert_eq!(pool.pass(at(100)), []);
    assert_eq!(pool.len(), 1);
}
