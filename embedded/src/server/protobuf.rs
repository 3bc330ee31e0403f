//! Built-in kinds as protobuf: what `kubectl create` and every client of Go's types send, and may
//! ask for.
//!
//! A body is an envelope that says of what kind the message in it is. [`decode`] makes of it the
//! JSON that the client would else have sent, so that nothing behind it knows of protobuf;
//! [`encode`] and [`frame`] write answers. Field numbers and names come from one table. Custom
//! resources have no protobuf, here as in every API server.

mod decode;
mod encode;
mod table;
#[cfg(test)]
mod tests;
mod wire;

use serde_json::{Map, Value};

use self::table::Table;
use self::wire::{Error, Reader, kind, put_bytes};
use super::body;
use crate::status::Status;

/// The media type.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// The media type of a watch.
pub(crate) const WATCH_MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// What every envelope begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Whether a `Content-Type` says that a body is protobuf.
pub(crate) fn is_sent(content_type: &str) -> bool {
    body::media_type(content_type) == MEDIA_TYPE
}

/// Why a body is no object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What is wrong.
    pub(crate) problem: String,
    /// Version and kind of what is inside, once that is known.
    inside: Option<(String, String)>,
}

impl Refusal {
    /// 400, as a request for an object of the kind is refused.
    pub(crate) fn status(&self, expected: &str, body: &[u8]) -> Status {
        Status::bad_request(match &self.inside {
            None => format!(
                "the object provided is unrecognized (must be of type {expected}): {} ({})",
                self.problem,
                body::summary(body)
            ),
            Some((version, kind)) => format!(
                "{kind} in version {version:?} cannot be handled as a {expected}: {}",
                self.problem
            ),
        })
    }
}

/// What surrounds a message.
#[derive(Default)]
struct Envelope<'a> {
    api_version: String,
    kind: String,
    message: &'a [u8],
}

/// Reads a body. One that does not say what it is, is of the expected API version and kind.
pub(crate) fn decode(body: &[u8], expected: (&str, &str)) -> Result<Value, Refusal> {
    let refuse = |problem: &str| Refusal {
        problem: problem.to_owned(),
        inside: None,
    };
    if body.is_empty() {
        return Err(refuse("empty data"));
    }
    let rest = body.strip_prefix(MAGIC).ok_or_else(|| {
        refuse(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
        )
    })?;
    if rest.is_empty() {
        return Err(refuse("empty body"));
    }
    let mut envelope = open(rest).map_err(|error| refuse(&error.to_string()))?;
    if envelope.kind.is_empty() {
        expected.1.clone_into(&mut envelope.kind);
    }
    // A version that cannot be read counts as none.
    if envelope.api_version.matches('/').count() > 1 || envelope.api_version.is_empty() {
        expected.0.clone_into(&mut envelope.api_version);
    }
    let Envelope {
        api_version,
        kind,
        message,
    } = envelope;
    let refuse = |problem: String| {
        let version = api_version.rsplit('/').next().unwrap_or_default();
        Refusal {
            problem,
            inside: Some((version.to_owned(), kind.clone())),
        }
    };
    let index = Table::get().of_kind(&api_version, &kind).ok_or_else(|| {
        refuse(format!(
            "no kind {kind:?} is registered for version {api_version:?} in scheme \
             \"pkg/runtime/scheme.go:111\""
        ))
    })?;
    let fields = decode::message(index, message).map_err(|error| refuse(error.to_string()))?;
    let mut object = Map::new();
    object.insert("kind".to_owned(), kind.into());
    object.insert("apiVersion".to_owned(), api_version.into());
    object.extend(fields);
    Ok(Value::Object(object))
}

fn open(bytes: &[u8]) -> Result<Envelope<'_>, Error> {
    let mut envelope = Envelope::default();
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag("Unknown")? {
        match tag.number {
            1 => {
                tag.expect(kind::BYTES, "TypeMeta")?;
                read_type(reader.bytes()?, &mut envelope)?;
            }
            2 => {
                tag.expect(kind::BYTES, "Raw")?;
                envelope.message = reader.bytes()?;
            }
            3 | 4 => {
                let name = ["ContentEncoding", "ContentType"][usize::from(tag.number == 4)];
                tag.expect(kind::BYTES, name)?;
                reader.bytes()?;
            }
            _ => reader.skip(tag)?,
        }
    }
    Ok(envelope)
}

fn read_type(bytes: &[u8], envelope: &mut Envelope<'_>) -> Result<(), Error> {
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag("TypeMeta")? {
        let (name, text) = match tag.number {
            1 => ("APIVersion", &mut envelope.api_version),
            2 => ("Kind", &mut envelope.kind),
            _ => {
                reader.skip(tag)?;
                continue;
            }
        };
        tag.expect(kind::BYTES, name)?;
        *text = String::from_utf8_lossy(reader.bytes()?).into_owned();
    }
    Ok(())
}

/// Writes an object, a list or a Status in its envelope; none if its kind has no protobuf.
pub(crate) fn encode(value: &Value) -> Option<Vec<u8>> {
    let object = value.as_object()?;
    let text = |field: &str| {
        object
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    // Discovery documents of Go have no version.
    let known = if api_version.is_empty() {
        "v1"
    } else {
        api_version
    };
    let index = Table::get().of_kind(known, kind)?;
    let mut message = Vec::new();
    encode::message(index, object, &mut message);
    let mut inside = Vec::new();
    put_bytes(&mut inside, 1, api_version.as_bytes());
    put_bytes(&mut inside, 2, kind.as_bytes());
    let mut body = MAGIC.to_vec();
    put_bytes(&mut body, 1, &inside);
    put_bytes(&mut body, 2, &message);
    // Neither encoding nor content type: the message is as it is.
    put_bytes(&mut body, 3, &[]);
    put_bytes(&mut body, 4, &[]);
    Some(body)
}

/// Writes an event of a watch.
pub(crate) fn frame(event: &str, object: &Value) -> Option<Vec<u8>> {
    encode(object).map(|object| encode::frame(event, &object))
}
