//! Which host ports are given to which game server. Pure but for the map that it is.
//!
//! A port belongs to a server from before the server is created until both the object and its pod
//! are gone. One port may be held by as many servers as there are nodes: the scheduler places
//! their pods on different ones.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// A named range of host ports, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortRange {
    pub(crate) name: String,
    pub(crate) first: u16,
    pub(crate) last: u16,
}

/// Why a range is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RangeError {
    /// The text has another form.
    #[error("must be NAME=FIRST-LAST with ports from 1 to 65535, the first not above the last")]
    Malformed,
    /// Two ranges share ports, so that a port could be given twice.
    #[error("the ranges {0} and {1} overlap")]
    Overlap(String, String),
    /// Two ranges have one name.
    #[error("the range {0} is given twice")]
    Repeated(String),
}

impl FromStr for PortRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let parse = || {
            let (name, ports) = text.trim().split_once('=')?;
            let (first, last) = ports.split_once('-')?;
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (!name.is_empty() && first >= 1 && first <= last).then(|| Self {
                name: name.to_owned(),
                first,
                last,
            })
        };
        parse().ok_or(RangeError::Malformed)
    }
}

/// All ranges; they share no port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PortRanges(BTreeMap<String, PortRange>);

impl PortRanges {
    pub(crate) fn new(ranges: Vec<PortRange>) -> Result<Self, RangeError> {
        let mut known: BTreeMap<String, PortRange> = BTreeMap::new();
        for range in ranges {
            if known.contains_key(&range.name) {
                return Err(RangeError::Repeated(range.name));
            }
            if let Some(other) = known
                .values()
                .find(|other| range.first <= other.last && other.first <= range.last)
            {
                return Err(RangeError::Overlap(other.name.clone(), range.name));
            }
            known.insert(range.name.clone(), range);
        }
        Ok(Self(known))
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Namespace and name of a game server.
pub(crate) type Holder = (String, String);

/// Why no ports could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChoiceError {
    /// The manifest names a range that the operator does not have.
    #[error(
        "spec.ports[].range: there is no port range {0}; the operator's --port-range lists them"
    )]
    UnknownRange(String),
    /// Every port of the range is held on every node.
    #[error("every port of the range {0} is in use on every node")]
    Exhausted(String),
}

/// The ports in use.
#[derive(Debug)]
pub(crate) struct PortPool {
    ranges: PortRanges,
    /// How many servers hold a port; ports that nobody holds are absent.
    uses: BTreeMap<u16, usize>,
    /// For each server the ports that its object holds and those that its pod holds.
    holders: BTreeMap<Holder, Held>,
}

#[derive(Debug, Default)]
struct Held {
    object: BTreeSet<u16>,
    pod: BTreeSet<u16>,
}

impl PortPool {
    pub(crate) const fn new(ranges: PortRanges) -> Self {
        Self {
            ranges,
            uses: BTreeMap::new(),
            holders: BTreeMap::new(),
        }
    }

    /// Chooses one port for each named range and holds them for a server.
    ///
    /// `nodes` bounds how many servers may hold one port. The port with the fewest holders is
    /// taken, the lowest of those first. A server that holds ports already keeps them: its create
    /// may have been answered late.
    pub(crate) fn choose(
        &mut self,
        nodes: usize,
        holder: &Holder,
        wanted: &[&str],
    ) -> Result<Vec<u16>, ChoiceError> {
        let held = self
            .holders
            .get(holder)
            .map(|held| held.object.clone())
            .unwrap_or_default();
        let mut chosen: Vec<u16> = Vec::new();
        for range_name in wanted {
            let range = self
                .ranges
                .0
                .get(*range_name)
                .ok_or_else(|| ChoiceError::UnknownRange((*range_name).to_owned()))?;
            let own = held
                .range(range.first..=range.last)
                .copied()
                .find(|port| !chosen.contains(port));
            if let Some(port) = own {
                chosen.push(port);
                continue;
            }
            let port = (range.first..=range.last)
                .filter(|port| !chosen.contains(port))
                .min_by_key(|port| self.uses.get(port).copied().unwrap_or(0))
                .filter(|port| self.uses.get(port).copied().unwrap_or(0) < nodes.max(1))
                .ok_or_else(|| ChoiceError::Exhausted((*range_name).to_owned()))?;
            chosen.push(port);
        }
        self.set_object(
            holder,
            held.into_iter().chain(chosen.iter().copied()).collect(),
        );
        Ok(chosen)
    }

    /// Records the ports of a server's object; none when the object is gone.
    pub(crate) fn set_object(&mut self, holder: &Holder, ports: BTreeSet<u16>) {
        self.change(holder, |held| held.object = ports);
    }

    /// Records the ports of a server's pod; none when the pod is gone.
    pub(crate) fn set_pod(&mut self, holder: &Holder, ports: BTreeSet<u16>) {
        self.change(holder, |held| held.pod = ports);
    }

