//! The tickets of one queue that wait.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use jiff::Timestamp;

use super::lane::{Lane, Member, Slot};
use super::queue::{Invalid, Queue};
use super::ticket::{Attribute, Ticket};
use crate::ids::TicketId;

/// Tickets of one queue that wait, and what is known about them.
///
/// Work is in proportion to what changed: a ticket is looked at when it comes and when something
/// that it accepts widens, and not while nothing happens to it.
#[derive(Debug)]
pub struct Pool {
    pub(super) queue: Queue,
    pub(super) entries: Vec<Option<Entry>>,
    /// Slots that no lane names any more.
    free: Vec<Slot>,
    /// Slots of tickets that left, until the lanes are settled.
    left: Vec<Slot>,
    by_id: HashMap<TicketId, Slot>,
    /// By the texts that all players of a match have in common.
    partitions: BTreeMap<Vec<String>, Partition>,
    /// Partitions that there ever were.
    numbered: u32,
    /// By partition and region.
    pub(super) lanes: BTreeMap<(u32, usize), Lane>,
    /// When which ticket accepts more: milliseconds, slot, and the ticket's number.
    wakes: BinaryHeap<Reverse<(i64, Slot, u64)>>,
    /// Those for whom something changed since the last pass.
    pub(super) dirty: Vec<Slot>,
    entered: u64,
}

/// Tickets that have the texts in common which a match must.
#[derive(Debug)]
struct Partition {
    number: u32,
    tickets: usize,
}

/// Why a ticket was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is in the pool already.
    #[error("the ticket waits already")]
    Known,
    /// It could never be in a match of this queue.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// A ticket, and what follows from it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) ticket: Ticket,
    /// Milliseconds since 1970.
    pub(super) entered: i64,
    /// Its own among all that ever came: slots are used again.
    number: u64,
    partition: u32,
    pub(super) players: u16,
    /// The mean of its players.
    pub(super) rating: f64,
    /// The means of the queue's differences.
    pub(super) numbers: Vec<f64>,
    /// Of the worst player to each region, in milliseconds.
    pub(super) latencies: Vec<u32>,
    /// Regions that it accepts now, each a bit.
    pub(super) regions: u64,
    /// How far ratings may be apart now.
    pub(super) reach: f64,
    /// How far each of the numbers may be apart now.
    pub(super) reaches: Vec<f64>,
}

impl Entry {
    /// Milliseconds that it has waited.
    pub(super) fn waited(&self, now: i64) -> u64 {
        u64::try_from(now.saturating_sub(self.entered)).unwrap_or_default()
    }

    pub(super) const fn partition(&self) -> u32 {
        self.partition
    }

    pub(super) fn member(&self, slot: Slot) -> Member {
        Member {
            rating: self.rating,
            slot,
        }
    }

    /// Whether it has a will of its own beside the queue's rules.
    fn is_plain(&self) -> bool {
        self.ticket.demands.is_empty() && self.ticket.avoided.is_empty()
    }

    /// Whether it would play with `other`, by what it asks itself.
    pub(super) fn wants(&self, other: &Self, now: i64) -> bool {
        if self.is_plain() {
            return true;
        }
        let waited = self.waited(now);
        let mut demands = self.ticket.demands.iter();
        let players = &other.ticket.players;
        let are_met = demands.all(|demand| {
            !demand.stands(waited) || players.iter().all(|player| demand.is_met_by(player))
        });
        are_met
            && players
                .iter()
                .all(|player| !self.ticket.avoided.contains(&player.id))
    }

    /// Whether the ratings of the two are near enough for both.
    pub(super) fn is_near(&self, other: &Self) -> bool {
        (self.rating - other.rating).abs() <= self.reach.min(other.reach)
    }

    /// The first of the queue's differences in which the two are too far apart for one of them.
    pub(super) fn first_difference(&self, other: &Self) -> Option<usize> {
        let numbers = self.numbers.iter().zip(&other.numbers);
        let reaches = self.reaches.iter().zip(&other.reaches);
        numbers
            .zip(reaches)
            .position(|((one, two), (reach, others))| (one - two).abs() > reach.min(*others))
    }

