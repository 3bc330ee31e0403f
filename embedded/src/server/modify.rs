//! The verbs create, update and patch.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::Api;
use super::body::{self, media_type};
use super::call::{Answer, Call};
use super::decode::{complete, complete_sent, decode, problem_of, report, unconvertible};
use super::params::{FieldValidation, WriteOptions};
use super::request::Request;
use super::write::{Intent, remove_meta, set_meta};
use super::{rules, write};
use crate::kinds::builtin;
use crate::merge::{json_patch, managed, merge_patch, strategic_patch};
use crate::object::{Object, meta};
use crate::schema::show;
use crate::status::{Cause, Status};
use crate::store::Writing;

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    /// Reads a `Content-Type`.
    pub(super) fn of(content_type: &str, custom: bool) -> Result<Self, Status> {
        const JSON: &str = "application/json-patch+json";
        const MERGE: &str = "application/merge-patch+json";
        const STRATEGIC: &str = "application/strategic-merge-patch+json";
        const APPLY: &str = "application/apply-patch+yaml";
        match media_type(content_type) {
            JSON => Ok(Self::Json),
            MERGE => Ok(Self::Merge),
            STRATEGIC if !custom => Ok(Self::Strategic),
            APPLY => Ok(Self::Apply),
            _ if custom => Err(body::unsupported(&[JSON, MERGE, APPLY])),
            _ => Err(Status {
                details: Some(Box::default()),
                ..Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type")
            }),
        }
    }
}

impl Api {
    /// `POST` of an object.
    pub(super) fn create(&self, request: &Request<'_>) -> Result<Answer, Status> {
        let Request { call, served, .. } = request;
        let options = WriteOptions::read(&call.params, "CreateOptions", None)?;
        let mut value = decode(call, served, options.validation)?;
        match_namespace(request, &mut value)?;
        let intent = Intent::of(self, call, &options, "");
        let mut writing = self.begin();
        let object = self.create_in(&mut writing, served, request.namespace(), value, &intent)?;
        Ok(request.object(201, object))
    }

    /// `PUT` of an object or of its status.
    pub(super) fn update(&self, request: &Request<'_>) -> Result<Answer, Status> {
        let Request { call, served, .. } = request;
        let options = WriteOptions::read(&call.params, "UpdateOptions", None)?;
        let mut value = decode(call, served, options.validation)?;
        match_namespace(request, &mut value)?;
        match_name(request, &value)?;
        let intent = Intent::of(self, call, &options, request.subresource());
        let mut writing = self.begin();
        let key = served.key(request.namespace(), request.name());
        let missing = writing.get(&served.resource, &key).is_none();
        if missing && builtin::creates_on_update(&served.kind) && request.subresource().is_empty() {
            self.authorize_also(request, "create")?;
            let object =
                self.create_in(&mut writing, served, request.namespace(), value, &intent)?;
            return Ok(request.object(201, object));
        }
        let object = self.update_in(
            &mut writing,
            served,
            request.namespace(),
            request.name(),
            &intent,
            |old| {
                write::check_uid(served, &key, old, &value)?;
                Ok(value)
            },
        )?;
        Ok(request.object(200, object))
    }

    /// `PATCH` of an object or of its status.
    pub(super) fn patch(&self, request: &Request<'_>) -> Result<Answer, Status> {
        let Request { call, served, .. } = request;
        let patch_type = PatchType::of(call.header(CONTENT_TYPE), served.is_custom())?;
        let apply = patch_type == PatchType::Apply;
        let options = WriteOptions::read(&call.params, "PatchOptions", Some(apply))?;
        if apply {
            return self.apply(request, &options);
        }
        let patch = read_patch(call, patch_type)?;
        let intent = Intent::of(self, call, &options, request.subresource());
        let mut writing = self.begin();
        let object = self.update_in(
            &mut writing,
            served,
            request.namespace(),
            request.name(),
            &intent,
            |old| {
                let mut new = old.clone();
                match patch_type {
                    PatchType::Json => json_patch(&mut new, &patch)?,
                    PatchType::Merge => merge_patch(&mut new, &patch)?,
                    PatchType::Strategic => strategic_patch(&mut new, &patch, &served.shape)?,
                    PatchType::Apply => {}
                }
                settle_patched(request, &options, &mut new)?;
                Ok(new)
            },
        )?;
        Ok(request.object(200, object))
    }

    /// Server-side apply.
    fn apply(&self, request: &Request<'_>, options: &WriteOptions) -> Result<Answer, Status> {
        let Request { call, served, .. } = request;
        let decoded = body::decode(body::Format::Yaml, &call.body)
            .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
        let applied = decoded.value;
        if !applied.is_object() {
            return Err(Status::bad_request(format!(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot \
                 unmarshal {} into Go value of type map[string]interface {{}}",
                show::type_name(&applied)
            )));
        }
        // Unknown fields are refused when the configuration is merged.
        let problems = decoded
            .duplicates
            .iter()
            .map(|path| format!("duplicate field \"{path}\""))
            .collect();
        report(call, served, &applied, options.validation, problems)?;
        let intent = Intent::of(self, call, options, request.subresource());
        let mut writing = self.begin();
        let (code, object) =
            self.apply_in(request, &mut writing, &applied, options.force, &intent)?;
        Ok(request.object(code, object))
    }

