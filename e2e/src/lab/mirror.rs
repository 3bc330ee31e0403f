//! Every object as the API server has it at this moment, kept from its writes. Pure.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::Arc;

use crds::state::State;
use serde_json::Value;

/// Kind, namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Such as `GameServer`.
    pub kind: String,
    /// Empty for kinds without.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// The key of an object.
    pub fn of(object: &Value) -> Self {
        Self {
            kind: text(object, "/kind").to_owned(),
            namespace: text(object, "/metadata/namespace").to_owned(),
            name: name(object).to_owned(),
        }
    }
}

/// Whose write it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A replica of the operator.
    Operator,
    /// A replica of the allocator.
    Allocator,
    /// The user of the scenario.
    User,
    /// The simulated node.
    Node,
    /// The API server's own controllers, such as the garbage collector.
    System,
}

impl Writer {
    /// Whether it is what the lab is there to prove.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Operator | Self::Allocator)
    }
}

/// An object, and who made it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it is now.
    pub object: Arc<Value>,
    /// Who made it.
    pub maker: Writer,
}

/// All objects, of every kind.
#[derive(Clone, Debug, Default)]
pub struct Mirror(BTreeMap<Key, Entry>);

impl Mirror {
    /// Takes in a write.
    pub fn apply(&mut self, key: Key, writer: Writer, after: Option<Arc<Value>>) {
        let Some(object) = after else {
            self.0.remove(&key);
            return;
        };
        let maker = self.0.get(&key).map_or(writer, |entry| entry.maker);
        self.0.insert(key, Entry { object, maker });
    }

    /// Every object, by kind, namespace and name.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.0.iter()
    }

    /// The objects of a kind, by namespace and name.
    pub fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Arc<Value>> {
        let first = Key {
            kind: kind.to_owned(),
            namespace: String::new(),
            name: String::new(),
        };
        self.0
            .range(first..)
            .take_while(move |(key, _)| key.kind == kind)
            .map(|(_, entry)| &entry.object)
    }

    /// The objects of a kind whose controller has this uid.
    pub fn owned<'a>(
        &'a self,
        kind: &'a str,
        uid: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Value>> {
        self.all(kind)
            .filter(move |object| owner(object).is_some_and(|owner| owner.uid == uid))
    }

    /// One object.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        let entry = self.0.get(&Key {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        });
        entry.map(|entry| &entry.object)
    }

    /// The object of a kind with this uid.
    pub fn by_uid<'a>(&'a self, kind: &'a str, wanted: &str) -> Option<&'a Arc<Value>> {
        self.all(kind).find(|object| uid(object) == wanted)
    }
}

/// The controller of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// Its kind.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
}

/// Who controls an object.
pub fn owner(object: &Value) -> Option<Owner<'_>> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let controller = owners
        .iter()
        .find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
    Some(Owner {
        kind: text(controller, "/kind"),
        name: text(controller, "/name"),
        uid: text(controller, "/uid"),
    })
}

/// Uids of everything that an object belongs to.
pub fn owners(object: &Value) -> Vec<&str> {
    let owners = object.pointer("/metadata/ownerReferences");
    let owners = owners.and_then(Value::as_array).into_iter().flatten();
    owners.map(|owner| text(owner, "/uid")).collect()
}

/// The text at a path; empty if there is none.
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The number at a path; zero if there is none.
pub fn number(object: &Value, path: &str) -> i64 {
    object
        .pointer(path)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

/// Name of an object.
pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// Identity of an object.
pub fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// A label; empty if there is none.
pub fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    of_map(object, "/metadata/labels", key)
}

/// An annotation; empty if there is none.
pub fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    of_map(object, "/metadata/annotations", key)
}

fn of_map<'a>(object: &'a Value, path: &str, key: &str) -> &'a str {
    object
        .pointer(path)
        .and_then(|map| map.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Whether an object waits for its end.
pub fn is_being_deleted(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// State of a game server.
pub fn state(server: &Value) -> State {
    let known = State::ALL
        .into_iter()
        .find(|state| state.as_str() == text(server, "/status/state"));
    known.unwrap_or_default()
}

/// Whether a game server counts toward its set.
pub fn is_live(server: &Value) -> bool {
    !is_being_deleted(server) && !state(server).is_ending()
}

/// Whether a pod's processes may still run.
pub fn runs(pod: &Value) -> bool {
    !["Succeeded", "Failed"].contains(&text(pod, "/status/phase"))
}

/// Host ports of a pod.
pub fn host_ports(pod: &Value) -> Vec<i64> {
    let containers = ["/spec/containers", "/spec/initContainers"];
    containers
        .iter()
        .filter_map(|path| pod.pointer(path)?.as_array())
        .flatten()
        .filter_map(|container| container.get("ports")?.as_array())
        .flatten()
        .filter_map(|port| port.get("hostPort")?.as_i64())
        .collect()
}

/// Host ports that a game server records.
pub fn recorded_ports(server: &Value) -> Vec<i64> {
    let ports = server.pointer("/status/ports").and_then(Value::as_array);
    ports
        .into_iter()
        .flatten()
        .filter_map(|port| port.get("port")?.as_i64())
        .collect()
}

/// A time at a path.
pub fn time(object: &Value, path: &str) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_str(text(object, path)).ok()
}