    /// Whether the two may be in one match, wherever it is.
    pub(super) fn suits(&self, other: &Self, now: i64) -> bool {
        self.is_near(other)
            && self.partition == other.partition
            && self.first_difference(other).is_none()
            && self.wants(other, now)
            && other.wants(self, now)
    }
}

impl Pool {
    /// Nobody waits yet.
    pub fn new(queue: Queue) -> Self {
        Self {
            queue,
            entries: Vec::new(),
            free: Vec::new(),
            left: Vec::new(),
            by_id: HashMap::new(),
            partitions: BTreeMap::new(),
            numbered: 0,
            lanes: BTreeMap::new(),
            wakes: BinaryHeap::new(),
            dirty: Vec::new(),
            entered: 0,
        }
    }

    /// The rules.
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// How many tickets wait.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// A ticket that waits.
    pub fn get(&self, id: TicketId) -> Option<&Ticket> {
        self.entry(self.slot(id)?).map(|entry| &entry.ticket)
    }

    pub(super) fn slot(&self, id: TicketId) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn entry(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(usize::try_from(slot).ok()?)?.as_ref()
    }

    /// Takes a ticket in, also one that comes back because its match failed: its age is kept.
    pub fn insert(&mut self, ticket: Ticket, now: Timestamp) -> Result<(), Refused> {
        if self.by_id.contains_key(&ticket.id) {
            return Err(Refused::Known);
        }
        self.queue.admit(&ticket)?;
        let id = ticket.id;
        let entry = self.assess(ticket);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        self.entries[slot as usize] = Some(entry);
        self.by_id.insert(id, slot);
        self.widen(slot, now.as_millisecond());
        Ok(())
    }

    /// Takes a ticket out: its players do not want to play any more, or do.
    pub fn remove(&mut self, id: TicketId) -> Option<Ticket> {
        let slot = self.by_id.remove(&id)?;
        let entry = self.entries[slot as usize].take()?;
        for (region, _) in regions(entry.regions) {
            if let Some(lane) = self.lanes.get_mut(&(entry.partition, region)) {
                lane.forget();
            }
        }
        self.left.push(slot);
        self.leave_partition(&entry.ticket);
        Some(entry.ticket)
    }

    /// When something widens next; a pass before that finds nothing unless tickets came.
    pub fn next_change(&mut self) -> Option<Timestamp> {
        loop {
            let Reverse((moment, slot, number)) = self.wakes.peek().copied()?;
            if self.is_there(slot, number) {
                return Timestamp::from_millisecond(moment).ok();
            }
            self.wakes.pop();
        }
    }

    /// When this ticket accepts more.
    pub(super) fn widens(&self, entry: &Entry, now: i64) -> Option<Timestamp> {
        Timestamp::from_millisecond(widens(&self.queue, entry, now)?).ok()
    }

    /// Whether the slot still belongs to the ticket with this number.
    fn is_there(&self, slot: Slot, number: u64) -> bool {
        self.entry(slot).is_some_and(|entry| entry.number == number)
    }

    /// What follows from a ticket and does not change.
    fn assess(&mut self, ticket: Ticket) -> Entry {
        let mean = |of: &dyn Fn(usize) -> f64| {
            let sum: f64 = (0..ticket.players.len()).map(of).sum();
            let count = u32::try_from(ticket.players.len()).unwrap_or(u32::MAX);
            sum / f64::from(count.max(1))
        };
        let number = |index: usize, name: &String| match ticket.players[index].attributes.get(name)
        {
            Some(Attribute::Number(number)) => *number,
            _ => 0.0,
        };
        let differences = self.queue.differences.iter();
        let numbers = differences
            .map(|rule| mean(&|index| number(index, &rule.attribute)))
            .collect();
        let rating = mean(&|index| ticket.players[index].rating);
        let worst = |region: &String| {
            let latencies = ticket.players.iter().map(|it| it.latencies.get(region));
            let worst = latencies.map(|it| it.copied().unwrap_or(u32::MAX)).max();
            worst.unwrap_or(u32::MAX)
        };
        let latencies = self.queue.regions.iter().map(worst).collect();
        let partition = self.join_partition(&ticket);
        self.entered += 1;
        Entry {
            entered: ticket.entered.as_millisecond(),
            number: self.entered,
            partition,
            players: u16::try_from(ticket.players.len()).unwrap_or(u16::MAX),
            rating,
            numbers,
            latencies,
            regions: 0,
            reach: 0.0,
            reaches: Vec::new(),
            ticket,
        }
    }

