//! The verbs get and list.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Api;
use super::call::{Answer, Page};
use super::catalog::Served;
use super::fields::Fields;
use super::labels::Labels;
use super::params::{ListOptions, VersionMatch};
use super::request::Request;
use crate::kinds::Kind;
use crate::object::Object;
use crate::status::{Cause, Details, Status};
use crate::store::Query;

const INCONSISTENT: &str = "The provided continue parameter is too old to display a consistent \
    list result. You can start a new list without the continue parameter, or use the continue \
    token in this response to retrieve the remainder of the results. Continuing with the provided \
    token results in an inconsistent list - objects that were created, modified, or deleted \
    between the time the first chunk was returned and now may show up in the list.";

/// Which objects of a kind are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    labels: Labels,
    pub(crate) fields: Fields,
}

impl Selection {
    /// Reads both selectors.
    pub(crate) fn parse(served: &Served, options: &ListOptions) -> Result<Self, Status> {
        Ok(Self {
            labels: Labels::parse(&options.labels)?,
            fields: Fields::parse(&served.kind, &options.fields)?,
        })
    }

    /// Whether everything is wanted.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object is wanted.
    pub(crate) fn matches(&self, kind: &Kind, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(kind, object)
    }
}

/// What is behind a continue token.
#[derive(Debug)]
struct Token {
    /// Version of the list; -1 to go on with what is there now.
    version: i64,
    /// Key of the last object of the page before, within the namespace that is listed.
    after: String,
}

impl Token {
    fn encode(&self) -> String {
        let json = json!({
            "v": "meta.k8s.io/v1",
            "rv": self.version,
            "start": format!("{}\0", self.after),
        });
        URL_SAFE_NO_PAD.encode(json.to_string())
    }

    fn decode(text: &str) -> Result<Self, Status> {
        let invalid = |why: &str| {
            Status::bad_request(format!(
                "invalid continue token: continue key is not valid: {why}"
            ))
        };
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|error| invalid(&error.to_string()))?;
        let token: Value = super::body::json(&bytes).map_err(|error| invalid(&error))?;
        match token.get("v").and_then(Value::as_str) {
            Some("meta.k8s.io/v1") => {}
            other => {
                return Err(invalid(&format!(
                    "server does not recognize this encoded version {}",
                    other.unwrap_or_default()
                )));
            }
        }
        let version = token.get("rv").and_then(Value::as_i64).unwrap_or_default();
        if version == 0 {
            return Err(invalid(
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ));
        }
        let start = token
            .get("start")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if start.is_empty() {
            return Err(invalid("encoded start key empty (version meta.k8s.io/v1)"));
        }
        Ok(Self {
            version,
            after: start.trim_end_matches('\0').to_owned(),
        })
    }
}

impl Api {
    /// `GET` of an object.
    pub(super) async fn get(&self, request: &Request<'_>) -> Result<Answer, Status> {
        let Request { call, served, .. } = request;
        let version = call.params.get("resourceVersion").unwrap_or_default();
        if let Some(version) =
            parse_version(version).map_err(|error| Status::new(500, "", error))?
        {
            self.reach(version).await?;
        }
        let kind = &served.kind;
        let key = served.key(request.namespace(), request.name());
        let object = self
            .store
            .get(&served.resource, &key)
            .ok_or_else(|| Status::not_found(&kind.group, &kind.plural, request.name()))?;
        Ok(request.object(200, served.show(&object)))
    }

