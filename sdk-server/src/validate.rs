//! Rules for what a game server may ask for: Kubernetes' own for labels and annotations.
//!
//! Checked here so that a bad key is refused at once, also while the hub is away. Pure.

use std::collections::BTreeMap;

use proto::muster::sdk::v1::end_match_request::Next;
use serde::de::IgnoredAny;

use crate::backend::Call;

/// The prefix of every label and annotation that is set through the SDK.
pub(crate) const METADATA_PREFIX: &str = "muster.dev/sdk-";

/// The part of [`METADATA_PREFIX`] that counts towards the name's length.
const NAME_PREFIX: &str = "sdk-";
/// Kubernetes' limit for the name part of a qualified name, and for a label's value.
const MAX_NAME: usize = 63;
/// Kubernetes' limit for all annotations of one object, keys and values together.
const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;

/// Most bytes of a match's result.
const MAX_RESULT_BYTES: usize = 8 * 1024;

/// Checks one call; the message names what is wrong with which key.
pub(crate) fn call(call: &Call) -> Result<(), String> {
    match call {
        Call::Reserve { seconds } if *seconds < 0 => {
            Err(format!("seconds must not be negative, got {seconds}"))
        }
        Call::Ready
        | Call::Allocate
        | Call::Shutdown
        | Call::Reserve { .. }
        | Call::PlayerJoined { .. }
        | Call::PlayerLeft { .. } => Ok(()),
        Call::SetLabel { key, value } => {
            name("label", key)?;
            label_value(key, value)
        }
        Call::SetAnnotation { key, value } => {
            name("annotation", key)?;
            let bytes = METADATA_PREFIX.len() + key.len() + value.len();
            if bytes > MAX_ANNOTATIONS_BYTES {
                return Err(too_much(key, bytes));
            }
            Ok(())
        }
        Call::EndMatch {
            match_id,
            result,
            next,
        } => {
            if match_id.len() != 16 {
                return Err(format!("match_id has {} bytes, not 16", match_id.len()));
            }
            if *next == Next::Unspecified {
                return Err("next is missing or unknown".to_owned());
            }
            match_result(result)
        }
    }
}

fn match_result(result: &str) -> Result<(), String> {
    if result.len() > MAX_RESULT_BYTES {
        return Err(format!(
            "result has {} bytes, at most {MAX_RESULT_BYTES} are allowed",
            result.len()
        ));
    }
    serde_json::from_str::<IgnoredAny>(result)
        .map(drop)
        .map_err(|error| format!("result is not JSON: {error}"))
}

/// Checks that all annotations together fit into one object.
///
/// `current` are those of the object, `unsent` those that are still to be written (keys without
/// prefix), `key` and `value` the new one.
pub(crate) fn annotations<'a>(
    current: &BTreeMap<String, String>,
    unsent: impl Iterator<Item = (&'a str, &'a str)>,
    key: &'a str,
    value: &'a str,
) -> Result<(), String> {
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    for (unsent_key, unsent_value) in unsent.chain([(key, value)]) {
        sizes.insert(format!("{METADATA_PREFIX}{unsent_key}"), unsent_value.len());
    }
    let kept: usize = current
        .iter()
        .filter(|(key, _)| !sizes.contains_key(*key))
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let bytes = kept
        + sizes
            .iter()
            .map(|(key, size)| key.len() + size)
            .sum::<usize>();
    if bytes > MAX_ANNOTATIONS_BYTES {
        Err(too_much(key, bytes))
    } else {
        Ok(())
    }
}

fn too_much(key: &str, bytes: usize) -> String {
    format!(
        "annotation {METADATA_PREFIX}{key}: all annotations together would take {bytes} bytes, \
         at most {MAX_ANNOTATIONS_BYTES} are allowed"
    )
}

fn name(what: &str, key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err(format!("the {what}'s key is empty"));
    }
    let length = NAME_PREFIX.len() + key.len();
    if length > MAX_NAME {
        return Err(format!(
            "{what} key {METADATA_PREFIX}{key}: the name part has {length} characters, at most \
             {MAX_NAME} are allowed"
        ));
    }
    // The prefix begins with a letter, so only the end and the middle can be wrong.
    if !key.bytes().all(is_inner) || !key.bytes().last().is_some_and(is_edge) {
        return Err(format!(
            "{what} key {METADATA_PREFIX}{key}: the name part must consist of letters, digits, \
             '-', '_' or '.', and must end with a letter or digit"
        ));
    }
    Ok(())
}

