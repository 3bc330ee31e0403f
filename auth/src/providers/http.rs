//! Asking a provider over HTTP, with a limit on everything that it decides.
//!
//! Redirects are not followed: a provider's endpoints are where its documents say, and a redirect
//! would carry our secret elsewhere. Errors never hold an address with its query, a header or a
//! body, because those hold secrets.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::Error;
use crate::outward::{self, Outward, with_form};

/// What a provider may cost at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until the last byte of an answer.
    pub answer: Duration,
    /// The bytes of an answer.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            answer: Duration::from_secs(8),
            bytes: 256 * 1024,
        }
    }
}

/// The client that all providers share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    outward: Outward,
    limits: Limits,
}

/// An answer of whatever status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// How long it may be kept.
    pub(super) fresh: SignedDuration,
    is_json: bool,
    body: Vec<u8>,
}

/// A document is kept that long if its provider says nothing of it.
const DEFAULT_FRESH: SignedDuration = SignedDuration::from_hours(1);
/// And not shorter, whatever the provider says.
const LEAST_FRESH: SignedDuration = SignedDuration::from_mins(5);
/// And not longer.
const MOST_FRESH: SignedDuration = SignedDuration::from_hours(24);

impl Http {
    /// A client; fails only if the system's certificates cannot be had.
    pub fn new(limits: Limits) -> Result<Self, Error> {
        let outward = Outward::new(limits.connect, limits.answer)
            .map_err(|error| Error::Configuration(error.to_string()))?;
        Ok(Self { outward, limits })
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.outward.client().get(url)
    }

    pub(super) fn post(&self, url: Url, form: &[(&str, &str)]) -> RequestBuilder {
        with_form(self.outward.client().post(url), form)
    }

    /// Asks. Whatever is not an answer at all is [`Error::Unreachable`].
    pub(super) async fn ask(&self, request: RequestBuilder) -> Result<Answer, Error> {
        let request = request.header(ACCEPT, "application/json");
        let most = self.limits.bytes;
        let answer = match self.outward.send(request, most).await {
            Ok(answer) => answer,
            Err(outward::Error::TooLong) => {
                return Err(Error::Answer(format!("it has more than {most} bytes")));
            }
            Err(outward::Error::Late) => return Err(Error::Unreachable("timed out".to_owned())),
            Err(error) => return Err(Error::Unreachable(error.to_string())),
        };
        let status = answer.status;
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Error::Unreachable(format!("status {status}")));
        }
        if status.is_redirection() {
            return Err(Error::Answer(format!("a redirect: status {status}")));
        }
        Ok(Answer {
            status,
            fresh: freshness(&answer.headers),
            is_json: is_json(&answer.headers),
            body: answer.body,
        })
    }

    /// Gets a document that must be there.
    pub(super) async fn document<T: DeserializeOwned>(
        &self,
        url: Url,
    ) -> Result<(T, SignedDuration), Error> {
        let answer = self.ask(self.get(url)).await?;
        if answer.status != StatusCode::OK {
            return Err(Error::Answer(format!("status {}", answer.status)));
        }
        Ok((answer.json()?, answer.fresh))
    }
}

impl Answer {
    /// The body, if it says that it is JSON and is.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        if !self.is_json {
            return Err(Error::Answer(format!("status {}, not JSON", self.status)));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            // Not its text: that may quote the body.
            Error::Answer(format!(
                "JSON that is not understood: {:?} at line {}, column {}",
                error.classify(),
                error.line(),
                error.column()
            ))
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
    else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// `max-age` of `Cache-Control`, within bounds.
fn freshness(headers: &HeaderMap) -> SignedDuration {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|directive| directive.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("max-age"))
        .and_then(|(_, seconds)| seconds.trim_matches('"').parse().ok())
        .map_or(DEFAULT_FRESH, SignedDuration::from_secs)
        .clamp(LEAST_FRESH, MOST_FRESH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_is_the_providers_within_our_bounds() {
        for (header, seconds) in [
            (None, 3_600),
            (Some("public, max-age=7200, must-revalidate"), 7_200),
            (Some("Max-Age=7200"), 7_200),
            (Some("max-age=\"7200\""), 7_200),
            (Some("max-age=0"), 300),
            (Some("max-age=-5"), 300),
            (Some("max-age=99999999999"), 86_400),
            (Some("max-age=soon"), 3_600),
            (Some("no-store"), 3_600),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(CACHE_CONTROL, header.parse().unwrap());
            }
            assert_eq!(freshness(&headers).as_secs(), seconds, "{header:?}");
        }
    }

    #[test]
    fn only_what_says_that_it_is_json_is_json() {
        for (kind, is) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/jwk-set+json", true),
            ("text/html", false),
            ("text/json+html", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            assert_eq!(is_json(&headers), is, "{kind}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
