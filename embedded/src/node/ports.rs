//! Ports: processes share the network of the host, so every port of a pod gets one of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Variables by which Agones tells every container where the SDK listens.
const SDK_PORTS: [&str; 2] = ["AGONES_SDK_GRPC_PORT", "AGONES_SDK_HTTP_PORT"];

/// The port of the host for each port of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ports(BTreeMap<u16, u16>);

impl Ports {
    /// The port of the host that stands for a port of the pod; the same if the pod does not
    /// know it.
    pub(super) fn of(&self, port: u16) -> u16 {
        self.get(port).unwrap_or(port)
    }

    /// The port of the host that stands for a port of the pod.
    pub(super) fn get(&self, port: u16) -> Option<u16> {
        self.0.get(&port).copied()
    }

    /// The ports of the host.
    pub(super) fn taken(&self) -> impl Iterator<Item = u16> {
        self.0.values().copied()
    }
}

impl FromIterator<(u16, u16)> for Ports {
    fn from_iter<I: IntoIterator<Item = (u16, u16)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// The containers of a pod in the order in which they start.
pub(super) fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
}

/// The ports of a pod, each with the port of the host that it must have, if any.
///
/// A pod's ports are those that its containers declare, those that its probes and hooks name by
/// number, and those of the SDK. The host port counts per number: one number cannot lead to two
/// host ports, because a command line does not say which protocol it means.
pub(super) fn wanted(spec: &PodSpec) -> BTreeMap<u16, Option<u16>> {
    let mut wanted: BTreeMap<u16, Option<u16>> = BTreeMap::new();
    let mut want = |port: Option<u16>, host: Option<u16>| {
        if let Some(port) = port {
            let entry = wanted.entry(port).or_default();
            *entry = entry.or(host);
        }
    };
    for container in containers(spec) {
        for port in container.ports.iter().flatten() {
            want(number(port.container_port), port.host_port.and_then(number));
        }
        for port in probed(container) {
            want(Some(port), None);
        }
        for variable in container.env.iter().flatten() {
            if SDK_PORTS.contains(&variable.name.as_str()) {
                let value = variable.value.as_deref().unwrap_or_default();
                want(value.parse().ok().filter(|port| *port > 0), None);
            }
        }
    }
    if spec.host_network == Some(true) {
        for (port, host) in &mut wanted {
            *host = Some(*port);
        }
    }
    wanted
}

/// Ports that the probes and hooks of a container name by number.
pub(super) fn probed(container: &Container) -> BTreeSet<u16> {
    let probes = [
        &container.startup_probe,
        &container.liveness_probe,
        &container.readiness_probe,
    ];
    let mut ports = BTreeSet::new();
    let mut add = |port: &IntOrString| {
        if let IntOrString::Int(port) = port {
            ports.extend(number(*port));
        }
    };
    for probe in probes.into_iter().flatten() {
        probe.http_get.iter().for_each(|get| add(&get.port));
        probe.tcp_socket.iter().for_each(|tcp| add(&tcp.port));
        probe
            .grpc
            .iter()
            .for_each(|grpc| add(&IntOrString::Int(grpc.port)));
    }
    let lifecycle = container.lifecycle.as_ref();
    let hooks = [
        lifecycle.and_then(|hooks| hooks.post_start.as_ref()),
        lifecycle.and_then(|hooks| hooks.pre_stop.as_ref()),
    ];
    for hook in hooks.into_iter().flatten() {
        hook.http_get.iter().for_each(|get| add(&get.port));
        hook.tcp_socket.iter().for_each(|tcp| add(&tcp.port));
    }
    ports
}

/// The port that a probe or hook means: a number, or the name of one of the container's ports.
pub(super) fn named(container: &Container, port: &IntOrString) -> Option<u16> {
    match port {
        IntOrString::Int(port) => number(*port),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_deref() == Some(name))
            .and_then(|port| number(port.container_port))
            .or_else(|| name.parse().ok()),
    }
}

/// Hands out ports of the host, for those that the pods do not choose themselves.
///
/// Its range should lie outside of the one from which the system takes ports for outgoing
/// connections. A port that was given back is used again as late as possible.
#[derive(Debug)]
pub(super) struct Pool {
    range: RangeInclusive<u16>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    taken: BTreeSet<u16>,
    /// Where the search goes on.
    next: u16,
}

