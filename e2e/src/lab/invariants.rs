//! What must hold at every moment, checked after every single write. Pure.
//!
//! The numbers in the comments are those of the invariants in the architecture paper.

use std::collections::{BTreeMap, BTreeSet};

use crds::meta;
use crds::state::State;
use serde_json::Value;

use super::mirror::{
    Entry, Key, Mirror, Writer, annotation, is_being_deleted, is_live, label, name, number, owner,
    owners, recorded_ports, runs, state, text, uid,
};

/// Annotation by which the allocator marks what it has written.
const ALLOCATION_ID: &str = "muster.dev/allocation-id";

/// One write.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// Whose.
    pub writer: Writer,
    /// Of which object.
    pub key: &'a Key,
    /// The object before; none if it was made.
    pub before: Option<&'a Value>,
    /// The object after; none if it is gone.
    pub after: Option<&'a Value>,
}

/// What must be remembered to judge the next write.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Servers that an allocation id was written to, ever.
    allocations: BTreeMap<String, BTreeSet<String>>,
    /// Most servers that each fleet was ever told to have, by its uid.
    most_replicas: BTreeMap<String, i64>,
    /// Servers that were Allocated with the label of a match, by the match's uid.
    served: BTreeMap<String, BTreeSet<String>>,
    /// The server, by its uid, that a match was given last and that was not released since.
    unreleased: BTreeMap<String, String>,
    /// Owners that a component of ours has deleted, by uid.
    deleted_by_us: BTreeSet<String>,
}

impl Memory {
    /// Judges a write; `mirror` is the state after it. Returns everything that is broken.
    pub fn judge(&mut self, mirror: &Mirror, write: &Write<'_>) -> Vec<String> {
        let mut broken = match write.key.kind.as_str() {
            "GameServer" => self.game_server(mirror, write),
            "GameServerSet" => self.set(mirror, write),
            "Fleet" => self.fleet(write),
            "MatchAllocation" => self.request(write),
            "Pod" => pod(mirror, write),
            _ => Vec::new(),
        };
        for text in &mut broken {
            *text = format!(
                "{} {} by {:?}: {text}",
                write.key.kind, write.key.name, write.writer
            );
        }
        broken
    }

    fn game_server(&mut self, mirror: &Mirror, write: &Write<'_>) -> Vec<String> {
        let mut broken = Vec::new();
        let ours = write.writer.is_ours();
        match (write.before, write.after) {
            (None, Some(after)) => {
                broken.extend(self.too_many(mirror, write, after));
                broken.extend(shared_ports(mirror, after));
            }
            (Some(before), after) => {
                let goes = after.is_none_or(is_being_deleted) && !is_being_deleted(before);
                let by_us = ours || self.is_deleted_by_us(before);
                // 1: held servers are never deleted or replaced by us.
                if goes && by_us && state(before).is_held() {
                    broken.push(format!("a {} server was deleted", state(before)));
                }
                if let Some(after) = after {
                    broken.extend(illegal_change(write.writer, before, after));
                }
            }
            (None, None) => {}
        }
        if let Some(after) = write.after {
            broken.extend(self.allocated(mirror, write, after));
        }
        broken
    }

    /// The garbage collector acts for whoever deleted the owner.
    fn is_deleted_by_us(&self, server: &Value) -> bool {
        owner(server).is_some_and(|owner| self.deleted_by_us.contains(owner.uid))
    }

    /// 2: a server has at most one allocation, an allocation at most one server.
    fn allocated(&mut self, mirror: &Mirror, write: &Write<'_>, after: &Value) -> Vec<String> {
        let mut broken = Vec::new();
        let id = annotation(after, ALLOCATION_ID);
        let known = write.before.map(|before| annotation(before, ALLOCATION_ID));
        if !id.is_empty() && known != Some(id) {
            let servers = self.allocations.entry(id.to_owned()).or_default();
            servers.insert(uid(after).to_owned());
            if servers.len() > 1 {
                broken.push(format!("allocation {id} got a second server"));
            }
            let was = write.before.map(state).unwrap_or_default();
            if was != State::Ready {
                broken.push(format!("a {was} server was allocated"));
            }
            if write.before.is_some_and(is_being_deleted) {
                broken.push("a server that is being deleted was allocated".to_owned());
            }
        }
        let of_match = label(after, meta::REQUEST_LABEL);
        if let Some(before) = write.before {
            self.released(before, after);
        }
        if !of_match.is_empty() && state(after) == State::Allocated {
            let given = self.unreleased.entry(of_match.to_owned());
            let given = given.or_insert_with(|| uid(after).to_owned());
            if given != uid(after) {
                broken.push(format!("match {of_match} got a second server, by its uid"));
                uid(after).clone_into(given);
            }
            let served = self.served.entry(of_match.to_owned()).or_default();
            served.insert(name(after).to_owned());
            let holders = mirror
                .all("GameServer")
                .filter(|server| {
                    label(server, meta::REQUEST_LABEL) == of_match
                        && state(server) == State::Allocated
                        && !is_being_deleted(server)
                })
                .count();
            if holders > 1 {
                broken.push(format!("match {of_match} holds {holders} servers"));
            }
        }
        broken
    }

