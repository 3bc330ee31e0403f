//! Captchas: a hook before what programs like to do in great numbers.
//!
//! Turnstile and hCaptcha speak the same protocol. While a service that is configured does not
//! answer, what it guards is unavailable: whoever can silence it must not get past it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use url::Url;

use crate::error::{Code, Failure};
use crate::outward::{self, Outward, with_form};
use crate::secrets::Secrets;

/// The secret that the service knows us by.
pub const SECRET: &str = "captcha.secret";

/// The longest answer that a client may bring, in bytes; both services stay below.
const MAX_TOKEN_BYTES: usize = 4096;

/// The most bytes of the service's answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Something that tells people from programs.
#[async_trait]
pub trait Captcha: fmt::Debug + Send + Sync {
    /// Fails unless the answer that a client brought is good.
    async fn check(&self, answer: Option<&str>, address: IpAddr) -> Result<(), Failure>;
}

/// No captcha: everybody passes.
#[derive(Clone, Copy, Debug)]
pub struct Unasked;

#[async_trait]
impl Captcha for Unasked {
    async fn check(&self, _: Option<&str>, _: IpAddr) -> Result<(), Failure> {
        Ok(())
    }
}

/// A service that is asked by `siteverify`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `https://challenges.cloudflare.com/turnstile/v0/siteverify` or
    /// `https://api.hcaptcha.com/siteverify`.
    pub url: Url,
    /// The pages on which a captcha may have been solved; any when empty.
    pub hostnames: Vec<String>,
    /// How long one call may take.
    pub timeout: Duration,
}

/// Turnstile or hCaptcha.
#[derive(Debug)]
pub struct Siteverify {
    config: Config,
    outward: Outward,
    secrets: Arc<Secrets>,
}

/// What the service says.
#[derive(Deserialize)]
struct Answer {
    success: bool,
    hostname: Option<String>,
    #[serde(default, rename = "error-codes")]
    errors: Vec<String>,
}

impl Siteverify {
    /// A service; asks it nothing yet.
    pub fn new(config: Config, secrets: Arc<Secrets>) -> Result<Self, outward::Error> {
        Ok(Self {
            outward: Outward::new(config.timeout, config.timeout)?,
            config,
            secrets,
        })
    }

    async fn ask(&self, token: &str, address: IpAddr) -> Result<Answer, String> {
        let current = self.secrets.current();
        let secret = current
            .text(SECRET)
            .ok_or_else(|| format!("the secret {SECRET} is missing"))?;
        let address = address.to_string();
        let fields = [
            ("secret", secret),
            ("response", token),
            ("remoteip", &address),
        ];
        let request = self.outward.client().post(self.config.url.clone());
        let answer = self
            .outward
            .send(with_form(request, &fields), MAX_ANSWER_BYTES)
            .await
            .map_err(|error| error.to_string())?;
        // Turnstile refuses with 400 and says why in the same shape.
        serde_json::from_slice(&answer.body)
            .map_err(|_| format!("it answers {} without a verdict", answer.status))
    }
}

#[async_trait]
impl Captcha for Siteverify {
    async fn check(&self, answer: Option<&str>, address: IpAddr) -> Result<(), Failure> {
        let required = || Failure {
            field: Some("captcha".into()),
            ..Failure::new(Code::CaptchaRequired, "solve the captcha")
        };
        let token = answer
            .filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN_BYTES)
            .ok_or_else(required)?;
        let unavailable = |cause: &str| {
            tracing::warn!(cause, "The captcha service cannot be asked");
            Failure::unavailable(Duration::from_secs(5))
        };
        let verdict = self
            .ask(token, address)
            .await
            .map_err(|cause| unavailable(&cause))?;
        // These are ours, not the client's.
        if verdict
            .errors
            .iter()
            .any(|error| error.contains("-secret") || error == "internal-error")
        {
            return Err(unavailable(&verdict.errors.join(", ")));
        }
        let hostnames = &self.config.hostnames;
        let here = hostnames.is_empty()
            || verdict
                .hostname
                .is_some_and(|name| hostnames.contains(&name));
        if verdict.success && here {
            Ok(())
        } else {
            Err(required())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::Router;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse as _, Response};
    use axum::routing::post;
    use serde_json::json;
    use storage::secrets::Secret;

