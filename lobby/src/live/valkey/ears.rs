//! What is heard over channels: by sharded Pub/Sub, so that a message goes to one node of a cluster
//! and to those who hear it there.
//!
//! One task holds the connection and the book of what is wanted. For each channel at most one
//! command is under way, and what is wanted by then decides the next: in whatever order wishes come,
//! what is heard ends as what is wanted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use redis::{Msg, PushInfo, PushKind, RedisError, RedisResult, Value, cmd};
use runtime::backoff::Backoff;
use storage::valkey::Nodes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, broadcast, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::side::{CONNECT, Pushes, Side, late};
use crate::live::{CHANNELS, Channel, Delivery, Error, LAG};

/// How often the connection is tried: deliveries are late by this and a call at most, without
/// anybody knowing.
const PROBE: Duration = Duration::from_millis(500);

/// How long it may take until everything that is wanted is heard again.
const RESTORE: Duration = Duration::from_secs(30);

/// Between tries to hear again.
const RECONNECT: Backoff = Backoff {
    base: Duration::from_millis(50),
    cap: Duration::from_secs(1),
};

/// How many commands are under way at once.
const AT_ONCE: usize = 1024;

/// How many wishes wait to be taken.
const WISHES: usize = 8192;

/// Hears channels.
pub(super) struct Ears {
    wishes: mpsc::Sender<Wish>,
    /// Taken by whoever listens.
    taken: Mutex<mpsc::Receiver<Wish>>,
    deliveries: broadcast::Sender<Delivery>,
    limit: Duration,
}

/// To hear a channel, or not.
struct Wish {
    channel: String,
    wanted: bool,
    done: oneshot::Sender<Result<(), Error>>,
}

impl Ears {
    pub(super) fn new(limit: Duration) -> Self {
        let (wishes, taken) = mpsc::channel(WISHES);
        Self {
            wishes,
            taken: Mutex::new(taken),
            deliveries: broadcast::Sender::new(LAG),
            limit,
        }
    }

    pub(super) fn deliveries(&self) -> broadcast::Receiver<Delivery> {
        self.deliveries.subscribe()
    }