    /// Applies a configuration of an object, or of what a subresource shows of it: 201 if the
    /// object is new.
    pub(super) fn apply_in(
        &self,
        request: &Request<'_>,
        writing: &mut Writing<'_>,
        applied: &Value,
        force: bool,
        intent: &Intent<'_>,
    ) -> Result<(u16, Arc<Object>), Status> {
        let served = request.served;
        let kind = &served.kind;
        let Some(writer) = intent.writer(kind) else {
            return Err(Status::internal("an apply has a manager"));
        };
        let key = served.key(request.namespace(), request.name());
        let stored = writing.get(&served.resource, &key);
        let Some(stored) = stored else {
            if !request.subresource().is_empty() {
                return Err(Status::not_found(&kind.group, &kind.plural, request.name()));
            }
            if !meta(applied, "uid").is_empty() {
                return Err(Status::conflict(
                    &kind.group,
                    &kind.plural,
                    request.name(),
                    &format!(
                        "uid mismatch: the provided object specified uid {}, and no existing \
                         object was found",
                        meta(applied, "uid")
                    ),
                ));
            }
            self.authorize_also(request, "create")?;
            let mut value = managed::apply(None, applied, &writer, force, &served.shape)?;
            complete(served, &mut value)?;
            match_namespace(request, &mut value)?;
            match_name(request, &value)?;
            // There is nothing whose version could be another.
            remove_meta(&mut value, "resourceVersion");
            // Ownership is recorded above.
            let intent = Intent {
                manager: None,
                ..copy(intent)
            };
            let object = self.create_in(writing, served, request.namespace(), value, &intent)?;
            return Ok((201, object));
        };
        let old = served.show(&stored);
        let mut new = managed::apply(Some(old.value()), applied, &writer, force, &served.shape)?;
        complete(served, &mut new)?;
        match_namespace(request, &mut new)?;
        match_name(request, &new)?;
        if !meta(applied, "resourceVersion").is_empty() {
            set_meta(
                &mut new,
                "resourceVersion",
                meta(applied, "resourceVersion").into(),
            );
        }
        write::check_version(served, old.value(), &mut new)?;
        if intent.subresource.is_none() {
            self.admit(kind, request.namespace(), &mut new, Some(old.value()))?;
        }
        rules::prepare_update(kind, intent.subresource, &mut new, old.value());
        managed::keep_times(old.value(), &mut new);
        let object = self.finish_update(writing, served, &key, &old, new, intent)?;
        Ok((200, object))
    }
}

/// Makes a patched object one of its kind again.
fn settle_patched(
    request: &Request<'_>,
    options: &WriteOptions,
    new: &mut Value,
) -> Result<(), Status> {
    let Request { call, served, .. } = request;
    if !new.is_object() {
        return Err(Status::bad_request(
            "the patched value is not an object any more",
        ));
    }
    let own = |field: &str| new.get(field).and_then(Value::as_str).unwrap_or_default();
    if !served.is_custom() && own("kind") != served.kind.kind {
        let problem = unconvertible(served, own("kind"), own("apiVersion"));
        return Err(bad_patch(new, &problem));
    }
    let patched = new.clone();
    let unknown =
        complete_sent(served, new).map_err(|status| match problem_of(&status, served) {
            Some(problem) => bad_patch(&patched, problem),
            None => status,
        })?;
    let problems: Vec<String> = unknown
        .iter()
        .map(|path| format!("unknown field \"{path}\""))
        .collect();
    if options.validation == FieldValidation::Strict && !problems.is_empty() {
        let problem = format!("strict decoding error: {}", problems.join(", "));
        return Err(bad_patch(&patched, &problem));
    }
    report(call, served, new, options.validation, problems)?;
    match_namespace(request, new)?;
    match_name(request, new)
}

fn copy<'a>(intent: &Intent<'a>) -> Intent<'a> {
    Intent {
        user: intent.user,
        call: intent.call,
        checked: intent.checked,
        manager: intent.manager.clone(),
        subresource: intent.subresource,
        dry_run: intent.dry_run,
        now: intent.now,
    }
}

fn read_patch(call: &Call, patch_type: PatchType) -> Result<Value, Status> {
    body::json(&call.body).map_err(|error| {
        Status::bad_request(if patch_type == PatchType::Strategic {
            error
        } else {
            format!("error decoding patch: {error}")
        })
    })
}

/// 422: what a patch makes of an object is none of its kind.
pub(super) fn bad_patch(patched: &Value, problem: &str) -> Status {
    let shown = Value::String(patched.to_string()).to_string();
    let cause = Cause::invalid("patch", &shown, problem);
    Status::invalid("", "", "", vec![cause])
}

/// The namespace of the object is that of the path.
pub(super) fn match_namespace(request: &Request<'_>, value: &mut Value) -> Result<(), Status> {
    let expected = request.namespace();
    let own = meta(value, "namespace");
    if own == expected {
        return Ok(());
    }
    if own.is_empty() || expected.is_empty() {
        if expected.is_empty() {
            remove_meta(value, "namespace");
        } else {
            set_meta(value, "namespace", expected.into());
        }
        return Ok(());
    }
    Err(Status::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    ))
}

/// The name of the object is that of the path.
pub(super) fn match_name(request: &Request<'_>, value: &Value) -> Result<(), Status> {
    let own = meta(value, "name");
    let expected = request.name();
    if own.is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({expected} based on URL) was undeterminable: name must be \
             provided"
        )));
    }
    if own != expected {
        return Err(Status::bad_request(format!(
            "the name of the object ({own}) does not match the name on the URL ({expected})"
        )));
    }
    Ok(())
}
