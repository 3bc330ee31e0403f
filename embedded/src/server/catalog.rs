//! The kinds that are served, each with what is compiled from its schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::kinds::{Kind, Kinds, alias, definition};
use crate::merge::Shape;
use crate::object::Object;
use crate::schema::Schema;
use crate::status::qualified;

/// One version of one kind, ready to be served.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) kind: Arc<Kind>,
    /// Where its objects are kept: the same for all versions.
    pub(crate) resource: Arc<str>,
    /// Compiled schema of custom resources.
    pub(crate) schema: Option<Schema>,
    /// How objects merge.
    pub(crate) shape: Arc<Shape>,
    /// The version in which objects are kept, if that is another one.
    storage: Option<Arc<Self>>,
    /// What users of this version are warned of.
    pub(crate) deprecation: Option<String>,
    /// Whether objects are kept as those of another kind.
    aliased: bool,
}

impl Served {
    fn new(
        kind: Arc<Kind>,
        storage: Option<Arc<Self>>,
        deprecation: Option<String>,
    ) -> Result<Self, String> {
        let stored = alias::storage(&kind);
        let resource = match stored {
            Some((group, _, plural)) => qualified(plural, group),
            None => qualified(&kind.plural, &kind.group),
        };
        let schema = kind.schema.as_deref().map(Schema::compile).transpose()?;
        Ok(Self {
            resource: Arc::from(resource),
            schema,
            shape: Shape::for_kind(&kind),
            storage,
            deprecation,
            aliased: stored.is_some(),
            kind,
        })
    }

    /// Whether the kind comes from a CustomResourceDefinition.
    pub(crate) fn is_custom(&self) -> bool {
        self.kind.schema.is_some()
    }

    /// Whether an object is kept in this version.
    pub(crate) fn is_own(&self, object: &Object) -> bool {
        is_version(object.api_version(), &self.kind)
    }

    /// The key of an object in the store.
    pub(crate) fn key(&self, namespace: &str, name: &str) -> String {
        if self.kind.namespaced {
            format!("{namespace}/{name}")
        } else {
            name.to_owned()
        }
    }

    /// An object as this version shows it.
    pub(crate) fn show(&self, object: &Arc<Object>) -> Arc<Object> {
        if !self.aliased && is_version(object.api_version(), &self.kind) {
            return Arc::clone(object);
        }
        let mut value = Object::opened(object).value().clone();
        self.convert(&mut value);
        Arc::new(Object::new(value, object.revision()))
    }

    fn convert(&self, value: &mut Value) {
        if self.aliased {
            alias::from_storage(value);
            return;
        }
        value["apiVersion"] = self.kind.api_version().into();
        if let Some(schema) = &self.schema {
            schema.prune(value);
            schema.default(value);
        }
    }

    /// An object of this version as it is kept.
    pub(crate) fn store(&self, value: &mut Value) {
        if self.aliased {
            alias::to_storage(value);
        }
        if let Some(storage) = &self.storage {
            storage.convert(value);
        }
    }
}

fn is_version(api_version: &str, kind: &Kind) -> bool {
    match api_version.split_once('/') {
        Some((group, version)) => group == kind.group && version == kind.version,
        None => kind.group.is_empty() && api_version == kind.version,
    }
}

/// Everything that is served. Immutable: a change makes a new one.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) kinds: Arc<Kinds>,
    served: BTreeMap<(String, String), Vec<Arc<Served>>>,
    /// What the definitions made; one that did not change makes the same again.
    pub(crate) definitions: Definitions,
}

/// What definitions make, by their names.
pub(crate) type Definitions = BTreeMap<Arc<str>, Defined>;

/// What one definition makes.
#[derive(Clone, Debug)]
pub(crate) struct Defined {
    /// Uid and generation of the definition.
    stamp: (String, i64),
    /// Its kinds, one for each served version.
    pub(crate) kinds: Vec<Arc<Kind>>,
    /// The version in which objects are kept.
    storage: String,
    /// Warnings by version.
    deprecations: BTreeMap<String, String>,
}

