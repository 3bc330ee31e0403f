//! The structural schema of a custom resource: pruning, defaults, and validation with the words of
//! the API server.
//!
//! A [`Schema`] is compiled once for each served version of a definition. Requests go through it
//! in this order: [`metadata::read`], [`Schema::prune`], [`Schema::default`], then one of the
//! checks in [`resource`], which put metadata, schema and rules together as the API server does.
//! Nothing here writes, waits, or looks at a clock.

pub mod metadata;
pub mod names;
pub mod resource;
pub mod show;

mod cel;
mod correlate;
mod default;
mod embedded;
mod format;
mod lists;
mod node;
mod path;
mod pattern;
mod prune;
mod rules;
mod validate;

use serde_json::Value;

use self::node::Node;
use crate::status::Cause;

/// The compiled schema of one version of a custom resource.
#[derive(Debug)]
pub struct Schema {
    root: Node,
}

impl Schema {
    /// Compiles an `openAPIV3Schema`; the error names the place, as for a CEL rule that cannot be
    /// compiled.
    pub fn compile(open_api_v3_schema: &Value) -> Result<Self, String> {
        let mut root = read(open_api_v3_schema)?;
        default::prune_defaults(&mut root);
        Ok(Self { root })
    }

    /// What is wrong with the defaults of an `openAPIV3Schema`; `place` is where it stands in its
    /// definition. The error is that of [`compile`](Self::compile).
    pub fn check_defaults(open_api_v3_schema: &Value, place: &str) -> Result<Vec<Cause>, String> {
        let root = read(open_api_v3_schema)?;
        Ok(default::faults(&root, place))
    }

    /// Removes what the schema does not know, and nulls that mean nothing. Returns the paths of
    /// the unknown fields in order, such as `spec.foo`.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::prune(object, &self.root)
    }

    /// Brings the metadata of embedded objects into the form in which it is stored. Returns the
    /// paths of unknown fields; or the first thing that cannot be read.
    pub fn read_embedded(&self, object: &mut Value) -> Result<Vec<String>, Cause> {
        embedded::read(&self.root, object)
    }

    /// Fills in defaults.
    pub fn default(&self, object: &mut Value) {
        default::default(object, &self.root);
    }

    /// What is wrong with an object; `old` is the object before an update. Metadata is not looked
    /// at.
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        let causes = validate::validate(&self.root, new, old, "");
        self.validate_rest(causes, new, old)
    }

    /// What is wrong after an update of the status: of the schema, only that of the status counts.
    pub fn validate_status(&self, new: &Value, old: &Value) -> Vec<Cause> {
        self.validate_rest(self.validate_status_values(new, old), new, Some(old))
    }

    fn validate_status_values(&self, new: &Value, old: &Value) -> Vec<Cause> {
        match (new.get("status"), self.root.properties.get("status")) {
            (Some(status), Some(schema)) => {
                validate::validate(schema, status, old.get("status"), "status")
            }
            _ => Vec::new(),
        }
    }

    /// Embedded objects, lists and rules. Rules are not evaluated for objects with faults of
    /// shape: `causes` are the faults so far.
    fn validate_rest(&self, causes: Vec<Cause>, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut causes = causes;
        causes.extend(embedded::validate(&self.root, new));
        // Twins that were there before may stay.
        if old.is_none_or(|old| lists::validate(&self.root, old).is_empty()) {
            causes.extend(lists::validate(&self.root, new));
        }
        if !self.root.has_rules {
            return causes;
        }
        if causes.iter().any(is_fault_of_shape) {
            causes.push(Cause::invalid(
                "<nil>",
                "null",
                "some validation rules were not checked because the object was invalid; correct \
                 the existing errors to complete validation",
            ));
        } else {
            causes.extend(rules::validate(&self.root, new, old));
        }
        causes
    }
}

fn read(open_api_v3_schema: &Value) -> Result<Node, String> {
    let root = Node::read(open_api_v3_schema, "openAPIV3Schema")?;
    rules::check(&root, "openAPIV3Schema")?;
    Ok(root)
}

fn is_fault_of_shape(cause: &Cause) -> bool {
    matches!(
        cause.reason,
        "FieldValueNotSupported"
            | "FieldValueRequired"
            | "FieldValueTooLong"
            | "FieldValueTooMany"
            | "FieldValueTypeInvalid"
    )
}

#[cfg(test)]
mod tests;
