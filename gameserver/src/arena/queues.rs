//! The socket's side on a thread of its own, for machines with cores to spare.
//!
//! Between the two threads are bounded queues that neither ever waits for. What finds a full queue
//! is dropped and counted, as the network would have dropped it: inputs are repeated, snapshots
//! follow, reliable messages are sent again. Only connections and their ends must not get lost;
//! they wait with the sender.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use netcode::{MAX_PAYLOAD_BYTES, Now};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::arena::clock;
use crate::arena::link::{End, Inbound, Link, Outbox, Peer, Statistics};
use crate::arena::net::Net;
use crate::arena::sessions::Presented;

/// Datagrams that wait in each direction: two ticks of a full match.
const WAITING: usize = 2_048;

/// How long the socket's thread sleeps when there is nothing to do.
const NAP: Duration = Duration::from_micros(250);

/// Time between two rounds of keep-alives and time-outs.
const ROUND: Duration = Duration::from_millis(16);

/// A payload without a buffer elsewhere, so that nothing is allocated.
struct Datagram {
    peer: Peer,
    length: usize,
    bytes: [u8; MAX_PAYLOAD_BYTES],
}

impl Datagram {
    fn new(peer: Peer, payload: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_PAYLOAD_BYTES];
        bytes.get_mut(..payload.len())?.copy_from_slice(payload);
        Some(Self {
            peer,
            length: payload.len(),
            bytes,
        })
    }

    fn payload(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are datagrams, and boxes would be allocated for each"
)]
enum Incoming {
    Connected(Peer, Box<Presented>),
    Payload(Datagram),
    Disconnected(Peer, End),
    Alive(Peer),
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are datagrams, and boxes would be allocated for each"
)]
enum Outgoing {
    Payload(Datagram),
    Disconnect(Peer),
}

/// What both threads see.
#[derive(Debug, Default)]
struct Shared {
    is_ended: AtomicBool,
    /// Datagrams that found a full queue.
    dropped: AtomicU64,
    statistics: Mutex<Statistics>,
}

