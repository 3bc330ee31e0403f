//! Passes over a pool in which a hundred thousand tickets wait while five thousand come each
//! second: `cargo bench -p lobby`.
//!
//! A queue is filled with players who suit nobody yet, so that they stay, and then players come
//! who find each other. Prints, for each shape of match, how long passes took at 20 a second.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends with the first thing that does not work"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lobby::ids::{PlayerId, SessionId, TicketId};
use lobby::matchmaking::ticket::Player;
use lobby::matchmaking::{Pool, Queue, Ticket};
use uuid::Uuid;

const WAITING: u128 = 100_000;
const ARRIVALS: u128 = 5_000;
const PASSES: u128 = 20;
const SECONDS: u128 = 10;

fn main() {
    println!(
        "| match | filled in | longest pass of the filling | waiting | passes | p50 | p99 | longest | matches |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, count, size) in [("1v1", 2, 1), ("5v5", 2, 5)] {
        measure(name, count, size);
    }
}

fn measure(name: &str, count: u16, size: u16) {
    let queue = Queue::parse(&format!(
        r#"{{
            "name": "bench", "teams": {{"count": {count}, "size": {size}}},
            "regions": ["eu", "us", "asia"],
            "rating": {{"value": 1, "steps": [
                {{"afterSeconds": 5, "value": 2}}, {{"afterSeconds": 3600, "value": 9}}]}},
            "latency": {{"value": 80, "steps": [{{"afterSeconds": 20, "value": 200}}]}}
        }}"#
    ))
    .unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut pool = Pool::new(queue);
    let mut now = Timestamp::UNIX_EPOCH;
    let tick = Duration::from_secs(1) / u32::try_from(PASSES).unwrap();
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    for number in 0..WAITING {
        // Too far apart for their reach: they wait.
        let rating = 100.0 * f64::from(u32::try_from(number).unwrap());
        pool.insert(ticket(number, now, rating, &mut random), now)
            .unwrap();
        if number % (ARRIVALS / PASSES) == 0 {
            let began = Instant::now();
            assert!(pool.pass(now).is_empty());
            longest = longest.max(began.elapsed());
            now += tick;
        }
    }
    let filled = began.elapsed();
    let (mut times, mut matches) = (Vec::new(), 0);
    for pass in 0..PASSES * SECONDS {
        let from = WAITING + pass * (ARRIVALS / PASSES);
        for number in from..from + ARRIVALS / PASSES {
            let rating = 10_000_000.0 * random.f64();
            let near = (rating / 100.0).floor() * 100.0 + 40.0 + random.f64();
            // Those who come crowd together, so that they suit each other.
            let crowded = near.rem_euclid(5_000.0);
            pool.insert(ticket(number, now, crowded, &mut random), now)
                .unwrap();
        }
        let began = Instant::now();
        matches += pool.pass(now).len();
        times.push(began.elapsed());
        now += tick;
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    println!(
        "| {name} | {filled:.1?} | {longest:.1?} | {} | {} | {:.1?} | {:.1?} | {:.1?} | {matches} |",
        pool.len(),
        times.len(),
        at(50),
        at(99),
        at(100),
    );
}

fn ticket(number: u128, now: Timestamp, rating: f64, random: &mut fastrand::Rng) -> Ticket {
    let mut latencies = BTreeMap::new();
    for region in ["eu", "us", "asia"] {
        latencies.insert(region.to_owned(), random.u32(10..250));
    }
    latencies.insert("eu".to_owned(), random.u32(10..80));
    Ticket {
        id: TicketId(Uuid::from_u128(number)),
        entered: now,
        players: vec![Player {
            id: PlayerId(Uuid::from_u128(number)),
            session: SessionId(Uuid::nil()),
            trace_context: String::new(),
            rating,
            attributes: BTreeMap::new(),
            latencies,
        }],
        demands: Vec::new(),
        avoided: Vec::new(),
    }
}
