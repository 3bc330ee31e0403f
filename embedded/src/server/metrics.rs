//! `metrics.k8s.io`: what pods and nodes use, as the node measures it.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Api;
use super::call::{Answer, Page};
use super::list::Selection;
use super::params::ListOptions;
use super::request::Request;
use super::write::time;
use crate::kubelet::Usage;
use crate::object::{Object, meta};
use crate::objects::Objects;
use crate::status::Status;

/// API group of metrics.
pub(super) const GROUP: &str = "metrics.k8s.io";
/// Over what time usage is measured.
const WINDOW: &str = "10s";

impl Api {
    /// Answers a request for metrics of pods or nodes.
    pub(super) fn metrics(&self, request: &Request<'_>, verb: &str) -> Result<Answer, Status> {
        let kind = &request.served.kind;
        if !request.subresource().is_empty() {
            return Err(Status::no_such_path());
        }
        match verb {
            "get" => {
                let found = self
                    .measure(request)
                    .into_iter()
                    .find(|measured| meta(measured, "name") == request.name())
                    .ok_or_else(|| {
                        // metrics-server names the kind here.
                        Status::not_found(&kind.group, &kind.plural, request.name())
                    })?;
                Ok(request.object(200, Arc::new(Object::new(found, 0))))
            }
            "list" => {
                let options = ListOptions::read(&request.call.params, false)?;
                let selection = Selection::parse(request.served, &options)?;
                let objects = self
                    .measure(request)
                    .into_iter()
                    .filter(|measured| selection.matches(kind, measured))
                    .map(|measured| Arc::new(Object::new(measured, 0)))
                    .collect();
                Ok(Answer::List(Page {
                    served: Arc::clone(request.served),
                    objects,
                    revision: self.store.revision(),
                    next: None,
                    remaining: None,
                }))
            }
            _ => Err(Status::method_not_allowed()),
        }
    }

    fn measure(&self, request: &Request<'_>) -> Vec<Value> {
        let kinds = self.kinds();
        let (Some(pods), Some(nodes)) = (kinds.resource("", "pods"), kinds.resource("", "nodes"))
        else {
            return Vec::new();
        };
        let now = self.now();
        if request.served.kind.namespaced {
            let namespace = request.namespace();
            let namespace = (!namespace.is_empty()).then_some(namespace);
            return Objects::list(self, pods, namespace)
                .iter()
                .filter_map(|pod| {
                    let usage = self.usage(pod);
                    (!usage.is_empty()).then(|| of_pod(pod, &usage, now))
                })
                .collect();
        }
        let running = Objects::list(self, pods, None);
        Objects::list(self, nodes, None)
            .iter()
            .map(|node| {
                let usage: Vec<Usage> = running
                    .iter()
                    .filter(|pod| {
                        pod.value()
                            .pointer("/spec/nodeName")
                            .and_then(Value::as_str)
                            == Some(node.meta("name"))
                    })
                    .flat_map(|pod| self.usage(pod))
                    .collect();
                of_node(node, &usage, now)
            })
            .collect()
    }

    fn usage(&self, pod: &Object) -> Vec<Usage> {
        self.kubelet().map_or_else(Vec::new, |kubelet| {
            kubelet.usage(pod.meta("namespace"), pod.meta("name"))
        })
    }
}

fn amounts(cpu_millicores: u64, memory_bytes: u64) -> Value {
    json!({
        "cpu": format!("{cpu_millicores}m"),
        "memory": format!("{}Ki", memory_bytes / 1024),
    })
}

fn head(kind: &str, of: &Object, now: Timestamp) -> Value {
    let mut metadata = json!({ "name": of.meta("name"), "creationTimestamp": time(now) });
    if !of.meta("namespace").is_empty() {
        metadata["namespace"] = of.meta("namespace").into();
    }
    if let Some(labels) = of.value().pointer("/metadata/labels") {
        metadata["labels"] = labels.clone();
    }
    json!({
        "kind": kind,
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": metadata,
        "timestamp": time(now),
        "window": WINDOW,
    })
}

fn of_pod(pod: &Object, usage: &[Usage], now: Timestamp) -> Value {
    let mut value = head("PodMetrics", pod, now);
    value["containers"] = usage
        .iter()
        .map(|usage| {
            json!({
                "name": usage.container,
                "usage": amounts(usage.cpu_millicores, usage.memory_bytes),
            })
        })
        .collect();
    value
}

fn of_node(node: &Object, usage: &[Usage], now: Timestamp) -> Value {
    let mut value = head("NodeMetrics", node, now);
    let cpu = usage.iter().map(|usage| usage.cpu_millicores).sum();
    let memory = usage.iter().map(|usage| usage.memory_bytes).sum();
    value["usage"] = amounts(cpu, memory);
    value
}