/// The game's end of the queues.
pub struct Queues {
    incoming: Consumer<Incoming>,
    outgoing: Producer<Outgoing>,
    /// Connections to end, for which the queue had no room.
    late: VecDeque<Peer>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the socket's thread. It ends after [`Link::say_goodbye`], or when this is dropped.
pub fn spawn(net: Net) -> std::io::Result<Queues> {
    let (to_game, incoming) = RingBuffer::new(WAITING);
    let (outgoing, from_game) = RingBuffer::new(WAITING);
    let shared = Arc::new(Shared::default());
    let mut side = SocketSide {
        net,
        to_game,
        from_game,
        late: VecDeque::new(),
        shared: Arc::clone(&shared),
    };
    let thread = std::thread::Builder::new()
        .name("socket".to_owned())
        .spawn(move || side.run())?;
    Ok(Queues {
        incoming,
        outgoing,
        late: VecDeque::new(),
        shared,
        thread: Some(thread),
    })
}

impl Outbox for Queues {
    fn send(&mut self, peer: Peer, payload: &[u8]) {
        let is_sent = Datagram::new(peer, payload)
            .is_some_and(|datagram| self.outgoing.push(Outgoing::Payload(datagram)).is_ok());
        if !is_sent {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn disconnect(&mut self, peer: Peer) {
        if self.outgoing.push(Outgoing::Disconnect(peer)).is_err() {
            self.late.push_back(peer);
        }
    }
}

impl Link for Queues {
    fn receive(&mut self, _now: Now, _is_tick: bool, game: &mut dyn FnMut(Inbound<'_>)) {
        while let Ok(incoming) = self.incoming.pop() {
            match incoming {
                Incoming::Connected(peer, presented) => game(Inbound::Connected(peer, presented)),
                Incoming::Payload(datagram) => {
                    game(Inbound::Payload(datagram.peer, datagram.payload()));
                }
                Incoming::Disconnected(peer, end) => game(Inbound::Disconnected(peer, end)),
                Incoming::Alive(peer) => game(Inbound::Alive(peer)),
            }
        }
        while let Some(peer) = self.late.pop_front() {
            if self.outgoing.push(Outgoing::Disconnect(peer)).is_err() {
                self.late.push_front(peer);
                return;
            }
        }
    }

    fn statistics(&self) -> Statistics {
        let statistics = self.shared.statistics.lock();
        let mut statistics = *statistics.unwrap_or_else(PoisonError::into_inner);
        statistics.traffic.unsent += self.shared.dropped.load(Ordering::Relaxed);
        statistics
    }

    fn say_goodbye(&mut self) {
        self.shared.is_ended.store(true, Ordering::Relaxed);
        // A thread that has panicked says nothing any more.
        self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        self.shared.is_ended.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Queues")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// What the socket's thread owns.
struct SocketSide {
    net: Net,
    to_game: Producer<Incoming>,
    from_game: Consumer<Outgoing>,
    /// What must not get lost and had no room.
    late: VecDeque<Incoming>,
    shared: Arc<Shared>,
}

impl SocketSide {
    fn run(&mut self) {
        let mut next_round = clock::monotonic();
        while !self.shared.is_ended.load(Ordering::Relaxed) {
            let now = clock::now();
            self.push_late();
            let mut moved = self.flush();
            let Self {
                net,
                to_game,
                late,
                shared,
                ..
            } = self;
            let mut pass = |inbound: Inbound<'_>| pass(to_game, late, shared, inbound);
            moved += net.take_in(now, &mut pass);
            if now.monotonic >= next_round {
                next_round = now.monotonic + ROUND;
                net.poll(now, &mut pass);
                let statistics = net.statistics();
                *shared
                    .statistics
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = statistics;
            }
            if moved == 0 {
                clock::sleep_until(now.monotonic + NAP);
            }
        }
        self.flush();
        self.net.say_goodbye();
    }

    /// Sends what the game has handed over. Returns how much it was.
    fn flush(&mut self) -> usize {
        let mut count = 0;
        while let Ok(outgoing) = self.from_game.pop() {
            count += 1;
            match outgoing {
                Outgoing::Payload(datagram) => self.net.send(datagram.peer, datagram.payload()),
                Outgoing::Disconnect(peer) => self.net.disconnect(peer),
            }
        }
        count
    }

    fn push_late(&mut self) {
        while let Some(incoming) = self.late.pop_front() {
            if let Err(rtrb::PushError::Full(incoming)) = self.to_game.push(incoming) {
                self.late.push_front(incoming);
                return;
            }
        }
    }
}

fn pass(
    to_game: &mut Producer<Incoming>,
    late: &mut VecDeque<Incoming>,
    shared: &Shared,
    inbound: Inbound<'_>,
) {
    let incoming = match inbound {
        Inbound::Connected(peer, presented) => Some(Incoming::Connected(peer, presented)),
        Inbound::Disconnected(peer, end) => Some(Incoming::Disconnected(peer, end)),
        Inbound::Alive(peer) => Some(Incoming::Alive(peer)),
        Inbound::Payload(peer, payload) => Datagram::new(peer, payload).map(Incoming::Payload),
    };
    let Some(incoming) = incoming else {
        return;
    };
    // Order matters among what must not get lost: a connection comes before its end.
    let full = if late.is_empty() {
        to_game
            .push(incoming)
            .err()
            .map(|rtrb::PushError::Full(incoming)| incoming)
    } else {
        Some(incoming)
    };
    match full {
        Some(incoming @ (Incoming::Connected(..) | Incoming::Disconnected(..))) => {
            late.push_back(incoming);
        }
        Some(Incoming::Payload(_) | Incoming::Alive(_)) => {
            shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        None => {}
    }
}