    /// Hears a channel from now on, or no more; waits for the server's word.
    pub(super) async fn wish(&self, channel: &Channel, wanted: bool) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        let wish = Wish {
            channel: channel.to_string(),
            wanted,
            done,
        };
        self.wishes.try_send(wish).map_err(|error| match error {
            TrySendError::Full(_) => Error("too many channels at once".to_owned()),
            TrySendError::Closed(_) => away(),
        })?;
        match timeout(self.limit, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(away()),
            Err(_) => Err(Error("no answer in time".to_owned())),
        }
    }

    /// Hears what is wanted until it is stopped, over one connection after another.
    pub(super) async fn listen(
        &self,
        mut nodes: watch::Receiver<Arc<Nodes>>,
        stop: &CancellationToken,
    ) {
        let mut wishes = self.taken.lock().await;
        let mut book = Book::default();
        let mut attempt = 0;
        loop {
            let mut connected = false;
            let current = Arc::clone(&nodes.borrow_and_update());
            tokio::select! {
                () = stop.cancelled() => return,
                error = self.hear(&current, &mut wishes, &mut book, &mut connected) => {
                    tracing::warn!(%error, "Lost the messages of the other replicas");
                }
                Ok(()) = nodes.changed() => {}
            }
            book.lose();
            attempt = if connected { 0 } else { attempt + 1 };
            let pause = sleep(RECONNECT.delay(attempt, fastrand::f64()));
            tokio::select! {
                () = stop.cancelled() => return,
                () = book.note_while(&mut wishes, pause) => {}
            }
        }
    }

    /// Hears until the connection breaks; returns why.
    async fn hear(
        &self,
        nodes: &Nodes,
        wishes: &mut mpsc::Receiver<Wish>,
        book: &mut Book,
        connected: &mut bool,
    ) -> RedisError {
        let (pushes, mut fate) = self.pushes();
        let opening = timeout(CONNECT, Side::open(nodes, Some(pushes)));
        let side = match book.note_while(wishes, opening).await {
            Ok(Ok(side)) => side,
            Ok(Err(error)) => return error,
            Err(_) => return late(),
        };
        book.restore();
        let mut under_way = FuturesUnordered::new();
        let mut restoring = pin!(sleep(RESTORE));
        let mut probing = pin!(self.probe(side.clone()));
        loop {
            while under_way.len() < AT_ONCE
                && let Some((channel, wanted)) = book.next()
            {
                under_way.push(command(side.clone(), channel, wanted));
            }
            if !*connected && book.restoring.is_empty() {
                // Until here messages were missed. Who looks after what he missed now misses
                // nothing after.
                *connected = true;
                self.deliveries.send(Delivery::Missed).ok();
            }
            tokio::select! {
                biased;
                () = fate.lost.cancelled() => return closed(),
                Some(channel) = fate.dropped.recv() => if book.is_heard(&channel) {
                    return moved();
                },
                Some((channel, wanted, answer)) = under_way.next() => match answer {
                    Ok(()) => book.done(channel, wanted),
                    Err(error) => return error,
                },
                Some(wish) = wishes.recv() => book.take(wish),
                () = &mut restoring, if !*connected => return late(),
                error = &mut probing => return error,
            }
        }
    }

    /// Tries a connection until it breaks; returns why.
    async fn probe(&self, mut side: Side) -> RedisError {
        let mut turns = interval(PROBE);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            match timeout(self.limit, side.execute::<Value>(&cmd("PING"))).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error,
                Err(_) => return late(),
            }
        }
    }

    /// What takes pushes of a connection, and what becomes of that.
    fn pushes(&self) -> (Pushes, Fate) {
        let (sender, dropped) = mpsc::channel(2 * AT_ONCE);
        let lost = CancellationToken::new();
        let fate = Fate {
            lost: lost.clone(),
            dropped,
        };
        let deliveries = self.deliveries.clone();
        let take = move |push: PushInfo| match push.kind {
            PushKind::SMessage => {
                if let Some(message) = message(push) {
                    deliveries.send(message).ok();
                }
            }
            PushKind::SUnsubscribe => {
                let channel = push.data.into_iter().next();
                let channel = channel.and_then(|name| redis::from_redis_value(name).ok());
                if channel.is_none_or(|channel| sender.try_send(channel).is_err()) {
                    lost.cancel();
                }
            }
            PushKind::Disconnection => lost.cancel(),
            _ => {}
        };
        (Arc::new(take), fate)
    }
}

/// What becomes of a connection.
struct Fate {
    lost: CancellationToken,
    /// Channels that the server does not tell of any more, by its own will or by ours.
    dropped: mpsc::Receiver<String>,
}

/// Asks the server for a channel, or for its end.
async fn command(mut side: Side, channel: String, wanted: bool) -> (String, bool, RedisResult<()>) {
    let name = if wanted { "SSUBSCRIBE" } else { "SUNSUBSCRIBE" };
    let answer = side.execute::<Value>(cmd(name).arg(&channel)).await;
    (channel, wanted, answer.map(|_| ()))
}

fn message(push: PushInfo) -> Option<Delivery> {
    let message = Msg::from_push_info(push)?;
    let Some(channel) = Channel::parse(message.get_channel_name()) else {
        tracing::warn!("Heard a channel that is none");
        return None;
    };
    Some(Delivery::Message {
        channel,
        bytes: message.get_payload_bytes().into(),
    })
}

/// What is wanted, and how far it is so.
#[derive(Default)]
struct Book {
    channels: BTreeMap<String, Entry>,
    /// Channels to look at.
    todo: VecDeque<String>,
    /// Channels that were wanted when the connection began, and are not heard yet.
    restoring: BTreeSet<String>,
}

