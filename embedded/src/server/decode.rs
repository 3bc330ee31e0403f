//! From the body of a request to an object of a kind.

use serde_json::Value;

use super::body::{self, Decoded};
use super::call::Call;
use super::catalog::Served;
use super::params::FieldValidation;
use super::protobuf;
use super::write::set_meta;
use crate::kinds::builtin;
use crate::object::meta;
use crate::schema::{metadata, show};
use crate::status::{Cause, Status};

/// Decodes the body of a write to an object of a kind: checks what it says it is, drops what
/// the kind does not know, and fills in defaults.
pub(crate) fn decode(
    call: &Call,
    served: &Served,
    validation: FieldValidation,
) -> Result<Value, Status> {
    let content_type = call.header(http::header::CONTENT_TYPE);
    let kind = &served.kind;
    let decoded = if protobuf::is_sent(content_type) {
        decode_protobuf(served, &call.body)?
    } else {
        let format = body::Format::of(content_type)?;
        body::decode(format, &call.body).map_err(|error| {
            Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): couldn't get \
                 version/kind; json parse error: {error} ({})",
                kind.kind,
                body::summary(&call.body)
            ))
        })?
    };
    let mut value = decoded.value;
    if !value.is_object() {
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get \
             version/kind; json parse error: json: cannot unmarshal {} into Go value of type \
             struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
             \"json:\\\"kind,omitempty\\\"\" }} ({})",
            kind.kind,
            show::type_name(&value),
            body::summary(&call.body)
        )));
    }
    check_type(&mut value, served, &call.body)?;
    let unknown = complete_sent(served, &mut value)?;
    let problems = decoded
        .duplicates
        .iter()
        .map(|path| format!("duplicate field \"{path}\""))
        .chain(
            unknown
                .iter()
                .map(|path| format!("unknown field \"{path}\"")),
        );
    report(call, served, &value, validation, problems.collect())?;
    Ok(value)
}

/// As [`complete`], but an empty list of managed fields stays: it asks to forget all owners.
pub(crate) fn complete_sent(served: &Served, value: &mut Value) -> Result<Vec<String>, Status> {
    let managed = value.pointer("/metadata/managedFields");
    let forgets = managed.and_then(Value::as_array).is_some_and(Vec::is_empty);
    let unknown = complete(served, value)?;
    if forgets && !served.is_custom() {
        set_meta(value, "managedFields", Value::Array(Vec::new()));
    }
    Ok(unknown)
}

/// Decodes protobuf, which custom resources do not have.
fn decode_protobuf(served: &Served, bytes: &[u8]) -> Result<Decoded, Status> {
    if served.is_custom() {
        return Err(body::unsupported(&["application/json", "application/yaml"]));
    }
    let kind = &served.kind;
    let value = protobuf::decode(bytes, (&kind.api_version(), &kind.kind))
        .map_err(|refusal| refusal.status(&kind.kind, bytes))?;
    Ok(Decoded {
        value,
        duplicates: Vec::new(),
    })
}

/// Drops what a kind does not know, and fills in defaults. Tells what was dropped.
pub(crate) fn complete(served: &Served, value: &mut Value) -> Result<Vec<String>, Status> {
    if let Some(schema) = &served.schema {
        let mut unknown = metadata::read(value).map_err(|problem| {
            Status::bad_request(format!(
                "{0} in version {1:?} cannot be handled as a {0}: {problem}",
                served.kind.kind, served.kind.version
            ))
        })?;
        unknown.extend(schema.prune(value));
        let embedded = schema
            .read_embedded(value)
            .map_err(|cause| misfit(served, value, cause))?;
        unknown.extend(embedded);
        schema.default(value);
        return Ok(unknown);
    }
    let unknown = builtin::decode(&served.kind, value)?;
    builtin::default(&served.kind, value);
    Ok(unknown)
}

