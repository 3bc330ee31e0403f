//! Events are served by two groups over the same objects: as `v1` and as `events.k8s.io/v1`,
//! which names some fields otherwise.

use serde_json::Value;

use super::{Kind, builtin};

/// Group, version and plural of the kind under which objects of this kind are stored; none if it
/// is stored as itself.
pub fn storage(kind: &Kind) -> Option<(&'static str, &'static str, &'static str)> {
    (kind.group == "events.k8s.io" && kind.plural == "events").then_some(("", "v1", "events"))
}

/// Fields whose names differ: core's, and that of `events.k8s.io`.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// A core Event as `events.k8s.io/v1` shows it.
pub fn from_storage(event: &mut Value) {
    convert(event, RENAMED);
    event["apiVersion"] = "events.k8s.io/v1".into();
    builtin::reshape("events.k8s.io", "v1", "Event", event);
}

/// An `events.k8s.io/v1` Event as the core Event that is stored.
pub fn to_storage(event: &mut Value) {
    convert(event, RENAMED.map(|(core, other)| (other, core)));
    event["apiVersion"] = "v1".into();
    builtin::reshape("", "v1", "Event", event);
}

fn convert(event: &mut Value, names: [(&str, &str); 7]) {
    let Some(fields) = event.as_object_mut() else {
        return;
    };
    for (from, to) in names {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_survives_the_way_through_the_other_group() {
        let core = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "name": "a", "namespace": "b" },
            "involvedObject": { "kind": "Pod", "name": "c" },
            "reason": "Started",
            "message": "m",
            "source": { "component": "kubelet" },
            "firstTimestamp": "2026-01-01T00:00:00Z",
            "lastTimestamp": "2026-01-01T00:00:00Z",
            "count": 3,
            "type": "Normal",
            "eventTime": null,
            "reportingComponent": "kubelet",
            "reportingInstance": "",
        });
        let mut event = core.clone();
        from_storage(&mut event);
        assert_eq!(
            event,
            json!({
                "apiVersion": "events.k8s.io/v1",
                "kind": "Event",
                "metadata": { "name": "a", "namespace": "b" },
                "regarding": { "kind": "Pod", "name": "c" },
                "reason": "Started",
                "note": "m",
                "deprecatedSource": { "component": "kubelet" },
                "deprecatedFirstTimestamp": "2026-01-01T00:00:00Z",
                "deprecatedLastTimestamp": "2026-01-01T00:00:00Z",
                "deprecatedCount": 3,
                "type": "Normal",
                "eventTime": null,
                "reportingController": "kubelet",
            })
        );
        to_storage(&mut event);
        assert_eq!(event, core);
    }
}