    fn join_partition(&mut self, ticket: &Ticket) -> u32 {
        let texts = texts(&self.queue, ticket);
        let partition = self.partitions.entry(texts).or_insert_with(|| {
            self.numbered = self.numbered.wrapping_add(1);
            Partition {
                number: self.numbered,
                tickets: 0,
            }
        });
        partition.tickets += 1;
        partition.number
    }

    fn leave_partition(&mut self, ticket: &Ticket) {
        let texts = texts(&self.queue, ticket);
        if let Some(partition) = self.partitions.get_mut(&texts) {
            partition.tickets -= 1;
            if partition.tickets == 0 {
                self.partitions.remove(&texts);
            }
        }
    }

    /// Works out what a ticket accepts now, and when that widens next.
    fn widen(&mut self, slot: Slot, now: i64) {
        let Self {
            queue,
            entries,
            lanes,
            wakes,
            dirty,
            ..
        } = self;
        let Some(entry) = entries[slot as usize].as_mut() else {
            return;
        };
        let waited = entry.waited(now);
        let gather = u64::from(queue.gather_milliseconds);
        if let Some(moment) = widens(queue, entry, now) {
            wakes.push(Reverse((moment, slot, entry.number)));
        }
        if waited < gather {
            return;
        }
        entry.reach = queue.rating.at(waited);
        let reaches = queue.differences.iter();
        entry.reaches = reaches.map(|rule| rule.at_most.at(waited)).collect();
        let most = queue.latency.at(waited);
        for (region, latency) in entry.latencies.iter().enumerate() {
            let bit = 1 << region;
            let is_near = *latency < u32::MAX && f64::from(*latency) <= most;
            if is_near && entry.regions & bit == 0 {
                entry.regions |= bit;
                let lane = lanes.entry((entry.partition, region)).or_default();
                lane.insert(Member {
                    rating: entry.rating,
                    slot,
                });
            }
        }
        dirty.push(slot);
    }

    /// Wakes whoever accepts more by now, and puts the lanes in order.
    pub(super) fn settle(&mut self, now: i64) {
        while let Some(Reverse((moment, slot, number))) = self.wakes.peek().copied() {
            if moment > now {
                break;
            }
            self.wakes.pop();
            if self.is_there(slot, number) {
                self.widen(slot, now);
            }
        }
        let entries = &self.entries;
        self.lanes.retain(|_, lane| {
            lane.settle(|slot| entries[slot as usize].is_some());
            !lane.is_empty()
        });
        self.free.append(&mut self.left);
    }
}

/// When a ticket accepts more than as of `now`: milliseconds since 1970.
fn widens(queue: &Queue, entry: &Entry, now: i64) -> Option<i64> {
    let waited = entry.waited(now);
    let limits = queue.differences.iter().map(|rule| &rule.at_most);
    let limits = limits.chain([&queue.rating, &queue.latency]);
    let demands = entry.ticket.demands.iter();
    let drops = demands.filter_map(|demand| Some(u64::from(demand.until_seconds?) * 1000));
    let next = limits
        .filter_map(|limit| limit.next(waited))
        .chain(drops)
        .chain([u64::from(queue.gather_milliseconds)])
        .filter(|moment| *moment > waited)
        .min()?;
    let next = i64::try_from(next).unwrap_or(i64::MAX);
    Some(entry.entered.saturating_add(next))
}

/// The texts that its match must have in common.
fn texts(queue: &Queue, ticket: &Ticket) -> Vec<String> {
    let of = |name| match ticket.players[0].attributes.get(name) {
        Some(Attribute::Text(text)) => text.clone(),
        _ => String::new(),
    };
    queue.same.iter().map(of).collect()
}

/// The regions of a set, each with its bit.
pub(super) fn regions(set: u64) -> impl Iterator<Item = (usize, u64)> {
    (0..64)
        .map(|region| (region, 1 << region))
        .filter(move |(_, bit)| set & bit != 0)
}
