//! The free servers of one class and state, by node, with the usable nodes in the order of each
//! scheduling strategy.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Name;

/// Ready and Allocated servers of a node, over all namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Load {
    pub(crate) allocated: u32,
    pub(crate) ready: u32,
}

/// How a node ranks with Packed: most Allocated servers, then most Ready ones, then its name. The
/// least comes first.
pub(crate) type PackedRank = (Reverse<u32>, Reverse<u32>, Name);

/// How a node ranks with Distributed: fewest Allocated servers, then a hash of its name, from which
/// a request starts at a place of its own.
type SpreadRank = (u32, u64, Name);

/// How many servers of one node a request with Distributed may start at.
const STARTS: usize = 64;

#[derive(Debug, Default)]
struct Rack {
    servers: BTreeSet<Name>,
    /// The load under which the node stands in the orders; none while it is not usable.
    rank: Option<Load>,
}

/// Free servers in order.
#[derive(Debug, Default)]
pub(crate) struct Order {
    racks: BTreeMap<Name, Rack>,
    packed: BTreeSet<PackedRank>,
    spread: BTreeSet<SpreadRank>,
}

impl Order {
    /// Adds a server; `load` is that of its node, none if the node is not usable.
    pub(crate) fn insert(&mut self, node: &Name, server: &Name, load: Option<Load>) {
        self.racks
            .entry(node.clone())
            .or_default()
            .servers
            .insert(server.clone());
        self.set_usable(node, load);
    }

    pub(crate) fn remove(&mut self, node: &Name, server: &Name) {
        let Some(rack) = self.racks.get_mut(node) else {
            return;
        };
        rack.servers.remove(server);
        if rack.servers.is_empty() {
            self.set_usable(node, None);
            self.racks.remove(node);
        }
    }

    /// Ranks a node by its load, or takes it out of the orders.
    pub(crate) fn set_usable(&mut self, node: &Name, load: Option<Load>) {
        let Some(rack) = self.racks.get_mut(node) else {
            return;
        };
        if rack.rank == load {
            return;
        }
        if let Some(old) = rack.rank {
            self.packed.remove(&packed_rank(node, old));
            self.spread.remove(&spread_rank(node, old));
        }
        if let Some(new) = load {
            self.packed.insert(packed_rank(node, new));
            self.spread.insert(spread_rank(node, new));
        }
        rack.rank = load;
    }

    /// Servers on usable nodes.
    pub(crate) fn len(&self) -> usize {
        let usable = self.racks.values().filter(|rack| rack.rank.is_some());
        usable.map(|rack| rack.servers.len()).sum()
    }

    /// The servers in the order of Packed, each with its node's rank.
    pub(crate) fn packed(&self) -> impl Iterator<Item = (&PackedRank, &Name)> {
        self.packed.iter().flat_map(|rank| {
            let servers = self.racks.get(&rank.2).map(|rack| &rack.servers);
            servers
                .into_iter()
                .flatten()
                .map(move |server| (rank, server))
        })
    }

    /// The servers in the order of Distributed for one request, each with its node's rank as that
    /// request sees it: (load, distance from its start, node).
    pub(crate) fn spread(&self, seed: u64) -> impl Iterator<Item = ((u32, u64, &Name), &Name)> {
        let level = move |load: u32| {
            let from = move |hash: u64| (load, hash, Name::from(""));
            // Two ranges make a circle that begins at the seed.
            let rest = self.spread.range(from(seed)..);
            let start = self.spread.range(from(0)..from(seed));
            rest.take_while(move |rank| rank.0 == load).chain(start)
        };
        let mut next = self.spread.first().map(|rank| rank.0);
        let levels = std::iter::from_fn(move || {
            let load = next?;
            let above = self
                .spread
                .range((load.checked_add(1)?, 0, Name::from(""))..)
                .next();
            next = above.map(|rank| rank.0);
            Some(load)
        });
        levels.flat_map(level).flat_map(move |rank| {
            let servers = self.racks.get(&rank.2).map(|rack| &rack.servers);
            let relative = (rank.0, rank.1.wrapping_sub(seed), &rank.2);
            servers.into_iter().flat_map(move |all| {
                // Names are in order, so skipping is a walk: bounded.
                let starts = all.len().clamp(1, STARTS) as u64;
                let skip = usize::try_from(mix(seed) % starts).unwrap_or_default();
                all.iter()
                    .skip(skip)
                    .chain(all.iter().take(skip))
                    .map(move |name| (relative, name))
            })
        })
    }
}

fn packed_rank(node: &Name, load: Load) -> PackedRank {
    (Reverse(load.allocated), Reverse(load.ready), node.clone())
}

fn spread_rank(node: &Name, load: Load) -> SpreadRank {
    (
        load.allocated,
        mix(crds::names::hash(node.as_bytes())),
        node.clone(),
    )
}

/// Spreads close numbers far apart (the finalizer of SplitMix64).
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
