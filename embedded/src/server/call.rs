//! One request, and what it is answered with.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use futures::{Stream as _, StreamExt as _};
use http::{HeaderMap, Method, header};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use serde_json::Value;

use super::catalog::Served;
use super::params::Params;
use crate::access::User;
use crate::object::Object;

/// A request with everything read.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) params: Params,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) user: User,
    warnings: Mutex<Vec<String>>,
}

impl Call {
    /// Takes a request apart.
    pub(crate) fn new(parts: http::request::Parts, body: Bytes, user: User) -> Self {
        Self {
            params: Params::parse(parts.uri.query().unwrap_or_default()),
            path: parts.uri.path().to_owned(),
            method: parts.method,
            headers: parts.headers,
            body,
            user,
            warnings: Mutex::default(),
        }
    }

    /// Text of a header, empty if absent.
    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Adds a warning to the answer, once.
    pub(crate) fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// The warnings so far.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who changes fields, if the request does not say: what the client calls itself.
    pub(crate) fn agent(&self) -> String {
        let name = self.header(header::USER_AGENT).split('/').next();
        name.unwrap_or_default()
            .chars()
            .filter(|character| !character.is_control())
            .take(128)
            .collect()
    }
}

/// What a request is answered with, before it is written in the form that the client wants.
pub(crate) enum Answer {
    /// An object of a kind.
    Object {
        code: u16,
        served: Arc<Served>,
        object: Arc<Object>,
    },
    /// A list of a kind.
    List(Page),
    /// Anything else that is JSON.
    Value { code: u16, value: Value },
    /// A finished text.
    Text {
        code: u16,
        content_type: &'static str,
        text: Bytes,
    },
    /// 204.
    Nothing,
    /// Bytes as they come.
    Stream {
        content_type: &'static str,
        stream: BoxStream<'static, Bytes>,
    },
}

impl Answer {
    /// 200 with a value.
    pub(crate) fn ok(value: Value) -> Self {
        Self::Value { code: 200, value }
    }
}

/// A list, or a page of one.
pub(crate) struct Page {
    pub(crate) served: Arc<Served>,
    pub(crate) objects: Vec<Arc<Object>>,
    pub(crate) revision: u64,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
    /// How many objects are on later pages, if that is known.
    pub(crate) remaining: Option<usize>,
}

/// The body of an answer.
pub enum Payload {
    /// All of it.
    Whole(Option<Bytes>),
    /// What comes, as it comes.
    Stream(BoxStream<'static, Bytes>),
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => formatter.debug_tuple("Whole").field(bytes).finish(),
            Self::Stream(_) => formatter.write_str("Stream"),
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => stream
                .poll_next_unpin(context)
                .map(|next| next.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(stream) => {
                let (lower, _) = stream.size_hint();
                let mut hint = SizeHint::new();
                hint.set_lower(u64::from(lower > 0));
                hint
            }
        }
    }
}
