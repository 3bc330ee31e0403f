//! Replays requests whose answers were recorded from a real API server (Kubernetes 1.35.4).
//!
//! `recorded.json` has sequences of requests, each with what was sent and what was answered; some
//! begin with an object that is there. Times are numbers of requests. What others than this module do to an object (defaults, allocated
//! addresses) is in what was sent, so that owners are the same.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{API_VERSION, custom, entries, plain, writer};
use crate::merge::managed::{apply, keep_times, record_update};
use crate::merge::{Shape, json_patch, merge_patch, strategic_patch};
use crate::status::Status;

const RECORDED: &str = include_str!("recorded.json");

#[test]
fn requests_are_answered_as_a_real_api_server_answers_them() {
    let sequences: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    let mut differences = Vec::new();
    for sequence in &sequences {
        replay(sequence, &mut differences);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    assert!(sequences.len() >= 15, "{} sequences", sequences.len());
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn replay(sequence: &Value, differences: &mut Vec<String>) {
    let shape = match text(sequence, "kind") {
        "Shape" => custom(),
        "Plain" => plain(),
        kind => Shape::builtin(group_of(kind), kind),
    };
    let mut live = sequence.get("live").cloned();
    for (number, step) in sequence["steps"].as_array().unwrap().iter().enumerate() {
        let answer = step.get("answer");
        let api_version = [live.as_ref(), answer.filter(|answer| !is_error(answer))]
            .into_iter()
            .flatten()
            .map(|object| text(object, "apiVersion").to_owned())
            .next();
        let second = step.get("second").and_then(Value::as_u64);
        let second = second.map_or(number, |second| usize::try_from(second).unwrap());
        let mut writer = writer(
            text(step, "by"),
            &api_version.unwrap_or_else(|| version_of(&shape)),
            second,
        );
        let subresource = text(step, "sub");
        if !subresource.is_empty() {
            writer.subresource = Some(subresource.to_owned());
        }
        let result = perform(step, live.as_ref(), &writer, &shape);
        let Some(answer) = answer else {
            // Requests to the scale subresource are answered with another kind.
            live = Some(result.unwrap());
            continue;
        };
        let resets = shape.resets(writer.subresource.as_deref());
        let mine = match result {
            Err(status) => shown_status(&status),
            // Something else than merging refused this.
            Ok(_) if is_error(answer) => Value::Null,
            Ok(object) => shown_object(&object, resets),
        };
        let expected = if is_error(answer) {
            answer.clone()
        } else {
            shown_object(answer, resets)
        };
        if mine != expected {
            differences.push(format!(
                "{}, request {number} ({}): ours\n{mine}\nrecorded\n{expected}",
                text(sequence, "name"),
                text(step, "op"),
            ));
        }
        if !is_error(answer) {
            live = Some(answer.clone());
        }
    }
}

fn group_of(kind: &str) -> &'static str {
    match kind {
        "Role" => "rbac.authorization.k8s.io",
        _ => "",
    }
}

fn version_of(shape: &Arc<Shape>) -> String {
    if shape.built_in { "v1" } else { API_VERSION }.to_owned()
}

fn is_error(answer: &Value) -> bool {
    text(answer, "kind") == "Status"
}

fn perform(
    step: &Value,
    live: Option<&Value>,
    writer: &crate::merge::Writer,
    shape: &Shape,
) -> Result<Value, Status> {
    let sent = step.get("sent");
    let patch = sent.unwrap_or(&Value::Null);
    let mut object = live.cloned().unwrap_or_default();
    match text(step, "op") {
        "apply" => {
            let force = step.get("force").is_some();
            let mut applied = apply(live, patch, writer, force, shape)?;
            if let Some(live) = live {
                keep_times(live, &mut applied);
            } else {
                // Defaults, and what the server itself sets.
                let mut created = step["answer"].clone();
                created["metadata"]["managedFields"] = Value::Array(entries(&applied).to_vec());
                return Ok(created);
            }
            return Ok(applied);
        }
        "json" => json_patch(&mut object, patch)?,
        "merge" => merge_patch(&mut object, patch)?,
        "strategic" => strategic_patch(&mut object, patch, shape)?,
        _ => {
            object = sent.or_else(|| step.get("answer")).unwrap().clone();
            if sent.is_none() {
                object["metadata"]
                    .as_object_mut()
                    .unwrap()
                    .remove("managedFields");
            }
            record_update(live, &mut object, writer, shape);
            // What the write cannot change, and what the server sets, is in the answer only.
            let Some(answer) = step.get("answer") else {
                return Ok(object);
            };
            let mut written = answer.clone();
            let metadata = written["metadata"].as_object_mut().unwrap();
            metadata.remove("managedFields");
            if let Some(managed) = object["metadata"].get("managedFields") {
                metadata.insert("managedFields".to_owned(), managed.clone());
            }
            return Ok(written);
        }
    }
    if text(&object, "kind") == "ConfigMap" {
        // The typed objects of the API server lose empty maps.
        let managed = object["metadata"]["managedFields"].take();
        drop_empty(&mut object);
        object["metadata"]["managedFields"] = managed;
    }
    record_update(live, &mut object, writer, shape);
    Ok(object)
}

/// An error without what the caller adds.
fn shown_status(status: &Status) -> Value {
    let mut value = status.to_value();
    value.as_object_mut().unwrap().remove("metadata");
    let causes = value.pointer_mut("/details/causes");
    if let Some(Value::Array(causes)) = causes {
        causes.sort_by_key(Value::to_string);
    }
    value
}

/// An object without what the write cannot change, and without empty values: the typed objects of
/// the API server have no null.
fn shown_object(object: &Value, resets: &[&[&str]]) -> Value {
    let mut shown = object.clone();
    let managed = entries(object).to_vec();
    for path in resets {
        let (last, parents) = path.split_last().unwrap();
        let parent = parents
            .iter()
            .try_fold(&mut shown, |value, name| value.get_mut(name));
        if let Some(Value::Object(fields)) = parent {
            fields.remove(*last);
        }
    }
    if let Some(Value::Object(metadata)) = shown.get_mut("metadata") {
        metadata.remove("managedFields");
        metadata.remove("uid");
    }
    drop_empty(&mut shown);
    serde_json::json!({ "object": shown, "managedFields": managed })
}

fn drop_empty(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(drop_empty);
            fields.retain(|_, value| !is_empty(value));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => Map::is_empty(fields),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
