//! A collector in the process, for tests: takes spans by OTLP over gRPC, and shows them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
pub use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};

use super::{Endpoint, TraceArgs};
use crate::serve::{Count, Server};

/// A collector, until it is dropped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    received: Received,
    _stop: DropGuard,
}

#[derive(Clone, Debug, Default)]
struct Received(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[derive(Clone, Copy, Debug)]
struct Uncounted;

impl Count for Uncounted {
    type Open = ();

    fn connected(&self) {}

    fn refused(&self) {}
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        received.push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens on a port of the loopback interface.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let received = Received::default();
        let service = TraceServiceServer::new(received.clone());
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/{*method}";
        let stop = CancellationToken::new();
        let server = Server {
            router: Router::new().route_service(path, service),
            tls: None,
            connections: 16,
            timeout: Duration::from_secs(10),
            count: Uncounted,
        };
        tokio::spawn(server.serve(listener, stop.clone()));
        Ok(Self {
            address,
            received,
            _stop: stop.drop_guard(),
        })
    }

    /// The arguments of a service that sends its traces here.
    pub fn args(&self) -> TraceArgs {
        let uri = format!("http://{}", self.address);
        TraceArgs {
            otlp_endpoint: uri.parse().unwrap_or(Endpoint(None)),
            ..TraceArgs::default()
        }
    }

    /// Every span that came, in the order in which they ended.
    pub fn spans(&self) -> Vec<Span> {
        let messages = self.messages();
        let resources = messages
            .into_iter()
            .flat_map(|message| message.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The only span of this name, if there is exactly one.
    pub fn span(&self, name: &str) -> Option<Span> {
        let mut named = self.spans().into_iter().filter(|span| span.name == name);
        let first = named.next();
        first.filter(|_| named.next().is_none())
    }

    /// What the senders say of themselves, once per message.
    pub fn resources(&self) -> Vec<Vec<KeyValue>> {
        let messages = self.messages();
        let resources = messages
            .into_iter()
            .flat_map(|message| message.resource_spans);
        let resources = resources.filter_map(|spans| spans.resource);
        resources.map(|resource| resource.attributes).collect()
    }

    /// Everything that came, as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let messages = self.messages();
        let encoded = messages
            .iter()
            .flat_map(ExportTraceServiceRequest::encode_to_vec);
        encoded.collect()
    }

    fn messages(&self) -> Vec<ExportTraceServiceRequest> {
        let received = self.received.0.lock();
        received.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The value of an attribute, as text; empty without it.
pub fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is_so)) => is_so.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}
