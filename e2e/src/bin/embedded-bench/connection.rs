//! Ways to the server: in the process, or over HTTP/1.1 on a connection that is kept.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use embedded::Embedded;
use embedded::server::ApiService;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use tokio::net::TcpStream;
use tower::ServiceExt as _;

/// A running server.
pub(crate) struct Server {
    pub(crate) embedded: Embedded,
    pub(crate) service: ApiService,
    pub(crate) address: SocketAddr,
}

/// Which way a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Without sockets.
    Process,
    /// Over a socket.
    Http,
}

/// One client's way.
pub(crate) enum Connection {
    Process(ApiService),
    Http(SendRequest<Full<Bytes>>, SocketAddr),
}

/// The body of an answer.
pub(crate) enum Answer {
    Process(embedded::server::Payload),
    Http(Incoming),
}

impl Answer {
    /// The next bytes; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        let frame = match self {
            Self::Process(body) => body.frame().await.transpose()?,
            Self::Http(body) => body.frame().await.transpose()?,
        };
        Ok(frame.and_then(|frame| frame.into_data().ok()))
    }

    /// All bytes, counted.
    pub(crate) async fn drain(mut self) -> Result<usize> {
        let mut length = 0;
        while let Some(bytes) = self.next().await? {
            length += bytes.len();
        }
        Ok(length)
    }
}

impl Connection {
    /// Opens one.
    pub(crate) async fn open(server: &Server, way: Way) -> Result<Self> {
        if way == Way::Process {
            return Ok(Self::Process(server.service.clone()));
        }
        let stream = TcpStream::connect(server.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self::Http(sender, server.address))
    }

    /// Sends a request, and gives the body of the answer, which must be a success.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, content_type);
        let (status, mut answer) = match self {
            Self::Process(service) => {
                let request = request.body(Body::from(body))?;
                let response = service.clone().oneshot(request).await?;
                (response.status(), Answer::Process(response.into_body()))
            }
            Self::Http(sender, address) => {
                let request = request
                    .header(HOST, address.to_string())
                    .body(Full::new(Bytes::from(body)))?;
                sender.ready().await?;
                let response = sender.send_request(request).await?;
                (response.status(), Answer::Http(response.into_body()))
            }
        };
        if !status.is_success() {
            let text = answer.next().await?.unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            ensure!(status == StatusCode::OK, "{path}: {status}: {text}");
        }
        Ok(answer)
    }

    /// Sends a request, and reads the whole answer.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<usize> {
        let answer = self.send(method, path, content_type, body).await?;
        answer.drain().await.with_context(|| path.to_owned())
    }
}
