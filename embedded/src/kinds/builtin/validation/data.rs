//! What is wrong with ConfigMaps and Secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::forms::config_key;
use crate::kinds::causes::{each, immutable, invalid_text, too_long};
use crate::kinds::fields::{at, entries, flag, text};
use crate::status::Cause;

/// The most that the values may be together.
const LIMIT: usize = 1024 * 1024;

/// Validates a ConfigMap.
pub(super) fn config_map(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    stays(new, old, &["data", "binaryData"], causes);
    let mut size = 0;
    for (key, value) in entries(new, "data") {
        let field = format!("data[{key}]");
        causes.extend(each(&field, key, config_key(key)));
        if new["binaryData"].get(key).is_some() {
            let detail = "duplicate of key present in binaryData";
            causes.push(invalid_text(field, key, detail));
        }
        size += value.as_str().map_or(0, str::len);
    }
    for (key, value) in entries(new, "binaryData") {
        causes.extend(each(&format!("binaryData[{key}]"), key, config_key(key)));
        size += bytes(value).len();
    }
    if size > LIMIT {
        causes.push(too_long("[]", LIMIT));
    }
}

/// Validates a Secret.
pub(super) fn secret(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    if let Some(old) = old
        && text(new, "type") != text(old, "type")
    {
        causes.push(immutable("type", at(new, "type")));
    }
    stays(new, old, &["data"], causes);
    let mut size = 0;
    for (key, value) in entries(new, "data") {
        causes.extend(each(&format!("data[{key}]"), key, config_key(key)));
        size += bytes(value).len();
    }
    if size > LIMIT {
        causes.push(too_long("data", LIMIT));
    }
    let data = &new["data"];
    let mut required = |key: &str| {
        if data.get(key).is_none() {
            causes.push(Cause::required(format!("data[{key}]"), ""));
        }
    };
    match text(new, "type") {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            if new["metadata"]["annotations"][key]
                .as_str()
                .is_none_or(str::is_empty)
            {
                causes.push(Cause::required(format!("metadata.annotations[{key}]"), ""));
            }
        }
        "kubernetes.io/dockercfg" => docker(data, ".dockercfg", causes),
        "kubernetes.io/dockerconfigjson" => docker(data, ".dockerconfigjson", causes),
        "kubernetes.io/basic-auth"
            if data.get("username").is_none() && data.get("password").is_none() =>
        {
            required("username");
            required("password");
        }
        "kubernetes.io/ssh-auth" => required("ssh-privatekey"),
        "kubernetes.io/tls" => {
            required("tls.crt");
            required("tls.key");
        }
        _ => {}
    }
}

fn docker(data: &Value, key: &str, causes: &mut Vec<Cause>) {
    let field = format!("data[{key}]");
    let Some(value) = data.get(key) else {
        causes.push(Cause::required(field, ""));
        return;
    };
    let bytes = bytes(value);
    if serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes).is_err() {
        let detail = match bytes.first() {
            None => "unexpected end of JSON input".to_owned(),
            Some(b'{') => "invalid JSON object".to_owned(),
            Some(first) => format!(
                "invalid character '{}' looking for beginning of value",
                char::from(*first)
            ),
        };
        causes.push(invalid_text(field, "<secret contents redacted>", &detail));
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD
        .decode(value.as_str().unwrap_or_default())
        .unwrap_or_default()
}

/// What was declared immutable stays.
fn stays(new: &Value, old: Option<&Value>, fields: &[&str], causes: &mut Vec<Cause>) {
    const DETAIL: &str = "field is immutable when `immutable` is set";
    let Some(old) = old.filter(|old| flag(old, "immutable")) else {
        return;
    };
    if !flag(new, "immutable") {
        causes.push(Cause::forbidden("immutable", DETAIL));
    }
    for field in fields {
        if at(new, field) != at(old, field) {
            causes.push(Cause::forbidden(*field, DETAIL));
        }
    }
}
