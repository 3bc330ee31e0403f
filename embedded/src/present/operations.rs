//! The paths of OpenAPI documents: which requests a kind answers.

use serde_json::{Map, Value, json};

use super::openapi::{REFERENCE, name};
use crate::kinds::Kind;
use crate::kinds::builtin::{Subresource, subresources, types::definition_name};

const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

/// Adds the paths of a kind.
pub(super) fn add(kind: &Kind, paths: &mut Map<String, Value>) {
    let root = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    };
    let all = format!("{root}/{}", kind.plural);
    let collection = if kind.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", kind.plural)
    } else {
        all.clone()
    };
    let answers = |verb: &str| kind.verbs.iter().any(|known| known == verb);
    let own = name(kind);
    let list = format!("{own}List");
    let mut operations = Map::new();
    if answers("list") {
        operations.insert("get".to_owned(), operation(kind, "list", &list, None));
        if kind.namespaced {
            let everywhere = operation(kind, "list", &list, Some("ForAllNamespaces"));
            paths.insert(all, json!({ "get": everywhere }));
        }
    }
    if answers("create") {
        operations.insert("post".to_owned(), operation(kind, "post", &own, None));
    }
    if answers("deletecollection") {
        let delete = operation(kind, "deletecollection", STATUS, None);
        operations.insert("delete".to_owned(), delete);
    }
    insert(paths, &collection, operations, false, kind.namespaced);
    let mut operations = Map::new();
    for (verb, method, action) in [
        ("get", "get", "get"),
        ("update", "put", "put"),
        ("patch", "patch", "patch"),
        ("delete", "delete", "delete"),
    ] {
        if answers(verb) {
            let answer = if verb == "delete" {
                STATUS
            } else {
                own.as_str()
            };
            operations.insert(method.to_owned(), operation(kind, action, answer, None));
        }
    }
    let item = format!("{collection}/{{name}}");
    insert(paths, &item, operations, true, kind.namespaced);
    for part in subresources(kind) {
        let mut operations = Map::new();
        for verb in part.verbs {
            let (method, action) = match *verb {
                "create" => ("post", "post"),
                "update" => ("put", "put"),
                other => (other, other),
            };
            operations.insert(method.to_owned(), sub_operation(kind, &part, action));
        }
        let path = format!("{item}/{}", part.name);
        insert(paths, &path, operations, true, kind.namespaced);
    }
}

fn insert(
    paths: &mut Map<String, Value>,
    path: &str,
    mut operations: Map<String, Value>,
    named: bool,
    namespaced: bool,
) {
    if operations.is_empty() {
        return;
    }
    let mut parameters = Vec::new();
    if named {
        parameters.push(path_parameter("name", "Name of the object."));
    }
    if namespaced {
        parameters.push(path_parameter("namespace", "Namespace of the object."));
    }
    operations.insert("parameters".to_owned(), parameters.into());
    paths.insert(path.to_owned(), Value::Object(operations));
}

fn path_parameter(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "description": description,
        "required": true,
        "schema": { "type": "string", "uniqueItems": true },
    })
}

fn sub_operation(kind: &Kind, part: &Subresource, action: &str) -> Value {
    let (group, version) = part
        .foreign
        .unwrap_or((kind.group.as_str(), kind.version.as_str()));
    let body = if part.kind == kind.kind {
        name(kind)
    } else {
        definition_name(group, version, &part.kind)
    };
    let mut operation = operation(kind, action, &body, Some(part.name));
    operation["x-kubernetes-group-version-kind"] =
        json!({ "group": group, "version": version, "kind": part.kind });
    if part.name == "log" {
        operation["responses"]["200"]["content"] =
            json!({ "text/plain": { "schema": { "type": "string" } } });
    }
    operation
}

