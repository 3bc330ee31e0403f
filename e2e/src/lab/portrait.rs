//! The state of the cluster without what is random in it: names, uids, times, places. Pure.
//!
//! Two runs of one scenario must end in equal portraits, whatever went wrong on the way.

use std::fmt::Write as _;

use serde_json::Value;

use super::mirror::{Mirror, is_being_deleted, label, name, number, owner, state, text, uid};

/// Kinds that are painted in detail, or are not part of the end: what was told on the way to it
/// depends on what went wrong.
const PAINTED: [&str; 5] = ["Fleet", "GameServerSet", "GameServer", "Pod", "Event"];

/// Paints the state.
pub fn portrait(mirror: &Mirror) -> String {
    let mut lines = Vec::new();
    for fleet in mirror.all("Fleet") {
        let mut line = format!(
            "Fleet {} of {}{}: {}",
            name(fleet),
            number(fleet, "/spec/replicas"),
            leaving(fleet),
            counts(fleet)
        );
        let conditions = fleet
            .pointer("/status/conditions")
            .and_then(Value::as_array);
        for condition in conditions.into_iter().flatten() {
            let (kind, status, reason) = (
                text(condition, "/type"),
                text(condition, "/status"),
                text(condition, "/reason"),
            );
            // Writing to a text cannot fail.
            let _ = write!(line, " {kind}={status}({reason})");
        }
        lines.push(line);
        let mut sets: Vec<_> = mirror
            .owned("GameServerSet", uid(fleet))
            .map(|set| set_lines(mirror, set))
            .collect();
        sets.sort();
        lines.extend(sets.into_iter().flatten());
    }
    let mut strays: Vec<_> = mirror
        .all("GameServer")
        .filter(|server| owner(server).is_none())
        .map(|server| format!("GameServer {}", server_line(mirror, server)))
        .collect();
    strays.sort();
    lines.extend(strays);
    for request in mirror.all("MatchAllocation") {
        lines.push(format!(
            "MatchAllocation {}{}: {}{}",
            name(request),
            leaving(request),
            text(request, "/status/state"),
            if text(request, "/status/gameServerName").is_empty() {
                ""
            } else {
                " with a server"
            }
        ));
    }
    for (key, entry) in mirror.entries() {
        // They are named by what is random, and swept after an hour.
        let is_guard = key.kind == "Lease" && key.name.starts_with("request-");
        if entry.maker.is_ours() && !PAINTED.contains(&key.kind.as_str()) && !is_guard {
            lines.push(format!("{} {}", key.kind, key.name));
        }
    }
    let pods = mirror.all("Pod").count();
    lines.push(format!("{pods} pods"));
    lines.join("\n") + "\n"
}

fn set_lines(mirror: &Mirror, set: &Value) -> Vec<String> {
    let image = text(set, "/spec/template/spec/template/spec/containers/0/image");
    let mut lines = vec![format!(
        "  Set of {image} of {}{}: {}",
        number(set, "/spec/replicas"),
        leaving(set),
        counts(set)
    )];
    let mut servers: Vec<_> = mirror
        .owned("GameServer", uid(set))
        .map(|server| format!("    {}", server_line(mirror, server)))
        .collect();
    servers.sort();
    lines.extend(servers);
    lines
}

fn server_line(mirror: &Mirror, server: &Value) -> String {
    let pods: Vec<_> = mirror
        .owned("Pod", uid(server))
        .map(|pod| format!("{}{}", text(pod, "/status/phase"), leaving(pod)))
        .collect();
    let located = !text(server, "/status/address").is_empty();
    let is_of_match = !label(server, crds::meta::REQUEST_LABEL).is_empty();
    format!(
        "{}{}{}{} pods [{}]",
        state(server),
        leaving(server),
        if located { " located" } else { "" },
        if is_of_match { " for a match" } else { "" },
        pods.join(", ")
    )
}

fn counts(object: &Value) -> String {
    let count = |field: &str| number(object, &format!("/status/{field}"));
    let is_current =
        number(object, "/status/observedGeneration") == number(object, "/metadata/generation");
    format!(
        "{} ready, {} allocated, {} in all, {} ended{}",
        count("readyReplicas"),
        count("allocatedReplicas"),
        count("replicas"),
        count("shutdownReplicas"),
        if is_current { "" } else { ", outdated" }
    )
}

fn leaving(object: &Value) -> &'static str {
    if is_being_deleted(object) {
        " (leaving)"
    } else {
        ""
    }
}
