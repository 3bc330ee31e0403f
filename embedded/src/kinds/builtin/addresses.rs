//! Addresses and node ports of services.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::super::fields::{flag, has, integer, items, items_mut, section, text};
use super::validation::service;
use crate::status::Cause;

/// First address and length of the prefix of service addresses, `10.96.0.0/16`.
const NETWORK: (Ipv4Addr, u32) = (Ipv4Addr::new(10, 96, 0, 0), 16);
/// Ports of nodes that services may have.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

/// What the other services have.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Addresses.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// Node ports with their protocol, such as `(30080, "TCP")`.
    pub ports: BTreeSet<(i64, String)>,
}

impl Taken {
    /// Adds what a service has.
    pub fn add(&mut self, service: &Value) {
        for address in items(service, "spec.clusterIPs") {
            if let Some(address) = address.as_str().and_then(|text| text.parse().ok()) {
                self.addresses.insert(address);
            }
        }
        for port in items(service, "spec.ports") {
            let number = integer(port, "nodePort");
            if number > 0 {
                self.ports
                    .insert((number, text(port, "protocol").to_owned()));
            }
        }
    }
}

/// Gives a service the address and the node ports that it still needs, the lowest free ones.
///
/// `old` is the service before a change: what it had it may keep. `taken` is what all other
/// services have.
pub fn allocate(service: &mut Value, old: Option<&Value>, taken: &Taken) -> Result<(), Vec<Cause>> {
    let spec = section(service, "spec");
    let kind = text(spec, "type").to_owned();
    let mut own = Taken::default();
    if let Some(old) = old {
        own.add(old);
    }
    if kind == "ExternalName" {
        return Ok(());
    }
    let mut causes = Vec::new();
    service::cluster_addresses(spec, &mut causes);
    if !causes.is_empty() {
        return Err(causes);
    }
    address(spec, &own, taken)?;
    let wants_ports = kind == "NodePort"
        || (kind == "LoadBalancer"
            && (!has(spec, "allocateLoadBalancerNodePorts")
                || flag(spec, "allocateLoadBalancerNodePorts")));
    node_ports(spec, wants_ports, &own, taken)
}

fn address(spec: &mut Value, own: &Taken, taken: &Taken) -> Result<(), Vec<Cause>> {
    let wanted = match text(spec, "clusterIP") {
        "" => items(spec, "clusterIPs")
            .first()
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        single => single.to_owned(),
    };
    if wanted.is_empty() {
        let free = hosts().find(|address| !taken.addresses.contains(address));
        let Some(free) = free else {
            return Err(vec![Cause {
                reason: "InternalError",
                message: "Internal error: failed to allocate a serviceIP: range is full".to_owned(),
                field: "spec.clusterIPs".to_owned(),
            }]);
        };
        spec["clusterIP"] = free.to_string().into();
        spec["clusterIPs"] = json!([free.to_string()]);
        return Ok(());
    }
    spec["clusterIP"] = wanted.clone().into();
    if items(spec, "clusterIPs").is_empty() {
        spec["clusterIPs"] = json!([wanted]);
    }
    // `None` and texts that validation refuses are no addresses.
    let Ok(asked) = wanted.parse::<Ipv4Addr>() else {
        return Ok(());
    };
    let problem = if !in_network(asked) {
        format!(
            "the provided IP ({asked}) is not in the valid range. The range of valid IPs is 10.96.0.0/16"
        )
    } else if taken.addresses.contains(&asked) && !own.addresses.contains(&asked) {
        "provided IP is already allocated".to_owned()
    } else {
        return Ok(());
    };
    Err(vec![Cause::invalid(
        "spec.clusterIPs",
        &format!("[\"{asked}\"]"),
        &format!("failed to allocate IP {asked}: {problem}"),
    )])
}

fn node_ports(
    spec: &mut Value,
    wants_ports: bool,
    own: &Taken,
    taken: &Taken,
) -> Result<(), Vec<Cause>> {
    let mut used = taken.ports.clone();
    let mut causes = Vec::new();
    for (index, port) in items_mut(spec, "ports").enumerate() {
        let protocol = text(port, "protocol").to_owned();
        let number = integer(port, "nodePort");
        if number == 0 {
            if wants_ports {
                let free = NODE_PORTS.clone().find(|number| {
                    !used
                        .iter()
                        .any(|(used, of)| used == number && *of == protocol)
                });
                let Some(free) = free else {
                    causes.push(Cause {
                        reason: "InternalError",
                        message: "Internal error: failed to allocate a nodePort: range is full"
                            .to_owned(),
                        field: format!("spec.ports[{index}].nodePort"),
                    });
                    continue;
                };
                port["nodePort"] = free.into();
                used.insert((free, protocol));
            }
            continue;
        }
        let key = (number, protocol);
        let problem = if !NODE_PORTS.contains(&number) {
            "provided port is not in the valid range. The range of valid ports is 30000-32767"
        } else if used.contains(&key) && !own.ports.contains(&key) {
            "provided port is already allocated"
        } else {
            used.insert(key);
            continue;
        };
        causes.push(Cause::invalid(
            format!("spec.ports[{index}].nodePort"),
            &number.to_string(),
            problem,
        ));
    }
    if causes.is_empty() {
        Ok(())
    } else {
        Err(causes)
    }
}

fn in_network(address: Ipv4Addr) -> bool {
    let shift = 32 - NETWORK.1;
    u32::from(address) >> shift == u32::from(NETWORK.0) >> shift
}

fn hosts() -> impl Iterator<Item = Ipv4Addr> {
    let first = u32::from(NETWORK.0);
    (first + 1..first + (1 << (32 - NETWORK.1)) - 1).map(Ipv4Addr::from)
}
