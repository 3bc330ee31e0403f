//! What every namespace has: the service account `default`, and the certificate by which pods
//! know the API server.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::time::Instant;

use super::drive::{Controller, Next};
use super::queue::Queue;
use crate::objects::{Change, Objects};
use crate::status::Status;

const ACCOUNT: &str = "default";
const CERTIFICATE: &str = "kube-root-ca.crt";
const CERTIFICATE_KEY: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
/// Told to whoever looks at the ConfigMap.
const DESCRIBED: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when \
                         using internal endpoints such as the internal service IP or \
                         kubernetes.default.svc. No other usage is guaranteed across \
                         distributions of Kubernetes clusters.";

/// Furnishes namespaces.
pub(super) struct Furnisher {
    root_certificate: Option<String>,
    queue: Queue<String>,
}

impl Furnisher {
    pub(super) fn new(root_certificate: Option<String>) -> Self {
        Self {
            root_certificate,
            queue: Queue::default(),
        }
    }

    fn furnish(&self, objects: &dyn Objects, namespace: &str) -> Result<(), Status> {
        let kinds = objects.kinds();
        let found = kinds
            .resource("", "namespaces")
            .and_then(|kind| objects.get(kind, "", namespace));
        if found.is_none_or(|found| found.value()["status"]["phase"] != "Active") {
            return Ok(());
        }
        if let Some(kind) = kinds.resource("", "serviceaccounts")
            && objects.get(kind, namespace, ACCOUNT).is_none()
        {
            let account = json!({
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": { "name": ACCOUNT, "namespace": namespace },
            });
            unless_taken(objects.create(kind, namespace, account).map(drop))?;
        }
        let (Some(kind), Some(certificate)) =
            (kinds.resource("", "configmaps"), &self.root_certificate)
        else {
            return Ok(());
        };
        let data = json!({ CERTIFICATE_KEY: certificate });
        let changed = objects.change(kind, namespace, CERTIFICATE, &mut |map| {
            let described = map["metadata"]["annotations"][DESCRIPTION]
                .as_str()
                .is_some_and(|text| !text.is_empty());
            if map["data"] != data || !described {
                map["data"] = data.clone();
                map["metadata"]["annotations"][DESCRIPTION] = DESCRIBED.into();
            }
        })?;
        if changed.is_none() {
            let map = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": CERTIFICATE,
                    "namespace": namespace,
                    "annotations": BTreeMap::from([(DESCRIPTION, DESCRIBED)]),
                },
                "data": data,
            });
            unless_taken(objects.create(kind, namespace, map).map(drop))?;
        }
        Ok(())
    }
}

/// Somebody else may have been faster.
fn unless_taken(result: Result<(), Status>) -> Result<(), Status> {
    match result {
        Err(status) if status.reason == "AlreadyExists" => Ok(()),
        other => other,
    }
}

impl Controller for Furnisher {
    fn name(&self) -> &'static str {
        "furnisher of namespaces"
    }

    fn start(&mut self, objects: &dyn Objects, now: Instant) {
        self.queue = Queue::default();
        if let Some(kind) = objects.kinds().resource("", "namespaces") {
            for namespace in objects.list(kind, None) {
                self.queue.add(namespace.meta("name").to_owned(), now);
            }
        }
    }

    fn observe(&mut self, change: &Change, now: Instant) {
        if !change.kind.group.is_empty() {
            return;
        }
        let namespace = match (change.kind.plural.as_str(), &change.before, &change.after) {
            ("namespaces", _, Some(after)) => after.meta("name"),
            ("serviceaccounts", Some(gone), None) if gone.meta("name") == ACCOUNT => {
                gone.meta("namespace")
            }
            ("configmaps", Some(before), _) if before.meta("name") == CERTIFICATE => {
                before.meta("namespace")
            }
            _ => return,
        };
        self.queue.add(namespace.to_owned(), now);
    }

    fn work(&mut self, objects: &dyn Objects, now: Instant) -> Next {
        while let Some(namespace) = self.queue.take(now) {
            match self.furnish(objects, &namespace) {
                Ok(()) => self.queue.succeed(&namespace),
                Err(status) => {
                    tracing::debug!(%status, namespace, "Could not furnish a namespace");
                    self.queue.retry(namespace, now);
                }
            }
        }
        self.queue.next().into()
    }
}
