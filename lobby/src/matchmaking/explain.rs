//! Why a ticket waits: for operators, and for players who ask.

use std::time::Duration;

use jiff::Timestamp;

use super::pool::{Entry, Pool};
use crate::ids::TicketId;

/// Tickets that an explanation looks at.
const LOOKED_AT: usize = 10_000;

/// What stands between a ticket and a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// How long it has waited.
    pub waited: Duration,
    /// Regions that it accepts now.
    pub regions: Vec<String>,
    /// When it accepts more, if ever.
    pub widens: Option<Timestamp>,
    /// Other tickets that were looked at; not all, where there are very many.
    pub others: usize,
    /// Those of them that suit it now, as far as two can. They may not suit each other, or make no
    /// full teams.
    pub suitable: usize,
    /// The players of these.
    pub suitable_players: usize,
    /// The others, by what keeps the two apart. The first thing counts.
    pub apart: Vec<(Obstacle, usize)>,
}

/// What keeps two tickets apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// One of them waits until there is a choice.
    Gathering,
    /// They must have texts in common that they have not.
    Same,
    /// No region is near enough to both.
    Latency,
    /// Their ratings.
    Rating,
    /// A number of them.
    Difference {
        /// Which attribute.
        attribute: String,
    },
    /// What this ticket asks, or whom it avoids.
    OwnDemands,
    /// What the other one asks, or whom it avoids.
    OtherDemands,
    /// Together they are more than a match takes.
    Party,
}

impl Pool {
    /// Why a ticket waits. None when it does not.
    pub fn explain(&self, id: TicketId, now: Timestamp) -> Option<Explanation> {
        let this = self.entry(self.slot(id)?)?;
        let moment = now.as_millisecond();
        let others = self.entries.iter().flatten();
        let others = others.filter(|other| other.ticket.id != id).take(LOOKED_AT);
        let mut explanation = Explanation {
            waited: Duration::from_millis(this.waited(moment)),
            regions: self
                .queue
                .regions
                .iter()
                .enumerate()
                .filter(|(region, _)| this.regions & (1 << region) != 0)
                .map(|(_, name)| name.clone())
                .collect(),
            widens: self.widens(this, moment),
            others: 0,
            suitable: 0,
            suitable_players: 0,
            apart: Vec::new(),
        };
        for other in others {
            explanation.others += 1;
            let Some(obstacle) = self.obstacle(this, other, moment) else {
                explanation.suitable += 1;
                explanation.suitable_players += usize::from(other.players);
                continue;
            };
            let mut known = explanation.apart.iter_mut();
            match known.find(|(known, _)| *known == obstacle) {
                Some((_, count)) => *count += 1,
                None => explanation.apart.push((obstacle, 1)),
            }
        }
        // What keeps most apart comes first.
        explanation
            .apart
            .sort_by(|(one, many), (other, few)| few.cmp(many).then_with(|| one.cmp(other)));
        Some(explanation)
    }

    fn obstacle(&self, this: &Entry, other: &Entry, now: i64) -> Option<Obstacle> {
        let players = usize::from(this.players) + usize::from(other.players);
        if this.partition() != other.partition() {
            return Some(Obstacle::Same);
        }
        if this.regions == 0 || other.regions == 0 {
            let gather = u64::from(self.queue.gather_milliseconds);
            let waits = this.waited(now).min(other.waited(now)) < gather;
            return Some(if waits {
                Obstacle::Gathering
            } else {
                Obstacle::Latency
            });
        }
        if this.regions & other.regions == 0 {
            return Some(Obstacle::Latency);
        }
        if players > self.queue.teams.players() {
            return Some(Obstacle::Party);
        }
        if !this.is_near(other) {
            return Some(Obstacle::Rating);
        }
        if let Some(index) = this.first_difference(other) {
            let attribute = self.queue.differences[index].attribute.clone();
            return Some(Obstacle::Difference { attribute });
        }
        if !this.wants(other, now) {
            return Some(Obstacle::OwnDemands);
        }
        (!other.wants(this, now)).then_some(Obstacle::OtherDemands)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pass::tests::{at, queue, ticket};
    use super::super::ticket::{Attribute, Demand, Must};
    use super::*;

    #[test]
    fn each_obstacle_is_named() {
        let mut pool = Pool::new(queue(2, 2));
        let this = ticket(1, 0, &[0.0]);
        let mut others: Vec<_> = (2..=10).map(|id| ticket(id, 0, &[1.0])).collect();
        others[0] = ticket(2, 0, &[50.0]);
        others[1] = ticket(3, 0, &[60.0]);
        others[2].players[0]
            .attributes
            .insert("mode".to_owned(), Attribute::Text("duel".to_owned()));
        let level = Attribute::Number(9.0);
        others[3].players[0]
            .attributes
            .insert("level".to_owned(), level);
        others[4].avoided.push(this.players[0].id);
        others[5].demands.push(Demand {
            attribute: "level".to_owned(),
            must: Must::BeAtLeast(8.0),
            until_seconds: None,
        });
        others[6].players[0].latencies.insert("eu".to_owned(), 120);
        let mut this = this;
        this.avoided.push(others[7].players[0].id);
        let id = this.id;
        pool.insert(this, at(0)).unwrap();
        for other in others {
            pool.insert(other, at(0)).unwrap();
        }
        let explanation = pool.explain(id, at(3)).unwrap();
        assert_eq!(explanation.waited, Duration::from_secs(3));
        assert_eq!(explanation.regions, ["eu"]);
        assert_eq!(explanation.widens, Some(at(5)));
        assert_eq!((explanation.others, explanation.suitable), (9, 1));
        assert_eq!(explanation.suitable_players, 1);
        assert_eq!(
            explanation.apart,
            [
                (Obstacle::Rating, 2),
                (Obstacle::OtherDemands, 2),
                (Obstacle::Same, 1),
                (Obstacle::Latency, 1),
                (
                    Obstacle::Difference {
                        attribute: "level".to_owned()
                    },
                    1
                ),
                (Obstacle::OwnDemands, 1),
            ]
        );
        let stranger = TicketId(uuid::Uuid::nil());
        assert_eq!(pool.explain(stranger, at(3)), None);
    }

    #[test]
    fn who_waits_for_a_choice_is_told_so() {
        let mut queue = queue(2, 1);
        queue.gather_milliseconds = 2000;
        let mut pool = Pool::new(queue);
        for id in [1, 2] {
            pool.insert(ticket(id, 0, &[0.0]), at(0)).unwrap();
        }
        let id = ticket(1, 0, &[0.0]).id;
        let explanation = pool.explain(id, at(1)).unwrap();
        assert_eq!(explanation.apart, [(Obstacle::Gathering, 1)]);
        assert_eq!(explanation.widens, Some(at(2)));
    }
}
