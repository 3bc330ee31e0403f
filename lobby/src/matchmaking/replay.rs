//! What would have become of yesterday's tickets under other rules: waiting times and quality of a
//! recording ([`recorder`](super::recorder)), and of the same tickets in another queue.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::pass::Quality;
use super::pool::Pool;
use super::queue::Queue;
use super::ticket::Ticket;
use crate::ids::{MatchId, TicketId};

/// From a ticket to the next pass, as the matchmaker paces itself.
const PACE: Duration = Duration::from_millis(50);

/// A line of a recording.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: Recorded,
}

/// What happened in a queue.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Recorded {
    /// A ticket came, or came back.
    Entered(Ticket),
    /// A ticket's players did not want to play any more.
    Left(TicketId),
    /// A match was proposed.
    Proposed {
        /// Which one.
        id: MatchId,
        /// Where.
        region: String,
        /// By team.
        teams: Vec<Vec<TicketId>>,
    },
    /// A match that was proposed has a server.
    Placed(MatchId),
}

/// A line makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("line {number}")]
pub struct Error {
    /// Counted from 1.
    pub number: usize,
    /// What is wrong with it.
    #[source]
    pub source: serde_json::Error,
}

/// What became of tickets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Matches that were made.
    pub matches: usize,
    /// Tickets that left before they had one.
    pub left: usize,
    /// Tickets that wait in the end.
    pub waiting: usize,
    /// Tickets that the queue does not admit.
    pub refused: usize,
    /// Seconds that tickets waited until their match was proposed.
    pub waits: Vec<f64>,
    /// Of each match.
    pub qualities: Vec<Quality>,
}

/// Reads a recording: lines of JSON.
pub fn read(text: &str) -> Result<Vec<Line>, Error> {
    let lines = (1..).zip(text.lines());
    let read = lines.map(|(number, line)| {
        serde_json::from_str(line).map_err(|source| Error { number, source })
    });
    read.collect()
}

impl Outcome {
    /// What did become of the tickets of a recording.
    pub fn recorded(lines: &[Line]) -> Self {
        let mut outcome = Self::default();
        let mut waiting: BTreeMap<TicketId, &Ticket> = BTreeMap::new();
        let mut proposed = BTreeMap::new();
        for Line { at, event } in lines {
            match event {
                Recorded::Entered(ticket) => {
                    waiting.insert(ticket.id, ticket);
                }
                Recorded::Left(id) => outcome.left += usize::from(waiting.remove(id).is_some()),
                Recorded::Proposed { id, region, teams } => {
                    proposed.insert(*id, (*at, region, teams));
                }
                Recorded::Placed(id) => {
                    let Some((at, region, teams)) = proposed.remove(id) else {
                        continue;
                    };
                    let mut take = |id: &TicketId| waiting.remove(id);
                    let teams: Vec<Vec<&Ticket>> = teams
                        .iter()
                        .map(|team| team.iter().filter_map(&mut take).collect())
                        .collect();
                    outcome.note(at, region, &teams);
                }
            }
        }
        outcome.waiting = waiting.len();
        outcome
    }

    /// What would have become of them under the rules of `queue`, with a server for each match.
    pub fn replayed(queue: &Queue, lines: &[Line]) -> Self {
        let mut outcome = Self::default();
        let mut pool = Pool::new(queue.clone());
        let mut seen = BTreeSet::new();
        let mut pass = None;
        for Line { at, event } in lines {
            outcome.pass_until(&mut pool, &mut pass, *at);
            match event {
                Recorded::Entered(ticket) if seen.insert(ticket.id) => {
                    if pool.insert(ticket.clone(), *at).is_err() {
                        outcome.refused += 1;
                        continue;
                    }
                    pass = pass.or_else(|| at.checked_add(PACE).ok());
                }
                // Who has a match by these rules does not leave.
                Recorded::Left(id) => outcome.left += usize::from(pool.remove(*id).is_some()),
                Recorded::Entered(_) | Recorded::Proposed { .. } | Recorded::Placed(_) => {}
            }
        }
        if let Some(end) = lines.last() {
            let end = end.at.checked_add(PACE).unwrap_or(end.at);
            outcome.pass_until(&mut pool, &mut pass, end);
        }
        outcome.waiting = pool.len();
        outcome
    }