    /// Forgets the server of a match that somebody released: it ends, or is free again. One that
    /// failed or was lost was not released, and the match gets no other.
    fn released(&mut self, before: &Value, after: &Value) {
        let of_match = label(before, meta::REQUEST_LABEL);
        let is_released =
            state(after) == State::Shutdown || label(after, meta::REQUEST_LABEL) != of_match;
        if is_released && self.unreleased.get(of_match).map(String::as_str) == Some(uid(after)) {
            self.unreleased.remove(of_match);
        }
    }

    /// A fleet never has more live servers than its size, its surge and what is held.
    fn too_many(&self, mirror: &Mirror, write: &Write<'_>, server: &Value) -> Option<String> {
        if write.writer != Writer::Operator {
            return None;
        }
        let set = mirror.by_uid("GameServerSet", owner(server)?.uid)?;
        let fleet = mirror.by_uid("Fleet", owner(set)?.uid)?;
        let most = *self.most_replicas.get(uid(fleet))?;
        let mut live = 0;
        let mut held = 0;
        for set in mirror.owned("GameServerSet", uid(fleet)) {
            for server in mirror.owned("GameServer", uid(set)) {
                live += i64::from(is_live(server));
                held += i64::from(is_live(server) && state(server).is_held());
            }
        }
        let bound = most + surge(fleet, most) + held;
        (live > bound).then(|| format!("the fleet has {live} servers, more than {bound}"))
    }

    fn set(&mut self, mirror: &Mirror, write: &Write<'_>) -> Vec<String> {
        let Some(before) = write.before else {
            return Vec::new();
        };
        let goes = write.after.is_none_or(is_being_deleted) && !is_being_deleted(before);
        if !goes || write.writer != Writer::Operator {
            return Vec::new();
        }
        self.deleted_by_us.insert(uid(before).to_owned());
        mirror
            .owned("GameServer", uid(before))
            .filter(|server| state(server).is_held() && !is_being_deleted(server))
            .map(|server| format!("a set was deleted with the held server {}", name(server)))
            .collect()
    }

    fn fleet(&mut self, write: &Write<'_>) -> Vec<String> {
        let mut broken = Vec::new();
        if let Some(after) = write.after {
            let replicas = number(after, "/spec/replicas");
            let most = self.most_replicas.entry(uid(after).to_owned()).or_default();
            *most = replicas.max(*most);
        }
        let deletes = write.after.is_none_or(is_being_deleted)
            && write.before.is_some_and(|before| !is_being_deleted(before));
        if deletes && write.writer == Writer::Operator {
            broken.push("the operator deleted a fleet".to_owned());
        }
        broken
    }

    /// 3: what a match is told was a server of that match.
    fn request(&self, write: &Write<'_>) -> Vec<String> {
        let Some(after) = write.after else {
            return Vec::new();
        };
        let mut broken = Vec::new();
        let server = text(after, "/status/gameServerName");
        let told = write
            .before
            .map(|before| text(before, "/status/gameServerName"))
            .unwrap_or_default();
        if server != told {
            if !told.is_empty() {
                broken.push(format!("was told of {told} and then of {server}"));
            }
            let holders = self.served.get(uid(after));
            if !holders.is_some_and(|holders| holders.contains(server)) {
                broken.push(format!("was told of {server}, which was never held for it"));
            }
        }
        let state = |object: &Value| text(object, "/status/state").to_owned();
        let was = write.before.map(state).unwrap_or_default();
        let is = state(after);
        let is_final = ["Released", "Lost"].contains(&was.as_str());
        if is != was && (is_final || was == "Allocated" && is == "Pending") {
            broken.push(format!("went from {was} to {is}"));
        }
        broken
    }
}

