//! The index against a model that keeps a list and looks at all of it each time.

use std::cmp::Reverse;

use crds::gameserver::Scheduling;
use proptest::prelude::*;

use super::*;
use crate::select::{Choice, Draw, Missing, Wanted, select};
use crate::selector::{Expression, Selector, Test};

const NAMESPACES: [&str; 2] = ["blue", "green"];
const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];

/// A change of the index.
#[derive(Clone, Debug)]
enum Step {
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

const SERVERS: usize = 12;

fn step() -> impl Strategy<Value = Step> {
    let server = 0..SERVERS;
    let version = 0..40_u64;
    prop_oneof![
        8 => (server.clone(), version.clone(), 0..3_usize, 0..2_usize, any::<bool>(), 0..5_usize)
            .prop_map(|(server, version, fleet, extra, allocated, place)| {
                Step::Apply { server, version, fleet, extra, allocated, place }
            }),
        2 => (server.clone(), version.clone(), any::<bool>())
            .prop_map(|(server, version, allocated)| Step::Update { server, version, allocated }),
        2 => (server.clone(), version.clone())
            .prop_map(|(server, version)| Step::Remove { server, version }),
        3 => (0..NODES.len(), any::<bool>()).prop_map(|(node, usable)| Step::Node { node, usable }),
        3 => server.clone().prop_map(|server| Step::Reserve { server }),
        3 => (server, version, any::<bool>())
            .prop_map(|(server, version, stale)| Step::Release { server, version, stale }),
        1 => (prop::option::of(0..2_usize), prop::collection::vec(0..SERVERS, 0..12))
            .prop_map(|(namespace, keep)| Step::Retain { namespace, keep }),
        1 => prop::collection::vec(0..NODES.len(), 0..4)
            .prop_map(|keep| Step::RetainNodes { keep }),
    ]
}

/// Server number `number`; every third is in the other namespace.
fn key(number: usize) -> Key {
    Key::new(
        NAMESPACES[usize::from(number.is_multiple_of(3))],
        &format!("gs-{number:02}"),
    )
}

fn labels(fleet: usize, extra: usize) -> Labels {
    let mut labels = Labels::new();
    if fleet > 0 {
        labels.insert(crds::meta::FLEET_LABEL.to_owned(), format!("fleet-{fleet}"));
    }
    if extra > 0 {
        labels.insert("mode".to_owned(), "ctf".to_owned());
    }
    labels
}

fn place(number: usize) -> Place {
    NODES
        .get(number)
        .map_or(Place::Development, |name| Place::Node(Name::from(*name)))
}

#[derive(Clone, Debug)]
struct Entry {
    seen: Observed,
    reserved: bool,
    stale: Option<u64>,
}

#[derive(Debug, Default)]
struct Model {
    servers: BTreeMap<Key, Entry>,
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

