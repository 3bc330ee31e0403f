//! The choice of a server. Pure: index and request in, choice or reason out.
//!
//! What is looked at: for each selector in turn, the classes (servers with equal labels) under the
//! rarest of the labels that it fixes, or all classes of the namespace when it fixes none; of each
//! class that fits, the first `draw.among` servers. Servers of a fleet mostly share their labels, so
//! this is O(log n) in servers and linear in the classes looked at; only where every server has
//! labels of its own does it grow with their number.
//!
//! **Order.** Packed: the node with most Allocated servers, then with most Ready ones, then the names
//! of node and server. Distributed: the node with fewest Allocated servers; among equal nodes, and
//! among the servers of a node, a place that depends on the request's seed. Development servers have
//! no node to fill or spare: they count as a node without load.
//!
//! **Several replicas** see the same order, and would run after the same server. The first try takes
//! the best server; a try that follows a lost race takes one of the best 2, 4, 8 … by a hash of
//! replica, request and try, so that the losers of a race do not meet again.

use std::sync::Arc;

use crds::allocation::SelectorState;
use crds::gameserver::Scheduling;

use crate::index::order::{PackedRank, mix};
use crate::index::{Class, Index, Key, Name};
use crate::selector::Selector;

/// Most servers of which one is drawn.
pub const MOST: u32 = 256;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Namespace of the server.
    pub namespace: String,
    /// Tried in order: the first with a hit wins. Never empty.
    pub selectors: Vec<Arc<Selector>>,
    /// Which of several fitting servers is the best.
    pub scheduling: Scheduling,
    /// Players come with connect tokens: servers that they could not join do not fit.
    pub has_players: bool,
    /// The server becomes that of a request id: Allocated servers of other ones do not fit.
    pub has_request_id: bool,
}

/// Which of the best servers is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Differs between replicas, requests and tries.
    pub seed: u64,
    /// One of this many best servers; 1 takes the best.
    pub among: u32,
}

impl Draw {
    /// The draw of try number `attempt`, counted from 0, of the request with this seed.
    ///
    /// `contention` widens it: it says by how many lost races the try is expected to be late.
    pub const fn of(seed: u64, attempt: u32, contention: u32) -> Self {
        let exponent = attempt + contention;
        let among = if exponent >= MOST.trailing_zeros() {
            MOST
        } else {
            1 << exponent
        };
        Self {
            seed: mix(seed ^ mix(attempt as u64)),
            among,
        }
    }
}

/// A chosen server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The server.
    pub key: Key,
    /// Its version: the guard of the write.
    pub version: u64,
    /// Its state in that version.
    pub state: SelectorState,
}

/// Why no server was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No server fits.
    Capacity,
    /// Servers fit, but the players could not join them.
    Unjoinable,
    /// Servers that fit are being written: what becomes of them is known soon.
    InFlight,
    /// This server fits, but its newest version has not been seen yet.
    Stale(Choice),
}

/// Chooses a server, or says why there is none.
pub fn select(index: &Index, wanted: &Wanted, draw: Draw) -> Result<Choice, Missing> {
    let mut reason = Missing::Capacity;
    for selector in &wanted.selectors {
        let is_again = selector.state == SelectorState::Allocated;
        let (fitting, closed): (Vec<&Class>, Vec<&Class>) = index
            .classes(&wanted.namespace, &selector.labels)
            .filter(|class| selector.matches(class.labels()))
            // A match that goes on keeps its server to itself.
            .filter(|class| !(wanted.has_request_id && is_again && class.has_request()))
            .partition(|class| !wanted.has_players || index.admits(class.entry()));
        let name = match wanted.scheduling {
            Scheduling::Packed => packed(&fitting, selector.state, draw),
            Scheduling::Distributed => distributed(&fitting, selector.state, draw),
        };
        if let Some(choice) = name.and_then(|name| choice(index, wanted, selector.state, name)) {
            return Ok(choice);
        }
        reason = worse(reason, blocked(index, wanted, &fitting, selector.state));
        let mut closed = closed.iter().map(|class| class.stock(selector.state));
        if closed.any(|stock| stock.order.len() > 0) {
            reason = worse(reason, Missing::Unjoinable);
        }
    }
    Err(reason)
}

fn choice(index: &Index, wanted: &Wanted, state: SelectorState, name: &Name) -> Option<Choice> {
    let key = Key {
        namespace: Name::from(wanted.namespace.as_str()),
        name: name.clone(),
    };
    let version = index.version(&key)?;
    Some(Choice {
        key,
        version,
        state,
    })
}

fn packed<'a>(classes: &[&'a Class], state: SelectorState, draw: Draw) -> Option<&'a Name> {
    let mut best: Vec<(&PackedRank, &Name)> = classes
        .iter()
        .flat_map(|class| class.stock(state).order.packed().take(draw.among as usize))
        .collect();
    take(&mut best, draw).map(|(_, name)| name)
}

fn distributed<'a>(classes: &[&'a Class], state: SelectorState, draw: Draw) -> Option<&'a Name> {
    let mut best: Vec<((u32, u64, &Name), &Name)> = classes
        .iter()
        .flat_map(|class| {
            class
                .stock(state)
                .order
                .spread(draw.seed)
                .take(draw.among as usize)
        })
        .collect();
    take(&mut best, draw).map(|(_, name)| name)
}

/// The drawn one of the first `draw.among` candidates.
///
/// The first ones of every class are enough to know the first ones of all.
fn take<T: Ord + Copy>(candidates: &mut [T], draw: Draw) -> Option<T> {
    let among = candidates.len().min(draw.among as usize);
    let place = usize::try_from(draw.seed % (among.max(1) as u64)).ok()?;
    if among == 0 {
        return None;
    }
    Some(*candidates.select_nth_unstable(place).1)
}

/// Whether servers of these classes fit but cannot be chosen right now.
fn blocked(index: &Index, wanted: &Wanted, classes: &[&Class], state: SelectorState) -> Missing {
    let mut stocks = classes.iter().map(|class| class.stock(state));
    let outdated = stocks.clone().find_map(|stock| stock.stale.first());
    if let Some(choice) = outdated.and_then(|name| choice(index, wanted, state, name)) {
        return Missing::Stale(choice);
    }
    if stocks.any(|stock| stock.reserved > 0) {
        Missing::InFlight
    } else {
        Missing::Capacity
    }
}

/// What can be settled at once comes before what must be waited for, and both before the end.
fn worse(known: Missing, other: Missing) -> Missing {
    match (&known, &other) {
        (Missing::Stale(_), _)
        | (Missing::InFlight, Missing::InFlight | Missing::Unjoinable | Missing::Capacity)
        | (Missing::Unjoinable, Missing::Unjoinable | Missing::Capacity) => known,
        (Missing::Capacity | Missing::Unjoinable | Missing::InFlight, _) => other,
    }
}

#[cfg(test)]
mod tests;
