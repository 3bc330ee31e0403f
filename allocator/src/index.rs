//! Every server that could be allocated, in order, updated from watch deltas. Pure: no clock, no
//! tokio, no client.
//!
//! **Shape.** Servers of one namespace with equal labels (but for the id of a request), entry for
//! players, and in a match or not, form a *class*; labels of a fleet's servers are mostly equal, so
//! there are few classes. A class keeps its free servers by node, and its nodes
//! in the order of each scheduling strategy. A namespace keeps, for every label, the classes that
//! carry it: a selector looks only at the classes under the rarest of its labels (for most requests
//! that label is the fleet).
//!
//! **Cost.** A change of one server costs O(log n) plus, when the number of Ready or Allocated
//! servers of its node changes, one re-ordering in each class with servers on that node. A node that
//! goes away or becomes unusable costs the same, whatever the number of its servers.
//!
//! **Holding.** A server whose write is in flight is *reserved*: in no order, so it cannot be chosen
//! twice. It counts as Allocated for the load of its node, so that choices made at the same time see
//! each other. A server whose write was refused because the object had changed is *stale*: in no
//! order until a newer version of it is seen.
//!
//! **Versions.** Kubernetes' resource versions are compared as numbers. An older version than the
//! known one never changes anything, so a late watch event cannot bring back a Ready state from
//! before an allocation.

mod classes;
pub(crate) mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::allocation::SelectorState;

pub(crate) use classes::Class;
use classes::{ClassId, Classes, Kind};
use order::Load;

/// A name that many entries share.
pub type Name = Arc<str>;

/// Labels of a server.
pub type Labels = BTreeMap<String, String>;

/// Namespace and name of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace of the server.
    pub namespace: Name,
    /// Name of the server.
    pub name: Name,
}

impl Key {
    /// Makes a key of two strings.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: Name::from(namespace),
            name: Name::from(name),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// Where a server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A development server: it has no pod, so that no node can fail under it.
    Development,
    /// On this node.
    Node(Name),
}

impl Place {
    /// The node's name. That of development servers is empty, which no real node's is; their load
    /// is not counted.
    fn node(&self) -> Name {
        match self {
            Self::Development => Name::from(""),
            Self::Node(name) => Name::clone(name),
        }
    }
}

/// A version of an allocatable server, as the API has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// `metadata.resourceVersion`.
    pub version: u64,
    /// `metadata.labels`.
    pub labels: Labels,
    /// Ready or Allocated: servers in other states, or being deleted, are not in the index.
    pub state: SelectorState,
    /// Where it runs.
    pub place: Place,
    /// How players get in.
    pub entry: Entry,
    /// It carries a request id, so that a match may hold it. The label itself is not among
    /// `labels`.
    pub has_request: bool,
}

/// How players of a request get into a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// Without tokens.
    Open,
    /// With tokens for the master key of this version.
    Key(i64),
    /// With tokens alone, and none can be made: it has no key, or no address that a token can name.
    Closed,
}

/// What became of the write for which a server was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Nothing is known to have changed.
    Free,
    /// The object had changed since this version.
    Stale,
}

/// Whether a server can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Free,
    Reserved,
    /// The version that was found to be old.
    Stale(u64),
}

#[derive(Clone, Debug)]
struct Server {
    version: u64,
    class: ClassId,
    state: SelectorState,
    node: Name,
    hold: Hold,
}

impl Server {
    /// The share of this server in the load of its node.
    fn load(&self) -> Load {
        let allocated =
            self.state == SelectorState::Allocated || matches!(self.hold, Hold::Reserved);
        Load {
            allocated: u32::from(allocated),
            ready: u32::from(!allocated),
        }
    }
}

#[derive(Debug, Default)]
struct Node {
    /// It exists, is Ready and may be scheduled to.
    usable: bool,
    load: Load,
    /// Classes with servers here, and how many.
    classes: BTreeMap<ClassId, u32>,
}

/// Servers in the index, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Their namespace.
    pub namespace: Name,
    /// Their fleet; empty without one.
    pub fleet: String,
    /// Their state.
    pub state: SelectorState,
    /// How many can be chosen right now.
    pub free: usize,
    /// How many there are.
    pub total: u32,
}

/// Every allocatable server.
#[derive(Debug, Default)]
pub struct Index {
    servers: BTreeMap<Name, BTreeMap<Name, Server>>,
    classes: Classes,
    nodes: BTreeMap<Name, Node>,
    /// Versions of the master keys of connect tokens that are known.
    keys: BTreeSet<i64>,
}

impl Index {
    /// Takes in a version of an allocatable server, whether new or changed.
    pub fn apply(&mut self, key: &Key, observed: Observed) {
        let known = self.server(key);
        if known.is_some_and(|server| server.version > observed.version) {
            return;
        }
        let hold = match known.map(|server| server.hold) {
            Some(Hold::Reserved) => Hold::Reserved,
            Some(Hold::Stale(version)) if version >= observed.version => Hold::Stale(version),
            Some(Hold::Stale(_) | Hold::Free) | None => Hold::Free,
        };
        let kind = Kind {
            labels: Arc::new(observed.labels),
            entry: observed.entry,
            has_request: observed.has_request,
        };
        let class = self.classes.intern(&key.namespace, kind);
        let next = Server {
            version: observed.version,
            class,
            state: observed.state,
            node: observed.place.node(),
            hold,
        };
        self.replace(key, Some(next));
    }

