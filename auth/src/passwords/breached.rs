//! Whether a password is known from a breach, asked without telling it.
//!
//! The range protocol: the first five digits of the password's SHA-1 go out, the rest of every hash
//! that begins so comes back, and the comparison is made here. SHA-1 is what the lists are made of;
//! nothing is protected by it.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest;
use url::Url;

use super::Password;
use crate::outward::{self, Outward};

/// The most bytes of an answer; with padding a real one has 60 KiB.
const MAX_ANSWER_BYTES: usize = 512 * 1024;

/// Nobody could say whether a password is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list of breached passwords does not answer: {0}")]
pub struct Error(pub String);

impl From<outward::Error> for Error {
    fn from(error: outward::Error) -> Self {
        Self(error.to_string())
    }
}

/// A list of breached passwords.
#[async_trait]
pub trait Breached: std::fmt::Debug + Send + Sync {
    /// How often the password was seen in breaches.
    async fn times_seen(&self, password: &Password) -> Result<u64, Error>;
}

/// No list: nothing is known.
#[derive(Clone, Copy, Debug)]
pub struct Unlisted;

#[async_trait]
impl Breached for Unlisted {
    async fn times_seen(&self, _: &Password) -> Result<u64, Error> {
        Ok(0)
    }
}

/// A list behind the range protocol.
#[derive(Clone, Debug)]
pub struct Ranges {
    base: Url,
    outward: Outward,
}

impl Ranges {
    /// The list under this address (`https://api.pwnedpasswords.com/range/`), which must answer
    /// within `timeout`.
    pub fn new(base: Url, timeout: Duration) -> Result<Self, outward::Error> {
        Ok(Self {
            base,
            outward: Outward::new(timeout, timeout)?,
        })
    }
}

#[async_trait]
impl Breached for Ranges {
    async fn times_seen(&self, password: &Password) -> Result<u64, Error> {
        let hash = sha1(password.expose());
        let (prefix, rest) = hash.split_at(5);
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Error("its address takes no path".to_owned()))?
            .pop_if_empty()
            .push(prefix);
        // Padding hides the number of hashes in a range, which tells the range, from onlookers.
        let request = self.outward.client().get(url).header("Add-Padding", "true");
        let answer = self.outward.send(request, MAX_ANSWER_BYTES).await?;
        if !answer.status.is_success() {
            return Err(Error(format!("it answers {}", answer.status)));
        }
        let text = std::str::from_utf8(&answer.body)
            .map_err(|_| Error("its answer is no text".to_owned()))?;
        find(text, rest).ok_or_else(|| Error("its answer is no range".to_owned()))
    }
}

/// The number beside a hash's rest; 0 when it is not there, none when the text is no range.
fn find(text: &str, rest: &str) -> Option<u64> {
    let mut seen = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (hash, count) = line.trim().split_once(':')?;
        let count: u64 = count.parse().ok()?;
        if hash.eq_ignore_ascii_case(rest) {
            seen = count;
        }
    }
    Some(seen)
}

fn sha1(text: &str) -> String {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    hash.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02X}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::Path;
    use axum::http::{HeaderMap, StatusCode};
    use axum::response::{IntoResponse as _, Response};
    use axum::routing::get;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    /// Answers as the public list does: by the prefix.
    async fn range(Path(prefix): Path<String>, headers: HeaderMap) -> Response {
        assert_eq!(headers["add-padding"], "true");
        match prefix.as_str() {
            // "password"
            "5BAA6" => "1D72CD07550416C216D8AD296BF5C0AE8E0:10\r\n\
                1E4C9B93F3F0682250B6CF8331B7EE68FD8:52256179\r\n\
                0123456789ABCDEF0123456789ABCDEF012:0\r\n"
                .into_response(),
            // "glimmer-otter-47": only padding stands beside it.
            "OTTER" => format!("{}:0\r\n", &sha1("glimmer-otter-47")[5..]).into_response(),
            // "busy"
            "BUSYX" => (StatusCode::TOO_MANY_REQUESTS, "").into_response(),
            "HANGS" => std::future::pending().await,
            "HUGEX" => "A".repeat(MAX_ANSWER_BYTES + 1).into_response(),
            "HTMLX" => "<html>Sign in to the network</html>".into_response(),
            "MOVED" => axum::response::Redirect::to("/range/5BAA6").into_response(),
            _ => "".into_response(),
        }
    }

    /// The list, where the prefix of a password is served under another name.
    async fn ranges(password: &'static str, prefix: &'static str, limit: Duration) -> Ranges {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/range/", listener.local_addr().unwrap());
        let router = Router::new().route(
            "/range/{prefix}",
            get(
                move |Path(path): Path<String>, headers: HeaderMap| async move {
                    let known = path == sha1(password)[..5];
                    let path = if known { prefix.to_owned() } else { path };
                    range(Path(path), headers).await
                },
            ),
        );
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ranges::new(base.parse().unwrap(), limit).unwrap()
    }

    #[tokio::test]
    async fn known_passwords_are_found_by_their_range() {
        let list = ranges("glimmer-otter-47", "OTTER", LONG).await;
        for (text, expected) in [
            ("password", 52_256_179),
            ("glimmer-otter-47", 0),
            ("other", 0),
        ] {
            let password = Password::new(text).unwrap();
            assert_eq!(list.times_seen(&password).await, Ok(expected), "{text}");
        }
    }

    #[tokio::test]
    async fn a_list_that_does_not_answer_is_an_error_in_time() {
        for (prefix, expected) in [
            ("BUSYX", "it answers 429"),
            ("HANGS", "not in time"),
            ("HUGEX", "too long"),
            ("HTMLX", "its answer is no range"),
            ("MOVED", "it answers 303"),
        ] {
            let limit = if prefix == "HANGS" {
                Duration::from_millis(50)
            } else {
                LONG
            };
            let list = ranges("some password", prefix, limit).await;
            let error = list
                .times_seen(&Password::new("some password").unwrap())
                .await
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{prefix}: {error}");
            assert!(!error.contains("127.0.0.1"), "{error}");
        }
    }
}