fn illegal_change(writer: Writer, before: &Value, after: &Value) -> Option<String> {
    let (was, is) = (state(before), state(after));
    if was == is {
        return None;
    }
    let legal = was.can_become(is);
    // Only what has no status yet may leave the first state by it.
    let first = before.pointer("/status/state").is_none();
    (!legal && !first && writer != Writer::User).then(|| format!("went from {was} to {is}"))
}

/// A lease changes hands only when its holder gave it up or did not renew it in time. All clocks
/// of the lab are one.
pub fn stolen(before: &Value, after: &Value) -> Option<String> {
    let holder = |lease: &Value| text(lease, "/spec/holderIdentity").to_owned();
    let (was, is) = (holder(before), holder(after));
    if was.is_empty() || is.is_empty() || was == is {
        return None;
    }
    let time = |lease: &Value| {
        text(lease, "/spec/renewTime")
            .parse::<jiff::Timestamp>()
            .ok()
    };
    let age = time(after)?.duration_since(time(before)?).as_secs();
    let valid = number(before, "/spec/leaseDurationSeconds");
    (age < valid).then(|| format!("{is} took the lease of {was} after {age} of {valid} seconds"))
}

fn surge(fleet: &Value, replicas: i64) -> i64 {
    match fleet.pointer("/spec/strategy/rollingUpdate/maxSurge") {
        Some(Value::Number(count)) => count.as_i64().unwrap_or_default(),
        Some(Value::String(percent)) => {
            let percent: i64 = percent.trim_end_matches('%').parse().unwrap_or_default();
            (replicas * percent).div_euclid(100)
                + i64::from((replicas * percent).rem_euclid(100) > 0)
        }
        _ => 0,
    }
}

/// A host port has at most as many holders as there are nodes.
fn shared_ports(mirror: &Mirror, server: &Value) -> Vec<String> {
    let nodes = mirror.all("Node").count().max(1);
    let holders = |port: i64| {
        let servers = mirror.all("GameServer").filter(|other| {
            uid(other) != uid(server)
                && recorded_ports(other).contains(&port)
                && holds(mirror, other)
        });
        servers.count() + 1
    };
    recorded_ports(server)
        .into_iter()
        .filter(|port| *port != 0 && holders(*port) > nodes)
        .map(|port| format!("port {port} has {} holders on {nodes} nodes", holders(port)))
        .collect()
}

/// Whether a server's object or pod stands for its ports.
fn holds(mirror: &Mirror, server: &Value) -> bool {
    is_live(server) || mirror.owned("Pod", uid(server)).any(|pod| runs(pod))
}

