//! The roles and bindings that every cluster has: everything for masters, discovery and questions
//! about oneself for the authenticated, version and health for all, and `admin`, `edit` and `view`
//! for users to bind.
//!
//! They are the real ones, less the rules for kinds that are not served here.

use serde_json::{Map, Value, json};

use super::rbac::GROUP;
use super::user::{AUTHENTICATED, MASTERS, UNAUTHENTICATED};
use crate::objects::Objects;
use crate::status::Status;

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const READ_WRITE: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// A role of the cluster.
struct Role {
    name: &'static str,
    /// The role whose rules this one's are part of.
    part_of: &'static str,
    rules: Rules,
}

enum Rules {
    Given(&'static [Rule]),
    /// Those of all roles that are part of it.
    Gathered,
}

enum Rule {
    Resources {
        groups: &'static [&'static str],
        resources: &'static [&'static str],
        verbs: &'static [&'static str],
    },
    Paths {
        paths: &'static [&'static str],
        verbs: &'static [&'static str],
    },
}

const ROLES: &[Role] = &[
    Role {
        name: "cluster-admin",
        part_of: "",
        rules: Rules::Given(&[
            Rule::Resources {
                groups: &["*"],
                resources: &["*"],
                verbs: &["*"],
            },
            Rule::Paths {
                paths: &["*"],
                verbs: &["*"],
            },
        ]),
    },
    Role {
        name: "admin",
        part_of: "",
        rules: Rules::Gathered,
    },
    Role {
        name: "edit",
        part_of: "admin",
        rules: Rules::Gathered,
    },
    Role {
        name: "view",
        part_of: "edit",
        rules: Rules::Gathered,
    },
    Role {
        name: "system:aggregate-to-admin",
        part_of: "admin",
        rules: Rules::Given(&[
            Rule::Resources {
                groups: &["authorization.k8s.io"],
                resources: &["localsubjectaccessreviews"],
                verbs: &["create"],
            },
            Rule::Resources {
                groups: &[GROUP],
                resources: &["rolebindings", "roles"],
                verbs: READ_WRITE,
            },
        ]),
    },
    Role {
        name: "system:aggregate-to-edit",
        part_of: "edit",
        rules: Rules::Given(&[
            Rule::Resources {
                groups: &[""],
                resources: &["secrets"],
                verbs: READ,
            },
            Rule::Resources {
                groups: &[""],
                resources: &["serviceaccounts"],
                verbs: &["impersonate"],
            },
            Rule::Resources {
                groups: &[""],
                resources: &["pods"],
                verbs: WRITE,
            },
            Rule::Resources {
                groups: &[""],
                resources: &["pods/eviction"],
                verbs: &["create"],
            },
            Rule::Resources {
                groups: &[""],
                resources: &["configmaps", "secrets", "serviceaccounts", "services"],
                verbs: WRITE,
            },
            Rule::Resources {
                groups: &[""],
                resources: &["serviceaccounts/token"],
                verbs: &["create"],
            },
            Rule::Resources {
                groups: &["", "events.k8s.io"],
                resources: &["events"],
                verbs: WRITE,
            },
            Rule::Resources {
                groups: &["autoscaling"],
                resources: &["horizontalpodautoscalers"],
                verbs: WRITE,
            },
            Rule::Resources {
                groups: &["policy"],
                resources: &["poddisruptionbudgets"],
                verbs: WRITE,
            },
            Rule::Resources {
                groups: &["coordination.k8s.io"],
                resources: &["leases"],
                verbs: READ_WRITE,
            },
        ]),
    },
    Role {
        name: "system:aggregate-to-view",
        part_of: "view",
        rules: Rules::Given(&[
            Rule::Resources {
                groups: &[""],
                resources: &[
                    "configmaps",
                    "pods",
                    "serviceaccounts",
                    "services",
                    "services/status",
                ],
                verbs: READ,
            },
            Rule::Resources {
                groups: &[""],
                resources: &["namespaces/status", "pods/log", "pods/status"],
                verbs: READ,
            },
            Rule::Resources {
                groups: &[""],
                resources: &["namespaces"],
                verbs: READ,
            },
            Rule::Resources {
                groups: &["", "events.k8s.io"],
                resources: &["events"],
                verbs: READ,
            },
            Rule::Resources {
                groups: &["discovery.k8s.io"],
                resources: &["endpointslices"],
                verbs: READ,
            },
            Rule::Resources {
                groups: &["autoscaling"],
                resources: &[
                    "horizontalpodautoscalers",
                    "horizontalpodautoscalers/status",
                ],
                verbs: READ,
            },
            Rule::Resources {
                groups: &["policy"],
                resources: &["poddisruptionbudgets", "poddisruptionbudgets/status"],
                verbs: READ,
            },
        ]),
    },
    Role {
        name: "system:auth-delegator",
        part_of: "",
        rules: Rules::Given(&[
            Rule::Resources {
                groups: &["authentication.k8s.io"],
                resources: &["tokenreviews"],
                verbs: &["create"],
            },
            Rule::Resources {
                groups: &["authorization.k8s.io"],
                resources: &["subjectaccessreviews"],
                verbs: &["create"],
            },
        ]),
    },
    Role {
        name: "system:basic-user",
        part_of: "",
        rules: Rules::Given(&[
            Rule::Resources {
                groups: &["authorization.k8s.io"],
                resources: &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
                verbs: &["create"],
            },
            Rule::Resources {
                groups: &["authentication.k8s.io"],
                resources: &["selfsubjectreviews"],
                verbs: &["create"],
            },
        ]),
    },
    Role {
        name: "system:discovery",
        part_of: "",
        rules: Rules::Given(&[Rule::Paths {
            paths: &[
                "/api",
                "/api/*",
                "/apis",
                "/apis/*",
                "/healthz",
                "/livez",
                "/openapi",
                "/openapi/*",
                "/readyz",
                "/version",
                "/version/",
            ],
            verbs: &["get"],
        }]),
    },
    Role {
        name: "system:monitoring",
        part_of: "",
        rules: Rules::Given(&[
            Rule::Paths {
                paths: &[
                    "/healthz",
                    "/healthz/*",
                    "/livez",
                    "/livez/*",
                    "/metrics",
                    "/metrics/slis",
                    "/readyz",
                    "/readyz/*",
                ],
                verbs: &["get"],
            },
            Rule::Resources {
                groups: &[""],
                resources: &["nodes/metrics"],
                verbs: &["get"],
            },
        ]),
    },
    Role {
        name: "system:public-info-viewer",
        part_of: "",
        rules: Rules::Given(&[Rule::Paths {
            paths: &["/healthz", "/livez", "/readyz", "/version", "/version/"],
            verbs: &["get"],
        }]),
    },
    Role {
        name: "system:service-account-issuer-discovery",
        part_of: "",
        rules: Rules::Given(&[Rule::Paths {
            paths: &[
                "/.well-known/openid-configuration",
                "/.well-known/openid-configuration/",
                "/openid/v1/jwks",
                "/openid/v1/jwks/",
            ],
            verbs: &["get"],
        }]),
    },
];