impl Defined {
    /// Reads a definition, unless it is the same as before.
    pub(crate) fn read(name: &str, object: &Object, old: Option<&Self>) -> Self {
        let definition = object.value();
        let generation = definition["metadata"]["generation"].as_i64();
        let stamp = (
            object.meta("uid").to_owned(),
            generation.unwrap_or_default(),
        );
        if let Some(known) = old.filter(|known| known.stamp == stamp) {
            return known.clone();
        }
        let kinds: Vec<Arc<Kind>> = match definition::to_kind(definition) {
            Ok(kinds) => kinds.into_iter().map(Arc::new).collect(),
            Err(causes) => {
                tracing::warn!(%name, ?causes, "a definition serves no kind");
                Vec::new()
            }
        };
        Self {
            stamp,
            storage: definition::storage_version(definition).to_owned(),
            deprecations: deprecations(definition, &kinds),
            kinds,
        }
    }
}

/// What users of deprecated versions are warned of.
fn deprecations(definition: &Value, kinds: &[Arc<Kind>]) -> BTreeMap<String, String> {
    let versions = definition["spec"]["versions"].as_array();
    let versions = || versions.into_iter().flatten();
    let is_deprecated = |version: &str| {
        versions().any(|known| known["name"] == version && known["deprecated"] == true)
    };
    versions()
        .filter(|version| version["deprecated"] == true)
        .filter_map(|version| {
            let name = version["name"].as_str()?;
            if let Some(text) = version["deprecationWarning"].as_str() {
                return Some((name.to_owned(), text.to_owned()));
            }
            let kind = kinds.iter().find(|kind| kind.version == name)?;
            let mut text = format!("{} {} is deprecated", kind.api_version(), kind.kind);
            // The first is the one that clients should prefer.
            let better = kinds
                .iter()
                .take_while(|other| other.version != name)
                .find(|other| !is_deprecated(&other.version));
            if let Some(better) = better {
                text.push_str("; use ");
                text.push_str(&better.api_version());
                text.push(' ');
                text.push_str(&better.kind);
            }
            Some((name.to_owned(), text))
        })
        .collect()
}

impl Catalog {
    /// Makes a catalog of kinds, and takes over what the old one has compiled of them.
    pub(crate) fn new(kinds: Kinds, definitions: Definitions, old: &Self) -> Result<Self, String> {
        let mut served: BTreeMap<_, Vec<Arc<Served>>> = BTreeMap::new();
        let make = |kind: &Arc<Kind>, storage, deprecation| match old
            .of(kind)
            .filter(|known| Arc::ptr_eq(&known.kind, kind))
        {
            Some(known) => Ok(Arc::clone(known)),
            None => Served::new(Arc::clone(kind), storage, deprecation).map(Arc::new),
        };
        for kind in kinds.iter() {
            let definition = definitions.get(qualified(&kind.plural, &kind.group).as_str());
            let storage_kind = definition.and_then(|definition| {
                let mut kinds = definition.kinds.iter();
                kinds.find(|kind| kind.version == definition.storage)
            });
            let storage = match storage_kind {
                Some(other) if !Arc::ptr_eq(other, kind) => Some(make(other, None, None)?),
                _ => None,
            };
            let deprecation =
                definition.and_then(|definition| definition.deprecations.get(&kind.version));
            let entry = make(kind, storage, deprecation.cloned())?;
            served
                .entry((kind.group.clone(), kind.plural.clone()))
                .or_default()
                .push(entry);
        }
        Ok(Self {
            kinds: Arc::new(kinds),
            served,
            definitions,
        })
    }

    /// One kind at one version.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Served>> {
        self.versions(group, plural)
            .iter()
            .find(|served| served.kind.version == version)
    }

    /// All versions of a kind, the preferred one first.
    pub(crate) fn versions(&self, group: &str, plural: &str) -> &[Arc<Served>] {
        self.served
            .get(&(group.to_owned(), plural.to_owned()))
            .map_or(&[], Vec::as_slice)
    }

    /// Everything that is served.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.served.values().flatten()
    }

    /// What serves a kind.
    pub(crate) fn of(&self, kind: &Kind) -> Option<&Arc<Served>> {
        self.find(&kind.group, &kind.version, &kind.plural)
    }
}
