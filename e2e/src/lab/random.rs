//! Random schedules from a seed, and the search for the smallest one that still fails.

use std::time::Duration;

use embedded::faults::{Fault, Pattern, Rule, Verb, VerbPattern, WatchFault};

use super::run::Setup;
use super::schedule::{Event, Mishap, SERVER, Schedule};

/// Most mishaps of one schedule.
const MOST: usize = 6;

/// A schedule for these replicas.
pub fn schedule(random: &mut fastrand::Rng, setup: Setup) -> Schedule {
    let count = random.usize(1..=MOST);
    let mut mishaps: Vec<_> = (0..count).map(|_| mishap(random, setup)).collect();
    if random.u8(..4) == 0 {
        mishaps.extend(stale_list(random, setup));
    }
    Schedule(mishaps)
}

/// A replica must fill a cache anew, and gets an old list.
fn stale_list(random: &mut fastrand::Rng, setup: Setup) -> [Mishap; 2] {
    let is_operator = random.u8(..10) < 7;
    let replica = replica(random, setup, is_operator);
    let resource = pick(random, cached(is_operator), "gameservers");
    relist(&replica, resource, 0, random.u64(1..40))
}

/// The watch of a replica expires after so many events, and the list that follows is as it was so
/// many changes ago.
pub fn relist(replica: &str, resource: &str, events: u64, changes: u64) -> [Mishap; 2] {
    let expires = (Verb::Watch, Fault::Watch(WatchFault::Expire(events)));
    [expires, (Verb::List, Fault::Stale(changes))].map(|(verb, fault)| Mishap::Call {
        replica: replica.to_owned(),
        rule: Rule {
            pattern: Pattern {
                verb: VerbPattern::One(verb),
                resource: Some(resource.to_owned()),
            },
            nth: 1,
            fault,
        },
    })
}

/// What a replica has a cache of.
const fn cached(is_operator: bool) -> &'static [&'static str] {
    if is_operator {
        &["gameservers", "pods", "gameserversets", "fleets", "nodes"]
    } else {
        &["gameservers", "nodes"]
    }
}

fn replica(random: &mut fastrand::Rng, setup: Setup, is_operator: bool) -> String {
    let (component, count) = if is_operator {
        ("operator", setup.operators)
    } else {
        ("allocator", setup.allocators)
    };
    format!("{component}-{}", random.usize(..count.max(1)))
}

fn mishap(random: &mut fastrand::Rng, setup: Setup) -> Mishap {
    // The operator does most of what can go wrong.
    let is_operator = random.u8(..10) < 7;
    let replica = replica(random, setup, is_operator);
    match random.u8(..20) {
        0..10 => Mishap::Call {
            replica,
            rule: call_rule(random, is_operator),
        },
        10..14 => Mishap::Call {
            replica,
            rule: watch_rule(random, is_operator),
        },
        14..16 => Mishap::Crash {
            replica,
            writes: random.u64(1..20),
        },
        16 if random.bool() => Mishap::Pause {
            replica,
            writes: random.u64(1..20),
            by: seconds(random, 40_000),
        },
        16 => at(random, SERVER.to_owned(), Event::Compact),
        17 => at(random, replica, Event::Cut),
        18 => at(random, replica, Event::Crash),
        _ => {
            let pause = seconds(random, 25_000);
            at(random, replica, Event::Pause(pause))
        }
    }
}

fn at(random: &mut fastrand::Rng, replica: String, event: Event) -> Mishap {
    Mishap::At {
        replica,
        time: seconds(random, 10_000),
        event,
    }
}

fn call_rule(random: &mut fastrand::Rng, is_operator: bool) -> Rule {
    let resources: &[&str] = if is_operator {
        &[
            "gameservers",
            "gameservers",
            "gameserversets",
            "fleets",
            "pods",
            "matchallocations",
            "leases",
        ]
    } else {
        &["gameservers"]
    };
    let verbs: &[Verb] = if is_operator {
        &[
            Verb::Create,
            Verb::Patch,
            Verb::Patch,
            Verb::Delete,
            Verb::Get,
            Verb::List,
            Verb::Update,
        ]
    } else {
        &[Verb::Patch, Verb::Patch, Verb::Get]
    };
    let pattern = if random.u8(..3) == 0 {
        Pattern {
            verb: VerbPattern::Write,
            resource: None,
        }
    } else {
        Pattern {
            verb: VerbPattern::One(pick(random, verbs, Verb::Patch)),
            resource: Some(pick(random, resources, "gameservers").to_owned()),
        }
    };
    let fault = match random.u8(..14) {
        0 => Fault::Fail {
            code: pick(random, &[500, 503, 504], 500),
            retry_after: None,
        },
        1 => Fault::Fail {
            code: 409,
            retry_after: None,
        },
        2 => Fault::Fail {
            code: 429,
            retry_after: Some(random.u32(1..5)),
        },
        3 => Fault::Disconnect,
        4..6 => Fault::CommitThenTimeout,
        6 => Fault::CommitThenDisconnect,
        7..9 => Fault::CommitThenHang,
        9 | 10 => Fault::Late(seconds(random, 25_000)),
        11 => Fault::Delay(seconds(random, 9_000)),
        _ => Fault::DelayAnswer(seconds(random, 9_000)),
    };
    Rule {
        pattern,
        nth: random.u64(1..8),
        fault,
    }
}

fn watch_rule(random: &mut fastrand::Rng, is_operator: bool) -> Rule {
    let resource = pick(random, cached(is_operator), "gameservers").to_owned();
    let fault = match random.u8(..7) {
        0 => WatchFault::Drop(random.u64(..6)),
        1 => WatchFault::Expire(random.u64(..6)),
        2 => WatchFault::Stall(random.u64(..6), seconds(random, 30_000)),
        3 | 4 => WatchFault::Lag(random.usize(1..8), seconds(random, 15_000)),
        5 => WatchFault::Duplicate(random.u64(1..8)),
        _ => WatchFault::Swap(random.u64(1..8)),
    };
    Rule {
        pattern: Pattern {
            verb: VerbPattern::One(Verb::Watch),
            resource: Some(resource),
        },
        nth: 1,
        fault: Fault::Watch(fault),
    }
}

fn pick<T: Copy>(random: &mut fastrand::Rng, from: &[T], otherwise: T) -> T {
    from.get(random.usize(..from.len().max(1)))
        .copied()
        .unwrap_or(otherwise)
}

fn seconds(random: &mut fastrand::Rng, most: u64) -> Duration {
    // Tenths are enough, and read better.
    Duration::from_millis(random.u64(1..=most / 100) * 100)
}

/// Drops mishaps for as long as the rest still fails.
pub fn shrink(schedule: &Schedule, fails: impl Fn(&Schedule) -> bool) -> Schedule {
    let mut smallest = schedule.clone();
    let mut index = 0;
    while index < smallest.0.len() {
        let mut candidate = smallest.clone();
        candidate.0.remove(index);
        if fails(&candidate) {
            smallest = candidate;
        } else {
            index += 1;
        }
    }
    smallest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::run::REPLICATED;

    #[test]
    fn random_schedules_can_be_written_and_read() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            let schedule = schedule(&mut random, REPLICATED);
            assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }
    }

    #[test]
    fn shrinking_keeps_what_is_needed() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut all = Schedule::default();
        for _ in 0..5 {
            all.0.extend(schedule(&mut random, REPLICATED).0);
        }
        let needed = all.0[2].clone();
        let smallest = shrink(&all, |schedule| schedule.0.contains(&needed));
        assert_eq!(smallest.0, [needed]);
    }
}