    /// Makes the passes that are due up to `end`.
    fn pass_until(&mut self, pool: &mut Pool, pass: &mut Option<Timestamp>, end: Timestamp) {
        loop {
            let next = pool.next_change();
            let next = next.into_iter().chain(*pass).min();
            let Some(at) = next.filter(|at| *at <= end) else {
                return;
            };
            pass.take_if(|due| *due <= at);
            for proposal in pool.pass(at) {
                let teams = proposal.teams.iter();
                let teams: Vec<Vec<&Ticket>> = teams.map(|team| team.iter().collect()).collect();
                self.note(at, &proposal.region, &teams);
            }
        }
    }

    fn note(&mut self, at: Timestamp, region: &str, teams: &[Vec<&Ticket>]) {
        self.matches += 1;
        self.qualities.push(quality(region, teams));
        for ticket in teams.iter().flatten() {
            self.waits
                .push(at.duration_since(ticket.entered).as_secs_f64());
        }
    }
}

/// How good a match is.
fn quality(region: &str, teams: &[Vec<&Ticket>]) -> Quality {
    let tickets = teams.iter().flatten();
    let of_tickets = tickets.map(|ticket| mean(ticket.players.iter().map(|it| it.rating)));
    let of_teams = teams.iter().map(|team| {
        let players = team.iter().flat_map(|ticket| &ticket.players);
        mean(players.map(|player| player.rating))
    });
    let players = teams.iter().flatten().flat_map(|ticket| &ticket.players);
    let latencies = players.filter_map(|player| player.latencies.get(region));
    Quality {
        spread: range(of_tickets),
        gap: range(of_teams),
        latency: latencies.copied().max().unwrap_or_default(),
    }
}

fn range(numbers: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = numbers.clone().fold(f64::MIN, f64::max);
    (most - numbers.fold(f64::MAX, f64::min)).max(0.0)
}

fn mean(numbers: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = u32::try_from(numbers.clone().count()).unwrap_or(u32::MAX);
    numbers.sum::<f64>() / f64::from(count.max(1))
}

/// The number that so many of a hundred do not exceed.
fn percentile(mut numbers: Vec<f64>, of_hundred: usize) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let rank = (numbers.len() * of_hundred).div_ceil(100);
    numbers
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// A recording against another queue, as a table for operators.
pub fn compare(queue: &Queue, text: &str) -> Result<String, Error> {
    let lines = read(text)?;
    let before = Outcome::recorded(&lines).rows();
    let after = Outcome::replayed(queue, &lines).rows();
    let head = ("", "recorded".to_owned(), "replayed".to_owned());
    let rows = before.into_iter().zip(after);
    let rows = rows.map(|((name, before), (_, after))| (name, before, after));
    let row = |(name, before, after)| format!("{name:22}{before:>12}{after:>12}\n");
    Ok([head].into_iter().chain(rows).map(row).collect())
}

