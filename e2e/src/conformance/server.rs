//! An API server to ask: the same bytes go to each.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::case::PatchType;

/// Longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Time between two looks at something that is waited for.
const PERIOD: Duration = Duration::from_millis(20);

/// An API server.
#[derive(Clone)]
pub struct Server {
    /// As administrator.
    admin: Client,
    /// Without credentials.
    bare: Client,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client has no Debug.
        formatter.debug_struct("Server").finish_non_exhaustive()
    }
}

/// What to send.
#[derive(Debug, Default)]
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Option<Vec<u8>>,
    /// A bearer token; an empty one sends none. Without, the administrator asks.
    pub(super) token: Option<String>,
}

/// What came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    /// Content type, if it is not plain JSON.
    content_type: Option<String>,
    warnings: Vec<String>,
    retry_after: Option<String>,
    /// JSON, or a text if it is none.
    pub(super) body: Value,
}

impl Server {
    /// A server by its configuration: address, and credentials of an administrator.
    pub fn new(mut config: Config) -> Result<Self> {
        // A refusal is an answer, and not to be asked again.
        config.default_retry = false;
        let mut bare = config.clone();
        bare.auth_info = AuthInfo::default();
        Ok(Self {
            admin: Client::try_from(config)?,
            bare: Client::try_from(bare)?,
        })
    }

    /// The server of a kubeconfig file.
    pub async fn of_file(path: &Path) -> Result<Self> {
        let kubeconfig = Kubeconfig::read_from(path)?;
        let options = KubeConfigOptions::default();
        Self::new(Config::from_custom_kubeconfig(kubeconfig, &options).await?)
    }

    /// The server that KUBECONFIG names.
    pub async fn of_environment() -> Result<Self> {
        let config = Config::infer().await.context(
            "no cluster: set KUBECONFIG (`cargo xtask cluster up` prints the path of one)",
        )?;
        Self::new(config)
    }

    /// Asks, and returns the head of the answer and its body as a stream.
    pub(super) async fn open(&self, question: Question) -> Result<Response<Body>> {
        let Question {
            method,
            path,
            headers,
            body,
            token,
        } = question;
        let mut request = Request::builder()
            .method(method.clone())
            .uri(&path)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, "conformance");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let mut request = request.body(Body::from(body.unwrap_or_default()))?;
        for (name, value) in headers {
            let name = HeaderName::try_from(name)?;
            request
                .headers_mut()
                .insert(name, HeaderValue::try_from(value)?);
        }
        let client = match token.as_deref() {
            None => &self.admin,
            Some("") => &self.bare,
            Some(token) => {
                let value = HeaderValue::try_from(format!("Bearer {token}"))?;
                request.headers_mut().insert(AUTHORIZATION, value);
                &self.bare
            }
        };
        tokio::time::timeout(TIMEOUT, client.send(request))
            .await
            .with_context(|| format!("{method} {path}: no answer within {TIMEOUT:?}"))?
            .with_context(|| format!("{method} {path}"))
    }

    /// Asks, and returns the whole answer.
    pub(super) async fn ask(&self, question: Question) -> Result<Answer> {
        let title = format!("{} {}", question.method, question.path);
        let response = self.open(question).await?;
        Answer::read(response).await.context(title)
    }

    /// Reads.
    pub(super) async fn get(&self, path: &str) -> Result<Answer> {
        self.plain(Method::GET, path, None).await
    }

    /// Deletes.
    pub(super) async fn delete(&self, path: &str) -> Result<Answer> {
        self.plain(Method::DELETE, path, None).await
    }

    /// Creates.
    pub(super) async fn create(&self, path: &str, object: &Value) -> Result<Answer> {
        self.plain(Method::POST, path, Some(object)).await
    }

    /// Changes by a merge patch.
    pub(super) async fn merge(&self, path: &str, change: &Value) -> Result<Answer> {
        self.plain(Method::PATCH, path, Some(change)).await
    }

    async fn plain(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut headers = BTreeMap::new();
        if method == Method::PATCH {
            let merge = PatchType::Merge.content_type().to_owned();
            headers.insert(CONTENT_TYPE.to_string(), merge);
        }
        let question = Question {
            method,
            path: path.to_owned(),
            headers,
            body: body.map(|body| body.to_string().into_bytes()),
            token: None,
        };
        self.ask(question).await
    }

    /// Reads until the answer is as wanted.
    pub(super) async fn poll(
        &self,
        path: &str,
        within: Duration,
        is_wanted: impl Fn(&Answer) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + within;
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            let answer = self.get(path).await?;
            if is_wanted(&answer) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{path} is not as it should be after {within:?}: {}",
                answer.body
            );
        }
    }
}

impl Answer {
    /// Reads an answer to its end.
    pub(super) async fn read(response: Response<Body>) -> Result<Self> {
        let (head, body) = response.into_parts();
        let bytes = tokio::time::timeout(TIMEOUT, body.collect())
            .await
            .context("the body does not end")?
            .context("read the body")?
            .to_bytes();
        let text = |name: &str| {
            let value = head.headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let warnings = head.headers.get_all("warning").iter();
        let warnings = warnings.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes)));
        Ok(Self {
            code: head.status.as_u16(),
            content_type: text("content-type").filter(|value| value != "application/json"),
            warnings: warnings.collect(),
            retry_after: text("retry-after"),
            body,
        })
    }

    /// Whether it says that the request was fulfilled.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// What is compared, with `body` as the body.
    pub(super) fn record(&self, body: Value) -> Value {
        let mut record = Map::new();
        record.insert("code".to_owned(), json!(self.code));
        for (key, value) in [
            ("contentType", &self.content_type),
            ("retryAfter", &self.retry_after),
        ] {
            if let Some(value) = value {
                record.insert(key.to_owned(), json!(value));
            }
        }
        if !self.warnings.is_empty() {
            record.insert("warnings".to_owned(), json!(self.warnings));
        }
        record.insert("body".to_owned(), body);
        Value::Object(record)
    }
}
