//! `serviceaccounts/token`: makes a token for a service account.

use std::sync::Arc;

use jiff::ToSpan as _;
use serde_json::{Value, json};

use super::rbac::{items, text};
use super::tokens::{Bound, Claims, Reference};
use super::{Access, seconds};
use crate::object::{Object, meta};
use crate::objects::Objects;
use crate::status::{Cause, Status};

/// API group of TokenRequest.
const GROUP: &str = "authentication.k8s.io";
/// How long a token holds if the caller does not say.
const DEFAULT_SECONDS: i64 = 3600;
/// What the kubelet asks for the volume that every pod has; such tokens hold longer, because
/// many clients do not read them again.
const PROJECTED_SECONDS: i64 = 3607;
/// How long those hold.
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;

/// Answers a TokenRequest.
pub(super) fn request(
    access: &Access,
    objects: &dyn Objects,
    namespace: &str,
    name: &str,
    body: &Value,
) -> Result<Value, Status> {
    let wanted = decode(body)?;
    for (field, given, right) in [
        ("name", meta(body, "name"), name),
        ("namespace", meta(body, "namespace"), namespace),
    ] {
        if !given.is_empty() && given != right {
            let detail = format!("must match the service account {field} if specified");
            let cause = Cause::invalid(format!("metadata.{field}"), &format!("{given:?}"), &detail);
            return Err(Status::invalid(GROUP, "TokenRequest", name, vec![cause]));
        }
    }
    let account = find(objects, "serviceaccounts", namespace, name)?;
    let uid = account.meta("uid");
    let given = meta(body, "uid");
    if !given.is_empty() && given != uid {
        let detail = format!(
            "the UID in the token request ({given}) does not match the UID of the service account \
             ({uid})"
        );
        return Err(Status::conflict(GROUP, "TokenRequest", name, &detail));
    }
    check_seconds(wanted.seconds)?;
    let audiences = if wanted.audiences.is_empty() {
        vec![access.tokens.issuer().to_owned()]
    } else {
        wanted.audiences
    };
    let mut bound = Bound {
        namespace: namespace.to_owned(),
        serviceaccount: Reference::to(&account),
        ..Bound::default()
    };
    if let Some(reference) = &wanted.bound {
        bind(&mut bound, objects, namespace, name, reference)?;
    }

    let now = access.now();
    let mut holds = wanted.seconds;
    if holds == PROJECTED_SECONDS
        && bound.pod.is_some()
        && audiences
            .iter()
            .all(|audience| audience == access.tokens.issuer())
    {
        bound.warnafter = Some(now.as_second() + holds);
        holds = EXTENDED_SECONDS;
    }
    let claims = Claims {
        aud: audiences.clone(),
        exp: now.as_second() + holds,
        iat: now.as_second(),
        iss: access.tokens.issuer().to_owned(),
        jti: (access.uids)(),
        kubernetes: bound,
        nbf: now.as_second(),
        sub: format!("system:serviceaccount:{namespace}:{name}"),
    };
    let token = access.tokens.sign(&claims).map_err(|error| {
        tracing::error!(%error, "Could not sign a token");
        Status::internal("failed to generate token")
    })?;
    // The seconds were checked: the sum is a time that can be written.
    let expires = now
        .checked_add(wanted.seconds.seconds())
        .map_err(Status::internal)?;

    let mut metadata = body.get("metadata").cloned().unwrap_or_else(|| json!({}));
    metadata["name"] = name.into();
    metadata["namespace"] = namespace.into();
    metadata["uid"] = uid.into();
    metadata["creationTimestamp"] = seconds(now).into();
    Ok(json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": metadata,
        "spec": {
            "audiences": audiences,
            "expirationSeconds": wanted.seconds,
            "boundObjectRef": wanted.bound,
        },
        "status": { "token": token, "expirationTimestamp": seconds(expires) },
    }))
}

/// The parts of a request.
struct Wanted {
    audiences: Vec<String>,
    seconds: i64,
    bound: Option<Value>,
}

