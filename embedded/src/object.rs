//! One object at one version, as the store keeps it and watches hand it out.
//!
//! An object is a value, or its JSON, or both. A value takes some ten times the memory of its JSON,
//! so that the store keeps only JSON of what nobody has touched for a while; whoever asks for the
//! value of such an object has it parsed again.

use std::sync::{Arc, OnceLock};

use hyper::body::Bytes;
use serde_json::Value;

/// An object at one resource version. Immutable; shared by store, watches and answers.
#[derive(Debug)]
pub struct Object {
    /// The whole object with apiVersion, kind and metadata.resourceVersion.
    value: OnceLock<Value>,
    json: OnceLock<Bytes>,
    /// What the object says it is, known without parsing.
    api_version: Arc<str>,
    /// Its resource version.
    revision: u64,
}

impl Object {
    /// Wraps a complete object. `revision` must be what `metadata.resourceVersion` says.
    pub fn new(value: Value, revision: u64) -> Self {
        let api_version = value.get("apiVersion").and_then(Value::as_str);
        Self {
            api_version: Arc::from(api_version.unwrap_or_default()),
            value: OnceLock::from(value),
            json: OnceLock::new(),
            revision,
        }
    }

    /// The object. It is parsed and kept if only its JSON was at hand.
    pub fn value(&self) -> &Value {
        self.value.get_or_init(|| self.parse())
    }

    fn parse(&self) -> Value {
        // One of both is always there, and the JSON was made of a value.
        let json = self.json.get();
        json.and_then(|json| serde_json::from_slice(json).ok())
            .unwrap_or_default()
    }

    /// Resource version.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What the object says it is, such as `muster.dev/v1`.
    pub fn api_version(&self) -> &str {
        &self.api_version
    }

    /// The object as JSON: made once, however many watches deliver it.
    pub fn json(&self) -> &Bytes {
        self.json.get_or_init(|| {
            // Maps with text keys always serialize.
            let mut json = serde_json::to_vec(self.value()).unwrap_or_default();
            json.shrink_to_fit();
            Bytes::from(json)
        })
    }

    /// Whether the value would have to be parsed.
    pub(crate) fn is_packed(&self) -> bool {
        self.value.get().is_none()
    }

    /// The same without its value.
    pub(crate) fn packed(&self) -> Self {
        Self {
            value: OnceLock::new(),
            json: OnceLock::from(self.json().clone()),
            api_version: Arc::clone(&self.api_version),
            revision: self.revision,
        }
    }

    /// The object for a short use: if it must be parsed, the value is not kept in `this`.
    pub(crate) fn opened(this: &Arc<Self>) -> Arc<Self> {
        if this.is_packed() {
            Arc::new(Self {
                value: OnceLock::from(this.parse()),
                ..this.packed()
            })
        } else {
            Arc::clone(this)
        }
    }

    /// A text in `metadata`, empty if absent.
    pub fn meta(&self, field: &str) -> &str {
        meta(self.value(), field)
    }
}

/// A text in `metadata`, empty if absent.
pub fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get(field))
        .and_then(Value::as_str)
        .unwrap_or_default()
}
