//! Distributed traces: what one player's wish does in every service that it passes.
//!
//! A service makes spans by [`span!`](crate::span), and they cost next to nothing while nobody asks
//! for them. Who calls writes its context into the call ([`inject`], [`current`]), and who is called
//! continues it ([`ServerSpans`], [`continue_from`]); both as W3C Trace Context has it. Spans go
//! through a bounded queue to a collector, see [`Exporter`].
//!
//! Spans name objects, operations and outcomes. What must not be in one: tokens and keys, addresses
//! of players, mail addresses.

#[cfg(feature = "collector")]
pub mod collector;
mod export;
mod serve;
#[cfg(test)]
#[cfg(feature = "collector")]
mod tests;

use std::path::PathBuf;
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

pub use export::{Exporter, counts, pipeline};
pub use serve::ServerSpans;

/// The target of every span that is for traces: these spans are no part of the log, and spans of
/// libraries are no part of traces.
pub const TARGET: &str = "trace";

/// The header and the key of a context.
const TRACEPARENT: &str = "traceparent";

/// Bytes of a context in the only version that there is.
const CONTEXT_LENGTH: usize = 55;

/// Makes a span for traces: a name and fields, as `tracing::info_span!` takes them.
///
/// `otel.name` and `otel.kind` are its name and kind where they are not those of the code.
#[macro_export]
macro_rules! span {
    (parent: $parent:expr, $($rest:tt)*) => {
        ::tracing::info_span!(target: $crate::trace::TARGET, parent: $parent, $($rest)*)
    };
    ($($rest:tt)*) => {
        ::tracing::info_span!(target: $crate::trace::TARGET, $($rest)*)
    };
}

/// Arguments about traces; flatten them into a service's own.
///
/// The sampler is as `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` say; without them every
/// trace is taken that does not come with another decision.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TraceArgs {
    /// Where traces go: a collector of OpenTelemetry by gRPC, such as `http://collector:4317`.
    /// Empty: there are none.
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        default_value = "",
        value_name = "URL"
    )]
    pub otlp_endpoint: Endpoint,

    /// File with the CA certificates of a collector that is reached by https.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_CERTIFICATE", value_name = "FILE")]
    pub otlp_certificate: Option<PathBuf>,

    /// Name of this service in traces.
    #[arg(long, env = "OTEL_SERVICE_NAME", value_name = "NAME")]
    pub otel_service_name: Option<String>,
}

/// Where traces go, if anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint(Option<Uri>);

/// What is no address of a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a URL such as http://collector:4317")]
pub struct NoEndpoint;

impl FromStr for Endpoint {
    type Err = NoEndpoint;

    fn from_str(text: &str) -> Result<Self, NoEndpoint> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let uri: Uri = text.parse().map_err(|_| NoEndpoint)?;
        let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
        if is_known && uri.host().is_some() {
            Ok(Self(Some(uri)))
        } else {
            Err(NoEndpoint)
        }
    }
}

/// Whether anybody asks for spans, for what must be found out before one is made.
pub fn is_on() -> bool {
    tracing::span_enabled!(target: TARGET, tracing::Level::INFO)
}

/// Writes the context of the current span into the head of a call; nothing if it is not traced.
pub fn inject(headers: &mut HeaderMap) {
    let context = Span::current().context();
    TraceContextPropagator::new().inject_context(&context, &mut Head(headers));
}

/// The context of the current span as one line (`traceparent` of W3C Trace Context), for what
/// carries no headers; none if it is not traced.
pub fn current() -> Option<String> {
    let mut headers = HeaderMap::new();
    inject(&mut headers);
    let value = headers.remove(TRACEPARENT)?;
    value.to_str().ok().map(ToOwned::to_owned)
}

/// Makes a span that has not begun a part of the trace which the head of a call names, if it names
/// one.
pub fn adopt(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() {
        return;
    }
    let parent = TraceContextPropagator::new().extract(&Head(headers));
    if parent.span().span_context().is_valid() {
        // The span is enabled and new, so that nothing can be wrong with it.
        span.set_parent(parent).ok();
    }
}

/// [`adopt`] for a context that [`current`] has written.
pub fn continue_from(span: &Span, traceparent: &str) {
    if !span.is_disabled()
        && let Some(headers) = head(traceparent)
    {
        adopt(span, &headers);
    }
}

/// The context in the head of a call, for what goes on after its span has ended; none if there is
/// none that can be used.
pub fn carried(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let context = TraceContextPropagator::new().extract(&Head(headers));
    let is_one = text.len() == CONTEXT_LENGTH && context.span().span_context().is_valid();
    is_one.then(|| text.to_owned())
}

/// A text of somebody else's as a context, for what passes it on; none if it is none.
pub fn parse(text: &str) -> Option<String> {
    carried(&head(text)?)
}

fn head(traceparent: &str) -> Option<HeaderMap> {
    let value = HeaderValue::from_str(traceparent).ok()?;
    Some(HeaderMap::from_iter([(
        HeaderName::from_static(TRACEPARENT),
        value,
    )]))
}

/// A span for a call of a gRPC service. Its context goes with the call by [`inject`].
pub fn client(service: &'static str, method: &'static str) -> Span {
    crate::span!(
        "call",
        otel.name = format_args!("{service}/{method}"),
        otel.kind = "client",
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
    )
}

/// The head of a call, as the propagator reads and writes it.
struct Head<Map>(Map);

impl Injector for Head<&mut HeaderMap> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::try_from(key);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

impl Extractor for Head<&HeaderMap> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
