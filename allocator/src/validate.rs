//! Kubernetes' rules for labels and annotations. Pure.

use std::collections::BTreeMap;

/// Longest name part of a key, and longest label value.
const NAME_LENGTH: usize = 63;

/// Longest prefix of a key.
const PREFIX_LENGTH: usize = 253;

/// Most bytes that the annotations of one object may have, keys and values together.
const ANNOTATIONS_SIZE: usize = 256 * 1024;

/// What is wrong with a key or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The name part of a key is malformed.
    #[error(
        "the name part of a key must be 1 to 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
    )]
    Name,
    /// The prefix of a key is malformed.
    #[error("the prefix of a key must be a DNS subdomain of at most 253 characters")]
    Prefix,
    /// A key has more than one slash.
    #[error("a key must be a name, or a prefix and a name with one '/' between them")]
    Slash,
    /// A label value is malformed.
    #[error(
        "a label value must be empty, or at most 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
    )]
    Value,
    /// The annotations are too big.
    #[error("annotations must not exceed 262144 bytes in total")]
    Size,
}

/// Checks a key of a label.
pub fn key(key: &str) -> Result<(), Problem> {
    let name = match key.split_once('/') {
        Some((_, name)) if name.contains('/') => return Err(Problem::Slash),
        Some((prefix, name)) => {
            if !is_subdomain(prefix) {
                return Err(Problem::Prefix);
            }
            name
        }
        None => key,
    };
    if is_name(name) {
        Ok(())
    } else {
        Err(Problem::Name)
    }
}

/// Checks a label value.
pub fn value(value: &str) -> Result<(), Problem> {
    if value.is_empty() || is_name(value) {
        Ok(())
    } else {
        Err(Problem::Value)
    }
}

/// Checks labels; an error comes with the key that it is about.
pub fn labels(labels: &BTreeMap<String, String>) -> Result<(), (&str, Problem)> {
    for (label, content) in labels {
        key(label)
            .and_then(|()| value(content))
            .map_err(|problem| (label.as_str(), problem))?;
    }
    Ok(())
}

/// Checks annotations; an error comes with the key that it is about.
///
/// Kubernetes accepts capital letters in the prefix of an annotation's key.
pub fn annotations(annotations: &BTreeMap<String, String>) -> Result<(), (&str, Problem)> {
    let mut size = 0;
    for (annotation, content) in annotations {
        key(&annotation.to_ascii_lowercase()).map_err(|problem| (annotation.as_str(), problem))?;
        size += annotation.len() + content.len();
        if size > ANNOTATIONS_SIZE {
            return Err((annotation, Problem::Size));
        }
    }
    Ok(())
}

/// Whether a text is a name as labels have them, and not empty.
pub fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.len() <= NAME_LENGTH
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(inner)
}

/// Whether a text could be the name of a namespace.
pub fn is_namespace(name: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    name.len() <= NAME_LENGTH
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && bytes.iter().all(|byte| edge(byte) || *byte == b'-')
}

fn is_subdomain(prefix: &str) -> bool {
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge)
            && bytes.iter().all(|byte| edge(byte) || *byte == b'-')
    };
    prefix.len() <= PREFIX_LENGTH && prefix.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let long = "a".repeat(64);
        let table: [(&str, Result<(), Problem>); 13] = [
            ("a", Ok(())),
            ("muster.dev/fleet", Ok(())),
            ("A_b.c-9", Ok(())),
            ("", Err(Problem::Name)),
            ("-a", Err(Problem::Name)),
            ("a.", Err(Problem::Name)),
            ("bad key!", Err(Problem::Name)),
            (&long, Err(Problem::Name)),
            ("/a", Err(Problem::Prefix)),
            ("Muster.dev/a", Err(Problem::Prefix)),
            ("a..b/c", Err(Problem::Prefix)),
            ("a/", Err(Problem::Name)),
            ("a/b/c", Err(Problem::Slash)),
        ];
        for (text, expected) in table {
            assert_eq!(key(text), expected, "{text}");
        }
    }

    #[test]
    fn values() {
        for good in ["", "a", "1.2_3-4", &"v".repeat(63)] {
            assert_eq!(value(good), Ok(()), "{good}");
        }
        for bad in [" ", "a b", "-a", "a-", "é", &"v".repeat(64)] {
            assert_eq!(value(bad), Err(Problem::Value), "{bad}");
        }
    }

    #[test]
    fn annotations_have_free_values_of_a_bounded_size() {
        let of = |value: String| BTreeMap::from([("Example.com/note".to_owned(), value)]);
        assert_eq!(annotations(&of("any thing\n".to_owned())), Ok(()));
        let big = of("x".repeat(ANNOTATIONS_SIZE));
        assert_eq!(annotations(&big), Err(("Example.com/note", Problem::Size)));
    }
}