fn operation(kind: &Kind, action: &str, answer: &str, part: Option<&str>) -> Value {
    let verb = match action {
        "get" => "read",
        "post" => "create",
        "put" => "replace",
        "deletecollection" => "delete collection of",
        other => other,
    };
    let schema = json!({ "schema": { "$ref": format!("{REFERENCE}{answer}") } });
    let mut operation = json!({
        "description": format!("{verb} {}", part.map_or_else(
            || kind.plural.clone(),
            |part| format!("{part} of {}", kind.plural),
        )),
        "operationId": operation_id(kind, verb, part),
        "parameters": parameters(action),
        "responses": {
            "200": { "description": "OK", "content": { "application/json": schema } },
            "401": { "description": "Unauthorized" },
        },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {
            "group": kind.group,
            "version": kind.version,
            "kind": kind.kind,
        },
    });
    match action {
        "post" | "put" => {
            let content = json!({ "application/json": schema, "application/yaml": schema });
            operation["requestBody"] = json!({ "content": content, "required": true });
            operation["responses"]["201"] = json!({
                "description": "Created",
                "content": { "application/json": schema },
            });
        }
        "patch" => operation["requestBody"] = patch_body(kind),
        "delete" | "deletecollection" => {
            let options = json!({ "schema": { "$ref": format!("{REFERENCE}{DELETE_OPTIONS}") } });
            operation["requestBody"] = json!({ "content": { "application/json": options } });
        }
        _ => {}
    }
    operation
}

fn patch_body(kind: &Kind) -> Value {
    let mut content = Map::new();
    let mut types = vec![
        "application/apply-patch+yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
    ];
    if kind.schema.is_none() {
        types.push("application/strategic-merge-patch+json");
    }
    for media in types {
        let schema = json!({ "type": "object", "description": "A patch." });
        content.insert(media.to_owned(), json!({ "schema": schema }));
    }
    json!({ "content": content, "required": true })
}

/// A name such as `replaceMusterDevV1NamespacedFleetStatus`.
fn operation_id(kind: &Kind, verb: &str, part: Option<&str>) -> String {
    let group = if kind.group.is_empty() {
        "core"
    } else {
        kind.group.trim_end_matches(".k8s.io")
    };
    let mut id = String::new();
    let namespaced = if kind.namespaced { "namespaced" } else { "" };
    let words = verb
        .split(' ')
        .chain(group.split(['.', '-']))
        .chain([kind.version.as_str(), namespaced, kind.kind.as_str()])
        .chain(part);
    for word in words.filter(|word| !word.is_empty()) {
        let (first, rest) = word.split_at(1);
        if id.is_empty() {
            id.push_str(first);
        } else {
            id.push_str(&first.to_uppercase());
        }
        id.push_str(rest);
    }
    id
}

fn parameters(action: &str) -> Vec<Value> {
    let text = |name: &str, description: &str| query(name, "string", description);
    let flag = |name: &str, description: &str| query(name, "boolean", description);
    let number = |name: &str, description: &str| query(name, "integer", description);
    let selectors = || {
        vec![
            text("labelSelector", "Only objects with such labels."),
            text("fieldSelector", "Only objects with such fields."),
            number(
                "limit",
                "At most so many objects; the answer says how to go on.",
            ),
            text("continue", "Go on after an earlier, limited list."),
            text("resourceVersion", "The least version of the answer."),
            text("resourceVersionMatch", "How `resourceVersion` is meant."),
        ]
    };
    let deletion = || {
        vec![
            text("dryRun", "`All`: check everything, change nothing."),
            number("gracePeriodSeconds", "Time to end, in seconds."),
            flag("orphanDependents", "Deprecated: use propagationPolicy."),
            text("propagationPolicy", "Orphan, Background or Foreground."),
        ]
    };
    match action {
        "list" => {
            let mut all = selectors();
            all.extend([
                flag("watch", "Send changes instead of a list."),
                flag("allowWatchBookmarks", "Send the version from time to time."),
                flag("sendInitialEvents", "Begin a watch with what there is."),
                number("timeoutSeconds", "End a watch after this time."),
            ]);
            all
        }
        "get" => vec![text("resourceVersion", "The least version of the answer.")],
        "post" | "put" | "patch" => {
            let mut all = vec![
                text("dryRun", "`All`: check everything, change nothing."),
                text("fieldManager", "Who makes this change."),
                text(
                    "fieldValidation",
                    "What happens to unknown fields: Ignore, Warn or Strict.",
                ),
            ];
            if action == "patch" {
                all.push(flag("force", "Take fields from other managers."));
            }
            all
        }
        "delete" => deletion(),
        "deletecollection" => {
            let mut all = selectors();
            all.extend(deletion());
            all
        }
        _ => Vec::new(),
    }
}

fn query(name: &str, kind: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "query",
        "description": description,
        "schema": { "type": kind, "uniqueItems": true },
    })
}
