//! The types of built-in kinds, taken from k8s-openapi: which fields there are, what they hold and
//! how Go's encoder treats them. Compiled once per process.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::api::{
    authentication::v1 as authentication, authorization::v1 as authorization,
    autoscaling::v1 as scale, autoscaling::v2 as autoscaling, coordination::v1 as coordination,
    core::v1 as core, discovery::v1 as discovery, events::v1 as events, policy::v1 as policy,
    rbac::v1 as rbac, scheduling::v1 as scheduling,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

/// What a field holds.
#[derive(Clone, Debug)]
pub(crate) enum Type {
    /// An object with known fields: an index into the types.
    Struct(usize),
    /// A list.
    List(Box<Self>),
    /// An object with free keys.
    Map(Box<Self>),
    /// Text.
    Text,
    /// An integer of so many bits.
    Integer(u8),
    /// A number.
    Float,
    /// True or false.
    Flag,
    /// Bytes in base64.
    Bytes,
    /// An instant, to the second.
    Time,
    /// An instant, to the microsecond.
    MicroTime,
    /// A resource quantity.
    Quantity,
    /// An integer or text.
    IntOrText,
    /// A schema, or something simpler in its place.
    SchemaOr(usize),
    /// Anything.
    Any,
}

/// A field of a struct.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// What it holds.
    pub(crate) holds: Type,
    /// Whether it is written even if it is zero.
    pub(crate) kept: bool,
    /// Its Go type, if errors should name another than the obvious.
    pub(crate) go_type: String,
    /// Name of the embedded Go struct that it is in, with a trailing dot.
    pub(crate) via: String,
}

/// A struct.
#[derive(Clone, Debug)]
pub(crate) struct Struct {
    /// Name of the definition, such as `io.k8s.api.core.v1.Pod`.
    pub(crate) name: String,
    /// Its fields.
    pub(crate) fields: BTreeMap<String, Field>,
    /// Fields that are written even if they are absent, with what is written then.
    pub(crate) always: Vec<(String, Value)>,
}

impl Struct {
    /// Package and name as Go prints them, such as `v1.Pod`.
    pub(crate) fn go_name(&self) -> &str {
        let mut dots = self.name.rmatch_indices('.').map(|(at, _)| at);
        dots.nth(1)
            .map_or(self.name.as_str(), |at| &self.name[at + 1..])
    }

    /// Whether it is part of a CustomResourceDefinition.
    pub(crate) fn is_definition(&self) -> bool {
        self.name.contains(".apiextensions.")
    }

    /// Name without package, such as `Pod`.
    pub(crate) fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}

/// All types.
#[derive(Debug)]
pub(crate) struct Types {
    structs: Vec<Struct>,
    by_name: BTreeMap<String, usize>,
    definitions: Map<String, Value>,
}

impl Types {
    /// The one instance.
    pub(crate) fn get() -> &'static Self {
        static TYPES: LazyLock<Types> = LazyLock::new(Types::compile);
        &TYPES
    }

    /// A struct by index.
    pub(crate) fn at(&self, index: usize) -> &Struct {
        &self.structs[index]
    }

    /// Index of the struct of a kind.
    pub(crate) fn of_kind(&self, group: &str, version: &str, kind: &str) -> Option<usize> {
        self.by_name
            .get(&definition_name(group, version, kind))
            .copied()
    }

    /// JSON schemas by name, which refer to each other as `#/components/schemas/NAME`.
    pub(crate) fn definitions(&self) -> &Map<String, Value> {
        &self.definitions
    }

    fn compile() -> Self {
        let definitions = definitions();
        let by_name: BTreeMap<String, usize> = definitions
            .iter()
            .filter(|(_, schema)| schema.get("properties").is_some())
            .enumerate()
            .map(|(index, (name, _))| (name.clone(), index))
            .collect();
        let encodings = encodings();
        let none = BTreeMap::new();
        let structs = by_name
            .keys()
            .map(|name| {
                let encoding = encodings.get(name.as_str()).unwrap_or(&none);
                let fields = definitions[name]["properties"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(key, schema)| {
                        let holds = compile_type(schema, &by_name);
                        (key.clone(), field(holds, encoding.get(key.as_str())))
                    })
                    .collect();
                let always = encoding
                    .iter()
                    .filter_map(|(key, encoding)| {
                        let always = encoding.always.clone()?;
                        Some(((*key).to_owned(), always))
                    })
                    .collect();
                Struct {
                    name: name.clone(),
                    fields,
                    always,
                }
            })
            .collect();
        Self {
            structs,
            by_name,
            definitions,
        }
    }
}