    use super::*;
    use crate::secrets::keyring::fixtures::keyring_of;
    use crate::secrets::tests::fixed;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Answers as the services do, by what the client brought.
    async fn siteverify(body: String) -> Response {
        let fields: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes())
            .into_owned()
            .collect();
        assert_eq!(fields["remoteip"], "127.0.0.1");
        if fields["secret"] != "s3cret" {
            return json(&json!({ "success": false, "error-codes": ["invalid-input-secret"] }));
        }
        match fields["response"].as_str() {
            "good" => json(&json!({
                "success": true, "hostname": "play.example.com",
                "challenge_ts": "2026-01-01T00:00:00Z", "error-codes": [],
            })),
            "elsewhere" => json(&json!({ "success": true, "hostname": "evil.example.org" })),
            "refused" => (
                StatusCode::BAD_REQUEST,
                json(&json!({ "success": false, "error-codes": ["bad-request"] })),
            )
                .into_response(),
            "broken" => json(&json!({ "success": false, "error-codes": ["internal-error"] })),
            "away" => (StatusCode::BAD_GATEWAY, "<html>").into_response(),
            "hangs" => std::future::pending().await,
            _ => json(&json!({
                "success": false, "error-codes": ["timeout-or-duplicate"],
            })),
        }
    }

    fn json(value: &serde_json::Value) -> Response {
        axum::Json(value).into_response()
    }

    async fn service(secret: &str, timeout: Duration) -> Siteverify {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/siteverify", listener.local_addr().unwrap());
        let router = Router::new().route("/siteverify", post(siteverify));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut entries = keyring_of(&[1]);
        entries.insert(SECRET.to_owned(), Secret::new(secret.into()));
        let config = Config {
            url: url.parse().unwrap(),
            hostnames: vec!["play.example.com".to_owned()],
            timeout,
        };
        Siteverify::new(config, fixed(entries)).unwrap()
    }

    async fn code(captcha: &Siteverify, answer: Option<&str>) -> Option<Code> {
        captcha
            .check(answer, HERE)
            .await
            .err()
            .map(|failure| failure.code)
    }

    #[tokio::test]
    async fn people_pass_and_programs_do_not() {
        let captcha = service("s3cret", Duration::from_mins(1)).await;
        let long = "x".repeat(MAX_TOKEN_BYTES + 1);
        for (answer, expected) in [
            (Some("good"), None),
            (None, Some(Code::CaptchaRequired)),
            (Some(""), Some(Code::CaptchaRequired)),
            (Some(long.as_str()), Some(Code::CaptchaRequired)),
            (Some("used before"), Some(Code::CaptchaRequired)),
            (Some("elsewhere"), Some(Code::CaptchaRequired)),
            (Some("refused"), Some(Code::CaptchaRequired)),
        ] {
            assert_eq!(code(&captcha, answer).await, expected, "{answer:?}");
        }
        assert_eq!(Unasked.check(None, HERE).await, Ok(()));
    }

    #[tokio::test]
    async fn a_service_that_cannot_decide_lets_nobody_pass_and_says_so() {
        let captcha = service("s3cret", Duration::from_mins(1)).await;
        for answer in ["broken", "away"] {
            assert_eq!(
                code(&captcha, Some(answer)).await,
                Some(Code::Unavailable),
                "{answer}"
            );
        }
        let hasty = service("s3cret", Duration::from_millis(50)).await;
        assert_eq!(code(&hasty, Some("hangs")).await, Some(Code::Unavailable));
        let unknown = service("wrong", Duration::from_mins(1)).await;
        assert_eq!(code(&unknown, Some("good")).await, Some(Code::Unavailable));
    }
}
