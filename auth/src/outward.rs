//! Calls to services of others over HTTP: a time limit, a bound on what comes back, no redirects.
//!
//! An address may hold a credential, so that no error shows one.

use std::time::Duration;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There was none within the limit.
    #[error("not in time")]
    Late,
    /// The connection could not be made, or broke.
    #[error("no connection: {0}")]
    Connection(String),
    /// The answer is longer than was agreed.
    #[error("the answer is too long")]
    TooLong,
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Late
        } else {
            // Its own text is only "error sending request".
            Self::Connection(runtime::service::chain(&error.without_url()))
        }
    }
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: http::StatusCode,
    /// What stands before the body.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// A client for one service.
#[derive(Clone, Debug)]
pub struct Outward {
    client: reqwest::Client,
}

impl Outward {
    /// A client whose connections stand within `connect`, and whose calls end within `timeout`,
    /// bodies included.
    pub fn new(connect: Duration, timeout: Duration) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(connect)
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("muster-auth/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client })
    }

    /// For building requests.
    pub const fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Sends a request; reads at most `max_bytes` of the answer.
    pub async fn send(
        &self,
        request: reqwest::RequestBuilder,
        max_bytes: usize,
    ) -> Result<Answer, Error> {
        let mut response = request.send().await?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > max_bytes {
                return Err(Error::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }
}

/// A request with a form as its body.
pub fn with_form(
    request: reqwest::RequestBuilder,
    fields: &[(&str, &str)],
) -> reqwest::RequestBuilder {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    request
        .header(
            http::header::CONTENT_TYPE,
            "application/x-www-form-urlencoded",
        )
        .body(form)
}