    /// Takes in the answer to a write. As [`Index::apply`], but a server that has left
    /// the index meanwhile stays out.
    pub fn update(&mut self, key: &Key, observed: Observed) {
        if self.server(key).is_some() {
            self.apply(key, observed);
        }
    }

    /// Takes in the answer to a read, which is the newest state there is: if the version that was
    /// found to be old is still there, the conflict had another reason, and it may be tried again.
    pub fn confirm(&mut self, key: &Key, observed: Observed) {
        let version = observed.version;
        self.update(key, observed);
        let known = self.server(key);
        if known.is_some_and(|server| server.hold == Hold::Stale(version)) {
            self.hold(key, Hold::Free);
        }
    }

    /// Takes a server out: it is gone, or `version` of it is not allocatable.
    pub fn remove(&mut self, key: &Key, version: u64) {
        if self
            .server(key)
            .is_some_and(|server| server.version <= version)
        {
            self.replace(key, None);
        }
    }

    /// Takes out every server of `namespace` (none: of all) that is not in `keep`.
    pub fn retain(&mut self, namespace: Option<&str>, keep: &BTreeSet<Key>) {
        let gone: Vec<Key> = self
            .servers
            .iter()
            .filter(|(name, _)| namespace.is_none_or(|only| only == &***name))
            .flat_map(|(name, servers)| {
                let key = |server: &Name| Key {
                    namespace: name.clone(),
                    name: server.clone(),
                };
                servers.keys().map(key)
            })
            .filter(|key| !keep.contains(key))
            .collect();
        for key in gone {
            self.replace(&key, None);
        }
    }

    /// Takes in what is known of a node.
    pub fn set_node(&mut self, name: &str, usable: bool) {
        let name = self.node_name(name);
        let node = self.nodes.entry(name.clone()).or_default();
        if node.usable == usable {
            return self.drop_idle_node(&name);
        }
        node.usable = usable;
        rank(&mut self.classes, &name, node);
        self.drop_idle_node(&name);
    }

    /// Makes every node unusable that is not in `keep`.
    pub fn retain_nodes(&mut self, keep: &BTreeSet<String>) {
        let usable = self.nodes.iter().filter(|(_, node)| node.usable);
        let gone: Vec<Name> = usable
            .map(|(name, _)| name.clone())
            .filter(|name| !keep.contains(&**name))
            .collect();
        for name in gone {
            self.set_node(&name, false);
        }
    }

    /// Takes in which versions of the master keys of connect tokens are known.
    pub fn set_keys(&mut self, versions: BTreeSet<i64>) {
        self.keys = versions;
    }

    /// Whether players can get in this way now.
    pub(crate) fn admits(&self, entry: Entry) -> bool {
        match entry {
            Entry::Open => true,
            Entry::Key(version) => self.keys.contains(&version),
            Entry::Closed => false,
        }
    }

    /// Reserves a server: nobody else is given it until it is released.
    pub fn reserve(&mut self, key: &Key) {
        self.hold(key, Hold::Reserved);
    }

    /// Ends a reservation.
    ///
    /// `version` is that of the write; a newer one may have been seen since, which settles what was
    /// stale.
    pub fn release(&mut self, key: &Key, version: u64, release: Release) {
        let Some(server) = self.server(key) else {
            return;
        };
        if server.hold != Hold::Reserved {
            return;
        }
        let hold = match release {
            Release::Stale if server.version <= version => Hold::Stale(version),
            Release::Stale | Release::Free => Hold::Free,
        };
        self.hold(key, hold);
    }

    /// The known version of a server.
    pub fn version(&self, key: &Key) -> Option<u64> {
        self.server(key).map(|server| server.version)
    }

    /// Whether any server of this fleet is known.
    pub fn has_fleet(&self, namespace: &str, fleet: &str) -> bool {
        self.classes
            .with_label(namespace, crds::meta::FLEET_LABEL, fleet)
            .is_some()
    }

    /// How many servers there are, by namespace, fleet and state.
    pub fn counts(&self) -> Vec<Count> {
        let mut counts: BTreeMap<(&Name, &str, bool), (usize, u32)> = BTreeMap::new();
        for class in self.classes.iter() {
            for state in [SelectorState::Ready, SelectorState::Allocated] {
                let is_ready = state == SelectorState::Ready;
                let (free, total) = counts
                    .entry((&class.namespace, class.fleet(), is_ready))
                    .or_default();
                *free += class.stock(state).order.len();
                *total += class.stock(state).total;
            }
        }
        let count =
            |((namespace, fleet, is_ready), (free, total)): ((&Name, &str, bool), _)| Count {
                namespace: namespace.clone(),
                fleet: fleet.to_owned(),
                state: if is_ready {
                    SelectorState::Ready
                } else {
                    SelectorState::Allocated
                },
                free,
                total,
            };
        counts.into_iter().map(count).collect()
    }