impl Pool {
    /// A pool that begins to search at a place in its range that `seed` decides, so that two
    /// nodes on one host rarely try the same port at the same time.
    pub(super) fn new(range: RangeInclusive<u16>, seed: u32) -> Self {
        let length = u32::from(range.end().saturating_sub(*range.start())) + 1;
        let offset = u16::try_from(seed % length).unwrap_or_default();
        let state = State {
            taken: BTreeSet::new(),
            next: range.start().saturating_add(offset),
        };
        Self {
            range,
            state: Mutex::new(state),
        }
    }

    /// Gives each port of a pod its port of the host; none if the pool is exhausted.
    pub(super) fn assign(&self, wanted: &BTreeMap<u16, Option<u16>>) -> Option<Ports> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ports = BTreeMap::new();
        for (port, host) in wanted {
            let chosen = match host {
                Some(host) => *host,
                None => self.search(&mut state, usable)?,
            };
            state.taken.insert(chosen);
            ports.insert(*port, chosen);
        }
        Some(Ports(ports))
    }

    /// Takes ports back.
    pub(super) fn release(&self, ports: &Ports) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for port in ports.taken() {
            state.taken.remove(&port);
        }
    }

    fn search(&self, state: &mut State, usable: impl Fn(u16) -> bool) -> Option<u16> {
        for _ in self.range.clone() {
            let port = state.next;
            state.next = if port >= *self.range.end() {
                *self.range.start()
            } else {
                port + 1
            };
            if !state.taken.contains(&port) && usable(port) {
                return Some(port);
            }
        }
        None
    }
}

/// Whether nobody listens on a port, be it TCP or UDP.
fn usable(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: serde_json::Value) -> PodSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn declared_probed_and_sdk_ports_are_the_pods() {
        let spec = spec(json!({
            "initContainers": [{
                "name": "sdk",
                "livenessProbe": { "httpGet": { "port": 8080 } },
                "lifecycle": { "preStop": { "httpGet": { "port": 8081 } } },
            }],
            "containers": [{
                "name": "game",
                "ports": [
                    { "containerPort": 7654, "hostPort": 7001, "protocol": "UDP" },
                    { "containerPort": 7654, "hostPort": 7002, "protocol": "TCP" },
                    { "containerPort": 9000, "name": "web" },
                ],
                "env": [{ "name": "AGONES_SDK_GRPC_PORT", "value": "9357" }],
                "readinessProbe": { "tcpSocket": { "port": "web" } },
                "startupProbe": { "grpc": { "port": 9001 } },
            }],
        }));
        let expected = [
            (7654, Some(7001)),
            (8080, None),
            (8081, None),
            (9000, None),
            (9001, None),
            (9357, None),
        ];
        assert_eq!(wanted(&spec), expected.into_iter().collect());
        let web = IntOrString::String("web".to_owned());
        assert_eq!(named(&spec.containers[0], &web), Some(9000));
        let none = IntOrString::String("none".to_owned());
        assert_eq!(named(&spec.containers[0], &none), None);
    }

    #[test]
    fn a_pod_on_the_hosts_network_keeps_its_ports() {
        let spec = spec(json!({
            "hostNetwork": true,
            "containers": [{ "name": "game", "ports": [{ "containerPort": 7654 }] }],
        }));
        assert_eq!(wanted(&spec), [(7654, Some(7654))].into_iter().collect());
    }

    #[test]
    fn ports_are_given_once_and_used_again_late() {
        let pool = Pool::new(100..=103, 6);
        let mut state = pool.state.lock().unwrap();
        let take = |state: &mut State| {
            let port = pool.search(state, |port| port != 101);
            state.taken.extend(port);
            port
        };
        assert_eq!(take(&mut state), Some(102));
        assert_eq!(take(&mut state), Some(103));
        state.taken.remove(&103);
        assert_eq!(take(&mut state), Some(100));
        assert_eq!(take(&mut state), Some(103));
        assert_eq!(take(&mut state), None);
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let pool = Pool::new(port..=port, 0);
        let any = [(1, None)].into_iter().collect();
        assert_eq!(pool.assign(&any), None);
        drop(listener);
        let ports = pool.assign(&any).unwrap();
        assert_eq!(ports.of(1), port);
        assert_eq!(pool.assign(&any), None);
        pool.release(&ports);
        assert_eq!(pool.assign(&any), Some(ports));
    }
}
