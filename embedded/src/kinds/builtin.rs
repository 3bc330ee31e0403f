//! The kinds that need no CustomResourceDefinition: which there are, what the API server fills in
//! and what it refuses.
//!
//! An object that is written passes [`decode`], [`default`], [`prepare_create`] or
//! [`prepare_update`], [`admit`], for services [`addresses::allocate`], and [`validate`], in this
//! order. The types behind it are those of k8s-openapi; `encoding.txt` has what these do not know
//! of Go's encoder. Answers of the real API server, recorded, are the tests.

pub mod addresses;
pub mod admission;
mod decode;
mod defaults;
mod prepare;
pub(crate) mod quantity;
#[cfg(test)]
mod tests;
pub(crate) mod types;
mod validation;

use serde_json::Value;

use self::admission::Surroundings;
use self::types::Types;
use super::Kind;
use crate::status::{Cause, Status};

/// A subresource as discovery lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// Such as `status`.
    pub name: &'static str,
    /// Group and version of the kind, if it is not that of the resource.
    pub foreign: Option<(&'static str, &'static str)>,
    /// Kind of its bodies.
    pub kind: String,
    /// What it answers to.
    pub verbs: &'static [&'static str],
}

const ALL: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const NO_COLLECTION: &[&str] = &[
    "create", "delete", "get", "list", "patch", "update", "watch",
];
const CREATE: &[&str] = &["create"];
const READ: &[&str] = &["get", "list"];
const STATUS: &[&str] = &["get", "patch", "update"];

/// A row of the table of kinds.
struct Row {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    namespaced: bool,
    verbs: &'static [&'static str],
    has_status: bool,
    fields: &'static [&'static str],
}

impl Row {
    const fn new(
        (group, version): (&'static str, &'static str),
        kind: &'static str,
        plural: &'static str,
        short_names: &'static [&'static str],
    ) -> Self {
        Self {
            group,
            version,
            kind,
            plural,
            short_names,
            categories: &[],
            namespaced: true,
            verbs: ALL,
            has_status: false,
            fields: &[],
        }
    }

    const fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    const fn status(mut self) -> Self {
        self.has_status = true;
        self
    }

    const fn verbs(mut self, verbs: &'static [&'static str]) -> Self {
        self.verbs = verbs;
        self
    }

    const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    const fn fields(mut self, fields: &'static [&'static str]) -> Self {
        self.fields = fields;
        self
    }
}

const CORE: (&str, &str) = ("", "v1");
const RBAC: (&str, &str) = ("rbac.authorization.k8s.io", "v1");
const AUTHENTICATION: (&str, &str) = ("authentication.k8s.io", "v1");
const AUTHORIZATION: (&str, &str) = ("authorization.k8s.io", "v1");
const METRICS: (&str, &str) = ("metrics.k8s.io", "v1beta1");

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const POD_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];

