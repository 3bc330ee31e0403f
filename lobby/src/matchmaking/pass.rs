//! A pass: which matches can be made now that could not be made before.
//!
//! Around each ticket for which something changed, a pass looks at the neighbors by rating in every
//! region that the ticket accepts. Runs of neighbors that fit become candidates, and of candidates
//! that share tickets the pass takes those that together serve the most players, the longest
//! waiting first, at the least cost. Who is left over is looked at once more by a search that also
//! finds matches with gaps between the neighbors.

use std::ops::Range;

use jiff::Timestamp;

use super::lane::{Lane, Slot};
use super::pool::{Entry, Pool, regions};
use super::teams::{self, Split, Unit};
use super::ticket::Ticket;
use crate::ids::TicketId;

/// Neighbors that one run looks at, beside four for each player of a match.
const LOOK: usize = 16;

/// Steps of one search for a match around a ticket.
const BUDGET: u32 = 4096;

/// Tickets that a search looks at.
const SEARCHED: usize = 24;

/// A match that can be made. Its tickets have left the pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Where.
    pub region: String,
    /// By team.
    pub teams: Vec<Vec<Ticket>>,
    /// How good it is.
    pub quality: Quality,
}

/// How good a match is; less is better.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// Between the strongest and the weakest ticket: the difference of their ratings.
    pub spread: f64,
    /// Between the strongest and the weakest team: the difference of their mean ratings.
    pub gap: f64,
    /// Milliseconds from the match to the worst placed player.
    pub latency: u32,
}

/// A run of neighbors that can play together.
#[derive(Debug)]
struct Candidate {
    slots: Vec<Slot>,
    /// Positions in the lane, those between its members included.
    place: Range<usize>,
    /// What it is worth to make this match: players, those who waited counting more, minus cost.
    worth: f64,
}

impl Pool {
    /// Makes the matches that can be made as of `now`. Their tickets leave the pool.
    pub fn pass(&mut self, now: Timestamp) -> Vec<Proposal> {
        let now = now.as_millisecond();
        let mut proposals = Vec::new();
        self.settle(now);
        let changed = self.take_dirty();
        let keys: Vec<(u32, usize)> = self.lanes.keys().copied().collect();
        for key in keys {
            let mut dirty = changed.clone();
            while !dirty.is_empty() {
                self.pass_lane(key, &dirty, now, &mut proposals);
                // Those who were skipped or lost to a better candidate may fit with others.
                self.settle(now);
                dirty = self.take_dirty();
            }
        }
        // Of two, the runs have seen every pair.
        if self.queue.teams.players() > 2 {
            for slot in changed {
                while let Some(slots) = self.search(slot, now) {
                    proposals.extend(self.propose(&slots));
                    self.settle(now);
                }
            }
        }
        proposals
    }