/// A channel.
#[derive(Default)]
struct Entry {
    wanted: bool,
    state: State,
    /// Who is told when it is as wanted.
    waiting: Vec<oneshot::Sender<Result<(), Error>>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Silent,
    Heard,
    /// A command is under way.
    Changing,
}

impl State {
    fn of(is_heard: bool) -> Self {
        if is_heard { Self::Heard } else { Self::Silent }
    }
}

impl Book {
    /// Takes a wish while there is a connection.
    fn take(&mut self, wish: Wish) {
        if let Some((channel, done)) = self.write(wish) {
            let entry = self.channels.entry(channel.clone()).or_default();
            entry.waiting.push(done);
            self.settle(channel);
        }
    }

    /// Writes down what is wanted, unless there is no room for it.
    fn write(&mut self, wish: Wish) -> Option<(String, oneshot::Sender<Result<(), Error>>)> {
        let is_new = !self.channels.contains_key(&wish.channel);
        if wish.wanted && is_new && self.channels.len() >= CHANNELS {
            wish.done
                .send(Err(Error::full("the list of channels")))
                .ok();
            return None;
        }
        let entry = self.channels.entry(wish.channel.clone()).or_default();
        entry.wanted = wish.wanted;
        Some((wish.channel, wish.done))
    }

    /// Looks whether a channel is as wanted.
    fn settle(&mut self, channel: String) {
        let Some(entry) = self.channels.get_mut(&channel) else {
            return;
        };
        if entry.state != State::of(entry.wanted) {
            self.todo.push_back(channel);
            return;
        }
        for waiting in entry.waiting.drain(..) {
            waiting.send(Ok(())).ok();
        }
        if !entry.wanted {
            self.channels.remove(&channel);
            self.restoring.remove(&channel);
        }
    }

    /// The next channel that is not as wanted, and for which nothing is under way.
    fn next(&mut self) -> Option<(String, bool)> {
        while let Some(channel) = self.todo.pop_front() {
            if let Some(entry) = self.channels.get_mut(&channel)
                && entry.state != State::Changing
                && entry.state != State::of(entry.wanted)
            {
                entry.state = State::Changing;
                return Some((channel, entry.wanted));
            }
        }
        None
    }

    /// The server has done what was asked.
    fn done(&mut self, channel: String, is_heard: bool) {
        self.restoring.remove(&channel);
        if let Some(entry) = self.channels.get_mut(&channel) {
            entry.state = State::of(is_heard);
        }
        self.settle(channel);
    }

    fn is_heard(&self, channel: &str) -> bool {
        let entry = self.channels.get(channel);
        entry.is_some_and(|entry| entry.state == State::Heard)
    }

    /// Nothing is heard any more.
    fn lose(&mut self) {
        self.todo.clear();
        self.channels.retain(|_, entry| {
            entry.state = State::Silent;
            for waiting in entry.waiting.drain(..) {
                waiting.send(Err(away())).ok();
            }
            entry.wanted
        });
    }

    /// Everything that is wanted is to be heard.
    fn restore(&mut self) {
        self.restoring = self.channels.keys().cloned().collect();
        self.todo = self.channels.keys().cloned().collect();
    }

    /// Does something, and writes down wishes meanwhile: there is no connection.
    async fn note_while<T>(
        &mut self,
        wishes: &mut mpsc::Receiver<Wish>,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some(wish) = wishes.recv() => self.note(wish),
            }
        }
    }

    fn note(&mut self, wish: Wish) {
        let wanted = wish.wanted;
        if let Some((channel, done)) = self.write(wish) {
            if !wanted {
                self.channels.remove(&channel);
            }
            // It is not heard yet, though it will be with the next connection; or not at all.
            let answer = if wanted { Err(away()) } else { Ok(()) };
            done.send(answer).ok();
        }
    }
}

fn away() -> Error {
    Error("there is no connection for messages".to_owned())
}

fn closed() -> RedisError {
    (redis::ErrorKind::Io, "the connection was closed").into()
}

fn moved() -> RedisError {
    (redis::ErrorKind::Io, "the server has given a channel up").into()
}
