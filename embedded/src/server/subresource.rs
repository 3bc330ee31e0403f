//! Parts of objects that have their own verbs.

mod absent;
mod eviction;
mod log;
mod pods;
mod scale;

use serde_json::{Value, json};

use super::Api;
use super::body;
use super::call::Answer;
use super::params::WriteOptions;
use super::protobuf;
use super::request::Request;
use super::rules::is_core;
use super::write::Intent;
use crate::kinds::builtin;
use crate::merge::Shape;
use crate::merge::managed::{self, Writer};
use crate::status::Status;

impl Api {
    /// Answers a request on a subresource other than status.
    pub(super) fn subresource(&self, request: &Request<'_>, verb: &str) -> Result<Answer, Status> {
        let kind = &request.served.kind;
        if kind.scale.is_some() && request.subresource() == "scale" {
            return self.scale(request, verb);
        }
        match (request.subresource(), verb) {
            ("log", "get") if is_core(kind, "pods") => self.logs(request),
            ("binding", "create") if is_core(kind, "pods") => self.bind(request),
            ("eviction", "create") if is_core(kind, "pods") => self.evict(request),
            ("finalize", "update") if is_core(kind, "namespaces") => self.update(request),
            ("token", "create") if is_core(kind, "serviceaccounts") => self.token(request),
            ("log" | "binding" | "eviction", _) if is_core(kind, "pods") => {
                Err(Status::method_not_allowed())
            }
            ("finalize", _) if is_core(kind, "namespaces") => Err(Status::method_not_allowed()),
            ("token", _) if is_core(kind, "serviceaccounts") => Err(Status::method_not_allowed()),
            _ if request.served.is_custom() => {
                Err(Status::not_found(&kind.group, &kind.plural, request.name()))
            }
            (absent, _) => Err(self.refuse_absent(request, absent)),
        }
    }

    /// Why a subresource is not served: first that its object is missing, as elsewhere.
    fn refuse_absent(&self, request: &Request<'_>, subresource: &str) -> Status {
        let kind = &request.served.kind;
        let Some(advice) = absent::advice(kind, subresource) else {
            return Status::no_such_path();
        };
        let (namespace, name) = (request.namespace(), request.name());
        match self.find(request.served, namespace, name) {
            Some(_) => absent::refusal(kind, name, subresource, advice),
            None => Status::not_found(&kind.group, &kind.plural, name),
        }
    }

    /// A token for a service account.
    fn token(&self, request: &Request<'_>) -> Result<Answer, Status> {
        let mut body = read(request)?;
        let options = create_options(request)?;
        let intent = Intent::of(self, request.call, &options, "token");
        let writer = Writer {
            manager: intent.manager.unwrap_or_default(),
            subresource: Some("token".to_owned()),
            api_version: "authentication.k8s.io/v1".to_owned(),
            now: intent.now,
        };
        let shape = Shape::builtin("authentication.k8s.io", "TokenRequest");
        managed::record_update(None, &mut body, &writer, &shape);
        let value = self
            .access
            .request_token(self, request.namespace(), request.name(), &body)?;
        Ok(Answer::Value { code: 201, value })
    }
}

/// The body of a request that is no object of the kind in its path.
pub(super) fn read(request: &Request<'_>) -> Result<Value, Status> {
    let call = request.call;
    let content_type = call.header(http::header::CONTENT_TYPE);
    if protobuf::is_sent(content_type) {
        let (api_version, kind) = expected(request);
        return protobuf::decode(&call.body, (&api_version, &kind))
            .map_err(|refusal| refusal.status(&kind, &call.body));
    }
    let format = body::Format::of(content_type)?;
    let decoded = body::decode(format, &call.body).map_err(Status::bad_request)?;
    if decoded.value.is_object() {
        Ok(decoded.value)
    } else {
        Err(Status::bad_request("the body is no object"))
    }
}

/// API version and kind of the body of such a request.
fn expected(request: &Request<'_>) -> (String, String) {
    let kind = &request.served.kind;
    let own = (kind.api_version(), kind.kind.clone());
    builtin::subresources(kind)
        .into_iter()
        .find(|known| known.name == request.subresource())
        .map_or(own, |known| {
            let version = known
                .foreign
                .map(|(group, version)| format!("{group}/{version}"));
            (version.unwrap_or_else(|| kind.api_version()), known.kind)
        })
}

/// Options of a request that creates something about an object.
fn create_options(request: &Request<'_>) -> Result<WriteOptions, Status> {
    WriteOptions::read(&request.call.params, "CreateOptions", None)
}

/// 201 without an object.
fn done() -> Answer {
    Answer::Value {
        code: 201,
        value: json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "code": 201,
        }),
    }
}

/// Sets a condition in the status. One of the same type and state keeps its time.
fn set_condition(object: &mut Value, mut condition: Value) {
    let status = &mut object["status"];
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(conditions) = status["conditions"].as_array_mut() else {
        return;
    };
    let same = |known: &&mut Value| known["type"] == condition["type"];
    match conditions.iter_mut().find(same) {
        Some(known) => {
            if known["status"] == condition["status"] {
                condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
}
