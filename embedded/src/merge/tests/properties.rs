//! Laws of ownership, over random objects, managers and writes.

use std::collections::BTreeSet;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::{API_VERSION, custom, entries, writer};
use crate::merge::compare;
use crate::merge::fields::{self, Fields};
use crate::merge::managed::{apply, record_update};
use crate::merge::typed;

const MANAGERS: &[&str] = &["one", "two", "three"];

fn text() -> impl Strategy<Value = Value> {
    select(&["a", "b", "c<d>"]).prop_map(Value::from)
}

fn some_of(names: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(names, 0..=names.len())
}

fn object_of(
    names: &'static [&'static str],
    value: impl Strategy<Value = Value> + 'static,
) -> impl Strategy<Value = Value> {
    btree_map(
        select(names).prop_map(str::to_owned),
        value,
        0..=names.len(),
    )
    .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text(),
        (0..3_i64).prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            object_of(&["p", "q", "r"], inner.clone()),
            vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

fn maps() -> impl Strategy<Value = Value> {
    let entry = (
        proptest::option::of(select(&["TCP", "UDP"])),
        proptest::option::of(0..3_i64),
        some_of(&["t", "u"]),
    );
    (some_of(&["x", "y", "z"]).prop_shuffle(), vec(entry, 3)).prop_map(|(names, entries)| {
        let entries = names.into_iter().zip(entries);
        Value::Array(
            entries
                .map(|(name, (protocol, port, tags))| {
                    let mut entry = json!({ "name": name });
                    if let Some(protocol) = protocol {
                        entry["protocol"] = protocol.into();
                    }
                    if let Some(port) = port {
                        entry["port"] = port.into();
                    }
                    if !tags.is_empty() {
                        entry["tags"] = tags.into();
                    }
                    entry
                })
                .collect(),
        )
    })
}

/// Each field of the spec with a random value.
fn spec() -> impl Strategy<Value = Map<String, Value>> {
    let fields = (
        (1..4_i64).prop_map(Value::from),
        text(),
        some_of(&["a", "b", "c", "d"])
            .prop_shuffle()
            .prop_map(Value::from),
        maps(),
        object_of(&["a", "b"], text()),
        object_of(&["g", "h"], object_of(&["a", "b"], text())),
        object_of(&["p", "q"], anything()),
        object_of(&["a", "b"], text()),
        vec(text(), 0..3).prop_map(Value::from),
    );
    let names = [
        "replicas", "name", "set", "maps", "labels", "groups", "open", "whole", "atoms",
    ];
    (fields, subsequence(&[0, 1, 2, 3, 4, 5, 6, 7, 8][..], 0..=9)).prop_map(
        move |(fields, chosen)| {
            let (replicas, name, set, maps, labels, groups, open, whole, atoms) = fields;
            let values = [
                replicas, name, set, maps, labels, groups, open, whole, atoms,
            ];
            names
                .iter()
                .zip(values)
                .enumerate()
                .filter(|(position, _)| chosen.contains(position))
                .map(|(_, (name, value))| ((*name).to_owned(), value))
                .collect()
        },
    )
}

fn object(spec: Map<String, Value>) -> Value {
    let mut object = json!({
        "apiVersion": API_VERSION,
        "kind": "Shape",
        "metadata": { "name": "x" },
    });
    object["spec"] = Value::Object(spec);
    object
}

fn owned(entry: &Value) -> Fields {
    entry["fieldsV1"].as_object().cloned().unwrap_or_default()
}

fn shown(set: &Fields) -> BTreeSet<String> {
    fields::paths(set).iter().map(ToString::to_string).collect()
}

/// Fields of an object that somebody should own.
fn all_fields(object: &Value) -> Fields {
    let nothing = json!({ "apiVersion": API_VERSION, "kind": "Shape" });
    let shape = custom();
    compare::objects(shape.view(), &nothing, object, &[])
        .unwrap()
        .changed
}

/// Every field that is owned, once for each owner.
fn claims(object: &Value) -> Vec<String> {
    let mut claims: Vec<String> = entries(object)
        .iter()
        .flat_map(|entry| shown(&owned(entry)))
        .collect();
    claims.sort();
    claims
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn applying_twice_is_applying_once(first in spec(), second in spec(), manager in select(MANAGERS)) {
        let shape = custom();
        let live = apply(None, &object(first), &writer("other", API_VERSION, 0), false, &shape).unwrap();
        let config = object(second);
        let once = apply(Some(&live), &config, &writer(manager, API_VERSION, 1), true, &shape).unwrap();
        let twice = apply(Some(&once), &config, &writer(manager, API_VERSION, 2), false, &shape).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn appliers_of_different_fields_never_conflict(mut spec in spec(), cut in 0..9_usize) {
        let shape = custom();
        // Appliers do not own empty lists.
        spec.retain(|_, value| *value != json!([]));
        let (left, right): (Vec<_>, Vec<_>) = spec
            .into_iter()
            .enumerate()
            .partition(|(position, _)| *position < cut);
        let part = |part: Vec<(usize, (String, Value))>| {
            object(part.into_iter().map(|(_, field)| field).collect())
        };
        let (left, right) = (part(left), part(right));
        let one = writer("one", API_VERSION, 0);
        let two = writer("two", API_VERSION, 1);
        let live = apply(None, &left, &one, false, &shape).unwrap();
        let live = apply(Some(&live), &right, &two, false, &shape).unwrap();
        let again = apply(Some(&live), &left, &one, false, &shape).unwrap();
        prop_assert_eq!(&live, &again);
        // A configuration owns its leaves, and structs only if they are empty.
        let claimed: BTreeSet<String> = claims(&live).into_iter().collect();
        let mut leaves = shown(&typed::to_fields(shape.view(), &left));
        leaves.extend(shown(&typed::to_fields(shape.view(), &right)));
        leaves.retain(|path| ![".apiVersion", ".kind", ".metadata.name"].contains(&path.as_str()));
        prop_assert_eq!(claimed, leaves);
    }

    #[test]
    fn an_applied_configuration_is_in_the_object(first in spec(), second in spec()) {
        let shape = custom();
        let live = apply(None, &object(first), &writer("one", API_VERSION, 0), false, &shape).unwrap();
        let config = object(second);
        let merged = apply(Some(&live), &config, &writer("two", API_VERSION, 1), true, &shape).unwrap();
        // Laying it over once more changes nothing.
        let over = typed::merge(shape.view(), Some(&merged), Some(&config)).unwrap().unwrap();
        prop_assert_eq!(over, merged);
    }

    #[test]
    fn whoever_changes_a_field_owns_it_and_nobody_else(
        first in spec(),
        writes in vec((spec(), select(MANAGERS)), 1..6),
    ) {
        let shape = custom();
        let mut live = object(first);
        record_update(None, &mut live, &writer("creator", API_VERSION, 0), &shape);
        for (second, (spec, manager)) in writes.into_iter().enumerate() {
            let mut new = live.clone();
            new["spec"] = Value::Object(spec);
            record_update(Some(&live), &mut new, &writer(manager, API_VERSION, second + 1), &shape);
            live = new;
            let there: Vec<String> = shown(&all_fields(&live)).into_iter().collect();
            prop_assert_eq!(claims(&live), there);
        }
    }

    #[test]
    fn sets_of_fields_survive_their_text_form(spec in spec()) {
        let fields = all_fields(&object(spec));
        let text = serde_json::to_string(&fields).unwrap();
        let back: Fields = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(fields::normalize(&back), Some(fields));
    }

    #[test]
    fn sets_of_fields_are_sets(left in spec(), right in spec()) {
        let (left, right) = (all_fields(&object(left)), all_fields(&object(right)));
        let (of_left, of_right) = (shown(&left), shown(&right));
        let both = fields::intersection(&left, &right);
        prop_assert_eq!(shown(&both), &of_left & &of_right);
        let mut all = left.clone();
        fields::union(&mut all, right.clone());
        prop_assert_eq!(shown(&all), &of_left | &of_right);
        let mut rest = left.clone();
        fields::subtract(&mut rest, &right);
        prop_assert_eq!(shown(&rest), &of_left - &of_right);
        fields::union(&mut rest, both);
        prop_assert_eq!(rest, left);
    }
}
