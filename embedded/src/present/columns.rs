//! The columns of tables of built-in kinds.

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::kinds::builtin::types::Types;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    name: &'static str,
    holds: &'static str,
    format: &'static str,
    /// Above zero: only in wide output.
    priority: u8,
    doc: Doc,
}

/// Where the description comes from.
#[derive(Clone, Copy, Debug)]
enum Doc {
    Text(&'static str),
    /// The description of a field of a type.
    Field(&'static str, &'static str),
}

impl Column {
    const fn text(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            holds: "string",
            format: "",
            priority: 0,
            doc: Doc::Text(description),
        }
    }

    const fn field(name: &'static str, definition: &'static str, field: &'static str) -> Self {
        Self {
            doc: Doc::Field(definition, field),
            ..Self::text(name, "")
        }
    }

    const fn holding(self, holds: &'static str) -> Self {
        Self { holds, ..self }
    }

    const fn wide(self) -> Self {
        Self {
            priority: 1,
            ..self
        }
    }

    const fn named(self) -> Self {
        Self {
            format: "name",
            ..self
        }
    }

    /// The column as tables define it.
    pub(super) fn definition(&self) -> Value {
        let description = match self.doc {
            Doc::Text(text) => text,
            Doc::Field(definition, field) => Types::get()
                .definitions()
                .get(definition)
                .and_then(|schema| schema["properties"][field]["description"].as_str())
                .unwrap_or_default(),
        };
        json!({
            "name": self.name,
            "type": self.holds,
            "format": self.format,
            "description": description,
            "priority": self.priority,
        })
    }
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
/// Every table begins with this.
pub(super) const NAME: Column = Column::field("Name", META, "name").named();
const AGE: Column = Column::field("Age", META, "creationTimestamp");
const CREATED: Column = Column::field("Created At", META, "creationTimestamp").holding("date");

const POD_STATUS: &str = "io.k8s.api.core.v1.PodStatus";
const POD_SPEC: &str = "io.k8s.api.core.v1.PodSpec";
const PODS: &[Column] = &[
    NAME,
    Column::text("Ready", "How many of the pod's containers are ready."),
    Column::text(
        "Status",
        "What the pod and its containers are doing, in one word.",
    ),
    Column::text(
        "Restarts",
        "How often containers were restarted, and when last.",
    ),
    AGE,
    Column::field("IP", POD_STATUS, "podIP").wide(),
    Column::field("Node", POD_SPEC, "nodeName").wide(),
    Column::field("Nominated Node", POD_STATUS, "nominatedNodeName").wide(),
    Column::field("Readiness Gates", POD_SPEC, "readinessGates").wide(),
];

const NODE_STATUS: &str = "io.k8s.api.core.v1.NodeStatus";
const NODE_INFO: &str = "io.k8s.api.core.v1.NodeSystemInfo";
const NODES: &[Column] = &[
    NAME,
    Column::text("Status", "Whether the node is ready and takes pods."),
    Column::text("Roles", "Roles that labels give the node."),
    AGE,
    Column::field("Version", NODE_INFO, "kubeletVersion"),
    Column::field("Internal-IP", NODE_STATUS, "addresses").wide(),
    Column::field("External-IP", NODE_STATUS, "addresses").wide(),
    Column::field("OS-Image", NODE_INFO, "osImage").wide(),
    Column::field("Kernel-Version", NODE_INFO, "kernelVersion").wide(),
    Column::field("Container-Runtime", NODE_INFO, "containerRuntimeVersion").wide(),
];

const SERVICE: &str = "io.k8s.api.core.v1.ServiceSpec";
const SERVICES: &[Column] = &[
    NAME,
    Column::field("Type", SERVICE, "type"),
    Column::field("Cluster-IP", SERVICE, "clusterIP"),
    Column::field("External-IP", SERVICE, "externalIPs"),
    Column::field("Port(s)", SERVICE, "ports"),
    AGE,
    Column::field("Selector", SERVICE, "selector").wide(),
];

const EVENT: &str = "io.k8s.api.core.v1.Event";
const EVENTS: &[Column] = &[
    Column::field("Last Seen", EVENT, "lastTimestamp"),
    Column::field("Type", EVENT, "type"),
    Column::field("Reason", EVENT, "reason"),
    Column::field("Object", EVENT, "involvedObject"),
    Column::field(
        "Subobject",
        "io.k8s.api.core.v1.ObjectReference",
        "fieldPath",
    )
    .wide(),
    Column::field("Source", EVENT, "source").wide(),
    Column::field("Message", EVENT, "message"),
    Column::field("First Seen", EVENT, "firstTimestamp").wide(),
    Column::field("Count", EVENT, "count").wide(),
    NAME.wide(),
];

const SLICE: &str = "io.k8s.api.discovery.v1.EndpointSlice";
const SLICES: &[Column] = &[
    NAME,
    Column::field("AddressType", SLICE, "addressType"),
    Column::field("Ports", SLICE, "ports"),
    Column::field("Endpoints", SLICE, "endpoints"),
    AGE,
];

const BUDGETS: &[Column] = &[
    NAME,
    Column::text("Min Available", "The least number of pods that must stay."),
    Column::text(
        "Max Unavailable",
        "The largest number of pods that may be away.",
    ),
    Column::text("Allowed Disruptions", "How many pods may go now.").holding("integer"),
    AGE,
];

const SCALER_SPEC: &str = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec";
const SCALER_STATUS: &str = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus";
const SCALERS: &[Column] = &[
    NAME,
    Column::field("Reference", SCALER_SPEC, "scaleTargetRef"),
    Column::field("Targets", SCALER_SPEC, "metrics"),
    Column::field("MinPods", SCALER_SPEC, "minReplicas"),
    Column::field("MaxPods", SCALER_SPEC, "maxReplicas"),
    Column::field("Replicas", SCALER_STATUS, "currentReplicas"),
    AGE,
];

const BINDINGS: &[Column] = &[
    NAME,
    Column::field("Role", "io.k8s.api.rbac.v1.RoleBinding", "roleRef"),
    AGE,
    Column::text("Users", "Users that get the role.").wide(),
    Column::text("Groups", "Groups that get the role.").wide(),
    Column::text("ServiceAccounts", "Service accounts that get the role.").wide(),
];

const CLASS: &str = "io.k8s.api.scheduling.v1.PriorityClass";
const CLASSES: &[Column] = &[
    NAME,
    Column::field("Value", CLASS, "value").holding("integer"),
    Column::field("Global-Default", CLASS, "globalDefault").holding("boolean"),
    AGE,
    Column::field("PreemptionPolicy", CLASS, "preemptionPolicy"),
];

const NAMESPACES: &[Column] = &[
    NAME,
    Column::text("Status", "Whether the namespace is in use or ending."),
    AGE,
];

const SECRET: &str = "io.k8s.api.core.v1.Secret";
const SECRETS: &[Column] = &[
    NAME,
    Column::field("Type", SECRET, "type"),
    Column::field("Data", SECRET, "data"),
    AGE,
];

const CONFIG: &str = "io.k8s.api.core.v1.ConfigMap";
const CONFIGS: &[Column] = &[NAME, Column::field("Data", CONFIG, "data"), AGE];

const LEASE: &str = "io.k8s.api.coordination.v1.LeaseSpec";
const LEASES: &[Column] = &[NAME, Column::field("Holder", LEASE, "holderIdentity"), AGE];

const ADDRESSES: &str = "io.k8s.api.core.v1.Endpoints";
const ENDPOINTS: &[Column] = &[NAME, Column::field("Endpoints", ADDRESSES, "subsets"), AGE];

const METRICS: &[Column] = &[
    NAME,
    Column::text("CPU", "Cores in use."),
    Column::text("Memory", "Memory in use."),
    Column::text("Window", "Length of the sample."),
];

/// The column of ages of custom resources.
pub(super) fn age(holds: &'static str) -> Value {
    AGE.holding(holds).definition()
}

/// The columns of a built-in kind.
pub(super) fn of(kind: &Kind) -> &'static [Column] {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => PODS,
        ("", "Node") => NODES,
        ("", "Service") => SERVICES,
        (_, "Event") => EVENTS,
        ("", "Namespace") => NAMESPACES,
        ("", "Secret") => SECRETS,
        ("", "ConfigMap") => CONFIGS,
        ("", "ServiceAccount") => &[NAME, AGE],
        ("", "Endpoints") => ENDPOINTS,
        ("coordination.k8s.io", _) => LEASES,
        ("discovery.k8s.io", _) => SLICES,
        ("policy", _) => BUDGETS,
        ("autoscaling", _) => SCALERS,
        ("scheduling.k8s.io", _) => CLASSES,
        (_, "RoleBinding" | "ClusterRoleBinding") => BINDINGS,
        ("metrics.k8s.io", _) => METRICS,
        _ => &[NAME, CREATED],
    }
}
