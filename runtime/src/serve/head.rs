//! The time for the head of an HTTP/1.1 request.
//!
//! hyper has one time limit for the wait for a request and for its head. A connection may wait for
//! long, and a head must come quickly: whoever sends it byte by byte holds a place. So the bytes of
//! a connection are watched here: a head begins with its first byte, and the first one with the
//! connection. HTTP/2 has limits of its own, and is known by its preface; so has what a request turns
//! a connection into.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How an HTTP/2 connection begins (RFC 9113, 3.4); no HTTP/1.1 request does.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What comes over a connection next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The rest of a head that must be whole by then. The first one, of which `begun` bytes came,
    /// may turn out to be the preface of HTTP/2.
    Head { ends: Instant, begun: Option<usize> },
    /// A request, some time.
    Request,
    /// The rest of a request that is being served.
    Rest,
    /// HTTP/2, or whatever a request made of the connection.
    Other,
}

/// What is known of the head of the next request.
#[derive(Debug)]
pub(super) struct Head {
    limit: Duration,
    awaited: Mutex<Awaited>,
}

impl Head {
    /// That of the first request of a connection, which begins now.
    pub(super) fn new(limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit,
            awaited: Mutex::new(Awaited::Head {
                ends: Instant::now() + limit,
                begun: Some(0),
            }),
        })
    }

    fn awaited(&self) -> MutexGuard<'_, Awaited> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It came in time.
    pub(super) fn is_whole(&self) {
        let mut awaited = self.awaited();
        if *awaited != Awaited::Other {
            *awaited = Awaited::Rest;
        }
    }

    /// The next request may begin, unless the connection is no longer one for requests.
    pub(super) fn is_answered(&self, status: StatusCode) {
        let mut awaited = self.awaited();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            *awaited = Awaited::Other;
        } else if *awaited == Awaited::Rest {
            *awaited = Awaited::Request;
        }
    }

    fn came(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut awaited = self.awaited();
        *awaited = match *awaited {
            Awaited::Request => Awaited::Head {
                ends: Instant::now() + self.limit,
                begun: None,
            },
            Awaited::Head {
                ends,
                begun: Some(begun),
            } => {
                let length = bytes.len().min(PREFACE.len() - begun);
                let is_preface = PREFACE[begun..].starts_with(&bytes[..length]);
                if is_preface && begun + length == PREFACE.len() {
                    Awaited::Other
                } else {
                    Awaited::Head {
                        ends,
                        begun: is_preface.then_some(begun + length),
                    }
                }
            }
            other => other,
        };
    }

    /// When what is awaited must be there, if it must.
    fn ends(&self) -> Option<Instant> {
        match *self.awaited() {
            Awaited::Head { ends, .. } => Some(ends),
            Awaited::Request | Awaited::Rest | Awaited::Other => None,
        }
    }
}

/// A connection that fails when a head takes too long.
#[derive(Debug)]
pub(super) struct Timed<S> {
    stream: S,
    head: Arc<Head>,
    /// Made when a head does not come at once.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, head: Arc<Head>) -> Self {
        Self {
            stream,
            head,
            timer: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            self.head.came(&buffer.filled()[before..]);
            return Poll::Ready(read);
        }
        let Some(ends) = self.head.ends() else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(ends)));
        if timer.deadline() != ends {
            timer.as_mut().reset(ends);
        }
        ready!(timer.as_mut().poll(context));
        let late = "the head of a request took too long";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