const ROWS: &[Row] = &[
    Row::new(CORE, "ConfigMap", "configmaps", &["cm"]),
    Row::new(CORE, "Endpoints", "endpoints", &["ep"]),
    Row::new(CORE, "Event", "events", &["ev"]).fields(EVENT_FIELDS),
    Row::new(CORE, "Namespace", "namespaces", &["ns"])
        .cluster()
        .status()
        .verbs(NO_COLLECTION)
        .fields(&["status.phase"]),
    Row::new(CORE, "Node", "nodes", &["no"])
        .cluster()
        .status()
        .fields(&["spec.unschedulable"]),
    Row::new(CORE, "Pod", "pods", &["po"])
        .status()
        .categories(&["all"])
        .fields(POD_FIELDS),
    Row::new(CORE, "Secret", "secrets", &[]).fields(&["type"]),
    Row::new(CORE, "ServiceAccount", "serviceaccounts", &["sa"]),
    Row::new(CORE, "Service", "services", &["svc"])
        .status()
        .categories(&["all"])
        .fields(&["spec.clusterIP", "spec.type"]),
    Row::new(
        ("apiextensions.k8s.io", "v1"),
        "CustomResourceDefinition",
        "customresourcedefinitions",
        &["crd", "crds"],
    )
    .cluster()
    .status()
    .categories(&["api-extensions"]),
    Row::new(
        AUTHENTICATION,
        "SelfSubjectReview",
        "selfsubjectreviews",
        &[],
    )
    .cluster()
    .verbs(CREATE),
    Row::new(AUTHENTICATION, "TokenReview", "tokenreviews", &[])
        .cluster()
        .verbs(CREATE),
    Row::new(
        AUTHORIZATION,
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        &[],
    )
    .verbs(CREATE),
    Row::new(
        AUTHORIZATION,
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        &[],
    )
    .cluster()
    .verbs(CREATE),
    Row::new(
        AUTHORIZATION,
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        &[],
    )
    .cluster()
    .verbs(CREATE),
    Row::new(
        AUTHORIZATION,
        "SubjectAccessReview",
        "subjectaccessreviews",
        &[],
    )
    .cluster()
    .verbs(CREATE),
    Row::new(
        ("autoscaling", "v2"),
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        &["hpa"],
    )
    .status()
    .categories(&["all"]),
    Row::new(("coordination.k8s.io", "v1"), "Lease", "leases", &[]),
    Row::new(
        ("discovery.k8s.io", "v1"),
        "EndpointSlice",
        "endpointslices",
        &[],
    ),
    Row::new(("events.k8s.io", "v1"), "Event", "events", &["ev"]).fields(EVENT_FIELDS),
    Row::new(METRICS, "NodeMetrics", "nodes", &[])
        .cluster()
        .verbs(READ),
    Row::new(METRICS, "PodMetrics", "pods", &[]).verbs(READ),
    Row::new(
        ("policy", "v1"),
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        &["pdb"],
    )
    .status(),
    Row::new(RBAC, "ClusterRoleBinding", "clusterrolebindings", &[]).cluster(),
    Row::new(RBAC, "ClusterRole", "clusterroles", &[]).cluster(),
    Row::new(RBAC, "RoleBinding", "rolebindings", &[]),
    Row::new(RBAC, "Role", "roles", &[]),
    Row::new(
        ("scheduling.k8s.io", "v1"),
        "PriorityClass",
        "priorityclasses",
        &["pc"],
    )
    .cluster(),
];

/// Every built-in kind.
pub fn all() -> Vec<Kind> {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    ROWS.iter()
        .map(|row| Kind {
            group: row.group.to_owned(),
            version: row.version.to_owned(),
            kind: row.kind.to_owned(),
            list_kind: format!("{}List", row.kind),
            plural: row.plural.to_owned(),
            singular: if row.group == METRICS.0 {
                // As metrics-server names them.
                String::new()
            } else {
                row.kind.to_lowercase()
            },
            short_names: texts(row.short_names),
            categories: texts(row.categories),
            namespaced: row.namespaced,
            verbs: texts(row.verbs),
            has_status: row.has_status,
            scale: None,
            selectable_fields: texts(row.fields),
            printer_columns: Vec::new(),
            schema: None,
        })
        .collect()
}

/// The subresources of a kind that are served, as discovery lists them.
pub fn subresources(kind: &Kind) -> Vec<Subresource> {
    let own = |name, verbs| Subresource {
        name,
        foreign: None,
        kind: kind.kind.clone(),
        verbs,
    };
    let foreign = |name, group_version, kind: &str| Subresource {
        name,
        foreign: group_version,
        kind: kind.to_owned(),
        verbs: CREATE,
    };
    let mut list = Vec::new();
    if kind.has_status {
        list.push(own("status", STATUS));
    }
    if kind.scale.is_some() {
        list.push(Subresource {
            name: "scale",
            foreign: Some(("autoscaling", "v1")),
            kind: "Scale".to_owned(),
            verbs: STATUS,
        });
    }
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "namespaces") => list.push(own("finalize", &["update"])),
        ("", "pods") => {
            list.push(foreign("binding", None, "Binding"));
            list.push(foreign("eviction", Some(("policy", "v1")), "Eviction"));
            list.push(own("log", &["get"]));
        }
        ("", "serviceaccounts") => {
            list.push(foreign("token", Some(AUTHENTICATION), "TokenRequest"));
        }
        _ => {}
    }
    if kind.schema.is_none() {
        list.sort_by_key(|subresource| subresource.name);
    }
    list
}

