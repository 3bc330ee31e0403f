//! Paths that are no resources: health, version, discovery, OpenAPI.

use http::Method;
use http::header::ACCEPT;
use hyper::body::Bytes;

use super::answer::to_json;
use super::call::{Answer, Call};
use super::{Api, no_page};
use crate::objects::Objects as _;
use crate::present::{discovery, openapi};
use crate::status::Status;

/// Type of what is plain text.
const TEXT: &str = "text/plain; charset=utf-8";

impl Api {
    /// Answers a request on a path that is no resource.
    pub(super) fn plain(&self, call: &Call) -> Result<Answer, Status> {
        if call.method != Method::GET && call.method != Method::HEAD {
            return Err(Status::method_not_allowed());
        }
        let kinds = self.kinds();
        let accept = call.header(ACCEPT);
        let aggregated = discovery::wants_aggregated(accept);
        let path = call.path.trim_end_matches('/');
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let found = match parts.as_slice() {
            [] => Some(discovery::paths(&kinds)),
            ["livez", ..] => return Ok(healthy()),
            [check @ ("healthz" | "readyz"), ..] => {
                return Ok(match self.store.failure() {
                    None => healthy(),
                    Some(reason) => unhealthy(check, &reason),
                });
            }
            ["version"] => Some(discovery::version()),
            ["api"] if aggregated => {
                return Ok(aggregate(&discovery::aggregated_core(&kinds)));
            }
            ["apis"] if aggregated => {
                return Ok(aggregate(&discovery::aggregated_groups(&kinds)));
            }
            ["api"] => Some(discovery::core_versions(call.header(http::header::HOST))),
            ["apis"] => Some(discovery::groups(&kinds)),
            ["apis", group] => discovery::group(&kinds, group),
            ["api", version] => discovery::resources(&kinds, "", version),
            ["apis", group, version] => discovery::resources(&kinds, group, version),
            ["openapi", "v3"] => {
                // JSON, whatever a real API server says of it.
                return Ok(Answer::Text {
                    code: 200,
                    content_type: TEXT,
                    text: to_json(&openapi::index(&kinds)),
                });
            }
            ["openapi", "v3", document @ ..] => openapi::document(&kinds, &document.join("/")),
            [".well-known", "openid-configuration"] => {
                let host = call.header(http::header::HOST);
                let keys = format!("https://{host}/openid/v1/jwks");
                Some(self.access.openid_configuration(&keys))
            }
            ["openid", "v1", "jwks"] => Some(self.access.openid_keys()),
            _ => None,
        };
        match (found, parts.as_slice()) {
            (Some(value), _) => Ok(Answer::ok(value)),
            (None, ["api", ..]) => Err(Status::no_such_path()),
            (None, _) => Ok(no_page()),
        }
    }
}

/// What a disk that failed means for everybody who waits for this server.
fn unhealthy(check: &str, reason: &str) -> Answer {
    let text = format!("[+]ping ok\n[-]store failed: {reason}\n{check} check failed\n");
    Answer::Text {
        code: 500,
        content_type: TEXT,
        text: Bytes::from(text),
    }
}

fn healthy() -> Answer {
    Answer::Text {
        code: 200,
        content_type: TEXT,
        text: Bytes::from_static(b"ok"),
    }
}

fn aggregate(document: &serde_json::Value) -> Answer {
    Answer::Text {
        code: 200,
        content_type: discovery::AGGREGATED,
        text: to_json(document),
    }
}
