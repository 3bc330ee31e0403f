//! The connection to the allocator.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proto::muster::allocation::v1::allocator_client::AllocatorClient;
use proto::muster::allocation::v1::{AllocateRequest, AllocateResponse, ReleaseRequest};
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tracing::Instrument as _;

use crate::config::AllocatorConfig;

/// Time limit of one call: longer than the allocator's own, so that its answer is not missed.
const LIMIT: Duration = Duration::from_secs(20);

/// The service, by its name in traces.
const ALLOCATOR: &str = "muster.allocation.v1.Allocator";

/// Why the allocator cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint is no URL.
    #[error("use --allocator-endpoint")]
    Endpoint(#[source] tonic::transport::Error),
    /// A certificate or key could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
}

/// Calls the allocator.
#[derive(Debug)]
pub(crate) struct Allocator(Route);

/// How the allocator is reached.
#[derive(Debug)]
enum Route {
    /// As it is configured. The connection is made when it is needed, and again when it broke.
    Configured(Connection),
    /// As the process that hosts us says.
    Given(Channel),
}

/// A connection by the configuration.
#[derive(Debug)]
struct Connection {
    config: AllocatorConfig,
    /// With the files it was made from: certificates are replaced while we run.
    channel: Mutex<Option<(Files, Channel)>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Files {
    ca: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl Allocator {
    /// Checks the endpoint; files are read when they are needed.
    pub(crate) fn new(config: &AllocatorConfig) -> Result<Self, ConnectError> {
        Endpoint::from_shared(config.endpoint.clone()).map_err(ConnectError::Endpoint)?;
        Ok(Self(Route::Configured(Connection {
            config: config.clone(),
            channel: Mutex::new(None),
        })))
    }

    /// Uses a channel that exists.
    pub(crate) const fn over(channel: Channel) -> Self {
        Self(Route::Given(channel))
    }

    /// Asks for a server, or for the one that the request has already.
    pub(crate) async fn allocate(
        &self,
        request: AllocateRequest,
    ) -> Result<AllocateResponse, Status> {
        let mut client = self.client()?;
        let span = runtime::trace::client(ALLOCATOR, "Allocate");
        let request = span.in_scope(|| limited(request));
        in_time(client.allocate(request)).instrument(span).await
    }

    /// Gives back the server of a request, if it has one.
    pub(crate) async fn release(&self, request: ReleaseRequest) -> Result<(), Status> {
        let mut client = self.client()?;
        let span = runtime::trace::client(ALLOCATOR, "Release");
        let request = span.in_scope(|| limited(request));
        in_time(client.release(request))
            .instrument(span)
            .await
            .map(drop)
    }

    fn client(&self) -> Result<AllocatorClient<Channel>, Status> {
        let channel = match &self.0 {
            Route::Given(channel) => channel.clone(),
            Route::Configured(connection) => connection.channel().map_err(|error| {
                Status::unavailable(format!("allocator: {}", runtime::service::chain(&error)))
            })?,
        };
        Ok(AllocatorClient::new(channel))
    }
}

/// A request that tells the allocator how long we wait, and which trace it is a part of.
fn limited<T>(request: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(request);
    request.set_timeout(LIMIT);
    runtime::trace::inject(request.metadata_mut().as_mut());
    request
}

/// Ends a call that the allocator does not answer.
async fn in_time<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(LIMIT, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(
            "the allocator did not answer in time",
        )),
    }
}

impl Connection {
    fn channel(&self) -> Result<Channel, ConnectError> {
        let files = self.read_files()?;
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((with, channel)) = &*channel
            && *with == files
        {
            return Ok(channel.clone());
        }
        let mut endpoint = Endpoint::from_shared(self.config.endpoint.clone())
            .map_err(ConnectError::Endpoint)?
            .connect_timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_while_idle(false);
        if self.config.endpoint.starts_with("https://") {
            let mut tls = ClientTlsConfig::new();
            if let Some(ca) = &files.ca {
                tls = tls.ca_certificate(Certificate::from_pem(ca));
            }
            if let (Some(certificate), Some(key)) = (&files.certificate, &files.key) {
                tls = tls.identity(Identity::from_pem(certificate, key));
            }
            endpoint = endpoint.tls_config(tls).map_err(ConnectError::Endpoint)?;
        }
        let connected = endpoint.connect_lazy();
        *channel = Some((files, connected.clone()));
        Ok(connected)
    }

    fn read_files(&self) -> Result<Files, ConnectError> {
        let read = |path: std::path::PathBuf| {
            std::fs::read(&path).map_err(|source| ConnectError::Read { path, source })
        };
        let directory = self.config.tls_dir.as_ref();
        Ok(Files {
            ca: self.config.ca_file.clone().map(read).transpose()?,
            certificate: directory
                .map(|path| read(path.join("tls.crt")))
                .transpose()?,
            key: directory
                .map(|path| read(path.join("tls.key")))
                .transpose()?,
        })
    }
}
