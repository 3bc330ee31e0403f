//! The naive model: a list, and a look at all of it each time.

use std::cmp::Reverse;

use super::*;

pub(super) const NAMESPACES: [&str; 2] = ["blue", "green"];
pub(super) const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];

/// A change of the index.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Apply {
        server: usize,
        version: u64,
        fleet: usize,
        extra: usize,
        allocated: bool,
        place: usize,
    },
    Update {
        server: usize,
        version: u64,
        allocated: bool,
    },
    Remove {
        server: usize,
        version: u64,
    },
    Node {
        node: usize,
        usable: bool,
    },
    Reserve {
        server: usize,
    },
    Release {
        server: usize,
        version: u64,
        stale: bool,
    },
    Retain {
        namespace: Option<usize>,
        keep: Vec<usize>,
    },
    RetainNodes {
        keep: Vec<usize>,
    },
}

pub(super) const SERVERS: usize = 12;

/// Server number `number`; every third is in the other namespace.
pub(super) fn key(number: usize) -> Key {
    Key::new(
        NAMESPACES[usize::from(number.is_multiple_of(3))],
        &format!("gs-{number:02}"),
    )
}

pub(super) fn labels(fleet: usize, extra: usize) -> Labels {
    let mut labels = Labels::new();
    if fleet > 0 {
        labels.insert(crds::meta::FLEET_LABEL.to_owned(), format!("fleet-{fleet}"));
    }
    if extra > 0 {
        labels.insert("mode".to_owned(), "ctf".to_owned());
    }
    labels
}

pub(super) fn place(number: usize) -> Place {
    NODES
        .get(number)
        .map_or(Place::Development, |name| Place::Node(Name::from(*name)))
}

pub(super) const fn state(allocated: bool) -> SelectorState {
    if allocated {
        SelectorState::Allocated
    } else {
        SelectorState::Ready
    }
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) seen: Observed,
    pub(super) reserved: bool,
    pub(super) stale: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) servers: BTreeMap<Key, Entry>,
    usable: BTreeSet<String>,
}

impl Model {
    fn apply(&mut self, key: &Key, seen: Observed) {
        match self.servers.get_mut(key) {
            Some(known) if known.seen.version > seen.version => {}
            Some(known) => {
                if known.stale.is_some_and(|version| version < seen.version) {
                    known.stale = None;
                }
                known.seen = seen;
            }
            None => {
                self.servers.insert(
                    key.clone(),
                    Entry {
                        seen,
                        reserved: false,
                        stale: None,
                    },
                );
            }
        }
    }

    pub(super) fn step(&mut self, index: &mut Index, step: Step) {
        match step {
            Step::Apply {
                server,
                version,
                fleet,
                extra,
                allocated,
                place: at,
            } => {
                let (key, labels) = (key(server), labels(fleet, extra));
                let seen = Observed {
                    version,
                    labels,
                    state: state(allocated),
                    place: place(at),
                    entry: crate::index::Entry::Open,
                    has_request: false,
                };
                index.apply(&key, seen.clone());
                self.apply(&key, seen);
            }
            Step::Update {
                server,
                version,
                allocated,
            } => {
                let (key, labels) = (key(server), labels(1, 1));
                let seen = Observed {
                    version,
                    labels,
                    state: state(allocated),
                    place: place(0),
                    entry: crate::index::Entry::Open,
                    has_request: false,
                };
                index.update(&key, seen.clone());
                if self.servers.contains_key(&key) {
                    self.apply(&key, seen);
                }
            }
            Step::Remove { server, version } => {
                index.remove(&key(server), version);
                self.servers
                    .retain(|known, entry| *known != key(server) || entry.seen.version > version);
            }
            Step::Node { node, usable } => {
                index.set_node(NODES[node], usable);
                if usable {
                    self.usable.insert(NODES[node].to_owned());
                } else {
                    self.usable.remove(NODES[node]);
                }
            }
            Step::Reserve { server } => {
                index.reserve(&key(server));
                if let Some(entry) = self.servers.get_mut(&key(server)) {
                    entry.reserved = true;
                    entry.stale = None;
                }
            }
            Step::Release {
                server,
                version,
                stale,
            } => {
                let release = if stale { Release::Stale } else { Release::Free };
                index.release(&key(server), version, release);
                if let Some(entry) = self.servers.get_mut(&key(server))
                    && entry.reserved
                {
                    entry.reserved = false;
                    entry.stale = (stale && entry.seen.version <= version).then_some(version);
                }
            }
            Step::Retain { namespace, keep } => {
                let namespace = namespace.map(|number| NAMESPACES[number]);
                let keep: BTreeSet<Key> = keep.into_iter().map(key).collect();
                index.retain(namespace, &keep);
                self.servers.retain(|key, _| {
                    keep.contains(key) || namespace.is_some_and(|only| only != &*key.namespace)
                });
            }
            Step::RetainNodes { keep } => {
                let keep: BTreeSet<String> = keep
                    .into_iter()
                    .map(|node| NODES[node].to_owned())
                    .collect();
                index.retain_nodes(&keep);
                self.usable.retain(|node| keep.contains(node));
            }
        }
    }

