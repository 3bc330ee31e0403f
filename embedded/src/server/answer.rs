//! Answers in the form that the client wants.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WARNING};
use http::{Response, StatusCode};
use hyper::body::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::call::{Answer, Page, Payload};
use super::catalog::Served;
use super::negotiate::{Encoding, Form, Wanted};
use super::{protobuf, tables};
use crate::object::Object;
use crate::status::Status;

/// Writes an answer.
pub(crate) fn write(
    answer: Answer,
    wanted: Wanted,
    now: Timestamp,
    warnings: Vec<String>,
) -> Response<Payload> {
    let mut response = match answer {
        Answer::Object {
            code,
            served,
            object,
        } => match (wanted.form, wanted.encoding) {
            (Form::Whole, Encoding::Json) => json_bytes(code, object.json().clone()),
            (Form::Whole, encoding) => value(code, object.value(), encoding),
            (Form::Metadata, encoding) => value(code, &metadata(object.value()), encoding),
            (Form::Table, encoding) => {
                let table = tables::object(&served, &object, wanted.include, true, now);
                value(code, &table, encoding)
            }
        },
        Answer::List(page) => list(&page, wanted, now),
        Answer::Value { code, value: body } => value(code, &body, wanted.encoding),
        Answer::Text {
            code,
            content_type,
            text,
        } => whole(code, content_type, text),
        Answer::Nothing => {
            let mut response = Response::new(Payload::Whole(None));
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Answer::Stream {
            content_type,
            stream,
        } => with_type(200, content_type, Payload::Stream(stream)),
    };
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(text) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(WARNING, text);
        }
    }
    response
}

/// Writes an error.
pub(crate) fn refuse(
    status: &Status,
    encoding: Encoding,
    warnings: Vec<String>,
) -> Response<Payload> {
    let answer = Answer::Value {
        code: status.code,
        value: status.to_value(),
    };
    let wanted = Wanted {
        encoding,
        ..Wanted::default()
    };
    let mut response = write(answer, wanted, Timestamp::UNIX_EPOCH, warnings);
    let retry = status
        .details
        .as_ref()
        .map_or(0, |details| details.retry_after_seconds);
    if retry > 0 {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(retry));
    }
    response
}

fn value(code: u16, value: &Value, encoding: Encoding) -> Response<Payload> {
    match encoding {
        Encoding::Json => json_bytes(code, to_json(value)),
        Encoding::Yaml => {
            let text = serde_saphyr::to_string(value).unwrap_or_default();
            whole(code, "application/yaml", Bytes::from(text))
        }
        // What has no protobuf is JSON, as clients expect of a server that offers less.
        Encoding::Protobuf => match protobuf::encode(value) {
            Some(body) => whole(code, protobuf::MEDIA_TYPE, Bytes::from(body)),
            None => json_bytes(code, to_json(value)),
        },
    }
}

/// JSON of a value. Values always have text keys, so that this cannot fail.
pub(crate) fn to_json(value: &Value) -> Bytes {
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

fn json_bytes(code: u16, body: Bytes) -> Response<Payload> {
    whole(code, "application/json", body)
}

fn whole(code: u16, content_type: &'static str, body: Bytes) -> Response<Payload> {
    with_type(code, content_type, Payload::Whole(Some(body)))
}

fn with_type(code: u16, content_type: &'static str, body: Payload) -> Response<Payload> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Only the metadata of an object.
pub(crate) fn metadata(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

/// `metadata` of a list.
pub(crate) fn list_metadata(page: &Page, form: Form) -> Value {
    let mut metadata = json!({ "resourceVersion": page.revision.to_string() });
    match &page.next {
        Some(next) => metadata["continue"] = next.as_str().into(),
        // Lists of custom resources have this field even when it says nothing.
        None if page.served.is_custom() && form == Form::Whole => {
            metadata["continue"] = "".into();
        }
        None => {}
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    metadata
}

fn list(page: &Page, wanted: Wanted, now: Timestamp) -> Response<Payload> {
    let served = &page.served;
    match (wanted.form, wanted.encoding) {
        (Form::Whole, Encoding::Json) => json_bytes(200, whole_list(page)),
        (Form::Whole, encoding) => {
            let items: Vec<Value> = page
                .objects
                .iter()
                .map(|object| Value::Object(item(served, object)))
                .collect();
            let body = json!({
                "kind": served.kind.list_kind,
                "apiVersion": served.kind.api_version(),
                "metadata": list_metadata(page, Form::Whole),
                "items": items,
            });
            value(200, &body, encoding)
        }
        (Form::Metadata, encoding) => {
            let items: Vec<Value> = page
                .objects
                .iter()
                .map(|object| metadata(object.value()))
                .collect();
            let body = json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": list_metadata(page, Form::Metadata),
                "items": items,
            });
            value(200, &body, encoding)
        }
        (Form::Table, encoding) => value(200, &tables::list(page, wanted.include, now), encoding),
    }
}

/// An object in a list: those of built-in kinds do not repeat what kind they are.
fn item(served: &Served, object: &Object) -> Map<String, Value> {
    let mut item = object.value().as_object().cloned().unwrap_or_default();
    if !served.is_custom() {
        item.remove("kind");
        item.remove("apiVersion");
    }
    item
}

/// A list, put together from the JSON of its objects where that is ready.
fn whole_list(page: &Page) -> Bytes {
    let served = &page.served;
    let head = json!({
        "kind": served.kind.list_kind,
        "apiVersion": served.kind.api_version(),
        "metadata": list_metadata(page, Form::Whole),
    });
    let mut body = serde_json::to_vec(&head).unwrap_or_default();
    // The closing brace makes room for the items.
    body.pop();
    body.extend_from_slice(b",\"items\":[");
    for (index, object) in page.objects.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        if served.is_custom() {
            body.extend_from_slice(object.json());
        } else {
            write_item(&mut body, object);
        }
    }
    body.extend_from_slice(b"]}\n");
    Bytes::from(body)
}

fn write_item(body: &mut Vec<u8>, object: &Arc<Object>) {
    body.push(b'{');
    let mut first = true;
    for (name, value) in object.value().as_object().into_iter().flatten() {
        if name == "kind" || name == "apiVersion" {
            continue;
        }
        if !first {
            body.push(b',');
        }
        first = false;
        body.push(b'"');
        // Fields of built-in kinds are plain words.
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(b"\":");
        body.extend_from_slice(&serde_json::to_vec(value).unwrap_or_default());
    }
    body.push(b'}');
}