    fn change(&mut self, holder: &Holder, change: impl FnOnce(&mut Held)) {
        let mut held = self.holders.remove(holder).unwrap_or_default();
        for port in held.object.union(&held.pod) {
            if let Some(count) = self.uses.get_mut(port) {
                *count -= 1;
                if *count == 0 {
                    self.uses.remove(port);
                }
            }
        }
        change(&mut held);
        for port in held.object.union(&held.pod) {
            *self.uses.entry(*port).or_default() += 1;
        }
        if !held.object.is_empty() || !held.pod.is_empty() {
            self.holders.insert(holder.clone(), held);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holder(name: &str) -> Holder {
        ("ns".to_owned(), name.to_owned())
    }

    fn pool(first: u16, last: u16) -> PortPool {
        let range = PortRange {
            name: "default".to_owned(),
            first,
            last,
        };
        PortPool::new(PortRanges::new(vec![range]).unwrap())
    }

    #[test]
    fn a_port_is_free_only_when_object_and_pod_are_gone() {
        let mut pool = pool(7000, 7000);
        assert_eq!(pool.choose(1, &holder("a"), &["default"]), Ok(vec![7000]));
        pool.set_pod(&holder("a"), [7000].into());
        pool.set_object(&holder("a"), BTreeSet::new());
        assert_eq!(
            pool.choose(1, &holder("b"), &["default"]),
            Err(ChoiceError::Exhausted("default".to_owned()))
        );
        pool.set_pod(&holder("a"), BTreeSet::new());
        assert_eq!(pool.choose(1, &holder("b"), &["default"]), Ok(vec![7000]));
    }

    #[test]
    fn a_port_is_shared_by_as_many_servers_as_there_are_nodes() {
        let mut pool = pool(7000, 7001);
        let chosen: Vec<_> = ["a", "b", "c", "d"]
            .iter()
            .map(|name| pool.choose(2, &holder(name), &["default"]).unwrap()[0])
            .collect();
        assert_eq!(chosen, [7000, 7001, 7000, 7001]);
        assert!(pool.choose(2, &holder("e"), &["default"]).is_err());
    }

    #[test]
    fn one_server_never_gets_one_port_twice() {
        let mut pool = pool(7000, 7001);
        let chosen = pool
            .choose(5, &holder("a"), &["default", "default"])
            .unwrap();
        assert_eq!(chosen, [7000, 7001]);
    }

    #[test]
    fn ranges_are_checked() {
        assert_eq!("a=1-2".parse::<PortRange>().unwrap().last, 2);
        for bad in ["", "a", "a=2-1", "a=0-5", "=1-2", "a=1-70000", "a=x-y"] {
            assert_eq!(
                bad.parse::<PortRange>(),
                Err(RangeError::Malformed),
                "{bad}"
            );
        }
        let range = |text: &str| text.parse::<PortRange>().unwrap();
        assert_eq!(
            PortRanges::new(vec![range("a=10-20"), range("b=20-30")]),
            Err(RangeError::Overlap("a".to_owned(), "b".to_owned()))
        );
        let mut pool = pool(1, 2);
        assert_eq!(
            pool.choose(1, &holder("a"), &["game"]),
            Err(ChoiceError::UnknownRange("game".to_owned()))
        );
    }

    proptest! {
        /// Whatever comes and goes, on one node no port has two holders, and nothing leaks.
        #[test]
        fn never_twice_on_one_node(steps in prop::collection::vec((0..6_u8, 0..4_u8), 1..100)) {
            let mut pool = pool(7000, 7003);
            let mut objects: BTreeMap<u8, u16> = BTreeMap::new();
            let mut pods: BTreeMap<u8, u16> = BTreeMap::new();
            for (who, what) in steps {
                let name = holder(&who.to_string());
                match what {
                    0 if !objects.contains_key(&who) && !pods.contains_key(&who) => {
                        if let Ok(chosen) = pool.choose(1, &name, &["default"]) {
                            prop_assert!(!objects.values().chain(pods.values()).any(|p| *p == chosen[0]));
                            objects.insert(who, chosen[0]);
                        }
                    }
                    1 => if let Some(port) = objects.get(&who) {
                        pods.insert(who, *port);
                        pool.set_pod(&name, [*port].into());
                    },
                    2 => { objects.remove(&who); pool.set_object(&name, BTreeSet::new()); }
                    _ => { pods.remove(&who); pool.set_pod(&name, BTreeSet::new()); }
                }
            }
            for who in 0..6 {
                pool.set_object(&holder(&who.to_string()), BTreeSet::new());
                pool.set_pod(&holder(&who.to_string()), BTreeSet::new());
            }
            prop_assert!(pool.uses.is_empty() && pool.holders.is_empty());
        }
    }
}