impl Outcome {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let of = |number: fn(&Quality) -> f64| self.qualities.iter().map(number).collect();
        let spreads: Vec<f64> = of(|quality| quality.spread);
        let gaps: Vec<f64> = of(|quality| quality.gap);
        let latencies: Vec<f64> = of(|quality| f64::from(quality.latency));
        let middle = |numbers: &[f64]| format!("{:.2}", mean(numbers.iter().copied()));
        let high = |numbers: &[f64]| format!("{:.2}", percentile(numbers.to_vec(), 95));
        vec![
            ("matches", self.matches.to_string()),
            ("tickets placed", self.waits.len().to_string()),
            ("tickets that left", self.left.to_string()),
            ("tickets still waiting", self.waiting.to_string()),
            ("tickets refused", self.refused.to_string()),
            ("wait mean s", middle(&self.waits)),
            ("wait p95 s", high(&self.waits)),
            ("spread mean", middle(&spreads)),
            ("spread p95", high(&spreads)),
            ("gap mean", middle(&gaps)),
            ("gap p95", high(&gaps)),
            ("latency mean ms", middle(&latencies)),
            ("latency p95 ms", high(&latencies)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::pass::tests::{at, queue, ticket};
    use super::*;

    /// Two near ones and a far one, as a patient queue made of them.
    fn recording() -> Vec<Line> {
        let entered = |second, id, rating| Line {
            at: at(second),
            event: Recorded::Entered(ticket(id, second, &[rating])),
        };
        let tickets = [1, 2].map(|id| vec![TicketId(uuid::Uuid::from_u128(id))]);
        let id = MatchId(uuid::Uuid::from_u128(9));
        let proposed = Recorded::Proposed {
            id,
            region: "eu".to_owned(),
            teams: tickets.to_vec(),
        };
        let left = Recorded::Left(TicketId(uuid::Uuid::from_u128(4)));
        let line = |second, event| Line {
            at: at(second),
            event,
        };
        vec![
            entered(0, 1, 0.0),
            entered(2, 2, 25.0),
            entered(3, 3, 3.0),
            entered(4, 4, 500.0),
            line(10, proposed),
            line(11, Recorded::Placed(id)),
            // Who comes back after a failed attempt came before.
            entered(12, 3, 3.0),
            line(30, left),
        ]
    }

    #[test]
    fn other_rules_are_compared_with_what_was() {
        let text: Vec<String> = recording()
            .iter()
            .map(|line| serde_json::to_string(line).unwrap())
            .collect();
        let table = compare(&queue(2, 1), &text.join("\n")).unwrap();
        expect![[r#"
                                      recorded    replayed
            matches                          1           1
            tickets placed                   2           2
            tickets that left                1           1
            tickets still waiting            1           1
            tickets refused                  0           0
            wait mean s                   9.00        1.55
            wait p95 s                   10.00        3.05
            spread mean                  25.00        3.00
            spread p95                   25.00        3.00
            gap mean                     25.00        3.00
            gap p95                      25.00        3.00
            latency mean ms              20.00       20.00
            latency p95 ms               20.00       20.00
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn a_replay_judges_matches_as_the_pool_does() {
        let mut pool = Pool::new(queue(2, 2));
        for (id, ratings) in [(1, &[0.0, 4.0][..]), (2, &[3.0]), (3, &[9.0])] {
            pool.insert(ticket(id, 0, ratings), at(0)).unwrap();
        }
        let proposals = pool.pass(at(0));
        let [proposal] = &proposals[..] else {
            panic!("{proposals:?}");
        };
        let teams = proposal.teams.iter();
        let teams: Vec<Vec<&Ticket>> = teams.map(|team| team.iter().collect()).collect();
        assert_eq!(quality(&proposal.region, &teams), proposal.quality);
    }

    #[test]
    fn tickets_that_the_queue_does_not_admit_are_counted() {
        let mut narrow = queue(2, 1);
        narrow.regions = vec!["us".to_owned()];
        narrow.latency.value = 10.0;
        narrow.latency.steps.clear();
        let outcome = Outcome::replayed(&narrow, &recording());
        assert_eq!((outcome.refused, outcome.matches), (4, 0));
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        let line = serde_json::to_string(&recording()[0]).unwrap();
        let error = read(&format!("{line}\n{{}}")).unwrap_err();
        assert_eq!(error.to_string(), "line 2");
    }

    #[test]
    fn percentiles_are_of_what_there_is() {
        let numbers: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let of = |numbers: &[f64]| format!("{:.0}", percentile(numbers.to_vec(), 95));
        assert_eq!([of(&numbers), of(&[7.0]), of(&[])], ["95", "7", "0"]);
    }
}
