//! The scale subresource: how many replicas there shall be, in one form for all kinds.

use serde_json::{Value, json};

use super::super::Api;
use super::super::body;
use super::super::call::Answer;
use super::super::modify::{PatchType, bad_patch, match_name, match_namespace};
use super::super::params::WriteOptions;
use super::super::request::Request;
use super::super::write::{Intent, set_meta};
use super::read;
use crate::kinds::Scale;
use crate::merge::managed::is_owned;
use crate::merge::{json_patch, merge_patch};
use crate::object::meta;
use crate::status::Status;

impl Api {
    pub(super) fn scale(&self, request: &Request<'_>, verb: &str) -> Result<Answer, Status> {
        let Some(scale) = &request.served.kind.scale else {
            return Err(Status::no_such_path());
        };
        match verb {
            "get" => self.get_scale(request, scale),
            "update" => {
                let options = WriteOptions::read(&request.call.params, "UpdateOptions", None)?;
                let mut wanted = read(request)?;
                check_type(&wanted)?;
                match_namespace(request, &mut wanted)?;
                match_name(request, &wanted)?;
                self.set_scale(request, scale, &options, |_| Ok(wanted))
            }
            "patch" => {
                let content_type = request.call.header(http::header::CONTENT_TYPE);
                let patch_type = PatchType::of(content_type, true)?;
                let apply = patch_type == PatchType::Apply;
                let options =
                    WriteOptions::read(&request.call.params, "PatchOptions", Some(apply))?;
                if apply {
                    return self.apply_scale(request, scale, &options);
                }
                let patch = body::json(&request.call.body).map_err(|error| {
                    Status::bad_request(format!("error decoding patch: {error}"))
                })?;
                self.set_scale(request, scale, &options, |old| {
                    let mut new = old.clone();
                    match patch_type {
                        PatchType::Json => json_patch(&mut new, &patch)?,
                        _ => merge_patch(&mut new, &patch)?,
                    }
                    Ok(new)
                })
            }
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// Server-side apply: of the object, with nothing but the number in the configuration.
    fn apply_scale(
        &self,
        request: &Request<'_>,
        scale: &Scale,
        options: &WriteOptions,
    ) -> Result<Answer, Status> {
        let kind = &request.served.kind;
        let wanted = body::decode(body::Format::Yaml, &request.call.body)
            .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?
            .value;
        let text = |field: &str| {
            wanted
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (own_version, own_kind) = (text("apiVersion"), text("kind"));
        if (own_version, own_kind) != ("autoscaling/v1", "Scale") {
            let slash = if own_version.contains('/') { "" } else { "/" };
            return Err(Status::bad_request(format!(
                "invalid object type: {slash}{own_version}, Kind={own_kind}"
            )));
        }
        if wanted.pointer("/metadata/managedFields").is_some() {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        let mut applied = json!({ "apiVersion": kind.api_version(), "kind": kind.kind });
        applied["metadata"] = wanted.get("metadata").cloned().unwrap_or_else(|| json!({}));
        if let Some(count) = wanted.pointer("/spec/replicas") {
            if !count.is_i64() {
                return Err(Status::new(
                    500,
                    "",
                    format!(
                        "failed to create typed patch object ({}/{}; {own_version}, \
                         Kind={own_kind}): .spec.replicas: expected numeric (int or float)",
                        request.namespace(),
                        request.name()
                    ),
                ));
            }
            set(&mut applied, &scale.spec_replicas_path, count.clone());
        }
        let intent = Intent::of(self, request.call, options, "scale");
        let mut writing = self.begin();
        let (code, object) =
            self.apply_in(request, &mut writing, &applied, options.force, &intent)?;
        Ok(Answer::Value {
            code,
            value: show(object.value(), scale),
        })
    }

    fn get_scale(&self, request: &Request<'_>, scale: &Scale) -> Result<Answer, Status> {
        let kind = &request.served.kind;
        let object = self
            .find(request.served, request.namespace(), request.name())
            .ok_or_else(|| Status::not_found(&kind.group, &kind.plural, request.name()))?;
        if replicas(object.value(), &scale.spec_replicas_path).is_none() {
            return Err(Status::internal(format!(
                "the spec replicas field {:?} does not exist",
                scale.spec_replicas_path
            )));
        }
        Ok(Answer::ok(show(object.value(), scale)))
    }

    fn set_scale(
        &self,
        request: &Request<'_>,
        scale: &Scale,
        options: &WriteOptions,
        change: impl FnOnce(&Value) -> Result<Value, Status>,
    ) -> Result<Answer, Status> {
        let mut intent = Intent::of(self, request.call, options, "scale");
        let mut writing = self.begin();
        let path: Vec<&str> = parts(&scale.spec_replicas_path).collect();
        let served = request.served;
        let key = served.key(request.namespace(), request.name());
        let before = writing.get(&served.resource, &key);
        if !before.is_some_and(|object| is_owned(object.value(), &path)) {
            // The API server shows a scale only with the owners of its number, and whoever
            // updates what nobody owns does not become an owner.
            intent.manager = None;
        }
        let object = self.update_in(
            &mut writing,
            request.served,
            request.namespace(),
            request.name(),
            &intent,
            |old| {
                let before = show(old, scale);
                let after = change(&before)?;
                let count = after
                    .pointer("/spec/replicas")
                    .map_or(Some(0), Value::as_i64)
                    .ok_or_else(|| {
                        let problem = "json: cannot unmarshal into Go struct field \
                             ScaleSpec.spec.replicas of type int32";
                        bad_patch(&after, problem)
                    })?;
                let mut new = old.clone();
                set(&mut new, &scale.spec_replicas_path, count.into());
                let version = meta(&after, "resourceVersion");
                if !version.is_empty() {
                    set_meta(&mut new, "resourceVersion", version.into());
                }
                let uid = meta(&after, "uid");
                if !uid.is_empty() {
                    set_meta(&mut new, "uid", uid.into());
                }
                Ok(new)
            },
        )?;
        Ok(Answer::ok(show(object.value(), scale)))
    }
}

fn check_type(scale: &Value) -> Result<(), Status> {
    let text = |field: &str| scale.get(field).and_then(Value::as_str).unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("autoscaling/v1" | "", "Scale" | "") => Ok(()),
        _ => Err(Status::bad_request(
            "no kind is registered for the type v1.Scale in scheme \"pkg/runtime/scheme.go:111\"",
        )),
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.trim_start_matches('.').split('.')
}

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    parts(path).try_fold(object, |value, field| value.get(field))
}

fn replicas(object: &Value, path: &str) -> Option<i64> {
    at(object, path).and_then(Value::as_i64)
}

fn set(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    for field in parts(path) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[field];
    }
    *place = value;
}

fn show(object: &Value, scale: &Scale) -> Value {
    let mut metadata = json!({});
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        let text = meta(object, field);
        if !text.is_empty() {
            metadata[field] = text.into();
        }
    }
    let wanted = replicas(object, &scale.spec_replicas_path).unwrap_or_default();
    let observed = replicas(object, &scale.status_replicas_path).unwrap_or_default();
    let selector = scale
        .label_selector_path
        .as_deref()
        .and_then(|path| at(object, path))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut shown = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {},
        "status": { "replicas": observed },
    });
    // Zero is left out of the wish, but not of the state.
    if wanted != 0 {
        shown["spec"]["replicas"] = wanted.into();
    }
    if !selector.is_empty() {
        shown["status"]["selector"] = selector.into();
    }
    shown
}
