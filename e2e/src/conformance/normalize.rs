//! Makes answers comparable: what differs from run to run becomes a placeholder.
//!
//! Uids are numbered by first appearance and versions of objects by size, over all answers of a
//! case, so that equality and order stay visible. A value that stands literally in the case is
//! kept. Versions of lists and bookmarks are those of the whole store, which others write to as
//! well: they have no rank.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// What is known of a case that ran.
#[derive(Debug)]
pub(super) struct Known<'a> {
    /// Names that were made for this run, and what stands for them in the case.
    pub(super) names: Vec<(String, &'static str)>,
    /// Text of the case.
    pub(super) source: &'a str,
}

/// Normalizes all answers of a case.
pub(super) fn normalize(answers: &[Value], known: &Known<'_>) -> Vec<Value> {
    let mut versions = BTreeSet::new();
    let mut suffixes = BTreeMap::new();
    for answer in answers {
        collect(answer, &mut versions, &mut suffixes);
    }
    let versions = versions.into_iter().zip(1_usize..);
    let mut normalizer = Normalizer {
        known,
        versions: versions
            .map(|(version, rank)| (version.to_string(), format!("<version-{rank}>")))
            .collect(),
        suffixes,
        uids: BTreeMap::new(),
    };
    answers
        .iter()
        .map(|answer| normalizer.value("", answer))
        .collect()
}

struct Normalizer<'a> {
    known: &'a Known<'a>,
    versions: BTreeMap<String, String>,
    /// Generated names and what stands for them.
    suffixes: BTreeMap<String, String>,
    uids: BTreeMap<String, String>,
}

/// Finds the versions of objects and the generated names.
fn collect(value: &Value, versions: &mut BTreeSet<u64>, names: &mut BTreeMap<String, String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, versions, names)),
        Value::Object(map) => {
            if let Some(Value::Object(metadata)) = map.get("metadata") {
                let text = |key: &str| metadata.get(key).and_then(Value::as_str);
                if !is_list(map)
                    && let Some(Ok(version)) = text("resourceVersion").map(str::parse)
                {
                    versions.insert(version);
                }
                if let (Some(prefix), Some(name)) = (text("generateName"), text("name"))
                    && name.starts_with(prefix)
                {
                    let number = names.len() + 1;
                    names
                        .entry(name.to_owned())
                        .or_insert_with(|| format!("{prefix}<suffix-{number}>"));
                }
            }
            // As a picked part is named.
            if let Some(version) = map.get("metadata.resourceVersion").and_then(Value::as_str) {
                versions.extend(version.parse::<u64>());
            }
            for value in sorted(map).into_values() {
                collect(value, versions, names);
            }
        }
        _ => {}
    }
}

fn sorted(map: &Map<String, Value>) -> BTreeMap<&String, &Value> {
    map.iter().collect()
}

/// Whether the version in an object's metadata is that of the store, not of one object.
fn is_list(map: &Map<String, Value>) -> bool {
    let kind = map.get("kind").and_then(Value::as_str).unwrap_or_default();
    map.contains_key("items") || kind == "Table" || kind.ends_with("List") || is_bookmark(map)
}

/// Bookmarks are objects with nothing but a version: the name is missing.
fn is_bookmark(map: &Map<String, Value>) -> bool {
    map.get("metadata")
        .is_some_and(|metadata| metadata.get("name").is_none())
}