    /// The classes of a namespace that may carry all of `labels`: those under the rarest of them.
    /// Without labels, all classes of the namespace.
    pub(crate) fn classes<'a>(
        &'a self,
        namespace: &str,
        labels: &Labels,
    ) -> Box<dyn Iterator<Item = &'a Class> + 'a> {
        self.classes.candidates(namespace, labels)
    }

    fn server(&self, key: &Key) -> Option<&Server> {
        self.servers.get(&key.namespace)?.get(&key.name)
    }

    fn hold(&mut self, key: &Key, hold: Hold) {
        if let Some(server) = self.server(key) {
            let next = Server {
                hold,
                ..server.clone()
            };
            self.replace(key, Some(next));
        }
    }

    /// The one way in which a server changes: the old entry goes, the new one comes.
    fn replace(&mut self, key: &Key, next: Option<Server>) {
        let servers = self.servers.get_mut(&key.namespace);
        let old = servers.and_then(|servers| servers.remove(&key.name));
        if let Some(old) = &old {
            self.detach(&key.name, old);
        }
        match (&old, &next) {
            (Some(old), Some(next)) if old.node == next.node => {
                self.shift(&next.node, old.load(), next.load());
            }
            _ => {
                if let Some(old) = &old {
                    self.shift(&old.node, old.load(), Load::default());
                }
                if let Some(next) = &next {
                    self.shift(&next.node, Load::default(), next.load());
                }
            }
        }
        let kept = next.as_ref().map(|server| server.class);
        let node = next.as_ref().map(|server| server.node.clone());
        if let Some(next) = next {
            self.attach(key, next);
        }
        if let Some(old) = old {
            if kept != Some(old.class) {
                self.classes.drop_empty(old.class);
            }
            if node.as_ref() != Some(&old.node) {
                self.drop_idle_node(&old.node);
            }
        }
        if self
            .servers
            .get(&key.namespace)
            .is_some_and(BTreeMap::is_empty)
        {
            self.servers.remove(&key.namespace);
        }
    }

    fn detach(&mut self, name: &Name, server: &Server) {
        if let Some(class) = self.classes.get_mut(server.class) {
            let stock = class.stock_mut(server.state);
            stock.total -= 1;
            match server.hold {
                Hold::Free => stock.order.remove(&server.node, name),
                Hold::Reserved => stock.reserved -= 1,
                Hold::Stale(_) => {
                    stock.stale.remove(name);
                }
            }
        }
        if let Some(node) = self.nodes.get_mut(&server.node)
            && let Some(servers) = node.classes.get_mut(&server.class)
        {
            *servers -= 1;
            if *servers == 0 {
                node.classes.remove(&server.class);
            }
        }
    }

    fn attach(&mut self, key: &Key, mut server: Server) {
        // One allocation per name of a node, not one per server.
        server.node = self.node_name(&server.node);
        let node = self.nodes.entry(server.node.clone()).or_default();
        *node.classes.entry(server.class).or_default() += 1;
        let usable = server.node.is_empty() || node.usable;
        if let Some(class) = self.classes.get_mut(server.class) {
            let stock = class.stock_mut(server.state);
            stock.total += 1;
            match server.hold {
                Hold::Free => {
                    stock
                        .order
                        .insert(&server.node, &key.name, usable.then_some(node.load));
                }
                Hold::Reserved => stock.reserved += 1,
                Hold::Stale(_) => {
                    stock.stale.insert(key.name.clone());
                }
            }
        }
        let servers = self.servers.entry(key.namespace.clone()).or_default();
        servers.insert(key.name.clone(), server);
    }

    /// Changes the load of a node by the difference of two shares.
    fn shift(&mut self, name: &Name, from: Load, to: Load) {
        if from == to || name.is_empty() {
            return;
        }
        let node = self.nodes.entry(name.clone()).or_default();
        node.load = Load {
            allocated: node.load.allocated + to.allocated - from.allocated,
            ready: node.load.ready + to.ready - from.ready,
        };
        if node.usable {
            rank(&mut self.classes, name, node);
        }
    }

    /// The shared form of a node's name.
    fn node_name(&self, name: &str) -> Name {
        self.nodes
            .get_key_value(name)
            .map_or_else(|| Name::from(name), |(known, _)| known.clone())
    }

    fn drop_idle_node(&mut self, name: &Name) {
        if self
            .nodes
            .get(name)
            .is_some_and(|node| !node.usable && node.classes.is_empty())
        {
            self.nodes.remove(name);
        }
    }
}

/// Ranks a node anew in every class with servers on it.
fn rank(classes: &mut Classes, name: &Name, node: &Node) {
    for id in node.classes.keys() {
        let Some(class) = classes.get_mut(*id) else {
            continue;
        };
        for stock in class.stocks_mut() {
            stock
                .order
                .set_usable(name, node.usable.then_some(node.load));
        }
    }
}

#[cfg(test)]
mod tests;
