//! Bodies of Go's types and of kubectl, both ways, and what is no body.

use base64::Engine as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A body in base64, then the JSON of the same object, line by line.
const SAMPLES: [&str; 2] = [
    // Written by Go's types.
    include_str!("tests/types.txt"),
    // Sent by `kubectl create`, `kubectl create token` and `kubectl auth`.
    include_str!("tests/kubectl.txt"),
];

fn samples() -> Vec<(Vec<u8>, Value)> {
    let mut samples = Vec::new();
    for text in SAMPLES {
        let mut lines = text.lines();
        while let (Some(body), Some(object)) = (lines.next(), lines.next()) {
            let body = base64::engine::general_purpose::STANDARD.decode(body);
            samples.push((body.unwrap(), serde_json::from_str(object).unwrap()));
        }
    }
    samples
}

/// Paths at which a decoded body is not what Go's JSON says. Zero values may be missing.
fn differences(found: &Value, wanted: &Value, path: &str) -> Vec<String> {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            let mut all = Vec::new();
            for (key, value) in wanted {
                let path = format!("{path}.{key}");
                match found.get(key) {
                    Some(found) => all.extend(differences(found, value, &path)),
                    None if [json!(null), json!(""), json!(0), json!(false), json!({})]
                        .contains(value) => {}
                    None => all.push(format!("{path} is missing")),
                }
            }
            let surplus = found.keys().filter(|key| !wanted.contains_key(*key));
            all.extend(surplus.map(|key| format!("{path}.{key} is new")));
            all
        }
        (Value::Array(found), Value::Array(wanted)) if found.len() == wanted.len() => found
            .iter()
            .zip(wanted)
            .enumerate()
            .flat_map(|(at, (found, wanted))| differences(found, wanted, &format!("{path}[{at}]")))
            .collect(),
        _ if found == wanted => Vec::new(),
        _ => vec![format!("{path}: {found} is not {wanted}")],
    }
}

fn of(object: &Value) -> (&str, &str) {
    let text = |field: &str| object[field].as_str().unwrap();
    (text("apiVersion"), text("kind"))
}

#[test]
fn bodies_are_the_json_that_go_would_write() {
    let samples = samples();
    assert!(samples.len() > 40);
    for (body, wanted) in samples {
        let found = decode(&body, ("", "")).unwrap();
        assert_eq!(differences(&found, &wanted, ""), Vec::<String>::new());
    }
}

#[test]
fn objects_are_written_byte_for_byte_as_go_does() {
    for (body, object) in samples() {
        assert_eq!(encode(&object).unwrap(), body, "{object}");
    }
}

/// So that zero values behind pointers are not lost.
#[test]
fn what_is_read_is_written_the_same() {
    for (body, _) in samples() {
        let object = decode(&body, ("", "")).unwrap();
        assert_eq!(encode(&object).unwrap(), body, "{object}");
    }
}

#[test]
fn the_path_says_what_a_body_without_a_type_is() {
    let body = b"k8s\0\x12\x05\x0a\x03\x0a\x01a";
    let found = decode(body, ("v1", "ConfigMap")).unwrap();
    let wanted = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a" } });
    assert_eq!(found, wanted);
    // As does one whose version cannot be read.
    let body = b"k8s\0\x0a\x12\x0a\x05a/b/c\x12\x09ConfigMap\x12\x05\x0a\x03\x0a\x01a";
    assert_eq!(decode(body, ("v1", "ConfigMap")).unwrap(), wanted);
}