/// Name of the definition of a kind, such as `io.k8s.api.core.v1.Pod`.
pub(crate) fn definition_name(group: &str, version: &str, kind: &str) -> String {
    match group {
        "" => format!("io.k8s.api.core.{version}.{kind}"),
        "apiextensions.k8s.io" => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}")
        }
        "metrics.k8s.io" => format!("io.k8s.metrics.pkg.apis.metrics.{version}.{kind}"),
        _ => {
            let package = group.split('.').next().unwrap_or(group);
            format!("io.k8s.api.{package}.{version}.{kind}")
        }
    }
}

fn field(holds: Type, encoding: Option<&Encoding>) -> Field {
    let Some(encoding) = encoding else {
        return Field {
            holds,
            kept: false,
            go_type: String::new(),
            via: String::new(),
        };
    };
    Field {
        holds,
        kept: encoding.kept,
        go_type: encoding.go_type.to_owned(),
        via: encoding.via.to_owned(),
    }
}

/// What the table says about one field.
#[derive(Default)]
struct Encoding {
    kept: bool,
    always: Option<Value>,
    go_type: &'static str,
    via: &'static str,
}

/// The table in `encoding.txt`, by type and field.
fn encodings() -> BTreeMap<&'static str, BTreeMap<&'static str, Encoding>> {
    let mut types = BTreeMap::new();
    for line in include_str!("encoding.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else {
            continue;
        };
        let fields: &mut BTreeMap<&str, Encoding> = types.entry(name).or_default();
        for word in words {
            if let Some((key, place)) = word.split_once(':') {
                let entry = fields.entry(key).or_default();
                (entry.via, entry.go_type) = place.split_once('>').unwrap_or(("", place));
            } else if let Some((key, value)) = word.split_once('=') {
                let entry = fields.entry(key).or_default();
                entry.kept = true;
                entry.always = serde_json::from_str(value).ok();
            } else {
                fields.entry(word).or_default().kept = true;
            }
        }
    }
    types
}

const REFERENCE: &str = "#/components/schemas/";

fn compile_type(schema: &Value, structs: &BTreeMap<String, usize>) -> Type {
    let reference = [schema, &schema["allOf"][0]]
        .into_iter()
        .find_map(|holder| holder["$ref"].as_str());
    if let Some(reference) = reference {
        let name = reference.trim_start_matches(REFERENCE);
        return match name.rsplit('.').next().unwrap_or(name) {
            "Time" => Type::Time,
            "MicroTime" => Type::MicroTime,
            "Quantity" => Type::Quantity,
            "IntOrString" => Type::IntOrText,
            short if short.starts_with("JSONSchemaPropsOr") => structs
                .iter()
                .find(|(name, _)| name.ends_with(".JSONSchemaProps"))
                .map_or(Type::Any, |(_, index)| Type::SchemaOr(*index)),
            _ => structs
                .get(name)
                .map_or(Type::Any, |index| Type::Struct(*index)),
        };
    }
    let inner = |key: &str| Box::new(compile_type(&schema[key], structs));
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("array"), _) => Type::List(inner("items")),
        (Some("object"), _) if schema.get("additionalProperties").is_some() => {
            Type::Map(inner("additionalProperties"))
        }
        (Some("string"), Some("byte")) => Type::Bytes,
        (Some("string"), _) => Type::Text,
        (Some("integer"), Some("int32")) => Type::Integer(32),
        (Some("integer"), _) => Type::Integer(64),
        (Some("number"), _) => Type::Float,
        (Some("boolean"), _) => Type::Flag,
        _ => Type::Any,
    }
}

