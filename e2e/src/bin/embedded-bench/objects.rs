//! The objects that are written: a small one and two of everyday size.

use serde_json::{Value, json};

/// The kinds that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Built in, and as small as objects get.
    ConfigMap,
    /// Custom: pruned, defaulted, and checked by schema and rules.
    GameServer,
    /// Built in, with many defaults.
    Pod,
}

impl Kind {
    /// Name for the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMaps",
            Self::GameServer => "GameServers",
            Self::Pod => "Pods",
        }
    }

    /// Path of the collection.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::ConfigMap => "/api/v1/namespaces/default/configmaps",
            Self::GameServer => "/apis/muster.dev/v1/namespaces/default/gameservers",
            Self::Pod => "/api/v1/namespaces/default/pods",
        }
    }

    /// A new object.
    pub(crate) fn object(self, name: &str) -> Value {
        let metadata = json!({
            "name": name,
            "namespace": "default",
            "labels": { "app.kubernetes.io/managed-by": "bench", "muster.dev/fleet": "simple" },
        });
        match self {
            Self::ConfigMap => json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": metadata,
                "data": { "key": "value", "other": "text" },
            }),
            Self::GameServer => json!({
                "apiVersion": "muster.dev/v1",
                "kind": "GameServer",
                "metadata": metadata,
                "spec": {
                    "ports": [{
                        "name": "default",
                        "portPolicy": "Dynamic",
                        "containerPort": 7654,
                        "protocol": "UDP",
                    }],
                    "template": { "spec": pod_spec() },
                },
            }),
            Self::Pod => json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": pod_spec(),
            }),
        }
    }

    /// A merge patch that changes an object; with another number, another way.
    pub(crate) fn patch(self, number: usize) -> Value {
        let text = number.to_string();
        match self {
            Self::ConfigMap => json!({ "data": { "key": text } }),
            Self::GameServer | Self::Pod => {
                json!({ "metadata": { "annotations": { "muster.dev/turn": text } } })
            }
        }
    }
}

fn pod_spec() -> Value {
    json!({
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [{
            "name": "simple-server",
            "image": "muster/simple-server:0.1.0",
            "imagePullPolicy": "IfNotPresent",
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
            "resources": {
                "requests": { "cpu": "5m", "memory": "8Mi" },
                "limits": { "memory": "32Mi" },
            },
        }],
    })
}
