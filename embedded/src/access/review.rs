//! Reviews: questions to the API server about tokens, users and rights. They are answered, and
//! never stored.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::account::audiences;
use super::rbac::{self, Decision, items, text};
use super::user::{Attributes, User};
use super::{Access, seconds};
use crate::object::meta;
use crate::objects::Objects;
use crate::status::{Cause, Status};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// Answers a review; none if the resource is not one.
pub(super) fn review(
    access: &Access,
    objects: &dyn Objects,
    caller: &User,
    resource: (&str, &str),
    namespace: &str,
    body: &Value,
) -> Option<Result<Value, Status>> {
    Some(match resource {
        (AUTHENTICATION, "tokenreviews") => token(access, objects, body),
        (AUTHENTICATION, "selfsubjectreviews") => Ok(this_user(access, caller)),
        (AUTHORIZATION, "subjectaccessreviews") => subject_access(objects, body),
        (AUTHORIZATION, "selfsubjectaccessreviews") => self_access(objects, caller, body),
        (AUTHORIZATION, "localsubjectaccessreviews") => local_access(objects, namespace, body),
        (AUTHORIZATION, "selfsubjectrulesreviews") => self_rules(objects, caller, body),
        _ => return None,
    })
}

/// Whose token it is.
fn token(access: &Access, objects: &dyn Objects, body: &Value) -> Result<Value, Status> {
    let spec = body.get("spec").unwrap_or(&Value::Null);
    let token = text(spec, "token");
    if token.is_empty() {
        return Err(Status::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    let mut wanted = audiences(spec);
    if wanted.is_empty() {
        wanted.push(access.tokens.issuer().to_owned());
    }
    let status = match access.check(objects, token, &wanted) {
        Ok((user, audiences)) => json!({
            "authenticated": true,
            "user": user_info(&user),
            "audiences": audiences,
        }),
        Err(flaw) => json!({ "user": {}, "error": flaw.message() }),
    };
    Ok(answer(body, "TokenReview", AUTHENTICATION, spec, &status))
}

/// Who the caller is. Nothing of the question is in the answer.
fn this_user(access: &Access, caller: &User) -> Value {
    json!({
        "kind": "SelfSubjectReview",
        "apiVersion": format!("{AUTHENTICATION}/v1"),
        "metadata": { "creationTimestamp": seconds(access.now()) },
        "status": { "userInfo": user_info(caller) },
    })
}

/// What a given user may.
fn subject_access(objects: &dyn Objects, body: &Value) -> Result<Value, Status> {
    let spec = body.get("spec").unwrap_or(&Value::Null);
    let mut causes = Vec::from_iter(check_spec(spec));
    causes.extend(check_subject(spec));
    causes.extend(check_metadata(body, &[], "must be empty"));
    let kind = "SubjectAccessReview";
    access(objects, subject(spec), body, kind, causes)
}

/// What the caller may.
fn self_access(objects: &dyn Objects, caller: &User, body: &Value) -> Result<Value, Status> {
    let spec = body.get("spec").unwrap_or(&Value::Null);
    let mut causes = Vec::from_iter(check_spec(spec));
    causes.extend(check_metadata(body, &[], "must be empty"));
    let kind = "SelfSubjectAccessReview";
    access(objects, caller.clone(), body, kind, causes)
}

/// What a given user may in one namespace.
fn local_access(objects: &dyn Objects, namespace: &str, body: &Value) -> Result<Value, Status> {
    let mut body = body.clone();
    match meta(&body, "namespace") {
        "" => body["metadata"]["namespace"] = namespace.into(),
        given if given != namespace => {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the \
                 request",
            ));
        }
        _ => {}
    }
    let spec = body.get("spec").unwrap_or(&Value::Null);
    let mut causes = Vec::from_iter(check_spec(spec));
    causes.extend(check_subject(spec));
    let detail = "must be empty except for namespace";
    causes.extend(check_metadata(&body, &["namespace"], detail));
    if let Some(resource) = part(spec, "resourceAttributes") {
        let of = text(resource, "namespace");
        if of != namespace {
            causes.push(Cause::invalid(
                "spec.resourceAttributes.namespace",
                &format!("{of:?}"),
                "must match metadata.namespace",
            ));
        }
    }
    if let Some(path) = part(spec, "nonResourceAttributes") {
        causes.push(Cause::invalid(
            "spec.nonResourceAttributes",
            &shown_path(path),
            "disallowed on this kind of request",
        ));
    }
    let kind = "LocalSubjectAccessReview";
    access(objects, subject(spec), &body, kind, causes)
}

