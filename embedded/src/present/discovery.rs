//! Discovery: which groups, versions and resources there are, in the old documents and in the
//! aggregated one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::kinds::builtin::{Subresource, subresources};
use crate::kinds::{Kind, Kinds, by_priority};

/// Content type of aggregated discovery.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The Kubernetes release whose behavior this API server has.
const RELEASE: (&str, &str, &str) = ("1", "35", "v1.35.4+muster");

/// Built-in groups in the order in which the API server lists them. Groups of definitions follow,
/// and then those of aggregated servers.
const GROUPS: [&str; 10] = [
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "policy",
    "rbac.authorization.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
];
const LAST_GROUP: &str = "metrics.k8s.io";

/// Whether a client that sends this `Accept` header wants aggregated discovery.
pub fn wants_aggregated(accept: &str) -> bool {
    accept.split(',').any(|media| {
        let has = |wanted: &str| media.split(';').any(|part| part.trim() == wanted);
        has("application/json")
            && has("g=apidiscovery.k8s.io")
            && has("v=v2")
            && has("as=APIGroupDiscoveryList")
    })
}

/// `/version`.
pub fn version() -> Value {
    let (major, minor, release) = RELEASE;
    json!({
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": "34",
        "gitVersion": release,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    })
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `/`: every path that can be asked.
pub fn paths(kinds: &Kinds) -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (name, versions) in groups_by_name(kinds) {
        if name.is_empty() {
            continue;
        }
        paths.push(format!("/apis/{name}"));
        paths.extend(
            versions
                .iter()
                .map(|(version, _)| format!("/apis/{name}/{version}")),
        );
    }
    for path in [
        "/healthz",
        "/livez",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ] {
        paths.push(path.to_owned());
    }
    paths.sort();
    json!({ "paths": paths })
}

/// `/api`. `address` is host and port at which clients reach the server.
pub fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address }],
    })
}

/// `/apis`.
pub fn groups(kinds: &Kinds) -> Value {
    let groups: Vec<Value> = groups_by_name(kinds)
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| group_body(name, versions))
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/apis/GROUP`; none if there is no such group.
pub fn group(kinds: &Kinds, name: &str) -> Option<Value> {
    let groups = groups_by_name(kinds);
    let (_, versions) = groups.iter().find(|(known, _)| known == name)?;
    let mut group = group_body(name, versions);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Some(group)
}

fn group_body(name: &str, versions: &[(String, Vec<Arc<Kind>>)]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|(version, _)| json!({ "groupVersion": format!("{name}/{version}"), "version": version }))
        .collect();
    json!({ "name": name, "preferredVersion": versions.first(), "versions": versions })
}

/// `/api/v1` (for the empty group) or `/apis/GROUP/VERSION`; none if there is no such version.
pub fn resources(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let groups = groups_by_name(kinds);
    let (_, versions) = groups.iter().find(|(known, _)| known == group)?;
    let (_, kinds) = versions.iter().find(|(known, _)| known == version)?;
    let mut resources = Vec::new();
    for kind in kinds {
        resources.push(resource(kind));
        resources.extend(subresources(kind).iter().map(|part| {
            let mut entry = json!({
                "name": format!("{}/{}", kind.plural, part.name),
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": part.kind,
                "verbs": part.verbs,
            });
            if let Some((group, version)) = part.foreign {
                entry["group"] = group.into();
                entry["version"] = version.into();
            }
            entry
        }));
    }
    let mut list = json!({ "kind": "APIResourceList", "resources": resources });
    if group.is_empty() {
        list["groupVersion"] = version.into();
    } else {
        list["apiVersion"] = "v1".into();
        list["groupVersion"] = format!("{group}/{version}").into();
    }
    Some(list)
}

fn resource(kind: &Kind) -> Value {
    let mut entry = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": kind.verbs,
    });
    add_names(&mut entry, kind);
    entry
}

fn add_names(entry: &mut Value, kind: &Kind) {
    if !kind.short_names.is_empty() {
        entry["shortNames"] = kind.short_names.clone().into();
    }
    if !kind.categories.is_empty() {
        entry["categories"] = kind.categories.clone().into();
    }
}

/// Aggregated `/api`.
pub fn aggregated_core(kinds: &Kinds) -> Value {
    aggregated(
        groups_by_name(kinds)
            .iter()
            .filter(|(name, _)| name.is_empty()),
    )
}

/// Aggregated `/apis`.
pub fn aggregated_groups(kinds: &Kinds) -> Value {
    aggregated(
        groups_by_name(kinds)
            .iter()
            .filter(|(name, _)| !name.is_empty()),
    )
}

/// Versions with their kinds.
type Versions = Vec<(String, Vec<Arc<Kind>>)>;
/// A group with its versions.
type Group = (String, Versions);

fn aggregated<'a>(groups: impl Iterator<Item = &'a Group>) -> Value {
    let items: Vec<Value> = groups
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|(version, kinds)| {
                    let resources: Vec<Value> =
                        kinds.iter().map(|kind| aggregated_resource(kind)).collect();
                    json!({ "version": version, "resources": resources, "freshness": "Current" })
                })
                .collect();
            let metadata = if name.is_empty() {
                json!({})
            } else {
                json!({ "name": name })
            };
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
}

fn aggregated_resource(kind: &Kind) -> Value {
    let mut entry = json!({
        "resource": kind.plural,
        "responseKind": own_kind(kind, &kind.kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    });
    add_names(&mut entry, kind);
    let parts: Vec<Value> = subresources(kind)
        .iter()
        .map(|part| aggregated_subresource(kind, part))
        .collect();
    if !parts.is_empty() {
        entry["subresources"] = parts.into();
    }
    entry
}

fn aggregated_subresource(kind: &Kind, part: &Subresource) -> Value {
    let response = match part.foreign {
        Some((group, version)) => {
            json!({ "group": group, "version": version, "kind": part.kind })
        }
        None => own_kind(kind, &part.kind),
    };
    json!({ "subresource": part.name, "responseKind": response, "verbs": part.verbs })
}

/// Built-in kinds leave out their group and version, which the surrounding document says.
fn own_kind(kind: &Kind, name: &str) -> Value {
    if kind.schema.is_none() {
        json!({ "group": "", "version": "", "kind": name })
    } else {
        json!({ "group": kind.group, "version": kind.version, "kind": name })
    }
}

/// Groups in the order of the API server, each with its versions, the preferred one first, and
/// their kinds by resource.
fn groups_by_name(kinds: &Kinds) -> Vec<Group> {
    let mut groups: BTreeMap<&str, Versions> = BTreeMap::new();
    for kind in kinds.iter() {
        let versions = groups.entry(&kind.group).or_default();
        match versions
            .iter_mut()
            .find(|(version, _)| *version == kind.version)
        {
            Some((_, list)) => list.push(Arc::clone(kind)),
            None => versions.push((kind.version.clone(), vec![Arc::clone(kind)])),
        }
    }
    let mut groups: Vec<Group> = groups
        .into_iter()
        .map(|(name, mut versions)| {
            versions.sort_by(|(left, _), (right, _)| by_priority(left, right));
            (name.to_owned(), versions)
        })
        .collect();
    let last = GROUPS.len() + 1;
    groups.sort_by_key(|(name, _)| {
        if name == LAST_GROUP {
            return last;
        }
        GROUPS
            .iter()
            .position(|known| known == name)
            .unwrap_or(GROUPS.len())
    });
    groups
}