/// The answers of the real API server to the same bodies.
#[test]
fn refusals_have_the_words_of_the_real_server() {
    let unrecognized = "the object provided is unrecognized (must be of type ConfigMap): ";
    let unfit = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: ";
    for (body, wanted) in [
        (&b""[..], format!("{unrecognized}empty data (<empty>)")),
        (
            b"hello",
            format!(
                "{unrecognized}provided data does not appear to be a protobuf message, expected \
                 prefix [107 56 115 0] (68656c6c6f)"
            ),
        ),
        (b"k8s\0", format!("{unrecognized}empty body (6b387300)")),
        (
            b"k8s\0\x0a\x50",
            format!("{unrecognized}unexpected EOF (6b3873000a50)"),
        ),
        (
            b"k8s\0\x08\x01",
            format!("{unrecognized}proto: wrong wireType = 0 for field TypeMeta (6b3873000801)"),
        ),
        (
            b"k8s\0\x5c",
            format!("{unrecognized}proto: Unknown: wiretype end group for non-group (6b3873005c)"),
        ),
        (
            b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x02\x0a\x50",
            format!("{unfit}unexpected EOF"),
        ),
        (
            b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x02\x08\x01",
            format!("{unfit}proto: wrong wireType = 0 for field ObjectMeta"),
        ),
        (
            b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x05\x0a\x03\x08\x01\x08",
            format!("{unfit}proto: wrong wireType = 0 for field Name"),
        ),
        (
            b"k8s\0\x0a\x0a\x0a\x02v1\x12\x04Frog\x12\x05\x0a\x03\x0a\x01a",
            "Frog in version \"v1\" cannot be handled as a ConfigMap: no kind \"Frog\" is \
             registered for version \"v1\" in scheme \"pkg/runtime/scheme.go:111\""
                .to_owned(),
        ),
    ] {
        let refusal = decode(body, ("v1", "ConfigMap")).unwrap_err();
        let status = refusal.status("ConfigMap", body);
        assert_eq!((status.code, status.message), (400, wanted));
    }
}

/// An object of the kind whose message is this.
fn wrap(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut inside = Vec::new();
    put_bytes(&mut inside, 1, api_version.as_bytes());
    put_bytes(&mut inside, 2, kind.as_bytes());
    let mut body = MAGIC.to_vec();
    put_bytes(&mut body, 1, &inside);
    put_bytes(&mut body, 2, message);
    body
}

fn problem(api_version: &str, kind: &str, message: &[u8]) -> String {
    decode(&wrap(api_version, kind, message), ("", ""))
        .unwrap_err()
        .problem
}

#[test]
fn messages_that_go_refuses_are_refused_with_its_words() {
    for (message, wanted) in [
        (&b"\x80"[..], "unexpected EOF"),
        (
            b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
            "proto: integer overflow",
        ),
        (
            b"\x0c",
            "proto: ConfigMap: wiretype end group for non-group",
        ),
        (b"\x00", "proto: ConfigMap: illegal tag 0 (wire type 0)"),
        (
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            "proto: negative length found during unmarshaling",
        ),
        (b"\x7f", "proto: illegal wireType 7"),
        (b"\x7a\x05a", "unexpected EOF"),
        (b"\x7d\x01\x02\x03", "unexpected EOF"),
        (b"\x7b", "unexpected EOF"),
        // Managed fields that are no JSON.
        (
            b"\x0a\x08\x8a\x01\x05\x3a\x03\x0a\x01{",
            "unexpected end of JSON input",
        ),
        // A creation before the year 0.
        (
            b"\x0a\x0d\x42\x0b\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
            "Time.MarshalJSON: year outside of range [0,9999]",
        ),
    ] {
        assert_eq!(problem("v1", "ConfigMap", message), wanted);
    }
}

#[test]
fn unknown_fields_are_passed_over() {
    // A group with a group in it, and every other type, before the metadata.
    let message = b"\x7b\x7b\x78\x05\x7c\x7c\x78\x01\x79\x01\x02\x03\x04\x05\x06\x07\x08\x7a\x01x\x7d\x01\x02\x03\x04\x0a\x03\x0a\x01a";
    let found = decode(&wrap("v1", "ConfigMap", message), ("", "")).unwrap();
    assert_eq!(found["metadata"], json!({ "name": "a" }));
}

