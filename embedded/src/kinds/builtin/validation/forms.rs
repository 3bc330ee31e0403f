//! Forms of values that several kinds share.

use std::net::IpAddr;

use serde_json::Value;

use crate::kinds::causes::{each, invalid, invalid_text, unsupported};
use crate::kinds::fields::{entries, items, text};
use crate::schema::names;
use crate::status::Cause;

/// What is wrong with the number of a port.
pub(super) fn port_number(field: &str, port: &Value, causes: &mut Vec<Cause>) {
    let number = port.as_i64().unwrap_or_default();
    if !(1..=65_535).contains(&number) {
        causes.push(invalid(
            field,
            &number.into(),
            "must be between 1 and 65535, inclusive",
        ));
    }
}

/// What is wrong with the name of a port.
pub(super) fn port_name(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |wrong: bool, problem: &str| {
        if wrong {
            problems.push(problem.to_owned());
        }
    };
    let is_known =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    check(name.len() > 15, "must be no more than 15 characters");
    check(
        name.is_empty() || !name.chars().all(is_known),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    check(
        !name.contains(|letter: char| letter.is_ascii_lowercase()),
        "must contain at least one letter (a-z)",
    );
    check(name.contains("--"), "must not contain consecutive hyphens");
    check(
        name.starts_with('-') || name.ends_with('-'),
        "must not begin or end with a hyphen",
    );
    problems
}

/// A port by number or by name.
pub(super) fn port_or_name(field: &str, port: &Value, causes: &mut Vec<Cause>) {
    match port.as_str() {
        Some(name) => causes.extend(each(field, name, port_name(name))),
        None => port_number(field, port, causes),
    }
}

/// A transport protocol.
pub(super) fn protocol(field: &str, protocol: &Value, causes: &mut Vec<Cause>) {
    choice(field, protocol, &["SCTP", "TCP", "UDP"], causes);
}

/// A required text that must be one of a few.
pub(super) fn choice(field: &str, value: &Value, known: &[&str], causes: &mut Vec<Cause>) {
    match value.as_str().unwrap_or_default() {
        "" => causes.push(Cause::required(field, "")),
        text if known.contains(&text) => {}
        _ => causes.push(unsupported(field, value, known)),
    }
}

/// The key of an entry of a ConfigMap or a Secret.
pub(super) fn config_key(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if key.len() > 253 {
        problems.push("must be no more than 253 characters".to_owned());
    }
    let is_known = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    if key.is_empty() || !key.chars().all(is_known) {
        problems.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    } else if key == "." || key == ".." {
        problems.push(format!("must not be '{key}'"));
    } else if key.starts_with("..") {
        problems.push("must not start with '..'".to_owned());
    }
    problems
}

/// Keys and values of labels.
pub(super) fn labels(holder: &Value, path: &str, field: &str, causes: &mut Vec<Cause>) {
    for (key, value) in entries(holder, path) {
        causes.extend(each(field, key, names::qualified_name(key)));
        let value = value.as_str().unwrap_or_default();
        causes.extend(each(field, value, names::label_value(value)));
    }
}

/// A label selector.
pub(super) fn label_selector(selector: &Value, field: &str, causes: &mut Vec<Cause>) {
    labels(
        selector,
        "matchLabels",
        &format!("{field}.matchLabels"),
        causes,
    );
    for (index, term) in items(selector, "matchExpressions").iter().enumerate() {
        let field = format!("{field}.matchExpressions[{index}]");
        let values = items(term, "values");
        match text(term, "operator") {
            "In" | "NotIn" if values.is_empty() => causes.push(Cause::required(
                format!("{field}.values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if !values.is_empty() => causes.push(Cause::forbidden(
                format!("{field}.values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => causes.push(invalid_text(
                format!("{field}.operator"),
                other,
                "not a valid selector operator",
            )),
        }
        let key = text(term, "key");
        causes.extend(each(
            &format!("{field}.key"),
            key,
            names::qualified_name(key),
        ));
        for (index, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            let field = format!("{field}.values[{index}]");
            causes.extend(each(&field, value, names::label_value(value)));
        }
    }
}

/// An address; none (and a cause) if the text is not one.
pub(super) fn address(field: &str, address: &str, causes: &mut Vec<Cause>) -> Option<IpAddr> {
    let parsed = address.parse().ok();
    if parsed.is_none() {
        causes.push(invalid_text(
            field,
            address,
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ));
    }
    parsed
}

/// What is wrong with an address to which traffic goes.
pub(super) fn endpoint_address(field: &str, address: IpAddr, causes: &mut Vec<Cause>) {
    let text = address.to_string();
    let (link_local, link_local_multicast) = match address {
        IpAddr::V4(address) => (
            address.is_link_local(),
            address.octets()[..3] == [224, 0, 0],
        ),
        IpAddr::V6(address) => (
            address.is_unicast_link_local(),
            address.segments()[0] & 0xff0f == 0xff02,
        ),
    };
    let detail = if address.is_unspecified() {
        format!("may not be unspecified ({text})")
    } else if address.is_loopback() {
        "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()
    } else if link_local {
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()
    } else if link_local_multicast {
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()
    } else {
        return;
    };
    causes.push(invalid_text(field, &text, &detail));
}

/// A number of at least zero, or a percentage of at most a hundred.
pub(super) fn number_or_percent(field: &str, value: &Value, causes: &mut Vec<Cause>) {
    let Some(text) = value.as_str() else {
        causes.extend(crate::kinds::causes::not_negative(field, value));
        return;
    };
    let digits = text.strip_suffix('%').unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        causes.push(invalid_text(
            field,
            text,
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ));
    } else if digits.parse::<u64>().map_or(true, |percent| percent > 100) {
        causes.push(invalid_text(field, text, "must not be greater than 100%"));
    }
}

/// The effect of a taint.
pub(super) fn taint_effect(field: &str, effect: &Value, causes: &mut Vec<Cause>) {
    let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    choice(field, effect, &known, causes);
}