/// Everything that the caller may in a namespace.
fn self_rules(objects: &dyn Objects, caller: &User, body: &Value) -> Result<Value, Status> {
    let spec = body.get("spec").unwrap_or(&Value::Null);
    let namespace = text(spec, "namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let (rules, problems) = rbac::rules(objects, caller, namespace);
    let mut resources: Vec<Value> = Vec::new();
    let mut paths: Vec<Value> = Vec::new();
    for rule in &rules {
        if !items(rule, "resources").is_empty() {
            let fields = ["verbs", "apiGroups", "resources", "resourceNames"];
            resources.push(picked(rule, &fields));
        }
        if !items(rule, "nonResourceURLs").is_empty() {
            paths.push(picked(rule, &["verbs", "nonResourceURLs"]));
        }
    }
    let mut status = json!({
        "resourceRules": resources,
        "nonResourceRules": paths,
        "incomplete": false,
    });
    if !problems.is_empty() {
        status["evaluationError"] = problems.into();
    }
    Ok(json!({
        "kind": "SelfSubjectRulesReview",
        "apiVersion": format!("{AUTHORIZATION}/v1"),
        "metadata": {},
        "spec": {},
        "status": status,
    }))
}

/// The lists of a rule that are not empty.
fn picked(rule: &Value, fields: &[&str]) -> Value {
    let mut picked = Map::new();
    for &field in fields {
        let list = items(rule, field);
        if !list.is_empty() {
            picked.insert(field.to_owned(), list.into());
        }
    }
    Value::Object(picked)
}

/// The review as it was sent, with its answer.
fn answer(body: &Value, kind: &str, group: &str, spec: &Value, status: &Value) -> Value {
    let metadata = body.get("metadata").filter(|value| value.is_object());
    json!({
        "kind": kind,
        "apiVersion": format!("{group}/v1"),
        "metadata": metadata.cloned().unwrap_or_else(|| json!({})),
        "spec": spec,
        "status": status,
    })
}

fn access(
    objects: &dyn Objects,
    user: User,
    body: &Value,
    kind: &str,
    causes: Vec<Cause>,
) -> Result<Value, Status> {
    if !causes.is_empty() {
        // The API server forgets the kind here.
        return Err(Status::invalid(AUTHORIZATION, "", "", causes));
    }
    let spec = body.get("spec").unwrap_or(&Value::Null);
    let mut status = json!({});
    let reason = match rbac::decide(objects, &attributes(spec, user)) {
        Decision::Allowed(reason) => {
            status["allowed"] = true.into();
            reason
        }
        Decision::NoOpinion(reason) => {
            status["allowed"] = false.into();
            reason
        }
    };
    if !reason.is_empty() {
        status["reason"] = reason.into();
    }
    Ok(answer(body, kind, AUTHORIZATION, spec, &status))
}

fn attributes(spec: &Value, user: User) -> Attributes {
    if let Some(resource) = part(spec, "resourceAttributes") {
        let field = |name| text(resource, name).to_owned();
        return Attributes {
            user,
            verb: field("verb"),
            group: field("group"),
            resource: field("resource"),
            subresource: field("subresource"),
            namespace: field("namespace"),
            name: field("name"),
            path: String::new(),
        };
    }
    let path = part(spec, "nonResourceAttributes").unwrap_or(&Value::Null);
    // No path at all would be a question about a resource. Nothing is served at a blank, so that
    // only rules for every path match it.
    let wanted = match text(path, "path") {
        "" => " ",
        given => given,
    };
    Attributes {
        user,
        verb: text(path, "verb").to_owned(),
        path: wanted.to_owned(),
        ..Attributes::default()
    }
}

fn part<'a>(spec: &'a Value, field: &str) -> Option<&'a Value> {
    spec.get(field).filter(|value| !value.is_null())
}

fn check_spec(spec: &Value) -> Option<Cause> {
    let resource = part(spec, "resourceAttributes");
    let path = part(spec, "nonResourceAttributes");
    match (resource, path) {
        (Some(_), Some(path)) => Some(Cause::invalid(
            "spec.nonResourceAttributes",
            &shown_path(path),
            "cannot be specified in combination with resourceAttributes",
        )),
        (None, None) => Some(Cause::invalid(
            "spec.resourceAttributes",
            "null",
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => None,
    }
}

fn check_subject(spec: &Value) -> Option<Cause> {
    let nobody = text(spec, "user").is_empty() && items(spec, "groups").is_empty();
    nobody.then(|| {
        let detail = "at least one of user or group must be specified";
        Cause::invalid("spec.user", "\"\"", detail)
    })
}

fn check_metadata(body: &Value, but: &[&str], detail: &str) -> Option<Cause> {
    let metadata = body.get("metadata")?;
    let more = metadata.as_object()?.iter().any(|(field, value)| {
        field != "managedFields" && !but.contains(&field.as_str()) && !is_zero(value)
    });
    more.then(|| Cause::invalid("metadata", &metadata.to_string(), detail))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The attributes as the API server prints them.
fn shown_path(path: &Value) -> String {
    json!({ "Path": text(path, "path"), "Verb": text(path, "verb") }).to_string()
}

fn subject(spec: &Value) -> User {
    let list = |value: &Value| {
        let texts = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let texts = texts.iter().filter_map(Value::as_str);
        texts.map(str::to_owned).collect::<Vec<String>>()
    };
    let extra = spec.get("extra").and_then(Value::as_object);
    User {
        name: text(spec, "user").to_owned(),
        uid: text(spec, "uid").to_owned(),
        groups: spec.get("groups").map(list).unwrap_or_default(),
        extra: extra.map_or_else(BTreeMap::new, |extra| {
            extra
                .iter()
                .map(|(key, value)| (key.clone(), list(value)))
                .collect()
        }),
    }
}

fn user_info(user: &User) -> Value {
    let User {
        name,
        uid,
        groups,
        extra,
    } = user;
    let mut info = json!({ "username": name });
    if !uid.is_empty() {
        info["uid"] = uid.as_str().into();
    }
    if !groups.is_empty() {
        info["groups"] = groups.as_slice().into();
    }
    if !extra.is_empty() {
        info["extra"] = json!(extra);
    }
    info
}