    fn take_dirty(&mut self) -> Vec<Slot> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        dirty
    }

    fn pass_lane(
        &mut self,
        key: (u32, usize),
        dirty: &[Slot],
        now: i64,
        proposals: &mut Vec<Proposal>,
    ) {
        let Some(lane) = self.lanes.get(&key) else {
            return;
        };
        let mut chosen = Vec::new();
        for starts in self.starts(lane, key.1, dirty) {
            let candidates: Vec<Candidate> = starts
                .filter_map(|start| self.candidate(lane, start, now))
                .collect();
            chosen.extend(best(candidates));
        }
        for candidate in chosen {
            let neighbors = self.lanes.get(&key).map_or(&[][..], Lane::members);
            let place = candidate.place.start..candidate.place.end.min(neighbors.len());
            let left_over: Vec<Slot> = neighbors[place].iter().map(|it| it.slot).collect();
            proposals.extend(self.propose(&candidate.slots));
            self.dirty.extend(left_over);
        }
    }

    /// The positions in a lane from which a run may reach somebody for whom something changed.
    fn starts(&self, lane: &Lane, region: usize, dirty: &[Slot]) -> Vec<Range<usize>> {
        let back = self.look() - 1;
        let mut places: Vec<usize> = dirty
            .iter()
            .filter_map(|slot| {
                let entry = self.entry(*slot)?;
                (entry.regions & (1 << region) != 0).then_some(())?;
                lane.position(&entry.member(*slot))
            })
            .collect();
        places.sort_unstable();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for place in places {
            let start = place.saturating_sub(back);
            match ranges.last_mut() {
                Some(last) if last.end >= start => last.end = place + 1,
                _ => ranges.push(start..place + 1),
            }
        }
        ranges
    }

    /// How far a run goes.
    fn look(&self) -> usize {
        4 * self.queue.teams.players() + LOOK
    }

    /// The match of the ticket at `start` with its nearest stronger neighbors, if there is one.
    fn candidate(&self, lane: &Lane, start: usize, now: i64) -> Option<Candidate> {
        let members = lane.members();
        let players = self.queue.teams.players();
        let anchor = self.entry(members[start].slot)?;
        let mut top = anchor.rating + anchor.reach;
        let mut count = usize::from(anchor.players);
        let mut group = vec![anchor];
        let mut slots = vec![members[start].slot];
        let end = members.len().min(start + self.look());
        for (offset, member) in members[start + 1..end].iter().enumerate() {
            if count == players || member.rating > top {
                break;
            }
            let Some(entry) = self.entry(member.slot) else {
                continue;
            };
            let size = usize::from(entry.players);
            if count + size > players || !group.iter().all(|other| other.suits(entry, now)) {
                continue;
            }
            count += size;
            top = top.min(entry.rating + entry.reach);
            group.push(entry);
            slots.push(member.slot);
            if count == players {
                teams::split(&units(&group), self.queue.teams)?;
                return Some(Candidate {
                    worth: self.worth(&group, now),
                    place: start..start + offset + 2,
                    slots,
                });
            }
        }
        None
    }

    /// Players count first, then how long they waited, then how near their ratings are. Who has
    /// waited past the last widening outweighs everybody who has not.
    fn worth(&self, group: &[&Entry], now: i64) -> f64 {
        let settled = self.queue.settled();
        let players = group.iter().map(|entry| f64::from(entry.players));
        let total: f64 = players.clone().sum();
        let sum: f64 = group
            .iter()
            .zip(players.clone())
            .map(|(entry, players)| entry.rating * players)
            .sum();
        let mean = sum / total;
        let widest = self.queue.rating.at(u64::MAX).max(f64::MIN_POSITIVE);
        let served: f64 = group
            .iter()
            .zip(players)
            .map(|(entry, players)| {
                let waited = entry.waited(now);
                let age = seconds(waited) / (seconds(settled) + 1.0);
                let overdue = seconds(waited.saturating_sub(settled));
                let cost = ((entry.rating - mean).abs() / widest).min(1.0);
                let is_overdue = settled > 0 && waited >= settled;
                let first = if is_overdue { 1000.0 + overdue } else { 0.0 };
                players * (2.0 + 0.1 * age.min(1.0) + first - cost)
            })
            .sum();
        served
    }

    /// A match with this ticket, if any can be found among its nearest that it suits.
    fn search(&self, slot: Slot, now: i64) -> Option<Vec<Slot>> {
        let anchor = self.entry(slot)?;
        let players = self.queue.teams.players();
        for (region, bit) in regions(anchor.regions) {
            let Some(lane) = self.lanes.get(&(anchor.partition(), region)) else {
                continue;
            };
            let members = lane.members();
            let Some(place) = lane.position(&anchor.member(slot)) else {
                continue;
            };
            let reach = self.look();
            let around = place.saturating_sub(reach)..members.len().min(place + reach + 1);
            let mut near: Vec<(Slot, &Entry)> = members[around]
                .iter()
                .filter(|member| member.slot != slot)
                .filter_map(|member| Some((member.slot, self.entry(member.slot)?)))
                .filter(|(_, entry)| entry.regions & bit != 0 && entry.suits(anchor, now))
                .collect();
            near.sort_by(|(_, one), (_, other)| {
                let apart = |entry: &Entry| (entry.rating - anchor.rating).abs();
                apart(one).total_cmp(&apart(other))
            });
            near.truncate(SEARCHED);
            let within_reach: usize = near.iter().map(|(_, it)| usize::from(it.players)).sum();
            if within_reach + usize::from(anchor.players) < players {
                continue;
            }
            let mut search = Search {
                pool: self,
                near: &near,
                now,
                group: vec![anchor],
                slots: vec![slot],
                left: BUDGET,
            };
            if search.complete(0, usize::from(anchor.players)) {
                return Some(search.slots);
            }
        }
        None
    }

    /// Takes the tickets out of the pool and makes their match.
    fn propose(&mut self, slots: &[Slot]) -> Option<Proposal> {
        let group: Vec<&Entry> = slots
            .iter()
            .map(|slot| self.entry(*slot))
            .collect::<Option<_>>()?;
        let Split { teams, gap } = teams::split(&units(&group), self.queue.teams)?;
        let common = group.iter().fold(u64::MAX, |set, it| set & it.regions);
        let worst = |region: usize| group.iter().map(|it| it.latencies[region]).max();
        let (latency, region) = regions(common)
            .filter_map(|(region, _)| Some((worst(region)?, region)))
            .min()?;
        let ratings = group.iter().map(|entry| entry.rating);
        let strongest = ratings.clone().fold(f64::MIN, f64::max);
        let weakest = ratings.fold(f64::MAX, f64::min);
        let quality = Quality {
            spread: strongest - weakest,
            gap,
            latency,
        };
        let ids: Vec<TicketId> = group.iter().map(|entry| entry.ticket.id).collect();
        let mut sides = vec![Vec::new(); usize::from(self.queue.teams.count)];
        for (id, team) in ids.into_iter().zip(teams) {
            sides[usize::from(team)].extend(self.remove(id));
        }
        Some(Proposal {
            region: self.queue.regions[region].clone(),
            teams: sides,
            quality,
        })
    }
}

