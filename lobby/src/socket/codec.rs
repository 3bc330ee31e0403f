//! Messages as they are on the wire: JSON after the protobuf mapping, or Protobuf. Pure.

use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Code, Failure};

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Text: JSON.
    Json,
    /// Binary: Protobuf.
    Proto,
}

impl Codec {
    /// Both, the one that is preferred first.
    pub const ALL: [Self; 2] = [Self::Proto, Self::Json];

    /// The WebSocket subprotocol.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "muster.lobby.v1.json",
            Self::Proto => "muster.lobby.v1.proto",
        }
    }

    /// The content type of bodies over HTTP.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Proto => "application/protobuf",
        }
    }

    /// By the content type of a body; JSON without one.
    pub fn of_content_type(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else {
            return Some(Self::Json);
        };
        let kind = text.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-protobuf") {
            return Some(Self::Proto);
        }
        Self::ALL
            .into_iter()
            .find(|codec| kind.eq_ignore_ascii_case(codec.content_type()))
    }

    /// Reads a message. The failure names the place and never repeats what stands there: it may be
    /// a token.
    pub fn read<T: Message + Default + DeserializeOwned>(self, bytes: &[u8]) -> Result<T, Failure> {
        match self {
            Self::Json => read_json(bytes),
            Self::Proto => T::decode(bytes)
                .map_err(|_| Failure::new(Code::InvalidRequest, "the message is not Protobuf")),
        }
    }

    /// Writes a message.
    pub fn write<T: Message + Serialize>(self, message: &T) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Json => serde_json::to_vec(message)
                .map_err(|error| Failure::defect("A message cannot be written", &error)),
            Self::Proto => Ok(message.encode_to_vec()),
        }
    }
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.classify() != serde_json::error::Category::Data {
            let (line, column) = (inner.line(), inner.column());
            let message = format!("not JSON at line {line} column {column}");
            return Failure::new(Code::InvalidRequest, message);
        }
        let text = inner.to_string();
        // serde goes on with all names that there are.
        let message = if text.starts_with("unknown field") {
            "there is no such field"
        } else if text.starts_with("duplicate field") {
            "the field is there twice"
        } else {
            "a value of another type is wanted here"
        };
        Failure {
            field: (path != ".").then(|| path.into()),
            ..Failure::new(Code::InvalidRequest, message)
        }
    })?;
    json.end()
        .map_err(|_| Failure::new(Code::InvalidRequest, "something follows the JSON value"))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::muster::lobby::v1 as wire;

    use super::*;

    fn call(id: u32, key: &str, text: &str) -> wire::Call {
        wire::Call {
            id,
            idempotency_key: key.to_owned(),
            seen: id / 2,
            call: Some(wire::call::Call::SendChat(wire::SendChat {
                channel: "global:general".to_owned(),
                text: text.to_owned(),
            })),
        }
    }

    #[test]
    fn json_is_as_the_description_says() {
        let text = r#"{"id":7,"set_ready":{"room_id":"a","is_ready":true}}"#;
        let call: wire::Call = Codec::Json.read(text.as_bytes()).unwrap();
        assert_eq!(Codec::Json.write(&call).unwrap(), text.as_bytes());
        // As protobuf has it, names are read in both forms.
        let other = r#"{"id":7,"setReady":{"roomId":"a","isReady":true}}"#;
        assert_eq!(Codec::Json.read(other.as_bytes()), Ok(call));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path_and_never_repeated() {
        for (text, field) in [
            (
                r#"{"hello":{"access_token":12345678}}"#,
                Some("hello.access_token"),
            ),
            (
                r#"{"hello":{"acces_token":"hunter22"}}"#,
                Some("hello.acces_token"),
            ),
            (r#"{"hunter22":{}}"#, Some("hunter22")),
            (r#"{"id":-1}"#, Some("id")),
            (r#"{"leave_queue":{},"leave_queue":{}}"#, None),
            (r#"{"leave_queue":{}} hunter22"#, None),
            (r#"{"hello":{"access_token":"hunter22""#, None),
            ("hunter22", None),
            ("[]", None),
            ("", None),
        ] {
            let failure = Codec::Json
                .read::<wire::Call>(text.as_bytes())
                .expect_err(text);
            assert_eq!(failure.code, Code::InvalidRequest);
            if field.is_some() {
                assert_eq!(failure.field.as_deref(), field, "{text}: {failure}");
            }
            assert!(!failure.message.contains("hunter22"), "{failure}");
            assert!(!failure.message.contains("12345678"), "{failure}");
        }
        for bytes in [&[0xff][..], &[0x52, 5, 1], b"{}"] {
            assert!(Codec::Proto.read::<wire::Call>(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn bodies_are_read_by_their_content_type() {
        for (text, codec) in [
            (None, Some(Codec::Json)),
            (Some("application/json; charset=utf-8"), Some(Codec::Json)),
            (Some("application/protobuf"), Some(Codec::Proto)),
            (Some("application/x-protobuf"), Some(Codec::Proto)),
            (Some("text/plain"), None),
        ] {
            assert_eq!(Codec::of_content_type(text), codec, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn calls_are_read_as_they_were_written(id: u32, key in ".{0,20}", text in ".{0,80}") {
            let call = call(id, &key, &text);
            for codec in Codec::ALL {
                let bytes = codec.write(&call).unwrap();
                prop_assert_eq!(codec.read::<wire::Call>(&bytes), Ok(call.clone()));
            }
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for codec in Codec::ALL {
                drop(codec.read::<wire::Call>(&bytes));
            }
        }

        /// A good call of which something was changed is read or refused.
        #[test]
        fn no_change_is_too_strange(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            for codec in Codec::ALL {
                let mut bytes = codec.write(&call(9, "key", "hello")).unwrap();
                let index = at.index(bytes.len());
                bytes[index] = byte;
                drop(codec.read::<wire::Call>(&bytes));
                drop(codec.read::<wire::Call>(&bytes[..cut.index(bytes.len())]));
            }
        }
    }
}
