//! The stream of a watch with what goes wrong in it.
//!
//! Only what a client must be prepared for is done: events end, come late, come twice, or change
//! places with an event of another object. An event is held back no longer than the client could
//! resume before it.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, watch as signal};
use tokio::time::Instant;

use super::call::Call;
use super::fault::{Fault, WatchFault};
use super::service::{AnswerBody, BoxError};
use super::{Faults, Mode, Pending};
use crate::status::Status;

/// An event that shall change places is held for at most this time.
const SWAP_LIMIT: Duration = Duration::from_secs(2);

/// What of an event is looked at. All events pass here, so that it pays to leave out the rest.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Object,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    namespace: String,
    name: String,
}

/// One event.
#[derive(Clone, Debug)]
struct Line {
    text: Bytes,
    /// Namespace and name of the object; none for bookmarks and errors.
    object: Option<(String, String)>,
}

impl Line {
    fn new(text: Bytes) -> Self {
        let event: Event = serde_json::from_slice(&text).unwrap_or_default();
        let is_change = ["ADDED", "MODIFIED", "DELETED"].contains(&event.kind.as_str());
        let Metadata { namespace, name } = event.object.metadata;
        Self {
            text,
            object: is_change.then_some((namespace, name)),
        }
    }
}

impl Line {
    /// The error by which the API server ends a watch whose version is no longer kept.
    fn expired() -> Bytes {
        let status = Status::expired("too old resource version").to_value();
        Bytes::from(format!(
            "{}\n",
            json!({ "type": "ERROR", "object": status })
        ))
    }
}

/// An event on its way to the client.
#[derive(Debug)]
struct Waiting {
    line: Line,
    /// When it is handed out at the latest, if it may wait until others come.
    until: Option<Instant>,
    /// A later event was handed out before it, so that the client could not resume before it.
    is_owed: bool,
    /// Kept for as long as a change that lags behind waits here.
    _pending: Option<Pending>,
}

struct Filter {
    faults: Faults,
    name: String,
    more: mpsc::UnboundedReceiver<WatchFault>,
    mode: signal::Receiver<Mode>,
    cuts: signal::Receiver<u64>,
    source: BoxStream<'static, Result<Bytes, BoxError>>,
    partial: Vec<u8>,
    plan: Vec<WatchFault>,
    /// Events of objects that came from the API server.
    arrived: u64,
    /// Events of objects that were handed out.
    delivered: u64,
    /// What comes next, in order.
    queue: VecDeque<Waiting>,
    /// An event that waits for one of another object, and until when.
    swapped: Option<(Line, Instant)>,
    /// The API server, or a cut, has ended the stream.
    has_ended: bool,
}

/// Puts faults into the stream of a watch.
pub(super) fn filter(
    faults: Faults,
    call: &Call,
    body: AnswerBody,
    plan: Vec<WatchFault>,
) -> AnswerBody {
    let filter = Filter {
        name: call.to_string(),
        more: faults.opened(call),
        mode: faults.mode(),
        cuts: faults.0.cuts.subscribe(),
        faults,
        source: body.into_data_stream().boxed(),
        partial: Vec::new(),
        plan,
        arrived: 0,
        delivered: 0,
        queue: VecDeque::new(),
        swapped: None,
        has_ended: false,
    };
    let stream = futures::stream::unfold(filter, |mut filter| async move {
        let next = filter.next().await?;
        Some((next.map(Frame::data), filter))
    });
    StreamBody::new(stream).boxed_unsync()
}

/// What a fault of the plan does now.
enum Due {
    End,
    Expire,
    Stall(Duration),
}

impl Filter {
    async fn next(&mut self) -> Option<Result<Bytes, BoxError>> {
        loop {
            self.faults.wait_until_running().await;
            let owes = self.queue.front().is_some_and(|next| next.is_owed);
            let due = if owes { None } else { self.due() };
            match due {
                Some(Due::End) => return None,
                Some(Due::Expire) => {
                    self.plan = vec![WatchFault::Drop(0)];
                    return Some(Ok(Line::expired()));
                }
                Some(Due::Stall(by)) => {
                    let pending = self.faults.hold();
                    tokio::time::sleep(by).await;
                    drop(pending);
                    continue;
                }
                None => {}
            }
            if let Some(line) = self.take() {
                self.delivered += u64::from(line.object.is_some());
                return Some(Ok(line.text));
            }
            if self.has_ended {
                return None;
            }
            let wake = self.wake();
            tokio::select! {
                biased;
                _ = self.cuts.changed() => {
                    self.has_ended = true;
                    self.queue.retain(|waiting| waiting.is_owed);
                    self.swapped = None;
                }
                _ = self.mode.changed() => {}
                Some(fault) = self.more.recv() => self.plan_more(fault),
                chunk = self.source.next() => match chunk {
                    Some(Ok(chunk)) => self.read(&chunk),
                    Some(Err(error)) => return Some(Err(error)),
                    None => {
                        self.has_ended = true;
                        self.release_swapped();
                        for waiting in &mut self.queue {
                            waiting.until = None;
                        }
                    }
                },
                () = sleep_until(wake) => {
                    if self.swapped.as_ref().is_some_and(|(_, until)| *until <= Instant::now()) {
                        self.release_swapped();
                    }
                }
            }
        }
    }

