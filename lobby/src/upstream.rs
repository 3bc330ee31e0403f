//! The services that the lobby calls by gRPC: how they are reached, and how long they may take.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Response, Status};
use tracing::Instrument as _;

/// How often the files of a connection are looked at.
const RELOAD: Duration = Duration::from_secs(5);

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(3);

/// A connection that is silent is asked so often whether it lives, and given up after so long.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Where a service is, and what it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// `https://muster-allocator.muster-system.svc:443`.
    pub url: String,
    /// The CAs of its certificate, PEM; with https.
    pub ca_file: Option<PathBuf>,
    /// Directory with `tls.crt` and `tls.key` that it is shown under mutual TLS.
    pub tls_dir: Option<PathBuf>,
    /// File with the token that it knows the lobby by.
    pub token_file: Option<PathBuf>,
}

/// Why a service cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address or the certificates cannot be used.
    #[error("use {url}")]
    Endpoint {
        /// The address.
        url: String,
        /// What is wrong with it.
        #[source]
        source: tonic::transport::Error,
    },
    /// A certificate, key or token could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The token is no text that a header can hold.
    #[error("{path} holds no token")]
    Token {
        /// The file.
        path: PathBuf,
    },
}

/// A connection as its files were, for streams that last.
#[derive(Debug)]
pub struct Opened {
    files: Files,
    channel: Channel,
}

impl Opened {
    /// The connection, which is made when it is needed.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The token to show, for nobody else's eyes.
    pub fn token(&self) -> Option<&str> {
        let token = self.files.token.as_deref()?;
        std::str::from_utf8(token).ok().map(str::trim)
    }
}

impl Upstream {
    /// A connection by the files as they are.
    pub fn open(&self) -> Result<Opened, Error> {
        let files = Files::read(self)?;
        let channel = files.line(self)?.channel;
        Ok(Opened { files, channel })
    }

    /// Whether the files are still those of a connection; files that cannot be read count as the
    /// same.
    pub fn is_current(&self, opened: &Opened) -> bool {
        Files::read(self).map_or(true, |files| files == opened.files)
    }
}

/// A way to a service. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Route(Arc<Inner>);

#[derive(Debug)]
enum Inner {
    /// As it is configured. The connection is made when it is needed, and again when it broke.
    Configured(Box<Configured>),
    /// As the process that hosts us says.
    Given(Channel),
}

#[derive(Debug)]
struct Configured {
    upstream: Upstream,
    loaded: Mutex<Option<Loaded>>,
}

/// A connection, with the files that it was made from: certificates are replaced while we run.
#[derive(Debug)]
struct Loaded {
    files: Files,
    looked_at: Instant,
    line: Line,
}

/// What a call is made with.
#[derive(Clone, Debug)]
struct Line {
    channel: Channel,
    authorization: Option<AsciiMetadataValue>,
}

/// Holds a key and a token, and so is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
struct Files {
    ca: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    token: Option<Vec<u8>>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Files").finish_non_exhaustive()
    }
}

impl Route {
    /// Checks the address; files are read when they are needed.
    pub fn new(upstream: Upstream) -> Result<Self, Error> {
        endpoint(&upstream.url)?;
        Ok(Self(Arc::new(Inner::Configured(Box::new(Configured {
            upstream,
            loaded: Mutex::default(),
        })))))
    }

    /// Uses a channel that exists.
    pub fn over(channel: Channel) -> Self {
        Self(Arc::new(Inner::Given(channel)))
    }

    /// Makes one call, in a span of its own, that ends within `limit`. Of a stream that is the time
    /// until it begins.
    pub(crate) async fn call<Message, Answer, Call>(
        &self,
        (service, method): (&'static str, &'static str),
        limit: Duration,
        message: Message,
        call: impl FnOnce(Channel, Request<Message>) -> Call,
    ) -> Result<Answer, Status>
    where
        Call: Future<Output = Result<Response<Answer>, Status>>,
    {
        let line = self.line().map_err(|error| {
            Status::unavailable(format!("{method}: {}", runtime::service::chain(&error)))
        })?;
        let mut request = Request::new(message);
        if let Some(authorization) = line.authorization {
            request
                .metadata_mut()
                .insert("authorization", authorization);
        }
        let span = runtime::trace::client(service, method);
        span.in_scope(|| runtime::trace::inject(request.metadata_mut().as_mut()));
        let call = call(line.channel, request).instrument(span);
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer.map(Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("no answer in time")),
        }
    }

    fn line(&self) -> Result<Line, Error> {
        match &*self.0 {
            Inner::Given(channel) => Ok(Line {
                channel: channel.clone(),
                authorization: None,
            }),
            Inner::Configured(configured) => configured.line(),
        }
    }
}

impl Configured {
    fn line(&self) -> Result<Line, Error> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*loaded
            && loaded.looked_at.elapsed() < RELOAD
        {
            return Ok(loaded.line.clone());
        }
        let files = Files::read(&self.upstream)?;
        let line = match loaded.take() {
            Some(loaded) if loaded.files == files => loaded.line,
            Some(_) | None => files.line(&self.upstream)?,
        };
        *loaded = Some(Loaded {
            files,
            looked_at: Instant::now(),
            line: line.clone(),
        });
        Ok(line)
    }
}

impl Files {
    fn read(upstream: &Upstream) -> Result<Self, Error> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| Error::Read {
                path: path.to_owned(),
                source,
            })
        };
        let of_directory = |name: &str| {
            let directory = upstream.tls_dir.as_ref();
            directory.map(|path| read(&path.join(name))).transpose()
        };
        Ok(Self {
            ca: upstream.ca_file.as_deref().map(read).transpose()?,
            certificate: of_directory("tls.crt")?,
            key: of_directory("tls.key")?,
            token: upstream.token_file.as_deref().map(read).transpose()?,
        })
    }

    fn line(&self, upstream: &Upstream) -> Result<Line, Error> {
        let mut endpoint = endpoint(&upstream.url)?;
        if upstream.url.starts_with("https://") {
            let mut tls = ClientTlsConfig::new();
            if let Some(ca) = &self.ca {
                tls = tls.ca_certificate(Certificate::from_pem(ca));
            }
            if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
                tls = tls.identity(Identity::from_pem(certificate, key));
            }
            endpoint = endpoint.tls_config(tls).map_err(|source| Error::Endpoint {
                url: upstream.url.clone(),
                source,
            })?;
        }
        let authorization = match (&self.token, &upstream.token_file) {
            (Some(token), Some(path)) => {
                Some(authorization(token).ok_or_else(|| Error::Token { path: path.clone() })?)
            }
            _ => None,
        };
        Ok(Line {
            channel: endpoint.connect_lazy(),
            authorization,
        })
    }
}

fn authorization(token: &[u8]) -> Option<AsciiMetadataValue> {
    let token = std::str::from_utf8(token).ok()?.trim();
    let mut value: AsciiMetadataValue = format!("Bearer {token}").parse().ok()?;
    value.set_sensitive(true);
    (!token.is_empty()).then_some(value)
}

fn endpoint(url: &str) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|source| Error::Endpoint {
        url: url.to_owned(),
        source,
    })?;
    Ok(endpoint
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true))
}
