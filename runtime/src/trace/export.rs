//! From spans that have ended to a collector: a bounded queue, and one task that empties it.
//!
//! Nothing here makes a service wait. What the queue has no room for is dropped and counted, and
//! so is what the collector does not take. At the end of the process what is queued is sent within
//! a time limit.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, SdkTracerProvider, Span, SpanData, SpanExporter as _,
    SpanProcessor,
};
use prometheus::{IntCounterVec, Opts};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::{TARGET, TraceArgs};

/// Spans that wait to be sent; more are dropped.
pub(super) const QUEUE: usize = 4096;

/// Most spans of one message.
const BATCH: usize = 512;

/// Longest time that a span waits for others.
const DELAY: Duration = Duration::from_secs(1);

/// Longest time for one message.
const SEND: Duration = Duration::from_secs(10);

/// Longest time for what is queued at the end of the process.
pub(super) const FLUSH: Duration = Duration::from_secs(3);

/// What became of spans, by `outcome`.
static COUNTS: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    let help = "Spans of traces: sent, dropped because too many waited, failed to be sent";
    let options = Opts::new("muster_trace_spans_total", help);
    IntCounterVec::new(options, &["outcome"]).ok()
});

/// The counters, for the registry of a process.
pub fn counts() -> Option<&'static IntCounterVec> {
    COUNTS.as_ref()
}

fn count(outcome: &str, spans: usize) {
    if let Some(counts) = counts() {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        counts.with_label_values(&[outcome]).inc_by(spans);
    }
}

/// Sends spans to a collector.
#[derive(Debug)]
pub struct Exporter {
    spans: mpsc::Receiver<SpanData>,
    args: TraceArgs,
    resource: Resource,
}

/// The way of spans out of the process: the layer that makes them, and who sends them. None if the
/// arguments name no collector.
pub fn pipeline<S>(
    name: &'static str,
    args: &TraceArgs,
) -> Option<(impl Layer<S> + Send + Sync + use<S>, Exporter)>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    args.otlp_endpoint.0.as_ref()?;
    let (sender, spans) = mpsc::channel(QUEUE);
    let resource = resource(name, args);
    // The sampler is as the environment says.
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_span_processor(Queue(sender))
        .build();
    let is_ours = FilterFn::new(|metadata| metadata.is_span() && metadata.target() == TARGET);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("muster"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_filter(is_ours.with_max_level_hint(LevelFilter::INFO));
    let exporter = Exporter {
        spans,
        args: args.clone(),
        resource,
    };
    Some((layer, exporter))
}

/// Who made the spans. `OTEL_RESOURCE_ATTRIBUTES` adds to it and wins, the names of Kubernetes
/// among it.
fn resource(name: &'static str, args: &TraceArgs) -> Resource {
    // No other process has this number.
    let instance = RandomIdGenerator::default().new_trace_id().to_string();
    let resource = Resource::builder_empty()
        .with_service_name(name)
        .with_attributes([
            KeyValue::new("service.namespace", "muster"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
        ])
        .with_detector(Box::new(EnvResourceDetector::new()));
    match &args.otel_service_name {
        Some(name) => resource.with_service_name(name.clone()).build(),
        None => resource.build(),
    }
}

/// Where spans go when they end.
#[derive(Debug)]
struct Queue(mpsc::Sender<SpanData>);

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.0.try_send(span).is_err() {
            count("dropped", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("read the CA certificates of the collector from {0}")]
    Certificate(String, #[source] std::io::Error),
    #[error("use the address of the collector")]
    Build(#[from] opentelemetry_otlp::ExporterBuildError),
}

impl Exporter {
    /// Runs `work`, and sends spans meanwhile and for a moment after it.
    pub async fn during<T>(self, work: impl Future<Output = T>) -> T {
        let stop = CancellationToken::new();
        let sending = tokio::spawn(self.run(stop.clone()));
        let result = work.await;
        stop.cancel();
        if tokio::time::timeout(FLUSH, sending).await.is_err() {
            tracing::warn!("Ended with traces that were not sent");
        }
        result
    }

    async fn run(mut self, stop: CancellationToken) {
        let exporter = match self.open() {
            Ok(exporter) => exporter,
            Err(error) => {
                let error = crate::service::chain(&error);
                tracing::error!(error, "Traces cannot be sent");
                return;
            }
        };
        let mut was_taken = true;
        loop {
            let batch = self.next(&stop).await;
            let count_of = batch.len();
            if batch.is_empty() {
                if stop.is_cancelled() {
                    return;
                }
                continue;
            }
            let sent = tokio::time::timeout(SEND, exporter.export(batch)).await;
            let is_taken = matches!(sent, Ok(Ok(())));
            count(if is_taken { "sent" } else { "failed" }, count_of);
            if was_taken && !is_taken {
                let error = match sent {
                    Ok(result) => result.err().map(|error| error.to_string()),
                    Err(_) => None,
                };
                let error = error.unwrap_or_else(|| "no answer in time".to_owned());
                tracing::warn!(error, "Collector did not take traces");
            }
            was_taken = is_taken;
        }
    }

    /// The spans of the next message: as many as fit into it, or as come within the delay.
    async fn next(&mut self, stop: &CancellationToken) -> Vec<SpanData> {
        let mut batch = Vec::new();
        let gather = async {
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                if self.spans.recv_many(&mut batch, room).await == 0 {
                    // Nobody can make spans any more.
                    stop.cancelled().await;
                }
            }
        };
        tokio::select! {
            // At the end what is there goes out, and nothing is waited for.
            biased;
            () = gather => {}
            () = stop.cancelled() => {}
            () = tokio::time::sleep(DELAY) => {}
        }
        batch
    }

    /// Opens nothing yet: the connection is made with the first message, and anew when it is lost.
    fn open(&self) -> Result<SpanExporter, Error> {
        let endpoint = self.args.otlp_endpoint.0.as_ref();
        let endpoint = endpoint.map(ToString::to_string).unwrap_or_default();
        let mut builder = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(SEND);
        if let Some(file) = &self.args.otlp_certificate {
            builder = builder.with_tls_config(trusting(file)?);
        }
        let mut exporter = builder.build()?;
        exporter.set_resource(&self.resource);
        Ok(exporter)
    }
}

fn trusting(file: &Path) -> Result<ClientTlsConfig, Error> {
    let pem = std::fs::read(file)
        .map_err(|source| Error::Certificate(file.display().to_string(), source))?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}
