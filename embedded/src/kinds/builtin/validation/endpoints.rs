//! What is wrong with endpoints.

use serde_json::Value;

use super::forms::{address, choice, endpoint_address, port_number, protocol};
use crate::kinds::causes::{duplicate, each, immutable, invalid_text, too_many};
use crate::kinds::fields::{items, text};
use crate::schema::names;
use crate::status::Cause;

/// What is wrong with a text.
type Form = fn(&str) -> Vec<String>;

/// Validates an EndpointSlice.
pub(super) fn slice(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    const MOST_ENDPOINTS: usize = 1000;
    const MOST_PORTS: usize = 20_000;
    let known = ["FQDN", "IPv4", "IPv6"];
    choice("addressType", &new["addressType"], &known, causes);
    let ports = items(new, "ports");
    if ports.len() > MOST_PORTS {
        causes.push(too_many("ports", ports.len(), MOST_PORTS));
    } else {
        slice_ports(ports, causes);
    }
    let endpoints = items(new, "endpoints");
    if old.is_some_and(|old| old["endpoints"] == new["endpoints"]) {
        // What was there before may stay, even if it does not fit another type of addresses.
    } else if endpoints.len() > MOST_ENDPOINTS {
        causes.push(too_many("endpoints", endpoints.len(), MOST_ENDPOINTS));
    } else {
        for (index, endpoint) in endpoints.iter().enumerate() {
            let path = format!("endpoints[{index}]");
            one_endpoint(endpoint, &path, text(new, "addressType"), causes);
        }
    }
    if let Some(old) = old
        && old["addressType"] != new["addressType"]
    {
        causes.push(immutable("addressType", &new["addressType"]));
    }
}

fn slice_ports(ports: &[Value], causes: &mut Vec<Cause>) {
    let mut known: Vec<&str> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let name = text(port, "name");
        let field = format!("ports[{index}].name");
        if !name.is_empty() {
            causes.extend(each(&field, name, names::dns_label(name)));
        }
        if known.contains(&name) {
            causes.push(duplicate(field, &name.into()));
        } else {
            known.push(name);
        }
        protocol(
            &format!("ports[{index}].protocol"),
            &port["protocol"],
            causes,
        );
    }
}

fn one_endpoint(endpoint: &Value, path: &str, kind: &str, causes: &mut Vec<Cause>) {
    const MOST: usize = 100;
    let field = format!("{path}.addresses");
    let addresses = items(endpoint, "addresses");
    if addresses.is_empty() {
        causes.push(Cause::required(
            field.as_str(),
            "must contain at least 1 address",
        ));
    } else if addresses.len() > MOST {
        causes.push(too_many(field.as_str(), addresses.len(), MOST));
    }
    for (index, value) in addresses.iter().enumerate() {
        let value = value.as_str().unwrap_or_default();
        let place = format!("{field}[{index}]");
        if kind == "FQDN" {
            causes.extend(each(&place, value, names::dns_subdomain(value)));
        } else if let Some(parsed) = address(&place, value, causes) {
            let fits = match kind {
                "IPv4" => parsed.is_ipv4(),
                "IPv6" => parsed.is_ipv6(),
                _ => continue,
            };
            if !fits {
                let detail = format!("must be an {kind} address");
                causes.push(invalid_text(field.as_str(), value, &detail));
            }
            endpoint_address(&place, parsed, causes);
        }
    }
    let forms: [(&str, Form); 2] = [
        ("nodeName", names::dns_subdomain),
        ("hostname", names::dns_label),
    ];
    for (key, form) in forms {
        if let Some(name) = endpoint[key].as_str() {
            causes.extend(each(&format!("{path}.{key}"), name, form(name)));
        }
    }
}

/// Validates Endpoints.
pub(super) fn endpoints(new: &Value, causes: &mut Vec<Cause>) {
    for (index, subset) in items(new, "subsets").iter().enumerate() {
        let path = format!("subsets[{index}]");
        let ready = items(subset, "addresses");
        let waiting = items(subset, "notReadyAddresses");
        if ready.is_empty() && waiting.is_empty() {
            causes.push(Cause::required(
                path.as_str(),
                "must specify `addresses` or `notReadyAddresses`",
            ));
        }
        for (list, addresses) in [("addresses", ready), ("notReadyAddresses", waiting)] {
            for (index, entry) in addresses.iter().enumerate() {
                let field = format!("{path}.{list}[{index}].ip");
                if let Some(parsed) = address(&field, text(entry, "ip"), causes) {
                    endpoint_address(&field, parsed, causes);
                }
            }
        }
        let ports = items(subset, "ports");
        for (index, port) in ports.iter().enumerate() {
            let field = |key: &str| format!("{path}.ports[{index}].{key}");
            let name = text(port, "name");
            if name.is_empty() {
                if ports.len() > 1 {
                    causes.push(Cause::required(field("name"), ""));
                }
            } else {
                causes.extend(each(&field("name"), name, names::dns_label(name)));
            }
            port_number(&field("port"), &port["port"], causes);
            protocol(&field("protocol"), &port["protocol"], causes);
        }
    }
}