/// What a field selector compares where that is not simply the text at the path.
pub(super) fn selectable(kind: &Kind, object: &Value, path: &str) -> Option<String> {
    let text = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    match (kind.plural.as_str(), path) {
        ("pods", "spec.hostNetwork") | ("nodes", "spec.unschedulable") => {
            let (parent, field) = path.split_once('.')?;
            let flag = object.get(parent).and_then(|spec| spec.get(field));
            Some(
                flag.and_then(Value::as_bool)
                    .unwrap_or_default()
                    .to_string(),
            )
        }
        // The first address only, whatever the selector is called.
        ("pods", "status.podIPs") => Some(String::new()),
        ("events", "source") => Some(
            text("/source/component")
                .or_else(|| text("/reportingComponent"))
                .unwrap_or_default(),
        ),
        _ => None,
    }
}

/// Reads an object of this kind as the API server does: drops unknown fields and gives their
/// paths, refuses values of wrong types, and puts every value in the form in which it is written.
///
/// Comes before [`default`], for whole objects and for the results of patches.
pub fn decode(kind: &Kind, object: &mut Value) -> Result<Vec<String>, Status> {
    let Some(index) = Types::get().of_kind(&kind.group, &kind.version, &kind.kind) else {
        return Ok(Vec::new());
    };
    decode::decode(index, object).map_err(|problem| {
        Status::bad_request(format!(
            "{0} in version \"{1}\" cannot be handled as a {0}: {problem}",
            kind.kind, kind.version
        ))
    })
}

/// Fills in what the API server fills in when it reads an object of this kind.
pub fn default(kind: &Kind, object: &mut Value) {
    defaults::default(kind, object);
    complete(kind, object);
}

/// Settles what a creation may not: the first status, the generation, finalizers of namespaces.
///
/// Comes after [`default`] and before [`admit`].
pub fn prepare_create(kind: &Kind, object: &mut Value) {
    prepare::create(kind, object);
    complete(kind, object);
}

/// Settles what a change may not: takes the status (or, for the status subresource, everything
/// else) from the old object, and counts the generation.
pub fn prepare_update(kind: &Kind, new: &mut Value, old: &Value, subresource: Option<&str>) {
    prepare::update(kind, new, old, subresource);
    complete(kind, new);
}

/// Admission of a new object, or of a changed one: service accounts, priorities and tolerations
/// of pods.
pub fn admit(
    kind: &Kind,
    namespace: &str,
    new: &mut Value,
    old: Option<&Value>,
    surroundings: &dyn Surroundings,
) -> Result<(), Status> {
    if kind.kind != "Pod" || !kind.group.is_empty() {
        return Ok(());
    }
    match old {
        None => admission::create(new, namespace, surroundings)?,
        Some(old) => admission::update(new, old),
    }
    complete(kind, new);
    Ok(())
}

/// Whether `metadata.generation` counts the changes of this built-in kind.
pub fn has_generation(kind: &Kind) -> bool {
    prepare::has_generation(kind)
}

/// Whether a PUT to a name that does not exist creates the object.
pub fn creates_on_update(kind: &Kind) -> bool {
    matches!(
        kind.kind.as_str(),
        "Service"
            | "Event"
            | "Endpoints"
            | "Lease"
            | "Role"
            | "RoleBinding"
            | "ClusterRole"
            | "ClusterRoleBinding"
    ) && kind.schema.is_none()
}

/// Whether a PUT may leave out the resource version.
pub fn updates_unconditionally(kind: &Kind) -> bool {
    !matches!(
        kind.kind.as_str(),
        "PodDisruptionBudget" | "Lease" | "CustomResourceDefinition"
    ) && kind.schema.is_none()
}

/// Brings an object that is right already into the form in which a type is written.
pub(super) fn reshape(group: &str, version: &str, kind: &str, object: &mut Value) {
    if let Some(index) = Types::get().of_kind(group, version, kind) {
        // What could be wrong was refused when the object was written.
        let _ = decode::decode(index, object);
        decode::complete(index, object);
    }
}

/// Adds the fields that are always written, such as `status: {}`.
fn complete(kind: &Kind, object: &mut Value) {
    if let Some(index) = Types::get().of_kind(&kind.group, &kind.version, &kind.kind) {
        decode::complete(index, object);
    }
}

/// Everything that is wrong with a new object, or with the change of an old one, its metadata
/// apart.
pub fn validate(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    validation::validate(kind, new, old)
}