impl Normalizer<'_> {
    fn value(&mut self, key: &str, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::from(self.text(key, text)),
            Value::Array(items) => items.iter().map(|item| self.value(key, item)).collect(),
            Value::Object(map) => self.object(map),
            // What the server chose from a range.
            Value::Number(number)
                if (key == "nodePort" || key == "healthCheckNodePort")
                    && !self.known.source.contains(&number.to_string()) =>
            {
                Value::from("<port>")
            }
            other => other.clone(),
        }
    }

    fn object(&mut self, map: &Map<String, Value>) -> Value {
        let mut map = map.clone();
        let is_list = is_list(&map);
        if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            if is_list && let Some(version) = metadata.get_mut("resourceVersion") {
                hide(version, "<version>");
            }
            if let Some(token) = metadata.get_mut("continue") {
                hide(token, "<continue>");
            }
        }
        for (key, entries) in &mut map {
            if last_of(key) == "managedFields"
                && let Value::Array(entries) = entries
            {
                // Their order follows times, which have no finer grain than a second.
                entries.iter_mut().for_each(shorten);
                entries.sort_by_key(ToString::to_string);
            }
        }
        order_causes(&mut map);
        let mut normalized = Map::new();
        for (key, value) in sorted(&map) {
            let value = self.value(key, value);
            normalized.insert(self.text("", key), value);
        }
        Value::Object(normalized)
    }

    fn text(&mut self, key: &str, text: &str) -> String {
        if last_of(key) == "resourceVersion"
            && let Some(version) = self.versions.get(text)
        {
            return version.clone();
        }
        if key.ends_with("cells") && is_age(text) {
            return "<age>".to_owned();
        }
        let is_chosen = !self.known.source.contains(text);
        if matches!(key, "clusterIP" | "clusterIPs")
            && is_chosen
            && text.parse::<std::net::IpAddr>().is_ok()
        {
            return "<address>".to_owned();
        }
        if is_chosen && text.starts_with("eyJ") && text.split('.').count() == 3 {
            return "<token>".to_owned();
        }
        let mut text = text.to_owned();
        for (name, placeholder) in &self.suffixes {
            text = text.replace(name, placeholder);
        }
        let names = self.known.names.iter();
        for (name, placeholder) in names.filter(|(name, _)| !name.is_empty()) {
            text = text.replace(name, placeholder);
        }
        let lower = text.to_lowercase();
        if lower.contains("resource version: ") || lower.contains("resourceversion in ") {
            text = self.versions_in(&text);
        }
        self.shapes_in(&text)
    }

    /// Replaces what can be told by its shape: times, uids, suffixes of volumes.
    fn shapes_in(&mut self, text: &str) -> String {
        let mut replaced = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let found = [
                time(rest),
                matches(rest, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh").map(|it| (it, "uid")),
                matches(rest, "kube-api-access-aaaaa").map(|it| (it, "volume")),
            ];
            let found = found.into_iter().flatten().next();
            let found = found.filter(|(value, _)| !self.known.source.contains(value));
            let length = if let Some((value, shape)) = found {
                match shape {
                    "uid" => {
                        let number = self.uids.len() + 1;
                        let uid = self.uids.entry(value.to_owned());
                        replaced.push_str(uid.or_insert_with(|| format!("<uid-{number}>")));
                    }
                    "volume" => replaced.push_str("kube-api-access-<suffix>"),
                    shape => replaced.push_str(shape),
                }
                value.len()
            } else {
                replaced.push(first);
                first.len_utf8()
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        replaced
    }

    /// Replaces the versions in a message about versions.
    fn versions_in(&self, text: &str) -> String {
        let mut replaced = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let end = rest
                .find(|letter: char| !letter.is_ascii_digit())
                .unwrap_or(rest.len());
            let (digits, _) = rest.split_at(end);
            let length = if digits.is_empty() {
                replaced.push(first);
                first.len_utf8()
            } else {
                if let Some(version) = self.versions.get(digits) {
                    replaced.push_str(version);
                } else if self.known.source.contains(digits) {
                    replaced.push_str(digits);
                } else {
                    replaced.push_str("<version>");
                }
                digits.len()
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        replaced
    }
}

/// The last member that a path names, as a picked part is called by its path.
fn last_of(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or_default()
}

/// Replaces a text that is not empty.
fn hide(value: &mut Value, placeholder: &str) {
    if value.as_str().is_some_and(|text| !text.is_empty()) {
        *value = placeholder.into();
    }
}

/// The time at the beginning of a text, and what stands for its kind.
fn time(text: &str) -> Option<(&str, &'static str)> {
    matches(text, "dddd-dd-ddTdd:dd:dd.ddddddZ")
        .map(|it| (it, "<micro time>"))
        .or_else(|| matches(text, "dddd-dd-ddTdd:dd:ddZ").map(|it| (it, "<time>")))
}

/// The beginning of a text, if it has the form: d is a digit, h one of a hexadecimal number, a any
/// small letter or digit, everything else itself.
fn matches<'t>(text: &'t str, form: &str) -> Option<&'t str> {
    let start = text.get(..form.len())?;
    let is_so = start
        .chars()
        .zip(form.chars())
        .all(|(letter, wanted)| match wanted {
            'd' => letter.is_ascii_digit(),
            'h' => letter.is_ascii_digit() || ('a'..='f').contains(&letter),
            'a' if form.ends_with("-aaaaa") => true,
            other => letter == other,
        });
    is_so.then_some(start)
}

/// Writes a managedFields entry on one line.
fn shorten(entry: &mut Value) {
    fn write(fields: &Value, line: &mut String) {
        let Some(map) = fields.as_object() else {
            return;
        };
        let mut separator = "";
        for (key, inner) in sorted(map) {
            line.push_str(separator);
            line.push_str(key);
            if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
                line.push('{');
                write(inner, line);
                line.push('}');
            }
            separator = " ";
        }
    }
    let Some(map) = entry.as_object_mut() else {
        return;
    };
    let fields = map.remove("fieldsV1").unwrap_or_default();
    let mut line = String::new();
    for key in ["operation", "manager", "subresource", "apiVersion", "time"] {
        if let Some(text) = map.remove(key).as_ref().and_then(Value::as_str) {
            line.extend([key, "=", text, " "]);
        }
    }
    if map.get("fieldsType").is_some_and(|it| it == "FieldsV1") {
        map.remove("fieldsType");
    }
    if !map.is_empty() {
        line.extend([entry.to_string().as_str(), " "]);
    }
    write(&fields, &mut line);
    *entry = line.into();
}

/// Whether a cell of a Table tells the time since something, such as `2m3s`.
fn is_age(text: &str) -> bool {
    let units = |letter| matches!(letter, 's' | 'm' | 'h' | 'd');
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.ends_with(units)
        && text.chars().all(|it| it.is_ascii_digit() || units(it))
}

/// Puts the causes of a Status in order, in the message too: the API server checks the members of
/// an object in random order.
fn order_causes(status: &mut Map<String, Value>) {
    if status.get("kind").is_none_or(|kind| kind != "Status") {
        return;
    }
    let causes = status
        .get_mut("details")
        .and_then(|details| details.get_mut("causes"));
    let Some(Value::Array(causes)) = causes else {
        return;
    };
    let shown = |cause: &Value| {
        let text = |key: &str| cause[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("field"), text("message"))
    };
    causes.sort_by_key(shown);
    let mut parts: Vec<String> = causes.iter().map(shown).collect();
    parts.dedup();
    let Some(message) = status.get("message").and_then(Value::as_str) else {
        return;
    };
    let ordered = parts.join(", ");
    let Some((before, list)) = message.split_once(" is invalid: [") else {
        return;
    };
    // Anything but the same parts in another order is left as it is, and shows.
    if list.len() == ordered.len() + 1 && parts.iter().all(|part| list.contains(part.as_str())) {
        let message = format!("{before} is invalid: [{ordered}]");
        status.insert("message".to_owned(), message.into());
    }
}

#[cfg(test)]
mod tests;
