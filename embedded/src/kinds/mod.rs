//! The kinds that are served: built in, or defined by CustomResourceDefinitions.

pub mod alias;
pub mod builtin;
pub(crate) mod causes;
pub mod definition;
pub(crate) mod fields;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// Everything about one kind at one version.
#[derive(Clone, Debug)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind, such as `GameServer`.
    pub kind: String,
    /// Kind of lists, such as `GameServerList`.
    pub list_kind: String,
    /// Resource, such as `gameservers`.
    pub plural: String,
    /// Singular name, such as `gameserver`.
    pub singular: String,
    /// Short names, such as `gs`.
    pub short_names: Vec<String>,
    /// Categories, such as `all`.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs for discovery, such as `create`.
    pub verbs: Vec<String>,
    /// Whether there is a status subresource: then status and spec are written apart.
    pub has_status: bool,
    /// The scale subresource.
    pub scale: Option<Scale>,
    /// Paths for field selectors besides `metadata.name` and `metadata.namespace`, as
    /// `status.state`.
    pub selectable_fields: Vec<String>,
    /// Columns for `kubectl get` of custom resources: `additionalPrinterColumns`.
    pub printer_columns: Vec<Value>,
    /// The `openAPIV3Schema` of custom resources; none for built-in kinds.
    pub schema: Option<Arc<Value>>,
}

/// Paths of a scale subresource, as in a CustomResourceDefinition (with a leading dot).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Where the wanted number is.
    pub spec_replicas_path: String,
    /// Where the observed number is.
    pub status_replicas_path: String,
    /// Where the label selector is.
    pub label_selector_path: Option<String>,
}

impl Kind {
    /// `muster.dev/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether a field selector may name this field.
    pub fn is_selectable(&self, path: &str) -> bool {
        path == "metadata.name"
            || (path == "metadata.namespace" && self.namespaced)
            || self.selectable_fields.iter().any(|known| known == path)
    }

    /// What a field selector compares: the value at a selectable path as text, empty if absent.
    pub fn selectable(&self, object: &Value, path: &str) -> String {
        if self.schema.is_none()
            && let Some(text) = builtin::selectable(self, object, path)
        {
            return text;
        }
        let found = path
            .split('.')
            .try_fold(object, |value, field| value.get(field));
        match found {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(flag)) => flag.to_string(),
            _ => String::new(),
        }
    }
}

/// All kinds by group and plural, each in one or several versions. A new value replaces the old
/// one when a definition changes.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    /// Versions of one resource, the preferred one first.
    by_resource: BTreeMap<(String, String), Vec<Arc<Kind>>>,
}

impl Kinds {
    /// Adds a kind, or replaces that of the same group, plural and version.
    pub fn insert(&mut self, kind: Kind) {
        self.insert_shared(Arc::new(kind));
    }

    /// Adds a kind that others hold too, or replaces that of the same group, plural and version.
    pub fn insert_shared(&mut self, kind: Arc<Kind>) {
        let key = (kind.group.clone(), kind.plural.clone());
        let versions = self.by_resource.entry(key).or_default();
        versions.retain(|known| known.version != kind.version);
        versions.push(kind);
        versions.sort_by(|left, right| by_priority(&left.version, &right.version));
    }

    /// Removes a kind in all its versions, and gives the preferred one.
    pub fn remove(&mut self, group: &str, plural: &str) -> Option<Arc<Kind>> {
        self.by_resource
            .remove(&(group.to_owned(), plural.to_owned()))
            .and_then(|versions| versions.into_iter().next())
    }

    /// The kind of a resource, in its preferred version.
    pub fn resource(&self, group: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.versions(group, plural).first()
    }

    /// All versions of a resource, the preferred one first.
    pub fn versions(&self, group: &str, plural: &str) -> &[Arc<Kind>] {
        self.by_resource
            .get(&(group.to_owned(), plural.to_owned()))
            .map_or(&[], Vec::as_slice)
    }

    /// The kind of a resource in one version, as paths name it.
    pub fn version(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.versions(group, plural)
            .iter()
            .find(|kind| kind.version == version)
    }

    /// The kind that an object names.
    pub fn named(&self, api_version: &str, kind: &str) -> Option<&Arc<Kind>> {
        self.iter()
            .find(|known| known.kind == kind && known.api_version() == api_version)
    }

    /// Every kind, by group and plural, in every version.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.by_resource.values().flatten()
    }
}

/// Which of two versions clients should prefer: `v2` before `v1` before `v1beta1` before
/// `v1alpha1` before anything that is no version by name.
pub fn by_priority(left: &str, right: &str) -> Ordering {
    match (version_rank(left), version_rank(right)) {
        (Some(left), Some(right)) => right.cmp(&left),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

/// Stability, major and minor number of a version such as `v1beta2`.
fn version_rank(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    for (stage, marker) in [(1_u8, "beta"), (0, "alpha")] {
        if let Some((major, minor)) = rest.split_once(marker) {
            return Some((stage, major.parse().ok()?, minor.parse().ok()?));
        }
    }
    Some((2, rest.parse().ok()?, 0))
}