    fn load(&self, place: &Place) -> (u32, u32) {
        if *place == Place::Development {
            return (0, 0);
        }
        let here = self
            .servers
            .values()
            .filter(|entry| entry.seen.place == *place);
        here.fold((0, 0), |(allocated, ready), entry| {
            if entry.reserved || entry.seen.state == SelectorState::Allocated {
                (allocated + 1, ready)
            } else {
                (allocated, ready + 1)
            }
        })
    }

    fn fits(&self, wanted: &Wanted, selector: &Selector) -> Vec<(&Key, &Entry)> {
        let fits = |(key, entry): &(&Key, &Entry)| {
            *key.namespace == *wanted.namespace
                && entry.seen.state == selector.state
                && selector.matches(&entry.seen.labels)
        };
        self.servers.iter().filter(fits).collect()
    }

    pub(super) fn is_free(&self, entry: &Entry) -> bool {
        let usable = match &entry.seen.place {
            Place::Development => true,
            Place::Node(node) => self.usable.contains(&**node),
        };
        usable && !entry.reserved && entry.stale.is_none()
    }

    /// What Packed must choose.
    pub(super) fn packed(&self, wanted: &Wanted) -> Option<Key> {
        wanted.selectors.iter().find_map(|selector| {
            let fits = self.fits(wanted, selector);
            let free = fits.into_iter().filter(|(_, entry)| self.is_free(entry));
            let best = free.min_by_key(|(key, entry)| {
                let (allocated, ready) = self.load(&entry.seen.place);
                (
                    Reverse(allocated),
                    Reverse(ready),
                    entry.seen.place.node(),
                    key.name.clone(),
                )
            });
            best.map(|(key, _)| key.clone())
        })
    }

    /// What Distributed may choose.
    pub(super) fn distributed(&self, wanted: &Wanted) -> Vec<Key> {
        for selector in &wanted.selectors {
            let mut free = self.fits(wanted, selector);
            free.retain(|(_, entry)| self.is_free(entry));
            let load = |entry: &Entry| self.load(&entry.seen.place).0;
            if let Some(least) = free.iter().map(|(_, entry)| load(entry)).min() {
                free.retain(|(_, entry)| load(entry) == least);
                return free.into_iter().map(|(key, _)| key.clone()).collect();
            }
        }
        Vec::new()
    }

    pub(super) fn missing(&self, wanted: &Wanted) -> &'static str {
        let fits = || {
            wanted
                .selectors
                .iter()
                .flat_map(|selector| self.fits(wanted, selector))
        };
        if fits().any(|(_, entry)| entry.stale.is_some()) {
            "stale"
        } else if fits().any(|(_, entry)| entry.reserved) {
            "in flight"
        } else {
            "capacity"
        }
    }

    pub(super) fn counts(&self) -> Vec<(String, String, bool, usize, u32)> {
        let mut counts = BTreeMap::new();
        for (key, entry) in &self.servers {
            let fleet = entry.seen.labels.get(crds::meta::FLEET_LABEL).cloned();
            let is_ready = entry.seen.state == SelectorState::Ready;
            let group = (
                key.namespace.to_string(),
                fleet.unwrap_or_default(),
                is_ready,
            );
            let (free, total): &mut (usize, u32) = counts.entry(group).or_default();
            *free += usize::from(self.is_free(entry));
            *total += 1;
        }
        let flat =
            |((namespace, fleet, ready), (free, total))| (namespace, fleet, ready, free, total);
        counts.into_iter().map(flat).collect()
    }
}