fn label_value(key: &str, value: &str) -> Result<(), String> {
    if value.len() > MAX_NAME {
        return Err(format!(
            "label {METADATA_PREFIX}{key}: the value has {} characters, at most {MAX_NAME} are \
             allowed",
            value.len()
        ));
    }
    let edges =
        value.bytes().next().is_none_or(is_edge) && value.bytes().last().is_none_or(is_edge);
    if !edges || !value.bytes().all(is_inner) {
        return Err(format!(
            "label {METADATA_PREFIX}{key}: the value {value:?} must be empty or consist of \
             letters, digits, '-', '_' or '.', and must start and end with a letter or digit"
        ));
    }
    Ok(())
}

fn is_edge(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_inner(byte: u8) -> bool {
    is_edge(byte) || matches!(byte, b'-' | b'_' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(key: &str, value: &str) -> Result<(), String> {
        call(&Call::SetLabel {
            key: key.into(),
            value: value.into(),
        })
    }

    fn annotation(key: &str, value: &str) -> Result<(), String> {
        call(&Call::SetAnnotation {
            key: key.into(),
            value: value.into(),
        })
    }

    #[test]
    fn good_labels_pass() {
        for (key, value) in [
            ("map", "de_dust2"),
            ("UID", ""),
            ("a", "1"),
            ("creationTimestamp", "1700000000"),
        ] {
            label(key, value).unwrap();
        }
        label(&"k".repeat(59), &"v".repeat(63)).unwrap();
    }

    #[test]
    fn bad_keys_are_refused_by_name() {
        for key in ["map name", "-", "a/b", "ends.", "ends-", "ümlaut", "a\nb"] {
            for error in [
                label(key, "v").unwrap_err(),
                annotation(key, "v").unwrap_err(),
            ] {
                assert!(
                    error.contains(&format!("key muster.dev/sdk-{key}: ")),
                    "{error}"
                );
            }
        }
        assert_eq!(label("", "v").unwrap_err(), "the label's key is empty");
        assert_eq!(
            annotation("", "v").unwrap_err(),
            "the annotation's key is empty"
        );
        let error = label(&"k".repeat(60), "v").unwrap_err();
        assert!(error.contains("has 64 characters, at most 63"), "{error}");
    }

    #[test]
    fn bad_label_values_are_refused_by_name() {
        for value in ["two words", "-a", "a-", ".", "é", "a/b"] {
            let error = label("map", value).unwrap_err();
            assert!(
                error.starts_with("label muster.dev/sdk-map: the value"),
                "{error}"
            );
        }
        label("map", &"v".repeat(64)).unwrap_err();
    }

    #[test]
    fn annotation_values_are_bounded_by_size_alone() {
        annotation("notes", "any text, é too\n").unwrap();
        annotation("notes", &"v".repeat(256 * 1024 - 20)).unwrap();
        let error = annotation("notes", &"v".repeat(256 * 1024)).unwrap_err();
        assert!(
            error.starts_with("annotation muster.dev/sdk-notes: all annotations"),
            "{error}"
        );
    }

    #[test]
    fn annotations_are_bounded_together_and_a_rewritten_one_counts_once() {
        let big = "v".repeat(200 * 1024);
        let current = BTreeMap::from([("muster.dev/sdk-a".to_owned(), big.clone())]);
        annotations(&current, std::iter::empty(), "a", &big).unwrap();
        annotations(&current, std::iter::empty(), "b", &big).unwrap_err();
        annotations(&current, [("a", "small")].into_iter(), "b", &big).unwrap();
        annotations(
            &BTreeMap::new(),
            [("a", big.as_str())].into_iter(),
            "b",
            &big,
        )
        .unwrap_err();
    }

    #[test]
    fn a_match_ends_with_an_id_a_result_and_what_comes_next() {
        let end = |bytes: usize, result: &str, next| {
            call(&Call::EndMatch {
                match_id: vec![1; bytes],
                result: result.to_owned(),
                next,
            })
        };
        end(16, r#"{"winner":2}"#, Next::Ready).unwrap();
        end(16, &format!("\"{}\"", "x".repeat(8190)), Next::Shutdown).unwrap();
        for (refused, why) in [
            (end(15, "{}", Next::Ready), "match_id has 15 bytes"),
            (end(16, "{}", Next::Unspecified), "next is missing"),
            (end(16, "{", Next::Ready), "result is not JSON"),
            (end(16, "", Next::Ready), "result is not JSON"),
            (
                end(16, &format!("\"{}\"", "x".repeat(8191)), Next::Ready),
                "result has 8193 bytes",
            ),
        ] {
            let error = refused.unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn a_negative_reservation_is_refused() {
        call(&Call::Reserve { seconds: 0 }).unwrap();
        call(&Call::Reserve { seconds: -1 }).unwrap_err();
    }
}