fn decode(body: &Value) -> Result<Wanted, Status> {
    let refuse = |found: &Value, field: &str, wanted: &str| {
        let found = match found {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number) if number.is_f64() => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        Status::bad_request(format!(
            "TokenRequest in version \"v1\" cannot be handled as a TokenRequest: json: cannot \
             unmarshal {found} into Go struct field TokenRequestSpec.spec.{field} of type {wanted}"
        ))
    };
    let spec = body.get("spec").unwrap_or(&Value::Null);
    let seconds = match spec.get("expirationSeconds") {
        None | Some(Value::Null) => DEFAULT_SECONDS,
        Some(value) => value
            .as_i64()
            .ok_or_else(|| refuse(value, "expirationSeconds", "int64"))?,
    };
    let audiences = match spec.get("audiences") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list
            .iter()
            .map(|item| {
                let text = item.as_str().map(str::to_owned);
                text.ok_or_else(|| refuse(item, "audiences", "string"))
            })
            .collect::<Result<_, _>>()?,
        Some(other) => return Err(refuse(other, "audiences", "[]string")),
    };
    let bound = match spec.get("boundObjectRef") {
        None | Some(Value::Null) => None,
        Some(value @ Value::Object(_)) => Some(value.clone()),
        Some(other) => return Err(refuse(other, "boundObjectRef", "v1.BoundObjectReference")),
    };
    Ok(Wanted {
        audiences,
        seconds,
        bound,
    })
}

fn check_seconds(wanted: i64) -> Result<(), Status> {
    let detail = if wanted < 600 {
        "may not specify a duration less than 10 minutes"
    } else if wanted > 1 << 32 {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    let cause = Cause::invalid("spec.expirationSeconds", &wanted.to_string(), detail);
    Err(Status::invalid(GROUP, "TokenRequest", "", vec![cause]))
}

/// Binds a token to an object: it holds as long as that is there.
fn bind(
    bound: &mut Bound,
    objects: &dyn Objects,
    namespace: &str,
    account: &str,
    reference: &Value,
) -> Result<(), Status> {
    let (kind, name) = (text(reference, "kind"), text(reference, "name"));
    let api_version = text(reference, "apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let object = match (group, kind) {
        ("", "Pod") => {
            let pod = find(objects, "pods", namespace, name)?;
            let spec = pod.value().get("spec").unwrap_or(&Value::Null);
            if text(spec, "serviceAccountName") != account {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with \
                     different serviceaccount name."
                )));
            }
            bound.pod = Some(Reference::to(&pod));
            let node = text(spec, "nodeName");
            if !node.is_empty() {
                // The name alone tells where the pod is, if the node is not there any more.
                bound.node = Some(find(objects, "nodes", "", node).map_or_else(
                    |_| Reference {
                        name: node.to_owned(),
                        uid: String::new(),
                    },
                    |node| Reference::to(&node),
                ));
            }
            pod
        }
        ("", "Node") => {
            let node = find(objects, "nodes", "", name)?;
            bound.node = Some(Reference::to(&node));
            node
        }
        ("", "Secret") => {
            let secret = find(objects, "secrets", namespace, name)?;
            bound.secret = Some(Reference::to(&secret));
            secret
        }
        _ => {
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    };
    let uid = text(reference, "uid");
    if !uid.is_empty() && uid != object.meta("uid") {
        let detail = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The \
             object might have been deleted and then recreated"
        );
        return Err(Status::conflict("", kind, name, &detail));
    }
    Ok(())
}

fn find(
    objects: &dyn Objects,
    resource: &str,
    namespace: &str,
    name: &str,
) -> Result<Arc<Object>, Status> {
    let kinds = objects.kinds();
    kinds
        .resource("", resource)
        .and_then(|kind| objects.get(kind, namespace, name))
        .ok_or_else(|| Status::not_found("", resource, name))
}

/// Audiences that a review asks for.
pub(super) fn audiences(spec: &Value) -> Vec<String> {
    items(spec, "audiences")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