    fn step(&mut self, index: &mut Index, step: Step) {
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

    fn is_free(&self, entry: &Entry) -> bool {
        let usable = match &entry.seen.place {
            Place::Development => true,
            Place::Node(node) => self.usable.contains(&**node),
        };
        usable && !entry.reserved && entry.stale.is_none()
    }

    /// What Packed must choose.
    fn packed(&self, wanted: &Wanted) -> Option<Key> {
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
    fn distributed(&self, wanted: &Wanted) -> Vec<Key> {
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

    fn missing(&self, wanted: &Wanted) -> &'static str {
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

    fn counts(&self) -> Vec<(String, String, bool, usize, u32)> {
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

const fn state(allocated: bool) -> SelectorState {
    if allocated {
        SelectorState::Allocated
    } else {
        SelectorState::Ready
    }
}

fn requests() -> Vec<Wanted> {
    let fleet = |number| Selector {
        labels: labels(number, 0),
        ..Selector::default()
    };
    let mode = |test| Expression {
        key: "mode".to_owned(),
        test,
    };
    let not_ctf = Selector {
        expressions: vec![mode(Test::NotIn(BTreeSet::from(["ctf".to_owned()])))],
        ..fleet(1)
    };
    let allocated = |selector| Selector {
        state: SelectorState::Allocated,
        ..selector
    };
    let lists = [
        vec![Selector::default()],
        vec![fleet(1)],
        vec![not_ctf, fleet(2)],
        vec![allocated(fleet(2)), fleet(2)],
        vec![
            Selector {
                labels: labels(2, 1),
                ..Selector::default()
            },
            Selector::default(),
        ],
        vec![allocated(Selector {
            expressions: vec![mode(Test::Exists)],
            ..Selector::default()
        })],
    ];
    let wanted = |namespace: &str, selectors: &[Selector]| Wanted {
        namespace: namespace.to_owned(),
        selectors: selectors.iter().cloned().map(Arc::new).collect(),
        scheduling: Scheduling::Packed,
    };
    NAMESPACES
        .iter()
        .flat_map(|namespace| lists.iter().map(move |list| wanted(namespace, list)))
        .collect()
}

fn compare(index: &Index, model: &Model, seed: u64) -> Result<(), TestCaseError> {
    for wanted in requests() {
        let best = select(index, &wanted, Draw { seed, among: 1 });
        let chosen = best.as_ref().ok().map(|choice| choice.key.clone());
        prop_assert_eq!(&chosen, &model.packed(&wanted), "Packed {:?}", wanted);
        if let Ok(Choice { key, version }) = &best {
            prop_assert_eq!(*version, model.servers[key].seen.version);
        }
        if let Err(reason) = &best {
            let name = match reason {
                Missing::Stale(choice) => {
                    prop_assert!(model.servers[&choice.key].stale.is_some());
                    "stale"
                }
                Missing::InFlight => "in flight",
                Missing::Capacity => "capacity",
            };
            prop_assert_eq!(name, model.missing(&wanted));
        }
        let spread = Wanted {
            scheduling: Scheduling::Distributed,
            ..wanted.clone()
        };
        let allowed = model.distributed(&spread);
        match select(index, &spread, Draw { seed, among: 1 }) {
            Ok(choice) => prop_assert!(allowed.contains(&choice.key), "Distributed {spread:?}"),
            Err(_) => prop_assert!(allowed.is_empty(), "Distributed {spread:?}"),
        }
        for scheduling in [Scheduling::Packed, Scheduling::Distributed] {
            let wanted = Wanted {
                scheduling,
                ..wanted.clone()
            };
            let drawn = select(index, &wanted, Draw { seed, among: 8 });
            prop_assert_eq!(drawn.is_ok(), chosen.is_some());
            if let Ok(choice) = drawn {
                prop_assert!(
                    model.is_free(&model.servers[&choice.key]),
                    "only free ones are drawn"
                );
            }
        }
    }
    let counts: Vec<_> = index
        .counts()
        .into_iter()
        .map(|count| {
            let is_ready = count.state == SelectorState::Ready;
            (
                count.namespace.to_string(),
                count.fleet,
                is_ready,
                count.free,
                count.total,
            )
        })
        .filter(|count| count.4 > 0)
        .collect();
    prop_assert_eq!(counts, model.counts());
    Ok(())
}

proptest! {
    #[test]
    fn the_index_agrees_with_the_model(
        steps in prop::collection::vec(step(), 1..80),
        seed in any::<u64>(),
    ) {
        let (mut index, mut model) = (Index::default(), Model::default());
        for step in steps {
            model.step(&mut index, step);
            compare(&index, &model, seed)?;
        }
        // Nothing is left of what is gone.
        index.retain(None, &BTreeSet::new());
        index.retain_nodes(&BTreeSet::new());
        prop_assert_eq!(format!("{:?}", index.nodes), "{}");
        prop_assert!(index.servers.is_empty());
        prop_assert_eq!(index.classes.iter().count(), 0);
    }

    /// Requests that choose while the writes of others are in flight never share a server.
    #[test]
    fn no_server_is_chosen_twice_while_it_is_reserved(
        servers in 1..30_usize,
        distributed in any::<bool>(),
        seeds in prop::collection::vec(any::<u64>(), 1..40),
        among in 1..16_u32,
    ) {
        let mut index = Index::default();
        for node in NODES {
            index.set_node(node, true);
        }
        for number in 0..servers {
            let key = Key::new("blue", &format!("gs-{number}"));
            let place = place(number % NODES.len());
            index.apply(&key, Observed {
                version: 1, labels: labels(1, number % 2), state: SelectorState::Ready, place,
            });
        }
        let scheduling =
            if distributed { Scheduling::Distributed } else { Scheduling::Packed };
        let wanted = Wanted {
            namespace: "blue".to_owned(), selectors: vec![Arc::default()], scheduling,
        };
        let mut given = BTreeSet::new();
        for (count, seed) in seeds.into_iter().enumerate() {
            match select(&index, &wanted, Draw { seed, among }) {
                Ok(choice) => {
                    index.reserve(&choice.key);
                    prop_assert!(given.insert(choice.key), "given twice");
                }
                Err(reason) => {
                    prop_assert_eq!(reason, Missing::InFlight);
                    prop_assert!(count >= servers);
                }
            }
        }
    }
}

#[test]
fn a_late_event_does_not_bring_back_what_was_before_an_allocation() {
    let mut index = Index::default();
    let key = Key::new("blue", "gs");
    let seen = |version, allocated| Observed {
        version,
        labels: Labels::new(),
        state: state(allocated),
        place: Place::Development,
    };
    let wanted = Wanted {
        namespace: "blue".to_owned(),
        selectors: vec![Arc::default()],
        scheduling: Scheduling::Packed,
    };
    let draw = Draw { seed: 0, among: 1 };
    index.apply(&key, seen(5, false));
    index.reserve(&key);
    index.update(&key, seen(9, true));
    index.release(&key, 5, Release::Free);
    index.apply(&key, seen(7, false));
    assert_eq!(select(&index, &wanted, draw), Err(Missing::Capacity));
    index.remove(&key, 8);
    assert_eq!(index.version(&key), Some(9));
    index.apply(&key, seen(10, false));
    assert!(select(&index, &wanted, draw).is_ok());
}