    /// Adds a fault whose events are counted from now on.
    fn plan_more(&mut self, fault: WatchFault) {
        let (delivered, arrived) = (self.delivered, self.arrived);
        self.plan.push(match fault {
            WatchFault::Drop(after) => WatchFault::Drop(after + delivered),
            WatchFault::Expire(after) => WatchFault::Expire(after + delivered),
            WatchFault::Stall(after, by) => WatchFault::Stall(after + delivered, by),
            WatchFault::Duplicate(nth) => WatchFault::Duplicate(nth + arrived),
            WatchFault::Swap(nth) => WatchFault::Swap(nth + arrived),
            WatchFault::Lag(..) => fault,
        });
    }

    /// Takes the fault of the plan whose time has come.
    fn due(&mut self) -> Option<Due> {
        let delivered = self.delivered;
        let index = self.plan.iter().position(|fault| match fault {
            WatchFault::Drop(after) | WatchFault::Expire(after) | WatchFault::Stall(after, _) => {
                *after <= delivered
            }
            WatchFault::Lag(..) | WatchFault::Duplicate(_) | WatchFault::Swap(_) => false,
        })?;
        let fault = self.plan.remove(index);
        self.faults
            .note(format!("{}: {}", self.name, Fault::Watch(fault.clone())));
        match fault {
            WatchFault::Stall(_, by) => Some(Due::Stall(by)),
            WatchFault::Expire(_) => Some(Due::Expire),
            _ => Some(Due::End),
        }
    }

    /// The next event, if nothing holds it back.
    fn take(&mut self) -> Option<Line> {
        let most = self.plan.iter().find_map(|fault| match fault {
            WatchFault::Lag(events, _) => Some(*events),
            _ => None,
        });
        let is_free = |waiting: &Waiting| waiting.until.is_none_or(|until| until <= Instant::now());
        let overflows = self.queue.len() > most.unwrap_or(0);
        let next = self.queue.front()?;
        if !overflows && !is_free(next) {
            return None;
        }
        self.queue.pop_front().map(|waiting| waiting.line)
    }

    /// When something is to be done without an event.
    fn wake(&self) -> Option<Instant> {
        let next = self.queue.front().and_then(|waiting| waiting.until);
        let swapped = self.swapped.as_ref().map(|(_, until)| *until);
        next.into_iter().chain(swapped).min()
    }

    fn read(&mut self, chunk: &Bytes) {
        self.partial.extend_from_slice(chunk);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let text: Vec<u8> = self.partial.drain(..=end).collect();
            self.arrive(Line::new(Bytes::from(text)));
        }
    }

    fn arrive(&mut self, line: Line) {
        let Some(object) = line.object.clone() else {
            // A bookmark says that everything before it was delivered.
            self.release_swapped();
            self.push(line, false);
            return;
        };
        self.arrived += 1;
        let nth = self.arrived;
        if self.plan.contains(&WatchFault::Swap(nth)) && self.swapped.is_none() {
            self.swapped = Some((line, Instant::now() + SWAP_LIMIT));
            return;
        }
        let repeats = self.plan.contains(&WatchFault::Duplicate(nth));
        match self.swapped.take() {
            Some((held, _)) if held.object.as_ref() != Some(&object) => {
                self.push(line.clone(), false);
                self.push(held, true);
            }
            Some((held, _)) => {
                self.push(held, false);
                self.push(line.clone(), false);
            }
            None => self.push(line.clone(), false),
        }
        if repeats {
            self.push(line, false);
        }
    }

    fn release_swapped(&mut self) {
        if let Some((held, _)) = self.swapped.take() {
            self.push(held, false);
        }
    }

    fn push(&mut self, line: Line, is_owed: bool) {
        let lag = self.plan.iter().find_map(|fault| match fault {
            WatchFault::Lag(_, by) => Some(Instant::now() + *by),
            _ => None,
        });
        let lags = lag.is_some() && line.object.is_some();
        self.queue.push_back(Waiting {
            line,
            until: lag,
            is_owed,
            _pending: lags.then(|| self.faults.hold()),
        });
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
