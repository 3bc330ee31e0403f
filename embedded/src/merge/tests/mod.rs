//! Tests of merging: against recorded answers of a real API server, by table, and by law.

mod owners;
mod patches;
mod properties;
mod recorded;

use std::sync::Arc;

use serde_json::Value;

use super::managed::Writer;
use super::shape::Shape;

/// Version of the custom resources in these tests.
const API_VERSION: &str = "merge.muster.test/v1";

/// A custom resource with every way to merge.
fn custom() -> Arc<Shape> {
    let schema: Value = serde_json::from_str(include_str!("shape.json")).unwrap();
    let mut shape = Arc::unwrap_or_clone(Shape::from_schema(&schema));
    shape.kind = Some("Shape".to_owned());
    Arc::new(shape)
}

/// A custom resource of which the schema says nothing, without a status subresource.
fn plain() -> Arc<Shape> {
    let mut shape = Arc::unwrap_or_clone(Shape::from_schema(&serde_json::json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    })));
    shape.main_resets = &[];
    shape.status_resets = &[];
    Arc::new(shape)
}

/// A writer at a second.
fn writer(manager: &str, api_version: &str, second: usize) -> Writer {
    Writer {
        manager: manager.to_owned(),
        subresource: None,
        api_version: api_version.to_owned(),
        now: format!("2026-01-01T00:00:{second:02}Z").parse().unwrap(),
    }
}

/// What an object says of its owners.
fn entries(object: &Value) -> &[Value] {
    object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