#[test]
fn the_last_value_counts_and_messages_are_merged() {
    // Metadata with name a, namespace n; then with name b and an empty namespace.
    let message = b"\x0a\x06\x0a\x01a\x1a\x01n\x0a\x05\x0a\x01b\x1a\x00";
    let found = decode(&wrap("v1", "ConfigMap", message), ("", "")).unwrap();
    assert_eq!(found["metadata"], json!({ "name": "b" }));
}

#[test]
fn numbers_may_be_packed() {
    // Supplemental groups of a pod: 1 and 300 packed, then 2.
    let message = b"\x12\x09\x72\x07\x22\x03\x01\xac\x02\x20\x02";
    let found = decode(&wrap("v1", "Pod", message), ("", "")).unwrap();
    assert_eq!(
        found["spec"]["securityContext"]["supplementalGroups"],
        json!([1, 300, 2])
    );
}

#[test]
fn text_that_is_no_unicode_is_replaced() {
    let found = decode(&wrap("v1", "ConfigMap", b"\x0a\x03\x0a\x01\xff"), ("", "")).unwrap();
    assert_eq!(found["metadata"]["name"], "\u{fffd}");
}

#[test]
fn schemas_that_nest_too_deep_are_refused() {
    let nested = |levels: usize| {
        let mut message = Vec::new();
        // `not` in `not`, in the schema of a version in the spec.
        let outside = [1, 4, 7, 2];
        for number in std::iter::repeat_n(28, levels).chain(outside) {
            let mut outer = Vec::new();
            put_bytes(&mut outer, number, &message);
            message = outer;
        }
        message
    };
    let kind = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    let found = decode(&wrap(kind.0, kind.1, &nested(100)), ("", "")).unwrap();
    let schema = "/spec/versions/0/schema/openAPIV3Schema";
    assert!(
        found
            .pointer(&format!("{schema}{}", "/not".repeat(100)))
            .is_some()
    );
    assert!(
        found
            .pointer(&format!("{schema}{}", "/not".repeat(101)))
            .is_none()
    );
    assert_eq!(
        problem(kind.0, kind.1, &nested(20_000)),
        "exceeded max depth"
    );
}

#[test]
fn a_watch_is_frames_of_a_length_and_an_event() {
    let object = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a" } });
    let inside = encode(&object).unwrap();
    let bytes = frame("ADDED", &object).unwrap();
    let (length, event) = bytes.split_at(4);
    assert_eq!(length, u32::try_from(event.len()).unwrap().to_be_bytes());
    assert!(event.starts_with(b"\x0a\x05ADDED\x12"));
    assert!(event.ends_with(&inside));
}

#[test]
fn custom_resources_have_no_protobuf() {
    assert_eq!(
        encode(&json!({ "kind": "Fleet", "apiVersion": "muster.dev/v1" })),
        None
    );
}

#[test]
fn truncated_bodies_are_refused_or_shorter() {
    for (body, _) in samples() {
        for length in 0..body.len() {
            // No panic; a cut between two fields is still an object.
            let _ = decode(&body[..length], ("v1", "Pod"));
        }
        assert!(decode(&body[..8], ("v1", "Pod")).is_err());
    }
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(bytes: Vec<u8>) {
        for (_, kind) in samples() {
            let _ = decode(&wrap(of(&kind).0, of(&kind).1, &bytes), ("", ""));
        }
        let _ = decode(&bytes, ("v1", "Pod"));
    }

    #[test]
    fn changed_bodies_do_no_harm(
        sample in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let samples = samples();
        let (mut body, _) = samples[sample.index(samples.len())].clone();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if let Ok(object) = decode(&body, ("v1", "Pod")) {
            // What was read can be written, and read again.
            let again = encode(&object).unwrap();
            prop_assert!(decode(&again, ("v1", "Pod")).is_ok());
        }
    }
}