    /// `GET` of a collection.
    pub(super) async fn list(
        &self,
        request: &Request<'_>,
        options: &ListOptions,
    ) -> Result<Answer, Status> {
        let served = request.served;
        let selection = Selection::parse(served, options)?;
        let version = parse_version(&options.version)
            .map_err(|error| Status::bad_request(format!("invalid resource version: {error}")))?;
        if let Some(version) = version {
            self.reach(version).await?;
        }
        let token = options
            .continue_token
            .as_deref()
            .map(Token::decode)
            .transpose()?;
        if token.is_some() && version.is_some_and(|version| version > 0) {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let exact = options.version_match == Some(VersionMatch::Exact)
            || (options.version_match.is_none() && options.limit.is_some());
        let at = match &token {
            Some(token) => u64::try_from(token.version).ok(),
            None => version.filter(|version| exact && *version > 0),
        };
        // Version 0 means any state that is at hand, which is never cut into pages.
        let limit = options.limit.filter(|_| version != Some(0));
        let namespace = request.namespace();
        let prefix = if namespace.is_empty() {
            String::new()
        } else {
            format!("{namespace}/")
        };
        let after = token
            .as_ref()
            .map(|token| format!("{prefix}{}", token.after));
        let listed = self.store.list(&Query {
            resource: &served.resource,
            namespace: (!namespace.is_empty()).then_some(namespace),
            at,
            after: after.as_deref(),
        });
        let listed = match (listed, &token) {
            (Ok(listed), _) => listed,
            (Err(_), Some(token)) => return Ok(expired(token)),
            (Err(_), None) => {
                return Err(Status::expired(
                    "The resourceVersion for the provided list is too old.",
                ));
            }
        };
        let everything = selection.is_empty();
        let total = listed.objects.len();
        let mut objects = Vec::new();
        let mut next = None;
        let mut remaining = None;
        let mut last = None;
        for (index, (key, object)) in listed.objects.iter().enumerate() {
            let mut shown = served.show(object);
            if !everything {
                shown = Object::opened(&shown);
                if !selection.matches(&served.kind, shown.value()) {
                    continue;
                }
            }
            if limit == Some(objects.len()) {
                next = last.map(|after: &Arc<str>| {
                    Token {
                        version: i64::try_from(listed.revision).unwrap_or(i64::MAX),
                        after: after.strip_prefix(&prefix).unwrap_or(after).to_owned(),
                    }
                    .encode()
                });
                // With selectors nobody knows how many of the rest match.
                remaining = everything.then_some(total - index);
                break;
            }
            objects.push(shown);
            last = Some(key);
        }
        Ok(Answer::List(Page {
            served: Arc::clone(served),
            objects,
            revision: listed.revision,
            next,
            remaining,
        }))
    }

    /// Waits a little for a version that is not reached yet.
    pub(super) async fn reach(&self, version: u64) -> Result<(), Status> {
        if self.store.revision() >= version {
            return Ok(());
        }
        tokio::time::sleep(TOO_LARGE_WAIT).await;
        let current = self.store.revision();
        if current >= version {
            return Ok(());
        }
        Err(too_large(version, current))
    }
}

/// How long a request waits for a version that is not reached yet.
const TOO_LARGE_WAIT: std::time::Duration = std::time::Duration::from_secs(3);

fn too_large(version: u64, current: u64) -> Status {
    let mut status = Status::new(
        504,
        "Timeout",
        format!("Timeout: Too large resource version: {version}, current: {current}"),
    );
    status.details = Some(Box::new(Details {
        retry_after_seconds: 1,
        causes: vec![Cause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".to_owned(),
            field: String::new(),
        }],
        ..Details::default()
    }));
    status
}

/// 410 with a token that goes on without consistency.
fn expired(token: &Token) -> Answer {
    let mut status = Status::expired(INCONSISTENT).to_value();
    let token = Token {
        version: -1,
        after: token.after.clone(),
    };
    status["metadata"]["continue"] = token.encode().into();
    Answer::Value {
        code: 410,
        value: status,
    }
}

/// Reads a version; none if it is empty.
pub(super) fn parse_version(text: &str) -> Result<Option<u64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: \
             invalid syntax"
        )
    })
}

/// One object by name, for code that has no request.
impl Api {
    pub(crate) fn find(&self, served: &Served, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let object = self
            .store
            .get(&served.resource, &served.key(namespace, name))?;
        Some(served.show(&object))
    }
}
