//! Which channels are heard, over whichever connection there is.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use redis::aio::PubSubSink;
use redis::{ErrorKind, RedisResult};

/// The server confirms it, or refuses.
type Confirmed = BoxFuture<'static, RedisResult<()>>;

/// The channels that are wanted.
#[derive(Debug, Default)]
pub(super) struct Channels(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    wanted: BTreeSet<String>,
    /// Takes commands of the connection that there is.
    sink: Option<PubSubSink>,
}

/// A connection that is told what to hear, until this is dropped.
pub(super) struct Connected<'channels> {
    channels: &'channels Channels,
    /// Every channel that was wanted at its beginning is heard.
    pub(super) subscribed: Confirmed,
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.channels.lock().sink = None;
    }
}

impl Channels {
    /// Wants channels before there is a connection.
    pub(super) fn want(&self, channels: &[&str]) {
        let channels = channels.iter().map(|channel| (*channel).to_owned());
        self.lock().wanted.extend(channels);
    }

    /// Hears every wanted channel over this connection from now on.
    pub(super) fn connect(&self, sink: &PubSubSink) -> Connected<'_> {
        let mut state = self.lock();
        state.sink = Some(sink.clone());
        let (mut sink, wanted) = (sink.clone(), state.wanted.clone());
        let subscribed = if wanted.is_empty() {
            ready(Ok(())).boxed()
        } else {
            sent(async move { sink.subscribe(wanted).await })
        };
        Connected {
            channels: self,
            subscribed,
        }
    }

    /// Wants a channel, also where its confirmation is not waited for.
    pub(super) fn subscribe(&self, channel: &str) -> Confirmed {
        let mut state = self.lock();
        state.wanted.insert(channel.to_owned());
        let channel = channel.to_owned();
        let Some(mut sink) = state.sink.clone() else {
            let problem = (ErrorKind::Io, "there is no connection for messages");
            return ready(Err(problem.into())).boxed();
        };
        sent(async move { sink.subscribe(channel).await })
    }

    /// Wants a channel no more, also where its confirmation is not waited for.
    pub(super) fn unsubscribe(&self, channel: &str) -> Confirmed {
        let mut state = self.lock();
        state.wanted.remove(channel);
        let channel = channel.to_owned();
        match state.sink.clone() {
            Some(mut sink) => sent(async move { sink.unsubscribe(channel).await }),
            // Nothing is heard.
            None => ready(Ok(())).boxed(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a command before anything is waited for, so that commands go in the order in which the
/// lock was had, and the server ends with what is wanted.
fn sent(command: impl Future<Output = RedisResult<()>> + Send + 'static) -> Confirmed {
    let mut command = command.boxed();
    match (&mut command).now_or_never() {
        Some(done) => ready(done).boxed(),
        None => command,
    }
}