/// Checks what an object says it is against where it was sent.
fn check_type(value: &mut Value, served: &Served, body: &[u8]) -> Result<(), Status> {
    let kind = &served.kind;
    let text = |field: &str| {
        value
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (own_kind, own_version) = (text("kind"), text("apiVersion"));
    let expected = kind.api_version();
    if served.is_custom() {
        for (field, own) in [("Kind", &own_kind), ("apiVersion", &own_version)] {
            if own.is_empty() {
                return Err(Status::bad_request(format!(
                    "the object provided is unrecognized (must be of type {}): Object '{field}' \
                     is missing in '{}' ({})",
                    kind.kind,
                    String::from_utf8_lossy(body),
                    body::summary(body)
                )));
            }
        }
    }
    if own_kind.is_empty() {
        value["kind"] = kind.kind.as_str().into();
    }
    if own_version.is_empty() {
        value["apiVersion"] = expected.into();
        return Ok(());
    }
    if !served.is_custom() && !own_kind.is_empty() && own_kind != kind.kind {
        return Err(Status::bad_request(format!(
            "{own_kind} in version {:?} cannot be handled as a {}: {}",
            own_version.rsplit('/').next().unwrap_or_default(),
            kind.kind,
            unconvertible(served, &own_kind, &own_version)
        )));
    }
    if own_version != expected {
        if own_version.matches('/').count() > 1 {
            return Err(Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): unexpected \
                 GroupVersion string: {own_version} ({})",
                kind.kind,
                body::summary(body)
            )));
        }
        if !served.is_custom() {
            return Err(Status::bad_request(format!(
                "{0} in version {1:?} cannot be handled as a {0}: no kind {0:?} is registered for \
                 version {own_version:?} in scheme \"pkg/runtime/scheme.go:111\"",
                kind.kind,
                own_version.rsplit('/').next().unwrap_or_default()
            )));
        }
        return Err(Status::bad_request(format!(
            "the API version in the data ({own_version}) does not match the expected API version \
             ({expected})"
        )));
    }
    Ok(())
}

/// Embedded metadata that cannot be read makes the object invalid.
fn misfit(served: &Served, value: &Value, cause: Cause) -> Status {
    Status::invalid(
        &served.kind.group,
        &served.kind.kind,
        meta(value, "name"),
        vec![cause],
    )
}

/// What Go says of an object of another kind than was expected.
pub(crate) fn unconvertible(served: &Served, kind: &str, api_version: &str) -> String {
    // Every group knows the kinds that are common to all.
    let common = matches!(kind, "Status" | "List");
    let known = builtin::all().iter().any(|known| {
        (known.kind == kind || known.list_kind == kind) && known.api_version() == api_version
    });
    if !known && !common {
        return format!(
            "no kind {kind:?} is registered for version {api_version:?} in scheme \
             \"pkg/api/legacyscheme/scheme.go:30\""
        );
    }
    let version = api_version.rsplit('/').next().unwrap_or_default();
    // The packages of the internal types are named by the first part of the group.
    let package = match served.kind.group.as_str() {
        "" | "events.k8s.io" => "core",
        group => group.split('.').next().unwrap_or_default(),
    };
    format!(
        "converting ({version}.{kind}) to ({package}.{}): unknown conversion",
        served.kind.kind
    )
}

/// What a refusal of [`builtin::decode`] says is wrong, without what it is wrong with.
pub(crate) fn problem_of<'a>(status: &'a Status, served: &Served) -> Option<&'a str> {
    let prefix = format!("cannot be handled as a {}: ", served.kind.kind);
    status
        .message
        .split_once(prefix.as_str())
        .map(|(_, problem)| problem)
}

/// Refuses, warns of or ignores what strict decoding finds.
pub(crate) fn report(
    call: &Call,
    served: &Served,
    value: &Value,
    validation: FieldValidation,
    problems: Vec<String>,
) -> Result<(), Status> {
    if problems.is_empty() {
        return Ok(());
    }
    match validation {
        FieldValidation::Ignore => Ok(()),
        FieldValidation::Warn => {
            for problem in problems {
                call.warn(problem);
            }
            Ok(())
        }
        FieldValidation::Strict => {
            let kind = value
                .get("kind")
                .and_then(Value::as_str)
                .unwrap_or_default();
            Err(Status::bad_request(format!(
                "{kind} in version {:?} cannot be handled as a {}: strict decoding error: {}",
                served.kind.version,
                served.kind.kind,
                problems.join(", ")
            )))
        }
    }
}