/// Roles by the groups that have them.
const BINDINGS: &[(&str, &[&str])] = &[
    ("cluster-admin", &[MASTERS]),
    ("system:basic-user", &[AUTHENTICATED]),
    ("system:discovery", &[AUTHENTICATED]),
    ("system:monitoring", &["system:monitoring"]),
    (
        "system:public-info-viewer",
        &[AUTHENTICATED, UNAUTHENTICATED],
    ),
    (
        "system:service-account-issuer-discovery",
        &["system:serviceaccounts"],
    ),
];

/// Creates those default roles and bindings that are missing. The server calls it before it
/// serves; without, only masters may anything.
pub fn plant(objects: &dyn Objects) -> Result<(), Status> {
    let kinds = objects.kinds();
    let made =
        ROLES
            .iter()
            .map(|role| ("clusterroles", role.name, role_object(role)))
            .chain(BINDINGS.iter().map(|(role, groups)| {
                ("clusterrolebindings", *role, binding_object(role, groups))
            }));
    for (resource, name, object) in made {
        let Some(kind) = kinds.resource(GROUP, resource) else {
            continue;
        };
        if objects.get(kind, "", name).is_none() {
            objects.create(kind, "", object)?;
        }
    }
    Ok(())
}

fn aggregate_label(role: &str) -> String {
    format!("{GROUP}/aggregate-to-{role}")
}

fn metadata(name: &str, part_of: &str) -> Value {
    let mut labels = Map::new();
    labels.insert(
        "kubernetes.io/bootstrapping".to_owned(),
        "rbac-defaults".into(),
    );
    if !part_of.is_empty() {
        labels.insert(aggregate_label(part_of), "true".into());
    }
    json!({
        "name": name,
        "labels": labels,
        "annotations": { "rbac.authorization.kubernetes.io/autoupdate": "true" },
    })
}

fn role_object(role: &Role) -> Value {
    let Role {
        name,
        part_of,
        rules,
    } = role;
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": "ClusterRole",
        "metadata": metadata(name, part_of),
    });
    match rules {
        Rules::Given(rules) => object["rules"] = rules.iter().map(rule_value).collect(),
        Rules::Gathered => {
            let mut labels = Map::new();
            labels.insert(aggregate_label(name), "true".into());
            object["aggregationRule"] =
                json!({ "clusterRoleSelectors": [{ "matchLabels": labels }] });
            object["rules"] = json!([]);
        }
    }
    object
}

fn rule_value(rule: &Rule) -> Value {
    match rule {
        Rule::Resources {
            groups,
            resources,
            verbs,
        } => json!({ "apiGroups": groups, "resources": resources, "verbs": verbs }),
        Rule::Paths { paths, verbs } => json!({ "nonResourceURLs": paths, "verbs": verbs }),
    }
}

fn binding_object(role: &str, groups: &[&str]) -> Value {
    let subjects: Vec<Value> = groups
        .iter()
        .map(|group| json!({ "apiGroup": GROUP, "kind": "Group", "name": group }))
        .collect();
    json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": "ClusterRoleBinding",
        "metadata": metadata(role, ""),
        "roleRef": { "apiGroup": GROUP, "kind": "ClusterRole", "name": role },
        "subjects": subjects,
    })
}
