//! What admission adds to pods: the service account with its token, the priority and the default
//! tolerations.

use serde_json::{Value, json};

use super::super::fields::{at, entries, items, items_mut, section, text};
use super::prepare;
use crate::status::Status;

/// What admission looks up. Names are those of objects in the pod's namespace, or in none.
pub trait Surroundings {
    /// A service account of the pod's namespace.
    fn service_account(&self, name: &str) -> Option<Value>;

    /// A PriorityClass.
    fn priority_class(&self, name: &str) -> Option<Value>;

    /// The PriorityClass for pods that name none.
    fn default_priority_class(&self) -> Option<Value>;

    /// Five random letters and digits for the name of the token's volume.
    fn suffix(&self) -> String;
}

/// Where the token of the service account is found in a container.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_VOLUME: &str = "kube-api-access-";

/// Classes that exist even without an object.
const SYSTEM_CLASSES: [(&str, i64); 2] = [
    ("system-cluster-critical", 2_000_000_000),
    ("system-node-critical", 2_000_001_000),
];

/// Admits a new pod.
pub(super) fn create(
    pod: &mut Value,
    namespace: &str,
    surroundings: &dyn Surroundings,
) -> Result<(), Status> {
    service_account(pod, namespace, surroundings)?;
    priority(pod, surroundings)?;
    tolerations(pod);
    Ok(())
}

/// Admits a changed pod.
pub(super) fn update(new: &mut Value, old: &Value) {
    prepare::keep_priority(new, old);
    tolerations(new);
}

fn forbidden(pod: &Value, detail: &str) -> Status {
    let name = text(pod, "metadata.name");
    Status::forbidden("", "pods", name, detail)
}

fn service_account(
    pod: &mut Value,
    namespace: &str,
    surroundings: &dyn Surroundings,
) -> Result<(), Status> {
    let mirror =
        entries(pod, "metadata.annotations").any(|(key, _)| key == "kubernetes.io/config.mirror");
    if mirror {
        return Ok(());
    }
    let spec = section(pod, "spec");
    if text(spec, "serviceAccountName").is_empty() {
        spec["serviceAccountName"] = "default".into();
        spec["serviceAccount"] = "default".into();
    }
    let name = text(spec, "serviceAccountName").to_owned();
    let Some(account) = surroundings.service_account(&name) else {
        let detail = format!(
            "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found"
        );
        return Err(forbidden(pod, &detail));
    };
    let automount = [&*spec, &account]
        .into_iter()
        .find_map(|holder| holder["automountServiceAccountToken"].as_bool());
    if automount.unwrap_or(true) {
        mount_token(spec, surroundings);
    }
    let secrets = items(&account, "imagePullSecrets");
    if items(spec, "imagePullSecrets").is_empty() && !secrets.is_empty() {
        spec["imagePullSecrets"] = secrets
            .iter()
            .map(|secret| json!({ "name": secret["name"] }))
            .collect();
    }
    Ok(())
}

fn mount_token(spec: &mut Value, surroundings: &dyn Surroundings) {
    let existing = items(spec, "volumes")
        .iter()
        .map(|volume| text(volume, "name"))
        .find(|name| name.starts_with(TOKEN_VOLUME))
        .map(str::to_owned);
    let is_new = existing.is_none();
    let volume = existing.unwrap_or_else(|| format!("{TOKEN_VOLUME}{}", surroundings.suffix()));
    let mut needed = false;
    for list in ["initContainers", "containers"] {
        for container in items_mut(spec, list) {
            let mounted = items(container, "volumeMounts")
                .iter()
                .any(|mount| text(mount, "mountPath") == TOKEN_PATH);
            if !mounted {
                needed = true;
                let mount = json!({ "name": volume, "readOnly": true, "mountPath": TOKEN_PATH });
                push(container, "volumeMounts", mount);
            }
        }
    }
    if needed && is_new {
        let projected = json!({
            "defaultMode": 0o644,
            "sources": [
                { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
                {
                    "configMap": {
                        "name": "kube-root-ca.crt",
                        "items": [{ "key": "ca.crt", "path": "ca.crt" }],
                    },
                },
                {
                    "downwardAPI": {
                        "items": [{
                            "path": "namespace",
                            "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                        }],
                    },
                },
            ],
        });
        push(
            spec,
            "volumes",
            json!({ "name": volume, "projected": projected }),
        );
    }
}

fn push(value: &mut Value, list: &str, item: Value) {
    let mut all = items(value, list).to_vec();
    all.push(item);
    value[list] = all.into();
}

fn priority(pod: &mut Value, surroundings: &dyn Surroundings) -> Result<(), Status> {
    let name = text(pod, "spec.priorityClassName").to_owned();
    let class = if name.is_empty() {
        surroundings.default_priority_class()
    } else {
        let found = surroundings.priority_class(&name).or_else(|| {
            let system = SYSTEM_CLASSES.iter().find(|(system, _)| *system == name);
            system.map(|(name, value)| json!({ "metadata": { "name": name }, "value": value }))
        });
        if found.is_none() {
            let detail = format!("no PriorityClass with name {name} was found");
            return Err(forbidden(pod, &detail));
        }
        found
    };
    let class = class.unwrap_or_else(|| json!({ "value": 0 }));
    let priority = class["value"].as_i64().unwrap_or_default();
    let policy = match text(&class, "preemptionPolicy") {
        "" => "PreemptLowerPriority",
        policy => policy,
    };
    if let Some(wanted) = at(pod, "spec.priority").as_i64()
        && wanted != priority
    {
        let detail = format!(
            "the integer value of priority ({wanted}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        );
        return Err(forbidden(pod, &detail));
    }
    if let Some(wanted) = at(pod, "spec.preemptionPolicy").as_str()
        && wanted != policy
    {
        let detail = format!(
            "the string value of PreemptionPolicy ({wanted}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        );
        return Err(forbidden(pod, &detail));
    }
    let class_name = text(&class, "metadata.name").to_owned();
    let spec = section(pod, "spec");
    if !class_name.is_empty() {
        spec["priorityClassName"] = class_name.into();
    }
    spec["priority"] = priority.into();
    spec["preemptionPolicy"] = policy.into();
    Ok(())
}

/// Pods stay five minutes on a node that is gone.
fn tolerations(pod: &mut Value) {
    let spec = section(pod, "spec");
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let tolerated = items(spec, "tolerations").iter().any(|toleration| {
            matches!(text(toleration, "effect"), "" | "NoExecute")
                && (text(toleration, "key").is_empty() || text(toleration, "key") == key)
        });
        if !tolerated {
            let toleration = json!({
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            });
            push(spec, "tolerations", toleration);
        }
    }
}