/// Looks for a match by trying who joins next.
struct Search<'pool> {
    pool: &'pool Pool,
    near: &'pool [(Slot, &'pool Entry)],
    now: i64,
    group: Vec<&'pool Entry>,
    slots: Vec<Slot>,
    /// Steps that may still be done.
    left: u32,
}

impl Search<'_> {
    fn complete(&mut self, from: usize, count: usize) -> bool {
        let teams = self.pool.queue.teams;
        if count == teams.players() {
            return teams::split(&units(&self.group), teams).is_some();
        }
        for index in from..self.near.len() {
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
            let (slot, entry) = self.near[index];
            let size = usize::from(entry.players);
            let fits = count + size <= teams.players();
            if !fits || !self.group.iter().all(|it| it.suits(entry, self.now)) {
                continue;
            }
            self.group.push(entry);
            self.slots.push(slot);
            if self.complete(index + 1, count + size) {
                return true;
            }
            self.group.pop();
            self.slots.pop();
        }
        false
    }
}

/// Of candidates in the order of their starts: those that share no place and are worth the most
/// together.
fn best(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    let count = candidates.len();
    // What is the most that can be had from the candidates from each on, and whether with it.
    let mut most = vec![0.0_f64; count + 1];
    let mut is_taken = vec![false; count];
    let after = |candidates: &[Candidate], index: usize| {
        let end = candidates[index].place.end;
        index + candidates[index..].partition_point(|other| other.place.start < end)
    };
    for index in (0..count).rev() {
        let with = candidates[index].worth + most[after(&candidates, index)];
        is_taken[index] = with > most[index + 1];
        most[index] = with.max(most[index + 1]);
    }
    let mut index = 0;
    let mut keep = vec![false; count];
    while index < count {
        if is_taken[index] {
            keep[index] = true;
            index = after(&candidates, index);
        } else {
            index += 1;
        }
    }
    let mut keep = keep.into_iter();
    candidates.retain(|_| keep.next().unwrap_or_default());
    candidates
}

fn units(group: &[&Entry]) -> Vec<Unit> {
    let unit = |entry: &&Entry| Unit {
        players: entry.players,
        rating: entry.rating * f64::from(entry.players),
    };
    group.iter().map(unit).collect()
}

fn seconds(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}

#[cfg(test)]
pub(super) mod tests;
