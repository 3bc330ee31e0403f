//! The description of the service, and what its answers must look like.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// An operation: the method in lower case, and the path with its parameters.
pub(crate) type Operation = (String, String);

/// The OpenAPI document.
pub(crate) struct Document(Value);

impl Document {
    pub(crate) fn new() -> Self {
        Self(serde_json::to_value(auth::http::document()).unwrap())
    }

    /// Every operation with its description.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (Operation, &Value)> {
        let paths = self.0["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap();
            methods
                .iter()
                .map(|(method, operation)| ((method.clone(), path.clone()), operation))
        })
    }

    pub(crate) fn names(&self) -> BTreeSet<Operation> {
        self.operations().map(|(name, _)| name).collect()
    }

    /// Which operation a call is; none if it is not described.
    pub(crate) fn find(&self, method: &str, path: &str) -> Option<(Operation, &Value)> {
        let path = path.split('?').next().unwrap();
        let fits = |template: &str| {
            let (ours, theirs) = (template.split('/'), path.split('/'));
            ours.clone().count() == theirs.clone().count()
                && ours
                    .zip(theirs)
                    .all(|(our, their)| our.starts_with('{') || our == their)
        };
        let mut found: Vec<_> = self
            .operations()
            .filter(|((of, template), _)| *of == method.to_lowercase() && fits(template))
            .collect();
        // What is named goes before what is a parameter.
        found.sort_by_key(|((_, template), _)| template.contains('{'));
        found.into_iter().next()
    }

    /// Fails unless an answer is as its operation says.
    pub(crate) fn check(&self, operation: &Value, status: u16, kind: Option<&str>, body: &str) {
        let class = format!("{}XX", status / 100);
        let responses = &operation["responses"];
        let response = [status.to_string(), class]
            .iter()
            .find_map(|name| responses.get(name))
            .unwrap_or_else(|| panic!("{status} is not described"));
        let Some(content) = response.get("content") else {
            assert_eq!(body, "", "{status} has no body");
            return;
        };
        let kind = kind.unwrap().split(';').next().unwrap();
        let content = &content[kind];
        assert!(content.is_object(), "{status} is not of type {kind}");
        if let Some(schema) = content.get("schema")
            && kind == "application/json"
        {
            self.fits(schema, body);
        }
    }

    /// Fails unless a body is that of a failure.
    pub(crate) fn check_failure(&self, body: &str) {
        self.fits(&json!({"$ref": "#/components/schemas/ErrorBody"}), body);
    }

    fn fits(&self, schema: &Value, body: &str) {
        let value: Value = serde_json::from_str(body).unwrap();
        let mut schema = schema.clone();
        schema["components"] = self.0["components"].clone();
        if let Err(error) = jsonschema::validate(&schema, &value) {
            panic!("{error} at {} of {body}", error.instance_path());
        }
    }
}
