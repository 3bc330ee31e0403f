//! Binding of pods to nodes.

use serde_json::{Value, json};

use super::super::Api;
use super::super::call::Answer;
use super::super::request::Request;
use super::super::write::{Intent, time};
use super::{create_options, done, read};
use crate::object::meta;
use crate::status::Status;

impl Api {
    /// Assigns a pod to a node.
    pub(super) fn bind(&self, request: &Request<'_>) -> Result<Answer, Status> {
        let options = create_options(request)?;
        let binding = read(request)?;
        let name = request.name();
        let own = meta(&binding, "name");
        if !own.is_empty() && own != name {
            return Err(Status::bad_request(
                "name in URL does not match name in Binding object",
            ));
        }
        let target = |field: &str| {
            binding
                .pointer(&format!("/target/{field}"))
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let node = target("name");
        if !matches!(target("kind"), "" | "Node") {
            return Err(Status::new(
                500,
                "",
                format!(
                    "target.kind: Unsupported value: {:?}: supported values: \"Node\", \"<empty>\"",
                    target("kind")
                ),
            ));
        }
        if node.is_empty() {
            return Err(Status::new(500, "", "target.name: Required value"));
        }
        let mut intent = Intent::of(self, request.call, &options, "binding");
        // Nobody owns what a binding sets, and it may set what an update may not.
        intent.manager = None;
        intent.checked = false;
        let mut writing = self.begin();
        let served = request.served;
        let key = served.key(request.namespace(), name);
        let stored = writing
            .get(&served.resource, &key)
            .ok_or_else(|| Status::not_found("", "pods", name))?;
        let old = served.show(&stored);
        let conflict = |detail: String| Err(Status::conflict("", "pods/binding", name, &detail));
        for (field, wording) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
            let wanted = meta(&binding, field);
            if !wanted.is_empty() && wanted != old.meta(field) {
                return Err(Status::conflict(
                    "",
                    "pods",
                    name,
                    &format!(
                        "Precondition failed: {wording} in precondition: {wanted}, {wording} in \
                         object meta: {}",
                        old.meta(field)
                    ),
                ));
            }
        }
        if !old.meta("deletionTimestamp").is_empty() {
            return conflict(format!(
                "pod {name} is being deleted, cannot be assigned to a host"
            ));
        }
        let pod = old.value();
        let assigned = pod
            .pointer("/spec/nodeName")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !assigned.is_empty() {
            return conflict(format!(
                "pod {name} is already assigned to node {assigned:?}"
            ));
        }
        let gates = pod
            .pointer("/spec/schedulingGates")
            .and_then(Value::as_array);
        if gates.is_some_and(|gates| !gates.is_empty()) {
            return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
        }
        let mut new = pod.clone();
        new["spec"]["nodeName"] = node.into();
        for field in ["annotations", "labels"] {
            let added = binding.pointer(&format!("/metadata/{field}"));
            for (key, value) in added.and_then(Value::as_object).into_iter().flatten() {
                new["metadata"][field][key] = value.clone();
            }
        }
        schedule(&mut new, &time(intent.now));
        self.finish_update(&mut writing, served, &key, &old, new, &intent)?;
        Ok(done())
    }
}

/// Says in the status that the pod has a node.
fn schedule(pod: &mut Value, now: &Value) {
    super::set_condition(
        pod,
        json!({
            "type": "PodScheduled",
            "status": "True",
            "lastProbeTime": null,
            "lastTransitionTime": now,
        }),
    );
}
