//! The forms of names, labels and keys, and what the API server says about the wrong ones.

/// What is wrong with a lower-case DNS label (RFC 1123), such as the name of a namespace.
pub fn dns_label(name: &str) -> Vec<String> {
    let mut errors = too_long(name, 63, "characters");
    if !is_dns_label(name) {
        if is_subdomain(name) {
            errors.push("must not contain dots".to_owned());
        } else {
            errors.push(regex_error(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
                 '-', and must start and end with an alphanumeric character",
                DNS_LABEL,
                &["my-name", "123-abc"],
            ));
        }
    }
    errors
}

/// What is wrong with a DNS label that begins with a letter (RFC 1035), such as the name of a
/// service.
pub fn dns_1035_label(name: &str) -> Vec<String> {
    let mut errors = too_long(name, 63, "characters");
    let begins_well = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    if !begins_well || !is_dns_label(name) {
        errors.push(regex_error(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start \
             with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    errors
}

/// What is wrong with a DNS name, such as the names of most objects.
pub fn dns_subdomain(name: &str) -> Vec<String> {
    subdomain(name, "characters")
}

/// Names say their limit in characters, keys in bytes.
fn subdomain(name: &str, unit: &str) -> Vec<String> {
    let mut errors = too_long(name, 253, unit);
    if !is_subdomain(name) {
        errors.push(regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character",
            &format!("{DNS_LABEL}(\\.{DNS_LABEL})*"),
            &["example.com"],
        ));
    }
    errors
}

/// What is wrong with a name that stands in a URL, such as the name of a role.
pub fn path_segment(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    path_segment_prefix(name)
}

/// What is wrong with the beginning of a name that stands in a URL.
pub fn path_segment_prefix(name: &str) -> Vec<String> {
    ["/", "%"]
        .into_iter()
        .filter(|part| name.contains(part))
        .map(|part| format!("may not contain '{part}'"))
        .collect()
}

/// What is wrong with the key of a label or an annotation, or a finalizer.
pub fn qualified_name(name: &str) -> Vec<String> {
    let words = || {
        regex_error(
            "must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
             with an alphanumeric character",
            LABEL_KEY,
            &["MyName", "my.name", "123-abc"],
        )
    };
    let mut errors = Vec::new();
    let parts: Vec<&str> = name.split('/').collect();
    let part = match parts.as_slice() {
        [part] => part,
        [prefix, part] => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                let wrong = subdomain(prefix, "bytes");
                errors.extend(
                    wrong
                        .into_iter()
                        .map(|error| format!("prefix part {error}")),
                );
            }
            part
        }
        _ => {
            return vec![format!(
                "a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')",
                words()
            )];
        }
    };
    if part.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else {
        let wrong = too_long(part, 63, "bytes");
        errors.extend(wrong.into_iter().map(|error| format!("name part {error}")));
    }
    if !is_label_part(part) {
        errors.push(format!("name part {}", words()));
    }
    errors
}

/// What is wrong with the value of a label.
pub fn label_value(value: &str) -> Vec<String> {
    let mut errors = too_long(value, 63, "bytes");
    if !value.is_empty() && !is_label_part(value) {
        errors.push(regex_error(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', \
             '_' or '.', and must start and end with an alphanumeric character",
            &format!("({LABEL_KEY})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    errors
}

const DNS_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

fn too_long(text: &str, most: usize, unit: &str) -> Vec<String> {
    if text.len() > most {
        vec![format!("must be no more than {most} {unit}")]
    } else {
        Vec::new()
    }
}

fn regex_error(words: &str, regex: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples
        .iter()
        .map(|example| format!("'{example}', "))
        .collect();
    format!(
        "{words} (e.g. {}regex used for validation is '{regex}')",
        examples.join(" or ")
    )
}

/// Letters, digits and `inner` in between.
fn is_label(text: &str, is_end: fn(u8) -> bool, inner: &[u8]) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            is_end(*first)
                && is_end(*last)
                && bytes
                    .iter()
                    .all(|byte| is_end(*byte) || inner.contains(byte))
        }
        _ => false,
    }
}

fn is_dns_label(text: &str) -> bool {
    let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    is_label(text, is_end, b"-")
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_dns_label)
}

fn is_label_part(text: &str) -> bool {
    is_label(text, |byte| byte.is_ascii_alphanumeric(), b"-_.")
}

#[cfg(test)]
mod tests {
    use super::{
        dns_1035_label, dns_label, dns_subdomain, label_value, path_segment, qualified_name,
    };

    const WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start \
                         and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
                         '123-abc', regex used for validation is \
                         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

    #[test]
    fn dns_names() {
        for good in ["a", "a-1.b", &"a".repeat(253)] {
            assert!(dns_subdomain(good).is_empty(), "{good}");
        }
        for bad in ["", "A", "a_b", "-a", "a..b", "a.", &"a".repeat(254)] {
            assert_eq!(dns_subdomain(bad).len(), 1, "{bad}");
        }
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        assert_eq!(
            dns_label(&"a".repeat(64)),
            ["must be no more than 63 characters"]
        );
        assert_eq!(dns_1035_label("1a").len(), 1);
        assert!(dns_1035_label("a-1").is_empty());
        assert_eq!(
            path_segment("a/b%"),
            ["may not contain '/'", "may not contain '%'"]
        );
        assert_eq!(path_segment(".."), ["may not be '..'"]);
    }

    #[test]
    fn keys_and_values_of_labels() {
        for good in ["a", "A_b.c-d", "example.com/a"] {
            assert!(qualified_name(good).is_empty(), "{good}");
        }
        assert_eq!(qualified_name("a b"), [format!("name part {WORDS}")]);
        assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
        assert_eq!(
            qualified_name("a/"),
            [
                "name part must be non-empty".to_owned(),
                format!("name part {WORDS}")
            ]
        );
        assert_eq!(qualified_name("a/b/c").len(), 1);
        assert!(label_value("").is_empty());
        assert_eq!(label_value("-").len(), 1);
    }
}