fn definitions() -> Map<String, Value> {
    let mut generator = SchemaSettings::openapi3().into_generator();
    let types: &mut SchemaGenerator = &mut generator;
    types.subschema_for::<core::Binding>();
    types.subschema_for::<core::ConfigMap>();
    types.subschema_for::<core::Endpoints>();
    types.subschema_for::<core::Event>();
    types.subschema_for::<core::Namespace>();
    types.subschema_for::<core::Node>();
    types.subschema_for::<core::Pod>();
    types.subschema_for::<core::Secret>();
    types.subschema_for::<core::Service>();
    types.subschema_for::<core::ServiceAccount>();
    types.subschema_for::<apiextensions::CustomResourceDefinition>();
    types.subschema_for::<authentication::SelfSubjectReview>();
    types.subschema_for::<authentication::TokenRequest>();
    types.subschema_for::<authentication::TokenReview>();
    types.subschema_for::<authorization::LocalSubjectAccessReview>();
    types.subschema_for::<authorization::SelfSubjectAccessReview>();
    types.subschema_for::<authorization::SelfSubjectRulesReview>();
    types.subschema_for::<authorization::SubjectAccessReview>();
    types.subschema_for::<autoscaling::HorizontalPodAutoscaler>();
    types.subschema_for::<scale::Scale>();
    types.subschema_for::<coordination::Lease>();
    types.subschema_for::<discovery::EndpointSlice>();
    types.subschema_for::<events::Event>();
    types.subschema_for::<policy::Eviction>();
    types.subschema_for::<policy::PodDisruptionBudget>();
    types.subschema_for::<rbac::ClusterRole>();
    types.subschema_for::<rbac::ClusterRoleBinding>();
    types.subschema_for::<rbac::Role>();
    types.subschema_for::<rbac::RoleBinding>();
    types.subschema_for::<scheduling::PriorityClass>();
    types.subschema_for::<meta::DeleteOptions>();
    types.subschema_for::<meta::ListMeta>();
    types.subschema_for::<meta::Status>();
    let mut definitions = generator.take_definitions(true);
    definitions.extend(metrics());
    definitions
}

/// The types of metrics.k8s.io, which are not part of k8s-openapi.
fn metrics() -> [(String, Value); 3] {
    let meta = |name: &str| json!({ "$ref": format!("{REFERENCE}io.k8s.apimachinery.pkg.apis.meta.v1.{name}") });
    let usage = json!({
        "description": "The memory usage is the memory working set.",
        "type": "object",
        "additionalProperties": { "$ref": format!("{REFERENCE}io.k8s.apimachinery.pkg.api.resource.Quantity") },
    });
    let container = definition_name("metrics.k8s.io", "v1beta1", "ContainerMetrics");
    let common = json!({
        "apiVersion": { "type": "string" },
        "kind": { "type": "string" },
        "metadata": meta("ObjectMeta"),
        "timestamp": meta("Time"),
        "window": { "description": "Length of the sample, as a duration.", "type": "string" },
    });
    let mut node = common.clone();
    node["usage"] = usage.clone();
    let mut pod = common;
    pod["containers"] = json!({
        "description": "Metrics of all running containers.",
        "type": "array",
        "items": { "$ref": format!("{REFERENCE}{container}") },
    });
    let object = |description: &str, properties: Value| json!({ "description": description, "type": "object", "properties": properties });
    [
        (
            definition_name("metrics.k8s.io", "v1beta1", "NodeMetrics"),
            object("NodeMetrics sets resource usage metrics of a node.", node),
        ),
        (
            definition_name("metrics.k8s.io", "v1beta1", "PodMetrics"),
            object("PodMetrics sets resource usage metrics of a pod.", pod),
        ),
        (
            container,
            object(
                "ContainerMetrics sets resource usage metrics of a container.",
                json!({ "name": { "type": "string" }, "usage": usage }),
            ),
        ),
    ]
}