/// On one node, no host port has two pods.
fn pod(mirror: &Mirror, write: &Write<'_>) -> Vec<String> {
    let Some(pod) = write.after.filter(|pod| runs(pod)) else {
        return Vec::new();
    };
    let node = text(pod, "/spec/nodeName");
    let was_there = write
        .before
        .is_some_and(|before| text(before, "/spec/nodeName") == node);
    if node.is_empty() || was_there {
        return Vec::new();
    }
    let ports = super::mirror::host_ports(pod);
    mirror
        .all("Pod")
        .filter(|other| {
            uid(other) != uid(pod) && runs(other) && text(other, "/spec/nodeName") == node
        })
        .flat_map(|other| {
            let taken = super::mirror::host_ports(other);
            let other = name(other).to_owned();
            let shared: Vec<_> = ports.iter().filter(|port| taken.contains(port)).collect();
            shared
                .into_iter()
                .map(|port| format!("shares host port {port} with {other}"))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What our components make and nobody owns, by kind and name, with `*` for every end of a name.
/// Each of these is no leak, because there can be only one in its namespace, or because it ends by
/// itself.
const STAYS: [(&str, &str); 7] = [
    // Which replica leads.
    ("Lease", "muster-operator"),
    // The authority that signs the hubs' certificates, and what it is known by.
    ("Secret", "muster-hub-ca"),
    ("ConfigMap", "muster-hub-ca"),
    // The master keys of connect tokens.
    ("Secret", "muster-connect-keys"),
    // Keeps a request id from getting a second server; the allocator sweeps it an hour later.
    ("Lease", "request-*"),
    // Covers all servers of the namespace that must not be evicted.
    (
        "PodDisruptionBudget",
        "muster-gameserver-safe-to-evict-false",
    ),
    // The API server ends it after an hour.
    ("Event", "*"),
];

/// Objects of any kind that should not be there when nothing moves any more.
fn leaks(mirror: &Mirror) -> Vec<String> {
    let uids: BTreeSet<&str> = mirror
        .entries()
        .map(|(_, entry)| uid(&entry.object))
        .collect();
    let leak = |key: &Key, entry: &Entry| {
        let owners = owners(&entry.object);
        let stays = |(kind, name): &(&str, &str)| {
            key.kind == *kind
                && match name.strip_suffix('*') {
                    Some(start) => key.name.starts_with(start),
                    None => key.name == *name,
                }
        };
        if is_being_deleted(&entry.object) {
            Some("is still there, though it was deleted".to_owned())
        } else if !owners.is_empty() && !owners.iter().any(|owner| uids.contains(owner)) {
            Some("outlives its owner".to_owned())
        } else if owners.is_empty() && entry.maker.is_ours() && !STAYS.iter().any(stays) {
            Some(format!(
                "was made by the {:?} and has no owner",
                entry.maker
            ))
        } else {
            None
        }
    };
    mirror
        .entries()
        .filter_map(|(key, entry)| {
            let what = leak(key, entry)?;
            Some(format!("{} {} {what}", key.kind, key.name))
        })
        .collect()
}

/// What must hold when nothing moves any more: nothing is left over, and statuses tell the truth.
pub fn at_rest(mirror: &Mirror) -> Vec<String> {
    let mut broken = leaks(mirror);
    for server in mirror.all("GameServer") {
        let has_pod = mirror.owned("Pod", uid(server)).next().is_some();
        if is_live(server)
            && !has_pod
            && annotation(server, meta::DEV_ADDRESS_ANNOTATION).is_empty()
        {
            broken.push(format!("GameServer {} has no pod", name(server)));
        }
    }
    for (kind, children) in [("GameServerSet", None), ("Fleet", Some("GameServerSet"))] {
        for parent in mirror.all(kind) {
            let servers: Vec<_> = match children {
                None => mirror.owned("GameServer", uid(parent)).collect(),
                Some(children) => mirror
                    .owned(children, uid(parent))
                    .flat_map(|set| mirror.owned("GameServer", uid(set)))
                    .collect(),
            };
            let count = |wanted: fn(&Value) -> bool| {
                let found = servers.iter().filter(|server| wanted(server)).count();
                i64::try_from(found).unwrap_or(i64::MAX)
            };
            for (field, true_count) in [
                ("replicas", count(is_live)),
                (
                    "readyReplicas",
                    count(|server| is_live(server) && state(server) == State::Ready),
                ),
                (
                    "allocatedReplicas",
                    count(|server| is_live(server) && state(server) == State::Allocated),
                ),
            ] {
                let told = number(parent, &format!("/status/{field}"));
                if told != true_count {
                    broken.push(format!(
                        "{kind} {} says {field} {told}, there are {true_count}",
                        name(parent)
                    ));
                }
            }
        }
    }
    for request in mirror.all("MatchAllocation") {
        let holders = mirror
            .all("GameServer")
            .filter(|server| {
                label(server, meta::REQUEST_LABEL) == uid(request)
                    && state(server) == State::Allocated
            })
            .count();
        let wanted = usize::from(text(request, "/status/state") == "Allocated");
        if holders != wanted {
            broken.push(format!(
                "MatchAllocation {} is {} and holds {holders} servers",
                name(request),
                text(request, "/status/state")
            ));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(uid: &str, state: &str, of_match: &str) -> Value {
        json!({
            "kind": "GameServer",
            "metadata": { "name": uid, "uid": uid, "labels": { meta::REQUEST_LABEL: of_match } },
            "status": { "state": state },
        })
    }

    #[test]
    fn a_match_gets_a_second_server_only_after_the_first_was_released() {
        let first = server("a", "Allocated", "m");
        let ended = [
            (server("a", "Shutdown", "m"), true),
            (server("a", "Ready", ""), true),
            (server("a", "Unhealthy", "m"), false),
        ];
        for (end, is_released) in ended {
            let mut memory = Memory::default();
            let mut judge = |before: Option<&Value>, after: &Value| {
                let write = Write {
                    writer: Writer::Allocator,
                    key: &Key::of(after),
                    before,
                    after: Some(after),
                };
                memory.judge(&Mirror::default(), &write)
            };
            let ready = server("a", "Ready", "");
            assert_eq!(judge(Some(&ready), &first), [""; 0]);
            assert_eq!(judge(Some(&first), &end), [""; 0]);
            let other = server("b", "Ready", "");
            let broken = judge(Some(&other), &server("b", "Allocated", "m"));
            assert_eq!(broken.is_empty(), is_released, "{end} {broken:?}");
        }
    }
}
